# SPDX-License-Identifier: GPL-2.0-only
"""Registers with their values: `REG VALUE` and `REG = VALUE` lines, x86info, chipsec, the kvm_msr trace.

Source: msr-tools, x86info and chipsec as their logs show them; arch/x86/kvm/trace.h, kvm_msr. Values without 0x are
hex, as rdmsr prints them. What rdmsr alone prints does not say which register it is of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from mtcalc.importers.dump import Dump, DumpPair, DumpRegister, ImportRemark, Line, Pairs, Setting
from mtcalc.importers.vmcs import MARK
from mtcalc.text.errors import InputError, Place
from mtcalc.x86.memtype import MTRR_TYPES, MemType
from mtcalc.x86.mtrr import (
    FIXED_REGISTERS,
    MSR_CAP,
    MSR_DEF_TYPE,
    MSR_VARIABLE,
    check_register,
    parse_register,
    register_name,
)
from mtcalc.x86.pat import Pat, decode_pat

NAME = "msrs"
FORM = "0x2ff = 0xc06"

MSR_PAT = 0x277
_PAT_NAMES = frozenset(("PAT", "IA32_PAT", "IA32_CR_PAT", "MSR_IA32_CR_PAT", "MSR_PAT", "IA32_PAT_MSR"))
_NUMBERS = frozenset((*range(0x200, 0x220), *(msr for msr, _, _ in FIXED_REGISTERS), MSR_DEF_TYPE, MSR_CAP, MSR_PAT))
_FIXED = frozenset(msr for msr, _, _ in FIXED_REGISTERS)

_LINE = re.compile(
    r"(?:(?:CPU|cpu) ?\d+: )?(0x[0-9a-fA-F]{2,3}|[0-9a-fA-F]{2,3}|[A-Za-z][\w()]{2,40})"
    r"(?: *\((?:MSR )?(0x[0-9a-fA-F]{2,3})\)| (0x[0-9a-fA-F]{2,3})(?=:))? *(?:[:=] *|[ \t]+)(0x)?([0-9a-fA-F]{1,40})"
)
_CHIPSEC = re.compile(r".*\bRDMSR\( *(0x[0-9a-fA-F]+) *\) *[:=] *(?:0x)?([0-9a-fA-F]{1,16})\b.*")
_TRACE = re.compile(r"(.*?)\bkvm_msr: +msr_(read|write) ([0-9a-f]+) = 0x([0-9a-f]{1,16})( \(#GP\))?")
_TRACE_CUT = re.compile(r".*\bkvm_msr:(?: +msr_(?:read|write)(?: +([0-9a-f]{2,8})\b.*)?)?")
_TASK = re.compile(r"-(\d+) +\[")
_RDMSR = re.compile(r"(?:.*[$#>] *)?(?:sudo )?rdmsr\b.*")
_SLIM = re.compile(r"IA32_MTRR_PHYS(?:BASE|MASK)_\d+ \(0x")  # a firmware's, which leaves out pairs that are off
_SMRR = re.compile(r".*\bSMRR_?PHYS(?:BASE|MASK)\b.*")


class Value(NamedTuple):
    """A register's value, and where it stands."""

    msr: int
    value: int
    place: Place


class Msrs:
    """The reader."""

    def __init__(self) -> None:
        self._values: dict[int, Value] = {}
        self._traced: dict[str, dict[int, Value]] = {}
        self._remarks: list[ImportRemark] = []
        self._smrr: Place | None = None
        self._bare: Line | None = None  # a call of rdmsr, whose output says no register
        self._vmcs = False  # a line PAT = VALUE is one of KVM's dump then
        self._pats: list[tuple[Line, str, str]] = []  # such lines, with the digits and 0x
        self._plain: Line | None = None  # the first REG VALUE without 0x, of which such output may be taken for

    def feed(self, line: Line) -> bool:
        text = line.text
        if "kvm_msr:" in text and (found := _TRACE.fullmatch(text)):
            msr = int(found[3], 16)
            if msr in _NUMBERS and not found[5]:
                task = _TASK.search(found[1])
                values = self._traced.setdefault(task[1] if task else "", {})
                values[msr] = Value(msr, int(found[4], 16), line.place(f"{found[3]} ="))
            return msr in _NUMBERS
        if "kvm_msr:" in text and (found := _TRACE_CUT.fullmatch(text)) and int(found[1] or "277", 16) in _NUMBERS:
            raise line.error(
                "an event of kvm_msr that is not whole (kvm_msr: msr_write 277 = 0x7040600070406)", "kvm_msr:"
            )
        if "RDMSR" in text and (found := _CHIPSEC.fullmatch(text)):
            self._put(line, int(found[1], 16), found[2], "")
            return True
        if MARK.fullmatch(text):
            self._vmcs = True
            return False
        if (found := _LINE.fullmatch(text)) and not _SLIM.match(text):
            return self._line(line, found)
        if _RDMSR.fullmatch(text):
            self._bare = self._bare or line
            return True
        if _SMRR.fullmatch(text):
            self._smrr = line.place()
            self._remarks.append(ImportRemark("SMRR is none of the MTRRs: no guest has it under KVM", self._smrr))
            return True
        return False

    def _line(self, line: Line, found: re.Match[str]) -> bool:
        word, number = found[1], found[2] or found[3]
        msr = _register(word)
        if msr is None:
            return False
        if number is not None and int(number, 16) != msr:
            raise line.error(f"{word} is register {msr:#x}, not {number} (one of the two is mistyped)", number)
        if not found[4] and not word.lower().startswith("0x") and word[:1].isdigit():
            self._plain = self._plain or line
        if word == "PAT":
            self._pats.append((line, found[5], found[4] or ""))
        else:
            self._put(line, msr, found[5], found[4] or "")
        return True

    def _put(self, line: Line, msr: int, digits: str, lead: str) -> None:
        if msr not in _NUMBERS:
            return
        value = int(digits, 16)
        if value >> 64:
            raise line.error(f"{lead}{digits} is no 64-bit register value (at most 16 hex digits)", digits)
        before = self._values.get(msr)
        if before is not None and before.value != value:
            what = f"{_name(msr)} is {value:#x} here and {before.value:#x} on line {before.place.line}"
            raise line.error(f"{what} (one machine: a register has one value)", digits)
        self._values.setdefault(msr, Value(msr, value, line.place(digits)))

    def finish(self) -> Iterator[Dump]:
        if not self._vmcs:
            for line, digits, lead in self._pats:
                self._put(line, MSR_PAT, digits, lead)
        if self._bare is not None and (self._plain is not None or not self._values):
            right = "lines REG=VALUE, such as 0x2ff=0xc06, or --msr 0x2ff=VALUE"
            raise self._bare.error(f"what rdmsr prints does not say which register it is of ({right})", "rdmsr")
        if self._values:
            yield _dump(self._values, tuple(self._remarks), written=False)
        traced = [values for values in self._traced.values() if values]
        if traced:
            yield _dump(_same(traced), (), written=True)
        if not self._values and not traced and self._smrr is not None:
            yield Dump(NAME, self._smrr, remarks=tuple(self._remarks))


def _register(word: str) -> int | None:
    """The number of an MTRR's register or of the PAT, None for another word."""
    if word.upper() in _PAT_NAMES:
        return MSR_PAT
    try:
        number = int(word, 16)
    except ValueError:
        try:
            return parse_register(word)
        except ValueError:
            return None
    return number if number in _NUMBERS else None


def _name(msr: int) -> str:
    return "IA32_PAT (0x277)" if msr == MSR_PAT else f"{register_name(msr)} ({msr:#x})"


def _same(traced: list[dict[int, Value]]) -> dict[int, Value]:
    """What the vCPUs of a trace wrote; they have to agree."""
    values: dict[int, Value] = {}
    for vcpu in traced:
        for msr, value in vcpu.items():
            other = values.setdefault(msr, value)
            if other.value != value.value:
                what = f"{_name(msr)} ends as {value.value:#x} here and as {other.value:#x} at {other.place}"
                raise InputError(f"{what} (another vCPU or VM: one of them alone)", value.place)
    return values


def _dump(values: dict[int, Value], remarks: tuple[ImportRemark, ...], written: bool) -> Dump:
    first = min(values.values(), key=lambda value: value.place.line)
    settings: list[Setting] = []
    notes = list(remarks)
    if written:
        settings.append(Setting("whose", "guest", first.place))
    for value in values.values():
        if value.msr == MSR_DEF_TYPE:
            settings += def_type_settings(value.value, value.place)
        elif value.msr == MSR_PAT:
            settings.append(Setting("pat", _pat(value), value.place))
        elif value.msr == MSR_CAP:
            settings.append(Setting("vcnt", value.value & 0xFF, value.place))
    registers = tuple(DumpRegister(*value) for value in values.values() if value.msr in _FIXED)
    return Dump(NAME, first.place, tuple(settings), registers, raw_pairs(values), remarks=tuple(notes))


def raw_pairs(values: dict[int, Value]) -> Pairs | None:
    """The pairs of raw registers; those between two that are there and not themselves are missing."""
    numbers = sorted({(msr - MSR_VARIABLE) >> 1 for msr in values if MSR_VARIABLE <= msr < MSR_VARIABLE + 0x40})
    if not numbers:
        return None
    pairs = []
    for number in numbers:
        base, mask = (values.get(MSR_VARIABLE + 2 * number + k) for k in (0, 1))
        if base is None or mask is None:
            there = base or mask
            assert there is not None
            other = MSR_VARIABLE + 2 * number + (base is not None)
            what = f"{_name(there.msr)} is there, and {_name(other)} is not"
            raise InputError(f"{what} (both of a pair, or --msr {other:#x}=VALUE)", there.place)
        pairs.append(DumpPair(number, base.value, mask.value, 0, base.place))
    missing = tuple(number for number in range(numbers[-1]) if number not in numbers)
    return Pairs(tuple(pairs), pairs[0].place, missing=missing)


def def_type_settings(value: int, place: Place) -> list[Setting]:
    """E, FE and the default type of IA32_MTRR_DEF_TYPE. Raises InputError where it can't hold that."""

    try:
        check_register(MSR_DEF_TYPE, value, 52)
    except ValueError as error:
        raise InputError(str(error), place) from None
    assert value & 0xFF in MTRR_TYPES
    return [
        Setting("enabled", bool(value & 1 << 11), place),
        Setting("fixed_enabled", bool(value & 1 << 10), place),
        Setting("default", MemType(value & 0xFF), place),
    ]


def _pat(value: Value) -> Pat:
    try:
        return decode_pat(value.value)
    except ValueError as error:
        raise InputError(str(error), value.place) from None
