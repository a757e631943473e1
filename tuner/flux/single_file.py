"""A FLUX.1 transformer in one .safetensors file: which rows of which tensor make what diffusers calls it.

Files come in the layout of black-forest-labs/flux, where query, key and value are one tensor, or in
diffusers' own; alone, or with text encoders and VAE beside it under names of their own, which are left alone
here. Weights in fp8 may have a scale next to them, as ComfyUI writes them. No torch needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from tuner.errors import Advice, ModelMissing
from tuner.flux.headers import Entry, entries

SUFFIX = ".safetensors"
_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "transformer.", "")
_SCALES = (".scale_weight", ".weight_scale")


@dataclass(frozen=True)
class Piece:
    """Rows `first` to before `last` of a tensor, all of it where `last` is None; `scale` multiplies them."""

    entry: Entry
    first: int = 0
    last: int | None = None
    scale: Entry | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        if self.last is None:
            return self.entry.shape
        return (self.last - self.first, *self.entry.shape[1:])


Pieces = Mapping[str, tuple[Piece, ...]]
"""By diffusers' name of a tensor: what is stacked to make it."""


class _Module(NamedTuple):
    """A module of ours in theirs; `spans` are rows in multiples of the width, -1 for the last one."""

    ours: str
    theirs: str
    spans: tuple[tuple[int, int], ...] = ()


_ROOT = (
    _Module("x_embedder", "img_in"),
    _Module("context_embedder", "txt_in"),
    *(
        _Module(f"time_text_embed.{ours}.linear_{number}", f"{theirs}.{layer}_layer")
        for ours, theirs in (
            ("timestep_embedder", "time_in"),
            ("guidance_embedder", "guidance_in"),
            ("text_embedder", "vector_in"),
        )
        for number, layer in ((1, "in"), (2, "out"))
    ),
    # BFL writes shift before scale, diffusers scale before shift.
    _Module("norm_out.linear", "final_layer.adaLN_modulation.1", ((1, 2), (0, 1))),
    _Module("proj_out", "final_layer.linear"),
)
_DOUBLE = (
    _Module("norm1.linear", "img_mod.lin"),
    _Module("norm1_context.linear", "txt_mod.lin"),
    *(
        _Module(f"attn.{ours}", f"{stream}_attn.qkv", ((number, number + 1),))
        for stream, names in (
            ("img", ("to_q", "to_k", "to_v")),
            ("txt", ("add_q_proj", "add_k_proj", "add_v_proj")),
        )
        for number, ours in enumerate(names)
    ),
    _Module("attn.to_out.0", "img_attn.proj"),
    _Module("attn.to_add_out", "txt_attn.proj"),
    *(
        _Module(f"{ours}.{ours_layer}", f"{theirs}.{layer}")
        for ours, theirs in (("ff", "img_mlp"), ("ff_context", "txt_mlp"))
        for ours_layer, layer in (("net.0.proj", 0), ("net.2", 2))
    ),
    _Module("attn.norm_q", "img_attn.norm.query_norm"),
    _Module("attn.norm_k", "img_attn.norm.key_norm"),
    _Module("attn.norm_added_q", "txt_attn.norm.query_norm"),
    _Module("attn.norm_added_k", "txt_attn.norm.key_norm"),
)
_SINGLE = (
    _Module("norm.linear", "modulation.lin"),
    _Module("attn.to_q", "linear1", ((0, 1),)),
    _Module("attn.to_k", "linear1", ((1, 2),)),
    _Module("attn.to_v", "linear1", ((2, 3),)),
    _Module("proj_mlp", "linear1", ((3, -1),)),
    _Module("proj_out", "linear2"),
    _Module("attn.norm_q", "norm.query_norm"),
    _Module("attn.norm_k", "norm.key_norm"),
)


_BLOCKS = (
    ("transformer_blocks", "double_blocks", _DOUBLE),
    ("single_transformer_blocks", "single_blocks", _SINGLE),
)


def is_single_file(place: str) -> bool:
    return place.endswith(SUFFIX)


def pieces(path: Path) -> dict[str, tuple[Piece, ...]]:
    """The transformer in a file, under diffusers' names; raises ModelMissing where the file holds none."""
    found = entries([path])
    prefix = next((one for one in _PREFIXES if _begins(found, one)), None)
    if prefix is None:
        raise ModelMissing(
            f"'{path}' holds no FLUX.1 transformer.",
            Advice("Choose a FLUX.1 checkpoint; a LoRA is given as 'init_lora'."),
        )
    own = {name[len(prefix) :]: entry for name, entry in found.items() if name.startswith(prefix)}
    if "img_in.weight" in own:
        return dict(_from_bfl(own))
    return {name: (Piece(entry, scale=_scale(own, name)),) for name, entry in own.items()}


def config(tensors: Pieces, path: Path) -> dict[str, Any]:
    """What FluxTransformer2DModel is built with, read off the sizes of its tensors."""
    try:
        width, num_in = _shape(tensors["x_embedder.weight"])
        head = next(_shape(one)[0] for name, one in tensors.items() if name.endswith(".attn.norm_q.weight"))
        num_out, text = _shape(tensors["proj_out.weight"])[0], _shape(tensors["context_embedder.weight"])[1]
        pooled = _shape(tensors["time_text_embed.text_embedder.linear_1.weight"])[1]
    except (KeyError, StopIteration) as error:
        raise ModelMissing(f"'{path}' holds only a part of a FLUX.1 transformer.") from error
    first_axis = min(16, head // 4)
    return {
        "in_channels": num_in,
        "out_channels": None if num_out == num_in else num_out,
        "num_layers": _count(tensors, "transformer_blocks."),
        "num_single_layers": _count(tensors, "single_transformer_blocks."),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": text,
        "pooled_projection_dim": pooled,
        "guidance_embeds": any(name.startswith("time_text_embed.guidance_embedder.") for name in tensors),
        # FLUX.1's own heads of 128 have (16, 56, 56), which cannot be read off any tensor.
        "axes_dims_rope": (first_axis, (head - first_axis) // 2, (head - first_axis) // 2),
    }


def bfl_layout(names: Iterable[str]) -> dict[str, tuple[tuple[str, bool], ...]]:
    """By BFL's name: diffusers' tensors of a transformer that are stacked to make it, in their order, each
    with whether its halves change places. Raises KeyError for a tensor that BFL's model does not have.
    """
    theirs = {module.ours: module for module in _modules_of(names)}
    stacked: dict[str, list[tuple[int, str, bool]]] = {}
    for name in names:
        ours, _, leaf = name.rpartition(".")
        module = theirs[ours]
        spans = module.spans or ((0, 0),)
        if ".norm." in f".{module.theirs}" and leaf == "weight":
            leaf = "scale"
        stacked.setdefault(f"{module.theirs}.{leaf}", []).append((spans[0][0], name, len(spans) > 1))
    return {
        name: tuple((ours, swapped) for _, ours, swapped in sorted(parts)) for name, parts in stacked.items()
    }


def _begins(found: Mapping[str, Entry], prefix: str) -> bool:
    return f"{prefix}img_in.weight" in found or f"{prefix}x_embedder.weight" in found


def _from_bfl(own: Mapping[str, Entry]) -> Iterator[tuple[str, tuple[Piece, ...]]]:
    width = own["img_in.weight"].shape[0]
    for module in _modules(own):
        for leaf, theirs in (("weight", "weight"), ("bias", "bias"), ("weight", "scale")):
            name = f"{module.theirs}.{theirs}"
            if name in own:
                whole = Piece(own[name], scale=_scale(own, name))
                yield f"{module.ours}.{leaf}", _cut(whole, module.spans, width)


def _modules(own: Iterable[str]) -> Iterator[_Module]:
    """Of a file with BFL's names."""
    return _all_modules(*(_count(own, f"{theirs}.") for _, theirs, _ in _BLOCKS))


def _modules_of(names: Iterable[str]) -> Iterator[_Module]:
    """Of a transformer with diffusers' names."""
    return _all_modules(*(_count(names, f"{ours}.") for ours, _, _ in _BLOCKS))


def _all_modules(*counts: int) -> Iterator[_Module]:
    yield from _ROOT
    for (ours, theirs, table), count in zip(_BLOCKS, counts, strict=True):
        for number in range(count):
            for module in table:
                yield _Module(
                    f"{ours}.{number}.{module.ours}", f"{theirs}.{number}.{module.theirs}", module.spans
                )


def _cut(whole: Piece, spans: tuple[tuple[int, int], ...], width: int) -> tuple[Piece, ...]:
    if not spans:
        return (whole,)
    num_rows = whole.entry.shape[0]
    return tuple(
        replace(whole, first=first * width, last=num_rows if last < 0 else last * width)
        for first, last in spans
    )


def _scale(own: Mapping[str, Entry], name: str) -> Entry | None:
    """ComfyUI's factor of an fp8 weight, one number a tensor."""
    if not name.endswith(".weight"):
        return None
    module = name.removesuffix(".weight")
    return next((own[module + ending] for ending in _SCALES if module + ending in own), None)


def _count(names: Iterable[str], start: str) -> int:
    numbers = {int(name[len(start) :].split(".")[0]) for name in names if name.startswith(start)}
    return max(numbers, default=-1) + 1


def _shape(stacked: tuple[Piece, ...]) -> tuple[int, ...]:
    rows = sum(piece.shape[0] for piece in stacked)
    return (rows, *stacked[0].shape[1:])
