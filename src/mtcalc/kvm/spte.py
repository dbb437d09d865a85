# SPDX-License-Identifier: GPL-2.0-only
"""What KVM's shadow-page-table entries say beyond the EPT format.

Source: arch/x86/kvm/mmu/spte.h and spte.c of 6.1 and 6.12: bit 11 MMU-present, 57 host-writable, 58
MMU-writable, 53:52 A/D mode, 54 and 56 saved R and X of an access-tracked leaf; removed (frozen) 0x5a0, with
bit 63 in 6.12; MMIO entries are RWX=110b without bit 11.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from mtcalc.x86.ept_entry import EptEntry, decode_entry

REMOVED = (0x5A0, 0x8000_0000_0000_05A0)
MMU_PRESENT = 1 << 11
WRITABLE = 1 << 1
NPT_MMU_WRITABLE = 1 << 10
EPT_HOST_WRITABLE = 1 << 57
EPT_MMU_WRITABLE = 1 << 58


class SpteKind(Enum):
    """What an SPTE is, in the order in which it is told."""

    EMPTY = "empty: nothing mapped"
    REMOVED = "removed (frozen): KVM is changing it"
    MMIO = "MMIO: emulated access, no memory behind it"
    NOT_EPT = "not EPT: shadow paging or NPT, no memory type in the entry"
    TABLE = "table: points to the next level"
    LEAF = "leaf"


KVM_STATE = MMU_PRESENT | EPT_HOST_WRITABLE | EPT_MMU_WRITABLE | 3 << 52 | 1 << 54 | 1 << 56
"""The bits, ignored by the CPU, that KVM keeps its own state in."""


class Spte(NamedTuple):
    """An SPTE classified: its kind, the EPT reading, KVM's own bits by name."""

    kind: SpteKind
    entry: EptEntry
    state: tuple[str, ...]
    access_tracked: bool
    undecided: bool  # a leaf that may as well be a read-only one of NPT or shadow paging


def decode_spte(value: int, level: int = 1, maxphyaddr: int = 52) -> Spte:
    """The SPTE `value` at `level` (1 to 5). Raises ValueError as decode_entry() does.

    Memory type and IPAT mean something in LEAF alone. One that is `undecided` is a leaf of EPT if its VM
    uses EPT; nothing in the entry tells.
    """
    entry = decode_entry(value, level, maxphyaddr)
    state = []
    access_tracked = bool(value & MMU_PRESENT) and not value & 7
    if value & MMU_PRESENT:
        state.append("MMU-present")
    if value & EPT_HOST_WRITABLE:
        state.append("host-writable")
    if value & EPT_MMU_WRITABLE:
        state.append("MMU-writable")
    ad_mode = value >> 52 & 3
    if ad_mode:
        state.append(("A/D disabled", "A/D write-protect only", "A/D mode 3")[ad_mode - 1])
    if access_tracked:
        saved = "".join(c for bit, c in ((54, "R"), (56, "X")) if value >> bit & 1) or "none"
        state.append(f"access-tracked, saved {saved}")
    if value in (0, 1 << 63):
        kind = SpteKind.EMPTY
    elif value in REMOVED:
        kind = SpteKind.REMOVED
    elif value & 7 == 6 and not value & MMU_PRESENT:
        kind = SpteKind.MMIO
    elif not entry.present and not access_tracked:
        kind = SpteKind.EMPTY
    elif value & NPT_MMU_WRITABLE and not value & (EPT_HOST_WRITABLE | EPT_MMU_WRITABLE):
        kind = SpteKind.NOT_EPT
    elif not entry.leaf:
        kind = SpteKind.TABLE
    else:
        kind = SpteKind.LEAF
    # A writable entry would have one of the three.
    told = value & (NPT_MMU_WRITABLE | EPT_HOST_WRITABLE | EPT_MMU_WRITABLE | WRITABLE)
    return Spte(kind, entry, tuple(state), access_tracked, kind is SpteKind.LEAF and not told)
