# SPDX-License-Identifier: GPL-2.0-only
"""Why recorded leaves are not what the rules say: which other state of the VM, rule set or release fits them.

A state is tested as a whole: it is a reason where every leaf fits it, those that match included. Where only those fit
that do not match, the VM had both states while it was recorded, and the entries of the other one are stale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mtcalc.analysis.audit_entries import Cell, Tally, Told, Trace
from mtcalc.analysis.audit_states import State, mtrr_states, releases, slot_states, toggles, two
from mtcalc.analysis.evaluate import Evaluator
from mtcalc.kvm.mapping_level import mapping_level
from mtcalc.kvm.recorded import Recorded
from mtcalc.kvm.release import Version
from mtcalc.kvm.vm import Slot
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import Kernel, asks_guest_mtrr, version_text
from mtcalc.rules.rule import decide
from mtcalc.x86.ept import LEVEL_NAMES
from mtcalc.x86.memtype import MTRR_TYPES, MemType
from mtcalc.x86.mtrr import FIXED_REGISTERS

_BLOCK_SHIFT = 16


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
        others = list(releases(base, self.slots))
        inputs = list(toggles(base, self.slots))
        mtrrs = list(mtrr_states(base, self.slots))
        self._whole(others, inputs, mtrrs)
        for _ in range(2):  # what one slot's reason explains may hide what all others have in common
            self._by_slot()
            self._whole(others, inputs, mtrrs)
        self._mixed([*inputs, *mtrrs])
        self._whole(list(two(base, self.slots)) if self.left else [])
        self._of_each_slot([*others, *inputs, *mtrrs])
        self._mtrr_types(self.left)
        self._same_page()
        self._parts([*inputs, *mtrrs])
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
            states = [state for state in slot_states(self.base, slot, _too_large(left)) if _fit(state, every)]
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
        states = [state for state in states if _fit(state, self.left) and self._may_be_stale(state, self.left)]
        if states:
            self._explain(self.left, _some_maker(states, _STALE, "stale"))

    def _may_be_stale(self, state: State, leaves: Sequence[Leaf]) -> bool:
        """Whether leaves may be of another state of the VM: not a single one, by MTRRs that other pages do not show."""
        return state.code != "mtrr" or sum(leaf.total for leaf in leaves) > 1 or not self._as_said(leaves[0])

    def _as_said(self, leaf: Leaf) -> bool:
        """Whether an entry of the same range is as the rules say."""
        return any(other.fits and self._range(other) == self._range(leaf) for other in self.leaves)

    def _of_each_slot(self, states: Sequence[State]) -> None:
        whole_slots = _by_slots(self.leaves)
        for slot, left in _by_slots(self.left).items():
            every = whole_slots[slot]
            whole = [state for state in states if _fit(state, every)]
            mixed = [state for state in states if state.layout is None and _fit(state, left)]
            mixed = [state for state in mixed if self._may_be_stale(state, left)]
            if whole:
                self._explain(left, _reason_maker(whole, "every entry of the slot fits"))
            elif mixed:
                self._explain(left, _some_maker(mixed, _STALE, "stale"))

    def _parts(self, states: Sequence[State]) -> None:
        """Several causes in one slot: the state that fits most of what is left, then that which fits most of the rest.

        A release is none of them: one kernel wrote all. One entry alone has no several causes.
        """
        for slot, left in _by_slots(self.left).items():
            if sum(leaf.total for leaf in left) == 1:
                continue
            own = slot_states(self.base, slot, _too_large(left))
            tested = [state for state in (*own, *states) if state.layout is None]
            while left:
                fitting = [(state, [leaf for leaf in left if _fit(state, [leaf])]) for state in tested]
                fitting = [(state, part) for state, part in fitting if part and self._may_be_stale(state, part)]
                most = max((len(part) for _, part in fitting), default=0)
                if not most:
                    break
                part = next(part for _, part in fitting if len(part) == most)
                alike = [state for state, other in fitting if other == part]
                self._explain(part, _some_maker(alike, "several causes in one slot"))
                left = [leaf for leaf in left if leaf not in part]

    def _types(self, leaves: Sequence[Leaf]) -> dict[Cell, MemType]:
        """Guest MTRR types, page by page, by which the rules make the bytes that were found."""
        found: dict[Cell, MemType] = {}
        if not asks_guest_mtrr(self.base.kernel):
            return found
        as_said = {self._range(leaf) for leaf in self.leaves if leaf.fits}
        for leaf in leaves:
            if leaf.told.problem or self._range(leaf) in as_said:  # what changes a range changes its other pages too
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

    def _range(self, leaf: Leaf) -> tuple[int, ...]:
        """The pages whose guest MTRR types change together: a fixed register's, or those of one piece of the map.

        Without a variable range in the scenario nobody knows the pieces: 64K, the least that firmware sets.
        """
        for register, start, size in FIXED_REGISTERS:
            if start <= leaf.gpa < start + 8 * size:
                return leaf.address_space, register
        if any(pair.valid for pair in self.base.vm.mtrrs.variable):
            return leaf.address_space, -1, leaf.cell[1]
        return leaf.address_space, -2, leaf.gpa >> _BLOCK_SHIFT

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


def _too_large(leaves: Sequence[Leaf]) -> int:
    """The largest level of leaves that are larger than their pages allow, 0 where none is."""
    return max((leaf.level for leaf in leaves if leaf.level > leaf.most), default=0)


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


_STALE = "stale, older or newer than a change"

MTRRS_ELSE = "with another guest MTRR type there"


def _reason_maker(
    states: Sequence[State], head: str, more: tuple[str, ...] = (), tail: str = "", code: str = ""
) -> Callable[[Leaf], Reason]:
    first = states[0]
    words, also = _words(states)

    def make(leaf: Leaf) -> Reason:
        facts, kernel = _facts_in(first, leaf)
        return Reason(code or first.code, f"{head} {words}{tail}", (*also, *more), first.ref, facts, kernel)

    return make


def _some_maker(states: Sequence[State], head: str, code: str = "") -> Callable[[Leaf], Reason]:
    """The reason of some leaves of a slot, while others do not fit; `code`: what it is but for the state's own."""
    return _reason_maker(states, f"{head}: these fit", tail=", others do not", code=code)


def _words(states: Sequence[State]) -> tuple[str, tuple[str, ...]]:
    """The words of the first state, and those of the others, releases put together."""
    first, *others = states
    plain = [state.words for state in others if state.number < 0]
    runs: list[list[State]] = []
    for state in sorted((state for state in states if state.number >= 0), key=lambda state: (state.plus, state.number)):
        if runs and (runs[-1][-1].plus, runs[-1][-1].number + 1) == (state.plus, state.number):
            runs[-1].append(state)
        else:
            runs.append([state])
    words = first.words
    ranges = []
    for run in runs:
        low, high = run[0].since, run[-1].until
        if first in run:
            words += _as_well(low, high)
        else:
            ranges.append(f"under {_span(low, high)}{run[0].plus}")
    return words, tuple(dict.fromkeys([*ranges, *plain]))


def _as_well(low: Version, high: Version | None) -> str:
    """The whole span of a state, whose words name one release of it."""
    return "" if low == high else f"; all of {_span(low, high)} do"


def _span(low: Version, high: Version | None) -> str:
    if high is None:
        return f"{version_text(low)} on"
    return version_text(low) if low == high else f"{version_text(low)} to {version_text(high)}"


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
