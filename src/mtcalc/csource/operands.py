# SPDX-License-Identifier: GPL-2.0-only
"""What expressions make of values, as far as no state takes part: fields, addresses, calls that are known by name."""

from __future__ import annotations

import re

from mtcalc.csource.masks import compared, difference, masked_by, negated, whole
from mtcalc.csource.predicates import ATOMIC_READ, BIT_TESTS, MASK_CALLS, register_of
from mtcalc.csource.types import LONG, ULONG
from mtcalc.csource.values import POSTFIX, PRECEDENCE, TIMES, UNARY, Val, convert, number, truth, truth_value
from mtcalc.csource.words import known_words

READS_ATOMIC = re.compile(rf"{ATOMIC_READ}\(")


_SIGNS = ("*", "&", "-", "+", "!", "~", "\x04")


def holder_of(val: Val, arrow: str) -> str:
    """What stands before a field: (*p).x and p[0].x are p->x, (&s)->x is s.x."""
    if val.prec == UNARY and val.text[:1] == ("*" if arrow == "." else "&"):
        inner = val.text[1:]
        other = "->" if arrow == "." else "."
        return f"{f'({inner})' if inner[:1] in _SIGNS else inner}{other}"
    if arrow == "." and val.prec == POSTFIX and val.text.endswith("[0]"):
        return f"{val.text[:-3]}->"
    return f"{val.inside(UNARY + 1)}{arrow}"


def turned_back(operator: str, val: Val) -> str | None:
    """What &*p, *&x and &p[0] are: p, x and p; None for anything else."""
    if val.prec == UNARY and val.text[:1] == ("*" if operator == "&" else "&"):
        return val.text[1:]
    if operator == "&" and val.prec == POSTFIX and val.text.endswith("[0]"):
        return val.text[:-3]
    return None


def truth_as_long(val: Val) -> Val:
    """!!(x), of type long."""
    return convert(truth_value(truth(val), f"!!{val.inside(UNARY)}", UNARY), LONG)


def bool_compared(operator: str, a: Val, b: Val) -> Val | None:
    """A condition's 0 or 1 compared with 0 or 1, as a condition again; None for anything else."""
    if a.num is not None:
        a, b = b, a
    if a.cond is None or b.num not in (0, 1) or operator not in ("==", "!="):
        return None
    same = (b.num == 1) is (operator == "==")
    return truth_value(a.cond if same else negated(a.cond), f"{a.inside(TIMES)} {operator} {b.text}", PRECEDENCE["=="])


def as_it_is(operator: str, a: Val, b: Val) -> bool:
    """Whether a register's bits meet a number without being split into numbers first."""
    if a.mask is not None and b.mask is not None:
        return operator in ("==", "!=", "^") and difference(a.mask, b.mask) is not None
    if a.num is not None and operator in ("&", "|", "^", "==", "!="):
        a, b = b, a
    if a.mask is None or b.num is None:
        return False
    if operator in ("|", "^", "<<", ">>"):
        return turned_whole(operator, a)
    return operator == "&" or compared(operator, a.mask, b.num) is not None


def turned_whole(operator: str, val: Val) -> bool:
    """Whether an operator works on all bits of a register at once: where not each of them is known by itself."""
    plain = operator in ("~", "|", "^", "<<", ">>") and val.type.bits >= 32 and not val.type.signed
    return plain and val.mask is not None and bool(val.mask.known) and val.mask.unknown > 0


def range_of(values: list[Val], text: str) -> Val:
    """GENMASK(high, low). Raises ValueError."""
    high, low = (val.num or 0 for val in values)
    if not 0 <= low <= high < 64:
        raise ValueError(f"`{text}` is no range of bits (63 to 0, the higher one first)")
    return number((2 << high) - (1 << low), ULONG, text)


def masking_call(name: str, values: list[Val], text: str) -> Val | None:
    """A call that asks for some bits of a register; None for any other."""
    call = MASK_CALLS.get(name)
    if call is None or len(values) != 2 or values[1].num is None or known_words(values[0].text) != call.owner:
        return None
    bits = masked_by(whole(call.register), values[1].num)
    if call.answer is None:
        return Val(text, type=ULONG, mask=bits) if bits.mask else number(0, ULONG, text)
    asked = compared("!=" if call.answer else "==", bits, 0)
    return Val(text) if asked is None else truth_value(asked, text)


def asks_unknown_bit(name: str, values: list[Val]) -> bool:
    """Whether a call is test_bit() of a known register, and which bit is not known."""
    if BIT_TESTS.fullmatch(name) is None or len(values) != 2 or values[0].num is not None:
        return False
    at = turned_back("*", values[1])
    return at is not None and register_of(at) is not None


def bit_test(name: str, values: list[Val], text: str) -> Val | None:
    """test_bit(number, &register); None for any other call, and for a bit that is no input."""
    if BIT_TESTS.fullmatch(name) is None or len(values) != 2 or values[0].num is None:
        return None
    at = turned_back("*", values[1])
    register = None if at is None else register_of(at)
    if register is None or not 0 <= values[0].num < register.width:
        return None
    asked = compared("!=", masked_by(whole(register), 1 << values[0].num), 0)
    return None if asked is None else truth_value(asked, text)
