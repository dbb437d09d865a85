# SPDX-License-Identifier: GPL-2.0-only
"""Requests that meet mappings with other types."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtcalc.linux.choice import Where, choose
from mtcalc.linux.conflicts import Mapping, Mappings, Met, kept, meet
from mtcalc.linux.functions import parse_request
from mtcalc.linux.mtrrs import given_type
from mtcalc.linux.pat import GuestLinux
from mtcalc.x86.memtype import MemType

GUEST = GuestLinux((6, 8))
DEVICE = Where(given_type(MemType.WB))
RAM = Where(given_type(MemType.WB), ram=True, all_ram=True, tracked_as_ram=True, first_ram=True)
ISA = Where(given_type(MemType.UC), isa=True)


def mapping(request: str, start: int, end: int, release: tuple[int, ...] = (6, 8), where: Where = DEVICE) -> Mapping:
    """What is kept of a request that meets nothing."""
    choice = choose(parse_request(request), GuestLinux(release), where)
    found = kept(choice, start, end, None, f"{request} at {start}")
    assert found is not None
    return found


def keep(request: str, guest: GuestLinux = GUEST, where: Where = DEVICE) -> Mapping | None:
    return kept(choose(parse_request(request), guest, where), 0, 4, None, "")


def met(
    request: str,
    *before: Mapping,
    at: tuple[int, int] = (0, 10),
    release: tuple[int, ...] = (6, 8),
    where: Where = DEVICE,
) -> Met | None:
    return meet(choose(parse_request(request), GuestLinux(release), where), *at, before)


# asked for, found: what is got, '-' where it is refused. As the words have it, all pairs.
TYPES = ("UC", "UC-", "WC", "WT", "WB")
REFUSED = {("UC-", "WB"), ("WC", "WB"), ("WT", "WB"), ("WT", "WC")}


@pytest.mark.parametrize(("asked", "found"), list(itertools.product(TYPES, TYPES)))
def test_every_pair_of_types(asked: str, found: str) -> None:
    got = met(asked, mapping(found, 4, 6))
    if asked == found:
        assert got is None
        return
    assert got is not None
    assert got.other.what == f"{found} at 4"
    if (asked, found) in REFUSED:
        assert (got.takes, got.error) == (None, "NULL")
    else:
        assert (str(got.takes), got.error) == (found, "")


def test_before_4_2_only_two_pairs_are_refused() -> None:
    for asked, found in itertools.product(("UC", "UC-", "WC", "WB"), repeat=2):
        got = met(asked, mapping(found, 4, 6, (4, 1)), release=(4, 1))
        assert (got is not None and got.takes is None) is ((asked, found) in {("UC-", "WB"), ("WC", "WB")})


def test_mmap_fails_with_an_error_number() -> None:
    got = met("pgprot_writecombine", mapping("WB", 0, 1))
    assert got is not None
    assert got.error == "EINVAL"


def test_set_memory_takes_no_other_type() -> None:
    for found in ("UC", "WC", "WB"):
        got = met("set_memory_uc", mapping(found, 0, 1))
        assert got is not None
        assert got.error == "EBUSY"
    assert met("set_memory_uc", mapping("UC-", 0, 1)) is None


def test_the_lowest_mapping_decides_and_the_others_must_agree() -> None:
    got = met("WB", mapping("WC", 5, 6), mapping("UC-", 2, 3))
    assert got is not None
    assert (got.takes, got.error) == (None, "EBUSY: UC- at 2 has UC-")
    got = met("WB", mapping("WC", 5, 6), mapping("WC", 2, 3))
    assert got is not None
    assert (got.takes, got.other.start) == (MemType.WC, 2)


def test_neighbours_do_not_meet() -> None:
    assert met("WC", mapping("WB", 10, 12), mapping("WB", 20, 30), at=(12, 20)) is None


def test_vmf_insert_pfn_takes_what_is_there() -> None:
    got = met("vmf_insert_pfn", mapping("WC", 0, 1))
    assert got is not None
    assert got.takes is MemType.WC
    assert keep("vmf_insert_pfn") is None  # and leaves no trace


def test_ram_must_be_wb_to_be_changed() -> None:
    changed = mapping("set_memory_wc", 0, 4, where=RAM)
    for request in ("set_memory_uc", "set_memory_wc"):
        got = met(request, changed, where=RAM)
        assert got is not None
        assert got.error.startswith("EBUSY")
    got = met("/dev/mem", changed, where=RAM)
    assert got is not None
    assert got.takes is MemType.WC
    assert keep("memremap", where=RAM) is None


def test_what_is_not_tracked_meets_nothing() -> None:
    there = mapping("WC", 0, 4)
    assert met("WB", there, where=ISA) is None
    off = GuestLinux((6, 8), nopat=True)
    assert meet(choose(parse_request("WB"), off, DEVICE), 0, 4, [there]) is None
    assert keep("WC", where=ISA) is None
    assert keep("WC", guest=off) is None
    assert keep("WC", where=RAM) is None  # refused
    assert keep("pgprot_writecombine", where=RAM) is None  # the page's own type


def test_a_request_that_meets_another_is_kept_with_the_type_it_takes() -> None:
    asked = choose(parse_request("UC-"), GuestLinux((6, 8)), DEVICE)
    there = mapping("WC", 0, 4)
    found = kept(asked, 0, 8, meet(asked, 0, 8, [there]), "")
    assert found is not None
    assert found.kind is MemType.WC
    assert kept(asked, 0, 8, meet(asked, 0, 8, [mapping("WB", 0, 4)]), "") is None  # refused


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), max_size=10), st.integers(0, 60), st.integers(1, 30))
def test_law_a_search_misses_no_mapping(places: list[tuple[int, int]], start: int, size: int) -> None:
    all_of_them, found = [], Mappings()
    for at, length in places:
        one = mapping("WC", at, at + length)
        all_of_them.append(one)
        found.add(one)
    around = found.around(start, start + size)
    assert [one for one in around if one.end > start] == sorted(
        (one for one in all_of_them if one.start < start + size and start < one.end), key=lambda one: one.start
    )
