# SPDX-License-Identifier: GPL-2.0-only
"""What patches change beside the rules: told by name, and silent where the names do not earn it."""

from __future__ import annotations

import pytest

from mtcalc.patches.beside import ROWS, beside_the_rules
from mtcalc.patches.read import read_patches
from support.patches import mail

KVM = "arch/x86/kvm"


def beside(path: str, section: str, *lines: str) -> list[tuple[str, str]]:
    old, new = (sum(line[0] in signs for line in lines) for signs in (" -", " +"))
    body = "".join(f"{line}\n" for line in lines)
    hunk = f"@@ -100,{old} +100,{new} @@ {section}\n{body}"
    text = f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n{hunk}"
    return [(one.kind, one.name) for one in beside_the_rules(read_patches(mail(text), "m.patch"))]


NAMED = [
    (
        ("noncoherent-dma", "kvm_arch_register_noncoherent_dma()"),
        (f"{KVM}/x86.c", "void kvm_arch_register_noncoherent_dma(struct kvm *kvm)"),
        (
            " {",
            "-\tatomic_inc(&kvm->arch.noncoherent_dma_count);",
            "+\tatomic_add(2, &kvm->arch.noncoherent_dma_count);",
        ),
    ),
    (
        ("noncoherent-dma", "kvm_vfio_update_coherency()"),
        ("virt/kvm/vfio.c", "static void kvm_vfio_update_coherency(struct kvm_device *dev)"),
        (" {", "+\tbool always = true;", " "),
    ),
    (
        ("quirks", "KVM_X86_VALID_QUIRKS"),
        (f"{KVM}/x86.h", ""),
        ("-#define KVM_X86_VALID_QUIRKS\t0x1ff", "+#define KVM_X86_VALID_QUIRKS\t0x3ff"),
    ),
    (
        ("quirks", "vmx_hardware_setup()"),
        (f"{KVM}/vmx/vmx.c", "__init int vmx_hardware_setup(void)"),
        (" \tint r;", "+\tkvm_caps.inapplicable_quirks &= ~KVM_X86_QUIRK_IGNORE_GUEST_PAT;", " "),
    ),
    (
        ("slot-flags", "check_memory_region_flags()"),
        ("virt/kvm/kvm_main.c", "static int check_memory_region_flags(struct kvm *kvm,"),
        (" \tu32 valid = 1;", "+\tvalid |= KVM_MEM_READONLY;", " "),
    ),
    (
        ("slot-flags", "KVM_MEM_OWN"),
        ("include/uapi/linux/kvm.h", "struct kvm_userspace_memory_region2 {"),
        (" };", "+#define KVM_MEM_OWN\t(1UL << 5)", " "),
    ),
    (
        ("gate", "make_spte()"),
        (f"{KVM}/mmu/spte.c", "bool make_spte(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp,"),
        ("-\tif (shadow_memtype_mask)", "+\tif (kvm_x86_ops.get_mt_mask)", " \t\tspte |= 0;"),
    ),
    (
        ("caller", "get_mt_mask"),
        (f"{KVM}/vmx/vmx.c", "static struct kvm_x86_ops vmx_x86_ops __initdata = {"),
        ("-\t.get_mt_mask = vmx_get_mt_mask,", "+\t.get_mt_mask = vmx_get_mt_mask2,"),
    ),
    (
        ("caller", "vmx_hardware_setup()"),
        (f"{KVM}/vmx/vmx.c", "static __init int hardware_setup(void)"),
        (" }", " int vmx_hardware_setup(void)", " {", "+\tvmx_x86_ops.get_mt_mask = NULL;", " "),
    ),
    (
        ("caller", "vt_get_mt_mask()"),
        (f"{KVM}/vmx/main.c", "static u8 vt_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)"),
        (" {", "+\tis_mmio = false;", " "),
    ),
    (
        ("caller", "make_spte()"),
        (f"{KVM}/mmu/spte.c", "bool make_spte(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp,"),
        (
            " \t\tspte |= static_call(kvm_x86_get_mt_mask)(vcpu, gfn,",
            "-\t\t\t\t\tkvm_is_mmio_pfn(pfn));",
            "+\t\t\t\t\tfalse);",
        ),
    ),
    (
        ("caller", "set_spte()"),
        (f"{KVM}/mmu.c", "static int set_spte(struct kvm_vcpu *vcpu, u64 *sptep,"),
        ("-\t\t\t\t\tkvm_is_mmio_pfn(pfn));", "+\t\t\t\t\tfalse);"),
    ),
    (
        ("caller", "other_spte()"),
        (f"{KVM}/mmu.c", "static int other_spte(struct kvm_vcpu *vcpu, u64 *sptep,"),
        (
            "-\t\tspte |= kvm_x86_ops->get_mt_mask(vcpu, gfn, kvm_is_mmio_pfn(pfn));",
            "+\t\tspte |= kvm_x86_ops->get_mt_mask(vcpu, 0, kvm_is_mmio_pfn(pfn));",
        ),
    ),
    (
        ("zap", "kvm_post_set_cr0()"),
        (f"{KVM}/x86.c", "void kvm_post_set_cr0(struct kvm_vcpu *vcpu, unsigned long old_cr0, unsigned long cr0)"),
        (" \tint a;", "-\t\tkvm_zap_gfn_range(vcpu->kvm, 0, ~0ULL);", " "),
    ),
    (
        ("zap", "kvm_noncoherent_dma_assignment_start_or_stop()"),
        (f"{KVM}/x86.c", "static void kvm_noncoherent_dma_assignment_start_or_stop(struct kvm *kvm)"),
        (" {", "+\treturn;", " "),
    ),
    (
        ("host-mmio", "kvm_is_mmio_pfn()"),
        (f"{KVM}/mmu/spte.c", "static bool kvm_is_mmio_pfn(kvm_pfn_t pfn)"),
        (" \tif (pfn_valid(pfn))", "-\t\treturn 1;", "+\t\treturn 0;", " "),
    ),
    (
        ("guest-mtrr", "var_mtrr_range()"),
        (f"{KVM}/mtrr.c", "static void var_mtrr_range(struct kvm_mtrr_range *range, u64 *start, u64 *end)"),
        (" {", "+\tu64 mask = 0;", " "),
    ),
    (
        ("level", "kvm_mtrr_check_gfn_range_consistency()"),
        (f"{KVM}/mtrr.c", "bool kvm_mtrr_check_gfn_range_consistency(struct kvm_vcpu *vcpu, gfn_t gfn,"),
        (" \tint a;", "+\treturn true;", " "),
    ),
]


@pytest.mark.parametrize(("wanted", "where", "lines"), NAMED, ids=lambda item: str(item[1]) if len(item) == 2 else "")
def test_it_is_named(wanted: tuple[str, str], where: tuple[str, str], lines: tuple[str, ...]) -> None:
    assert beside(*where, *lines) == [wanted]


def test_every_kind_is_tried() -> None:
    assert {row.kind for row in ROWS} == {wanted[0] for wanted, _, _ in NAMED}


@pytest.mark.parametrize(("wanted", "where", "lines"), NAMED, ids=lambda item: str(item[1]) if len(item) == 2 else "")
def test_elsewhere_it_is_not(wanted: tuple[str, str], where: tuple[str, str], lines: tuple[str, ...]) -> None:
    """In the selftests, in another architecture, as a comment, and where lines are only moved or indented."""
    path, section = where
    for other in (f"tools/testing/selftests/kvm/{path}", "arch/arm64/kvm/mmu.c", "Documentation/kvm.rst"):
        assert beside(other, section, *lines) == []
    assert beside(path, section, " \tint a;", "+\t/* a word */", " ") == []
    moved = [
        f"{sign}{tab}{line[1:].strip()}" for line in lines if line[0] in "-+" for sign, tab in (("-", "\t"), ("+", " "))
    ]
    assert beside(path, section, " \tint a;", *moved) == []


def test_a_call_with_one_argument_more_is_no_gate() -> None:
    """Where the byte is asked for, and not whether."""
    where = (f"{KVM}/mmu/spte.c", "bool make_spte(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp,")
    call = "\t\tspte |= static_call(kvm_x86_get_mt_mask)(vcpu, gfn, kvm_is_mmio_pfn(pfn)"
    assert beside(*where, " \tif (shadow_memtype_mask)", f"-{call});", f"+{call}, slot);") == []
    wrapped = "\t\t\tkvm_is_mmio_pfn(pfn)"
    assert (
        beside(*where, f"-{call});", "+\t\tspte |= static_call(kvm_x86_get_mt_mask)(vcpu, gfn,", f"+{wrapped});") == []
    )
