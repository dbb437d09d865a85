# SPDX-License-Identifier: GPL-2.0-only
"""Which patch of a series brings which row, against every state asked one by one."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.analysis.brought import rows_brought
from mtcalc.analysis.diff import diff
from mtcalc.rules.inputs import CR0_CD, GUEST_MTRR, MMIO, NONCOHERENT_DMA, Input
from mtcalc.rules.kernel import kernel_at
from mtcalc.rules.rule import RuleSet, decide, inputs_read
from support.random_rules import rule_sets, states

POOL = (MMIO, NONCOHERENT_DMA, CR0_CD, Input("slot_flag", "READONLY"), GUEST_MTRR)


@settings(max_examples=40, deadline=None)
@given(st.lists(rule_sets(POOL), min_size=2, max_size=5))
def test_a_row_is_brought_by_the_last_patch_that_changes_a_byte_in_it(lists: list[RuleSet]) -> None:
    kernels = [kernel_at((6, 10), rules, str(number)) for number, rules in enumerate(lists)]
    whole = diff(kernels[0], kernels[-1])
    stages = list(itertools.pairwise(kernels))
    items = tuple(dict.fromkeys(item for rules in lists for item in inputs_read(rules)))
    wanted: list[set[int]] = [set() for _ in stages]
    for values, facts in states(items):
        state = dict(zip(items, values, strict=True))
        bytes_there = [decide(rules, facts)[1] for rules in lists]
        if bytes_there[0] == bytes_there[-1]:
            continue
        last = max(at for at in range(len(stages)) if bytes_there[at] != bytes_there[at + 1])
        rows = (n for n, row in enumerate(whole.rows, 1) if all(state[item] in some for item, some in row.when.items()))
        wanted[last].update(rows)
    found = rows_brought(whole, stages)
    assert [set(rows) for rows in found] == wanted
    assert all(list(rows) == sorted(rows) for rows in found)
    assert {row for rows in found for row in rows} == set(range(1, len(whole.rows) + 1))
    # A stage that nobody knows brings nothing, and takes nothing from the others.
    assert rows_brought(whole, [None, *stages]) == ((), *found)
