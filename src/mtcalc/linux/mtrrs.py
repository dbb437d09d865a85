# SPDX-License-Identifier: GPL-2.0-only
"""What a Linux guest sees in its own MTRRs: the registers as the manual reads them, or a view that it forces.

KVM's reading of them does not matter here. Source: SDM vol. 3, "MTRR Precedences"; mtrr_type_lookup(),
arch/x86/kernel/cpu/mtrr/generic.c.
"""

from __future__ import annotations

from enum import Enum
from itertools import islice
from typing import NamedTuple

from mtcalc.kvm.history import Row, row_at
from mtcalc.kvm.versions import VmType
from mtcalc.linux.pat import GuestLinux
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import FIXED_RANGES, ONE_MEGABYTE, Mtrrs, manual_lookup, matching_blocks

SDM_MTRR = 'SDM vol. 3, "MTRR Precedences"'
FOUR_GIGABYTES = 1 << 32
_MOST_BLOCKS = 4096
"""Of a mask with holes: enough to see that a range is not of one type."""


class State(Enum):
    """How the guest comes by a range's type."""

    ONE = "one type"
    MIXED = "more than one type"
    UNDEFINED = "overlapping ranges that the manual leaves undefined"
    OFF = "MTRRs off"
    NONE = "no MTRRs in CPUID"


class SeenType(NamedTuple):
    """The MTRR type of a range of addresses as the guest's kernel sees it; None: it has not one type."""

    memtype: MemType | None
    state: State
    words: str
    source: str

    @property
    def usable(self) -> bool:
        """Whether a lookup gives a type at all: MTRRs are in CPUID and on."""
        return self.state not in (State.OFF, State.NONE)

    @property
    def name(self) -> str:
        """'UC', 'mixed', 'off', 'none'."""
        return str(self.memtype) if self.memtype is not None else self.state.name.lower()


class Forced(Enum):
    """The MTRR state that a confidential guest forces upon its own lookup, whatever the registers hold."""

    NOT = "the registers"
    WB = "WB everywhere"
    WB_BUT_HOLE = "WB, UC from the end of low RAM to 4G"


FORCED: tuple[Row[Forced], ...] = (
    Row((0,), Forced.NOT, "the guest's registers"),
    Row((6, 12), Forced.WB, "mtrr_overwrite_state() in kvm_init_platform(); read: 6.11.11 -> 6.12.0"),
    Row((6, 12, 54), Forced.WB_BUT_HOLE, "the PCI hole, 6.12.54 and 6.18; read: 6.17.0 -> 6.18.2"),
    Row((6, 13), Forced.WB, "mtrr_overwrite_state(), from 6.14 guest_force_mtrr_state(); read: 6.13.2, 6.14.0"),
    Row((6, 18), Forced.WB_BUT_HOLE, "guest_force_mtrr_state(&pci_hole); read: 6.17.0 -> 6.18.2"),
)
"""Of SNP and TDX guests on KVM."""

LOOKUP_OFF: tuple[Row[str], ...] = (
    Row((0,), "invalid", "mtrr_type_lookup(); read: up to 6.4"),
    Row((6, 5), "UC", "mtrr_type_lookup() answers UC; read: 6.4 -> 6.5"),
)
"""What a lookup answers where MTRRs are off or not in CPUID; neither is WB."""


def given_type(memtype: MemType) -> SeenType:
    """The type that somebody said."""
    return SeenType(memtype, State.ONE, f"{memtype}, as given", SDM_MTRR)


def seen_type(mtrrs: Mtrrs, guest: GuestLinux, start: int, end: int, low_ram_end: int = 0) -> SeenType:
    """The type of [start, end) in bytes; `low_ram_end`: where RAM below 4G ends, for guests that force their view."""
    if guest.kind is not VmType.NORMAL:
        row = row_at(FORCED, guest.release)
        if row.what is not Forced.NOT:
            return _forced(row, start, end, low_ram_end)
    off = row_at(LOOKUP_OFF, guest.release)
    if not guest.cpuid_mtrr:
        return SeenType(None, State.NONE, f"CPUID has no MTRRs: a lookup answers {off.what}", off.source)
    if not mtrrs.enabled:
        return SeenType(None, State.OFF, f"MTRRs are off (E=0): a lookup answers {off.what}", off.source)
    types = _types_over(mtrrs, start, end)
    if len(types) > 1:
        names = ", ".join(sorted("undefined" if kind is None else str(kind) for kind in types))
        return SeenType(None, State.MIXED, f"the range {start:#x}-{end - 1:#x} is of several types: {names}", SDM_MTRR)
    (kind,) = types
    if kind is None:
        return SeenType(None, State.UNDEFINED, "ranges overlap in a way that the manual leaves undefined", SDM_MTRR)
    return SeenType(kind, State.ONE, f"{kind} over {start:#x}-{end - 1:#x}", SDM_MTRR)


def _forced(row: Row[Forced], start: int, end: int, low_ram_end: int) -> SeenType:
    words = f"the guest forces its view of the MTRRs: {row.what.value}"
    if row.what is Forced.WB_BUT_HOLE and start < FOUR_GIGABYTES and end > low_ram_end:
        if low_ram_end <= start and end <= FOUR_GIGABYTES:
            return SeenType(MemType.UC, State.ONE, words, row.source)
        return SeenType(None, State.MIXED, words, row.source)
    return SeenType(MemType.WB, State.ONE, words, row.source)


def _types_over(mtrrs: Mtrrs, start: int, end: int) -> set[MemType | None]:
    """The manual's types of [start, end): one lookup a piece between edges."""
    edges = {start}
    for pair in mtrrs.variable:
        if pair.valid:
            for block in islice(matching_blocks(pair, mtrrs.maxphyaddr, start, end), _MOST_BLOCKS):
                edges.update(edge for edge in block if start < edge < end)
    if mtrrs.fixed_enabled and start < ONE_MEGABYTE:
        edges.update(edge for _, edge in FIXED_RANGES if start < edge < end)
    return {manual_lookup(mtrrs, edge).memtype for edge in edges}
