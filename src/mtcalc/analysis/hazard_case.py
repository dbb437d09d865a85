# SPDX-License-Identifier: GPL-2.0-only
"""One VM as the hazards look at it: its ranges, its pages, the manual's view of its MTRRs, and what tells them apart.

Hazards are found in answers and effective types, so that they hold for every vendor's entries; what only EPT has
stands in pat_ignored(), is_ept() and follows_mtrrs().
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice, pairwise
from typing import NamedTuple, Union

from mtcalc.analysis.answer import Answer, EptByte
from mtcalc.analysis.evaluate import Evaluator
from mtcalc.kvm.flags import QUIRKS, SLOT_FLAGS
from mtcalc.kvm.hazards import HAZARDS
from mtcalc.kvm.note_codes import Level
from mtcalc.kvm.points import Expect, Page
from mtcalc.kvm.versions import MtrrWalk
from mtcalc.kvm.vm import Slot
from mtcalc.kvm.vmm import Vmm
from mtcalc.linux.choice import Choice
from mtcalc.rules.condition import holds, inputs
from mtcalc.rules.inputs import GUEST_MTRR, Facts, Input, UnknownInput, with_value
from mtcalc.rules.kernel import asks_guest_mtrr
from mtcalc.rules.rule import decide
from mtcalc.x86.memtype import CACHEABLE, MTRR_TYPES, MemType
from mtcalc.x86.mtrr import FIXED_RANGES, ONE_MEGABYTE, Mtrrs, manual_lookup, matching_blocks


class Hazard(NamedTuple):
    """One hazard: its code, whom it concerns, addresses in bytes (both ends belong to it), and a sentence."""

    code: str
    text: str
    slot: Slot | None = None
    gpa: int | None = None  # None: the VM as a whole
    end: int | None = None

    @property
    def level(self) -> Level:
        """How much it matters."""
        return HAZARDS[self.code].level

    @property
    def remedy(self) -> str:
        """What to do."""
        return HAZARDS[self.code].remedy

    @property
    def source(self) -> str:
        """Where it is from."""
        return HAZARDS[self.code].source


def of_slot(code: str, slot: Slot, text: str) -> Hazard:
    """A hazard of a slot as a whole."""
    return Hazard(code, text, slot, slot.gpa, slot.end - 1)


def of_answer(code: str, answer: Answer, text: str) -> Hazard:
    """A hazard of the page or range that an answer is about."""
    return Hazard(code, text, answer.slot, answer.gpa, answer.gpa if answer.end is None else answer.end)


class Piece(NamedTuple):
    """Addresses [start, end) in bytes of one type by the manual; None: undefined."""

    start: int
    end: int
    memtype: MemType | None


def _start(piece: Piece) -> int:
    return piece.start


MOST_BLOCKS = 256
"""Of a mask with holes, which can match 2^40 blocks, so many are looked at."""


def manual_pieces(mtrrs: Mtrrs, start: int, end: int) -> list[Piece]:
    """[start, end) in bytes by the manual's types, neighbours of one type merged.

    Behind MOST_BLOCKS blocks of a mask with holes nothing is said.
    """
    cuts = {start, end}
    limit = end
    if mtrrs.enabled:
        if mtrrs.fixed_enabled and start < ONE_MEGABYTE:
            cuts.update(edge for pair in FIXED_RANGES for edge in pair if start < edge < end)
        for pair in mtrrs.variable:
            if pair.valid:
                blocks = list(islice(matching_blocks(pair, mtrrs.maxphyaddr, start, end), MOST_BLOCKS))
                cuts.update(edge for block in blocks for edge in block)
                if len(blocks) == MOST_BLOCKS:
                    limit = min(limit, blocks[-1][1])
    edges = sorted(cut for cut in cuts if cut <= limit)
    pieces: list[Piece] = []
    for low, high in pairwise(edges):
        kind = manual_lookup(mtrrs, low).memtype
        if pieces and pieces[-1].memtype == kind:
            pieces[-1] = pieces[-1]._replace(end=high)
        else:
            pieces.append(Piece(low, high, kind))
    return pieces


class Case:
    """One VM under one kernel, with what else a scenario says of it."""

    def __init__(
        self,
        evaluator: Evaluator,
        pages: Sequence[Union[Page, Expect]] = (),
        vmm: Vmm | None = None,
        mtrrs_given: bool = False,
    ) -> None:
        """`pages`: those that somebody named; `mtrrs_given`: the guest's MTRRs were described, not assumed."""
        self.evaluator = evaluator
        self.kernel = evaluator.kernel
        self.vm = evaluator.vm
        self.slots = evaluator.slots
        self.vmm = vmm
        self.mtrrs_given = mtrrs_given
        self._pages = pages
        self._pieces: dict[Slot, list[Piece]] = {}
        self.incomplete = False  # an MTRR mask with holes was not followed to its end

    @cached_property
    def ranges(self) -> list[Answer]:
        """The answers of all slots, cut where they change. Raises ValueError for masks with too many holes."""
        return list(self.evaluator.ranges())

    @cached_property
    def _by_slot(self) -> dict[Slot, list[Answer]]:
        found: dict[Slot, list[Answer]] = {}
        for answer in self.ranges:
            if answer.slot is not None:
                found.setdefault(answer.slot, []).append(answer)
        return found

    def of(self, slot: Slot) -> list[Answer]:
        """The answers of one slot."""
        return self._by_slot.get(slot, [])

    def pieces_of(self, answer: Answer) -> Iterator[Piece]:
        """The range of an answer by the manual's types."""
        if answer.slot is None or answer.gpa is None or answer.end is None:
            return
        pieces = self.by_the_manual(answer.slot)
        for piece in pieces[max(bisect_right(pieces, answer.gpa, key=_start) - 1, 0) :]:
            if piece.start > answer.end:
                break
            low, high = max(answer.gpa, piece.start), min(answer.end + 1, piece.end)
            if low < high:
                yield Piece(low, high, piece.memtype)

    @cached_property
    def pages(self) -> list[Answer]:
        """The answers of the pages that somebody named with a PAT type or a request, each once; none in no slot."""
        named = {(page.gpa, page.pat, page.private, page.request, page.size): page for page in self._pages}
        answers = map(self._page, named.values())
        return [answer for answer in answers if answer.slot is not None and answer.pat is not None]

    def _page(self, page: Page | Expect) -> Answer:
        if page.request is None:
            return self.evaluator.page(page.gpa, page.pat, page.private, page.pat_index)
        from mtcalc.analysis.guest_pages import request_answer

        return request_answer(self.evaluator, page)

    def by_the_manual(self, slot: Slot) -> list[Piece]:
        """A slot's addresses by what the guest's MTRRs say of them, as far as the guest can address."""
        if not self.vm.cpuid_mtrr:
            return []
        if slot not in self._pieces:
            end = min(slot.end, 1 << self.vm.maxphyaddr)
            pieces = manual_pieces(self.vm.mtrrs, slot.gpa, end) if slot.gpa < end else []
            self.incomplete = self.incomplete or bool(pieces and pieces[-1].end < end)
            self._pieces[slot] = pieces
        return self._pieces[slot]

    def calls_wb(self, slot: Slot) -> bool:
        """Whether the guest's MTRRs are there, on, and call a whole slot WB."""
        return [piece.memtype for piece in self.by_the_manual(slot)] == [MemType.WB]

    def request_for_wb(self, slot: Slot) -> Choice:
        """What the guest's kernel, the newest Linux where none is named, makes of a request for WB of a whole BAR."""
        from mtcalc.analysis.guest_pages import choose_for_device
        from mtcalc.linux.functions import parse_request

        end = min(slot.end, 1 << self.vm.maxphyaddr)
        return choose_for_device(self.vm, parse_request("WB"), slot.gpa, end, self._low_ram_end)

    @cached_property
    def _low_ram_end(self) -> int:
        from mtcalc.analysis.guest_pages import low_ram_end

        return low_ram_end(self.evaluator)

    def doubts_wb(self, slot: Slot) -> bool:
        """Whether a Linux guest turns a request for WB in a slot into one that is not cached.

        Most do where the MTRRs call any of it other than WB, where they are off, and where CPUID has none.
        """
        return slot.gpa < 1 << self.vm.maxphyaddr and not is_cacheable(self.request_for_wb(slot).memtype)

    def can_turn_off(self, quirk: Input) -> bool:
        """Whether this kernel has a quirk that decides a memory type, on from the start, and lets it be disabled."""
        kernel = self.kernel
        if quirk.arg not in kernel.quirks or kernel.quirks_off & QUIRKS[quirk.arg]:
            return False
        off = with_value(self.evaluator.base_facts, quirk, False)
        return not any(quirk in inputs(state.when) and holds(state.when, off) for state in kernel.unreachable)

    def calls_uncached(self, slot: Slot) -> bool:
        """Whether the guest's MTRRs call a whole slot above 1M UC, as firmware does with PCI windows alone."""
        pieces = self.by_the_manual(slot)
        mtrrs = self.vm.mtrrs
        if not mtrrs.enabled or mtrrs.default == MemType.UC or slot.gpa < ONE_MEGABYTE:
            return False  # then UC is what nobody described
        if slot.flags & SLOT_FLAGS["READONLY"]:
            return False  # the firmware's own flash, in the same hole
        return [piece.memtype for piece in pieces] == [MemType.UC]

    def is_assumed(self, answer: Answer) -> bool:
        """Whether an entry hangs on fixed ranges that nobody described: KVM up to 4.1 reads them where they are off."""
        early = self.kernel.mtrr_walk is MtrrWalk.V4_1
        return early and not self.mtrrs_given and follows_mtrrs(answer) and (answer.gpa or 0) < ONE_MEGABYTE

    def is_bar(self, slot: Slot) -> bool:
        """Whether the guest sees host RAM there as a device's BAR."""
        return is_ram(slot, self.evaluator) and (slot.device or self.calls_uncached(slot))

    def bypasses(self, slot: Slot) -> bool:
        """Whether a device's DMA that does not snoop can share the memory of a slot with the guest.

        Not what the guest can't write, nor its private memory, which no device of the host's reaches.
        """
        if slot.private or slot.flags & SLOT_FLAGS["READONLY"]:
            return False
        flagged = bool(slot.flags & SLOT_FLAGS["NON_COHERENT_DMA"])
        return self.vm.noncoherent_dma or self.vm.mem_dma or flagged


VGA = (0xA0000, 0xC0000)
"""The VGA window of a PC, [start, end) in bytes, and at that address the host's too."""

ISA_WINDOW = 0x60000
"""Bytes of the host's ISA window, 0xa0000 to 0xfffff, whose memory type the host never tracks: it calls it WB."""


def plainly_device(slot: Slot) -> bool:
    """Whether a slot of reserved pages is the memory of a device: NVDIMM is larger than the host's ISA window."""
    over_vga = slot.gpa < VGA[1] and slot.end > VGA[0]
    return slot.device or over_vga or slot.size <= ISA_WINDOW or slot.backing.host_type != MemType.WB


def is_memory(slot: Slot, evaluator: Evaluator) -> bool:
    """Whether a slot is memory of the host.

    Of what KVM takes for host MMIO, RAM without struct page is (up to 5.1, behind mem=): its entry is UC all the
    same. Under NPT the answers have the host's MTRR type of a device there, so nothing is said.
    """
    backing = slot.backing
    if backing.is_device or (backing.reserved and not backing.zero_page):
        return False
    lost = not backing.struct_page and evaluator.kernel.npt is None
    return lost or not evaluator.facts(slot, slot.gpa).mmio


def is_ram(slot: Slot, evaluator: Evaluator) -> bool:
    """As is_memory(), where the host maps it WB, as it does with RAM that nobody asked otherwise for."""
    return slot.backing.host_type == MemType.WB and is_memory(slot, evaluator)


def effective_of(answer: Answer, pat: MemType) -> object:
    """The effective type for a page of a PAT type, None where it is not known."""
    return next((kind for asked, kind in answer.effective if asked == pat), None)


def is_cacheable(kind: object) -> bool:
    """Whether an effective type is one that caches hold."""
    return kind in CACHEABLE


UNCACHED = frozenset((MemType.UC, MemType.UC_MINUS, MemType.WC))
"""The types whose accesses no cache sees. AMD's CD and WC+ snoop, and are none of them."""


def is_uncached(kind: object) -> bool:
    """Whether an effective type goes past the caches, and nobody snoops."""
    return kind in UNCACHED


def is_slow(kind: object) -> bool:
    """Whether every access of an effective type goes to memory, one by one: UC, and AMD's CD, which snoops."""
    return kind in (MemType.UC, MemType.UC_MINUS) or str(kind) == "CD"


def types(answer: Answer) -> set[object]:
    """The effective types that a range can have, by its pages' PAT types; empty where they are not known."""
    return {kind for _, kind in answer.effective if kind is not None}


def pat_ignored(answer: Answer) -> bool:
    """Whether the entry ignores the guest's PAT: of EPT alone, NPT's never do."""
    return isinstance(answer.entry, EptByte) and answer.entry.ipat


def is_ept(answer: Answer) -> bool:
    """Whether the entry is EPT's: there the host's MTRRs have no say, which else keep device memory uncached."""
    return isinstance(answer.entry, EptByte)


def follows_mtrrs(answer: Answer) -> bool:
    """Whether the rule that decided takes the guest's MTRR type."""
    nested = answer.entry is not None and not isinstance(answer.entry, EptByte)
    return not nested and answer.rule is not None and answer.rule.then.memtype_of == GUEST_MTRR


def named_page(answer: Answer) -> str:
    """A page that somebody named, in words."""
    return f"a page of PAT {answer.pat}"


def other_byte(case: Case, facts: Facts) -> int | None:
    """The EPT byte for other inputs than a page's.

    None where it hangs on a guest MTRR type that is not known, or on an assumption that nobody needed to give.
    """
    kinds: tuple[MemType | None, ...] = (facts.guest_mtrr,)
    if facts.guest_mtrr is None and asks_guest_mtrr(case.kernel):
        kinds = MTRR_TYPES
    try:
        found = {decide(case.kernel.rules, facts._replace(guest_mtrr=kind))[1] for kind in kinds}
    except UnknownInput:
        return None
    return found.pop() if len(found) == 1 else None
