# SPDX-License-Identifier: GPL-2.0-only
"""How large a page KVM may map: the MTRR consistency check, the slot's own limits, the host page's.

Source: kvm_mtrr_check_gfn_range_consistency() in arch/x86/kvm/mtrr.c, 4.2 to 6.10; when it is asked, and what
else limits the level in which release, stands in mtcalc.kvm.history. kvm_alloc_memslot_metadata() in
arch/x86/kvm/x86.c for the slot's limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mtcalc.kvm.flags import SLOT_FLAGS
from mtcalc.kvm.guest_mtrr import kvm_spans
from mtcalc.kvm.history import LEVEL_LIMITS, LevelLimits
from mtcalc.kvm.vm import Slot
from mtcalc.x86.ept import LEVEL_NAMES, LEVEL_SHIFT
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import FIXED_RANGES, ONE_MEGABYTE, Mtrrs

NEWEST_LIMITS = LEVEL_LIMITS[-1].what


def consistent(mtrrs: Mtrrs, start: int, end: int) -> bool:
    """Whether KVM finds one memory type in the block [start, end), addresses in bytes."""
    if not mtrrs.enabled:
        return True
    found: MemType | None = None
    if mtrrs.fixed_enabled and start < ONE_MEGABYTE:
        for kind, (low, high) in zip(mtrrs.fixed, FIXED_RANGES, strict=True):
            if low < end and high > start:
                if found is not None and kind != found:
                    return False
                found = kind
        if end <= ONE_MEGABYTE:
            return True
    # KVM judges gaps against the highest end seen so far, though it visits bases in descending
    # order: two adjacent ranges can look like a gap.
    gap = False
    covered = start
    for span in kvm_spans(mtrrs):
        if span.start >= end or span.end <= start:
            continue
        if found is not None and span.memtype != found:
            return False
        found = span.memtype
        gap = gap or covered < span.start
        covered = max(covered, span.end)
    gap = gap or covered < end
    return not gap or found is None or found == mtrrs.default


def leaves_fixed_ranges(mtrrs: Mtrrs) -> bool:
    """Whether the check of the block at 0 goes on from the fixed ranges, all of one type, to the variable ones.

    Up to 4.6 it does so with a stray cursor: UNDEFINED_CHECKS in mtcalc.kvm.history.
    """
    return mtrrs.enabled and mtrrs.fixed_enabled and len(set(mtrrs.fixed)) == 1


class HostPages(NamedTuple):
    """The largest page that the host's side lets KVM map, 1 (4K) to 3 (1G), and why no larger one."""

    level: int
    why: str  # empty where it is 3 and nothing is known to be against it
    assumed: bool  # the size in which the host maps the page was not said, and is taken from what VFIO does


def host_pages(slot: Slot, limits: LevelLimits) -> HostPages:
    """What the host page behind a slot, and KVM itself, allow, whatever the slot's edges and the MTRRs are."""
    backing = slot.backing
    if backing.zero_page:
        return HostPages(1, "the zero page is a page of 4K", False)
    if slot.private:  # read: 6.8 to 7.3.4, kvm_gmem_get_pfn() with order 0
        return HostPages(1, "private memory is mapped in 4K, as guest_memfd hands it out", False)
    if limits.reserved_small and not backing.struct_page:
        return HostPages(1, "up to 5.19 a page without struct page is mapped in 4K", False)
    if limits.reserved_small and backing.reserved:
        return HostPages(1, "up to 5.19 a reserved page is mapped in 4K (ZONE_DEVICE aside)", False)
    if backing.page_level is not None:
        level = min(backing.page_level, limits.highest)
        if level == backing.page_level:
            return HostPages(level, f"the host maps it in pages of {LEVEL_NAMES[level]}", False)
    elif not backing.struct_page or (slot.device and backing.reserved):
        why = "" if limits.device == 3 else "the host maps a BAR in 4K, as VFIO does up to 6.11 (assumed)"
        return HostPages(limits.device, why, True)
    level = limits.highest
    return HostPages(level, "" if level == 3 else f"KVM of this release maps {LEVEL_NAMES[level]} at most", False)


def level_obstacle(
    mtrrs: Mtrrs | None, slot: Slot | None, gpa: int, level: int, limits: LevelLimits = NEWEST_LIMITS
) -> str | None:
    """Why the block of `level` around `gpa` (bytes) can't be mapped as one page, in words; None if it can.

    `mtrrs` None: they do not limit it (no non-coherent DMA from 6.0 on, or a kernel that never asks); `slot`
    None: no slot limits it. The default of `limits` is that of the newest release.
    """
    if level == 1:
        return None
    size = 1 << LEVEL_SHIFT[level]
    block = gpa & -size
    why = slot_obstacle(slot, gpa, level, limits)
    if why is None and mtrrs is not None and not consistent(mtrrs, block, block + size):
        return f"KVM finds the MTRRs not consistent over {block:#x} to {block + size - 1:#x}"
    return why


def slot_obstacle(slot: Slot | None, gpa: int, level: int, limits: LevelLimits = NEWEST_LIMITS) -> str | None:
    """As level_obstacle(), the guest's MTRRs left aside."""
    size = 1 << LEVEL_SHIFT[level]
    block = gpa & -size
    if slot is None:
        return None
    if slot.flags & SLOT_FLAGS["LOG_DIRTY_PAGES"]:
        return "the slot logs dirty pages"
    if block < slot.gpa or block + size > slot.end:
        return f"the slot does not hold all of {block:#x} to {block + size - 1:#x}"
    if slot.hva is not None and (slot.hva ^ slot.gpa) & (size - 1):
        return f"guest and host address differ modulo {LEVEL_NAMES[level]}"
    host = host_pages(slot, limits)
    return host.why if level > host.level else None


def mapping_level(mtrrs: Mtrrs | None, slot: Slot | None, gpa: int, limits: LevelLimits = NEWEST_LIMITS) -> int:
    """The highest level (3: 1G, 2: 2M, 1: 4K) that nothing known here stands against; see level_obstacle()."""
    return next(level for level in (3, 2, 1) if level_obstacle(mtrrs, slot, gpa, level, limits) is None)


def is_determined(slot: Slot, level: int) -> bool:
    """Whether a level found for a page of the slot is what KVM maps, rather than the most it can."""
    return level == 1 or (slot.backing.page_level is not None and slot.hva is not None)


def largest_level(mtrrs: Mtrrs | None, slot: Slot, start: int, end: int, limits: LevelLimits = NEWEST_LIMITS) -> int:
    """The highest level that some page of [start, end) can get; no MTRR range may begin or end inside.

    Blocks wholly inside meet the same ranges, so three of them tell: the first, the last and one between.
    """
    best = 1
    for level in (3, 2):
        size = 1 << LEVEL_SHIFT[level]
        for gpa in {start, min((start & -size) + size, end - 1), end - 1}:
            best = max(best, mapping_level(mtrrs, slot, gpa, limits))
        if best >= level:
            return best
    return best


LARGE = (2, 3)
"""The levels of large pages."""


def blocks_around(edges: Iterable[int]) -> Iterator[int]:
    """First and end, in bytes, of every large block that holds an edge: other blocks meet whole ranges alone."""
    for edge in edges:
        for level in LARGE:
            size = 1 << LEVEL_SHIFT[level]
            yield edge & -size
            if edge & size - 1:
                yield (edge & -size) + size
