# SPDX-License-Identifier: GPL-2.0-only
"""Conditions over the inputs of a rule.

A Condition is an Atom, which says that an input has a value, or Not, And, Or of conditions. As text:
`mmio`, `not noncoherent_dma`, `cr0_cd and quirk CD_NW_CLEARED`,
`slot_flag NON_COHERENT_DMA`, `guest_mtrr WC`, `assume "source text"`; not binds tighter than and, and than or.
"""

from collections.abc import Iterator
from typing import TypeAlias, Union

from mtcalc.rules.inputs import Facts, HostPage, Input, Value, value_of
from mtcalc.text.record import Record
from mtcalc.x86.memtype import MemType


class Atom(Record):
    """An input has a value: yes for a condition, one memory type for guest_mtrr."""

    input: Input
    value: Value = True


class Not(Record):
    """The condition does not hold."""

    of: "Condition"


class And(Record):
    """All hold; And(()) always does."""

    of: "tuple[Condition, ...]"

    # As tuples alone, And(x) and Or(x) would be equal, and so would always and never.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, And) and self.of == other.of

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(("and", self.of))


class Or(Record):
    """At least one holds; Or(()) never does."""

    of: "tuple[Condition, ...]"

    # As tuples alone, And(x) and Or(x) would be equal, and so would always and never.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Or) and self.of == other.of

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(("or", self.of))


Condition: TypeAlias = Union[Atom, Not, And, Or]

ALWAYS = And(())


def holds(condition: Condition, facts: Facts | HostPage) -> bool:
    """Whether a condition holds. Evaluates as C does, left to right, no further than needed."""
    if isinstance(condition, Atom):
        return value_of(condition.input, facts) == condition.value
    if isinstance(condition, Not):
        return not holds(condition.of, facts)
    if isinstance(condition, And):
        return all(holds(part, facts) for part in condition.of)
    return any(holds(part, facts) for part in condition.of)


def reasons(condition: Condition, facts: Facts | HostPage) -> tuple[tuple[Input, Value], ...]:
    """The inputs, with their values, that make the condition hold or fail: as few as decide it."""
    if isinstance(condition, Atom):
        return ((condition.input, value_of(condition.input, facts)),)
    if isinstance(condition, Not):
        return reasons(condition.of, facts)
    decisive = isinstance(condition, Or)  # one part that holds decides an Or, one that fails an And
    for part in condition.of:
        if holds(part, facts) is decisive:
            return reasons(part, facts)
    return tuple(dict.fromkeys(r for part in condition.of for r in reasons(part, facts)))


def inputs(condition: Condition) -> Iterator[Input]:
    """Every input the condition reads, in order, repetitions included."""
    if isinstance(condition, Atom):
        yield condition.input
    elif isinstance(condition, Not):
        yield from inputs(condition.of)
    else:
        for part in condition.of:
            yield from inputs(part)


_BINDS = {Or: 1, And: 2, Not: 3, Atom: 4}


def condition_text(condition: Condition) -> str:
    """A condition as a rule file writes it; parses back to an equal one."""
    if isinstance(condition, Atom):
        if isinstance(condition.value, MemType):
            return f"{condition.input} {condition.value}"
        return str(condition.input)
    if isinstance(condition, Not):
        return f"not {_inner(condition.of, Not)}"
    if not condition.of:
        return "always" if isinstance(condition, And) else "never"
    word = " and " if isinstance(condition, And) else " or "
    return word.join(_inner(part, type(condition)) for part in condition.of)


def _inner(part: Condition, outer: type) -> str:
    text = condition_text(part)
    empty = isinstance(part, And | Or) and not part.of
    tight = _BINDS[type(part)] > _BINDS[outer] or (isinstance(part, Not) and outer is Not)
    return text if tight or empty else f"({text})"


def reason_text(item: Input, value: Value) -> str:
    """One input and its value as explain says it: 'noncoherent_dma is no', 'guest_mtrr is WC'."""
    return f"{item} is {value_text(value)}"


def value_text(value: Value) -> str:
    """A value in words: yes, no, or a memory type."""
    return str(value) if isinstance(value, MemType) else "yes" if value else "no"
