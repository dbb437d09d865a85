# SPDX-License-Identifier: GPL-2.0-only
"""Every input on which two rule sets return different bytes, exactly, and as few rows as say it.

A state is one combination of the inputs that either rule set reads. States that neither kernel can reach are
left out; a state that one of them reaches stays. A row covers every changed state that its `when` admits, and no
reachable state beside those; rows may overlap where that makes them simpler.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from mtcalc.analysis.answer import effective_types
from mtcalc.analysis.around import Around, differences
from mtcalc.kvm.flags import QUIRKS
from mtcalc.rules.condition import Condition, Or, inputs
from mtcalc.rules.cubes import Budget, Candidate, cover
from mtcalc.rules.inputs import Input, Value, rank
from mtcalc.rules.kernel import Kernel, out_of_reach
from mtcalc.rules.rule import Outcome, RuleSet, inputs_read
from mtcalc.rules.truth import (
    Space,
    Verdicts,
    condition_set,
    members,
    outcome_sets,
    space_of,
    values_at,
    verdicts,
    when_of,
)
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, MemType


class Change(NamedTuple):
    """One state, its values in the order of Diff.inputs, and the EPT bytes there."""

    values: tuple[Value, ...]
    before: int
    after: int


MOST_EXPANDED = 1 << 14
"""More single changes than this are not listed one by one: nobody reads them, and it takes seconds."""


class DiffRow(NamedTuple):
    """The states whose inputs take their values from `when`; inputs not in it do not matter."""

    when: dict[Input, tuple[Value, ...]]
    before: Outcome
    after: Outcome
    states: int  # how many changed states it covers


class Diff(NamedTuple):
    """What differs between two kernels. `changed` and `reachable` are sets of states (rules.truth)."""

    before: Kernel
    after: Kernel
    space: Space
    changed: int
    reachable: int
    bytes_before: dict[int, int]  # EPT byte to the states that get it
    bytes_after: dict[int, int]
    rows: tuple[DiffRow, ...]
    around: tuple[Around, ...]
    fewest: bool = True  # no fewer rows would do; else the search was cut short
    mmio: Diff | None = None  # the same of the host-MMIO tests, where both kernels are known to have one

    @property
    def same(self) -> bool:
        """Whether neither a byte nor what host MMIO is changes in any state."""
        return not self.changed and (self.mmio is None or not self.mmio.changed)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs that either rule set reads."""
        return self.space.inputs

    @property
    def changes(self) -> Iterator[Change]:
        """Every single changed state, in the order of itertools.product over the inputs' values."""
        before, after = (_bytes_in(self.changed, table, self.space) for table in (self.bytes_before, self.bytes_after))
        for number in members(self.changed):
            yield Change(values_at(self.space, number), before[number], after[number])

    @property
    def changed_count(self) -> int:
        """How many states change."""
        return self.changed.bit_count()

    @property
    def total(self) -> int:
        """How many states either kernel can reach."""
        return self.reachable.bit_count()

    @property
    def left_out(self) -> int:
        """How many states neither can reach."""
        return self.space.size - self.total


def diff(before: Kernel, after: Kernel) -> Diff:
    """The difference between two kernels.

    Raises ValueError: a reachable state that no rule catches; too many inputs to compare.
    """
    found = _compared(before, after)._replace(around=differences(before, after))
    if not (before.mmio_said and after.mmio_said) or before.mmio_test == after.mmio_test:
        return found
    return found._replace(mmio=_compared(_asking_test(before), _asking_test(after)))


def _asking_test(kernel: Kernel) -> Kernel:
    """The kernel with its host-MMIO test for rules. Of what it can't reach, only what is assumed concerns that."""
    assumed = tuple(state for state in kernel.unreachable if {item.kind.text for item in inputs(state.when)} == {True})
    return kernel._replace(rules=kernel.mmio_test, quirks=tuple(QUIRKS), unreachable=assumed)


def _compared(before: Kernel, after: Kernel) -> Diff:
    read = (*inputs_read(before.rules), *inputs_read(after.rules))
    space = space_of(sorted(dict.fromkeys(read), key=rank))
    reachable = space.full & ~(unreachable_set(before, space) & unreachable_set(after, space))
    old, new = verdicts(before.rules, space), verdicts(after.rules, space)
    for kernel, found in ((before, old), (after, new)):
        if found.uncaught & reachable:
            raise ValueError(f"no rule of {kernel.rules.name} matches (the last rule has to catch everything)")
    same = 0
    for byte, where in old.by_byte.items():
        same |= where & new.by_byte.get(byte, 0)
    changed = reachable & ~same
    budget = Budget()
    rows = _rows(space, before.rules, after.rules, old, new, changed, space.full & ~reachable, budget)
    return Diff(before, after, space, changed, reachable, old.by_byte, new.by_byte, rows, (), budget.exact)


def check_expandable(found: Diff) -> None:
    """Raises ValueError for more changes than MOST_EXPANDED."""
    if found.changed_count > MOST_EXPANDED:
        raise ValueError(f"{found.changed_count} inputs change, at most {MOST_EXPANDED} are listed (without --expand)")


def unreachable_set(kernel: Kernel, space: Space) -> int:
    """The states that a kernel cannot reach, whatever the inputs outside the space are."""
    conditions = [state.when for state in out_of_reach(kernel)]
    touching = _touching(space, conditions)
    apart = Or(tuple(condition for condition in conditions if condition not in touching))
    alone = space_of(tuple(dict.fromkeys(inputs(apart))))
    if condition_set(alone, apart) == alone.full:
        return space.full  # it reaches no state at all
    never = Or(touching)
    others = [item for item in dict.fromkeys(inputs(never)) if item not in space.inputs]
    # The other inputs come first, so that each combination of theirs is one run of `size` bits.
    wide = space_of((*others, *space.inputs))
    table = condition_set(wide, never)
    found = space.full
    for run in range(0, wide.size, space.size):
        found &= table >> run
    return found


def _touching(space: Space, conditions: list[Condition]) -> tuple[Condition, ...]:
    """The conditions that share an input with the space, by way of one another too: no other says a thing of it."""
    near = set(space.inputs)
    found: list[Condition] = []
    rest = conditions
    while True:
        more = [condition for condition in rest if near.intersection(inputs(condition))]
        if not more:
            return tuple(found)
        found += more
        near.update(item for condition in more for item in inputs(condition))
        rest = [condition for condition in rest if condition not in more]


def _bytes_in(states: int, by_byte: dict[int, int], space: Space) -> bytearray:
    """The byte at each of some states, by the state's number."""
    found = bytearray(space.size)
    for byte, where in by_byte.items():
        for number in members(where & states):
            found[number] = byte
    return found


def _outcomes(rule_set: RuleSet, found: Verdicts, where: int) -> tuple[Outcome, ...]:
    """The outcomes that a row can name: those of the rules that decide in `where`, and each byte returned there."""
    given = [rule.then for rule, here in zip(rule_set.rules, found.by_rule, strict=True) if here & where]
    if any(outcome.mmio for outcome in given):
        return tuple(dict.fromkeys(given))
    plain = [Outcome(byte) for byte, states in found.by_byte.items() if states & where]
    return tuple(dict.fromkeys((*given, *plain)))


def _fits(space: Space, outcome: Outcome, by_byte: dict[int, int]) -> int:
    """The states where an outcome says the byte that is returned, whichever rule returns it."""
    found = 0
    for byte, where in outcome_sets(space, outcome).items():
        found |= where & by_byte.get(byte, 0)
    return found


def _rows(
    space: Space,
    before: RuleSet,
    after: RuleSet,
    old: Verdicts,
    new: Verdicts,
    changed: int,
    left_out: int,
    budget: Budget,
) -> tuple[DiffRow, ...]:
    fits_before = {outcome: _fits(space, outcome, old.by_byte) for outcome in _outcomes(before, old, changed)}
    fits_after = {outcome: _fits(space, outcome, new.by_byte) for outcome in _outcomes(after, new, changed)}
    pairs = list(itertools.product(fits_before, fits_after))
    wanted = [fits_before[a] & fits_after[b] & changed for a, b in pairs]
    chosen = cover(changed, [(some, some | left_out) for some in wanted], space.sizes, budget)
    order = sorted(chosen, key=lambda c: (c.covers & -c.covers, c.tag))
    return tuple(_row(space, cube, *pairs[cube.tag]) for cube in order)


def _row(space: Space, chosen: Candidate, before: Outcome, after: Outcome) -> DiffRow:
    when = when_of(space, chosen.cube)
    return DiffRow(when, _concrete(before, when), _concrete(after, when), chosen.covers.bit_count())


def _concrete(outcome: Outcome, when: dict[Input, tuple[Value, ...]]) -> Outcome:
    """An outcome whose memory type the row leaves no choice about, as a constant byte."""
    if outcome.memtype_of is None:
        return outcome
    bytes_left = outcome_bytes(outcome, when)
    return Outcome(bytes_left[0]) if len(bytes_left) == 1 else outcome


def outcome_bytes(outcome: Outcome, when: dict[Input, tuple[Value, ...]]) -> tuple[int, ...]:
    """The bytes that an outcome can be in a row, in the order of the memory types it hangs on."""
    if outcome.memtype_of is None:
        return (outcome.const,)
    types = when.get(outcome.memtype_of, MTRR_TYPES)
    return tuple(dict.fromkeys((outcome.const | int(kind) << outcome.shift) & 0xFF for kind in types))


def by_pat(byte: int) -> dict[MemType, MemType | None]:
    """The effective type for each PAT type; None where the byte holds a reserved memory type."""
    return dict(effective_types(byte, PAT_TYPES))
