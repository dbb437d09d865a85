# SPDX-License-Identifier: GPL-2.0-only
"""Which values of IA32_MTRR_DEF_TYPE and of a pair KVM answers with #GP, by release: 'since release, what, source'.

Source: mtrr_valid() in arch/x86/kvm/x86.c, from 4.2 arch/x86/kvm/mtrr.c. Reserved memory types are
not here: 2.6.29 and 2.6.30 alone take them, and no lookup gives them a meaning.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mtcalc.kvm.history import Row, row_at
from mtcalc.kvm.notes import Note
from mtcalc.kvm.release import Version
from mtcalc.x86.memtype import MTRR_TYPES
from mtcalc.x86.mtrr import (
    BASE_RESERVED,
    DEF_TYPE_RESERVED,
    MASK_RESERVED,
    MSR_DEF_TYPE,
    MSR_VARIABLE,
    Mtrrs,
    register_name,
)


class WriteChecks(NamedTuple):
    """What is looked at when a register is written, besides memory types (of a pair, that in its base)."""

    def_type_reserved: int = 0  # bits that have to be 0
    base_reserved: int = 0  # bits that have to be 0
    mask_reserved: int = 0
    mask_type: bool = False  # the low byte of a mask has to be a memory type, as if it were a base
    width: bool = False  # address bits have to lie below the guest's maxphyaddr


WRITE_CHECKS: tuple[Row[WriteChecks], ...] = (
    Row((0,), WriteChecks(), "no value is refused; read: 2.6.29"),
    Row((2, 6, 31), WriteChecks(DEF_TYPE_RESERVED, mask_type=True), "mtrr_valid(); read: 2.6.29 -> 2.6.31.3"),
    Row(
        (3, 18),
        WriteChecks(DEF_TYPE_RESERVED, BASE_RESERVED, MASK_RESERVED, width=True),
        "read: 3.16.0 -> 3.18.9; 3.17 was not read",
    ),
)


def refusal(msr: int, value: int, maxphyaddr: int, checks: WriteChecks) -> str:
    """Why the write of IA32_MTRR_DEF_TYPE, a PHYSBASE or PHYSMASK is answered with #GP; '' where it is not."""
    if msr == MSR_DEF_TYPE:
        bits = value & checks.def_type_reserved
        return f"reserved bits {bits:#x}" if bits else ""
    is_mask = bool(msr & 1)
    reserved = value & (checks.mask_reserved if is_mask else checks.base_reserved)
    if reserved:
        return f"reserved bits {reserved:#x}"
    if is_mask and checks.mask_type and value & 0xFF not in MTRR_TYPES:
        return f"the low byte {value & 0xFF:#04x} is no memory type"
    if checks.width and value >> maxphyaddr:
        return f"address bits at or above maxphyaddr {maxphyaddr}"
    return ""


def refused_since(msr: int, value: int, maxphyaddr: int) -> Version | None:
    """The first release that answers the write of such a register with #GP; None: none does."""
    rows = (row for row in WRITE_CHECKS if refusal(msr, value, maxphyaddr, row.what))
    return next((row.since for row in rows), None)


def refused_writes(mtrrs: Mtrrs, release: Version | None) -> Iterator[Note]:
    """A note on what a release refuses of the registers as they are; None: on what the manual reserves."""
    checks = WRITE_CHECKS[-1].what if release is None else row_at(WRITE_CHECKS, release).what
    found = []
    def_type = mtrrs.enabled << 11 | mtrrs.fixed_enabled << 10 | mtrrs.default | mtrrs.def_type_reserved
    why = refusal(MSR_DEF_TYPE, def_type, mtrrs.maxphyaddr, checks)
    if why:
        found.append(f"{register_name(MSR_DEF_TYPE)} = {def_type:#x} ({why})")
    for n, pair in enumerate(mtrrs.variable):
        for msr, value in ((MSR_VARIABLE + 2 * n, pair.base), (MSR_VARIABLE + 2 * n + 1, pair.mask)):
            why = refusal(msr, value, mtrrs.maxphyaddr, checks)
            if why:
                found.append(f"{register_name(msr)} = {value:#x} ({why})")
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        who = "the manual reserves bits of" if release is None else "this KVM answers with #GP the write of"
        yield Note("write-refused", f"{who} {found[0]}{more}: a guest cannot get here")
