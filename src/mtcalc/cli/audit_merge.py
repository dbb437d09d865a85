# SPDX-License-Identifier: GPL-2.0-only
"""Results of audit -o json, read to be added up."""

from __future__ import annotations

import json
from typing import Any

from mtcalc.text.errors import InputError, Place
from mtcalc.text.source import read_source

_RIGHT = "what audit -o json writes"
_LEVELS = ("4K", "2M", "1G", None)


def read_result(path: str) -> dict[str, Any]:
    """One result, '-' for standard input. Raises InputError for what is none."""
    text = read_source(path)
    try:
        found = json.loads(text)
    except RecursionError:
        raise InputError(f"nested too deep ({_RIGHT})", Place(path, 1, 1)) from None
    except json.JSONDecodeError as error:
        line = text.split("\n")[error.lineno - 1][:200]
        raise InputError(f"{error.msg.lower()} ({_RIGHT})", Place(path, error.lineno, error.colno, line)) from None
    except ValueError as error:  # a number of too many digits
        raise InputError(f"{str(error).lower()} ({_RIGHT})", Place(path, 1, 1)) from None
    wrong = _wrong(found)
    if wrong:
        raise InputError(f"no result of an audit: {wrong} ({_RIGHT})", Place(path, 1, 1))
    record: dict[str, Any] = found
    return record


def _wrong(found: Any) -> str:
    """What is missing or of another kind; '' where all is there that adding up needs."""
    if not isinstance(found, dict):
        return "not an object"
    entries, groups, notes = found.get("entries"), found.get("groups"), found.get("notes")
    if not isinstance(entries, dict):
        return "no entries"
    for name in ("matched", "mismatched"):
        if name not in entries or not (entries[name] is None or _is_count(entries[name])):
            return f"entries.{name}"
    if not _is_count(entries.get("undecided")) or not _is_count(entries.get("no_slot", 0)):
        return "entries.undecided or entries.no_slot"
    for name in ("no_type", "leaves"):
        counts = entries.get(name, {} if name == "leaves" else None)
        if not isinstance(counts, dict) or not all(map(_is_count, counts.values())):
            return f"entries.{name}"
    if not all(_is_mask(mask) for mask in entries.get("leaves", {})):
        return "entries.leaves"
    if not isinstance(groups, list) or not all(map(_is_group, groups)):
        return "groups"
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        return "notes"
    unread = found.get("unread", [])
    if not isinstance(unread, list) or not all(map(_is_unread, unread)):
        return "unread"
    for name in ("rules", "ref", "label", "file", "trace", "era"):
        if not isinstance(found.get(name), str | None):
            return name
    if not _is_count(found.get("lines", 0)) or not _is_count(found.get("audits", 1)):
        return "lines or audits"
    return "" if isinstance(found.get("complete", True), bool) else "complete"


def _is_unread(row: Any) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("kind"), str):
        return False
    return _is_count(row.get("count")) and row["count"] > 0 and _is_count(row.get("line"))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_mask(value: Any) -> bool:
    return isinstance(value, str) and value[:2] == "0x" and len(value) == 4 and _is_hex(value[2:])


def _is_hex(text: str) -> bool:
    return all(digit in "0123456789abcdef" for digit in text)


def _is_group(group: Any) -> bool:
    if not isinstance(group, dict) or not _is_count(group.get("count")):
        return False
    if not all(isinstance(group.get(name), str) for name in ("reason", "cause", "command")):
        return False
    wanted, got, example = group.get("wanted"), group.get("got"), group.get("example")
    if not (isinstance(wanted, dict) and isinstance(got, dict) and isinstance(example, dict)):
        return False
    if "slot" not in group or "gfn" not in example:
        return False
    sides = all(_is_mask(side.get("mask", "0x00")) and side.get("level") in _LEVELS for side in (wanted, got))
    kinds = isinstance(got.get("kind"), str) and isinstance(got.get("text"), str) and "level" in got
    named = isinstance(group.get("slot"), str | None) and isinstance(example.get("gfn"), str | None)
    where = all(_is_count(example.get(name)) for name in ("line", "level", "address_space"))
    return sides and kinds and named and where and isinstance(example.get("spte"), str)
