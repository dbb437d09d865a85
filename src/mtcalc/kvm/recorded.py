# SPDX-License-Identifier: GPL-2.0-only
"""An SPTE as a trace or a log recorded it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

Entry: TypeAlias = tuple[int, int, int, int]
"""(address space, guest page number, level, the entry's 64 bits): a plain tuple, as there may be millions."""

Recorded: TypeAlias = tuple[int, int, int, int, int]
"""As Entry, and the line that has it, which counts from 1."""


class Batch(NamedTuple):
    """Entries as they arrive, in columns. What line has one costs more than it, so that is asked for by its index."""

    spaces: Sequence[int]
    gfns: Sequence[int]
    levels: Sequence[int]
    values: Sequence[int]
    line: Callable[[int], int]

    @property
    def entries(self) -> list[Entry]:
        """The same, row by row."""
        return list(zip(self.spaces, self.gfns, self.levels, self.values, strict=True))


def batch_of(entries: Sequence[Entry], line: Callable[[int], int]) -> Batch:
    """A batch from rows."""
    columns: list[list[int]] = [list(column) for column in zip(*entries, strict=True)] or [[], [], [], []]
    return Batch(columns[0], columns[1], columns[2], columns[3], line)


NO_GFN = -1
"""The guest page number where a line tells none."""

NO_LEVEL = 0
"""The level where a line tells none."""

LEVELS = (1, 2, 3, 4, 5)


def aligned(gfn: int, level: int) -> int:
    """The first guest page of what an entry at a level (1 to 5) maps, or its table does."""
    return gfn & -(1 << 9 * (level - 1))
