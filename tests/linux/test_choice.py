# SPDX-License-Identifier: GPL-2.0-only
"""What a Linux guest makes of a request, enumerated against a second model, and the facts the two were made from."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtcalc.kvm.versions import VmType
from mtcalc.linux.choice import Choice, Where, choose, steps
from mtcalc.linux.functions import FUNCTIONS, TYPES, Way, parse_request
from mtcalc.linux.mtrrs import SeenType, State, given_type
from mtcalc.linux.pat import GuestLinux, guest_pat
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, MemType, parse_memtype
from mtcalc.x86.pat import LINUX_4_1_PAT, LINUX_4_2_PAT, LINUX_PAT, RESET_PAT, Pat, entry_bits, make_pat
from support import linux_model

RELEASES = (
    *((2, 6, 29), (2, 6, 30), (2, 6, 31), (2, 6, 32), (3, 10), (4, 1), (4, 1, 52), (4, 2, -1), (4, 2), (4, 6, 7)),
    *((4, 7, -1), (4, 7), (4, 13), (4, 14, -1), (4, 14), (5, 4), (5, 15, 91), (5, 19), (6, 0), (6, 1), (6, 1, 6)),
    *((6, 1, 7), (6, 1, 32), (6, 1, 33), (6, 1, 90), (6, 2), (6, 4), (6, 5), (6, 8), (6, 12, 54), (7, 3)),
)
REGISTERS = (None, RESET_PAT, LINUX_PAT, LINUX_4_2_PAT, LINUX_4_1_PAT)
MIXED = SeenType(None, State.MIXED, "several", "s")
OFF = SeenType(None, State.OFF, "off", "s")
NONE = SeenType(None, State.NONE, "none", "s")


def device(seen: SeenType) -> Where:
    return Where(seen)


def ask(request: str, release: tuple[int, ...] = (6, 8), where: Where | None = None, **guest: Any) -> Choice:
    base = GuestLinux(release)._replace(**guest)
    return choose(parse_request(request), base, where or device(given_type(MemType.WB)))


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: ".".join(map(str, release)))
def test_every_request_against_the_second_model(release: tuple[int, ...]) -> None:
    """Type, entry and page of each request by type, MTRR type, CPUID, E, nopat and register."""
    seen = 0
    for request, cpuid, enabled, nopat, register in itertools.product(
        TYPES, (True, False), (True, False), (True, False), REGISTERS
    ):
        for memtype in (*MTRR_TYPES, None):
            usable = given_type(memtype) if memtype is not None else MIXED
            where = device(usable if cpuid and enabled else OFF if cpuid else NONE)
            guest = GuestLinux(release, cpuid, enabled, nopat, register)
            choice = choose(request, guest, where)
            names = None if register is None else [str(kind) for kind in register.entries]
            want = linux_model.got(
                release, request.name, None if memtype is None else str(memtype), cpuid, enabled, nopat, names
            )
            found = None if choice.kind is None else (str(choice.kind), choice.entry, str(choice.memtype))
            assert found == want, (request.name, guest, memtype)
            seen += 1
    assert seen == 6 * 2 * 2 * 2 * 5 * 6


@pytest.mark.parametrize(
    ("release", "register"),
    [
        ((2, 6, 29), 0x0007010600070106),
        ((4, 1), 0x0007010600070106),
        ((4, 2), 0x0407010600070106),
        ((4, 13, 16), 0x0407010600070106),
        ((4, 14), 0x0407050600070106),
        ((7, 3), 0x0407050600070106),
    ],
)
def test_the_register_that_a_release_writes(release: tuple[int, ...], register: int) -> None:
    found = guest_pat(GuestLinux(release))
    assert (found.register.value, found.written, found.on) == (register, True, True)


def test_the_full_table_of_entries() -> None:
    entries = guest_pat(GuestLinux((4, 14))).entries
    assert {str(kind): entry for kind, entry in entries.items()} == {
        "WB": 0,
        "WC": 1,
        "UC-": 2,
        "UC": 3,
        "WP": 5,
        "WT": 7,
    }


def test_on_a_cpu_with_errata_wt_and_wp_fall_to_uncached() -> None:
    found = guest_pat(GuestLinux((6, 8), pat=LINUX_4_1_PAT))
    assert [found.entries[kind] for kind in (MemType.WT, MemType.WP, MemType.WC)] == [2, 2, 1]


@pytest.mark.parametrize(
    ("release", "asked", "got"),
    [
        ((4, 1), "WC", "WT"),  # the constant 1, in a register that was not written
        ((4, 2), "WC", "UC-"),
        ((5, 8), "WC", "UC-"),
        ((6, 1), "WC", "UC-"),
        ((6, 2), "WC", "WC"),
        ((4, 2), "WT", "UC-"),
        ((5, 8), "WT", "WT"),  # the PAT is off, and the reset value has one
        ((4, 6), "WB", "UC-"),
        ((5, 8), "WB", "WB"),  # the PAT is off: no look at MTRRs
        ((6, 1), "WB", "UC-"),
        ((6, 1, 7), "WB", "WB"),
        ((6, 1, 33), "WB", "UC-"),
        ((6, 8), "WB", "UC-"),
        ((2, 6, 29), "WB", "WB"),
    ],
)
def test_without_mtrrs_in_cpuid(release: tuple[int, ...], asked: str, got: str) -> None:
    assert str(ask(asked, release, device(NONE), cpuid_mtrr=False).memtype) == got


@pytest.mark.parametrize(
    ("release", "asked", "got"),
    [((4, 1), "WC", "UC-"), ((4, 1), "WB", "WB"), ((4, 6), "WB", "WB"), ((4, 6), "WT", "UC-"), ((4, 6), "WC", "UC-")],
)
def test_nopat_turns_the_pat_off_whatever_the_mtrrs_are(release: tuple[int, ...], asked: str, got: str) -> None:
    """An option of the command line, read before CPUID: pat_enabled() is false without MTRRs too."""
    choice = ask(asked, release, device(NONE), cpuid_mtrr=False, nopat=True)
    assert (choice.pat.on, choice.pat.written, str(choice.memtype)) == (False, False, got)


@pytest.mark.parametrize(
    ("release", "on", "written"),
    [((6, 1), True, True), ((6, 2), True, False), ((6, 8), True, False), ((6, 9), True, True)],
)
def test_a_tdx_guest_leaves_its_pat_from_6_2_to_6_8(release: tuple[int, ...], on: bool, written: bool) -> None:
    found = guest_pat(GuestLinux(release, kind=VmType.TD))
    assert (found.on, found.written) == (on, written)
    assert found.register == (LINUX_PAT if written else RESET_PAT)
    assert guest_pat(GuestLinux(release, kind=VmType.SNP)).written


@pytest.mark.parametrize("request_", [row.name for row in FUNCTIONS])
def test_a_function_asks_as_its_type_does(request_: str) -> None:
    """For a device's memory; vmf_insert_pfn() and its like take what is tracked."""
    row = parse_request(request_)
    for release in RELEASES:
        if linux_model.number(release) < linux_model.number(row.since):
            continue
        for memtype in MTRR_TYPES:
            choice = ask(request_, release, device(given_type(memtype)))
            wanted = "UC-" if row.way is Way.INSERT else row.asks
            assert choice.memtype is ask(str(wanted), release, device(given_type(memtype))).memtype


@pytest.mark.parametrize(
    ("function", "first"),
    [("ioremap_uc", "4.2"), ("ioremap_wt", "4.2"), ("pgprot_writethrough", "4.2"), ("memremap", "4.3"), ("WT", "4.2")],
)
def test_what_a_guest_is_too_old_for(function: str, first: str) -> None:
    major, minor = map(int, first.split("."))
    assert ask(function, (major, minor)).refusal == ""
    older = ask(function, (major, minor - 1))
    assert (older.kind, older.entry, older.memtype) == (None, None, None)
    assert older.refusal.endswith(f"(since {first})")


RAM = Where(given_type(MemType.UC), ram=True, all_ram=True, tracked_as_ram=True, first_ram=True)
PART = Where(given_type(MemType.UC), ram=True, tracked_as_ram=True, first_ram=True)
BEHIND = Where(given_type(MemType.WB), ram=True, tracked_as_ram=True)
LOW = Where(given_type(MemType.UC), ram=True, all_ram=True)
ISA = Where(given_type(MemType.UC), isa=True)


@pytest.mark.parametrize(
    ("request_", "where", "got"),
    [
        ("WB", RAM, "WB"),
        ("memremap", RAM, "WB"),
        ("memremap", PART, None),
        ("WC", RAM, None),
        ("ioremap_cache", RAM, None),
        ("ioremap", PART, None),
        ("ioremap_wc", BEHIND, None),
        ("memremap(WC)", RAM, None),
        ("set_memory_uc", RAM, "UC-"),
        ("set_memory_wc", RAM, "WC"),
        ("set_memory_wc", PART, None),
        ("set_memory_wc", LOW, "WC"),
        ("pgprot_writecombine", RAM, "WB"),
        ("pgprot_writecombine", PART, "WB"),
        ("pgprot_writecombine", BEHIND, "UC-"),
        ("/dev/mem", RAM, "WB"),
        ("/dev/mem", LOW, "UC-"),  # below 1M memory types are tracked as a device's
        ("/dev/mem(O_SYNC)", RAM, "WB"),
        ("vmf_insert_pfn", RAM, "WB"),
        ("vmf_insert_pfn", BEHIND, "UC-"),
        *((request, ISA, "WB") for request in ("WB", "WC", "UC", "ioremap_wc", "set_memory_uc", "vmf_insert_pfn")),
    ],
)
def test_ram_and_the_isa_window(request_: str, where: Where, got: str | None) -> None:
    choice = ask(request_, where=where)
    assert (choice.memtype and str(choice.memtype)) == got
    assert bool(choice.refusal) is (got is None)


def test_without_the_pat_nothing_is_special_but_what_ioremap_refuses() -> None:
    assert ask("WC", where=ISA, nopat=True).kind is MemType.WC
    assert ask("pgprot_noncached", where=RAM, nopat=True).kind is MemType.UC_MINUS
    assert ask("ioremap_wc", where=RAM, nopat=True).refusal
    assert ask("WC", (4, 1), nopat=True).kind is MemType.UC_MINUS


def test_a_set_of_steps_has_every_source() -> None:
    for release, request, cpuid in itertools.product(RELEASES, (*TYPES, *FUNCTIONS), (True, False)):
        choice = choose(request, GuestLinux(release, cpuid), device(given_type(MemType.UC) if cpuid else NONE))
        told = steps(choice)
        assert told[0].about == "request"
        assert all(step.source and step.result for step in told)
        assert told[-1].about == ("PAT entry" if choice.entry is not None else "guest's mapping")


@given(st.lists(st.sampled_from(PAT_TYPES), min_size=8, max_size=8), st.sampled_from(PAT_TYPES))
def test_law_the_lowest_entry_with_the_type(entries: list[MemType], asked: MemType) -> None:
    register = make_pat(entries)
    choice = choose(parse_request(str(asked)), GuestLinux((6, 8), pat=register), device(given_type(MemType.WB)))
    assert choice.entry is not None
    if asked in entries:
        assert choice.entry == entries.index(asked)
        assert choice.memtype is asked
    else:
        assert choice.entry == {MemType.WB: 0, MemType.UC: 3}.get(asked, 2)


@given(st.integers(0, 7), st.sampled_from((1, 2, 3)))
def test_law_the_bits_select_the_entry(entry: int, level: int) -> None:
    from mtcalc.x86.pat import decode_pte

    assert decode_pte(entry_bits(entry, level) | 1 | (0 if level == 1 else 1 << 7), level).pat_index == entry


def test_the_model_knows_what_it_should() -> None:
    """It is a second model only if it can differ: each of its inputs changes some answer."""
    base = linux_model.got((5, 8), "WC", "WB")
    assert base == ("WC", 1, "WC")
    assert linux_model.got((5, 8), "WC", "WB", cpuid=False) != base
    assert linux_model.got((5, 8), "WC", "WB", enabled=False) != base
    assert linux_model.got((5, 8), "WC", "WB", nopat=True) != base
    assert linux_model.got((5, 8), "WC", "WB", register=linux_model.RESET) != base
    assert linux_model.got((5, 8), "WB", "UC") != linux_model.got((5, 8), "WB", "WB")


def test_names() -> None:
    assert parse_memtype("wc") is parse_request("Write-Combining").asks
    for text, name in [
        ("ioremap_wc()", "ioremap_wc"),
        ("devm_ioremap_wc", "ioremap_wc"),
        ("IOREMAP", "ioremap"),
        ("memremap_wb", "memremap(WB)"),
        ("memremap(MEMREMAP_WT)", "memremap(WT)"),
        ("/dev/mem,O_SYNC", "/dev/mem(O_SYNC)"),
        ("vm_insert_pfn", "vmf_insert_pfn"),
        ("uc-", "UC-"),
        ("MTRR_TYPE_WRBACK", "WB"),
    ]:
        assert parse_request(text).name == name
    with pytest.raises(ValueError, match=r"'ioremap_xx' is no request \(did you mean ioremap\?"):
        parse_request("ioremap_xx")
    assert Pat(RESET_PAT.entries) == RESET_PAT
