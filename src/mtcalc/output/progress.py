# SPDX-License-Identifier: GPL-2.0-only
"""A progress bar on standard error, where that is a terminal; elsewhere nothing."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 0.5
"""Seconds before anything is drawn: what is quick needs no bar."""


@contextmanager
def progress(what: str, total: int, colour: bool = True) -> Iterator[Callable[[], None]]:
    """A function to call after each of `total` steps. The bar is gone at the end."""
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda: None
        return
    started = time.monotonic()
    bar: _Bar | None = None
    done = 0

    def tick() -> None:
        nonlocal bar, done
        done += 1
        if bar is None and time.monotonic() - started > PATIENCE and done < total:
            bar = _Bar(what, total, colour)
        if bar is not None:
            bar.at(done)

    try:
        yield tick
    finally:
        if bar is not None:
            bar.close()


class _Bar:
    """rich's, which only a bar that is drawn imports."""

    def __init__(self, what: str, total: int, colour: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        class Shown(Console):
            def show_cursor(self, show: bool = True) -> bool:
                return False  # Ctrl-C ends the program where it is, and would leave a hidden cursor behind

        console = Shown(file=sys.stderr, no_color=not colour)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False)
        self._task = self._bar.add_task(what, total=total)
        self._bar.start()

    def at(self, done: int) -> None:
        self._bar.update(self._task, completed=done)

    def close(self) -> None:
        self._bar.stop()
