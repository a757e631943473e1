"""The weight store: what is put comes back bit for bit, whole or not at all."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tuner.quantization import catalog, store, store_folder
from tuner.quantization.frozen import dequantized
from tuner.quantization.store import WeightStore

CPU = torch.device("cpu")
QUANTIZED = [row for row in catalog.PRECISIONS if row.quantize]
ORIGIN = {"source": "abc", "precision": "int8-quanto"}
TENSORS = {
    "codes": torch.arange(40, dtype=torch.uint8).view(5, 8),
    "scale": torch.linspace(-1, 1, 5).bfloat16(),
    "offset": torch.tensor(0.25),
    "shape": torch.tensor([5, 8]),
}
OTHERS = {"codes": torch.zeros(3, dtype=torch.uint8)}


@pytest.fixture(autouse=True)
def room_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "SPARE_BYTES", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "weights" / "int8"


def fill(folder: Path, origin: dict[str, str] = ORIGIN, **layers: dict[str, torch.Tensor]) -> None:
    with WeightStore(folder, origin) as made:
        for path, tensors in layers.items():
            assert made.get(path) is None
            made.put(path, tensors)


def found(folder: Path, path: str, origin: dict[str, str] = ORIGIN) -> dict[str, torch.Tensor] | None:
    with WeightStore(folder, origin) as opened:
        return opened.get(path)


def same(ours: dict[str, torch.Tensor] | None, theirs: dict[str, torch.Tensor]) -> bool:
    return (
        ours is not None
        and ours.keys() == theirs.keys()
        and all(ours[n].dtype == one.dtype and torch.equal(ours[n], one) for n, one in theirs.items())
    )


@pytest.mark.parametrize("row", QUANTIZED, ids=lambda row: row.name)
@pytest.mark.parametrize("shape", [(96, 256), (64, 320)], ids=str)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_every_precision_comes_back_bit_for_bit(
    row: catalog.Precision, shape: tuple[int, int], dtype: torch.dtype, folder: Path
) -> None:
    random = torch.Generator().manual_seed(1)
    weight, bias = torch.randn(shape, generator=random), torch.randn(shape[0], generator=random)
    layer = row.quantize(weight, bias, CPU, dtype)
    fill(folder, layer=layer.stored())
    again = row.restore(found(folder, "layer"), CPU, dtype)
    assert type(again) is type(layer) and torch.equal(dequantized(again), dequantized(layer))
    given = torch.randn(3, shape[1], generator=random).to(dtype).requires_grad_()
    ours, theirs = again(given), layer(given)
    assert torch.equal(ours, theirs) and again.weight.dtype == layer.weight.dtype
    assert not any(one.requires_grad for one in again.parameters())
    (gradient,) = torch.autograd.grad(ours.sum(), given)
    assert torch.equal(gradient, torch.autograd.grad(theirs.sum(), given)[0])
    plain = row.restore(row.quantize(weight, None, CPU, dtype).stored(), CPU, dtype)
    assert plain.bias is None and torch.equal(dequantized(plain), dequantized(layer))


def test_the_files_are_safetensors(folder: Path) -> None:
    fill(folder, first=TENSORS)
    assert same(load_file(folder / "first.safetensors"), TENSORS)


def test_layers_come_back_in_any_order(folder: Path) -> None:
    layers = {name: {"codes": torch.full((2,), n, dtype=torch.uint8)} for n, name in enumerate("abcdef")}
    fill(folder, **layers)
    with WeightStore(folder, ORIGIN) as opened:
        for name in "acfbbde":
            assert same(opened.get(name), layers[name]), name
        assert opened.get("unknown") is None


def test_another_origin_is_made_anew(folder: Path) -> None:
    fill(folder, first=TENSORS, second=TENSORS)
    changed = {**ORIGIN, "source": "changed"}
    assert found(folder, "first", changed) is None
    assert same(found(folder, "first"), TENSORS), "a run that put nothing leaves the old one"
    fill(folder, changed, first=OTHERS)
    assert same(found(folder, "first", changed), OTHERS) and found(folder, "first") is None
    assert sorted(path.name for path in folder.iterdir()) == ["first.safetensors", "manifest.json"]


def test_other_libraries_are_another_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    before = store.made_by()
    monkeypatch.setattr(store, "version", lambda name: "9.9")
    assert store.made_by() != before and store.made_by()["recipe"] == store.RECIPE


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"origin": 1, "layers": []}'])
def test_a_damaged_manifest_counts_as_none(folder: Path, damaged: str) -> None:
    fill(folder, first=TENSORS)
    (folder / "manifest.json").write_text(damaged)
    assert found(folder, "first") is None
    fill(folder, first=OTHERS)
    assert same(found(folder, "first"), OTHERS)


def bits(data: bytes) -> list[bytes]:
    """The file with one bit turned, at each of its bytes."""
    return [data[:n] + bytes([data[n] ^ 16]) + data[n + 1 :] for n in range(len(data))]


def test_every_turned_bit_is_noticed(folder: Path) -> None:
    fill(folder, first=TENSORS)
    path = folder / "first.safetensors"
    whole = path.read_bytes()
    for data in [b"", b"text", whole[:20], whole[:-1], bytes(len(whole)), *bits(whole)]:
        path.write_bytes(data)
        read = store._read(path)
        assert read is None or same(read, TENSORS), "only padding may be turned unnoticed"


def test_a_damaged_layer_is_replaced_alone(folder: Path) -> None:
    fill(folder, first=TENSORS, second=OTHERS)
    path = folder / "first.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with WeightStore(folder, ORIGIN) as opened:
        assert opened.get("first") is None and same(opened.get("second"), OTHERS)
        opened.put("first", TENSORS)
    assert same(found(folder, "first"), TENSORS) and same(found(folder, "second"), OTHERS)


def test_a_layer_that_came_later_is_found(folder: Path) -> None:
    fill(folder, first=TENSORS)
    with WeightStore(folder, ORIGIN) as opened:
        assert opened.get("second") is None
        opened.put("second", OTHERS)
    assert same(found(folder, "second"), OTHERS)


def test_an_error_leaves_nothing(folder: Path) -> None:
    with pytest.raises(ValueError, match="ended"), WeightStore(folder, ORIGIN) as made:
        made.put("first", TENSORS)
        raise ValueError("ended")
    assert not list(folder.parent.iterdir())


def test_what_a_dead_process_left_is_deleted(folder: Path) -> None:
    left = folder.with_name("int8.999999999.part")
    left.mkdir(parents=True)
    (left / "first.safetensors").write_bytes(b"half")
    assert found(folder, "first") is None and not left.exists()
    fill(folder, first=TENSORS)
    assert [path.name for path in folder.parent.iterdir()] == ["int8"]


def test_a_full_disk_is_told_and_costs_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store, "SPARE_BYTES", shutil.disk_usage(folder.anchor).total)
    fill(folder, first=TENSORS, second=OTHERS)
    assert caplog.text.count("not kept for the next start") == 1
    assert not list(folder.parent.iterdir()) and found(folder, "first") is None


def test_size_and_clearing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_folder.constants, "HF_HOME", str(tmp_path))
    assert store_folder.num_bytes() == 0
    store_folder.clear()
    fill(store_folder.folder() / "int8", first=TENSORS)
    files = [path for path in store_folder.folder().rglob("*") if path.is_file()]
    assert store_folder.num_bytes() == sum(path.stat().st_size for path in files) > 53
    assert json.loads((store_folder.folder() / "int8" / "manifest.json").read_text())["layers"] == ["first"]
    store_folder.clear()
    assert store_folder.num_bytes() == 0 and tmp_path.exists()
