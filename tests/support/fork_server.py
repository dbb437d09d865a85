# SPDX-License-Identifier: GPL-2.0-only
"""A process that has mtcalc loaded and answers each call from a fork of itself: see program.quick().

A line of JSON in, {"args", "env", "cwd", "stdin", "stdout", "stderr"} with files for the streams; the exit status
out, negative for a signal.
"""

from __future__ import annotations

import gc
import io
import json
import os
import pkgutil
import sys
import traceback
from importlib import import_module
from typing import Any, NoReturn

import mtcalc
from mtcalc.cli.main import main


def _call(request: dict[str, Any]) -> NoReturn:
    for fd, (name, mode) in enumerate((("stdin", os.O_RDONLY), ("stdout", os.O_WRONLY), ("stderr", os.O_WRONLY))):
        opened = os.open(request[name], mode)
        os.dup2(opened, fd)
        os.close(opened)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), "utf-8")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8")
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), "utf-8", write_through=True)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    status = 1
    try:
        main(request["args"])
    except SystemExit as end:
        status = int(end.code or 0)
        sys.stdout.flush()
    except Exception:  # a fault of the program: seen by its status and its words
        status = 2
        traceback.print_exc()
    finally:
        os._exit(status)


def _load() -> None:
    """All of the program, so that no call imports; what is there for good is shared by the forks, not copied."""
    for module in pkgutil.walk_packages(mtcalc.__path__, "mtcalc."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    gc.disable()  # as mtcalc.cli.start does
    gc.freeze()


def serve() -> None:
    """Until standard input ends."""
    _load()
    replies = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            _call(request)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=replies, flush=True)


if __name__ == "__main__":
    serve()
