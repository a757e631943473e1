import math

import pytest
import torch

from tuner.flux.objective import (
    Conditions,
    SigmaSchedule,
    add_noise,
    auto_shift,
    draw_sigmas,
    flow_matching_loss,
    predict_velocity,
    shifted,
)


def _dice() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("schedule", "median"),
    [
        (SigmaSchedule(), 0.5),
        (SigmaSchedule(shift=3.0), 0.75),
        (SigmaSchedule(shift=1.878), 0.65),
        (SigmaSchedule("uniform"), 0.5),
        (SigmaSchedule("beta", alpha=2.0, beta=2.0), 0.5),
        (SigmaSchedule(auto_shift=True), 0.76),
    ],
)
def test_sigmas_have_the_median_of_their_schedule(schedule: SigmaSchedule, median: float) -> None:
    sigmas = draw_sigmas(20_000, schedule, 4096, _dice())
    assert sigmas.median().item() == pytest.approx(median, abs=0.01)
    assert sigmas.min() > 0 and sigmas.max() < 1


def test_the_quantiles_of_shift_three() -> None:
    sigmas = draw_sigmas(50_000, SigmaSchedule(shift=3.0), 4096, _dice())
    found = torch.quantile(sigmas, torch.tensor([0.05, 0.95])).tolist()
    assert found == pytest.approx([0.37, 0.94], abs=0.01)


@pytest.mark.parametrize(("px", "shift"), [(512, 1.878), (768, 2.332), (1024, 3.158), (1536, 7.51)])
def test_auto_shift_follows_the_size(px: int, shift: float) -> None:
    assert auto_shift((px // 16) ** 2) == pytest.approx(shift, abs=0.01)


def test_no_shift_changes_nothing() -> None:
    sigmas = torch.rand(5, generator=_dice())
    assert torch.equal(shifted(sigmas, 0), sigmas)


def test_each_item_is_noised_with_its_own_sigma() -> None:
    latents, noise = torch.zeros(3, 16, 4, 4), torch.ones(3, 16, 4, 4)
    noisy = add_noise(latents, noise, torch.tensor([0.1, 0.5, 0.9]))
    assert noisy.mean((1, 2, 3)).tolist() == pytest.approx([0.1, 0.5, 0.9])


def test_the_loss_is_nought_for_the_exact_velocity() -> None:
    latents, noise = torch.randn(2, 16, 4, 4, generator=_dice()), torch.randn(2, 16, 4, 4, generator=_dice())
    assert flow_matching_loss(noise - latents, latents, noise).item() == 0
    assert (
        flow_matching_loss(torch.zeros_like(noise), torch.zeros_like(latents), torch.full_like(noise, 2.0))
        == 4
    )


class _Recorder(torch.nn.Module):
    def forward(self, **given: object) -> tuple[object]:
        self.given = given
        return (given["hidden_states"],)


def test_the_transformer_is_given_sigma_and_raw_guidance() -> None:
    recorder, noisy = _Recorder(), torch.randn(2, 16, 4, 6, generator=_dice())
    prompts = Conditions(torch.zeros(2, 8), torch.zeros(2, 5, 8))
    velocity = predict_velocity(recorder, noisy, torch.tensor([0.25, 0.75]), prompts, torch.full((2,), 3.5))
    assert torch.equal(velocity, noisy), "packing and unpacking are inverse"
    assert recorder.given["timestep"].tolist() == [0.25, 0.75]
    assert recorder.given["guidance"].tolist() == [3.5, 3.5]
    assert recorder.given["img_ids"].shape == (6, 3) and recorder.given["txt_ids"].shape == (5, 3)
    predict_velocity(recorder, noisy, torch.tensor([0.25, 0.75]), prompts, None)
    assert recorder.given["guidance"] is None


def test_the_shift_keeps_its_ends() -> None:
    ends = shifted(torch.tensor([0.0, 1.0]), math.e)
    assert ends.tolist() == pytest.approx([0.0, 1.0])
