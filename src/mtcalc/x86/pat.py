# SPDX-License-Identifier: GPL-2.0-only
"""The page attribute table, IA32_PAT (MSR 0x277).

Source: SDM vol. 3, "Page Attribute Table (PAT)". Entry i is bits 8i+2:8i. A page selects entry
4*PAT + 2*PCD + PWT of its leaf entry: PWT bit 3, PCD bit 4, PAT bit 7 of a 4K entry, bit 12 of a
large one, where bit 7 is PS. With CR0.PG=0 the PAT memory type is WB.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mtcalc.text.numbers import parse_register_value
from mtcalc.x86.memtype import MemType, parse_memtype


class Pat(NamedTuple):
    """The eight entries of a PAT."""

    entries: tuple[MemType, ...]

    @property
    def value(self) -> int:
        """The register."""
        return sum(kind << 8 * i for i, kind in enumerate(self.entries))


class Pte(NamedTuple):
    """What a guest's leaf page-table entry says about the PAT."""

    pat: int
    pcd: int
    pwt: int

    @property
    def pat_index(self) -> int:
        """The PAT entry selected, 0 to 7."""
        return 4 * self.pat + 2 * self.pcd + self.pwt


def decode_pat(value: int) -> Pat:
    """The PAT of a register value. Raises ValueError where KVM and the CPU answer #GP."""
    if not 0 <= value < 1 << 64:
        raise ValueError("IA32_PAT is a 64-bit register (at most 0xffffffffffffffff)")
    entries = []
    for i in range(8):
        byte = value >> 8 * i & 0xFF
        if byte not in (0, 1, 4, 5, 6, 7):
            raise ValueError(
                f"#GP: entry {i} of IA32_PAT {value:#018x} is {byte:#04x} (every byte is 0, 1, 4, 5, 6 or 7)"
            )
        entries.append(MemType(byte))
    return Pat(tuple(entries))


def make_pat(entries: Sequence[MemType]) -> Pat:
    """A PAT of eight types, entry 0 first. Raises ValueError for another number of them."""
    if len(entries) != 8:
        raise ValueError(f"a PAT has eight entries, not {len(entries)} (entry 0 first)")
    return Pat(tuple(entries))


def decode_pte(entry: int, level: int = 1) -> Pte:
    """The PAT, PCD and PWT bits of a leaf entry at `level` 1 (4K), 2 (2M) or 3 (1G).

    Raises ValueError for another level, an entry that is not present or not a leaf.
    """
    if level not in (1, 2, 3):
        raise ValueError(f"a leaf of a page table is at level 1, 2 or 3, not {level}")
    if not entry & 1:
        raise ValueError(f"the entry {entry:#x} is not present (bit 0 is clear)")
    if level > 1 and not entry >> 7 & 1:
        raise ValueError(f"the entry {entry:#x} is no leaf at level {level} (bit 7, PS, is clear)")
    pat_bit = 7 if level == 1 else 12
    return Pte(entry >> pat_bit & 1, entry >> 4 & 1, entry >> 3 & 1)


def check_without_paging(kind: MemType, said_by: str, off: str) -> None:
    """Raises ValueError for a PAT type but WB, which `said_by` gives a page though `off` says that CR0.PG is 0."""
    if kind is not MemType.WB:
        raise ValueError(f"{said_by} says {kind}, but {off} (then the PAT memory type is WB; leave it out)")


RESET_PAT = decode_pat(0x0007_0406_0007_0406)
LINUX_PAT = decode_pat(0x0407_0506_0007_0106)
"""Linux from 4.14 on; read: 4.13.9 -> 4.14.0."""
LINUX_4_2_PAT = decode_pat(0x0407_0106_0007_0106)
"""Linux 4.2 to 4.13; read: 4.1.3 -> 4.2.8."""
LINUX_4_1_PAT = decode_pat(0x0007_0106_0007_0106)
"""Linux up to 4.1; every release on Intel CPUs of family 6 up to model 0xd and of family 15 up to model 6."""

_NAMED = {"linux": LINUX_PAT, "reset": RESET_PAT}
_PAT_WORDS = "linux, reset, eight types as dmesg prints them, or the register in hex"

# What the kernel prints in front of the eight types, whatever a log has in front of that.
# Source: arch/x86/mm/pat/memtype.c; up to 4.1 the registers, "old 0x..., new 0x...".
_CONFIGURATION = re.compile(r"(?:.*\bPAT:? )?configuration \[0-7\]:", re.IGNORECASE)
_OLD_AND_NEW = re.compile(r".*\bPAT enabled: .*\bnew (0x[0-9a-f]+)\s*", re.IGNORECASE)
_REGISTER = re.compile(r"\s*(?:MSR_)?(?:IA32_)?(?:CR_)?PAT\s*[:=]\s*", re.IGNORECASE)


def parse_pat(text: str, number: Callable[[str], int] = parse_register_value) -> Pat:
    """A PAT as people have it: `linux`, `reset`, the register, eight types, or the line of dmesg with either.

    `number` reads the register. Raises ValueError.
    """
    word = " ".join(text.split())
    named = _NAMED.get(word.lower())
    if named is not None:
        return named
    registers = _OLD_AND_NEW.fullmatch(word)
    if registers:
        return decode_pat(number(registers[1]))
    found = _CONFIGURATION.match(word)
    types = word[found.end() :] if found else word
    if not found:
        types = word = _REGISTER.sub("", word, count=1)
        if word[:1].isdigit() or (word and " " not in word and _is_hex(word)):
            return decode_pat(number(word))
    names = types.replace(",", " ").split()
    if not found and len(names) < 2:
        raise ValueError(f"'{_cut(text)}' is no PAT ({_PAT_WORDS})")
    return make_pat([parse_memtype(_cut(name)) for name in names])


def _is_hex(word: str) -> bool:
    return not frozenset(word.lower()) - frozenset("0123456789abcdef")


def _cut(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]}..."


_ENTRY_BITS = ("PWT", "PCD", "PAT")  # of the entry's number, lowest first


def entry_bits(index: int, level: int = 1) -> int:
    """The PWT, PCD and PAT bits of a leaf entry at `level` 1 (4K), 2 (2M) or 3 (1G) that select PAT entry 0 to 7."""
    return (index & 3) << 3 | (index >> 2) << (7 if level == 1 else 12)


def entry_bits_text(index: int) -> str:
    """The same in words: 'PCD: 0x10 in the page-table entry', with both places of the PAT bit."""
    names = ", ".join(name for bit, name in enumerate(_ENTRY_BITS) if index >> bit & 1)
    if index & 4:
        return f"{names}: {entry_bits(index):#x} in a 4K entry, {entry_bits(index, 2):#x} in a large one"
    return f"{names or 'PWT, PCD and PAT clear'}: {entry_bits(index):#x} in the page-table entry"
