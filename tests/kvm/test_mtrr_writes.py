# SPDX-License-Identifier: GPL-2.0-only
"""Which values of a variable pair KVM refuses, by release, against the words of the sources read."""

from __future__ import annotations

import pytest

from mtcalc.kvm.guest_mtrr import GuestMtrrMap, kvm_lookup
from mtcalc.kvm.history import PAIRS, WALKS, pairs_words, row_at
from mtcalc.kvm.mtrr_writes import WRITE_CHECKS, refusal, refused_since, refused_writes
from mtcalc.kvm.release import Version
from mtcalc.kvm.versions import MtrrWalk
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import Mtrrs, VariableRange, decode_registers, manual_lookup
from support.notes import noted

RELEASES: tuple[Version, ...] = ((2, 6, 29), (2, 6, 31), (2, 6, 32, 69), (3, 0), (3, 16), (3, 18), (4, 4), (6, 10))


def refuses(release: Version, msr: int, value: int, maxphyaddr: int) -> bool:
    """The rules in words: 2.6.29 none; 2.6.31 to 3.16 the low byte of a mask must be a type, no reserved-bit test;
    from 3.18 on base 11:8, mask 10:0, bits at or above the width."""
    if release < (2, 6, 31):
        return False
    if release < (3, 18):
        return msr % 2 == 1 and value % 256 not in (0, 1, 4, 5, 6)
    low = value % (1 << 11) if msr % 2 else value % (1 << 12) // 256
    return low != 0 or value >= 1 << maxphyaddr


@pytest.mark.parametrize("release", RELEASES, ids=str)
def test_every_bit_and_every_low_byte(release: Version) -> None:
    checks = row_at(WRITE_CHECKS, release).what
    seen = set()
    for maxphyaddr in (36, 46, 52):
        for msr in (0x200, 0x201, 0x20F):
            values = [1 << bit for bit in range(64)] + [byte | 1 << 11 for byte in range(256)]
            for value in values:
                if msr % 2 == 0 and value & 0xFF not in (0, 1, 4, 5, 6):
                    continue  # refused for its type, whatever the release
                wanted = refuses(release, msr, value, maxphyaddr)
                assert bool(refusal(msr, value, maxphyaddr, checks)) is wanted, (hex(msr), hex(value))
                seen.add(wanted)
    assert seen == ({False} if release < (2, 6, 31) else {False, True})


@pytest.mark.parametrize(
    ("msr", "value", "first"),
    [
        (0x200, 0xC0000106, (3, 18)),
        (0x201, 0xFC0000801, (3, 18)),
        (0x201, 0xFC0000802, (2, 6, 31)),
        (0x201, 0x1FC0000800, (3, 18)),
        (0x200, 0x1000000000, (3, 18)),
        (0x201, 0xFC0000800, None),
    ],
)
def test_the_first_release_that_refuses(msr: int, value: int, first: Version | None) -> None:
    assert refused_since(msr, value, 36) == first


def mtrrs_of(*registers: int, maxphyaddr: int = 36) -> Mtrrs:
    values = {0x2FF: 0x806, **{0x200 + n: value for n, value in enumerate(registers)}}
    return decode_registers(values, maxphyaddr, kept=True)


def test_the_note_names_the_first_and_counts_the_others() -> None:
    found = mtrrs_of(0xC0000106, 0xFC0000801)
    assert list(noted(refused_writes(found, (3, 16)))) == []
    assert list(noted(refused_writes(found, (3, 18)))) == [
        "this KVM answers with #GP the write of IA32_MTRR_PHYSBASE0 = 0xc0000106 (reserved bits 0x100) and 1 more: "
        "a guest cannot get here"
    ]
    assert list(noted(refused_writes(mtrrs_of(0xC0000006, 0xFC0000800), (6, 1)))) == []
    (manual,) = noted(refused_writes(found, None))
    assert manual.startswith("the manual reserves bits of IA32_MTRR_PHYSBASE0 = 0xc0000106")


@pytest.mark.parametrize("release", [*RELEASES, None], ids=str)
def test_reserved_bits_of_def_type_are_refused_from_2_6_31_on(release: Version | None) -> None:
    for bit in range(64):
        found = decode_registers({0x2FF: 0xC06 | 1 << bit if bit > 7 else 0xC06}, 36, kept=True)
        assert (found.enabled, found.fixed_enabled, found.default) == (True, True, MemType.WB)
        reserved = bit in (8, 9) or bit > 11
        assert bool(noted(refused_writes(found, release))) is (reserved and release != (2, 6, 29))
    odd = decode_registers({0x2FF: 0xF06}, 36, kept=True)
    assert noted(refused_writes(odd, (3, 0))) == (
        "this KVM answers with #GP the write of IA32_MTRR_DEF_TYPE = 0xf06 (reserved bits 0x300): "
        "a guest cannot get here",
    )


@pytest.mark.parametrize("walk", [row.what for row in WALKS if row.what is not MtrrWalk.NONE])
@pytest.mark.parametrize(
    ("base", "mask"),
    [
        (0x10C0000000, 0xFFFFFC0000800),  # asks for bit 36, which no address has
        (0x10C0000000, 0x1FC0000800),
        (0x10C0000000, 0xFC0000800),  # has it in the base alone
        (0xC0000000, 0xFFFFFC0000800),
        (0xC0000F00, 0xFC0000FFF),
    ],
)
def test_bits_above_the_width_by_the_formula(base: int, mask: int, walk: MtrrWalk) -> None:
    """(address & mask) == (base & mask) with all bits as written, by the manual and up to 4.1; a later KVM covers
    from the base up to where the mask's clear bits end, which is beyond every address if the base is."""
    found = mtrrs_of(base, mask)
    ranges = GuestMtrrMap(found, walk)
    for gpa in (0, 0xBFFFF000, 0xC0000000, 0xFFFFF000, 0x100000000, 0x4C0000000, 0xFFFFFF000):
        matches = gpa & mask & ~0xFFF == base & mask & ~0xFFF
        wanted = MemType.UC if matches else MemType.WB
        assert manual_lookup(found, gpa).memtype is wanted
        if walk is not MtrrWalk.V4_1:
            wanted = MemType.UC if base < 1 << 36 and 0xC0000000 <= gpa <= 0xFFFFFFFF else MemType.WB
        if gpa >= 1 << 20 or walk is not MtrrWalk.V4_1:
            assert kvm_lookup(found, gpa, walk).memtype is wanted
            assert ranges.lookup(gpa).memtype is wanted
    pieces = list(ranges.pieces(1 << 20, 1 << 36))
    assert pieces[0][0] == 1 << 20
    assert pieces[-1][1] == 1 << 36
    for start, _, lookup in pieces:
        assert lookup == kvm_lookup(found, start, walk)


def test_pairs_by_release() -> None:
    """8, but 10 in 3.16."""
    assert [row_at(PAIRS, release).what for release in ((3, 14), (3, 16), (3, 16, 5), (3, 18), (7, 3))] == [
        8,
        10,
        10,
        8,
        8,
    ]
    assert pairs_words() == "8, but 10 in 3.16"


def test_a_pair_that_nothing_reaches_is_told() -> None:
    assert VariableRange(1 << 36, 1 << 36 | 0x800).beyond(36)
    assert not VariableRange(1 << 36, 0x800).beyond(36)
    assert not VariableRange(1 << 36, 1 << 36 | 0x800).beyond(37)
