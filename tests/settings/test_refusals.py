"""Every refusal there is: one sentence with the reason, and where there is one the change that mends it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tuner.errors import Problem
from tuner.files import changed
from tuner.settings.checks import RULES
from tuner.settings.dataset import ImageDataset
from tuner.settings.fields import Spec
from tuner.settings.rules import adapter, dataset, flavour, model, objective, optimization, sampling
from tuner.settings.run import RunSettings, dataset_specs, specs
from tuner.settings.values import check

PICTURES = ImageDataset(id="pictures", instance_data_dir="datasets/a")
MASKS = ImageDataset(id="masks", instance_data_dir="datasets/m", conditioning_type="mask")
GOOD = RunSettings(datasets=(PICTURES,))
OTHER: dict[str, Any] = {
    "bool": True,
    "int": 3,
    "float": 3.0,
    "json": {"a": 1},
    "list": (1,),
    "names": ("a",),
}


def with_(section: str, **values: Any) -> RunSettings:
    return replace(GOOD, **{section: replace(getattr(GOOD, section), **values)})


def of(*datasets: ImageDataset) -> RunSettings:
    return replace(GOOD, datasets=datasets)


COMPILED = with_("optimization", dynamo_backend="inductor")


def sentence(problem: Problem) -> None:
    assert re.fullmatch(r"\S.*[.?]", problem.message)
    assert not re.search(r"[.?] [A-Z](?!id you mean)", problem.message), "that is two sentences"


REFUSED = [spec for spec in (*specs(), *dataset_specs()) if spec.built is not None]


@pytest.mark.parametrize("spec", REFUSED, ids=lambda spec: spec.path)
def test_a_value_that_does_not_work(spec: Spec) -> None:
    values = [one for one in spec.choices if one not in spec.built]
    for value in values if spec.choices else [OTHER.get(spec.kind, "other")]:
        problem = check(spec, value)
        assert problem is not None
        sentence(problem)
        assert " does not work here, because " in problem.message
        (mended,) = problem.change.values()
        assert check(spec, mended) is None


EXAMPLES: list[tuple[Callable[..., Any], RunSettings]] = [
    (model._gguf, with_("model", pretrained_model_name_or_path="a/flux.gguf")),
    (flavour._references, with_("model", model_flavour="kontext")),
    (
        flavour._references,
        of(PICTURES, replace(MASKS, conditioning_type="reference_strict", source_dataset_id="pictures")),
    ),
    (flavour._previews_from, with_("sampling", eval_dataset_id="pictures")),
    (adapter._lycoris, with_("adapter", lora_type="lycoris")),
    (adapter._lycoris, replace(with_("adapter", lora_type="lycoris"), lycoris={"algo": "lokkr"})),
    (adapter._lycoris, replace(with_("adapter", lora_type="lycoris"), lycoris={"algo": "tlora"})),
    (adapter._lycoris, replace(with_("adapter", lora_type="lycoris"), lycoris={"linear_dim": "x"})),
    (adapter._dora, replace(with_("adapter", lora_type="lycoris", use_dora=True), lycoris={"algo": "lokr"})),
    (
        adapter._lokr_norm,
        replace(with_("adapter", lora_type="lycoris", init_lokr_norm=1e-3), lycoris={"algo": "loha"}),
    ),
    (optimization._duration, with_("optimization", max_train_steps=5, num_train_epochs=1)),
    (optimization._duration, with_("optimization", max_train_steps=0, num_train_epochs=0)),
    (optimization._betas, with_("optimization", optimizer_beta2=0.9)),
    (optimization._optimizer_options, with_("optimization", optimizer_config="weight_dcay=0.1")),
    (optimization._optimizer_options, with_("optimization", optimizer_config="nothing")),
    (optimization._last_rate, with_("optimization", lr_scheduler="linear", lr_end=1.0)),
    *(
        (optimization._compiled_blocks, replace(COMPILED, memory=replace(GOOD.memory, **streamed)))
        for streamed in ({"musubi_blocks_to_swap": 3}, {"enable_group_offload": True})
    ),
    (objective._schedules, with_("objective", flow_use_uniform_schedule=True, flow_use_beta_schedule=True)),
    (objective._levels, with_("objective", flow_custom_timesteps=(2000,))),
    (objective._levels, with_("objective", flow_cubic_schedule_weights=(0, 0))),
    (objective._guidance, with_("objective", flux_guidance_mode="random-range", flux_guidance_min=9)),
    (objective._routes, with_("objective", tread_config={"routes": []})),
    (
        objective._routes,
        with_(
            "objective",
            tread_config={"routes": [{"selection_ratio": 2, "start_layer_idx": 0, "end_layer_idx": 1}]},
        ),
    ),
    (dataset._some_dataset, RunSettings()),
    (dataset._some_dataset, of(PICTURES, PICTURES)),
    (dataset._windows, of(replace(PICTURES, start_step=9))),
    (dataset._windows, of(PICTURES, replace(PICTURES, id="b", start_step=9, end_step=8))),
    (dataset._conditioning, of(PICTURES, MASKS)),
    (dataset._conditioning, of(PICTURES, replace(MASKS, source_dataset_id="pitcures"))),
    (dataset._companions, of(replace(PICTURES, conditioning_data="maks"))),
    (sampling._sizes, with_("sampling", validation_resolution="large")),
    (sampling._evaluation, with_("sampling", eval_steps_interval=5)),
]
OF_A_DATASET: list[tuple[Callable[..., Any], ImageDataset]] = [
    (dataset._identity, replace(PICTURES, id="")),
    (dataset._identity, replace(PICTURES, instance_data_dir="")),
    (dataset._captions, replace(PICTURES, caption_strategy="instanceprompt")),
    (dataset._tables, replace(PICTURES, caption_strategy="csv")),
    (dataset._tables, replace(PICTURES, caption_strategy="parquet", parquet={"path": "a.csv"})),
    (dataset._geometry, replace(PICTURES, resolution=0, resolution_type="pixel")),
    (dataset._geometry, replace(PICTURES, resolution=512.5, resolution_type="pixel")),
    (dataset._geometry, replace(PICTURES, resolution=512, maximum_image_size=1024)),
    (dataset._geometry, replace(PICTURES, resolution=512, crop_aspect="closest")),
]


@pytest.mark.parametrize(("rule", "settings"), EXAMPLES)
def test_what_does_not_go_together(rule: Callable[..., Any], settings: RunSettings) -> None:
    found = list(rule(settings))
    assert found
    for problem in found:
        sentence(problem)
    change = {path: value for problem in found for path, value in problem.change.items()}
    if change:
        assert not list(rule(changed(settings, change)))


@pytest.mark.parametrize(("rule", "one"), OF_A_DATASET)
def test_what_does_not_go_together_in_a_dataset(rule: Callable[..., Any], one: ImageDataset) -> None:
    found = list(rule(one, "datasets.pictures"))
    assert found
    for problem in found:
        sentence(problem)


def test_every_rule_has_its_example() -> None:
    assert {rule for rule, _ in EXAMPLES} == set(RULES)
    assert {rule for rule, _ in OF_A_DATASET} == set(dataset.DATASET_RULES)
