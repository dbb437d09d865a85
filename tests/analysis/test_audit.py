# SPDX-License-Identifier: GPL-2.0-only
"""Audits of traces made up from random VMs, by a second model of their pages, and of traces that were spoilt."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtcalc.analysis.audit import Findings, edges_of, findings, rows_of
from mtcalc.analysis.audit_entries import Tally, read_trace
from mtcalc.analysis.evaluate import Evaluator
from mtcalc.importers.traces import TraceReader
from mtcalc.kvm.recorded import Entry, aligned, batch_of
from mtcalc.kvm.spte_reading import SpteKind
from mtcalc.output.audit import Source, audit_document, audit_record, audit_rows, line_record
from mtcalc.output.plain import render
from mtcalc.refs.resolve import resolve
from mtcalc.scenario.load import load_scenario
from mtcalc.text.errors import InputError
from mtcalc.text.source import read_source
from support.program import DATA
from support.random_vms import END, LARGE, Expected, RandomVm, expected_page, random_vms
from support.traces import LIVE

PAGE = 0x1000
# What a writable, executable leaf has beside memory type, IPAT and address, and a table: by the release.
MARKS = {
    (2, 6, 29): (0x7, 0x7),
    (3, 6): (0xF07, 0x107),
    (5, 13): (0x0600000000000B07, 0x907),
    (6, 10): (0x8600000000000B07, 0x8000000000000907),
    (7, 2): (0x80A0000000000F07, 0x8000000000000D07),
}
OLD = ("v2.6.28", "v2.6.29")
"""Rule sets whose WT with IPAT only the oldest layout can have."""
LEVELS = {"4K": 1, "2M": 2, "1G": 3}


def spte(release: tuple[int, ...], byte: int, level: int, address: int) -> int:
    """A leaf as KVM of a release writes it."""
    size = {1: PAGE, 2: LARGE["2M"], 3: LARGE["1G"]}[level]
    return MARKS[release][0] | byte | (0x80 if level > 1 else 0) | (address & -size)


def audit(entries: list[Entry], evaluator: Evaluator | None, release: tuple[int, ...] | None = None) -> Findings:
    tally = Tally([] if evaluator is None else edges_of(evaluator), keep=True)
    tally.add(batch_of(entries, lambda number: number + 1))
    found = findings(tally, read_trace(tally, release), evaluator)
    rows = list(rows_of(found, tally))
    assert len(rows) == sum(group.total for group in found.groups)
    return found


@st.composite
def traces(draw: st.DrawFn) -> tuple[RandomVm, tuple[int, ...], dict[Entry, Expected]]:
    """A VM, the release whose layout its entries have, and entries as its rules want them."""
    case = draw(random_vms())
    release = (2, 6, 29) if case.rules in OLD else draw(st.sampled_from([key for key in MARKS if key > (3,)]))
    found: dict[Entry, Expected] = {}
    slots = case.slots
    for _ in range(draw(st.integers(0, 12))):
        if not slots:
            break
        slot = draw(st.sampled_from(slots))
        gpa = draw(st.one_of(st.just(slot.gpa), st.just(slot.end - PAGE), st.integers(slot.gpa, slot.end - 1))) & -PAGE
        if gpa >= END:
            continue
        expected = expected_page(case, gpa)
        if expected is None or expected.byte is None:
            continue
        level = draw(st.integers(1, LEVELS[expected.level]))
        gfn = aligned(gpa >> 12, level)
        first = expected_page(case, gfn << 12)
        if first is None or first.byte is None or LEVELS[first.level] < level:
            continue
        address = draw(st.integers(1, (1 << 46) - 1))
        if address >= 1 << 31:
            entry = (slot.address_space, gfn, level, spte(release, first.byte, level, address))
            found[entry] = first
    return case, release, found


def table(release: tuple[int, ...]) -> Entry:
    return 0, 0, 4, MARKS[release][1] | 0x1234000


@settings(max_examples=150)
@given(traces(), st.booleans())
def test_law_what_the_rules_want_audits_clean(
    made: tuple[RandomVm, tuple[int, ...], dict[Entry, Expected]], said: bool
) -> None:
    """Whether the release is given or the values tell it; and each entry counts once."""
    case, release, entries = made
    entries = {entry: expected for entry, expected in entries.items() if entry[0] == 0}
    lines = [table(release), *entries, *entries]
    found = audit(lines, case.evaluator(), release if said else None)
    assert (found.matched, found.mismatched) == (len(entries), 0), found
    assert found.no_type == {SpteKind.TABLE: 1}
    assert (found.undecided, found.no_slot, found.groups) == (0, 0, [])
    assert sum(found.leaves.values()) == len(entries)


@settings(max_examples=150)
@given(traces(), st.data())
def test_law_one_wrong_byte_is_found(
    made: tuple[RandomVm, tuple[int, ...], dict[Entry, Expected]], data: st.DataObject
) -> None:
    case, release, entries = made
    entries = {entry: expected for entry, expected in entries.items() if entry[0] == 0}
    if not entries:
        return
    entry = data.draw(st.sampled_from(list(entries)))
    wanted = entries[entry].byte
    assert wanted is not None
    byte = data.draw(st.sampled_from([b for b in (0x00, 0x08, 0x20, 0x28, 0x30, 0x40, 0x70) if b != wanted]))
    spoilt = (*entry[:3], entry[3] & ~0x78 | byte)
    rest = [other for other in entries if other != entry]
    found = audit([table(release), *rest, spoilt], case.evaluator(), release)
    assert (found.matched, found.mismatched) == (len(rest), 1), found
    (group,) = found.groups
    assert group.wanted is not None
    assert (group.wanted.byte, group.told.byte, group.example[:4]) == (wanted, byte, spoilt)
    assert group.slot == entries[entry].slot


def test_what_may_be_npt_or_shadow_paging_is_undecided_alone_and_not_in_company() -> None:
    """A read-only page of old: WT without IPAT, or present and accessed."""
    entry = (0, 0xFFFFF, 1, 0x8BE2171025)
    assert audit([entry], None).undecided == 1
    found = audit([entry, table((3, 6))], None, (5, 10))
    assert (found.undecided, found.leaves) == (0, {0x20: 1})


def test_an_entry_without_a_level_counts_with_one_that_has_it() -> None:
    leaf = spte((6, 10), 0x70, 2, 0x40000000)
    lines = [table((6, 10)), (0, 0x400, 2, leaf), (0, 0x47F, 0, leaf), (0, 0x600, 0, leaf), (0, 0x47F, 0, 0)]
    found = audit(lines, None, (6, 12))
    assert found.leaves == {0x70: 1}
    assert found.undecided == 1
    assert found.no_type == {SpteKind.TABLE: 1, SpteKind.EMPTY: 1}


def test_leaves_in_no_slot_are_counted_and_said() -> None:
    scenario = load_scenario("rules: '6.12'\nmemslots: [{name: ram, gpa: 0, size: 1G}]\n", "vm.yaml")
    evaluator = Evaluator(resolve("6.12"), scenario.vm, scenario.slots)
    apic = (0, 0xFEE00, 1, spte((6, 10), 0x70, 1, 0x1234000))
    found = audit([table((6, 10)), apic], evaluator, (6, 12))
    assert (found.matched, found.mismatched, found.no_slot) == (0, 0, 1)
    assert "0xfee00000 (the APIC page)" in found.notes[0].text


def test_a_page_of_smm_is_looked_up_in_its_own_slots() -> None:
    text = "rules: '6.12'\nmemslots:\n  - {name: ram, gpa: 0, size: 1G}\n"
    smm = "  - {name: smram, address_space: 1, gpa: 0, size: 1M, backing: mmio}\n"
    scenario = load_scenario(text + smm, "vm.yaml")
    evaluator = Evaluator(resolve("6.12"), scenario.vm, scenario.slots)
    ram, smram = spte((6, 10), 0x70, 1, 0x1234000), spte((6, 10), 0x00, 1, 0x5678000)
    found = audit([table((6, 10)), (0, 0xA0, 1, ram), (1, 0xA0, 1, smram)], evaluator, (6, 12))
    assert (found.matched, found.mismatched) == (2, 0)
    found = audit([table((6, 10)), (1, 0xA0, 1, ram), (0, 0xA0, 1, smram)], evaluator, (6, 12))
    assert (found.matched, found.mismatched) == (0, 2)
    assert {group.slot for group in found.groups} == {"ram", "smram"}


SAMPLES = {path.name: path.read_bytes() for path in sorted((DATA / "traces").glob("*.txt"))}
SAMPLES |= {path.name: path.read_bytes() for path in sorted(LIVE.glob("*mmio_kinds*.trace"))}
VMS = [path for path in sorted(LIVE.glob("*.yaml")) if "ept0" not in path.name]


def spoil(draw: random.Random, data: bytes) -> bytes:
    """A trace as pipes, mails and hands leave it."""
    lines = data.split(b"\n")
    way = draw.randrange(7)
    if way == 0:
        start = draw.randrange(len(lines))
        return b"\n".join(lines[start : draw.randrange(start, len(lines)) + 1])
    if way == 1:
        draw.shuffle(lines)
        return b"\n".join(lines)
    if way == 2:
        at = draw.randrange(len(data) or 1)
        return data[:at] + bytes([draw.randrange(1, 256)]) + data[at + 1 :]
    if way == 3:
        return data[: draw.randrange(len(data) + 1)]
    if way == 4:
        digits = [at for at, byte in enumerate(data) if byte in b"0123456789abcdef"]
        for at in draw.sample(digits, min(len(digits), 20)):
            data = data[:at] + draw.choice(b"0123456789abcdef").to_bytes(1, "big") + data[at + 1 :]
        return data
    if way == 5:
        return b"".join(b"> " + line + b"\n" for line in lines)
    return data.replace(b" ", b"\n", draw.randrange(1, 40))


def whole(path: Path, evaluator: Evaluator | None, release: tuple[int, ...] | None) -> str:
    """An audit as the command does it: every output, or the error."""
    tally = Tally([] if evaluator is None else edges_of(evaluator), keep=True)
    try:
        reader = TraceReader(str(path))
        for batch in reader:
            tally.add(batch)
    except InputError as error:
        return str(error)
    if not tally.cells():
        return "nothing"
    trace = read_trace(tally, release)
    if trace.no_ept:
        return trace.no_ept
    found = findings(tally, trace, evaluator)
    record = audit_record(found, Source("vm.yaml", "t", "6.12", None if evaluator is None else evaluator.kernel, 1))
    for line in render(audit_document(record)):
        assert line.isascii()
        assert len(line) <= 80
    lines = [line_record(entry, group) for entry, group in rows_of(found, tally)]
    assert len(lines) == sum(group["count"] for group in record["groups"])
    assert all(line["line"] > 0 for line in lines)
    assert len({len(row) for row in audit_rows(record)}) == 1
    return "found"


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(SAMPLES)), st.sampled_from([None, *VMS]), st.randoms(use_true_random=False), st.data())
def test_law_a_spoilt_trace_is_answered_or_refused(
    tmp_path: Path, name: str, vm: Path | None, draw: random.Random, data: st.DataObject
) -> None:
    text = SAMPLES[name]
    for _ in range(data.draw(st.integers(0, 3))):
        text = spoil(draw, text)
    path = tmp_path / "trace"
    path.write_bytes(text)
    release = data.draw(st.sampled_from([None, (2, 6, 32), (3, 10), (5, 10), (6, 1), (6, 12), (7, 3)]))
    evaluator = None
    if vm is not None:
        scenario = load_scenario(read_source(str(vm)), str(vm))
        evaluator = Evaluator(resolve(scenario.rules or "6.1"), scenario.vm, scenario.slots)
    assert whole(path, evaluator, release)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_law_where_a_block_ends_does_not_matter(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """A pipe hands out what has arrived."""
    for name in SAMPLES:
        path = next(iter([*(DATA / "traces").glob(name), *LIVE.glob(name)]))
        monkeypatch.undo()
        at_once = {entry for batch in TraceReader(str(path)) for entry in batch.entries}
        monkeypatch.setattr("mtcalc.importers.traces.BLOCK", size)
        reader = TraceReader(str(path))
        in_pieces = {entry for batch in reader for entry in batch.entries}
        assert in_pieces == at_once, name
        assert reader.lines == SAMPLES[name].count(b"\n")


FEW_PAGES = st.sampled_from([-1, 0, 1, 0x200, 0x3FF, 0xBFFFF, 0x100000, 0x100200])
VALUES = st.sampled_from(
    [
        0,
        1 << 63,
        0x77,
        0x277,
        0x3F7,
        0x1B77,
        0x5B77,
        0xFF7,
        0x400FF7,
        0x5F7,
        0x8600000012345B77,
        0x86000000123450B7,
        0x1006,
        0x80000000010001B6,
        0x90000000010001B6,
        0x5A0,
        0x7FF0000000000000,
    ]
)
ENTRIES = st.tuples(st.integers(0, 1), FEW_PAGES, st.integers(0, 3), VALUES)


def tallied(tally: Tally, batches: list[list[Entry]]) -> tuple[object, ...]:
    """All that a tally tells of entries but their lines."""
    for number, batch in enumerate(batches):
        tally.add(batch_of(batch, lambda row, number=number: 1000 * number + row + 1))  # type: ignore[misc]
    cells = {cell: (seen.count, seen.first) for cell, seen in tally.cells().items()}
    return cells, {(entry[:4], cell) for entry, cell in tally.entries()}, sorted(tally.without_level())


@settings(max_examples=300)
@given(st.lists(st.lists(ENTRIES, min_size=1, max_size=12), max_size=6), st.integers(0, 1 << 32))
def test_law_entries_counted_at_once_are_counted_as_one_by_one(batches: list[list[Entry]], seed: int) -> None:
    """A tally that keeps lines goes one by one; edges lie inside and between the pages."""
    edges = [0, 0x1000, 0x300000, 0xC0000000, 1 << 32, 1 << 40]
    assert tallied(Tally(edges, 46), batches) == tallied(Tally(edges, 46, keep=True), batches)
    draw = random.Random(seed)  # and many that are alike, among which are some that are not
    rows = [(0, 0x1000 + 3 * n, 1, 0x8600000000000B77 | (0x2000 + n) << 12) for n in range(400)]
    for batch in batches:
        for entry in batch:
            rows.insert(draw.randrange(len(rows)), entry)
    again = [rows, [*rows, *(row for batch in batches for row in batch)], rows[::-1]]
    again.append([(space, gfn, level, value ^ 0x200) for space, gfn, level, value in rows])
    assert tallied(Tally(edges, 46), again) == tallied(Tally(edges, 46, keep=True), again)


def test_two_causes_in_one_slot_are_told_apart() -> None:
    """A part of a slot with non-coherent DMA, another as host MMIO, the rest as the scenario says."""
    scenario = load_scenario("rules: 6.12.60\nmemslots:\n  - {name: ram, gpa: 0, size: 3G}\n", "vm.yaml")
    evaluator = Evaluator(resolve("6.12.60"), scenario.vm, scenario.slots)
    bytes_of = {**dict.fromkeys(range(0x100, 0x140), 0x70), **dict.fromkeys(range(0x140, 0x160), 0x30)}
    bytes_of |= dict.fromkeys(range(0x160, 0x170), 0x00)
    entries = [(0, gfn, 1, spte((6, 10), byte, 1, (0x200000 + gfn) << 12)) for gfn, byte in bytes_of.items()]
    found = audit([table((6, 10)), *entries], evaluator, (6, 12))
    assert found.matched == 0x40
    texts = {(group.total, group.reason.code): group.reason.text for group in found.groups}
    assert "non-coherent DMA" in texts[0x20, "vm"]
    assert "host MMIO" in texts[0x10, "mmio"]
    odd = [(0, 0x170, 1, spte((6, 10), 0x20, 1, 0x300000000))]  # what none makes stays unexplained beside them
    codes = {group.reason.code for group in audit([table((6, 10)), *entries, *odd], evaluator, (6, 12)).groups}
    assert codes == {"vm", "mmio", "unknown"}
