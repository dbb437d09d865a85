# SPDX-License-Identifier: GPL-2.0-only
"""What is said besides an answer: said where it is true, and nowhere else."""

from __future__ import annotations

import itertools

import pytest

from mtcalc.analysis.evaluate import Evaluator
from mtcalc.analysis.expectations import check_expectations
from mtcalc.analysis.explain import Explanation, explain_page
from mtcalc.kvm.host_mmio import Backing
from mtcalc.kvm.points import Expect
from mtcalc.kvm.vm import Slot, Vm, reset_free_mtrrs
from mtcalc.output.verdicts import Checked, check_document
from mtcalc.refs.resolve import resolve
from mtcalc.rules.inputs import Facts
from mtcalc.text.errors import Place
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, MemType
from mtcalc.x86.mtrr import Mtrrs, VariableRange
from mtcalc.x86.pat import LINUX_PAT, RESET_PAT, decode_pat
from support.answers import lookup
from support.notes import noted

# By hand, from the manual's table of effective page-level memory types.
STARRED = {("WC", "WT"), ("WC", "WP"), ("WT", "WP"), ("WP", "UC-"), ("WP", "WT")}
PAGE = 0x1000
RAM = Slot(0, PAGE, "ram")


def says(text: str, notes: tuple[str, ...]) -> bool:
    return any(text in note for note in notes)


@pytest.mark.parametrize(("mtrr", "paging"), [*itertools.product(MTRR_TYPES, (True, False))])
def test_a_star_is_on_a_cell_that_is_used(mtrr: MemType, paging: bool) -> None:
    """With CR0.PG=0 the column is WB, which has no starred cell, whatever PAT type is asked about."""
    facts = Facts(noncoherent_dma=True, guest_mtrr=mtrr)
    vm = Vm(noncoherent_dma=True, paging=paging, mtrrs=reset_free_mtrrs(46)._replace(default=mtrr))
    page = Evaluator(resolve("v6.7"), vm, (RAM,)).page(0)
    for pat, answer in zip(PAT_TYPES, lookup(resolve("v6.7"), facts, PAT_TYPES, paging), strict=True):
        wanted = paging and (str(mtrr), str(pat)) in STARRED
        assert answer.starred(pat) is page.starred(pat) is wanted
        assert says("previous editions", noted(answer.notes)) is wanted
    assert says("previous editions", noted(page.notes)) is (paging and any(str(mtrr) == row for row, _ in STARRED))


@pytest.mark.parametrize(
    ("register", "missing"),
    [
        (LINUX_PAT.value, ""),
        (RESET_PAT.value, "WC WP"),
        (0x0407_0106_0007_0106, "WP"),  # Linux 4.2 to 4.13
        (0x0007_0106_0007_0106, "WT WP"),  # Linux up to 4.1
        (0, "UC- WC WT WP WB"),
    ],
)
def test_a_page_type_that_the_guests_pat_lacks(register: int, missing: str) -> None:
    for pat, paging in itertools.product(PAT_TYPES, (True, False)):
        evaluator = Evaluator(resolve("6.1"), Vm(pat=decode_pat(register), paging=paging), (RAM,))
        note = f"the guest's PAT has no entry {pat}: a page of that type cannot exist"
        wanted = paging and str(pat) in missing.split()
        assert (note in noted(evaluator.page(0, pat).notes)) is wanted
        assert (note in noted(explain_page(evaluator, 0, pat).answer.notes)) is wanted
        expect = Expect(0, pat, Place("x", 1, 1), MemType.WB)
        verdicts = list(check_expectations(evaluator, [expect]))
        assert (note in noted(verdicts[0].notes)) is wanted
        assert (f"0x0: {note}" in check_document([Checked("x", evaluator.kernel, verdicts, ())]).notes) is wanted
    assert not says(
        "has no entry", noted(Evaluator(resolve("6.1"), Vm(pat=decode_pat(register)), (RAM,)).page(0).notes)
    )


def lines_of(found: Explanation, about: str) -> tuple[str, ...]:
    (step,) = [step for step in found.steps if step.about == about]
    return step.lines


@pytest.mark.parametrize(
    ("ref", "backing", "host_pat", "words"),
    [
        ("6.1", Backing(reserved=True), False, "the host's PAT is off, and then every reserved page is MMIO"),
        ("4.18", Backing(reserved=True), False, "the host's PAT is off, and then every reserved page is MMIO"),
        ("6.1", Backing(reserved=True), True, "is reserved, and the host maps it WB"),
        ("4.14", Backing(reserved=True), False, "the host maps it WB, which this test does not ask"),
        ("6.1", Backing(), False, "is not reserved, and the host maps it WB"),
        ("4.14", Backing(struct_page=False), True, "e820 RAM covers it, which this test does not ask"),
        ("6.1", Backing(struct_page=False), False, "no struct page, and e820 RAM covers it"),
    ],
)
def test_why_a_page_is_host_mmio(ref: str, backing: Backing, host_pat: bool, words: str) -> None:
    vm = Vm(host_pat=host_pat)
    found = explain_page(Evaluator(resolve(ref), vm, (RAM._replace(backing=backing),)), 0)
    assert lines_of(found, "host MMIO")[0].endswith(words)


MASK = ((1 << 46) - (1 << 28)) | 0x800  # 256M, valid
WB, UC, WT, WC = (VariableRange(kind, MASK) for kind in (6, 0, 4, 1))
FIXED = (MemType.WP,) * 88


@pytest.mark.parametrize(
    ("mtrrs", "gpa", "words", "memtype"),
    [
        (Mtrrs(True, False, MemType.WB, FIXED, (WB, UC, WC), 46), 1 << 20, "pair 0 (WB), then pair 1 (UC)", "UC"),
        (Mtrrs(True, False, MemType.WB, FIXED, (WB, WC, UC), 46), 1 << 20, "pair 0 (WB), then pair 1 (WC)", "UC"),
        (Mtrrs(True, False, MemType.WB, FIXED, (UC, WC), 46), 1 << 20, "pair 0 (UC), then pair 1 (WC)", "UC"),
        (Mtrrs(True, False, MemType.WB, FIXED, (WB, WT), 46), 1 << 20, "WB with WT is WT", "WT"),
        (Mtrrs(True, False, MemType.WB, FIXED, (WB, WT, WB), 46), 1 << 20, "then pair 2 (WB): WB with WT", "WT"),
        (Mtrrs(True, False, MemType.WB, FIXED, (WB, WT, WC), 46), 1 << 20, "types that conflict are UC", "UC"),
        (Mtrrs(True, False, MemType.WT, FIXED, (WB, WB), 46), 1 << 20, "KVM: variable pair 0 (WB), then pair 1", "WB"),
        (Mtrrs(True, False, MemType.WT, FIXED, (), 46), 1 << 20, "no pair matches: the default type", "WT"),
        (Mtrrs(False, True, MemType.WT, FIXED, (WB,), 46), 1 << 20, "E=0, and the address is not under 1M", "WT"),
        (Mtrrs(False, True, MemType.WT, FIXED, (WB,), 46), 0, "a fixed range, which FE alone turns on", "WP"),
        (Mtrrs(True, False, MemType.WT, FIXED, (WB,), 46), 0, "a fixed range, which E turns on", "WP"),
        (Mtrrs(False, False, MemType.WT, FIXED, (UC,), 46), 0, "both enables are off (E=0, FE=0)", "WB"),
    ],
)
def test_the_walk_of_4_1_in_its_own_words(mtrrs: Mtrrs, gpa: int, words: str, memtype: str) -> None:
    vm = Vm(noncoherent_dma=True, mtrrs=mtrrs)
    found = explain_page(Evaluator(resolve("4.1"), vm, (Slot(0, 4 << 20, "ram"),)), gpa)
    (step,) = [step for step in found.steps if step.about == "guest MTRR type"]
    assert words in step.lines[0]
    assert step.result == memtype
    assert step.source.startswith("get_mtrr_type() in arch/x86/kvm/mmu.c")


@pytest.mark.parametrize(("cpuid", "words"), [(True, "has MTRRs: UC"), (False, "has no MTRRs: WB")])
def test_mtrrs_off_and_what_cpuid_says(cpuid: bool, words: str) -> None:
    off = reset_free_mtrrs(46)._replace(enabled=False)
    vm = Vm(noncoherent_dma=True, mtrrs=off, cpuid_mtrr=cpuid)
    found = explain_page(Evaluator(resolve("6.1"), vm, (RAM,)), 0)
    assert lines_of(found, "guest MTRR type")[-1] == f"the guest's CPUID {words}"


def test_an_address_that_only_smm_has() -> None:
    evaluator = Evaluator(resolve("6.1"), Vm(), (RAM, Slot(0x10000, PAGE, "smram", 1, address_space=1)))
    (step,) = explain_page(evaluator, 0x10000).steps
    assert step.result == "none in address space 0"
    assert step.lines[1] == "address space 1, which a vCPU in SMM sees, has one here: smram"
    assert not says("no slot holds", noted(evaluator.page(0x10000).notes))
    (step,) = explain_page(evaluator, 0x20000).steps
    assert (step.result, len(step.lines)) == ("none", 1)
    assert says("no slot holds", noted(evaluator.page(0x20000).notes))


@pytest.mark.parametrize(
    ("rule", "paging", "words"),
    [
        ("v6.7+", True, "memory is what the guest's PAT says"),
        ("v6.7", True, "memory is WB all the same"),
        ("v6.7+", False, "memory is WB all the same"),
    ],
)
def test_mtrrs_that_have_no_say(rule: str, paging: bool, words: str) -> None:
    flags = 8 if rule.endswith("+") else 0
    kernel = resolve("slot-flag" if flags else "v6.7")
    vm = Vm(paging=paging, mtrrs=reset_free_mtrrs(46)._replace(default=MemType.UC))
    notes = noted(Evaluator(kernel, vm, (RAM._replace(flags=flags),)).page(0).notes)
    assert any(note.endswith(words) for note in notes if note.startswith("the guest's MTRRs say UC"))
