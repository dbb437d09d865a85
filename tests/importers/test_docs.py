# SPDX-License-Identifier: GPL-2.0-only
"""The pages of docs/import: one a format, their examples run as written.

`python tests/importers/test_docs.py` writes the outputs into them.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mtcalc.importers.recognise import FORMATS
from support.readme import ROOT, Shown, rewritten, run, shown

PAGES = {page.stem: page for page in sorted((ROOT / "docs" / "import").glob("*.md"))}
EXAMPLES = [(name, example) for name, page in PAGES.items() for example in shown(page.read_text())]


def test_every_format_has_a_page_with_an_example() -> None:
    assert {form.name for form in FORMATS} <= PAGES.keys()
    assert {form.name for form in FORMATS} <= {name for name, _ in EXAMPLES}
    index = PAGES["README"].read_text()
    assert all(f"({name}.md)" in index for name in PAGES if name != "README")


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[f"{n}-{e.command[-30:]}" for n, e in EXAMPLES])
def test_a_page_shows_what_the_program_prints(name: str, example: Shown) -> None:
    if "jq" in example.command and not shutil.which("jq"):
        assert "CI" not in os.environ
        pytest.skip("jq is not installed")
    printed = "\n".join(line.rstrip() for line in run(example.command).splitlines())
    assert printed == example.output, "wanted? python tests/importers/test_docs.py"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_ascii_and_names_its_command(name: str) -> None:
    text = PAGES[name].read_text()
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 160
    if name in {form.name for form in FORMATS}:
        assert f"--as {name} " in text


if __name__ == "__main__":
    for path in PAGES.values():
        path.write_text(rewritten(path.read_text()))
