# SPDX-License-Identifier: GPL-2.0-only
"""Where an execution stands: states, scopes, limits, and decisions growing the tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn

from tree_sitter import Node

from mtcalc.csource.masks import NEVER
from mtcalc.csource.parse import Function, Source
from mtcalc.csource.tree import Branch, Known, Slot, learnt, simplified
from mtcalc.csource.values import Val, Var, number
from mtcalc.rules.condition import ALWAYS, And, Condition, Not, Or

MAX_DEPTH = 80
"""Nesting of statements and expressions, calls of helpers included."""
MAX_DECISIONS = 100
"""Conditions on the way to one return."""
MAX_STEPS = 20_000
"""Expressions and statements looked at, over all ways through the function."""


MAX_TEXT = 1_000
"""Characters of an expression's text, locals replaced by what they hold."""
MAX_CONDITION = 400
"""Inputs, nots, ands and ors in one condition."""
MAX_CONDITION_DEPTH = 40
"""How deep they are nested: as deep as everything behind can print and read back."""


class State(NamedTuple):
    """One way through the function so far: where its rest goes in the tree, what its locals hold, what is known."""

    slot: Slot
    env: Mapping[Var, Val]
    known: Known
    decisions: int = 0


class Scope(NamedTuple):
    """The names that a piece of a function sees, and the function."""

    function: Function
    names: Mapping[str, Var]


class Ground:
    """What reading expressions and executing statements stand on."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.reached: set[tuple[str, int]] = set()  # statements executed: function, offset in its text
        self._depth = 0
        self._steps = 0

    # Places and limits

    def refuse(self, message: str, node: Node, scope: Scope) -> NoReturn:
        """Raises InputError at a node."""
        self.source.refuse(message, scope.function.offset + node.start_byte)

    def line(self, node: Node, scope: Scope) -> int:
        """The line of a node in the file."""
        return self.source.place(scope.function.offset + node.start_byte).line

    def enter(self, node: Node, scope: Scope) -> None:
        """Counts one step down; leave() has to follow."""
        self._depth += 1
        self._steps += 1
        if self._depth > MAX_DEPTH:
            self.refuse(f"nested too deeply (at most {MAX_DEPTH} levels, those of helpers included)", node, scope)
        if self._steps > MAX_STEPS:
            self.refuse("too many ways through this function (fewer conditions)", node, scope)

    def leave(self) -> None:
        """Counts one step up."""
        self._depth -= 1

    def attempt(self, compute: Callable[[], Val], node: Node, scope: Scope) -> Val:
        """A computation on values, its ValueError located."""
        try:
            return compute()
        except ValueError as error:
            self.refuse(str(error), node, scope)

    def checked(self, found: list[tuple[State, Val]], node: Node, scope: Scope) -> list[tuple[State, Val]]:
        """Values, none of them too long or too deep for what comes behind. Raises InputError."""
        for _, val in found:
            if len(val.text) > MAX_TEXT:
                self.refuse(f"an expression of more than {MAX_TEXT} characters (a shorter one)", node, scope)
            if val.cond is not None and not _is_small(val.cond):
                what = f"at most {MAX_CONDITION} parts, {MAX_CONDITION_DEPTH} deep"
                self.refuse(f"a condition that is too large ({what})", node, scope)
        return found

    # Decisions

    def fork(self, condition: Condition, state: State, node: Node, scope: Scope) -> tuple[State | None, State | None]:
        """The state where a condition holds and the one where it does not; None where it can't."""
        left = simplified(condition, state.known)
        if left == ALWAYS:
            return state, None
        if left == NEVER:
            return None, state
        if state.decisions >= MAX_DECISIONS:
            self.refuse(f"more than {MAX_DECISIONS} conditions on one way (fewer)", node, scope)
        branch = Branch(left, self.line(node, scope), Slot(), Slot())
        state.slot.tree = branch
        return self.sides(branch, state)

    def sides(self, branch: Branch, state: State) -> tuple[State, State]:
        """The two states behind a branch."""
        condition, deeper = branch.condition, state.decisions + 1
        return (
            State(branch.yes, state.env, learnt(state.known, condition, True), deeper),
            State(branch.no, state.env, learnt(state.known, condition, False), deeper),
        )

    def split(self, val: Val, state: State, node: Node, scope: Scope) -> list[tuple[State, Val]]:
        """A condition's 0 or 1, and known bits of a register, as numbers, each in its own state; else the value."""
        bits: tuple[tuple[int, Condition], ...] | None = None
        if val.cond is not None:
            bits = ((1, val.cond),)
        elif val.mask is not None and val.mask.mask is not None:
            bits = val.mask.bits
        if bits is None:
            return [(state, val)]
        found = [(state, 0)]
        for bit, condition in bits:
            forked = [(self.fork(condition, after, node, scope), so_far) for after, so_far in found]
            found = [
                (after, so_far | added)
                for (yes, no), so_far in forked
                for after, added in ((yes, bit), (no, 0))
                if after is not None
            ]
        # Under the text of the source: what stays unknown about them is asked for under it.
        return [(after, number(value, val.type, val.text)._replace(prec=val.prec)) for after, value in found]


def _is_small(condition: Condition) -> bool:
    level: list[Condition] = [condition]
    seen = 0
    for _ in range(MAX_CONDITION_DEPTH):
        below: list[Condition] = []
        seen += len(level)
        if seen > MAX_CONDITION:
            return False
        for one in level:
            if isinstance(one, Not):
                below.append(one.of)
            elif isinstance(one, And | Or):
                below.extend(one.of)
        if not below:
            return True
        level = below
    return False


def text_of(node: Node) -> str:
    """A node's own text."""
    return (node.text or b"").decode("ascii")


def child(node: Node, field: str) -> Node:
    """A field that the grammar always gives."""
    found = node.child_by_field_name(field)
    assert found is not None
    return found
