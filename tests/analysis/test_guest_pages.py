# SPDX-License-Identifier: GPL-2.0-only
"""Requests for memory that is not RAM, and for pages of a VM, against the second model and by their slots."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from mtcalc.analysis.answer import each_pat
from mtcalc.analysis.evaluate import Evaluator
from mtcalc.analysis.guest_pages import guest_of, is_ram, point_answers, request_page, where_of
from mtcalc.analysis.lookup import lookup
from mtcalc.analysis.requests import lookup_request, request_matrix
from mtcalc.kvm.vm import Slot
from mtcalc.linux.functions import TYPES, parse_request
from mtcalc.linux.pat import GuestLinux
from mtcalc.refs.resolve import resolve
from mtcalc.rules.inputs import Facts
from mtcalc.scenario.load import load_scenario
from mtcalc.x86.memtype import MTRR_TYPES
from support import linux_model

VM = """
rules: "6.17"
vm: {noncoherent_dma: true}
guest:
  kernel: linux-6.8
  mtrr: {default: WB, variable: [{base: 0xc0000000, size: 1G, type: UC}, {base: 32G, size: 32G, type: UC}]}
memslots:
  - {name: low, gpa: 0, size: 3G}
  - {name: rom, gpa: 0xffc00000, size: 4M, flags: [READONLY]}
  - {name: high, gpa: 4G, size: 4G}
  - {name: smm, gpa: 0x30000, size: 64K, address_space: 1}
  - {name: bar, gpa: 32G, size: 1G, backing: mmio}
  - {name: blob, gpa: 34G, size: 1G, device: true}
"""


def evaluator(text: str = VM, ref: str = "6.17", **changes: Any) -> Evaluator:
    scenario = load_scenario(text, "vm.yaml")
    return Evaluator(resolve(ref), scenario.vm._replace(**changes), scenario.slots, scenario.notes)


def pages(*lines: str, text: str = VM) -> list[Any]:
    scenario = load_scenario(text + "pages:\n" + "".join(f"  - {line}\n" for line in lines), "vm.yaml")
    one = Evaluator(resolve("6.17"), scenario.vm, scenario.slots)
    return list(point_answers(one, scenario.pages))


def codes(answer: Any) -> list[str]:
    return [note.code for note in answer.notes if note.code.startswith(("request", "not-chosen", "guest"))]


@pytest.mark.parametrize("ref", ["6.1", "6.17", "slot-flag"])
@pytest.mark.parametrize("release", [(2, 6, 29), (4, 1), (4, 6), (5, 15), (7, 3)])
def test_what_if_is_the_guests_choice_then_the_entry(ref: str, release: tuple[int, ...]) -> None:
    """For every request and MTRR type: the second model's PAT type, and for it lookup()'s answer."""
    kernel, facts = resolve(ref), Facts(noncoherent_dma=True)
    for request, memtype in itertools.product(TYPES, MTRR_TYPES):
        here = facts._replace(guest_mtrr=memtype)
        answer = lookup_request(kernel, here, request, GuestLinux(release))
        want = linux_model.got(release, request.name, str(memtype))
        assert answer.request == request.name
        assert answer.guest == "linux-" + ".".join(map(str, release))
        if want is None:
            assert (answer.pat, answer.pat_index, answer.effective) == (None, None, ())
            assert each_pat(answer) == (answer,)
            continue
        assert (str(answer.pat), answer.pat_index) == (want.page, want.entry)
        assert answer.pat is not None
        plain = lookup(kernel, here, (answer.pat,))
        assert (answer.byte, answer.rule, answer.effective) == (plain.byte, plain.rule, plain.effective)


def test_the_matrix_is_every_request_by_every_type() -> None:
    kernel = resolve("6.17")
    answers = request_matrix(kernel, Facts(), (), MTRR_TYPES, GuestLinux((6, 8)))
    assert [(a.request, a.facts and a.facts.guest_mtrr) for a in answers] == [
        (request.name, memtype) for request in TYPES for memtype in MTRR_TYPES
    ]


def test_which_slots_are_ram() -> None:
    assert [slot.name for slot in evaluator().slots if is_ram(slot)] == ["low", "high"]


@pytest.mark.parametrize(
    ("gpa", "size", "request_", "pat"),
    [
        ("0x100000", "4K", "WB", "WB"),
        ("0x100000", "4K", "ioremap_wc", None),
        ("0x100000", "4K", "set_memory_wc", "WC"),
        ("0xa0000", "128K", "ioremap_wc", "WB"),
        ("0x9f000", "8K", "ioremap", None),  # RAM in part
        ("0xfffff", "4K", "memremap", None),  # two pages: the ISA window's last, and RAM
        ("0xffc00000", "4M", "memremap", "UC-"),  # read-only, so no RAM
        ("0xbffff000", "8K", "memremap", None),
        ("0xd0000000", "4K", "ioremap_wc", "WC"),  # in no slot
        ("0xd0000000", "4K", "WB", "UC-"),
        ("34G", "1G", "memremap", "UC-"),
        ("34G", "1G", "ioremap_wc", "WC"),
        ("16G", "16G", "WB", "WB"),
        ("16G", "17G", "WB", "UC-"),  # of two types
        ("6G", "4K", "pgprot_noncached", "WB"),
    ],
)
def test_a_page_is_what_its_slot_says(gpa: str, size: str, request_: str, pat: str | None) -> None:
    (answer,) = pages(f"{{gpa: {gpa}, size: {size}, request: {request_}}}")
    assert (answer.pat and str(answer.pat)) == pat
    assert ("request-refused" in codes(answer)) is (pat is None)
    assert bool(answer.effective) is (pat is not None and answer.slot is not None)


def test_a_request_for_ram_says_that_it_is_taken_as_ram() -> None:
    (ram,), (device,) = pages("{gpa: 1G, request: WB}"), pages("{gpa: 34G, request: WB}")
    assert codes(ram) == ["request-ram"]
    assert codes(device) == ["request-changed"]


def test_kvms_reading_of_the_mtrrs_is_not_the_guests() -> None:
    """UC over WB at a higher base: KVM up to 6.10 says WB, the guest UC."""
    text = VM.replace("default: WB, variable: [", "default: UC, variable: [{base: 0, size: 64G, type: WB}, ")
    (answer, _) = request_page(evaluator(text, "6.1"), 34 << 30, parse_request("WB"))
    assert answer.guest_mtrr == "WB"
    assert str(answer.pat) == "UC-"


def test_mtrrs_off_and_not_in_cpuid() -> None:
    off = VM.replace("mtrr: {default", "mtrr: {enabled: false, default")
    assert [str(a.pat) for a in pages("{gpa: 34G, request: WB}", "{gpa: 34G, request: WC}", text=off)] == ["UC-", "WC"]
    old = off.replace("linux-6.8", "linux-5.15").replace("guest:", "guest:\n  cpuid_mtrr: false")
    answers = pages("{gpa: 35G, request: WB}", "{gpa: 35G, request: WC}", text=old)
    assert [(str(a.pat), a.pat_index) for a in answers] == [("WB", 0), ("UC-", 2)]


def test_the_guests_kernel_programs_the_pat_unless_the_file_says_it() -> None:
    for release, value in [("4.1", 0x0007010600070106), ("4.13", 0x0407010600070106), ("6.8", 0x0407050600070106)]:
        assert evaluator(VM.replace("6.8", release)).vm.pat.value == value
    skipped = VM.replace("linux-6.8", "5.15").replace("guest:", "guest:\n  cpuid_mtrr: false")
    assert evaluator(skipped).vm.pat.value == 0x0007040600070406
    nopat = VM.replace("kernel: linux-6.8", "kernel: linux-6.8\n  nopat: true")
    assert evaluator(nopat).vm.pat.value == 0x0007040600070406
    said = VM.replace("kernel: linux-6.8", "kernel: linux-6.8\n  pat: reset")
    (answer,) = pages("{gpa: 34G, request: WC}", text=said)
    assert (str(answer.pat), answer.pat_index) == ("UC-", 2)
    assert codes(answer) == ["guest-kernel", "request-entry"]


def test_without_a_kernel_the_newest_is_taken_and_said() -> None:
    (answer,) = pages("{gpa: 34G, request: WC}", text=VM.replace("  kernel: linux-6.8\n", ""))
    assert codes(answer) == ["guest-kernel"]
    assert guest_of(evaluator(guest_release=None).vm).release > (6, 8)


@pytest.mark.parametrize(
    ("gpa", "pat", "said"),
    [
        (
            "34G",
            "WB",
            "Linux 6.8 would not choose PAT WB here; asked for it, it takes UC-: WB over MTRR type UC becomes",
        ),
        ("34G", "UC-", None),
        ("34G", "WT", None),
        ("32G", "WB", "takes UC-"),
        ("1G", "WB", None),
        ("1G", "UC-", None),  # set_memory_uc()
        ("1G", "UC", "Linux 6.8 would not choose PAT UC here; a request for UC is refused: an ioremap as UC of RAM is"),
        ("1G", "WP", "refused"),
        ("0xb8000", "WC", "the ISA window 0xa0000-0xfffff is WB whatever is asked"),
        ("16G", "WB", None),
    ],
)
def test_a_pat_type_that_the_guest_would_not_choose(gpa: str, pat: str, said: str | None) -> None:
    (answer,) = pages(f"{{gpa: {gpa}, pat: {pat}}}")
    found = [note.text for note in answer.notes if note.code == "not-chosen"]
    assert (len(found) == 1 and said in found[0]) if said else not found
    (silent,) = pages(f"{{gpa: {gpa}, pat: {pat}}}", text=VM.replace("  kernel: linux-6.8\n", ""))
    assert "not-chosen" not in codes(silent)


def test_requests_of_one_scenario_that_meet() -> None:
    found = pages(
        "{gpa: 34G, size: 2M, request: ioremap_wc}",
        "{gpa: 0x880001000, request: memremap}",
        "{gpa: 0x880002000, request: set_memory_uc}",
        "{gpa: 0x880200000, request: ioremap}",
    )
    texts = [[note.text for note in answer.notes if note.code == "request-conflict"] for answer in found]
    first = "the request for ioremap_wc on line 15 has WC: if that is mapped first, this"
    assert texts == [[], [f"{first} gets WC too"], [f"{first} is refused (EBUSY)"], []]
    assert str(found[1].pat) == "UC-"  # its own answer stays


def test_where_names_a_range_in_whole_pages() -> None:
    one = evaluator()
    guest = guest_of(one.vm)
    assert where_of(one, 0xFFFFF, 1, guest).isa
    assert not where_of(one, 0xFFFFF, 2, guest).isa
    assert where_of(one, (1 << 20) - 0x1000, 0x2000, guest).tracked_as_ram
    assert not where_of(one, 0x1000, 0x1000, guest).tracked_as_ram
    assert where_of(one, 0x1000, 0x1000, guest).ram


def test_a_slot_of_ram_in_two_pieces_is_all_ram() -> None:
    slots = [Slot(0, 1 << 21, "a"), Slot(1 << 21, 1 << 21, "b")]
    one = Evaluator(resolve("6.17"), evaluator().vm, slots)
    assert where_of(one, 1 << 20, 1 << 21, guest_of(one.vm)).all_ram
