# SPDX-License-Identifier: GPL-2.0-only
"""Rule sets written as C."""

from __future__ import annotations

import pytest

from mtcalc.csource.source import rules_from_c
from mtcalc.csource.writer import CR0_AND, Spelling, Style, all_texts, texts_of_its_time, write_c
from mtcalc.rules.builtin import built_in_names
from mtcalc.rules.condition import ALWAYS, And, Atom, Condition, Not, Or
from mtcalc.rules.inputs import CR0_CD, GUEST_MTRR, MMIO, SELF_SNOOP, Input
from mtcalc.rules.rule import Outcome, Rule, RuleSet, ept, guest_mtrr
from mtcalc.x86.memtype import MemType
from support.patches import kernel, same_bytes


def rule_set(*rules: tuple[Condition, Outcome]) -> RuleSet:
    return RuleSet("own", "own", tuple(Rule(f"r{n}", when, then, "") for n, (when, then) in enumerate(rules)))


OWN = (
    rule_set((ALWAYS, Outcome(0x06))),
    rule_set((Atom(MMIO), Outcome(0, GUEST_MTRR, 0)), (ALWAYS, Outcome(0x41, GUEST_MTRR, 3))),
    rule_set(
        (Or((Atom(MMIO), And((Atom(CR0_CD), Not(Atom(SELF_SNOOP)))))), guest_mtrr(1)), (ALWAYS, ept(MemType.WP, 0))
    ),
    rule_set(
        (And((Or((Atom(MMIO), Atom(CR0_CD))), Atom(SELF_SNOOP))), ept(MemType.WC, 1)), (ALWAYS, ept(MemType.WT, 1))
    ),
    rule_set((Not(And((Atom(MMIO), Atom(CR0_CD)))), ept(MemType.WC, 0)), (ALWAYS, guest_mtrr(0))),
    rule_set((Atom(GUEST_MTRR, MemType.WC), ept(MemType.UC, 0)), (ALWAYS, guest_mtrr(1))),
    rule_set((Not(Atom(Input("assume", "kvm_some(vcpu)"))), ept(MemType.UC, 0)), (ALWAYS, ept(MemType.WB, 0))),
    rule_set((Not(Atom(Input("assume", "vcpu->some > 3"))), ept(MemType.UC, 0)), (ALWAYS, ept(MemType.WB, 0))),
    rule_set((Atom(MMIO), Outcome(0x40, Input("assume_type", "kvm_some_type(vcpu)"))), (ALWAYS, ept(MemType.WB, 0))),
    rule_set(
        (And((Atom(CR0_CD), Atom(MMIO))), Outcome(0x06)),
        (Atom(CR0_CD), ept(MemType.UC, 1)),
        (ALWAYS, ept(MemType.WB, 0)),
    ),
)


@pytest.mark.parametrize("name", built_in_names())
def test_every_text_reads_back_equal(name: str) -> None:
    """A rule set written as C, in any style and spelling, is the rule set."""
    rules = kernel(name).rules
    written = all_texts(rules)
    assert len(written) >= 3
    for text in written:
        assert same_bytes(rules_from_c(text, "vmx.c"), rules), text


@pytest.mark.parametrize("rules", OWN)
def test_rules_that_no_kernel_had_read_back_equal(rules: RuleSet) -> None:
    for text in all_texts(rules):
        assert same_bytes(rules_from_c(text, "vmx.c"), rules), text


def test_texts_of_its_time_come_first_and_are_few() -> None:
    for name in built_in_names():
        rules = kernel(name).rules
        own = texts_of_its_time(rules)
        assert 1 <= len(own) <= 6
        assert all_texts(rules)[: len(own)] == own


def test_styles_of_their_time() -> None:
    assert "goto exit" in texts_of_its_time(kernel("v4.3").rules)[0]
    assert "goto" not in texts_of_its_time(kernel("v6.7").rules)[0]
    assert "else if (vcpu->kvm->arch.iommu_domain &&" in texts_of_its_time(kernel("v2.6.31").rules)[0]
    assert "vmx_ignore_guest_pat(vcpu->kvm)" in texts_of_its_time(kernel("v6.16").rules)[0]
    assert "kvm_is_cr0_bit_set(vcpu, X86_CR0_CD)" in "".join(texts_of_its_time(kernel("v4.4").rules))


def test_a_whole_text() -> None:
    text = write_c(kernel("v6.7").rules, Style.RETURN, Spelling(cd=CR0_AND))
    assert text.splitlines()[2:] == [
        "\tif (is_mmio)",
        "\t\treturn MTRR_TYPE_UNCACHABLE << VMX_EPT_MT_EPTE_SHIFT;",
        "",
        "\tif (!kvm_arch_has_noncoherent_dma(vcpu->kvm))",
        "\t\treturn (MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT) | VMX_EPT_IPAT_BIT;",
        "",
        "\tif (kvm_read_cr0(vcpu) & X86_CR0_CD) {",
        "\t\tif (kvm_check_has_quirk(vcpu->kvm, KVM_X86_QUIRK_CD_NW_CLEARED))",
        "\t\t\treturn MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT;",
        "\t\telse",
        "\t\t\treturn (MTRR_TYPE_UNCACHABLE << VMX_EPT_MT_EPTE_SHIFT) | VMX_EPT_IPAT_BIT;",
        "\t}",
        "",
        "\treturn kvm_mtrr_get_guest_memory_type(vcpu, gfn) << VMX_EPT_MT_EPTE_SHIFT;",
        "}",
    ]
