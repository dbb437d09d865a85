# SPDX-License-Identifier: GPL-2.0-only
"""Numbers of KVM's interface that mainline has given away."""

from __future__ import annotations

import pytest

from mtcalc.kvm.flags import ALL_QUIRK_BITS, SLOT_FLAGS
from mtcalc.kvm.uapi import CAPABILITIES, FLAG_BITS, Number, collision, taken_by
from mtcalc.text.errors import Place

HERE = Place("x", 1, 1)


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (116, "DISABLE_QUIRKS"),
        (128, "MAX_VCPU_ID"),
        (144, "ARM_USER_IRQ"),
        (165, "ARM_VM_IPA_SIZE"),
        (180, "S390_PROTECTED"),
        (200, "SREGS2"),
        (213, "DISABLE_QUIRKS2"),
        (231, "USER_MEMORY2"),
        (234, "GUEST_MEMFD"),
        (236, "PRE_FAULT_MEMORY"),
        (239, "ARM_WRITABLE_IMP_ID_REGS"),
        (246, "S390_USER_OPEREXEC"),
    ],
)
def test_capabilities(number: int, name: str) -> None:
    assert CAPABILITIES[number] == name
    assert taken_by(Number("KVM_CAP_OWN", number, HERE)) == f"{number} is KVM_CAP_{name}"
    assert taken_by(Number(f"KVM_CAP_{name}", number, HERE)) == ""


def test_the_names_are_as_many_as_the_numbers() -> None:
    assert len(set(CAPABILITIES.values())) == len(CAPABILITIES) == 246 - 116 + 1


def test_flags_and_quirks() -> None:
    """A name's own bit is none that is taken; that of a proposal is free."""
    for name, bit in SLOT_FLAGS.items():
        assert taken_by(Number(f"KVM_MEM_{name}", bit, HERE)) == ""
        assert bool(taken_by(Number("KVM_MEM_OWN", bit, HERE))) is (name != "NON_COHERENT_DMA")
    for name, bit in ALL_QUIRK_BITS.items():
        assert taken_by(Number(f"KVM_X86_QUIRK_{name}", bit, HERE)) == ""
        assert taken_by(Number("KVM_X86_QUIRK_OWN", bit, HERE)).endswith(f"is KVM_X86_QUIRK_{name}")
    assert taken_by(Number("KVM_X86_QUIRK_OWN", 1 << len(ALL_QUIRK_BITS), HERE)) == ""
    assert taken_by(Number("KVM_MEM_OWN", 0x14, HERE)) == "bit 2 is KVM_MEM_GUEST_MEMFD"
    assert taken_by(Number("KVM_MEM_OWN", 1 << 16, HERE)) == f"bit 16 is {FLAG_BITS[16]}"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("KVM_MEM_READONLY", 1 << 4, "KVM_MEM_READONLY is bit 4 here, and bit 1 in mainline"),
        ("KVM_MEM_READONLY", 1, "KVM_MEM_READONLY collides with mainline, where bit 0 is KVM_MEM_LOG_DIRTY_PAGES"),
        ("KVM_MEM_READONLY", 0, "KVM_MEM_READONLY is 0x0 here, and bit 1 in mainline"),
        (
            "KVM_MEM_NON_COHERENT_DMA",
            1 << 4,
            "KVM_MEM_NON_COHERENT_DMA is bit 4 here, and bit 3 in the series that proposed it, and in crosvm",
        ),
        (
            "KVM_X86_QUIRK_IGNORE_GUEST_PAT",
            1 << 31,
            "KVM_X86_QUIRK_IGNORE_GUEST_PAT is bit 31 here, and bit 9 in mainline",
        ),
        (
            "KVM_X86_QUIRK_EPT_IGNORE_GUEST_PAT",
            1 << 31,
            "KVM_X86_QUIRK_EPT_IGNORE_GUEST_PAT is bit 31 here, and bit 9 in mainline",
        ),
        ("KVM_CAP_GUEST_MEMFD", 1234, "KVM_CAP_GUEST_MEMFD is 1234 here, and 234 in mainline"),
        ("KVM_CAP_OWN", 1234, ""),
        ("KVM_MEM_OWN", 1 << 4, ""),
        ("KVM_X86_QUIRK_OWN", 1 << 30, ""),
    ],
)
def test_a_known_name_with_another_number(name: str, value: int, said: str) -> None:
    assert collision(Number(name, value, HERE)) == said
