"""Prodigy: Adam that finds the size of its steps by itself, so its learning rate stays at 1.

Source: "Prodigy: An Expeditiously Adaptive Parameter-Free Learner" (Mishchenko and Defazio, 2023). It guesses
the distance D from the start to the solution: gradients that go on pointing away from the start raise the
guess, which begins tiny and never falls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class Prodigy(torch.optim.Optimizer):
    """`d0` is the first guess, `d_coef` scales the guess, `growth_rate` limits how much it grows in a step;
    `safeguard_warmup` keeps the guess from rising during a warm-up of the rate. All groups share one guess.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        eps: float = 1e-8,
        **guess: Any,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "eps": eps}
        first = guess.get("d0", 1e-6)
        options = {"d0": first, "d_coef": 1.0, "growth_rate": None, "safeguard_warmup": False, **guess}
        super().__init__(params, {**defaults, **options, "d": first, "highest_d": first, "evidence": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        trained = [(p, group) for group in self.param_groups for p in group["params"] if p.grad is not None]
        sums = [self._gather(p, p.grad.float(), group) for p, group in trained]
        if sums:
            rise, size = (torch.stack(column).sum().item() for column in zip(*sums, strict=True))
            rates = [group["d"] * group["lr"] for group in self.param_groups]
            self._guess(rise, size)
            for group, rate in zip(self.param_groups, rates, strict=True):
                for p in group["params"]:
                    if p.grad is not None:
                        self._move(p, group, rate)
        return loss

    def _gather(self, p: Tensor, grad: Tensor, group: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """(how far the gradient points away from the start, the size of all gradients so far)."""
        state, d, (beta1, beta2) = self.state[p], group["d"], group["betas"]
        if not state:
            state["start"] = p.detach().to(torch.float32, copy=True)
            for name in ("mean", "square", "sum"):
                state[name] = torch.zeros_like(state["start"])
        state["mean"].mul_(beta1).add_(grad, alpha=d * (1 - beta1))
        state["square"].mul_(beta2).addcmul_(grad, grad, value=d * d * (1 - beta2))
        weight = d / group["d0"] * d * group["lr"]
        counted = d / group["d0"] * d if group["safeguard_warmup"] else weight
        state["sum"].mul_(beta2**0.5).add_(grad, alpha=counted)
        return weight * (grad * (state["start"] - p.float())).sum(), state["sum"].abs().sum()

    def _guess(self, rise: float, size: float) -> None:
        """The new guess of D in every group."""
        for group in self.param_groups:
            group["evidence"] = group["evidence"] * group["betas"][1] ** 0.5 + rise
            if not size or not group["lr"]:
                continue
            guess = group["d_coef"] * group["evidence"] / size
            if group["d"] == group["d0"]:
                group["d"] = max(group["d"], guess)
            group["highest_d"] = max(group["highest_d"], guess)
            limit = float("inf") if group["growth_rate"] is None else group["d"] * group["growth_rate"]
            group["d"] = min(group["highest_d"], limit)

    def _move(self, p: Tensor, group: dict[str, Any], rate: float) -> None:
        state = self.state[p]
        divisor = state["square"].sqrt().add_(group["d"] * group["eps"])
        p.mul_(1 - group["weight_decay"] * rate)
        p.add_(state["mean"] / divisor, alpha=-rate)
