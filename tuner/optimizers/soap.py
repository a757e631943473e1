"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner, which turns slowly with the gradients.

Source: "SOAP: Improving and Stabilizing Shampoo using Adam" (Vyas et al., 2024). A side of a matrix is turned
only up to `max_precond_dim`: for the long sides of a LoRA on FLUX the two square matrices that this takes
would need 40 GB, while its rank is small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class Soap(torch.optim.Optimizer):
    """The first step only looks at the gradients, and changes nothing. Vectors are trained as by AdamW."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float] = (0.95, 0.95),
        weight_decay: float = 1e-2,
        eps: float = 1e-8,
        precondition_frequency: int = 10,
        max_precond_dim: int = 256,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "eps": eps}
        turning = {"precondition_frequency": precondition_frequency, "max_precond_dim": max_precond_dim}
        super().__init__(params, {**defaults, **turning})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, p.grad.float(), group)
        return loss

    def _update(self, p: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state, (beta1, beta2) = self.state[p], group["betas"]
        if not state:
            state["step"] = 0
            state["mean"], state["square"] = torch.zeros_like(grad), torch.zeros_like(grad)
            for side in _sides(p, group["max_precond_dim"]):
                state[f"products_{side}"] = (1 - beta2) * _product(grad, side)
                state[f"basis_{side}"] = torch.linalg.eigh(state[f"products_{side}"])[1].flip(1)
            return
        state["step"] += 1
        sides = _sides(p, group["max_precond_dim"])
        state["mean"].lerp_(grad, 1 - beta1)
        turned = _turned(grad, state, sides)
        state["square"].mul_(beta2).addcmul_(turned, turned, value=1 - beta2)
        rate = group["lr"] * (1 - beta2 ** state["step"]) ** 0.5 / (1 - beta1 ** state["step"])
        change = _turned(state["mean"], state, sides) / state["square"].sqrt().add_(group["eps"])
        p.sub_(_turned(change, state, sides, back=True), alpha=rate)
        p.mul_(1 - group["lr"] * group["weight_decay"])
        for side in sides:
            state[f"products_{side}"].lerp_(_product(grad, side), 1 - beta2)
            if state["step"] % group["precondition_frequency"] == 0:
                _turn_on(state, side)


def _sides(p: Tensor, most: int) -> list[int]:
    return [side for side in range(p.ndim) if p.shape[side] <= most] if p.ndim > 1 else []


def _product(grad: Tensor, side: int) -> Tensor:
    """The gradient times its transpose, summed over all sides but one."""
    rows = grad.movedim(side, 0).flatten(1)
    return rows @ rows.T


def _turned(values: Tensor, state: dict[str, Any], sides: list[int], back: bool = False) -> Tensor:
    """Into the eigenbases, or out of them again."""
    for side in sides:
        basis = state[f"basis_{side}"]
        values = torch.tensordot(values, basis.T if back else basis, dims=([side], [0])).movedim(-1, side)
    return values


def _turn_on(state: dict[str, Any], side: int) -> None:
    """One step of power iteration; `square` follows when the directions change places."""
    products, basis = state[f"products_{side}"], state[f"basis_{side}"]
    order = (basis * (products @ basis)).sum(0).argsort(descending=True)
    state["square"] = state["square"].index_select(side, order)
    state[f"basis_{side}"] = torch.linalg.qr(products @ basis[:, order])[0]
