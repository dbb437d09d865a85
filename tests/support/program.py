# SPDX-License-Identifier: GPL-2.0-only
"""The program as users run it, in a process of its own, with nothing of the caller's environment that it reads."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

TESTS = Path(__file__).parent.parent
DATA = TESTS / "data"
PROGRAM = (sys.executable, "-m", "mtcalc")

_DROPPED = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TERM", "CI")


class Run(NamedTuple):
    """How a call ended; a negative status is a signal's number."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, of a call that went well, as JSON."""
        assert (self.status, self.err) == (0, "")
        return json.loads(self.out)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment without what mtcalc or rich would read, in UTF-8."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _DROPPED and not name.startswith(("MTCALC_", "_MTCALC", "PYTHON"))
    }
    return kept | {"LC_ALL": "C.UTF-8"} | dict(extra or {})


def run(*args: str, stdin: str | bytes = "", env: Mapping[str, str] | None = None, cwd: Path = DATA) -> Run:
    """The real program in a fresh interpreter."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [*PROGRAM, *args], input=given, capture_output=True, env=environment(env), cwd=cwd, timeout=120, check=False
    )
    return Run(done.returncode, done.stdout.decode(), done.stderr.decode())


class _Server:
    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="mtcalc-test-")
        code = Path(__file__).with_name("fork_server.py")
        self._process = subprocess.Popen(
            [sys.executable, str(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
        )
        atexit.register(self.close)

    def call(self, args: tuple[str, ...], stdin: bytes, env: dict[str, str], cwd: Path) -> Run:
        files = {name: os.path.join(self._folder.name, name) for name in ("stdin", "stdout", "stderr")}
        for name, path in files.items():
            Path(path).write_bytes(stdin if name == "stdin" else b"")
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"args": args, "env": env, "cwd": str(cwd), **files}) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return Run(status, Path(files["stdout"]).read_text(), Path(files["stderr"]).read_text())

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()


@cache
def _server() -> _Server:
    return _Server()


def quick(*args: str, stdin: str | bytes = "", env: Mapping[str, str] | None = None, cwd: Path = DATA) -> Run:
    """As run(), in a fork of an interpreter that has the program loaded: a few milliseconds a call."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    return _server().call(args, given, environment(env), cwd)
