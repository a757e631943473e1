"""Who is known to Hugging Face here, and what they may download.

A token goes into the Hugging Face library's own store and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import httpx2
from huggingface_hub import HfApi, get_token, login, logout
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from tuner.errors import Advice, ModelGated, ModelMissing, TunerError
from tuner.machine import Finding

T = TypeVar("T")
TOKENS_PAGE = "https://huggingface.co/settings/tokens"


def page(repository: str) -> str:
    """Where the licence of a model is read and accepted."""
    return f"https://huggingface.co/{repository}"


def keep(token: str) -> str:
    """Try a token, keep it in the library's own store, and return whose it is. Raises TunerError."""
    token = token.strip()
    if not token.startswith("hf_"):
        raise TunerError(
            "A token of Hugging Face begins with hf_.", Advice(f"Make one for reading on {TOKENS_PAGE}.")
        )
    name = asked(lambda: str(HfApi().whoami(token=token)["name"]))
    login(token=token, add_to_git_credential=False, skip_if_logged_in=False)
    return name


def forget() -> None:
    """Delete the kept token from this computer."""
    logout()


def ticks(repository: str) -> tuple[Finding, ...]:
    """Token and repository, each tested: what stands in the way of a download, if anything does."""
    return (_token(), _repository(repository))


def _token() -> Finding:
    title = "Token"
    if get_token() is None:
        return Finding(title, "warn", "No token is kept on this computer.", "A gated model needs one.")
    try:
        name = asked(lambda: str(HfApi().whoami()["name"]))
    except TunerError as error:
        return Finding(title, "bad", error.message, " ".join(one.text for one in error.advice))
    return Finding(title, "ok", f"It works; Hugging Face knows you as '{name}'.")


def _repository(repository: str) -> Finding:
    title = "Model"
    try:
        asked(lambda: HfApi().auth_check(repository), repository)
    except TunerError as error:
        return Finding(title, "bad", error.message, " ".join(one.text for one in error.advice))
    return Finding(title, "ok", f"'{repository}' can be downloaded.")


def asked(ask: Callable[[], T], repository: str = "") -> T:
    """What Hugging Face answers; its refusals, and its silence, as sentences."""
    try:
        return ask()
    except GatedRepoError:
        raise ModelGated(
            f"The licence of '{repository}' is not accepted yet, or no token is kept.",
            Advice(f"Accept it on {page(repository)}, with the account that the token belongs to."),
        ) from None
    except RepositoryNotFoundError:
        raise ModelMissing(
            f"Hugging Face has no model '{repository}' for you.", Advice("Check its name, and the token.")
        ) from None
    except OfflineModeIsEnabled:
        raise TunerError(
            "Downloads are switched off (HF_HUB_OFFLINE).", Advice("Start the app without that variable.")
        ) from None
    except HfHubHTTPError as error:
        if error.response.status_code == httpx2.codes.UNAUTHORIZED:
            raise TunerError(
                "Hugging Face does not accept the token.", Advice(f"Make a new one on {TOKENS_PAGE}.")
            ) from None
        raise TunerError(
            f"Hugging Face answered with an error ({error.response.status_code}).", Advice("Try again later.")
        ) from None
    except (httpx2.HTTPError, LocalEntryNotFoundError):
        raise TunerError(
            "Hugging Face cannot be reached.", Advice("Check the network; everything but downloads works.")
        ) from None
