# SPDX-License-Identifier: GPL-2.0-only
"""A rule set over every combination of its inputs at once, as truth tables.

A Space numbers the combinations of some inputs, the first input changing slowest, as itertools.product does.
A set of combinations is an int whose bit i stands for combination i, so that a condition is a handful of
bitwise operations, however many combinations there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from mtcalc.rules.condition import And, Atom, Condition, Not
from mtcalc.rules.inputs import Input, Value, domain
from mtcalc.rules.rule import Outcome, RuleSet, inputs_read

MOST_COMBINATIONS = 1 << 20


class Space(NamedTuple):
    """The combinations of some inputs, numbered 0 to size - 1."""

    inputs: tuple[Input, ...]
    domains: tuple[tuple[Value, ...], ...]
    strides: tuple[int, ...]
    size: int

    @property
    def full(self) -> int:
        """The set of all combinations."""
        return (1 << self.size) - 1

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each input has."""
        return tuple(map(len, self.domains))


def space_of(inputs: Iterable[Input]) -> Space:
    """The space of some inputs, each taken once.

    Raises ValueError: more than MOST_COMBINATIONS; a text assumed as a condition and as a type as well.
    """
    items = tuple(dict.fromkeys(inputs))
    texts = [item.arg for item in items if item.kind.text]
    for text in texts:
        if texts.count(text) > 1:
            raise ValueError(f"`{text}` is assumed as a condition and as a memory type (one of them)")
    domains = tuple(map(domain, items))
    strides: list[int] = []
    size = 1
    for values in reversed(domains):
        strides.insert(0, size)
        size *= len(values)
    if size > MOST_COMBINATIONS:
        raise ValueError(f"{len(items)} inputs have {size} combinations (at most {MOST_COMBINATIONS} can be compared)")
    return Space(items, domains, tuple(strides), size)


@lru_cache(maxsize=512)
def stripes(size: int, stride: int, count: int, at: int) -> int:
    """The combinations of `size` in which an input of `count` values, `stride` apart, has its value number `at`."""
    period = stride * count
    mask = ((1 << stride) - 1) << (at * stride)
    while period < size:
        mask |= mask << period
        period *= 2
    return mask & ((1 << size) - 1)


def atom_set(space: Space, item: Input, value: Value) -> int:
    """Where an input has a value; nowhere, if it can't. Raises ValueError for an input outside the space."""
    at = space.inputs.index(item)
    values = space.domains[at]
    if value not in values:
        return 0
    return stripes(space.size, space.strides[at], len(values), values.index(value))


def condition_set(space: Space, condition: Condition) -> int:
    """Where a condition holds."""
    if isinstance(condition, Atom):
        return atom_set(space, condition.input, condition.value)
    if isinstance(condition, Not):
        return space.full & ~condition_set(space, condition.of)
    if isinstance(condition, And):
        found = space.full
        for part in condition.of:
            found &= condition_set(space, part)
        return found
    found = 0
    for part in condition.of:
        found |= condition_set(space, part)
    return found


def outcome_sets(space: Space, outcome: Outcome) -> dict[int, int]:
    """Each byte that an outcome can be, and where it is that byte."""
    if outcome.memtype_of is None:
        return {outcome.const: space.full}
    found: dict[int, int] = {}
    for value in domain(outcome.memtype_of):
        byte = (outcome.const | int(value) << outcome.shift) & 0xFF
        found[byte] = found.get(byte, 0) | atom_set(space, outcome.memtype_of, value)
    return found


class Verdicts(NamedTuple):
    """What a rule set decides where."""

    by_rule: tuple[int, ...]  # where each rule is the first that matches
    uncaught: int  # where none does
    by_byte: dict[int, int]


def same_bytes(one: RuleSet, other: RuleSet) -> bool:
    """Whether two rule sets give the same byte for every value of the inputs they read, and read the same ones."""
    items = inputs_read(one)
    if set(items) != set(inputs_read(other)):
        return False
    space = space_of(items)
    return verdicts(one, space).by_byte == verdicts(other, space).by_byte


def verdicts(rule_set: RuleSet, space: Space) -> Verdicts:
    """The rule set's decisions over the whole space, which has to hold every input it reads."""
    left = space.full
    by_rule = []
    by_byte: dict[int, int] = {}
    for rule in rule_set.rules:
        here = left & condition_set(space, rule.when)
        left &= ~here
        by_rule.append(here)
        if here:
            for byte, where in outcome_sets(space, rule.then).items():
                if where & here:
                    by_byte[byte] = by_byte.get(byte, 0) | (where & here)
    return Verdicts(tuple(by_rule), left, by_byte)


def rule_space(rule_set: RuleSet) -> Space:
    """The space of the inputs that a rule set reads. Raises ValueError as space_of()."""
    return space_of(inputs_read(rule_set))


def when_of(space: Space, cube: Sequence[int]) -> dict[Input, tuple[Value, ...]]:
    """A cube (for each input the set of its values as an int) as conditions; what does not matter is left out."""
    return {
        item: tuple(value for at, value in enumerate(values) if subset >> at & 1)
        for item, values, subset in zip(space.inputs, space.domains, cube, strict=True)
        if subset != (1 << len(values)) - 1
    }


def members(combinations: int) -> Iterator[int]:
    """The numbers of the combinations in a set, ascending."""
    bits = bin(combinations)[:1:-1]
    at = bits.find("1")
    while at >= 0:
        yield at
        at = bits.find("1", at + 1)


def values_at(space: Space, number: int) -> tuple[Value, ...]:
    """The value of each input in one combination."""
    return tuple(
        values[number // stride % len(values)] for values, stride in zip(space.domains, space.strides, strict=True)
    )
