# SPDX-License-Identifier: GPL-2.0-only
"""Answers as plain data for JSON, csv and tsv: the names of the interface."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from mtcalc.analysis.answer import Answer
from mtcalc.kvm.flags import QUIRKS, SLOT_FLAGS, flag_names
from mtcalc.rules.condition import Facts, Value
from mtcalc.x86.ept import LEVEL_NAMES
from mtcalc.x86.memtype import PAT_TYPES, MemType, memtype_name


def assumed(value: Value) -> bool | str:
    """An assumption as JSON has it: true, false or a memory type's name."""
    return str(value) if isinstance(value, MemType) else bool(value)


def inputs_record(facts: Facts) -> dict[str, Any]:
    """The inputs of one decision."""
    record: dict[str, Any] = {
        "is_mmio": facts.mmio,
        "slot_flags": list(flag_names(facts.slot_flags, SLOT_FLAGS)),
        "noncoherent_dma": facts.noncoherent_dma,
        "cr0_cd": facts.cr0_cd,
        "quirks": {name: not facts.disabled_quirks & bit for name, bit in QUIRKS.items()},
        "self_snoop": facts.self_snoop,
        "guest_mtrr": None if facts.guest_mtrr is None else str(facts.guest_mtrr),
        "mem_dma": facts.mem_dma,
    }
    if facts.assume:
        record["assume"] = {text: assumed(value) for text, value in facts.assume.items()}
    return record


def ept_record(byte: int, memtype: int, ipat: bool) -> dict[str, Any]:
    """An EPT byte."""
    return {"memtype": memtype_name(memtype), "ipat": int(ipat), "mask": f"{byte:#04x}"}


def _type(memtype: MemType | None) -> str | None:
    return None if memtype is None else str(memtype)


def answer_record(answer: Answer) -> dict[str, Any]:
    """One answer as JSON has it."""
    effective: Any = None
    if answer.byte is not None:
        effective = {str(pat): _type(kind) for pat, kind in answer.effective}
        if answer.pat is not None:
            effective = effective[str(answer.pat)]
    return {
        "rules": answer.kernel.rules.name,
        "ref": answer.kernel.ref,
        "gpa": None if answer.gpa is None else hex(answer.gpa),
        **({} if answer.end is None else {"end": hex(answer.end)}),
        "slot": answer.slot.name if answer.slot else None,
        "level": None if answer.level is None else LEVEL_NAMES[answer.level],
        "inputs": None if answer.facts is None else inputs_record(answer.facts) | {"guest_mtrr": answer.guest_mtrr},
        "pat": _type(answer.pat),
        "rule": None if answer.rule is None else {"id": answer.rule.id, "text": answer.rule.text},
        "ept": None
        if answer.byte is None or answer.memtype is None or answer.ipat is None
        else ept_record(answer.byte, answer.memtype, answer.ipat),
        "effective": effective,
        "notes": list(answer.notes),
    }


LEAD = ("rules", "gpa", "end", "slot", "level", "mmio", "slot_flags", "mtrr", "rule", "memtype", "ipat", "mask")
TAIL = ("ref", "noncoherent_dma", "cr0_cd", "quirks", "self_snoop")

# Columns at the end that are there only where an answer has something to say in them.
_RARE: dict[str, Callable[[Facts], str]] = {
    "mem_dma": lambda facts: "yes" if facts.mem_dma else "",
    "assume": lambda facts: "; ".join(f"{text}={_assumed_word(value)}" for text, value in facts.assume.items()),
}


def _assumed_word(value: Value) -> str:
    return str(value) if isinstance(value, MemType) else _yes_no(bool(value))


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"


def rare_columns(facts: Iterable[Facts | None]) -> tuple[str, ...]:
    """The further columns that rows of these inputs need, so that rows of different inputs never look alike."""
    seen: set[str] = set()
    for each in facts:
        if each is not None and (each.mem_dma or each.assume):
            seen.update(name for name, text in _RARE.items() if text(each))
    return tuple(name for name in _RARE if name in seen)


def answer_header(six: bool, rare: Sequence[str] = ()) -> list[str]:
    """The header of csv and tsv: one PAT type with its effective type, or a column a PAT type."""
    return [*LEAD, *(map(str, PAT_TYPES) if six else ("pat", "effective")), *TAIL, *rare]


def effective_column() -> int:
    """Where the effective type stands in a row of one PAT type."""
    return len(LEAD) + 1


def answer_row(answer: Answer, six: bool, rare: Sequence[str] = ()) -> list[str]:
    """One answer as a row of csv and tsv; what does not apply is empty."""
    facts = answer.facts
    row = [
        answer.kernel.rules.name,
        "" if answer.gpa is None else hex(answer.gpa),
        "" if answer.end is None else hex(answer.end),
        answer.slot.name if answer.slot else "",
        "" if answer.level is None else LEVEL_NAMES[answer.level],
        "" if facts is None else _yes_no(facts.mmio),
        "" if facts is None else "|".join(flag_names(facts.slot_flags, SLOT_FLAGS)),
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
    if facts is None:
        return [*row, answer.kernel.ref, *[""] * (len(TAIL) - 1 + len(rare))]
    inputs = inputs_record(facts)
    return [
        *row,
        answer.kernel.ref,
        _yes_no(inputs["noncoherent_dma"]),
        _yes_no(inputs["cr0_cd"]),
        " ".join(name for name, in_force in inputs["quirks"].items() if in_force),
        _yes_no(inputs["self_snoop"]),
        *(_RARE[name](facts) for name in rare),
    ]


def answer_rows(answers: Sequence[Answer], six: bool) -> Iterator[list[str]]:
    """Header and rows."""
    rare = rare_columns(answer.facts for answer in answers)
    yield answer_header(six, rare)
    for answer in answers:
        yield answer_row(answer, six, rare)
