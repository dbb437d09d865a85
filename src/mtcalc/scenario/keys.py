# SPDX-License-Identifier: GPL-2.0-only
"""What a mapping of a scenario is made of: a class a mapping, a Key an attribute.

One declaration serves whoever reads a file (mtcalc.scenario.read) and whoever describes one
(mtcalc.scenario.json_schema). It uses the standard library alone: importing pydantic and building a dozen models would
take longer than answering does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from typing import Any, ClassVar, NamedTuple, TypeAlias, Union


class Single(NamedTuple):
    """A single value: its reader, from plain data to what it means, and its JSON Schema.

    The reader sees every value that a file holds, null too, and never a default: so a key that is None where it is
    not given takes no null from a file. It raises ValueError.
    """

    read: Callable[[object], Any]
    form: dict[str, Any]


class Items(NamedTuple):
    """A list."""

    of: Single | type[Keys]


class ByName(NamedTuple):
    """A mapping whose keys are free."""

    of: Single


class WordOr(NamedTuple):
    """A word, or a mapping that `make` turns into what the word's reader gives."""

    word: Single
    section: type[Keys]
    make: Callable[[Any], Any]


Shape: TypeAlias = Union[Single, Items, ByName, WordOr, type["Keys"]]

REQUIRED: Any = object()
"""In place of the default of a key that a mapping must have."""


class Key(NamedTuple):
    """A key: what its value is, what it means where it is left out, and how the reference shows it."""

    value: Shape
    default: Any
    description: str
    examples: list[Any]


def key(value: Shape, default: Any = REQUIRED, *, description: str, examples: list[Any]) -> Any:
    """Declares a key in the body of a Keys class, where it stands for its default."""
    return Key(value, default, description, examples)


class Keys:
    """A mapping as read: an attribute a key, the class's own where the mapping does not name it."""

    fields: ClassVar[dict[str, Key]] = {}
    needs: ClassVar[str] = ""
    """What to say of a mapping without a key that it must have."""
    more_schema: ClassVar[dict[str, Any]] = {}
    """What its JSON Schema says besides the keys."""

    def __init_subclass__(cls) -> None:
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Key)}
        cls.fields = {**cls.fields, **own}
        for name, one in own.items():
            if one.default is REQUIRED:
                delattr(cls, name)
            else:
                setattr(cls, name, one.default)

    @property
    def given(self) -> Set[str]:
        """The keys that the mapping names."""
        return vars(self).keys()


def section_of(value: Shape) -> type[Keys] | None:
    """The mapping with keys of its own that a value is, has as items, or may be."""
    inner = value.of if isinstance(value, Items) else value.section if isinstance(value, WordOr) else value
    return inner if isinstance(inner, type) else None


def sections(keys: type[Keys], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], type[Keys]]]:
    """Every mapping in `keys`, itself first, by its path without list positions."""
    yield path, keys
    for name, one in keys.fields.items():
        inner = section_of(one.value)
        if inner is not None:
            yield from sections(inner, (*path, name))
