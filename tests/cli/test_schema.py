# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc schema: what editors check scenarios by, and the list of keys in docs/."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mtcalc.scenario.json_schema import json_schema
from mtcalc.scenario.reference import flow, key_reference, key_rows
from mtcalc.scenario.schema import SECTIONS
from mtcalc.text.yaml import parse_yaml
from support.editors import as_editors_see
from support.program import quick, run

ROOT = Path(__file__).parents[2]
SCHEMA_FILE = ROOT / "examples" / "scenario.schema.json"
EXAMPLES = [path for path in sorted(ROOT.glob("examples/*.yaml")) if "\nmemslots:" in path.read_text()]
SCENARIOS = [*EXAMPLES, *sorted(ROOT.glob("tests/data/live/*.yaml"))]
VALIDATOR = Draft202012Validator(json_schema())


def complaints(value: Any) -> list[str]:
    """What an editor would underline."""
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(value)]


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(json_schema())


def test_it_is_printed_as_json() -> None:
    done = run("schema")
    assert done.json == json_schema()
    assert done.out.startswith('{\n  "$schema"')
    assert quick("schema", "-o", "json").out == done.out
    # Neither the terminal nor the environment changes what editors get.
    assert quick("schema", env={"MTCALC_OUTPUT": "table", "FORCE_COLOR": "1"}).out == done.out


def test_another_format_is_refused() -> None:
    done = quick("schema", "-o", "yaml")
    assert (done.status, done.out) == (2, "")
    assert "'yaml' is not known" in done.err


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
@pytest.mark.parametrize("numbers", [True, False], ids=["integers", "strings"])
def test_scenarios_that_stand_here_are_valid(path: Path, numbers: bool) -> None:
    root = parse_yaml(path.read_text(), path.name)
    assert complaints(as_editors_see(root, numbers)) == []


def test_examples_name_the_schema_beside_them() -> None:
    assert EXAMPLES
    for path in EXAMPLES:
        assert path.read_text().startswith(f"# yaml-language-server: $schema={SCHEMA_FILE.name}\n"), path.name


def test_the_schema_beside_the_examples_is_fresh() -> None:
    assert SCHEMA_FILE.read_text() == quick("schema").out, "mtcalc schema > examples/scenario.schema.json"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("memslots: [{gpa: 0}]", "$.memslots[0]"),
        ("memslots: [{gpa: 0, size: 4PB}]", "$.memslots[0].size"),
        ("memslots: [{gpa: -1, size: 4K}]", "$.memslots[0].gpa"),
        ("memslots: [{gpa: 0, size: 4K, backing: disk}]", "$.memslots[0].backing"),
        ("guest: {maxphyaddr: 64}", "$.guest.maxphyaddr"),
        ("guest: {pat: [WB, WC]}", "$.guest.pat"),
        ("guest: {mtrr: {variable: [{base: 0, size: 4K}]}}", "$.guest.mtrr.variable[0]"),
        ("vm: {noncoherent_dma: maybe}", "$.vm.noncoherent_dma"),
        ("hosts: {}", "$"),
        ("pages: [{gpa: 0, pat_index: 8}]", "$.pages[0].pat_index"),
    ],
)
def test_what_an_editor_underlines(text: str, where: str) -> None:
    found = complaints(as_editors_see(parse_yaml(text, "vm.yaml")))
    assert [line.partition(": ")[0] for line in found] == [where]


def test_every_key_is_in_the_table_once() -> None:
    paths = [row.path for row in key_rows()]
    assert len(paths) == len(set(paths))
    keys = [(*section, key) for section, keys in SECTIONS.items() for key in keys.fields]
    assert sorted(tuple(path.replace("[]", "").split(".")) for path in paths) == sorted(keys)


@pytest.mark.parametrize("row", key_rows(), ids=lambda row: row.path)
def test_examples_read_as_yaml(row: Any) -> None:
    """What the table shows as an example is a value that a scenario can hold as it is written."""
    node = parse_yaml(row.example, "table")
    again = flow(json.loads(json.dumps(as_editors_see(node, numbers=False))))
    assert again == row.example


def test_the_table_in_markdown() -> None:
    done = quick("schema", "-o", "markdown")
    assert (done.status, done.err) == (0, "")
    assert done.out == key_reference()
    head, rule, *rows = done.out.splitlines()
    assert head.split("|")[1].strip() == "Key"
    assert set(rule) == {"|", "-", " "}
    assert len(rows) == len(key_rows())
    assert {line.count(" | ") for line in (head, *rows)} == {3}


def test_the_page_of_scenarios_has_that_table() -> None:
    page = (ROOT / "docs" / "scenario.md").read_text()
    found = re.search(r"<!-- keys -->\n(.*?)<!-- /keys -->", page, re.DOTALL)
    assert found, "docs/scenario.md has no <!-- keys --> and <!-- /keys -->"
    assert found[1].strip("\n") == key_reference().strip("\n"), "python docs/make.py"
