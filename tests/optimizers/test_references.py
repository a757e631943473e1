"""Every row against its paper: the way it goes on one matrix, given the same gradients."""

from __future__ import annotations

import pytest
import torch

from tests.optimizers.references import OF_KIND
from tuner.optimizers import catalog

LR, STEPS, SHAPE = 1e-2, 25, (72, 72)
"""Large enough for 8-bit states; square, so that SOAP's bases have no freedom."""

TOLERANCES = {"8bit": 0.1, "muon": 0.02}
"""8-bit states and Muon's bf16 products are coarse; the others differ from float64 by rounding alone."""


def gradients() -> list[torch.Tensor]:
    """Random, with a direction that stays, as in a training."""
    dice = torch.Generator().manual_seed(2)
    steady = torch.randn(SHAPE, generator=dice)
    return [0.5 * steady + torch.randn(SHAPE, generator=dice) for _ in range(STEPS)]


@pytest.mark.parametrize("row", catalog.OPTIMIZERS, ids=lambda row: row.name)
def test_a_row_goes_the_way_of_its_paper(row: catalog.OptimizerRow) -> None:
    start = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)) / 8
    parameter = torch.nn.Parameter(start.clone())
    rate = row.fixed_lr or LR
    optimizer = catalog.build(row.name, [parameter], rate)
    for grad in gradients():
        parameter.grad = grad.clone()
        optimizer.step()
    there = OF_KIND[row.kind](start.double(), [g.double() for g in gradients()], rate, dict(row.options))
    off = (parameter.detach().double() - there).norm() / (there - start.double()).norm()
    tolerance = next((most for word, most in TOLERANCES.items() if word in row.name), 5e-4)
    assert off.item() < tolerance
    assert (there - start.double()).norm() > 0.1 * rate, "the reference moved"
