"""The optimizers a user can choose, one row each: cost, learning rate that fits, advice, how to build it."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tuner.errors import Advice, BackendMissing, TunerError

if TYPE_CHECKING:
    import torch

INSTALL = Advice("Run the installer once more (install.sh or install.bat), or choose adamw_bf16.")


@dataclass(frozen=True)
class OptimizerRow:
    """`options` is all that `optimizer_config` may change, with its default; the class is `module.kind`.

    The state bytes are those of one bf16 and of one float32 parameter (large tensors). `default_lr` suits a
    LoRA. `clips_itself`: gradients must not be clipped before the step. `paged`: states move to main memory
    if need be. `fixed_lr`: the learning rate it must be given, because it finds the size of its steps itself.
    `matrices_only`: it cannot train vectors or numbers.
    """

    name: str
    module: str
    kind: str
    state_bytes_per_parameter: float
    state_bytes_per_fp32_parameter: float
    default_lr: float
    advice: str
    options: Mapping[str, object] = field(default_factory=dict)
    paged: bool = False
    clips_itself: bool = False
    fixed_lr: float | None = None
    matrices_only: bool = False


def _options(**values: object) -> Mapping[str, object]:
    return MappingProxyType(values)


OURS, TORCH, OPTIMI, BNB = "tuner.optimizers", "torch.optim", "optimi", "bitsandbytes.optim"

_ADAMW = _options(betas=(0.9, 0.999), weight_decay=1e-2, eps=1e-6)
_BNB_ADAMW = _options(**_ADAMW, min_8bit_size=4096)
_BNB_ADAM = _options(betas=(0.9, 0.999), weight_decay=0.0, eps=1e-8, min_8bit_size=4096)
_BNB_ADAGRAD = _options(lr_decay=0.0, weight_decay=0.0, eps=1e-10, min_8bit_size=4096)
_BNB_LION = _options(betas=(0.9, 0.99), weight_decay=0.0, min_8bit_size=4096)
_ADEMAMIX = _options(
    betas=(0.9, 0.999, 0.9999), weight_decay=1e-2, eps=1e-8,
    alpha=5.0, t_alpha=None, t_beta3=None, min_8bit_size=4096,
)  # fmt: skip
_KAHAN: Mapping[str, object] = _options(decouple_lr=False, max_lr=None, kahan_sum=True)
_LION = _options(betas=(0.9, 0.99), weight_decay=0.0, **_KAHAN)
_OPTIMI = _options(betas=(0.9, 0.99), weight_decay=0.0, eps=1e-6, **_KAHAN)
_OPTIMI_ADAM = _options(**_OPTIMI, decouple_wd=False)
_FREE = _options(betas=(0.9, 0.999), weight_decay=1e-3, eps=1e-6)
_TORCH_ADAM = _options(betas=(0.9, 0.999), weight_decay=0.0, eps=1e-8)

OPTIMIZERS: tuple[OptimizerRow, ...] = (
    OptimizerRow(
        "adamw_bf16", f"{OURS}.adamw_bf16", "AdamWBF16", 10, 8, 1e-4,
        "The one to begin with: AdamW that loses nothing when the adapter is trained in bf16.", _ADAMW,
    ),
    OptimizerRow(
        "optimi-adamw", OPTIMI, "AdamW", 6, 8, 1e-4,
        "AdamW with Kahan sums and bf16 states: less memory than adamw_bf16, a little coarser.", _OPTIMI,
    ),
    OptimizerRow(
        "optimi-stableadamw", OPTIMI, "StableAdamW", 6, 8, 1e-4,
        "AdamW that slows down by itself when gradients jump; needs no clipping.",
        _options(**{**_OPTIMI, "weight_decay": 1e-2}), clips_itself=True,
    ),
    OptimizerRow(
        "optimi-lion", OPTIMI, "Lion", 4, 4, 2e-5,
        "Half the states of AdamW; use about a fifth of its learning rate.", _LION,
    ),
    OptimizerRow(
        "optimi-adam", OPTIMI, "Adam", 6, 8, 1e-4,
        "Adam without weight decay, with Kahan sums.", _OPTIMI_ADAM,
    ),
    OptimizerRow(
        "optimi-radam", OPTIMI, "RAdam", 6, 8, 1e-4,
        "Adam with a built-in warm-up; fits short runs without a warm-up of their own.", _OPTIMI_ADAM,
    ),
    OptimizerRow(
        "optimi-ranger", OPTIMI, "Ranger", 8, 12, 1e-4,
        "RAdam with a slow second set of weights: steadier, and one more buffer.",
        _options(**{**_OPTIMI_ADAM, "decouple_wd": True}, k=6, alpha=0.5),
    ),
    OptimizerRow(
        "optimi-adan", OPTIMI, "Adan", 10, 16, 2e-4,
        "Adam that looks at the change of the gradient; the largest states of all.",
        _options(**{**_OPTIMI, "betas": (0.98, 0.92, 0.999), "weight_decay": 2e-2}, adam_wd=False),
    ),
    OptimizerRow(
        "optimi-sgd", OPTIMI, "SGD", 2, 0, 1e-2,
        "Plain gradient steps; almost no memory, and slow on adapters.",
        _options(momentum=0.0, dampening=False, weight_decay=0.0, decouple_wd=False, **_KAHAN),
    ),
    OptimizerRow(
        "bnb-adamw", BNB, "AdamW", 8, 8, 1e-4,
        "AdamW of bitsandbytes with float32 states.", _BNB_ADAMW,
    ),
    OptimizerRow(
        "bnb-adamw8bit", BNB, "AdamW8bit", 2, 2, 1e-4,
        "AdamW with 8-bit states: a quarter of the memory, nearly the same result.", _BNB_ADAMW,
    ),
    OptimizerRow(
        "bnb-adamw-paged", BNB, "AdamW", 8, 8, 1e-4,
        "AdamW whose float32 states move to main memory when the card is full.", _BNB_ADAMW, paged=True,
    ),
    OptimizerRow(
        "bnb-adamw8bit-paged", BNB, "AdamW8bit", 2, 2, 1e-4,
        "AdamW for small cards: 8-bit states that may move to main memory.", _BNB_ADAMW, paged=True,
    ),
    OptimizerRow(
        "bnb-lion", BNB, "Lion", 4, 4, 2e-5,
        "Lion of bitsandbytes with float32 states; use about a fifth of AdamW's learning rate.", _BNB_LION,
    ),
    OptimizerRow(
        "bnb-lion8bit", BNB, "Lion8bit", 1, 1, 2e-5,
        "Lion with 8-bit states: one byte for each trained number.", _BNB_LION,
    ),
    OptimizerRow(
        "bnb-lion-paged", BNB, "Lion", 4, 4, 2e-5,
        "Lion whose states move to main memory when the card is full.", _BNB_LION, paged=True,
    ),
    OptimizerRow(
        "bnb-lion8bit-paged", BNB, "Lion8bit", 1, 1, 2e-5,
        "The least memory of all, for 10 GB cards; use about a fifth of AdamW's learning rate.",
        _BNB_LION, paged=True,
    ),
    OptimizerRow(
        "bnb-ademamix", BNB, "AdEMAMix", 12, 12, 1e-4,
        "AdamW with a second, very slow momentum; pays off only in long runs.", _ADEMAMIX,
    ),
    OptimizerRow(
        "bnb-ademamix8bit", BNB, "AdEMAMix8bit", 3, 3, 1e-4,
        "AdEMAMix with 8-bit states; for long runs.", _ADEMAMIX,
    ),
    OptimizerRow(
        "bnb-ademamix-paged", BNB, "AdEMAMix", 12, 12, 1e-4,
        "AdEMAMix whose states move to main memory when the card is full.", _ADEMAMIX, paged=True,
    ),
    OptimizerRow(
        "bnb-ademamix8bit-paged", BNB, "AdEMAMix8bit", 3, 3, 1e-4,
        "AdEMAMix with 8-bit states that may move to main memory.", _ADEMAMIX, paged=True,
    ),
    OptimizerRow(
        "bnb-adam", BNB, "Adam", 8, 8, 1e-4,
        "Adam of bitsandbytes with float32 states, without weight decay.", _BNB_ADAM,
    ),
    OptimizerRow(
        "bnb-adam8bit", BNB, "Adam8bit", 2, 2, 1e-4,
        "Adam with 8-bit states, without weight decay.", _BNB_ADAM,
    ),
    OptimizerRow(
        "bnb-adagrad", BNB, "Adagrad", 4, 4, 1e-3,
        "Steps that only ever get smaller, with float32 states.", _BNB_ADAGRAD,
    ),
    OptimizerRow(
        "bnb-adagrad8bit", BNB, "Adagrad8bit", 1, 1, 1e-3,
        "Steps that only ever get smaller, with 8-bit states.", _BNB_ADAGRAD,
    ),
    OptimizerRow(
        "adamw_schedulefree", f"{OURS}.schedule_free", "ScheduleFreeAdamW", 12, 12, 1e-4,
        "AdamW that averages its way instead of lowering the rate; leave the schedule constant.",
        _options(**{**_ADAMW, "eps": 1e-8}),
    ),
    OptimizerRow(
        "adamw_schedulefree+aggressive", f"{OURS}.schedule_free", "ScheduleFreeAdamW", 12, 12, 1e-4,
        "The same with a tenth of the weight decay.", _FREE,
    ),
    OptimizerRow(
        "adamw_schedulefree+no_kahan", f"{OURS}.schedule_free", "ScheduleFreeAdamW", 12, 12, 1e-4,
        "The same as +aggressive: its states are float32, so it needs no Kahan sums.", _FREE,
    ),
    OptimizerRow(
        "prodigy", f"{OURS}.prodigy", "Prodigy", 16, 16, 1.0,
        "Adam that finds the learning rate by itself; the one that is set is not used.",
        _options(
            betas=(0.9, 0.99), weight_decay=0.0, eps=1e-8,
            d0=1e-6, d_coef=1.0, growth_rate=None, safeguard_warmup=False,
        ),
        clips_itself=True, fixed_lr=1.0,
    ),
    OptimizerRow(
        "soap", f"{OURS}.soap", "Soap", 8, 8, 1e-4,
        "Adam in the directions in which the gradients really lie; more work for each step.",
        _options(
            betas=(0.95, 0.95), weight_decay=1e-2, eps=1e-8, precondition_frequency=10, max_precond_dim=256
        ),
    ),
    OptimizerRow(
        "muon", TORCH, "Muon", 2, 4, 1e-4,
        "Steps of equal size in every direction of a matrix; scaled so that AdamW's learning rate fits.",
        _options(
            weight_decay=0.1, momentum=0.95, nesterov=True, eps=1e-7, ns_steps=5,
            adjust_lr_fn="match_rms_adamw",
        ),
        matrices_only=True,
    ),
    OptimizerRow(
        "torch-adamw", TORCH, "AdamW", 4, 8, 1e-4,
        "PyTorch's own AdamW; exact in float32, but small steps get lost in bf16.",
        _options(**{**_TORCH_ADAM, "weight_decay": 1e-2}, amsgrad=False),
    ),
    OptimizerRow(
        "torch-adam", TORCH, "Adam", 4, 8, 1e-4,
        "PyTorch's own Adam; for float32 adapters.", _options(**_TORCH_ADAM, amsgrad=False),
    ),
    OptimizerRow(
        "torch-radam", TORCH, "RAdam", 4, 8, 1e-4,
        "PyTorch's Adam with a built-in warm-up; for float32 adapters.", _TORCH_ADAM,
    ),
    OptimizerRow(
        "torch-nadam", TORCH, "NAdam", 4, 8, 1e-4,
        "PyTorch's Adam with Nesterov's look ahead; for float32 adapters.",
        _options(**_TORCH_ADAM, momentum_decay=4e-3, decoupled_weight_decay=False),
    ),
    OptimizerRow(
        "torch-adamax", TORCH, "Adamax", 4, 8, 2e-4,
        "PyTorch's Adam scaled by the largest gradient seen; for float32 adapters.", _TORCH_ADAM,
    ),
    OptimizerRow(
        "torch-adafactor", TORCH, "Adafactor", 0.1, 0.1, 1e-2,
        "Keeps only row and column sums; its learning rate is relative to the size of the weights.",
        _options(beta2_decay=-0.8, d=1.0, weight_decay=0.0),
    ),
    OptimizerRow(
        "torch-rmsprop", TORCH, "RMSprop", 2, 4, 1e-4,
        "Adam without momentum; for float32 adapters.",
        _options(alpha=0.99, momentum=0.0, weight_decay=0.0, eps=1e-8, centered=False),
    ),
    OptimizerRow(
        "torch-adagrad", TORCH, "Adagrad", 2, 4, 1e-3,
        "Steps that only ever get smaller; for float32 adapters.",
        _options(lr_decay=0.0, weight_decay=0.0, eps=1e-10),
    ),
    OptimizerRow(
        "torch-adadelta", TORCH, "Adadelta", 4, 8, 1.0,
        "Finds its own step size; its learning rate is a factor near 1.",
        _options(rho=0.9, weight_decay=0.0, eps=1e-6),
    ),
    OptimizerRow(
        "torch-asgd", TORCH, "ASGD", 2, 4, 1e-2,
        "Gradient steps with an average kept aside; rarely right for adapters.",
        _options(lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0.0),
    ),
    OptimizerRow(
        "torch-sgd", TORCH, "SGD", 0, 0, 1e-2,
        "Plain gradient steps without states; slow on adapters.",
        _options(momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False),
    ),
)  # fmt: skip

_BY_NAME = {row.name: row for row in OPTIMIZERS}


def names() -> tuple[str, ...]:
    return tuple(_BY_NAME)


def row(name: str) -> OptimizerRow:
    """Raises KeyError on a name that is not in `names()`; settings refuse such names before."""
    return _BY_NAME[name]


def option_problems(name: str, options: Mapping[str, object]) -> tuple[str, ...]:
    """A sentence for each option that this optimizer does not have; beta1, beta2 ... are its single betas."""
    known = _known(row(name))
    return tuple(
        f"The optimizer {name} has no option '{key}'; it has {', '.join(sorted(known)) or 'none'}."
        for key in options
        if key not in known
    )


NO_OPTIONS: Mapping[str, object] = _options()


def build(
    name: str, parameters: Iterable[torch.nn.Parameter], lr: float, options: Mapping[str, object] = NO_OPTIONS
) -> torch.optim.Optimizer:
    """The optimizer over `parameters`; `options` change the row's own (`beta1` ... single betas).

    Raises TunerError on an option that the row does not have, BackendMissing when its library is not there.
    """
    chosen, trained = row(name), list(parameters)
    if problems := option_problems(name, options):
        raise TunerError(
            " ".join(problems), Advice("Clear optimizer_config.", {"optimization.optimizer_config": None})
        )
    if chosen.matrices_only and any(p.ndim != 2 for p in trained):
        raise TunerError(
            f"The optimizer {name} trains matrices only, and this adapter also has vectors or numbers.",
            Advice("Choose adamw_bf16.", {"optimization.optimizer": "adamw_bf16"}),
        )
    values: dict[str, Any] = _merged(chosen, options)
    if chosen.paged:
        # A parameter in main memory has its states there as well: bitsandbytes pages nothing and would warn.
        values["is_paged"] = any(p.device.type != "cpu" for p in trained)
    optimizer: torch.optim.Optimizer = _kind(chosen)(trained, lr=lr, **values)
    return optimizer


def _known(chosen: OptimizerRow) -> tuple[str, ...]:
    betas = chosen.options.get("betas", ())
    assert isinstance(betas, tuple)
    return (*chosen.options, *(f"beta{number}" for number in range(1, len(betas) + 1)))


def _merged(chosen: OptimizerRow, options: Mapping[str, object]) -> dict[str, object]:
    values = {**chosen.options, **options}
    betas = values.get("betas")
    if isinstance(betas, tuple):
        values["betas"] = tuple(values.pop(f"beta{i}", beta) for i, beta in enumerate(betas, start=1))
    return values


def _kind(chosen: OptimizerRow) -> Any:
    try:
        return getattr(importlib.import_module(chosen.module), chosen.kind)
    except ModuleNotFoundError as error:
        raise BackendMissing(
            f"The optimizer {chosen.name} needs the library '{error.name}', which is not installed.", INSTALL
        ) from error
