# SPDX-License-Identifier: GPL-2.0-only
"""The derivation of one answer, step by step, each step with its source."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mtcalc.analysis.answer import UNKNOWN, Answer, notes_of_each
from mtcalc.analysis.evaluate import NO_SLOT, NO_SLOT_BUT_SMM, NO_SLOT_NPT, Evaluator
from mtcalc.analysis.lookup import lookup
from mtcalc.analysis.steps import Step
from mtcalc.kvm.flags import SLOT_FLAGS, flag_names
from mtcalc.kvm.guest_mtrr import kvm_lookup
from mtcalc.kvm.history import LEVEL_LIMITS, MMIO_TESTS, MTRR_LIMITS, WALKS, row_at
from mtcalc.kvm.mapping_level import is_determined
from mtcalc.kvm.versions import WALK_WORDS, MtrrWalk
from mtcalc.kvm.vm import Slot
from mtcalc.rules.condition import condition_text, reason_text, value_text
from mtcalc.rules.inputs import E820_RAM, GUEST_MTRR, HOST_TYPE, Facts, Input, input_words, value_of
from mtcalc.rules.kernel import Kernel, from_the_start
from mtcalc.rules.releases import source_text
from mtcalc.rules.rule import inputs_read
from mtcalc.rules.trace import trace
from mtcalc.x86.ept import LEVEL_NAMES, mask_text, split_mask
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, MemType
from mtcalc.x86.mtrr import MtrrLookup, Mtrrs, manual_lookup
from mtcalc.x86.pat import Pat

if TYPE_CHECKING:
    from mtcalc.analysis.l2 import L2Page

SDM_EFFECTIVE = 'SDM vol. 3, "Memory Type Used for Translated Guest-Physical Addresses"'
SDM_PAT = 'SDM vol. 3, "Page Attribute Table (PAT)"'
SDM_MISCONFIGURED = 'SDM vol. 3, "EPT Misconfigurations"'
SDM_MTRR = 'SDM vol. 3, "MTRR Precedences"'


class Explanation(NamedTuple):
    """The steps, and the answer they lead to."""

    steps: tuple[Step, ...]
    answer: Answer
    l2: L2Page | None = None  # what the answer is for: a page of L2, in the L1 page that it speaks of


def explain_lookup(
    kernel: Kernel, facts: Facts, pat: MemType | None = None, paging: bool = True, guest_pat: Pat | None = None
) -> Explanation:
    """The derivation of a what-if. `pat` None: for all six types. `guest_pat` and what it raises as in lookup()."""
    pats = PAT_TYPES if pat is None else (pat,)
    answer = lookup(kernel, facts, pats, paging, guest_pat=guest_pat)
    answer = answer._replace(notes=notes_of_each(answer))
    given = answer.facts or facts  # with the quirks as the kernel starts a VM
    if kernel.npt is not None:
        from mtcalc.analysis.npt_explain import npt_steps

        return Explanation(tuple(npt_steps(kernel, from_the_start(kernel, facts), answer, paging, guest_pat)), answer)
    return Explanation((_inputs_step(kernel, given), *_decision_steps(kernel, given, answer, paging)), answer)


def explain_page(
    evaluator: Evaluator,
    gpa: int,
    pat: MemType | None = None,
    private: bool | None = None,
    index: int | None = None,
) -> Explanation:
    """The derivation of what Evaluator.page() answers for one guest address in bytes. Raises ValueError as it does."""
    answer = evaluator.page(gpa, pat, private, index)
    kernel, vm = evaluator.kernel, evaluator.vm
    if answer.slot is None or answer.facts is None or answer.level is None:
        return Explanation((_no_slot_step(evaluator, gpa),), answer)
    if kernel.npt is not None:
        from mtcalc.analysis.npt_explain import guest_mtrr_step, npt_steps

        of_page = [
            _slot_step(answer.slot),
            _mmio_step(kernel, answer.slot, answer.facts, vm.host_pat),
            guest_mtrr_step(),
            *npt_steps(kernel, evaluator.facts(answer.slot, gpa), answer, vm.paging, vm.pat, index),
            _level_step(evaluator, answer.slot, answer.level, gpa),
        ]
        return Explanation(tuple(of_page), answer)
    steps = [
        _slot_step(answer.slot),
        _mmio_step(kernel, answer.slot, answer.facts, vm.host_pat),
        _mtrr_step(evaluator, gpa, answer),
        _inputs_step(kernel, answer.facts),
        *_decision_steps(kernel, answer.facts, answer, vm.paging),
        _level_step(evaluator, answer.slot, answer.level, gpa),
    ]
    return Explanation(tuple(steps), answer)


def _slot_step(slot: Slot) -> Step:
    flags = ", ".join(flag_names(slot.flags, SLOT_FLAGS)) or "no flags"
    lines = (f"slot {slot.id} holds {slot.gpa:#x} to {slot.end - 1:#x}, {flags}",)
    return Step("slot", slot.name, lines, "KVM_SET_USER_MEMORY_REGION")


def _no_slot_step(evaluator: Evaluator, gpa: int) -> Step:
    smm = evaluator.smm_slot(gpa)
    source = "KVM_SET_USER_MEMORY_REGION: a page in no slot is emulated MMIO"
    if smm is None:
        return Step("slot", "none", ((NO_SLOT if evaluator.kernel.npt is None else NO_SLOT_NPT).text,), source)
    seen = f"address space 1, which a vCPU in SMM sees, has one here: {smm.name}"
    return Step("slot", "none in address space 0", (NO_SLOT_BUT_SMM.text, seen), source)


def _mmio_step(kernel: Kernel, slot: Slot, facts: Facts, host_pat: bool) -> Step:
    backing, test = slot.backing, kernel.mmio_test
    asked = inputs_read(test)
    reserved = backing.struct_page and backing.reserved and not backing.zero_page
    if backing.struct_page:
        kind = "zero page" if backing.zero_page else "reserved" if backing.reserved else "not reserved"
        page = f"the host page has a struct page, is {kind}, and the host maps it {backing.host_type}"
    else:
        page = f"the host page has no struct page, and e820 RAM {'covers' if backing.e820_ram else 'does not cover'} it"
    if reserved and HOST_TYPE not in asked:
        page += ", which this test does not ask"
    elif reserved and not host_pat:
        page += "; but the host's PAT is off, and then every reserved page is MMIO"
    elif not backing.struct_page and E820_RAM not in asked:
        page += ", which this test does not ask"
    lines = (page, f"test of {test.title}")
    source = test.sources[0] if test.sources else row_at(MMIO_TESTS, kernel.release).source
    return Step("host MMIO", "yes" if facts.mmio else "no", lines, source)


def lookup_words(found: MtrrLookup, mtrrs: Mtrrs) -> str:
    """Where an MTRR lookup found its answer, in words."""
    if found.via == "disabled":
        return "MTRRs are disabled (E=0)"
    if found.via == "fixed":
        return "a fixed range"
    if found.via == "misread":
        return "another byte than that of the fixed range (misread)"
    if found.via == "garbage":
        return "bytes of its own in place of the fixed range: the type is unknown"
    if found.via == "default":
        return "no range holds it: the default type"
    pairs = ", then ".join(f"pair {n} ({mtrrs.variable[n].memtype})" for n in found.pairs)
    return f"variable {pairs}"


def _mtrr_step(evaluator: Evaluator, gpa: int, answer: Answer) -> Step:
    kernel, vm = evaluator.kernel, evaluator.vm
    if kernel.mtrr_walk is MtrrWalk.NONE or answer.guest_mtrr is None:
        return Step("guest MTRR type", "not asked", (WALK_WORDS[kernel.mtrr_walk],), "commit 0a7b73559b39")
    found = kvm_lookup(evaluator.kvm_mtrrs, gpa, kernel.mtrr_walk, vm.cpuid_mtrr)
    manual = manual_lookup(vm.mtrrs, gpa)
    if kernel.mtrr_walk is MtrrWalk.V4_1:
        lines = [f"KVM: {_words_4_1(found, vm.mtrrs)}", f"walk: {WALK_WORDS[kernel.mtrr_walk]}"]
    else:
        lines = [f"KVM: {lookup_words(found, vm.mtrrs)}", f"walk of {WALK_WORDS[kernel.mtrr_walk]}"]
    if manual.memtype == found.memtype:
        lines.append("the manual agrees")
    else:
        says = "leaves it undefined" if manual.memtype is None else f"says {manual.memtype}"
        lines.append(f"the manual {says}: {lookup_words(manual, vm.mtrrs)}")
    if found.via == "disabled" and kernel.mtrr_walk is MtrrWalk.V4_4:
        lines.append(f"the guest's CPUID has {'MTRRs' if vm.cpuid_mtrr else 'no MTRRs'}: {answer.guest_mtrr}")
    where = row_at(WALKS, kernel.release).source
    return Step("guest MTRR type", answer.guest_mtrr, tuple(lines), f"{where}; {SDM_MTRR}")


def _words_4_1(found: MtrrLookup, mtrrs: Mtrrs) -> str:
    """Where the walk of 4.1 and before found its answer: pairs in register order, UC with any other at once UC.

    Source: get_mtrr_type(), identical in 2.6.29 to 4.1.
    """
    if found.via == "disabled":
        return "both enables are off (E=0, FE=0)"
    if found.via == "fixed":
        return f"a fixed range, which {'E' if mtrrs.enabled else 'FE alone'} turns on"
    if found.via == "default":
        why = "no pair matches" if mtrrs.enabled else "E=0, and the address is not under 1M with FE=1"
        return f"{why}: the default type"
    visited: list[str] = []
    types: set[MemType] = set()
    for n in sorted(found.pairs):
        visited.append(f"pair {n} ({mtrrs.variable[n].memtype})")
        types.add(mtrrs.variable[n].memtype)
        # UC answers at once beside another that matches, and so does a conflict, as UC.
        if len(visited) > 1 and (MemType.UC in types or (len(types) > 1 and types != _WB_WT)):
            break
    words = f"variable {', then '.join(visited)}"
    if len(types) == 1:
        return words
    if MemType.UC in types:
        return f"{words}: UC with any other is UC"
    return f"{words}: {'WB with WT is WT' if types == _WB_WT else 'types that conflict are UC'}"


_WB_WT = {MemType.WB, MemType.WT}


def _inputs_step(kernel: Kernel, facts: Facts) -> Step:
    read = inputs_read(kernel.rules)
    lines = tuple(f"{input_words(item)}: {_input_value(item, facts)}" for item in read)
    sources = "; ".join(map(source_text, kernel.rules.sources))
    return Step("inputs", f"{len(read)} read by {kernel.rules.name}", lines, sources)


def _input_value(item: Input, facts: Facts) -> str:
    if item == GUEST_MTRR and facts.guest_mtrr is None:
        return UNKNOWN
    return value_text(value_of(item, facts))


def _decision_steps(kernel: Kernel, facts: Facts, answer: Answer, paging: bool) -> list[Step]:
    steps = []
    if answer.guest_mtrr == UNKNOWN:
        facts = facts._replace(guest_mtrr=MemType.UC)  # the walk through the rules does not hang on it
    for step in trace(kernel.rules, facts).trace:
        because = ", ".join(reason_text(item, value) for item, value in step.because)
        result = "matches" if step.matched else "passed over"
        lines = [f"{step.rule.text}"]
        if because:
            lines.append(f"because {because}")
        if step.matched and step.rule.why:
            lines.append(step.rule.why)
        steps.append(Step(f"rule {step.rule.id}", result, tuple(lines), source_text(step.rule.source)))
    byte = answer.byte
    if byte is None:
        why = "it is the guest MTRR type, which is unknown"
        return [*steps, Step("EPT byte", "unknown", (why,), "vmx_get_mt_mask()")]
    encoding, ipat = split_mask(byte)
    layout = f"memory type {encoding} in bits 5:3, ignore-PAT {int(ipat)} in bit 6"
    by = answer.rule.source if answer.rule and facts.private else "vmx_get_mt_mask()"
    steps.append(Step("EPT byte", f"{byte:#04x} ({mask_text(byte)})", (layout,), by))
    steps.append(_effective_step(answer, ipat, paging))
    return steps


def _effective_step(answer: Answer, ipat: bool, paging: bool) -> Step:
    if answer.memtype not in MTRR_TYPES:
        why = f"memory type {answer.memtype} is reserved: an access is an EPT misconfiguration, and exits"
        return Step("effective type", "none", (why,), SDM_MISCONFIGURED)
    if ipat:
        return Step(
            "effective type", types_text(answer), ("ignore PAT is set: the EPT type, whatever the PAT",), SDM_EFFECTIVE
        )
    row = mask_text(answer.byte or 0)
    lines = [f"row EPT {row} of the table of effective types, column the page's PAT type"]
    if not paging:
        lines.append("guest CR0.PG=0: the PAT type is WB")
    return Step("effective type", types_text(answer), tuple(lines), f"{SDM_EFFECTIVE}; {SDM_PAT}")


def types_text(answer: Answer) -> str:
    """Each PAT type with the effective type: 'UC* (PAT WT)', 'none (PAT WC)'."""
    star = {pat: "*" if kind is not None and answer.starred(pat) else "" for pat, kind in answer.effective}
    return ", ".join(f"{'none' if kind is None else kind}{star[pat]} (PAT {pat})" for pat, kind in answer.effective)


def _level_step(evaluator: Evaluator, slot: Slot, level: int, gpa: int) -> Step:
    lines = [f"not {LEVEL_NAMES[above]}: {why}" for above, why in evaluator.level_obstacles(slot, gpa)]
    if evaluator.kernel.split_when is not None and evaluator.split_mtrrs is None:
        lines.append(f"the guest's MTRRs do not limit it (they do when {condition_text(evaluator.kernel.split_when)})")
    result = LEVEL_NAMES[level]
    if not is_determined(slot, level):
        result = f"at most {result}"
        if slot.backing.page_level is None:
            lines.append("the host's own page size may limit it further (backing: page_size says it)")
        else:
            lines.append("a host address not congruent with the guest's may limit it further (hva says it)")
    release = evaluator.kernel.release
    sources = f"{row_at(MTRR_LIMITS, release).source}; {row_at(LEVEL_LIMITS, release).source}"
    return Step("mapping level", result, tuple(lines), f"kvm_mmu_max_mapping_level(); {sources}")
