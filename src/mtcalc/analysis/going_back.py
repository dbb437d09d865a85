# SPDX-License-Identifier: GPL-2.0-only
"""What one patch of a series changes and a later one takes back: a bisection may stop between the two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mtcalc.analysis.diff import Diff, unreachable_set
from mtcalc.analysis.questions import Remark
from mtcalc.analysis.review_states import Changes, asked, state_of, types_by_pat
from mtcalc.rules.inputs import Input, Value, rank
from mtcalc.rules.kernel import Kernel
from mtcalc.rules.rule import RuleSet, inputs_read
from mtcalc.rules.truth import Space, atom_set, space_of, verdicts
from mtcalc.text.errors import Place
from mtcalc.x86.memtype import PAT_TYPES, MemType


class Stage(NamedTuple):
    """A patch of a series: what it is called, what it changes (None: nothing that is known), its first line."""

    name: str
    found: Diff | None
    place: Place | None = None


class GoneBack(NamedTuple):
    """What a patch, by its number in the series, changes for a while: the question as of it, and as of the whole."""

    stage: int
    of_it: Remark
    of_all: Remark


def going_back(stages: Sequence[Stage]) -> tuple[GoneBack, ...]:
    """Of each patch the changes that a later one takes back; nothing where the rules read too much to be compared."""
    try:
        return (*_bytes(stages), *_host_pages(stages))
    except ValueError:
        return ()


def _bytes(stages: Sequence[Stage]) -> Iterator[GoneBack]:
    sides = [(one.found.before, one.found.after) if one.found and one.found.changed else None for one in stages]
    space = _space([kernel.rules for pair in sides if pair for kernel in pair])
    rules = [(pair[0].rules, pair[1].rules) if pair else None for pair in sides]
    for at, later, states in _taken_back(space, rules):
        stage, pair = stages[at], sides[at]
        assert stage.found is not None
        assert pair is not None
        states &= ~_unreachable(pair, space)
        text = f"what {stage.name} changes goes back with {stages[later].name}: is the tree right between the two?"
        changes: Changes = [(state_of(stage.found, change), change) for change in stage.found.changes]
        shown = {change.values for state, change in changes if _some(space, state) & states}
        for remark in asked("goes-back", text, changes, lambda _, one, shown=shown: one.values in shown):  # type: ignore[misc]
            assert remark.example is not None
            of_it = remark._replace(pat=_differing(remark.example.before, remark.example.after))
            yield GoneBack(at, of_it, remark._replace(example=None, place=stage.place))


def _host_pages(stages: Sequence[Stage]) -> Iterator[GoneBack]:
    """The same of the host-MMIO test."""
    tests = [one.found.mmio if one.found and one.found.mmio and one.found.mmio.changed else None for one in stages]
    sides = [(found.before, found.after) if found else None for found in tests]
    space = _space([kernel.rules for pair in sides if pair for kernel in pair])
    rules = [(pair[0].rules, pair[1].rules) if pair else None for pair in sides]
    for at, later, states in _taken_back(space, rules):
        pair = sides[at]
        assert pair is not None
        states &= ~_unreachable(pair, space)
        names = stages[at].name, stages[later].name
        text = f"host pages that {names[0]} changes go back with {names[1]}: is the tree right between the two?"
        if states:
            remark = Remark("goes-back", text, states.bit_count(), None, place=stages[at].place)
            yield GoneBack(at, remark._replace(place=None), remark)


def _space(rule_sets: Sequence[RuleSet]) -> Space:
    return space_of(sorted({item for one in rule_sets for item in inputs_read(one)}, key=rank))


def _taken_back(space: Space, stages: Sequence[tuple[RuleSet, RuleSet] | None]) -> Iterator[tuple[int, int, int]]:
    """(A stage, the first later one after which its states are as they were before it, these states)."""
    for at, stage in enumerate(stages):
        left = space.full & ~_same(space, *stage) if stage else 0
        for later in range(at + 1, len(stages)):
            other = stages[later]
            back = left & _same(space, stage[0], other[1]) if stage and other else 0
            if back:
                left &= ~back
                yield at, later, back


def _same(space: Space, one: RuleSet, other: RuleSet) -> int:
    """The states where two lists return the same byte."""
    old, new = verdicts(one, space).by_byte, verdicts(other, space).by_byte
    same = 0
    for byte, where in old.items():
        same |= where & new.get(byte, 0)
    return same


def _unreachable(pair: tuple[Kernel, Kernel], space: Space) -> int:
    """The states that neither kernel reaches."""
    return unreachable_set(pair[0], space) & unreachable_set(pair[1], space)


def _some(space: Space, state: dict[Input, Value]) -> int:
    """The states that have these values."""
    found = space.full
    for item, value in state.items():
        found &= atom_set(space, item, value)
    return found


def _differing(before: int, after: int) -> MemType | None:
    """A PAT type, WC before others, with which the effective type changes."""
    old, new = types_by_pat(before), types_by_pat(after)
    return next((pat for pat in (MemType.WC, *PAT_TYPES) if old[pat] != new[pat]), None)
