# SPDX-License-Identifier: GPL-2.0-only
"""The console blocks of the README and of the pages of docs/: each `$ command` with the output under it.

`python tests/support/readme.py` runs every command and writes what it prints into the pages.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted(page for page in (ROOT / "docs").glob("*.md") if page.stem != "recipes")]
"""Recipes want a tree or a mailbox: tests/test_recipes.py has them."""

_BLOCK = re.compile(r"^( *)```console\n(.*?)^ *```$", re.M | re.S)


class Shown(NamedTuple):
    """A command as a page has it, and the output it claims."""

    command: str
    output: str


def shown(text: str) -> list[Shown]:
    """Every command of the console blocks with its output, without the indent of a list."""
    found = []
    for indent, body in _BLOCK.findall(text):
        lines = [line.removeprefix(indent) for line in body.splitlines()]
        starts = [at for at, line in enumerate(lines) if line.startswith("$ ")]
        for at, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            found.append(Shown(lines[at][2:], "\n".join(lines[at + 1 : end])))
    return found


def run(command: str) -> str:
    """What a command prints, standard error after standard output, in the root of the checkout."""
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
    for name in ("MTCALC_RULES", "MTCALC_GIT", "MTCALC_OUTPUT", "MTCALC_COLOR", "FORCE_COLOR", "COLUMNS"):
        env.pop(name, None)
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).rstrip("\n")


def rewritten(text: str) -> str:
    """A page with every output as it is now."""

    def block(match: re.Match[str]) -> str:
        indent = match[1]
        lines = ["```console"]
        for one in shown(match[0]):
            lines += [f"$ {one.command}", *run(one.command).splitlines()]
        lines.append("```")
        return "\n".join(f"{indent}{line}".rstrip() for line in lines)

    return _BLOCK.sub(block, text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(rewritten(page.read_text()))
