# SPDX-License-Identifier: GPL-2.0-only
"""Golden cases of import, one a file of tests/data/importers/golden: the call, its status, what it prints.

As tests/cli/test_golden.py, in tests/data/importers. A scenario's text may be wider than a terminal.

    MTCALC_GOLDEN=write pytest tests/importers/test_golden.py
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from mtcalc.scenario.load import load_scenario
from support.program import DATA, Run, quick

IMPORTERS = DATA / "importers"
CASES = sorted((IMPORTERS / "golden").glob("*.txt"))
SAMPLES = sorted((IMPORTERS / "samples").glob("*.txt"))
ERRORS = "--- stderr\n"


def text_of(first: str, done: Run) -> str:
    """A case as its file has it."""
    return f"{first}\nstatus {done.status}\n{done.out}" + (f"{ERRORS}{done.err}" if done.err else "")


def arguments(case: Path) -> list[str]:
    return shlex.split(case.read_text().split("\n", 1)[0].removeprefix("$ mtcalc "))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_golden(case: Path) -> None:
    first = case.read_text().split("\n", 1)[0]
    got = text_of(first, quick(*arguments(case), cwd=IMPORTERS))
    if os.environ.get("MTCALC_GOLDEN") == "write":
        case.write_text(got)
    assert got == case.read_text(), "wanted? MTCALC_GOLDEN=write pytest tests/importers/test_golden.py"


def test_every_sample_has_a_case() -> None:
    """Every one imports, or fails with a message that says why."""
    used = {word for case in CASES for word in arguments(case)}
    assert {f"samples/{sample.name}" for sample in SAMPLES} <= used
    assert len(SAMPLES) >= 45


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_result_loads_and_asks_nothing_of_the_terminal(case: Path) -> None:
    _, status, rest = case.read_text().split("\n", 2)
    out, _, err = rest.partition(ERRORS)
    assert rest.isascii()
    assert "\x1b" not in rest
    if status == "status 0" and arguments(case)[0] == "import" and not {"json", "--list"} & set(arguments(case)):
        assert load_scenario(out, "vm.yaml").vm.maxphyaddr
        assert all(len(line) <= 80 for line in err.splitlines())
        assert all(line.startswith(("note: ", "      ")) for line in err.splitlines())
    elif status == "status 2":
        assert out == ""
        assert "(" in err.split("\n", 1)[0]
