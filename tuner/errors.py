"""What can go wrong, in words for the user: one sentence, and the next step as a change of settings.

TunerError
+-- SettingsInvalid      one or several settings are wrong                      exit code 2
+-- ConfigFileBroken     one of the five files cannot be read                   exit code 2
+-- EmptyDataset         no picture is left to train on                         exit code 2
+-- DatasetTooSmall      fewer pictures than one batch needs                    exit code 2
+-- ModelMissing         no model at the given place                            exit code 2
+-- ModelGated           the licence is not accepted, or nobody is logged in    exit code 2
+-- RunGoingOn           another run is going on, or just being started
+-- RunMissing           no run, or no checkpoint of it, at the given place     exit code 2
+-- CheckpointMismatch   a checkpoint that belongs to other settings            exit code 2
+-- WillNotFit           forecast larger than the machine                       exit code 2
+-- BackendMissing       a library is not installed
+-- OutOfVram            during the run
+-- OutOfRam
+-- DiskFull
+-- GpuLost              the driver gave up; the app must be restarted
+-- LossDiverged         the loss is not a number any more
+-- Unexpected           everything else: the traceback stands in the log
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Advice:
    """One next step. `change` maps dotted setting paths to new values, so that a button can apply it."""

    text: str
    change: Mapping[str, object] = field(default_factory=dict)


class TunerError(Exception):
    """The base of everything that is shown to the user; `message` is one plain sentence."""

    exit_code = 1

    def __init__(self, message: str, *advice: Advice) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return " ".join([self.message, *(a.text for a in self.advice)])


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one setting; `path` is dotted (`optimization.optimizer`), `key` as in the
    file.
    """

    path: str
    key: str
    value: object
    message: str
    change: Mapping[str, object] = field(default_factory=dict)


class SettingsInvalid(TunerError):
    """Carries all problems at once; the message joins their sentences. `notes` are what else there is to say
    about the files.
    """

    exit_code = 2

    def __init__(self, *problems: Problem, notes: tuple[str, ...] = ()) -> None:
        super().__init__(" ".join(p.message for p in problems))
        self.problems = problems
        self.notes = notes


class ConfigFileBroken(TunerError):
    exit_code = 2


class EmptyDataset(TunerError):
    exit_code = 2


class DatasetTooSmall(TunerError):
    exit_code = 2


class ModelMissing(TunerError):
    exit_code = 2


class ModelGated(TunerError):
    exit_code = 2


class RunGoingOn(TunerError):
    pass


class RunMissing(TunerError):
    exit_code = 2


class CheckpointMismatch(TunerError):
    exit_code = 2


class WillNotFit(TunerError):
    exit_code = 2


class BackendMissing(TunerError):
    pass


class OutOfVram(TunerError):
    pass


class OutOfRam(TunerError):
    pass


class DiskFull(TunerError):
    pass


class GpuLost(TunerError):
    pass


class LossDiverged(TunerError):
    pass


class Unexpected(TunerError):
    """A defect or something nobody foresaw; whoever catches it writes the traceback to the log."""


def explain(exception: BaseException) -> TunerError:
    """The one mapping of foreign exceptions to ours; an unknown one becomes `Unexpected`."""
    if isinstance(exception, TunerError):
        return exception
    for recognises, ours in _FOREIGN:
        if recognises(exception):
            return ours(exception)
    text = str(exception).splitlines()[0] if str(exception) else "no message"
    return Unexpected(f"Something unforeseen happened ({type(exception).__name__}: {text}).")


@contextmanager
def told(to: Callable[[TunerError], None]) -> Iterator[None]:
    """What goes wrong inside is told and goes no further: for the borders of threads and processes, above
    which nobody would hear it. The traceback of what nobody foresaw goes into the log.
    """
    try:
        yield
    except Exception as exception:  # noqa: BLE001 - one of the three places where errors become sentences
        error = explain(exception)
        if isinstance(error, Unexpected):
            log.exception("Something unforeseen happened.")
        # Its frames would keep alive what failed, a model perhaps.
        to(error.with_traceback(None))


_Test = Callable[[BaseException], bool]


def _says(*phrases: str) -> _Test:
    return lambda exception: any(phrase in str(exception).lower() for phrase in phrases)


def _named(*kinds: str) -> _Test:
    """By name, so that torch and the hub's library need not be imported."""
    return lambda exception: type(exception).__name__ in kinds


def _either(*tests: _Test) -> _Test:
    return lambda exception: any(test(exception) for test in tests)


def _a(*kinds: type[BaseException]) -> _Test:
    return lambda exception: isinstance(exception, kinds)


def _disk_is_full(exception: BaseException) -> bool:
    return isinstance(exception, OSError) and exception.errno in (errno.ENOSPC, errno.EDQUOT)


_FOREIGN: tuple[tuple[_Test, Callable[[BaseException], TunerError]], ...] = (
    (
        _either(_named("OutOfMemoryError"), _says("cuda out of memory")),
        lambda _: OutOfVram(
            "The graphics card ran out of memory.",
            Advice("Choose the next smaller preset, or train at 512 px.", {"dataset.resolution": 512}),
        ),
    ),
    (
        _either(_a(MemoryError), _says("defaultcpuallocator")),
        lambda _: OutOfRam(
            "The computer ran out of memory (RAM).",
            Advice("Close other programs or enlarge the page file, and start again."),
        ),
    ),
    (
        _disk_is_full,
        lambda _: DiskFull(
            "The disk is full.",
            Advice("Free some space and press Start again; nothing saved so far is lost."),
        ),
    ),
    (
        _says("no viable backend for scaled_dot_product_attention", "not supported for native flash"),
        lambda _: TunerError(
            "The chosen attention kernel cannot compute this on this computer.",
            Advice("Let PyTorch choose.", {"model.attention_mechanism": "diffusers"}),
        ),
    ),
    (
        _named("InductorError", "BackendCompilerFailed", "InvalidCxxCompiler", "TritonMissing"),
        lambda _: TunerError(
            "The model could not be compiled on this computer.",
            Advice("Train without compiling.", {"optimization.dynamo_backend": "no"}),
        ),
    ),
    (
        _says("cuda error", "cudnn_status", "cublas_status"),
        lambda _: GpuLost(
            "The graphics card stopped answering.",
            Advice("Restart the app; the run goes on from its last checkpoint."),
        ),
    ),
    (
        _either(_named("GatedRepoError"), _says("gated repo", "401 client error")),
        lambda _: ModelGated(
            "The model may only be downloaded by people who accepted its licence.",
            Advice("Accept it on its Hugging Face page, log in with `hf auth login`, and start again."),
        ),
    ),
    (
        _named(
            "RepositoryNotFoundError", "EntryNotFoundError", "LocalEntryNotFoundError", "OfflineModeIsEnabled"
        ),
        lambda _: ModelMissing(
            "The model was not found on this computer, and it could not be downloaded.",
            Advice("Give a folder that holds it, or check the name and the network."),
        ),
    ),
    (
        _a(ModuleNotFoundError),
        lambda exception: BackendMissing(
            f"The library '{getattr(exception, 'name', None)}' is not installed.",
            Advice("Run the installer once more (install.sh or install.bat)."),
        ),
    ),
    (
        _a(PermissionError),
        lambda exception: TunerError(
            f"'{getattr(exception, 'filename', None)}' may not be read or written by this user.",
            Advice("Change its permissions, or choose another folder."),
        ),
    ),
)
