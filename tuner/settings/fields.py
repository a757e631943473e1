"""One declaration a setting: default, bounds, words; form, codec and docs are loops over `specs_of`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from types import NoneType, UnionType
from typing import Any, Literal, TypedDict, Union, Unpack, get_args, get_origin, get_type_hints

Level = Literal["basic", "advanced", "expert"]
Kind = Literal["bool", "int", "float", "str", "texts", "names", "json", "list"]
Texts = tuple[str, ...]
Items = tuple[Any, ...]
Json = Mapping[str, Any]
Why = str | Mapping[Any, str]


class About(TypedDict, total=False):
    """What may stand on a setting beside its words."""

    level: Level
    choices: tuple[object, ...]  # allowed values; absent = anything of the right type
    built: tuple[object, ...]  # values that work; absent = all
    why: Why  # why the others (or each of them) do not work here: what follows "because" in the refusal
    instead: Mapping[Any, object]  # the nearest value that works, where it is not the default
    minimum: float
    maximum: float
    aliases: tuple[str, ...]  # other and older names of the key
    renamed: Mapping[str, str]  # older names of values
    required: bool  # a file should say it; where it does not, the default is filled in and a note says so
    empty: bool  # an empty text is a value of its own, not "unset"
    moot: str  # why no value makes a difference here; said to whoever sets it


def setting(default: Any, label: str, help: str, **about: Unpack[About]) -> Any:  # noqa: A002 - the word users know
    """A dataclass field that carries its own words and limits; its attribute name is the key in the file."""
    return field(default=default, metadata={"label": label, "help": help, **about})


@dataclass(frozen=True)
class Spec:
    """Everything that is known of one setting; `built` None means that every value works."""

    section: str
    name: str
    kind: Kind
    default: Any
    label: str
    help: str
    level: Level = "advanced"
    choices: tuple[object, ...] = ()
    built: tuple[object, ...] | None = None
    why: Why = ""
    instead: Mapping[Any, object] = field(default_factory=dict)
    minimum: float | None = None
    maximum: float | None = None
    aliases: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    required: bool = False
    empty: bool = False
    moot: str = ""

    @property
    def path(self) -> str:
        return f"{self.section}.{self.name}"

    def why_not(self, value: object) -> str:
        """The reason against a value that is not in `built`; "" where there is none."""
        return self.why if isinstance(self.why, str) else self.why.get(value, "")

    @property
    def keys(self) -> tuple[str, ...]:
        """The key and its older names."""
        return (self.name, *self.aliases)


def specs_of(section: str, owner: type[Any]) -> Iterator[Spec]:
    """The settings of one dataclass, in the order they are declared."""
    hints = get_type_hints(owner)
    for one in fields(owner):
        if "label" in one.metadata:
            yield _spec(section, one, hints[one.name])


def _spec(section: str, one: Field[Any], hint: object) -> Spec:
    return Spec(section=section, name=one.name, kind=_kind(hint), default=one.default, **one.metadata)


def _kind(hint: object) -> Kind:
    """`int | None` -> "int"; a list of texts is "names", or "texts" where one text alone will do."""
    union = get_origin(hint) in (Union, UnionType)
    options = [a for a in get_args(hint) if a is not NoneType] if union else [hint]
    if Texts in options:
        return "texts" if str in options else "names"
    kinds: dict[object, Kind] = {
        bool: "bool",
        int: "int",
        float: "float",
        str: "str",
        Json: "json",
        Items: "list",
    }
    return kinds[options[0]]
