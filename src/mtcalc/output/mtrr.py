# SPDX-License-Identifier: GPL-2.0-only
"""Guest MTRRs as documents and plain data: registers, both maps, where they part, single addresses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from mtcalc.analysis.mtrr_map import (
    MtrrView,
    Pair,
    ResolvedMap,
    Run,
    Seen,
    Segment,
    address_answers,
    address_segments,
    decode_pairs,
    fixed_runs,
)
from mtcalc.kvm.notes import Note
from mtcalc.kvm.versions import MtrrWalk
from mtcalc.output.document import STRONG, WARN, Block, Cell, Content, Document, Fields, Table, memtype_cell, texts
from mtcalc.output.lines import ADDRESS_WIDTH, LineSource
from mtcalc.output.plain import render as plain
from mtcalc.rules.kernel import kernel_label
from mtcalc.text.numbers import format_size
from mtcalc.x86.ept import LEVEL_NAMES
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import FIXED_REGISTERS, MSR_DEF_TYPE, Mtrrs, register_name

MOST_ROWS = 128
"""Rows of a map that people are shown; the other formats have all."""

MOST_REASONS = 32
MOST_PLACES = 4

UNDEFINED = "undefined"
UNKNOWN = "unknown"
"""KVM's type where it asks and reads garbage."""


def manual_name(memtype: MemType | None) -> str:
    """A type by the manual."""
    return UNDEFINED if memtype is None else str(memtype)


def _manual_cell(memtype: MemType | None) -> Cell:
    return Cell(UNDEFINED, WARN) if memtype is None else memtype_cell(memtype)


def kvm_name(view: MtrrView, memtype: MemType | None) -> str | None:
    """A type as KVM has it; None where it does not ask."""
    if memtype is None:
        return UNKNOWN if view.asked else None
    return str(memtype)


def _kvm_cell(view: MtrrView, memtype: MemType | None) -> Cell:
    return Cell(UNKNOWN, WARN) if memtype is None and view.asked else memtype_cell(memtype)


def _def_type(mtrrs: Mtrrs) -> int:
    return mtrrs.enabled << 11 | mtrrs.fixed_enabled << 10 | mtrrs.default | mtrrs.def_type_reserved


def _fixed_registers(mtrrs: Mtrrs) -> dict[int, int]:
    values = {}
    for number, (register, _, _) in enumerate(FIXED_REGISTERS):
        kinds = mtrrs.fixed[8 * number : 8 * number + 8]
        values[register] = sum(kind << 8 * k for k, kind in enumerate(kinds))
    return values


# The document


def mtrr_document(view: MtrrView, found: ResolvedMap) -> Document:
    """The registers, both maps side by side, and where they part."""
    reasons = _reasons(found.segments)
    blocks = [_title(view), *_register_blocks(view), _map_table(view, found, reasons)]
    notes = texts((*view.notes_anywhere(), *_size_notes(view, found)))
    if view.asked:
        blocks += _parting(reasons)
        if len(reasons) > MOST_REASONS:
            notes.append(f"{len(reasons) - MOST_REASONS} more reasons to part: -o jsonl has them")
    return Document(blocks, notes)


def _title(view: MtrrView) -> Cell:
    return Cell(f"rules {kernel_label(view.kernel)}, guest maxphyaddr {view.mtrrs.maxphyaddr}", STRONG)


def _register_blocks(view: MtrrView) -> Iterator[Block]:
    mtrrs = view.mtrrs
    on = f"E={int(mtrrs.enabled)} FE={int(mtrrs.fixed_enabled)} default {mtrrs.default}"
    yield Fields([(register_name(MSR_DEF_TYPE), f"{_def_type(mtrrs):#x}  {on}")])
    if mtrrs.fixed_enabled or (view.walk is MtrrWalk.V4_1 and mtrrs.enabled):
        rows: list[list[Content]] = [
            [hex(run.start), hex(run.end - 1), memtype_cell(run.memtype)] for run in fixed_runs(mtrrs)
        ]
        yield Table(("GPA", "END", "TYPE"), rows, title="fixed ranges")
    pairs = decode_pairs(mtrrs, view.kvm_mtrrs)
    if pairs:
        header = ("PAIR", "BASE", "SIZE", "TYPE", "PHYSBASE", "PHYSMASK", "REMARK")
        yield Table(header, list(_pair_rows(pairs)), title="variable ranges")


def _pair_rows(pairs: Sequence[Pair]) -> Iterator[list[Content]]:
    """A row a pair; disabled neighbours that hold the same share one."""
    for (valid, registers), group in itertools.groupby(pairs, key=lambda pair: (pair.registers.valid, pair.registers)):
        same = list(group)
        if not valid:
            first, last = same[0].number, same[-1].number
            number = str(first) if first == last else f"{first}-{last}"
            yield [number, "-", "-", "-", hex(registers.base), hex(registers.mask), "disabled"]
            continue
        for pair in same:
            yield [
                str(pair.number),
                hex(registers.address),
                "-" if pair.size is None else format_size(pair.size),
                memtype_cell(registers.memtype),
                hex(registers.base),
                hex(registers.mask),
                f"irregular: {'; '.join(pair.irregular)}" if pair.irregular else "",
            ]


def _reasons(segments: Sequence[Segment]) -> dict[str, list[Segment]]:
    """The places where the views part, by their reason, in order of appearance."""
    reasons: dict[str, list[Segment]] = {}
    for segment in segments:
        if segment.reason:
            reasons.setdefault(segment.reason, []).append(segment)
    return reasons


def _map_table(view: MtrrView, found: ResolvedMap, reasons: dict[str, list[Segment]]) -> Table:
    numbers = {reason: number for number, reason in enumerate(reasons, start=1)}
    shown = found.segments[:MOST_ROWS]
    if not view.asked:
        return Table(
            ("GPA", "END", "MANUAL"),
            [[hex(s.start), hex(s.end - 1), _manual_cell(s.manual)] for s in shown],
            title="address space",
        )
    rows: list[list[Content]] = []
    for s in shown:
        part = Cell(f"[{numbers[s.reason]}]", WARN) if s.reason else ""
        rows.append([hex(s.start), hex(s.end - 1), _kvm_cell(view, s.kvm), _manual_cell(s.manual), part])
    return Table(("GPA", "END", "KVM", "MANUAL", "PART"), rows, title="address space")


def _parting(reasons: dict[str, list[Segment]]) -> Iterator[Block]:
    if not reasons:
        yield "KVM and the manual agree everywhere."
        return
    for number, (reason, places) in enumerate(reasons.items(), start=1):
        if number > MOST_REASONS:
            return
        names = [f"{place.start:#x}-{place.end - 1:#x}" for place in places[:MOST_PLACES]]
        more = f" and {len(places) - MOST_PLACES} more" if len(places) > MOST_PLACES else ""
        yield Fields([("", reason)], title=f"[{number}] {', '.join(names)}{more}")


def _size_notes(view: MtrrView, found: ResolvedMap) -> Iterator[Note]:
    if len(found.segments) > MOST_ROWS:
        text = f"the first {MOST_ROWS} of {len(found.segments)} pieces of the address space: -o jsonl has them"
        yield Note("shortened", text)
    if found.complete_to < view.end:
        yield incomplete_note(found)


def incomplete_note(found: ResolvedMap) -> Note:
    """That a mask with holes made too many pieces to name all."""
    text = f"a mask with holes: the map ends at {found.complete_to - 1:#x}, and more: ask for addresses with --gpa"
    return Note("incomplete", text)


# Plain data


def map_record(view: MtrrView, found: ResolvedMap) -> dict[str, Any]:
    """Registers, maps and disagreements as JSON has them."""
    mtrrs = view.mtrrs
    incomplete = found.complete_to < view.end
    return {
        "rules": view.kernel.rules.name,
        "ref": view.kernel.ref,
        "maxphyaddr": mtrrs.maxphyaddr,
        "registers": {
            "def_type": {
                "value": hex(_def_type(mtrrs)),
                "enabled": mtrrs.enabled,
                "fixed_enabled": mtrrs.fixed_enabled,
                "default": str(mtrrs.default),
            },
            "fixed": {hex(register): f"{value:#018x}" for register, value in _fixed_registers(mtrrs).items()},
            "fixed_ranges": [_run_record(run) for run in fixed_runs(mtrrs)],
            "variable": [_pair_record(pair) for pair in decode_pairs(mtrrs, view.kvm_mtrrs)],
        },
        "maps": {
            "kvm": [_run_record(run, UNKNOWN) for run in found.kvm] if view.asked else None,
            "manual": [_run_record(run) for run in found.manual],
            "complete_to": hex(found.complete_to - 1) if incomplete else None,
        },
        "disagreements": [segment_record(view, s) for s in found.segments if s.reason],
        "notes": texts((*view.notes_anywhere(), *([incomplete_note(found)] if incomplete else []))),
    }


def _run_record(run: Run, nameless: str = UNDEFINED) -> dict[str, str]:
    kind = nameless if run.memtype is None else str(run.memtype)
    return {"gpa": hex(run.start), "end": hex(run.end - 1), "type": kind}


def _pair_record(pair: Pair) -> dict[str, Any]:
    return {
        "pair": pair.number,
        "physbase": hex(pair.registers.base),
        "physmask": hex(pair.registers.mask),
        "valid": pair.registers.valid,
        "base": hex(pair.registers.address),
        "size": None if pair.size is None else hex(pair.size),
        "type": str(pair.registers.memtype),
        "irregular": list(pair.irregular),
        "kvm_range": None if pair.kvm is None else {"gpa": hex(pair.kvm[0]), "end": hex(pair.kvm[1] - 1)},
    }


def segment_record(view: MtrrView, segment: Segment) -> dict[str, Any]:
    """One piece of the address space."""
    return {
        "gpa": hex(segment.start),
        "end": hex(segment.end - 1),
        "kvm": kvm_name(view, segment.kvm),
        "manual": manual_name(segment.manual),
        "reason": segment.reason or None,
    }


def segment_rows(view: MtrrView, segments: Sequence[Segment]) -> Iterator[list[str]]:
    """Header and a row a piece."""
    yield ["gpa", "end", "kvm", "manual", "reason"]
    for s in segments:
        yield [hex(s.start), hex(s.end - 1), kvm_name(view, s.kvm) or "", manual_name(s.manual), s.reason]


# Single addresses

SEEN_COLUMNS = ("gpa", "kvm", "manual", "level")

_SEPARATORS = {"csv": ",", "tsv": "\t"}


def seen_document(view: MtrrView, answers: Sequence[tuple[int, Seen]]) -> Document:
    """A row an address."""
    rows: list[list[Content]] = [
        [hex(gpa), _kvm_cell(view, seen.kvm), _manual_cell(seen.manual), LEVEL_NAMES[seen.level]]
        for gpa, seen in answers
    ]
    notes = texts(view.notes_at(gpa for gpa, _ in answers))
    return Document([_title(view), Table(tuple(name.upper() for name in SEEN_COLUMNS), rows)], notes)


def seen_record(view: MtrrView, gpa: int, seen: Seen) -> dict[str, Any]:
    """One address as JSON has it."""
    return {
        "gpa": hex(gpa),
        "kvm": kvm_name(view, seen.kvm),
        "manual": manual_name(seen.manual),
        "level": LEVEL_NAMES[seen.level],
    }


def seen_rows(view: MtrrView, answers: Sequence[tuple[int, Seen]]) -> Iterator[list[str]]:
    """Header and a row an address."""
    yield list(SEEN_COLUMNS)
    for gpa, seen in answers:
        yield [value or "" for value in seen_record(view, gpa, seen).values()]


def seen_source(view: MtrrView, form: str) -> LineSource:
    """The answers of a stream in one format: jsonl, csv, tsv or plain."""
    segments = address_segments(view)
    answer = segments.find if segments else address_answers(view)
    return LineSource(
        head='{"gpa": "' if form == "jsonl" else "",
        width=ADDRESS_WIDTH if form == "plain" else 0,
        starts=segments.starts if segments else None,
        tail=lambda gpa, _: _line_tail(view, form, answer(gpa)),
        limit=view.end,
    )


def stream_header(form: str) -> str:
    """What goes before the lines of a stream: a line of names, but for jsonl nothing."""
    if form == "jsonl":
        return ""
    if form == "plain":
        gpa, *names = (name.upper() for name in SEEN_COLUMNS)
        return gpa.ljust(ADDRESS_WIDTH) + _plain_columns(*names)
    return _SEPARATORS[form].join(SEEN_COLUMNS) + "\n"


def stream_notes(view: MtrrView, form: str) -> Iterator[str]:
    """What goes behind the lines of a stream."""
    if form == "plain":
        for line in plain(Document([], texts(view.notes_anywhere()))):
            yield f"{line}\n"


def _line_tail(view: MtrrView, form: str, seen: Seen) -> str:
    """What stands behind the address, the same for all addresses of one answer."""
    _, kvm, manual, level = seen_record(view, 0, seen).values()
    if form == "jsonl":
        kvm = "null" if kvm is None else f'"{kvm}"'
        return f'", "kvm": {kvm}, "manual": "{manual}", "level": "{level}"}}\n'
    if form == "plain":
        return _plain_columns(kvm or "-", manual, level)
    return "".join(f"{_SEPARATORS[form]}{value}" for value in (kvm or "", manual, level)) + "\n"


def _plain_columns(kvm: str, manual: str, level: str) -> str:
    return f"{kvm:<3} {manual:<9} {level}\n"
