"""`import` from the command line."""

import json

from tests.files.importers.test_catalog import AI_TOOLKIT
from tuner.files import load_all


def test_a_configuration_becomes_a_run_folder(tmp_path, call) -> None:
    (tmp_path / "job.yaml").write_text(AI_TOOLKIT, encoding="utf-8")
    to = tmp_path / "mine"
    result = call("import", tmp_path / "job.yaml", "--to", to)
    assert result.code == 0
    assert result.out.startswith("A recipe of ai-toolkit") and "flip_x" in result.out
    assert load_all(to / "config").settings.saving.output_dir == to.as_posix()
    again = call("import", tmp_path / "job.yaml", "--to", to, "--json")
    assert again.code == 2
    assert "already" in json.loads(again.out)["error"]["message"]
