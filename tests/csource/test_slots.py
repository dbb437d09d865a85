# SPDX-License-Identifier: GPL-2.0-only
"""A page's memory slot in C: that it is there, and flags by the names that a text gives them."""

from __future__ import annotations

import itertools

import pytest

from mtcalc.csource.kernel import kernel_of_c
from mtcalc.csource.source import read_c
from mtcalc.rules.condition import condition_text
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import kernel_notes
from mtcalc.rules.rule import RuleSet, decide
from support.c_printer import HEAD

FIRST = "kvm_vcpu_gfn_to_memslot(vcpu, gfn)"
OWN_TEXT = "slot->flags & KVM_MEM_OWN"


def read(condition: str, before: str = "", slot: str = FIRST) -> RuleSet:
    body = f"\tstruct kvm_memory_slot *slot = {slot};\n\tif ({condition})\n\t\treturn 0x30;\n\treturn 0x70;\n"
    return read_c(f"{before}{HEAD}{body}}}\n", "vmx.c").rules


def when(rules: RuleSet) -> list[str]:
    return [condition_text(rule.when) for rule in rules.rules]


@pytest.mark.parametrize("slot", [FIRST, "gfn_to_memslot(vcpu->kvm, gfn)"])
@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("slot && (slot->flags & KVM_MEM_NON_COHERENT_DMA)", "slot_flag NON_COHERENT_DMA"),
        ("slot != NULL && slot->flags & KVM_MEM_NON_COHERENT_DMA", "slot_flag NON_COHERENT_DMA"),
        ("slot ? slot->flags & KVM_MEM_NON_COHERENT_DMA : 0", "slot_flag NON_COHERENT_DMA"),
        ("!(!slot || !(slot->flags & KVM_MEM_NON_COHERENT_DMA))", "slot_flag NON_COHERENT_DMA"),
        ("!WARN_ON_ONCE(!slot) && is_mmio", "mmio"),
        ("slot", "always"),
        ("NULL == slot", None),
        ("unlikely(!slot) && is_mmio", None),
    ],
)
def test_the_page_has_a_slot(condition: str, wanted: str | None, slot: str) -> None:
    rules = read(condition, slot=slot)
    assert when(rules) == (["always"] if wanted in ("always", None) else [wanted, "always"])
    assert decide(rules, Facts(mmio=True, slot_flags=8))[1] == (0x70 if wanted is None else 0x30)
    assert rules.slot_asked
    assert rules.unreached == ()  # what a kernel keeps for safety's sake is no mistake


def test_what_is_decided_before_stays_so() -> None:
    """A branch on the slot and an input together settles that input for what comes behind."""
    rules = read("slot && is_mmio) return 0; if (is_mmio")
    assert when(rules) == ["mmio", "always"]


def test_a_helper_that_is_given_the_slot() -> None:
    helper = "static bool own(struct kvm_memory_slot *s)\n{\n\tif (!s)\n\t\treturn false;\n\treturn s->flags & 8;\n}\n"
    assert when(read("own(slot)", helper)) == ["slot_flag NON_COHERENT_DMA", "always"]


@pytest.mark.parametrize("other", ["gfn_to_memslot(vcpu->kvm, gfn + 1)", "vcpu->kvm->own", "own_slot(vcpu)"])
def test_another_pointer_may_be_null(other: str) -> None:
    rules = read("slot && is_mmio", slot=other)
    assert "assume" in when(rules)[0]
    assert not rules.slot_asked


def test_that_it_is_taken_so_is_a_note() -> None:
    def codes(condition: str) -> list[str]:
        text = f"{HEAD}\tif ({condition})\n\t\treturn 0x30;\n\treturn 0x70;\n}}\n"
        return [note.code for note in kernel_notes(kernel_of_c(text, "vmx.c", "vmx.c"))]

    assert "slot-there" in codes("slot && is_mmio")
    assert "slot-there" not in codes("slot->flags & 8")


DEFINES = (
    "",
    *(f"#define KVM_MEM_OWN\t(1UL << {bit})\n" for bit in (0, 1, 2, 3, 7, 31)),
    "#define KVM_MEM_OWN BIT(3)\n",
)


@pytest.mark.parametrize("define", DEFINES)
@pytest.mark.parametrize(
    "condition",
    [OWN_TEXT, f"slot && ({OWN_TEXT})", f"({OWN_TEXT}) == KVM_MEM_OWN", f"({OWN_TEXT}) != 0", f"!!({OWN_TEXT})"],
)
def test_a_flag_of_its_own_is_told_by_its_name(condition: str, define: str) -> None:
    """One form, whatever its bit, wherever that stands, and however the slot is come by."""
    for slot in (FIRST, "gfn_to_memslot(vcpu->kvm, gfn)", "__gfn_to_memslot(kvm_memslots(vcpu->kvm), gfn)"):
        assert when(read(condition, define, slot)) == [f'assume "{OWN_TEXT}"', "always"]


def test_flags_together_keep_their_names() -> None:
    define = "#define KVM_MEM_OWN (1UL << 3)\n#define KVM_MEM_BOTH (KVM_MEM_OWN | KVM_MEM_READONLY)\n"
    rules = read("slot->flags & KVM_MEM_BOTH", define)
    for readonly, own in itertools.product((False, True), repeat=2):
        facts = Facts(slot_flags=2 * readonly, assume={OWN_TEXT: own})
        assert decide(rules, facts)[1] == (0x30 if readonly or own else 0x70)


@pytest.mark.parametrize(
    ("define", "name"),
    [
        ("#define KVM_MEM_NON_COHERENT_DMA (1UL << 3)\n", "NON_COHERENT_DMA"),
        ("#define KVM_MEM_HONOR_GUEST_PAT (1UL << 3)\n", "HONOR_GUEST_PAT"),
        ("#define KVM_MEM_OWN KVM_MEM_NON_COHERENT_DMA\n", "OWN"),
        # Two names of one bit: the one that is known.
        ("#define KVM_MEM_OWN (1UL << 3)\n#define KVM_MEM_NON_COHERENT_DMA (1UL << 3)\n", "OWN"),
    ],
)
def test_a_known_flag_stays_itself(define: str, name: str) -> None:
    assert when(read(f"slot->flags & KVM_MEM_{name}", define)) == ["slot_flag NON_COHERENT_DMA", "always"]
