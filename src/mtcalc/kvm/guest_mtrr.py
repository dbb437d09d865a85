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
"""Variable pairs that KVM gives a guest, but for 3.16: PAIRS in mtcalc.kvm.history."""

MAX_PIECES = 1 << 16
"""More pieces than this in one slot (masks full of holes, kernels up to 4.1) are refused."""


class TypeSpan(NamedTuple):
    """What one valid variable pair covers by KVM's reading, [start, end) in bytes."""

    pair: int
    start: int
    end: int
    memtype: MemType


def as_read(mtrrs: Mtrrs, walk: MtrrWalk, host_maxphyaddr: int) -> Mtrrs:
    """The MTRRs with the width, in bits, that KVM takes their masks to have.

    4.2 and 4.3 take the host's (var_mtrr_range() in arch/x86/kvm/mtrr.c): where the guest's is smaller, the mask
    bits between the two are 0, and every valid pair covers everything from its base up. Others take the guest's.
    """
    return mtrrs._replace(maxphyaddr=host_maxphyaddr) if walk is MtrrWalk.V4_2 else mtrrs


def kvm_spans(mtrrs: Mtrrs) -> tuple[TypeSpan, ...]:
    """The variable ranges in the order in which KVM visits them: raw base descending.

    A pair covers [base, base | ~mask], whatever holes the mask has.
    """
    full = (1 << mtrrs.maxphyaddr) - 1
    spans = [
        TypeSpan(n, pair.address, (pair.address | full & ~pair.address_mask(mtrrs.maxphyaddr)) + 1, pair.memtype)
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
    """The guest MTRR type of the page at `gpa` (bytes), as KVM sees it; `mtrrs` as as_read() has them.

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
        fixed = _fixed_4_2(mtrrs, gpa) if walk is MtrrWalk.V4_2 else _fixed(mtrrs, gpa)
        if fixed is not None:
            return fixed
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


def _fixed(mtrrs: Mtrrs, gpa: int) -> MtrrLookup:
    return MtrrLookup(mtrrs.fixed[fixed_index(gpa)], "fixed")


class Misread(NamedTuple):
    """Addresses [start, end) in bytes below 1M, and where 4.2 and 4.3 look for their fixed range's type."""

    start: int
    end: int
    first: int | None  # which of the 88 types is the first page's; None: bytes of KVM's own
    step: int  # bytes of addresses that share a type


MISREAD_4_2: tuple[Misread, ...] = (
    Misread(0x0, 0x1000, 0, 0x1000),
    Misread(0x1000, 0x60000, None, 0x4000),
    Misread(0x60000, 0x80000, 0, 0x4000),
    Misread(0x80000, 0x81000, 8, 0x1000),
    Misread(0x81000, 0xA8000, None, 0x1000),
    Misread(0xA8000, 0xC0000, 0, 0x1000),
    Misread(0xC0000, 0xC1000, 24, 0x1000),
)
"""fixed_mtrr_addr_to_seg() of 4.2 and 4.3 asks "start >= addr": a segment's first page is right, other pages fall
into the next segment, with an index counted back from its start, before the table in part; behind 0xc0000 there is
no next one, and the variable ranges are asked. Read and computed: 4.2.8, 4.3.3."""

OVERRUN_PAIRS = slice(6, 8)
"""The pairs whose structures lie before the table of fixed types: what an index below 0 reads."""


def _fixed_4_2(mtrrs: Mtrrs, gpa: int) -> MtrrLookup | None:
    """What 4.2 and 4.3 read for an address below 1M; None: no fixed range, so the variable ones are asked."""
    for part in MISREAD_4_2:
        if part.start <= gpa < part.end:
            break
    else:
        return None
    if part.first is not None:
        index = part.first + (gpa - part.start) // part.step
        return MtrrLookup(mtrrs.fixed[index], "fixed" if index == fixed_index(gpa) else "misread")
    # Registers, and list pointers that stay 0 while their pair was never valid: then every byte is 0, UC.
    if any(pair.base or pair.mask for pair in mtrrs.variable[OVERRUN_PAIRS]):
        return MtrrLookup(None, "garbage")
    return MtrrLookup(MemType.UC, "misread")


def _lookup_4_1(mtrrs: Mtrrs, gpa: int) -> MtrrLookup:
    if not mtrrs.enabled and not mtrrs.fixed_enabled:
        return MtrrLookup(MemType.WB, "disabled")
    if gpa < ONE_MEGABYTE:
        return _fixed(mtrrs, gpa)
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
    """The guest's MTRR types over ranges of addresses, by one walk; `mtrrs` as as_read() has them."""

    def __init__(self, mtrrs: Mtrrs, walk: MtrrWalk, cpuid_mtrr: bool = True) -> None:
        self.mtrrs = mtrrs
        self.walk = walk
        self.cpuid_mtrr = cpuid_mtrr
        edges: set[int] = set()
        irregular = []
        if mtrrs.enabled or mtrrs.fixed_enabled:
            edges.update(start for start, _ in FIXED_RANGES)
            edges.add(ONE_MEGABYTE)
        if walk is MtrrWalk.V4_2:
            edges.update(edge for part in MISREAD_4_2 for edge in range(part.start, part.end, part.step))
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
