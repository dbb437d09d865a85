# SPDX-License-Identifier: GPL-2.0-only
"""EPT entries as the manual defines them.

Source: SDM vol. 3, "The Extended Page Table Mechanism" and "EPT Misconfigurations".
"""

from __future__ import annotations

from typing import NamedTuple

from mtcalc.x86.ept import LARGE_BIT, LEVEL_NAMES, LEVEL_SHIFT, split_mask
from mtcalc.x86.memtype import MTRR_TYPES

_NAMED_BITS = (
    (0, "read"),
    (1, "write"),
    (2, "execute"),
    (8, "accessed"),
    (9, "dirty"),
    (10, "user-execute"),
    (63, "suppress-#VE"),
)


class EptEntry(NamedTuple):
    """One EPT entry in words. `memtype` and `ipat` are None where they mean nothing."""

    value: int
    level: int
    leaf: bool
    present: bool  # any of read, write, execute
    memtype: int | None  # the 3-bit encoding, reserved ones included
    ipat: bool | None
    address: int  # physical, bytes: of the page, or of the next table
    flags: tuple[str, ...]
    misconfigurations: tuple[str, ...]
    ignored: int  # the bits set among those that the CPU ignores


def decode_entry(value: int, level: int = 1, maxphyaddr: int = 52) -> EptEntry:
    """The entry `value` at `level` 1 (4K leaf) to 4 (root), for a CPU of `maxphyaddr` bits.

    Raises ValueError for a level outside 1 to 5 or a value of more than 64 bits.
    """
    if not 1 <= level <= 5:
        raise ValueError(f"an EPT entry is at level 1 to 5, not {level}")
    if not 0 <= value < 1 << 64:
        raise ValueError("an EPT entry has 64 bits (at most 0xffffffffffffffff)")
    leaf = level == 1 or (level <= 3 and bool(value & LARGE_BIT))
    present = bool(value & 7)
    low = LEVEL_SHIFT[level] if leaf else 12
    address = value & ((1 << 52) - (1 << low))
    wrong = []
    if present:
        if value & 2 and not value & 1:
            wrong.append("writable but not readable")
        if not value & 3:
            wrong.append("execute-only (a misconfiguration on CPUs without that feature)")
        encoding = split_mask(value)[0]
        if leaf and encoding not in MTRR_TYPES:
            wrong.append(f"reserved memory type {encoding}")
        if leaf and level > 1 and value & ((1 << low) - 0x1000):
            wrong.append(f"reserved address bits {low - 1}:12 set in a {LEVEL_NAMES[level]} leaf")
        if not leaf and value & 0xF8:
            wrong.append("reserved bits 7:3 set in an entry that is no leaf")
        if address >> maxphyaddr:
            wrong.append(f"address bits at or above maxphyaddr {maxphyaddr}")
    named = sum(1 << bit for bit, _ in _NAMED_BITS)
    known = named | 0xF8 | ((1 << 52) - 0x1000)
    return EptEntry(
        value=value,
        level=level,
        leaf=leaf,
        present=present,
        memtype=split_mask(value)[0] if leaf else None,
        ipat=split_mask(value)[1] if leaf else None,
        address=address,
        flags=tuple(name for bit, name in _NAMED_BITS if value >> bit & 1),
        misconfigurations=tuple(wrong),
        ignored=value & ~known,
    )
