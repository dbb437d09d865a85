# SPDX-License-Identifier: GPL-2.0-only
"""An SPTE as a trace or a log recorded it."""

from __future__ import annotations

from typing import TypeAlias

Recorded: TypeAlias = tuple[int, int, int, int, int]
"""(address space, guest page number, level, the entry's 64 bits, line): where it stands in the tables and in the file,
whose lines count from 1. A plain tuple, as there may be millions."""

NO_GFN = -1
"""The guest page number where a line tells none."""

NO_LEVEL = 0
"""The level where a line tells none."""

LEVELS = (1, 2, 3, 4, 5)


def aligned(gfn: int, level: int) -> int:
    """The first guest page of what an entry at a level (1 to 5) maps, or its table does."""
    return gfn & -(1 << 9 * (level - 1))
