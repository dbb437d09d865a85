# SPDX-License-Identifier: GPL-2.0-only
"""Each question of a review: a patch that earns it, and its neighbour that does not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mtcalc.analysis.questions import QUESTIONS
from mtcalc.csource.mmio_writer import mmio_texts
from mtcalc.csource.writer import Style, write_c
from mtcalc.kvm.versions import MmioTest
from mtcalc.rules.mmio import MMIO_RULES
from support.patches import VMX, c_file, diff, kernel, mail
from support.program import quick
from support.readme import README, ROOT
from support.trees import TestTree, makefile, needs_git

SHIFT = "<< VMX_EPT_MT_EPTE_SHIFT"
IPAT = "| VMX_EPT_IPAT_BIT"
WB, UC, WC = (f"MTRR_TYPE_{name} {SHIFT}" for name in ("WRBACK", "UNCACHABLE", "WRCOMB"))
GUEST = f"kvm_mtrr_get_guest_memory_type(vcpu, gfn) {SHIFT}"
NO_DMA = "!kvm_arch_has_noncoherent_dma(vcpu->kvm)"
CD = "kvm_read_cr0_bits(vcpu, X86_CR0_CD)"


class Patch(NamedTuple):
    """A patch and what it goes on top of."""

    base: str
    text: str
    after: str = ""  # the file of the function with it

    def and_(self, *more: str) -> Patch:
        """With hunks of other files."""
        return self._replace(text=self.text + "".join(more))


def edited(base: str, *changes: tuple[str, str]) -> Patch:
    """A patch of a rule set's function: the first such text replaced, one after another."""
    old = new = write_c(kernel(base).rules, Style.RETURN)
    for before, after in changes:
        assert before in new, before
        new = new.replace(before, after, 1)
    return Patch(base, mail(diff(c_file(old), c_file(new))), c_file(new))


def host_pages(before: str, after: str) -> Patch:
    """A patch of 6.6's host-MMIO test."""
    path = "arch/x86/kvm/mmu/spte.c"
    old = mmio_texts(MMIO_RULES[MmioTest.E820], (6, 6))[0] + "\n"
    assert before in old, old
    return Patch("6.6", mail(diff(old, old.replace(before, after, 1), path)))


def rule(condition: str, byte: str, base: str = "v6.7", before: str = f"\tif ({NO_DMA}") -> Patch:
    """A patch that adds a rule before another one."""
    return edited(base, (before, f"\tif ({condition})\n\t\treturn {byte};\n\n{before}"))


def flag(name: str = "NON_COHERENT_DMA", byte: str = WB, base: str = "v6.7") -> Patch:
    return rule(f"slot->flags & KVM_MEM_{name}", byte, base)


def own_flag(bit: int, base: str = "v6.7") -> Patch:
    """A flag of the patch's own, whose number it gives out."""
    return flag("OWN", base=base).and_(
        beside(UAPI, "struct kvm_userspace_memory_region {", f"#define KVM_MEM_OWN\t(1UL << {bit})")
    )


def quirk(name: str, base: str = "v6.11") -> Patch:
    """Ignore-PAT hangs on a quirk too."""
    return edited(base, (f"if ({NO_DMA})", f"if ({NO_DMA} && kvm_check_has_quirk(vcpu->kvm, KVM_X86_QUIRK_{name}))"))


def beside(path: str, section: str, *lines: str) -> str:
    """A hunk elsewhere, of added lines."""
    added = "".join(f"+{line}\n" for line in lines)
    head = f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n"
    return f"{head}@@ -100,2 +100,{2 + len(lines)} @@ {section}\n \tone;\n{added} \ttwo;\n"


UAPI = "include/uapi/linux/kvm.h"
SLOT_FILE = "virt/kvm/kvm_main.c"
X86_UAPI = "arch/x86/include/uapi/asm/kvm.h"
HOST = "arch/x86/include/asm/kvm_host.h"
X86 = "arch/x86/kvm/x86.c"
SLOTS = "int __kvm_set_memory_region(struct kvm *kvm,"
FIXED = beside(SLOT_FILE, SLOTS, "\t\t    ((mem->flags ^ old->flags) & KVM_MEM_NON_COHERENT_DMA))")
CHECK = "static int check_memory_region_flags(const struct kvm_userspace_memory_region *mem)"
VALID = "\tvalid_flags |= KVM_MEM_%s;"
ACCEPTED = beside(SLOT_FILE, CHECK, VALID % "OWN")
BY_HELPER = beside(SLOT_FILE, CHECK, "\tvalid_flags |= kvm_own_flags(kvm);")
MASK = beside(HOST, "struct kvm_arch {", "\t KVM_X86_QUIRK_OWN |\t\\")
OTHER_MASK = beside(HOST, "struct kvm_arch {", "\t KVM_X86_QUIRK_ANOTHER |\t\\")
CD_ZAP = beside(X86, "void kvm_post_set_cr0(struct kvm_vcpu *vcpu,", "\t\tkvm_zap_gfn_range(kvm, 0, ~0);")
OTHER_ZAP = beside(X86, "void kvm_arch_register_noncoherent_dma(struct kvm *kvm)", "\tkvm_zap_gfn_range(kvm, 0, ~0);")
QUIRK_ZAP = beside(X86, "int kvm_vm_ioctl_enable_cap(struct kvm *kvm,", "\t\tkvm_mmu_zap_all_fast(kvm);")


UNKNOWN_ZAP = beside(X86, "static void kvm_own(struct kvm *kvm)", "\tkvm_zap_gfn_range(kvm, 0, ~0);")


def unzapped(function: str, line: str = "\tkvm_zap_gfn_range(vcpu->kvm, 0, ~0ULL);", base: str = "") -> Patch:
    """A patch that removes a line of a function."""
    head = (
        f"diff --git a/{X86} b/{X86}\n--- a/{X86}\n+++ b/{X86}\n@@ -100,3 +100,2 @@ {function}(struct kvm_vcpu *vcpu,\n"
    )
    return Patch(base, mail(f"{head} \tone;\n-{line}\n \ttwo;\n"))


def saying(words: str, patch: Patch | None = None) -> Patch:
    """A patch whose message says something of it."""
    patch = patch or flag()
    return patch._replace(text=patch.text.replace("What is changed, and why.", f"What is changed.  {words}", 1))


WALK = beside("arch/x86/kvm/mtrr.c", "static u8 mtrr_disabled_type(struct kvm_vcpu *vcpu)", "\treturn own;")


def number(line: str, path: str = UAPI) -> Patch:
    return Patch("", mail(beside(path, "struct kvm_enable_cap {", line)))


class Case(NamedTuple):
    """A patch that earns a question, and a neighbour that does not; `words` tell it from others of its code."""

    code: str
    shown: Patch
    silent: Patch
    words: str = ""


LAST = f"\treturn {GUEST};\n"
MMIO_UC = f"\tif (is_mmio)\n\t\treturn {UC};\n"
DMA = "kvm_arch_has_noncoherent_dma(vcpu->kvm)"
READONLY = "slot->flags & KVM_MEM_READONLY"
OWN = "!is_mmio && slot->flags & KVM_MEM_OWN"
MMIO_IF = "\tif (is_mmio"
NOTHING = rule("kvm_own(vcpu->kvm)", f"({WB}) {IPAT}", before=f"\tif ({CD})")
"""For a VM of its own kind, what others have without non-coherent DMA."""

UC_TO_WC = edited("v6.7", (UC, WC))
BACK = mail(diff(UC_TO_WC.after, c_file(write_c(kernel("v6.7").rules, Style.RETURN))), "[PATCH 2/2] back")
FORTH = Patch("v6.7", UC_TO_WC.text.replace("[PATCH]", "[PATCH 1/2]") + BACK)

CASES = [
    Case("odd-byte", flag(byte="MTRR_TYPE_WRBACK"), flag(), "0x06 is returned"),
    Case("cd-cacheable", flag(), rule(f"{READONLY} && {NO_DMA}", WB), "CR0.CD is set"),
    Case("mtrr-cacheable", flag(), flag(byte=GUEST), "MTRRs say UC or WC"),
    Case("not-cacheable", flag(byte=UC), flag(), "cacheable no longer"),
    Case("mmio-cacheable", edited("v6.7", (MMIO_UC, MMIO_UC.replace(UC, WB))), edited("v6.7", (UC, WC))),
    Case("mmio-touched", edited("v6.7", (UC, WC)), flag()),
    Case("host-mmio-lost", host_pages("if (pfn_valid(pfn))", "if (true)"), host_pages("!is_zero_pfn(pfn) && ", "")),
    Case("guest-uc-to-wc", edited("v6.7", (f"({UC}) |", f"({WC}) |")), flag()),
    # A framebuffer in a BAR, which the guest maps WC; RAM that its MTRRs call WC and its page tables UC-.
    Case("wc-to-uc", edited("v6.7", (MMIO_UC, MMIO_UC.replace(UC, f"({UC}) {IPAT}"))), NOTHING, "that was WC"),
    Case("wc-to-uc", flag(), rule(f"{READONLY} && {NO_DMA}", WB), "framebuffers"),
    Case("uc-to-wc", flag(), rule(f"{READONLY} && {NO_DMA}", WB), "that was UC becomes WC"),
    # With non-coherent DMA a guest could; so could one whose quirk is off.
    Case("uncached-ram", flag(), rule(f"{READONLY} && {DMA}", WB), "without non-coherent DMA"),
    Case(
        "uncached-ram", flag(base="v6.11"), edited("v6.16", (f"\treturn {WB};", f"\treturn {UC};")), "make RAM uncached"
    ),
    Case("one-vcpu", edited("v4.4", ("type(vcpu, gfn)", "type(vcpu->kvm, gfn)")), flag(), "(vcpu->kvm, gfn)`"),
    Case("vcpu-decides", rule(CD, UC, "v6.11"), flag(base="v6.11"), "guest CR0.CD of one vCPU decides for all"),
    Case("vcpu-decides", flag(byte=GUEST), flag(), "guest MTRR type of one vCPU decides for all"),
    # What decided before does so no more than it did.
    Case(
        "vcpu-decides", flag(byte=GUEST), edited("v6.7", (f"return {GUEST}", f"return ({GUEST}) {IPAT}")), "of one vCPU"
    ),
    Case("vcpu-decides", rule("vcpu->arch.pat & 7", UC), rule("vcpu->kvm->arch.own & 7", UC), "& 7` of one vCPU"),
    Case("vcpu-decides", rule("to_vmx(vcpu)->own", UC), rule("kvm_own(vcpu->kvm)", UC), "->own` of one vCPU"),
    Case("pat-honoured", flag(), flag(byte=f"({WB}) {IPAT}"), "newly honoured"),
    Case("pat-ignored", flag(byte=f"({WB}) {IPAT}"), flag(), "honoured no longer"),
    Case(
        "any-slot", flag("READONLY"), rule(f"is_mmio && {READONLY}", WC, before="\tif (is_mmio)\n"), "READONLY may be"
    ),
    Case("any-slot", flag("OWN"), rule("slot->own & KVM_MEM_OWN", WB), "`slot->flags & KVM_MEM_OWN` may be set"),
    Case("any-slot", flag("READONLY"), rule("kvm_own(vcpu->kvm)", WB), "READONLY may be set on any slot, RAM too"),
    Case("any-slot", own_flag(3), flag("READONLY"), "`slot->flags & KVM_MEM_OWN` may be set"),
    Case("flag-not-accepted", own_flag(3), own_flag(3).and_(ACCEPTED), "makes KVM accept KVM_MEM_OWN (EINVAL)"),
    Case("flag-not-accepted", own_flag(7), own_flag(7).and_(BY_HELPER), "makes KVM accept KVM_MEM_OWN (EINVAL)"),
    Case(
        "flag-not-accepted", flag(), flag().and_(beside(SLOT_FILE, CHECK, VALID % "NON_COHERENT_DMA")), "_DMA (EINVAL)"
    ),
    # What 6.7 and 6.8 take themselves; what nobody checks.
    Case("flag-not-accepted", flag("GUEST_MEMFD"), flag("READONLY"), "GUEST_MEMFD (EINVAL)"),
    Case("flag-not-accepted", own_flag(2), flag("GUEST_MEMFD", base="v6.11"), "KVM_MEM_OWN (EINVAL)"),
    Case("flag-not-accepted", rule(OWN, WC, "v3.13", MMIO_IF), rule(OWN, WC, "v2.6.31", MMIO_IF), "MEM_OWN (EINVAL)"),
    Case("stale", flag("OWN"), flag("OWN").and_(FIXED.replace("NON_COHERENT_DMA", "OWN")), "KVM_MEM_OWN` changes"),
    Case(
        "stale", flag(), flag("HONOR_GUEST_PAT").and_(FIXED.replace("NON_COHERENT_DMA", "HONOR_GUEST_PAT")), "slot flag"
    ),
    Case("stale", quirk("OWN"), quirk("OWN").and_(QUIRK_ZAP), "KVM_X86_QUIRK_OWN)` changes"),
    Case("stale", flag(), flag().and_(FIXED), "when slot flag NON_COHERENT_DMA changes"),
    # What can't change on a live slot, and what drops entries of its own.
    Case("stale", flag(), flag("READONLY"), "slot flag"),
    Case("stale", flag(), flag("GUEST_MEMFD"), "slot flag"),
    Case("stale", flag(), flag("LOG_DIRTY_PAGES"), "slot flag"),
    Case(
        "stale",
        rule(CD, UC, "v6.11").and_(OTHER_ZAP),
        rule(CD, UC, "v6.11").and_(CD_ZAP),
        "stay when guest CR0.CD changes",
    ),
    # A zap that is removed, of an input that rules read; of rules that nobody knows, of any.
    Case(
        "stale", unzapped("kvm_post_set_cr0", base="v6.7"), unzapped("kvm_post_set_cr0", base="v6.11"), "guest CR0.CD"
    ),
    Case("stale", unzapped("void update_mtrr"), unzapped("void own"), "guest MTRR type changes, since update_mtrr()"),
    Case(
        "stale",
        unzapped("kvm_post_set_cr0").and_(flag().text),
        flag("READONLY").and_(unzapped("kvm_post_set_cr0", "\tkvm_mmu_reset_context(vcpu);").text),
        "since kvm_post_set_cr0() drops none any longer",
    ),
    # A new zap of which nobody knows what it is for leaves the question.
    Case(
        "stale",
        rule(CD, UC, "v6.11").and_(UNKNOWN_ZAP),
        rule(CD, UC, "v6.11").and_(UNKNOWN_ZAP, CD_ZAP),
        "guest CR0.CD changes (unless the new zap in kvm_own() sees to that)",
    ),
    # With non-coherent DMA 4.2 to 6.10 drop them, the quirk disabled.
    Case("stale", rule(f"{NO_DMA} && {CD}", UC), rule(f"{DMA} && {READONLY}", GUEST), "guest CR0.CD"),
    Case("stale", flag(byte=GUEST), rule(f"{DMA} && {READONLY} && {CD}", GUEST), "guest MTRR type"),
    Case(
        "stale", quirk("IGNORE_GUEST_PAT"), quirk("IGNORE_GUEST_PAT").and_(QUIRK_ZAP), "quirk IGNORE_GUEST_PAT changes"
    ),
    Case("stale", rule("vcpu->arch.pat & 7", UC), rule("vcpu->kvm->arch.own & 7", UC), "`vcpu->arch.pat & 7` changes"),
    # 6.7 drops everything as non-coherent DMA comes or goes, 4.4 to 6.6 nothing.
    Case(
        "stale",
        edited("v4.4", ("if (is_mmio)", f"if (is_mmio && {NO_DMA})")),
        edited("v6.7", ("if (is_mmio)", f"if (is_mmio && {NO_DMA})")),
        "non-coherent DMA",
    ),
    Case(
        "quirk-mask",
        quirk("OWN").and_(OTHER_MASK),
        quirk("OWN").and_(MASK),
        "quirk OWN is new, and is added to no mask",
    ),
    # From 6.16 on they stay where the quirk is disabled, up to 6.15 none does.
    Case(
        "stale",
        rule(DMA, UC, "v6.16", before="\tif (is_mmio)\n"),
        rule(DMA, UC, "v6.11", before="\tif (is_mmio)\n"),
        "non-coherent DMA changes",
    ),
    Case("quirk-mask", quirk("IGNORE_GUEST_PAT"), quirk("CD_NW_CLEARED"), "quirk IGNORE_GUEST_PAT is new"),
    Case("quirk-default", quirk("OWN").and_(MASK), quirk("FIX_HYPERCALL_INSN"), "with EPT off or without self-snoop"),
    Case("input-stops", flag(), edited("v6.7", (f"({UC}) |", f"({WC}) |")), "stop mattering there"),
    # What changes has it disabled, so that it can't stop mattering there.
    Case(
        "input-gone",
        edited("v6.16", (" && kvm_check_has_quirk(vcpu->kvm, KVM_X86_QUIRK_IGNORE_GUEST_PAT)", "")),
        edited("v6.16", (f"if ({NO_DMA}", f"if ({READONLY} && {NO_DMA}")),
        "quirk IGNORE_GUEST_PAT matters nowhere any longer",
    ),
    Case("input-starts", rule(f"{READONLY} && {NO_DMA}", GUEST), flag(), "guest MTRR type starts mattering there"),
    Case("mtrr-split", flag(), flag(base="v6.11"), "mapping level"),
    Case(
        "new-condition", flag(), edited("v6.7", (f"\treturn {GUEST}", f"\treturn {WB}")), "slot flag NON_COHERENT_DMA"
    ),
    Case("new-type", edited("v6.7", ("kvm_mtrr_get_guest_memory_type(vcpu, gfn)", "own_type(vcpu, gfn)")), flag()),
    Case("goes-back", FORTH, UC_TO_WC, "what 1/2 changes goes back with 2/2"),
    Case("dead-rule", rule("!kvm_own(vcpu) || kvm_own(vcpu)", WB), flag(), "rule 'guest-mtrr' never matches"),
    Case("dead-code", rule("is_mmio", "0"), flag(), "never reached"),
    Case("says-no-change", saying("No functional change intended."), saying("Nothing is said of it."), "no functional"),
    Case("says-no-change", saying("[NFC]"), saying("No functional change for guests without it."), "33 inputs change"),
    Case(
        "says-no-change",
        saying("No functional change intended.", host_pages("if (pfn_valid(pfn))", "if (true)")),
        saying("No functional change intended.", edited("v6.7", ("if (is_mmio)", "if (is_mmio) /* as ever */"))),
        "kinds of host pages change",
    ),
    # 6.11 asks for no guest MTRR type any longer.
    Case("not-followed", Patch("", mail(WALK)), flag(base="v6.11").and_(WALK), "mtrr_disabled_type() decides which"),
    Case("not-followed", flag().and_(WALK), flag(), "mtrr_disabled_type() decides which guest MTRR type an"),
    Case(
        "uapi-number",
        number("#define KVM_CAP_USER_CONFIGURE_NONCOHERENT_DMA 236"),
        number("#define KVM_CAP_USER_CONFIGURE_NONCOHERENT_DMA 1236"),
        "NONCOHERENT_DMA collides with mainline, where 236 is KVM_CAP_PRE_FAULT_MEMORY",
    ),
    Case(
        "uapi-number",
        number("#define KVM_CAP_OWN 239 /* since then */"),
        number("#define KVM_CAP_ARM_WRITABLE_IMP_ID_REGS 239"),
        "239 is KVM_CAP_ARM_WRITABLE_IMP_ID_REGS",
    ),
    Case(
        "uapi-number",
        number("#define KVM_MEM_DMA (1UL << 2)"),
        number("#define KVM_MEM_NON_COHERENT_DMA (1UL << 3)"),
        "KVM_MEM_DMA collides with mainline, where bit 2 is KVM_MEM_GUEST_MEMFD",
    ),
    Case(
        "uapi-number",
        number("#define KVM_MEM_OWN\t0x2"),
        number("#define KVM_MEM_GUEST_MEMFD\t(1UL << 2)"),
        "bit 1 is KVM_MEM_READONLY",
    ),
    Case(
        "uapi-number",
        number("#define KVM_X86_QUIRK_OWN\t\t(1 << 9)", X86_UAPI),
        number("#define KVM_X86_QUIRK_EPT_IGNORE_GUEST_PAT\t\t(1 << 9)", X86_UAPI),
        "bit 9 is KVM_X86_QUIRK_IGNORE_GUEST_PAT",
    ),
    # A known name that gets another bit.
    Case(
        "uapi-number",
        number("#define KVM_MEM_NON_COHERENT_DMA (1UL << 4)"),
        number("#define KVM_MEM_OWN (1UL << 4)"),
        "NON_COHERENT_DMA is bit 4 here, and bit 3 in the series",
    ),
    Case(
        "uapi-number",
        flag().and_(beside(UAPI, "struct kvm_enable_cap {", "#define KVM_MEM_NON_COHERENT_DMA (1UL << 1)")),
        flag().and_(beside(UAPI, "struct kvm_enable_cap {", "#define KVM_MEM_NON_COHERENT_DMA (1UL << 3)")),
        "NON_COHERENT_DMA collides with mainline, where bit 1 is KVM_MEM_READONLY",
    ),
    Case(
        "uapi-number",
        number("#define KVM_X86_QUIRK_OWN\t\tBIT(1)", X86_UAPI),
        number("#define KVM_CAP_OWN 236", f"tools/{UAPI}"),
        "bit 1 is KVM_X86_QUIRK_CD_NW_CLEARED",
    ),
]


def asked(patch: Patch, case: Case) -> list[dict[str, Any]]:
    """The questions of a case's code and words that a patch is asked."""
    named = ("--base", patch.base) if patch.base else ()
    done = quick("review", "-", *named, "-o", "json", stdin=patch.text)
    assert done.err == ""
    questions = json.loads(done.out)["questions"]
    texts = [question["text"] for question in questions]
    assert len(texts) == len(set(texts))  # a question once
    assert {question["code"] for question in questions} <= set(QUESTIONS)
    return [one for one in questions if one["code"] == case.code and case.words in one["text"]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}: {case.words}")
def test_shown_by_one_patch_and_silent_on_its_neighbour(case: Case) -> None:
    """A row, a rule, a statement or a line proves it; what does not earn it is not asked."""
    (found,) = asked(case.shown, case)
    assert found["kind"] == QUESTIONS[case.code].kind
    proved = found["example"] is not None, found["rule"] is not None, found["place"] is not None, "`" in found["text"]
    assert any(proved)
    if found["example"] is not None:
        assert found["count"] > 0
        assert found["example"]["before"]["mask"] != found["example"]["after"]["mask"]
        if found["pat"]:
            assert found["example"]["before"]["effective"] != found["example"]["after"]["effective"]
    assert asked(case.silent, case) == []


def test_what_changes_beside_the_rules_alone() -> None:
    """It touches no rule, and nobody says that all stays as it is; one line for tools."""
    done = quick("review", "-", stdin=mail(WALK))
    assert (done.status, done.out.splitlines()[0]) == (
        0,
        "touches no rule itself, and what it changes beside the rules is not followed",
    )
    assert "stay as they are" not in done.out
    (line,) = quick("review", "-", "--terse", stdin=mail(WALK)).out.splitlines()
    assert line.endswith("[not-followed]")
    two = mail(WALK, subject="[PATCH 1/2] walk") + flag().text.replace("[PATCH]", "[PATCH 2/2]")
    head = " ".join(quick("review", "-", "--base", "v6.7", stdin=two).out.split())
    assert "1/2 walk: beside the rules, not followed: mtrr_disabled_type() 2/2" in head


def test_every_code_has_a_case() -> None:
    assert {case.code for case in CASES} == set(QUESTIONS)


@pytest.mark.parametrize("code", QUESTIONS)
def test_a_row_says_when_and_names_a_code(code: str) -> None:
    row = QUESTIONS[code]
    assert re.fullmatch("[a-z]+(-[a-z]+)*", code)
    assert row.kind
    assert row.when
    assert row.source
    assert not row.when.endswith(".")


# The same in a git tree, whose files tell what a mail's hunks do.

MAIN = "int __kvm_set_memory_region(struct kvm *kvm)\n{\n\tif ((a ^ b) & KVM_MEM_READONLY)\n\t\treturn -EINVAL;\n}\n"
TAKING = f"{CHECK}\n{{\n\tu32 valid_flags = KVM_MEM_LOG_DIRTY_PAGES;\n\treturn 0;\n}}\n"
MASKS = "#define KVM_X86_VALID_QUIRKS \\\n\t(KVM_X86_QUIRK_CD_NW_CLEARED)\n"
CR0 = "void kvm_post_set_cr0(struct kvm_vcpu *vcpu)\n{\n\tkvm_mmu_reset_context(vcpu);\n}\n"


@needs_git
@pytest.mark.parametrize(
    ("patch", "with_it", "code", "words"),
    [
        (
            quirk("OWN"),
            {HOST: MASKS + "#define MORE (KVM_X86_QUIRK_OWN)\n"},
            "quirk-mask",
            "OWN",
        ),
        (
            flag(base="v6.11"),
            {SLOT_FILE: MAIN.replace("READONLY", "NON_COHERENT_DMA")},
            "stale",
            "slot flag",
        ),
        (rule(CD, UC, "v6.11"), {X86: CR0.replace("mmu_reset_context", "mmu_zap_all")}, "stale", "guest CR0.CD"),
        (flag(base="v6.11"), {HOST: None, SLOT_FILE: None}, "stale", "slot flag"),
        (quirk("OWN"), {HOST: None}, "quirk-mask", "OWN"),
    ],
)
def test_in_a_git_tree(patch: Patch, with_it: dict[str, str | None], code: str, words: str, tmp_path: Path) -> None:
    """Asked of the commit alone, silent on one that sees to it, and in a tree that lacks the file."""
    old = c_file(write_c(kernel("v6.11").rules, Style.RETURN))
    for name, more, wanted in (("alone", {}, True), ("seen to", with_it, False)):
        tree = TestTree(tmp_path / name)
        files = {SLOT_FILE: MAIN, HOST: MASKS, X86: CR0}
        files = {path: text for path, text in files.items() if more.get(path, "") is not None}
        tree.commit("before", {VMX: old, "Makefile": makefile("6.11"), **files})
        tree.commit("a change", {VMX: patch.after, **{path: text for path, text in more.items() if text is not None}})
        done = quick("review", "git:HEAD", "--git", str(tree.folder), "-o", "json")
        assert (done.status, done.err) == (1, "")
        questions = json.loads(done.out)["questions"]
        asked_there = [one for one in questions if one["code"] == code and words in one["text"]]
        assert len(asked_there) == wanted, name
        plain = quick("review", "git:HEAD", "--git", str(tree.folder)).out
        assert plain.count("QUESTIONS: is that meant?") == 1  # in one form, as of a mail


@needs_git
def test_numbers_that_commits_give_out(tmp_path: Path) -> None:
    """A commit that touches no rule ends with 0, whatever it is asked about; a number that stays is no news."""
    tree = TestTree(tmp_path)
    caps = "#define KVM_CAP_OLD 239\n"
    old = c_file(write_c(kernel("v6.11").rules, Style.RETURN))
    tree.commit("before", {VMX: old, "Makefile": makefile("6.11"), UAPI: caps})
    tree.commit("a number", {UAPI: f"{caps}#define KVM_CAP_OWN 236\n"})
    tree.commit("another file", {"Makefile": makefile("6.12")})
    done = quick("review", "git:HEAD~2..HEAD", "--git", str(tmp_path), "-o", "json")
    (found,) = json.loads(done.out)["questions"]
    assert (done.status, found["code"], found["place"]) == (0, "uapi-number", f"{UAPI}:2")
    said = f"KVM_CAP_OWN collides with mainline, where 236 is KVM_CAP_PRE_FAULT_MEMORY ({UAPI}:2)"
    plain = quick("review", "git:HEAD~2..HEAD", "--git", str(tmp_path)).out
    assert said in " ".join(plain.split())
    assert json.loads(quick("review", "git:HEAD", "--git", str(tmp_path), "-o", "json").out)["questions"] == []


BITS = [
    (UAPI, "KVM_MEM_NON_COHERENT_DMA", "(1UL << 3)", "(1UL << 4)", flag()),
    (UAPI, "KVM_MEM_NON_COHERENT_DMA", "(1UL << 3)", "(1UL << 1)", flag()),
    (X86_UAPI, "KVM_X86_QUIRK_CD_NW_CLEARED", "(1 << 1)", "BIT(9)", flag()),
    (X86_UAPI, "KVM_X86_QUIRK_CD_NW_CLEARED", "(1 << 1)", "(1 << 20)", flag("READONLY")),
]


@needs_git
@pytest.mark.parametrize(
    ("path", "name", "old", "new", "patch"), BITS, ids=lambda one: one if isinstance(one, str) else ""
)
def test_another_bit_is_the_same_in_a_mail_and_as_a_commit(
    path: str, name: str, old: str, new: str, patch: Patch, tmp_path: Path
) -> None:
    """The rules are read by name, and the number is asked about: alone, and beside rules that change."""
    lines = f"#define OTHER 1\n#define {name} {{}}\n#define MORE 2\n"
    vmx = c_file(write_c(kernel("v6.7").rules, Style.RETURN))
    header = diff(lines.format(old), lines.format(new), path)
    tree = TestTree(tmp_path)
    tree.commit("before", {VMX: vmx, "Makefile": makefile("6.7"), SLOT_FILE: TAKING + MAIN, path: lines.format(old)})
    tree.commit("the bit", {path: lines.format(new)})
    tree.commit("the rules", {VMX: patch.after})
    for words, text in (("git:HEAD~1", mail(header)), ("git:HEAD~2..HEAD", patch.text + header)):
        done = [
            quick("review", words, "--git", str(tmp_path), "-o", "json"),
            quick("review", "-", "--base", "v6.7", "-o", "json", stdin=text),
        ]
        commit, sent = (json.loads(one.out) for one in done)
        assert done[0].status == done[1].status
        assert commit["rows"] == sent["rows"]
        asked_of = [{(q["code"], q["text"]) for q in one["questions"]} for one in (commit, sent)]
        assert asked_of[0] == asked_of[1]
        assert any(code == "uapi-number" and said.startswith(f"{name} ") for code, said in asked_of[0])


@pytest.mark.parametrize(
    ("line", "more"),
    [
        ("#define KVM_MEM_NON_COHERENT_DMA 0", ""),
        ("#define KVM_MEM_NON_COHERENT_DMA 0x18", ""),
        ("#define KVM_MEM_NON_COHERENT_DMA KVM_MEM_READONLY", ""),
        ("#define KVM_MEM_NON_COHERENT_DMA(x) (1 << 4)", ""),
        ("#define X86_CR0_CD (1UL << 29)", ""),
        # Which flag is that?
        ("#define KVM_MEM_NON_COHERENT_DMA (1UL << 4)", rule("slot->flags & 8", WB).text),
    ],
)
def test_what_is_no_plain_bit_of_its_own_is_refused(line: str, more: str) -> None:
    done = quick("review", "-", stdin=more + number(line).text)
    name = line.split()[1].partition("(")[0]
    assert (done.status, done.out) == (2, "")
    assert f"the patch defines {name} anew" in done.err


# The founding series as it was sent: a capability and a flag, the flag's check, the rules, a test.

SERIES = [
    mail(
        beside(UAPI, "struct kvm_enable_cap {", "#define KVM_CAP_USER_CONFIGURE_NONCOHERENT_DMA 236"),
        "[PATCH 1/4] a cap",
    ),
    mail(FIXED, "[PATCH 2/4] a flag"),
    flag().text.replace("[PATCH]", "[PATCH 3/4]"),
    mail(beside("arch/x86/kvm/x.c", "x", "y"), "[PATCH 4/4] more"),
]


def test_a_question_that_another_patch_of_the_series_answers_or_raises() -> None:
    """The number is asked of the whole and of the patch that gives it out; the flag's change is refused in 2/4."""
    done = quick("review", "-", "-o", "json", stdin="".join(SERIES))
    record = json.loads(done.out)
    assert (done.status, done.err) == (1, "")
    codes = [{question["code"] for question in patch["questions"]} for patch in record["patches"]]
    assert codes[0] == {"uapi-number"}
    assert (codes[1], codes[3]) == (set(), set())
    assert "stale" not in codes[2]
    assert {question["code"] for question in record["questions"]} == codes[0] | codes[2]
    assert [patch["brings"] for patch in record["patches"]] == [[], [], [1, 2, 3], []]
    plain = quick("review", "-", stdin="".join(SERIES)).out
    assert "NONCOHERENT_DMA collides with mainline, where 236 is KVM_CAP_PRE_FAULT_MEMORY (-:" in " ".join(
        plain.split()
    )
    assert len(plain.splitlines()) <= 51
    alone = quick("review", "-", stdin=SERIES[0])
    assert (alone.status, alone.err) == (0, "")
    assert alone.out.startswith("touches no rule")
    assert "QUESTIONS: is that meant?\n-  KVM_CAP_USER_CONFIGURE_NONCOHERENT_DMA collides" in alone.out


def test_the_page_lists_every_question() -> None:
    """docs/review.md has the rows of the list, in its order; the README leads there."""
    lines = (ROOT / "docs" / "review.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| code ")]
    assert rows == [f"| {code} | {row.when} | {row.source} |" for code, row in QUESTIONS.items()]
    assert "docs/review.md" in README.read_text()
