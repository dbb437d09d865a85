# SPDX-License-Identifier: GPL-2.0-only
"""Which PAT a Linux guest runs with, and the entry that it uses for each memory type.

Source: arch/x86/mm/pat.c, from 5.7 arch/x86/mm/pat/memtype.c, and arch/x86/kernel/cpu/mtrr/ of the trees that each row
names: "read: A -> B" is the last tree without the fact and the first with it; (?) rests on memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from mtcalc.kvm.history import Row, row_at
from mtcalc.kvm.release import Version
from mtcalc.kvm.versions import VmType
from mtcalc.x86.memtype import PAT_TYPES, MemType
from mtcalc.x86.pat import LINUX_4_1_PAT, LINUX_4_2_PAT, LINUX_PAT, RESET_PAT, Pat


class GuestLinux(NamedTuple):
    """A Linux guest as far as its choice of memory types goes."""

    release: Version
    cpuid_mtrr: bool = True
    mtrrs_on: bool = True  # E, bit 11 of IA32_MTRR_DEF_TYPE
    nopat: bool = False  # booted with nopat
    pat: Pat | None = None  # IA32_PAT as somebody saw it; None: what this kernel makes of the reset value
    kind: VmType = VmType.NORMAL  # what it knows itself to be

    @property
    def name(self) -> str:
        """'Linux 6.8'."""
        words = ".".join(map(str, self.release)).removesuffix(".-1")
        return f"Linux {words}{'-rc' if self.release[-1] == -1 else ''}"


class Left(Enum):
    """What a kernel does that does not write the register."""

    FIXED = "the PAT counts as on, and each type keeps the entry it has in this kernel's own PAT"
    MINIMAL = "the PAT counts as on, and of its types UC-, UC and WB alone are used"
    MINIMAL_OFF = "the PAT counts as off: requests pass unchanged, to the entries of UC-, UC and WB alone"
    OFF = "the PAT counts as off: requests pass unchanged, to the entries that the register has"
    OFF_AT_RESET = "the PAT counts as off: requests pass unchanged, to the entries of the reset value"
    AS_FOUND = "the PAT counts as on, with the entries that the register has"


WRITTEN: tuple[Row[Pat], ...] = (
    Row((0,), LINUX_4_1_PAT, "pat_init(); read: 2.6.29 to 4.1.3"),
    Row((4, 2), LINUX_4_2_PAT, "pat_init(), entry 7 is WT; read: 4.1.3 -> 4.2.8"),
    Row((4, 14), LINUX_PAT, "pat_init(), entry 5 is WP; read: 4.13.9 -> 4.14.0"),
)
"""What a kernel writes into IA32_PAT; the first row's in every release on a CPU with errata, see ERRATA."""

ERRATA = LINUX_4_1_PAT
"""On Intel CPUs of family 6 up to model 0xd and of family 15 up to model 6, in every release."""

WITHOUT_MTRRS: tuple[Row[Left | None], ...] = (
    Row((0,), Left.FIXED, "get_mtrr_state() calls pat_init(): no MTRRs in CPUID, no call; read: 2.6.29 to 4.1.3"),
    Row((4, 2), Left.MINIMAL, "the minimal table of arch/x86/mm/init.c; read: 4.1.3 -> 4.2.8"),
    Row((4, 7), Left.OFF, '"MTRRs disabled, skipping PAT initialization too"; read: 4.6.2 -> 4.7.4; 5.19 (?)'),
    Row((6, 0), Left.AS_FOUND, "in a VM a register that is not 0 is taken as it is; read: 5.19.0 -> 6.0.1"),
    Row((6, 2), None, "pat_bp_init() does not ask for MTRRs; read: 6.1 -> 6.2.1"),
)
"""What a kernel does about the PAT where the guest's CPUID has no MTRRs, or (from 4.2 on) they are off."""

ASKS_ENABLE: tuple[Row[bool], ...] = (
    Row((0,), False, "get_mtrr_state() calls pat_init() whatever E is; read: 2.6.29 to 4.1.3"),
    Row((4, 2), True, "mtrr_enabled() is E too; read: 4.1.3 -> 4.2.8"),
)
"""Whether MTRRs that CPUID has and that are off (E=0) count as none here."""

NOPAT: tuple[Row[Left], ...] = (
    Row((0,), Left.OFF_AT_RESET, "nopat, pat_enabled = 0; read: 2.6.29 to 4.1.3"),
    Row((4, 2), Left.OFF_AT_RESET, "pat_init() without pat_enabled(): as at reset; read: 4.1.3 -> 4.2.8"),
    Row((4, 7), Left.OFF, "init_cache_modes() reads the register; read: 4.6.2 -> 4.7.4"),
)

IN_A_TD: tuple[Row[Left | None], ...] = (
    Row((0,), None, "TDX guests before 6.2 (?)"),
    Row((6, 2), Left.AS_FOUND, "pat_bp_init() leaves the register of a TDX guest; read: 6.1 -> 6.2.1"),
    Row((6, 9), None, "the register of a TDX guest is written; read: 6.8.0 -> 6.9.0"),
)

STATIC_ENTRIES: Mapping[MemType, int] = dict.fromkeys(PAT_TYPES, 2) | {MemType.WB: 0, MemType.UC: 3}
"""The entries before a register is looked at, and of types that it lacks: that of UC-, 2, but for WB and UC."""

FIXED_ENTRIES: Mapping[MemType, int] = {**STATIC_ENTRIES, MemType.WC: 1}
"""Up to 4.1 the bits of a type are constants, whatever the register holds."""

OWN_ENTRIES: tuple[Row[bool], ...] = (
    Row((0,), False, "_PAGE_CACHE_WC and the like; read: 2.6.29 to 4.1.3"),
    Row((4, 2), True, "the tables follow the PAT; read: 4.1.3 -> 4.2.8"),
)
"""Whether a type's entry is looked up in the PAT, the lowest that has it."""


class GuestPat(NamedTuple):
    """The PAT of a Linux guest: the register, and what its kernel makes of it."""

    register: Pat
    written: bool  # by this kernel
    on: bool  # pat_enabled()
    entries: Mapping[MemType, int]  # which entry, 0 to 7, the kernel uses for each of the six types
    why: str  # why it is not written, '' where it is
    how: str  # what the kernel does instead
    source: str


def own_pat(guest: GuestLinux) -> Pat:
    """What this kernel writes into IA32_PAT where it writes at all, on a CPU without errata."""
    return row_at(WRITTEN, guest.release).what


def guest_pat(guest: GuestLinux) -> GuestPat:
    """The PAT that a guest runs with: `guest.pat` where it was seen, else what the kernel writes or finds at reset."""
    left, row = _left(guest)
    if left is None:
        register = own_pat(guest) if guest.pat is None else guest.pat
        entries = _lowest(register) if row_at(OWN_ENTRIES, guest.release).what else FIXED_ENTRIES
        return GuestPat(register, True, True, entries, "", "", row.source)
    register = RESET_PAT if guest.pat is None else guest.pat
    if not row_at(OWN_ENTRIES, guest.release).what:
        entries = FIXED_ENTRIES
    elif left in (Left.MINIMAL, Left.MINIMAL_OFF):
        entries = STATIC_ENTRIES
    else:
        entries = _lowest(RESET_PAT if left is Left.OFF_AT_RESET else register)
    on = left not in (Left.OFF, Left.OFF_AT_RESET, Left.MINIMAL_OFF)
    return GuestPat(register, False, on, entries, _reason(guest), left.value, row.source)


def _left(guest: GuestLinux) -> tuple[Left | None, Row[Pat] | Row[Left | None] | Row[Left]]:
    """What the kernel does without writing the register, None where it writes, and the row that says so."""
    without = row_at(WITHOUT_MTRRS, guest.release)
    lacks = without.what is not None and _no_mtrrs(guest)
    if guest.nopat:  # pat_enabled() is false then, whatever the MTRRs are
        if lacks and without.what is Left.MINIMAL:
            return Left.MINIMAL_OFF, without
        off = row_at(NOPAT, guest.release)
        return off.what, off
    if lacks:
        return without.what, without
    if guest.kind is VmType.TD:
        td = row_at(IN_A_TD, guest.release)
        if td.what is not None:
            return td.what, td
    return None, row_at(WRITTEN, guest.release)


def _no_mtrrs(guest: GuestLinux) -> bool:
    return not guest.cpuid_mtrr or (not guest.mtrrs_on and row_at(ASKS_ENABLE, guest.release).what)


def _reason(guest: GuestLinux) -> str:
    if guest.nopat:
        return "nopat leaves IA32_PAT alone"
    if _no_mtrrs(guest):
        return f"{'MTRRs off' if guest.cpuid_mtrr else 'no MTRRs in CPUID'}, so IA32_PAT is left alone"
    return "a TDX guest leaves IA32_PAT alone"


def _lowest(register: Pat) -> Mapping[MemType, int]:
    return {
        kind: register.entries.index(kind) if kind in register.entries else entry
        for kind, entry in STATIC_ENTRIES.items()
    }
