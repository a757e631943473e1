"""Frozen blocks kept in host memory and copied to the card just ahead of their turn: a ring of slots there.

Frozen weights only ever travel one way. A block that is computed again in the backward pass is copied again,
so streamed blocks have to be checkpointed: the first pass keeps nothing of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

NUM_SLOTS = 2
"""One block is computed while the next one arrives."""
_LEAST_BYTES = 1 << 16
"""Smaller tensors (biases, scales, norms) stay on the card: they cost little there and many copies here."""
_ALIGNMENT = 256
_LEAST_PIECE_BYTES = 1 << 24


@dataclass(frozen=True)
class _Leaf:
    """One plain tensor inside a block: `owner.name`, and where it lies in the block's flat bytes."""

    owner: Any
    name: str
    like: Tensor  # on the meta device: shape, dtype
    start: int

    def bytes_in(self, flat: Tensor) -> Tensor:
        piece = flat[self.start : self.start + self.like.nbytes]
        return piece.view(self.like.dtype).view(self.like.shape)

    def point_at(self, flat: Tensor) -> None:
        setattr(self.owner, self.name, self.bytes_in(flat))


class Streaming:
    """The ring. Blocks come frozen, in host memory or on `device`; afterwards they can be called as before.

    What trains in them (adapters) stays where it is, and may be put in before or after.
    """

    def __init__(self, blocks: Sequence[nn.Module], device: torch.device) -> None:
        self._device = device
        leaves = [list(_leaves(block)) for block in blocks]
        size = max((_size(one) for one in leaves), default=0)
        count = min(NUM_SLOTS, len(blocks))
        self._slots = [torch.empty(size, dtype=torch.uint8, device=device) for _ in range(count)]
        self._holds: list[int | None] = [None] * count
        on_card = device.type == "cuda"
        self._copying: Any = torch.cuda.Stream(device) if on_card else None
        self._arrived = [torch.cuda.Event() if on_card else None for _ in range(count)]
        self._at = 0
        self._host = []
        for number, (block, large) in enumerate(zip(blocks, leaves, strict=True)):
            self._host.append(_to_host(large, device))
            for leaf in large:
                leaf.point_at(self._slots[number % count])
            _bring_small(block, device)
            _wrap_again(block)
            block.register_forward_pre_hook(partial(self._enter, number))
            for layer in block.modules():
                layer._bring_weights = partial(self._bring, number)  # for `bring`

    @property
    def host_bytes(self) -> int:
        return sum(piece.nbytes for pieces in self._host for piece in pieces)

    @property
    def slot_bytes(self) -> int:
        return sum(slot.nbytes for slot in self._slots)

    def _enter(self, number: int, *_: object) -> None:
        """The block is about to be computed: waits for its weights and sends for those of the next one."""
        self._bring(number)
        following = self._following(number)
        self._at = number
        if following is not None and following % len(self._slots) != number % len(self._slots):
            self._fetch(following)

    def _bring(self, number: int) -> None:
        self._fetch(number)
        event = self._arrived[number % len(self._slots)]
        if event is not None:
            torch.cuda.current_stream(self._device).wait_event(event)

    def _following(self, number: int) -> int | None:
        """Upwards in a forward pass, downwards while blocks are computed again for the backward pass."""
        last = len(self._host) - 1
        upwards = number > self._at or number == 0
        if upwards and number == last:
            return None if torch.is_grad_enabled() else 0
        return number + 1 if upwards else number - 1

    def _fetch(self, number: int) -> None:
        index = number % len(self._slots)
        if self._holds[index] == number:
            return
        self._holds[index] = number
        slot, arrived = self._slots[index], self._arrived[index]
        if arrived is None:
            self._copy(number, slot)
            return
        # What was computed so far may still read this slot: the copy waits for that, and for nothing later.
        self._copying.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._copying):
            self._copy(number, slot)
            arrived.record()

    def _copy(self, number: int, slot: Tensor) -> None:
        start = 0
        for piece in self._host[number]:
            slot[start : start + piece.nbytes].copy_(piece, non_blocking=True)
            start += piece.nbytes


def bring(layer: nn.Module) -> None:
    """Has the weights of a layer on the card, for those who look at them outside of a forward pass."""
    fetch = getattr(layer, "_bring_weights", None)
    if fetch is not None:
        fetch()


def _leaves(block: nn.Module) -> Iterator[_Leaf]:
    start = 0
    for owner, name, tensor in _plain_tensors(block):
        if tensor.nbytes >= _LEAST_BYTES:
            yield _Leaf(owner, name, torch.empty_like(tensor, device="meta"), start)
            start += -(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT


def _plain_tensors(block: nn.Module) -> Iterator[tuple[Any, str, Tensor]]:
    """(owner, attribute, tensor) of every frozen parameter, through the shells of quantized ones."""
    for parameter in block.parameters():
        if not parameter.requires_grad:
            yield from _inside(parameter, parameter, "data")


def _inside(tensor: Any, owner: Any, name: str) -> Iterator[tuple[Any, str, Tensor]]:
    if hasattr(tensor, "__tensor_flatten__"):
        for inner in tensor.__tensor_flatten__()[0]:
            yield from _inside(getattr(tensor, inner), tensor, inner)
    else:
        yield owner, name, tensor.data


def _size(leaves: Sequence[_Leaf]) -> int:
    return leaves[-1].start + leaves[-1].like.nbytes if leaves else 0


def _to_host(leaves: Sequence[_Leaf], device: torch.device) -> list[Tensor]:
    """A block's large weights as flat bytes in host memory, page-locked for a card."""
    flat = torch.empty(_size(leaves), dtype=torch.uint8)
    for leaf in leaves:
        leaf.bytes_in(flat).copy_(getattr(leaf.owner, leaf.name))
    return [piece.pin_memory() for piece in pieces(flat)] if device.type == "cuda" else [flat]


def pieces(flat: Tensor) -> Iterator[Tensor]:
    """Pieces in sizes of powers of two, to which page-locked memory is rounded up: a whole block could take
    twice its size.
    """
    start = 0
    while start < flat.nbytes:
        left = flat.nbytes - start
        size = left if left < _LEAST_PIECE_BYTES else 1 << (left.bit_length() - 1)
        yield flat[start : start + size]
        start += size


def _bring_small(block: nn.Module, device: torch.device) -> None:
    for owner, name, tensor in _plain_tensors(block):
        if tensor.device != device:
            setattr(owner, name, tensor.to(device))
    for parameter in block.parameters():
        if hasattr(parameter, "quant_state"):  # bitsandbytes keeps a weight's scales beside it
            parameter.quant_state.to(device)


def _wrap_again(block: nn.Module) -> None:
    """The shells of quantized weights keep the device that they were made on: they get new ones."""
    for layer in block.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            if hasattr(parameter, "__tensor_flatten__"):
                setattr(layer, name, nn.Parameter(_rebuilt(parameter), requires_grad=False))


def _rebuilt(tensor: Any) -> Any:
    if not hasattr(tensor, "__tensor_flatten__"):
        return tensor
    names, about = tensor.__tensor_flatten__()
    inner = {name: _rebuilt(getattr(tensor, name)) for name in names}
    return type(tensor).__tensor_unflatten__(inner, about, tensor.size(), tensor.stride())
