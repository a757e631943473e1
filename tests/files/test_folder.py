"""Folders with five files: read, refused in plain sentences, written without losing a letter."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tuner.errors import ConfigFileBroken, SettingsInvalid
from tuner.files import changed, config_folder, load_all, save_all
from tuner.files.documents import write_text
from tuner.settings.sampling import SamplePrompt

Write = Callable[..., Path]
LOKR = {"algo": "lokr", "multiplier": 1.0, "linear_dim": 10000, "linear_alpha": 1, "factor": 4}


def broken(folder: Path) -> str:
    with pytest.raises(ConfigFileBroken) as caught:
        load_all(folder)
    return str(caught.value)


def wrong(folder: Path) -> list[str]:
    with pytest.raises(SettingsInvalid) as caught:
        load_all(folder)
    return [problem.message for problem in caught.value.problems]


def test_the_least_that_is_needed(write: Write) -> None:
    loaded = load_all(write())
    assert loaded.notes == ()
    assert loaded.settings.datasets[0].id == "pictures"


def test_what_is_missing_is_filled_in_and_said(write: Write) -> None:
    folder = write()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    loaded = load_all(folder)
    assert loaded.settings.optimization.optimizer == "adamw_bf16"
    assert "config.json: 'optimizer' is not given; adamw_bf16 is used." in loaded.notes
    assert len(loaded.notes) == 7


def test_the_folder_or_its_config(write: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "config").mkdir(parents=True)
    for name in ("config.json", "multidatabackend.json"):
        (run / "config" / name).write_bytes((write() / name).read_bytes())
    assert config_folder(run) == run / "config"
    assert config_folder(run / "config") == run / "config"
    assert load_all(run).settings == load_all(tmp_path).settings


def test_no_folder_and_no_files(tmp_path: Path) -> None:
    assert broken(tmp_path / "no").startswith(f"There is no folder '{tmp_path / 'no'}'.")
    assert broken(tmp_path).startswith(
        f"There is no config.json in '{tmp_path}', nor in its folder 'config'."
    )


def test_a_missing_list_of_datasets(write: Write) -> None:
    folder = write()
    (folder / "multidatabackend.json").unlink()
    assert broken(folder).startswith(f"'{folder / 'multidatabackend.json'}' is missing; it lists the folders")


def test_a_missing_prompt_library(write: Write) -> None:
    assert "names 'config/no.json' as 'user_prompt_library'" in broken(
        write({"user_prompt_library": "config/no.json"})
    )


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("name", ["config.json", "multidatabackend.json", "user_prompt_library.json"])
def test_a_file_cut_in_the_middle(write: Write, name: str, share: float) -> None:
    path = write(prompts={"a": "first\nsecond"}) / name
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: int(len(text) * share)], encoding="utf-8")
    line = path.read_text(encoding="utf-8").rstrip().count("\n") + 1
    assert broken(path.parent).startswith(
        f"'{path}' stops in the middle, at line {line}. Put back a whole copy"
    )


def test_an_empty_file(write: Write) -> None:
    path = write() / "config.json"
    path.write_text("", encoding="utf-8")
    assert broken(path.parent).startswith(f"'{path}' stops in the middle, at line 1.")


def test_a_missing_comma(write: Write) -> None:
    path = write() / "config.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"flux",', '"flux"'), encoding="utf-8")
    assert broken(path.parent).startswith(f"'{path}', line 4, column 3: a comma is missing here.")


def test_a_list_where_an_object_must_be(write: Write) -> None:
    path = write() / "config.json"
    path.write_text("[]", encoding="utf-8")
    assert broken(path.parent).startswith(f"'{path}', line 1: the file must hold an object in braces")


def test_not_utf_8(write: Write) -> None:
    path = write() / "config.json"
    path.write_bytes(path.read_bytes().replace(b"runs/x", b"runs/\xe4"))
    assert broken(path.parent).startswith(f"'{path}' is not UTF-8 text (line 4).")


def test_a_byte_order_mark_is_no_trouble(write: Write) -> None:
    path = write() / "config.json"
    without = load_all(path.parent).settings
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_all(path.parent).settings == without


def test_all_problems_with_file_and_line(write: Write) -> None:
    folder = write(
        {"--optimizer": "nonsense", "model_type": "full", "lora_rank": "x", "validation_steps": -1},
        [{"id": "first", "instance_data_dir": "a"}, {"id": "b", "repeats": "many", "instance_data_dir": "b"}],
        env="# first\nMIXED_PRECISION=bf61\n",
    )
    config, backends, env = (folder / n for n in ("config.json", "multidatabackend.json", "config.env"))
    assert wrong(folder) == [
        f"{config}, line 10: 'lora_rank' is 'x'; it must be a whole number.",
        f"{backends}, line 8: 'repeats' is 'many'; it must be a whole number.",
        f"{config}, line 2: 'model_type': 'full' does not work here, because a full training of FLUX.1 "
        "takes more than 100 GB and gives 24 GB a checkpoint; leave it at lora.",
        f"{env}, line 2: 'mixed_precision' is 'bf61', which is unknown. Did you mean 'bf16'?",
        f"{config}, line 9: 'optimizer' is 'nonsense', which is unknown; choose for instance "
        "adamw_bf16, optimi-adamw or optimi-stableadamw.",
        f"{config}, line 11: 'validation_step_interval' is -1; it must be at least 0.",
    ]


def test_cross_checks_have_a_place_too(write: Write) -> None:
    folder = write(
        {"max_train_steps": 5, "num_train_epochs": 1}, [{"id": "a", "caption_strategy": "instanceprompt"}]
    )
    assert wrong(folder) == [
        f"{folder / 'config.json'}, line 9: 'max_train_steps' is 5 and 'num_train_epochs' is 1; "
        "only one may be above 0.",
        f"{folder / 'multidatabackend.json'}, line 2: Dataset 'a' needs 'instance_data_dir', its folder.",
        f"{folder / 'multidatabackend.json'}, line 2: Dataset 'a' needs an 'instance_prompt', "
        "because 'caption_strategy' is instanceprompt.",
    ]


def test_saving_unchanged_settings_keeps_every_letter(write: Write, tmp_path: Path) -> None:
    folder = write(
        {"--lora_rank": "8", "wandb_thing": {"a": 1}, "seed": None},
        [
            {"id": "a", "instance_data_dir": "b", "my_key": 1, "cache_dir_vae": "{output_dir}/x/{id}"},
            {"id": "t", "dataset_type": "text_embeds", "default": True},
            {"id": "a", "instance_data_dir": "old", "disabled": True},
        ],
        prompts={"a_<token>": {"prompt": "a <token>", "adapter_strength": 0.5}},
        lycoris=LOKR,
        env="# mine\nexport HF_HOME='/big disk/hf'\n\nMIXED_PRECISION=bf16 # why\n",
    )
    loaded = load_all(folder)
    assert loaded.settings.unused["config.json"] == {"wandb_thing": {"a": 1}}
    assert loaded.settings.unused["multidatabackend.json"] == {"a": {"my_key": 1}}
    save_all(loaded.settings, tmp_path / "copy")
    for path in folder.glob("*.*"):
        assert (tmp_path / "copy" / path.name).read_text(encoding="utf-8") == path.read_text(encoding="utf-8")
    assert load_all(tmp_path / "copy") == loaded


def test_a_change_touches_nothing_else(write: Write, tmp_path: Path) -> None:
    folder = write(
        {"--lora_rank": "8", "mystery": [1]},
        [
            {"id": "a", "instance_data_dir": "b", "my_key": 1},
            {"id": "t", "dataset_type": "text_embeds"},
            {"id": "gone", "instance_data_dir": "c"},
        ],
        prompts={"one": {"prompt": "kept", "adapter_strength": 0.5}, "two": "old"},
        env="# mine\nMIXED_PRECISION=bf16\nA=1\n",
    )
    settings = load_all(folder).settings
    change = {
        "adapter.lora_rank": 32,
        "optimization.max_train_steps": "300",
        "model.mixed_precision": "no",
        "datasets.a.repeats": 9,
        "library": [SamplePrompt("one", "kept", 0.5), SamplePrompt("two", "new <token>")],
        "environment.B": "two words",
    }
    settings = changed(settings, change)
    settings = changed(settings, {"datasets": [settings.datasets[0]]})
    save_all(settings, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["--lora_rank"] == 32 and "lora_rank" not in config
    assert (config["max_train_steps"], config["mystery"], config["mixed_precision"]) == (300, [1], "no")
    assert json.loads((folder / "multidatabackend.json").read_text(encoding="utf-8")) == [
        {"id": "a", "instance_data_dir": "b", "my_key": 1, "repeats": 9},
        {"id": "t", "dataset_type": "text_embeds"},
    ]
    assert json.loads((folder / "user_prompt_library.json").read_text(encoding="utf-8")) == {
        "one": {"prompt": "kept", "adapter_strength": 0.5},
        "two": "new <token>",
    }
    assert (folder / "config.env").read_text(
        encoding="utf-8"
    ) == '# mine\nMIXED_PRECISION=no\nA=1\nB="two words"\n'
    assert load_all(folder).settings == settings


def test_back_to_the_default_is_said(write: Write) -> None:
    folder = write({"lora_rank": 8})
    save_all(changed(load_all(folder).settings, {"adapter.lora_rank": 16}), folder)
    assert load_all(folder).settings.adapter.lora_rank == 16


def test_wrong_settings_are_not_written(write: Write) -> None:
    folder = write()
    before = (folder / "config.json").read_text(encoding="utf-8")
    settings = load_all(folder).settings
    with pytest.raises(SettingsInvalid):
        changed(settings, {"adapter.lora_rank": 0})
    assert (folder / "config.json").read_text(encoding="utf-8") == before


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.json"
    write_text(path, "old")

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["config.json"]
    assert path.read_text(encoding="utf-8") == "old"


def test_files_may_lie_elsewhere(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside config.json first; else where config.json says, from the working folder; a copy has it all."""
    monkeypatch.chdir(tmp_path)
    folder = write({"data_backend_config": "elsewhere/mine.json"})
    (tmp_path / "elsewhere").mkdir()
    (folder / "multidatabackend.json").rename(tmp_path / "elsewhere" / "mine.json")
    settings = load_all(folder).settings
    assert settings.datasets[0].id == "pictures"
    save_all(settings, tmp_path / "run")
    (tmp_path / "elsewhere" / "mine.json").unlink()
    assert load_all(tmp_path / "run").settings == settings


def test_variables_for_other_programs_are_named(write: Write) -> None:
    loaded = load_all(write(env="TRAINING_NUM_PROCESSES=1\nDISABLE_UPDATES=true\nHF_HOME=/big\n"))
    assert loaded.notes == (
        "config.env: 'HF_HOME' is set while the run goes on; what reads it only when a program starts "
        "needs it in the system.",
    )


def test_a_prompt_library_beside_is_used(write: Write) -> None:
    loaded = load_all(write(prompts={"a": "b"}))
    assert loaded.settings.prompts == (SamplePrompt("a", "b"),)
    assert loaded.notes == (
        "config.json: 'user_prompt_library' is not given; the user_prompt_library.json beside it is used.",
    )


def test_a_config_toml_is_named(write: Write, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("lora_rank = 8", encoding="utf-8")
    assert broken(tmp_path).startswith(f"'{tmp_path / 'config.toml'}' is not read; FluxTuner reads settings")
    assert load_all(write()).notes == ("config.toml is not read; config.json counts.",)


def test_an_object_may_lie_in_a_file_of_its_own(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside config.json, or where it says; a saved copy has that file too; a change ends the reference."""
    monkeypatch.chdir(tmp_path)
    folder = write({"peft_lora_target_modules": "elsewhere/mine.json"})
    assert "names 'elsewhere/mine.json' as 'peft_lora_target_modules'; it is not there" in broken(folder)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.json").write_text('["to_q"]', encoding="utf-8")
    settings = load_all(folder).settings
    assert settings.adapter.peft_lora_target_modules == ("to_q",)
    save_all(settings, tmp_path / "copy")
    (tmp_path / "elsewhere" / "mine.json").unlink()
    assert load_all(tmp_path / "copy").settings == settings
    save_all(changed(settings, {"adapter.peft_lora_target_modules": ["to_k"]}), tmp_path / "copy")
    assert load_all(tmp_path / "copy").settings.adapter.peft_lora_target_modules == ("to_k",)


def test_a_lycoris_file_in_the_working_folder_counts_only_where_it_is_asked_for(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "lycoris_config.json").write_text(json.dumps(LOKR), encoding="utf-8")
    assert load_all(write()).settings.lycoris == {}
    assert load_all(write({"lora_type": "lycoris"})).settings.lycoris == LOKR


@pytest.mark.parametrize(("config", "said"), [({}, True), ({"eval_steps_interval": 5}, False)])
def test_pictures_that_are_kept_apart_are_said_so(write: Write, config: dict[str, int], said: bool) -> None:
    folder = write(config)
    path = folder / "multidatabackend.json"
    apart = {"id": "apart", "dataset_type": "eval", "instance_data_dir": "apart", "instance_prompt": "a cat"}
    path.write_text(json.dumps([*json.loads(path.read_text(encoding="utf-8")), apart]), encoding="utf-8")
    assert any("'apart' is kept apart" in note for note in load_all(folder).notes) is said


def test_what_else_there_is_to_say_comes_with_the_problems(write: Write) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load_all(write({"lora_rank": 0, "lora_alhpa": 8}))
    assert caught.value.notes == (
        "config.json: 'lora_alhpa' is not used; it stays in the file. Did you mean 'lora_alpha'?",
    )
