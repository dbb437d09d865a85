# SPDX-License-Identifier: GPL-2.0-only
"""The whole matrix of a what-if, and the search the other way round: which inputs get a certain answer.

A search runs over every input that the rule sets read, or a condition names, and no flag fixes; states that a
kernel cannot reach are left out of its answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from mtcalc.analysis.answer import Answer, each_pat
from mtcalc.analysis.lookup import latest_summary, lookup
from mtcalc.rules.condition import holds as condition_holds
from mtcalc.rules.cubes import Budget, cover
from mtcalc.rules.inputs import MMIO, Facts, Input, Value, is_given, with_value
from mtcalc.rules.kernel import Kernel, from_the_start
from mtcalc.rules.rule import inputs_read
from mtcalc.rules.truth import Space, members, space_of, values_at, when_of
from mtcalc.x86.memtype import MemType

MOST_STATES = 1 << 16
"""A search looks at every state one by one: some seconds for this many."""


def matrix(
    kernel: Kernel, facts: Facts, mtrrs: Sequence[MemType], pats: Sequence[MemType], paging: bool = True
) -> tuple[Answer, ...]:
    """An answer a guest MTRR type, under NPT a host MTRR type. Raises UnknownInput as lookup() does."""
    npt = kernel.npt is not None
    states = [facts._replace(host_mtrr=kind) if npt else facts._replace(guest_mtrr=kind) for kind in mtrrs]
    rows = [lookup(kernel, state, pats, paging, beside_latest=False) for state in states]
    notes = latest_summary(kernel, rows)
    return tuple(answer._replace(notes=(*answer.notes, *notes)) for answer in rows)


class Where(NamedTuple):
    """One condition on an answer, KEY=VALUE as somebody wrote it, and the inputs that it speaks of."""

    text: str
    holds: Callable[[Answer], bool]
    inputs: tuple[Input, ...] = ()


class Searched(NamedTuple):
    """What fits under one kernel. Sets of states are sets of their numbers in the search's space."""

    kernel: Kernel
    answers: tuple[Answer, ...]  # those that fit, in order, one a PAT type
    states: tuple[Answer, ...]  # every state's, for all PAT types
    fits: tuple[tuple[bool, ...], ...]  # with which PAT types each fits, and can be reached
    left_out: int  # the states that the kernel cannot reach

    @property
    def total(self) -> int:
        """How many combinations of state and PAT type the kernel can reach."""
        return sum(len(fits) for at, fits in enumerate(self.fits) if not self.left_out >> at & 1)


class Search(NamedTuple):
    """The inputs that were varied, and what fits under each kernel."""

    space: Space
    pats: tuple[MemType, ...]
    found: tuple[Searched, ...]


class SearchRow(NamedTuple):
    """States with the same rule and entry, under NPT with the same effective types, in which the same PAT types fit.

    `when` says which values the inputs take; those not in it do not matter.
    """

    answer: Answer  # that of one of the states
    fits: tuple[bool, ...]
    when: dict[Input, tuple[Value, ...]]
    states: int  # how many there are
    byte_differs: bool = False  # from the first kernel's, in each of them


def search(
    kernels: Sequence[Kernel],
    facts: Facts,
    given: Sequence[Input],
    pats: Sequence[MemType],
    wheres: Sequence[Where],
    paging: bool = True,
) -> Search:
    """Which combinations of the inputs not `given` have answers that fit all conditions.

    Slot flags set, quirks disabled and assumptions made in `facts` count as given. Where what is given cannot
    be reached at all, it is answered all the same. Raises ValueError for too many combinations.
    """
    space = space_of(_free(kernels, facts, given, wheres))
    if space.size > MOST_STATES:
        what = f"{len(space.inputs)} free inputs have {space.size} combinations (at most {MOST_STATES} can be searched"
        raise ValueError(f"{what}: fix some with flags)")
    found = []
    for kernel in kernels:
        states = []
        for number in range(space.size):
            state = from_the_start(kernel, facts)
            for item, value in zip(space.inputs, values_at(space, number), strict=True):
                state = with_value(state, item, value)
            states.append(state)
        found.append(_search(kernel, states, pats, wheres, paging))
    return Search(space, tuple(pats), tuple(found))


def _free(kernels: Sequence[Kernel], facts: Facts, named: Sequence[Input], wheres: Sequence[Where]) -> Iterator[Input]:
    read = [item for kernel in kernels for item in inputs_read(kernel.rules)]
    # Under NPT what host MMIO is sets the host's MTRR type, which is varied itself.
    read += (item for kernel in kernels for item in kernel.also_read if item != MMIO)
    for item in dict.fromkeys((*read, *(item for where in wheres for item in where.inputs))):
        if item not in named and not is_given(item, facts):
            yield item


def _search(
    kernel: Kernel, states: Sequence[Facts], pats: Sequence[MemType], wheres: Sequence[Where], paging: bool
) -> Searched:
    never = [any(condition_holds(state.when, facts) for state in kernel.unreachable) for facts in states]
    if all(never):
        never = [False] * len(states)
    found = tuple(lookup(kernel, facts, pats, paging, beside_latest=False) for facts in states)
    singles = tuple(map(each_pat, found))
    fits = tuple(
        tuple(not unreachable and all(where.holds(answer) for where in wheres) for answer in answers)
        for answers, unreachable in zip(singles, never, strict=True)
    )
    chosen = tuple(
        answer
        for answers, which in zip(singles, fits, strict=True)
        for answer, fit in zip(answers, which, strict=True)
        if fit
    )
    left_out = sum(1 << number for number, unreachable in enumerate(never) if unreachable)
    fitting = [answer for answer, which in zip(found, fits, strict=True) if any(which)]
    notes = latest_summary(kernel, fitting) if fitting else ()
    chosen = tuple(answer._replace(notes=(*answer.notes, *notes)) for answer in chosen)
    return Searched(kernel, chosen, found, fits, left_out)


def rows(result: Search, found: Searched) -> tuple[SearchRow, ...]:
    """What fits under one of the search's kernels, in as few rows as say it, rule by rule; rows may overlap."""
    order = {rule.id: at for at, rule in enumerate(found.kernel.rules.rules)}
    groups: dict[tuple[int, object, tuple[bool, ...], bool], int] = {}
    for number, (answer, which) in enumerate(zip(found.states, found.fits, strict=True)):
        rule, entry = answer.rule, answer.entry
        if any(which) and rule is not None and entry is not None:
            differs = entry != result.found[0].states[number].entry
            # Under NPT one and the same entry comes to several types.
            key = order[rule.id], entry if found.kernel.npt is None else answer.effective, which, differs
            groups[key] = groups.get(key, 0) | 1 << number
    chosen = []
    for (rank, _, which, differs), wanted in groups.items():
        offers = [(wanted, wanted | found.left_out)]
        for cube, covers, *_ in cover(wanted, offers, result.space.sizes, Budget()):
            when = when_of(result.space, cube)
            low = next(members(covers))
            chosen.append((rank, low, SearchRow(found.states[low], which, when, covers.bit_count(), differs)))
    return tuple(row for *_, row in sorted(chosen, key=lambda one: one[:2]))
