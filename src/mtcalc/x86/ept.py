# SPDX-License-Identifier: GPL-2.0-only
"""EPT leaves: the byte of memory type and ignore-PAT, and the levels.

Source: SDM vol. 3, "The Extended Page Table Mechanism".
"""

from __future__ import annotations

from mtcalc.x86.memtype import MemType, memtype_name

MEMTYPE_SHIFT = 3
IPAT_BIT = 1 << 6
LARGE_BIT = 1 << 7
LEVEL_SHIFT = {1: 12, 2: 21, 3: 30}
"""Level of a leaf to the log2 of its page size in bytes."""
LEVEL_NAMES = {1: "4K", 2: "2M", 3: "1G"}


def ept_mask(memtype: MemType, ipat: bool) -> int:
    """The byte of memory type and ignore-PAT, as vmx_get_mt_mask() returns it: WB, False -> 0x30."""
    return memtype << MEMTYPE_SHIFT | (IPAT_BIT if ipat else 0)


def split_mask(byte: int) -> tuple[int, bool]:
    """(memory type encoding, ignore-PAT) of an EPT byte; the other bits are left aside."""
    return byte >> MEMTYPE_SHIFT & 7, bool(byte & IPAT_BIT)


def odd_byte(byte: int) -> str | None:
    """What is odd about an EPT byte that is not just a memory type and ignore-PAT, in words; None for one that is."""
    encoding = split_mask(byte)[0]
    if memtype_name(encoding).startswith("reserved"):
        return f"memory type {encoding} is reserved, an EPT misconfiguration"
    return mask_text(byte) if byte & ~0x78 else None


def mask_text(byte: int) -> str:
    """An EPT byte in words: 0x70 -> 'WB, ignore PAT'."""
    encoding, ipat = split_mask(byte)
    stray = byte & ~0x78
    words = memtype_name(encoding) + (", ignore PAT" if ipat else "")
    return f"{words}, stray bits {stray:#04x}" if stray else words
