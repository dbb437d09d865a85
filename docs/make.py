# SPDX-License-Identifier: GPL-2.0-only
"""Writes what is made from the program: manual pages in man/, and the marked parts of the pages beside this file.

python docs/make.py            writes them
python docs/make.py --check    says what is stale, status 1
"""

from __future__ import annotations

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
