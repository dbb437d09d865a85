# SPDX-License-Identifier: GPL-2.0-only
"""Where a reading of C stands: the record that the interpreter's functions take, states, scopes, limits, decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn, TypeAlias

from tree_sitter import Node

from mtcalc.csource.masks import NEVER, placed_bits, whole
from mtcalc.csource.parse import CText, ParsedFunction
from mtcalc.csource.predicates import ConditionText, spelling_of
from mtcalc.csource.tree import Branch, Hole, Known, learnt, simplified
from mtcalc.csource.values import Val, Var, can_be_negative, number
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

    hole: Hole
    env: Mapping[Var, Val]
    known: Known
    decisions: int = 0


class NameScope(NamedTuple):
    """The names that a piece of a function sees, and the function."""

    function: ParsedFunction
    names: Mapping[str, Var]


Ends: TypeAlias = list[tuple[State, Val]]
"""The values that an expression can have, each with the state it has it in."""


@dataclass
class Context:
    """One reading of a C file: every function that evaluates or executes takes it first."""

    source: CText
    call: Callable[[Context, Node, State, NameScope], Ends]
    """Evaluates a call: given from above, since what is called is executed, and executing evaluates."""
    spelling: Callable[[str], ConditionText | None] = spelling_of
    """What the text of a call or of a field means: the table of what is being read."""
    running: list[str] = field(default_factory=list)
    """The functions being executed, outermost first."""
    called: set[str] = field(default_factory=set)
    """Every function called by its name."""
    kept: set[str] = field(default_factory=set)
    """Those of them that the file defines, and whose known meaning was taken."""
    reached: set[tuple[str, int]] = field(default_factory=set)
    """The statements executed: function, offset in its text."""
    depth: int = 0
    steps: int = 0

    @property
    def followed(self) -> frozenset[str]:
        """The functions whose bodies were executed."""
        return frozenset(name for name, _ in self.reached)


# Places and limits


def refuse(context: Context, message: str, node: Node, scope: NameScope) -> NoReturn:
    """Raises InputError at a node."""
    context.source.refuse(message, scope.function.offset + node.start_byte)


def line_of(context: Context, node: Node, scope: NameScope) -> int:
    """The line of a node in the file."""
    return context.source.place(scope.function.offset + node.start_byte).line


def enter(context: Context, node: Node, scope: NameScope) -> None:
    """Counts one step down; leave() has to follow."""
    context.depth += 1
    context.steps += 1
    if context.depth > MAX_DEPTH:
        refuse(context, f"nested too deeply (at most {MAX_DEPTH} levels, those of helpers included)", node, scope)
    if context.steps > MAX_STEPS:
        refuse(context, "too many ways through this function (fewer conditions)", node, scope)


def leave(context: Context) -> None:
    """Counts one step up."""
    context.depth -= 1


def attempt(context: Context, compute: Callable[[], Val], node: Node, scope: NameScope) -> Val:
    """A computation on values, its ValueError located."""
    try:
        return compute()
    except ValueError as error:
        refuse(context, str(error), node, scope)


def checked(context: Context, found: Ends, node: Node, scope: NameScope) -> Ends:
    """Values, none of them too long or too deep for what comes behind. Raises InputError."""
    for _, val in found:
        if len(val.text) > MAX_TEXT:
            refuse(context, f"an expression of more than {MAX_TEXT} characters (a shorter one)", node, scope)
        if val.cond is not None and not _is_small(val.cond):
            what = f"at most {MAX_CONDITION} parts, {MAX_CONDITION_DEPTH} deep"
            refuse(context, f"a condition that is too large ({what})", node, scope)
    return found


# Decisions


def fork(
    context: Context, condition: Condition, state: State, node: Node, scope: NameScope
) -> tuple[State | None, State | None]:
    """The state where a condition holds and the one where it does not; None where it can't."""
    left = simplified(condition, state.known)
    if left == ALWAYS:
        return state, None
    if left == NEVER:
        return None, state
    if state.decisions >= MAX_DECISIONS:
        refuse(context, f"more than {MAX_DECISIONS} conditions on one way (fewer)", node, scope)
    branch = Branch(left, line_of(context, node, scope), Hole(), Hole())
    state.hole.tree = branch
    return sides_of(context, branch, state)


def sides_of(context: Context, branch: Branch, state: State) -> tuple[State, State]:
    """The two states behind a branch."""
    condition, deeper = branch.condition, state.decisions + 1
    return (
        State(branch.yes, state.env, learnt(state.known, condition, True), deeper),
        State(branch.no, state.env, learnt(state.known, condition, False), deeper),
    )


def split(context: Context, val: Val, state: State, node: Node, scope: NameScope) -> Ends:
    """A condition's 0 or 1, and known bits of a register, as numbers, each in its own state; else the value."""
    bits: tuple[tuple[int, Condition], ...] | None = None
    if val.cond is not None:
        bits = ((1, val.cond),)
    elif val.mask is not None and not can_be_negative(val) and val.mask != whole(val.mask.register):
        bits = placed_bits(val.mask)
    if bits is None:
        return [(state, val)]
    found = [(state, val.mask.flip if val.mask is not None else 0)]
    for bit, condition in bits:
        forked = [(fork(context, condition, after, node, scope), so_far) for after, so_far in found]
        found = [
            (after, so_far ^ added)
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
