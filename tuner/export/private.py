"""What must not leave this computer inside a file: paths, names of users and computers, tokens, addresses."""

from __future__ import annotations

import os
import re
import socket
from functools import cache

# Names that tell nothing about anybody, and may well be part of a caption.
_EVERYBODY = {"root", "user", "admin", "administrator", "dev", "home", "localhost", "ubuntu", "debian"}

_TELLTALES = (
    r"(?<![\w.)/:])/\w",  # /home/anna, but not and/or, 3/4 or https://
    r"(?<![A-Za-z])[A-Za-z]:[\\/]",  # C:\Users
    r"\\\\\w|(?<![\w:])//\w|file:",  # \\server\share
    r"(?<!\w)~\w*[\\/]",  # ~/pictures
    r"[\w.+-]+@[\w-]+\.\w",  # anna@example.org
    r"\b(?:hf|gh[opsu]|glpat|github_pat)[-_]\w{6,}",  # tokens that say what they are
    r"\b(?:sk|pk|xox[abp])-[\w-]{16,}",
    r"\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{32,}",  # and those that do not
)


def is_private(text: str) -> bool:
    """Whether `text` holds a path of this computer, its name, its user's name, or what looks like a token."""
    return re.search("|".join(_TELLTALES), text) is not None or _names().search(text) is not None


def without_private(text: str) -> str:
    """`text` with an ellipsis for each of these: from where a path or a token begins to the end of what is in
    quotes with it, or of the value, or of the line.
    """
    begins = "|".join(_TELLTALES)
    cut = re.sub(rf"(?:{begins})[^\n'\"]*?(?=['\"]|\s\w+=|$)", "…", text, flags=re.MULTILINE)
    return _names().sub("…", cut)


@cache
def _names() -> re.Pattern[str]:
    """The user's and the computer's name as whole words."""
    host, home = socket.gethostname(), os.path.basename(os.path.expanduser("~"))
    words = {
        host,
        host.split(".")[0],
        home,
        *(os.environ.get(key, "") for key in ("LOGNAME", "USER", "USERNAME")),
    }
    telling = [re.escape(word) for word in words if len(word) > 2 and word.lower() not in _EVERYBODY]
    return re.compile(rf"(?<!\w)(?:{'|'.join(telling) or '(?!)'})(?!\w)", re.IGNORECASE)
