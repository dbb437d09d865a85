# SPDX-License-Identifier: GPL-2.0-only
"""Pieces against single pages: cut where any rule set cuts, and no answer changed by the cutting."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.analysis.answer import each_pat, notes_of_each
from mtcalc.analysis.evaluate import Evaluator
from mtcalc.analysis.lookup import lookup as what_if
from mtcalc.analysis.side_by_side import Difference, difference, page_pieces, range_pieces
from mtcalc.kvm.host_mmio import Backing
from mtcalc.kvm.vm import Slot, Vm
from mtcalc.rules.builtin import built_in, built_in_names
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import Kernel
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, MemType
from mtcalc.x86.mtrr import Mtrrs, VariableRange
from support.notes import noted

M = 1 << 20
BITS = 30


def kernel_of(name: str) -> Kernel:
    kernel = built_in(name)
    assert kernel is not None
    return kernel


@st.composite
def vms(draw: st.DrawFn) -> Vm:
    """VMs whose MTRRs cut a 64M space every few megabytes."""
    variable = []
    for _ in range(draw(st.integers(0, 4))):
        size = M << draw(st.integers(0, 5))
        base = draw(st.integers(0, 64 * M // size - 1)) * size
        variable.append(VariableRange(base | draw(st.sampled_from(MTRR_TYPES)), (1 << BITS) - size | 0x800))
    mtrrs = Mtrrs(draw(st.booleans()), False, draw(st.sampled_from(MTRR_TYPES)), (MemType.UC,) * 88, (), BITS)
    return Vm(
        noncoherent_dma=draw(st.integers(0, 3)) > 0,
        cr0_cd=draw(st.integers(0, 3)) == 0,
        disabled_quirks=draw(st.sampled_from((0, 2))),
        maxphyaddr=BITS,
        cpuid_mtrr=draw(st.booleans()),
        mtrrs=mtrrs._replace(variable=tuple(variable)),
    )


SLOTS = (
    Slot(16 * M, 40 * M, "ram"),
    Slot(0, 16 * M, "blob", id=1, flags=8),
    Slot(60 * M, 2 * M, "bar", id=2, backing=Backing(struct_page=False, e820_ram=False)),
    Slot(57 * M, M, "odd", id=3, flags=1),
)
sides_of = st.lists(st.sampled_from(built_in_names()), min_size=2, max_size=3)


@settings(max_examples=60, deadline=None)
@given(vm=vms(), names=sides_of)
def test_pieces_say_what_single_pages_say(vm: Vm, names: list[str]) -> None:
    """Ranges are cut at the union of all rule sets' cuts; a piece's level is the largest that a page in it can get."""
    evaluators = [Evaluator(kernel_of(name), vm, SLOTS) for name in names]
    sides = [list(evaluator.ranges()) for evaluator in evaluators]
    pieces = list(range_pieces(evaluators, sides))
    places = [(answer.gpa, answer.end) for answer in (piece.answers[0] for piece in pieces)]
    cuts = {(answer.slot, answer.gpa) for side in sides for answer in side}
    assert {(piece.answers[0].slot, piece.answers[0].gpa) for piece in pieces} == cuts
    covered = 0
    for (start, end), piece in zip(places, pieces, strict=True):
        assert start is not None
        assert end is not None
        covered += end + 1 - start
        edges = {start, end & -0x1000, *range((start | 2 * M - 1) + 1, end + 1, 2 * M)}
        for evaluator, answer in zip(evaluators, piece.answers, strict=True):
            pages = [evaluator.page(gpa) for gpa in edges]
            assert (answer.gpa, answer.end, answer.kernel) == (start, end, evaluator.kernel)
            assert {page.byte for page in pages} == {answer.byte}
            assert {page.effective for page in pages} == {answer.effective}
            assert {page.slot for page in pages} == {answer.slot}
            assert max(page.level or 0 for page in pages) == answer.level
        assert piece.differs == any(
            (answer.byte, answer.level, answer.effective)
            != (piece.answers[0].byte, piece.answers[0].level, piece.answers[0].effective)
            for answer in piece.answers
        )
    assert covered == sum(slot.size for slot in SLOTS)


def test_a_difference_names_what_differs() -> None:
    """EPT byte, effective types, level; not the rule that decided."""
    facts = Facts(noncoherent_dma=True, slot_flags=8, guest_mtrr=MemType.WC)
    before, after = (what_if(kernel_of(name), facts) for name in ("v6.7", "slot-flag"))
    pats = (MemType.UC_MINUS, MemType.WT, MemType.WP, MemType.WB)
    assert difference(before, after) == Difference(True, False, pats)
    assert not difference(before, before._replace(rule=after.rule)).found
    assert difference(before, before._replace(level=2)).level


def test_the_same_byte_may_come_with_another_level() -> None:
    """With non-coherent DMA the guest's MTRRs split huge pages up to 6.10, and not after."""
    mtrrs = Mtrrs(True, False, MemType.WB, (MemType.UC,) * 88, (VariableRange(0, (1 << BITS) - M | 0x800),), BITS)
    vm = Vm(noncoherent_dma=True, maxphyaddr=BITS, mtrrs=mtrrs)
    slot = Slot(0, 2 * M, "ram", flags=8)
    evaluators = [Evaluator(kernel_of(name), vm, (slot,)) for name in ("slot-flag", "v6.16")]
    pieces = list(range_pieces(evaluators, [list(evaluator.ranges()) for evaluator in evaluators]))
    assert [[answer.level for answer in piece.answers] for piece in pieces] == [[1, 2], [1, 2]]
    assert [piece.differences for piece in pieces] == [(Difference(False, True, ()),)] * 2


def test_pages_are_taken_together_in_the_order_asked() -> None:
    """Single addresses: one piece an address and PAT type."""
    evaluators = [Evaluator(kernel_of(name), Vm(), SLOTS) for name in ("v6.7", "slot-flag")]
    asked = [(0, MemType.WC), (20 * M, None), (1 << 29, None)]
    pieces = list(page_pieces([[evaluator.page(*page) for page in asked] for evaluator in evaluators]))
    assert [(piece.answers[1].gpa, piece.answers[1].pat) for piece in pieces] == asked
    assert [piece.differs for piece in pieces] == [True, False, False]
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        list(page_pieces([[evaluators[0].page(0)], []]))


def test_an_answer_has_all_pat_types_and_each_alone_its_own_notes() -> None:
    """A what-if has one answer; one a PAT type is made of it, with the notes of that type alone."""
    facts = Facts(noncoherent_dma=True, guest_mtrr=MemType.WC)
    one = what_if(kernel_of("v6.7"), facts)
    assert one.pat is None
    assert [pat for pat, _ in one.effective] == list(PAT_TYPES)
    assert len(noted(notes_of_each(one))) == 2
    for alone in each_pat(one):
        assert alone == what_if(kernel_of("v6.7"), facts, [alone.effective[0][0]])._replace(pat=alone.pat)
        assert len(alone.notes) == (alone.pat in (MemType.WT, MemType.WP))
    assert what_if(kernel_of("v6.7"), facts, [MemType.UC]).pat is MemType.UC


def test_a_piece_has_a_level_of_its_own() -> None:
    """The megabyte behind the last whole 2M page is a piece that only another rule set cuts off."""
    pair = VariableRange(2 * M | MemType.UC, (1 << BITS) - M | 0x800)
    vm = Vm(noncoherent_dma=True, maxphyaddr=BITS)
    vm = vm._replace(mtrrs=Mtrrs(True, False, MemType.WB, (MemType.UC,) * 88, (pair,), BITS))
    evaluators = [Evaluator(kernel_of(name), vm, (Slot(0, 3 * M, "ram"),)) for name in ("v6.7", "v6.16")]
    sides = [list(evaluator.ranges()) for evaluator in evaluators]
    assert [answer.level for answer in sides[1]] == [2]
    pieces = list(range_pieces(evaluators, sides))
    assert [(piece.answers[1].gpa, piece.answers[1].level) for piece in pieces] == [(0, 2), (2 * M, 1)]
