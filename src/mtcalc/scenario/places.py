# SPDX-License-Identifier: GPL-2.0-only
"""Where the keys and values of a scenario stand, and the errors found in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mtcalc.text.errors import InputError, Place
from mtcalc.text.yaml import ListNode, MapNode, Node

Path = tuple[str | int, ...]


def value_place(root: Node, path: Path) -> Place:
    """Where the value at `path` stands; of what is not there, the innermost collection that is."""
    node = root
    for step in path:
        if isinstance(node, MapNode) and isinstance(step, str) and step in node.entries:
            node = node.entries[step].value
        elif isinstance(node, ListNode) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        else:
            break
    return node.place


def key_place(root: Node, path: Path) -> Place:
    """Where the last key of `path` stands; as value_place() where it is not there."""
    parent = root
    for step in path[:-1]:
        if isinstance(parent, MapNode) and isinstance(step, str) and step in parent.entries:
            parent = parent.entries[step].value
        elif isinstance(parent, ListNode) and isinstance(step, int) and step < len(parent.items):
            parent = parent.items[step]
    last = path[-1]
    if isinstance(parent, MapNode) and isinstance(last, str) and last in parent.entries:
        return parent.entries[last].key_place
    return value_place(root, path)


class Problems:
    """Errors collected on the way; the first of the text is the one to show."""

    def __init__(self) -> None:
        self.found: list[InputError] = []

    def add(self, message: str, place: Place) -> None:
        """One more."""
        self.found.append(InputError(message, place))

    @contextmanager
    def at(self, place: Place) -> Iterator[None]:
        """A ValueError raised inside is one more, at `place`."""
        try:
            yield
        except ValueError as error:
            self.add(str(error), place)

    def raise_first(self) -> None:
        """Raises the error that stands first in the text, if there is one."""
        if self.found:
            raise min(self.found, key=_position)


def _position(error: InputError) -> tuple[int, int]:
    return (error.place.line, error.place.column) if error.place else (0, 0)
