#!/usr/bin/env bash
# Sets FluxTuner up in .venv beside this file and starts it:
#   bash install.sh            opens the app
#   bash install.sh practice   trains a LoRA on the embedded practice model, without a graphics card
#   bash install.sh test       runs FluxTuner's own tests
#   bash install.sh doctor     looks the machine over
# This script only finds a Python that fits; everything else is `python -m tuner.install`, the same on Windows.
set -u

FITS='import sys, ssl, zlib, json; sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 13) and sys.maxsize > 2**32))'

candidates() {
    local name
    echo .venv/bin/python
    for name in python3.13 python3.12 python3.11 python3 python; do
        type -aP "$name"
    done
    printf '%s\n' "${HOME:-/}"/.local/bin/python3.1{3,2,1}
}

find_python() {
    # Each one is really run: a pyenv shim may stand on the PATH and have nothing behind it.
    local candidate
    while IFS= read -r candidate; do
        if "$candidate" -c "$FITS" </dev/null >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done < <(candidates)
    return 1
}

say_how_to_get_python() {
    local found
    found=$(python3 --version 2>/dev/null) || found="no Python at all"
    echo "FluxTuner could not be set up. It needs 64-bit Python 3.11, 3.12 or 3.13; this computer has ${found}."
    if command -v apt-cache >/dev/null && apt-cache show python3.13-venv 2>/dev/null | grep -q .; then
        echo "  -> Run this, then start again:  sudo apt install python3.13 python3.13-venv"
    elif command -v brew >/dev/null; then
        echo "  -> Run this, then start again:  brew install python@3.13"
    elif command -v dnf >/dev/null; then
        echo "  -> Run this, then start again:  sudo dnf install python3.13"
    elif command -v uv >/dev/null; then
        echo "  -> Run this, then start again:  uv python install 3.13"
    else
        echo "  -> Run this, then start again:  curl -LsSf https://astral.sh/uv/install.sh | sh && ~/.local/bin/uv python install 3.13"
    fi
}

main() {
    local here python
    unset CDPATH
    here=$(dirname -- "${BASH_SOURCE[0]}")
    if ! cd -- "$here" || [ ! -f tuner/install/__main__.py ]; then
        echo "FluxTuner could not be set up. install.sh must stay in FluxTuner's folder, beside the folder tuner."
        echo "  -> Get a complete copy with git clone, and run install.sh there."
        return 1
    fi
    if ! python=$(find_python); then
        say_how_to_get_python
        return 1
    fi
    unset PYTHONPATH PYTHONHOME VIRTUAL_ENV
    exec "$python" -X utf8 -m tuner.install "$@"
}

main "$@"
