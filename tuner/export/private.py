"""What must not leave this computer inside a file: paths, names of users and computers, tokens, addresses."""

from __future__ import annotations

import getpass
import re
import socket
from functools import cache

# Names that tell nothing about anybody, and may well be part of a caption.
_EVERYBODY = {
    "root",
    "user",
    "admin",
    "administrator",
    "home",
    "localhost",
    "ubuntu",
    "debian",
    "pc",
    "desktop",
}

_TELLTALES = (
    r"(?<![\w.)/:])/\w",  # /home/anna, but not and/or, 3/4 or https://
    r"(?<![A-Za-z])[A-Za-z]:[\\/]",  # C:\Users
    r"\\\\\w|(?<![\w:])//\w|file:",  # \\server\share
    r"(?<!\w)~\w*[\\/]",  # ~/pictures
    r"[\w.+-]+@[\w-]+\.\w",  # anna@example.org
    r"\b(?:hf|ghp|gho|ghs|sk|pk|xox[abp]|glpat|github_pat)[-_][\w-]{8,}",  # tokens that say what they are
    r"\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{32,}",  # and those that do not
)


def is_private(text: str) -> bool:
    """Whether `text` holds a path of this computer, its name, its user's name, or what looks like a token."""
    return re.search("|".join(_TELLTALES), text) is not None or _names().search(text) is not None


@cache
def _names() -> re.Pattern[str]:
    """The user's and the computer's name as whole words."""
    host = socket.gethostname()
    words = {getpass.getuser(), host, host.split(".")[0]}
    telling = [re.escape(word) for word in words if len(word) > 2 and word.lower() not in _EVERYBODY]
    return re.compile(rf"(?<!\w)(?:{'|'.join(telling) or '(?!)'})(?!\w)", re.IGNORECASE)
