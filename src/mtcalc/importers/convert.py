# SPDX-License-Identifier: GPL-2.0-only
"""Dumps to a scenario: its text, what is worth saying, and the records where a command takes a dump as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from mtcalc.importers.dump import Dump, ImportRemark
from mtcalc.importers.merge import Machine, merge
from mtcalc.importers.told import Given
from mtcalc.importers.write import scenario_yaml
from mtcalc.text.errors import InputError, printable

if TYPE_CHECKING:
    from mtcalc.scenario.record import Scenario


class Imported(NamedTuple):
    """A scenario's text, the scenario, and remarks in one line each."""

    text: str
    scenario: Scenario
    remarks: tuple[str, ...]
    machine: Machine


def convert(dumps: Sequence[Dump], given: Given) -> Imported:
    """The scenario of one machine's dumps. Raises InputError, as merge() does.

    The text is loaded before anybody sees it: what is written means what the dumps tell, or is an error.
    """
    from mtcalc.scenario.load import load_scenario

    machine = merge(dumps, given)
    text = scenario_yaml(machine)
    try:
        scenario = load_scenario(text, "the result")
    except InputError as error:
        place = next((slot.place for slot, _ in machine.slots), None) or (dumps[0].place if dumps else None)
        raise InputError(f"what the dumps tell is no scenario: {error.message}", place) from None
    return Imported(text, scenario, tuple(map(remark_text, machine.remarks)), machine)


def remark_text(remark: ImportRemark) -> str:
    """A remark in one line, its place in front."""
    if remark.place is None:
        return remark.text
    return f"{printable(remark.place.file)}:{remark.place.line}: {printable(remark.text)}"


def scenario_json(text: str) -> str:
    """A scenario's text as JSON, without its comments; numbers are strings, as hex stays hex so."""
    import json

    from mtcalc.text.yaml import MapNode, Node, ScalarNode, parse_yaml, scalar_value

    def plain(node: Node) -> object:
        if isinstance(node, ScalarNode):
            return scalar_value(node)
        if isinstance(node, MapNode):
            return {key: plain(entry.value) for key, entry in node.entries.items()}
        return [plain(item) for item in node.items]

    return json.dumps(plain(parse_yaml(text, "the result")), indent=2) + "\n"
