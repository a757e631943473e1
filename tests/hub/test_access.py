"""Token and repository are tried for real; the token ends in the library's store and nowhere else."""

from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.hub.conftest import REPOSITORY, TOKEN
from tuner.errors import ModelGated, ModelMissing, TunerError
from tuner.hub import access


def states(repository: str = REPOSITORY) -> list[str]:
    return [one.state for one in access.ticks(repository)]


def test_without_a_token_an_open_model_can_be_downloaded(hub) -> None:
    assert states() == ["warn", "ok"]


def test_a_gated_model_needs_the_licence_and_a_token(hub) -> None:
    hub.gated = True
    token, model = access.ticks(REPOSITORY)
    assert (token.state, model.state) == ("warn", "bad")
    assert f"https://huggingface.co/{REPOSITORY}" in model.mend
    assert access.keep(f" {TOKEN} ") == "painter"
    assert states() == ["ok", "ok"]
    assert Path(constants.HF_TOKEN_PATH).read_text(encoding="utf-8") == TOKEN
    access.forget()
    assert states() == ["warn", "bad"]


def test_a_token_that_does_not_work_is_not_kept(hub) -> None:
    with pytest.raises(TunerError, match="does not accept"):
        access.keep("hf_wrong")
    with pytest.raises(TunerError, match="begins with hf_"):
        access.keep("my password")
    assert not Path(constants.HF_TOKEN_PATH).exists()


def test_a_model_that_is_not_there(hub) -> None:
    assert access.ticks("nobody/nothing")[1].state == "bad"
    with pytest.raises(ModelMissing):
        access.asked(lambda: access.HfApi().auth_check("nobody/nothing"), "nobody/nothing")


def test_without_a_network_it_says_so(hub, monkeypatch) -> None:
    monkeypatch.setattr(
        access.HfApi, "auth_check", lambda *_: (_ for _ in ()).throw(access.httpx2.ConnectError("no route"))
    )
    assert "cannot be reached" in access.ticks(REPOSITORY)[1].sentence


def test_a_refusal_is_a_sentence(hub) -> None:
    hub.gated = True
    with pytest.raises(ModelGated, match="licence"):
        access.asked(lambda: access.HfApi().auth_check(REPOSITORY), REPOSITORY)
