# SPDX-License-Identifier: GPL-2.0-only
"""Scenario text -> Scenario: YAML with places, the schema's checks, the records."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mtcalc.scenario.build import build
from mtcalc.scenario.places import Path, key_place, value_place
from mtcalc.scenario.record import Scenario
from mtcalc.scenario.schema import SECTIONS, ScenarioKeys
from mtcalc.scenario.values import Decimal, ItemError, shown
from mtcalc.text.errors import InputError, Place
from mtcalc.text.suggest import did_you_mean
from mtcalc.text.yaml import ListNode, MapNode, Node, ScalarNode, gc_paused, parse_yaml, scalar_value

_REQUIRED: dict[tuple[str, ...], str] = {
    ("memslots",): "a memory slot has gpa and size",
    ("pages",): "a page has a gpa",
    ("expect",): "an expect entry has a gpa",
}
_WANTED = {"model_type": "a mapping", "model_attributes_type": "a mapping", "dict_type": "a mapping"}


def load_scenario(text: str, file: str) -> Scenario:
    """The scenario that a YAML or JSON text describes; `file` names it in places.

    Raises InputError with a place: of what is wrong, the thing that stands first in the text.
    """
    try:
        root = parse_yaml(text, file)
    except InputError as error:
        raise _recognised(text, file) or error from None
    if not isinstance(root, MapNode) or not root.entries.keys() & ScenarioKeys.model_fields.keys():
        other = _recognised(text, file)
        if other is not None:
            raise other
    if not isinstance(root, MapNode):
        what = "a list" if isinstance(root, ListNode) else shown(scalar_value(root))
        raise InputError(f"{what} here (a scenario is a mapping: guest, memslots, ...)", root.place)
    if _is_rule_file(root):
        raise InputError("this is a rule file (a scenario, with memslots: and guest:)", root.place)
    with gc_paused():
        try:
            keys = ScenarioKeys.model_validate(_plain(root, _is_json(text)))
        except ValidationError as error:
            raise _first(error.errors(include_url=False), root) from None
        return build(keys, root, file)


def _recognised(text: str, file: str) -> InputError | None:
    """The error that says what other tool's text this is."""
    if re.search(rf"^(?:{'|'.join(ScenarioKeys.model_fields)}):", text, re.MULTILINE):
        return None  # a scenario with something wrong in it
    from mtcalc.scenario.foreign import recognised

    return recognised(text, file)


def _is_rule_file(root: MapNode) -> bool:
    rules = root.entries.get("rules")
    items = rules.value.items if rules and isinstance(rules.value, ListNode) else ()
    return any(isinstance(item, MapNode) for item in items) or {"base", "changes"} <= root.entries.keys()


def _is_json(text: str) -> bool:
    """Whether a text that YAML takes is JSON as well, whose numbers are decimal."""
    if not text.lstrip().startswith("{"):
        return False
    import json

    try:
        json.loads(text, object_pairs_hook=len, parse_int=len)  # what it holds is not wanted
    except (ValueError, RecursionError):
        return False
    return True


def _plain(node: Node, is_json: bool) -> Any:
    """The tree without its places; numbers stay text."""
    if isinstance(node, ScalarNode):
        value = scalar_value(node)
        digits = is_json and not node.quoted and isinstance(value, str)
        return Decimal(value) if digits else value
    if isinstance(node, MapNode):
        return {key: _plain(entry.value, is_json) for key, entry in node.entries.items()}
    return [_plain(item, is_json) for item in node.items]


def _first(details: list[ErrorDetails], root: Node) -> InputError:
    """Of the schema's errors the one that stands first in the text, in our words.

    A missing key counts only where no unknown one may be meant for it.
    """
    misspelt = {detail["loc"][:-1] for detail in details if detail["type"] == "extra_forbidden"}
    meant = [d for d in details if d["type"] != "missing" or d["loc"][:-1] not in misspelt]
    places = [_place(detail, root) for detail in meant]
    index = min(range(len(meant)), key=lambda i: (places[i].line, places[i].column))
    return InputError(_message(meant[index]), places[index])


def _place(detail: ErrorDetails, root: Node) -> Place:
    path: Path = detail["loc"]
    if detail["type"] == "extra_forbidden":
        return key_place(root, path)
    if detail["type"] == "value_error" and isinstance(detail["ctx"]["error"], ItemError):
        path = (*path, detail["ctx"]["error"].index)
    return value_place(root, path)


def _message(detail: ErrorDetails) -> str:
    path = detail["loc"]
    kind = detail["type"]
    section = tuple(step for step in path[:-1] if isinstance(step, str))
    if kind == "extra_forbidden":
        return _unknown_key(str(path[-1]), section)
    if kind == "missing":
        return f"'{path[-1]}' is missing ({_REQUIRED[section]})"
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    return f"{shown(detail['input'])} here ({_WANTED.get(kind, 'a list')})"


def _unknown_key(key: str, section: tuple[str, ...]) -> str:
    known = SECTIONS[section].model_fields
    elsewhere = [".".join(path) or "the top level" for path, model in SECTIONS.items() if key in model.model_fields]
    what = f"unknown key {shown(key)}"
    if len(elsewhere) == 1:
        return f"{what} (it belongs to {elsewhere[0]})"
    return f"{what} ({did_you_mean(key[:80], known)})"
