# SPDX-License-Identifier: GPL-2.0-only
"""EPT entries: every low byte at every level against a second model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtcalc.x86.ept import ept_mask, mask_text, split_mask
from mtcalc.x86.ept_entry import decode_entry
from mtcalc.x86.memtype import MTRR_TYPES, MemType
from support import models

HIGH = (
    0,
    0x1234_5000_0000,
    0x0000_0000_1000,  # below a large page's size
    0x0000_2020_0000,  # below 1G's alone
    0x0000_4000_0000,
    1 << 45,
    1 << 46,
    1 << 51,
    0xFFF0_0000_0000_0F00,  # ignored or flags, no address
    0xFFFF_FFFF_FFFF_FF00,
)
EXECUTE_ONLY = "execute-only (a misconfiguration on CPUs without that feature)"


@pytest.mark.parametrize("level", [1, 2, 3, 4])
@pytest.mark.parametrize("high", HIGH)
def test_every_low_byte_equals_the_model(level: int, high: int) -> None:
    """SDM, "EPT Misconfigurations" and "The Extended Page Table Mechanism", reserved encodings included."""
    for low in range(256):
        value = high | low
        entry = decode_entry(value, level, 46)
        model = models.read_ept(value, level, 46)
        read = (entry.leaf, entry.present, entry.memtype, entry.ipat, bool(entry.misconfigurations), entry.address)
        assert read == tuple(model), hex(value)
        # Where execute-only is all that is said, a CPU with that feature takes the entry.
        lenient = [text for text in entry.misconfigurations if text != EXECUTE_ONLY]
        assert bool(lenient) is models.read_ept(value, level, 46, execute_only=True).misconfigured, hex(value)


@given(st.integers(0, (1 << 64) - 1), st.integers(1, 5))
def test_no_bit_is_dropped(value: int, level: int) -> None:
    """Every set bit is a flag, memory type or page size, address (reserved ones included), or said to be ignored."""
    entry = decode_entry(value, level)
    bits = {"read": 0, "write": 1, "execute": 2, "accessed": 8, "dirty": 9, "user-execute": 10, "suppress-#VE": 63}
    flags = sum(1 << bits[name] for name in entry.flags)
    assert entry.ignored & (0xFF | (1 << 52) - 0x1000) == 0
    assert flags | entry.ignored | value & (0xF8 | (1 << 52) - 0x1000) == value
    assert entry.address & ~value == 0


def test_each_misconfiguration_is_named() -> None:
    said = {
        (0x02, 1): "writable but not readable",
        (0x06, 1): "writable but not readable",
        (0x04, 1): EXECUTE_ONLY,
        (0x17, 1): "reserved memory type 2",
        (0x1F, 1): "reserved memory type 3",
        (0x3F, 1): "reserved memory type 7",
        (0x10_00B7, 2): "reserved address bits 20:12 set in a 2M leaf",
        (0x20_00B7, 3): "reserved address bits 29:12 set in a 1G leaf",
        (0x37, 2): "reserved bits 7:3 set in an entry that is no leaf",
        (0x87, 4): "reserved bits 7:3 set in an entry that is no leaf",
        (1 << 46 | 0x37, 1): "address bits at or above maxphyaddr 46",
    }
    for (value, level), text in said.items():
        assert text in decode_entry(value, level, 46).misconfigurations, hex(value)
    # In an entry that is no leaf these bits are reserved, whatever type they would be.
    assert decode_entry(0x17, 2).misconfigurations == ("reserved bits 7:3 set in an entry that is no leaf",)


@pytest.mark.parametrize("encoding", MTRR_TYPES)
@pytest.mark.parametrize("ipat", [False, True])
def test_a_mask_splits_into_what_made_it(encoding: MemType, ipat: bool) -> None:
    """vmx_get_mt_mask() returns one byte: type << 3 | ipat << 6."""
    byte = ept_mask(encoding, ipat)
    assert split_mask(byte) == (encoding, ipat)
    assert byte == encoding * 8 + ipat * 64
    entry = decode_entry(0x1234_5000 | byte | 7)
    assert (entry.memtype, entry.ipat, entry.address, entry.misconfigurations) == (encoding, ipat, 0x1234_5000, ())


def test_masks_in_words() -> None:
    named = {0x00: "UC", 0x30: "WB", 0x40: "UC, ignore PAT", 0x70: "WB, ignore PAT", 0x08: "WC", 0x28: "WP"}
    assert {byte: mask_text(byte) for byte in named} == named
    assert mask_text(0x06) == "UC, stray bits 0x06"
    assert mask_text(0x10) == "reserved 2"
    assert mask_text(0x38) == "reserved 7"  # UC- exists in the PAT alone


@pytest.mark.parametrize(("value", "level"), [(0, 0), (0, 6), (-1, 1), (1 << 64, 1)])
def test_what_is_no_ept_entry(value: int, level: int) -> None:
    with pytest.raises(ValueError, match=r"an EPT entry (is at level 1 to 5|has 64 bits)"):
        decode_entry(value, level)
