# SPDX-License-Identifier: GPL-2.0-only
"""The JSON Schema of scenarios: what editors need of it, and that it agrees with the loader."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from mtcalc.scenario.json_schema import json_schema, model
from mtcalc.scenario.keys import Keys
from mtcalc.scenario.load import load_scenario
from mtcalc.scenario.schema import NUMBER_SCHEMA, READABLE_KEYS, SECTIONS, ScenarioKeys
from mtcalc.text.numbers import parse_number

SCHEMA = json_schema()


def mappings(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping with keys of its own: the root and the definitions."""
    yield "scenario", schema
    yield from schema["$defs"].items()


def keys() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(mapping, key, form) of every key."""
    for name, mapping in mappings(SCHEMA):
        for key, form in mapping["properties"].items():
            yield name, key, form


@pytest.mark.parametrize(("mapping", "key", "form"), [pytest.param(*k, id=f"{k[0]}.{k[1]}") for k in keys()])
def test_every_key_has_a_description_and_examples(mapping: str, key: str, form: dict[str, Any]) -> None:
    assert form["description"]
    assert form["examples"]
    assert "title" not in form, "a title that repeats the key"
    assert {"type": "null"} not in form.get("anyOf", []), "no key takes null"


def test_no_mapping_takes_other_keys() -> None:
    for name, mapping in mappings(SCHEMA):
        assert mapping["additionalProperties"] is False, name
        assert mapping["description"], name


def test_every_section_is_listed() -> None:
    """SECTIONS, by which messages name the known keys, holds every mapping the schema does."""
    assert {keys.__name__ for keys in SECTIONS.values()} == {"ScenarioKeys", *SCHEMA["$defs"]}
    for path, keys in SECTIONS.items():
        if path:
            assert path[-1] in SECTIONS[path[:-1]].fields
            assert issubclass(keys, Keys)


def test_defaults_are_as_a_file_writes_them() -> None:
    defaults = {f"{mapping}.{key}": form["default"] for mapping, key, form in keys() if "default" in form}
    assert defaults["GuestKeys.pat"] == "linux"
    assert defaults["MtrrKeys.default"] == "WB"
    assert defaults["BackingKeys.host_type"] == "WB"
    assert None not in defaults.values()
    json.dumps(SCHEMA)


SURROUNDINGS = {
    "scenario": "%s",
    "HostKeys": "{host: %s}",
    "VmKeys": "{vm: %s}",
    "GuestKeys": "{guest: %s}",
    "Cr0Keys": "{guest: {cr0: %s}}",
    "MtrrKeys": "{guest: {mtrr: %s}}",
    "BackingKeys": "{memslots: [{gpa: 0, size: 4K, backing: %s}]}",
    "SlotKeys": "{memslots: [%s]}",
    "PageKeys": "{pages: [%s]}",
    "ExpectKeys": "{memslots: [{name: vga, gpa: 0, size: 4K}], expect: [%s]}",
}
COMPANIONS: dict[str, dict[str, Any]] = {
    "SlotKeys": {"gpa": 0, "size": "4K"},
    "PageKeys": {"gpa": 0},
    "ExpectKeys": {"gpa": 0, "memtype": "WB"},
}
NEEDED: dict[str, dict[str, Any]] = {
    "ExpectKeys.effective": {"pat": "WB"},
    "PageKeys.pte_level": {"pte": 1},
    "ExpectKeys.pte_level": {"pte": 1},
    "PageKeys.size": {"request": "WB"},
    "ExpectKeys.size": {"request": "WB"},
    "GuestKeys.nopat": {"kernel": "linux-6.8"},
    "ExpectKeys.slot": {"hazard": "MT009"},
}


@pytest.mark.parametrize(("mapping", "key", "form"), [pytest.param(*k, id=f"{k[0]}.{k[1]}") for k in keys()])
def test_examples_and_defaults_load(mapping: str, key: str, form: dict[str, Any]) -> None:
    if mapping == "VariableKeys":
        return  # only whole entries load: see MtrrKeys.variable
    values = [*form["examples"], *([form["default"]] if "default" in form else [])]
    for value in values:
        around = {**COMPANIONS.get(mapping, {}), **NEEDED.get(f"{mapping}.{key}", {}), key: value}
        load_scenario(SURROUNDINGS[mapping] % json.dumps(around), "vm.yaml")


@pytest.mark.parametrize(
    "text", ["0", "10", "0x1F", "4K", "0x10M", "0x1_0", "010", "1_0", "0x", "0x_1", "K", "-1", "1.5", "1GB", "", "0xg"]
)
def test_the_pattern_of_numbers_is_the_parsers(text: str) -> None:
    """What an editor accepts as a number, parse_number() reads, and the other way round."""
    pattern = NUMBER_SCHEMA["anyOf"][1]["pattern"]
    try:
        parse_number(text)
    except ValueError:
        assert not re.search(pattern, text)
    else:
        assert re.search(pattern, text)


def test_the_readable_keys_are_the_others_of_mtrr() -> None:
    assert {*READABLE_KEYS, "msrs", "vcnt"} == set(SCHEMA["$defs"]["MtrrKeys"]["properties"])


def test_the_models_own_schema_works_too() -> None:
    assert model(ScenarioKeys).model_json_schema()["additionalProperties"] is False
