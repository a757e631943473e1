"""Real messages of other libraries, and the sentence that a user reads instead."""

import errno

import pytest

from tuner import errors


def test_what_goes_wrong_is_told_without_its_frames(caplog) -> None:
    heard: list[errors.TunerError] = []
    with errors.told(heard.append):
        raise errors.DiskFull("The disk is full.")
    assert [str(one) for one in heard] == ["The disk is full."]
    assert heard[0].__traceback__ is None and not caplog.records
    with errors.told(heard.append):
        raise ValueError("odd")
    assert isinstance(heard[1], errors.Unexpected)
    assert caplog.records[0].exc_info is not None
    with pytest.raises(KeyboardInterrupt), errors.told(heard.append):
        raise KeyboardInterrupt


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


class InvalidCxxCompiler(RuntimeError):
    """Named as torch names its own."""


class GatedRepoError(OSError):
    """Named as huggingface_hub names its own."""


TABLE = [
    (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), errors.OutOfVram),
    (
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 9.77 GiB total capacity)"),
        errors.OutOfVram,
    ),
    (MemoryError(), errors.OutOfRam),
    (
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 56 bytes."),
        errors.OutOfRam,
    ),
    (OSError(errno.ENOSPC, "No space left on device"), errors.DiskFull),
    (RuntimeError("No viable backend for scaled_dot_product_attention was found."), errors.TunerError),
    (ValueError("`attn_mask` is not supported for native flash attention"), errors.TunerError),
    (
        InvalidCxxCompiler("No working C++ compiler found in torch._inductor.config.cpp.cxx"),
        errors.TunerError,
    ),
    (RuntimeError("CUDA error: an illegal memory access was encountered"), errors.GpuLost),
    (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), errors.GpuLost),
    (GatedRepoError("403 Client Error. Cannot access gated repo for url ..."), errors.ModelGated),
    (ModuleNotFoundError("No module named 'bitsandbytes'", name="bitsandbytes"), errors.BackendMissing),
    (PermissionError(errno.EACCES, "Permission denied", "/data/runs"), errors.TunerError),
    (ZeroDivisionError("division by zero"), errors.Unexpected),
]


@pytest.mark.parametrize(
    ("foreign", "kind"), TABLE, ids=lambda value: getattr(value, "__name__", str(value)[:30])
)
def test_a_foreign_exception_becomes_a_sentence(foreign: Exception, kind: type[errors.TunerError]) -> None:
    ours = errors.explain(foreign)
    assert type(ours) is kind
    assert ours.message.endswith(".") and "\n" not in ours.message
    assert kind is errors.Unexpected or ours.advice or "Traceback" not in str(ours)


def test_our_own_errors_stay_what_they_are() -> None:
    own = errors.EmptyDataset("There are no pictures.")
    assert errors.explain(own) is own


def test_the_libraries_names_are_still_the_ones_that_are_looked_for() -> None:
    hub = pytest.importorskip("huggingface_hub.errors")
    torch = pytest.importorskip("torch")
    assert torch.OutOfMemoryError.__name__ == OutOfMemoryError.__name__
    for name in (
        "GatedRepoError",
        "RepositoryNotFoundError",
        "EntryNotFoundError",
        "LocalEntryNotFoundError",
    ):
        assert hasattr(hub, name)


def test_wrong_settings_and_files_end_with_exit_code_2_and_failures_with_1() -> None:
    two = (errors.SettingsInvalid, errors.ConfigFileBroken, errors.EmptyDataset, errors.ModelMissing)
    assert {kind.exit_code for kind in two} == {2}
    assert {kind.exit_code for kind in (errors.OutOfVram, errors.DiskFull, errors.Unexpected)} == {1}
