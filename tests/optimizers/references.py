"""Optimizers as their papers write them, in float64: plain loops over one matrix and its gradients.

Each takes the start, the gradients, the learning rate and the row's options, and gives the matrix at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import torch
from torch import Tensor

Options = dict[str, Any]
Reference = Callable[[Tensor, list[Tensor], float, Options], Tensor]


def _moments(grads: list[Tensor], betas: tuple[float, float]) -> Iterator[tuple[int, Tensor, Tensor, Tensor]]:
    """(t, gradient, bias-corrected mean, bias-corrected square) of each step."""
    mean = square = torch.zeros_like(grads[0])
    for t, g in enumerate(grads, start=1):
        mean = betas[0] * mean + (1 - betas[0]) * g
        square = betas[1] * square + (1 - betas[1]) * g**2
        yield t, g, mean / (1 - betas[0] ** t), square / (1 - betas[1] ** t)


def adamw(w: Tensor, grads: list[Tensor], lr: float, o: Options) -> Tensor:
    for _, _, mean, square in _moments(grads, o["betas"]):
        w = w - lr * (mean / (square.sqrt() + o["eps"]) + o["weight_decay"] * w)
    return w


def stable_adamw(w: Tensor, grads: list[Tensor], lr: float, o: Options) -> Tensor:
    """A step shrinks where the gradient is large against its own past."""
    for _, g, mean, square in _moments(grads, o["betas"]):
        rms = (g**2 / square.clamp_min(o["eps"] ** 2)).mean().sqrt()
        rate = lr / max(1.0, rms.item())
        w = w - rate * (mean / (square.sqrt() + o["eps"]) + o["weight_decay"] * w)
    return w


def lion(w: Tensor, grads: list[Tensor], lr: float, o: Options) -> Tensor:
    beta1, beta2 = o["betas"]
    mean = torch.zeros_like(w)
    for g in grads:
        w = w - lr * ((beta1 * mean + (1 - beta1) * g).sign() + o["weight_decay"] * w)
        mean = beta2 * mean + (1 - beta2) * g
    return w


def _rectified(grads: list[Tensor], lr: float, o: Options) -> Iterator[tuple[int, Tensor]]:
    """RAdam's steps: plain momentum until the square has seen enough to be trusted."""
    most = 2 / (1 - o["betas"][1]) - 1
    for t, _, mean, square in _moments(grads, o["betas"]):
        power = o["betas"][1] ** t
        length = most - 2 * t * power / (1 - power)
        if length > 5:
            top, bottom = (length - 4) * (length - 2) * most, (most - 4) * (most - 2) * length
            yield t, lr * mean * math.sqrt(top / bottom) / (square.sqrt() + o["eps"])
        else:
            yield t, lr * mean


def radam(w: Tensor, grads: list[Tensor], lr: float, o: Options) -> Tensor:
    return w - sum(step for _, step in _rectified(grads, lr, o))


def ranger(w: Tensor, grads: list[Tensor], lr: float, o: Options) -> Tensor:
    """RAdam that every k steps goes a part of the way from slow weights to its own, and on from there."""
    slow = w
    for t, step in _rectified(grads, lr, o):
        w = w - step
        if t % o["k"] == 0:
            slow = w = slow + o["alpha"] * (w - slow)
    return w


def adan(w: Tensor, grads: list[Tensor], lr: float, o: Options) -> Tensor:
    beta1, beta2, beta3 = o["betas"]
    mean = change = square = torch.zeros_like(w)
    before = grads[0]
    for t, g in enumerate(grads, start=1):
        mean = beta1 * mean + (1 - beta1) * g
        change = beta2 * change + (1 - beta2) * (g - before)
        square = beta3 * square + (1 - beta3) * (g + beta2 * (g - before)) ** 2
        step = mean / (1 - beta1**t) + beta2 * change / (1 - beta2**t)
        w = (w - lr * step / ((square / (1 - beta3**t)).sqrt() + o["eps"])) / (1 + lr * o["weight_decay"])
        before = g
    return w


def sgd(w: Tensor, grads: list[Tensor], lr: float, o: Options) -> Tensor:
    return w - lr * torch.stack(grads).sum(0)


def ademamix(w: Tensor, grads: list[Tensor], lr: float, o: Options) -> Tensor:
    slow = torch.zeros_like(w)
    for _, g, mean, square in _moments(grads, o["betas"][:2]):
        slow = o["betas"][2] * slow + (1 - o["betas"][2]) * g
        w = w - lr * ((mean + o["alpha"] * slow) / (square.sqrt() + o["eps"]) + o["weight_decay"] * w)
    return w


def adagrad(w: Tensor, grads: list[Tensor], lr: float, o: Options) -> Tensor:
    total = torch.zeros_like(w)
    for g in grads:
        total = total + g**2
        w = w - lr * g / (total.sqrt() + o["eps"])
    return w


def rmsprop(w: Tensor, grads: list[Tensor], lr: float, o: Options) -> Tensor:
    square = torch.zeros_like(w)
    for g in grads:
        square = o["alpha"] * square + (1 - o["alpha"]) * g**2
        w = w - lr * g / (square.sqrt() + o["eps"])
    return w


def adadelta(w: Tensor, grads: list[Tensor], lr: float, o: Options) -> Tensor:
    square = moved = torch.zeros_like(w)
    for g in grads:
        square = o["rho"] * square + (1 - o["rho"]) * g**2
        step = (moved + o["eps"]).sqrt() / (square + o["eps"]).sqrt() * g
        moved = o["rho"] * moved + (1 - o["rho"]) * step**2
        w = w - lr * step
    return w


def adamax(w: Tensor, grads: list[Tensor], lr: float, o: Options) -> Tensor:
    largest = torch.zeros_like(w)
    for _, g, mean, _ in _moments(grads, o["betas"]):
        largest = torch.maximum(o["betas"][1] * largest, g.abs() + o["eps"])
        w = w - lr * mean / largest
    return w


def nadam(w: Tensor, grads: list[Tensor], lr: float, o: Options) -> Tensor:
    beta1, product, mean = o["betas"][0], 1.0, torch.zeros_like(w)

    def momentum(t: int) -> float:
        return beta1 * (1 - 0.5 * 0.96 ** (t * o["momentum_decay"]))

    for t, g, _, square in _moments(grads, o["betas"]):
        mean, product = beta1 * mean + (1 - beta1) * g, product * momentum(t)
        ahead = momentum(t + 1) * mean / (1 - product * momentum(t + 1)) + (1 - momentum(t)) * g / (
            1 - product
        )
        w = w - lr * ahead / (square.sqrt() + o["eps"])
    return w


def asgd(w: Tensor, grads: list[Tensor], lr: float, o: Options) -> Tensor:
    rate = lr
    for t, g in enumerate(grads, start=1):
        w = w * (1 - o["lambd"] * rate) - rate * g
        rate = lr / (1 + o["lambd"] * lr * t) ** o["alpha"]
    return w


def adafactor(w: Tensor, grads: list[Tensor], lr: float, o: Options) -> Tensor:
    """Rows and columns instead of all squares; steps relative to the size of the weights."""
    rows, columns = torch.zeros(len(w), 1).double(), torch.zeros(1, w.shape[1]).double()
    for t, g in enumerate(grads, start=1):
        fresh = t ** o["beta2_decay"]
        rows = rows + fresh * ((g**2).mean(1, keepdim=True) - rows)
        columns = columns + fresh * ((g**2).mean(0, keepdim=True) - columns)
        step = g / (rows @ columns / rows.mean()).sqrt()
        step = step / max(1.0, (step**2).mean().sqrt().item() / o["d"])
        w = w - max(1e-3, (w**2).mean().sqrt().item()) * min(lr, t**-0.5) * step
    return w


def schedule_free(w: Tensor, grads: list[Tensor], lr: float, o: Options) -> Tensor:
    """With an even rate every place weighs the same; the end is y, where the next gradient is taken."""
    (beta1, beta2), point, average = o["betas"], w, w
    square = torch.zeros_like(w)
    for t, g in enumerate(grads, start=1):
        here = (1 - beta1) * point + beta1 * average
        square = beta2 * square + (1 - beta2) * g**2
        point = point - lr * (g / ((square / (1 - beta2**t)).sqrt() + o["eps"]) + o["weight_decay"] * here)
        average = average + (point - average) / t
    return (1 - beta1) * point + beta1 * average


def prodigy(w: Tensor, grads: list[Tensor], lr: float, o: Options) -> Tensor:
    (beta1, beta2), start, d = o["betas"], w, o["d0"]
    mean = square = total = torch.zeros_like(w)
    evidence = 0.0
    for g in grads:
        rate, beta3 = d * lr, math.sqrt(beta2)
        evidence = beta3 * evidence + d / o["d0"] * rate * (g * (start - w)).sum().item()
        mean = beta1 * mean + (1 - beta1) * d * g
        square = beta2 * square + (1 - beta2) * d**2 * g**2
        total = beta3 * total + d / o["d0"] * rate * g
        d = max(d, evidence / total.abs().sum().item())
        w = w - rate * mean / (square.sqrt() + d * o["eps"])
    return w


def soap(w: Tensor, grads: list[Tensor], lr: float, o: Options) -> Tensor:
    """Both sides turned; the first gradient only begins the bases, which turn every ten steps."""
    beta1, beta2 = o["betas"]
    left, right = ((1 - beta2) * m for m in (grads[0] @ grads[0].T, grads[0].T @ grads[0]))
    to_left, to_right = (torch.linalg.eigh(m)[1].flip(1) for m in (left, right))
    mean = square = torch.zeros_like(w)
    for t, g in zip(count(1), grads[1:], strict=False):
        mean = beta1 * mean + (1 - beta1) * g
        square = beta2 * square + (1 - beta2) * (to_left.T @ g @ to_right) ** 2
        step = (to_left.T @ mean @ to_right) / (square.sqrt() + o["eps"])
        rate = lr * math.sqrt(1 - beta2**t) / (1 - beta1**t)
        w = (w - rate * to_left @ step @ to_right.T) * (1 - lr * o["weight_decay"])
        left = beta2 * left + (1 - beta2) * g @ g.T
        right = beta2 * right + (1 - beta2) * g.T @ g
        if t % o["precondition_frequency"] == 0:
            up, across = (
                torch.diag(q.T @ m @ q).argsort(descending=True)
                for q, m in ((to_left, left), (to_right, right))
            )
            square = square[up][:, across]
            to_left, to_right = (
                torch.linalg.qr(m @ q)[0] for m, q in ((left, to_left[:, up]), (right, to_right[:, across]))
            )
    return w


def muon(w: Tensor, grads: list[Tensor], lr: float, o: Options) -> Tensor:
    """Newton and Schulz's iteration towards the nearest matrix whose singular values are all 1."""
    mean, size = torch.zeros_like(w), 0.2 * math.sqrt(max(w.shape))
    for g in grads:
        mean = mean + (1 - o["momentum"]) * (g - mean)
        x = g + o["momentum"] * (mean - g)
        x = x / x.norm()
        for _ in range(o["ns_steps"]):
            a = x @ x.T
            x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
        w = w * (1 - lr * o["weight_decay"]) - lr * size * x
    return w


OF_KIND: dict[str, Reference] = {
    "AdamWBF16": adamw, "AdamW": adamw, "AdamW8bit": adamw, "Adam": adamw, "Adam8bit": adamw,
    "StableAdamW": stable_adamw, "Lion": lion, "Lion8bit": lion, "RAdam": radam, "Ranger": ranger,
    "Adan": adan, "SGD": sgd, "AdEMAMix": ademamix, "AdEMAMix8bit": ademamix,
    "Adagrad": adagrad, "Adagrad8bit": adagrad, "RMSprop": rmsprop, "Adadelta": adadelta, "Adamax": adamax,
    "NAdam": nadam, "ASGD": asgd, "Adafactor": adafactor, "ScheduleFreeAdamW": schedule_free,
    "Prodigy": prodigy, "Soap": soap, "Muon": muon,
}  # fmt: skip
"""By the row's class; Adam is AdamW where the decay is 0, as it is in those rows."""
