"""The exported file acts as the adapter was trained, and is there whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from lycoris.wrapper import LycorisNetwork, create_lycoris_from_weights
from safetensors import safe_open
from safetensors.torch import load_file

from tests.export.adapters import (
    adapter_tensors,
    effect,
    linear_names,
    output,
    tiny_transformer,
    write_adapter,
)
from tests.export.algorithms import RECIPES, inputs, make
from tuner.errors import DiskFull, TunerError
from tuner.export.write import export
from tuner.flux.targets import TARGETS

TO_Q = "transformer.transformer_blocks.0.attn.to_q"


@pytest.fixture(scope="module")
def transformer() -> FluxTransformer2DModel:
    return tiny_transformer()


@pytest.fixture
def small(transformer: FluxTransformer2DModel, tmp_path: Path) -> Path:
    """An adapter file of four modules."""
    modules = linear_names(transformer, ("attn.to_q",))
    return write_adapter(tmp_path / "source.safetensors", adapter_tensors(transformer, modules, (2.0,)))


def read_by_diffusers(path: Path) -> torch.Tensor:
    """The effect of a file on the output, after diffusers' own load_lora_weights."""
    transformer = tiny_transformer()
    before = output(transformer)
    pipeline(transformer).load_lora_weights(path)
    return output(transformer) - before


def pipeline(transformer: FluxTransformer2DModel) -> FluxPipeline:
    return FluxPipeline(
        FlowMatchEulerDiscreteScheduler(),
        vae=None,
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
        transformer=transformer,
    )


def error_of(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return ((actual - expected).norm() / expected.norm()).item()


CASES: dict[str, tuple[tuple[str, ...], tuple[float, ...], tuple[int, ...]]] = {
    "all": (TARGETS["all"], (4.0,), (4,)),
    "all+ffs, alpha other than rank": (TARGETS["all+ffs"], (1.0,), (4,)),
    "every layer": (("",), (6.0,), (4,)),
    "an alpha and a rank for each": (TARGETS["context+ffs"], (0.5, 8.0, 3.0), (4, 3)),
    "an alpha and a rank for each, with the last layer": (("",), (0.5, 8.0, 3.0), (4, 3, 2, 5)),
}


@pytest.mark.parametrize("dialect", ["comfyui", "diffusers"])
@pytest.mark.parametrize("case", CASES)
def test_diffusers_reads_the_trained_effect(
    case: str, dialect: str, transformer: FluxTransformer2DModel, tmp_path: Path
) -> None:
    endings, alphas, ranks = CASES[case]
    tensors = adapter_tensors(transformer, linear_names(transformer, endings), alphas, ranks)
    source = write_adapter(tmp_path / "source.safetensors", tensors)
    report = export(source, tmp_path / "out.safetensors", dialect)
    assert error_of(read_by_diffusers(report.path), effect(transformer, tensors)) < 5e-5


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-5), ("float16", 1e-3), ("bfloat16", 1e-2)])
def test_number_formats(
    dtype: str, bound: float, transformer: FluxTransformer2DModel, tmp_path: Path
) -> None:
    tensors = adapter_tensors(transformer, linear_names(transformer, TARGETS["all"]), (3.0,))
    source = write_adapter(tmp_path / "source.safetensors", tensors)
    written = load_file(export(source, tmp_path / "out.safetensors", dtype=dtype).path)
    for key, value in written.items():
        assert value.dtype == (torch.float32 if key.endswith(".alpha") else getattr(torch, dtype))
    wide = {key: value.float() for key, value in written.items()}
    assert error_of(effect(transformer, wide), effect(transformer, tensors)) < bound


def test_float32_keeps_every_bit_and_the_source(small: Path, tmp_path: Path) -> None:
    before = small.read_bytes()
    report = export(small, tmp_path / "out.safetensors")
    source, written = load_file(small), load_file(report.path)
    assert source.keys() == written.keys() and report.num_tensors == len(written) == 12
    assert all(torch.equal(source[key], written[key]) for key in source)
    assert small.read_bytes() == before


def test_the_header(small: Path, tmp_path: Path) -> None:
    about = {"modelspec.title": "Äpfel", "ss_network_dim": "999"}
    with safe_open(export(small, tmp_path / "out.safetensors", metadata=about).path, "pt") as file:
        header = file.metadata()
    digest = hashlib.sha256(body_of(tmp_path / "out.safetensors")).hexdigest()
    assert header == {
        "sshs_model_hash": digest,
        "modelspec.hash_sha256": f"0x{digest}",
        "modelspec.title": "Äpfel",
        "ss_network_dim": "4",
        "ss_network_alpha": "2",
        "fluxtuner.algorithms": "LoRA",
        "fluxtuner.dialect": "comfyui",
        "format": "pt",
    }


def body_of(path: Path) -> bytes:
    data = path.read_bytes()
    return data[8 + int.from_bytes(data[:8], "little") :]


def test_diffusers_dialect_says_that_the_scale_is_inside(small: Path, tmp_path: Path) -> None:
    path = export(small, tmp_path / "out.safetensors", "diffusers").path
    assert not any(key.endswith(".alpha") for key in load_file(path))
    with safe_open(path, "pt") as file:
        assert file.metadata()["ss_network_alpha"] == file.metadata()["ss_network_dim"] == "4"


def test_nothing_is_overwritten(small: Path, tmp_path: Path) -> None:
    target = tmp_path / "sks.v1.safetensors"
    target.write_bytes(b"precious")
    paths = [export(small, target).path for _ in range(2)]
    assert [path.name for path in paths] == ["sks.v1-2.safetensors", "sks.v1-3.safetensors"]
    assert target.read_bytes() == b"precious"


NAMES = ["no-ending", "wrong.bin", "a:b.safetensors", "a\\b.safetensors", "what?.safetensors"]


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_name_is_a_sentence(name: str, small: Path, tmp_path: Path) -> None:
    with pytest.raises(TunerError, match="cannot be the name of an export"):
        export(small, tmp_path / name)


def test_a_name_with_a_slash_is_a_sentence(small: Path, tmp_path: Path) -> None:
    with pytest.raises(TunerError, match="does not exist.*without a slash"):
        export(small, tmp_path / "mine/sks.safetensors")
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, DiskFull, "is full"),
        (errno.EROFS, TunerError, "may not be written to"),
        (errno.EACCES, TunerError, "may not be written to"),
        (errno.EIO, TunerError, "could not be written"),
    ],
)
def test_a_disk_that_fails_half_way(
    number: int,
    kind: type[TunerError],
    words: str,
    small: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "loras"
    folder.mkdir()

    def fail(descriptor: int) -> None:
        os.ftruncate(descriptor, 100)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(kind, match=words):
        export(small, folder / "out.safetensors")
    assert list(folder.iterdir()) == []


def test_a_disk_that_forgets_is_noticed(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "loras"
    folder.mkdir()

    def flip(descriptor: int) -> None:
        os.lseek(descriptor, -3, os.SEEK_END)
        os.write(descriptor, b"\x01")

    monkeypatch.setattr(os, "fsync", flip)
    with pytest.raises(TunerError, match="does not keep what is written"):
        export(small, folder / "out.safetensors")
    assert list(folder.iterdir()) == []


def test_a_killed_export_leaves_nothing_under_the_final_name(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "loras"
    folder.mkdir()
    code = (
        "import os, sys; from pathlib import Path; from tuner.export.write import export\n"
        "os.replace = lambda *_: os._exit(9)\n"
        "export(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, str(small), str(folder / "out.safetensors")]
    assert subprocess.run(command, check=False).returncode == 9
    assert list(folder.glob("*.safetensors")) == []
    assert export(small, folder / "out.safetensors").path.name == "out.safetensors"
    assert [path.name for path in folder.iterdir()] == ["out.safetensors"]


CUT_OFF = """
import os, resource, signal, sys
from pathlib import Path
import torch
from tuner.export.place import copy
from tuner.export.write import export
torch.set_num_threads(1)
source, folder, ready = map(Path, sys.argv[1:])
size = ready.stat().st_size
to = folder / "out.safetensors"
for deed in (lambda: export(source, to), lambda: copy(ready, to)):
    for limit in (0, 1, 8, 9, 500, size // 2, size - 1):
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            deed()
            os._exit(0)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGXFSZ, limit
        assert not list(folder.glob("*.safetensors")), limit
"""


@pytest.mark.skipif(os.name != "posix", reason="Windows kills no program at a byte")
def test_a_program_killed_at_any_byte_leaves_nothing_under_the_final_name(
    small: Path, tmp_path: Path
) -> None:
    ready = export(small, tmp_path / "ready.safetensors").path
    folder = tmp_path / "loras"
    folder.mkdir()
    command = [sys.executable, "-c", CUT_OFF, str(small), str(folder), str(ready)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def _without_alpha(tensors: dict[str, Any]) -> None:
    del tensors[f"{TO_Q}.alpha"]


def _stray(tensors: dict[str, Any]) -> None:
    tensors["lycoris_transformer_blocks_0_attn_to_q.hada_w1_a"] = torch.zeros(64, 4)


def _misshapen(tensors: dict[str, Any]) -> None:
    tensors[f"{TO_Q}.lora_B.weight"] = torch.zeros(64, 7)


def _infinite(tensors: dict[str, Any]) -> None:
    tensors[f"{TO_Q}.lora_B.weight"][0, 0] = float("nan")


@pytest.mark.parametrize("harm", [_without_alpha, _stray, _misshapen, _infinite, dict.clear])
def test_a_damaged_adapter_is_refused(harm: Any, small: Path, tmp_path: Path) -> None:
    tensors = load_file(small)
    harm(tensors)
    write_adapter(small, tensors)
    with pytest.raises(TunerError, match="is damaged"):
        export(small, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_a_cut_or_missing_source_is_a_sentence(small: Path, tmp_path: Path) -> None:
    small.write_bytes(small.read_bytes()[:-1])
    for source in (small, tmp_path / "none.safetensors"):
        with pytest.raises(TunerError, match="cannot be read"):
            export(source, tmp_path / "out.safetensors")


def test_a_module_unknown_to_comfyui_is_refused(small: Path, tmp_path: Path) -> None:
    tensors = load_file(small)
    renamed = {
        key.replace("transformer_blocks.1", "transformer_blocks.38"): value for key, value in tensors.items()
    }
    write_adapter(small, renamed)
    with pytest.raises(TunerError, match="would leave out 2 of 4 trained layers"):
        export(small, tmp_path / "out.safetensors")


def test_float16_that_overflows_is_refused(small: Path, tmp_path: Path) -> None:
    tensors = load_file(small)
    tensors[f"{TO_Q}.lora_B.weight"][0, 0] = 1e5
    write_adapter(small, tensors)
    with pytest.raises(TunerError, match="too large for float16"):
        export(small, tmp_path / "out.safetensors", dtype="float16")
    export(small, tmp_path / "out.safetensors", dtype="bfloat16")


def test_a_header_too_large_is_refused(small: Path, tmp_path: Path) -> None:
    with pytest.raises(TunerError, match="over 1 MiB"):
        export(small, tmp_path / "out.safetensors", metadata={"modelspec.thumbnail": "x" * 1_100_000})
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("choice", [{"dialect": "civitai"}, {"dtype": "int8"}])
def test_an_unknown_choice_is_a_sentence(choice: dict[str, str], small: Path, tmp_path: Path) -> None:
    with pytest.raises(TunerError, match="Choose one of"):
        export(small, tmp_path / "out.safetensors", **choice)


@pytest.mark.parametrize("name", ["DoRA", "LoCon, DoRA by rows"])
def test_diffusers_reads_dora(name: str, tmp_path: Path) -> None:
    made = make(RECIPES[name], tmp_path)
    report = export(made.path, tmp_path / "out.safetensors", "diffusers")
    transformer = tiny_transformer(num_blocks=1)
    transformer.load_state_dict(made.parameters)
    pipeline(transformer).load_lora_weights(report.path)
    for module, wanted in made.effects.items():
        layer = transformer.get_submodule(module)
        x = inputs(layer.in_features)
        with torch.no_grad():
            got = layer(x) - layer.base_layer(x)
        assert error_of(got, wanted) < 1e-5


@pytest.mark.parametrize("name", ["LoKr", "LoKr whole", "LoKr, both decomposed"])
def test_lycoris_reads_lokr(name: str, tmp_path: Path) -> None:
    made = make(RECIPES[name], tmp_path)
    report = export(made.path, tmp_path / "out.safetensors", base=made.parameters.get)
    transformer = tiny_transformer(num_blocks=1)
    transformer.load_state_dict(made.parameters)
    LycorisNetwork.LORA_PREFIX = "lycoris"
    with torch.no_grad():
        network, _ = create_lycoris_from_weights(1.0, str(report.path), transformer)
        answers = {
            module: transformer.get_submodule(module)(x_of(transformer, module)) for module in made.effects
        }
        network.apply_to()
        for module, wanted in made.effects.items():
            got = transformer.get_submodule(module)(x_of(transformer, module)) - answers[module]
            assert error_of(got, wanted) < 1e-5


def x_of(transformer: torch.nn.Module, module: str) -> torch.Tensor:
    return inputs(transformer.get_submodule(module).in_features)
