"""What can go wrong, in words for the user: one sentence, and the next step as a change of settings.

TunerError
+-- SettingsInvalid      one or several settings are wrong                      exit code 2
+-- ConfigFileBroken     one of the five files cannot be read                   exit code 2
+-- EmptyDataset         no picture is left to train on                         exit code 2
+-- DatasetTooSmall      fewer pictures than one batch needs                    exit code 2
+-- ModelMissing         no model at the given place                            exit code 2
+-- ModelGated           the licence is not accepted, or nobody is logged in    exit code 2
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
from collections.abc import Mapping
from dataclasses import dataclass, field


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
    """Carries all problems at once; the message joins their sentences."""

    exit_code = 2

    def __init__(self, *problems: Problem) -> None:
        super().__init__(" ".join(p.message for p in problems))
        self.problems = problems


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
    """The one mapping of foreign exceptions to ours; torch is recognised by name, so that it need not be
    imported.
    """
    if isinstance(exception, TunerError):
        return exception
    text, kind = str(exception), type(exception).__name__
    lowered = text.lower()
    if kind == "OutOfMemoryError" or "cuda out of memory" in lowered:
        return OutOfVram(
            "The graphics card ran out of memory.",
            Advice("Choose the next smaller preset, or train at 512 px.", {"dataset.resolution": 512}),
        )
    if isinstance(exception, MemoryError) or "defaultcpuallocator" in lowered:
        return OutOfRam(
            "The computer ran out of memory (RAM).",
            Advice("Close other programs or enlarge the page file, and start again."),
        )
    if isinstance(exception, OSError) and exception.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            "The disk is full.",
            Advice("Free some space and press Start again; nothing saved so far is lost."),
        )
    if "cuda error" in lowered or "cudnn_status" in lowered or "cublas_status" in lowered:
        return GpuLost(
            "The graphics card stopped answering.",
            Advice("Restart the app; the run goes on from its last checkpoint."),
        )
    if kind in ("GatedRepoError",) or "gated repo" in lowered or "401 client error" in lowered:
        return ModelGated(
            "The model may only be downloaded by people who accepted its licence.",
            Advice(
                "Accept the licence on its Hugging Face page, log in with `hf auth login`, and start again."
            ),
        )
    if kind in (
        "RepositoryNotFoundError",
        "EntryNotFoundError",
        "LocalEntryNotFoundError",
        "OfflineModeIsEnabled",
    ):
        return ModelMissing(
            "The model was not found on this computer, and it could not be downloaded.",
            Advice("Give a folder that holds it, or check the name and the network."),
        )
    if isinstance(exception, ModuleNotFoundError):
        return BackendMissing(
            f"The library '{exception.name}' is not installed.",
            Advice("Run the installer once more (install.sh or install.bat)."),
        )
    if isinstance(exception, PermissionError):
        return TunerError(
            f"'{exception.filename}' may not be read or written by this user.",
            Advice("Change its permissions, or choose another folder."),
        )
    return Unexpected(
        f"Something unforeseen happened ({kind}: {text.splitlines()[0] if text else 'no message'})."
    )
