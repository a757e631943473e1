"""How long and how fast is learned: batch, steps, learning rate, optimizer, clipping, EMA, seed."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.optimizers import catalog, refused, schedules
from tuner.settings.fields import setting

ANY_SEED = -1
"""A run that begins draws its own seed, and keeps it when it goes on."""

FOREIGN_COMPILERS = (
    "aot_ts_nvfuser", "nvprims_nvfuser", "cudagraphs", "ofi", "fx2trt", "onnxrt", "tensorrt",
    "aot_torchxla_trace_once", "torchxla_trace_once", "ipex", "tvm", "hpu_backend",
)  # fmt: skip
"""The other names that accelerate knows."""

ONE_CARD = (
    "one card trains, so a step sees train_batch_size x gradient_accumulation_steps pictures; "
    "the number stays in the file"
)


@dataclass(frozen=True)
class Optimization:
    train_batch_size: int = setting(
        4,
        "Batch size",
        "How many pictures are learned from at once; each costs memory.",
        level="basic",
        minimum=1,
        maximum=128,
    )
    gradient_accumulation_steps: int = setting(
        1,
        "Accumulation",
        "Adds up this many batches before each step: a larger batch without more memory.",
        minimum=1,
    )
    max_train_steps: int | None = setting(
        None,
        "Steps",
        "How many steps to train; 0 or empty means that the epochs decide.",
        level="basic",
        minimum=0,
    )
    # SimpleTuner's default is 1 even beside max_train_steps, which it then refuses; here unset means 0 there.
    num_train_epochs: int | None = setting(
        None,
        "Epochs",
        "How many times to go through all pictures; empty means 1 where no steps are given.",
        minimum=0,
    )
    strict_epoch_limit: bool = setting(
        False,
        "Stop at the epoch",
        "Ends with the last epoch, even if steps are left.",
        level="expert",
        moot="a run lasts a number of steps or of epochs, and ends with the last of them",
    )
    # SimpleTuner's 4e-07 learns nothing in a usual run; the guide names 1e-5 to 1e-4 for a LoRA.
    learning_rate: float = setting(
        1e-4,
        "Learning rate",
        "How large each step is: too high ruins the model, too low learns nothing. 1e-4 suits a LoRA.",
        level="basic",
        minimum=0,
        maximum=10,
        required=True,
    )
    lr_scheduler: str = setting(
        "constant_with_warmup",
        "Schedule",
        "How the learning rate changes over the run.",
        choices=schedules.names(),
        renamed={"cosine_with_warmup": "cosine"},
    )
    lr_warmup_steps: int = setting(
        0, "Warm-up", "Steps over which the learning rate rises from 0.", minimum=0
    )
    lr_end: float = setting(4e-7, "Last rate", "Where falling schedules end.", level="expert", minimum=0)
    lr_power: float = setting(0.8, "Power", "How the polynomial schedule is bent.", level="expert", minimum=0)
    lr_num_cycles: int = setting(
        1, "Cycles", "How often a cosine schedule starts anew.", level="expert", minimum=1
    )
    lr_scale: bool = setting(
        False,
        "Scale the rate",
        "Multiplies the learning rate by the pictures of a step: batch size times accumulation.",
        level="expert",
    )
    lr_scale_sqrt: bool = setting(
        False,
        "Scale by the root",
        "Multiplies the learning rate by the square root of that number instead.",
        level="expert",
    )
    optimizer: str = setting(
        "adamw_bf16",
        "Optimizer",
        "The rule that turns gradients into steps; adamw_bf16 is the safe choice.",
        level="basic",
        choices=(*catalog.names(), *(one.name for one in refused.REFUSED)),
        built=catalog.names(),
        why={one.name: one.why for one in refused.REFUSED},
        instead={one.name: one.instead for one in refused.REFUSED},
        renamed=refused.RENAMED,
        required=True,
    )
    optimizer_config: str | None = setting(
        None, "Optimizer details", "Options of the optimizer as name=value,name=value.", level="expert"
    )
    optimizer_beta1: float | None = setting(
        None,
        "Beta 1",
        "The optimizer's memory of directions; give both betas or none.",
        level="expert",
        minimum=0,
        maximum=1,
    )
    optimizer_beta2: float | None = setting(
        None,
        "Beta 2",
        "The optimizer's memory of sizes; give both betas or none.",
        level="expert",
        minimum=0,
        maximum=1,
    )
    optimizer_release_gradients: bool = setting(
        False,
        "Release gradients",
        "Frees each gradient as soon as it was used.",
        level="expert",
        moot="the gradients of an adapter are small, and all are freed after every step",
    )
    max_grad_norm: float = setting(
        2.0, "Gradient limit", "Gradients beyond this are cut; 0 turns it off.", minimum=0
    )
    # SimpleTuner's default, kept: the guide does not say whether its max_grad_norm is by value or by norm.
    grad_clip_method: str = setting(
        "value",
        "Limit by",
        "'norm' shortens the whole gradient, 'value' cuts each number of it.",
        choices=("value", "norm"),
    )
    gradient_precision: str | None = setting(
        None,
        "Gradient precision",
        "In which numbers gradients are added up.",
        level="expert",
        choices=("unmodified", "fp32"),
        moot="an adapter and its gradients are always float32",
    )
    use_ema: bool = setting(
        False,
        "EMA",
        "Also keeps a running mean of the LoRA, which is calmer; it is exported beside the LoRA, as ...-ema.",
    )
    ema_decay: float = setting(
        0.995, "EMA: decay", "How slowly the mean follows.", level="expert", minimum=0, maximum=1
    )
    ema_device: str = setting(
        "cpu",
        "EMA: device",
        "Where the mean is kept: 'accelerator' is quicker and takes memory of the card.",
        level="expert",
        choices=("cpu", "accelerator"),
    )
    ema_cpu_only: bool = setting(
        False, "EMA: always on the CPU", "Keeps the mean off the card, whatever its device.", level="expert"
    )
    ema_update_interval: int = setting(
        1, "EMA: every N steps", "How often the mean is brought up to date.", level="expert", minimum=1
    )
    ema_warmup_steps: int = setting(
        0, "EMA: warm-up", "Steps before the mean begins; 0 lets it begin gently.", level="expert", minimum=0
    )
    ema_foreach_disable: bool = setting(False, "EMA: one by one", "Updates tensor by tensor.", level="expert")
    ema_validation: str = setting(
        "comparison",
        "EMA in previews",
        "Which is shown: the LoRA (none), its mean (ema_only), or both beside each other (comparison).",
        level="expert",
        choices=("none", "ema_only", "comparison"),
    )
    seed: int | None = setting(
        None,
        "Seed",
        "The same number gives the same run, picture for picture; empty means 0, -1 draws one for each run.",
        minimum=ANY_SEED,
    )
    seed_for_each_device: bool = setting(
        True, "Own seed for each card", "With several cards, each draws its own noise.", level="expert"
    )
    num_processes: int = setting(
        1, "Cards", "How many graphics cards train together.", level="expert", minimum=1, moot=ONE_CARD
    )
    num_machines: int = setting(
        1, "Machines", "How many computers train together.", level="expert", minimum=1, moot=ONE_CARD
    )
    dynamo_backend: str = setting(
        "no",
        "Compile",
        "Compiles the blocks of the model: quicker steps, after a first one that takes minutes; 'inductor' "
        "needs a C++ compiler.",
        level="expert",
        choices=("no", "inductor", "eager", "aot_eager", *FOREIGN_COMPILERS),
        built=("no", "inductor", "eager", "aot_eager"),
        why=dict.fromkeys(FOREIGN_COMPILERS, "that compiler does not come with PyTorch, or cannot train"),
        instead=dict.fromkeys(FOREIGN_COMPILERS, "inductor"),
    )

    @property
    def ema_on_card(self) -> bool:
        """Whether the running mean takes memory of the card."""
        return self.use_ema and self.ema_device == "accelerator" and not self.ema_cpu_only

    @property
    def num_epochs(self) -> int:
        """The epochs that count: 0 where `max_train_steps` decides."""
        if self.max_train_steps:
            return 0
        return 1 if self.num_train_epochs is None else self.num_train_epochs
