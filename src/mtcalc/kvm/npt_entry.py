# SPDX-License-Identifier: GPL-2.0-only
"""SPTEs of AMD's nested paging, in the format of ordinary page tables, as KVM writes them in each release.

Source: make_spte(), make_nonleaf_spte() and make_mmio_spte(), whatever their names in the releases that
mtcalc.kvm.spte_eras lists. Every release leaves PWT, PCD and PAT clear (svm_get_mt_mask(), there up to 5.19, returned
0), so a leaf selects entry 0 of the host's PAT, which Linux has as WB.
"""

from __future__ import annotations

from mtcalc.kvm.notes import Note
from mtcalc.kvm.spte import LEVELS, EraReading, Spte, at_any_level, grouped
from mtcalc.kvm.spte_eras import BIT_11, LAYOUTS, SUPPRESS_VE, Layout, Release, layout_at, spans, unread
from mtcalc.kvm.spte_reading import Reading, SpteKind, is_leaf, read_pte
from mtcalc.x86.ept import LARGE_BIT, LEVEL_SHIFT
from mtcalc.x86.ept_entry import decode_entry

_PRESENT, _WRITE, _USER = 1, 2, 4
_PWU = _PRESENT | _WRITE | _USER
_PWT, _PCD = 1 << 3, 1 << 4
_ACCESSED, _DIRTY = 1 << 5, 1 << 6
_ADDRESS = (1 << 52) - 0x1000
_IGNORED = 0x7 << 9 | 0x7FF << 52  # available to software, whatever KVM does with them
_FLAGS = ((0, "present"), (1, "write"), (2, "user"), (5, "accessed"), (6, "dirty"), (63, "no-execute"))
_C_BITS = (47, 51)
"""Where the C-bit of memory encryption has been seen: no address bit then."""


def decode_npt(value: int, level: int = 1, maxphyaddr: int = 52, release: Release | None = None) -> Spte:
    """The NPT entry `value` (64 bits) at `level` (1 to 5), of KVM in `release` or of any; maxphyaddr in bits.

    Raises ValueError for a level or value out of range, and for a release before 2.6.29.
    """
    entry = decode_entry(value, level, maxphyaddr)._replace(ignored=value & _IGNORED)
    every = [(layout, read_npt(value, level, maxphyaddr, layout)) for layout in LAYOUTS]
    fits = [(layout, reading) for layout, reading in every if not reading.odd]
    if release is not None:
        layout = layout_at(release)
        reading = read_npt(value, level, maxphyaddr, layout)
        other = spans(found for found, _ in fits) if reading.odd else ""
        notes = [Note("spte", unread(release))] if unread(release) else []
        era = spans(found for found, same in every if found.era == layout.era and same == reading)
        spte = Spte(value, level, entry, (EraReading(era, reading),), era, release, "", other)
    elif fits:
        spte = Spte(value, level, entry, grouped(fits), spans(layout for layout, _ in fits))
        notes = []
    else:
        spte = Spte(value, level, entry, (EraReading("", every[-1][1]),), "")
        notes = [Note("spte", "no release of KVM writes such an NPT entry: read by the newest release's layout")]
    return spte._replace(notes=(*notes, *_c_bit_notes(spte)), npt=True)


def decode_npt_at_any_level(value: int, maxphyaddr: int = 52, release: Release | None = None) -> Spte:
    """As decode_npt(), at the lowest level at which KVM would write such an entry; level 1 where there is none."""
    return at_any_level([decode_npt(value, level, maxphyaddr, release) for level in LEVELS])


def read_npt(value: int, level: int, maxphyaddr: int, layout: Layout) -> Reading:
    """An NPT entry under a layout. `odd` is empty where KVM may have written it."""
    if value in layout.empty:
        return Reading(SpteKind.EMPTY)
    if value == layout.removed:
        return Reading(SpteKind.REMOVED)
    marked = not layout.mmu_present or bool(value & BIT_11)
    mmio = read_pte(value, level, layout)
    if mmio is not None and mmio.gfns:
        # Bit 11 would mark what is present: worth a word.
        return mmio._replace(kind=SpteKind.MMIO, sign=mmio.sign if layout.mmu_present and marked else "")
    if not value & _PRESENT or not marked:
        return Reading(SpteKind.NOT_PRESENT, odd=("not present, yet not empty",), other=value)
    return (_leaf if is_leaf(value, level) else _table)(value, level, maxphyaddr, layout)


def _leaf(value: int, level: int, maxphyaddr: int, layout: Layout) -> Reading:
    low = LEVEL_SHIFT[level]
    pat_bit = 7 if level == 1 else 12
    index = (value >> pat_bit & 1) << 2 | (value >> 4 & 1) << 1 | value >> 3 & 1
    marks = (("host-writable", layout.pte_host_writable), ("MMU-writable", layout.pte_mmu_writable))
    host, mmu = (0 if bit is None else 1 << bit for _, bit in marks)
    address = value & ((1 << 52) - (1 << low))
    own = _PWU | _PWT | _PCD | 1 << pat_bit | _ACCESSED | _DIRTY | SUPPRESS_VE | host | mmu | address
    own |= (LARGE_BIT if level > 1 else 0) | _present(layout)
    odd = []
    if index:
        odd.append(f"PAT, PCD and PWT select entry {index}, and KVM leaves them clear")
    if layout.write_needs_marks and value & _WRITE and not value & mmu:
        odd.append("writable, but not MMU-writable")
    if layout.write_needs_marks and value & mmu and not value & host:
        odd.append("MMU-writable, but not host-writable")
    if value & ~own:
        odd.append(f"bits {value & ~own:#x}, which no leaf has")
    odd += _too_high(value, maxphyaddr)
    return Reading(
        SpteKind.LEAF,
        address=address,
        flags=tuple(name for bit, name in _FLAGS if value >> bit & 1),
        state=(*_state(value, layout), *((name, bit) for name, bit in marks if bit is not None and value >> bit & 1)),
        odd=tuple(odd),
        other=value & ~own,
        npt_index=index,
    )


def _table(value: int, level: int, maxphyaddr: int, layout: Layout) -> Reading:
    # The CPU may set A in any table; KVM itself sets it from 3.6 on.
    own = _PWU | _ACCESSED | _DIRTY | _ADDRESS | _present(layout)
    needed = _PWU | (_ACCESSED if layout.accessed_dirty else 0)
    odd = []
    if value & needed != needed:
        odd.append("a table without present, write, user" + (" and accessed" if layout.accessed_dirty else ""))
    if value & ~own:
        odd.append(f"bits {value & ~own:#x}, which no table has")
    odd += _too_high(value, maxphyaddr)
    return Reading(
        SpteKind.TABLE,
        address=value & _ADDRESS,
        flags=tuple(name for bit, name in _FLAGS if value >> bit & 1),
        state=_state(value, layout),
        odd=tuple(odd),
        other=value & ~own,
    )


def _present(layout: Layout) -> int:
    return BIT_11 if layout.mmu_present else 0


def _state(value: int, layout: Layout) -> tuple[tuple[str, int], ...]:
    return (("MMU-present", 11),) if value & _present(layout) else ()


def _too_high(value: int, maxphyaddr: int) -> list[str]:
    high = (value & _ADDRESS) >> maxphyaddr << maxphyaddr
    if not high or high in [1 << bit for bit in _C_BITS]:
        return []
    return [f"address bits at or above maxphyaddr {maxphyaddr}"]


def _c_bit_notes(spte: Spte) -> tuple[Note, ...]:
    if spte.kind not in (SpteKind.LEAF, SpteKind.TABLE):
        return ()
    found = [bit for bit in _C_BITS if spte.value >> bit & 1]
    if len(found) > 1:  # a host has one
        return ()
    what = "is the C-bit on hosts that encrypt memory (SME, SEV), and no address bit"
    return tuple(Note("spte", f"bit {bit} {what}") for bit in found)
