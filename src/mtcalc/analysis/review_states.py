# SPDX-License-Identifier: GPL-2.0-only
"""The changed states of a difference, one by one and as sets, for the questions of a review."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TypeAlias

from mtcalc.analysis.diff import Change, Diff, by_pat
from mtcalc.analysis.questions import Remark
from mtcalc.rules.inputs import Facts, Input, Scope, Value, value_of, with_value
from mtcalc.rules.truth import atom_set, members, values_at
from mtcalc.x86.memtype import MemType

State: TypeAlias = dict[Input, Value]
Changes: TypeAlias = list[tuple[State, Change]]

_PLAIN = Facts()


def state_of(found: Diff, change: Change) -> State:
    """A change's inputs with their values."""
    return dict(zip(found.inputs, change.values, strict=True))


def facts_of(state: State) -> Facts:
    """A state as the rules see it; inputs that it does not hold are as a plain VM has them."""
    facts = Facts()
    for item, value in state.items():
        facts = with_value(facts, item, value)
    return facts


@lru_cache(maxsize=256)
def types_by_pat(byte: int) -> Mapping[MemType, MemType | None]:
    """The effective type for each PAT type; None where the byte holds a reserved memory type."""
    return by_pat(byte)


@lru_cache(maxsize=1024)
def is_plain(item: Input, value: Value) -> bool:
    """Whether a plain VM has an input so; an assumption is plain where it does not hold."""
    return value == (False if item.kind.text else value_of(item, _PLAIN))


def asked(
    code: str,
    text: str,
    changes: Changes,
    shows: Callable[[State, Change], bool],
    pat: Callable[[Change], MemType | None] = lambda _: None,
) -> Iterator[Remark]:
    """A remark, if any change shows it, with the one of them that is likest a plain VM."""
    shown = [(state, change) for state, change in changes if shows(state, change)]
    if shown:
        _, example = min(shown, key=lambda pair: _unusual(pair[0]))
        yield Remark(code, text, len(shown), example, pat(example))


def _unusual(state: State) -> int:
    return sum(not is_plain(item, value) for item, value in state.items())


def within(found: Diff, states: int) -> Callable[[State, Change], bool]:
    """Whether a change is one of a set of states."""
    shown = {values_at(found.space, number) for number in members(states & found.changed)}
    return lambda _, change: change.values in shown


def spread(found: Diff, states: int, items: Iterable[Input]) -> int:
    """The states that differ from one of `states` in nothing but `items`."""
    space = found.space
    for item in items:
        at = space.inputs.index(item)
        values, stride = space.domains[at], space.strides[at]
        columns = [states & atom_set(space, item, value) for value in values]
        lowest = 0
        for number, column in enumerate(columns):
            lowest |= column >> (number * stride)
        states = 0
        for number in range(len(values)):
            states |= lowest << (number * stride)
    return states


def newly_decided(found: Diff, item: Input) -> int:
    """The states where another value of an input, reachable too, makes another byte after, and made none before.

    Not those where it made one before with another state of the guest's own, such as its MTRRs: it is no news there.
    """
    space, at = found.space, found.inputs.index(item)
    values, stride = space.domains[at], space.strides[at]
    columns = [found.reachable & atom_set(space, item, value) for value in values]
    states = known = 0
    for low in range(len(values)):
        for high in range(low + 1, len(values)):
            distance = (high - low) * stride
            both = columns[low] & (columns[high] >> distance)
            old, new = (_alike(by_byte, columns[high], distance) for by_byte in (found.bytes_before, found.bytes_after))
            differ = both & old & ~new
            states |= differ | differ << distance
            known |= both & ~old
    return states & ~spread(found, known, [item, *own_inputs(found)])


def own_inputs(found: Diff) -> list[Input]:
    """The inputs that a guest sets itself."""
    return [item for item in found.inputs if item.kind.scope is Scope.VCPU]


def _alike(by_byte: dict[int, int], high: int, distance: int) -> int:
    """The states whose sibling `distance` above, one of `high`, has the same byte."""
    same = 0
    for where in by_byte.values():
        same |= where & ((where & high) >> distance)
    return same
