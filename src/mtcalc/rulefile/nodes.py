# SPDX-License-Identifier: GPL-2.0-only
"""The parts of a rule file as YAML has them: what is the wrong kind is refused at its place."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from mtcalc.rules.condition import Condition
from mtcalc.rules.condition_parse import parse_condition
from mtcalc.rules.inputs import KINDS, Kind
from mtcalc.text.errors import InputError, Place
from mtcalc.text.numbers import parse_number
from mtcalc.text.suggest import did_you_mean
from mtcalc.text.yaml import ListNode, MapNode, Node, ScalarNode, scalar_value


def mapping(node: Node, what: str, known: Sequence[str]) -> MapNode:
    """A mapping without keys besides those known."""
    if not isinstance(node, MapNode):
        shown = ", ".join(f"{key}: ..." for key in known[:2])
        raise InputError(f"{what} is a mapping ({shown})", node.place)
    for entry in node.entries.values():
        if entry.key not in known:
            raise InputError(f"unknown key '{entry.key}' ({did_you_mean(entry.key, known)})", entry.key_place)
    return node


def sequence(node: Node, what: str) -> tuple[Node, ...]:
    """The items of a list."""
    if not isinstance(node, ListNode):
        raise InputError(f"{what} is a list ([a, b], or '- ' on lines of their own)", node.place)
    return node.items


def scalar(node: Node, what: str) -> ScalarNode:
    """A scalar that is not null."""
    if not isinstance(node, ScalarNode):
        raise InputError(f"{what} is one word or text, not a collection", node.place)
    if scalar_value(node) is None:
        raise InputError(f"{what} has no value (write one, or leave the key out)", node.place)
    return node


def text_of(node: MapNode, key: str, default: str) -> str:
    """The text under a key."""
    entry = node.entries.get(key)
    return default if entry is None else scalar(entry.value, key).text


def texts_of(node: MapNode, key: str) -> tuple[str, ...]:
    """The texts of the list under a key; none without it."""
    entry = node.entries.get(key)
    return () if entry is None else tuple(scalar(item, key).text for item in sequence(entry.value, key))


def number(node: Node, what: str, most: int) -> int:
    """A number from 0 to `most`."""
    found = scalar(node, what)
    try:
        value = parse_number(found.text)
    except ValueError as error:
        raise InputError(f"{what}: {error}", found.place) from None
    if value > most:
        raise InputError(f"{what} {found.text} (at most {most:#x})", found.place)
    return value


def word(node: Node, what: str, known: Collection[str]) -> str:
    """One of the words known."""
    found = scalar(node, what)
    if found.text not in known:
        raise InputError(f"unknown {what} '{found.text}' ({did_you_mean(found.text, known)})", found.place)
    return found.text


def condition(node: Node, what: str, kinds: Mapping[str, Kind] = KINDS) -> Condition:
    """A condition; an error points into the scalar, behind quotes and escapes too."""
    if not isinstance(node, ScalarNode):
        raise InputError(f"{what} is a condition in words (such as: mmio and not noncoherent_dma)", node.place)
    try:
        return parse_condition(node.text, Place("", 1, 0), kinds)
    except InputError as error:
        offset = error.place.column if error.place else 0
        raise InputError(error.message, _place_in(node, offset)) from None


def _place_in(node: ScalarNode, offset: int) -> Place:
    """The place of a character of a scalar; the scalar's own where it goes over several lines."""
    source = node.place.source[node.place.column - 1 :]
    at = offset
    if node.quoted:
        at = 1
        for _ in range(offset):
            if source[:1] == "'":
                at += 2 if source[at : at + 2] == "''" else 1
            else:
                escape = source[at + 1 : at + 2] if source[at : at + 1] == "\\" else ""
                at += {"": 1, "x": 4, "u": 6, "U": 10}.get(escape, 2)
    several = source[:1] in ("|", ">") if node.quoted else not source.startswith(node.text)
    return node.place if several or at > len(source) else node.place._replace(column=node.place.column + at)
