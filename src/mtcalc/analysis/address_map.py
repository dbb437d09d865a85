# SPDX-License-Identifier: GPL-2.0-only
"""The guest-physical address space in pieces: slot, guest MTRR type by both views, entry and effective types.

A piece is what lies between two edges of slots, MTRR ranges and answers: no page is looked at twice.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from mtcalc.analysis.answer import Answer
from mtcalc.analysis.evaluate import Evaluator
from mtcalc.analysis.lookup import latest_summary
from mtcalc.analysis.mtrr_map import MtrrView, Segment
from mtcalc.kvm.notes import Note
from mtcalc.kvm.vm import Slot, Vm
from mtcalc.rules.kernel import Kernel

if TYPE_CHECKING:
    from mtcalc.linux.functions import Request


class KernelPiece(NamedTuple):
    """What one kernel makes of a piece."""

    mtrr: Segment  # the guest MTRR type by KVM, where it asks, and by the manual
    answer: Answer | None  # None: no slot holds the piece, so there is no entry
    requests: tuple[Answer, ...] = ()  # where a slot holds it: to each request for a page of it, in the order asked


class Piece(NamedTuple):
    """Addresses [start, end) in bytes over which everything is the same."""

    start: int
    end: int
    slot: Slot | None  # of address space 0
    sides: tuple[KernelPiece, ...]  # a kernel each, in the order asked for


class AddressMap(NamedTuple):
    """The address space of a guest, [0, 1 << maxphyaddr) in bytes, under some kernels."""

    views: tuple[MtrrView, ...]
    pieces: tuple[Piece, ...]
    notes: tuple[tuple[Note, ...], ...]  # a kernel each
    requests: tuple[Request, ...] = ()

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The kernels, in the order asked for."""
        return tuple(view.kernel for view in self.views)


def address_map(
    kernels: Sequence[Kernel],
    vm: Vm,
    slots: Sequence[Slot],
    notes: Sequence[Note] = (),
    requests: Sequence[Request] = (),
) -> AddressMap:
    """The map of a VM under each of the kernels; `notes` are what was assumed of the VM.

    `requests`: what a driver of the VM's Linux guest asks for, of one page anywhere; pieces are cut where its kernel
    answers another way.

    Raises ValueError for more variable MTRRs than KVM gives a guest where there are slots and a kernel asks for
    them, and where an MTRR mask full of holes cuts a slot into too many pieces.
    """
    shown = tuple(slot for slot in slots if not slot.address_space)
    views = tuple(MtrrView(kernel, vm, shown, notes) for kernel in kernels)
    found = [view.resolve() for view in views]
    evaluators = [Evaluator(view.kernel, vm, shown, notes) if shown else None for view in views]
    answers = [[] if evaluator is None else list(evaluator.ranges()) for evaluator in evaluators]
    limit = min((one.complete_to for one in found), default=0)
    edges = {0, limit}
    if requests:
        edges.update(_edges_of_requests(evaluators))
    for one, mine in zip(found, answers, strict=True):
        edges.update(segment.start for segment in one.segments)
        edges.update(edge for answer in mine for edge in (answer.gpa or 0, (answer.end or 0) + 1))
    starts = [[segment.start for segment in one.segments] for one in found]
    placed = [sorted(mine, key=lambda answer: answer.gpa or 0) for mine in answers]
    lows = [[answer.gpa or 0 for answer in mine] for mine in placed]
    pieces = []
    said = [tuple(_notes(view, mine, slots, limit)) for view, mine in zip(views, answers, strict=True)]
    for start, end in pairwise(sorted(edge for edge in edges if edge <= limit)):
        sides = []
        for at, one in enumerate(found):
            segment = one.segments[bisect_right(starts[at], start) - 1]
            answer, evaluator = _covering(placed[at], lows[at], start), evaluators[at]
            asked = () if answer is None or evaluator is None else tuple(_requested(evaluator, start, requests))
            sides.append(KernelPiece(segment, answer, asked))
        answer = sides[0].answer if sides else None
        pieces.append(Piece(start, end, answer.slot if answer else None, tuple(sides)))
    if requests:
        said = [(*mine, *_of_requests(vm, pieces, at)) for at, mine in enumerate(said)]
    return AddressMap(views, tuple(pieces), tuple(said), tuple(requests))


def _edges_of_requests(evaluators: Sequence[Evaluator | None]) -> Iterator[int]:
    """Where a guest's kernel chooses another way though slots and MTRRs do not change."""
    from mtcalc.analysis.guest_pages import choice_edges

    for evaluator in evaluators:
        if evaluator is not None:
            yield from choice_edges(evaluator)


def _requested(evaluator: Evaluator, gpa: int, requests: Sequence[Request]) -> Iterator[Answer]:
    if requests:
        from mtcalc.analysis.guest_pages import request_page

        for request in requests:
            yield request_page(evaluator, gpa, request)[0]


def _of_requests(vm: Vm, pieces: Sequence[Piece], side: int) -> Iterator[Note]:
    """What there is to say of the guest, and of each way in which its kernel answers otherwise than asked."""
    from mtcalc.analysis.guest_pages import guest_notes

    codes = ("request-changed", "request-entry", "request-refused", "request-ram")
    answers = (answer for piece in pieces for answer in piece.sides[side].requests)
    found = dict.fromkeys(note for answer in answers for note in answer.notes if note.code in codes)
    yield from dict.fromkeys((*guest_notes(vm), *found))


def _covering(answers: Sequence[Answer], lows: Sequence[int], gpa: int) -> Answer | None:
    at = bisect_right(lows, gpa) - 1
    if at < 0 or gpa > (answers[at].end or 0):
        return None
    return answers[at]


def _notes(view: MtrrView, answers: Sequence[Answer], slots: Sequence[Slot], limit: int) -> Iterator[Note]:
    yield from (note for note in view.notes() if note.code != "latest" or not answers)
    yield from latest_summary(view.kernel, answers)
    # Of each entry alone: what is starred or read otherwise, the bars show.
    yield from dict.fromkeys(note for answer in answers for note in answer.notes if note.code in _OF_SLOTS)
    hidden = [slot.name for slot in slots if slot.address_space]
    if hidden:
        yield Note("slot-smm", f"not drawn, as address space 1 (SMM) has them: {', '.join(hidden)}")
    if limit < view.end:
        yield Note("incomplete", f"a mask with holes: the map ends at {limit - 1:#x}, the space does not")


_OF_SLOTS = ("slot-refused", "slot-own", "slot-beyond", "flag-refused", "misread", "garbage")


def differs(piece: Piece, side: int) -> bool:
    """Whether a kernel, by its place, makes another entry or other effective types of a piece than the first one."""
    first, other = piece.sides[0].answer, piece.sides[side].answer
    if first is None or other is None:
        return False
    return (first.entry, first.effective) != (other.entry, other.effective)
