# SPDX-License-Identifier: GPL-2.0-only
"""A guest's MTRRs decoded, and the type of every address as KVM and as the manual see it.

Source: SDM vol. 3, "MTRR Precedences"; for KVM's view mtcalc.kvm.guest_mtrr. Both are computed over pieces
of the address space between edges of ranges, never page by page.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from typing import NamedTuple

from mtcalc.analysis.evaluate import MASK_WIDTH, MISREAD, STRAY, Evaluator, on_vms_platform
from mtcalc.analysis.mtrr_words import part_reason
from mtcalc.kvm.guest_mtrr import GuestMtrrMap, as_read, kvm_spans
from mtcalc.kvm.history import LEVEL_LIMITS, PAIRS, row_at
from mtcalc.kvm.mapping_level import LARGE, blocks_around, consistent, level_obstacle, mapping_level
from mtcalc.kvm.mtrr_writes import refused_writes
from mtcalc.kvm.notes import Note
from mtcalc.kvm.slots import SlotMap
from mtcalc.kvm.versions import MtrrWalk
from mtcalc.kvm.vm import Slot, Vm
from mtcalc.rules.kernel import Kernel, asks_guest_mtrr, kernel_notes
from mtcalc.x86.ept import LEVEL_SHIFT
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import (
    FIXED_RANGES,
    ONE_MEGABYTE,
    Mtrrs,
    VariableRange,
    is_regular,
    manual_lookup,
    matching_blocks,
)

STRAY_BELOW = Note(
    "stray",
    "4.2 to 4.6 check the MTRRs of blocks that begin below 1M with a stray cursor (undefined, the host may oops); "
    "levels there are those of 4.7",
)
GARBAGE_BELOW_1M = Note("garbage", f"{MISREAD}; unknown: bytes of KVM's own, which pairs 6 and 7 have changed")

MAX_PIECES = 1 << 16
"""A map is made of at most so many pieces: a mask with holes can have 2^40."""


class Run(NamedTuple):
    """Addresses [start, end) in bytes of one type; None: undefined by the manual, or garbage to KVM."""

    start: int
    end: int
    memtype: MemType | None


class Pair(NamedTuple):
    """One variable pair decoded. Addresses in bytes."""

    number: int
    registers: VariableRange
    size: int | None  # None: not one block of base and size
    kvm: tuple[int, int] | None  # [start, end) as KVM from 4.2 on reads it; None: V is 0, or it starts too high
    irregular: tuple[str, ...]  # what sets it apart from base and size, in words


class Segment(NamedTuple):
    """Addresses [start, end) in bytes and their types; `reason`: why the two part there, '' where they do not."""

    start: int
    end: int
    kvm: MemType | None  # None: KVM does not ask, or (4.2 and 4.3) reads garbage
    manual: MemType | None  # None: undefined
    reason: str


class ResolvedMap(NamedTuple):
    """The address space by both views, [0, complete_to) in bytes; each list is merged and without gaps."""

    segments: tuple[Segment, ...]
    kvm: tuple[Run, ...]  # empty: KVM does not ask. Goes on to the end of the space where KVM sees no holes
    manual: tuple[Run, ...]
    complete_to: int


class Seen(NamedTuple):
    """What is known of one address."""

    kvm: MemType | None  # None: KVM does not ask, or (4.2 and 4.3) reads garbage
    manual: MemType | None  # None: undefined
    level: int  # 1 to 3


class SeenSegments(NamedTuple):
    """Everything that can be said of any address: starts[i] up to the next start all have seen[i]."""

    starts: list[int]  # ascending from 0
    seen: list[Seen]

    def find(self, gpa: int) -> Seen:
        """The answer for an address in bytes below the end of the space."""
        return self.seen[bisect_right(self.starts, gpa) - 1]


def fixed_runs(mtrrs: Mtrrs) -> tuple[Run, ...]:
    """The 88 fixed ranges, neighbours of one type merged."""
    return _merged(Run(low, high, kind) for (low, high), kind in zip(FIXED_RANGES, mtrrs.fixed, strict=True))


def decode_pairs(mtrrs: Mtrrs, kvm_mtrrs: Mtrrs | None = None) -> tuple[Pair, ...]:
    """Every variable pair, the disabled ones too; `kvm_mtrrs` as as_read() has them, None: they are the same."""
    end = 1 << mtrrs.maxphyaddr
    spans = {span.pair: (span.start, min(span.end, end)) for span in kvm_spans(kvm_mtrrs or mtrrs)}
    pairs = []
    for number, pair in enumerate(mtrrs.variable):
        words = irregularities(pair, mtrrs.maxphyaddr) if pair.valid else ()
        mask = pair.address_mask(mtrrs.maxphyaddr)
        size = (1 << mtrrs.maxphyaddr) - mask if pair.valid and not words else None
        read = spans.get(number)
        pairs.append(Pair(number, pair, size, read if read and read[0] < end else None, words))
    return tuple(pairs)


def irregularities(pair: VariableRange, maxphyaddr: int) -> tuple[str, ...]:
    """What sets a pair apart from a base and a size, in words; empty for a regular one."""
    if is_regular(pair, maxphyaddr):
        return ()
    mask = pair.address_mask(maxphyaddr)
    words = []
    lowest = (mask & -mask).bit_length() - 1 if mask else maxphyaddr
    holes = [bit for bit in range(lowest, maxphyaddr) if not mask >> bit & 1]
    if holes:
        words.append(f"hole in the mask: {_bits(holes)} clear")
    high = pair.address >> maxphyaddr << maxphyaddr
    if high:
        words.append(f"base bits at or above maxphyaddr {maxphyaddr}: {high:#x}")
    outside = pair.address & ~mask & ~high
    if outside:
        words.append(f"base bits outside the mask: {outside:#x}")
    return tuple(words)


def _bits(numbers: Sequence[int]) -> str:
    """'bit 20', 'bits 14-15, 20'."""
    runs: list[list[int]] = []
    for bit in numbers:
        if runs and runs[-1][1] == bit - 1:
            runs[-1][1] = bit
        else:
            runs.append([bit, bit])
    text = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)
    return f"bit{'' if len(numbers) == 1 else 's'} {text}"


def _merged(runs: Iterable[Run]) -> tuple[Run, ...]:
    found: list[Run] = []
    for run in runs:
        if found and found[-1].memtype == run.memtype and found[-1].end == run.start:
            found[-1] = found[-1]._replace(end=run.end)
        else:
            found.append(run)
    return tuple(found)


class MtrrView:
    """One guest's MTRRs under one kernel, by both views.

    With more variable pairs than KVM gives a guest, or from 6.11 on, there is the manual's view alone.
    """

    def __init__(self, kernel: Kernel, vm: Vm, slots: Sequence[Slot] = (), notes: Sequence[Note] = ()) -> None:
        """`notes` are said with every answer: what was assumed of the VM."""
        self.kernel = kernel = on_vms_platform(kernel, vm)
        self._notes = notes
        self.vm = vm
        self.mtrrs = vm.mtrrs
        self.pairs = row_at(PAIRS, kernel.release).what
        self.too_many = len(vm.mtrrs.variable) > self.pairs
        self.walk = MtrrWalk.NONE if self.too_many else kernel.mtrr_walk
        self.slots = SlotMap(slots)
        self.limits = row_at(LEVEL_LIMITS, kernel.release).what
        self.kvm_mtrrs = as_read(vm.mtrrs, self.walk, vm.host_maxphyaddr)
        self._evaluator = None if self.too_many else Evaluator(kernel, vm, ())
        self.split_mtrrs = None if self._evaluator is None else self._evaluator.split_mtrrs
        self.end = 1 << vm.mtrrs.maxphyaddr
        self._map = GuestMtrrMap(self.kvm_mtrrs, self.walk, vm.cpuid_mtrr) if self.asked else None

    @property
    def asked(self) -> bool:
        """Whether this KVM looks at the guest's MTRRs for a memory type."""
        return self.walk is not MtrrWalk.NONE and asks_guest_mtrr(self.kernel)

    def at(self, gpa: int) -> Seen:
        """The answer for one address in bytes. Raises ValueError beyond the guest's maxphyaddr."""
        if not 0 <= gpa < self.end:
            limit = f"the guest's maxphyaddr {self.mtrrs.maxphyaddr}"
            raise ValueError(f"{gpa:#x} is beyond {limit} (at most {self.end - 1:#x})")
        level = mapping_level(self.split_mtrrs, self.slots.find(gpa), gpa, self.limits)
        return Seen(self.kvm_type(gpa), manual_lookup(self.mtrrs, gpa).memtype, level)

    def kvm_type(self, gpa: int) -> MemType | None:
        """The type as KVM sees it, None where it does not ask or (4.2 and 4.3) reads garbage."""
        return None if self._map is None else self._map.lookup(gpa).memtype

    def notes(self) -> tuple[Note, ...]:
        """What every answer has to say."""
        notes = [*kernel_notes(self.kernel), *self._notes]
        if self.kernel.default:
            notes.append(Note("latest", "latest never looks at guest MTRRs (from 6.11 on)"))
        if self.too_many:
            count = len(self.mtrrs.variable)
            text = f"{count} variable pairs, and KVM gives a guest {self.pairs}: the manual's view alone"
            notes.append(Note("pairs", text))
        elif self.kernel.npt is not None:
            limit = ", and limit the mapping level" if self.split_mtrrs is not None else ""
            text = "under NPT the guest's MTRRs count in the guest's own choice of a PAT type alone"
            notes.append(Note("npt-mtrr", f"{text}{limit}: the manual's view"))
        elif not self.asked:
            notes.append(Note("mtrr-unasked", "this KVM does not look at guest MTRRs: the manual's view alone"))
        elif self.walk is MtrrWalk.V4_2 and self.mtrrs.enabled:
            notes += self._notes_4_2()
        notes += refused_writes(self.mtrrs, None if self.too_many else self.kernel.release)
        return tuple(notes)

    def notes_at(self, gpas: Iterable[int]) -> tuple[Note, ...]:
        """As notes(), and what there is to say of the levels at these addresses, in bytes."""
        meets = self._evaluator is not None and any(
            self._evaluator.meets_stray(self.slots.find(gpa), gpa) for gpa in gpas
        )
        return (*self.notes(), *((STRAY,) if meets else ()))

    def notes_anywhere(self) -> tuple[Note, ...]:
        """As notes(), and what there is to say of the levels of some addresses."""
        stray = self._evaluator is not None and self._evaluator.stray
        return (*self.notes(), *((STRAY_BELOW,) if stray else ()))

    def _notes_4_2(self) -> Iterator[Note]:
        if self.mtrrs.fixed_enabled:
            garbage = any(self.kvm_type(start) is None for start, _ in FIXED_RANGES)
            yield GARBAGE_BELOW_1M if garbage else MISREAD
        if self.kvm_mtrrs.maxphyaddr > self.mtrrs.maxphyaddr and any(pair.valid for pair in self.mtrrs.variable):
            yield MASK_WIDTH

    def range_edges(self) -> list[int]:
        """Where the types, as KVM reads the registers, can change, pairs read bit by bit left aside."""
        mtrrs = self.mtrrs
        edges: set[int] = set()
        if mtrrs.enabled or mtrrs.fixed_enabled:
            edges.update(low for low, _ in FIXED_RANGES)
            edges.add(ONE_MEGABYTE)
        if mtrrs.enabled and self.walk in (MtrrWalk.V4_2, MtrrWalk.V4_4) and self._map is not None:
            edges.update((0, *self._map.edges(0, self.end)))
        return sorted(edges)

    def _edges(self) -> Iterator[int]:
        """Where an answer can change, ascending, with repetitions; a mask with holes has very many."""
        valid = [pair for pair in self.mtrrs.variable if pair.valid and self.mtrrs.enabled]
        blocks = (matching_blocks(pair, self.mtrrs.maxphyaddr, 0, self.end) for pair in valid)
        return merge(self.range_edges(), *(itertools.chain.from_iterable(found) for found in blocks))

    def starts(self) -> tuple[list[int], int]:
        """(where pieces of constant answers start, where the last one ends): MAX_PIECES at most."""
        starts = [0]
        for edge in self._edges():
            if starts[-1] < edge < self.end:
                if len(starts) == MAX_PIECES:
                    return starts, edge
                starts.append(edge)
        return starts, self.end

    def resolve(self) -> ResolvedMap:
        """Both maps of the address space, and where they part."""
        starts, complete_to = self.starts()
        segments: list[Segment] = []
        reasons: dict[object, str] = {}
        for start, end in itertools.pairwise((*starts, complete_to)):
            manual = manual_lookup(self.mtrrs, start)
            kvm = None if self._map is None else self._map.lookup(start)
            reason = ""
            if kvm is not None and kvm.memtype != manual.memtype:
                covering = self._covering(start)
                key = (kvm, manual, covering)
                if key not in reasons:
                    reasons[key] = part_reason(self.kvm_mtrrs, self.walk, kvm, manual, covering, start)
                reason = reasons[key]
            found = Segment(start, end, None if kvm is None else kvm.memtype, manual.memtype, reason)
            if segments and segments[-1][2:] == found[2:]:
                segments[-1] = segments[-1]._replace(end=end)
            else:
                segments.append(found)
        manual_runs = _merged(Run(s.start, s.end, s.manual) for s in segments)
        return ResolvedMap(tuple(segments), self._kvm_runs(segments, complete_to), manual_runs, complete_to)

    def _covering(self, gpa: int) -> tuple[int, ...]:
        """The pairs that KVM from 4.2 on takes to cover an address, in the order of its visits."""
        return tuple(span.pair for span in kvm_spans(self.kvm_mtrrs) if span.start <= gpa < span.end)

    def _kvm_runs(self, segments: Sequence[Segment], complete_to: int) -> tuple[Run, ...]:
        if self._map is None:
            return ()
        runs = [Run(s.start, s.end, s.kvm) for s in segments]
        if complete_to < self.end and self.walk is not MtrrWalk.V4_1:
            # KVM takes a mask's holes for covered: its own map has few edges however many the manual's has.
            pieces = self._map.pieces(complete_to, self.end)
            runs += [Run(start, end, found.memtype) for start, end, found in pieces]
        return _merged(runs)


def address_segments(view: MtrrView) -> SeenSegments | None:
    """The answers for all addresses as segments, cut at large pages too where the mapping level changes.

    None where masks with holes make more than MAX_PIECES: then address_answers() has the answer for each address.
    """
    pieces, complete_to = view.starts()
    if complete_to < view.end:
        return None
    edges = _split_edges(view)
    types = sorted({*pieces, *blocks_around(edges), *edges})
    cuts = sorted({*types, *(cut for cut in _slot_cuts(view.slots.slots) if cut < view.end)})
    starts: list[int] = []
    seen: list[Seen] = []
    at = -1
    kvm = manual = None
    whole = dict.fromkeys(LARGE, True)
    for cut in cuts:
        if at + 1 < len(types) and types[at + 1] == cut:
            at += 1
            kvm, manual = view.kvm_type(cut), manual_lookup(view.mtrrs, cut).memtype
            if view.split_mtrrs is not None:
                whole = {level: _consistent_around(view.split_mtrrs, cut, level) for level in LARGE}
        slot = view.slots.find(cut)
        level = max(
            (n for n in LARGE if whole[n] and level_obstacle(None, slot, cut, n, view.limits) is None), default=1
        )
        found = Seen(kvm, manual, level)
        if not seen or seen[-1] != found:
            starts.append(cut)
            seen.append(found)
    return SeenSegments(starts, seen)


def address_answers(view: MtrrView) -> Callable[[int], Seen]:
    """view.at() for masks with holes, remembering: what an address is to ranges and to holed masks decides."""
    mtrrs = view.mtrrs
    edges = {*view.range_edges(), *_slot_cuts(view.slots.slots)}
    edges.update(blocks_around(_split_edges(view)))
    holed = []
    for pair in mtrrs.variable:
        if not pair.valid:
            continue
        mask = pair.address_mask(mtrrs.maxphyaddr)
        if is_regular(pair, mtrrs.maxphyaddr):
            edges.update(*matching_blocks(pair, mtrrs.maxphyaddr, 0, view.end))
        else:
            holed.append((mask, pair.base & mask))
    starts = sorted(edges)
    known: dict[tuple[int, ...], Seen] = {}

    def answer(gpa: int) -> Seen:
        key = (bisect_right(starts, gpa), *(gpa & mask == want for mask, want in holed))
        found = known.get(key)
        if found is None:
            found = known[key] = view.at(gpa)
        return found

    return answer


def _split_edges(view: MtrrView) -> list[int]:
    """The edges of MTRR ranges inside the space that can keep KVM from mapping the block around them whole."""
    if view.split_mtrrs is None or not view.mtrrs.enabled:
        return []
    edges = {edge for span in kvm_spans(view.split_mtrrs) for edge in (span.start, span.end)}
    if view.mtrrs.fixed_enabled:
        edges.update((0, ONE_MEGABYTE))  # both in one block of 2M
    return sorted(edge for edge in edges if edge < view.end)


def _slot_cuts(slots: Sequence[Slot]) -> Iterator[int]:
    """Where the level that a slot allows can change."""
    for slot in slots:
        yield slot.gpa
        yield slot.end
        for level in LARGE:
            size = 1 << LEVEL_SHIFT[level]
            first, last = -(-slot.gpa // size) * size, slot.end & -size
            if first < last:
                yield first
                yield last


def _consistent_around(mtrrs: Mtrrs, gpa: int, level: int) -> bool:
    size = 1 << LEVEL_SHIFT[level]
    return consistent(mtrrs, gpa & -size, (gpa & -size) + size)
