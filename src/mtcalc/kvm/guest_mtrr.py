# SPDX-License-Identifier: GPL-2.0-only
"""KVM's lookup of guest MTRRs, in its versions. It is not the manual's.

Source: arch/x86/kvm/mtrr.c of 4.2 to 6.10, get_mtrr_type() in arch/x86/kvm/mmu.c before. Variable ranges
are visited in descending order of the raw base register; an UC answers at once, a later one of another
type (but for WT with WB) makes KVM answer WB: UC over WB at a higher base is WB.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from mtcalc.kvm.versions import MtrrWalk
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import (
    FIXED_RANGES,
    ONE_MEGABYTE,
    MtrrLookup,
    Mtrrs,
    fixed_index,
    is_regular,
    matching_blocks,
    matching_pairs,
)

KVM_PAIRS = 8
"""Variable pairs that KVM gives a guest."""

MAX_PIECES = 1 << 16
"""More pieces than this in one slot (masks full of holes, kernels up to 4.1) are refused."""


class Span(NamedTuple):
    """What one valid variable pair covers by KVM's reading, [start, end) in bytes."""

    pair: int
    start: int
    end: int
    memtype: MemType


def kvm_spans(mtrrs: Mtrrs) -> tuple[Span, ...]:
    """The variable ranges in the order in which KVM visits them: raw base descending.

    A pair covers [base, base | ~mask], whatever holes the mask has.
    """
    full = (1 << mtrrs.maxphyaddr) - 1
    spans = [
        Span(n, pair.address, (pair.address | full & ~pair.address_mask(mtrrs.maxphyaddr)) + 1, pair.memtype)
        for n, pair in enumerate(mtrrs.variable)
        if pair.valid
    ]
    # Of two equal bases the later written comes first, and registers are written in order.
    return tuple(sorted(spans, key=lambda s: (mtrrs.variable[s.pair].base, s.pair), reverse=True))


def combine(current: MemType, new: MemType) -> tuple[MemType, bool]:
    """One step of the walk of 4.2 and later: (type so far, whether the walk stops there)."""
    if new == current:
        return current, False
    if new is MemType.UC:
        return MemType.UC, True
    if {current, new} == {MemType.WT, MemType.WB}:
        return MemType.WT, False
    return MemType.WB, True


def kvm_lookup(mtrrs: Mtrrs, gpa: int, walk: MtrrWalk, cpuid_mtrr: bool = True) -> MtrrLookup:
    """The guest MTRR type of the page at `gpa` (bytes), as KVM sees it.

    Raises ValueError for MtrrWalk.NONE, which never asks.
    """
    if walk is MtrrWalk.NONE:
        raise ValueError("from 6.11 on KVM does not look at guest MTRRs")
    if walk is MtrrWalk.V4_1:
        return _lookup_4_1(mtrrs, gpa)
    if not mtrrs.enabled:
        uncached = cpuid_mtrr or walk is MtrrWalk.V4_2
        return MtrrLookup(MemType.UC if uncached else MemType.WB, "disabled")
    if mtrrs.fixed_enabled and gpa < ONE_MEGABYTE:
        return MtrrLookup(mtrrs.fixed[fixed_index(gpa)], "fixed")
    page = gpa & ~0xFFF
    current: MemType | None = None
    visited = []
    for span in kvm_spans(mtrrs):
        if not span.start <= page < span.end:
            continue
        visited.append(span.pair)
        if current is None:
            current = span.memtype
            continue
        current, stop = combine(current, span.memtype)
        if stop:
            break
    if current is None:
        return MtrrLookup(mtrrs.default, "default")
    return MtrrLookup(current, "variable", tuple(visited))


def _lookup_4_1(mtrrs: Mtrrs, gpa: int) -> MtrrLookup:
    if not mtrrs.enabled and not mtrrs.fixed_enabled:
        return MtrrLookup(MemType.WB, "disabled")
    if gpa < ONE_MEGABYTE:
        return MtrrLookup(mtrrs.fixed[fixed_index(gpa)], "fixed")
    if not mtrrs.enabled:
        return MtrrLookup(mtrrs.default, "default")
    pairs = matching_pairs(mtrrs, gpa & ~0xFFF)
    if not pairs:
        return MtrrLookup(mtrrs.default, "default")
    types = {mtrrs.variable[n].memtype for n in pairs}
    if len(types) == 1:
        return MtrrLookup(types.pop(), "variable", pairs)
    both = types == {MemType.WB, MemType.WT}
    return MtrrLookup(MemType.WT if both else MemType.UC, "variable", pairs)


class GuestMtrrMap:
    """The guest's MTRR types over ranges of addresses, by one walk."""

    def __init__(self, mtrrs: Mtrrs, walk: MtrrWalk, cpuid_mtrr: bool = True) -> None:
        self.mtrrs = mtrrs
        self.walk = walk
        self.cpuid_mtrr = cpuid_mtrr
        edges: set[int] = set()
        irregular = []
        if mtrrs.enabled or mtrrs.fixed_enabled:
            edges.update(start for start, _ in FIXED_RANGES)
            edges.add(ONE_MEGABYTE)
        for span in kvm_spans(mtrrs):
            pair = mtrrs.variable[span.pair]
            if walk is MtrrWalk.V4_1 and not is_regular(pair, mtrrs.maxphyaddr):
                irregular.append(pair)
            else:
                edges.update((span.start, span.end))
        self._edges = sorted(edges)
        self._irregular = irregular
        self._cache: dict[int, MtrrLookup] = {}

    def lookup(self, gpa: int) -> MtrrLookup:
        """The type of the page at `gpa` (bytes)."""
        if self._irregular:
            return kvm_lookup(self.mtrrs, gpa, self.walk, self.cpuid_mtrr)
        piece = bisect_right(self._edges, gpa)
        found = self._cache.get(piece)
        if found is None:
            found = self._cache[piece] = kvm_lookup(self.mtrrs, gpa, self.walk, self.cpuid_mtrr)
        return found

    def edges(self, start: int, end: int) -> list[int]:
        """Where the type can change strictly inside [start, end), ascending.

        Raises ValueError beyond MAX_PIECES.
        """
        low = bisect_right(self._edges, start)
        inside = set(self._edges[low : bisect_right(self._edges, end - 1)])
        for pair in self._irregular:
            for block in matching_blocks(pair, self.mtrrs.maxphyaddr, start, end):
                inside.update(edge for edge in block if start < edge < end)
                if len(inside) > MAX_PIECES:
                    what = f"an MTRR mask with holes cuts [{start:#x}, {end:#x}) into more than {MAX_PIECES} pieces"
                    raise ValueError(f"{what} (ask for single addresses with --gpa)")
        return sorted(inside)

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, int, MtrrLookup]]:
        """[start, end) cut at every edge: (start, end, lookup) of each piece."""
        cuts = [start, *self.edges(start, end), end]
        for low, high in itertools.pairwise(cuts):
            yield low, high, self.lookup(low)
