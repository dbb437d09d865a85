# SPDX-License-Identifier: GPL-2.0-only
"""The list of codes, held to what the program makes: every code is a row, every row is made somewhere."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import mtcalc
from mtcalc.kvm.note_codes import CODES, About, Level
from mtcalc.kvm.notes import Note
from support.modules import parsed

SRC = Path(mtcalc.__file__).parent


@cache
def made() -> dict[str, set[str]]:
    """Each code that some Note(...) in the program has, and the modules that make it."""
    found: dict[str, set[str]] = {}
    for path in SRC.rglob("*.py"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Note":
                code = node.args[0]
                assert isinstance(code, ast.Constant), (path, node.lineno)
                found.setdefault(str(code.value), set()).add(f"{path.parent.name}.{path.stem}")
    return found


def test_every_code_made_is_listed_and_every_code_listed_is_made() -> None:
    assert set(made()) == set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_a_row_says_what_it_is_about_and_when(code: str) -> None:
    note = Note(code, "the text")
    row = CODES[code]
    assert (note.about, note.level, str(note)) == (row.about, row.level, "the text")
    assert row.when
    assert not row.when.endswith(".")
    assert code == code.lower().replace(" ", "-")


def test_what_is_said_of_every_answer_is_made_below_answers() -> None:
    """Notes on the kernel come with it; those on a page or an entry are analysis's."""
    for code, modules in made().items():
        if CODES[code].about in (About.PAGE, About.ENTRY):
            assert all(module.startswith(("analysis.", "output.diff")) for module in modules), code
    assert {row.level for row in CODES.values()} <= set(Level)
