# SPDX-License-Identifier: GPL-2.0-only
"""What else may have been so of a VM while its entries were recorded: states to test as the reason of an audit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple, TypeVar

from mtcalc.analysis.evaluate import Evaluator
from mtcalc.kvm.flags import QUIRKS, SLOT_FLAGS
from mtcalc.kvm.history import LEVEL_LIMITS, MMIO_TESTS, MTRR_LIMITS, WALKS, Row
from mtcalc.kvm.host_mmio import MMIO, RAM
from mtcalc.kvm.release import Version, before, newest, sort_key
from mtcalc.kvm.spte_eras import LAYOUTS, layout_at
from mtcalc.kvm.vm import Slot, Vm, reset_free_mtrrs
from mtcalc.rules.inputs import Input, said
from mtcalc.rules.kernel import Kernel, asks_guest_mtrr, kernel_at, version_text
from mtcalc.rules.proposals import PROPOSALS, on_top, proposal_on_top
from mtcalc.rules.releases import RELEASES, release_at
from mtcalc.rules.rule import inputs_read
from mtcalc.x86.ept import LEVEL_NAMES
from mtcalc.x86.memtype import MTRR_TYPES
from mtcalc.x86.mtrr import VariableRange

T = TypeVar("T")

_OLDEST: Version = (2, 6, 29)
"""The first release with MMU code that was read; SPTEs are known from it on."""


class State(NamedTuple):
    """Something else that may have been so."""

    code: str
    words: str
    evaluator: Evaluator
    ref: str = ""
    layout: int | None = None  # of a release: the layout that its entries have
    number: int = -1  # of a release: its place among those that are tested
    since: Version = ()  # of a release: the first and the last one that behave alike; None: the newest
    until: Version | None = None
    plus: str = ""  # of a release with a proposal's rules on top: '+NAME'


def _evaluator(kernel: Kernel, vm: Vm, slots: Sequence[Slot]) -> Evaluator | None:
    try:
        return Evaluator(kernel, vm, slots)
    except ValueError:  # more pairs than this kernel gives a guest, or what nobody said
        return None


def releases(base: Evaluator, slots: Sequence[Slot]) -> Iterator[State]:
    """Other releases, the nearest first, then the proposals; each release stands for those that behave as it does."""
    kernel = base.kernel
    named = version_text(kernel.release) if not kernel.proposal else kernel.ref
    plus = [proposal for proposal in PROPOSALS if kernel.rules.name.endswith(f"+{proposal.rules.name}")]
    rows: list[tuple[int, State]] = []
    starts = _starts()
    at = max((k for k, version in enumerate(starts) if sort_key(version) <= sort_key(kernel.release)), default=0)
    for k, version in enumerate(starts):
        until = _until(starts, k)
        shown = kernel.release if k == at else until if k < at and until is not None else version
        plain = kernel_at(shown, release_at(shown).rules, version_text(shown))
        others = [plain]
        for proposal in plus:
            try:
                others.append(on_top(plain, proposal)._replace(ref=f"{plain.ref}+{proposal.rules.name}"))
            except ValueError:
                continue
        for other in others:
            if k == at and other.rules.rules == kernel.rules.rules:
                continue
            evaluator = _evaluator(other, base.vm, slots)
            if evaluator is None:
                continue
            plus_of = f"+{other.ref.partition('+')[2]}" if "+" in other.ref else ""
            words = f"under {other.ref} ({other.rules.name}) instead of {named}"
            layout = LAYOUTS.index(layout_at(shown))
            rows.append((abs(k - at), State("rules", words, evaluator, other.ref, layout, k, version, until, plus_of)))
    yield from (state for _, state in sorted(rows, key=lambda row: row[0]))
    for proposal in PROPOSALS:
        if proposal.rules.name == kernel.rules.name or not _matters(proposal.rules.name, base, slots):
            continue
        try:
            known = proposal_on_top(proposal.rules.name)
            other = kernel if known is None else on_top(kernel, known)
        except ValueError:  # it does not go on top of this, or of nothing
            continue
        ref = f"{kernel.ref}+{proposal.rules.name}"
        evaluator = _evaluator(other._replace(ref=ref), base.vm, slots)
        if evaluator is not None:
            yield State("rules", f"under {ref} instead of {kernel.ref}", evaluator, ref)


def _matters(name: str, base: Evaluator, slots: Sequence[Slot]) -> bool:
    """Whether a proposal can make a difference in this VM."""
    if name == "kvm-mem-dma":
        return base.vm.mem_dma
    return any(slot.flags & SLOT_FLAGS["NON_COHERENT_DMA"] for slot in slots)


def _starts() -> list[Version]:
    """The releases at which anything changes that an audit sees, ascending; candidates left out."""
    found = {layout.era for layout in LAYOUTS}
    for older, row in pairwise(RELEASES):
        if row.rules != older.rules:
            found.add(row.since)
    found |= _changes(WALKS) | _changes(MMIO_TESTS) | _changes(MTRR_LIMITS) | _changes(LEVEL_LIMITS)
    plain = {version[:-1] if version[-1] == -1 else version for version in found}
    known = {version for version in plain if _OLDEST <= version <= newest()}
    return sorted(known, key=sort_key)


def _until(starts: Sequence[Version], k: int) -> Version | None:
    """The last release that behaves as the one at a place of _starts(), None: the newest. Of a stable one itself."""
    if k + 1 == len(starts):
        return None
    return max(starts[k], before(starts[k + 1]), key=sort_key)


def _changes(rows: Sequence[Row[T]]) -> set[Version]:
    return {row.since for older, row in pairwise(rows) if row.what != older.what}


def _toggle_list(base: Evaluator) -> list[tuple[str, Callable[[Vm], Vm]]]:
    """The inputs of the VM the other way, of those that the kernel reads: words, and the change."""
    kernel, vm = base.kernel, base.vm
    read = {item.name for rules in (kernel.rules, kernel.mmio_test) for item in inputs_read(rules)}
    found: list[tuple[str, Callable[[Vm], Vm]]] = []
    if "noncoherent_dma" in read or kernel.split_when is not None:
        text = "with" if not vm.noncoherent_dma else "without"
        found.append(
            (
                f"{text} non-coherent DMA (vm.noncoherent_dma: {_yes(not vm.noncoherent_dma)})",
                lambda vm: vm._replace(noncoherent_dma=not vm.noncoherent_dma),
            )
        )
    for item in inputs_read(kernel.rules):
        if item.name != "quirk" or kernel.quirks_off & QUIRKS[item.arg]:
            continue
        bit = QUIRKS[item.arg]
        text = "in force" if vm.disabled_quirks & bit else "disabled"
        found.append((f"with quirk {item.arg} {text}", _flipped_quirk(bit)))
    if "cr0_cd" in read:
        found.append(
            (
                f"with guest CR0.CD={int(not vm.cr0_cd)} (guest.cr0.cd: {_yes(not vm.cr0_cd)})",
                lambda vm: vm._replace(cr0_cd=not vm.cr0_cd),
            )
        )
    if "self_snoop" in read:
        text = "without" if vm.self_snoop else "with"
        found.append(
            (f"{text} self-snoop (host.self_snoop: {_yes(not vm.self_snoop)})",
             lambda vm: vm._replace(self_snoop=not vm.self_snoop))
        )  # fmt: skip
    if "mem_dma" in read:
        found.append((f"with {said(Input('mem_dma'), not vm.mem_dma)}", lambda vm: vm._replace(mem_dma=not vm.mem_dma)))
    if "host_pat" in read:
        text = "off" if vm.host_pat else "on"
        found.append(
            (f"with the host's PAT {text} (host.pat_enabled)", lambda vm: vm._replace(host_pat=not vm.host_pat))
        )
    return found


def _yes(value: bool) -> str:
    return "true" if value else "false"


def _flipped_quirk(bit: int) -> Callable[[Vm], Vm]:
    return lambda vm: vm._replace(disabled_quirks=vm.disabled_quirks ^ bit)


def toggles(base: Evaluator, slots: Sequence[Slot]) -> Iterator[State]:
    for words, change in _toggle_list(base):
        evaluator = _evaluator(base.kernel, change(base.vm), slots)
        if evaluator is not None:
            yield State("vm", words, evaluator)


def two(base: Evaluator, slots: Sequence[Slot]) -> Iterator[State]:
    for (one, change), (two, other) in combinations(_toggle_list(base), 2):
        evaluator = _evaluator(base.kernel, other(change(base.vm)), slots)
        if evaluator is not None:
            yield State("vm", f"{one} and {two}", evaluator)


def mtrr_states(base: Evaluator, slots: Sequence[Slot]) -> Iterator[State]:
    """MTRRs as they may have been before: the registers are written one after the other."""
    kernel, vm = base.kernel, base.vm
    if not asks_guest_mtrr(kernel):
        return
    mtrrs = vm.mtrrs
    rows: list[tuple[str, Vm]] = []
    if mtrrs.enabled:
        rows.append(("with the guest's MTRRs off (E=0)", vm._replace(mtrrs=mtrrs._replace(enabled=False))))
    else:
        rows.append(("with the guest's MTRRs on (E=1)", vm._replace(mtrrs=mtrrs._replace(enabled=True))))
        rows.append(("with MTRRs in the guest's CPUID the other way", vm._replace(cpuid_mtrr=not vm.cpuid_mtrr)))
    rows.append(("with MTRRs of default WB and no ranges", vm._replace(mtrrs=reset_free_mtrrs(mtrrs.maxphyaddr))))
    fixed = "off" if mtrrs.fixed_enabled else "on"
    rows.append(
        (f"with the fixed MTRRs {fixed}", vm._replace(mtrrs=mtrrs._replace(fixed_enabled=not mtrrs.fixed_enabled)))
    )
    off = VariableRange(0, 0)
    rows += [
        (f"with MTRR default type {kind}", vm._replace(mtrrs=mtrrs._replace(default=kind)))
        for kind in MTRR_TYPES
        if kind != mtrrs.default
    ]
    valid = [n for n, pair in enumerate(mtrrs.variable) if pair.valid]
    if valid:
        none = mtrrs._replace(variable=(off,) * len(mtrrs.variable))
        rows.append(("without variable MTRRs", vm._replace(mtrrs=none)))
    for n in valid:
        without = (*mtrrs.variable[:n], off, *mtrrs.variable[n + 1 :])
        rows.append((f"without variable MTRR {n}", vm._replace(mtrrs=mtrrs._replace(variable=without))))
    for n in valid:
        for kind in MTRR_TYPES:
            pair = mtrrs.variable[n]
            if kind != pair.memtype:
                other = pair._replace(base=pair.base & ~0xFF | kind)
                changed = (*mtrrs.variable[:n], other, *mtrrs.variable[n + 1 :])
                words = f"with variable MTRR {n} of type {kind}"
                rows.append((words, vm._replace(mtrrs=mtrrs._replace(variable=changed))))
    for words, other_vm in rows:
        evaluator = _evaluator(kernel, other_vm, slots)
        if evaluator is not None:
            yield State("mtrr", words, evaluator)


def slot_states(base: Evaluator, slot: Slot, most: int) -> Iterator[State]:
    """What else may be so of one slot; `most`: the level of leaves that its pages do not allow, 0 for none."""
    backing = slot.backing
    mmio = base.facts(slot, slot.gpa).mmio
    kernel = base.kernel
    rows: list[tuple[str, str, Slot]] = []
    if mmio:
        other = RAM._replace(page_level=backing.page_level)
        rows.append(("mmio", "if it is no host MMIO (backing: ram)", slot._replace(backing=other)))
    else:
        other = MMIO._replace(page_level=backing.page_level)
        rows.append(("mmio", "if it is host MMIO (backing: mmio)", slot._replace(backing=other)))
    read = {item.arg for item in inputs_read(kernel.rules) if item.name == "slot_flag"}
    for name, bit in SLOT_FLAGS.items():
        if name in read or (name == "LOG_DIRTY_PAGES" and slot.flags & bit):
            text = "without" if slot.flags & bit else "with"
            rows.append(("slot", f"{text} slot flag {name}", slot._replace(flags=slot.flags ^ bit)))
    if most:
        larger = backing._replace(page_level=most)
        size = LEVEL_NAMES[most]
        rows.append(("level", f"if the host maps it in pages of {size} (page_size)", slot._replace(backing=larger)))
        if slot.hva is not None:
            rows.append(("level", "with another host address (hva)", slot._replace(hva=None)))
            both = slot._replace(hva=None, backing=larger)
            rows.append(("level", f"with another host address, and host pages of {size}", both))
    for code, words, changed in rows:
        evaluator = _evaluator(kernel, base.vm, [changed])
        if evaluator is not None:
            yield State(code, words, evaluator)
