# SPDX-License-Identifier: GPL-2.0-only
"""Which values of a variable MTRR pair KVM answers with #GP, by release: rows 'since release, what, source'.

Source: mtrr_valid() in arch/x86/kvm/x86.c, from 4.2 arch/x86/kvm/mtrr.c. Reserved memory types and reserved bits of
IA32_MTRR_DEF_TYPE are not here: 2.6.29 alone takes them, and no lookup gives them a meaning.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mtcalc.kvm.history import Row, row_at
from mtcalc.kvm.notes import Note
from mtcalc.kvm.release import Version
from mtcalc.x86.memtype import MTRR_TYPES
from mtcalc.x86.mtrr import BASE_RESERVED, MASK_RESERVED, MSR_VARIABLE, Mtrrs, register_name


class WriteChecks(NamedTuple):
    """What of a pair is looked at when it is written, besides the type in its base."""

    base_reserved: int = 0  # bits that have to be 0
    mask_reserved: int = 0
    mask_type: bool = False  # the low byte of a mask has to be a memory type, as if it were a base
    width: bool = False  # address bits have to lie below the guest's maxphyaddr


WRITE_CHECKS: tuple[Row[WriteChecks], ...] = (
    Row((0,), WriteChecks(), "no value is refused; read: 2.6.29"),
    Row((2, 6, 31), WriteChecks(mask_type=True), "mtrr_valid(); read: 2.6.29 -> 2.6.31.3"),
    Row((3, 18), WriteChecks(BASE_RESERVED, MASK_RESERVED, width=True), "read: 3.16.0 -> 3.18.9; 3.17 was not read"),
)


def refusal(msr: int, value: int, maxphyaddr: int, checks: WriteChecks) -> str:
    """Why the write of a PHYSBASE or PHYSMASK is answered with #GP, in words; '' where it is not."""
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
    """The first release that answers the write of a PHYSBASE or PHYSMASK with #GP; None: none does."""
    rows = (row for row in WRITE_CHECKS if refusal(msr, value, maxphyaddr, row.what))
    return next((row.since for row in rows), None)


def refused_writes(mtrrs: Mtrrs, release: Version | None) -> Iterator[Note]:
    """A note on what a release refuses of the variable pairs as they are; None: on what the manual reserves."""
    checks = WRITE_CHECKS[-1].what if release is None else row_at(WRITE_CHECKS, release).what
    found = []
    for n, pair in enumerate(mtrrs.variable):
        for msr, value in ((MSR_VARIABLE + 2 * n, pair.base), (MSR_VARIABLE + 2 * n + 1, pair.mask)):
            why = refusal(msr, value, mtrrs.maxphyaddr, checks)
            if why:
                found.append(f"{register_name(msr)} = {value:#x} ({why})")
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        who = "the manual reserves bits of" if release is None else "this KVM answers with #GP the write of"
        yield Note("write-refused", f"{who} {found[0]}{more}: a guest cannot get here")
