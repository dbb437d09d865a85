# SPDX-License-Identifier: GPL-2.0-only
"""The pages of docs beside those of import: their examples run as written.

`python tests/test_docs.py` writes the outputs into them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from support.readme import ROOT, Shown, rewritten, run, shown

PAGES = [ROOT / "docs" / "audit.md"]
EXAMPLES = [(page.stem, example) for page in PAGES for example in shown(page.read_text())]


def test_the_pages_have_examples() -> None:
    assert {name for name, _ in EXAMPLES} == {page.stem for page in PAGES}


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[f"{n}-{e.command[-30:]}" for n, e in EXAMPLES])
def test_a_page_shows_what_the_program_prints(name: str, example: Shown) -> None:
    printed = "\n".join(line.rstrip() for line in run(example.command).splitlines())
    assert printed == example.output


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(rewritten(path.read_text()))
