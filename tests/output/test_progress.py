# SPDX-License-Identifier: GPL-2.0-only
"""The progress bar: on a terminal's standard error alone, for what takes long, and gone at the end."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from support.program import environment

CODE = """
import sys
from mtcalc.output import progress
progress.PATIENCE = float(sys.argv[1])
with progress.progress("reading commits", 3) as tick:
    for _ in range(3):
        tick()
print("rich.progress" in sys.modules)
"""


def on_a_terminal(patience: str, **env: str) -> tuple[str, str]:
    """Standard output, and what the terminal behind standard error got."""
    ours, theirs = pty.openpty()
    given = {"TERM": "xterm-256color", **env}
    done = subprocess.run(
        [sys.executable, "-c", CODE, patience],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environment(given),
        check=True,
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 10_000):
            seen += chunk
    except OSError:  # how a terminal that nobody holds ends
        pass
    os.close(ours)
    return done.stdout.decode(), seen.decode()


def test_a_bar_on_a_terminal() -> None:
    out, seen = on_a_terminal("-1")
    assert out == "True\n"
    assert "reading commits" in seen
    assert "\x1b[?25l" not in seen  # Ctrl-C would leave the cursor hidden
    assert seen.rstrip("\r\n").endswith("\x1b[2K")  # and its line is empty again


@pytest.mark.parametrize(("patience", "env"), [("60", {}), ("-1", {"TERM": "dumb"})])
def test_none_for_what_is_quick_or_where_it_cannot_be_drawn(patience: str, env: dict[str, str]) -> None:
    assert on_a_terminal(patience, **env) == ("False\n", "")


def test_none_where_there_is_no_terminal() -> None:
    done = subprocess.run([sys.executable, "-c", CODE, "-1"], capture_output=True, env=environment(), check=True)
    assert (done.stdout, done.stderr) == (b"False\n", b"")
