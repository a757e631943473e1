"""LoRA files of other programs: which layer of FLUX.1 each of their keys belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tuner.errors import Advice, CheckpointMismatch
from tuner.export import names

A, B = "lora_A.weight", "lora_B.weight"
_OTHER_WORDS: Mapping[str, str] = {
    "lora_A.default.weight": A,
    "lora_B.default.weight": B,
    "lora_down.weight": A,
    "lora_up.weight": B,
    "lora.down.weight": A,
    "lora.up.weight": B,
    "lora_magnitude_vector.weight": "lora_magnitude_vector",
    "lora_magnitude_vector.default.weight": "lora_magnitude_vector",
}
_OUR_WORDS = (
    *(A, B, "alpha", "dora_scale", "lora_magnitude_vector"),
    *("lora_A_init.weight", "lora_B_init.weight"),
)
LYCORIS_WORDS = (
    *("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"),
    *("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b"),
    *("a1.weight", "a2.weight", "b1.weight", "b2.weight", "oft_blocks", "rescale"),
)
_LYCORIS_OWN_WORDS = ("weight", "on_input", "diff", "diff_b")
"""Which mean this only under LyCORIS' own names."""
_DOTTED = ("transformer.", "diffusion_model.", "model.diffusion_model.", "base_model.model.transformer.")
_DOTTED_BARE = ("base_model.model.", "unet.", "")
_FLAT = ("lora_unet_", "lora_transformer_", "lycoris_")
_TEXT_ENCODERS = ("lora_te", "text_encoder", "lora_text_encoder", "te1.", "te2.", "conditioner.")


@dataclass(frozen=True)
class Place:
    """Where a key leads: one layer by diffusers' name, or several that are one matrix for BFL, in the order
    of its rows. `native`: by BFL's name, so rows stand in BFL's order.
    """

    modules: tuple[str, ...]
    suffix: str
    native: bool = False

    @property
    def fused(self) -> bool:
        return len(self.modules) > 1


def place(key: str) -> Place | None:
    """None for a key of no layer, or with words that no LoRA and no LyCORIS has."""
    own = _LYCORIS_OWN_WORDS if key.startswith("lycoris_") else ()
    for word in sorted((*_OTHER_WORDS, *_OUR_WORDS, *LYCORIS_WORDS, *own), key=len, reverse=True):
        if key.endswith(f".{word}"):
            found = _stem(key.removesuffix(f".{word}"))
            return None if found is None else Place(found[0], _OTHER_WORDS.get(word, word), found[1])
    return None


def of_text_encoders(key: str) -> bool:
    """What they learned has no use here, where they stay as they are."""
    return key.startswith(_TEXT_ENCODERS)


def places(keys: Iterable[str], file: Path) -> dict[str, Place]:
    """Of every key but those of text encoders; CheckpointMismatch where one leads nowhere."""
    found = {key: place(key) for key in keys if not of_text_encoders(key)}
    strange = sorted(key for key, one in found.items() if one is None)
    if strange:
        raise CheckpointMismatch(
            f"'{file}' holds {len(strange)} of {len(found)} keys that no layer of FLUX.1 has, the first is "
            f"'{strange[0]}'.",
            Advice("Start from a LoRA for FLUX.1.", {"adapter.init_lora": None}),
        )
    return {key: one for key, one in found.items() if one is not None}


def rank(shapes: Mapping[str, tuple[int, ...]], file: Path) -> int:
    """Of the LoRA whose tensors have these shapes, the largest of any layer; 0 where there is none.

    In a fused matrix, each of its parts may have a rank of its own: kohya's layout of a LoRA that was trained
    on separate layers.
    """
    found = {one: shapes[key][0] for key, one in places(shapes, file).items() if one.suffix == A}
    alone = [number for one, number in found.items() if not one.fused]
    fused = [(number, len(one.modules)) for one, number in found.items() if one.fused]
    each = {number // parts if number % parts == 0 else number for number, parts in fused}
    if len(each) == 1 and (set(alone) == each if alone else len(set(fused)) > 1):
        return each.pop()
    return max((*alone, *(number for number, _ in fused)), default=0)


def _stem(stem: str) -> tuple[tuple[str, ...], bool] | None:
    for prefix in (*_DOTTED, *_DOTTED_BARE):
        if stem.startswith(prefix) and (found := _dotted().get(stem.removeprefix(prefix))):
            return found
    for prefix in _FLAT:
        if stem.startswith(prefix) and (found := _flat().get(stem.removeprefix(prefix))):
            return found
    return None


@cache
def _dotted() -> dict[str, tuple[tuple[str, ...], bool]]:
    """By diffusers' names and by BFL's."""
    native: dict[str, list[str]] = {}
    for module in sorted(names.modules(), key=lambda one: names.native_of(one).rows or (0, 0)):
        native.setdefault(names.native_of(module).name, []).append(module)
    fused = {name: (tuple(modules), True) for name, modules in native.items()}
    return {**fused, **{module: ((module,), False) for module in names.modules()}}


@cache
def _flat() -> dict[str, tuple[tuple[str, ...], bool]]:
    return {name.replace(".", "_"): found for name, found in _dotted().items()}
