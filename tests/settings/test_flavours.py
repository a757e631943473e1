"""What flavours fill in: the value, the sentence, and nothing where the setting is right already."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tuner.settings.checks import problems
from tuner.settings.dataset import ImageDataset
from tuner.settings.flavours import notes, settled
from tuner.settings.model import Model
from tuner.settings.run import RunSettings

PICTURES = ImageDataset(id="pictures", instance_data_dir="datasets/a")
BEFORE = ImageDataset(
    id="before",
    instance_data_dir="datasets/b",
    conditioning_type="reference_strict",
    source_dataset_id="pictures",
)


def of(flavour: str | None, **sections: dict[str, Any]) -> RunSettings:
    settings = RunSettings(model=Model(model_flavour=flavour), datasets=(PICTURES,))
    return replace(
        settings, **{name: replace(getattr(settings, name), **values) for name, values in sections.items()}
    )


@pytest.mark.parametrize("flavour", [None, "krea", "dev", "kontext"])
def test_the_distilled_ones_fill_in_nothing(flavour: str | None) -> None:
    assert settled(of(flavour)) == of(flavour)
    assert notes(of(flavour)) == ()


def test_schnell_has_its_fast_schedule() -> None:
    assert settled(of("schnell")).objective.flux_fast_schedule
    fast, steps = notes(of("schnell"))
    assert fast == (
        "'flux_fast_schedule' is false; true is used, because FLUX.1 [schnell] needs it: "
        "where no other schedule is chosen, it learns at its own few noise levels."
    )
    assert steps == "Previews take 30 steps; FLUX.1 [schnell] was made for 4."
    ready = of(
        "schnell", objective={"flux_fast_schedule": True}, sampling={"validation_num_inference_steps": 4}
    )
    assert settled(ready) == ready and notes(ready) == ()


def test_fluxbooru_has_its_guidance_and_no_mask() -> None:
    asked = of(
        "fluxbooru",
        objective={"flux_attention_masked_training": True, "flux_guidance_mode": "random-range"},
        sampling={"validation_num_inference_steps": 20},
    )
    made = settled(asked)
    assert made.objective.flux_guidance_value == 3.5
    assert made.objective.flux_guidance_mode == "constant"
    assert not made.objective.flux_attention_masked_training
    assert made.sampling.validation_guidance_real == 6.0
    assert made.sampling.validation_num_inference_steps == 28
    assert len(notes(asked)) == 5


def test_libreflux_has_its_mask_and_real_guidance() -> None:
    made = settled(of("libreflux"))
    assert made.objective.flux_attention_masked_training
    assert made.sampling.validation_guidance_real == 6.0
    assert made.sampling.validation_num_inference_steps == 30


def test_what_a_flavour_accepts_stays() -> None:
    asked = of("libreflux", sampling={"validation_guidance_real": 3.0, "validation_num_inference_steps": 50})
    assert settled(asked).sampling == asked.sampling


def test_kontext_needs_reference_pictures() -> None:
    (problem,) = problems(of("kontext"))
    assert problem.path == "model.model_flavour" and "learns from pairs of pictures" in problem.message
    assert problem.change == {"model.model_flavour": "dev"}
    assert problems(replace(of("kontext"), datasets=(PICTURES, BEFORE))) == ()


def test_only_kontext_takes_reference_pictures() -> None:
    (problem,) = problems(replace(of("dev"), datasets=(PICTURES, BEFORE)))
    assert "FLUX.1 [dev] cannot look at" in problem.message
    assert problem.change == {"model.model_flavour": "kontext"}


def test_kontexts_previews_name_a_dataset_that_is_there() -> None:
    paired = replace(of("kontext", sampling={"eval_dataset_id": "picture"}), datasets=(PICTURES, BEFORE))
    (problem,) = problems(paired)
    assert "did you mean 'pictures'?" in problem.message
    assert problem.change == {"sampling.eval_dataset_id": "pictures"}
    (problem,) = problems(of("dev", sampling={"eval_dataset_id": "pictures"}))
    assert problem.change == {"sampling.eval_dataset_id": None}
    assert problems(replace(paired, sampling=replace(paired.sampling, eval_dataset_id="pictures"))) == ()
