"""Settings + pictures + machine -> Plan: what will be done, how long, from where on, and what it needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tuner.dataset import counts
from tuner.dataset.duration import duration
from tuner.dataset.geometry import settle
from tuner.dataset.index import DatasetIndex
from tuner.errors import (
    Advice,
    ModelMissing,
    Problem,
    SettingsInvalid,
    WillNotFit,
)
from tuner.events import PHASES
from tuner.files import checkpoint
from tuner.files.run_folder import RunFolder
from tuner.flux import routes
from tuner.flux.single_file import is_single_file
from tuner.machine import Reading
from tuner.optimizers import catalog as optimizers
from tuner.plan import adapter, fitting, resume, sources, starting
from tuner.plan.levers import Levers, words
from tuner.plan.memory import forecast
from tuner.plan.peaks import Need
from tuner.plan.phases import Phase, Plan
from tuner.plan.sizes import shape
from tuner.settings import flavours
from tuner.settings.run import RunSettings

SMALLER_PRESET = Advice("Choose a smaller preset, or the practice model.")


def make(settings: RunSettings, index: DatasetIndex, machine: Reading) -> Plan:
    """The plan that `training.run` executes; reads the run folder and the caches, writes nothing.

    Raises DatasetTooSmall, ModelMissing, CheckpointMismatch, and SettingsInvalid where no step is left to do.
    """
    told, settings = flavours.notes(settings), flavours.settled(settings)
    folder = RunFolder(Path(settings.saving.output_dir))
    resume_from, damaged = resume.resume_from(settings, folder)
    settings = resume.seeded(settings, resume_from)
    index = settle(index, settings.optimization.seed or 0)
    accumulation = settings.optimization.gradient_accumulation_steps
    counts.require_enough(index, accumulation)
    length = duration(index, settings)
    num_steps = length.num_steps
    first_step = checkpoint.step(resume_from) if resume_from else adapter.first_step(settings)
    if first_step >= num_steps:
        raise SettingsInvalid(_already_finished(settings, folder, first_step, resume_from is None))
    _check_model(settings)
    _check_assistant(settings)
    _check_routes(settings)
    linears = tuple(shape(settings).linears())
    adapter.refuse_nothing(settings, linears)
    starting.refuse_misfit(settings, linears)
    levers = fitting.choose(settings, index, machine)
    needs = forecast(settings, index, machine, levers)
    return Plan(
        settings=settings,
        folder=folder,
        index=index,
        phases=_phases(settings, index, needs, num_steps, first_step),
        num_steps=num_steps,
        epoch_ends=length.epoch_ends,
        resume_from=resume_from,
        first_step=first_step,
        damaged=damaged,
        notes=(
            *told,
            *_own_rate(settings),
            *sources.notes(settings),
            *adapter.notes(settings, linears, first_step if resume_from is None else 0),
            *index.notes,
            *map(resume.passed_over, damaged),
            *_levers(levers, settings),
            *_tight(settings, index, needs, machine),
        ),
        levers=levers,
    )


def refuse_misfit(plan: Plan, machine: Reading) -> None:
    """Raises WillNotFit where the weights alone are more than there is: such a run would only be killed."""
    load = next(one for one in plan.phases if one.name == "load")
    need = _most(Need(load.vram_gb, load.ram_gb), machine)
    if need > _memory_gb(machine):
        raise WillNotFit(
            f"{_place(machine)} has {_memory_gb(machine):.0f} GB of memory; "
            f"the model alone needs about {need:.0f} GB.",
            _smaller(plan.settings, plan.index, machine) or SMALLER_PRESET,
        )
    if load.ram_gb > machine.ram_total_gb:
        raise WillNotFit(
            f"This computer has {machine.ram_total_gb:.0f} GB of memory (RAM); "
            f"the blocks that wait in it need about {load.ram_gb:.0f} GB.",
            _smaller(plan.settings, plan.index, machine) or SMALLER_PRESET,
        )


def _own_rate(settings: RunSettings) -> tuple[str, ...]:
    """A note where the learning rate that was set is not used."""
    chosen = settings.optimization.optimizer
    if optimizers.row(chosen).fixed_lr is None:
        return ()
    return (f"The optimizer {chosen} finds its learning rate by itself; 'learning_rate' is not used.",)


def _already_finished(settings: RunSettings, folder: RunFolder, step: int, begins: bool) -> Problem:
    asked = settings.optimization
    if begins:
        return Problem(
            "adapter.init_lora_step",
            "init_lora_step",
            settings.adapter.init_lora_step,
            f"'{settings.adapter.init_lora}' has {step} steps behind it already, so none is left to do; "
            "count from 0 instead.",
            {"adapter.init_lora_step": 0},
        )
    key = "max_train_steps" if asked.max_train_steps else "num_train_epochs"
    return Problem(
        f"optimization.{key}",
        key,
        getattr(asked, key),
        f"The run in '{folder.path}' has already finished its {step} steps; raise '{key}' to go on, "
        "or choose another 'output_dir' to start afresh.",
    )


def _phases(
    settings: RunSettings, index: DatasetIndex, needs: dict[str, Need], num_steps: int, first_step: int
) -> tuple[Phase, ...]:
    names = sources.cache_names(settings)
    prompts = [(names.prompt_key(text),) for text in sources.texts(settings, index)]
    latents = [names.picture_keys(picture) for picture in index.encoded]
    work = {
        "text": (len(prompts), _num_cached(names.prompts, prompts)),
        "latents": (len(latents), _num_cached(names.latents, latents)),
        "train": (num_steps, first_step),
    }
    return tuple(
        Phase(name, title, *work.get(name, (0, 0)), **needs[name]._asdict()) for name, title in PHASES
    )


def _num_cached(folder: Path, entries: Sequence[tuple[str, ...]]) -> int:
    """Those of which all is there, by file name alone: whether a file is whole shows when it is read."""
    there = {path.stem for path in folder.glob("*/*.safetensors")}
    return sum(there.issuperset(keys) for keys in entries)


def _levers(levers: Levers, settings: RunSettings) -> tuple[str, ...]:
    """A note on what stays off the card, and on the blocks that must be computed twice for it."""
    said = words(levers, shape(settings).blocks)
    notes = [f"To fit the card: {said}."] if said else []
    if levers.streamed and not settings.memory.gradient_checkpointing:
        notes.append("Blocks that wait in the computer's memory are computed twice in any case.")
    if levers.text_by_layer:
        notes.append("T5-XXL is read layer by layer.")
    if levers.pictures_singly and not settings.memory.vae_enable_slicing:
        notes.append("Pictures are encoded one at a time.")
    return tuple(notes)


def _tight(
    settings: RunSettings, index: DatasetIndex, needs: dict[str, Need], machine: Reading
) -> tuple[str, ...]:
    """A note where the estimate is more than there is; it is too coarse to refuse the run for."""
    most = max(_most(need, machine) for need in needs.values())
    there = _memory_gb(machine)
    if most <= there:
        return ()
    advice = _smaller(settings, index, machine)
    text = f"{_place(machine)} has {there:.0f} GB of memory; this run may need about {most:.0f} GB."
    return (f"{text} {advice.text}" if advice else text,)


def _smaller(settings: RunSettings, index: DatasetIndex, machine: Reading) -> Advice | None:
    """The smallest change with which the run fits."""
    change = fitting.smallest_change(settings, index, machine)
    if change is None:
        return None
    said = ", ".join(f"'{path.rpartition('.')[2]}' {value}" for path, value in change.items())
    return Advice(f"It fits with {said}.", change)


def _most(need: Need, machine: Reading) -> float:
    return need.ram_gb if machine.vram_total_gb is None else need.vram_gb


def _memory_gb(machine: Reading) -> float:
    return machine.vram_total_gb or machine.ram_total_gb


def _place(machine: Reading) -> str:
    return f"The {machine.gpu_name}" if machine.gpu_name else "This computer, which has no NVIDIA card,"


def _check_model(settings: RunSettings) -> None:
    """A hub name is `owner/name`; anything else must be here: a folder, or the transformer's file."""
    transformer, _ = sources.transformer_place(settings)
    folders = [sources.model_place(settings), sources.vae_place(settings)]
    if not is_single_file(transformer):
        folders.append(transformer)
    elif not Path(transformer).is_file():
        raise ModelMissing(f"There is no model file '{transformer}'.", Advice("Check its path."))
    for place in folders:
        if _is_path(place) and not Path(place).is_dir():
            raise ModelMissing(
                f"There is no model folder '{place}'.",
                Advice(
                    "Give the folder that holds model_index.json, or a Hugging Face name such as owner/name."
                ),
            )


def _check_assistant(settings: RunSettings) -> None:
    place = sources.assistant_place(settings)
    if place and _is_path(place) and not Path(place).exists():
        raise ModelMissing(
            f"There is no assistant LoRA '{place}'.",
            Advice("Give its file, or a Hugging Face name, in 'assistant_lora_path'."),
            Advice("Train without an assistant.", {"adapter.disable_assistant_lora": True}),
        )


def _is_path(place: str) -> bool:
    """Rather than a hub name, which is `owner/name`."""
    return place.count("/") != 1 or "\\" in place or place[0] in "./~"


def _check_routes(settings: RunSettings) -> None:
    """TREAD's blocks exist in this very transformer."""
    config = settings.objective.tread_config
    if config is None:
        return
    try:
        routes.place(config, shape(settings).num_blocks)
    except routes.RoutesInvalid as wrong:
        change = {"objective.tread_config": wrong.mended} if wrong.mended else {}
        raise SettingsInvalid(
            Problem("objective.tread_config", "tread_config", config, str(wrong), change)
        ) from wrong
