# SPDX-License-Identifier: GPL-2.0-only
"""The recipes of docs/recipes.md: the fenced blocks below each heading, and what it takes to run their very text."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from support.program import Run, environment
from support.readme import ROOT

PAGE = ROOT / "docs" / "recipes.md"
_SECTION = re.compile(r"^## (.+)$", re.M)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


class Recipe(NamedTuple):
    """A block as the page has it."""

    language: str
    text: str


def recipes() -> dict[str, list[Recipe]]:
    """By heading: its blocks, those that show an output aside."""
    parts = _SECTION.split(PAGE.read_text())
    return {
        heading: [Recipe(*found) for found in _BLOCK.findall(body) if found[0] != "console"]
        for heading, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def needs(program: str, package: str) -> None:
    """Skips the test where a program is not installed; never in CI, where `package` is."""
    if shutil.which(program, path=_path()) is None:
        assert "CI" not in os.environ, f"{program} is not installed, and CI has {package}"
        pytest.skip(f"{program} is not installed ({package})")


@cache
def _path() -> str:
    """Where programs are: mtcalc and b4 beside this Python, git's helpers where git looks for them."""
    helpers = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
    return f"{Path(sys.executable).parent}:{os.environ['PATH']}:{helpers}"


class Desk:
    """Somebody's machine: a home without a configuration, and programs that stand in for others."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self._programs = folder / "bin"
        self.home.mkdir()
        self._programs.mkdir()

    def stand_in(self, name: str, script: str) -> None:
        """A program that is run in place of the one of that name, which it finds as "$REAL"."""
        real = shutil.which(name, path=_path()) or "false"
        path = self._programs / name
        path.write_text(f"#!/bin/sh\nREAL='{real}'\n{script}\n")
        path.chmod(0o755)

    def environment(self, **extra: str) -> dict[str, str]:
        """What its programs see."""
        who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in _WRITER.items()}
        own = {
            "HOME": str(self.home),
            "PATH": f"{self._programs}:{_path()}",
            "GIT_CONFIG_NOSYSTEM": "1",
            "TERM": "xterm",
        }
        clean = {n: v for n, v in environment().items() if not n.startswith(("GIT_", "XDG_", "EMAIL"))}
        return clean | who | own | extra

    def run(self, text: str, cwd: Path, stdin: str = "", **extra: str) -> Run:
        """A recipe's text in a shell."""
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", text],
            cwd=cwd,
            env=self.environment(**extra),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Run(done.returncode, done.stdout, done.stderr)


_WRITER = {"NAME": "A Writer", "EMAIL": "writer@example.org"}
