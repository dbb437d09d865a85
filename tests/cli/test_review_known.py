# SPDX-License-Identifier: GPL-2.0-only
"""Patches of what rules ask by name, and of the function in a file of another name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mtcalc.csource.writer import Style, all_texts, write_c
from mtcalc.patches.anew import FUNCTION_WORDS, KNOWN_VALUES
from mtcalc.patches.hunks import KNOWN
from mtcalc.rules.builtin import built_in_names
from support.patches import c_file, diff, kernel, mail
from support.program import quick

HEAD = "From: A <a@b.c>\nDate: Fri, 5 Jan 2024 17:12:37 +0800\nSubject: [PATCH] x\n\n"


def diff_of(path: str, hunk: str) -> str:
    return f"{HEAD}diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n{hunk}"


COUNT = """\
@@ -13500,5 +13500,5 @@ EXPORT_SYMBOL_GPL(x);
 bool noinstr kvm_arch_has_noncoherent_dma(struct kvm *kvm)
 {
-\treturn raw_atomic_read(&kvm->arch.noncoherent_dma_count);
+\treturn true;
 }
 EXPORT_SYMBOL_GPL(kvm_arch_has_noncoherent_dma);
"""
QUIRK = """\
@@ -300,4 +300,4 @@ static inline bool kvm_check_has_quirk(struct kvm *kvm, u64 quirk)
 {
-\treturn !(kvm->arch.disabled_quirks & quirk);
+\treturn true;
 }
\x20
"""
MASK = """\
@@ -18,5 +18,5 @@ static u8 vmx_get_mt_mask(struct kvm_vcp
\x20
 \tif (kvm_read_cr0_bits(vcpu, X86_CR0_CD)) {
 \t\tif (kvm_check_has_quirk(vcpu->kvm, KVM_X86_QUIRK_CD_NW_CLEARED))
-\t\t\treturn MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT;
+\t\t\treturn (MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT) | VMX_EPT_IPAT_BIT;
 \t\telse
"""


@pytest.mark.parametrize(
    ("path", "hunk", "name"),
    [
        ("arch/x86/kvm/x86.c", COUNT, "kvm_arch_has_noncoherent_dma"),
        ("arch/x86/kvm/x86.h", QUIRK, "kvm_check_has_quirk"),
    ],
)
def test_what_rules_ask_by_name_is_not_said_to_stay_as_it_is(path: str, hunk: str, name: str) -> None:
    """Whole, it is followed; a part of it leaves its meaning as it was, and that is said in one line."""
    whole = quick("review", "-", stdin=diff_of(path, hunk))
    assert whole.status == 1
    assert "asked by name" not in whole.out
    part = hunk.replace("5,5", "3,3").replace("5 +", "3 +").replace(",4 ", ",2 ")
    part = re.sub(r"@@ -(\d+),\d \+\d+,\d @@(.*)\n", rf"@@ -\1 +\1 @@ {name}(\n", part)
    part = "".join(line for line in part.splitlines(keepends=True) if line[0] in "@+-")
    done = quick("review", "-", stdin=diff_of(path, part))
    words = f"touches no rule itself, but changes {name}(), asked by name: its meaning is taken as before"
    assert (done.status, " ".join(done.out.split())) == (0, words)
    assert f"changes {name}(), asked by name: its meaning is taken" in quick(
        "rules", "show", "-", stdin=diff_of(path, part)
    ).err.replace("\n", " ")
    mask = diff_of("arch/x86/kvm/vmx/vmx.c", MASK)[len(HEAD) :]
    both = quick("review", "-", "-o", "json", stdin=diff_of(path, part) + mask)
    assert both.status == 1
    assert f"changes {name}(), asked by name: its meaning is taken as before" in both.out
    alone = quick("review", "-", "-o", "json", stdin=diff_of("arch/x86/kvm/vmx/vmx.c", MASK))
    assert "asked by name" not in alone.out


@pytest.mark.parametrize(
    "line",
    [
        "#define VMX_EPT_MT_EPTE_SHIFT 4",
        "#define VMX_EPT_IPAT_BIT (1ull << 7)",
        "#define MTRR_TYPE_WRBACK 1",
        "#define kvm_arch_has_noncoherent_dma(k) 0",
        "#define if(x) if (!(x))",
        "#define u8 u16",
        "#define KVM_X86_QUIRK_CD_NW_CLEARED (1 << 9)",
        "#define KVM_X86_QUIRK_CD_NW_CLEARED BIT(9)",
        "#define KVM_X86_QUIRK_IGNORE_GUEST_PAT (1 << 8)",
        "#define KVM_X86_QUIRK_IGNORE_GUEST_PAT KVM_X86_QUIRK_CD_NW_CLEARED",
        "#define KVM_MEM_NON_COHERENT_DMA (1UL << 1)",
        "#define KVM_MEM_READONLY 010",
        "#define kvm_read_cr0(v) 0",
        "#define is_mmio 0",
        "#define vcpu NULL",
        "#define ipat 0",
        "#define kvm other",
    ],
)
def test_a_known_name_defined_anew_is_refused(line: str) -> None:
    hunk = f"@@ -60,2 +60,3 @@ static int foo(void)\n #include <x.h>\n+{line}\n #include <y.h>\n"
    for path in ("arch/x86/kvm/vmx/vmx.c", "arch/x86/include/asm/vmx.h"):
        done = quick("review", "-", stdin=diff_of(path, hunk))
        name = line.split()[1].split("(")[0]
        assert (done.status, done.out) == (2, "")
        assert f"the patch defines {name} anew" in done.err
        assert quick("review", "-", stdin=diff_of(f"tools/testing/selftests/{path}", hunk)).status == 0


@pytest.mark.parametrize(
    "line",
    [
        "#define VMX_EPT_MT_EPTE_SHIFT\t\t\t3",
        "#define VMX_EPT_IPAT_BIT    \t\t\t(1ull << 6)",
        "#define VMX_EPT_IPAT_BIT BIT_ULL(6) /* ignore PAT */",
        "#define MTRR_TYPE_WRBACK     0x6",
        "#define KVM_X86_QUIRK_IGNORE_GUEST_PAT (1 << 9)",
        "#define KVM_X86_QUIRK_CD_NW_CLEARED _BITUL(1)",
        "#define KVM_MEM_NON_COHERENT_DMA (1UL << 3)",
        "#define FOO 2",
        "#define is_mmio(pfn) 0",
        "#define gfn gfn",
        "enum { FALSE, TRUE };",
        "enum { MTRR_TYPE_WRBACK = 6, FOO };",
        "\tu8 a[] = { MTRR_TYPE_WRBACK, MTRR_TYPE_UNCACHABLE };",
        "\tu8 a[] = { [MTRR_TYPE_WRBACK] = 1, .x = MTRR_TYPE_WRCOMB };",
        "\treturn a == MTRR_TYPE_WRBACK ? MTRR_TYPE_WRBACK : b;",
        "#define LISTED , MTRR_TYPE_WRBACK = 4",
    ],
)
def test_the_same_value_and_other_names_are_nobodys_trouble(line: str) -> None:
    hunk = f"@@ -60,2 +60,3 @@ static int foo(void)\n #include <x.h>\n+{line}\n #include <y.h>\n"
    assert quick("review", "-", stdin=diff_of("arch/x86/include/asm/vmx.h", hunk)).status == 0


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ("+enum { MTRR_TYPE_UNCACHABLE = 6 };", "MTRR_TYPE_UNCACHABLE"),
        ("+enum memtypes {\n+\tFOO,\n+\tX86_MEMTYPE_WB,\n+};", "X86_MEMTYPE_WB"),
        (" enum memtypes {\n+\tFOO,\n \tX86_MEMTYPE_UC,\n };", "X86_MEMTYPE_UC"),
        (" enum {\n-\tMTRR_TYPE_WRBACK = 6,\n+\tMTRR_TYPE_WRBACK = 4,\n };", "MTRR_TYPE_WRBACK"),
        (" \tMTRR_TYPE_WRBACK =\n-\t\t6,\n+\t\t4,\n \tFOO = 7,", "MTRR_TYPE_WRBACK"),
        ("+static const u64 VMX_EPT_IPAT_BIT = 0;", "VMX_EPT_IPAT_BIT"),
        ("+extern const u64 VMX_EPT_IPAT_BIT;", "VMX_EPT_IPAT_BIT"),
        ("+static const unsigned int FOO = 1, VMX_EPT_MT_EPTE_SHIFT = 4;", "VMX_EPT_MT_EPTE_SHIFT"),
        ("+enum { KVM_X86_QUIRK_CD_NW_CLEARED = BIT(9) };", "KVM_X86_QUIRK_CD_NW_CLEARED"),
        (" #define MTRR_TYPE_WRBACK \\\n-\t6\n+\t4", "MTRR_TYPE_WRBACK"),
        ("-#define KVM_MEM_READONLY (1UL << 1)\n+#define KVM_MEM_READONLY (1UL << 3)", "KVM_MEM_READONLY"),
        ("+#undef X86_CR0_CD\n+#define X86_CR0_CD BIT(29)", "X86_CR0_CD"),
    ],
)
def test_a_constant_that_is_an_enumerator_or_a_variable_is_refused(lines: str, name: str) -> None:
    for path in ("arch/x86/kvm/vmx/vmx.c", "arch/x86/include/uapi/asm/mtrr.h"):
        done = quick("review", "-", stdin=diff_of(path, hunk_of(lines)))
        assert (done.status, done.out) == (2, "")
        assert f"the patch defines {name} anew" in done.err
    assert quick("review", "-", stdin=diff_of("arch/arm64/kvm/x.c", hunk_of(lines))).status == 0


def hunk_of(lines: str) -> str:
    listed = lines.split("\n")
    old, new = (2 + sum(line[0] in signs for line in listed) for signs in (" -", " +"))
    return f"@@ -60,{old} +60,{new} @@\n #include <x.h>\n{lines}\n #include <y.h>\n"


def test_a_constant_that_is_undefined_is_refused() -> None:
    done = quick("review", "-", stdin=diff_of("arch/x86/kvm/vmx/vmx.c", hunk_of("+#undef MTRR_TYPE_WRBACK")))
    assert (done.status, done.out) == (2, "")
    assert "the patch takes MTRR_TYPE_WRBACK away (no #undef" in done.err
    for lines in (
        "+#undef MTRR_TYPE_WRBACK\n+#define MTRR_TYPE_WRBACK 6",
        "+#undef FOO",
        "-#undef MTRR_TYPE_WRBACK\n \n+#undef MTRR_TYPE_WRBACK",
    ):
        assert quick("review", "-", stdin=diff_of("arch/x86/include/asm/vmx.h", hunk_of(lines))).status == 0


def test_the_words_of_the_function_elsewhere_are_nobodys_trouble() -> None:
    """Another C file's macros do not reach the function; another driver's header does not either."""
    for path in ("arch/x86/kvm/svm/svm.c", "drivers/x/y.h"):
        assert quick("review", "-", stdin=diff_of(path, hunk_of("+#define vcpu NULL"))).status == 0


def test_every_word_that_rules_are_written_with_is_known_as_one() -> None:
    plain = {"bool", "const", "else", "gfn_t", "goto", "if", "inline", "return", "static", "struct", "u64", "u8"}
    known = {*FUNCTION_WORDS, *KNOWN_VALUES, *KNOWN, *plain, "kvm_read_cr0", "static_cpu_has", "vmx_get_mt_mask"}
    for name in built_in_names():
        for text in all_texts(kernel(name).rules):
            assert set(re.findall(r"[A-Za-z_]\w*", re.sub(r"/\*.*?\*/", "", text, flags=re.S))) <= known


@pytest.mark.parametrize(("old", "new"), [("before.c", "after.c"), ("old.txt", "new.txt"), ("A", "Bn")])
def test_the_function_in_a_file_of_another_name(old: str, new: str) -> None:
    """As `diff -up` of two copies writes it."""
    text = f"--- {old}\t2026-11-26 14:23:55 +0000\n+++ {new}\t2026-11-26 14:23:55 +0000\n{MASK}"
    done = quick("review", "-", stdin=text)
    assert done.status == 1
    assert "5 of 80 reachable inputs change" in done.out


TEST = """\
static bool kvm_is_mmio_pfn(kvm_pfn_t pfn)
{
\tif (pfn_valid(pfn))
\t\treturn !is_zero_pfn(pfn) && PageReserved(pfn_to_page(pfn)) &&
\t\t\t(!pat_enabled() || pat_pfn_immune_to_uc_mtrr(pfn));

\treturn true;
}

"""
NO_ZERO_PAGE = """\
@@ -100,5 +100,5 @@ static bool kvm_is_mmio_pfn(kvm_pfn_t pfn)
 {
 \tif (pfn_valid(pfn))
-\t\treturn !is_zero_pfn(pfn) && PageReserved(pfn_to_page(pfn)) &&
+\t\treturn PageReserved(pfn_to_page(pfn)) &&
 \t\t\t(!pat_enabled() || pat_pfn_immune_to_uc_mtrr(pfn));
\x20
"""


@pytest.mark.parametrize("name", ["spte.c", "vmx.c", "before.c"])
def test_a_patch_of_the_host_mmio_test_on_a_c_file(name: str, tmp_path: Path) -> None:
    """Whatever the file is called that holds the test and the function."""
    (tmp_path / name).write_text(TEST + all_texts(kernel("v6.7").rules)[0])
    text = diff_of("arch/x86/kvm/mmu/spte.c", NO_ZERO_PAGE)
    done = quick("review", "-", "--base", str(tmp_path / name), "-o", "json", stdin=text)
    found = json.loads(done.out)
    assert (done.status, found["changed"], found["beside"]) == (1, 0, [])
    assert [(row["before"], row["after"]) for row in found["mmio_rows"]] == [({"mmio": False}, {"mmio": True})] * 2
    assert all(row["inputs"]["zero_page"] is True for row in found["mmio_rows"])


def test_a_patch_of_the_host_mmio_test_alone_says_what_it_changes() -> None:
    """On a release of its time whose test it fits; one that fits none says so, and takes its meaning as before."""
    done = quick("review", "-", stdin=diff_of("arch/x86/kvm/mmu/spte.c", NO_ZERO_PAGE))
    assert done.status == 1
    assert "not MMIO -> MMIO  struct_page and zero_page" in done.out
    assert "base   6.7: the newest in mainline on 5 January 2024" in done.out
    other = NO_ZERO_PAGE.replace("PageReserved", "PageOdd")
    done = quick("review", "-", stdin=diff_of("arch/x86/kvm/mmu/spte.c", other))
    words = "touches no rule itself, but changes kvm_is_mmio_pfn() (the host-MMIO test), asked by name: its meaning is"
    why = "the patch does not fit the host-MMIO test of any release: its context and removed lines are not in"
    said = f"{words} taken as before ({why} kvm_is_mmio_pfn())"
    assert (done.status, " ".join(done.out.split())) == (0, said)


@pytest.mark.parametrize("base", ["v4.4", "v6.7", "v6.16"])
def test_a_hunk_that_fits_nowhere_says_which_line_does_not(base: str) -> None:
    """At that line of the mail; which sets there are stands below, where one line alone is read too."""
    old = write_c(kernel(base).rules, Style.RETURN)
    text = mail(diff(c_file(old), c_file(old.replace("if (is_mmio)", "if (is_mmio && 1)", 1))))
    wrong = text.replace(" \t\treturn (MTRR_TYPE_UNCACHABLE <<", " \t\treturn (MTRR_TYPE_OWN <<").replace(
        " \t\treturn MTRR_TYPE_UNCACHABLE <<", " \t\treturn MTRR_TYPE_OWN <<"
    )
    assert wrong != text
    at = next(n for n, line in enumerate(wrong.splitlines(), 1) if "MTRR_TYPE_OWN" in line)
    done = quick("review", "-", stdin=wrong)
    assert (done.status, done.out) == (2, "")
    first, source, _, *listed = done.err.splitlines()
    assert first.startswith(f"-:{at}:1: this hunk fits none of the built-in rule sets: in v")
    assert "MTRR_TYPE_OWN" in source
    assert set(built_in_names()) <= set(" ".join(listed).replace(",", "").split())
    assert max(map(len, listed)) <= 80
    (line,) = quick("review", "-", "--terse", stdin=wrong).err.splitlines()
    assert line.startswith(f"-:{at}:1: ERROR: this hunk fits none")
