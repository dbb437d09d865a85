# SPDX-License-Identifier: GPL-2.0-only
"""Some bits of a register (CR0, the disabled quirks, a slot's flags), and what they come to as conditions.

A bit that is an input stands for that input however it is asked for: `x & 8`, `x >> 3 & 1`, `~x & 8`, `(x | 8) == x`.
Where others are asked for beside it, each is an assumption of its own: what is known stays known.
"""

from __future__ import annotations

from typing import NamedTuple

from mtcalc.csource.predicates import CR0_CONSTANTS, DISABLED_QUIRKS, QUIRK_CONSTANTS, Register
from mtcalc.rules.condition import ALWAYS, And, Atom, Condition, Not, Or
from mtcalc.rules.inputs import Input

NEVER = Or(())

MAX_ASSUMED = 4
"""Unknown bits that are asked for one by one; more are asked for as a whole."""

_NAMES = {
    register: {bit: name for name, bit in reversed(table.items())}
    for register, table in (
        ("kvm_read_cr0(vcpu)", CR0_CONSTANTS),
        (DISABLED_QUIRKS.shown, QUIRK_CONSTANTS),
    )
}


class Masked(NamedTuple):
    """(register & mask) shifted to the left by `shift`, where that is negative to the right, ^ flip.

    No bit of the mask is shifted out, and `flip` is a number of the type that the whole has.
    """

    register: Register
    mask: int
    shift: int = 0
    flip: int = 0

    @property
    def taken(self) -> int:
        """The bits of the result that the register decides."""
        return shifted(self.mask, self.shift)

    @property
    def known(self) -> tuple[tuple[int, Condition], ...]:
        """The register's bits in the mask that are inputs."""
        return tuple((bit, condition) for bit, condition in self.register.conditions if bit & self.mask)

    @property
    def unknown(self) -> int:
        """The bits in the mask that are no inputs; a mask of most of them asks for those that it can have."""
        rest = self.mask & ~sum(bit for bit, _ in self.known)
        if self.register.all_bits and rest.bit_count() > MAX_ASSUMED:
            rest &= self.register.all_bits
        return rest

    @property
    def bits(self) -> tuple[tuple[int, Condition], ...] | None:
        """Each bit in the mask, with its condition; None where none is an input, or too many are not."""
        if not self.mask:
            return ()
        if not self.known or self.unknown.bit_count() > MAX_ASSUMED:
            return None
        return (*self.known, *((bit, _assumed_bit(self.register, bit)) for bit in _each(self.unknown)))


def whole(register: Register) -> Masked:
    """A register, all of it."""
    return Masked(register, (1 << register.width) - 1)


def shifted(number: int, by: int) -> int:
    """A number shifted to the left, or where `by` is negative to the right."""
    return number << by if by >= 0 else number >> -by


def placed_bits(value: Masked) -> tuple[tuple[int, Condition], ...] | None:
    """Its bits as they stand in the result; None where they are not known."""
    bits = value.bits
    return None if bits is None else tuple((shifted(bit, value.shift), condition) for bit, condition in bits)


def masked_by(value: Masked, mask: int) -> Masked:
    """The bits that a further mask, 0 or greater, leaves."""
    return value._replace(mask=value.mask & shifted(mask, -value.shift), flip=value.flip & mask)


def or_ed(value: Masked, number: int) -> Masked:
    """value | a number, 0 or greater."""
    return masked_by(value, ~number)._replace(flip=value.flip | number)


def moved(value: Masked, by: int, width: int) -> Masked:
    """A value of a type of `width` bits without sign shifted to the left, or where `by` is negative to the right."""
    kept = (1 << width) - 1
    kept &= shifted(kept, -by) if by >= 0 else ~((1 << -by) - 1)
    left = masked_by(value, kept)
    return left._replace(shift=left.shift + by, flip=shifted(left.flip, by))


def difference(one: Masked, other: Masked) -> Masked | None:
    """one ^ other; None for those of two registers, or shifted in two ways."""
    if one.register != other.register or one.shift != other.shift:
        return None
    return one._replace(mask=one.mask ^ other.mask, flip=one.flip ^ other.flip)


def any_bit(value: Masked) -> Condition | None:
    """The condition that it is not 0; None where none of its bits is an input."""
    parts = _each_as(value, 0)
    if parts is None:
        return None
    differing = tuple(negated(part) for part in parts)
    return differing[0] if len(differing) == 1 else Or(differing)


def compared(operator: str, value: Masked, number: int) -> Condition | None:
    """A comparison with a number, of a value 0 or greater, as a condition; None where that is not known."""
    if (operator, number) in ((">", 0), (">=", 1), ("<=", 0), ("<", 1)):
        operator, number = "!=" if operator[0] == ">" else "==", 0
    if (operator, number) == ("!=", 0):
        return any_bit(value)
    parts = _each_as(value, number) if operator in ("==", "!=") else None
    if parts is None:
        return None
    same = parts[0] if len(parts) == 1 else And(parts)
    return negated(same) if operator == "!=" else same


def _each_as(value: Masked, number: int) -> tuple[Condition, ...] | None:
    """The conditions that together say that the value is a number; None where none of its bits is an input."""
    if number < 0 or (number ^ value.flip) & ~value.taken:
        return (NEVER,)
    if value.bits is None and not value.known:
        return None
    wanted = shifted(number ^ value.flip, -value.shift)
    if value.bits is not None and not wanted & ~sum(bit for bit, _ in value.bits):
        return tuple(condition if bit & wanted else negated(condition) for bit, condition in value.bits)
    parts = [condition if bit & wanted else negated(condition) for bit, condition in value.known]
    rest = value.mask & ~sum(bit for bit, _ in value.known)
    text = f"{value.register.shown} & {rest:#x}"
    parts.append(assumption(f"({text}) == {rest & wanted:#x}") if rest & wanted else Not(assumption(text)))
    return tuple(parts)


def _each(mask: int) -> tuple[int, ...]:
    return tuple(1 << bit for bit in range(mask.bit_length()) if mask >> bit & 1)


def _assumed_bit(register: Register, bit: int) -> Condition:
    return assumption(f"{register.shown} & {_NAMES.get(register.shown, {}).get(bit, hex(bit))}")


def assumption(text: str) -> Condition:
    """A condition that only the source knows."""
    return Atom(Input("assume", text))


def negated(condition: Condition) -> Condition:
    """Not, without double negations."""
    if isinstance(condition, Not):
        return condition.of
    if condition in (ALWAYS, NEVER):
        return NEVER if condition == ALWAYS else ALWAYS
    return Not(condition)
