"""What of the transformer stays off the card, or is computed twice: the levers between memory and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.settings.run import RunSettings


@dataclass(frozen=True)
class Levers:
    """Blocks are named by their paths. None of this changes a result, but for rounding.

    `evicts`: modulation layers give their outputs from a table. `streamed`: blocks that wait in the
    computer's memory. `checkpointed`: blocks that are computed again in the backward pass, all streamed ones
    among them; `inputs_wait`: what those are computed from waits in the computer's memory. `text_by_layer`:
    T5-XXL is read layer by layer; `pictures_singly`: the VAE encodes one of a batch at a time.
    """

    evicts: bool = False
    streamed: tuple[str, ...] = ()
    checkpointed: tuple[str, ...] = ()
    inputs_wait: bool = False
    text_by_layer: bool = False
    pictures_singly: bool = False


ALL_THERE = Levers()


def asked(settings: RunSettings, blocks: Sequence[str]) -> Levers:
    """What the settings ask for themselves, before anything is left to the free memory."""
    memory = settings.memory
    number = len(blocks) if memory.enable_group_offload else memory.musubi_blocks_to_swap
    streamed = spread(blocks, number)
    every = memory.gradient_checkpointing_interval or 1
    chosen = {*streamed, *(blocks[::every] if memory.gradient_checkpointing else ())}
    return Levers(
        memory.modulation_eviction == "always",
        streamed,
        tuple(block for block in blocks if block in chosen),
        memory.gradient_checkpointing_backend == "unsloth",
        memory.text_encoder_streaming == "always",
        memory.vae_enable_slicing,
    )


def spread(blocks: Sequence[str], number: int) -> tuple[str, ...]:
    """`number` of the blocks, or all, evenly spread: each copy has resident blocks to hide behind."""
    number = min(number, len(blocks))
    return tuple(blocks[(2 * n + 1) * len(blocks) // (2 * number)] for n in range(number))


def words(levers: Levers, blocks: Sequence[str]) -> str:
    """In the user's words, as the end of a sentence; "" where everything is on the card."""
    said = []
    if levers.evicts:
        said.append("the modulation layers off the card")
    if levers.streamed:
        said.append(f"{len(levers.streamed)} of {len(blocks)} blocks in the computer's memory")
    if 0 < len(levers.checkpointed) < len(blocks):
        said.append(f"{len(blocks) - len(levers.checkpointed)} of {len(blocks)} blocks not computed twice")
    if levers.inputs_wait:
        said.append("what blocks are computed from in the computer's memory")
    return ", ".join(said)
