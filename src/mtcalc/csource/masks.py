# SPDX-License-Identifier: GPL-2.0-only
"""Some bits of a register (CR0, the disabled quirks, a slot's flags), and what they come to as conditions."""

from __future__ import annotations

from typing import NamedTuple

from mtcalc.csource.predicates import Register
from mtcalc.rules.condition import ALWAYS, And, Condition, Not, Or

NEVER = Or(())


class Masked(NamedTuple):
    """register & mask; None: the whole register."""

    register: Register
    mask: int | None = None

    @property
    def bits(self) -> tuple[tuple[int, Condition], ...] | None:
        """Each bit that can be set, with its condition; None where one has no known meaning."""
        asked = self.register.all_bits if self.mask is None else self.mask
        known = tuple((bit, condition) for bit, condition in self.register.conditions if bit & asked)
        if (self.mask is None and not asked) or asked != sum(bit for bit, _ in known):
            return None
        return known


def masked_by(value: Masked, mask: int) -> Masked:
    """The bits that a further mask leaves."""
    mask &= (1 << value.register.width) - 1
    return Masked(value.register, mask if value.mask is None else value.mask & mask)


def any_bit(value: Masked) -> Condition | None:
    """The condition that it is not 0; None where that is not known."""
    if value.bits is None:
        return None
    conditions = tuple(condition for _, condition in value.bits)
    return conditions[0] if len(conditions) == 1 else Or(conditions)


def compared(operator: str, value: Masked, number: int) -> Condition | None:
    """A comparison with a number, 0 or greater, as a condition; None where that is not known."""
    if (operator, number) in ((">", 0), (">=", 1), ("<=", 0), ("<", 1)):
        operator, number = "!=" if operator[0] == ">" else "==", 0
    if (operator, number) == ("!=", 0):
        return any_bit(value)
    if operator not in ("==", "!=") or number < 0:
        return None
    same = _equals(value, number)
    return negated(same) if same is not None and operator == "!=" else same


def _equals(value: Masked, number: int) -> Condition | None:
    if value.mask is not None and number & ~value.mask:
        return NEVER
    if value.bits is None or number & ~sum(bit for bit, _ in value.bits):
        return None
    parts = tuple(condition if bit & number else negated(condition) for bit, condition in value.bits)
    return parts[0] if len(parts) == 1 else And(parts)


def negated(condition: Condition) -> Condition:
    """Not, without double negations."""
    if isinstance(condition, Not):
        return condition.of
    if condition in (ALWAYS, NEVER):
        return NEVER if condition == ALWAYS else ALWAYS
    return Not(condition)
