"""The recipe in progress: five files on the disk, so that it survives a reload, another tab and a restart."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tuner import files, machine, presets
from tuner.dataset import scan
from tuner.dataset.doctor import Finding
from tuner.dataset.index import DatasetIndex
from tuner.dataset.scan import Scanned
from tuner.errors import Advice, TunerError
from tuner.files.run_folder import RunFolder
from tuner.plan import make
from tuner.plan.phases import Plan
from tuner.settings.run import RunSettings
from tuner.ui import wording
from tuner.ui.keeping import kept
from tuner.ui.looking import Looking
from tuner.ui.own_presets import OwnPresets, checked, ready_made

MARK = "preset.txt"


class Draft:
    """What the next run will be, and its pictures.

    `root` holds `runs`; `recommended` names a preset; `report` shows a trouble on the page.
    """

    def __init__(
        self, root: Path, recommended: Callable[[], str], report: Callable[[TunerError], None]
    ) -> None:
        self.folder = root / ".tmp" / "draft"
        self.own_presets = OwnPresets(root / "my-presets")
        self._root = root
        self._recommended, self._report = recommended, report
        self._lock = threading.RLock()
        self._settings: RunSettings | None = None
        self.looking = Looking(self._looked)
        self.num_looks = 0
        self._born, self._num_changes = time.time_ns(), 0

    @property
    def stamp(self) -> str:
        """Changes with every change of the recipe or its pictures."""
        return f"{self._born}.{self._num_changes}"

    @property
    def settings(self) -> RunSettings:
        with self._lock:
            if self._settings is None:
                if not self._is_begun:
                    self.choose(self._recommended())
                self._settings = self._load()
            return self._settings

    def _load(self) -> RunSettings:
        """A recipe that cannot be read, perhaps of another version, is put aside and said so."""
        try:
            return files.load_all(self.folder).settings
        except TunerError as error:
            aside = self.folder.with_name(f"draft-{time.time_ns()}")
            self.folder.rename(aside)
            self.choose(self._recommended())
            self._report(TunerError(wording.put_aside(aside), Advice(str(error))))
            return files.load_all(self.folder).settings

    @property
    def preset(self) -> str:
        """The name of the preset that the recipe began with; the recommended one where that is gone."""
        with self._lock:
            name = (self.folder / MARK).read_text(encoding="utf-8") if self._is_begun else ""
            return name if name in self.preset_names else self._recommended()

    @property
    def preset_names(self) -> tuple[str, ...]:
        return (*ready_made(), *self.own_presets.names())

    @property
    def preset_settings(self) -> RunSettings:
        """What the chosen preset itself says, to show what differs from it."""
        return self._settings_of(self.preset)

    def _settings_of(self, preset: str) -> RunSettings:
        if preset not in self.preset_names:
            raise TunerError(f"There is no preset '{preset}'; there are {', '.join(self.preset_names)}.")
        is_ready = preset in ready_made()
        return presets.settings_of(preset) if is_ready else self.own_presets.settings_of(preset)

    def choose(self, preset: str) -> None:
        """Begin the recipe anew with this preset; what is the user's own stays. Raises TunerError."""
        after = self._settings_of(preset)
        with self._lock:
            own = kept(self.settings, self.preset_settings, after) if self._is_begun else {}
            name = self.name if self._is_begun and self._is_named else self._free_name(preset)
            files.save_all(files.changed(after, self._named(name) | own), self.folder)
            (self.folder / MARK).write_text(preset, encoding="utf-8")
            self._settings = None
            self._num_changes += 1

    def save_preset(self, name: str) -> str:
        """Keep the recipe as a preset of the user's own, which it has begun with from now on."""
        with self._lock:
            name = self.own_presets.save(name, self.settings, self.preset_settings)
            (self.folder / MARK).write_text(name, encoding="utf-8")
            self._num_changes += 1
            return name

    def delete_preset(self, name: str) -> None:
        """One of the user's own; the recipe stays as it is."""
        self.own_presets.delete(name)
        self._num_changes += 1

    @property
    def _is_named(self) -> bool:
        """By the user, rather than after the preset."""
        return re.sub(r"-\d+$", "", self.name) != self.preset

    @property
    def _is_begun(self) -> bool:
        return (self.folder / MARK).is_file()

    def change(self, change: Mapping[str, object]) -> None:
        """Change settings of the recipe by dotted path; all of them or, with a TunerError, none."""
        with self._lock:
            settings = files.changed(self.settings, change)
            files.save_all(settings, self.folder)
            self._settings = settings
            self._num_changes += 1

    @property
    def name(self) -> str:
        """The name of the next run."""
        return Path(self.settings.saving.output_dir).name

    def suggest_name(self, name: str) -> None:
        """A name for the run where the user gave it none; letters that no folder can have are left out."""
        name = re.sub(r"[\\/:*?\"<>|\x00-\x1f]", "", name).strip(" .")
        if name and not self._is_named:
            self.rename(self._free_name(name))

    def begin_next(self) -> None:
        """Another LoRA by the same recipe: neither the name nor the trigger word of the last one."""
        self.rename(self._free_name(self.preset))
        self.use_trigger(self.preset_settings.trigger)

    def rename(self, name: str) -> None:
        before = Path(self.settings.saving.output_dir)
        self.change(self._named(checked(name)))
        after = Path(self.settings.saving.output_dir)
        if before != after and before.is_dir() and not _holds_a_run(before) and not after.exists():
            before.rename(after)

    def _named(self, name: str) -> dict[str, object]:
        here = self._root.resolve() == Path.cwd()
        folder = Path("runs") / name if here else self._root / "runs" / name
        return {"saving.output_dir": folder.as_posix(), "saving.tracker_run_name": name}

    def _free_name(self, wanted: str) -> str:
        """`practice`, then `practice-2` …"""
        stem, name, number = re.sub(r"-\d+$", "", wanted), wanted, 1
        while _holds_a_run(self._root / "runs" / name):
            name = stem if number == 1 else f"{stem}-{number}"
            number += 1
        return name

    @property
    def pictures_folder(self) -> str:
        """The folder of the first dataset, as it is written in the recipe."""
        return self.settings.active_datasets[0].instance_data_dir

    def use_folder(self, folder: str) -> None:
        first = self.settings.active_datasets[0]
        self.change({f"datasets.{first.id}.instance_data_dir": folder})

    def caption_by(self, strategy: str) -> None:
        """`textfile`: from text files beside the pictures; `instanceprompt`: the trigger word alone."""
        first = self.settings.active_datasets[0]
        if first.caption_strategy != strategy:
            self.change({f"datasets.{first.id}.caption_strategy": strategy})

    def use_trigger(self, trigger: str) -> None:
        first = self.settings.active_datasets[0]
        self.change({f"datasets.{first.id}.instance_prompt": trigger or None})

    def index(self) -> DatasetIndex:
        """The pictures that a run would use; raises EmptyDataset."""
        return scan.settled(self.scanned(), self.settings)

    def scanned(self) -> Sequence[Scanned]:
        """All files of the recipe's datasets; looked at again only after `look_again` or another recipe."""
        return self.looking.scanned(self.settings)

    def findings(self) -> tuple[Finding, ...]:
        """What the doctor says of them."""
        return self.looking.findings(self.settings)

    def look_again(self) -> None:
        """Forget the scanned pictures: their files may have changed."""
        self.looking.forget()
        self._num_changes += 1

    def _looked(self) -> None:
        """A long look at the pictures is done."""
        self._num_changes += 1
        self.num_looks += 1

    def came_to_know(self) -> None:
        """What the recipe comes to is known better now, though it is the same."""
        self._num_changes += 1

    def plan(self) -> Plan:
        return make.make(self.settings, self.index(), machine.read())

    def file_mb(self) -> float:
        """The size of the LoRA that the recipe makes."""
        return presets.file_mb(self.settings)

    def next_name(self) -> None:
        """The recipe goes on to be changed, as the next run."""
        self.change(self._named(self._free_name(self.name)))

    def write(self, run: RunFolder) -> None:
        """Write the recipe into a run's folder, with the preset it began with."""
        files.save_all(self.settings, run.config)
        (run.config / MARK).write_text(self.preset, encoding="utf-8")

    def adopt(self, settings: RunSettings, name: str, preset: str = "") -> None:
        """Take over a whole recipe, under a free name like `name`. Raises SettingsInvalid."""
        preset = preset if preset in self.preset_names else self.preset
        with self._lock:
            fresh = self.folder.with_name("draft-next")
            shutil.rmtree(fresh, ignore_errors=True)
            files.save_all(files.changed(settings, self._named(self._free_name(name))), fresh)
            (fresh / MARK).write_text(preset, encoding="utf-8")
            shutil.rmtree(self.folder, ignore_errors=True)
            fresh.rename(self.folder)
            self._settings = None
            self._num_changes += 1


def _holds_a_run(folder: Path) -> bool:
    """More than what a rehearsal has encoded for it."""
    return folder.is_dir() and any(one.name != "cache" for one in folder.iterdir())
