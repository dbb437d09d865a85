# SPDX-License-Identifier: GPL-2.0-only
"""The decisions on the way to each returned value: a binary tree grown while a function is executed, and the
ordered list of rules it comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeAlias, Union

from mtcalc.csource.masks import NEVER, negated
from mtcalc.csource.predicates import IOMMU_COHERENT, IOMMU_DOMAIN
from mtcalc.csource.words import exact_text, shown_text
from mtcalc.rules.condition import ALWAYS, And, Atom, Condition, Not, Or, inputs
from mtcalc.rules.inputs import NONCOHERENT_DMA, Input, Value, domain
from mtcalc.rules.rule import Outcome


class Hole:
    """A place in the tree that is filled once it is known what comes there."""

    __slots__ = ("tree",)

    def __init__(self) -> None:
        self.tree: Tree | None = None


class Leaf(NamedTuple):
    """A byte returned, or the truth that a helper returned, and the line that returns it."""

    result: Outcome | Condition
    line: int


class Branch(NamedTuple):
    """A condition asked in a line, and what comes where it holds and where it does not."""

    condition: Condition
    line: int
    yes: Hole
    no: Hole


Tree: TypeAlias = Union[Leaf, Branch]

_COHERENT_DOMAIN = (Not(Atom(IOMMU_DOMAIN)), Atom(IOMMU_COHERENT))
_NONCOHERENT_DOMAIN = (Atom(IOMMU_DOMAIN), Not(Atom(IOMMU_COHERENT)))


def all_of(parts: Iterable[Condition]) -> Condition:
    """And, flat, without what always holds; a non-coherent IOMMU domain is said as non-coherent DMA."""
    flat: list[Condition] = []
    for part in parts:
        for one in part.of if isinstance(part, And) else (part,):
            if one == NEVER:
                return NEVER
            if one not in flat:
                flat.append(one)
    flat = _joined(flat, _NONCOHERENT_DOMAIN, Atom(NONCOHERENT_DMA))
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def any_of(parts: Iterable[Condition]) -> Condition:
    """Or, flat, without what never holds."""
    flat: list[Condition] = []
    for part in parts:
        for one in part.of if isinstance(part, Or) else (part,):
            if one == ALWAYS:
                return ALWAYS
            if one not in flat:
                flat.append(one)
    flat = _joined(flat, _COHERENT_DOMAIN, Not(Atom(NONCOHERENT_DMA)))
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def _joined(parts: list[Condition], pair: tuple[Condition, Condition], by: Condition) -> list[Condition]:
    if pair[0] not in parts or pair[1] not in parts:
        return parts
    at = min(parts.index(pair[0]), parts.index(pair[1]))
    rest = [part for part in parts if part not in pair and part != by]
    return [*rest[:at], by, *rest[at:]]


class Known(NamedTuple):
    """What earlier decisions say: the values an input still can have, and conditions settled as a whole."""

    values: Mapping[Input, frozenset[Value]] = {}
    settled: Mapping[Condition, bool] = {}


def simplified(condition: Condition, known: Known) -> Condition:
    """What is left of a condition, given what is known."""
    if condition in known.settled:
        return ALWAYS if known.settled[condition] else NEVER
    if isinstance(condition, Atom):
        values = known.values.get(condition.input)
        if values is None or (condition.value in values and len(values) > 1):
            return condition
        return ALWAYS if condition.value in values else NEVER
    if isinstance(condition, Not):
        return negated(simplified(condition.of, known))
    parts = [simplified(part, known) for part in condition.of]
    return all_of(parts) if isinstance(condition, And) else any_of(parts)


def learnt(known: Known, condition: Condition, holds: bool) -> Known:
    """What is known once a (simplified) condition turned out to hold or not."""
    if isinstance(condition, Not):
        return learnt(known, condition.of, not holds)
    if isinstance(condition, Atom):
        before = known.values.get(condition.input, frozenset(domain(condition.input)))
        only = frozenset((condition.value,))
        return known._replace(values={**known.values, condition.input: before & only if holds else before - only})
    if isinstance(condition, And) is holds:
        for part in condition.of:
            known = learnt(known, part, holds)
        return known
    return known._replace(settled={**known.settled, condition: holds})


def as_condition(hole: Hole) -> Condition:
    """The condition that a tree comes to whose leaves are conditions."""
    tree = hole.tree
    if isinstance(tree, Branch):
        yes, no = as_condition(tree.yes), as_condition(tree.no)
        if yes == no:
            return yes
        if yes == ALWAYS:
            return any_of((tree.condition, no))
        if no == NEVER:
            return all_of((tree.condition, yes))
        if yes == NEVER:
            return all_of((negated(tree.condition), no))
        if no == ALWAYS:
            return any_of((negated(tree.condition), yes))
        return any_of((all_of((tree.condition, yes)), all_of((negated(tree.condition), no))))
    assert tree is not None
    assert not isinstance(tree.result, Outcome)
    return tree.result


class FoundRule(NamedTuple):
    """One rule of the list: its condition, the byte, the line that decides."""

    when: Condition
    then: Outcome
    line: int


def rules_of(hole: Hole) -> list[FoundRule]:
    """The tree as an ordered list, first match wins, in the order of the source."""
    _fold(hole, {})
    found: list[FoundRule] = []
    _flatten(hole, (), 0, found)
    return found


def _fold(hole: Hole, keys: dict[object, int]) -> int:
    """Replaces branches whose two sides are the same; a number that equal trees share."""
    tree = hole.tree
    assert tree is not None
    if isinstance(tree, Leaf):
        return keys.setdefault(("leaf", tree.result), len(keys))
    yes, no = _fold(tree.yes, keys), _fold(tree.no, keys)
    if yes == no:
        hole.tree = tree.no.tree
        return no
    return keys.setdefault((tree.condition, yes, no), len(keys))


def _flatten(hole: Hole, given: tuple[Condition, ...], line: int, found: list[FoundRule]) -> None:
    while isinstance(hole.tree, Branch):
        condition, at, yes, no = hole.tree
        if isinstance(yes.tree, Leaf):
            _emit((*given, condition), yes.tree, at, found)
            hole = no
        elif isinstance(no.tree, Leaf) and isinstance(condition, Not):
            _emit((*given, condition.of), no.tree, at, found)
            hole = yes
        else:
            _flatten(yes, (*given, condition), at, found)
            hole = no
    assert hole.tree is not None
    _emit(given, hole.tree, line or hole.tree.line, found)


def _emit(given: tuple[Condition, ...], leaf: Leaf, line: int, found: list[FoundRule]) -> None:
    assert isinstance(leaf.result, Outcome)
    found.append(FoundRule(all_of(given), leaf.result, line))


def shown_again(found: Iterable[FoundRule]) -> list[FoundRule]:
    """The rules with their assumptions as the source says them.

    An unwritten conversion is told where without it two different texts would be one.
    """
    rules = list(found)
    exact: dict[str, set[str]] = {}
    for rule in rules:
        taken = [rule.then.memtype_of] if rule.then.memtype_of is not None else []
        for item in (*inputs(rule.when), *taken):
            exact.setdefault(shown_text(item.arg), set()).add(exact_text(item.arg))

    def shown(item: Input) -> Input:
        plain = shown_text(item.arg)
        return item._replace(arg=plain if len(exact[plain]) == 1 else exact_text(item.arg))

    return renamed(rules, shown)


def renamed(found: Iterable[FoundRule], name: Callable[[Input], Input]) -> list[FoundRule]:
    """The rules with each input as `name` has it."""
    return [
        rule._replace(
            when=_renamed(rule.when, name),
            then=rule.then
            if rule.then.memtype_of is None
            else rule.then._replace(memtype_of=name(rule.then.memtype_of)),
        )
        for rule in found
    ]


def _renamed(condition: Condition, name: Callable[[Input], Input]) -> Condition:
    if isinstance(condition, Atom):
        return condition._replace(input=name(condition.input))
    if isinstance(condition, Not):
        return Not(_renamed(condition.of, name))
    return type(condition)(tuple(_renamed(part, name) for part in condition.of))


def replaced(condition: Condition, by: Callable[[Input], Condition | None]) -> Condition:
    """A condition with what `by` has for an input in place of what asks for it; None leaves that as it is."""
    if isinstance(condition, Atom):
        new = by(condition.input)
        return condition if new is None else new
    if isinstance(condition, Not):
        return negated(replaced(condition.of, by))
    parts = [replaced(part, by) for part in condition.of]
    return all_of(parts) if isinstance(condition, And) else any_of(parts)
