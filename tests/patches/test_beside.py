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
        ("byte", "make_spte()"),
        (f"{KVM}/mmu/spte.c", "bool make_spte(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp,"),
        (
            " \tif (shadow_memtype_mask)",
            "-\t\tspte |= kvm_x86_call(get_mt_mask)(vcpu, gfn,",
            "+\t\tspte |= own_bits | kvm_x86_call(get_mt_mask)(vcpu, gfn,",
            " \t\t\t\t\tkvm_is_mmio_pfn(pfn));",
        ),
    ),
    (
        ("byte", "make_spte()"),
        (f"{KVM}/mmu/spte.c", "bool make_spte(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp,"),
        (
            "-\t\tspte |= static_call(kvm_x86_get_mt_mask)(vcpu, gfn, mmio);",
            "+\t\tspte |= static_call(kvm_x86_get_mt_mask)(vcpu, gfn, mmio) & ~own_bits;",
        ),
    ),
    (
        ("byte", "make_spte()"),
        (f"{KVM}/mmu/spte.c", "bool make_spte(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp,"),
        (" \t\t\t\t\tkvm_is_mmio_pfn(pfn));", "+\tspte |= VMX_EPT_IPAT_BIT;", " "),
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
    # By the releases: 2.6.31 to 3.12, 3.13 to 5.18, 5.19, 6.2; 4.2, 5.18, 6.16; 3.6, 3.7, 6.8; 2.6.29, 5.19, 6.0, 6.17.
    (
        ("noncoherent-dma", "kvm_assign_device()"),
        ("virt/kvm/iommu.c", "int kvm_assign_device(struct kvm *kvm,"),
        (" \tint r;", "-\t\tkvm->arch.iommu_flags |= KVM_IOMMU_CACHE_COHERENCY;", " "),
    ),
    (
        ("noncoherent-dma", "kvm_iommu_map_guest()"),
        ("virt/kvm/iommu.c", "int kvm_iommu_map_guest(struct kvm *kvm)"),
        (" \tint r;", "+\tkvm->arch.iommu_noncoherent = true;", " "),
    ),
    (
        ("noncoherent-dma", "kvm_vfio_group_is_coherent()"),
        ("virt/kvm/vfio.c", "static bool kvm_vfio_group_is_coherent(struct vfio_group *vfio_group)"),
        (" {", "+\treturn false;", " "),
    ),
    (
        ("noncoherent-dma", "kvm_vfio_file_enforced_coherent()"),
        ("virt/kvm/vfio.c", "static bool kvm_vfio_file_enforced_coherent(struct file *file)"),
        (" {", "+\treturn false;", " "),
    ),
    (
        ("noncoherent-dma", "vfio_domains_have_iommu_cache()"),
        ("drivers/vfio/vfio_iommu_type1.c", "static int vfio_domains_have_iommu_cache(struct vfio_iommu *iommu)"),
        (" \tint ret = 1;", "+\tret = 0;", " "),
    ),
    (
        ("noncoherent-dma", "vfio_domains_have_enforce_cache_coherency()"),
        (
            "drivers/vfio/vfio_iommu_type1.c",
            "static int vfio_domains_have_enforce_cache_coherency(struct vfio_iommu *iommu)",
        ),
        (" \tint ret = 1;", "+\tret = 0;", " "),
    ),
    (
        ("noncoherent-dma", "vfio_group_enforced_coherent()"),
        ("drivers/vfio/group.c", "bool vfio_group_enforced_coherent(struct vfio_group *group)"),
        (
            " \tbool ret = true;",
            "-\t\tif (!device_iommu_capable(device->dev,",
            "+\t\tif (device_iommu_capable(device->dev,",
            " \t\t\t\t\t  IOMMU_CAP_ENFORCE_CACHE_COHERENCY)) {",
        ),
    ),
    (
        ("noncoherent-dma", "vfio_file_enforced_coherent()"),
        ("drivers/vfio/vfio_main.c", "bool vfio_file_enforced_coherent(struct file *file)"),
        (" {", "+\treturn true;", " "),
    ),
    (
        ("quirks", "kvm_vm_ioctl_enable_cap()"),
        (f"{KVM}/x86.c", "static int kvm_vm_ioctl_enable_cap(struct kvm *kvm,"),
        (
            " \tcase KVM_CAP_DISABLE_QUIRKS:",
            "-\t\tkvm->arch.disabled_quirks = cap->args[0];",
            "+\t\tkvm->arch.disabled_quirks |= cap->args[0];",
            " \t\tr = 0;",
        ),
    ),
    (
        ("quirks", "KVM_X86_QUIRK_IGNORE_GUEST_PAT"),
        (
            "arch/x86/include/asm/kvm_host.h",
            "int memslot_rmap_alloc(struct kvm_memory_slot *slot, unsigned long npages);",
        ),
        (
            " \t KVM_X86_QUIRK_SLOT_ZAP_ALL |\t\t\\",
            "-\t KVM_X86_QUIRK_STUFF_FEATURE_MSRS)",
            "+\t KVM_X86_QUIRK_STUFF_FEATURE_MSRS |\t\\",
            "+\t KVM_X86_QUIRK_IGNORE_GUEST_PAT)",
            " ",
        ),
    ),
    (
        ("quirks", "KVM_X86_QUIRK_NEW"),
        ("arch/x86/include/uapi/asm/kvm.h", "struct kvm_sync_regs {"),
        (" #define KVM_X86_QUIRK_STUFF_FEATURE_MSRS\t(1 << 8)", "+#define KVM_X86_QUIRK_NEW\t(1 << 12)", " "),
    ),
    (
        ("quirks", "kvm_arch_init_vm()"),
        (f"{KVM}/x86.c", "int kvm_arch_init_vm(struct kvm *kvm, unsigned long type)"),
        (
            " \tint ret;",
            "-\tkvm->arch.disabled_quirks = kvm_caps.inapplicable_quirks & kvm_caps.supported_quirks;",
            " ",
        ),
    ),
    (
        ("slot-flags", "__kvm_set_memory_region()"),
        ("virt/kvm/kvm_main.c", "int __kvm_set_memory_region(struct kvm *kvm,"),
        (
            " \tint r;",
            "+\tif (mem->flags & ~(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY))",
            "+\t\treturn -EINVAL;",
            " ",
        ),
    ),
    (
        ("slot-flags", "check_memory_region_flags()"),
        ("virt/kvm/kvm_main.c", "static int check_memory_region_flags(struct kvm_userspace_memory_region *mem)"),
        (" \tu32 valid_flags = KVM_MEM_LOG_DIRTY_PAGES;", "+\tvalid_flags |= KVM_MEM_NON_COHERENT_DMA;", " "),
    ),
    (
        ("slot-flags", "kvm_vm_ioctl()"),
        ("virt/kvm/kvm_main.c", "static long kvm_vm_ioctl(struct file *filp,"),
        (
            " \t\tr = -EINVAL;",
            "-\t\tif (mem.flags & ~KVM_SET_USER_MEMORY_REGION_V1_FLAGS)",
            "+\t\tif (0)",
            " \t\t\tgoto out;",
        ),
    ),
    (
        ("slot-flags", "kvm_arch_prepare_memory_region()"),
        (f"{KVM}/x86.c", "int kvm_arch_prepare_memory_region(struct kvm *kvm,"),
        (" {", "+\tif (new->flags & KVM_MEM_READONLY && kvm->arch.has_protected_state)", "+\t\treturn -EINVAL;", " "),
    ),
    (
        ("slot-flags", "kvm_set_memory_region()"),
        ("virt/kvm/kvm_main.c", "static int kvm_set_memory_region(struct kvm *kvm,"),
        (
            " \tint r;",
            "-\t\tif ((mem->userspace_addr != old->userspace_addr) ||",
            "-\t\t    ((mem->flags ^ old->flags) & KVM_MEM_READONLY))",
            " ",
        ),
    ),
    (
        ("gate", "set_spte()"),
        (f"{KVM}/mmu.c", "static int set_spte(struct kvm_vcpu *vcpu, u64 *shadow_pte,"),
        (
            " \tu64 spte;",
            "-\tif (tdp_enabled)",
            "+\tif (tdp_enabled && x)",
            " \t\tspte |= kvm_x86_ops->get_mt_mask(vcpu, gfn,",
        ),
    ),
    (
        ("gate", "set_spte()"),
        (f"{KVM}/mmu.c", "static int set_spte(struct kvm_vcpu *vcpu, u64 *shadow_pte,"),
        (" \tu64 spte;", "-\tif (mt_mask) {", "+\tif (tdp_enabled) {", " \t\tspte |= mt_mask;"),
    ),
    (
        ("gate", "kvm_mmu_set_ept_masks()"),
        (f"{KVM}/mmu/spte.c", "void kvm_mmu_set_ept_masks(bool has_ad_bits, bool has_exec_only)"),
        (
            " \tshadow_user_mask = 1;",
            "-\tshadow_memtype_mask\t= VMX_EPT_MT_MASK | VMX_EPT_IPAT_BIT;",
            "+\tshadow_memtype_mask\t= 0;",
            " ",
        ),
    ),
    (
        ("caller", "svm_get_mt_mask()"),
        (f"{KVM}/svm.c", "static u64 svm_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)"),
        (" {", "-\treturn 0;", "+\treturn 8;", " }"),
    ),
    (
        ("gate", "get_mt_mask"),
        ("arch/x86/include/asm/kvm-x86-ops.h", "KVM_X86_OP(set_identity_map_addr)"),
        (" ", "-KVM_X86_OP_OPTIONAL_RET0(get_mt_mask)", "+KVM_X86_OP(get_mt_mask)", " "),
    ),
    (
        ("gate", "make_spte()"),
        (f"{KVM}/mmu/spte.c", "bool make_spte(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp,"),
        (
            " \tspte |= shadow_x_mask;",
            "-\tif (kvm_x86_ops.get_mt_mask)",
            "+\tif (shadow_memtype_mask && kvm_x86_ops.get_mt_mask)",
            " \t\tspte |= 0;",
        ),
    ),
    (
        ("zap", "kvm_set_cr0()"),
        (f"{KVM}/x86.c", "int kvm_set_cr0(struct kvm_vcpu *vcpu, unsigned long cr0)"),
        (" \tint r;", "-\tkvm_mmu_reset_context(vcpu);", " "),
    ),
    (
        ("zap", "set_msr_mtrr()"),
        (f"{KVM}/x86.c", "static int set_msr_mtrr(struct kvm_vcpu *vcpu, u32 msr, u64 data)"),
        (" \tint r;", "-\tkvm_mmu_reset_context(vcpu);", " "),
    ),
    (
        ("zap", "update_mtrr()"),
        (f"{KVM}/mtrr.c", "static void update_mtrr(struct kvm_vcpu *vcpu, u32 msr)"),
        (
            " \tgfn_t start, end;",
            "-\tif (!tdp_enabled || !kvm_arch_has_noncoherent_dma(vcpu->kvm))",
            "+\tif (!tdp_enabled)",
            " \t\treturn;",
        ),
    ),
    (
        ("zap", "kvm_post_set_cr0()"),
        (f"{KVM}/x86.c", "void kvm_post_set_cr0(struct kvm_vcpu *vcpu, unsigned long old_cr0, unsigned long cr0)"),
        (" \tint a;", "-\t    kvm_arch_has_noncoherent_dma(vcpu->kvm) &&", "+\t    true &&", " "),
    ),
    (
        ("zap", "kvm_set_cr0()"),
        (f"{KVM}/x86.c", "int kvm_set_cr0(struct kvm_vcpu *vcpu, unsigned long cr0)"),
        (" \tint a;", "-\t    !kvm_check_has_quirk(vcpu->kvm, KVM_X86_QUIRK_CD_NW_CLEARED))", "+\t    true)", " "),
    ),
    (
        ("zap", "kvm_mtrr_set_msr()"),
        (f"{KVM}/mtrr.c", "int kvm_mtrr_set_msr(struct kvm_vcpu *vcpu, u32 msr, u64 data)"),
        (" \tint a;", "-\tupdate_mtrr(vcpu, msr);", " "),
    ),
    (
        ("zap", "kvm_set_msr_common()"),
        (f"{KVM}/x86.c", "int kvm_set_msr_common(struct kvm_vcpu *vcpu, struct msr_data *msr_info)"),
        (" \tint a;", "+\t\tkvm_mmu_reset_context(vcpu);", " "),
    ),
    (
        ("zap", "vmx_set_msr()"),
        (f"{KVM}/vmx/vmx.c", "static int vmx_set_msr(struct kvm_vcpu *vcpu, struct msr_data *msr_info)"),
        (" \tcase MSR_IA32_CR_PAT:", "+\t\tkvm_zap_gfn_range(vcpu->kvm, 0, ~0ULL);", " "),
    ),
    (
        ("zap", "kvm_mmu_honors_guest_mtrrs()"),
        (f"{KVM}/mmu.h", "static inline bool kvm_mmu_honors_guest_mtrrs(struct kvm *kvm)"),
        (" {", "+\treturn true;", " "),
    ),
    (
        ("host-type", "pat_pfn_immune_to_uc_mtrr()"),
        ("arch/x86/mm/pat/memtype.c", "bool pat_pfn_immune_to_uc_mtrr(unsigned long pfn)"),
        (" \tint a;", "-\t       cm == _PAGE_CACHE_MODE_WC;", "+\t       0;", " "),
    ),
    (
        ("host-type", "lookup_memtype()"),
        ("arch/x86/mm/pat/memtype.c", "static enum page_cache_mode lookup_memtype(u64 paddr)"),
        (" \tint a;", "-\t\trettype = _PAGE_CACHE_MODE_UC_MINUS;", "+\t\trettype = _PAGE_CACHE_MODE_WB;", " "),
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


def test_a_test_that_is_renamed_is_asked_the_same() -> None:
    where = (f"{KVM}/mmu/spte.c", "bool make_spte(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp,")
    head = " \t\tspte |= kvm_x86_call(get_mt_mask)(vcpu, gfn,"
    old = "-\t\t\t\t\t\t kvm_is_mmio_pfn(pfn));"
    assert beside(*where, head, old, "+\t\t\t\t\t\t __kvm_is_mmio_pfn(pfn));") == []
    assert beside(*where, head, old, "+\t\t\t\t\t\t __kvm_is_mmio_pfn(gfn));") == [("caller", "make_spte()")]


def test_a_call_with_one_argument_more_is_no_gate() -> None:
    """Where the byte is asked for, and not whether."""
    where = (f"{KVM}/mmu/spte.c", "bool make_spte(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp,")
    call = "\t\tspte |= static_call(kvm_x86_get_mt_mask)(vcpu, gfn, kvm_is_mmio_pfn(pfn)"
    assert beside(*where, " \tif (shadow_memtype_mask)", f"-{call});", f"+{call}, slot);") == []
    wrapped = "\t\t\tkvm_is_mmio_pfn(pfn)"
    assert (
        beside(*where, f"-{call});", "+\t\tspte |= static_call(kvm_x86_get_mt_mask)(vcpu, gfn,", f"+{wrapped});") == []
    )


def test_a_hunk_that_cannot_be_read_is_named_where_its_names_matter() -> None:
    """In code of KVM alone; elsewhere nobody has to read it."""
    head = "diff --git a/{0} b/{0}\n--- a/{0}\n+++ b/{0}\n@@ -1,9 +1,9 @@ {1}\n a;\n-b;\n+c;\n"
    section = "bool kvm_mmu_may_ignore_guest_pat(struct kvm *kvm)"
    known = beside_the_rules(read_patches(mail(head.format(f"{KVM}/mmu/mmu.c", section)), "m.patch"))
    assert [(one.kind, one.name) for one in known] == [("unread", "kvm_mmu_may_ignore_guest_pat()")]
    assert "cut short" in known[0].text
    for path, named in ((f"{KVM}/lapic.c", "int other(void)"), ("mm/gup.c", section)):
        assert not beside_the_rules(read_patches(mail(head.format(path, named)), "m.patch"))


def test_another_way_to_ask_makes_nothing_else_of_the_byte() -> None:
    """Source: 5.12 -> 5.13, static_call(); 6.12, kvm_x86_call()."""
    calls = (
        "kvm_x86_ops->get_mt_mask(vcpu, gfn, is_mmio);",
        "static_call(kvm_x86_get_mt_mask)(vcpu, gfn, is_mmio);",
        "kvm_x86_call(get_mt_mask)(vcpu, gfn, is_mmio);",
    )
    for was in calls:
        for now in calls:
            lines = (f"-\t\tspte |= {was}", f"+\t\tspte |= {now}")
            assert not beside(f"{KVM}/mmu/spte.c", "bool make_spte(struct kvm_vcpu *vcpu,", *lines)
