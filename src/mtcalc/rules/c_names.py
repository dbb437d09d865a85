# SPDX-License-Identifier: GPL-2.0-only
"""Names in C expressions: locals, macros of the file with one number, the kernel's constants."""

from __future__ import annotations

from tree_sitter import Node

from mtcalc.rules.c_predicates import (
    BIT_MACROS,
    CONSTANT_FAMILIES,
    CONSTANTS,
    LONG_CONSTANTS,
    MASK_CONSTANTS,
    QUIRK_CONSTANTS,
)
from mtcalc.rules.c_state import Ground, Scope, State, child, text_of
from mtcalc.rules.c_types import INT, ULONG, is_type_name
from mtcalc.rules.c_values import POSTFIX, Val, binary, literal, number, unary
from mtcalc.text.suggest import did_you_mean


class Names(Ground):
    """Looks names up."""

    def name(self, name: str, node: Node, state: State, scope: Scope) -> Val:
        """What a name stands for: a local, a macro of the file, a constant, else itself. Raises InputError."""
        macro = self.source.macro(name)
        var = scope.names.get(name)
        if var is not None:
            if macro is not None:
                self.refuse(f"{name} is a macro of this file and a local as well (another name)", node, scope)
            if var not in state.env:
                self.refuse(f"{name} has no value yet here (an assignment on every way)", node, scope)
            return state.env[var]
        if macro is not None:
            return self._macro_value(name, macro.body, node, scope)
        constant = _constant_named(name)
        if constant is not None:
            return constant
        if name.startswith(CONSTANT_FAMILIES):
            near = did_you_mean(name, (*CONSTANTS, *LONG_CONSTANTS))
            self.refuse(f"unknown constant {name} ({near})", node, scope)
        if is_type_name(name) or self.source.function(name) is not None:
            self.refuse(f"{name} is not a value (a local, a constant or a call)", node, scope)
        return Val(name)

    def _macro_value(self, name: str, body: str | None, node: Node, scope: Scope) -> Val:
        try:
            return self._constant(self._body(name, body), (name,))._replace(text=name, prec=POSTFIX)
        except ValueError:
            self.refuse(f"{name} is a macro that is not followed (#define {name} with one number)", node, scope)

    def _body(self, name: str, body: str | None) -> Node:
        """A macro's expression; one that falls apart among other operators is refused. Raises ValueError."""
        node = self.source.expression(name, body)
        if node.type == "binary_expression":
            raise ValueError(f"{name} is not one number (parentheses around it)")
        return node

    def _constant(self, node: Node, inside: tuple[str, ...]) -> Val:
        """The number that a macro's body comes to. Raises ValueError."""
        parts = node.named_children
        if node.type == "number_literal":
            return literal(text_of(node))
        if node.type == "parenthesized_expression" and len(parts) == 1:
            return self._constant(parts[0], inside)
        if node.type == "unary_expression":
            return unary(text_of(child(node, "operator")), self._constant(parts[0], inside))
        if node.type == "binary_expression" and text_of(child(node, "operator")) in ("<<", "|", "+", "-", "*", "&"):
            left, right = (self._constant(child(node, side), inside) for side in ("left", "right"))
            return binary(text_of(child(node, "operator")), left, right)
        called = text_of(child(node, "function")) if node.type == "call_expression" else ""
        if called in BIT_MACROS and self.source.macro(called) is None:
            (bit,) = child(node, "arguments").named_children
            return binary("<<", number(1, ULONG), self._constant(bit, inside))
        name = text_of(node)
        macro = self.source.macro(name) if node.type == "identifier" else None
        if macro is not None and name not in inside and len(inside) < 8:
            return self._constant(self._body(name, macro.body), (*inside, name))
        constant = _constant_named(name)
        if macro is None and constant is not None:
            return constant
        raise ValueError(f"{name} is not a number")


def _constant_named(name: str) -> Val | None:
    for table in (CONSTANTS, QUIRK_CONSTANTS):
        if name in table:
            return number(table[name], INT, name)
    for table in (LONG_CONSTANTS, MASK_CONSTANTS):
        if name in table:
            return number(table[name], ULONG, name)
    return None
