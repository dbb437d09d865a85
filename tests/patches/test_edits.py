# SPDX-License-Identifier: GPL-2.0-only
"""What patches change of KVM's interface and of what keeps entries fresh, told by names and lines."""

from __future__ import annotations

import pytest

from mtcalc.kvm.uapi import Edits
from mtcalc.patches.edits import SLOTS, Sides, edits_between, edits_of, number_in
from mtcalc.patches.read import read_patches
from mtcalc.text.errors import Place

HERE = Place("x", 1, 1)


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("#define KVM_MEM_OWN (1UL << 3)", "KVM_MEM_OWN", 8),
        ("#define KVM_MEM_OWN\t\t(1U<<4)  /* ours */", "KVM_MEM_OWN", 16),
        ("# define KVM_MEM_OWN 1 << 5", "KVM_MEM_OWN", 32),
        ("#define KVM_MEM_OWN 0x10UL // ours", "KVM_MEM_OWN", 16),
        ("#define KVM_X86_QUIRK_OWN BIT(12)", "KVM_X86_QUIRK_OWN", 1 << 12),
        ("#define KVM_X86_QUIRK_OWN _BITUL(13)", "KVM_X86_QUIRK_OWN", 1 << 13),
        ("#define KVM_CAP_OWN 236", "KVM_CAP_OWN", 236),
        ("#define KVM_CAP_OWN 236 /* goes on", "KVM_CAP_OWN", 236),
    ],
)
def test_numbers(line: str, name: str, value: int) -> None:
    assert number_in(line, HERE) == (name, value, HERE)


@pytest.mark.parametrize(
    "line",
    [
        "#define KVM_CAP_OWN KVM_CAP_OTHER",
        "#define KVM_CAP_OWN 0236",
        "#define KVM_MEM_OWN (1UL << SHIFT)",
        "#define KVM_EXIT_OWN 236",
        "#define KVM_CAP_OWN",
        "KVM_CAP_OWN 236",
        "/* #define KVM_CAP_OWN 236 */",
        "#define KVM_CAP_OWN(x) 236",
    ],
)
def test_what_is_no_plain_number(line: str) -> None:
    assert number_in(line, HERE) is None


def edits(path: str, section: str, *lines: str) -> Edits:
    old = sum(line[0] in " -" for line in lines)
    new = sum(line[0] in " +" for line in lines)
    head = f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -9,{old} +9,{new} @@ {section}\n"
    return edits_of(read_patches(head + "".join(f"{line}\n" for line in lines), "m"))


def test_moved_numbers_are_not_given_out() -> None:
    line = "#define KVM_CAP_OWN 236"
    assert edits("include/uapi/linux/kvm.h", "x", f"-{line}", " a", f"+{line}").numbers == ()
    (number,) = edits("include/uapi/linux/kvm.h", "x", f"-{line}", " a", "+#define KVM_CAP_OWN 237").numbers
    assert (number.name, number.value, number.place.line) == ("KVM_CAP_OWN", 237, 7)


def test_other_architectures_and_tools_give_out_nothing() -> None:
    for path in ("tools/include/uapi/linux/kvm.h", "arch/arm64/include/uapi/asm/kvm.h", "Documentation/virt/kvm.rst"):
        assert edits(path, "x", " a", "+#define KVM_CAP_OWN 236").numbers == ()


@pytest.mark.parametrize(
    ("path", "section", "lines", "masked"),
    [
        ("arch/x86/include/asm/kvm_host.h", "x", (" a", "+\t KVM_X86_QUIRK_OWN)"), {"OWN"}),
        ("arch/x86/kvm/x86.c", "x", (" a", "+\tkvm_caps.supported_quirks |= KVM_X86_QUIRK_OWN;"), {"OWN"}),
        ("arch/x86/kvm/x86.c", "x", (" #define KVM_X86_VALID_QUIRKS \\", "+\tKVM_X86_QUIRK_OWN"), {"OWN"}),
        # What is off from the start is not what may be turned off.
        (
            "arch/x86/include/asm/kvm_host.h",
            "x",
            (" #define KVM_X86_CONDITIONAL_QUIRKS \\", " \t(KVM_X86_QUIRK_A |\\", "+\t KVM_X86_QUIRK_OWN |\\"),
            set(),
        ),
        (
            "arch/x86/include/asm/kvm_host.h",
            "x",
            ("+\t KVM_X86_QUIRK_OWN)", " ", " #define KVM_X86_CONDITIONAL_QUIRKS \\", "+\t(KVM_X86_QUIRK_OTHER)"),
            {"OWN"},
        ),
        (
            "arch/x86/include/asm/kvm_host.h",
            "x",
            (
                "+#define KVM_X86_CONDITIONAL_QUIRKS \\",
                "+\t(KVM_X86_QUIRK_OWN)",
                "+#define KVM_X86_VALID_QUIRKS (KVM_X86_QUIRK_A | KVM_X86_CONDITIONAL_QUIRKS)",
            ),
            {"A", "OWN"},
        ),
        ("arch/x86/kvm/vmx/vmx.c", "x", (" a", "+\tkvm_caps.inapplicable_quirks &= ~KVM_X86_QUIRK_OWN;"), set()),
        ("arch/x86/kvm/x86.c", "x", (" a", "+\tif (kvm_check_has_quirk(kvm, KVM_X86_QUIRK_OWN))"), set()),
        ("arch/x86/include/asm/kvm_host.h", "x", (" a", "-\t KVM_X86_QUIRK_OWN)"), set()),
        ("arch/x86/include/uapi/asm/kvm.h", "x", (" a", "+#define KVM_X86_QUIRK_OWN (1 << 12)"), set()),
    ],
)
def test_masks(path: str, section: str, lines: tuple[str, ...], masked: set[str]) -> None:
    assert edits(path, section, *lines).masked == frozenset(masked)


@pytest.mark.parametrize(
    ("section", "lines", "seen"),
    [
        (
            "static void update_mtrr(struct kvm_vcpu *vcpu, u32 msr)",
            ("+\tkvm_zap_gfn_range(kvm, a, b);",),
            {"guest_mtrr"},
        ),
        ("void kvm_post_set_cr0(struct kvm_vcpu *vcpu,", ("+\tkvm_zap_gfn_range(kvm, 0, ~0);",), {"cr0_cd"}),
        ("void kvm_arch_register_noncoherent_dma(x)", ("+\tkvm_mmu_zap_all_fast(kvm);",), {"noncoherent_dma"}),
        ("int kvm_vm_ioctl_enable_cap(struct kvm *kvm,", ("+\tkvm_zap_gfn_range(kvm, 0, ~0);",), {"quirk"}),
        ("int kvm_set_msr_common(struct kvm_vcpu *vcpu,", ("+\tkvm_zap_gfn_range(kvm, 0, ~0);",), {"guest_pat"}),
        ("int kvm_set_memory_region(struct kvm *kvm,", ("+\t(flags ^ old) & KVM_MEM_OWN",), {"OWN"}),
        ("int check_memory_region_flags(struct kvm *kvm,", ("+\tvalid_flags |= KVM_MEM_OWN;",), set()),
        ("void kvm_post_set_cr0(struct kvm_vcpu *vcpu,", ("-\tkvm_zap_gfn_range(kvm, 0, ~0);",), set()),
        ("void kvm_post_set_cr0(struct kvm_vcpu *vcpu,", ("+\t * kvm_zap_gfn_range() is for others.",), set()),
        ("void kvm_post_set_cr0(struct kvm_vcpu *vcpu,", ("+\tflush(kvm); /* no kvm_mmu_zap_all() */",), set()),
        ("void kvm_post_set_cr0(struct kvm_vcpu *vcpu,", ("+\tif (a) /* b */ kvm_mmu_zap_all(kvm);",), {"cr0_cd"}),
        ("x", ("+void kvm_zap_gfn_range(struct kvm *kvm, gfn_t a, gfn_t b);",), set()),
        ("int kvm_set_memory_region(struct kvm *kvm,", ("+\t * KVM_MEM_OWN may change.",), set()),
        ("void kvm_post_set_cr0(struct kvm_vcpu *vcpu,", ("+\tkvm_mmu_reset_context(vcpu);",), set()),
    ],
)
def test_what_keeps_entries_fresh(section: str, lines: tuple[str, ...], seen: set[str]) -> None:
    assert edits("arch/x86/kvm/x86.c", section, " a", *lines).zapping == frozenset(seen)


def test_a_zap_of_who_knows_what_is_one_of_all() -> None:
    found = edits("arch/x86/kvm/x86.c", "void own(struct kvm *kvm)", " a", "+\tkvm_mmu_zap_all(kvm);").zapping
    assert found == frozenset(("noncoherent_dma", "cr0_cd", "guest_mtrr", "guest_pat", "quirk"))


CR0 = "void kvm_post_set_cr0(struct kvm_vcpu *vcpu,"
ZAP = "\tkvm_zap_gfn_range(vcpu->kvm, 0, ~0ULL);"
FLAG = "\t\t((mem->flags ^ old->flags) & KVM_MEM_READONLY))"


@pytest.mark.parametrize(
    ("section", "lines", "gone"),
    [
        (CR0, (f"-{ZAP}",), ["cr0_cd"]),
        ("static void update_mtrr(struct kvm_vcpu *vcpu, u32 msr)", (f"-{ZAP}",), ["guest_mtrr"]),
        ("int kvm_mtrr_set_msr(struct kvm_vcpu *vcpu,", ("-\tupdate_mtrr(vcpu, msr);",), ["guest_mtrr"]),
        (
            "void kvm_arch_register_noncoherent_dma(struct kvm *kvm)",
            ("-\tif (x)", "-\t\tkvm_noncoherent_dma_assignment_start_or_stop(kvm);"),
            ["noncoherent_dma"],
        ),
        ("int __kvm_set_memory_region(struct kvm *kvm,", (f"-{FLAG}",), ["READONLY"]),
        # With its head, as when the whole function goes.
        ("x", ("-static void update_mtrr(struct kvm_vcpu *vcpu, u32 msr)", "-{", f"-{ZAP}", "-}"), ["guest_mtrr"]),
        # A helper that a function known for it calls.
        (
            CR0,
            (" \town_drop(vcpu);", " }", " static void own_drop(struct kvm_vcpu *vcpu)", " {", f"-{ZAP}"),
            ["cr0_cd"],
        ),
        # Moved, in other words, in a comment, one of two, a condition alone, a flag that is not compared.
        (CR0, (f"-{ZAP}", " \tx;", f"+{ZAP}"), []),
        (CR0, (f"-{ZAP}", "+\tkvm_mmu_zap_all_fast(vcpu->kvm);"), []),
        (CR0, ("-\t * kvm_zap_gfn_range() is for others.",), []),
        (CR0, (f"-{ZAP}", f" {ZAP}"), []),
        (CR0, ("-\tif (x)",), []),
        ("int __kvm_set_memory_region(struct kvm *kvm,", ("-\tif (mem->flags & KVM_MEM_READONLY)",), []),
        ("int __kvm_set_memory_region(struct kvm *kvm,", (f"-{FLAG}", f"+{FLAG[:-2]} | KVM_MEM_OWN)"), []),
        ("void own(struct kvm_vcpu *vcpu)", (f"-{ZAP}",), []),
        # Into a helper.
        (
            CR0,
            (f"-{ZAP}", "+\town_drop(vcpu);", " }", "+static void own_drop(struct kvm_vcpu *vcpu)", "+{", f"+{ZAP}"),
            [],
        ),
    ],
)
def test_what_no_longer_drops_entries(section: str, lines: tuple[str, ...], gone: list[str]) -> None:
    found = edits("arch/x86/kvm/x86.c", section, " a", *lines)
    assert [one.kind for one in found.unzapped] == gone
    before = "\n".join([section, "{", *(line[1:] for line in lines if line[0] in " -"), "}"])
    after = "\n".join([section, "{", *(line[1:] for line in lines if line[0] in " +"), "}"])
    sides = [Sides("arch/x86/kvm/x86.c", before, after), Sides(SLOTS, "a", "a")]
    assert [one.kind for one in edits_between(sides).unzapped] == gone


def test_a_zap_of_a_helper_is_one_of_those_that_call_it() -> None:
    """Of who knows what it is, it is surely none of any input."""
    helper = ("+static void own_drop(struct kvm_vcpu *vcpu)", "+{", f"+{ZAP}", "+}")
    unknown = edits("arch/x86/kvm/x86.c", "x", *helper)
    assert (unknown.unplaced, unknown.surely) == (("own_drop",), frozenset())
    called = edits("arch/x86/kvm/x86.c", CR0, " \ta;", "+\town_drop(vcpu);", " }", *helper)
    assert called.unplaced == ()
    assert called.zapping is not None
    assert set(called.surely) == set(called.zapping) == {"cr0_cd"}
    inner = ("+static void own(struct kvm_vcpu *vcpu)", "+{", "+\town_drop(vcpu);", "+}", *helper)
    assert edits("arch/x86/kvm/x86.c", CR0, " \ta;", "+\town(vcpu);", " }", *inner).surely == {"cr0_cd"}
