# SPDX-License-Identifier: GPL-2.0-only
"""How large a page KVM may map: the MTRR consistency check and the slot's own limits.

Source: kvm_mtrr_check_gfn_range_consistency() in arch/x86/kvm/mtrr.c, 4.2 to 6.10, asked only when the VM
has non-coherent DMA; kvm_alloc_memslot_metadata() in arch/x86/kvm/x86.c.
"""

from __future__ import annotations

from mtcalc.kvm.flags import SLOT_FLAGS
from mtcalc.kvm.guest_mtrr import kvm_spans
from mtcalc.kvm.vm import Slot
from mtcalc.x86.ept import LEVEL_NAMES, LEVEL_SHIFT
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import FIXED_RANGES, ONE_MEGABYTE, Mtrrs


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


def level_obstacle(mtrrs: Mtrrs | None, slot: Slot | None, gpa: int, level: int) -> str | None:
    """Why the block of `level` around `gpa` (bytes) can't be mapped as one page, in words; None if it can.

    `mtrrs` None: they do not limit it (no non-coherent DMA, or a kernel that never asks); `slot` None: no
    slot limits it. The host's own page size, which limits it further, is not known here.
    """
    if level == 1:
        return None
    size = 1 << LEVEL_SHIFT[level]
    block = gpa & -size
    if slot is not None:
        if slot.flags & SLOT_FLAGS["LOG_DIRTY_PAGES"]:
            return "the slot logs dirty pages"
        if block < slot.gpa or block + size > slot.end:
            return f"the slot does not hold all of {block:#x} to {block + size - 1:#x}"
        if slot.hva is not None and (slot.hva ^ slot.gpa) & (size - 1):
            return f"guest and host address differ modulo {LEVEL_NAMES[level]}"
    if mtrrs is not None and not consistent(mtrrs, block, block + size):
        return f"KVM finds the MTRRs not consistent over {block:#x} to {block + size - 1:#x}"
    return None


def mapping_level(mtrrs: Mtrrs | None, slot: Slot | None, gpa: int) -> int:
    """The highest level (3: 1G, 2: 2M, 1: 4K) that nothing known here stands against; see level_obstacle()."""
    return next(level for level in (3, 2, 1) if level_obstacle(mtrrs, slot, gpa, level) is None)


def largest_level(mtrrs: Mtrrs | None, slot: Slot, start: int, end: int) -> int:
    """The highest level that some page of [start, end) can get; no MTRR range may begin or end inside.

    Blocks wholly inside meet the same ranges, so three of them tell: the first, the last and one between.
    """
    best = 1
    for level in (3, 2):
        size = 1 << LEVEL_SHIFT[level]
        for gpa in {start, min((start & -size) + size, end - 1), end - 1}:
            best = max(best, mapping_level(mtrrs, slot, gpa))
        if best >= level:
            return best
    return best
