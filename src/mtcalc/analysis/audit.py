# SPDX-License-Identifier: GPL-2.0-only
"""Recorded SPTEs against what the rules say of their pages: what matches, what does not, and the likeliest reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from mtcalc.analysis.audit_entries import Cell, Seen, Tally, Told, Trace, kind_without_level
from mtcalc.analysis.audit_reasons import Leaf, Reason, reasons
from mtcalc.analysis.evaluate import Evaluator
from mtcalc.kvm.history import PAIRS, row_at
from mtcalc.kvm.notes import Note
from mtcalc.kvm.recorded import Recorded
from mtcalc.kvm.release import Version
from mtcalc.kvm.slots import APIC_PAGE
from mtcalc.kvm.spte_reading import SpteKind
from mtcalc.kvm.versions import VmType
from mtcalc.kvm.vm import Vm
from mtcalc.rules.kernel import Kernel, kernel_at
from mtcalc.rules.releases import release_at

_PAGE_SHIFT = 12
_MOST_PLACES = 3


def refusal(trace: Trace) -> str:
    """Why a trace can't be audited, in words; '' where it can. The one place that says so of NPT and shadow paging."""
    if not trace.no_ept:
        return ""
    what = f"entries of NPT or shadow paging, which carry no memory type: {trace.no_ept}"
    return f"{what} (a trace of a VM that uses EPT; decode epte --vendor amd has NPT's in words)"


class Wanted(NamedTuple):
    """What the rules say of a page."""

    byte: int | None
    level: int


class Group(NamedTuple):
    """Entries that do not match, of one slot, for one reason, wanted and got the same."""

    slot: str | None
    reason: Reason
    wanted: Wanted | None  # None: no scenario, or no slot
    told: Told
    level: int  # of the entries
    total: int
    example: Recorded


class Findings(NamedTuple):
    """What an audit found. `matched` and `mismatched` are None without a scenario."""

    matched: int | None
    mismatched: int | None
    no_type: Mapping[SpteKind, int]
    undecided: int
    no_slot: int
    leaves: Mapping[int, int]  # EPT byte -> count
    era: str
    groups: Sequence[Group]  # the largest first
    by_cell: Mapping[Cell, int]  # the group of every cell that does not match
    notes: Sequence[Note]


def edges_of(evaluator: Evaluator) -> list[int] | None:
    """Where pieces of guest memory begin, in bytes, inside of which every page has the same answer.

    By the kernel asked and by those that are tested as a reason, which may look at MTRRs that this one does not. None
    where there may be too many pieces: then each page is its own.
    """
    vm = evaluator.vm
    on = vm._replace(mtrrs=vm.mtrrs._replace(enabled=True, fixed_enabled=True))
    found: set[int] = set()
    for release in _WALKS:
        kernel = kernel_at(release, release_at(release).rules, "")
        for other in (Evaluator(kernel, each, evaluator.slots) for each in (vm, on) if _takes(kernel, each)):
            edges = other.segments()
            if edges is None:
                return None
            found.update(edges)
    own = evaluator.segments()
    return None if own is None else sorted(found.union(own))


_WALKS: tuple[Version, ...] = ((4, 1), (4, 3), (6, 9))
"""A release of each walk of the guest's MTRRs."""


def _takes(kernel: Kernel, vm: Vm) -> bool:
    """Whether a kernel gives a guest as many variable MTRRs."""
    return len(vm.mtrrs.variable) <= row_at(PAIRS, kernel.release).what


class _Count:
    """The counts as they grow."""

    def __init__(self) -> None:
        self.matched = self.undecided = self.no_slot = self.private = 0
        self.no_type: dict[SpteKind, int] = {}
        self.leaves: dict[int, int] = {}
        self.places: dict[int, None] = {}
        self.beyond = 0


def findings(tally: Tally, trace: Trace, evaluator: Evaluator | None) -> Findings:
    """Judges what was counted; `trace` is of EPT entries."""
    count = _Count()
    leaves: list[Leaf] = []  # those to compare
    problems: list[tuple[Cell, Told]] = []  # those that no comparison concerns
    cells = tally.cells()
    for cell, seen in cells.items():
        told = trace.told[cell[2], cell[3]]
        if told.kind is None:
            count.undecided += seen.count
        elif told.problem in ("odd", "not-ept"):
            problems.append((cell, told))
        elif told.kind is not SpteKind.LEAF or told.byte is None:  # NPT's leaves have no byte
            count.no_type[told.kind] = count.no_type.get(told.kind, 0) + seen.count
        else:
            count.leaves[told.byte] = count.leaves.get(told.byte, 0) + seen.count
            if evaluator is not None:
                _compare(evaluator, cell, told, seen, leaves, count)
            elif told.problem:
                problems.append((cell, told))
    for value, number in tally.without_level():
        kind = kind_without_level(value, trace.layouts)
        if kind is None:
            count.undecided += number
        else:
            count.no_type[kind] = count.no_type.get(kind, 0) + number
    found = [] if evaluator is None else reasons(evaluator, leaves, trace, tally)
    groups, by_cell = _grouped(cells, trace, evaluator, found, problems)
    mismatched = sum(group.total for group in groups)
    return Findings(
        None if evaluator is None else count.matched,
        None if evaluator is None else mismatched,
        count.no_type,
        count.undecided,
        count.no_slot,
        count.leaves,
        trace.era,
        groups,
        by_cell,
        tuple(_notes(count, trace, evaluator)),
    )


def _compare(evaluator: Evaluator, cell: Cell, told: Told, seen: Seen, leaves: list[Leaf], count: _Count) -> None:
    """Puts a leaf among those to explain, matching or not; counts what can't be compared."""
    space, gfn, level = seen.first[:3]
    gpa = gfn << _PAGE_SHIFT
    if gfn < 0:
        count.undecided += seen.count
        return
    slot = evaluator.slot_at(gpa, space)
    if slot is None:
        count.no_slot += seen.count
        if len(count.places) <= _MOST_PLACES:
            count.places[gpa] = None
        return
    if slot.private and evaluator.kernel.vm_type is VmType.TD:
        count.private += seen.count
        count.undecided += seen.count
        return
    wanted = evaluator.byte_at(slot, gpa)
    if wanted is None:
        count.undecided += seen.count
        return
    most = evaluator.level_at(slot, gpa)
    fits = told.byte == wanted and level <= most and not told.problem
    if fits:
        count.matched += seen.count
    assert told.byte is not None
    leaves.append(Leaf(cell, slot, gpa, space, level, told, wanted, most, fits, seen.count, seen.first))


def _grouped(
    cells: Mapping[Cell, Seen],
    trace: Trace,
    evaluator: Evaluator | None,
    found: Sequence[tuple[Leaf, Reason]],
    problems: Sequence[tuple[Cell, Told]],
) -> tuple[list[Group], dict[Cell, int]]:
    merged: dict[tuple[object, ...], list[tuple[Cell, Group]]] = {}
    for leaf, reason in found:
        wanted = Wanted(leaf.wanted, leaf.most)
        level = leaf.level if leaf.level > leaf.most else 0
        group = Group(leaf.slot.name, reason, wanted, leaf.told, leaf.level, leaf.total, leaf.first)
        key = (leaf.slot.name, reason.key, leaf.wanted, leaf.told.byte, leaf.told.problem, level, level and leaf.most)
        merged.setdefault(key, []).append((leaf.cell, group))
    for cell, told in problems:
        seen = cells[cell]
        slot = None if evaluator is None or seen.first[1] < 0 else evaluator.slot_at(seen.first[1] << 12, cell[0])
        name = None if slot is None else slot.name
        wanted_of = None
        if evaluator is not None and slot is not None and cell[2] <= 3:
            gpa = seen.first[1] << _PAGE_SHIFT
            wanted_of = Wanted(evaluator.byte_at(slot, gpa), evaluator.level_at(slot, gpa))
        reason = Reason(told.problem, _problem_words(told, trace), ())
        group = Group(name, reason, wanted_of, told, cell[2], seen.count, seen.first)
        merged.setdefault((name, reason.key, wanted_of, told.byte, told.problem, 0, 0), []).append((cell, group))
    rows: list[tuple[Group, list[Cell]]] = []
    for members in merged.values():
        first = min((group for _, group in members), key=lambda group: group.example[4])
        rows.append((first._replace(total=sum(group.total for _, group in members)), [cell for cell, _ in members]))
    rows.sort(key=lambda row: (-row[0].total, row[0].example[4]))
    by_cell = {cell: number for number, (_, members) in enumerate(rows) for cell in members}
    return [group for group, _ in rows], by_cell


def _problem_words(told: Told, trace: Trace) -> str:
    if told.problem == "not-ept":
        return f"no EPT entry: {told.why}"
    if told.problem == "era":
        return f"{told.why}, not of {trace.era}"
    return f"no KVM writes such an entry: {told.why}"


def _notes(count: _Count, trace: Trace, evaluator: Evaluator | None) -> Iterator[Note]:
    if count.no_slot:
        places = [f"{gpa:#x}{' (the APIC page)' if gpa == APIC_PAGE else ''}" for gpa in count.places]
        more = ", ..." if len(places) > _MOST_PLACES else ""
        where = ", ".join(places[:_MOST_PLACES]) + more
        what = "slots of KVM's own (APIC page, TSS, identity map), or slots that the scenario lacks"
        many = "1 leaf is" if count.no_slot == 1 else f"{count.no_slot} leaves are"
        yield Note("audit-no-slot", f"{many} in no slot of the scenario, at {where}: {what}")
    if count.private:
        what = "KVM's own entries of a TD's private pages mirror those of the TDX module, which ignores their type"
        yield Note("audit-private", f"undecided, of private slots: {count.private}; {what}")
    if count.undecided and not trace.decided:
        yield Note("audit-undecided", "nothing in the trace tells EPT from NPT or shadow paging")


def rows_of(found: Findings, tally: Tally) -> Iterator[tuple[Recorded, Group]]:
    """Every entry that does not match, in the order of the lines; the tally has to keep them."""
    rows = [(entry, found.by_cell[cell]) for entry, cell in tally.entries() if cell in found.by_cell]
    for entry, number in sorted(rows, key=lambda row: row[0][4]):
        yield entry, found.groups[number]
