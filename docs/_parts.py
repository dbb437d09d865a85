# SPDX-License-Identifier: GPL-2.0-only
"""The parts of pages that the program writes: between `<!-- NAME -->` and `<!-- /NAME -->`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from mtcalc.analysis.around import WORDS
from mtcalc.kvm.flags import SLOT_FLAGS, TAKEN_FLAGS, flag_names
from mtcalc.kvm.history import LEVEL_LIMITS, MMIO_TESTS, MTRR_LIMITS, PAIRS, UNDEFINED_CHECKS, WALKS, Row
from mtcalc.kvm.nested import L2_PATS_EPT, L2_PATS_NPT
from mtcalc.kvm.note_codes import CODES
from mtcalc.kvm.quirks import QUIRK_SPANS
from mtcalc.kvm.release import Version
from mtcalc.kvm.slot_history import TABLES
from mtcalc.kvm.spte_eras import LAYOUTS, spans
from mtcalc.kvm.versions import WALK_WORDS
from mtcalc.rules.mmio import MMIO_RULES
from mtcalc.rules.releases import COMMITS, RELEASES
from mtcalc.scenario.reference import key_reference
from mtcalc.text.markdown import code, escape, table

_PART = re.compile(r"(<!-- ([a-z-]+) -->\n).*?(<!-- /\2 -->)", re.S)


def filled(text: str) -> str:
    """A page with every marked part made anew. Raises KeyError for a mark nobody makes."""
    return _PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}{found[3]}", text)


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(table(header, rows)) + "\n"


def _release(version: Version) -> str:
    if version == (0,):
        return "the first"
    text = ".".join(str(number) for number in version if number >= 0)
    return f"{text}-rc" if version[-1] < 0 else text


def _rows(rows: Iterable[Row[Any]], said: Callable[[Any], str]) -> str:
    found = ((_release(row.since), escape(said(row.what)), escape(row.source)) for row in rows)
    return _table(("Since", "What", "Source"), found)


def _rule_sets() -> str:
    rows = []
    for row in RELEASES:
        rules = [code(rule.text) for rule in row.rules.rules]
        commits = [f"{source} ({_subject(source)})" for source in row.rules.sources if source in COMMITS]
        rows.append((_release(row.since), code(row.rules.name), "; ".join(rules), "; ".join(commits)))
    return _table(("Since", "Name", "Rules, the first that matches wins", "Commits"), rows)


def _subject(commit: str) -> str:
    found = COMMITS[commit]
    return escape(found.subject) if found.confirmed else f"{escape(found.subject)} (?)"


def _limits() -> str:
    rows = []
    for row in LEVEL_LIMITS:
        said = (f"{WORDS[name][0]}: {WORDS[name][1](value)}" for name, value in row.what._asdict().items())
        rows.append((_release(row.since), escape("; ".join(said)), escape(row.source)))
    return _table(("Since", "What", "Source"), rows)


def _slots() -> str:
    rows = [
        ("flags taken", _release(since), ", ".join(flag_names(bits, SLOT_FLAGS)), escape(source))
        for since, bits, source in TAKEN_FLAGS
    ]
    for field, history in TABLES.items():
        what, said = WORDS[field]
        rows += [(what, _release(since), escape(said(value)), escape(source)) for since, value, source in history]
    return _table(("Check", "Since", "What", "Source"), rows)


def _quirks() -> str:
    rows = []
    for name, history in QUIRK_SPANS.items():
        for span in history:
            series = f" ({_release(span.series)}.y)" if span.series else ""
            rows.append((code(name), f"{_release(span.since)}{series}", escape(span.source)))
    return _table(("Quirk", "Since", "Source"), rows)


def _sptes() -> str:
    rows = []
    for layout in LAYOUTS:
        marks = f"{layout.host_writable if layout.host_writable is not None else '-'}"
        mmu = f"{layout.mmu_writable if layout.mmu_writable is not None else '-'}"
        present = "bit 11" if layout.mmu_present else "any bit" if layout.present_mask == (1 << 64) - 1 else "by mask"
        mmio = f"{layout.mmio_value:#x} / {layout.mmio_mask:#x}" if layout.mmio_mask else "none"
        removed = "-" if layout.removed is None else f"{layout.removed:#x}"
        empty = ", ".join(f"{value:#x}" for value in layout.empty)
        rows.append((spans([layout]), marks, mmu, present, mmio, removed, empty, escape(layout.source)))
    header = ("Releases", "Host-W", "MMU-W", "Present", "MMIO value / mask", "Removed", "Empty", "Source")
    return _table(header, rows)


def _notes() -> str:
    rows = [(code(name), row.about.value, escape(row.when), escape(row.source)) for name, row in CODES.items()]
    return _table(("Code", "Speaks of", "Said when", "Source"), rows)


PARTS: dict[str, Callable[[], str]] = {
    "keys": key_reference,
    "rule-sets": _rule_sets,
    "walks": lambda: _rows(WALKS, WALK_WORDS.__getitem__),
    "pairs": lambda: _rows(PAIRS, str),
    "mtrr-limits": lambda: _rows(MTRR_LIMITS, lambda limit: f"MTRRs limit the level {limit.value}"),
    "stray": lambda: _rows(UNDEFINED_CHECKS, lambda stray: "undefined" if stray else "well-defined, or none"),
    "levels": _limits,
    "mmio": lambda: _rows(MMIO_TESTS, lambda test: MMIO_RULES[test].title),
    "slots": _slots,
    "quirks": _quirks,
    "nested-ept": lambda: _rows(L2_PATS_EPT, lambda rule: rule.value),
    "nested-npt": lambda: _rows(L2_PATS_NPT, lambda rule: rule.value),
    "sptes": _sptes,
    "notes": _notes,
}
"""By the name in the mark: what makes the part, Markdown with a final newline."""
