"""ComfyUI's nodes and links, and the two forms in which it keeps a graph of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

_TABLE = """
UNETLoader | unet_name weight_dtype | MODEL
DualCLIPLoader | clip_name1 clip_name2 type device | CLIP
VAELoader | vae_name | VAE
LoraLoaderModelOnly | model:MODEL lora_name strength_model | MODEL
ModelSamplingFlux | model:MODEL max_shift base_shift width height | MODEL
CLIPTextEncode | clip:CLIP text | CONDITIONING
FluxGuidance | conditioning:CONDITIONING guidance | CONDITIONING
LoadImage | image upload= | IMAGE MASK
FluxKontextImageScale | image:IMAGE | IMAGE
VAEEncode | pixels:IMAGE vae:VAE | LATENT
ReferenceLatent | conditioning:CONDITIONING latent:LATENT | CONDITIONING
EmptySD3LatentImage | width height batch_size | LATENT
RandomNoise | noise_seed control_after_generate= | NOISE
DisableNoise | | NOISE
KSamplerSelect | sampler_name | SAMPLER
BasicScheduler | model:MODEL scheduler steps denoise | SIGMAS
SplitSigmas | sigmas:SIGMAS step | SIGMAS*2
BasicGuider | model:MODEL conditioning:CONDITIONING | GUIDER
CFGGuider | model:MODEL positive:CONDITIONING negative:CONDITIONING cfg | GUIDER
SamplerCustomAdvanced | noise:NOISE guider:GUIDER sampler:SAMPLER sigmas:SIGMAS latent_image:LATENT | LATENT*2
VAEDecode | samples:LATENT vae:VAE | IMAGE
SaveImage | images:IMAGE filename_prefix |
"""
"""Class, inputs, outputs. An input with a type is a link, one without is a widget, in the order of the page;
one that ends in = belongs to the page alone. `LATENT*2` are two outputs.
"""
_OUTPUT_NAMES = {
    "SplitSigmas": ("high_sigmas", "low_sigmas"),
    "SamplerCustomAdvanced": ("output", "denoised_output"),
}
_WIDTH, _COLUMN, _ROW, _HEAD, _GAP = 315, 360, 26, 60, 40  # px on the canvas


class Output(NamedTuple):
    """What a link begins at."""

    node: int
    slot: int = 0


@dataclass(frozen=True)
class Node:
    """`inputs` are values of widgets, or `Output`s."""

    id: int
    kind: str
    inputs: Mapping[str, Any]


class Canvas:
    """Nodes in the order in which they were put there, so that each stands behind those that it reads."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def add(self, kind: str, **inputs: Any) -> Output:
        """-> its first output"""
        wanted = {name.rstrip("=") for name, _ in _inputs(kind)}
        if wanted != inputs.keys():
            raise ValueError(f"{kind} takes {sorted(wanted)}, not {sorted(inputs)}")
        self.nodes.append(Node(len(self.nodes) + 1, kind, inputs))
        return Output(len(self.nodes))


def api_form(nodes: Sequence[Node]) -> dict[str, Any]:
    """What a server is asked to draw."""
    return {
        str(node.id): {
            "class_type": node.kind,
            "inputs": {
                name: _api_value(node.inputs[name])
                for name, _ in _inputs(node.kind)
                if not name.endswith("=")
            },
        }
        for node in nodes
    }


def ui_form(nodes: Sequence[Node]) -> dict[str, Any]:
    """What the page opens and saves."""
    links = _links(nodes)
    return {
        "last_node_id": len(nodes),
        "last_link_id": len(links),
        "nodes": [_ui_node(node, links, place) for node, place in zip(nodes, _places(nodes), strict=True)],
        "links": links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def _each(outputs: Sequence[str]) -> tuple[str, ...]:
    """`LATENT*2` stands for two of them."""
    return tuple(one.split("*")[0] for one in outputs for _ in range(int((one + "*1").split("*")[1])))


def _rows() -> dict[str, tuple[tuple[tuple[str, str], ...], tuple[str, ...]]]:
    found = {}
    for line in _TABLE.strip().splitlines():
        kind, inputs, outputs = (part.split() for part in line.split("|"))
        pairs = (one.partition(":") for one in inputs)
        found[kind[0]] = (tuple((name, link) for name, _, link in pairs), _each(outputs))
    return found


_ROWS = _rows()


def _inputs(kind: str) -> tuple[tuple[str, str], ...]:
    """(name, type of the link, or "" for a widget)"""
    return _ROWS[kind][0]


def _api_value(value: Any) -> Any:
    return [str(value.node), value.slot] if isinstance(value, Output) else value


def _links(nodes: Sequence[Node]) -> list[list[Any]]:
    """[id, from node, from slot, to node, to slot, type]"""
    found: list[list[Any]] = []
    for node in nodes:
        slots = [(name, link) for name, link in _inputs(node.kind) if link]
        for slot, (name, link) in enumerate(slots):
            source = node.inputs[name]
            found.append([len(found) + 1, source.node, source.slot, node.id, slot, link])
    return found


def _ui_node(node: Node, links: Sequence[Sequence[Any]], place: tuple[int, int]) -> dict[str, Any]:
    inputs, outputs = _ROWS[node.kind]
    incoming = {link[4]: link[0] for link in links if link[3] == node.id}
    slots = [(name, link) for name, link in inputs if link]
    widgets = [node.inputs[name.rstrip("=")] for name, link in inputs if not link]
    names = _OUTPUT_NAMES.get(node.kind, outputs)
    return {
        "id": node.id,
        "type": node.kind,
        "pos": list(place),
        "size": [_WIDTH, _height(node)],
        "flags": {},
        "order": node.id - 1,
        "mode": 0,
        "inputs": [
            {"name": name, "type": link, "link": incoming[slot]} for slot, (name, link) in enumerate(slots)
        ],
        "outputs": [
            {
                "name": names[slot],
                "type": link,
                "links": [one[0] for one in links if one[1:3] == [node.id, slot]],
                "slot_index": slot,
            }
            for slot, link in enumerate(outputs)
        ],
        "properties": {"Node name for S&R": node.kind},
        "widgets_values": widgets,
    }


def _height(node: Node) -> int:
    inputs, outputs = _ROWS[node.kind]
    return _HEAD + _ROW * (len(inputs) + len(outputs)) + (100 if node.kind == "CLIPTextEncode" else 0)


def _places(nodes: Sequence[Node]) -> list[tuple[int, int]]:
    """A column for each distance from the first nodes."""
    depth: dict[int, int] = {}
    filled: dict[int, int] = {}
    found = []
    for node in nodes:
        sources = [one.node for one in node.inputs.values() if isinstance(one, Output)]
        column = depth[node.id] = max((depth[one] + 1 for one in sources), default=0)
        found.append((column * _COLUMN, filled.get(column, 0)))
        filled[column] = filled.get(column, 0) + _height(node) + _GAP
    return found
