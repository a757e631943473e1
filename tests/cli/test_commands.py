"""Each command that looks, draws or exports: its lines, its object, its exit code, its one sentence."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from tests.recipe import write_checkpoint, write_recipe
from tuner import cli, files, machine
from tuner.quantization import tried

LOOKING = ("check", "plan", "dataset")


def test_every_command_has_help_and_takes_json(call):
    for row in cli.COMMANDS:
        shown = call(row.name, "--help")
        assert shown.code == 0
        assert "--json" in shown.out


def test_no_command_and_an_unknown_one(call):
    assert call().code == 2
    assert call("dance").code == 2


@pytest.mark.parametrize("command", LOOKING)
def test_looking_writes_lines_for_people_and_one_object_for_programs(tmp_path, call, command):
    config = write_recipe(tmp_path)
    people, programs = call(command, config), call(command, tmp_path / "run", "--json")
    assert (people.code, programs.code) == (0, 0)
    assert len(people.out.splitlines()) > 0
    assert isinstance(programs.json, dict)


def test_check_lists_what_is_left_out(tmp_path, call):
    config = write_recipe(tmp_path)
    (tmp_path / "pictures" / "broken.png").write_bytes(b"no picture")
    result = call("check", config, "--json").json
    assert (result["ok"], result["num_pictures"]) == (True, 4)
    assert result["left_out"][0]["file"].endswith("broken.png")
    assert "broken.png" in call("check", config).out


def test_check_accepts_a_run_that_has_finished_and_plan_says_so(tmp_path, call):
    config = write_recipe(tmp_path)
    write_checkpoint(tmp_path / "run", 10)
    assert call("check", config).code == 0
    assert "already finished" in call("plan", config).err


def test_plan_tells_steps_phases_and_where_it_goes_on(tmp_path, call):
    config = write_recipe(tmp_path)
    write_checkpoint(tmp_path / "run", 4)
    result = call("plan", config, "--json").json
    assert (result["num_steps"], result["first_step"]) == (10, 4)
    assert result["resume_from"].endswith("checkpoint-4")
    assert [phase["name"] for phase in result["phases"]] == ["text", "latents", "load", "train", "export"]
    assert "10 steps, from step 4, with 4 pictures" in call("plan", config).out


def test_plan_shows_what_another_computer_would_do(tmp_path, call):
    config = write_recipe(
        tmp_path, pretrained_model_name_or_path="black-forest-labs/FLUX.1-dev", train_batch_size=1
    )
    small, large = (call("plan", config, "--vram", gb, "--ram", "32", "--json").json for gb in ("10", "80"))
    assert small["levers"]["evicts"] and small["levers"]["streamed"] and small["levers"]["text_by_layer"]
    assert not large["levers"]["evicts"] and large["levers"]["streamed"] == []
    for plan, gb in ((small, 10), (large, 80)):
        assert all(0 < phase["vram_gb"] <= gb and phase["ram_gb"] <= 32 for phase in plan["phases"])
    assert "blocks in the computer's memory" in call("plan", config, "--vram", "10").out


def test_dataset_gives_the_sheet(tmp_path, call):
    config = write_recipe(tmp_path, dataset={"repeats": 1})
    result = call("dataset", config, "--json").json
    assert set(result) == {
        "datasets", "steps_per_epoch", "max_train_steps", "num_train_epochs", "pictures",
    }  # fmt: skip
    one = {"id": "pictures", "samples_per_epoch": 8, "batches_per_epoch": 4, "buckets": {"64x64": 4}}
    assert result["datasets"] == [one]
    assert set(result["pictures"][0]) == {
        "file", "dataset", "original_size", "resize_size", "target_size", "crop_top_left", "aspect_bucket",
        "captions", "mask", "reference", "excluded", "remarks",
    }  # fmt: skip
    assert "8 samples and 4 batches" in call("dataset", config).out


def test_the_doctor_names_what_is_wrong(tmp_path, call):
    config = write_recipe(tmp_path)
    (tmp_path / "pictures" / "0.txt").write_text("without the word")
    (tmp_path / "pictures" / "1.txt").unlink()
    result = call("dataset", config, "--json", "--doctor").json
    assert [(Path(one["file"]).name, one["kind"], one["fix"]) for one in result["findings"]] == [
        ("1.png", "no caption", "write caption"),
        ("0.png", "no trigger", "add trigger"),
    ]
    assert "findings" not in call("dataset", config, "--json").json
    assert result["findings"][0]["sentence"] in call("dataset", config, "--doctor").out


def test_captions_are_written_where_they_are_missing(tmp_path, call, monkeypatch):
    def captions(pictures, request):
        yield from ((path, f"{path.stem} {request.instruction}") for path in pictures)

    monkeypatch.setitem(sys.modules, "tuner.training.captioner", SimpleNamespace(captions=captions))
    monkeypatch.chdir(tmp_path)
    config = write_recipe(tmp_path)
    first, *others = sorted((tmp_path / "pictures").glob("*.png"))
    first.with_suffix(".txt").write_text("mine")
    for one in others:
        one.with_suffix(".txt").unlink(missing_ok=True)
    result = call(
        "caption", config, "--model", "folder", "--ask", "one sentence", "--trigger", "sks", "--json"
    )
    assert result.json == {"num_pictures": 1 + len(others), "num_captions": len(others)}
    assert first.with_suffix(".txt").read_text() == "mine"
    assert others[0].with_suffix(".txt").read_text() == f"sks {others[0].stem} <CAPTION>\n"
    assert "0 captions written" in call("caption", config).out
    assert call("caption", config, "--all", "--ask", "Who?").code == 0
    assert first.with_suffix(".txt").read_text() == f"{first.stem} Who?\n"


def test_a_dataset_that_is_too_small_names_the_repeats(tmp_path, call):
    result = call("dataset", write_recipe(tmp_path, train_batch_size=9), "--json")
    assert result.code == 2
    assert "at least 2" in result.err
    assert result.json["error"]["advice"][0]["change"] == {"datasets.pictures.repeats": 2}


@pytest.mark.parametrize("command", [*LOOKING, "train"])
def test_a_config_file_that_is_cut_in_the_middle(tmp_path, call, command):
    config = write_recipe(tmp_path)
    whole = (config / "config.json").read_text(encoding="utf-8")
    (config / "config.json").write_text(whole[: len(whole) // 2], encoding="utf-8")
    result = call(command, config)
    assert (result.code, result.out) == (2, "")
    assert "config.json" in result.err
    assert "Traceback" not in result.err
    assert len(result.err.splitlines()) == 1


def test_wrong_settings_come_all_at_once_and_as_data(tmp_path, call):
    config = write_recipe(tmp_path, optimizer="adamx", train_batch_size="many")
    result = call("check", config, "--json")
    assert result.code == 2
    problems = result.json["error"]["problems"]
    assert {one["key"] for one in problems} == {"optimizer", "train_batch_size"}
    assert all(one["message"] in result.err for one in problems)


def test_a_folder_that_is_not_there(tmp_path, call):
    result = call("check", tmp_path / "nowhere")
    assert result.code == 2
    assert "nowhere" in result.err


def test_what_nobody_foresaw_is_one_sentence_and_a_file_with_the_traceback(tmp_path, call, monkeypatch):
    def stumble(*_):
        raise ZeroDivisionError("odd")

    monkeypatch.setattr(machine, "doctor", stumble)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    result = call("doctor")
    assert (result.code, result.out) == (1, "")
    assert "Traceback" not in result.err
    assert "fluxtuner-traceback.txt" in result.err
    assert "ZeroDivisionError" in (tmp_path / "fluxtuner-traceback.txt").read_text(encoding="utf-8")


def test_ctrl_c_in_a_command(call, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(machine, "doctor", interrupt)
    assert call("doctor").code == 3


def test_export_without_a_checkpoint(tmp_path, call):
    write_recipe(tmp_path)
    result = call("export", tmp_path / "run", "--to", tmp_path / "out")
    assert result.code == 2
    assert "no checkpoint" in result.err
    assert not (tmp_path / "out").exists()


def write_run(tmp_path):
    """A run with a checkpoint at step 3. -> its folder"""
    import torch
    from safetensors.torch import save_file

    run = write_recipe(tmp_path).parent
    layer = "transformer.transformer_blocks.0.attn.to_q"
    adapter = {
        f"{layer}.lora_A.weight": torch.ones(2, 4),
        f"{layer}.lora_B.weight": torch.ones(4, 2),
        f"{layer}.alpha": torch.tensor(2.0),
    }
    save_file(adapter, write_checkpoint(run, 3) / "pytorch_lora_weights.safetensors")
    return run


def test_send_puts_it_into_comfyui_and_says_where(tmp_path, call):
    run, root = write_run(tmp_path), tmp_path / "ComfyUI"
    (root / "models" / "loras").mkdir(parents=True)
    (root / "main.py").touch()
    result = call("send", run, "--to", root, "--json")
    lora = root / "models" / "loras" / "run-000003.safetensors"
    assert result.code == 0 and lora.is_file()
    assert (result.json["sent_to"], result.json["listed_as"]) == (str(lora), lora.name)
    assert result.json["path"] == str(run / "exports" / lora.name) and result.json["drawn"] is None
    said = call("send", run, "--to", root).out
    assert "3 of 3 tensors will load" in said and "run-000003-2.safetensors" in said
    assert call("send", run, "--to", tmp_path / "missing").code == 1


def test_send_shows_what_the_file_draws(tmp_path, call, monkeypatch):
    from tuner.session import Session
    from tuner.training.export_preview import ExportPreview

    def drawn(session, run, file, to, sample):
        return ExportPreview(file, run / "ours.png", run / "theirs.png", 0.004, "no_change", "int8-quanto")

    monkeypatch.setattr(Session, "preview_export", drawn)
    run = write_run(tmp_path)
    assert call("send", run, "--to", tmp_path, "--json").json["preview"] is None
    shown = call("send", run, "--to", tmp_path, "--preview", "--json").json["preview"]
    assert shown == {"path": str(run / "theirs.png"), "beside": str(run / "ours.png"), "distance": 0.004}
    assert "draws what the training drew" in call("send", run, "--to", tmp_path, "--preview").out


def test_export_writes_a_file_and_says_where(tmp_path, call):
    from safetensors.torch import load_file

    run = write_run(tmp_path)
    result = call(
        "export", run, "--to", tmp_path / "new" / "cat.safetensors", "--dtype", "bfloat16", "--json"
    )
    assert result.code == 0
    assert result.json == {
        "path": str(tmp_path / "new" / "cat.safetensors"),
        "dialect": "comfyui",
        "num_tensors": 3,
        "check": "3 of 3 tensors will load; 1 of 1 layers were compared and act as trained.",
        "notes": [],
    }
    assert len(load_file(result.json["path"])) == 3
    assert call("export", run, "--to", tmp_path / "loras").out.splitlines() == [
        f"Written: {tmp_path}/loras/run.safetensors",
        "3 of 3 tensors will load; 1 of 1 layers were compared and act as trained.",
    ]


def test_sample_draws_one_picture(tmp_path, call, painter):
    config, adapter = write_recipe(tmp_path), tmp_path / "cat.safetensors"
    adapter.touch()
    out = tmp_path / "new folder" / "bild ü.png"
    words = ("--adapter", adapter, "--prompt", "a sks", "--seed", "7", "--steps", "4", "--out", out)
    result = call("sample", config, *words, "--json")
    assert result.code == 0
    assert (result.json["path"], result.json["width"], result.json["seed"]) == (str(out), 64, 7)
    with Image.open(out) as picture:
        assert picture.size == (64, 64)
    ((_, (request,), used),) = painter
    assert (request.prompt, request.seed, request.steps, request.guidance) == ("a sks", 7, 4, None)
    assert used == adapter
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_sample_works_on_reference_pictures(tmp_path, call, painter):
    before = tmp_path / "before.png"
    before.touch()
    words = ("--prompt", "a", "--out", tmp_path / "a.png", "--reference", before, "--json")
    assert call("sample", write_recipe(tmp_path), *words).json["references"] == [str(before)]
    assert painter[0][1][0].references == (before,)


def test_sample_without_an_adapter_shows_the_untuned_model(tmp_path, call, painter):
    config = write_recipe(tmp_path)
    assert call("sample", config, "--prompt", "a", "--out", tmp_path / "a.jpg").code == 0
    assert painter[0][2] is None
    with Image.open(tmp_path / "a.jpg") as picture:
        assert picture.format == "JPEG"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--out", "a.txt"), "a.txt"),
        (("--out", "a.png", "--adapter", "none.safetensors"), "none.safetensors"),
        (("--out", "a.png", "--reference", "none.png"), "none.png"),
        (("--out", "a.png", "--seed", "x"), "seed"),
    ],
)
def test_sample_refuses_before_a_model_is_loaded(tmp_path, call, painter, words, named):
    result = call("sample", write_recipe(tmp_path), "--prompt", "a", *words)
    assert result.code == 2
    assert named in result.err
    assert painter == []


def test_doctor(call, monkeypatch):
    bad = machine.Finding("Disk", "bad", "The disk is full.", "Free some.")
    good = machine.Finding("Python", "ok", "Python 3.12.")
    monkeypatch.setattr(machine, "doctor", lambda: (good,))
    assert call("doctor").code == 0
    monkeypatch.setattr(tried, "findings", lambda: (replace(good, title="NF4 layer", state="bad"),))
    deeper = call("doctor", "--layers")
    assert deeper.code == 1 and "NF4 layer" in deeper.out
    monkeypatch.setattr(machine, "doctor", lambda: (good, bad))
    result = call("doctor")
    assert result.code == 1
    assert "-> Free some." in result.out
    assert json.loads(call("doctor", "--json").out)["findings"][1]["state"] == "bad"


def test_open_writes_the_recipe_of_an_export(tmp_path, call):
    run = write_run(tmp_path)
    lora = call("export", run, "--json").json["path"]
    result = call("open", lora, "--to", tmp_path / "again", "--pictures", tmp_path, "--json")
    assert result.code == 0 and result.json["notes"] == []
    settings = files.load_all(tmp_path / "again").settings
    assert settings.adapter == files.load_all(run).settings.adapter
    assert settings.datasets[0].instance_data_dir == tmp_path.as_posix()
    assert call("open", lora, "--to", tmp_path / "again").code == 1
