"""The adapter that settings ask for, in plain values: what is attached, and how many numbers it trains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from tuner.adapters import lycoris_config
from tuner.adapters.lycoris_config import LycorisShape
from tuner.adapters.shape import Linear, LoraShape, Trained
from tuner.errors import Advice, TunerError
from tuner.export import dialects
from tuner.flux import headers
from tuner.flux.anatomy import class_of
from tuner.flux.targets import SLIDER, TARGETS
from tuner.quantization.catalog import precision
from tuner.settings.run import RunSettings


def shape(settings: RunSettings) -> LoraShape | LycorisShape:
    """Raises TunerError where `init_lora` names no LoRA."""
    choice = settings.adapter
    seed = settings.optimization.seed or 0
    if choice.lora_type == "lycoris":
        norm = None if choice.init_lora else choice.init_lokr_norm
        return replace(lycoris_config.shape(settings.lycoris), init_norm=norm, seed=seed)
    rank = choice.lora_rank if choice.init_lora is None else rank_of(Path(choice.init_lora))
    alpha = rank if choice.lora_alpha is None else choice.lora_alpha
    return LoraShape(
        rank, alpha, choice.lora_dropout, start(settings), targets(settings), seed, choice.use_dora
    )


def start(settings: RunSettings) -> str:
    """The row of `starts.STARTS` that counts: what a file brings comes before what is drawn, and an
    unquantized base has lost nothing that a LoRA could begin with.
    """
    choice = settings.adapter
    lost_nothing = precision(settings.memory.base_model_precision).quantize is None
    if choice.init_lora is not None or (choice.lora_init_type == "loftq" and lost_nothing):
        return "default"
    return choice.lora_init_type


def targets(settings: RunSettings) -> tuple[str, ...]:
    """Endings of paths: the user's own list, else the slider's, else a ready-made one."""
    choice = settings.adapter
    return choice.peft_lora_target_modules or (
        SLIDER if choice.slider_lora_target else TARGETS[choice.flux_lora_target]
    )


def trained(settings: RunSettings, linears: Iterable[Linear]) -> Iterator[Trained]:
    """Of the transformer's linear layers those that are trained."""
    asked = shape(settings)
    return asked.trained(linears) if isinstance(asked, LoraShape) else asked.trained(linears, class_of)


def num_parameters(settings: RunSettings, linears: Iterable[Linear]) -> int:
    return sum(one.num_parameters for one in trained(settings, linears))


def refuse_nothing(settings: RunSettings, linears: Iterable[Linear]) -> None:
    """Raises TunerError where the settings name no layer of this transformer."""
    if any(True for _ in trained(settings, linears)):
        return
    if settings.adapter.lora_type == "lycoris":
        usual = {"target_module": ["Attention", "FeedForward"]}
        advice = Advice("Train Attention and FeedForward.", {"lycoris.apply_preset": usual})
    else:
        own = {"adapter.peft_lora_target_modules": None, "adapter.slider_lora_target": False}
        advice = Advice("Choose the target 'all'.", {**own, "adapter.flux_lora_target": "all"})
    raise TunerError("None of the layers that the settings name exists in this transformer.", advice)


def notes(settings: RunSettings, linears: Iterable[Linear], begins_at: int) -> Iterator[str]:
    """Names in the user's own list that no layer has, and where the count of a new run begins."""
    asked = shape(settings)
    if isinstance(asked, LoraShape) and settings.adapter.peft_lora_target_modules:
        there = tuple(linears)
        for name in asked.targets:
            if not any(replace(asked, targets=(name,)).trained(there)):
                yield f"'peft_lora_target_modules' names '{name}', and no layer is called so."
    if settings.adapter.init_lora is not None:
        keys = headers.entries([Path(settings.adapter.init_lora)])
        if left_out := sum(map(dialects.of_text_encoders, keys)):
            yield f"'init_lora' holds {left_out} tensors for text encoders, which are left out."
    if begins_at:
        yield f"The count begins at step {begins_at}, as far as 'init_lora' was trained."


def rank_of(path: Path) -> int:
    """The largest rank of the LoRA in a file; twice that where it takes its first values off again."""
    entries = headers.entries([path])
    doubled = 2 if any(name.endswith(".lora_A_init.weight") for name in entries) else 1
    found = dialects.rank({name: entry.shape for name, entry in entries.items()}, path)
    if not found:
        raise TunerError(
            f"'{path}' holds no LoRA, so no run can start from it.",
            Advice("Choose a checkpoint's or an export's file.", {"adapter.init_lora": None}),
        )
    return doubled * found


def first_step(settings: RunSettings) -> int:
    """From which step a run that starts from a file counts: as told, else as the file says."""
    choice = settings.adapter
    if choice.init_lora is None:
        return 0
    if choice.init_lora_step is not None:
        return choice.init_lora_step
    told = headers.metadata(Path(choice.init_lora)).get("global_step", "0")
    return int(told) if told.isdecimal() else 0
