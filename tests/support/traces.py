# SPDX-License-Identifier: GPL-2.0-only
"""The entries in the recorded KVM traces of tests/data/live."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

LIVE = Path(__file__).parent.parent / "data" / "live"

_GFN = re.compile(r"gfn ([0-9a-f]+)\b")
_LEVEL = re.compile(r" level (\d) ?")
_SPTE = re.compile(r"(?:old_|new_)?spte ([0-9a-f]+)\b")


class Traced(NamedTuple):
    """One distinct entry of a trace."""

    gfn: int
    level: int
    value: int


@cache
def entries(name: str) -> tuple[Traced, ...]:
    """The distinct (gfn, level, SPTE) of a trace, old and new ones, in order."""
    found: dict[Traced, None] = {}
    for line in (LIVE / name).read_text().splitlines():
        gfn, level = _GFN.search(line), _LEVEL.search(line)
        if gfn and level:
            for text in _SPTE.findall(line):
                found[Traced(int(gfn[1], 16), int(level[1]), int(text, 16))] = None
    return tuple(found)


def release_of(name: str) -> tuple[int, ...]:
    """The release whose KVM wrote a trace, from its name: 'staged/7.3_age_N0.trace' -> (7, 3)."""
    found = re.search(r"(?:^|/)(\d+)\.(\d+)", name)
    assert found
    return int(found[1]), int(found[2])


EPT = tuple(
    str(path.relative_to(LIVE))
    for path in sorted([*LIVE.glob("*.trace"), *LIVE.glob("staged/*.trace")])
    if "_ept0_" not in path.name
)
SHADOW = tuple(str(path.relative_to(LIVE)) for path in sorted(LIVE.rglob("*_ept0_*.trace")))
