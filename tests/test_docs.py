# SPDX-License-Identifier: GPL-2.0-only
"""The pages of docs/ and man/: what the program makes is fresh, and groff has nothing to say of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mtcalc.cli.main import COMMANDS

ROOT = Path(__file__).parent.parent
MANUAL = sorted((ROOT / "man").glob("man*/*"))


def needs(program: str) -> None:
    """Skips where a program is missing, but not in CI, which installs it."""
    if not shutil.which(program):
        assert "CI" not in os.environ, f"{program} is not installed, and .ci/run installs it"
        pytest.skip(f"{program} is not installed")


def test_what_the_program_makes_is_fresh() -> None:
    call = [sys.executable, "docs/make.py", "--check"]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0), f"python docs/make.py\n{done.stderr}"


def test_every_command_has_a_manual_page() -> None:
    assert {f"mtcalc-{name}.1" for name in COMMANDS} <= {page.name for page in MANUAL}
    assert {"mtcalc.1", "mtcalc-scenario.5", "mtcalc-rules.7"} <= {page.name for page in MANUAL}


@pytest.mark.parametrize("page", MANUAL, ids=lambda page: page.name)
def test_groff_has_no_warning(page: Path) -> None:
    needs("groff")
    call = ["groff", "-ww", "-man", "-Tutf8", "-rLL=78n", str(page)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert (done.stderr, done.returncode) == ("", 0)
    assert f"{page.stem.upper()}({page.suffix[1:]})" in done.stdout


def test_a_manual_page_says_what_help_does() -> None:
    needs("groff")
    page = ROOT / "man" / "man1" / "mtcalc-lookup.1"
    call = ["groff", "-man", "-Tascii", "-P-c", "-P-b", "-P-u", str(page)]
    shown = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    for words in ("--slot-flag NAME", "-r, --rules REF", "mtcalc lookup --slot-flag non-coherent-dma", "EXIT STATUS"):
        assert words in shown
