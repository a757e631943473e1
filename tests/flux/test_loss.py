"""The loss against plain references."""

import math

import pytest
import torch

from tuner.flux.loss import KINDS, THRESHOLDS, Loss, flow_matching_loss

SIGMAS = torch.tensor([0.1, 0.5, 0.9])


def _pair() -> tuple[torch.Tensor, torch.Tensor]:
    dice = torch.Generator().manual_seed(0)
    return torch.randn(3, 16, 4, 6, generator=dice), torch.randn(3, 16, 4, 6, generator=dice)


def _reference(kind: str, difference: float, c: float) -> float:
    root = math.sqrt(difference**2 + c**2) - c
    return {"l2": difference**2, "huber": 2 * c * root, "smooth_l1": 2 * root}[kind]


def test_the_intended_thresholds_of_snr() -> None:
    assert THRESHOLDS["snr"](SIGMAS, 0.1).tolist() == pytest.approx([0.156, 0.325, 0.606], abs=5e-4)
    assert THRESHOLDS["snr"](torch.tensor([1.0]), 0.1).item() == pytest.approx(1.0)


def test_the_other_thresholds() -> None:
    assert THRESHOLDS["constant"](SIGMAS, 0.1).tolist() == pytest.approx([0.1] * 3)
    assert THRESHOLDS["exponential"](SIGMAS, 0.1).tolist() == pytest.approx([0.1**0.1, 0.1**0.5, 0.1**0.9])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("schedule", THRESHOLDS)
def test_each_loss_with_each_schedule(kind: str, schedule: str) -> None:
    velocity, target = _pair()
    thresholds = THRESHOLDS[schedule](SIGMAS, 0.1).tolist()
    expected = 0.0
    for item, c in zip(range(3), thresholds, strict=True):
        errors = (velocity[item] - target[item]).flatten().tolist()
        expected += sum(_reference(kind, one, c) for one in errors) / len(errors) / 3
    found = flow_matching_loss(velocity, target, SIGMAS, Loss(kind, schedule, 0.1)).item()
    assert found == pytest.approx(expected, rel=1e-5)


def test_huber_is_square_near_zero_and_straight_far_away() -> None:
    c = torch.tensor(0.1)
    assert KINDS["huber"](torch.tensor(1e-3), c).item() == pytest.approx(1e-6, rel=1e-2)
    far = KINDS["huber"](torch.tensor([100.0, 101.0]), c)
    assert (far[1] - far[0]).item() == pytest.approx(2 * 0.1, rel=1e-3)


def test_every_loss_has_a_gradient_at_zero() -> None:
    for kind in KINDS:
        velocity = torch.zeros(1, 1, 2, 2, requires_grad=True)
        flow_matching_loss(velocity, torch.zeros(1, 1, 2, 2), SIGMAS[:1], Loss(kind)).backward()
        assert velocity.grad is not None and torch.equal(velocity.grad, torch.zeros(1, 1, 2, 2))


def test_the_exact_velocity_costs_nothing() -> None:
    velocity, _ = _pair()
    assert flow_matching_loss(velocity, velocity, SIGMAS, Loss()).item() == 0


def test_a_half_white_mask_halves_the_loss() -> None:
    error = torch.full((2, 16, 4, 6), 2.0)
    mask = torch.zeros(2, 1, 4, 6)
    mask[..., :3] = 1
    loss = flow_matching_loss(error, torch.zeros_like(error), SIGMAS[:2], Loss(), mask)
    assert loss.item() == pytest.approx(2.0), "the mean is over all places, not over the white ones"


def test_a_mask_weighs_its_own_item_and_place() -> None:
    velocity, target = _pair()
    dice = torch.Generator().manual_seed(1)
    mask = torch.rand(3, 1, 4, 6, generator=dice)
    errors = (velocity - target) ** 2
    expected = sum((errors[i] * mask[i]).mean().item() for i in range(3)) / 3
    assert flow_matching_loss(velocity, target, SIGMAS, Loss(), mask).item() == pytest.approx(
        expected, rel=1e-5
    )
