# SPDX-License-Identifier: GPL-2.0-only
"""A whole C function executed: its parameters bound, its body run, every return told."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from tree_sitter import Node

from mtcalc.csource.context import Context, NameScope, State, attempt, child, refuse, text_of
from mtcalc.csource.names import integer_named
from mtcalc.csource.parse import ParsedFunction
from mtcalc.csource.predicates import MMIO_PARAMETER, MMIO_PLACE
from mtcalc.csource.statements import block, declared
from mtcalc.csource.types import BOOL, PLAIN_CHAR, UNKNOWN, AnyType, CType, Pointer, integer_type, is_plain_char
from mtcalc.csource.values import Val, Var, convert, truth_value
from mtcalc.csource.words import named
from mtcalc.rules.condition import Atom
from mtcalc.rules.inputs import MMIO


def run(
    context: Context, function: ParsedFunction, arguments: list[Val] | None, state: State
) -> list[tuple[State, Val | None, Node, NameScope]]:
    """Every way to a return, its value converted to the function's type (None for void).

    Without arguments every parameter is what its name says. Raises InputError.
    """
    outer = NameScope(function, {})
    declarator = child(function.node, "declarator")
    kind: AnyType | None
    words = text_of(child(function.node, "type"))
    if arguments is not None and declarator.type == "pointer_declarator":
        declarator, kind = child(declarator, "declarator"), Pointer(None)
    else:
        kind = integer_named(context, words, child(function.node, "type"), outer)
    if declarator.type != "function_declarator":
        refuse(context, f"{function.name} does not return a number (an integer type)", declarator, outer)
    if is_plain_char(words):
        refuse(context, PLAIN_CHAR, child(function.node, "type"), outer)
    if kind is None and words != "void":
        refuse(context, f"unknown type '{words}' (an integer type of the kernel)", child(function.node, "type"), outer)
    names, state = _bind(context, function, declarator, arguments, state, outer)
    scope = NameScope(function, names)
    context.running.append(function.name)
    body = child(function.node, "body")
    done = block(context, body, state, scope)
    context.running.pop()
    for _, node in done.gotos:
        label = text_of(child(node, "label"))
        refuse(context, f"goto {label} goes backwards or nowhere (a label further down)", node, scope)
    for _, node in done.breaks:
        refuse(context, f"{text_of(node).rstrip(';')} outside a switch (return, goto or a switch)", node, scope)
    found: list[tuple[State, Val | None, Node, NameScope]] = []
    for after, val, node in done.returns:
        if (val is None) is not (kind is None):
            what = "a value" if val is None else "no value"
            refuse(
                context,
                f"{function.name} returns {words}, and here {what.replace('a value', 'nothing')} "
                f"({'a value' if kind else 'no value'})",
                node,
                scope,
            )
        if val is not None and kind is not None:
            # The byte is cut to its type by the caller, which knows that only 8 bits count.
            cut = arguments is not None or kind == BOOL
            if cut and not (isinstance(kind, Pointer) and val.ref is None):
                val = attempt(context, partial(convert, val, kind), node, scope)
        found.append((after, val, node, scope))
    end = body.children[-1]
    for after in done.on:
        if kind is not None:
            refuse(context, f"{function.name} can end here without a return (a value on every way)", end, scope)
        found.append((after, None, end, scope))
    return found


def _bind(
    context: Context,
    function: ParsedFunction,
    declarator: Node,
    arguments: list[Val] | None,
    state: State,
    scope: NameScope,
) -> tuple[Mapping[str, Var], State]:
    parameters = [node for node in child(declarator, "parameters").named_children if text_of(node) != "void"]
    if arguments is not None and len(parameters) != len(arguments):
        what = f"{function.name} takes {len(parameters)} arguments, and is called with {len(arguments)}"
        refuse(context, f"{what} (as many)", declarator, scope)
    names: dict[str, Var] = {}
    env = dict(state.env)
    words = _parameter_words(parameters) if arguments is None else {}
    for at, node in enumerate(parameters):
        inner = node.child_by_field_name("declarator")
        if node.type != "parameter_declaration" or inner is None:
            refuse(context, "a parameter that is not understood (a type and a name)", node, scope)
        kind = integer_named(context, text_of(child(node, "type")), node, scope)
        var = declared(context, inner, kind, function, scope, opaque=True)
        names[var.name] = var
        if arguments is not None:
            val = arguments[at]
            if isinstance(var.type, CType) or val.ref is not None:
                val = attempt(context, partial(convert, val, var.type), node, scope)
            env[var] = val
        elif isinstance(var.type, CType) and (var.name == MMIO_PARAMETER or (var.name == "mmio" and at == MMIO_PLACE)):
            # Whatever its integer type: callers pass what the host-MMIO test says, 0 or 1.
            env[var] = truth_value(Atom(MMIO), var.name)._replace(type=var.type)
        else:
            kind = var.type if isinstance(var.type, CType) else UNKNOWN
            env[var] = Val(named(words.get(var.name, var.name), var.name), type=kind)
    return names, state._replace(env=env)


_WORDS = {
    "struct kvm_vcpu": "vcpu",
    "struct kvm": "kvm",
    "struct kvm_memory_slot": "slot",
    "struct kvm_page_fault": "fault",
    "gfn_t": "gfn",
    "kvm_pfn_t": "pfn",
    "pfn_t": "pfn",
}
"""By its type, what the tables call a parameter, whatever its own name is."""


def _parameter_words(parameters: list[Node]) -> dict[str, str]:
    """What the tables call each parameter. One of another type that has such a name is called nothing they know."""
    found: dict[str, str] = {}
    meant: dict[str, list[str]] = {}
    for node in parameters:
        inner = node.child_by_field_name("declarator")
        while inner is not None and inner.type == "pointer_declarator":
            inner = inner.child_by_field_name("declarator")
        if inner is None or node.child_by_field_name("type") is None:
            continue
        name, kind = text_of(inner), text_of(child(node, "type"))
        word = _WORDS.get(kind)
        if word is not None:
            meant.setdefault(word, []).append(name)
        elif name in ("mem", "memslot", *_WORDS.values()) and not (name in ("gfn", "pfn") and integer_type(kind)):
            found[name] = f"other {name}"
    for word, names in meant.items():
        for name in names:
            found[name] = word if name == word or (word not in names and len(names) == 1) else f"other {name}"
    return found
