# SPDX-License-Identifier: GPL-2.0-only
"""Answers as plain data for JSON, csv and tsv: the names of the interface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mtcalc.analysis.answer import Answer, NptEntry
from mtcalc.kvm.flags import flag_names
from mtcalc.kvm.versions import VmType
from mtcalc.rules.inputs import KINDS, Facts, Value
from mtcalc.rules.kernel import Kernel
from mtcalc.x86.ept import LEVEL_NAMES
from mtcalc.x86.memtype import PAT_TYPES, Effective, MemType, memtype_name


def assumed(value: Value) -> bool | str:
    """An assumption as JSON has it: true, false or a memory type's name."""
    return str(value) if isinstance(value, MemType) else bool(value)


def inputs_record(facts: Facts) -> dict[str, Any]:
    """The inputs of one decision."""
    record: dict[str, Any] = {}
    for kind in KINDS.values():
        held = getattr(facts, kind.field)
        if kind.text:
            if facts.assume:
                record[kind.key] = {text: assumed(value) for text, value in facts.assume.items()}
        elif kind.disabled:
            record[kind.key] = {name: not held & bit for name, bit in kind.bits.items()}
        elif kind.bits:
            record[kind.key] = list(flag_names(held, kind.bits))
        else:
            record[kind.key] = None if held is None else assumed(held)
    return record


def platform_record(kernel: Kernel, facts: Facts) -> dict[str, Any]:
    """The inputs that exist on AMD, and of TDs and SNP guests, alone."""
    record: dict[str, Any] = {}
    if kernel.npt is not None:
        record["host_mtrr"] = _type(facts.host_mtrr)
    if kernel.vm_type is not VmType.NORMAL:
        record |= {"vm_type": kernel.vm_type.value, "private": facts.private}
    return record


def platform_columns(kernel: Kernel) -> tuple[str, ...]:
    """The same as columns of csv and tsv, behind all others; with the entry of the host's PAT that is selected."""
    npt = () if kernel.npt is None else ("npt_index", "host_mtrr")
    return npt if kernel.vm_type is VmType.NORMAL else (*npt, "vm_type", "private")


def ept_record(byte: int, memtype: int, ipat: bool) -> dict[str, Any]:
    """An EPT byte."""
    return {"memtype": memtype_name(memtype), "ipat": int(ipat), "mask": f"{byte:#04x}"}


def _type(memtype: Effective | None) -> str | None:
    return None if memtype is None else str(memtype)


def answer_record(answer: Answer) -> dict[str, Any]:
    """One answer as JSON has it."""
    effective: Any = None
    entry = answer.entry
    inputs = None if answer.facts is None else inputs_record(answer.facts) | {"guest_mtrr": answer.guest_mtrr}
    if answer.facts is not None and inputs is not None:
        inputs |= platform_record(answer.kernel, answer.facts)
    npt = {"index": entry.pat_index, "memtype": str(entry.memtype)} if isinstance(entry, NptEntry) else None
    if entry is not None:
        effective = {str(pat): _type(kind) for pat, kind in answer.effective}
        if answer.pat is not None:
            effective = effective[str(answer.pat)]
        elif answer.request is not None:
            effective = None  # refused
    return {
        "rules": answer.kernel.rules.name,
        "ref": answer.kernel.ref,
        "gpa": None if answer.gpa is None else hex(answer.gpa),
        **({} if answer.end is None else {"end": hex(answer.end)}),
        "slot": answer.slot.name if answer.slot else None,
        "level": None if answer.level is None else LEVEL_NAMES[answer.level],
        "inputs": inputs,
        "pat": _type(answer.pat),
        **_request_record(answer),
        "rule": None if answer.rule is None else {"id": answer.rule.id, "text": answer.rule.text},
        "ept": None
        if answer.byte is None or answer.memtype is None or answer.ipat is None
        else ept_record(answer.byte, answer.memtype, answer.ipat),
        **({} if answer.kernel.npt is None else {"npt": npt}),
        "effective": effective,
        "notes": [note.text for note in answer.notes],
    }


def _request_record(answer: Answer) -> dict[str, Any]:
    if answer.request is None:
        return {}
    return {"request": answer.request, "guest": answer.guest, "pat_index": answer.pat_index}


IN_LEAD = ("mmio", "slot_flag", "guest_mtrr")
"""The inputs whose columns stand in front."""

LEAD = ("rules", "gpa", "end", "slot", "level", "mmio", "slot_flags", "mtrr", "rule", "memtype", "ipat", "mask")
TAIL = ("ref", *(kind.key for kind in KINDS.values() if kind.name not in IN_LEAD and not kind.rare))

OF_REQUESTS = ("request", "guest", "pat_index")
"""Columns behind all others, where an answer is one to a request."""

RARE = tuple(dict.fromkeys(kind.key for kind in KINDS.values() if kind.rare))
"""Columns at the end that are there only where an answer has something to say in them."""


def _cell(record: dict[str, Any], key: str) -> str:
    """An input's value, or values with a blank between, as a cell; a rare one says nothing where it is not so."""
    value = record.get(key)
    if isinstance(value, list):
        return "|".join(value)
    if isinstance(value, dict):
        if key in RARE:
            return "; ".join(f"{text}={_word(each)}" for text, each in value.items())
        return " ".join(name for name, so in value.items() if so)
    return "" if value is None or (key in RARE and not value) else _word(value)


def _word(value: bool | str) -> str:
    return value if isinstance(value, str) else "yes" if value else "no"


def rare_columns(facts: Iterable[Facts | None], requests: bool = False) -> tuple[str, ...]:
    """The further columns that rows of these inputs need, so that rows of different inputs never look alike."""
    fields = {kind.key: kind.field for kind in KINDS.values() if kind.rare}
    seen = {key for each in facts if each is not None for key, field in fields.items() if getattr(each, field)}
    return (*(key for key in RARE if key in seen), *(OF_REQUESTS if requests else ()))


def answer_header(six: bool, rare: Sequence[str] = ()) -> list[str]:
    """The header of csv and tsv: one PAT type with its effective type, or a column a PAT type."""
    return [*LEAD, *(map(str, PAT_TYPES) if six else ("pat", "effective")), *TAIL, *rare]


def effective_column() -> int:
    """Where the effective type stands in a row of one PAT type."""
    return len(LEAD) + 1


def answer_row(answer: Answer, six: bool, rare: Sequence[str] = ()) -> list[str]:
    """One answer as a row of csv and tsv; what does not apply is empty."""
    inputs = {} if answer.facts is None else inputs_record(answer.facts) | platform_record(answer.kernel, answer.facts)
    if isinstance(answer.entry, NptEntry):
        inputs["npt_index"] = str(answer.entry.pat_index)
    row = [
        answer.kernel.rules.name,
        "" if answer.gpa is None else hex(answer.gpa),
        "" if answer.end is None else hex(answer.end),
        answer.slot.name if answer.slot else "",
        "" if answer.level is None else LEVEL_NAMES[answer.level],
        _cell(inputs, "is_mmio"),
        _cell(inputs, "slot_flags"),
        answer.guest_mtrr or "",
        answer.rule.id if answer.rule else "",
        "" if answer.memtype is None else memtype_name(answer.memtype),
        "" if answer.ipat is None else str(int(answer.ipat)),
        "" if answer.byte is None else f"{answer.byte:#04x}",
    ]
    types = {pat: _type(kind) or "" for pat, kind in answer.effective}
    if six:
        row += (types.get(pat, "") for pat in PAT_TYPES)
    else:
        row += (_type(answer.pat) or "", types.get(answer.pat, "") if answer.pat is not None else "")
    of_request = {key: "" if value is None else str(value) for key, value in _request_record(answer).items()}
    row += (answer.kernel.ref, *(_cell(inputs, key) for key in TAIL[1:]))
    return [*row, *(of_request.get(key, "") if key in OF_REQUESTS else _cell(inputs, key) for key in rare)]


def answer_rows(answers: Sequence[Answer], six: bool) -> Iterator[list[str]]:
    """Header and rows."""
    platforms = (column for answer in answers for column in platform_columns(answer.kernel))
    requests = OF_REQUESTS if any(answer.request is not None for answer in answers) else ()
    rare = (*rare_columns(answer.facts for answer in answers), *dict.fromkeys(platforms), *requests)
    yield answer_header(six, rare)
    for answer in answers:
        yield answer_row(answer, six, rare)
