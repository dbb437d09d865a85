# SPDX-License-Identifier: GPL-2.0-only
"""The derivation of what a page of L2 gets: that of L1's page, with the steps that are L2's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mtcalc.analysis.answer import Answer
from mtcalc.analysis.evaluate import Evaluator, on_vms_platform
from mtcalc.analysis.explain import Explanation, explain_lookup, explain_page, types_text
from mtcalc.analysis.l2 import L2Page, L2Pats, chains, l2_page, l2_pats
from mtcalc.analysis.npt_explain import entry_steps
from mtcalc.analysis.steps import Step
from mtcalc.kvm.flags import ALL_QUIRK_BITS
from mtcalc.kvm.history import LEVEL_LIMITS, row_at
from mtcalc.kvm.nested import NESTED_TABLES, L2Pat, PatRule, pat_rule
from mtcalc.kvm.notes import Note
from mtcalc.kvm.quirks import OF_L2
from mtcalc.kvm.release import sort_key
from mtcalc.kvm.versions import Vendor, VmType
from mtcalc.kvm.vm import Slot, Vm
from mtcalc.rules.inputs import CR0_CD, Facts
from mtcalc.rules.kernel import Kernel, version_text
from mtcalc.rules.rule import inputs_read
from mtcalc.x86.ept import LEVEL_NAMES
from mtcalc.x86.memtype import PAT_TYPES, MemType, npt_type_words
from mtcalc.x86.npt import SOURCE
from mtcalc.x86.pat import LINUX_PAT, Pat

_OF_L1 = ("slot", "host MMIO", "guest MTRR type")
_L2S_OWN = ("effective type", "mapping level")  # the steps in front of which L2's stand
_SHADOW = "FNAME(fetch), paging_tmpl.h; guest MTRRs limit tdp_page_fault() alone"


class Setting(NamedTuple):
    """What stands around the L1 page that holds L2's."""

    kernel: Kernel
    vm: Vm
    pats: L2Pats


def l2_setting(kernel: Kernel, vm: Vm, own: Pat | None = None) -> Setting:
    """Kernel and VM as they are for the tables that L0 has for L2; `own`: the PAT in vmcs12 or vmcb12.

    Raises ValueError for a VM that runs no guests of its own: a TD, an SNP guest, one with CR0.PG=0.
    """
    if vm.type is not VmType.NORMAL:
        kind = {VmType.TD: "a TD", VmType.SNP: "an SNP guest"}[vm.type]
        raise ValueError(f"nothing is known of guests inside {kind}")
    if not vm.paging:
        raise ValueError("CR0.PG of the guest is 0, and such a guest runs no guests of its own")
    kernel = on_vms_platform(kernel, vm)
    pats = l2_pats(kernel, vm.disabled_quirks, own, vm.pat)
    quirks = _other_quirks(pats, vm.disabled_quirks)
    of_l2 = pats.seen or pats.counts or LINUX_PAT
    # The guest's MTRRs limit the mapping level in L1's own tables alone.
    return Setting(kernel._replace(split_when=None), vm._replace(pat=of_l2, disabled_quirks=quirks), pats)


def _other_quirks(pats: L2Pats, disabled: int) -> int:
    """Without the quirk that decides here, of which notes would say that nothing hangs on it."""
    return disabled if pats.shared is None else disabled & ~ALL_QUIRK_BITS[OF_L2]


def explain_l2(
    kernel: Kernel, facts: Facts, pat: MemType | None = None, paging: bool = True, own: Pat | None = None
) -> Explanation:
    """The derivation of a what-if for a page of L2: `facts` are of the L1 page, `pat` and `paging` (CR0.PG) are L2's.

    `own`: the PAT that vmcs12 loads, or vmcb12 has. Raises UnknownInput as lookup() does.
    """
    pats = l2_pats(kernel, facts.disabled_quirks, own)
    given = facts._replace(disabled_quirks=_other_quirks(pats, facts.disabled_quirks))
    found = explain_lookup(kernel, given, pat, paging, pats.seen or pats.counts)
    where = _where_step(kernel, "in an L1 page of these inputs")
    return _for_l2(found, given, pats, where, paging, own is not None, l1_said=False)


def explain_l2_page(
    evaluator: Evaluator, gpa: int, pats: L2Pats, pat: MemType | None = None, own_said: bool = False
) -> Explanation:
    """The derivation for a page of L2 that lies in the L1 page at `gpa` (bytes); `evaluator` has an l2_setting().

    `own_said`: whether L2's own PAT was given. Raises ValueError as Evaluator.page() does.
    """
    found = explain_page(evaluator, gpa, pat)
    where = _where_step(evaluator.kernel, f"in L1's page {gpa:#x}")
    slot, level = found.answer.slot, found.answer.level
    if slot is None or level is None:
        page = l2_page(found.answer, pats, PAT_TYPES if pat is None else (pat,))
        return Explanation((where, *found.steps), found.answer, page)
    facts = evaluator.facts(slot, gpa)
    found = _for_l2(found, facts, pats, where, True, own_said, l1_said=True)
    last = _level_step(evaluator, slot, level, gpa)
    return found._replace(steps=(*(step for step in found.steps if step.about != last.about), last))


def _where_step(kernel: Kernel, result: str) -> Step:
    table, source = ("EPT12", "nested_ept_init_mmu_context()")
    if kernel.npt is not None:
        table, source = ("NPT12", "nested_svm_init_mmu_context()")
    lines = (
        "L1 is the guest of these rules, and L2 the guest that L1 runs",
        f"{table}, the tables that L1 has for L2, map L2's page to the L1 page",
    )
    return Step("L2's page", result, lines, source)


def _for_l2(
    found: Explanation, facts: Facts, pats: L2Pats, where: Step, paging: bool, own_said: bool, l1_said: bool
) -> Explanation:
    """The derivation for L1's page, made that for L2's; `facts`: before the host's MTRR type was filled in."""
    answer = found.answer
    asked = tuple(kind for kind, _ in answer.effective)
    page = l2_page(answer, pats, asked, paging)
    ours = [_l1s_step(answer.kernel), _pat_step(answer.kernel, page, paging, own_said)]
    if answer.kernel.npt is None:
        result = types_text(answer._replace(effective=page.effective))
        told = (step._replace(result=result) if _lacks(page, step) else step for step in found.steps)
        steps = [where, *_with_ours(tuple(told), ours)]
    else:
        ways = chains(answer.kernel, facts, page.types, paging)
        result = types_text(answer._replace(effective=page.effective))
        steps = [where, *(step for step in found.steps if step.about in _OF_L1)]
        steps += entry_steps(answer.kernel, facts, ways, ours)
        steps.append(Step(_L2S_OWN[0], result, npt_type_words(kind for _, kind in page.effective), SOURCE))
    notes = (*answer.notes, *_notes(answer, facts, page, paging, own_said, l1_said))
    answer = answer._replace(effective=page.effective, notes=notes)
    return Explanation(tuple(steps), answer, page)


def _lacks(page: L2Page, step: Step) -> bool:
    """Whether a step names effective types that no page of L2 can have."""
    return step.about == _L2S_OWN[0] and any(kind.memtype is None for kind in page.types)


def _with_ours(steps: tuple[Step, ...], ours: list[Step]) -> Iterator[Step]:
    """The steps, L2's in front of the effective type, or where that is not to be known behind the byte."""
    left = list(ours)
    for step in steps:
        if step.about in _L2S_OWN and left:
            yield from left
            left = []
        yield step
    yield from left


def _l1s_step(kernel: Kernel) -> Step:
    if kernel.npt is None:
        lines = (
            "L0 checks that the type in EPT12 is a valid one, and copies neither it nor the ignore-PAT bit",
            "EPT02, which the CPU walks for L2, has L0's byte for the L1 page (above)",
            "taken so: L1 runs L2 with EPT12, not with page tables that it shadows",
        )
        return Step(
            "L1's EPT12",
            "the type that L1 chose there does not count",
            lines,
            "make_spte(); the check: __reset_rsvds_bits_mask_ept()",
        )
    lines = (
        "L0 copies neither PWT nor PCD nor PAT of NPT12",
        "NPT02, which the CPU walks for L2, has L0's entry for the L1 page (above)",
        "taken so: L1 runs L2 with NPT12, not with page tables that it shadows",
    )
    return Step(
        "L1's NPT12", "the type that L1 chose there does not count", lines, "make_spte(); kvm_init_shadow_npt_mmu()"
    )


def _pat_step(kernel: Kernel, page: L2Page, paging: bool, own_said: bool) -> Step:
    row = pat_rule(kernel.release, kernel.npt)
    result = ", ".join(f"{'none' if kind.memtype is None else kind.memtype} (PAT {kind.asked})" for kind in page.types)
    if not paging:
        return Step("L2's PAT type", result, ("L2's CR0.PG=0: the PAT memory type is WB",), row.source)
    return Step("L2's PAT type", result, tuple(_pat_lines(row.what, page, own_said)), row.source)


def _pat_lines(rule: PatRule, page: L2Page, own_said: bool) -> Iterator[str]:
    pats = page.pats
    held = "" if pats.counts is None else f", {pats.counts.value:#018x}"
    yield f"the PAT that counts: {rule.value}"
    if pats.of is L2Pat.VMCS12:
        yield f"here vmcs12's{held}"
    elif rule is PatRule.ENTRY_CONTROL:
        yield f"here L1's{held}: vmcs12 is taken to load none (--l2-pat says what it loads)"
    elif pats.of is L2Pat.VMCB12:
        off = f"quirk {OF_L2} is disabled"
        yield f"here vmcb12's{held}: {off}" if own_said else f"here vmcb12's: {off} (--l2-pat says what it has)"
    elif pats.of is L2Pat.HARDWARE:
        yield f"here the hardware's{held}"
    else:
        yield f"here L1's{held}"
    if pats.seen is None:
        yield "--pat is the type that the page of L2 has in that PAT"
        return
    yield f"--pat is the type that L2 has in its own PAT, {pats.seen.value:#018x}"
    for kind in page.types:
        if kind.memtype is None:
            yield f"no entry of it has {kind.asked}: no page can be of that type"
        elif pats.seen != pats.counts:
            yield f"{kind.asked} is entry {kind.pat_index} there, and {kind.memtype} in the PAT that counts"


def _level_step(evaluator: Evaluator, slot: Slot, level: int, gpa: int) -> Step:
    lines = [f"not {LEVEL_NAMES[above]}: {why}" for above, why in evaluator.level_obstacles(slot, gpa)]
    lines.append("L1's MTRRs do not limit it in the tables for L2, in any release")
    if level > 1:
        lines.append("the page size that L1 has in its own tables, and the host's, may limit it further")
    result = LEVEL_NAMES[level] if level == 1 else f"at most {LEVEL_NAMES[level]}"
    source = f"{_SHADOW}; {row_at(LEVEL_LIMITS, evaluator.kernel.release).source}"
    return Step("mapping level", result, tuple(lines), source)


def _notes(answer: Answer, facts: Facts, page: L2Page, paging: bool, own_said: bool, l1_said: bool) -> Iterator[Note]:
    kernel, pats = answer.kernel, page.pats
    vendor = Vendor.INTEL if kernel.npt is None else Vendor.AMD
    first, name = NESTED_TABLES[vendor]
    if sort_key(kernel.release) < sort_key(first):
        text = f"{version_text(kernel.release)} gives L1 no {name} (first in {version_text(first)}, unconfirmed)"
        yield Note("l2-nested", f"{text}: L2 then runs on page tables that L1 shadows")
    if facts.cr0_cd or (kernel.npt is None and CR0_CD in inputs_read(kernel.rules)):
        yield Note("l2-cd", "the CR0.CD that counts is that of the vCPU while it runs L2 (unconfirmed)")
    if not paging or kernel.npt is None:
        return
    if not own_said and pats.of is not L2Pat.VMCB12:
        yield Note("l2-pat", "L2's own PAT is taken to be as L1's (--l2-pat says what vmcb12 has in g_pat)")
    if not l1_said and pats.of is L2Pat.L1 and pats.counts is not None:
        yield Note("l2-pat", f"L1's PAT is taken as Linux's, {LINUX_PAT.value:#018x} (a scenario's guest.pat says it)")
    changed = [kind for kind in page.types if kind.memtype not in (None, kind.asked)]
    if changed:
        words = ", ".join(f"{kind.asked} is {kind.memtype}" for kind in changed)
        yield Note("l2-pat", f"L2 does not get the types of its own PAT: {words}")
