# SPDX-License-Identifier: GPL-2.0-only
"""Golden cases, one a file of tests/data/golden: the call, its exit status, what it prints.

The first line is the call as a shell would take it in tests/data, `$ NAME=VALUE mtcalc ARGS`; then `status N`, what
stands on standard output, and behind a line `--- stderr` what stands on standard error. After a wanted change,

    MTCALC_GOLDEN=write pytest tests/cli/test_golden.py

writes them anew; read the difference before it is committed. A new case is a file with its first line.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from support.program import DATA, Run, quick, run

CASES = sorted((DATA / "golden").glob("*.txt"))
ERRORS = "--- stderr\n"


def call_of(first: str) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of a case's first line."""
    words = shlex.split(first.removeprefix("$ "))
    program = words.index("mtcalc")
    return words[program + 1 :], dict(word.split("=", 1) for word in words[:program])


def text_of(first: str, done: Run) -> str:
    """A case as its file has it."""
    return f"{first}\nstatus {done.status}\n{done.out}" + (f"{ERRORS}{done.err}" if done.err else "")


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_golden(case: Path) -> None:
    first = case.read_text().split("\n", 1)[0]
    args, env = call_of(first)
    got = text_of(first, quick(*args, env=env))
    if os.environ.get("MTCALC_GOLDEN") == "write":
        case.write_text(got)
    assert got == case.read_text(), "wanted? MTCALC_GOLDEN=write pytest tests/cli/test_golden.py"


def test_there_are_cases_of_every_command() -> None:
    commands = {call_of(case.read_text().split("\n", 1)[0])[0][0] for case in CASES}
    assert {"lookup", "eval", "explain", "rules", "decode", "check", "table", "mtrr", "map"} <= commands
    assert len(CASES) >= 40


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_golden_case_is_ascii_without_escapes_in_80_columns(case: Path) -> None:
    """Plain: fixed columns in ASCII, no escape codes, at most 80 columns, fit for pasting into a mail."""
    first, _, rest = case.read_text().partition("\n")
    assert rest.isascii()
    assert "\x1b" not in rest
    args, env = call_of(first)
    if "-o" not in args and "MTCALC_OUTPUT" not in env:
        printed = rest.partition(ERRORS)[0]
        assert max(map(len, printed.splitlines())) <= 80
        assert not any(line.endswith(" ") for line in printed.splitlines())


def test_the_quick_way_is_the_program() -> None:
    """The fork that these cases run in answers as a fresh interpreter does."""
    for args in (["lookup", "--cd"], ["eval", "golden/vfio.yaml", "-o", "json"], ["eval", "nowhere.yaml"]):
        assert quick(*args) == run(*args)
