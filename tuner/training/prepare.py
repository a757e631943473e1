"""Phase 3: the transformer with a fresh adapter inside, and its optimizer."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tuner.adapters.adapter import Adapter
from tuner.flux import routes
from tuner.flux.tread import Routing
from tuner.optimizers import catalog as optimizers
from tuner.optimizers import options
from tuner.plan.levers import ALL_THERE, Levers, asked
from tuner.plan.sizes import shape
from tuner.settings.run import RunSettings
from tuner.training import checkpointing, models
from tuner.training.assistant import attach_assistant
from tuner.training.attach import attach_adapter
from tuner.training.hardware import Hardware
from tuner.training.loop import Trainee
from tuner.training.rules import base_rate


@dataclass(frozen=True)
class Prepared:
    """What the train phase works on; `guidance_embeds`: whether the transformer takes a guidance value."""

    trainee: Trainee
    adapter: Adapter
    guidance_embeds: bool


def prepare(settings: RunSettings, hardware: Hardware, levers: Levers | None = None) -> Prepared:
    """Loads the transformer frozen, attaches the adapter, and builds the optimizer over it; without `levers`
    by those that the settings ask for.
    """
    levers = levers or asked(settings, shape(settings).blocks)
    transformer, adapter = load_with_adapter(settings, hardware, levers)
    attach_assistant(settings, transformer, hardware)
    if levers.checkpointed:
        backend = "unsloth" if levers.inputs_wait else "torch"
        checkpointing.enable(transformer, backend, levers.checkpointed)
    choice = settings.optimization
    if choice.dynamo_backend != "no":
        transformer.compile_repeated_blocks(backend=choice.dynamo_backend)
    optimizer = optimizers.build(
        choice.optimizer, adapter.parameters(), base_rate(settings), _options(settings)
    )
    dice = torch.Generator(hardware.device).manual_seed(seed(settings))
    routing = _routing(settings, transformer, hardware)
    trainee = Trainee(transformer, adapter.parameters(), optimizer, dice, adapter.disabled, routing)
    return Prepared(trainee, adapter, transformer.config.guidance_embeds)


def load_with_adapter(
    settings: RunSettings, hardware: Hardware, levers: Levers = ALL_THERE
) -> tuple[torch.nn.Module, Adapter]:
    """The frozen transformer with an untrained adapter inside: what training and previews share."""
    transformer = models.load_transformer(settings, hardware, levers)
    return transformer, attach_adapter(settings, transformer)


def _routing(settings: RunSettings, transformer: torch.nn.Module, hardware: Hardware) -> Routing | None:
    """TREAD with dice of its own; it wraps gradient checkpointing, so it comes after it."""
    config = settings.objective.tread_config
    if config is None:
        return None
    num_blocks = len(transformer.transformer_blocks) + len(transformer.single_transformer_blocks)
    dice = torch.Generator(hardware.device).manual_seed(seed(settings) + 2)
    return Routing(transformer, routes.place(config, num_blocks), dice)


def seed(settings: RunSettings) -> int:
    """The run's seed; 0 where none is given, so that a run can always be repeated."""
    return settings.optimization.seed or 0


def _options(settings: RunSettings) -> dict[str, object]:
    choice = settings.optimization
    given = options.parse(choice.optimizer_config)
    if choice.optimizer_beta1 is not None:
        given |= {"beta1": choice.optimizer_beta1, "beta2": choice.optimizer_beta2}
    return given
