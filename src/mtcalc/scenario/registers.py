# SPDX-License-Identifier: GPL-2.0-only
"""The guest's MTRRs from their readable or raw form."""

from __future__ import annotations

from mtcalc.kvm.guest_mtrr import KVM_PAIRS
from mtcalc.kvm.vm import reset_free_mtrrs
from mtcalc.scenario.places import Path, Problems, key_place, value_place
from mtcalc.scenario.schema import READABLE_KEYS, MtrrKeys, VariableKeys
from mtcalc.scenario.values import MAX_PAIRS, word
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


def read_mtrrs(keys: MtrrKeys, root: Node, maxphyaddr: int, problems: Problems) -> tuple[Mtrrs, int]:
    """(MTRRs, number of variable pairs); where problems are found, MTRRs that nobody is to look at."""
    given = keys.model_fields_set
    if "msrs" in given:
        readable = [key for key in READABLE_KEYS if key in given]
        if readable:
            place = max(key_place(root, (*_AT, key)) for key in ("msrs", readable[0]))
            problems.add(f"msrs and {readable[0]} together (either raw registers or the readable form)", place)
            return reset_free_mtrrs(maxphyaddr), KVM_PAIRS
        return _raw(keys, root, maxphyaddr, problems)
    vcnt = KVM_PAIRS if keys.vcnt is None else keys.vcnt
    if len(keys.variable) > vcnt:
        what = f"{len(keys.variable)} variable ranges (vcnt allows {vcnt}; KVM gives a guest {KVM_PAIRS})"
        problems.add(what, value_place(root, (*_AT, "variable", vcnt)))
    values = _register_values(keys.fixed, (*_AT, "fixed"), _FIXED, root, maxphyaddr, problems)
    fixed_enabled = "fixed" in given if keys.fixed_enabled is None else keys.fixed_enabled
    values[MSR_DEF_TYPE] = keys.enabled << 11 | fixed_enabled << 10 | keys.default
    for n, pair in enumerate(keys.variable[:vcnt]):
        base, mask = _pair(pair, n, root, maxphyaddr, problems)
        values[MSR_VARIABLE + 2 * n] = base
        values[MSR_VARIABLE + 2 * n + 1] = mask
    return _decoded(values, maxphyaddr, vcnt, problems)


_FIXED = tuple(register for register, _, _ in FIXED_REGISTERS)


def _decoded(values: dict[int, int], maxphyaddr: int, vcnt: int, problems: Problems) -> tuple[Mtrrs, int]:
    if problems.found:
        return reset_free_mtrrs(maxphyaddr), vcnt
    return decode_registers(values, maxphyaddr, vcnt), vcnt


def _raw(keys: MtrrKeys, root: Node, maxphyaddr: int, problems: Problems) -> tuple[Mtrrs, int]:
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
    vcnt = KVM_PAIRS if vcnt is None else vcnt
    allowed = register_numbers(vcnt)
    for key in keys.msrs:
        try:
            msr = parse_register(key)
        except ValueError:
            continue  # already among the problems
        if msr not in allowed and msr != MSR_CAP:
            right = f"vcnt: {(msr - MSR_VARIABLE) // 2 + 1} where there are as many"
            problems.add(
                f"{register_name(msr)} is no register of {vcnt} pairs ({right})", key_place(root, (*path, key))
            )
    return _decoded(values, maxphyaddr, vcnt, problems)


def _register_values(
    written: dict[str, int], path: Path, known: tuple[int, ...], root: Node, maxphyaddr: int, problems: Problems
) -> dict[int, int]:
    """Register number -> value, each checked as KVM checks the write."""
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
                    check_register(msr, value, maxphyaddr)
    return values


def _pair(pair: VariableKeys, n: int, root: Node, maxphyaddr: int, problems: Problems) -> tuple[int, int]:
    """The two registers of one entry of `variable`, (0, 0) where problems are found."""
    path: Path = (*_AT, "variable", n)
    given = pair.model_fields_set
    raw = [key for key in ("physbase", "physmask") if key in given]
    plain = [key for key in ("base", "size", "type") if key in given]
    if raw and plain:
        place = max(key_place(root, (*path, key)) for key in (raw[0], plain[0]))
        problems.add(f"{plain[0]} and {raw[0]} together (either {_FORMS})", place)
        return 0, 0
    if pair.physbase is not None and pair.physmask is not None:
        for key, msr, value in (("physbase", 0, pair.physbase), ("physmask", 1, pair.physmask)):
            with problems.at(value_place(root, (*path, key))):
                check_register(MSR_VARIABLE + 2 * n + msr, value, maxphyaddr)
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
