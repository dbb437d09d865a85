# SPDX-License-Identifier: GPL-2.0-only
"""diff's lines around the rules: no row by release is forgotten, and none is said that does not differ."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import pytest

from mtcalc.analysis import around
from mtcalc.analysis.around import WORDS, Around, differences
from mtcalc.analysis.diff import diff
from mtcalc.kvm import history, slot_history
from mtcalc.kvm.flags import TAKEN_FLAGS
from mtcalc.kvm.history import LevelLimits, Row, row_at
from mtcalc.kvm.quirks import QUIRK_SPANS, known_quirks, off_at_start
from mtcalc.kvm.release import Version, in_force, newest, sort_key
from mtcalc.kvm.slot_history import SlotLimits, slot_limits
from mtcalc.output.rules import around_words
from mtcalc.rules.builtin import built_in, built_in_names
from mtcalc.rules.kernel import Kernel, kernel_at
from mtcalc.rules.releases import V6_11
from mtcalc.x86.ept import LEVEL_NAMES

HISTORY: dict[str, tuple[Row[Any], ...]] = {
    name: rows
    for name, rows in vars(history).items()
    if isinstance(rows, tuple) and rows and isinstance(rows[0], Row) and name != "NPT_PATS"
}
"""What is around rules of EPT; tests/analysis/test_npt.py has what NPT alone has."""

# What diff calls a fact, by hand: by table, and by the field of a record.
SAID = {
    "WALKS": "guest MTRR walk",
    "PAIRS": "variable MTRR pairs of a guest",
    "MTRR_LIMITS": "guest MTRRs limit the mapping level",
    "MMIO_TESTS": "host MMIO test",
    "UNDEFINED_CHECKS": "MTRR check past the fixed ranges",
    "highest": "largest page that KVM maps",
    "reserved_small": "page reserved or no struct page",
    "device": "largest page of a BAR under VFIO",
    "ids": "slot ids",
    "spaces": "address spaces in a slot's id",
    "flags_checked": "unknown slot flags refused",
    "invalid_mark": "slot flag that is KVM's own mark",
    "user_end": "user space ends at",
    "memfd_private_only": "GUEST_MEMFD on every VM",
    "host_address": "host addresses of slots checked",
    "most_pages": "slots above 2^31-1 pages refused",
    "host_maxphyaddr": "slots above host maxphyaddr refused",
    "internal_slots": "slots over KVM's own ones refused",
}


def boundaries() -> list[Version]:
    """Every release with a row of its own, in any table, the first and the newest."""
    found = {row.since for rows in HISTORY.values() for row in rows}
    found |= {span.since for spans in QUIRK_SPANS.values() for span in spans}
    for rows in (*vars(slot_history).values(), TAKEN_FLAGS):
        if isinstance(rows, tuple) and rows and isinstance(rows[0], tuple):
            found |= {row[0] for row in rows}
    found |= {(6, 13), (6, 12, 117), newest()}
    return sorted(found, key=sort_key)


RELEASES = boundaries()
STRAY = "undefined (a stray cursor)"


def facts(release: Version) -> dict[str, object]:
    """What the tables hold for a release, by what diff calls it."""
    found: dict[str, object] = {}
    for name, rows in HISTORY.items():
        what = row_at(rows, release).what
        if isinstance(what, LevelLimits):
            found |= {SAID[field]: value for field, value in what._asdict().items()}
        else:
            found[SAID[name]] = what
    found |= {SAID[field]: value for field, value in slot_limits(release)._asdict().items()}
    found["slot flags accepted"] = flags = in_force(TAKEN_FLAGS, release)
    if not flags & 4:
        found[SAID["memfd_private_only"]] = True
    found["quirks known"] = known_quirks(release)
    found["states that can't be reached"] = off_at_start(release), "IGNORE_GUEST_PAT" in known_quirks(release)
    return found


def at(release: Version) -> Kernel:
    return kernel_at(release, V6_11, "x")


def test_every_two_releases_differ_around_in_what_their_rows_say() -> None:
    """Neither a row forgotten nor one made up, whichever two releases are compared."""
    assert len(RELEASES) > 25
    tables = {release: facts(release) for release in RELEASES}
    for old, new in itertools.product(RELEASES, RELEASES):
        said = [difference.what for difference in differences(at(old), at(new))]
        assert said == list(dict.fromkeys(said))
        assert set(said) == {what for what, value in tables[old].items() if value != tables[new][what]}, (old, new)


@pytest.mark.parametrize("name", built_in_names())
def test_show_says_of_a_kernel_what_a_difference_could(name: str) -> None:
    """One list for both, but for what cannot happen, which show gives with reasons."""
    kernel = built_in(name)
    assert kernel
    said = list(around_words(kernel).values())
    wanted = [words for what, words in around.behaviours(kernel) if what != "states that can't be reached"]
    assert said[2:-1] == wanted


def test_the_words_of_a_record_are_those_of_its_fields() -> None:
    fields = {*LevelLimits._fields, *SlotLimits._fields}
    assert set(WORDS) == fields == {field for field in SAID if field.islower()}
    assert {field: words for field, (words, _) in WORDS.items()} == {field: SAID[field] for field in fields}


def test_a_field_without_words_is_said_all_the_same() -> None:
    class Later(NamedTuple):
        highest: int
        some_new_limit: bool

    assert around._fields(Later(2, True)) == [("largest page that KVM maps", "2M"), ("some new limit", "yes")]


def test_what_is_said_fits_a_line() -> None:
    for old, new in itertools.pairwise(RELEASES):
        for difference in differences(at(old), at(new)):
            assert len(difference.what) <= 35
            assert difference.before.isascii()
            assert difference.before != difference.after


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((3, 14), (3, 16), ("variable MTRR pairs of a guest", "8", "10")),
        ((3, 16), (3, 18), ("variable MTRR pairs of a guest", "10", "8")),
        ((5, 19), (6, 0), ("page reserved or no struct page", "mapped in 4K", "mapped as large as any")),
        ((6, 11), (6, 12), ("largest page of a BAR under VFIO", "4K", "1G")),
        ((2, 6, 31), (2, 6, 32), ("largest page that KVM maps", "2M", "1G")),
        ((4, 1), (4, 2), ("guest MTRRs limit the mapping level", "never", "always")),
        ((4, 6), (4, 7), ("MTRR check past the fixed ranges", STRAY, "well-defined, or none at all")),
        ((5, 19), (6, 0), ("guest MTRRs limit the mapping level", "always", "when noncoherent_dma")),
        ((6, 10), (6, 11), ("guest MTRRs limit the mapping level", "when noncoherent_dma", "never")),
        ((6, 17), (6, 18), ("GUEST_MEMFD on every VM", "no", "yes")),
        ((3, 18), (3, 19), ("slot ids", "0 to 124", "0 to 508")),
    ],
)  # fmt: skip
def test_differences_by_hand(before: Version, after: Version, expected: tuple[str, str, str]) -> None:
    assert Around(*expected) in differences(at(before), at(after))


def test_the_levels_of_the_tables_are_those_that_are_said() -> None:
    for old, new in itertools.pairwise(RELEASES):
        said = {difference.what: difference for difference in differences(at(old), at(new))}
        was, now = (row_at(history.LEVEL_LIMITS, release).what for release in (old, new))
        if was.device != now.device:
            assert said[SAID["device"]][1:] == (LEVEL_NAMES[was.device], LEVEL_NAMES[now.device])


def test_diff_says_them() -> None:
    for one, other in itertools.combinations(built_in_names(), 2):
        before, after = built_in(one), built_in(other)
        assert before
        assert after
        assert diff(before, after).around == differences(before, after)
