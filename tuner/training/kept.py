"""The transformer's quantized layers from the weight store, or into it where it does not have them yet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from tuner.flux import loading
from tuner.flux.fingerprint import of_files
from tuner.quantization import store_folder
from tuner.quantization.catalog import precision
from tuner.quantization.frozen import FrozenLinear
from tuner.quantization.store import WeightStore, made_by

LEAST_BYTES = 10**9
"""A smaller model is quantized again each time: that takes a few seconds."""


@contextmanager
def kept(
    source: loading.Source,
    name: str,
    dtype: torch.dtype,
    place: loading.Place,
    there: Callable[[str], torch.device],
    quantized_on: torch.device,
) -> Iterator[tuple[loading.Place, loading.Stored | None]]:
    """What `loading.transformer` is given so that layers in the precision `name` come from the store, and
    those that `place` has to make are kept in it. `there` says where the layer at a path stays.
    """
    restore = precision(name).restore
    files = loading.weight_files(source) if restore else ()
    if restore is None or sum(one.stat().st_size for one in files) < LEAST_BYTES:
        yield place, None
        return
    origin = {
        "source": of_files(map(Path.resolve, files), Path(files[0].resolve().anchor)),
        "precision": name,
        "dtype": str(dtype),
        "quantized_on": quantized_on.type,
        **made_by(),
    }
    with WeightStore(store_folder.folder() / _name(source, name, dtype), origin) as store:

        def stored(path: str) -> torch.nn.Module | None:
            tensors = store.get(path)
            return None if tensors is None else restore(tensors, there(path), dtype)

        def placed(path: str, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.nn.Module:
            layer = place(path, weight, bias)
            if isinstance(layer, FrozenLinear):
                store.put(path, layer.stored())
            return layer

        yield placed, stored


def _name(source: loading.Source, name: str, dtype: torch.dtype) -> str:
    """One store a place and precision: what is made anew takes the place of what it was."""
    place = f"{source.place}\n{source.subfolder}\n{source.revision}\n{source.variant}\n{dtype}"
    return f"{name}-{hashlib.blake2b(place.encode(), digest_size=8).hexdigest()}"
