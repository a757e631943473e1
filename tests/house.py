"""The house as the tests see it: its modules, what they import and where, and the levels of its rooms."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import tuner

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Import:
    """`target` is a module; `from tuner.flux import latents` imports two of them, the room and the file.

    It happens at the `start` of the file, in a `call` of one of its functions, or for `types` alone.
    """

    target: str
    line: int
    when: str


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted((ROOT / "tuner").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def room(module: str) -> str:
    """`tuner.flux.latents` lies in flux; `python -m tuner` is the command line."""
    name = (module.split(".") + [""])[1]
    return "cli" if name == "__main__" else name


@cache
def levels() -> dict[str, int]:
    """Room to level, read from the picture in the package's docstring."""
    rows = re.findall(r"^ {4}(\d)  (.+)$", tuner.__doc__ or "", re.MULTILINE)
    return {name: int(level) for level, names in rows for name in names.split()}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def imports(module: str) -> tuple[Import, ...]:
    return tuple(_walk(tree(modules()[module]), "start"))


def _walk(node: ast.AST, when: str) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, when) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"relative import in line {child.lineno}: write the whole name"
            for alias in child.names:
                yield Import(child.module or "", child.lineno, when)
                if f"{child.module}.{alias.name}" in modules():
                    yield Import(f"{child.module}.{alias.name}", child.lineno, when)
        yield from _walk(child, _when(child) or when)


def _when(node: ast.AST) -> str:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return "call"
    return "types" if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" else ""


@cache
def settings_of_tools() -> dict[str, dict]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]


@cache
def heavy_modules() -> frozenset[str]:
    """The modules without a dagger: those that pyproject.toml lets import torch at their top."""
    found = set()
    for pattern, codes in settings_of_tools()["ruff"]["lint"]["per-file-ignores"].items():
        if pattern.startswith("tuner/") and "TID253" in codes:
            folder, names = re.fullmatch(r"(.+)/\{?([\w,]+)\}?\.py", pattern).groups()
            found |= {f"{folder}/{name}".replace("/", ".") for name in names.split(",")}
    return frozenset(found)
