# SPDX-License-Identifier: GPL-2.0-only
"""Which patch of a series brings which row of the whole: the last that changes the bytes there."""

from __future__ import annotations

from collections.abc import Sequence

from mtcalc.analysis.diff import Diff, unreachable_set
from mtcalc.rules.inputs import Input, Value, rank
from mtcalc.rules.kernel import Kernel
from mtcalc.rules.rule import RuleSet, inputs_read
from mtcalc.rules.truth import Space, atom_set, space_of, verdicts


def rows_brought(whole: Diff, stages: Sequence[tuple[Kernel, Kernel] | None]) -> tuple[tuple[int, ...], ...]:
    """For each stage of a series, its rules before and after, the rows of the whole that it brings, counted from 1.

    A row that several bring is named at each. None for a stage that is not known; all are empty where the rules of
    the stages read too much to be compared at once.
    """
    rule_sets = [kernel.rules for stage in stages if stage for kernel in stage]
    try:
        space = space_of(sorted({*whole.inputs, *(item for one in rule_sets for item in inputs_read(one))}, key=rank))
    except ValueError:
        return tuple(() for _ in stages)
    left = _states(space, [row.when for row in whole.rows]) & _differ(space, whole.before.rules, whole.after.rules)
    left &= ~(unreachable_set(whole.before, space) & unreachable_set(whole.after, space))
    found: list[tuple[int, ...]] = []
    for stage in reversed(stages):
        here = left & _differ(space, stage[0].rules, stage[1].rules) if stage else 0
        left &= ~here
        found.insert(0, tuple(n for n, row in enumerate(whole.rows, 1) if here & _states(space, [row.when])))
    return tuple(found)


def _states(space: Space, rows: Sequence[dict[Input, tuple[Value, ...]]]) -> int:
    """The states that one of some rows admits."""
    found = 0
    for when in rows:
        here = space.full
        for item, values in when.items():
            some = 0
            for value in values:
                some |= atom_set(space, item, value)
            here &= some
        found |= here
    return found


def _differ(space: Space, before: RuleSet, after: RuleSet) -> int:
    """The states where two lists return different bytes."""
    old, new = verdicts(before, space).by_byte, verdicts(after, space).by_byte
    same = 0
    for byte, where in old.items():
        same |= where & new.get(byte, 0)
    return space.full & ~same
