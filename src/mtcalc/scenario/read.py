# SPDX-License-Identifier: GPL-2.0-only
"""A tree with places -> the keys of a scenario, every value read, and every error found in one pass."""

from __future__ import annotations

from typing import Any, NamedTuple

from mtcalc.scenario.keys import REQUIRED, ByName, Items, Keys, Shape, Single, WordOr
from mtcalc.scenario.places import Problems
from mtcalc.scenario.schema import SECTIONS, ScenarioKeys
from mtcalc.scenario.values import Decimal, ItemError, shown
from mtcalc.text.suggest import did_you_mean
from mtcalc.text.yaml import ListNode, MapNode, Node, ScalarNode, scalar_value


class _How(NamedTuple):
    """What holds for the whole text."""

    is_json: bool
    problems: Problems


def read_keys(root: Node, is_json: bool) -> ScenarioKeys:
    """The keys of a scenario; in JSON digits are decimal.

    Raises InputError for the value or key that is wrong, the one that stands first in the text.
    """
    how = _How(is_json, Problems())
    keys: ScenarioKeys = _section(root, ScenarioKeys, (), how)
    how.problems.raise_first()
    return keys


def _section(node: Node, keys: type[Keys], path: tuple[str, ...], how: _How) -> Any:
    found = keys()
    if not isinstance(node, MapNode):
        return _wrong_kind(node, "a mapping", how)
    unknown = node.entries.keys() - keys.fields.keys()
    for name, key in keys.fields.items():
        entry = node.entries.get(name)
        if entry is not None:
            setattr(found, name, _value(entry.value, key.value, (*path, name), how))
        elif key.default is REQUIRED and not unknown:  # which may be meant for it
            how.problems.add(f"'{name}' is missing ({keys.needs})", node.place)
    for name, entry in node.entries.items() if unknown else ():
        if name in unknown:
            how.problems.add(_unknown_key(name, path), entry.key_place)
    return found


def _value(node: Node, value: Shape, path: tuple[str, ...], how: _How) -> Any:
    if isinstance(value, Single):
        return _single(node, value, how)
    if isinstance(value, Items):
        if not isinstance(node, ListNode):
            return _wrong_kind(node, "a list", how)
        return [_value(item, value.of, path, how) for item in node.items]
    if isinstance(value, ByName):
        if not isinstance(node, MapNode):
            return _wrong_kind(node, "a mapping", how)
        return {name: _single(entry.value, value.of, how) for name, entry in node.entries.items()}
    if isinstance(value, WordOr):
        if not isinstance(node, MapNode):
            return _single(node, value.word, how)
        return value.make(_section(node, value.section, path, how))
    return _section(node, value, path, how)


def _single(node: Node, single: Single, how: _How) -> Any:
    try:
        return single.read(_plain(node, how.is_json))
    except ItemError as error:
        place = node.items[error.index].place if isinstance(node, ListNode) else node.place
        return how.problems.add(str(error), place)
    except ValueError as error:
        return how.problems.add(str(error), node.place)


def _plain(node: Node, is_json: bool) -> bool | str | list[Any] | dict[str, Any] | None:
    """A value without its places; numbers stay text. Of a mapping no reader wants more than that it is one."""
    if isinstance(node, ScalarNode):
        value = scalar_value(node)
        return Decimal(value) if is_json and not node.quoted and isinstance(value, str) else value
    return {} if isinstance(node, MapNode) else [_plain(item, is_json) for item in node.items]


def _wrong_kind(node: Node, wanted: str, how: _How) -> None:
    how.problems.add(f"{shown(_plain(node, how.is_json))} here ({wanted})", node.place)


def _unknown_key(key: str, section: tuple[str, ...]) -> str:
    elsewhere = [".".join(path) or "the top level" for path, keys in SECTIONS.items() if key in keys.fields]
    what = f"unknown key {shown(key)}"
    if len(elsewhere) == 1:
        return f"{what} (it belongs to {elsewhere[0]})"
    return f"{what} ({did_you_mean(key[:80], SECTIONS[section].fields)})"
