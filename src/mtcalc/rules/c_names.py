# SPDX-License-Identifier: GPL-2.0-only
"""Names in C expressions: locals, macros of the file with one number, the kernel's constants."""

from __future__ import annotations

from tree_sitter import Node

from mtcalc.rules.c_predicates import BIT_MACROS, CONSTANT_FAMILIES, CONSTANTS, LONG_CONSTANTS
from mtcalc.rules.c_state import Ground, Scope, State, child, text_of
from mtcalc.rules.c_values import INT, POSTFIX, ULONG, Val, binary, is_type_name, literal, number, unary
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
        if name in CONSTANTS:
            return number(CONSTANTS[name], INT, name)
        if name in LONG_CONSTANTS:
            return number(LONG_CONSTANTS[name], ULONG, name)
        if name.startswith(CONSTANT_FAMILIES):
            near = did_you_mean(name, (*CONSTANTS, *LONG_CONSTANTS))
            self.refuse(f"unknown constant {name} ({near})", node, scope)
        if is_type_name(name) or self.source.function(name) is not None:
            self.refuse(f"{name} is not a value (a local, a constant or a call)", node, scope)
        return Val(name)

    def _macro_value(self, name: str, body: str | None, node: Node, scope: Scope) -> Val:
        try:
            return self._constant(self.source.expression(name, body), (name,))._replace(text=name, prec=POSTFIX)
        except ValueError:
            self.refuse(f"{name} is a macro that is not followed (#define {name} with one number)", node, scope)

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
        if node.type == "call_expression" and text_of(child(node, "function")) in BIT_MACROS:
            (bit,) = child(node, "arguments").named_children
            return binary("<<", number(1, ULONG), self._constant(bit, inside))
        name = text_of(node)
        macro = self.source.macro(name) if node.type == "identifier" else None
        if macro is not None and name not in inside and len(inside) < 8:
            return self._constant(self.source.expression(name, macro.body), (*inside, name))
        if macro is None and name in CONSTANTS:
            return number(CONSTANTS[name], INT)
        if macro is None and name in LONG_CONSTANTS:
            return number(LONG_CONSTANTS[name], ULONG)
        raise ValueError(f"{name} is not a number")
