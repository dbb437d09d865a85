# SPDX-License-Identifier: GPL-2.0-only
"""The answers of several rule sets to the same question, brought to the same pieces and compared with the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mtcalc.analysis.answer import Answer
from mtcalc.analysis.evaluate import Evaluator
from mtcalc.kvm.guest_mtrr import GuestMtrrMap
from mtcalc.kvm.vm import Slot
from mtcalc.x86.memtype import MemType


class Difference(NamedTuple):
    """What about an answer is not as in the first rule set's. Which rule decided is not compared."""

    byte: bool  # the entry
    level: bool
    pats: tuple[MemType, ...]  # those whose effective type is another

    @property
    def found(self) -> bool:
        """Whether anything differs."""
        return self.byte or self.level or bool(self.pats)


class Piece(NamedTuple):
    """One place, and the answer of each rule set there."""

    answers: tuple[Answer, ...]

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What differs from the first rule set, for each of the others."""
        return tuple(difference(self.answers[0], answer) for answer in self.answers[1:])

    @property
    def differs(self) -> bool:
        """Whether any rule set differs from the first."""
        return any(other.found for other in self.differences)


def difference(first: Answer, other: Answer) -> Difference:
    """How an answer differs from the first rule set's to the same question."""
    kinds = dict(first.effective)
    pats = tuple(pat for pat, kind in other.effective if pat not in kinds or kinds[pat] != kind)
    return Difference(first.entry != other.entry, first.level != other.level, pats)


def page_pieces(sides: Sequence[Sequence[Answer]]) -> Iterator[Piece]:
    """Answers to the same addresses, asked in the same order."""
    for answers in zip(*sides, strict=True):
        yield Piece(answers)


def range_pieces(evaluators: Sequence[Evaluator], sides: Sequence[Sequence[Answer]]) -> Iterator[Piece]:
    """The same slots, cut wherever any rule set cuts them. Each side is Evaluator.ranges() of its evaluator."""
    levels = [_Levels(evaluator) for evaluator in evaluators]
    at = [0] * len(sides)
    start: int | None = None
    while at[0] < len(sides[0]):
        here = [side[number] for side, number in zip(sides, at, strict=True)]
        if start is None:
            start = here[0].gpa or 0
        ends = [answer.end or 0 for answer in here]
        end = min(ends)
        yield Piece(tuple(_part(level, answer, start, end) for level, answer in zip(levels, here, strict=True)))
        # Every rule set has the slot's end among its cuts: there all go on to the next slot.
        start = None if max(ends) == end and _next_slot(sides[0], at[0]) else end + 1
        at = [number + (stop == end) for number, stop in zip(at, ends, strict=True)]


def _next_slot(side: Sequence[Answer], at: int) -> bool:
    return at + 1 == len(side) or side[at + 1].slot is not side[at].slot


class _Levels:
    """The mapping level of parts of ranges, as Evaluator.ranges() judges it."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        mtrrs = evaluator.split_mtrrs
        walk, cpuid = evaluator.kernel.mtrr_walk, evaluator.vm.cpuid_mtrr
        self._map = None if mtrrs is None else GuestMtrrMap(mtrrs, walk, cpuid)

    def of(self, slot: Slot, start: int, end: int) -> int:
        """The highest level that some page of [start, end) can get."""
        if self._map is None:
            return self._evaluator.largest_level(slot, start, end)
        return max(self._evaluator.largest_level(slot, low, high) for low, high, _ in self._map.pieces(start, end))


def _part(levels: _Levels, answer: Answer, start: int, end: int) -> Answer:
    """An answer for a range, cut to the bytes `start` to `end`, both included."""
    if (answer.gpa, answer.end) == (start, end) or answer.slot is None:
        return answer
    return answer._replace(gpa=start, end=end, level=levels.of(answer.slot, start, end + 1))
