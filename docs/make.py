# SPDX-License-Identifier: GPL-2.0-only
"""Writes what is made from the program: manual pages in man/, the marked parts of the pages beside this file, map.svg.

python docs/make.py            writes them
python docs/make.py --check    says what is stale, status 1
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import _man
import _parts

ROOT = Path(__file__).resolve().parent.parent


def made() -> Iterator[tuple[Path, str]]:
    """Every made file with its text."""
    yield from ((ROOT / "man" / f"man{name[-1]}" / name, text) for name, text in _man.pages(ROOT / "docs"))
    for path in sorted((ROOT / "docs").glob("*.md")):
        text = path.read_text()
        yield path, _parts.filled(text)
    yield ROOT / "docs" / "map.svg", _picture((ROOT / "README.md").read_text())


def _picture(readme: str) -> str:
    """What the command that the README names beside its picture prints."""
    found = re.search(r"`mtcalc (map [^`]* -o svg)`", readme)
    assert found, "the README names the command of its picture"
    call = [sys.executable, "-m", "mtcalc", *found[1].split()]
    env = {name: value for name, value in os.environ.items() if not name.startswith("MTCALC_")}
    return subprocess.run(call, cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout


def main(words: list[str]) -> int:
    """The exit status."""
    stale = [(path, text) for path, text in made() if not path.exists() or path.read_text() != text]
    names = {path for path, _ in made()}
    gone = [path for path in (ROOT / "man").glob("*/*.[1-9]") if path not in names]
    for path in (*(path for path, _ in stale), *gone):
        print(path.relative_to(ROOT))
    if words == ["--check"]:
        return 1 if stale or gone else 0
    for path, text in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for path in gone:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
