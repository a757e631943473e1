"""Models on this computer, recognised by their headers alone: the files here are all header and holes."""

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from tuner.hub import found

BFL = {
    "img_in.weight": [3072, 64],
    "txt_in.weight": [3072, 4096],
    "vector_in.in_layer.weight": [3072, 768],
    "guidance_in.in_layer.weight": [3072, 256],
    "final_layer.linear.weight": [64, 3072],
    "double_blocks.0.img_attn.norm.query_norm.scale": [128],
}


def write(path: Path, shapes: dict[str, list[int]], dtype: str = "BF16") -> Path:
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 2
        for edge in shape:
            size *= edge
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    return path


def test_files_are_recognised_by_their_header(tmp_path) -> None:
    prefixed = {f"model.diffusion_model.{name}": shape for name, shape in BFL.items()}
    write(tmp_path / "a" / "flux1-krea-dev.safetensors", BFL)
    write(tmp_path / "b" / "checkpoint.safetensors", prefixed, dtype="F8_E4M3")
    write(tmp_path / "other.safetensors", {"model.weight": [4096, 4096]})
    schnell = {name: shape for name, shape in BFL.items() if not name.startswith("guidance")}
    write(tmp_path / "deep" / "er" / "flux1-schnell.safetensors", schnell)
    (tmp_path / "broken.safetensors").write_bytes(b"\0" * 5000)
    made = {Path(one.place).name: one for one in found.find([tmp_path], min_bytes=1000)}
    assert {name: (one.flavour, one.format, one.remark) for name, one in made.items()} == {
        "flux1-krea-dev.safetensors": ("krea", "bf16", ""),
        "checkpoint.safetensors": ("dev", "fp8", ""),
        "flux1-schnell.safetensors": ("schnell", "bf16", ""),
    }


def test_another_model_of_the_same_build_is_left_alone(tmp_path) -> None:
    assert found.look_at(write(tmp_path / "x.safetensors", {**BFL, "txt_in.weight": [3072, 15360]})) is None


def test_weights_that_cannot_be_read_are_said_so(tmp_path) -> None:
    one = found.look_at(write(tmp_path / "flux.safetensors", BFL, dtype="U8"))
    assert "U8" in one.remark


def test_a_folder_as_diffusers_writes_it(tmp_path) -> None:
    write(tmp_path / "FLUX.1-dev" / "transformer" / "d.safetensors", {"x.guidance_embedder.w": [1000, 1000]})
    (tmp_path / "FLUX.1-dev" / "model_index.json").write_text("{}", encoding="utf-8")
    (one,) = found.find([tmp_path])
    assert (one.place, one.flavour, one.format) == (str(tmp_path / "FLUX.1-dev"), "dev", "bf16")


def test_the_cache_of_hugging_face_is_looked_into(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert found.find([]) == ()
    repo = tmp_path / "models--black-forest-labs--FLUX.1-dev"
    snapshot = repo / "snapshots" / ("a" * 40) / "transformer"
    write(snapshot / "d.safetensors", {"x": [10, 10]})
    (snapshot / "config.json").write_text("{}", encoding="utf-8")
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("a" * 40, encoding="utf-8")
    (one,) = found.find([])
    assert (one.place, one.flavour) == ("black-forest-labs/FLUX.1-dev", "dev")


def test_time_is_limited(tmp_path) -> None:
    write(tmp_path / "flux.safetensors", BFL)
    assert found.find([tmp_path], seconds=-1, min_bytes=1000) == ()


def test_the_usual_folders_are_those_that_are_there(tmp_path) -> None:
    unet = tmp_path / "AI" / "ComfyUI" / "models" / "unet"
    own = tmp_path / "Own" / "models" / "checkpoints"
    for folder in (unet, own):
        folder.mkdir(parents=True)
    assert set(found.usual_folders([tmp_path / "Own"], home=tmp_path)) == {unet, own}


@pytest.mark.parametrize("name", ["FLUX1-KREA.safetensors", "my_krea_merge.safetensors"])
def test_the_name_tells_the_flavour(tmp_path, name) -> None:
    assert found.look_at(write(tmp_path / name, BFL)).flavour == "krea"
