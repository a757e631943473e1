"""The leading part of a matrix as a product of two thin ones."""

from __future__ import annotations

import torch
from torch import Tensor

_EXTRA_DIRECTIONS, _ROUNDS = 16, 16
"""Enough that even among nearly equal singular values, those of rounding errors, the strongest are found."""


def principal(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """(A (r, in), B (out, r)) with B @ A the best approximation of a matrix (out, in) of at most `rank`; both
    carry the roots of the singular values.

    By a randomised range finder (Halko et al., 2011): a whole decomposition takes FLUX's 12 billion weights
    hours. The global dice of the CPU decide.
    """
    width = min(rank + _EXTRA_DIRECTIONS, *matrix.shape)
    basis = matrix @ torch.randn(matrix.shape[1], width).to(matrix)
    for _ in range(_ROUNDS):
        basis = matrix @ _orthonormal(matrix.T @ _orthonormal(basis))
    basis = _orthonormal(basis)
    left, values, right = torch.linalg.svd(basis.T @ matrix, full_matrices=False)
    roots = values[:rank].sqrt()
    return roots[:, None] * right[:rank], (basis @ left)[:, :rank] * roots


def first_directions(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """(A (r, in), B (out, r)): the first rows of R and columns of Q of its QR decomposition, as in OLoRA."""
    q, r = torch.linalg.qr(matrix)
    return r[:rank], q[:, :rank]


def _orthonormal(columns: Tensor) -> Tensor:
    return torch.linalg.qr(columns)[0]
