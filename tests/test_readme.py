# SPDX-License-Identifier: GPL-2.0-only
"""The examples of the README and of the pages of docs/, run as written."""

from __future__ import annotations

import os
import re
import shutil

import pytest

from support.readme import PAGES, README, Shown, run, shown

EXAMPLES = [(page.stem, example) for page in PAGES for example in shown(page.read_text())]


def test_the_readme_has_examples() -> None:
    assert len(shown(README.read_text())) >= 4
    assert len(EXAMPLES) > 40


def test_the_first_two_commands_of_the_readme_install() -> None:
    """Whoever runs its blocks from the top has the program, then the tests: nothing that needs it stands before."""
    blocks = re.findall(r"^```(sh|console)\n(.*?)^```$", README.read_text(), re.M | re.S)
    install = "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt "
    assert [(kind, text.startswith(install), text.count("\n")) for kind, text in blocks[:2]] == [("sh", True, 1)] * 2
    assert {kind for kind, _ in blocks[2:]} == {"console"}


@pytest.mark.parametrize(("page", "example"), EXAMPLES, ids=[f"{page}: {one.command[:60]}" for page, one in EXAMPLES])
def test_a_page_shows_what_the_program_prints(page: str, example: Shown) -> None:
    if "jq" in example.command and not shutil.which("jq"):
        assert "CI" not in os.environ, "jq is not installed, and .ci/run installs it"
        pytest.skip("jq is not installed")
    printed = "\n".join(line.rstrip() for line in run(example.command).splitlines())
    assert printed == example.output, f"{page}: wanted? python tests/support/readme.py"
