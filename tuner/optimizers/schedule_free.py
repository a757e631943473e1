"""AdamW without a schedule: gradients are taken at one point, and their average is what the run hands over.

Source: "The Road Less Scheduled" (Defazio et al., 2024). With z the point that AdamW moves and x the average
of its places, gradients are taken at y = (1 - beta1) z + beta1 x. All three are float32, so nothing of small
steps is lost and no Kahan sum is needed. Decay is multiplied by the learning rate, as in the paper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class ScheduleFreeAdamW(torch.optim.Optimizer):
    """Between steps the parameters hold y; see `averaging.Averaging`."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 1e-2,
        eps: float = 1e-8,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "eps": eps}
        super().__init__(params, {**defaults, "step": 0, "highest_lr": 0.0, "weights": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            group["step"] += 1
            # Places count by the square of the highest rate so far: little during a warm-up, then alike.
            group["highest_lr"] = max(group["highest_lr"], group["lr"])
            weight = group["highest_lr"] ** 2
            group["weights"] += weight
            share = weight / group["weights"] if group["weights"] else 0.0
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, p.grad.float(), group, share)
        self.show_training_point()
        return loss

    def show_average(self) -> None:
        self._show(lambda state, beta1: state["average"])

    def show_training_point(self) -> None:
        self._show(lambda state, beta1: state["point"].lerp(state["average"], beta1))

    @torch.no_grad()
    def _show(self, place: Callable[[dict[str, Any], float], Tensor]) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if self.state[p]:
                    p.copy_(place(self.state[p], group["betas"][0]))

    def _update(self, p: Tensor, grad: Tensor, group: dict[str, Any], share: float) -> None:
        state, (beta1, beta2) = self.state[p], group["betas"]
        if not state:
            state["point"] = p.detach().to(torch.float32, copy=True)
            state["average"] = state["point"].clone()
            state["square"] = torch.zeros_like(state["point"])
        here = state["point"].lerp(state["average"], beta1)
        square = state["square"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        divisor = (square / (1 - beta2 ** group["step"])).sqrt_().add_(group["eps"])
        change = (grad / divisor).add_(here, alpha=group["weight_decay"])
        state["point"].sub_(change, alpha=group["lr"])
        state["average"].lerp_(state["point"], share)
