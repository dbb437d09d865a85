# SPDX-License-Identifier: GPL-2.0-only
"""Names, rule texts and comments that hold escapes, tabs and line ends: none reaches csv or tsv."""

from __future__ import annotations

import csv
import json

import pytest

from support.program import DATA, quick

FILES = DATA / "hostile"
CALLS = (
    "rules show escape-in-names.yaml",
    "rules show escape-in-comment.c",
    "rules check escape-in-names.yaml",
    "lookup -r escape-in-names.yaml",
    "lookup -r escape-in-comment.c",
    "table -r escape-in-names.yaml --mtrr wb",
    "diff escape-in-names.yaml v6.7",
    "diff v6.7 escape-in-names.yaml --expand",
    "eval escape-in-expect.yaml -r escape-in-names.yaml",
    "eval escape-in-expect.yaml -r escape-in-names.yaml --gpa 0 --pat wc",
    "eval escape-in-expect.yaml -r escape-in-names.yaml --gpa -",
    "check escape-in-expect.yaml",
    "check escape-in-expect.yaml -r escape-in-names.yaml",
    "mtrr escape-in-expect.yaml -r escape-in-names.yaml --gpa 0",
)


@pytest.mark.parametrize("form", ["csv", "tsv"])
@pytest.mark.parametrize("call", CALLS)
def test_a_row_is_a_line_and_prints(call: str, form: str) -> None:
    mark = "," if form == "csv" else "\t"
    done = quick(*call.split(), "-o", form, cwd=FILES, stdin="0\n0 wc\n")
    assert done.status in (0, 1), done.err
    *lines, end = done.out.split("\n")
    assert end == ""
    assert all(c.isprintable() or c == mark for line in lines for c in line)
    rows = list(csv.reader(lines, delimiter=mark))
    assert len(rows) == len(lines) > 0
    assert len({len(row) for row in rows}) == 1


def test_what_was_there_is_shown_escaped() -> None:
    done = quick("rules", "show", "escape-in-names.yaml", "-o", "tsv", cwd=FILES)
    header, row = (line.split("\t") for line in done.out.splitlines())
    assert dict(zip(header, row, strict=True))["id"] == r"a\x1b]0;t\x07\tb\nc"
    checked = quick("check", "escape-in-expect.yaml", "-o", "csv", cwd=FILES)
    assert r"\x1b[31mx" in checked.out


def test_a_name_beyond_16_bits_in_json() -> None:
    """As json.dumps writes it, and back."""
    done = quick("eval", "json-emoji.json", "-o", "json", cwd=FILES)
    assert [answer["slot"] for answer in done.json["results"]] == ["\U0001f600"]
    assert json.loads((FILES / "json-emoji.json").read_text())["memslots"][0]["name"] == "\U0001f600"
