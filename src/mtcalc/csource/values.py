# SPDX-License-Identifier: GPL-2.0-only
"""Values of C expressions, as far as they can make up an EPT byte or a condition.

A value is a number, a memory type in some bits (const | type << shift), a condition worth 0 or 1, a pointer to a
local, or merely a text: what the source says, locals replaced by what they hold. Arithmetic is C's (x86-64, as gcc
does it). Whatever can't be computed raises ValueError.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mtcalc.csource.masks import NEVER, Masked, any_bit, compared, masked_by, negated
from mtcalc.csource.predicates import spelling_of
from mtcalc.csource.types import BOOL, INT, LONG, ULONG, UNKNOWN, AnyType, CType, Pointer
from mtcalc.csource.words import converted, known_words, written
from mtcalc.rules.condition import ALWAYS, Atom, Condition, Not, Or
from mtcalc.rules.inputs import GUEST_MTRR, Input
from mtcalc.x86.ept import MEMTYPE_SHIFT
from mtcalc.x86.memtype import MTRR_TYPES, MemType

TYPE_BITS = 7


class Bits(NamedTuple):
    """const | type << shift, the type an input's."""

    const: int
    input: Input
    shift: int


class Var(NamedTuple):
    """A local variable or parameter: its name, the call and place it belongs to, its type."""

    name: str
    owner: str
    at: int
    type: AnyType


OR_OR, AND_AND, OR, XOR, AND, EQUAL, LESS, SHIFT, PLUS, TIMES, UNARY, POSTFIX = range(1, 13)
"""How tightly an operator binds."""

PRECEDENCE = {
    "||": OR_OR,
    "&&": AND_AND,
    "|": OR,
    "^": XOR,
    "&": AND,
    **dict.fromkeys(("==", "!="), EQUAL),
    **dict.fromkeys(("<", ">", "<=", ">="), LESS),
    **dict.fromkeys(("<<", ">>"), SHIFT),
    **dict.fromkeys(("+", "-"), PLUS),
    "*": TIMES,
}


class Val(NamedTuple):
    """A value. At most one of num, cond and ref is given; `bits` may stand beside the text it is known by."""

    text: str
    prec: int = POSTFIX
    type: CType = UNKNOWN
    num: int | None = None
    bits: Bits | None = None
    cond: Condition | None = None
    ref: Var | None = None
    whole: str = ""  # an opaque text before it was cut to a narrow type
    mask: Masked | None = None  # an opaque text that is a register, or some bits of one

    @property
    def opaque(self) -> bool:
        """Whether nothing but the text is known."""
        return self.num is None and self.bits is None and self.cond is None and self.ref is None

    def inside(self, prec: int) -> str:
        """The text, in parentheses where an operator that binds so tightly needs them."""
        return self.text if self.prec >= prec else f"({self.text})"


_SUFFIX = {CType(32, False): "U", LONG: "L", ULONG: "UL"}


def number(value: int, kind: CType, text: str = "") -> Val:
    """A number of a type, wrapped to it. Raises ValueError for one that the size of an unknown type decides."""
    if kind == UNKNOWN:
        if not 0 <= value < 1 << 31:
            raise ValueError(f"{value} in a type that is not known (a cast)")
        return Val(text or str(value), POSTFIX, kind, num=value)
    value &= (1 << kind.bits) - 1
    if kind.signed and value >> (kind.bits - 1):
        value -= 1 << kind.bits
    text = text or f"{value}{_SUFFIX.get(kind, '')}"
    return Val(text, UNARY if text[0] == "-" else POSTFIX, kind, num=value)


def truth_value(condition: Condition, text: str, prec: int = POSTFIX) -> Val:
    """A condition as C's 0 or 1."""
    if condition in (ALWAYS, NEVER):
        return Val(text, prec, INT, num=int(condition == ALWAYS))
    return Val(text, prec, INT, cond=condition)


_LITERAL = re.compile(r"(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)([uU]?[lL]{0,2}|[lL]{1,2}[uU])")


def literal(text: str) -> Val:
    """An integer literal with its type; the grammar counts a sign in. Raises ValueError."""
    if text[:1] in ("-", "+"):
        return unary(text[0], literal(text[1:]))
    match = _LITERAL.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not understood (a whole number, decimal, hex or octal)")
    digits, suffix = match[1], match[2].lower()
    if len(digits) > 40:
        raise ValueError(f"{digits[:20]}... does not fit 64 bits (a smaller number)")
    plain = digits.isdigit() and digits[0] != "0"
    value = int(digits, 16 if digits[:2].lower() == "0x" else 10 if plain else 8)
    for bits in (64,) if "l" in suffix else (32, 64):
        if "u" not in suffix and not value >> (bits - 1):
            return number(value, CType(bits, True), text)
        if ("u" in suffix or not plain) and not value >> bits:
            return number(value, CType(bits, False), text)
    raise ValueError(f"{text} does not fit 64 bits (a smaller number)")


def promoted(kind: CType) -> CType:
    """The type after C's integer promotion."""
    return kind if kind.bits >= 32 or kind == UNKNOWN else INT


def common_type(left: CType, right: CType) -> CType:
    """The type that C's usual arithmetic conversions give two operands, or the arms of ?:."""
    if UNKNOWN in (left, right):
        return UNKNOWN
    left, right = promoted(left), promoted(right)
    bits = max(left.bits, right.bits)
    signed = all(kind.signed for kind in (left, right) if kind.bits == bits)
    return CType(bits, signed)


def convert(val: Val, kind: AnyType) -> Val:
    """A value as C stores it in a variable of a type. Raises ValueError."""
    if isinstance(kind, Pointer):
        if val.ref is not None and val.ref.type != kind.to:
            raise ValueError(f"{val.text} points to another type (a pointer to the variable's own type)")
        if val.num not in (None, 0) or val.cond is not None or val.bits is not None:
            raise ValueError(f"`{val.text}` is not a pointer (a pointer)")
        return val
    if val.ref is not None:
        raise ValueError(f"`{val.text}` is a pointer (a number or a condition)")
    if kind == val.type and not (val.num is None and kind == BOOL):
        return val
    if kind == BOOL:
        return _as_bool(val)
    if val.num is not None:
        new = number(val.num, kind)
        return new if val.num != new.num else _retyped(val, kind)
    if val.cond is not None:
        return _retyped(val, kind)
    if val.bits is not None:
        bits = val.bits
        if bits.shift < kind.bits < bits.shift + 3:
            raise ValueError(f"`{val.text}` loses some bits of a memory type here (a wider type)")
        if bits.shift >= kind.bits:
            return number(bits.const, kind)
        return _retyped(val, kind)._replace(bits=bits._replace(const=bits.const & ((1 << kind.bits) - 1)))
    return _cut(val, kind)


def _retyped(val: Val, kind: CType) -> Val:
    """The same value in another type. What is computed from it can hang on the type, which the text has to tell."""
    if promoted(kind) == promoted(val.type):
        return val._replace(type=kind)
    return val._replace(type=kind, text=converted(_cast_to(kind), val.inside(UNARY)), prec=UNARY)


def _cast_to(kind: CType) -> str:
    return f"({'s' if kind.signed else 'u'}{kind.bits})"


def _as_bool(val: Val) -> Val:
    """What a bool holds: 0 or 1, said so in the text as well."""
    if val.num is not None:
        return number(int(val.num != 0), BOOL, val.text if val.num in (0, 1) else "")
    if val.cond is not None:
        return val._replace(type=BOOL)
    found = truth_value(truth(val), f"!!{val.inside(UNARY)}", UNARY)
    return found._replace(type=BOOL)


def _cut(val: Val, kind: CType) -> Val:
    """A value known by its text, in a variable of another type."""
    word = _cast_to(kind)
    mask = val.mask
    if mask is not None:
        low = masked_by(mask, (1 << kind.bits) - 1)
        negative = kind.signed and (low.mask or 0) >> (kind.bits - 1)
        if (low == mask and not negative) or (mask.mask is None and kind.bits >= mask.register.width + kind.signed):
            return _retyped(val, kind)
        mask = None if negative else low
        if kind.bits >= 32 and mask is not None:
            return _retyped(val, kind)._replace(mask=mask)
    elif val.type != UNKNOWN and _holds_all(kind, val.type):
        return _retyped(val, kind)
    elif kind.bits >= (val.type.bits or 32) and (val.type == UNKNOWN or spelling_of(val.text) is not None):
        return Val(converted(word, val.inside(UNARY)), UNARY, kind, whole=val.whole or val.text)
    return Val(f"{word}{val.inside(UNARY)}", UNARY, kind, whole=val.whole or val.text, mask=mask)


def _holds_all(kind: CType, other: CType) -> bool:
    """Whether a type has every value of another."""
    return kind.bits - kind.signed >= other.bits - other.signed and kind.signed >= other.signed


def truth(val: Val) -> Condition:
    """The condition that a value is not 0. An opaque text becomes what its spelling means, else an assumption."""
    if val.ref is not None:
        return ALWAYS
    if val.num is not None:
        return ALWAYS if val.num else NEVER
    if val.cond is not None:
        return val.cond
    if val.bits is not None and val.bits.input == GUEST_MTRR:
        if val.bits.const:
            return ALWAYS
        return Not(Atom(GUEST_MTRR, MemType.UC))
    if val.mask is not None:
        return any_bit(val.mask) or assumption(val.text)
    spelling = spelling_of(val.text)
    return spelling.condition if spelling else assumption(val.text)


def assumption(text: str) -> Condition:
    """A condition that only the source knows."""
    return Atom(Input("assume", text))


def unary(operator: str, val: Val) -> Val:
    """!x, ~x, -x, +x. Raises ValueError."""
    inner = val.inside(UNARY)
    # Two signs side by side would be another operator.
    text = f"{operator}({inner})" if operator in "+-" and inner.startswith(operator) else operator + inner
    if operator == "!":
        return truth_value(negated(truth(val)), text, UNARY)
    if val.num is not None:
        kind = promoted(val.type)
        result = {"~": ~val.num, "-": -val.num, "+": val.num}.get(operator)
        if result is not None:
            return number(result, kind)._replace(text=written(text), prec=UNARY)
    if val.opaque:
        return Val(written(text), UNARY, promoted(val.type))
    raise ValueError(f"`{text}` can't be computed (a memory type is only shifted, masked and or'd)")


def binary(operator: str, left: Val, right: Val) -> Val:
    """One arithmetic, bitwise or comparing operator on two values, neither of them a condition. Raises ValueError."""
    prec = PRECEDENCE[operator]
    shift = operator in ("<<", ">>")
    kind = promoted(left.type) if shift else common_type(left.type, right.type)
    text = f"{left.inside(prec)} {operator} {right.inside(prec + 1)}"
    if left.num is not None and right.num is not None:
        result = _fold(operator, left.num, right.num, left.type, right.type)
        return result._replace(text=written(text), prec=prec)
    if prec in (EQUAL, LESS):
        return truth_value(_compared(operator, left, right, text), text, prec)
    if left.bits is not None or right.bits is not None:
        bits, other = (left, right) if left.bits is not None else (right, left)
        if other.num is not None and (bits is left or operator not in ("<<", ">>", "-")):
            return _on_bits(operator, bits, other.num, other.type, text, prec)
        if other.opaque:
            return Val(written(text), prec, kind)  # good for an argument; refused where a byte is wanted
        raise ValueError(f"`{text}` can't be computed (one memory type, and constants)")
    if left.ref is not None or right.ref is not None:
        raise ValueError(f"`{text}` computes with a pointer to a local (plain locals)")
    spelled = spelling_of(text)
    if spelled is not None and spelled.boolean:
        return truth_value(spelled.condition, text, prec)
    if operator == "&" and (left.num is not None or right.num is not None):
        return _anded(*((left, right) if right.num is not None else (right, left)), text)
    if operator == "<<" and right.num == MEMTYPE_SHIFT:
        # What is shifted to the place of the memory type is one.
        item = Input("assume_type", left.whole or left.text)
        return Val(text, prec, ULONG, bits=Bits(0, item, MEMTYPE_SHIFT))
    return Val(text if operator == "&" and _plain(left, right) else written(text), prec, kind)


def _plain(left: Val, right: Val) -> bool:
    """Whether two values are equal, or have a bit in common, in whatever types they meet."""
    return all(val.num is None or 0 <= val.num < 1 << 31 for val in (left, right))


def _anded(val: Val, by: Val, text: str) -> Val:
    """val & a number: some bits of a register, where val is one."""
    kind = common_type(val.type, by.type)
    constant = number(by.num or 0, kind).num or 0
    if constant == 0:
        return number(0, kind, text)._replace(prec=AND)
    mask = val.mask
    if mask is None or constant < 0:
        return Val(text, AND, kind)
    mask = masked_by(mask, constant)
    if mask.mask == 0:
        return number(0, kind, text)._replace(prec=AND)
    return Val(text, AND, kind, mask=mask)


def _fold(operator: str, a: int, b: int, left: CType, right: CType) -> Val:
    if operator in ("<<", ">>"):
        kind = promoted(left)
        bits = kind.bits or 31
        if not 0 <= b < bits:
            raise ValueError(f"a shift by {b} is undefined for {bits} bits (0 to {bits - 1})")
        return number(a << b if operator == "<<" else a >> b, kind)
    kind = common_type(left, right)
    a, b = number(a, kind).num or 0, number(b, kind).num or 0
    if operator in _COMPARE:
        return number(int(_COMPARE[operator](a, b)), INT)
    return number(_ARITHMETIC[operator](a, b), kind)


_COMPARE = {
    "==": int.__eq__,
    "!=": int.__ne__,
    "<": int.__lt__,
    ">": int.__gt__,
    "<=": int.__le__,
    ">=": int.__ge__,
}
_ARITHMETIC = {
    "|": int.__or__,
    "&": int.__and__,
    "^": int.__xor__,
    "+": int.__add__,
    "-": int.__sub__,
    "*": int.__mul__,
}


_ABOVE_ZERO: dict[tuple[str, int | None], bool] = {(">", 0): True, (">=", 1): True, ("<", 1): False, ("<=", 0): False}
"""Comparisons that say x > 0, and those that say not."""


def _compared(operator: str, left: Val, right: Val, text: str) -> Condition:
    """A comparison of which at most one side is a number."""
    first, second = left, right
    flipped = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
    if left.num is not None:
        left, right, operator = right, left, flipped.get(operator, operator)
    if left.ref is not None or right.ref is not None:
        pointer, other = (left, right) if left.ref is not None else (right, left)
        if other.num == 0 and operator in ("==", "!=") and pointer.ref is not None:
            return NEVER if operator == "==" else ALWAYS
        raise ValueError(f"`{text}` compares a pointer to a local (plain locals)")
    bits = left.bits
    if left.mask is not None and right.num is not None:
        found = compared(operator, left.mask, right.num)
        if found is not None:
            return found
    if bits is not None and bits.input == GUEST_MTRR and right.num is not None:
        holding = []
        for kind in MTRR_TYPES:
            value = bits.const | kind << bits.shift
            if _fold(operator, value, right.num, left.type, right.type).num:
                holding.append(kind)
        return _one_of(holding)
    if operator in ("==", "!=") and left.opaque and bits is None:
        if right.num == 0:
            return negated(truth(left)) if operator == "==" else truth(left)
        if right.opaque:
            # (x & BIT) == BIT, where x & BIT is a spelling we know.
            for masked, bit in ((left, right), (right, left)):
                spelling = spelling_of(masked.text)
                if not spelling or spelling.boolean:
                    continue
                if known_words(masked.text).endswith(f" & {known_words(bit.text)}"):
                    return spelling.condition if operator == "==" else negated(spelling.condition)
    spelling = spelling_of(text)
    if spelling is not None:
        return spelling.condition
    if (operator, right.num) in _ABOVE_ZERO and left.opaque:
        spelling = spelling_of(f"{left.inside(LESS)} > 0")
        if spelling is not None:
            return spelling.condition if _ABOVE_ZERO[operator, right.num] else negated(spelling.condition)
    if operator in ("==", "!="):
        text = f"{first.inside(EQUAL)} == {second.inside(EQUAL + 1)}"
        equal = assumption(text if _plain(left, right) else written(text))
        return equal if operator == "==" else Not(equal)
    return assumption(written(text))


def _one_of(kinds: list[MemType]) -> Condition:
    if len(kinds) == len(MTRR_TYPES):
        return ALWAYS
    rest = [kind for kind in MTRR_TYPES if kind not in kinds]
    if len(rest) < len(kinds):
        return negated(_one_of(rest))
    atoms = tuple(Atom(GUEST_MTRR, kind) for kind in kinds)
    return atoms[0] if len(atoms) == 1 else Or(atoms)


def _on_bits(operator: str, val: Val, constant: int, kind: CType, text: str, prec: int) -> Val:
    assert val.bits is not None
    bits = val.bits
    result = promoted(val.type) if operator in ("<<", ">>") else common_type(val.type, kind)
    taken = TYPE_BITS << bits.shift
    new: Bits | None = None
    width = result.bits or 31
    if operator == "<<" and constant >= 0 and bits.shift + constant + 3 < width:
        new = bits._replace(const=bits.const << constant, shift=bits.shift + constant)
        if new.const >> (width - 1):
            new = None
    elif operator in ("|", "+") and constant >= 0:
        apart = not constant & (bits.const | taken) and not bits.const & taken
        if operator == "+" and not apart:  # a carry
            raise ValueError(f"`{text}` can't be computed (| rather than +)")
        new = bits._replace(const=bits.const | constant)
    elif operator == "&":
        if constant & taken == taken:
            new = bits._replace(const=bits.const & constant)
        elif not constant & taken:
            return number(bits.const & constant, result)._replace(text=written(text), prec=prec)
    if new is None:
        raise ValueError(f"`{text}` can't be computed (a memory type is only shifted left, masked and or'd)")
    return val._replace(text=text, prec=prec, type=result, bits=new, whole="")
