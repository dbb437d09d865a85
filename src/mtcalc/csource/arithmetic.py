# SPDX-License-Identifier: GPL-2.0-only
"""C's operators on values: signs, shifts, masks and comparisons, on x86-64 as gcc does them.

Whatever can't be computed raises ValueError. Source: C11, "Integer promotions", "Bitwise shift operators".
"""

from __future__ import annotations

import re

from mtcalc.csource.masks import NEVER, any_bit, assumption, compared, difference, masked_by, moved, negated, or_ed
from mtcalc.csource.predicates import COUNT, spelling_of
from mtcalc.csource.types import INT, ULONG, UNKNOWN, CType
from mtcalc.csource.values import (
    AND,
    EQUAL,
    LESS,
    PRECEDENCE,
    UNARY,
    Bits,
    Val,
    can_be_negative,
    common_type,
    is_count,
    number,
    promoted,
    truth,
    truth_value,
)
from mtcalc.csource.words import known_words, written
from mtcalc.rules.condition import ALWAYS, And, Atom, Condition, Not, Or
from mtcalc.rules.inputs import GUEST_MTRR, NONCOHERENT_DMA, Input
from mtcalc.x86.ept import MEMTYPE_SHIFT
from mtcalc.x86.memtype import MTRR_TYPES, MemType

TYPE_BITS = 7

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
        if operator == "~" and val.mask is not None and val.type.bits >= 32 and not val.type.signed:
            turned = val.mask._replace(flip=val.mask.flip ^ ((1 << val.type.bits) - 1))
            return Val(written(text), UNARY, val.type, mask=turned)
        _known_stay_known(val, text)
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
    moved_bits = _moved(operator, left, right, kind, text, prec)
    if moved_bits is not None:
        return moved_bits
    if operator == "<<" and right.num == MEMTYPE_SHIFT:
        # What is shifted to the place of the memory type is one.
        item = Input("assume_type", left.whole or left.text)
        return Val(text, prec, ULONG, bits=Bits(0, item, MEMTYPE_SHIFT))
    for one, other in ((left, right), (right, left)):
        if other.num is not None or (" | " in other.text and other.opaque):
            _known_stay_known(one, text)
    return Val(text if operator == "&" and _plain(left, right) else written(text), prec, kind)


def _known_stay_known(val: Val, text: str) -> None:
    """Raises ValueError for an operator that mixes what is known with what is not: its result would hang on both."""
    if is_count(val.whole or val.text):
        raise ValueError(f"`{text}` is not followed (the count compared with a number)")
    if val.mask is not None and val.mask.known:
        raise ValueError(f"`{text}` mixes bits that are inputs with others (single bits, each with & or test_bit)")


def _moved(operator: str, left: Val, right: Val, kind: CType, text: str, prec: int) -> Val | None:
    """A register's bits shifted, or'd or turned by a number, or by others of the same register; else None."""
    if kind.bits < 32 or kind.signed:
        return None
    if operator == "^" and left.mask is not None and right.mask is not None:
        found = difference(left.mask, right.mask)
        return None if found is None else Val(written(text), prec, kind, mask=found)
    if left.mask is None and operator in ("|", "^"):
        left, right = right, left
    bits = left.mask
    if bits is None or right.num is None or can_be_negative(left):
        return None
    constant = number(right.num, kind).num or 0
    if operator in ("<<", ">>") and 0 <= right.num < kind.bits:
        bits = moved(bits, right.num if operator == "<<" else -right.num, kind.bits)
    elif operator == "|":
        bits = or_ed(bits, constant)
    elif operator == "^":
        bits = bits._replace(flip=bits.flip ^ constant)
    else:
        return None
    return Val(written(text), prec, kind, mask=bits)


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
    extended = can_be_negative(val) and constant >> (val.type.bits - 1)
    if mask is None or constant < 0 or extended:
        _known_stay_known(val, text)
        return Val(text, AND, kind)
    mask = masked_by(mask, constant)
    if mask.mask == 0:
        return number(mask.flip, kind, text)._replace(prec=AND)
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
    if left.mask is not None and (right.num is not None or right.mask is not None):
        found = _of_bits(operator, left, right)
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
    if right.num is not None or (" | " in right.text and right.opaque):
        if right.num is not None and is_count(left.text):
            return _count_compared(operator, right.num)
        _known_stay_known(left, text)
    if operator in ("==", "!="):
        text = f"{first.inside(EQUAL)} == {second.inside(EQUAL + 1)}"
        equal = assumption(text if _plain(left, right) else written(text))
        return equal if operator == "==" else Not(equal)
    return assumption(written(text))


def _of_bits(operator: str, left: Val, right: Val) -> Condition | None:
    """A register's bits compared with a number, or with others of it; None where that is not known."""
    assert left.mask is not None
    if right.mask is not None:
        apart = difference(left.mask, right.mask) if operator in ("==", "!=") else None
        if apart is None or can_be_negative(left) or can_be_negative(right):
            return None
        differs = any_bit(apart)
        return negated(differs) if differs is not None and operator == "==" else differs
    kind = common_type(left.type, right.type)
    constant = right.num if right.num is None or kind == UNKNOWN else number(right.num, kind).num
    if constant is None or (can_be_negative(left) and (constant or operator not in ("==", "!="))):
        return None
    return compared(operator, left.mask, constant)


MAX_COUNT = 8
"""The largest number that a count is compared with: each below it is a condition of its own."""


def _count_compared(operator: str, number_: int) -> Condition:
    """The number of non-coherent DMA's users, 0 or greater, compared with a number. Raises ValueError."""
    if operator in ("<", "<=", "!="):
        return negated(_count_compared({"<": ">=", "<=": ">", "!=": "=="}[operator], number_))
    if operator == "==":
        if number_ < 0:
            return NEVER
        more = _at_least(number_ + 1)
        return negated(more) if number_ == 0 else And((_at_least(number_), negated(more)))
    return _at_least(number_ + (operator == ">"))


def _at_least(least: int) -> Condition:
    if least > MAX_COUNT:
        raise ValueError(f"the count of non-coherent DMA's users compared with {least} (at most {MAX_COUNT})")
    if least <= 0:
        return ALWAYS
    # Whoever counts two counts one: what can't be is no state of its own.
    more = tuple(assumption(f"{COUNT} > {fewer}") for fewer in range(1, least))
    return And((Atom(NONCOHERENT_DMA), *more)) if more else Atom(NONCOHERENT_DMA)


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
