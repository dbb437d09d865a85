# SPDX-License-Identifier: GPL-2.0-only
"""C statements executed over states: each leads on, out of a switch, to a label or out of the function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from tree_sitter import Node

from mtcalc.csource.arithmetic import binary
from mtcalc.csource.context import (
    MAX_DECISIONS,
    Context,
    NameScope,
    State,
    attempt,
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
from mtcalc.csource.expressions import computed, truths, values_of, without_effect
from mtcalc.csource.masks import NEVER
from mtcalc.csource.names import integer_named, known_enum
from mtcalc.csource.parse import ParsedFunction, walk
from mtcalc.csource.predicates import PASSED_OVER
from mtcalc.csource.tree import Branch, Hole, simplified
from mtcalc.csource.types import PLAIN_CHAR, UNKNOWN, AnyType, Pointer, is_plain_char
from mtcalc.csource.values import Val, Var, convert, promoted, truth
from mtcalc.rules.condition import ALWAYS, Condition

_COMPUTING = ("|=", "&=", "^=", "<<=", ">>=", "+=", "-=", "*=")


class Flow(NamedTuple):
    """Where a statement leads: on, out of a switch, to a label, out of the function."""

    on: list[State]
    breaks: list[tuple[State, Node]]
    gotos: list[tuple[State, Node]]
    returns: list[tuple[State, Val | None, Node]]


_FALLS_THROUGH = "fallthrough"
"""A macro for an attribute that tells the compiler what is meant. Source: include/linux/compiler_attributes.h."""


def flow(on: list[State]) -> Flow:
    """A statement that just goes on."""
    return Flow(on, [], [], [])


def declared(
    context: Context, node: Node, kind: AnyType | None, function: ParsedFunction, scope: NameScope, opaque: bool = False
) -> Var:
    """The variable that a declarator declares. `opaque`: of a type that need not be known."""
    inner: Node | None = node
    depth = 0
    while inner is not None and inner.type == "pointer_declarator":
        inner = inner.child_by_field_name("declarator")
        depth += 1
    if inner is None or inner.type != "identifier":
        refuse(context, "a declaration that is not understood (an integer, or a pointer)", node, scope)
    if depth:
        kind = Pointer(kind if depth == 1 and not isinstance(kind, Pointer) else None)
    elif kind is None and opaque:
        kind = Pointer(None)  # a structure or a type of its own: only passed on
    elif kind is None:
        refuse(context, "a local of an unknown type (an integer type of the kernel, or a pointer)", node, scope)
    return Var(text_of(inner), function.name, inner.start_byte, kind)


def statement(context: Context, node: Node, state: State, scope: NameScope) -> Flow:
    """Executes one statement. Raises InputError."""
    execute = _STATEMENTS.get(node.type)
    if execute is None:
        what = node.type.removesuffix("_statement").replace("_", " ")
        refuse(context, f"{what} is not understood here (if, switch, goto, return and assignments)", node, scope)
    enter(context, node, scope)
    context.reached.add((scope.function.name, node.start_byte))
    done = execute(context, node, state, scope)
    leave(context)
    return done


def block(context: Context, node: Node, state: State, scope: NameScope) -> Flow:
    """Executes the statements between two braces. Raises InputError."""
    return _sequence(context, node.named_children, [state], scope, {})[0]


def _sequence(
    context: Context, nodes: list[Node], states: list[State], scope: NameScope, block: dict[str, Var]
) -> tuple[Flow, NameScope]:
    """Statements of one block, and the scope behind them. `block`: what the block has declared so far.

    A declaration counts from where it stands, behind a label too: what stands before it sees the outer name.
    """
    done = flow([])
    for node in nodes:
        while node.type == "labeled_statement":
            label = text_of(child(node, "label"))
            states = states + [s for s, goto in done.gotos if text_of(child(goto, "label")) == label]
            done.gotos[:] = [(s, goto) for s, goto in done.gotos if text_of(child(goto, "label")) != label]
            parts = node.named_children[1:]
            if len(parts) != 1:
                break
            node = parts[0]
        else:
            if node.type == "declaration":
                states, scope = _declaration(context, node, states, scope, block)
                continue
            after: list[State] = []
            for state in states:
                one = statement(context, node, state, scope)
                after += one.on
                done.breaks.extend(one.breaks)
                done.gotos.extend(one.gotos)
                done.returns.extend(one.returns)
            states = after
    return done._replace(on=states), scope


def _declaration(
    context: Context, node: Node, states: list[State], scope: NameScope, block: dict[str, Var]
) -> tuple[list[State], NameScope]:
    """The states with the declared locals set, and the scope that knows them. Raises InputError."""
    if any(part.type == "storage_class_specifier" for part in node.named_children):
        refuse(context, "a static local is not followed (a plain local)", node, scope)
    if any(part.type == "enumerator_list" for part in walk(child(node, "type"))):
        refuse(context, "an enum inside a function is not followed (outside)", node, scope)
    declarators = node.children_by_field_name("declarator")
    words = text_of(child(node, "type"))
    if words in scope.names:
        refuse(context, f"{words} is a local, and no type (a statement that does something)", node, scope)
    known_enum(context, words, node, scope)
    kind = integer_named(context, words, node, scope)
    for declarator in declarators:
        started = declarator.type == "init_declarator"
        inner = child(declarator, "declarator") if started else declarator
        var = declared(context, inner, kind, scope.function, scope)
        if is_plain_char(text_of(child(node, "type"))):
            refuse(context, PLAIN_CHAR, node, scope)
        if kind is None and child(node, "type").type == "type_identifier" and var.name in scope.names:
            refuse(context, f"{words} is no known type, and {var.name} is a local already (another name)", node, scope)
        if var.name in block:
            refuse(context, f"{var.name} is declared twice in this block (once)", inner, scope)
        block[var.name] = var
        scope = scope._replace(names={**scope.names, var.name: var})
        if not started:
            continue
        value = child(declarator, "value")
        after: list[State] = []
        for state in states:
            enter(context, node, scope)
            after += [
                _stored(context, var, val, then, value, scope) for then, val in values_of(context, value, state, scope)
            ]
            leave(context)
        states = after
    return states, scope


def _stored(context: Context, var: Var, val: Val, state: State, node: Node, scope: NameScope) -> State:
    if val.prec == 0:
        refuse(context, "a helper without a value (one that returns something)", node, scope)
    if var.type == Pointer(None) and val.ref is not None:
        refuse(context, f"{var.name} would point to a local (the local itself)", node, scope)
    if isinstance(var.type, Pointer) and val.ref is None:
        return state._replace(env={**state.env, var: val})
    stored = attempt(context, partial(convert, val, var.type), node, scope)
    return state._replace(env={**state.env, var: stored})


def _expression(context: Context, node: Node, state: State, scope: NameScope) -> Flow:
    parts = node.named_children
    if not parts:
        return flow([state])
    inner = parts[0]
    if inner.type == "assignment_expression":
        return flow(_assignment(context, inner, state, scope))
    if inner.type == "call_expression":
        return flow(_called(context, inner, state, scope))
    if inner.type == "cast_expression" and text_of(child(inner, "type")) == "void":
        without_effect(context, inner, scope)
        return flow([state])
    if text_of(inner) == _FALLS_THROUGH and not context.source.macros.lines(_FALLS_THROUGH):
        return flow([state])
    if inner.type in ("update_expression", "gnu_asm_expression", "comma_expression"):
        what = {"update_expression": "++ or --", "gnu_asm_expression": "inline assembly"}.get(inner.type, "a comma")
        refuse(context, f"{what} is not understood here (assignments, one a statement)", node, scope)
    return refuse(context, "a statement without effect (an assignment, a call or a return)", node, scope)


def _called(context: Context, node: Node, state: State, scope: NameScope) -> list[State]:
    function = child(node, "function")
    name = text_of(function)
    if PASSED_OVER.fullmatch(name) and context.source.macros.of(name, scope.function.offset + node.start_byte) is None:
        without_effect(context, node, scope)
        return [state]
    if function.type != "identifier" or context.source.function(name) is None:
        refuse(context, f"what {name} does here is not known (its definition in the same file)", node, scope)
    return [after for after, _ in values_of(context, node, state, scope)]


def _assignment(context: Context, node: Node, state: State, scope: NameScope) -> list[State]:
    left, right = child(node, "left"), child(node, "right")
    operator = text_of(child(node, "operator"))
    if operator != "=" and operator not in _COMPUTING:
        refuse(context, f"operator {operator} is not understood (=, |=, &=, ^=, <<=, >>=, +=, -=, *=)", node, scope)
    found = []
    for after, target in _targets(context, left, state, scope):
        for then, val in values_of(context, right, after, scope):
            if operator == "=":
                found.append(_stored(context, target, val, then, node, scope))
                continue
            if target not in then.env:
                refuse(context, f"{target.name} has no value yet here (an assignment on every way)", left, scope)
            for last, new in computed(context, operator[:-1], then.env[target], val, then, node, scope):
                found.append(_stored(context, target, new, last, node, scope))
    return found


def _targets(context: Context, node: Node, state: State, scope: NameScope) -> list[tuple[State, Var]]:
    while node.type == "parenthesized_expression" and len(node.named_children) == 1:
        node = node.named_children[0]
    if node.type == "identifier" and text_of(node) in scope.names:
        return [(state, scope.names[text_of(node)])]
    if node.type == "pointer_expression" and text_of(child(node, "operator")) == "*":
        found = values_of(context, child(node, "argument"), state, scope)
        if all(val.ref is not None for _, val in found):
            return [(after, val.ref) for after, val in found if val.ref is not None]
    return refuse(
        context, f"`{text_of(node)}` is not a local (a local, or what a helper's pointer to one points to)", node, scope
    )


def _if(context: Context, node: Node, state: State, scope: NameScope) -> Flow:
    asked = child(node, "condition")
    otherwise = node.child_by_field_name("alternative")
    done = flow([])
    for after, condition in truths(context, asked, state, scope):
        # Sides that only go on, with nothing changed, decide nothing: then the state goes on as it was.
        yes_hole, no_hole = Hole(), Hole()
        left = simplified(condition, after.known)
        if left in (ALWAYS, NEVER):
            chosen = child(node, "consequence") if left == ALWAYS else otherwise
            _extend(done, _else(context, chosen, after, scope))
            continue
        branch = Branch(left, line_of(context, asked, scope), yes_hole, no_hole)
        if after.decisions >= MAX_DECISIONS:
            refuse(context, f"more than {MAX_DECISIONS} conditions on one way (fewer)", asked, scope)
        yes, no = sides_of(context, branch, after)
        first = _else(context, child(node, "consequence"), yes, scope)
        second = _else(context, otherwise, no, scope)
        if _idle(first, yes) and _idle(second, no):
            done.on.append(after)
            continue
        after.hole.tree = branch
        _extend(done, first)
        _extend(done, second)
    return done


def _else(context: Context, node: Node | None, state: State, scope: NameScope) -> Flow:
    if node is None:
        return flow([state])
    if node.type == "else_clause":
        (node,) = node.named_children
    inner = node
    while inner.type == "labeled_statement" and len(inner.named_children) == 2:
        inner = inner.named_children[1]
    if inner.type == "declaration":
        refuse(context, "a declaration as the only statement of an if (a block)", inner, scope)
    return _sequence(context, [node], [state], scope, {})[0]


def _switch(context: Context, node: Node, state: State, scope: NameScope) -> Flow:
    cases = child(node, "body").named_children
    done = flow([])
    asked = child(node, "condition")
    values = [
        one
        for after, val in values_of(context, asked, state, scope)
        for one in split(context, val, after, asked, scope)
    ]
    for after, val in values:
        entries: list[tuple[int, State]] = []
        default: int | None = None
        rest: list[State] = [after]
        for at, case in enumerate(cases):
            if case.type != "case_statement":
                refuse(context, "a statement before the first case (case VALUE:)", case, scope)
            label = case.child_by_field_name("value")
            if label is None:
                default = at
                continue
            waiting: list[State] = []
            for one in rest:
                matched = _matches(context, val, label, one, scope)
                yes, no = fork(context, matched, one, label, scope)
                entries += [(at, yes)] if yes is not None else []
                waiting += [no] if no is not None else []
            rest = waiting
        running: list[State] = []
        inner, block = scope, dict[str, Var]()  # the cases are one block
        for at, case in enumerate(cases):
            running += [one for where, one in entries if where == at]
            running += rest if at == default else []
            skip = 0 if case.child_by_field_name("value") is None else 1
            step, inner = _sequence(context, case.named_children[skip:], running, inner, block)
            running = step.on
            done.on.extend(s for s, how in step.breaks if how.type == "break_statement")
            done.gotos.extend(step.gotos)
            done.returns.extend(step.returns)
        done.on.extend(running)
        done.on.extend(rest if default is None else [])
    return done


def _matches(context: Context, val: Val, label: Node, state: State, scope: NameScope) -> Condition:
    found = values_of(context, label, state, scope)
    if len(found) != 1 or found[0][1].cond is not None:
        refuse(context, "a case that is not understood (a constant)", label, scope)
    case, kind = found[0][1], promoted(val.type)
    if case.num is not None and kind != UNKNOWN:
        case = attempt(context, partial(convert, case, kind), label, scope)
    return truth(attempt(context, partial(binary, "==", val, case), label, scope))


def _break(context: Context, node: Node, state: State, scope: NameScope) -> Flow:
    return Flow([], [(state, node)], [], [])


def _goto(context: Context, node: Node, state: State, scope: NameScope) -> Flow:
    return Flow([], [], [(state, node)], [])


def _return(context: Context, node: Node, state: State, scope: NameScope) -> Flow:
    parts = node.named_children
    if not parts:
        return Flow([], [], [], [(state, None, node)])
    found = values_of(context, parts[0], state, scope)
    return Flow([], [], [], [(after, None if val.prec == 0 else val, node) for after, val in found])


_STATEMENTS: Mapping[str, Callable[[Context, Node, State, NameScope], Flow]] = {
    "compound_statement": block,
    "expression_statement": _expression,
    "if_statement": _if,
    "switch_statement": _switch,
    "break_statement": _break,
    "goto_statement": _goto,
    "return_statement": _return,
}


def _idle(done: Flow, state: State) -> bool:
    """Whether a side goes on with nothing decided, written or left."""
    one = len(done.on) == 1 and not done.breaks and not done.gotos and not done.returns
    return one and done.on[0].hole is state.hole and done.on[0].env == state.env


def _extend(done: Flow, more: Flow) -> None:
    done.on.extend(more.on)
    done.breaks.extend(more.breaks)
    done.gotos.extend(more.gotos)
    done.returns.extend(more.returns)
