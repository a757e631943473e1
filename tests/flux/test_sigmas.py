"""Noise levels against plain references: moments, quantiles, shifts, curves and lists."""

import math
from itertools import pairwise

import pytest
import torch

from tuner.flux.sigmas import (
    FAST,
    KINDS,
    AutoShift,
    Draw,
    SigmaSchedule,
    draw_sigmas,
    monotone_curve,
    shifted,
    sigmas_of,
)

MANY = 200_000


def _dice() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _many(schedule: SigmaSchedule, num_tokens: int = 4096, offset: float = 0.0) -> torch.Tensor:
    return draw_sigmas(schedule, Draw(MANY, num_tokens, offset), _dice()).double()


def _moments(sigmas: torch.Tensor) -> tuple[float, float]:
    return sigmas.mean().item(), sigmas.var().item()


def _integrated(density: "torch.Tensor", places: "torch.Tensor") -> tuple[float, float]:
    """Mean and variance of a density on an even grid."""
    weights = density / density.sum()
    mean = (weights * places).sum()
    return mean.item(), (weights * (places - mean) ** 2).sum().item()


@pytest.mark.parametrize(
    ("schedule", "median"),
    [
        (SigmaSchedule(), 0.5),
        (SigmaSchedule(shift=3.0), 0.75),
        (SigmaSchedule(shift=1.878), 0.65),
        (SigmaSchedule("uniform"), 0.5),
        (SigmaSchedule("beta", alpha=2.0, beta=2.0), 0.5),
        (SigmaSchedule(shift=AutoShift()), 0.76),
    ],
)
def test_sigmas_have_the_median_of_their_schedule(schedule: SigmaSchedule, median: float) -> None:
    sigmas = _many(schedule)
    assert sigmas.median().item() == pytest.approx(median, abs=0.01)
    assert sigmas.min() > 0 and sigmas.max() < 1


@pytest.mark.parametrize(
    ("shift", "low", "middle", "high"),
    [(0, 0.16, 0.50, 0.84), (1.878, 0.27, 0.65, 0.91), (3, 0.37, 0.75, 0.94), (0.1, 0.02, 0.09, 0.34)],
)
def test_quantiles_of_the_shifts(shift: float, low: float, middle: float, high: float) -> None:
    found = torch.quantile(_many(SigmaSchedule(shift=shift)), torch.tensor([0.05, 0.5, 0.95]).double())
    assert found.tolist() == pytest.approx([low, middle, high], abs=0.01)


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (0.5, 0.0), (2.0, 0.7), (1.0, -1.2)])
def test_sigmoid_moments(scale: float, offset: float) -> None:
    normal = torch.linspace(-8, 8, 100_001, dtype=torch.float64)
    density = torch.exp(-(normal**2) / 2)
    expected = _integrated(density, torch.sigmoid(scale * (normal + offset)))
    found = _moments(_many(SigmaSchedule(scale=scale), offset=offset))
    assert found == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 2.0), (5.0, 1.5), (0.5, 0.5)])
def test_beta_moments(alpha: float, beta: float) -> None:
    total = alpha + beta
    expected = alpha / total, alpha * beta / (total**2 * (total + 1))
    assert _moments(_many(SigmaSchedule("beta", alpha=alpha, beta=beta))) == pytest.approx(expected, abs=2e-3)


def test_uniform_moments() -> None:
    assert _moments(_many(SigmaSchedule("uniform"))) == pytest.approx((1 / 2, 1 / 12), abs=2e-3)


def test_an_offset_only_moves_the_sigmoid() -> None:
    for kind in KINDS:
        schedule = SigmaSchedule(kind, numbers=(0.25, 0.5))
        plain, moved = (draw_sigmas(schedule, Draw(50, 256, offset), _dice()) for offset in (0.0, 1.0))
        assert torch.equal(plain, moved) is (kind != "sigmoid")


@pytest.mark.parametrize(
    ("px", "shift"), [(512, 1.878), (768, 2.332), (1024, 3.158), (1536, 7.51), (2048, 25.3)]
)
def test_auto_shift_follows_the_size_without_a_limit(px: int, shift: float) -> None:
    assert AutoShift().at((px // 16) ** 2) == pytest.approx(shift, rel=2e-3)


def test_auto_shift_reads_the_schedulers_settings() -> None:
    scheduler = {"base_shift": 0.2, "max_shift": 0.8, "base_image_seq_len": 100, "shift": 3.0}
    own = AutoShift.of(scheduler)
    assert own == AutoShift(0.2, 0.8, 100, 4096)
    assert own.at(100) == pytest.approx(math.exp(0.2)) and own.at(4096) == pytest.approx(math.exp(0.8))


def test_a_shift_is_the_ratio_of_the_odds() -> None:
    sigmas = torch.rand(100, generator=_dice()).double()
    moved = shifted(sigmas, 3.0)
    assert torch.allclose(moved / (1 - moved), 3.0 * sigmas / (1 - sigmas))


def test_no_shift_changes_nothing_and_a_shift_keeps_the_ends() -> None:
    sigmas = torch.rand(5, generator=_dice())
    assert torch.equal(shifted(sigmas, 0), sigmas)
    assert shifted(torch.tensor([0.0, 1.0]), math.e).tolist() == pytest.approx([0.0, 1.0])


def test_fast_is_what_schnell_was_trained_on() -> None:
    sigmas = _many(SigmaSchedule("list", numbers=FAST))
    shares = {value: (sigmas == value).double().mean().item() for value in (1.0, 0.75, 0.5, 0.25)}
    assert shares == {
        1.0: pytest.approx(0.7, abs=0.01),
        0.75: pytest.approx(0.1, abs=0.01),
        0.5: pytest.approx(0.1, abs=0.01),
        0.25: pytest.approx(0.1, abs=0.01),
    }


def test_a_list_above_one_counts_timesteps() -> None:
    assert sigmas_of((0.25, 1.0)) == (0.25, 1.0)
    assert sigmas_of((250, 1, 1000)) == (0.25, 0.001, 1.0)


def test_round_robin_goes_on_where_the_batch_before_it_ended() -> None:
    schedule = SigmaSchedule("round-robin", numbers=(0.1, 0.2, 0.3))
    drawn: list[float] = []
    for count in (2, 1, 4):
        drawn += draw_sigmas(schedule, Draw(count, 256, first=len(drawn)), _dice()).tolist()
    assert drawn == pytest.approx([0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.1])


@pytest.mark.parametrize("heights", [(), (3.0,)])
def test_a_curve_of_one_height_is_uniform(heights: tuple[float, ...]) -> None:
    assert _moments(_many(SigmaSchedule("curve", numbers=heights))) == pytest.approx(
        (1 / 2, 1 / 12), abs=2e-3
    )


@pytest.mark.parametrize(
    "heights", [(1.0, 3.0), (0.0, 1.0, 0.0), (0.2, 1.0, 1.0, 0.1), (0.0, 0.0, 5.0, 1.0, 2.0)]
)
def test_a_curve_is_the_density(heights: tuple[float, ...]) -> None:
    sigmas = _many(SigmaSchedule("curve", numbers=heights))
    places = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    expected = _integrated(monotone_curve(heights, 10_001), places)
    assert _moments(sigmas) == pytest.approx(expected, abs=2e-3)
    assert sigmas.min() >= 0 and sigmas.max() <= 1


def test_two_heights_are_a_straight_line() -> None:
    """Density 2x: mean 2/3, variance 1/18."""
    assert _moments(_many(SigmaSchedule("curve", numbers=(0.0, 2.0)))) == pytest.approx(
        (2 / 3, 1 / 18), abs=2e-3
    )


def test_a_curve_goes_through_its_heights_and_never_beyond_them() -> None:
    heights = (0.0, 0.0, 4.0, 4.0, 1.0, 3.0)
    curve = monotone_curve(heights, 501)
    assert curve[::100].tolist() == pytest.approx(heights)
    for number, (left, right) in enumerate(pairwise(heights)):
        part = curve[number * 100 : number * 100 + 101]
        assert part.min() >= min(left, right) - 1e-12 and part.max() <= max(left, right) + 1e-12
        assert (part.diff() * (right - left) >= -1e-12).all(), "between two heights it goes one way"


def test_a_curve_is_smooth() -> None:
    curve = monotone_curve((1.0, 2.0, 4.0, 1.0), 30_001)
    slopes = curve.diff() * 30_000 / 3
    assert slopes.diff().abs().max() < 5e-3
