"""What each preview setting shows: which pictures, from which noise, under which names; and when it fails."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tests.training.conftest import plan_of
from tuner.dataset.index import DatasetIndex
from tuner.events import Event, RunFinished, SampleReady, StepDone, Warned
from tuner.files.run_folder import ADAPTER_FILE
from tuner.plan import sources
from tuner.settings.request import SampleRequest
from tuner.settings.run import RunSettings
from tuner.settings.sampling import SamplePrompt
from tuner.training import previews
from tuner.training.control import Control
from tuner.training.encode import encode_texts
from tuner.training.feed import open_caches
from tuner.training.hardware import evaluating, find_hardware
from tuner.training.prepare import load_with_adapter
from tuner.training.run import run

PROMPT = "a sks on a red background"


@pytest.fixture
def settings(settings: RunSettings, encoded: str) -> RunSettings:
    return replace(settings, dataset=replace(settings.dataset, cache_dir=encoded))


def _sampling(settings: RunSettings, **values: Any) -> RunSettings:
    return replace(settings, sampling=replace(settings.sampling, **values))


def _samples(settings: RunSettings, num_steps: int = 2) -> list[SampleReady]:
    said: list[Event] = []
    run(plan_of(settings, max_train_steps=num_steps), said.append, Control())
    return [one for one in said if isinstance(one, SampleReady)]


def _pixels(sample: SampleReady) -> bytes:
    with Image.open(sample.path) as picture:
        return picture.tobytes()


def _asked(settings: RunSettings, step: int = 0) -> tuple[SampleRequest, ...]:
    return sources.previews(settings, DatasetIndex(()), step)


@pytest.fixture
def sampler(settings: RunSettings) -> previews.Sampler:
    """With an adapter of strong effect; it knows every text of the tests below."""
    hardware, caches = find_hardware(settings, print), open_caches(settings)
    texts = (PROMPT, settings.sampling.validation_negative_prompt, "something else")
    for _ in encode_texts(settings, caches.missing_texts(texts), caches, hardware):
        pass
    transformer, adapter = load_with_adapter(settings, hardware)
    torch.manual_seed(0)
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return previews.open_sampler(settings, transformer, adapter, caches, hardware)


def _drawn(sampler: previews.Sampler, settings: RunSettings, **request: Any) -> bytes:
    """One picture under these settings."""
    asked = SampleRequest(**{"prompt": PROMPT, "seed": 3, **request})
    (image,) = replace(sampler, settings=settings).draw([asked])
    return image.tobytes()


def test_the_baseline_and_the_names_of_the_files(settings: RunSettings) -> None:
    first, last = _samples(settings)
    assert (first.step, last.step, first.name, last.seed) == (0, 2, "house", 3)
    assert Path(first.path).name == "step_0_house_0_64x64.png"
    assert Path(last.path).name == "step_2_house_0_64x64.png"
    assert _pixels(first) != _pixels(last)


def test_without_a_baseline(settings: RunSettings) -> None:
    assert [one.step for one in _samples(_sampling(settings, disable_benchmark=True))] == [2]


def test_previews_at_the_start_of_a_resumed_run(settings: RunSettings) -> None:
    _samples(settings)
    again = _samples(_sampling(settings, validation_on_startup=True), num_steps=4)
    assert [one.step for one in again] == [2, 3, 4]


def test_sizes_and_numbers_stand_in_the_names(settings: RunSettings) -> None:
    wanted = _sampling(
        settings, validation_resolution="64x64, 64x32", num_validation_images=2, disable_benchmark=True
    )
    samples = _samples(wanted)
    assert [one.name for one in samples] == [
        "house 64x64 #1",
        "house 64x64 #2",
        "house 64x32 #1",
        "house 64x32 #2",
    ]
    assert [one.seed for one in samples] == [3, 4, 3, 4]
    assert [Path(one.path).name for one in samples] == [
        "step_2_house_0_64x64.png",
        "step_2_house_1_64x64.png",
        "step_2_house_2_64x32.png",
        "step_2_house_3_64x32.png",
    ]
    for one in samples:
        with Image.open(one.path) as picture:
            assert "x".join(map(str, picture.size)) == Path(one.path).stem.split("_")[-1]
    assert len({_pixels(one) for one in samples}) == 4


def test_megapixels_are_a_size(settings: RunSettings) -> None:
    (request,) = _asked(_sampling(settings, validation_resolution="0.25"))
    assert (request.width, request.height) == (512, 512)


def test_each_prompt_starts_from_the_same_noise(settings: RunSettings) -> None:
    """The same words under two names give the same picture, in a batch and in every round."""
    twice = replace(settings, library=tuple(SamplePrompt(name, "a sks") for name in ("one", "two")))
    samples = _samples(twice)
    assert _pixels(samples[0]) == _pixels(samples[1])
    assert {one.seed for one in samples} == {3}


def test_a_seed_of_their_own(settings: RunSettings) -> None:
    assert {one.seed for one in _asked(_sampling(settings, validation_seed=77))} == {77}


def test_new_noise_in_every_round_and_the_same_in_a_repeated_run(settings: RunSettings) -> None:
    other = _sampling(settings, validation_randomize=True)
    seeds = [one.seed for one in _samples(other, num_steps=3)]
    assert len(set(seeds)) == 2
    assert seeds == [_asked(other, step)[0].seed for step in (0, 3)]


def test_noise_from_the_card_where_there_is_none_is_that_of_the_cpu(
    settings: RunSettings, sampler: previews.Sampler
) -> None:
    drawn = _drawn(sampler, _sampling(settings, validation_seed_source="gpu"))
    assert torch.cuda.is_available() or drawn == _drawn(sampler, settings)


@pytest.mark.parametrize(("kind", "ending"), [("webp", "webp"), ("jpeg", "jpg")])
def test_other_picture_formats(settings: RunSettings, kind: str, ending: str) -> None:
    (sample,) = _samples(_sampling(settings, validation_image_format=kind, disable_benchmark=True))
    assert Path(sample.path).name == f"step_2_house_0_64x64.{ending}"
    with Image.open(sample.path) as picture:
        assert (picture.format, picture.size) == (kind.upper(), (64, 64))


def test_the_order_of_prompts(settings: RunSettings) -> None:
    everything = _sampling(
        settings,
        validation_disable_unconditional=False,
        validation_prompt_library=True,
        validation_prompt="one more",
    )
    names = [one.name for one in _asked(everything)]
    assert (names[0], names[-2:], len(names)) == ("unconditional", ["house", "validation"], 13)
    assert len(set(names)) == 13


def test_the_ready_made_prompts_are_drawn(settings: RunSettings) -> None:
    only = replace(_sampling(settings, validation_prompt_library=True, disable_benchmark=True), library=())
    assert len(_samples(only)) == 10


def test_a_library_with_a_token_and_no_trigger_is_drawn_as_written(settings: RunSettings) -> None:
    as_written = replace(settings, library=(SamplePrompt("cinematic_<token>", "a photo of <token>"),))
    first, _ = _samples(as_written)
    assert (first.name, first.prompt) == ("cinematic_<token>", "a photo of <token>")
    assert Path(first.path).name == "step_0_cinematic__token__0_64x64.png"


def test_the_token_is_the_trigger(settings: RunSettings) -> None:
    (one,) = settings.datasets
    called = replace(
        settings,
        datasets=(replace(one, instance_prompt="sks"),),
        library=(SamplePrompt("cinematic_<token>", "a photo of <token>", 0.5),),
    )
    (request,) = _asked(called)
    assert (request.name, request.prompt, request.strength) == ("cinematic_sks", "a photo of sks", 0.5)


def test_the_strength_of_the_adapter(settings: RunSettings, sampler: previews.Sampler) -> None:
    """0 is the model without it, 1 the usual effect; a prompt's own strength goes before that of all."""
    weak = replace(settings, adapter=replace(settings.adapter, validation_lycoris_strength=0.0))
    full, none = _drawn(sampler, settings), _drawn(sampler, weak)
    assert full != none == _drawn(sampler, settings, strength=0.0)
    assert _drawn(sampler, weak, strength=1.0) == full
    assert _drawn(sampler, settings, strength=0.5) not in (full, none)
    with sampler.adapter.disabled():
        assert _drawn(sampler, settings) == none


def test_prompts_of_several_strengths_are_not_mixed_up(sampler: previews.Sampler) -> None:
    asked = [SampleRequest(PROMPT, 3, strength=value) for value in (1.0, 0.0, 1.0, None)]
    full, none, again, usual = (image.tobytes() for image in sampler.draw(asked))
    assert full == again == usual != none


def test_real_guidance_and_what_a_picture_should_not_be(
    settings: RunSettings, sampler: previews.Sampler
) -> None:
    plain = _drawn(sampler, settings)
    real = _sampling(settings, validation_guidance_real=4.0, validation_no_cfg_until_timestep=0)
    guided = _drawn(sampler, real)
    assert guided != plain
    assert _drawn(sampler, _sampling(real, validation_negative_prompt="something else")) != guided
    late, never = (_sampling(real, validation_no_cfg_until_timestep=step) for step in (1, 2))
    assert _drawn(sampler, late) not in (plain, guided)
    assert plain == _drawn(sampler, never)
    assert plain == _drawn(sampler, _sampling(settings, validation_negative_prompt="something else"))


def test_the_negative_prompt_is_encoded_only_where_it_acts(settings: RunSettings) -> None:
    index = plan_of(settings).index
    real = _sampling(settings, validation_guidance_real=4.0)
    assert "blurry, cropped, ugly" not in sources.texts(settings, index)
    assert "blurry, cropped, ugly" in sources.texts(real, index)
    assert "blurry, cropped, ugly" not in sources.texts(_sampling(real, validation_disable=True), index)


def test_guidance_and_steps(settings: RunSettings, sampler: previews.Sampler) -> None:
    plain = _drawn(sampler, settings)
    assert _drawn(sampler, _sampling(settings, validation_guidance=1.0)) != plain
    assert _drawn(sampler, _sampling(settings, validation_num_inference_steps=3)) != plain


def test_pictures_without_a_run(settings: RunSettings, sampler: previews.Sampler, tmp_path: Path) -> None:
    """Of the untuned model, and with an adapter file; the negative prompt is encoded with them."""
    real = _sampling(settings, validation_guidance_real=4.0, validation_negative_prompt="never said before")
    save_file(sampler.adapter.tensors(), tmp_path / ADAPTER_FILE)
    asked = [SampleRequest(PROMPT, 3)]
    (untuned,), (tuned,) = (
        list(previews.render(real, asked, file)) for file in (None, tmp_path / ADAPTER_FILE)
    )
    assert tuned.tobytes() == _drawn(sampler, real)
    assert untuned.tobytes() == _drawn(sampler, real, strength=0.0)


def _with_ema(settings: RunSettings, shown: str) -> RunSettings:
    chosen = replace(settings.optimization, use_ema=True, ema_validation=shown, ema_warmup_steps=2)
    return replace(settings, optimization=chosen)


def test_the_mean_beside_the_adapter(settings: RunSettings) -> None:
    plain, both = _samples(settings, 3), _samples(_elsewhere(_with_ema(settings, "comparison")), 3)
    assert [(one.step, one.name) for one in both] == [
        (0, "house"),
        (0, "house (EMA)"),
        (3, "house"),
        (3, "house (EMA)"),
    ]
    assert Path(both[-1].path).name == "step_3_house_ema_0_64x64.png"
    pixels = [_pixels(one) for one in both]
    assert pixels[0] == pixels[1] == _pixels(plain[0])
    assert pixels[2] == _pixels(plain[1]) != pixels[3]


@pytest.mark.parametrize(("shown", "names"), [("none", {"house"}), ("ema_only", {"house (EMA)"})])
def test_one_of_the_two(settings: RunSettings, shown: str, names: set[str]) -> None:
    assert {one.name for one in _samples(_with_ema(settings, shown))} == names


def _elsewhere(settings: RunSettings) -> RunSettings:
    folder = f"{settings.saving.output_dir}-2"
    return replace(settings, saving=replace(settings.saving, output_dir=folder))


def test_a_preview_that_fails_is_told_and_the_training_goes_on(
    settings: RunSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm: list[Event] = []
    run(plan_of(_elsewhere(settings)), calm.append, Control())
    draw, rounds = previews.Sampler.draw, iter(range(99))

    def broken(self: previews.Sampler, requests: Sequence[SampleRequest]) -> Iterator[Image.Image]:
        if next(rounds) == 1:
            with evaluating(self.transformer), self.adapter.strength(0.5):
                raise RuntimeError("odd numbers")
        return draw(self, requests)

    monkeypatch.setattr(previews.Sampler, "draw", broken)
    said: list[Event] = []
    run(plan_of(settings), said.append, Control())
    assert isinstance(said[-1], RunFinished)
    assert [one.text for one in said if isinstance(one, Warned)] == [
        "The previews of step 3 failed, and the training goes on: "
        "Something unforeseen happened (RuntimeError: odd numbers)."
    ]
    assert [one.step for one in said if isinstance(one, SampleReady)] == [0, 6]
    losses = [[one.loss for one in events if isinstance(one, StepDone)] for events in (said, calm)]
    assert losses[0] == losses[1]


def test_previews_change_no_loss(settings: RunSettings) -> None:
    said: list[Event] = []
    run(plan_of(_elsewhere(_sampling(settings, validation_disable=True))), said.append, Control())
    without = [one.loss for one in said if isinstance(one, StepDone)]
    said.clear()
    busy = _sampling(
        _with_ema(settings, "comparison"), validation_step_interval=1, validation_guidance_real=3.0
    )
    run(plan_of(busy), said.append, Control())
    assert [one.loss for one in said if isinstance(one, StepDone)] == without
