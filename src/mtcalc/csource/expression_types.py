# SPDX-License-Identifier: GPL-2.0-only
"""The types of C expressions, told without evaluating them. Source: C11, "Usual arithmetic conversions"."""

from __future__ import annotations

from functools import partial

from tree_sitter import Node

from mtcalc.csource.arithmetic import literal
from mtcalc.csource.context import Context, NameScope, attempt, child, refuse, text_of
from mtcalc.csource.names import integer_named, known_enum, named_type
from mtcalc.csource.predicates import BIT_MACROS, CONFIG_MACROS, EXPECTING, KNOWN_HELPERS, RANGE_MACROS, TRANSPARENT
from mtcalc.csource.types import (
    BOOL,
    BYTE,
    INT,
    LONG,
    PLAIN_CHAR,
    ULONG,
    UNKNOWN,
    AnyType,
    CType,
    Pointer,
    integer_type,
    is_plain_char,
)
from mtcalc.csource.values import EQUAL, LESS, PRECEDENCE, common_type, promoted
from mtcalc.text.errors import InputError

CALL_TYPES = {
    **dict.fromkeys(("atomic_read", "arch_atomic_read", "raw_atomic_read", *CONFIG_MACROS), INT),
    **dict.fromkeys(EXPECTING, LONG),
    "kvm_read_cr0": ULONG,
    "kvm_read_cr0_bits": ULONG,
    **{name: BOOL for name, helper in KNOWN_HELPERS.items() if helper.truth},
    **dict.fromkeys(("static_cpu_has", "boot_cpu_has", "cpu_feature_enabled", "this_cpu_has"), BOOL),
    **dict.fromkeys(
        ("kvm_mtrr_get_guest_memory_type", "kvm_get_guest_memory_type", "mtrr_get_guest_memory_type", "get_mtrr_type"),
        BYTE,
    ),
    **dict.fromkeys((*BIT_MACROS, *RANGE_MACROS), ULONG),
}
"""What the functions of known names return. Source: arch/x86/kvm/x86.h, mtrr.c, kvm_cache_regs.h."""


def described_type(context: Context, node: Node, scope: NameScope) -> AnyType:
    """The type in a cast. Raises InputError."""
    declarator = node.child_by_field_name("declarator")
    kind = integer_named(context, text_of(child(node, "type")), node, scope) if declarator is None else None
    if declarator is not None and declarator.type != "abstract_pointer_declarator":
        # C has no such casts: it is an expression in parentheses, a sign behind it.
        refuse(context, f"'({text_of(node)})' reads as a type here (without its parentheses)", node, scope)
    if declarator is not None:
        return Pointer(integer_type(text_of(child(node, "type"))))
    known_enum(context, text_of(child(node, "type")), node, scope)
    if is_plain_char(text_of(child(node, "type"))):
        refuse(context, PLAIN_CHAR, node, scope)
    if text_of(node) in scope.names:
        refuse(context, f"{text_of(node)} is a local here, and a type as well (another name)", node, scope)
    if kind is None:
        refuse(context, f"unknown type '{text_of(node)}' (an integer type of the kernel)", node, scope)
    return kind


def type_of(context: Context, node: Node, scope: NameScope) -> CType:
    """The type that C gives an expression, which is not evaluated; UNKNOWN where only another file tells."""
    parts = node.named_children
    if node.type == "parenthesized_expression" and len(parts) == 1:
        return type_of(context, parts[0], scope)
    if node.type == "number_literal":
        return attempt(context, partial(literal, text_of(node)), node, scope).type
    if node.type in ("identifier", "true", "false", "null"):
        return named_type(context, text_of(node), node, scope)
    if node.type == "cast_expression":
        kind = described_type(context, child(node, "type"), scope)
        return kind if isinstance(kind, CType) else UNKNOWN
    if node.type == "unary_expression":
        operator = scope.function.text_of(child(node, "operator"))
        if operator in ("*", "&"):
            return UNKNOWN
        return INT if operator == "!" else promoted(type_of(context, parts[0], scope))
    if node.type == "conditional_expression":
        arms = [node.child_by_field_name(name) for name in ("consequence", "alternative")]
        kinds = [UNKNOWN if arm is None else type_of(context, arm, scope) for arm in arms]
        return common_type(*kinds)
    if node.type == "binary_expression":
        operator = text_of(child(node, "operator"))
        if operator in ("&&", "||") or PRECEDENCE.get(operator) in (EQUAL, LESS):
            return INT
        left = type_of(context, child(node, "left"), scope)
        if operator in ("<<", ">>"):
            return promoted(left)
        return common_type(left, type_of(context, child(node, "right"), scope))
    if node.type == "call_expression":
        return _type_of_call(context, node, scope)
    return UNKNOWN


def _type_of_call(context: Context, node: Node, scope: NameScope) -> CType:
    function, listed = child(node, "function"), child(node, "arguments").named_children
    name = text_of(function)
    if context.source.macros.of(name, scope.function.offset + node.start_byte) is not None:
        return UNKNOWN
    try:
        helper = context.source.function(name)
    except InputError:
        helper = None
    if helper is not None:
        if child(helper.node, "declarator").type != "function_declarator":
            return UNKNOWN
        kind = child(helper.node, "type")
        return integer_named(context, text_of(kind), kind, NameScope(helper, {})) or UNKNOWN
    if name in TRANSPARENT:
        return LONG if TRANSPARENT[name] else type_of(context, listed[0], scope) if listed else UNKNOWN
    return CALL_TYPES.get(name, UNKNOWN)
