from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tuner.dataset.cache import CacheDamaged, TensorCache

KEY = "abcdef"
TENSORS = {
    "mean": torch.arange(24, dtype=torch.float32).view(2, 3, 4),
    "pooled": torch.linspace(-1, 1, 7).to(torch.bfloat16),
    "alpha": torch.tensor(3.0),
}


@pytest.fixture
def cache(tmp_path: Path) -> TensorCache:
    return TensorCache(tmp_path / "cache")


def entry(cache: TensorCache) -> Path:
    (path,) = [path for path in cache.folder.rglob("*") if path.is_file()]
    return path


def test_what_goes_in_comes_out(cache: TensorCache) -> None:
    assert not cache.has(KEY)
    cache.put(KEY, TENSORS)
    assert cache.has(KEY)
    back = cache.get(KEY)
    assert back.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert back[name].dtype == tensor.dtype and torch.equal(back[name], tensor)
    assert entry(cache) == cache.folder / "ab" / "abcdef.safetensors"


def test_views_and_shared_memory(cache: TensorCache) -> None:
    base = torch.arange(12.0).view(3, 4)
    cache.put(KEY, {"turned": base.T, "row": base[1], "again": base[1]})
    assert torch.equal(cache.get(KEY)["turned"], base.T)
    assert torch.equal(cache.get(KEY)["again"], base[1])


def test_a_second_put_replaces(cache: TensorCache) -> None:
    cache.put(KEY, {"x": torch.zeros(3)})
    cache.put(KEY, {"x": torch.ones(3)})
    assert torch.equal(cache.get(KEY)["x"], torch.ones(3))


def damages() -> dict[str, object]:
    def flipped(data: bytes) -> bytes:
        return data[:-10] + bytes([data[-10] ^ 1]) + data[-9:]

    return {
        "empty": lambda data: b"",
        "cut in the header": lambda data: data[:20],
        "cut in the data": lambda data: data[:-5],
        "longer": lambda data: data + b"x",
        "zeros": lambda data: bytes(len(data)),
        "text": lambda data: b"hello " * 20,
        "one bit": flipped,
    }


@pytest.mark.parametrize("damage", damages())
def test_a_damaged_entry_counts_as_missing_and_is_made_again(cache: TensorCache, damage: str) -> None:
    cache.put(KEY, TENSORS)
    path = entry(cache)
    path.write_bytes(damages()[damage](path.read_bytes()))  # type: ignore[operator]
    assert not cache.has(KEY)
    cache.put(KEY, TENSORS)
    assert cache.has(KEY)


def test_a_foreign_file_without_a_checksum_counts_as_missing(cache: TensorCache) -> None:
    from safetensors.torch import save_file

    (cache.folder / "ab").mkdir(parents=True)
    save_file(TENSORS, cache.folder / "ab" / f"{KEY}.safetensors")
    assert not cache.has(KEY)


def test_reading_what_is_not_there(cache: TensorCache) -> None:
    with pytest.raises(KeyError):
        cache.get(KEY)


def test_reading_what_was_damaged_during_the_run(cache: TensorCache) -> None:
    cache.put(KEY, TENSORS)
    path = entry(cache)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CacheDamaged, match=KEY):
        cache.get(KEY)
    assert not path.exists()


def test_a_write_that_fails_leaves_the_old_entry(cache: TensorCache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.put(KEY, {"x": torch.zeros(3)})

    def half_written(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tuner.dataset.cache.save_file", half_written)
    with pytest.raises(OSError, match="No space"):
        cache.put(KEY, {"x": torch.ones(3)})
    assert torch.equal(cache.get(KEY)["x"], torch.zeros(3))
    assert entry(cache).suffix == ".safetensors"


def test_what_is_expected_is_read_before_it_is_asked_for(cache: TensorCache) -> None:
    cache.put(KEY, TENSORS)
    cache.expect([KEY, KEY, "nowhere"])
    cache._expected[KEY].result()
    entry(cache).unlink()
    assert torch.equal(cache.get(KEY)["mean"], TENSORS["mean"]), "it was in memory"
    for key in (KEY, "nowhere"):
        with pytest.raises(KeyError):
            cache.get(key)


def test_what_is_put_after_it_was_expected_is_what_comes(cache: TensorCache) -> None:
    cache.put(KEY, {"x": torch.zeros(3)})
    cache.expect([KEY])
    cache.put(KEY, {"x": torch.ones(3)})
    assert torch.equal(cache.get(KEY)["x"], torch.ones(3))


def test_entries_are_read_whole_and_not_mapped(cache: TensorCache) -> None:
    cache.put(KEY, TENSORS)
    read = cache.get(KEY)
    entry(cache).write_bytes(b"")
    assert torch.equal(read["mean"], TENSORS["mean"])
