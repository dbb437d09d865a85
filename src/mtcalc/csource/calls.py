# SPDX-License-Identifier: GPL-2.0-only
"""Calls evaluated: of the file's own functions, of macros and functions whose meaning is known, of unknown ones."""

from __future__ import annotations

from functools import partial

from tree_sitter import Node

from mtcalc.csource.arithmetic import binary
from mtcalc.csource.context import Context, Ends, NameScope, State, attempt, child, refuse, text_of
from mtcalc.csource.expressions import cast_to, known_text, values_of, without_effect
from mtcalc.csource.functions import run
from mtcalc.csource.helpers import is_the_kernel_s_own
from mtcalc.csource.masks import NEVER, assumption
from mtcalc.csource.names import integer_named
from mtcalc.csource.operands import asks_unknown_bit, bit_test, masking_call, range_of, truth_as_long
from mtcalc.csource.parse import Definition, ParsedFunction
from mtcalc.csource.predicates import (
    BIT_MACROS,
    BIT_NUMBERS,
    CONFIG_MACROS,
    CONFIGURED,
    EXPECTING,
    KNOWN_HELPERS,
    NO_CALLS,
    RANGE_MACROS,
    TRANSPARENT,
    WRITES_TO,
)
from mtcalc.csource.tree import Hole, Known, Leaf, as_condition
from mtcalc.csource.types import INT, LONG, ULONG, UNKNOWN, CType
from mtcalc.csource.values import POSTFIX, Val, convert, number, truth_value
from mtcalc.rules.condition import ALWAYS, Condition
from mtcalc.text.errors import InputError

_POSTFIX = ("field_expression", "subscript_expression", "call_expression")


def call(context: Context, node: Node, state: State, scope: NameScope) -> Ends:
    """A call, or a cast that reads as one. Raises InputError."""
    function, listed = child(node, "function"), child(node, "arguments").named_children
    if function.type == "parenthesized_expression":
        inner = function.named_children
        kind = integer_named(context, text_of(inner[0]), inner[0], scope) if len(inner) == 1 else None
        if kind is not None and len(listed) == 1:
            holder = node.parent
            if holder is not None and holder.type in _POSTFIX and holder.named_children[0] == node:
                refuse(
                    context, "a cast of something with more behind it (parentheses around what is cast)", node, scope
                )
            return cast_to(context, kind, listed[0], node, state, scope)
    if function.type == "field_expression":
        called = values_of(context, function, state, scope)
        if len(called) != 1:
            refuse(context, "a call that is not understood (a function by its name)", function, scope)
        return unknown_call(context, called[0][1].text, node, listed, state, scope)
    name = text_of(function)
    if name in NO_CALLS:
        refuse(context, f"{name} is not understood here (the type's own name)", function, scope)
    if function.type != "identifier" or name in scope.names:
        refuse(context, "a call that is not understood (a function by its name)", function, scope)
    context.called.add(name)
    macro = context.source.macros.of(name, scope.function.offset + node.start_byte)
    if macro is not None and not means_what_it_does(context, name, node, listed, state, scope):
        refuse(context, f"{name} is a macro that is not followed (a function)", function, scope)
    if macro is None:
        found = _defined_call(context, name, node, listed, state, scope)
        if found is not None:
            return found
    if (name in TRANSPARENT or name in EXPECTING) and listed:
        return _first_of(context, name, node, listed, state, scope)
    if name in CONFIG_MACROS and len(listed) == 1 and listed[0].type == "identifier":
        text = f"{name}({text_of(listed[0])})"
        known = name == "IS_ENABLED" and text_of(listed[0]) in CONFIGURED
        return [(state, truth_value(ALWAYS if known else assumption(text), text))]
    return unknown_call(context, name, node, listed, state, scope)


def _first_of(context: Context, name: str, node: Node, listed: list[Node], state: State, scope: NameScope) -> Ends:
    """What a macro makes of its first argument, the only one that counts."""
    for other in listed[1:]:
        without_effect(context, other, scope)
    found = values_of(context, listed[0], state, scope)
    if name in EXPECTING:
        return _as_long(context, found, node, scope)
    if TRANSPARENT[name]:
        return [(after, attempt(context, partial(truth_as_long, val), node, scope)) for after, val in found]
    return found


def _as_long(context: Context, found: Ends, node: Node, scope: NameScope) -> Ends:
    return [(after, attempt(context, partial(convert, val, LONG), node, scope)) for after, val in found]


def _defined_call(
    context: Context, name: str, node: Node, listed: list[Node], state: State, scope: NameScope
) -> Ends | None:
    """What the file's own function of a name makes of its arguments; None where there is none.

    Also of a function that goes by a name we know: its body counts. Where the body can't be followed and
    is the kernel's own for all that can be told, the name's meaning holds: None then.
    """
    depth, running, reached = context.depth, len(context.running), set(context.reached)
    try:
        helper = context.source.function(name)
        if helper is None:
            at = context.source.defined_otherwise(name)
            if at is None:
                return None
            what = f"a definition of {name} that is not followed (type and name, starting in column 1)"
            context.source.refuse(what, at)
        return [
            one
            for after, values in argument_values(context, listed, state, scope)
            for one in call_helper(context, node, helper, values, after, scope)
        ]
    except InputError:
        context.depth, context.reached = depth, reached
        del context.running[running:]
        if name in context.running or not means_what_it_does(context, name, node, listed, state, scope):
            raise
    return None


def argument_values(
    context: Context, listed: list[Node], state: State, scope: NameScope
) -> list[tuple[State, list[Val]]]:
    """The values of a call's arguments."""
    found: list[tuple[State, list[Val]]] = [(state, [])]
    for node in listed:
        found = [
            (then, [*before, val]) for after, before in found for then, val in values_of(context, node, after, scope)
        ]
    return found


def unknown_call(context: Context, name: str, node: Node, listed: list[Node], state: State, scope: NameScope) -> Ends:
    """A call that only its name tells of: known bits, a spelling we know, or opaque. Raises InputError."""
    found = []
    for after, values in argument_values(context, listed, state, scope):
        text = f"{name}({', '.join(val.text for val in values)})"
        for at, (val, argument) in enumerate(zip(values, listed, strict=True)):
            if val.ref is None:
                continue
            if WRITES_TO.get(name) != at:
                what = f"{name} is not in this file, and can write {val.ref.name}"
                refuse(context, f"{what} (its definition in the same file)", argument, scope)
            left = Val(f"{val.ref.name} of {text}", type=val.ref.type if isinstance(val.ref.type, CType) else UNKNOWN)
            after = after._replace(env={**after.env, val.ref: left})
        if asks_unknown_bit(name, values):
            refuse(context, f"`{values[0].text}` is no known bit of a register of inputs (its number)", node, scope)
        if name in BIT_MACROS and len(values) == 1 and values[0].num is not None:
            bit = attempt(context, partial(binary, "<<", number(1, ULONG), values[0]), node, scope)
            found.append((after, bit._replace(text=text, prec=POSTFIX)))
            continue
        if name in RANGE_MACROS and len(values) == 2 and all(val.num is not None for val in values):
            found.append((after, attempt(context, partial(range_of, values, text), node, scope)))
            continue
        if name in BIT_NUMBERS and len(values) == 1 and (values[0].num or 0).bit_count() == 1:
            found.append((after, number((values[0].num or 0).bit_length() - 1, INT, text)))
            continue
        found.append(
            (after, masking_call(name, values, text) or bit_test(name, values, text) or known_text(context, text))
        )
    return found


def means_what_it_does(
    context: Context, name: str, node: Node, listed: list[Node], state: State, scope: NameScope
) -> bool:
    """Whether a known helper that the file defines, and that is not followed, is the kernel's own."""
    if name not in KNOWN_HELPERS or name in context.running:
        return False
    depth, reached = context.depth, set(context.reached)
    aside = state._replace(hole=Hole())
    given = argument_values(context, listed, aside, scope)
    known = unknown_call(context, name, node, listed, aside, scope)
    if len(given) == len(known) == 1:
        values = given[0][1]

        def alone(one: Definition, expression: str) -> Val | None:
            return _returning(context, name, node, one, expression, values, state, scope)

        own = is_the_kernel_s_own(context.source.definitions(name), name, known[0][1], alone)
    else:
        own = False
    context.depth, context.reached = depth, reached
    if own:
        context.kept.add(name)
    return own


def _returning(
    context: Context,
    name: str,
    node: Node,
    one: Definition,
    expression: str,
    values: list[Val],
    state: State,
    scope: NameScope,
) -> Val | None:
    """What a definition that did nothing but return an expression would return; None for no one value."""
    running = len(context.running)
    start = State(Hole(), state.env, Known())
    try:
        found = call_helper(context, node, context.source.alone(name, one, expression), values, start, scope)
    except InputError:
        del context.running[running:]
        return None
    if len(found) != 1 or found[0][0].hole.tree is not None:
        return None
    return found[0][1]


def call_helper(
    context: Context, node: Node, helper: ParsedFunction, arguments: list[Val], state: State, scope: NameScope
) -> Ends:
    """A helper executed in place; one that just answers yes or no becomes a condition."""
    if helper.name in context.running:
        refuse(context, f"{helper.name} calls itself (helpers without recursion)", node, scope)
    start = state._replace(hole=Hole())
    ends = run(context, helper, arguments, start)
    if not ends:
        refuse(context, f"{helper.name} never returns (a value on every way)", node, scope)
    text = f"{helper.name}({', '.join(val.text for val in arguments)})"
    found = []
    pure = True
    for after, val, _, _ in ends:
        env = {var: kept for var, kept in after.env.items() if var.owner != helper.name}
        same = env == state.env
        pure = pure and same
        found.append((after._replace(env=state.env if same else env), val or Val("", prec=0)))
    answers = [val.cond if val.cond is not None else _settled(val) for _, val in found]
    if pure and all(answer is not None for answer in answers):
        for (after, _), answer in zip(found, answers, strict=True):
            assert answer is not None
            after.hole.tree = Leaf(answer, 0)
        return [(state, truth_value(as_condition(start.hole), text)._replace(type=found[0][1].type))]
    if start.hole.tree is None:  # one way, no decision
        return [(after._replace(hole=state.hole), val._replace(text=val.text or text)) for after, val in found]
    state.hole.tree = start.hole.tree
    return found


def _settled(val: Val) -> Condition | None:
    """ALWAYS or NEVER for the numbers 1 and 0."""
    if val.num not in (0, 1):
        return None
    return ALWAYS if val.num else NEVER
