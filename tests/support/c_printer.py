# SPDX-License-Identifier: GPL-2.0-only
"""Rule sets as C functions, in three styles and several spellings, for reading back."""

from __future__ import annotations

from collections.abc import Callable

from mtcalc.rules.condition import ALWAYS, And, Atom, Condition, Not
from mtcalc.rules.inputs import Input
from mtcalc.rules.rule import Outcome, RuleSet
from mtcalc.x86.memtype import MemType

SPELLINGS: dict[Input, tuple[str, ...]] = {
    Input("mmio"): ("is_mmio", "kvm_is_mmio_pfn(pfn)", "likely(is_mmio)", "is_mmio == true", "(bool)is_mmio"),
    Input("noncoherent_dma"): (
        "kvm_arch_has_noncoherent_dma(vcpu->kvm)",
        "vcpu->kvm->arch.noncoherent_dma_count",
        "(vcpu->kvm->arch.iommu_domain && !(vcpu->kvm->arch.iommu_flags & KVM_IOMMU_CACHE_COHERENCY))",
        "vcpu->kvm->arch.iommu_noncoherent",
        "atomic_read(&vcpu->kvm->arch.noncoherent_dma_count) != 0",
        "vcpu->kvm->arch.noncoherent_dma_count > 0",
    ),
    Input("mem_dma"): ("kvm_has_mem_dma(vcpu->kvm)",),
    Input("cr0_cd"): (
        "kvm_read_cr0(vcpu) & X86_CR0_CD",
        "kvm_read_cr0_bits(vcpu, X86_CR0_CD)",
        "kvm_is_cr0_bit_set(vcpu, X86_CR0_CD)",
        "!!(kvm_read_cr0(vcpu)&X86_CR0_CD)",
        "(kvm_read_cr0(vcpu) & X86_CR0_CD) == X86_CR0_CD",
    ),
    Input("self_snoop"): (
        "static_cpu_has(X86_FEATURE_SELFSNOOP)",
        "boot_cpu_has( X86_FEATURE_SELFSNOOP )",
        "cpu_feature_enabled(X86_FEATURE_SELFSNOOP)",
        "this_cpu_has(X86_FEATURE_SELFSNOOP) != 0",
    ),
    Input("quirk", "CD_NW_CLEARED"): (
        "kvm_check_has_quirk(vcpu->kvm, KVM_X86_QUIRK_CD_NW_CLEARED)",
        "!(vcpu->kvm->arch.disabled_quirks & KVM_QUIRK_CD_NW_CLEARED)",
        "(vcpu->kvm->arch.disabled_quirks & KVM_X86_QUIRK_CD_NW_CLEARED) == 0",
    ),
    Input("quirk", "IGNORE_GUEST_PAT"): (
        "kvm_check_has_quirk(vcpu->kvm, KVM_X86_QUIRK_IGNORE_GUEST_PAT)",
        "!(vcpu->kvm->arch.disabled_quirks & KVM_X86_QUIRK_IGNORE_GUEST_PAT)",
    ),
    Input("slot_flag", "NON_COHERENT_DMA"): (
        "slot->flags & KVM_MEM_NON_COHERENT_DMA",
        "slot->flags /* as first suggested */ & KVM_MEM_HONOR_GUEST_PAT",
        "(fault->slot->flags & KVM_MEM_NON_COHERENT_DMA) != 0",
    ),
    Input("slot_flag", "READONLY"): ("slot->flags & KVM_MEM_READONLY",),
    Input("guest_mtrr"): (
        "kvm_mtrr_get_guest_memory_type(vcpu, gfn)",
        "kvm_get_guest_memory_type(vcpu, gfn)",
        "(u8)kvm_mtrr_get_guest_memory_type(vcpu, gfn)",
    ),
}

TYPES = {
    MemType.UC: "MTRR_TYPE_UNCACHABLE",
    MemType.WC: "MTRR_TYPE_WRCOMB",
    MemType.WT: "MTRR_TYPE_WRTHROUGH",
    MemType.WP: "MTRR_TYPE_WRPROT",
    MemType.WB: "MTRR_TYPE_WRBACK",
}

HEAD = "u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)\n{\n"

Pick = Callable[[tuple[str, ...]], str]
"""How one of several spellings is chosen."""


def first(spellings: tuple[str, ...]) -> str:
    """The spelling of today."""
    return spellings[0]


def spelt(item: Input, pick: Pick = first) -> str:
    """An input as C."""
    if item.name in ("assume", "assume_type"):
        return item.arg
    return pick(SPELLINGS[item])


def condition_c(condition: Condition, pick: Pick = first) -> str:
    """A condition as a C expression, generous with parentheses."""
    if isinstance(condition, Atom):
        text = spelt(condition.input, pick)
        return f"({text} == {TYPES[condition.value]})" if isinstance(condition.value, MemType) else f"({text})"
    if isinstance(condition, Not):
        return f"!{condition_c(condition.of, pick)}"
    if not condition.of:
        return "1" if isinstance(condition, And) else "0"
    joined = (" && " if isinstance(condition, And) else " || ").join(condition_c(part, pick) for part in condition.of)
    return f"({joined})"


def _type_c(then: Outcome, pick: Pick) -> str:
    if then.memtype_of is not None:
        return spelt(then.memtype_of, pick)
    encoding = then.const >> 3 & 7
    return TYPES[MemType(encoding)] if encoding in TYPES else str(encoding)


def byte_c(then: Outcome, pick: Pick = first) -> str:
    """A byte as one C expression."""
    rest = then.const & ~0x38 if then.memtype_of is None else then.const
    shift = "VMX_EPT_MT_EPTE_SHIFT" if then.shift == 3 else str(then.shift)
    text = f"({_type_c(then, pick)} << {shift})"
    if rest & 0x40:
        text += " | VMX_EPT_IPAT_BIT"
    return f"{text} | {rest & ~0x40:#x}" if rest & ~0x40 else text


def early_c(rules: RuleSet, pick: Pick = first) -> str:
    """if (A) return X; if (B) return Y; return Z;"""
    lines = []
    for rule in rules.rules:
        if rule.when != ALWAYS:
            lines.append(f"\tif ({condition_c(rule.when, pick)})\n\t")
        lines.append(f"\treturn {byte_c(rule.then, pick)};\n\n")
    return HEAD + "".join(lines) + "}\n"


def goto_c(rules: RuleSet, pick: Pick = first) -> str:
    """The type and the other bits in locals, and one exit."""
    lines = ["\tu64 type = 0;\n\tu8 other = 0;\n\n"]
    for rule in rules.rules:
        then = rule.then
        assigned = f"type = {_type_c(then, pick)};"
        if then.memtype_of is not None and then.shift != 3:
            assigned = f"type = 0;\n\t\tother |= {_type_c(then, pick)} << {then.shift};"
        rest = then.const if then.memtype_of is not None else then.const & ~0x38
        body = f"\t\t{assigned}\n" + (f"\t\tother |= {rest:#x};\n" if rest else "") + "\t\tgoto exit;\n"
        lines.append("\t{\n" if rule.when == ALWAYS else f"\tif ({condition_c(rule.when, pick)}) {{\n")
        lines.append(f"{body}\t}}\n")
    return f"static {HEAD}{''.join(lines)}exit:\n\treturn (type << VMX_EPT_MT_EPTE_SHIFT) | other;\n}}\n"


def nested_c(rules: RuleSet, pick: Pick = first) -> str:
    """One result, set in else branches of else branches; the conditions asked by helpers."""
    helpers, lines = [], ["\tu64 ret;\n\n"]
    closing = ""
    for at, rule in enumerate(rules.rules):
        stored = f"ret = {byte_c(rule.then, pick)};"
        if rule.when == ALWAYS:
            lines.append(f"\t{stored}\n")
            break
        if any(text in condition_c(rule.when, pick) for text in ("is_mmio", "pfn", "slot")):
            asked = condition_c(rule.when, pick)  # what the helper's parameters don't give it
        else:
            helpers.append(
                f"static inline bool asks_{at}(struct kvm_vcpu *vcpu, gfn_t gfn)\n{{\n"
                f"\tif ({condition_c(rule.when, pick)})\n\t\treturn true;\n\treturn false;\n}}\n\n"
            )
            asked = f"asks_{at}(vcpu, gfn)"
        lines.append(f"\tif ({asked}) {{\n\t{stored}\n\t}} else {{\n")
        closing += "\t}\n"
    return "".join(helpers) + HEAD.replace("u8", "static u64") + "".join(lines) + closing + "\treturn ret;\n}\n"


STYLES: dict[str, Callable[[RuleSet, Pick], str]] = {"early": early_c, "goto": goto_c, "nested": nested_c}
