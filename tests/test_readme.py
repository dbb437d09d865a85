# SPDX-License-Identifier: GPL-2.0-only
"""The README's examples, run as written."""

from __future__ import annotations

import os
import shutil

import pytest

from support.readme import README, Shown, run, shown

EXAMPLES = shown(README.read_text())


def test_the_readme_has_examples() -> None:
    assert len(EXAMPLES) > 20


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.command[:60] for example in EXAMPLES])
def test_the_readme_shows_what_the_program_prints(example: Shown) -> None:
    if "jq" in example.command and not shutil.which("jq"):
        assert "CI" not in os.environ, "jq is not installed, and .ci/run installs it"
        pytest.skip("jq is not installed")
    printed = "\n".join(line.rstrip() for line in run(example.command).splitlines())
    assert printed == example.output
