# SPDX-License-Identifier: GPL-2.0-only
"""The slot checks that only some releases have: every row against a second table, at the last release before it."""

from __future__ import annotations

import pytest

from mtcalc.analysis.evaluate import Evaluator
from mtcalc.kvm.flags import SLOT_FLAGS
from mtcalc.kvm.slot_history import slot_limits
from mtcalc.kvm.slots import USER_END_4_LEVEL, own_slot_notes, slot_notes
from mtcalc.kvm.vm import Slot, Vm
from mtcalc.refs.resolve import resolve
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import from_the_start, unknown_inputs
from support.notes import noted

PAGE = 0x1000
USER_END_5_LEVEL = (1 << 56) - PAGE
GIB = 1 << 30
GOOD = Slot(0, GIB, "ram")
HIGH = GOOD._replace(gpa=(1 << 46) - PAGE, size=2 * PAGE)

# One line a change: the last release without, the first with, a slot, and what the first says of it.
CHANGES = [
    ("3.9", "3.8", GOOD._replace(id=32), "slot id 32 (0 to 31)"),
    ("3.9", "3.8", GOOD._replace(id=124), "slot id 124 (0 to 31)"),
    ("3.19", "3.18", GOOD._replace(id=125), "slot id 125 (0 to 124)"),
    ("5.12", "5.11", GOOD._replace(id=509), "slot id 509 (0 to 508)"),
    ("4.2", "4.1", GOOD._replace(address_space=1), "no address space 1: the whole number is the slot id, 0 to 508"),
    ("2.6.34", "2.6.35", GOOD._replace(size=(1 << 31) * PAGE), "2147483648 pages (at most 2^31-1)"),
    ("2.6.35", "3.0", GOOD._replace(hva=0xFFFF_8880_0000_0000), "host address 0xffff888000000000 is outside"),
    ("5.17", "5.18", HIGH, "last page 0x400000000000 is above the host's maxphyaddr 46"),
    (
        "6.18",
        "6.17",
        GOOD._replace(address_space=1, flags=SLOT_FLAGS["GUEST_MEMFD"]),
        "address space 1 on a VM with private memory",
    ),
    (
        "6.7",
        "6.8",
        GOOD._replace(address_space=1, flags=SLOT_FLAGS["GUEST_MEMFD"]),
        "address space 1 on a VM with private memory",
    ),
]


@pytest.mark.parametrize(("takes", "refuses", "slot", "reason"), CHANGES)
def test_what_one_release_refuses_and_another_takes(takes: str, refuses: str, slot: Slot, reason: str) -> None:
    """A note, never an error, with the errno."""
    assert noted(slot_notes(slot, slot_limits(resolve(takes).release), Vm())) == ()
    (note,) = noted(slot_notes(slot, slot_limits(resolve(refuses).release), Vm()))
    assert note.startswith(f"this kernel refuses the slot (EINVAL): {reason}")


# release: ids, address spaces, flags checked, GUEST_MEMFD private only, hva, pages, maxphyaddr, own slots, flags
TABLE = {
    "2.6.28": (32, 1, 0, 0, 0, 0, 0, 0, 0x1),
    "2.6.32": (32, 1, 0, 0, 0, 0, 0, 0, 0x1),
    "2.6.35": (32, 1, 0, 0, 0, 1, 0, 0, 0x1),
    "3.0": (32, 1, 0, 0, 1, 1, 0, 0, 0x1),
    "3.6": (32, 1, 0, 0, 1, 1, 0, 0, 0x1),
    "3.7": (32, 1, 1, 0, 1, 1, 0, 0, 0x3),
    "3.8": (32, 1, 1, 0, 1, 1, 0, 0, 0x3),
    "3.9": (125, 1, 1, 0, 1, 1, 0, 0, 0x3),
    "3.18": (125, 1, 1, 0, 1, 1, 0, 0, 0x3),
    "3.19": (509, 1, 1, 0, 1, 1, 0, 0, 0x3),
    "4.1": (509, 1, 1, 0, 1, 1, 0, 0, 0x3),
    "4.2": (509, 2, 1, 0, 1, 1, 0, 0, 0x3),
    "4.15": (509, 2, 1, 0, 1, 1, 0, 0, 0x3),
    "4.16": (509, 2, 1, 0, 1, 1, 0, 1, 0x3),
    "5.11": (509, 2, 1, 0, 1, 1, 0, 1, 0x3),
    "5.12": (32764, 2, 1, 0, 1, 1, 0, 1, 0x3),
    "5.17": (32764, 2, 1, 0, 1, 1, 0, 1, 0x3),
    "5.18": (32764, 2, 1, 0, 1, 1, 1, 1, 0x3),
    "6.7": (32764, 2, 1, 0, 1, 1, 1, 1, 0x3),
    "6.8": (32764, 2, 1, 1, 1, 1, 1, 1, 0x7),
    "6.17": (32764, 2, 1, 1, 1, 1, 1, 1, 0x7),
    "6.18": (32764, 2, 1, 0, 1, 1, 1, 1, 0x7),
    "7.3": (32764, 2, 1, 0, 1, 1, 1, 1, 0x7),
}


@pytest.mark.parametrize("release", TABLE)
def test_the_checks_of_a_release(release: str) -> None:
    kernel = resolve(release)
    limits = slot_limits(kernel.release)._asdict()
    mark, end = limits.pop("invalid_mark"), limits.pop("user_end")
    assert (*limits.values(), kernel.slot_flags) == TABLE[release]
    assert mark == (2 if release in ("2.6.35", "3.0", "3.6") else 0)
    five_levels = not release.startswith(("2", "3")) and release not in ("4.1", "4.2")
    assert end == (USER_END_5_LEVEL if five_levels else USER_END_4_LEVEL)


@pytest.mark.parametrize(
    ("release", "noted_as"),
    [
        ("2.6.34", "this kernel does not know slot flag READONLY, and takes it unchecked"),
        *(
            (release, "slot flag READONLY is bit 1, here KVM's own mark of an invalid slot, and it is not checked")
            for release in ("2.6.35", "3.0", "3.6.11")
        ),
        ("3.7", None),
    ],
)
def test_bit_1_is_kvms_own_mark_up_to_3_6(release: str, noted_as: str | None) -> None:
    kernel = resolve(release)
    assert noted(unknown_inputs(kernel, Facts(slot_flags=2))) == (() if noted_as is None else (noted_as,))


@pytest.mark.parametrize(("release", "refused"), [("3.0", True), ("4.13", True), ("4.14", False), ("6.1", False)])
def test_before_5_level_paging_user_space_has_47_bits(release: str, refused: bool) -> None:
    (note,) = slot_notes(GOOD._replace(hva=USER_END_4_LEVEL - PAGE), slot_limits(resolve(release).release), Vm())
    assert note.code == ("slot-refused" if refused else "slot-address")
    assert note.text.endswith("(below 0x7ffffffff000)" if refused else "5-level paging alone, else EINVAL")


@pytest.mark.parametrize(
    ("hva", "notes"),
    [
        (0, ()),
        (USER_END_4_LEVEL - GIB, ()),
        (USER_END_4_LEVEL - GIB + PAGE, ("user space with 5-level paging alone",)),
        (USER_END_5_LEVEL - GIB, ("user space with 5-level paging alone",)),
        (USER_END_5_LEVEL - GIB + PAGE, ("is outside user space",)),
        (1 << 63, ("is outside user space",)),
        ((1 << 64) - GIB, ("is outside user space",)),
    ],
)
def test_where_user_space_ends(hva: int, notes: tuple[str, ...]) -> None:
    """The whole slot has to lie below TASK_SIZE_MAX, which hangs on the host's paging."""
    found = noted(slot_notes(GOOD._replace(hva=hva), slot_limits((6, 1)), Vm()))
    assert len(found) == len(notes)
    assert all(part in note for part, note in zip(notes, found, strict=True))
    assert noted(slot_notes(GOOD._replace(hva=hva), slot_limits((2, 6, 35)), Vm())) == ()


def test_the_apic_page_is_kvms_own() -> None:
    """From 4.16 on overlaps with KVM's own slots are refused too."""
    for first, last, holds in (
        (0xFEE00000, 0xFEE00FFF, True),
        (0xFEE01000, 0xFFFFFFFF, False),
        (0, 0xFEDFFFFF, False),
    ):
        assert bool(noted(own_slot_notes(slot_limits((4, 16)), first, last))) is holds
        assert noted(own_slot_notes(slot_limits((4, 15)), first, last)) == ()


def test_a_slots_notes_belong_to_its_answers() -> None:
    slots = (GOOD._replace(name="a", id=600), GOOD._replace(name="b", gpa=GIB, id=1))
    answers = list(Evaluator(resolve("5.4"), Vm(), slots).ranges())
    assert ["this kernel refuses the slot (EINVAL): slot id 600 (0 to 508)" in noted(a.notes) for a in answers] == [
        True,
        False,
    ]
    assert answers[0].byte == 0x70  # answered all the same
    assert not next(Evaluator(resolve("6.1"), Vm(), slots).ranges()).notes


LOG, READONLY, MEMFD, FLAG = 1, 2, 4, 8
UNCHECKED = "this kernel does not know slot flag {}, and takes it unchecked"
OWN = "slot flag READONLY is bit 1, here KVM's own mark of an invalid slot, and it is not checked"
REFUSED = "this kernel refuses slot flag {} (EINVAL)"
PRIVATE = "this kernel takes GUEST_MEMFD on VMs with private memory alone (6.18 on: on every VM)"
TOGETHER = "no kernel takes GUEST_MEMFD together with READONLY or LOG_DIRTY_PAGES (EINVAL)"


@pytest.mark.parametrize(
    ("ref", "flags", "notes"),
    [
        ("3.6", LOG, ()),
        ("2.6.34", READONLY, (UNCHECKED.format("READONLY"),)),
        ("3.6", READONLY, (OWN,)),
        ("3.6", FLAG, (UNCHECKED.format("NON_COHERENT_DMA"),)),
        ("3.7", READONLY, ()),
        ("3.7", FLAG, (REFUSED.format("NON_COHERENT_DMA"),)),
        ("6.7", MEMFD, (REFUSED.format("GUEST_MEMFD"),)),
        ("6.8", MEMFD, (PRIVATE,)),
        ("6.17", MEMFD, (PRIVATE,)),
        ("6.18", MEMFD, ()),
        ("latest", MEMFD | READONLY, (TOGETHER,)),
        ("latest", MEMFD | LOG, (TOGETHER,)),
        ("slot-flag", MEMFD | READONLY, (TOGETHER,)),
        ("slot-flag", MEMFD | FLAG, (PRIVATE,)),
        ("slot-flag", READONLY | LOG | FLAG, ()),
    ],
)
def test_slot_flags_by_release(ref: str, flags: int, notes: tuple[str, ...]) -> None:
    """Flags are inputs of a what-if too, so lookup says the same."""
    kernel = resolve(ref)
    assert noted(unknown_inputs(kernel, from_the_start(kernel, Facts(slot_flags=flags)))) == notes
