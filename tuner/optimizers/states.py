"""An optimizer's state as plain tensors and JSON, and back bit for bit, as a checkpoint keeps it.

A state_dict is a tree: bitsandbytes nests its tensors, and optimi keeps its step in the parameter groups.
So the tree is kept whole, with the name of a tensor wherever there was one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tuner.errors import Advice, CheckpointMismatch
from tuner.optimizers.averaging import Averaging

_TENSOR, _TUPLE, _NUMBERED = (
    "tensor:",
    "tuple:",
    "numbered:",
)  # the only key of a mapping that stands for another thing


def pack(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Copies of all tensors on the CPU under their paths, and the rest as values that survive JSON."""
    tensors: dict[str, Tensor] = {}
    return tensors, {"kind": _kind(optimizer), "tree": _pack(optimizer.state_dict(), "", tensors)}


def unpack(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], rest: Mapping[str, Any]) -> None:
    """Puts a packed state into `optimizer`; raises CheckpointMismatch if another kind wrote it."""
    state = _unpack(rest["tree"], tensors)
    saved, here = _num_tensors(state["param_groups"]), _num_tensors(optimizer.param_groups)
    if (rest["kind"], saved) != (_kind(optimizer), here):
        raise CheckpointMismatch(
            f"The checkpoint was made with the optimizer '{rest['kind']}' over {saved} tensors, "
            f"and this run has '{_kind(optimizer)}' over {here}.",
            Advice("Go on with the settings that the checkpoint was made with, or start a new run."),
        )
    optimizer.load_state_dict(state)
    _keep_formats(optimizer, state)
    if isinstance(optimizer, Averaging):
        optimizer.show_training_point()


def _keep_formats(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """torch casts states to the number format of their parameter; here they get their own back."""
    saved = [index for group in state["param_groups"] for index in group["params"]]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, p in zip(saved, parameters, strict=True):
        for key, value in state["state"].get(index, {}).items():
            if isinstance(value, Tensor) and optimizer.state[p][key].dtype != value.dtype:
                optimizer.state[p][key] = value.to(optimizer.state[p][key].device)


def _num_tensors(groups: list[dict[str, Any]]) -> int:
    return sum(len(group["params"]) for group in groups)


def _kind(optimizer: torch.optim.Optimizer) -> str:
    return f"{type(optimizer).__module__.split('.')[0]}.{type(optimizer).__name__}"


def _pack(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        tensors[path] = value.detach().cpu().contiguous().clone()
        return {_TENSOR: path}
    if isinstance(value, dict):
        packed = {
            str(key): _pack(entry, f"{path}/{key}" if path else str(key), tensors)
            for key, entry in value.items()
        }
        return {_NUMBERED: packed} if any(isinstance(key, int) for key in value) else packed
    if isinstance(value, (list, tuple)):
        items = [_pack(entry, f"{path}/{index}", tensors) for index, entry in enumerate(value)]
        return items if isinstance(value, list) else {_TUPLE: items}
    return value


def _unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_unpack(entry, tensors) for entry in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        return tensors[value[_TENSOR]]
    if _TUPLE in value:
        return tuple(_unpack(entry, tensors) for entry in value[_TUPLE])
    if _NUMBERED in value:
        return {int(key): _unpack(entry, tensors) for key, entry in value[_NUMBERED].items()}
    return {key: _unpack(entry, tensors) for key, entry in value.items()}
