# SPDX-License-Identifier: GPL-2.0-only
"""The map of the address space against single addresses, which are answered another way."""

from __future__ import annotations

import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mtcalc.analysis.address_map import address_map, differs
from mtcalc.analysis.answer import Answer
from mtcalc.analysis.evaluate import Evaluator
from mtcalc.analysis.guest_pages import request_page
from mtcalc.analysis.mtrr_map import MtrrView
from mtcalc.kvm.versions import Vendor, VmType
from mtcalc.kvm.vm import Slot, Vm
from mtcalc.linux.functions import parse_request
from mtcalc.refs.resolve import resolve
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import VariableRange
from support.random_vms import RandomVm, random_vms

G = 1 << 30

# Seeded, not drawn: a draw for each of many pieces is more than hypothesis takes, and it drops the example.
chances = st.integers(0, 1 << 32).map(random.Random)


def assume_few_pieces(case: RandomVm, ref: str) -> None:
    """Of the tens of thousands that a mask with holes can cut, each is like others, and all are asked."""
    assume(len(MtrrView(resolve(ref), case.vm, case.slots).starts()[0]) <= 1000)


@pytest.mark.property
@given(random_vms(), chances)
def test_a_piece_answers_what_each_of_its_addresses_does(case: RandomVm, chance: random.Random) -> None:
    assume_few_pieces(case, case.rules)
    kernel = resolve(case.rules)
    found = address_map((kernel, resolve("v6.16")), case.vm, case.slots)
    assert found.pieces[0].start == 0
    assert all(one.end == other.start for one, other in zip(found.pieces, found.pieces[1:], strict=False))
    view, evaluator = MtrrView(kernel, case.vm, case.slots), case.evaluator()
    for piece in found.pieces:
        side = piece.sides[0]
        for gpa in {piece.start, chance.randrange(piece.start, piece.end) & -4096, piece.end - 1}:
            seen, page = view.at(gpa), evaluator.page(gpa)
            assert (side.mtrr.kvm, side.mtrr.manual) == (seen.kvm, seen.manual)
            assert piece.slot == page.slot
            assert (side.answer is None) == (page.slot is None)
            if side.answer is not None:
                assert (side.answer.byte, side.answer.effective) == (page.byte, page.effective)


def as_requested(evaluator: Evaluator, gpas: list[int], size: int) -> dict[int, list[object]]:
    """What single addresses are answered to every request, with their types by the guest's kernel."""
    return {
        gpa: [_said(request_page(evaluator, gpa, request, size)[0]) for request in REQUESTS]
        for gpa in gpas
        if evaluator.page(gpa).slot is not None
    }


def _said(answer: Answer) -> object:
    return answer.pat, answer.pat_index, answer.effective, answer.byte


REQUESTS = tuple(map(parse_request, ("WB", "WC", "UC-", "ioremap", "memremap", "set_memory_wc", "vmf_insert_pfn")))


@pytest.mark.property
@settings(max_examples=60)
@given(
    random_vms(),
    chances,
    st.sampled_from((None, (2, 6, 30), (4, 0), (6, 1, 10), (7, 3))),
    st.sampled_from((("6.6", Vendor.INTEL), ("7.3", Vendor.INTEL), ("4.14", Vendor.AMD), ("7.3", Vendor.AMD))),
)
def test_a_request_is_answered_alike_all_over_a_piece(
    case: RandomVm, chance: random.Random, guest: tuple[int, ...] | None, host: tuple[str, Vendor]
) -> None:
    ref, vendor = host
    case = case._replace(vm=case.vm._replace(guest_release=guest, vendor=vendor, paging=True))
    assume_few_pieces(case, ref)
    found = address_map((resolve(ref),), case.vm, case.slots, (), REQUESTS)
    assert found.requests == REQUESTS
    evaluator = Evaluator(resolve(ref), case.vm, case.slots)
    for piece in found.pieces:
        drawn = [_said(answer) for answer in piece.sides[0].requests]
        gpas = [piece.start, chance.randrange(piece.start, piece.end) & -4096, piece.end - 4096]
        for said in as_requested(evaluator, gpas, 4096).values():
            assert drawn == said
        assert bool(drawn) is (piece.sides[0].answer is not None)


@pytest.mark.parametrize(
    ("kind", "vendor"), [(VmType.NORMAL, Vendor.INTEL), (VmType.TD, Vendor.INTEL), (VmType.SNP, Vendor.AMD)]
)
def test_pieces_are_cut_where_a_guests_kernel_answers_another_way(kind: VmType, vendor: Vendor) -> None:
    """In one slot: at the ISA window and its end; of a TD or an SNP guest in the PCI hole, which it forces to UC."""
    vm = Vm(type=kind, vendor=vendor, guest_release=(6, 18))
    slots = (Slot(0, G, "ram"), Slot(2 * G, 4 * G, "dev", 1, device=True))
    bare = [piece.start for piece in address_map((resolve("7.3"),), vm, slots).pieces]
    found = address_map((resolve("7.3"),), vm, slots, (), REQUESTS[:1])
    more = {4 * G} if kind is not VmType.NORMAL else set()
    assert {piece.start for piece in found.pieces} == {*bare, 0xA0000, 0x100000} | more
    types = {piece.start: answer.pat for piece in found.pieces for answer in piece.sides[0].requests}
    assert types[2 * G] is (MemType.UC_MINUS if more else MemType.WB)
    assert types.get(4 * G, types[2 * G]) is MemType.WB


def test_what_differs_is_what_the_entry_or_an_effective_type_does() -> None:
    uc = VariableRange(3 * G, 0x3FFFC0000800)
    base = Vm(noncoherent_dma=True)
    vm = base._replace(mtrrs=base.mtrrs._replace(variable=(uc, *base.mtrrs.variable[1:])))
    slots = (Slot(0, 2 * G, "ram"), Slot(3 * G, G, "hole"))
    found = address_map((resolve("6.6"), resolve("6.12")), vm, slots)
    apart = [(piece.start, piece.end) for piece in found.pieces if differs(piece, 1)]
    assert apart == [(3 * G, 4 * G)]
    assert [piece.slot.name if piece.slot else None for piece in found.pieces] == ["ram", None, "hole", None]
    assert not any(differs(piece, 0) for piece in found.pieces)


def test_notes_are_a_kernels_own_and_name_what_is_not_drawn() -> None:
    slots = (Slot(0, G, "ram"), Slot(0xA0000, 0x20000, "smram", 1, address_space=1))
    old, new = address_map((resolve("6.6"), resolve("6.12")), Vm(), slots).notes
    assert [note.code for note in new] == ["stable", "mtrr-unasked", "slot-smm"]
    assert [note.code for note in old] == ["slot-smm"]


def test_a_mask_full_of_holes_ends_the_map_and_says_so() -> None:
    base = Vm()
    holes = VariableRange(int(MemType.UC), 0x3AAAAAAAA000 | 1 << 11)
    vm = base._replace(mtrrs=base.mtrrs._replace(variable=(holes, *base.mtrrs.variable[1:])))
    found = address_map((resolve("6.12"),), vm, ())
    assert found.pieces[-1].end < 1 << 46
    assert "incomplete" in {note.code for note in found.notes[0]}
