# SPDX-License-Identifier: GPL-2.0-only
"""An audit as plain data, which adds up, and as a document made of that data."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mtcalc.analysis.audit import Findings, Group, Wanted
from mtcalc.analysis.audit_entries import Told
from mtcalc.importers.traces import Unread
from mtcalc.kvm.flags import QUIRKS, SLOT_FLAGS, flag_names
from mtcalc.kvm.recorded import Recorded
from mtcalc.output.document import STRONG, WARN, Block, Cell, Document, Fields, Table, texts
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import Kernel, kernel_label, kernel_notes
from mtcalc.x86.ept import LEVEL_NAMES, mask_text, split_mask
from mtcalc.x86.memtype import memtype_name

Record = dict[str, Any]

_MOST_ALSO = 3
_ROWS = 20
"""Groups in the table; the rest is counted below it."""


class Source(NamedTuple):
    """What was audited: as it was asked for, so that a command can be named that shows more."""

    file: str | None  # the scenario
    trace: str
    ref: str  # the rule set as a command line has it
    kernel: Kernel | None
    lines: int
    stopped: bool = False  # the trace was not read to its end
    unread: Sequence[Unread] = ()


def audit_record(found: Findings, source: Source) -> Record:
    """All of it as plain data."""
    kernel = source.kernel
    return {
        "rules": kernel.rules.name if kernel is not None else None,
        "ref": kernel.ref if kernel is not None else None,
        "label": kernel_label(kernel) if kernel is not None else None,
        "file": source.file,
        "trace": source.trace,
        "era": found.era,
        "lines": source.lines,
        "complete": not source.stopped and not source.unread,
        "unread": [{"kind": kind, "count": count, "line": line} for kind, count, line, *_ in source.unread],
        "entries": {
            "matched": found.matched,
            "mismatched": found.mismatched,
            "no_type": {kind.name.lower(): count for kind, count in sorted(found.no_type.items(), key=_by_name)},
            "undecided": found.undecided,
            "no_slot": found.no_slot,
            "leaves": {f"{byte:#04x}": count for byte, count in sorted(found.leaves.items())},
        },
        "groups": [_group_record(group, source) for group in found.groups],
        "notes": [
            *map(_unread_note, source.unread),
            *(texts(kernel_notes(kernel)) if kernel is not None else ()),
            *texts(found.notes),
        ],
    }


def unread_text(counts: Sequence[tuple[str, int]]) -> str:
    """'43 lines of kvm_mmu_set_spte', or the total and what each kind has of it."""
    total = sum(count for _, count in counts)
    if len(counts) == 1:
        return f"{_many(total, 'line')} of {counts[0][0]}"
    return f"{_many(total, 'line')} ({', '.join(f'{count} of {kind}' for kind, count in counts)})"


def _unread_note(unread: Unread) -> str:
    where = f"line {unread.line}" if unread.lines == 1 else f"the first is line {unread.line}"
    return f"{unread_text([(unread.kind, unread.lines)])} not read: {where}"


def _by_name(row: tuple[Any, int]) -> str:
    name: str = row[0].name
    return name


def _group_record(group: Group, source: Source) -> Record:
    space, gfn, level, value, line = group.example
    return {
        "slot": group.slot,
        "reason": _reason_text(group),
        "cause": group.reason.code,
        "also": list(group.reason.also),
        "count": group.total,
        "wanted": _wanted(group.wanted, group),
        "got": _got(group.told, level),
        "example": {
            "line": line,
            "address_space": space,
            "gfn": hex(gfn) if gfn >= 0 else None,
            "level": level,
            "spte": hex(value),
        },
        "command": _command(group, source),
    }


def _reason_text(group: Group) -> str:
    also = group.reason.also
    more = "".join(f"; or {words}" for words in also[:_MOST_ALSO])
    rest = len(also) - _MOST_ALSO
    return f"{group.reason.text}{more}" + (f"; or {rest} more" if rest > 0 else "")


def _byte_record(byte: int) -> Record:
    encoding, ipat = split_mask(byte)
    return {"memtype": memtype_name(encoding), "ipat": int(ipat), "mask": f"{byte:#04x}"}


def _wanted(wanted: Wanted | None, group: Group) -> Record:
    if wanted is None:
        return {}
    byte = {} if wanted.byte is None else _byte_record(wanted.byte)
    return {**byte, "level": LEVEL_NAMES[wanted.level]}


def _got(told: Told, level: int) -> Record:
    byte = {} if told.byte is None else _byte_record(told.byte)
    kind = "leaf" if told.kind is None else told.kind.name.lower()
    return {**byte, "level": LEVEL_NAMES.get(level), "kind": kind, "text": told.why}


def _command(group: Group, source: Source) -> str:
    """The command that shows a group's reason."""
    reason = group.reason
    _, gfn, level, value, _ = group.example
    if reason.code in ("odd", "not-ept", "era") or source.file is None or source.kernel is None:
        release = ["--kernel", source.ref] if source.kernel is not None and reason.code != "era" else []
        words = ["decode", "epte", *release, "--level", str(level), hex(value)]
    elif reason.code == "rules":
        words = ["audit", "-r", reason.ref, source.file, source.trace]
    elif reason.code in ("vm", "mmio", "slot", "mtrr", "stale") and reason.facts is not None:
        words = ["lookup", "-r", reason.ref or source.ref, *_flags(reason.facts, reason.kernel)]
    else:
        words = ["explain", "-r", source.ref, source.file, "--gpa", hex(gfn << 12)]
    return shlex.join(["mtcalc", *words])


def _flags(facts: Facts, kernel: Kernel | None) -> Iterator[str]:
    """The options of lookup that say these inputs."""
    if facts.mmio:
        yield "--mmio"
    for name in flag_names(facts.slot_flags, SLOT_FLAGS):
        yield from ("--slot-flag", name)
    if facts.noncoherent_dma:
        yield "--noncoherent-dma"
    if facts.mem_dma:
        yield "--mem-dma"
    if facts.cr0_cd:
        yield "--cd"
    off = facts.disabled_quirks & ~(kernel.quirks_off if kernel is not None else 0)
    for name, bit in QUIRKS.items():
        if off & bit:
            yield from ("--disable-quirk", name)
    if not facts.self_snoop:
        yield "--no-self-snoop"
    if facts.guest_mtrr is not None:
        yield from ("--mtrr", str(facts.guest_mtrr))
    for text, value in facts.assume.items():
        word = value if not isinstance(value, bool) else "yes" if value else "no"
        yield from ("--assume", f"{text}={word}")


def merged(records: Sequence[Mapping[str, Any]]) -> Record:
    """Several audits as one: counts add up, groups that say the same are one."""
    first = records[0]
    groups: dict[tuple[str, ...], Record] = {}
    for record in records:
        for group in record["groups"]:
            key = tuple(repr(group.get(name)) for name in ("slot", "reason", "wanted", "got"))
            if key in groups:
                groups[key]["count"] += group["count"]
            else:
                groups[key] = {**group, "example": {**group["example"], "trace": record.get("trace")}}
    entries = [record["entries"] for record in records]
    same = {name: first.get(name) for name in ("rules", "ref", "label", "file", "trace", "era")}
    same = {k: v if all(record.get(k) == v for record in records) else None for k, v in same.items()}
    return {
        **same,
        "lines": sum(record.get("lines", 0) for record in records),
        "complete": all(record.get("complete", True) for record in records),
        "unread": _unread_in(records),
        "audits": sum(record.get("audits", 1) for record in records),
        "entries": {
            "matched": _sum(entry["matched"] for entry in entries),
            "mismatched": _sum(entry["mismatched"] for entry in entries),
            "no_type": _added(entry["no_type"] for entry in entries),
            "undecided": sum(entry["undecided"] for entry in entries),
            "no_slot": sum(entry.get("no_slot", 0) for entry in entries),
            "leaves": _added(entry.get("leaves", {}) for entry in entries),
        },
        "groups": sorted(groups.values(), key=lambda group: -group["count"]),
        "notes": list(dict.fromkeys(note for record in records for note in record["notes"])),
    }


def _unread_in(records: Sequence[Mapping[str, Any]]) -> list[Record]:
    """What the audits could not read, the line that of the first one that has it."""
    found: dict[str, Record] = {}
    for each in (each for record in records for each in record.get("unread", ())):
        if each["kind"] in found:
            found[each["kind"]]["count"] += each["count"]
        else:
            found[each["kind"]] = dict(each)
    return list(found.values())


def _sum(counts: Iterable[int | None]) -> int | None:
    found = [count for count in counts if count is not None]
    return sum(found) if found else None


def _added(rows: Iterable[Mapping[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        for name, count in row.items():
            found[name] = found.get(name, 0) + count
    return dict(sorted(found.items()))


def audit_document(record: Mapping[str, Any]) -> Document:
    """An audit, one or several merged, for people."""
    entries, groups = record["entries"], record["groups"]
    blocks: list[Block] = []
    if record.get("label"):
        blocks.append(Cell(f"rules {record['label']}, VMX with EPT", STRONG))
    elif record.get("audits"):
        blocks.append(Cell("rules of each audit, VMX with EPT", STRONG))
    if record.get("era"):
        blocks.append(f"SPTEs of KVM {record['era']}")
    if record.get("audits"):
        blocks.append(f"{record['audits']} audits added up")
    unread = sum(each["count"] for each in record.get("unread", ()))
    if unread:
        blocks.append(Cell(f"{_many(unread, 'line')} not read: what follows is of the others", WARN))
    elif not record["complete"]:
        blocks.append(Cell(f"stopped after {_many(record['lines'], 'line')}: what follows is of those", WARN))
    blocks.append(_headline(entries, groups, bool(unread)))
    causes = _causes(groups)
    if causes:
        rows = []
        for number, (reason, members) in enumerate(causes.items(), start=1):
            count = sum(group["count"] for group in members)
            rows.append((f"[{number}] {count}", Cell(reason, WARN)))
            rows.append(("", members[0]["command"]))
        blocks.append(Fields(rows))
        numbers = {reason: number for number, reason in enumerate(causes, start=1)}
        blocks.append(
            Table(
                ("WHY", "COUNT", "SLOT", "GFN", "LINE", "WHAT"),
                [_row(group, numbers[group["reason"]]) for group in groups[:_ROWS]],
            )
        )
        if len(groups) > _ROWS:
            blocks.append(f"and {_many(len(groups) - _ROWS, 'group')} more (-o json has all)")
    blocks.append(Fields(_counts(entries)))
    return Document(blocks, record["notes"])


def _many(count: int, what: str) -> str:
    plural = {"leaf": "leaves", "entry": "entries", "other entry": "other entries"}.get(what, f"{what}s")
    return f"{count} {what if count == 1 else plural}"


def _headline(entries: Mapping[str, Any], groups: Sequence[Mapping[str, Any]], in_part: bool = False) -> Cell:
    if entries["matched"] is None:
        total = sum(entries["leaves"].values()) + entries["no_type"].get("leaf", 0)
        found = sum(group["count"] for group in groups)
        if not found:
            return Cell(_many(total, "leaf"), STRONG)
        return Cell(f"{_many(total, 'leaf')}; {_many(found, 'entry')} that KVM of the release would not write", WARN)
    if entries["mismatched"]:
        others = sum(group["count"] for group in groups if group["got"]["kind"] != "leaf")
        leaves = entries["mismatched"] - others
        what = [_many(leaves, "leaf")] if leaves else []
        what += [_many(others, "other entry" if leaves else "entry")] if others else []
        verb = "does" if entries["mismatched"] == 1 else "do"
        fine = _many(entries["matched"], "leaf") if others else str(entries["matched"])
        return Cell(
            f"{' and '.join(what)} {verb} not match, {fine} {'does' if entries['matched'] == 1 else 'do'}", WARN
        )
    if not entries["matched"]:
        return Cell("nothing to compare: no leaf of a slot", WARN)
    if in_part:
        return Cell(f"{_many(entries['matched'], 'leaf')} match{'es' if entries['matched'] == 1 else ''}", WARN)
    return Cell("the one leaf matches" if entries["matched"] == 1 else f"all {entries['matched']} leaves match", STRONG)


def _causes(groups: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for group in groups:
        found.setdefault(group["reason"], []).append(group)
    return dict(sorted(found.items(), key=lambda row: -sum(group["count"] for group in row[1])))


def _row(group: Mapping[str, Any], number: int) -> list[str]:
    example = group["example"]
    return [
        f"[{number}]",
        str(group["count"]),
        group["slot"] or "-",
        example["gfn"] or "-",
        str(example["line"]),
        what_text(group["wanted"], group["got"]),
    ]


def what_text(wanted: Mapping[str, Any], got: Mapping[str, Any]) -> str:
    """'wanted 0x30 (WB), got 0x70 (WB, ignore PAT)', with the levels where the entry's is too large."""
    if got["kind"] != "leaf":
        return f"got {got['kind'].replace('_', ' ')}: {got['text']}"
    sizes = {"4K": 1, "2M": 2, "1G": 3}
    large = wanted.get("level") is not None and sizes[got["level"]] > sizes[wanted["level"]]
    words = [_byte_words(side, large) for side in (wanted, got)]
    if not wanted.get("mask"):
        return f"got {words[1]}"
    if got["text"] and wanted["mask"] == got["mask"] and not large:
        return f"{words[1]} as wanted, but {got['text']}"
    return f"wanted {words[0]}, got {words[1]}"


def _byte_words(side: Mapping[str, Any], large: bool) -> str:
    if not side.get("mask"):
        return "unknown"
    size = f" at {side['level']}" if large else ""
    return f"{side['mask']} ({mask_text(int(side['mask'], 16))}){size}"


_KINDS = {"leaf": "NPT leaf", "mmio": "MMIO", "not_present": "not present", "not_ept": "not EPT"}


def _counts(entries: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    if entries["leaves"]:
        leaves = (f"{count} {mask} ({mask_text(int(mask, 16))})" for mask, count in entries["leaves"].items())
        rows.append(("leaves", ", ".join(leaves)))
    if entries["no_type"]:
        kinds = (f"{count} {_KINDS.get(kind, kind)}" for kind, count in entries["no_type"].items())
        rows.append(("no memory type", ", ".join(kinds)))
    rows.append(("undecided", str(entries["undecided"])))
    if entries["no_slot"]:
        rows.append(("in no slot", str(entries["no_slot"])))
    return rows


_COLUMNS = (
    "slot", "cause", "reason", "count", "wanted", "wanted_level", "got", "got_level",
    "kind", "line", "address_space", "gfn", "level", "spte",
)  # fmt: skip


def audit_rows(record: Mapping[str, Any]) -> Iterator[list[str]]:
    """Header and rows, a group each."""
    yield list(_COLUMNS)
    for group in record["groups"]:
        wanted, got, example = group["wanted"], group["got"], group["example"]
        yield [
            group["slot"] or "",
            group["cause"],
            group["reason"],
            str(group["count"]),
            wanted.get("mask", ""),
            wanted.get("level", ""),
            got.get("mask", ""),
            got["level"] or "",
            got["kind"],
            *(str(example[name]) if example[name] is not None else "" for name in _COLUMNS[9:]),
        ]


def line_record(entry: Recorded, group: Group) -> Record:
    """One entry that does not match, as a line of jsonl."""
    space, gfn, level, value, line = entry
    return {
        "line": line,
        "address_space": space,
        "gfn": hex(gfn) if gfn >= 0 else None,
        "level": level,
        "spte": hex(value),
        "slot": group.slot,
        "cause": group.reason.code,
        "reason": _reason_text(group),
        "wanted": _wanted(group.wanted, group),
        "got": _got(group.told, level),
    }
