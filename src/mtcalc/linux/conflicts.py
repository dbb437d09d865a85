# SPDX-License-Identifier: GPL-2.0-only
"""Requests that meet: what a Linux guest's kernel does where a range is mapped already with another type.

Source: memtype_check_conflict() and is_new_memtype_allowed(), arch/x86/mm/pat/ and arch/x86/include/asm/pgtable.h;
reserve_ram_pages_type().
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from mtcalc.kvm.history import Row, row_at
from mtcalc.linux.choice import Choice
from mtcalc.linux.functions import Way
from mtcalc.x86.memtype import MemType

_WB, _WC, _WT, _UC_MINUS = MemType.WB, MemType.WC, MemType.WT, MemType.UC_MINUS

REFUSED_PAIRS: tuple[Row[frozenset[tuple[MemType, MemType]]], ...] = (
    Row((0,), frozenset({(_UC_MINUS, _WB), (_WC, _WB)}), "is_new_memtype_allowed(); read: 2.6.29 to 4.1.3"),
    Row(
        (4, 2),
        frozenset({(_UC_MINUS, _WB), (_WC, _WB), (_WT, _WB), (_WT, _WC)}),
        "is_new_memtype_allowed(); read: 4.1.3 -> 4.2.8",
    ),
)
"""(asked for, found) that are refused; with any other pair the new mapping takes the type that is found."""


class Mapping(NamedTuple):
    """A mapping that the kernel keeps track of: [start, end) in bytes, and the type that it has."""

    start: int
    end: int
    kind: MemType
    what: str  # whose it is, in words


class Mappings:
    """Mappings by address, for binary search."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._mappings: list[Mapping] = []
        self._longest = 0

    def add(self, mapping: Mapping) -> None:
        """Adds one behind those that begin where it does."""
        at = bisect_right(self._starts, mapping.start)
        self._starts.insert(at, mapping.start)
        self._mappings.insert(at, mapping)
        self._longest = max(self._longest, mapping.end - mapping.start)

    def around(self, start: int, end: int) -> list[Mapping]:
        """Those that may hold some of [start, end) in bytes, all that do among them, ascending."""
        first = bisect_right(self._starts, start - self._longest)
        return self._mappings[first : bisect_left(self._starts, end)]


class Met(NamedTuple):
    """What a request meets: the mapping, and the type it has to take, None where it is refused."""

    other: Mapping
    takes: MemType | None
    error: str  # how it is refused, '' where it is not


def meet(choice: Choice, start: int, end: int, before: Sequence[Mapping]) -> Met | None:
    """What becomes of a choice for [start, end) where the mappings `before` are there; None: nothing."""
    if choice.kind is None or choice.direct or not choice.pat.on or choice.where.isa:
        return None
    found = sorted((one for one in before if one.start < end and start < one.end), key=lambda one: one.start)
    if not found:
        return None
    first = found[0]
    way, kind = choice.request.way, first.kind
    if choice.where.tracked_as_ram:
        if way is Way.CHANGE:
            return Met(first, None, "EBUSY: its pages are not WB now")
        return None if kind is choice.kind else Met(first, kind, "")  # the page's own type
    if way is Way.INSERT:
        return None if kind is choice.kind else Met(first, kind, "")
    if way is Way.CHANGE:
        other = next((one for one in found if one.kind is not choice.kind), None)
        return None if other is None else Met(other, None, "EBUSY")
    other = next((one for one in found if one.kind is not kind), None)
    if other is not None:
        return Met(other, None, f"EBUSY: {first.what} has {kind}")
    if kind is choice.kind:
        return None
    if (choice.request.asks, kind) in row_at(REFUSED_PAIRS, choice.guest.release).what:
        return Met(first, None, "EINVAL" if way is Way.REMAP else "NULL")
    return Met(first, kind, "")


def kept(choice: Choice, start: int, end: int, met: Met | None, what: str) -> Mapping | None:
    """What the kernel keeps track of once a choice for [start, end) is mapped; None: nothing, or it is refused."""
    kind = choice.kind if met is None else met.takes
    return Mapping(start, end, kind, what) if choice.tracked and kind is not None else None
