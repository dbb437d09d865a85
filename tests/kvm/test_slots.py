# SPDX-License-Identifier: GPL-2.0-only
"""KVM's checks of memory slots, each at its boundary, and the search for a slot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtcalc.kvm.flags import parse_quirk, parse_slot_flag
from mtcalc.kvm.slots import SlotMap, check_slot, check_slots
from mtcalc.kvm.vm import Slot

PAGE = 0x1000
GIB = 1 << 30
GOOD = Slot(0, GIB, "ram")
NEAR_TOP = (1 << 46) - PAGE

# (last good, first bad, field, part of the reason): what every release refuses
BOUNDARIES = [
    (GOOD._replace(flags=0x8), GOOD._replace(flags=0x10), "flags", "unknown flag bits 0x10"),
    (GOOD._replace(flags=0xB), GOOD._replace(flags=0x8000_0000), "flags", "unknown flag bits 0x80000000"),
    (GOOD._replace(flags=0xC), GOOD._replace(flags=0x6), "flags", "READONLY, GUEST_MEMFD together"),
    (GOOD._replace(flags=0x4), GOOD._replace(flags=0x5), "flags", "LOG_DIRTY_PAGES, GUEST_MEMFD together"),
    (GOOD._replace(flags=0x3), GOOD._replace(flags=0x7), "flags", "GUEST_MEMFD goes with neither"),
    (GOOD._replace(id=32763), GOOD._replace(id=32764), "id", "slot id 32764 (0 to 32763)"),
    (GOOD._replace(id=0), GOOD._replace(id=-1), "id", "slot id -1"),
    (GOOD._replace(address_space=1), GOOD._replace(address_space=2), "address_space", "address space 2"),
    (GOOD._replace(gpa=PAGE), GOOD._replace(gpa=PAGE - 1), "gpa", "0xfff is not page aligned"),
    (GOOD._replace(size=PAGE), GOOD._replace(size=PAGE + 1), "size", "0x1001 is not page aligned"),
    (GOOD._replace(size=PAGE), GOOD._replace(size=0), "size", "size 0 deletes a slot"),
    (GOOD._replace(hva=PAGE), GOOD._replace(hva=PAGE + 8), "hva", "host address 0x1008 is not page aligned"),
    (GOOD._replace(hva=2**64 - GOOD.size), GOOD._replace(hva=2**64 - GOOD.size + PAGE), "hva", "wrap around"),
    (
        GOOD._replace(gpa=NEAR_TOP, size=PAGE),
        GOOD._replace(gpa=(1 << 64) - PAGE, size=PAGE),
        "size",
        "wraps around",
    ),
]


@pytest.mark.parametrize(("good", "bad", "field", "reason"), BOUNDARIES)
def test_einval_begins_at_the_boundary(good: Slot, bad: Slot, field: str, reason: str) -> None:
    """The last slot that KVM takes, and the first that it refuses with EINVAL."""
    assert check_slot(good) is None
    assert check_slots([good]) is None
    refusal = check_slot(bad)
    assert refusal is not None
    assert refusal[:2] == (field, "EINVAL")
    assert reason in refusal[2]
    # The same behind a slot that is fine, named by its index.
    first = Slot(0x3000_0000_0000, PAGE, "first", id=7)
    found = check_slots([first, bad])
    assert found is not None
    assert (found.at, *found[1:]) == (1, *refusal)


def test_wrap_around_is_judged_in_64_bits() -> None:
    """gpa + size of 2^64 is 0 for KVM, so it wraps."""
    last = Slot((1 << 64) - 2 * PAGE, PAGE, "last")
    assert check_slot(last) is None
    for size in (2 * PAGE, 3 * PAGE):
        refusal = check_slot(last._replace(size=size))
        assert refusal is not None
        assert "wraps around" in refusal[2]


def test_overlaps_are_eexist_within_one_address_space() -> None:
    """EEXIST for an overlap within one address space."""
    low = Slot(0x10000, 0x10000, "low", id=0)
    for gpa, size, taken in (
        (0x20000, PAGE, True),  # right behind
        (0x1F000, PAGE, False),  # the last page
        (0xF000, PAGE, True),  # right before
        (0xF000, 2 * PAGE, False),  # the first page
        (0x14000, PAGE, False),  # inside
        (0, 1 << 20, False),  # around
        (0x10000, 0x10000, False),  # the same
    ):
        other = Slot(gpa, size, "other", id=1)
        refusal = check_slots([low, other])
        assert check_slots([low, other._replace(address_space=1)]) is None
        if taken:
            assert refusal is None
        else:
            assert refusal is not None
            assert (refusal.at, refusal.field, refusal.errno) == (1, "gpa", "EEXIST")
            assert refusal.reason == "other overlaps low, 0x10000 to 0x1ffff (slots may not overlap)"


def test_a_slot_id_is_taken_once_in_an_address_space() -> None:
    """A second slot with the id of a live one would change its size or host address: EINVAL."""
    first = Slot(0, PAGE, "first", id=5)
    again = Slot(GIB, 2 * PAGE, "again", id=5)
    refusal = check_slots([first, again])
    assert refusal is not None
    assert (refusal.at, refusal.field, refusal.errno) == (1, "id", "EINVAL")
    assert "slot id 5 is taken by first" in refusal.reason
    assert check_slots([first, again._replace(id=6)]) is None
    assert check_slots([first, again._replace(address_space=1)]) is None


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 8), st.integers(0, 1)), max_size=7), st.data())
def test_a_refused_list_of_slots_has_an_overlap(shapes: list[tuple[int, int, int]], data: st.DataObject) -> None:
    """Overlaps by comparing all pairs of pages; where there are none, every page finds its slot."""
    slots = [
        Slot(page * PAGE, count * PAGE, f"slot{n}", id=n, address_space=space)
        for n, (page, count, space) in enumerate(shapes)
    ]
    pages = [(s.address_space, page) for s in slots for page in range(s.gpa, s.end, PAGE)]
    refusal = check_slots(slots)
    assert (refusal is None) is (len(pages) == len(set(pages)))
    if refusal is not None:
        assert refusal.errno == "EEXIST"
        return
    space = data.draw(st.integers(0, 1))
    found = SlotMap(slots, space)
    for page in range(0, 50 * PAGE, PAGE):
        holders = [s for s in slots if s.address_space == space and s.gpa <= page < s.end]
        assert found.find(page) == found.find(page + PAGE - 1) == (holders[0] if holders else None)


@pytest.mark.parametrize(
    ("words", "bits"),
    [
        ("NON_COHERENT_DMA non-coherent-dma KVM_MEM_NON_COHERENT_DMA kvm-mem-non-coherent-dma 8 0x8", 8),
        ("READONLY readonly KVM_MEM_READONLY 2", 2),
        ("LOG_DIRTY_PAGES log-dirty-pages 1", 1),
        ("GUEST_MEMFD guest_memfd 4", 4),
        ("0xf 15", 15),
        ("0 0x0", 0),
    ],
)
def test_slot_flags_by_name_or_number(words: str, bits: int) -> None:
    assert [parse_slot_flag(word) for word in words.split()] == [bits] * len(words.split())


@pytest.mark.parametrize(
    ("words", "bits"),
    [
        ("CD_NW_CLEARED cd-nw-cleared KVM_X86_QUIRK_CD_NW_CLEARED 2 0x2", 2),
        ("IGNORE_GUEST_PAT ignore-guest-pat kvm-x86-quirk-ignore-guest-pat 0x200 512", 0x200),
        ("0x202", 0x202),
    ],
)
def test_quirks_by_name_or_number(words: str, bits: int) -> None:
    assert [parse_quirk(word) for word in words.split()] == [bits] * len(words.split())


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("16", "EINVAL: 16 has bits outside 0xf"),
        ("0x1f", "EINVAL: 0x1f has bits outside 0xf"),
        ("READ_ONLY", "did you mean READONLY?"),
        ("noncoherent", "did you mean NON_COHERENT_DMA?"),
        ("0xzz", "'0xzz' is not a number"),
        ("8x", "'8x' is not a number"),
        ("08", "'08' has a leading zero"),
        ("KVM_MEM_DMA", "KVM_MEM_DMA acts on the whole VM"),
    ],
)
def test_bad_slot_flags(word: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_slot_flag(word)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 6)), max_size=8), st.integers(0, 50), st.integers(1, 50))
def test_law_the_slots_between_are_those_that_overlap(places: list[tuple[int, int]], start: int, count: int) -> None:
    slots: list[Slot] = []
    for at, size in places:
        if all(at + size <= slot.gpa or slot.end <= at for slot in slots):
            slots.append(Slot(at, size, f"s{len(slots)}"))
    found = SlotMap(slots).between(start, start + count)
    assert found == sorted((s for s in slots if s.gpa < start + count and start < s.end), key=lambda s: s.gpa)
