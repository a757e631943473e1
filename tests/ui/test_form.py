"""The expert form covers every setting: each spec becomes a field, and its value comes back unchanged."""

from __future__ import annotations

import json

import gradio as gr
import pytest

from tests.ui.conftest import in_loop
from tuner.files import changed
from tuner.settings.dataset import ImageDataset
from tuner.settings.fields import Spec
from tuner.settings.run import SECTIONS, RunSettings, dataset_specs, specs
from tuner.ui import form

TREAD = {"routes": [{"selection_ratio": 0.5, "start_layer_idx": 2, "end_layer_idx": -2}]}
SETTINGS = RunSettings(datasets=(ImageDataset(id="a", instance_data_dir="there"),))


def test_every_section_and_every_setting_has_its_place() -> None:
    assert set(form.SECTIONS) == {*SECTIONS, "datasets"}
    listed = [spec for section in form.SECTIONS for spec in form.section_specs(section, SETTINGS)]
    assert len(listed) == len(specs()) + len(dataset_specs())
    assert sorted(spec.path for spec in listed) == sorted(spec.path for spec in form.all_specs(SETTINGS))


@pytest.mark.parametrize("spec", form.all_specs(SETTINGS), ids=lambda spec: spec.path)
def test_a_setting_as_a_field(spec: Spec) -> None:
    field = form.field(spec, SETTINGS, SETTINGS)
    assert field.label == spec.label
    assert spec.help in field.info and spec.name in field.info
    assert form.change(spec, field.value, SETTINGS) == {}


@pytest.mark.parametrize(
    "spec", [s for s in specs() if s.built is None or len(s.built) > 1], ids=lambda s: s.path
)
def test_a_field_that_can_be_changed_is_open(spec: Spec) -> None:
    assert form.field(spec, SETTINGS, SETTINGS).interactive


@pytest.mark.parametrize(
    ("path", "raw", "value"),
    [
        ("optimization.learning_rate", 2e-4, 2e-4),
        ("optimization.max_train_steps", "250", 250),
        ("optimization.optimizer_config", "eps=1e-6", "eps=1e-6"),
        ("adapter.lora_alpha", "8", 8.0),
        ("adapter.peft_lora_target_modules", '["to_q", "to_k"]', ("to_q", "to_k")),
        ("memory.gradient_checkpointing", False, False),
        ("objective.tread_config", json.dumps(TREAD), TREAD),
        ("objective.flow_cubic_schedule_weights", "[1, 0.5]", (1, 0.5)),
        ("datasets.a.repeats", 3, 3),
        ("datasets.a.instance_prompt", "sks", "sks"),
    ],
)
def test_what_the_user_types_becomes_a_setting(path, raw, value) -> None:
    spec = next(s for s in form.all_specs(SETTINGS) if s.path == path)
    settings = changed(SETTINGS, form.change(spec, raw, SETTINGS))
    assert form.value_of(settings, spec) == value
    again = form.field(spec, settings, SETTINGS)
    assert form.change(spec, again.value, settings) == {}


def test_what_differs_from_the_preset_is_marked_and_listed() -> None:
    settings = changed(SETTINGS, {"adapter.lora_rank": 8, "saving.output_dir": "runs/mine"})
    spec = next(s for s in specs() if s.name == "lora_rank")
    assert form.field(spec, settings, SETTINGS).label == form.MARK + spec.label
    assert [s.name for s in form.differing(settings, SETTINGS)] == ["lora_rank"]


def test_of_a_dataset_that_the_preset_does_not_have_the_default_counts() -> None:
    spec = next(s for s in form.all_specs(SETTINGS) if s.name == "repeats")
    assert form.value_of(RunSettings(), spec) == spec.default


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("learning rate", "optimization.learning_rate"),
        ("lora_rank", "adapter.lora_rank"),
        ("RANK", "adapter.lora_rank"),
        ("trigger word", "datasets.a.instance_prompt"),
        ("checkpointing_steps", "saving.checkpoint_step_interval"),
    ],
)
def test_a_setting_is_found_by_its_words_or_its_key(words: str, first: str) -> None:
    assert form.found(words, SETTINGS)[0].path == first


def test_help_is_searched_too_and_every_word_must_be_there() -> None:
    spec = next(s for s in specs() if s.name == "lora_dropout")
    assert spec in form.found("overfitting", SETTINGS)
    assert form.found("overfitting zebra", SETTINGS) == form.found("  ", SETTINGS) == ()


def test_only_values_that_work_are_offered() -> None:
    spec = next(s for s in specs() if s.name == "lr_scheduler")
    offered = [value for _, value in form.field(spec, SETTINGS, SETTINGS).choices]
    assert set(offered) == set(spec.built or spec.choices)


def test_what_cannot_be_changed_or_makes_no_difference_says_why() -> None:
    for path, word in (("model.model_type", "because"), ("optimization.num_processes", "no difference")):
        spec = next(s for s in specs() if s.path == path)
        assert word in form.field(spec, SETTINGS, SETTINGS).info


def test_a_field_reports_what_the_user_did() -> None:
    heard = []
    spec = next(s for s in specs() if s.name == "lora_rank")

    def page() -> gr.Blocks:
        with gr.Blocks(analytics_enabled=False) as blocks:
            form.listen(
                form.field(spec, SETTINGS, SETTINGS), spec, lambda s, raw: heard.append((s.path, raw)), []
            )
        return blocks

    (event,) = in_loop(page).fns.values()
    event.fn(SETTINGS.adapter.lora_rank)
    assert heard == []
    event.fn(12)
    event.fn(12)
    event.fn(SETTINGS.adapter.lora_rank)
    assert heard == [("adapter.lora_rank", 12), ("adapter.lora_rank", SETTINGS.adapter.lora_rank)]
