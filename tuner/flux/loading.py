"""Loads one part of a model at a time, from a folder, the hub or a single file: one road for every FLUX."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from torch import Tensor, nn
from transformers import AutoTokenizer, CLIPTextModel, T5Config, T5EncoderModel
from transformers.utils.logging import disable_progress_bar

from tuner import machine
from tuner.errors import Advice, ModelMissing
from tuner.flux import single_file
from tuner.flux.by_layer import LayeredT5
from tuner.flux.headers import AGAIN, entries
from tuner.flux.modulation import Modulation, Row
from tuner.flux.single_file import Piece
from tuner.flux.targets import is_modulation
from tuner.flux.text import TextEncoders
from tuner.flux.weights import Change, Weights

log = logging.getLogger(__name__)
disable_progress_bar()

Place = Callable[[str, Tensor, Tensor | None], nn.Module]
"""(path of a linear layer, weight (out, in), bias (out,), as the file has them) -> the layer that takes its
place, where it is to stay.
"""
Stored = Callable[[str], nn.Module | None]
"""Path of a linear layer -> that layer, made before and kept; None where it has to be read and placed."""
_WEIGHTS = "diffusion_pytorch_model"
_LARGE_VALUES = 2**22


@dataclass(frozen=True)
class Source:
    """Where one part lies: a folder or hub name, and the subfolder in it (None for its root); or a file."""

    place: str
    subfolder: str | None
    revision: str | None = None
    variant: str | None = None


def transformer(
    source: Source,
    dtype: torch.dtype,
    device: torch.device,
    place: Place | None = None,
    evicts_modulation: bool = False,
    stored: Stored | None = None,
    change: Change | None = None,
) -> FluxTransformer2DModel:
    """The frozen transformer on `device`, in evaluation mode, read tensor by tensor, each through `change`.

    `place` makes each linear layer that is not `stored`, for instance a quantized one; the rest is kept in
    `dtype`. Where it `evicts_modulation`, the outputs of those layers come from a table (`modulation_of`).
    """
    config, weights = _open_transformer(source)
    weights = replace(weights, change=change)
    with torch.device("meta"):
        model = FluxTransformer2DModel.from_config(config)
    weights.require({name: tensor.shape for name, tensor in model.state_dict().items()})
    place = place or plain(dtype, device)
    for path, layer in list(linears(model)):
        if evicts_modulation and is_modulation(path):
            model.set_submodule(path, Row(layer.in_features, layer.out_features))
            continue
        made = stored(path) if stored else None
        if made is None:
            bias = weights.read(f"{path}.bias") if layer.bias is not None else None
            made = place(path, weights.read(f"{path}.weight"), bias)
        model.set_submodule(path, made)
        del made
        if layer.weight.numel() >= _LARGE_VALUES:
            machine.release_freed_memory()
    for name, parameter in list(model.named_parameters()):
        if parameter.is_meta:
            owner, _, leaf = name.rpartition(".")
            tensor = weights.read(name).to(device, dtype)
            setattr(model.get_submodule(owner), leaf, nn.Parameter(tensor, requires_grad=False))
    if evicts_modulation:
        Modulation(model, _unquantized(weights, plain(dtype, device)), device)
    return model.requires_grad_(False).eval()


def _unquantized(weights: Weights, place: Place) -> Callable[[str], nn.Module]:
    """path -> the linear layer as it stands in the files, read anew each time."""
    return lambda path: place(path, weights.read(f"{path}.weight"), weights.read(f"{path}.bias"))


def weight_files(source: Source) -> tuple[Path, ...]:
    """The files that hold the transformer's weights."""
    pieces = _open_transformer(source)[1].tensors.values()
    return tuple(sorted({piece.entry.path for stacked in pieces for piece in stacked}))


def originals(source: Source) -> Callable[[str], Tensor]:
    """module path -> its weight (out, in) in float32 as it stands in the transformer's files."""
    read = parameters(source)
    return lambda path: read(f"{path}.weight").float()


def parameters(source: Source) -> Callable[[str], Tensor]:
    """parameter's name -> its values as they stand in the transformer's files."""
    return _open_transformer(source)[1].read


def contents(source: Source) -> tuple[dict[str, Any], Weights]:
    """What the transformer's config.json says, and its weights, none of which is read yet."""
    return _open_transformer(source)


def plain(dtype: torch.dtype, device: torch.device) -> Place:
    """Places layers as they are."""

    def place(_: str, weight: Tensor, bias: Tensor | None) -> nn.Linear:
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
        layer.weight = nn.Parameter(weight.to(device, dtype), requires_grad=False)
        if bias is not None:
            layer.bias = nn.Parameter(bias.to(device, dtype), requires_grad=False)
        return layer

    return place


def linears(model: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    for path, layer in model.named_modules():
        if isinstance(layer, nn.Linear):
            yield path, layer


def vae(source: Source, dtype: torch.dtype, device: torch.device) -> AutoencoderKL:
    """The frozen VAE, in evaluation mode."""
    return _load(AutoencoderKL, source, dtype=dtype).requires_grad_(False).eval().to(device)


def text_encoders(
    source: Source,
    dtype: torch.dtype,
    device: torch.device,
    num_tokens: int,
    places: tuple[Place | None, Place | None] = (None, None),
    rows_by_layer: int | None = None,
) -> TextEncoders:
    """CLIP-L and T5-XXL of a whole model with their tokenizers, frozen; `places` make their linear layers.
    With `rows_by_layer` T5-XXL is read layer by layer at each call, and computes so many texts at a time.
    """

    def whole(kind: Any, part: str, place: Place | None) -> nn.Module:
        model = _load(kind, _part(source, part), dtype=dtype).requires_grad_(False).eval()
        if place is not None:
            _replace_linears(model, place)
        return model.to(device)

    clip, t5 = places
    first = whole(CLIPTextModel, "text_encoder", clip)
    if rows_by_layer is None:
        second = whole(T5EncoderModel, "text_encoder_2", t5)
    else:
        second = _layered(_part(source, "text_encoder_2"), dtype, device, t5, rows_by_layer)
    words = [_load(AutoTokenizer, _part(source, name)) for name in ("tokenizer", "tokenizer_2")]
    return TextEncoders(words[0], first, words[1], second, num_tokens)


def _layered(
    source: Source, dtype: torch.dtype, device: torch.device, place: Place | None, rows: int
) -> LayeredT5:
    config, weights = _open_folder(source, "model")
    place = place or plain(dtype, device)

    def fill(module: nn.Module, path: str) -> nn.Module:
        for inner, _ in list(linears(module)):
            name = f"{path}.{inner}"
            module.set_submodule(inner, place(name, weights.read(f"{name}.weight"), None))
        for name, parameter in list(module.named_parameters()):
            if parameter.is_meta:
                owner, _, leaf = name.rpartition(".")
                tensor = weights.read(f"{path}.{name}").to(device, dtype)
                setattr(module.get_submodule(owner), leaf, nn.Parameter(tensor, requires_grad=False))
        return module

    return LayeredT5(T5Config.from_dict(config), fill, rows).eval()


def scheduler_config(place: str, revision: str | None = None) -> dict[str, Any]:
    """The scheduler's settings, which say how previews shift their sigmas."""
    return dict(_load(FlowMatchEulerDiscreteScheduler, Source(place, "scheduler", revision)).config)


def _part(source: Source, name: str) -> Source:
    return Source(source.place, name, source.revision, source.variant)


def _replace_linears(model: nn.Module, place: Place) -> None:
    for path, layer in list(linears(model)):
        bias = None if layer.bias is None else layer.bias.data
        model.set_submodule(path, place(path, layer.weight.data, bias))


def _open_transformer(source: Source) -> tuple[dict[str, Any], Weights]:
    """The config and the weights, whatever the source is."""
    if single_file.is_single_file(source.place):
        path = Path(source.place)
        tensors = single_file.pieces(path)
        return single_file.config(tensors, path), Weights(tensors, source.place)
    return _open_folder(source, _WEIGHTS)


def _open_folder(source: Source, stem: str) -> tuple[dict[str, Any], Weights]:
    """The config and the weights of one part, whose files are called `stem`."""
    _check_folder(source)
    config = _read_json(_require(source, "config.json"))
    index = _fetch(source, ".".join(filter(None, (stem, "safetensors.index", source.variant, "json"))))
    if index is None:
        names = [".".join(filter(None, (stem, source.variant, "safetensors")))]
    else:
        names = sorted(set(_read_json(index)["weight_map"].values()))
    found = entries(_require(source, name) for name in names)
    return config, Weights({name: (Piece(entry),) for name, entry in found.items()}, source.place)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelMissing(f"The file '{path}' is damaged.", AGAIN) from error


def _require(source: Source, name: str) -> Path:
    path = _fetch(source, name)
    if path is None:
        raise _not_fetched(source, FileNotFoundError(f"there is no '{name}'"))
    return path


def _fetch(source: Source, name: str) -> Path | None:
    """A file of the part, downloaded where the place is a hub name; None where there is none."""
    folder = Path(source.place)
    if folder.is_dir():
        path = folder / (source.subfolder or "") / name
        return path if path.is_file() else None
    try:
        return Path(hf_hub_download(source.place, name, subfolder=source.subfolder, revision=source.revision))
    except EntryNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _not_fetched(source, error) from error


def _load(kind: Any, source: Source, **options: Any) -> Any:
    _check_folder(source)
    if source.variant and kind is not AutoTokenizer:
        options["variant"] = source.variant
    try:
        return kind.from_pretrained(
            source.place, subfolder=source.subfolder or "", revision=source.revision, **options
        )
    except (OSError, ValueError) as error:
        raise _not_fetched(source, error) from error


def _check_folder(source: Source) -> None:
    folder = Path(source.place) / (source.subfolder or "")
    if Path(source.place).exists() and not folder.is_dir():
        raise ModelMissing(
            f"'{source.place}' holds no folder '{source.subfolder}', so it is not a whole FLUX.1 model.",
            Advice("Choose the folder that holds model_index.json."),
        )
    if folder.is_dir():
        entries(folder.glob("*.safetensors"))  # a cut file is named before a library stumbles over it


def _not_fetched(source: Source, error: Exception) -> Exception:
    if Path(source.place).exists():
        return ModelMissing(
            f"The model part '{source.subfolder}' in '{source.place}' cannot be read ({_first_line(error)}).",
            Advice("Copy or download that folder again."),
        )
    if type(error).__name__ == "GatedRepoError" or "gated" in str(error).lower():
        return error
    return ModelMissing(
        f"The model '{source.place}' was not found on this computer and could not be fetched.",
        Advice(
            "Give a folder that holds it, or check its name, the network and the login (`hf auth login`)."
        ),
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
