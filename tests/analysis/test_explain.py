# SPDX-License-Identifier: GPL-2.0-only
"""A derivation leads to the answer, and every step says where it stands."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.analysis.evaluate import Evaluator
from mtcalc.analysis.explain import Explanation, explain_lookup, explain_page
from mtcalc.analysis.steps import Step
from mtcalc.kvm.host_mmio import MMIO, RAM, Backing
from mtcalc.kvm.vm import Slot, Vm
from mtcalc.output.explain import step_records
from mtcalc.refs.resolve import resolve
from mtcalc.rules.builtin import built_in_names
from mtcalc.rules.condition import ALWAYS
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import kernel_for_rules
from mtcalc.rules.rule import Outcome, Rule, RuleSet
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, MemType
from mtcalc.x86.mtrr import Mtrrs, VariableRange
from support.answers import lookup
from support.random_vms import END, PAGE, RandomVm, random_vms

facts = st.builds(
    Facts,
    mmio=st.booleans(),
    slot_flags=st.sampled_from((0, 8)),
    noncoherent_dma=st.booleans(),
    mem_dma=st.booleans(),
    cr0_cd=st.booleans(),
    disabled_quirks=st.sampled_from((0, 2, 0x200)),
    self_snoop=st.booleans(),
    guest_mtrr=st.sampled_from(MTRR_TYPES),
)


def step_of(found: Explanation, about: str) -> Step:
    (step,) = [step for step in found.steps if step.about == about]
    return step


@given(st.sampled_from(built_in_names()), facts, st.sampled_from((None, *PAT_TYPES)), st.booleans())
def test_the_steps_lead_to_the_answer(name: str, given_facts: Facts, pat: MemType | None, paging: bool) -> None:
    """Every rule up to the one that matches is there in order, passed over for a reason; then byte and type."""
    kernel = resolve(name)
    found = explain_lookup(kernel, given_facts, pat, paging)
    answers = lookup(kernel, given_facts, PAT_TYPES if pat is None else (pat,), paging)
    assert found.answer.byte == answers[0].byte
    assert found.answer.effective == tuple(pair for answer in answers for pair in answer.effective)
    rules = [step for step in found.steps if step.about.startswith("rule ")]
    ids = [rule.id for rule in kernel.rules.rules]
    assert [step.about for step in rules] == [f"rule {name}" for name in ids[: len(rules)]]
    assert [step.result for step in rules] == ["passed over"] * (len(rules) - 1) + ["matches"]
    assert found.answer.rule
    assert rules[-1].about == f"rule {found.answer.rule.id}"
    for step in rules[:-1]:
        assert step.lines[1].startswith("because ")
    assert rules[-1].lines[-1] == found.answer.rule.why
    assert step_of(found, "EPT byte").result.startswith(f"{found.answer.byte:#04x} (")
    said = re.findall(r"(\S+?)\*? \(PAT (\S+)\)", step_of(found, "effective type").result)
    assert said == [(str(kind), str(asked)) for asked, kind in found.answer.effective]


@settings(max_examples=40)
@given(random_vms(), st.integers(0, END // PAGE - 1))
def test_a_page_is_explained_as_it_is_answered(case: RandomVm, page: int) -> None:
    evaluator = case.evaluator()
    edges = [slot.gpa for slot in case.slots]
    for gpa in (page * PAGE, *edges):
        found = explain_page(evaluator, gpa)
        assert found.answer == evaluator.page(gpa)
        # Everything but the inputs and a patched file's rules has a source of its own.
        assert all(step.source for step in found.steps if step.about != "inputs")


def test_the_slot_the_backing_and_the_level() -> None:
    slot = Slot(0xA0000, 0x20000, "vga", 7, flags=2, backing=Backing(reserved=True, host_type=MemType.WC))
    found = explain_page(Evaluator(resolve("v6.7"), Vm(noncoherent_dma=True), (slot,)), 0xA0000, MemType.WB)
    assert step_of(found, "slot").lines == ("slot 7 holds 0xa0000 to 0xbffff, READONLY",)
    assert step_of(found, "host MMIO")[1:3] == (
        "yes",
        (
            "the host page has a struct page, is reserved, and the host maps it WC",
            "test of 5.2 on: no struct page and no e820 RAM, or a reserved page that the host maps UC, UC- or WC",
        ),
    )
    level = step_of(found, "mapping level")
    assert level.result == "4K"
    assert level.lines == (
        "not 1G: the slot does not hold all of 0x0 to 0x3fffffff",
        "not 2M: the slot does not hold all of 0x0 to 0x1fffff",
    )


LARGE = Slot(0, 4 << 30, "ram", hva=0x7F00_0000_0000)


@pytest.mark.parametrize(
    ("slot", "lines"),
    [
        (LARGE, ("not 1G: KVM finds the MTRRs not consistent over 0xc0000000 to 0xffffffff",)),
        (LARGE._replace(hva=0x7F00_0020_0000), ("not 1G: guest and host address differ modulo 1G",)),
        (LARGE._replace(flags=1), ("not 1G: the slot logs dirty pages", "not 2M: the slot logs dirty pages")),
    ],
)
def test_what_stands_against_a_larger_page_is_said(slot: Slot, lines: tuple[str, ...]) -> None:
    uncached = VariableRange(0xD000_0000, 0x3FFF_F000_0800)
    vm = Vm(noncoherent_dma=True)
    vm = vm._replace(mtrrs=vm.mtrrs._replace(variable=(uncached, *vm.mtrrs.variable[1:])))
    level = step_of(explain_page(Evaluator(resolve("v6.7"), vm, (slot,)), 0xC000_0000), "mapping level")
    determined = len(lines) == 2
    assert level.lines[: len(lines)] == lines
    assert level.result == ("4K" if determined else "at most 2M")
    assert level.lines[len(lines) :] == (
        () if determined else ("the host's own page size may limit it further (backing: page_size says it)",)
    )


@pytest.mark.parametrize(
    ("slot", "ref", "result", "lines"),
    [
        (LARGE._replace(backing=RAM._replace(page_level=2)), "7.3", "2M", ("not 1G: the host maps it in pages of 2M",)),
        (LARGE._replace(backing=RAM._replace(page_level=3)), "7.3", "1G", ()),
        (
            LARGE._replace(backing=RAM._replace(page_level=3), hva=None),
            "7.3",
            "at most 1G",
            ("a host address not congruent with the guest's may limit it further (hva says it)",),
        ),
        (
            LARGE._replace(backing=RAM._replace(page_level=3)),
            "6.8",
            "1G",
            ("the guest's MTRRs do not limit it (they do when noncoherent_dma)",),
        ),
        (
            LARGE._replace(backing=MMIO),
            "5.15",
            "4K",
            tuple(f"not {size}: up to 5.19 a page without struct page is mapped in 4K" for size in ("1G", "2M")),
        ),
    ],
)
def test_the_level_step_says_what_is_determined_and_why(
    slot: Slot, ref: str, result: str, lines: tuple[str, ...]
) -> None:
    step = step_of(explain_page(Evaluator(resolve(ref), Vm(), (slot,)), 1 << 30), "mapping level")
    assert (step.result, step.lines) == (result, lines)
    assert "read: " in step.source


@pytest.mark.parametrize(
    ("ref", "function", "words"),
    [
        ("3.10", "kvm_is_mmio_pfn()", "up to 3.12: no struct page, or a page (its compound head)"),
        ("4.1", "kvm_is_reserved_pfn()", "3.13 to 4.1: no struct page, or a reserved page, the zero page too"),
        ("4.2", "kvm_is_mmio_pfn()", "4.2 to 4.15: no struct page, or a reserved page that is not the zero page"),
        ("5.1", "kvm_is_mmio_pfn()", "4.16 to 5.1: "),
        ("6.16", "kvm_is_mmio_pfn()", "5.2 on: "),
        ("6.17", "__kvm_is_mmio_pfn()", "5.2 on: "),
    ],
)
def test_the_mmio_test_and_its_name_are_the_releases(ref: str, function: str, words: str) -> None:
    slot = Slot(0, 4096, "zero", backing=Backing(zero_page=True, reserved=True))
    step = step_of(explain_page(Evaluator(resolve(ref), Vm(), (slot,)), 0), "host MMIO")
    assert step.source.startswith(function)
    assert step.lines[1].startswith(f"test of {words}")
    assert step.result == ("yes" if ref in ("3.10", "4.1") else "no")


def test_where_4_3_reads_garbage_the_derivation_says_so() -> None:
    vm = Vm(noncoherent_dma=True)
    pairs = (*vm.mtrrs.variable[:7], VariableRange(6, 0x800))
    vm = vm._replace(mtrrs=vm.mtrrs._replace(fixed_enabled=True, variable=pairs))
    found = explain_page(Evaluator(resolve("4.3"), vm, (LARGE,)), 0x1000)
    assert step_of(found, "guest MTRR type").result == "unknown"
    assert "bytes of its own" in step_of(found, "guest MTRR type").lines[0]
    assert "guest MTRR type: unknown" in step_of(found, "inputs").lines
    assert step_of(found, "EPT byte").result == "unknown"
    assert found.answer.byte is None
    right = explain_page(Evaluator(resolve("4.4"), vm, (LARGE,)), 0x1000)
    assert step_of(right, "EPT byte").result == "0x00 (UC)"


@pytest.mark.parametrize(
    ("backing", "words"),
    [
        (Backing(), "has a struct page, is not reserved, and the host maps it WB"),
        (Backing(zero_page=True, reserved=True), "has a struct page, is zero page, and the host maps it WB"),
        (Backing(struct_page=False), "has no struct page, and e820 RAM covers it"),
        (Backing(struct_page=False, e820_ram=False), "has no struct page, and e820 RAM does not cover it"),
    ],
)
def test_the_host_page_in_words(backing: Backing, words: str) -> None:
    found = explain_page(Evaluator(resolve("v6.7"), Vm(), (Slot(0, PAGE, "s", backing=backing),)), 0)
    assert step_of(found, "host MMIO").lines[0] == f"the host page {words}"


FULL = (1 << 46) - (1 << 30) | 0x800
UC_OVER_WB = (VariableRange(6, (1 << 46) - (4 << 30) | 0x800), VariableRange(3 << 30, FULL))


@pytest.mark.parametrize(
    ("mtrrs", "gpa", "lines"),
    [
        (
            Mtrrs(True, False, MemType.WB, (MemType.UC,) * 88, UC_OVER_WB, 46),
            3 << 30,
            (
                "KVM: variable pair 1 (UC), then pair 0 (WB)",
                "the manual says UC: variable pair 0 (WB), then pair 1 (UC)",
            ),
        ),
        (
            Mtrrs(True, True, MemType.WB, (MemType.WP,) * 88, UC_OVER_WB, 46),
            0xFFFFF,
            ("KVM: a fixed range", "the manual agrees"),
        ),
        (
            Mtrrs(False, True, MemType.WB, (MemType.WP,) * 88, UC_OVER_WB, 46),
            0,
            ("KVM: MTRRs are disabled (E=0)", "the manual agrees"),
        ),
        (
            Mtrrs(True, False, MemType.WT, (MemType.WP,) * 88, (), 46),
            0,
            ("KVM: no range holds it: the default type", "the manual agrees"),
        ),
        (
            Mtrrs(True, False, MemType.UC, (MemType.UC,) * 88, (VariableRange(1, FULL), VariableRange(5, FULL)), 46),
            0,
            (
                "KVM: variable pair 1 (WP), then pair 0 (WC)",
                "the manual leaves it undefined: variable pair 0 (WC), then pair 1 (WP)",
            ),
        ),
    ],
)
def test_where_the_mtrr_type_comes_from(mtrrs: Mtrrs, gpa: int, lines: tuple[str, str]) -> None:
    vm = Vm(noncoherent_dma=True, mtrrs=mtrrs)
    found = explain_page(Evaluator(resolve("v6.7"), vm, (Slot(0, 4 << 30, "ram"),)), gpa)
    step = step_of(found, "guest MTRR type")
    assert (step.lines[0], step.lines[2]) == lines


def test_a_kernel_that_never_asks_says_so() -> None:
    found = explain_page(Evaluator(resolve("v6.16"), Vm(), (Slot(0, PAGE, "ram"),)), 0)
    step = step_of(found, "guest MTRR type")
    assert (step.result, step.lines) == ("not asked", ("6.11 on: guest MTRRs are stored and never looked at",))


def test_no_slot_has_one_step() -> None:
    found = explain_page(Evaluator(resolve("v6.16"), Vm(), (Slot(0, PAGE, "ram"),)), PAGE)
    ((about, result, lines, _),) = found.steps
    assert (about, result) == ("slot", "none")
    assert lines == ("no slot holds the address: the access exits to be emulated, there is no EPT entry",)


def test_without_paging_the_column_is_wb() -> None:
    found = explain_lookup(resolve("v6.7"), Facts(noncoherent_dma=True, guest_mtrr=MemType.WC), MemType.WB, False)
    step = step_of(found, "effective type")
    assert step.result == "WC (PAT WB)"
    assert step.lines[-1] == "guest CR0.PG=0: the PAT type is WB"


@pytest.mark.parametrize(("encoding", "ipat"), [(2, 0), (3, 1), (7, 0)])
def test_a_reserved_memory_type_leads_to_no_type(encoding: int, ipat: int) -> None:
    """The entry is a misconfiguration, whatever the PAT and ignore PAT say; a rule without a reason has no line."""
    rules = RuleSet("odd", "", (Rule("all", ALWAYS, Outcome(encoding << 3 | ipat << 6), ""),))
    kernel = kernel_for_rules(rules, "odd.yaml")
    for pat in (None, MemType.WC):
        found = explain_lookup(kernel, Facts(), pat)
        step = step_of(found, "effective type")
        assert (step.result, step.source) == ("none", 'SDM vol. 3, "EPT Misconfigurations"')
        assert step.lines == (f"memory type {encoding} is reserved: an access is an EPT misconfiguration, and exits",)
        assert "None" not in str(step_records(found.steps))
        assert step_of(found, "rule all").lines == (rules.rules[0].text,)


def test_steps_as_plain_data() -> None:
    step = Step("a", "b", ("c", "d"), "e")
    assert step_records([step]) == [{"step": "a", "result": "b", "text": ["c", "d"], "source": "e"}]
