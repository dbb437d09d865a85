# SPDX-License-Identifier: GPL-2.0-only
"""C expressions evaluated over states: each state is one way the decisions so far can have gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from tree_sitter import Node

from mtcalc.csource.arithmetic import binary, literal, unary
from mtcalc.csource.context import (
    Context,
    Ends,
    NameScope,
    State,
    attempt,
    checked,
    child,
    enter,
    fork,
    leave,
    line_of,
    refuse,
    sides_of,
    split,
    text_of,
)
from mtcalc.csource.expression_types import described_type, type_of
from mtcalc.csource.masks import NEVER, whole
from mtcalc.csource.names import value_named
from mtcalc.csource.operands import READS_ATOMIC, as_it_is, bool_compared, holder_of, turned_back, turned_whole
from mtcalc.csource.parse import walk
from mtcalc.csource.predicates import SLOT_FLAGS_SHOWN, is_guest_mtrr, register_of, spelling_of
from mtcalc.csource.tree import Branch, Hole, all_of, any_of, simplified
from mtcalc.csource.types import BOOL, BYTE, INT, UNKNOWN, AnyType, CType, Pointer
from mtcalc.csource.values import AND_AND, OR_OR, PRECEDENCE, UNARY, Bits, Val, convert, number, truth, truth_value
from mtcalc.csource.words import written
from mtcalc.rules.condition import ALWAYS, Condition
from mtcalc.rules.inputs import GUEST_MTRR

_WRITES = ("assignment_expression", "update_expression")


def truths(context: Context, node: Node, state: State, scope: NameScope) -> list[tuple[State, Condition]]:
    """An expression as a condition."""
    return [(after, truth(val)) for after, val in values_of(context, node, state, scope)]


def values_of(context: Context, node: Node, state: State, scope: NameScope) -> Ends:
    """The values an expression can have, each with the state it has it in. Raises InputError."""
    evaluate = _KINDS.get(node.type)
    if evaluate is None:
        what = node.type.replace("_", " ")
        refuse(context, f"{what} is not understood here (memory types, constants and conditions)", node, scope)
    enter(context, node, scope)
    found = evaluate(context, node, state, scope)
    leave(context)
    return checked(context, found, node, scope)


def _parenthesized(context: Context, node: Node, state: State, scope: NameScope) -> Ends:
    inner = node.named_children
    if len(inner) != 1:
        refuse(context, "not understood (one expression in the parentheses)", node, scope)
    return values_of(context, inner[0], state, scope)


def _literal(context: Context, node: Node, state: State, scope: NameScope) -> Ends:
    return [(state, attempt(context, partial(literal, text_of(node)), node, scope))]


def _word(context: Context, node: Node, state: State, scope: NameScope) -> Ends:
    return [(state, value_named(context, text_of(node), node, state, scope))]


def _field(context: Context, node: Node, state: State, scope: NameScope) -> Ends:
    argument, field = child(node, "argument"), child(node, "field")
    operator = child(node, "operator")
    found = []
    for after, val in values_of(context, argument, state, scope):
        if not val.opaque:
            refuse(context, f"`{val.text}` has no fields (a pointer to a structure)", node, scope)
        found.append((after, known_text(context, f"{holder_of(val, text_of(operator))}{text_of(field)}")))
    return found


def _subscript(context: Context, node: Node, state: State, scope: NameScope) -> Ends:
    found = []
    for after, val in values_of(context, child(node, "argument"), state, scope):
        for then, index in values_of(context, child(node, "index"), after, scope):
            if not val.opaque or index.ref is not None:
                refuse(context, f"`{val.text}[{index.text}]` is not followed (a plain local)", node, scope)
            at = "0" if index.num == 0 else index.text
            found.append((then, Val(f"{val.inside(UNARY + 1)}[{at}]")))
    return found


def known_text(context: Context, text: str) -> Val:
    """An expression that only its text tells of: a spelling we know, or opaque."""
    if is_guest_mtrr(text):
        return Val(text, type=BYTE, bits=Bits(0, GUEST_MTRR, 0))
    spelling = context.spelling(text)
    if spelling is not None and spelling.boolean:
        return truth_value(spelling.condition, text)
    register = register_of(text)
    if register is not None:
        # There is one slot, however it is come by: its flags are one input.
        text = register.shown if register.shown == SLOT_FLAGS_SHOWN else text
        return Val(text, type=CType(register.width, False), mask=whole(register))
    return Val(text, type=INT if READS_ATOMIC.match(text) else UNKNOWN)


def _unary(context: Context, node: Node, state: State, scope: NameScope) -> Ends:
    operator = scope.function.text_of(child(node, "operator"))
    if operator in ("*", "&"):
        return _pointer(context, node, state, scope)
    found = []
    for after, val in values_of(context, child(node, "argument"), state, scope):
        parts = (
            [(after, val)]
            if operator == "!" or turned_whole(operator, val)
            else split(context, val, after, node, scope)
        )
        for then, one in parts:
            found.append((then, attempt(context, partial(unary, operator, one), node, scope)))
    return found


def _pointer(context: Context, node: Node, state: State, scope: NameScope) -> Ends:
    operator = scope.function.text_of(child(node, "operator"))
    argument = child(node, "argument")
    if operator == "&":
        var = scope.names.get(text_of(argument)) if argument.type == "identifier" else None
        if var is not None:
            return [(state, Val(f"&{var.name}", UNARY, ref=var))]
    found = []
    for after, val in values_of(context, argument, state, scope):
        if operator == "*" and val.ref is not None:
            if val.ref not in after.env:
                refuse(context, f"{val.ref.name} has no value yet here (an assignment on every way)", node, scope)
            found.append((after, after.env[val.ref]))
        elif val.opaque and turned_back(operator, val) is not None:
            found.append((after, known_text(context, turned_back(operator, val) or "")))
        elif val.opaque or (operator == "&" and argument.type in ("field_expression", "subscript_expression")):
            found.append((after, Val(operator + val.inside(UNARY), UNARY)))
        else:
            refuse(context, f"`{operator}{val.text}` is not followed (the address of a local)", node, scope)
    return found


def _cast(context: Context, node: Node, state: State, scope: NameScope) -> Ends:
    kind = described_type(context, child(node, "type"), scope)
    return cast_to(context, kind, child(node, "value"), node, state, scope)


def cast_to(context: Context, kind: AnyType, value: Node, node: Node, state: State, scope: NameScope) -> Ends:
    """An expression converted to the type that a cast names. Raises InputError."""
    found = []
    for after, val in values_of(context, value, state, scope):
        if isinstance(kind, Pointer) and val.ref is None:
            found.append((after, val))
        else:
            new = attempt(context, partial(convert, val, kind), node, scope)
            # A conversion that the source writes is told, but for what the tables know.
            told = new.opaque and new.mask is None and spelling_of(val.text) is None
            found.append((after, new._replace(text=written(new.text)) if told else new))
    return found


def _binary(context: Context, node: Node, state: State, scope: NameScope) -> Ends:
    operator = text_of(child(node, "operator"))
    left, right = child(node, "left"), child(node, "right")
    if operator in ("&&", "||"):
        return _logical(context, operator, left, right, state, scope)
    if operator not in PRECEDENCE:
        refuse(context, f"operator {operator} is not understood here (memory types are shifted and or'd)", node, scope)
    found = []
    for after, a in values_of(context, left, state, scope):
        for then, b in values_of(context, right, after, scope):
            alone = bool_compared(operator, a, b)
            found += [(then, alone)] if alone is not None else computed(context, operator, a, b, then, node, scope)
    return found


def computed(context: Context, operator: str, a: Val, b: Val, state: State, node: Node, scope: NameScope) -> Ends:
    """A binary operator on two values; those that are conditions as 0 and 1, each in its own state."""
    if as_it_is(operator, a, b):
        return [(state, attempt(context, partial(binary, operator, a, b), node, scope))]
    return [
        (second, attempt(context, partial(binary, operator, x, y), node, scope))
        for first, x in split(context, a, state, node, scope)
        for second, y in split(context, b, first, node, scope)
    ]


def _logical(context: Context, operator: str, left: Node, right: Node, state: State, scope: NameScope) -> Ends:
    """&& and ||: one condition where the right side neither decides nor writes anything of its own."""
    both = operator == "&&"
    prec = AND_AND if both else OR_OR
    join = all_of if both else any_of
    found: Ends = []
    for after, a in values_of(context, left, state, scope):
        first = simplified(truth(a), after.known)
        if first == (NEVER if both else ALWAYS):
            found.append((after, number(int(not both), INT)))
            continue
        branch = Branch(first, line_of(context, left, scope), Hole(), Hole())
        sides = sides_of(context, branch, after)
        asked, short = sides if both else (sides[1], sides[0])
        results = values_of(context, right, asked, scope)
        if len(results) == 1 and results[0][0].hole is asked.hole and results[0][0].env is after.env:
            b = results[0][1]
            text = f"{a.inside(prec)} {operator} {b.inside(prec + 1)}"
            found.append((after, truth_value(join((first, truth(b))), text, prec)))
            continue
        if first in (ALWAYS, NEVER):
            # The right side alone counts; what it decides takes this state's place in the tree.
            after.hole.tree = asked.hole.tree
            settled = [(s._replace(hole=after.hole) if s.hole is asked.hole else s, v) for s, v in results]
        else:
            after.hole.tree = branch
            found.append((short, number(int(not both), INT)))
            settled = results
        for then, b in settled:
            found.append((then, attempt(context, partial(convert, b, BOOL), right, scope)._replace(type=INT)))
    return found


def _conditional(context: Context, node: Node, state: State, scope: NameScope) -> Ends:
    parts = [node.child_by_field_name(name) for name in ("condition", "consequence", "alternative")]
    if any(part is None for part in parts):
        refuse(context, "?: without a middle is not understood (both values)", node, scope)
    asked, if_yes, if_no = (part for part in parts if part is not None)
    kind = type_of(context, node, scope)
    found = []
    for after, condition in truths(context, asked, state, scope):
        yes, no = fork(context, condition, after, asked, scope)
        for arm, start in ((if_yes, yes), (if_no, no)):
            if start is not None:
                found += [
                    (then, _as_arm(context, val, kind, arm, scope))
                    for then, val in values_of(context, arm, start, scope)
                ]
    return found


def _as_arm(context: Context, val: Val, kind: CType, node: Node, scope: NameScope) -> Val:
    """An arm of ?: in the type that both have in common."""
    if val.ref is not None or val.opaque:
        return val
    if kind != UNKNOWN:
        return attempt(context, partial(convert, val, kind), node, scope)
    if val.num is not None:
        return attempt(context, partial(number, val.num, UNKNOWN, val.text), node, scope)._replace(prec=val.prec)
    return val._replace(type=UNKNOWN) if val.mask is None else val


def without_effect(context: Context, node: Node, scope: NameScope) -> None:
    """Refuses an expression that is passed over and yet writes a local. Raises InputError."""
    for part in walk(node):
        signed = part.type in ("pointer_expression", "unary_expression")
        address = signed and scope.function.text_of(part).startswith("&")
        if part.type in _WRITES or (address and text_of(child(part, "argument")) in scope.names):
            refuse(context, "a local written in passing (a statement of its own)", part, scope)


def _call(context: Context, node: Node, state: State, scope: NameScope) -> Ends:
    return context.call(context, node, state, scope)


_KINDS: Mapping[str, Callable[[Context, Node, State, NameScope], Ends]] = {
    "parenthesized_expression": _parenthesized,
    "number_literal": _literal,
    "identifier": _word,
    "true": _word,
    "false": _word,
    "null": _word,
    "field_expression": _field,
    "subscript_expression": _subscript,
    "unary_expression": _unary,
    "pointer_expression": _pointer,
    "cast_expression": _cast,
    "binary_expression": _binary,
    "conditional_expression": _conditional,
    "call_expression": _call,
}
