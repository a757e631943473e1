"""AdamW for bf16 adapters that computes as if they were float32.

A bf16 number has 8 significant bits, so `weight + update` mostly rounds back to `weight`. The remedy is a
Kahan sum whose compensation is exact: a bf16 number is the upper half of a float32, and the state `low`
keeps the lower half. Both together are the float32 weight, and each step is a float32 step of AdamW on it.
Not stochastic rounding: that adds noise to every weight and needs a random state, which a resumed run would
have to restore.

The moments are float32: at beta2 = 0.999 a bf16 second moment stands still, as its steps are below its
rounding. Cost: 10 bytes a bf16 parameter (4 + 4 + 2), 8 bytes a float32 parameter, which needs no `low`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

CHUNK = 1 << 23  # parameters whose float32 copies exist at one time (32 MiB)
HALF = 1 << 16  # what the upper half of a float32 counts in units of the lower one


class AdamWBF16(torch.optim.Optimizer):
    """AdamW (decoupled weight decay, bias correction) for bf16 and float32 parameters, mixed as one likes."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 1e-2,
        eps: float = 1e-6,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "weight_decay": weight_decay, "eps": eps})
        for p in self._parameters():
            if p.dtype not in (torch.bfloat16, torch.float32):
                raise TypeError(f"adamw_bf16 trains bf16 and float32 parameters, not {p.dtype}.")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for chunk in self._chunks(group["params"]):
                self._update(chunk, group)
        return loss

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _chunks(self, parameters: list[Tensor]) -> list[list[Tensor]]:
        """Parameters of one kind (format, device, steps taken), if possible at most CHUNK numbers."""
        chunks: list[list[Tensor]] = []
        last: dict[tuple[object, ...], list[Tensor]] = {}
        for p in parameters:
            if p.grad is None:
                continue
            kind = (p.dtype, p.device, self._state_of(p)["step"])
            chunk = last.get(kind)
            if chunk is None or sum(q.numel() for q in chunk) + p.numel() > CHUNK:
                chunk = last[kind] = []
                chunks.append(chunk)
            chunk.append(p)
        return chunks

    def _state_of(self, p: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = self.state[p]
        if not state:
            state["step"] = 0
            state["mean"] = torch.zeros_like(p, dtype=torch.float32)
            state["square"] = torch.zeros_like(p, dtype=torch.float32)
            if p.dtype == torch.bfloat16:
                state["low"] = torch.zeros_like(p, dtype=torch.int16)
        return state

    def _update(self, chunk: list[Tensor], group: dict[str, Any]) -> None:
        states = [self.state[p] for p in chunk]
        grads = [p.grad.float() for p in chunk if p.grad is not None]
        for state in states:
            state["step"] += 1
        if chunk[0].dtype == torch.float32:
            adamw(chunk, grads, states, group)
            return
        lows = [state["low"] for state in states]
        weights = join(chunk, lows)
        adamw(weights, grads, states, group)
        split(weights, chunk, lows)


def adamw(
    weights: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]
) -> None:
    """One step on float32 weights, in place, as torch.optim.AdamW does it (arXiv 1711.05101)."""
    (beta1, beta2), step = group["betas"], states[0]["step"]
    means, squares = [state["mean"] for state in states], [state["square"] for state in states]
    torch._foreach_lerp_(means, grads, 1 - beta1)
    torch._foreach_mul_(squares, beta2)
    torch._foreach_addcmul_(squares, grads, grads, 1 - beta2)
    divisors = torch._foreach_sqrt(squares)
    torch._foreach_div_(divisors, (1 - beta2**step) ** 0.5)
    torch._foreach_add_(divisors, group["eps"])
    changes = torch._foreach_div(means, divisors)
    torch._foreach_div_(changes, 1 - beta1**step)
    # Decay joins the change: in a factor 1 - lr * decay on the weight, float32 makes 1.2e-7 of 1e-7.
    torch._foreach_add_(changes, weights, alpha=group["weight_decay"])
    torch._foreach_add_(weights, changes, alpha=-group["lr"])


def join(uppers: list[Tensor], lows: list[Tensor]) -> list[Tensor]:
    """The float32 numbers whose nearest bf16 are `uppers`, off by `lows` (int16) float32 steps."""
    bits = _as_integers(uppers)
    torch._foreach_add_(bits, lows)
    return [b.view(torch.float32) for b in bits]


def split(weights: list[Tensor], uppers: list[Tensor], lows: list[Tensor]) -> None:
    """The inverse of `join`, into `uppers` and `lows`. Exact but for ties, which lose one float32 bit."""
    torch._foreach_copy_(uppers, weights)
    rest = torch._foreach_sub([w.view(torch.int32) for w in weights], _as_integers(uppers))
    torch._foreach_clamp_max_(rest, HALF // 2 - 1)  # a tie that was rounded down lies one beyond an int16
    torch._foreach_copy_(lows, rest)


def _as_integers(uppers: list[Tensor]) -> list[Tensor]:
    bits = [p.view(torch.int16).to(torch.int32) for p in uppers]
    torch._foreach_mul_(bits, HALF)
    return bits
