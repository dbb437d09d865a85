# SPDX-License-Identifier: GPL-2.0-only
"""Names in C expressions: locals, macros of the file with one number, the kernel's constants."""

from __future__ import annotations

import re

from tree_sitter import Node

from mtcalc.csource.arithmetic import binary, literal, unary
from mtcalc.csource.context import Context, NameScope, State, child, refuse, text_of
from mtcalc.csource.predicates import (
    BIT_MACROS,
    CONSTANT_FAMILIES,
    CONSTANTS,
    LONG_CONSTANTS,
    MASK_CONSTANTS,
    QUIRK_CONSTANTS,
)
from mtcalc.csource.types import INT, ULONG, UNKNOWN, CType, integer_type, is_plain_char, is_type_name
from mtcalc.csource.values import POSTFIX, Val, convert, number
from mtcalc.text.suggest import did_you_mean


def integer_named(context: Context, words: str, node: Node, scope: NameScope) -> CType | None:
    """The integer type that words name, the file's own typedefs and macros heeded. Raises InputError."""
    own = context.source.names.types
    for word in words.split():
        if context.source.macros.of(word, scope.function.offset + node.start_byte) is not None:
            refuse(context, f"{word} is a macro of this file here (a type)", node, scope)
        if word in own and words.split()[0] not in ("struct", "union", "enum"):
            if own[word] is None:
                refuse(context, f"{word} is a type of this file that is not followed (an integer type)", node, scope)
            return own[word]
    listed = [word for word in words.split() if word not in ("const", "volatile")]
    if listed[:1] == ["enum"] and listed[1:2] and listed[1] in context.source.names.enums:
        return _enum_type(context, listed[1], node, scope)
    return integer_type(words)


def known_enum(context: Context, words: str, node: Node, scope: NameScope) -> None:
    """Refuses an enum of another file: its enumerators tell its sign. Raises InputError."""
    listed = [word for word in words.split() if word not in ("const", "volatile")]
    if listed[:1] == ["enum"] and listed[1:2] and listed[1] not in context.source.names.enums:
        refuse(context, f"enum {listed[1]} is not in this file, and so its sign is not known (u32 or int)", node, scope)


def _enum_type(context: Context, tag: str, node: Node, scope: NameScope) -> CType:
    """gcc's type of an enum: int where some of it is negative, else unsigned int."""
    offset = scope.function.offset + node.start_byte
    names = context.source.names.enums[tag]
    try:
        negative = [name for name in names if _enum_value(context, name, offset, ()) < 0]
    except ValueError:
        refuse(context, f"enum {tag} is not followed (enumerators of one number each)", node, scope)
    return INT if negative else CType(32, False)


def value_named(context: Context, name: str, node: Node, state: State, scope: NameScope) -> Val:
    """What a name stands for: a local, a macro of the file, a constant, else itself. Raises InputError."""
    offset = scope.function.offset + node.start_byte
    macro = context.source.macros.of(name, offset)
    var = scope.names.get(name)
    if var is not None:
        if macro is not None:
            refuse(context, f"{name} is a macro of this file and a local as well (another name)", node, scope)
        if var not in state.env:
            refuse(context, f"{name} has no value yet here (an assignment on every way)", node, scope)
        return state.env[var]
    if macro is not None:
        return _macro_value(context, name, macro.body, node, scope)
    if name in context.source.names.enumerators:
        return _enumerator(context, name, node, scope)
    constant = _constant_named(name)
    if constant is not None:
        if context.source.macros.undefined(name, offset):
            refuse(context, f"{name} is undefined here (#undef above)", node, scope)
        at = context.source.names.variables.get(name)
        if at is not None:
            context.source.refuse(f"{name} is a variable of this file (a constant)", at)
        return constant
    if name.startswith(CONSTANT_FAMILIES):
        near = did_you_mean(name, (*CONSTANTS, *LONG_CONSTANTS))
        refuse(context, f"unknown constant {name} ({near})", node, scope)
    at = context.source.names.constants.get(name)
    if at is not None:
        context.source.refuse(f"{name} is a constant of this file that is not followed (#define, or an enum)", at)
    if is_type_name(name) or name in context.source.names.types or context.source.function(name) is not None:
        refuse(context, f"{name} is not a value (a local, a constant or a call)", node, scope)
    return Val(name)


def named_type(context: Context, name: str, node: Node, scope: NameScope) -> CType:
    """The type of what a name stands for, UNKNOWN where that is not known."""
    var = scope.names.get(name)
    if var is not None:
        return var.type if isinstance(var.type, CType) else UNKNOWN
    macro = context.source.macros.of(name, scope.function.offset + node.start_byte)
    if macro is not None:
        return _macro_value(context, name, macro.body, node, scope).type
    if name in context.source.names.enumerators:
        return INT
    constant = _constant_named(name)
    return constant.type if constant is not None and name != "NULL" else UNKNOWN


def _plain_type(context: Context, cast: Node, offset: int) -> CType:
    """The integer type that a macro's body casts to. Raises ValueError."""
    words = text_of(child(cast, "type"))
    own = context.source.names.types
    listed = [word for word in words.split() if word != "const"]
    kind = own.get(listed[0]) if len(listed) == 1 and listed[0] in own else integer_type(words)
    if kind is None or is_plain_char(words) or any(context.source.macros.of(word, offset) for word in listed):
        raise ValueError(f"'{words}' is not followed in a macro (an integer type of the kernel)")
    return kind


def _enumerator(context: Context, name: str, node: Node, scope: NameScope) -> Val:
    offset = scope.function.offset + node.start_byte
    try:
        return number(_enum_value(context, name, offset, ()), INT, name)
    except ValueError:
        at = context.source.names.enumerators[name][0].offset
        context.source.refuse(f"{name} is an enumerator that is not followed (one, with a plain number)", at)


def _enum_value(context: Context, name: str, offset: int, inside: tuple[str, ...]) -> int:
    """An enumerator's number. Raises ValueError."""
    rows = context.source.names.enumerators[name]
    if len(rows) != 1 or not rows[0].outer or rows[0].offset > offset or len(inside) > 8:
        raise ValueError(f"{name} is not one number")
    base = 0
    if rows[0].value is not None:
        node = context.source.expression(name, rows[0].value)
        base = _constant(context, node, (*inside, name), rows[0].offset).num or 0
    value = base + rows[0].further
    if value >> 31 not in (0, -1):
        raise ValueError(f"{name} is no int")
    return value


def _macro_value(context: Context, name: str, body: str | None, node: Node, scope: NameScope) -> Val:
    offset = scope.function.offset + node.start_byte
    try:
        return _constant(context, _body(context, name, body), (name,), offset)._replace(text=name, prec=POSTFIX)
    except ValueError:
        refuse(context, f"{name} is a macro that is not followed (#define {name} with one number)", node, scope)


def macro_number(context: Context, name: str, offset: int) -> int | None:
    """The number, and no other name, that the file's own macro stands for at an offset; None for anything else."""
    macro = context.source.macros.of(name, offset)
    if macro is None or macro.body is None or _OTHER_FLAG.search(macro.body):
        return None
    try:
        return _constant(context, context.source.expression(name, macro.body), (name,), offset).num
    except ValueError:
        return None


_OTHER_FLAG = re.compile(r"\bKVM_MEM_")


def _body(context: Context, name: str, body: str | None) -> Node:
    """A macro's expression; one that falls apart among other operators is refused. Raises ValueError."""
    node = context.source.expression(name, body)
    if node.type == "binary_expression":
        raise ValueError(f"{name} is not one number (parentheses around it)")
    return node


def _constant(context: Context, node: Node, inside: tuple[str, ...], offset: int) -> Val:
    """The number that a macro's body comes to. Raises ValueError."""
    parts = node.named_children
    if node.type == "number_literal":
        return literal(text_of(node))
    if node.type == "parenthesized_expression" and len(parts) == 1:
        return _constant(context, parts[0], inside, offset)
    if node.type == "unary_expression":
        return unary(text_of(child(node, "operator")), _constant(context, parts[0], inside, offset))
    if node.type == "cast_expression":
        return convert(_constant(context, child(node, "value"), inside, offset), _plain_type(context, node, offset))
    if node.type == "binary_expression" and text_of(child(node, "operator")) in _FOLDED:
        left, right = (_constant(context, child(node, side), inside, offset) for side in ("left", "right"))
        return binary(text_of(child(node, "operator")), left, right)
    called = text_of(child(node, "function")) if node.type == "call_expression" else ""
    if called in BIT_MACROS and context.source.macros.of(called, offset) is None:
        if len(child(node, "arguments").named_children) != 1:
            raise ValueError(f"{called} takes one number")
        (bit,) = child(node, "arguments").named_children
        return binary("<<", number(1, ULONG), _constant(context, bit, inside, offset))
    name = text_of(node)
    macro = context.source.macros.of(name, offset) if node.type == "identifier" else None
    if macro is not None and name not in inside and len(inside) < 8:
        return _constant(context, _body(context, name, macro.body), (*inside, name), offset)
    if macro is None and name in context.source.names.enumerators:
        return number(_enum_value(context, name, offset, inside), INT, name)
    constant = _constant_named(name)
    if macro is None and constant is not None and not context.source.macros.undefined(name, offset):
        return constant
    raise ValueError(f"{name} is not a number")


_FOLDED = ("<<", ">>", "|", "^", "+", "-", "*", "&")


def _constant_named(name: str) -> Val | None:
    for table in (CONSTANTS, QUIRK_CONSTANTS):
        if name in table:
            return number(table[name], INT, name)
    for table in (LONG_CONSTANTS, MASK_CONSTANTS):
        if name in table:
            return number(table[name], ULONG, name)
    return None
