# SPDX-License-Identifier: GPL-2.0-only
"""Every kind of bad input, each with the exact report: tests/data/bad_scenarios/NAME.txt.

A case is the text, a line of =====, and what str() of the error says; the file is called vm.yaml. The second part
is made by

    MTCALC_GOLDEN=write pytest tests/scenario/test_bad_scenarios.py
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mtcalc.scenario.load import load_scenario
from mtcalc.text.errors import InputError

CASES = sorted((Path(__file__).parents[1] / "data" / "bad_scenarios").glob("*.txt"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_bad_scenario(path: Path) -> None:
    text, _, report = path.read_text(encoding="utf-8").partition("=====\n")
    with pytest.raises(InputError) as caught:
        load_scenario(text, "vm.yaml")
    if os.environ.get("MTCALC_GOLDEN") == "write":
        report = f"{caught.value}\n"
        path.write_text(f"{text}=====\n{report}", encoding="utf-8")
    assert f"{caught.value}\n" == report, "MTCALC_GOLDEN=write pytest tests/scenario/test_bad_scenarios.py"
    assert caught.value.message.endswith(")"), "what would be right is missing"


def test_there_are_cases() -> None:
    assert len(CASES) >= 180
