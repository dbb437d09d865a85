# SPDX-License-Identifier: GPL-2.0-only
"""Why recorded leaves are not what the rules say: which other state of the VM, rule set or release fits them.

A state is tested as a whole: it is a reason where every leaf fits it, those that match included. Where only those fit
that do not match, the VM had both states while it was recorded, and the entries of the other one are stale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple, TypeVar

from mtcalc.analysis.audit_entries import Cell, Tally, Told, Trace
from mtcalc.analysis.evaluate import Evaluator
from mtcalc.kvm.flags import QUIRKS, SLOT_FLAGS
from mtcalc.kvm.history import LEVEL_LIMITS, MMIO_TESTS, MTRR_LIMITS, WALKS, Row
from mtcalc.kvm.host_mmio import MMIO, RAM
from mtcalc.kvm.mapping_level import mapping_level
from mtcalc.kvm.recorded import Recorded
from mtcalc.kvm.release import Version, newest, sort_key
from mtcalc.kvm.spte_eras import LAYOUTS, layout_at
from mtcalc.kvm.vm import Slot, Vm, reset_free_mtrrs
from mtcalc.rules.inputs import Facts, Input, said
from mtcalc.rules.kernel import Kernel, asks_guest_mtrr, kernel_at, version_text
from mtcalc.rules.proposals import PROPOSALS, on_top, proposal_on_top
from mtcalc.rules.releases import RELEASES, release_at
from mtcalc.rules.rule import decide, inputs_read
from mtcalc.x86.ept import LEVEL_NAMES
from mtcalc.x86.memtype import MTRR_TYPES, MemType
from mtcalc.x86.mtrr import VariableRange

T = TypeVar("T")

_OLDEST: Version = (2, 6, 29)
"""The first release with MMU code that was read; SPTEs are known from it on."""


class Leaf(NamedTuple):
    """Leaves of one cell in a slot, beside what the rules say of them."""

    cell: Cell
    slot: Slot
    gpa: int  # of the first one's page, bytes
    address_space: int
    level: int
    told: Told
    wanted: int
    most: int  # the highest level that its page can be mapped at
    fits: bool
    total: int
    first: Recorded


class Reason(NamedTuple):
    """Why entries do not match. `code` is rules, vm, mmio, slot, level, mtrr, stale, era, odd, not-ept or unknown."""

    code: str
    text: str
    also: tuple[str, ...] = ()  # other states that fit as well
    ref: str = ""  # the release or rule set that fits
    facts: Facts | None = None  # of the example, in the state that fits
    kernel: Kernel | None = None  # whose rules `facts` are for

    @property
    def key(self) -> tuple[str, str]:
        """What tells reasons apart: not the example's facts."""
        return self.code, self.text


def _by_slots(leaves: Sequence[Leaf]) -> dict[Slot, list[Leaf]]:
    found: dict[Slot, list[Leaf]] = {}
    for leaf in leaves:
        found.setdefault(leaf.slot, []).append(leaf)
    return found


class State(NamedTuple):
    """Something else that may have been so."""

    code: str
    words: str
    evaluator: Evaluator
    ref: str = ""
    layout: int | None = None  # of a release: the layout that its entries have
    number: int = -1  # of a release: its place among those that are tested


def reasons(base: Evaluator, leaves: Sequence[Leaf], trace: Trace, tally: Tally) -> list[tuple[Leaf, Reason]]:
    """Every leaf that does not match with the likeliest reason that can be tested."""
    if all(leaf.fits for leaf in leaves):
        return []
    return _Search(base, leaves, trace, tally).found


class _Search:
    """The leaves that are not explained yet, and the states to test."""

    def __init__(self, base: Evaluator, leaves: Sequence[Leaf], trace: Trace, tally: Tally) -> None:
        self.base = base
        self.trace = trace
        self.tally = tally
        self.leaves = list(leaves)
        self.left = [leaf for leaf in leaves if not leaf.fits]
        self.found: list[tuple[Leaf, Reason]] = []
        self.slots = tuple(dict.fromkeys(leaf.slot for leaf in leaves))
        releases = list(_releases(base, self.slots, trace))
        toggles = list(_toggles(base, self.slots))
        mtrrs = list(_mtrr_states(base, self.slots))
        self._whole(releases, toggles, mtrrs)
        for _ in range(2):  # what one slot's reason explains may hide what all others have in common
            self._by_slot()
            self._whole(releases, toggles, mtrrs)
        self._mixed([*toggles, *mtrrs])
        self._whole(list(_two(base, self.slots)) if self.left else [])
        self._of_each_slot([*releases, *toggles, *mtrrs])
        self._mtrr_types(self.left)
        self._same_page()
        for leaf in self.left:
            self.found.append((leaf, _unknown(leaf, trace)))

    def _explain(self, explained: Sequence[Leaf], reason: Callable[[Leaf], Reason]) -> None:
        done = {leaf.cell for leaf in explained}
        self.found += [(leaf, reason(leaf)) for leaf in explained]
        self.left = [leaf for leaf in self.left if leaf.cell not in done]
        self.leaves = [leaf for leaf in self.leaves if leaf.cell not in done]

    def _whole(self, *kinds: Sequence[State]) -> None:
        """A state that every leaf fits."""
        if not self.left:
            return
        states = [state for kind in kinds for state in kind if _fit(state, self.left) and _fit(state, self.leaves)]
        if states:
            self._explain(self.left, _reason_maker(states, "every entry fits"))

    def _by_slot(self) -> None:
        """A state of one slot that all its leaves fit; guest MTRRs where they explain more."""
        found: list[tuple[list[Leaf], list[State]]] = []
        rest = False
        whole_slots = _by_slots(self.leaves)
        for slot, left in _by_slots(self.left).items():
            every = whole_slots[slot]
            states = [state for state in _slot_states(self.base, slot, left) if _fit(state, every)]
            rest = rest or not states
            if states:
                found.append((left, states))
        types = self._types(self.left)
        if rest and types and len(types) == len(self.left):
            self._mtrr_types(self.left)
            return
        for left, states in found:
            also = (MTRRS_ELSE,) if all(leaf.cell in types for leaf in left) else ()
            self._explain(left, _reason_maker(states, "every entry of the slot fits", also))

    def _mixed(self, states: Sequence[State]) -> None:
        """A state that all fit that do not match: it was so before, or after."""
        if not self.left:
            return
        states = [state for state in states if _fit(state, self.left)]
        if states:
            self._explain(self.left, _stale_maker(states))

    def _of_each_slot(self, states: Sequence[State]) -> None:
        whole_slots = _by_slots(self.leaves)
        for slot, left in _by_slots(self.left).items():
            every = whole_slots[slot]
            whole = [state for state in states if _fit(state, every)]
            mixed = [state for state in states if state.layout is None and _fit(state, left)]
            if whole:
                self._explain(left, _reason_maker(whole, "every entry of the slot fits"))
            elif mixed:
                self._explain(left, _stale_maker(mixed))

    def _types(self, leaves: Sequence[Leaf]) -> dict[Cell, MemType]:
        """Guest MTRR types, page by page, by which the rules make the bytes that were found."""
        found: dict[Cell, MemType] = {}
        if not asks_guest_mtrr(self.base.kernel):
            return found
        for leaf in leaves:
            if leaf.told.problem:
                continue
            facts = self.base.facts(leaf.slot, leaf.gpa)
            free = mapping_level(None, leaf.slot, leaf.gpa, self.base.limits)
            if leaf.level > (free if self.base.split_mtrrs is not None else leaf.most):
                continue
            for kind in MTRR_TYPES:
                if decide(self.base.kernel.rules, facts._replace(guest_mtrr=kind))[1] == leaf.told.byte:
                    found[leaf.cell] = kind
                    break
        return found

    def _mtrr_types(self, leaves: Sequence[Leaf]) -> None:
        types = self._types(leaves)

        def reason(leaf: Leaf) -> Reason:
            facts = self.base.facts(leaf.slot, leaf.gpa)._replace(guest_mtrr=types[leaf.cell])
            text = "guest MTRRs changed since, or are others: each page fits with another type of its range"
            return Reason("mtrr", text, (), "", facts, self.base.kernel)

        self._explain([leaf for leaf in leaves if leaf.cell in types], reason)

    def _same_page(self) -> None:
        """Entries of pages that have one that fits as well: one of the two is older than a change."""
        if not self.left:
            return
        bad = {leaf.cell for leaf in self.left}
        good = {leaf.cell for leaf in self.leaves if leaf.fits}
        pages: dict[tuple[int, int, int], set[Cell]] = {}
        fitting: set[tuple[int, int, int]] = set()
        for (space, gfn, level, _, _), cell in self.tally.entries():
            if cell in bad:
                pages.setdefault((space, gfn, level), set()).add(cell)
            elif cell in good:
                fitting.add((space, gfn, level))
        both = {cell for page, cells in pages.items() if page in fitting for cell in cells}
        stale = [leaf for leaf in self.left if leaf.cell in both]
        text = "stale, older or newer than a change: the same page has another entry, which fits"
        self._explain(stale, lambda leaf: Reason("stale", text))


def _fits(state: State, leaf: Leaf) -> bool:
    evaluator = state.evaluator
    slot = evaluator.slot_at(leaf.gpa, leaf.address_space)
    if slot is None:
        return False
    if state.layout is not None:
        if state.layout not in leaf.told.layouts:
            return False
    elif leaf.told.problem:
        return False
    return evaluator.byte_at(slot, leaf.gpa) == leaf.told.byte and leaf.level <= evaluator.level_at(slot, leaf.gpa)


def _fit(state: State, leaves: Sequence[Leaf]) -> bool:
    try:
        return bool(leaves) and all(_fits(state, leaf) for leaf in leaves)
    except ValueError:  # it asks for what the scenario does not say
        return False


MTRRS_ELSE = "with another guest MTRR type there"


def _reason_maker(states: Sequence[State], head: str, more: tuple[str, ...] = ()) -> Callable[[Leaf], Reason]:
    first = states[0]
    words, also = _words(states)

    def make(leaf: Leaf) -> Reason:
        facts, kernel = _facts_in(first, leaf)
        return Reason(first.code, f"{head} {words}", (*also, *more), first.ref, facts, kernel)

    return make


def _stale_maker(states: Sequence[State]) -> Callable[[Leaf], Reason]:
    first = states[0]
    words, also = _words(states)

    def make(leaf: Leaf) -> Reason:
        facts, kernel = _facts_in(first, leaf)
        text = f"stale, older or newer than a change: these fit {words}, others do not"
        return Reason("stale", text, also, first.ref, facts, kernel)

    return make


def _words(states: Sequence[State]) -> tuple[str, tuple[str, ...]]:
    """The words of the first state, and those of the others, releases put together."""
    first, *others = states
    plain = [state.words for state in others if state.number < 0]
    runs: list[list[State]] = []
    for state in sorted((state for state in states if state.number >= 0), key=lambda state: state.number):
        if runs and runs[-1][-1].number + 1 == state.number:
            runs[-1].append(state)
        else:
            runs.append([state])
    ranges = [f"under {run[0].ref}{f' to {run[-1].ref}' if len(run) > 1 else ''}" for run in runs if run != [first]]
    return first.words, tuple(dict.fromkeys([*ranges, *plain]))


def _facts_in(state: State, leaf: Leaf) -> tuple[Facts | None, Kernel]:
    slot = state.evaluator.slot_at(leaf.gpa, leaf.address_space)
    facts = None if slot is None else state.evaluator.facts(slot, leaf.gpa)
    return facts, state.evaluator.kernel


def _unknown(leaf: Leaf, trace: Trace) -> Reason:
    if leaf.told.problem == "era":
        return Reason("era", f"{leaf.told.why}, not of {trace.era}")
    if leaf.told.byte == leaf.wanted:
        what = f"mapped at {LEVEL_NAMES[leaf.level]}, and {LEVEL_NAMES[leaf.most]} is the most here"
        return Reason("level", f"no single change that was tested fits: {what}")
    return Reason("unknown", "no single change that was tested fits")


def _evaluator(kernel: Kernel, vm: Vm, slots: Sequence[Slot]) -> Evaluator | None:
    try:
        return Evaluator(kernel, vm, slots)
    except ValueError:  # more pairs than this kernel gives a guest, or what nobody said
        return None


def _releases(base: Evaluator, slots: Sequence[Slot], trace: Trace) -> Iterator[State]:
    """Other releases, the nearest first, then the proposals; each release stands for those that behave as it does."""
    kernel = base.kernel
    named = version_text(kernel.release) if not kernel.proposal else kernel.ref
    plus = [proposal for proposal in PROPOSALS if kernel.rules.name.endswith(f"+{proposal.rules.name}")]
    rows: list[tuple[int, State]] = []
    starts = _starts()
    at = max((k for k, version in enumerate(starts) if sort_key(version) <= sort_key(kernel.release)), default=0)
    for k, version in enumerate(starts):
        shown = version if k != at else kernel.release
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
            words = f"under {other.ref} ({other.rules.name}) instead of {named}"
            layout = LAYOUTS.index(layout_at(shown))
            rows.append((abs(k - at), State("rules", words, evaluator, other.ref, layout, k)))
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
    for before, row in pairwise(RELEASES):
        if row.rules != before.rules:
            found.add(row.since)
    found |= _changes(WALKS) | _changes(MMIO_TESTS) | _changes(MTRR_LIMITS) | _changes(LEVEL_LIMITS)
    plain = {version[:-1] if version[-1] == -1 else version for version in found}
    known = {version for version in plain if _OLDEST <= version <= newest()}
    return sorted(known, key=sort_key)


def _changes(rows: Sequence[Row[T]]) -> set[Version]:
    return {row.since for before, row in pairwise(rows) if row.what != before.what}


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


def _toggles(base: Evaluator, slots: Sequence[Slot]) -> Iterator[State]:
    for words, change in _toggle_list(base):
        evaluator = _evaluator(base.kernel, change(base.vm), slots)
        if evaluator is not None:
            yield State("vm", words, evaluator)


def _two(base: Evaluator, slots: Sequence[Slot]) -> Iterator[State]:
    for (one, change), (two, other) in combinations(_toggle_list(base), 2):
        evaluator = _evaluator(base.kernel, other(change(base.vm)), slots)
        if evaluator is not None:
            yield State("vm", f"{one} and {two}", evaluator)


def _mtrr_states(base: Evaluator, slots: Sequence[Slot]) -> Iterator[State]:
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


def _slot_states(base: Evaluator, slot: Slot, left: Sequence[Leaf]) -> Iterator[State]:
    """What else may be so of one slot."""
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
    most = max(leaf.level for leaf in left)
    if any(leaf.level > leaf.most for leaf in left):
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
