# SPDX-License-Identifier: GPL-2.0-only
"""Tables on a real terminal, tmux's, of 60 to 140 columns: nothing cut, every cell there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator

import pytest

from support.program import DATA, PROGRAM, environment, quick

TMUX = shutil.which("tmux")
if TMUX is None and os.environ.get("CI") != "true":
    pytest.skip("tmux is not installed (Debian: apt install tmux)", allow_module_level=True)

HEIGHT = 300


class Terminal:
    """A tmux server of its own with one shell in it."""

    def __init__(self, columns: int) -> None:
        assert TMUX is not None, "tmux is not installed, and CI=true wants it"
        self.columns = columns
        self._socket = f"mtcalc-{uuid.uuid4().hex}"
        self._env = {**environment(), "TERM": "xterm-256color", "PS1": "$ ", "SHELL": "/bin/sh"}
        size = ("-x", str(columns), "-y", str(HEIGHT))
        self._tmux("-f", "/dev/null", "new-session", "-d", "-s", "main", *size, "-c", str(DATA), "exec sh")

    def _tmux(self, *args: str) -> str:
        command = [str(TMUX), "-u", "-L", self._socket, *args]
        return subprocess.run(command, capture_output=True, text=True, env=self._env, check=True).stdout

    def screen(self, *args: str) -> tuple[str, str]:
        """What a call leaves on the screen: its text, and the same with escape codes."""
        return self.screen_of(shlex.join([*PROGRAM, *args]))

    def screen_of(self, command: str) -> tuple[str, str]:
        """The same of a shell command."""
        mark = uuid.uuid4().hex[:8]
        line = f"clear; {command}; echo done-$?-{mark}"
        self._tmux("send-keys", "-t", "main", "-l", line)
        self._tmux("send-keys", "-t", "main", "Enter")
        end = re.compile(rf"^done-0-{mark}$", re.MULTILINE)
        for _ in range(600):
            shown = self._tmux("capture-pane", "-p", "-t", "main")
            found = end.search(shown)
            if found:
                coloured = self._tmux("capture-pane", "-p", "-e", "-t", "main")
                return shown[: found.start()], coloured.partition("done-0-")[0]
            time.sleep(0.05)
        raise AssertionError(f"no end in sight:\n{shown}")

    def close(self) -> None:
        """Ends the server."""
        self._tmux("kill-server")


@pytest.fixture(scope="module", params=[60, 80, 100, 140])
def terminal(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    opened = Terminal(request.param)
    yield opened
    opened.close()


CALLS = [
    ("lookup", "--slot-flag", "non-coherent-dma", "--pat", "wc"),
    ("lookup", "-r", "v6.7", "--noncoherent-dma", "--mtrr", "wp"),
    ("lookup", "-r", "v6.7", "-r", "slot-flag", "--slot-flag", "8", "--noncoherent-dma"),
    ("eval", "golden/vfio.yaml"),
    ("eval", "golden/vfio.yaml", "-r", "4.1"),
    ("eval", "golden/vfio.yaml", "--gpa", "3G", "--gpa", "0xfffc0000", "--pat", "wt"),
    ("explain", "golden/vfio.yaml", "--gpa", "0xfffc0000"),
    ("rules", "show", "slot-flag"),
    ("rules", "list"),
    ("table", "-r", "v6.7", "--noncoherent-dma"),
]


def words(text: str) -> list[str]:
    """The words of a table, without its lines and without the blanks that folding adds."""
    return sorted(re.sub(r"[\u2500-\u257f]", " ", text).split())


@pytest.mark.parametrize("args", CALLS, ids=" ".join)
def test_a_table_fits_the_terminal(terminal: Terminal, args: tuple[str, ...]) -> None:
    """The default on a terminal is a table, in colour; what is too wide is folded, never cut."""
    text, coloured = terminal.screen(*args)
    assert "\u2026" not in text
    assert "\x1b[" in coloured
    assert max(map(len, text.splitlines())) <= terminal.columns
    # Every word of the table that a pipe gets, where nothing is folded, stands on the screen: once a row, but for
    # whose it is, which stands above the rows where it has no room.
    piped = words(quick(*args, "-o", "table").out)
    above = {word.strip(",") for line in text.splitlines() if line.startswith("SLOT ") for word in line.split()}
    # The first column stands in each lot of columns that are shown in turn.
    assert set(words(text.replace(",", ""))) == set(words(" ".join(piped).replace(",", "")))
    if terminal.columns >= 80:
        assert [w for w in words(text) if w.strip(",") not in above] == [w for w in piped if w.strip(",") not in above]
    assert not re.search(r"^    ram|\n\n\n", text, re.MULTILINE)


def test_a_row_stays_a_row(terminal: Terminal) -> None:
    """At 80 columns too a range is one line: the address, what it gets, the rule and the slot; at 60 they are above."""
    text, _ = terminal.screen("eval", "golden/virtio-gpu.yaml")
    if terminal.columns < 80:
        at = text.splitlines().index("SLOT vgpu-blob, RULE slot-flag")
        assert text.splitlines()[at + 1] == "0x100000000 0x10fffffff 2M  WB   0x30 UC UC  WC WT WP WB"
        return
    rows = [line.split() for line in text.splitlines()]
    assert ["0x100000000", "0x10fffffff", "2M", "WB", "0x30", "UC", "UC", "WC", "WT", "WP", "WB", "slot-flag"] in [
        row[:12] for row in rows
    ]
    assert any(row[-1:] == ["vgpu-blob"] for row in rows)


def test_no_color_on_a_terminal(terminal: Terminal) -> None:
    _, coloured = terminal.screen("lookup", "--color", "never")
    assert "\x1b[3" not in coloured


def test_a_stream_on_a_terminal_is_plain(terminal: Terminal) -> None:
    """--gpa - has no table: the terminal's default gives way."""
    shell = f"echo 0x1000 | {shlex.join(PROGRAM)} eval golden/vfio.yaml --gpa -"
    text, _ = terminal.screen_of(shell)
    assert text.splitlines()[0].startswith("GPA             LVL MTRR EPT")


@pytest.mark.parametrize("pipe", ["cat", "less -R"])
def test_through_a_pager(terminal: Terminal, pipe: str) -> None:
    """A pipe has no width: that of the terminal counts, on which the errors would appear."""
    if shutil.which(pipe.split()[0]) is None:
        pytest.skip("less is not installed")
    call = shlex.join([*PROGRAM, "eval", "golden/vfio.yaml", "-r", "4.1", "-o", "table", "--color", "always"])
    direct, _ = terminal.screen_of(call)
    # -F ends it where all fits on the screen, -X leaves that there.
    piped, coloured = terminal.screen_of(f"{call} | {pipe}{' -FX' if 'less' in pipe else ''}")
    assert piped == direct
    assert "\x1b[31m" in coloured
