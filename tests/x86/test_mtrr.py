# SPDX-License-Identifier: GPL-2.0-only
"""MTRR registers and the manual's lookup, against recorded answers and a second model."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import (
    FIXED_RANGES,
    MSR_CAP,
    VariableRange,
    check_register,
    decode_registers,
    fixed_index,
    is_regular,
    manual_lookup,
    matching_blocks,
    parse_register,
    register_name,
    register_numbers,
    width_of_mask,
)
from support import models
from support.registers import PAGE, registers
from support.vectors import mtrr_vectors

BITS = 20  # 256 pages


def test_manual_lookup_equals_every_recorded_answer() -> None:
    """SDM, "MTRR Precedences": 2,821 lookups in 150 register states."""
    checked = 0
    for vector in mtrr_vectors():
        mtrrs = vector.mtrrs
        for gpa, _, sdm in vector.lookups:
            memtype = manual_lookup(mtrrs, gpa).memtype
            assert ("undefined" if memtype is None else str(memtype)) == sdm, (vector.id, hex(gpa))
            assert models.manual_type(vector.registers, gpa) == sdm, (vector.id, hex(gpa))
            checked += 1
    assert checked == 2821


def test_recorded_irregular_pairs_are_the_ones_called_irregular() -> None:
    for vector in mtrr_vectors():
        mtrrs = vector.mtrrs
        assert vector.irregular is any(
            pair.valid and not is_regular(pair, mtrrs.maxphyaddr) for pair in mtrrs.variable
        ), vector.id


@settings(max_examples=40)
@given(registers(22))
def test_manual_lookup_equals_the_model_on_every_page(regs: models.Registers) -> None:
    """SDM: fixed ranges under 1M first, then (address & mask) == (base & mask) over all pairs."""
    mtrrs = decode_registers(regs.msrs(), regs.maxphyaddr, len(regs.variable))
    for address in [*range(0, 1 << 22, 7 * PAGE), (1 << 20) - PAGE, 1 << 20, (1 << 22) - 1]:
        memtype = manual_lookup(mtrrs, address).memtype
        assert ("undefined" if memtype is None else str(memtype)) == models.manual_type(regs, address), hex(address)


@given(st.integers(0, (1 << 20) - 1))
def test_fixed_index_names_the_range_that_holds_the_address(address: int) -> None:
    start, end = FIXED_RANGES[fixed_index(address)]
    assert start <= address < end


def test_fixed_ranges_tile_the_first_megabyte() -> None:
    """SDM: eight of 64K, sixteen of 16K, sixty-four of 4K."""
    assert [end for _, end in FIXED_RANGES[:-1]] == [start for start, _ in FIXED_RANGES[1:]]
    assert (FIXED_RANGES[0][0], FIXED_RANGES[-1][1]) == (0, 1 << 20)
    assert [end - start for start, end in FIXED_RANGES] == [0x10000] * 8 + [0x4000] * 16 + [0x1000] * 64


any_pairs = st.builds(
    VariableRange,
    st.integers(0, (1 << BITS - 12) - 1).map(lambda page: page << 12 | 6),
    st.integers(0, (1 << BITS - 12) - 1).map(lambda page: page << 12 | 0x800),
)
pairs = any_pairs | st.builds(
    lambda page, size: VariableRange(page & -size << 12 | 6, ((1 << BITS - 12) - size) << 12 | 0x800),
    st.integers(0, (1 << BITS - 12) - 1),
    st.integers(0, BITS - 12).map(lambda bit: 1 << bit),
)


@given(pairs, st.integers(0, 256), st.integers(0, 256))
def test_matching_blocks_are_the_runs_of_matching_pages(pair: VariableRange, one: int, other: int) -> None:
    """The blocks of a pair, holes or not, are exactly the pages its mask matches, joined to runs."""
    start, end = min(one, other) * PAGE, max(one, other) * PAGE
    blocks = list(matching_blocks(pair, BITS, start, end))
    covered = [page for low, high in blocks for page in range(low, high, PAGE)]
    assert covered == [page for page in range(start, end, PAGE) if models.matches(pair.base, pair.mask, BITS, page)]
    for (_, before), (after, _) in itertools.pairwise(blocks):
        assert before < after, "two blocks touch"


@given(pairs)
def test_a_pair_is_regular_where_kvm_and_the_manual_cover_the_same_pages(pair: VariableRange) -> None:
    """KVM covers [base, base | ~mask], the manual what matches; they are one for a regular pair alone."""
    regs = models.Registers(0x800, {}, [(pair.base, pair.mask)], BITS)
    ((start, end, _),) = models.kvm_ranges(regs)
    matched = {page for page in range(0, 1 << BITS, PAGE) if models.matches(pair.base, pair.mask, BITS, page)}
    assert is_regular(pair, BITS) is (matched == set(range(start, end, PAGE)))


FIXED_NUMBERS = (0x250, 0x258, 0x259, *range(0x268, 0x270))


def test_register_names_and_numbers_are_each_other() -> None:
    numbers = (*register_numbers(10), MSR_CAP)
    assert len({register_name(number) for number in numbers}) == len(numbers) == 20 + 11 + 1 + 1
    for number in numbers:
        name = register_name(number)
        for spelling in (name, name.lower(), name.removeprefix("IA32_"), hex(number), f" {number} "):
            assert parse_register(spelling) == number
    assert register_name(0x2FF) == "IA32_MTRR_DEF_TYPE"
    assert register_name(0x250) == "IA32_MTRR_FIX64K_00000"
    assert register_name(0x259) == "IA32_MTRR_FIX16K_A0000"
    assert register_name(0x26F) == "IA32_MTRR_FIX4K_F8000"
    assert register_name(0x207) == "IA32_MTRR_PHYSMASK3"
    assert register_name(0x277) == "MSR 0x277"


SPELLINGS = {
    "MTRRphysBase0": 0x200,  # x86info, the AMD manual
    "MTRRphysMask0": 0x201,
    "MTRRphysBase_MSR(1)": 0x202,  # the kernel's headers
    "MTRRphysMask_MSR(31)": 0x23F,
    "MTRRfix64K_00000": 0x250,
    "MSR_MTRRfix16K_A0000": 0x259,
    "MTRRfix4K_F8000": 0x26F,
    "MTRRdefType": 0x2FF,
    "MSR_MTRRdefType": 0x2FF,
    "IA32_MTRR_DEF_TYPE": 0x2FF,
    "mtrr_def_type": 0x2FF,
    "def_type": 0x2FF,
    "MTRRcap": 0xFE,
    "MSR_MTRRcap": 0xFE,
    "IA32_MTRR_PHYSBASE10": 0x214,
    "PHYSMASK3": 0x207,
    "2ff": 0x2FF,  # hex as rdmsr takes it
    "2FF": 0x2FF,
    "200": 0x200,
    "fe": 0xFE,
    "000002ff": 0x2FF,
    "767": 0x2FF,
    "0x00000200": 0x200,
}


@pytest.mark.parametrize("word", SPELLINGS)
def test_registers_as_dumps_and_sources_name_them(word: str) -> None:
    assert parse_register(word) == SPELLINGS[word]


def test_no_registers_hex_digits_are_anothers_decimal_ones() -> None:
    """So digits alone name one register or none."""
    numbers = (*register_numbers(32), 0xFE)
    assert not {f"{number:x}" for number in numbers} & {str(number) for number in numbers}


@pytest.mark.parametrize(
    "word",
    [
        "0x277",
        "277",
        "592K",
        "PHYSBASE32",
        "MTRRfix64K",
        "MSR",
        "IA32_",
        "BASE0",
        "0x251",
        "0x300",
        "",
        "MTRR",
        "-1",
        "PHYSBASE",
    ],
)
def test_no_mtrr_register(word: str) -> None:
    with pytest.raises(ValueError, match="is no MTRR register"):
        parse_register(word)


def gp(msr: int, value: int, maxphyaddr: int) -> bool:
    """Whether the write is answered with #GP."""
    try:
        check_register(msr, value, maxphyaddr)
    except ValueError as error:
        said = str(error)
        if " is reserved (" in said:  # a type, which the oldest KVMs took
            assert said.startswith(f"{register_name(msr)} = {value:#x}: memory type ")
            assert "KVM from 2.6.31 on answers #GP" in said
        else:
            assert said.startswith(f"#GP: {register_name(msr)} = {value:#x}: ")
        return True
    return False


def test_a_type_that_is_no_mtrr_type_is_gp_in_every_place() -> None:
    """KVM injects #GP for a type other than 0, 1, 4, 5, 6 anywhere: every byte in every place."""
    for byte in range(256):
        places = [(0x2FF, byte), (0x200, byte), (0x20E, byte)]
        places += [(number, byte << 8 * k) for number in FIXED_NUMBERS for k in range(8)]
        for msr, value in places:
            assert gp(msr, value, 36) is (byte not in (0, 1, 4, 5, 6)), (hex(msr), hex(value))


def test_reserved_register_bits_are_gp() -> None:
    """KVM's #GP: def_type outside 0xcff, base bits 11:8, mask bits 10:0, address bits at or above maxphyaddr."""
    for maxphyaddr in (36, 40, 52):
        for bit in range(8, 64):
            assert gp(0x2FF, 1 << bit, maxphyaddr) is (bit not in (10, 11)), bit
            assert gp(0x204, 1 << bit, maxphyaddr) is not (12 <= bit < maxphyaddr), bit
        for bit in range(64):
            assert gp(0x205, 1 << bit, maxphyaddr) is not (11 <= bit < maxphyaddr), bit


def test_registers_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match=r"IA32_MTRR_PHYSBASE8 .* is no register of 8 variable pairs"):
        decode_registers({0x210: 0}, 36)
    assert len(decode_registers({0x210: 6}, 36, vcnt=9).variable) == 9
    with pytest.raises(ValueError, match="IA32_MTRRCAP"):
        decode_registers({0xFE: 0x508}, 36)
    with pytest.raises(ValueError, match="64-bit register"):
        decode_registers({0x250: 1 << 64}, 36)


def test_registers_not_given_are_as_at_reset() -> None:
    mtrrs = decode_registers({}, 36)
    assert not mtrrs.enabled
    assert not mtrrs.fixed_enabled
    assert mtrrs.default is MemType.UC
    assert set(mtrrs.fixed) == {MemType.UC}
    assert len(mtrrs.fixed) == 88
    assert not any(pair.valid for pair in mtrrs.variable)
    assert manual_lookup(mtrrs, 0).via == "disabled"


def test_the_width_that_a_mask_is_for() -> None:
    """A mask for a range of a power of two, at every width and every size; its top bit is the width's last."""
    for width in range(32, 53):
        for shift in range(12, width):
            mask = (1 << width) - (1 << shift) | 0x800
            assert width_of_mask(mask) == width
            if shift + 2 < width:
                assert width_of_mask(mask & ~(1 << width - 2)) is None, "a hole below the top bit"
    for mask in (0, 0x800, 0x7FFFF800, (1 << 53) - 0x1000, 1 << 63 | 0x800):
        assert width_of_mask(mask) is None


def test_kept_bits_are_those_that_the_manual_reserves_besides_types() -> None:
    for msr, value in ((0x204, 0xF06), (0x205, 0xFFF), (0x204, 1 << 63), (0x205, 1 << 36), (0x2FF, 0x1000)):
        check_register(msr, value, 36, kept=True)
        assert gp(msr, value, 36)
    for msr, value in ((0x204, 0x102), (0x2FF, 0x1003), (0x250, 2), (0x204, 1 << 64)):
        with pytest.raises(ValueError, match=register_name(msr)):
            check_register(msr, value, 36, kept=True)
