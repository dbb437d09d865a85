# SPDX-License-Identifier: GPL-2.0-only
"""The guest's MTRRs from their readable or raw form."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from mtcalc.kvm.guest_mtrr import KVM_PAIRS
from mtcalc.kvm.history import MOST_PAIRS, pairs_words
from mtcalc.kvm.vm import reset_free_mtrrs
from mtcalc.scenario.places import Path, Problems, key_place, value_place
from mtcalc.scenario.schema import READABLE_KEYS, MtrrKeys, VariableKeys
from mtcalc.scenario.values import MAX_PAIRS, word
from mtcalc.text.errors import InputError
from mtcalc.text.numbers import format_size
from mtcalc.text.yaml import Node
from mtcalc.x86.mtrr import (
    FIXED_REGISTERS,
    MSR_CAP,
    MSR_DEF_TYPE,
    MSR_VARIABLE,
    PAGE,
    Mtrrs,
    check_register,
    decode_registers,
    parse_register,
    register_name,
    register_numbers,
)

_AT: Path = ("guest", "mtrr")
_ANYTHING_ELSE = "physbase and physmask say anything else"
_FORMS = "base, size and type, or physbase and physmask"


class GuestMtrrs(NamedTuple):
    """The guest's MTRRs; where problems were found, some that nobody is to look at."""

    mtrrs: Mtrrs
    said: bool = False  # the file says how many variable pairs there are
    unsaid: InputError | None = None  # it does not, and has more than most kernels give: the error under those


def read_mtrrs(keys: MtrrKeys, root: Node, maxphyaddr: int, problems: Problems) -> GuestMtrrs:
    """The MTRRs. What only some kernels refuse of a pair, and more pairs than most have, is taken."""
    given = keys.given
    if "msrs" in given:
        readable = [key for key in READABLE_KEYS if key in given]
        if readable:
            place = max(key_place(root, (*_AT, key)) for key in ("msrs", readable[0]))
            problems.add(f"msrs and {readable[0]} together (either raw registers or the readable form)", place)
            return GuestMtrrs(reset_free_mtrrs(maxphyaddr))
        return _raw(keys, root, maxphyaddr, problems)
    count = len(keys.variable)
    unsaid = None
    if keys.vcnt is not None:
        vcnt = keys.vcnt
        if count > vcnt:
            problems.add(f"{count} variable ranges (vcnt allows {vcnt})", value_place(root, (*_AT, "variable", vcnt)))
    else:
        vcnt = KVM_PAIRS if count <= KVM_PAIRS else MOST_PAIRS
        right = f"KVM gives a guest {pairs_words()}; vcnt: {count} where there are as many"
        if count > KVM_PAIRS:
            unsaid = InputError(f"{count} variable ranges ({right})", value_place(root, (*_AT, "variable", KVM_PAIRS)))
        if unsaid and count > MOST_PAIRS:
            problems.found.append(unsaid)
    values = _register_values(keys.fixed, (*_AT, "fixed"), _FIXED, root, maxphyaddr, problems)
    fixed_enabled = "fixed" in given if keys.fixed_enabled is None else keys.fixed_enabled
    values[MSR_DEF_TYPE] = keys.enabled << 11 | fixed_enabled << 10 | keys.default
    for n, pair in enumerate(keys.variable[:vcnt]):
        base, mask = _pair(pair, n, root, maxphyaddr, problems)
        values[MSR_VARIABLE + 2 * n] = base
        values[MSR_VARIABLE + 2 * n + 1] = mask
    return _decoded(values, maxphyaddr, vcnt, problems, keys.vcnt is not None, unsaid)


_FIXED = tuple(register for register, _, _ in FIXED_REGISTERS)


def _decoded(
    values: dict[int, int], maxphyaddr: int, vcnt: int, problems: Problems, said: bool, unsaid: InputError | None
) -> GuestMtrrs:
    if problems.found:
        return GuestMtrrs(reset_free_mtrrs(maxphyaddr), said, unsaid)
    return GuestMtrrs(decode_registers(values, maxphyaddr, vcnt, kept=True), said, unsaid)


def _raw(keys: MtrrKeys, root: Node, maxphyaddr: int, problems: Problems) -> GuestMtrrs:
    path = (*_AT, "msrs")
    known = (*register_numbers(MAX_PAIRS), MSR_CAP)
    values = _register_values(keys.msrs, path, known, root, maxphyaddr, problems)
    vcnt = keys.vcnt
    capabilities = values.pop(MSR_CAP, None)
    if capabilities is not None:
        pairs = capabilities & 0xFF
        key = next(key for key in keys.msrs if parse_register(key) == MSR_CAP)
        place = value_place(root, (*path, key))
        if pairs > MAX_PAIRS:
            problems.add(f"IA32_MTRRCAP says {pairs} variable pairs (at most {MAX_PAIRS})", place)
        elif vcnt not in (None, pairs):
            problems.add(f"IA32_MTRRCAP says {pairs} variable pairs, vcnt {vcnt} (leave vcnt out)", place)
        vcnt = min(pairs, MAX_PAIRS) if vcnt is None else vcnt
    said = vcnt is not None
    usual = KVM_PAIRS if vcnt is None else vcnt
    allowed, somewhere = register_numbers(usual), register_numbers(MOST_PAIRS)
    unsaid = None
    registers: dict[str, int] = {}
    for key in keys.msrs:
        with suppress(ValueError):  # already among the problems
            registers[key] = parse_register(key)
    pairs_given = [
        (msr - MSR_VARIABLE) // 2 + 1
        for msr in registers.values()
        if msr in range(MSR_VARIABLE, MSR_VARIABLE + 2 * MAX_PAIRS)
    ]
    for key, msr in registers.items():
        if msr in allowed or msr == MSR_CAP:
            continue
        right = f"vcnt: {max(pairs_given)} where there are as many"
        beyond = InputError(
            f"{register_name(msr)} is no register of {usual} pairs ({right})", key_place(root, (*path, key))
        )
        if said or msr not in somewhere:
            problems.found.append(beyond)
        unsaid = unsaid or beyond
    return _decoded(values, maxphyaddr, MOST_PAIRS if unsaid and not said else usual, problems, said, unsaid)


def _register_values(
    written: Mapping[str, int], path: Path, known: tuple[int, ...], root: Node, maxphyaddr: int, problems: Problems
) -> dict[int, int]:
    """Register number -> value, each checked as every KVM checks the write."""
    values: dict[int, int] = {}
    names: dict[int, str] = {}
    for key, value in written.items():
        with problems.at(key_place(root, (*path, key))):
            msr = parse_register(word(key, "a register, by number or name"))
            if msr not in known:
                raise ValueError(f"{register_name(msr)} is no fixed-range register (0x250, 0x258, 0x259, 0x268-0x26f)")
            if msr in names:
                raise ValueError(f"'{key}' is the register that '{names[msr]}' names too (each once)")
            names[msr] = key
            values[msr] = value
            if msr != MSR_CAP:
                with problems.at(value_place(root, (*path, key))):
                    check_register(msr, value, maxphyaddr, kept=True)
    return values


def _pair(pair: VariableKeys, n: int, root: Node, maxphyaddr: int, problems: Problems) -> tuple[int, int]:
    """The two registers of one entry of `variable`, (0, 0) where problems are found."""
    path: Path = (*_AT, "variable", n)
    given = pair.given
    raw = [key for key in ("physbase", "physmask") if key in given]
    plain = [key for key in ("base", "size", "type") if key in given]
    if raw and plain:
        place = max(key_place(root, (*path, key)) for key in (raw[0], plain[0]))
        problems.add(f"{plain[0]} and {raw[0]} together (either {_FORMS})", place)
        return 0, 0
    if pair.physbase is not None and pair.physmask is not None:
        for key, msr, value in (("physbase", 0, pair.physbase), ("physmask", 1, pair.physmask)):
            with problems.at(value_place(root, (*path, key))):
                check_register(MSR_VARIABLE + 2 * n + msr, value, maxphyaddr, kept=True)
        return pair.physbase, pair.physmask
    if pair.base is None or pair.size is None or pair.type is None:
        wanted = ("physbase", "physmask") if raw else ("base", "size", "type")
        missing = next(key for key in wanted if key not in given)
        problems.add(f"'{missing}' is missing (a variable range has {_FORMS})", value_place(root, path))
        return 0, 0
    return _readable_pair(pair.base, pair.size, pair.type, path, root, maxphyaddr, problems)


def _readable_pair(
    base: int, size: int, memtype: int, path: Path, root: Node, maxphyaddr: int, problems: Problems
) -> tuple[int, int]:
    if size < PAGE or size & (size - 1):
        what = f"size {size:#x} is not a power of two of at least 4K ({_ANYTHING_ELSE})"
        problems.add(what, value_place(root, (*path, "size")))
        return 0, 0
    if base % size:
        what = f"base {base:#x} is not a multiple of size {format_size(size)} ({_ANYTHING_ELSE})"
        problems.add(what, value_place(root, (*path, "base")))
        return 0, 0
    full = 1 << maxphyaddr
    if base + size > full:
        key = "size" if size > full else "base"
        what = f"#GP: the range reaches beyond maxphyaddr {maxphyaddr} (end at or below {full:#x})"
        problems.add(what, value_place(root, (*path, key)))
        return 0, 0
    return base | memtype, full - size | 1 << 11
