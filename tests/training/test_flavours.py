"""Each flavour end to end on a tiny FLUX: what it fills in, references, the assistant; and TREAD in a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxTransformer2DModel
from PIL import Image, ImageOps
from safetensors.torch import load_file, save_file

from tests.tiny import write_tiny_flux
from tests.training.conftest import plan_of
from tuner.errors import ModelMissing, SettingsInvalid
from tuner.events import Event, Exported, SampleReady, StepDone, Warned
from tuner.files.run_folder import ADAPTER_FILE
from tuner.flux import kontext, tread
from tuner.flux.catalog import FLAVOURS, Flavour
from tuner.flux.targets import is_modulation
from tuner.flux.tread import draw_kept
from tuner.settings.dataset import ImageDataset
from tuner.settings.run import RunSettings
from tuner.training.control import Control
from tuner.training.run import run

Made = Callable[..., RunSettings]
ROUTES = {"routes": [{"selection_ratio": 0.5, "start_layer_idx": 1, "end_layer_idx": -2}]}


@pytest.fixture(scope="session")
def flux_without_guidance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_flux(tmp_path_factory.mktemp("flux"), guidance_embeds=False)


@pytest.fixture(scope="session")
def references(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each picture's negative, under the same name."""
    folder = tmp_path_factory.mktemp("references")
    for path in pictures.glob("*.png"):
        with Image.open(path) as picture:
            ImageOps.invert(picture.convert("RGB")).save(folder / path.name)
    return folder


@pytest.fixture(scope="session")
def assistant(flux_without_guidance: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA file on every query, single output and modulation layer of the tiny FLUX."""
    model = FluxTransformer2DModel.from_pretrained(flux_without_guidance, subfolder="transformer")
    dice = torch.Generator().manual_seed(9)
    tensors = {}
    for name, layer in model.named_modules():
        if name.endswith(("to_q", "proj_out")) or is_modulation(name):
            down, up = (layer.in_features, 2), (2, layer.out_features)
            tensors[f"transformer.{name}.lora_A.weight"] = (
                0.1 * torch.randn(down, generator=dice).T.contiguous()
            )
            tensors[f"transformer.{name}.lora_B.weight"] = (
                0.1 * torch.randn(up, generator=dice).T.contiguous()
            )
    path = tmp_path_factory.mktemp("assistant") / "assistant.safetensors"
    save_file(tensors, path)
    return path


@pytest.fixture
def made(
    settings: RunSettings, flux: Path, flux_without_guidance: Path, references: Path, assistant: Path
) -> Made:
    """Three steps with a flavour, on the tiny FLUX that is like it."""

    def of(row: Flavour, **sections: dict[str, Any]) -> RunSettings:
        place = flux if row.guidance_embeds else flux_without_guidance
        chosen = replace(
            settings,
            model=replace(settings.model, model_flavour=row.name, pretrained_model_name_or_path=str(place)),
            optimization=replace(settings.optimization, max_train_steps=3, gradient_accumulation_steps=1),
            sampling=replace(settings.sampling, validation_disable=True),
        )
        if row.takes_references:
            chosen = replace(chosen, datasets=(*settings.datasets, _paired(references)))
        if row.assistant:
            chosen = replace(chosen, adapter=replace(chosen.adapter, assistant_lora_path=str(assistant)))
        return _with(chosen, **sections)

    return of


def _paired(references: Path) -> ImageDataset:
    return ImageDataset(
        id="before",
        instance_data_dir=str(references),
        conditioning_type="reference_strict",
        source_dataset_id="house",
    )


def _with(settings: RunSettings, **sections: dict[str, Any]) -> RunSettings:
    return replace(
        settings, **{name: replace(getattr(settings, name), **values) for name, values in sections.items()}
    )


def _named(name: str) -> Flavour:
    return next(row for row in FLAVOURS if row.name == name)


def _in(settings: RunSettings, folder: Path) -> RunSettings:
    return _with(settings, saving={"output_dir": str(folder)})


def _run(settings: RunSettings, **optimization: object) -> list[Event]:
    said: list[Event] = []
    run(plan_of(settings, **optimization), said.append, Control())
    assert not [event.text for event in said if isinstance(event, Warned)]
    return said


def _losses(said: list[Event]) -> list[float]:
    return [one.loss for one in said if isinstance(one, StepDone)]


def _exported(said: list[Event]) -> dict[str, torch.Tensor]:
    (written,) = (one for one in said if isinstance(one, Exported))
    return load_file(written.path)


@pytest.mark.parametrize("row", FLAVOURS, ids=lambda row: row.name)
def test_a_flavour_trains(row: Flavour, made: Made) -> None:
    said = _run(made(row))
    assert len(_losses(said)) == 3 and all(map(math.isfinite, _losses(said)))
    assert any(tensor.any() for key, tensor in _exported(said).items() if "lora_up" in key or "lora_B" in key)


SAVING: tuple[dict[str, Any], ...] = (
    {"enable_group_offload": True},
    {"modulation_eviction": "always"},
    {"musubi_blocks_to_swap": 3, "modulation_eviction": "always", "gradient_checkpointing": True},
)


@pytest.mark.parametrize("memory", SAVING, ids=lambda memory: "+".join(memory))
def test_the_assistant_acts_alike_whatever_is_kept_off_the_card(
    memory: dict[str, Any], made: Made, tmp_path: Path
) -> None:
    """In training, and in previews with a strength of their own; the picture is the same but for rounding."""
    schnell = made(
        _named("schnell"),
        adapter={"assistant_lora_inference_strength": 0.5},
        sampling={"validation_disable": False},
        dataset={"cache_dir": str(tmp_path / "cache")},
    )
    plain = _run(_in(schnell, tmp_path / "plain"))
    saving = _run(_in(_with(schnell, memory=memory), tmp_path / "saving"))
    without = _with(schnell, adapter={"disable_assistant_lora": True})
    assert _losses(saving) == pytest.approx(_losses(plain), rel=1e-5)
    assert _losses(plain) != pytest.approx(_losses(_run(_in(without, tmp_path / "without"))), rel=1e-3)
    for ours, theirs in zip(_pictures(saving), _pictures(plain), strict=True):
        assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= 1


def _pictures(said: list[Event]) -> list[bytes]:
    found = []
    for one in said:
        if isinstance(one, SampleReady):
            with Image.open(one.path) as picture:
                found.append(picture.convert("RGB").tobytes())
    assert found
    return found


@pytest.mark.parametrize("row", [row for row in FLAVOURS if row.needs], ids=lambda row: row.name)
def test_a_plan_tells_and_holds_what_the_flavour_fills_in(row: Flavour, made: Made) -> None:
    plan = plan_of(made(row))
    for need in row.needs:
        section, name = need.path.split(".")
        assert need.accepts(getattr(getattr(plan.settings, section), name))
    assert any(note.startswith("'flux_") and row.title in note for note in plan.notes)


@pytest.mark.parametrize("name", ["fluxbooru", "libreflux"])
def test_freed_flavours_draw_with_real_guidance(name: str, made: Made, tmp_path: Path) -> None:
    """The negative prompt acts, although no setting asks for real guidance."""
    pictures = []
    for number, words in enumerate(("", "a blue house")):
        asked = made(
            _named(name),
            optimization={"max_train_steps": 1},
            sampling={
                "validation_disable": False,
                "disable_benchmark": True,
                "validation_negative_prompt": words,
            },
        )
        said = _run(_in(asked, tmp_path / str(number)), max_train_steps=1)
        (sample,) = (one for one in said if isinstance(one, SampleReady))
        with Image.open(sample.path) as picture:
            pictures.append(picture.convert("RGB").tobytes())
    assert pictures[0] != pictures[1]


def test_kontext_learns_from_its_references(made: Made, pictures: Path, tmp_path: Path) -> None:
    settings = made(_named("kontext"), objective={"caption_dropout_probability": 0.0})
    house, _ = settings.datasets
    others = replace(settings, datasets=(house, _paired(pictures)))
    inverted = _run(_in(settings, tmp_path / "a"))
    assert _losses(inverted) != _losses(_run(_in(others, tmp_path / "b")))
    cached = list((tmp_path / "a" / "cache" / "vae").rglob("*.safetensors"))
    assert len(cached) == 2 * len(list(pictures.glob("*.png")))


def test_kontext_previews_start_from_references(
    made: Made, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kontext, "REFERENCE_SIZES", ((64, 128), (128, 128)))
    sampling = {"validation_disable": False, "num_eval_images": 1, "validation_num_inference_steps": 1}
    settings = made(
        _named("kontext"),
        sampling={**sampling, "disable_benchmark": True},
        optimization={"max_train_steps": 1},
    )
    house, _ = settings.datasets
    looks = []
    for number, folder in enumerate((settings.datasets[1].instance_data_dir, str(pictures))):
        asked = replace(settings, datasets=(house, _paired(Path(folder))))
        said = _run(_in(asked, tmp_path / str(number)), max_train_steps=1)
        (sample,) = (one for one in said if isinstance(one, SampleReady))
        assert sample.name.startswith("house ") and sample.prompt
        with Image.open(sample.path) as picture:
            assert picture.size == (64, 64)
            looks.append(picture.convert("RGB").tobytes())
    assert looks[0] != looks[1]


def test_the_assistant_acts_in_training_alone(made: Made, tmp_path: Path) -> None:
    """Not in previews, and not in what is written."""
    row = _named("schnell")
    sampling = {"validation_disable": False, "validation_num_inference_steps": 1}
    with_it = _run(_in(made(row, sampling=sampling), tmp_path / "with"))
    without = _run(
        _in(made(row, sampling=sampling, adapter={"disable_assistant_lora": True}), tmp_path / "without")
    )
    assert abs(_losses(with_it)[0] - _losses(without)[0]) > 1e-3
    assert _exported(with_it).keys() == _exported(without).keys()
    saved = [load_file(tmp_path / name / "checkpoint-3" / ADAPTER_FILE) for name in ("with", "without")]
    assert saved[0].keys() == saved[1].keys()
    baselines = [
        next(one for one in said if isinstance(one, SampleReady)).path for said in (with_it, without)
    ]
    with Image.open(baselines[0]) as one, Image.open(baselines[1]) as other:
        assert one.tobytes() == other.tobytes()


def test_an_assistant_of_strength_nothing_is_none(made: Made, tmp_path: Path) -> None:
    row = _named("schnell")
    idle = made(row, adapter={"assistant_lora_strength": 0.0})
    none = made(row, adapter={"disable_assistant_lora": True})
    assert _losses(_run(_in(idle, tmp_path / "a"))) == _losses(_run(_in(none, tmp_path / "b")))


@pytest.mark.parametrize("precision", ["int8-quanto", "nf4-bnb"])
def test_the_assistant_lies_over_quantized_weights(precision: str, made: Made, tmp_path: Path) -> None:
    losses = []
    for disabled in (False, True):
        asked = made(
            _named("schnell"),
            memory={"base_model_precision": precision},
            adapter={"disable_assistant_lora": disabled},
        )
        losses += _losses(_run(_in(asked, tmp_path / str(disabled)), max_train_steps=1))
    assert all(map(math.isfinite, losses)) and abs(losses[0] - losses[1]) > 1e-3


def test_the_assistant_goes_with_a_lycoris(made: Made, tmp_path: Path) -> None:
    config = {"algo": "lokr", "multiplier": 1.0, "linear_dim": 4, "linear_alpha": 1, "factor": 4}
    losses, keys = [], []
    for disabled in (False, True):
        row = made(_named("schnell"), adapter={"lora_type": "lycoris", "disable_assistant_lora": disabled})
        said = _run(_in(replace(row, lycoris=config), tmp_path / str(disabled)), max_train_steps=1)
        losses += _losses(said)
        keys.append(_exported(said).keys())
    assert abs(losses[0] - losses[1]) > 1e-3 and keys[0] == keys[1]


def test_an_assistant_that_is_not_there_is_told(made: Made) -> None:
    missing = made(_named("schnell"), adapter={"assistant_lora_path": "./nowhere.safetensors"})
    with pytest.raises(ModelMissing, match="nowhere.safetensors") as refused:
        plan_of(missing)
    assert {"adapter.disable_assistant_lora": True} in [one.change for one in refused.value.advice]


def test_tread_trains_and_resumes_to_the_same_bits(settings: RunSettings, tmp_path: Path) -> None:
    routed = _with(settings, objective={"tread_config": ROUTES}, sampling={"validation_disable": True})
    whole = _run(_in(routed, tmp_path / "whole"))
    plain = _run(_in(_with(routed, objective={"tread_config": None}), tmp_path / "plain"))
    assert all(map(math.isfinite, _losses(whole))) and _losses(whole) != _losses(plain)
    first = _run(_in(routed, tmp_path / "broken"), max_train_steps=4)
    rest = _run(_in(routed, tmp_path / "broken"))
    assert _losses(first) + _losses(rest) == _losses(whole)


def test_tread_that_leaves_nothing_out_changes_nothing(settings: RunSettings, tmp_path: Path) -> None:
    idle = {"routes": [{**ROUTES["routes"][0], "selection_ratio": 0.0}]}
    quiet = _with(settings, sampling={"validation_disable": True})
    routed = _with(quiet, objective={"tread_config": idle})
    assert _losses(_run(_in(routed, tmp_path / "a"))) == _losses(_run(_in(quiet, tmp_path / "b")))


def test_tread_goes_with_checkpointed_activations(settings: RunSettings, tmp_path: Path) -> None:
    routed = _with(
        settings,
        objective={"tread_config": ROUTES},
        sampling={"validation_disable": True},
        adapter={"lora_dropout": 0.0},
    )
    saving = _with(routed, memory={"gradient_checkpointing": True})
    one, other = _run(_in(routed, tmp_path / "a")), _run(_in(saving, tmp_path / "b"))
    assert _losses(one) == pytest.approx(_losses(other), rel=1e-6)


def test_tread_goes_with_references(made: Made) -> None:
    said = _run(made(_named("kontext"), objective={"tread_config": ROUTES}))
    assert all(map(math.isfinite, _losses(said)))


def test_tread_keeps_what_a_mask_asks_for(
    settings: RunSettings, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The left half is white: all of it stays, although the route leaves out three quarters."""
    masks = tmp_path / "masks"
    masks.mkdir()
    for path in pictures.glob("*.png"):
        mask = Image.new("RGB", (64, 64))
        mask.paste("white", (0, 0, 32, 64))
        mask.save(masks / path.name)
    kept = []

    def watched(*given: Any) -> torch.Tensor:
        kept.append(draw_kept(*given))
        return kept[-1]

    monkeypatch.setattr(tread, "draw_kept", watched)
    routes = {"routes": [{**ROUTES["routes"][0], "selection_ratio": 0.75}]}
    masked = ImageDataset(
        id="masks", instance_data_dir=str(masks), conditioning_type="mask", source_dataset_id="house"
    )
    asked = _with(settings, objective={"tread_config": routes}, sampling={"validation_disable": True})
    said = _run(replace(asked, datasets=(*asked.datasets, masked)), max_train_steps=1)
    assert all(map(math.isfinite, _losses(said)))
    left = [row * 4 + column for row in range(4) for column in range(2)]
    assert kept and all(rows.tolist() == left for batch in kept for rows in batch)


def test_a_route_beyond_the_last_block_is_refused(settings: RunSettings) -> None:
    beyond = {"routes": [{**ROUTES["routes"][0], "end_layer_idx": 55}]}
    with pytest.raises(SettingsInvalid, match="has the blocks 0 to 6") as refused:
        plan_of(_with(settings, objective={"tread_config": beyond}))
    (problem,) = refused.value.problems
    assert problem.change["objective.tread_config"]["routes"][0]["end_layer_idx"] == 6
