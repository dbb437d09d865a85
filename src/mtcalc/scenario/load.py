# SPDX-License-Identifier: GPL-2.0-only
"""Scenario text -> Scenario: YAML with places, the schema's checks, the records."""

from __future__ import annotations

import re

from mtcalc.scenario.build import build
from mtcalc.scenario.read import read_keys
from mtcalc.scenario.record import Scenario
from mtcalc.scenario.schema import ScenarioKeys
from mtcalc.scenario.values import shown
from mtcalc.text.errors import InputError
from mtcalc.text.yaml import ListNode, MapNode, parse_yaml, scalar_value


def load_scenario(text: str, file: str) -> Scenario:
    """The scenario that a YAML or JSON text describes; `file` names it in places.

    Raises InputError with a place: of what is wrong, the thing that stands first in the text.
    """
    try:
        root = parse_yaml(text, file)
    except InputError as error:
        raise _recognised(text, file) or error from None
    if not isinstance(root, MapNode) or not root.entries.keys() & ScenarioKeys.fields.keys():
        other = _recognised(text, file)
        if other is not None:
            raise other
    if not isinstance(root, MapNode):
        what = "a list" if isinstance(root, ListNode) else shown(scalar_value(root))
        raise InputError(f"{what} here (a scenario is a mapping: guest, memslots, ...)", root.place)
    if _is_rule_file(root):
        raise InputError(
            "this is a rule file (a scenario, with memslots: and guest:; mtcalc rules check has rule files)", root.place
        )
    return build(read_keys(root, _is_json(text)), root, file)


def _recognised(text: str, file: str) -> InputError | None:
    """The error that says what other tool's text this is."""
    if re.search(rf"^(?:{'|'.join(ScenarioKeys.fields)}):", text, re.MULTILINE):
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
