# SPDX-License-Identifier: GPL-2.0-only
"""Interactive shells on a terminal of their own: keys are sent, the line being edited is read back."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE = 30.0
"""Seconds for a shell to answer, on a machine that has much else to do."""

# ^X^D prints the line being edited between marks that no line here holds, ^X^K empties it.
SHOW_LINE = b"\x18\x04"
KILL_LINE = b"\x18\x0b"
_MARKED = re.compile(r"<<\|(.*?)\|>>", re.DOTALL)

SETUPS = {
    "bash": "PS1='ready> '; set -o emacs; bind 'set enable-bracketed-paste off'; bind 'set bell-style none'\n"
    "bind 'set completion-query-items 0'; bind 'set page-completions off'\n"
    """bind '"\\C-x\\C-k": kill-whole-line'\n"""
    """_show_line() { printf '<<|%%s|>>' "$READLINE_LINE"; }; bind -x '"\\C-x\\C-d": _show_line'\n"""
    "source %(script)s\n",
    "zsh": "PS1='ready> '; bindkey -e; setopt no_beep no_prompt_cr; unset zle_bracketed_paste; LISTMAX=1000\n"
    "autoload -Uz compinit; compinit -u -D; source %(script)s\n"
    """_show_line() { print -rn -- "<<|$BUFFER|>>" }; zle -N _show_line; bindkey '^X^D' _show_line\n"""
    "bindkey '^X^K' kill-whole-line\n",
    "fish": "function fish_prompt; printf 'ready> '; end; function fish_greeting; end\n"
    "source %(script)s\n"
    "function show_line; printf '<<|%%s|>>' (commandline | string collect); end\n"
    "bind \\cx\\cd show_line; bind \\cx\\ck kill-whole-line\n",
}


class Shell:
    """A shell at its prompt."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal

    def read_until(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """What the shell prints up to the pattern. Raises TimeoutError with all that came."""
        seen = ""
        end = time.monotonic() + PATIENCE
        while True:
            found = pattern.search(seen)
            if found:
                return found
            ready, _, _ = select.select([self._terminal], [], [], max(end - time.monotonic(), 0))
            if not ready:
                raise TimeoutError(f"the shell printed {seen!r}")
            seen += os.read(self._terminal, 65536).decode("utf-8", "replace")

    def after(self, keys: str) -> str:
        """The line after these keys have been typed at an empty prompt."""
        os.write(self._terminal, keys.encode() + SHOW_LINE)
        line = self.read_until(_MARKED)[1]
        os.write(self._terminal, KILL_LINE)
        return line

    def screen(self, keys: str, pattern: re.Pattern[str]) -> str:
        """What the shell draws after these keys, up to the pattern; then the prompt is empty again."""
        os.write(self._terminal, keys.encode())
        seen = self.read_until(pattern)
        self.after("\x05")  # ^E: the line is shown, and emptied
        return seen.string

    def on_tab(self, typed: str) -> str:
        """The line after a TAB behind `typed`."""
        return self.after(f"{typed}\t")


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextmanager
def interactive(name: str, script: Path, folder: Path, first: str = "") -> Iterator[Shell]:
    """A shell in `folder`, its home too, that has read the completion script; `first` is run before that."""
    setup = folder / (".zshrc" if name == "zsh" else f".setup-{name}")
    setup.write_text(first + SETUPS[name] % {"script": script}, encoding="utf-8")
    command = {
        "bash": ["bash", "--noprofile", "--rcfile", str(setup), "-i"],
        "zsh": ["zsh", "-d", "-i"],
        "fish": ["fish", "--no-config", "--init-command", f"source {setup}"],
    }[name]
    programs = Path(sys.executable).parent
    environment = {
        "HOME": str(folder),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "TERM": "dumb" if name != "fish" else "xterm",
        "LANG": "C.UTF-8",
        "COLUMNS": "200",
        "LINES": "50",
        "XDG_CONFIG_HOME": str(folder / ".config"),
        "XDG_DATA_HOME": str(folder / ".data"),
    }
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env=environment,
        start_new_session=True,
        preexec_fn=_take_terminal,
    )
    os.close(theirs)
    shell = Shell(ours)
    try:
        shell.read_until(re.compile("ready> "))
        yield shell
    finally:
        process.kill()
        process.wait()
        with suppress(OSError):
            os.close(ours)
