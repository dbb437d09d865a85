# SPDX-License-Identifier: GPL-2.0-only
"""The PAT: register values, named ones, and the entry a page selects."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtcalc.x86.memtype import PAT_TYPES, MemType
from mtcalc.x86.pat import LINUX_4_1_PAT, LINUX_PAT, RESET_PAT, Pat, decode_pat, decode_pte, make_pat, parse_pat


def test_every_byte_in_every_entry() -> None:
    """KVM accepts a value when every byte is 0, 1, 4, 5, 6 or 7 and injects #GP otherwise."""
    for byte, entry in itertools.product(range(256), range(8)):
        value = LINUX_PAT.value & ~(0xFF << 8 * entry) | byte << 8 * entry
        if byte in (0, 1, 4, 5, 6, 7):
            assert decode_pat(value).entries[entry] == byte
        else:
            with pytest.raises(ValueError, match=rf"#GP: entry {entry} of IA32_PAT .* is {byte:#04x} "):
                decode_pat(value)


@given(st.tuples(*[st.sampled_from(PAT_TYPES)] * 8))
def test_a_pat_decodes_from_its_own_value(entries: tuple[MemType, ...]) -> None:
    """Entry i is bits 8i+2:8i."""
    pat = make_pat(entries)
    assert decode_pat(pat.value) == pat == Pat(entries)
    assert pat.value.to_bytes(8, "little") == bytes(entries)


@pytest.mark.parametrize(
    ("pat", "value", "names"),
    [
        (RESET_PAT, 0x0007040600070406, "WB WT UC- UC WB WT UC- UC"),
        (LINUX_PAT, 0x0407050600070106, "WB WC UC- UC WB WP UC- WT"),
        (LINUX_4_1_PAT, 0x0007010600070106, "WB WC UC- UC WB WC UC- UC"),
    ],
)
def test_named_pats(pat: Pat, value: int, names: str) -> None:
    assert pat.value == value
    assert " ".join(map(str, pat.entries)) == names


@pytest.mark.parametrize("value", [-1, 1 << 64])
def test_more_than_64_bits_are_refused(value: int) -> None:
    with pytest.raises(ValueError, match="64-bit register"):
        decode_pat(value)


@pytest.mark.parametrize("count", [0, 7, 9])
def test_eight_entries_and_no_other_number(count: int) -> None:
    with pytest.raises(ValueError, match=f"has eight entries, not {count} "):
        make_pat([MemType.WB] * count)


@pytest.mark.parametrize(("pat", "pcd", "pwt"), list(itertools.product((0, 1), repeat=3)))
@pytest.mark.parametrize("other", [0, 0xFFFF_FFFF_FFFF_FFFF])
def test_a_page_selects_4_pat_2_pcd_pwt(pat: int, pcd: int, pwt: int, other: int) -> None:
    """PWT bit 3, PCD bit 4; PAT bit 7 in a 4K entry, bit 12 in a large one, where bit 7 is PS."""
    for level, pat_bit in ((1, 7), (2, 12), (3, 12)):
        selecting = 1 << 3 | 1 << 4 | 1 << pat_bit
        entry = other & ~selecting | pwt << 3 | pcd << 4 | pat << pat_bit | 1
        if level > 1:
            entry |= 1 << 7
        assert decode_pte(entry, level).pat_index == 4 * pat + 2 * pcd + pwt


@pytest.mark.parametrize("level", [0, 4, 5, -1])
def test_no_leaf_at_another_level(level: int) -> None:
    with pytest.raises(ValueError, match="level 1, 2 or 3"):
        decode_pte(0x81, level)


def test_an_entry_that_selects_nothing() -> None:
    with pytest.raises(ValueError, match=r"not present \(bit 0 is clear\)"):
        decode_pte(0x80)
    for level in (2, 3):
        with pytest.raises(ValueError, match=rf"no leaf at level {level} \(bit 7, PS, is clear\)"):
            decode_pte(0x1, level)


SET = "WB  WC  UC- UC  WB  WP  UC- WT"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("linux", 0x0407050600070106),
        ("Reset", 0x0007040600070406),
        (SET, 0x0407050600070106),
        (f"x86/PAT: Configuration [0-7]: {SET}  ", 0x0407050600070106),
        (f"[    0.000229] x86/PAT: Configuration [0-7]: {SET}  ", 0x0407050600070106),
        (f"[    0.000229][    T0] x86/PAT: Configuration [0-7]: {SET}", 0x0407050600070106),
        (f"Nov 26 12:00:00 host kernel: x86/PAT: Configuration [0-7]: {SET}", 0x0407050600070106),
        (f"PAT configuration [0-7]: {SET}", 0x0407050600070106),
        (f"Configuration [0-7]: {SET}", 0x0407050600070106),
        ("x86/PAT: Configuration [0-7]: WB  WT  UC- UC  WB  WT  UC- UC  ", 0x0007040600070406),
        ("WB, WC, UC-, UC, WB, WC, UC-, UC", 0x0007010600070106),
        ("write-back WC uncached-minus uc wb WP UC_MINUS WT", 0x0407050600070106),
        ("x86 PAT enabled: cpu 0, old 0x7040600070406, new 0x7010600070106", 0x0007010600070106),
        ("0x407050600070106", 0x0407050600070106),
        ("0407050600070106", 0x0407050600070106),
        ("0007040600070406", 0x0007040600070406),
        ("IA32_PAT=0x0007040600070406", 0x0007040600070406),
        ("PAT = 0x0007040600070406", 0x0007040600070406),
    ],
)
def test_a_pat_as_people_have_it(text: str, value: int) -> None:
    assert parse_pat(text).value == value


@given(st.lists(st.sampled_from(PAT_TYPES), min_size=8, max_size=8))
def test_what_dmesg_prints_is_read_back(kinds: list[MemType]) -> None:
    words = "".join(f"{kind!s:4}" for kind in kinds)
    for text in (words, f"x86/PAT: Configuration [0-7]: {words}", f"{make_pat(kinds).value:016x}"):
        if text[0] == "0" or not text.isalnum():
            assert parse_pat(text) == make_pat(kinds)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("windows", "'windows' is no PAT "),
        ("", "'' is no PAT "),
        ("WB", "'WB' is no PAT "),
        ("WB WC", "a PAT has eight entries, not 2 "),
        (f"{SET} UC", "a PAT has eight entries, not 9 "),
        ("x86/PAT: Configuration [0-7]: WB WC", "a PAT has eight entries, not 2 "),
        ("x86/PAT: Configuration [0-7]:", "a PAT has eight entries, not 0 "),
        ("WB WC UC- UC WB WX UC- WT", "'WX' is not a memory type "),
        ("407050600070106", "'407050600070106': hex or decimal\\? \\(write 0x407050600070106 or 0x"),
        ("2", "#GP: entry 0 of IA32_PAT"),
        ("0x0407050600070106 0", "is not a number"),
        ("x" * 5000, "is no PAT"),
        ("x" * 5000 + " y", "is not a memory type"),
    ],
)
def test_what_is_no_pat(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        parse_pat(text)
    assert len(str(caught.value)) < 400
