# SPDX-License-Identifier: GPL-2.0-only
"""The house: imports between the rooms of src/mtcalc run downwards only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import mtcalc
from support.modules import parsed

SRC = Path(mtcalc.__file__).parent

BELOW = {
    "text": "",
    "x86": "text",
    "kvm": "text x86",
    "linux": "text x86 kvm",  # of kvm: releases, and rows by release
    "rules": "text x86 kvm",
    "rulefile": "text x86 kvm rules",
    "csource": "text x86 kvm rules",
    "patches": "text x86 kvm rules csource",
    "refs": "text x86 kvm rules rulefile csource patches",
    "scenario": "text x86 kvm linux rules refs",
    "importers": "text x86 kvm scenario",
    "analysis": "text x86 kvm linux rules",
    "output": "text x86 kvm linux rules rulefile patches scenario importers analysis",
    "cli": "text x86 kvm linux rules rulefile csource patches refs scenario importers analysis output",
}
"""What each room may import from, besides itself."""


def imports(path: Path) -> Iterator[str]:
    """The rooms that a module imports from, whether at its head or in a function."""
    for node in ast.walk(parsed(path)):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom) and node.module == "mtcalc":
            names = [f"mtcalc.{alias.name}" for alias in node.names]
        for name in names:
            head, _, rest = name.partition(".")
            if head == "mtcalc" and rest:
                yield rest.partition(".")[0]


def modules(room: str) -> list[Path]:
    return sorted((SRC / room).glob("*.py"))


def test_every_room_is_known() -> None:
    assert {path.parent.name for path in SRC.glob("*/*.py")} == set(BELOW)


@pytest.mark.parametrize("room", BELOW)
def test_imports_run_downwards(room: str) -> None:
    allowed = {room, *BELOW[room].split(), "__version__"}
    assert modules(room)
    for path in modules(room):
        assert set(imports(path)) <= allowed, path


def test_downwards_has_an_end() -> None:
    """No room stands on one that stands on it."""
    for room, below in BELOW.items():
        for lower in below.split():
            assert room not in BELOW[lower].split()


def test_what_holds_the_directions_sees_an_import(tmp_path: Path) -> None:
    module = tmp_path / "m.py"
    module.write_text(
        "import os\nimport mtcalc.x86.pat\nfrom mtcalc import kvm\n"
        "def f():\n    from mtcalc.cli.main import cli\n    from mtcalc.rules import rule\n"
    )
    assert set(imports(module)) == {"x86", "kvm", "cli", "rules"}


def heads(path: Path) -> set[str]:
    """The modules that a module imports when it is loaded, as 'room.module'."""
    return {
        node.module.removeprefix("mtcalc.")
        for node in parsed(path).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mtcalc.") and node.module
    }


def test_no_circle_of_modules() -> None:
    left = {f"{path.parent.name}.{path.stem}": heads(path) for path in SRC.glob("*/*.py")}
    while True:
        free = [name for name, needs in left.items() if not needs & left.keys()]
        if not free:
            break
        for name in free:
            del left[name]
    assert not left
