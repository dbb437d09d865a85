# SPDX-License-Identifier: GPL-2.0-only
"""Values of C expressions, as far as they can make up an EPT byte or a condition.

A value is a number, a memory type in some bits (const | type << shift), a condition worth 0 or 1, a pointer to a
local, or merely a text: what the source says, locals replaced by what they hold. Arithmetic is C's (x86-64, as gcc
does it). Whatever can't be computed raises ValueError.
"""

from __future__ import annotations

from typing import NamedTuple

from mtcalc.csource.masks import NEVER, Masked, any_bit, assumption, masked_by
from mtcalc.csource.predicates import spelling_of
from mtcalc.csource.types import BOOL, INT, LONG, ULONG, UNKNOWN, AnyType, CType, Pointer
from mtcalc.csource.words import converted
from mtcalc.rules.condition import ALWAYS, And, Atom, Condition, Not
from mtcalc.rules.inputs import GUEST_MTRR, NONCOHERENT_DMA, Input
from mtcalc.x86.memtype import MemType


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
        extended = can_be_negative(val) and kind.bits > val.type.bits
        negative = kind.signed and (low.taken | low.flip) >> (kind.bits - 1)
        if low == mask and not negative and not extended:
            return _retyped(val, kind)
        if extended or (negative and kind.bits < 32):
            mask = None
        else:
            mask = low
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


def can_be_negative(val: Val) -> bool:
    """Whether some bits of a register can come to a number below 0."""
    bits = val.mask
    return bits is not None and val.type.signed and bool((bits.taken | bits.flip) >> (val.type.bits - 1))


def is_count(text: str) -> bool:
    """Whether a text is the number of non-coherent DMA's users."""
    spelling = spelling_of(text)
    return spelling is not None and not spelling.boolean and spelling.condition == Atom(NONCOHERENT_DMA)


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
    if spelling is None and is_count(val.whole):
        return And((Atom(NONCOHERENT_DMA), assumption(val.text)))  # some bits of it: of 0 none
    return spelling.condition if spelling else assumption(val.text)
