# SPDX-License-Identifier: GPL-2.0-only
"""A second model of what a Linux guest makes of a request for a device's memory: plain Python, from words alone.

It shares no table with mtcalc.linux: releases are compared as numbers, types are their names, and the PATs are typed
out as dmesg prints them.
"""

from __future__ import annotations

from typing import NamedTuple

RESET = ["WB", "WT", "UC-", "UC", "WB", "WT", "UC-", "UC"]
FULL = ["WB", "WC", "UC-", "UC", "WB", "WP", "UC-", "WT"]
FULL_4_2 = ["WB", "WC", "UC-", "UC", "WB", "WC", "UC-", "WT"]
FOUR = ["WB", "WC", "UC-", "UC", "WB", "WC", "UC-", "UC"]


class Got(NamedTuple):
    """The type settled on, the entry, and what the page is."""

    kind: str
    entry: int
    page: str


def number(release: tuple[int, ...]) -> int:
    """6.1.7 -> 60010007, 6.11-rc -> just below 6.11."""
    padded = [part for part in release if part >= 0] + [0] * 3
    value = padded[0] * 10_000_000 + padded[1] * 10_000 + padded[2]
    return value - 1 if release[-1] < 0 else value


def got(
    release: tuple[int, ...],
    asked: str,
    mtrr: str | None,
    cpuid: bool = True,
    enabled: bool = True,
    nopat: bool = False,
    register: list[str] | None = None,
) -> Got | None:
    """What becomes of a request by type; `mtrr` None: the range is of several types. None: it cannot be asked."""
    n = number(release)
    v4_2, v4_7, v4_14, v6_0, v6_2 = 40_020_000, 40_070_000, 40_140_000, 60_000_000, 60_020_000
    if asked in ("WT", "WP") and n < v4_2:
        return None
    blind = not cpuid or (not enabled and n >= v4_2)  # as far as the PAT goes
    if blind and n >= v6_2:
        blind = False
    on, writes, table = not nopat, not (blind or nopat), "register"
    if blind and v4_2 <= n < v4_7:
        table = "four"
    elif nopat and v4_2 <= n < v4_7:
        table = "reset"
    elif blind and v4_7 <= n < v6_0:
        on = False
    if n < v4_2:
        table = "fixed"
    own = FULL if n >= v4_14 else FULL_4_2 if n >= v4_2 else FOUR
    held = register or (own if writes else RESET)

    kind = asked
    if not on:
        if n < v4_2 and asked == "WC":
            kind = "UC-"
    elif asked == "WB":
        off = not (cpuid and enabled)
        if n < number((2, 6, 31)):
            kind = mtrr if mtrr in ("UC", "WC") and not off else "WB"
        elif off and number((6, 1, 7)) <= n < number((6, 1, 33)):
            kind = "WB"
        elif off or mtrr != "WB":
            kind = "UC-"

    if table == "fixed":
        entry = {"WB": 0, "WC": 1, "UC-": 2, "UC": 3}[kind]
    elif table == "four":
        entry = {"WB": 0, "UC": 3}.get(kind, 2)
    else:
        at = RESET if table == "reset" else held
        entry = at.index(kind) if kind in at else {"WB": 0, "UC": 3}.get(kind, 2)
    return Got(kind, entry, held[entry])
