# SPDX-License-Identifier: GPL-2.0-only
"""What an SPTE of a known layout says: as an EPT entry, and as one of NPT or shadow paging.

Source: is_mmio_spte(), is_shadow_present_pte(), is_last_spte(), make_spte(), make_nonleaf_spte() and
make_mmio_spte(), whatever their names in the releases that mtcalc.kvm.spte_eras lists.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from mtcalc.kvm.spte_eras import AD_OFF, BIT_11, SUPPRESS_VE, Bits, Layout
from mtcalc.x86.ept import LARGE_BIT, LEVEL_SHIFT, split_mask
from mtcalc.x86.ept_entry import EptEntry
from mtcalc.x86.memtype import MemType

_READ, _WRITE, _EXECUTE, _RWX = 1, 2, 4, 7
_BIT_10 = 1 << 10
_BIT_51 = 1 << 51
_ACCESSED_DIRTY = 3 << 8
_PTE_ACCESSED, _PTE_DIRTY = 1 << 5, 1 << 6
_PTE_TABLE = 7 | _PTE_ACCESSED
_ADDRESS = (1 << 52) - 0x1000
_UNLESS_THE_CPU_CAN = ("execute-only",)
L1TF_BITS = 5
L1TF_WIDTHS = range(36, 47)
"""Host physical address widths that the mask was used with: 5 bits and the width fit 51:0."""


class SpteKind(Enum):
    """What an SPTE is, in the order in which it is told."""

    EMPTY = "empty: nothing mapped"
    REMOVED = "removed (frozen): KVM is changing it"
    MMIO = "MMIO: emulated access, no memory behind it"
    NOT_PRESENT = "not present: nothing that the CPU or KVM would walk to"
    NOT_EPT = "not an EPT entry: NPT or shadow paging, no memory type in it"
    TABLE = "table: points to the next level"
    LEAF = "leaf"


class Gfn(NamedTuple):
    """The guest page number of an MMIO SPTE; `width` of a host whose L1TF mask moved it, 0 where there is none."""

    gfn: int
    width: int


class Reading(NamedTuple):
    """An SPTE under one layout. `memtype`, `ipat` and `address` are None where they mean nothing."""

    kind: SpteKind
    memtype: int | None = None  # the 3-bit encoding, reserved ones included
    ipat: bool | None = None
    address: int | None = None  # physical, bytes: of the page, or of the next table
    flags: tuple[str, ...] = ()
    state: tuple[tuple[str, int], ...] = ()  # KVM's own marks, and the (lowest) bit of each
    saved: str | None = None  # of an access-tracked leaf: any of R, X, U; None: it is none
    gfns: tuple[Gfn, ...] = ()  # of an MMIO SPTE
    generation: int | None = None
    sign: str = ""  # what tells that it is no EPT entry
    odd: tuple[str, ...] = ()  # why KVM would not write it
    other: int = 0  # bits that mean nothing here
    misconfigurations: tuple[str, ...] = ()
    npt_index: int | None = None  # of a leaf of NPT: the entry of the host's PAT that it selects


def is_leaf(value: int, level: int) -> bool:
    """Level 1, or bit 7 set at level 2 or 3."""
    return level == 1 or (level <= 3 and bool(value & LARGE_BIT))


def read_ept(entry: EptEntry, layout: Layout) -> Reading:
    """An EPT entry under a layout.

    `odd` is empty where KVM may have written it. NOT_EPT where a sign tells so that needs no other reading.
    """
    value = entry.value
    if value in layout.empty:
        return Reading(SpteKind.EMPTY)
    if value == layout.removed:
        return Reading(SpteKind.REMOVED)
    if _is_mmio(value, layout):
        return _mmio(value, entry.level, layout)
    if not value & layout.present_mask:
        return Reading(SpteKind.NOT_PRESENT, odd=("not present, yet not empty",), other=value)
    return _leaf(entry, layout) if entry.leaf else _table(entry, layout)


def read_manual(entry: EptEntry) -> Reading:
    """An entry that no release of KVM writes, as the CPU takes it."""
    if not entry.present:
        return Reading(SpteKind.NOT_PRESENT, other=entry.value)
    return Reading(
        SpteKind.LEAF if entry.leaf else SpteKind.TABLE,
        entry.memtype,
        entry.ipat,
        entry.address,
        entry.flags,
        other=entry.ignored,
        misconfigurations=entry.misconfigurations,
    )


def read_pte(value: int, level: int, layout: Layout) -> Reading | None:
    """The same entry as one of NPT or shadow paging; None where KVM would not write it there."""
    if _pte_mmio(value, level, layout):
        high = layout.pte_mmio_high
        address = value & _ADDRESS
        top = 51
        while address >> top & 1:  # on SME hosts, and up to 4.17, all bits from the width on
            address &= ~(1 << top)
            top -= 1
        marked = " (bit 11, set here: generation in patches before 5.13, the mark of present entries since)"
        return Reading(
            SpteKind.NOT_EPT,
            gfns=_gfns(address, layout),
            generation=_generation(value & ~high, layout),
            sign=f"an MMIO entry of NPT or shadow paging{marked if _counts_bit_11(value, layout) else ''}",
        )
    leaf = is_leaf(value, level)
    present = BIT_11 if layout.mmu_present else 0
    if leaf:
        host, mmu = _bit(layout.pte_host_writable), _bit(layout.pte_mmu_writable)
        allowed = _RWX | _PTE_ACCESSED | _PTE_DIRTY | (LARGE_BIT if level > 1 else 0) | host | mmu | SUPPRESS_VE
        fits = bool(value & 1) and not _marks_missing(value, layout, host, mmu)
    else:
        allowed = _PTE_TABLE
        fits = value & _PTE_TABLE == _PTE_TABLE
    if not fits or value & present != present or value & ~(allowed | present | _ADDRESS):
        return None
    low = LEVEL_SHIFT[level] if leaf else 12
    what = "a leaf" if leaf else "a table"
    return Reading(
        SpteKind.NOT_EPT,
        address=value & ((1 << 52) - (1 << low)),
        sign=f"{what} of NPT or shadow paging by its bits",
    )


def _bit(number: int | None) -> int:
    return 0 if number is None else 1 << number


def _field(bits: Bits | None) -> int:
    return 0 if bits is None else (1 << bits[1] + 1) - (1 << bits[0])


def _is_mmio(value: int, layout: Layout) -> bool:
    if not layout.mmio_mask or (layout.mmu_present and value & BIT_11):
        return False
    return value & layout.mmio_mask == layout.mmio_value & layout.mmio_mask


def _mmio(value: int, level: int, layout: Layout) -> Reading:
    own = layout.mmio_value | _field(layout.generation_low) | _field(layout.generation_high) | _ADDRESS
    odd = []
    if level != 1:
        odd.append("an MMIO entry at another level than 1")
    if value & _RWX != 6:
        odd.append("an MMIO entry whose RWX is not 110b")
    if value & ~own:
        odd.append(f"bits {value & ~own:#x} in an MMIO entry")
    return Reading(
        SpteKind.MMIO,
        gfns=_gfns(value & ~layout.mmio_value & _ADDRESS, layout),
        generation=_generation(value & ~layout.mmio_value, layout),
        odd=tuple(odd),
        other=value & ~own,
    )


def _gfns(address: int, layout: Layout) -> tuple[Gfn, ...]:
    """The address bits of an MMIO SPTE read both ways, without an L1TF mask first."""
    found = [Gfn(address >> 12, 0)]
    if layout.l1tf:
        for width in L1TF_WIDTHS:
            mask = (1 << width) - (1 << width - L1TF_BITS)
            if address & mask == mask and not address >> width + L1TF_BITS:
                moved = address >> L1TF_BITS & mask
                found.append(Gfn((address & ((1 << width - L1TF_BITS) - 1) | moved) >> 12, width))
    return tuple(found)


def _generation(value: int, layout: Layout) -> int | None:
    halves = _halves(value, layout)
    if halves is None:
        return None
    if generation_repeats(value, layout):
        return halves[1]
    upper, lower, width = halves[1], halves[0], halves[2]
    return (upper << width | lower) << layout.generation_shift


def _halves(value: int, layout: Layout) -> tuple[int, int, int] | None:
    """The lower and the upper half of a generation, and the bits of the lower one."""
    if layout.generation_low is None or layout.generation_high is None:
        return None
    low, high = layout.generation_low, layout.generation_high
    lower, upper = (value & _field(low)) >> low[0], (value & _field(high)) >> high[0]
    return lower, upper, low[1] - low[0] + 1


def generation_repeats(value: int, layout: Layout) -> bool:
    """Whether the upper half of an MMIO SPTE's generation repeats the low bits, as kernels wrote it for a while."""
    halves = _halves(value & ~layout.mmio_value, layout)
    if halves is None or not layout.generation_repeats:
        return False
    lower, upper, width = halves
    return bool(lower) and upper & ((1 << width) - 1) == lower


def _names(value: int, layout: Layout) -> tuple[str, ...]:
    named = (
        (0, "read", True),
        (1, "write", True),
        (2, "execute", True),
        (8, "accessed", layout.accessed_dirty),
        (9, "dirty", layout.accessed_dirty),
        (10, "user-execute", layout.user_execute),
        (63, "suppress-#VE", layout.suppress_ve),
    )
    return tuple(name for bit, name, there in named if there and value >> bit & 1)


def _state(value: int, layout: Layout, leaf: bool) -> tuple[tuple[str, int], ...]:
    found = [("MMU-present", 11)] if layout.mmu_present and value & BIT_11 else []
    marks = (("host-writable", layout.host_writable), ("MMU-writable", layout.mmu_writable)) if leaf else ()
    found += [(name, bit) for name, bit in marks if bit is not None and value >> bit & 1]
    found += [
        (name, mask.bit_length() - 2 if mask & mask - 1 else mask.bit_length() - 1)
        for mask, mark, name in layout.ad_modes
        if value & mask == mark
    ]
    return tuple(found)


def _own_bits(layout: Layout) -> int:
    """The bits that any present EPT entry of this layout may have, leaf or not."""
    own = _RWX | _ADDRESS
    own |= _ACCESSED_DIRTY if layout.accessed_dirty else 0
    own |= BIT_11 if layout.mmu_present else 0
    own |= _BIT_10 if layout.user_execute else 0
    own |= SUPPRESS_VE if layout.suppress_ve else 0
    for mask, _, _ in layout.ad_modes:
        own |= mask
    return own


def _marks_missing(value: int, layout: Layout, host: int, mmu: int) -> str:
    if layout.write_needs_marks and value & _WRITE and not value & mmu:
        return "writable, but not MMU-writable"
    if layout.write_needs_marks and value & mmu and not value & host:
        return "MMU-writable, but not host-writable"
    return ""


def _shared_odd(value: int, layout: Layout) -> list[str]:
    """What neither leaf nor table would have."""
    odd = []
    if layout.user_execute and value & _EXECUTE and not value & _BIT_10:
        odd.append("executable without user-execute")
    field = 0
    for mask, _, _ in layout.ad_modes:
        field |= mask
    if value & field and not any(value & mask == mark for mask, mark, _ in layout.ad_modes):
        odd.append("a mode of A/D bits that KVM does not have")
    return odd


def _wrong(entry: EptEntry) -> list[str]:
    return [words for words in entry.misconfigurations if not words.startswith(_UNLESS_THE_CPU_CAN)]


def _leaf(entry: EptEntry, layout: Layout) -> Reading:
    value = entry.value
    host, mmu = _bit(layout.host_writable), _bit(layout.mmu_writable)
    ad_off = any(value & mask == mark for mask, mark, name in layout.ad_modes if name == AD_OFF)
    tracked = bool(layout.saved) and ad_off and not value & _RWX
    saved = "".join(name for bit, name in layout.saved if value >> bit & 1) if tracked else None
    own = _own_bits(layout) | 0x78 | host | mmu | (LARGE_BIT if entry.level > 1 else 0)
    for bit, _ in layout.saved if tracked else ():
        own |= 1 << bit
    if not value & _RWX and not tracked:
        odd = ("neither readable, writable, executable nor access-tracked, and not empty",)
        return Reading(SpteKind.NOT_PRESENT, odd=odd, other=value)
    encoding, ipat = split_mask(value)
    sign = ""
    if layout.suppress_ve and not value & SUPPRESS_VE:
        sign = "bit 63 is clear, which every EPT entry has set from 6.10 on"
    elif encoding == MemType.WT and ipat and not layout.wt_ipat:
        sign = "WT with IPAT, which no rule gives: the accessed and dirty bits of a PTE"
    elif layout.mmu_present and not layout.user_execute and value & _BIT_10 and not value & (host | mmu):
        sign = "bit 10 is set, which EPT leaves of 5.13 to 7.1 never have: MMU-writable of a PTE"
    if sign:
        return Reading(SpteKind.NOT_EPT, address=entry.address, sign=sign, odd=(sign,))
    wrong = [*_wrong(entry), *_shared_odd(value, layout)]
    missing = _marks_missing(value, layout, host, mmu)
    if missing:
        wrong.append(missing)
    if value & ~own:
        wrong.append(f"bits {value & ~own:#x}, which no leaf has")
    return Reading(
        SpteKind.LEAF,
        encoding,
        ipat,
        entry.address,
        _names(value, layout),
        _state(value, layout, leaf=True),
        saved,
        odd=tuple(wrong),
        other=value & ~own,
        misconfigurations=entry.misconfigurations,
    )


def _table(entry: EptEntry, layout: Layout) -> Reading:
    value = entry.value
    own = _own_bits(layout)
    if layout.suppress_ve and not value & SUPPRESS_VE:
        sign = "bit 63 is clear, which every EPT entry has set from 6.10 on"
        return Reading(SpteKind.NOT_EPT, address=entry.address, sign=sign, odd=(sign,))
    if value & (_PTE_TABLE | 0xF8) == _PTE_TABLE:
        sign = "bit 5 is set, which is reserved in EPT tables: the accessed bit of a PTE"
        return Reading(SpteKind.NOT_EPT, address=entry.address, sign=sign, odd=(sign,))
    odd = [*_wrong(entry), *_shared_odd(value, layout)]
    if value & _RWX != _RWX:
        odd.append("a table whose RWX is not 111b")
    if value & ~own & ~0xF8:
        odd.append(f"bits {value & ~own & ~0xF8:#x}, which no table has")
    return Reading(
        SpteKind.TABLE,
        address=entry.address,
        flags=_names(value, layout),
        state=_state(value, layout, leaf=False),
        odd=tuple(odd),
        other=value & ~own & ~0xF8,
        misconfigurations=entry.misconfigurations,
    )


def _pte_mmio(value: int, level: int, layout: Layout) -> bool:
    if not layout.mmio_mask or level != 1:
        return False
    high = layout.pte_mmio_high | _BIT_51 | _READ
    fields = _field(layout.generation_low) | _field(layout.generation_high)
    if _counts_bit_11(value, layout):
        # Told by more than bit 51, as on SME hosts.
        fields |= BIT_11
        high |= 1 << 50
    own = high | fields | _RWX | _ADDRESS
    return value & high == high and not value & ~own


def _counts_bit_11(value: int, layout: Layout) -> bool:
    """Whether an MMIO entry has bit 11, which patches before 5.13 still counted as generation."""
    return layout.mmu_present and bool(value & BIT_11)
