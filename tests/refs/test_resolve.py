# SPDX-License-Identifier: GPL-2.0-only
"""REF -> Kernel: names, releases at every boundary, `uname -r`, and the behaviour around the rules."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.kvm.flags import QUIRKS
from mtcalc.kvm.release import newest
from mtcalc.kvm.versions import MmioTest, MtrrLimit, MtrrWalk
from mtcalc.refs.names import parse_release
from mtcalc.refs.resolve import resolve
from mtcalc.rules.builtin import built_in_names
from mtcalc.rules.condition import ALWAYS, Atom, holds
from mtcalc.rules.inputs import NONCOHERENT_DMA, Facts
from mtcalc.rules.kernel import Kernel, from_the_start, kernel_for_rules, unknown_inputs, version_text
from mtcalc.rules.mmio import MMIO_RULES
from mtcalc.rules.proposals import PROPOSALS
from mtcalc.text.filenames import is_file_ref
from support.notes import noted

# The last release before each change and the first after it.
RELEASES = {
    "v2.6.28": "2.6.28 2.6.28.10 2.6.28-rc1",
    "v2.6.29": "2.6.29 2.6.30 2.6.30.10 2.6.29-rc8",
    "v2.6.31": "2.6.31 2.6.32.71 2.6.39 3.0 3.12 3.12.74",
    "v3.13": "3.13 3.13.11 3.19 3.19.8 4.0 4.1 4.1.52",
    "v4.2": "4.2 4.2.0 4.2.3 4.2-rc1",
    "v4.3": "4.2.4 4.2.8 4.3 4.3.6 4.3-rc7",
    "v4.4": "4.4 4.4.302 4.20.17 5.0 5.4.300 5.15 5.19 6.0 6.1 6.1.192 6.6.100 4.4-rc1",
    "v6.7": "6.7 6.7.12 6.8 6.10 6.10.14 6.7-rc1",
    "v6.11-rc1": "6.11-rc1 6.11-rc7 6.11.0-rc2",
    "v6.11": "6.11 6.11.0 6.11.1-rc1 6.12 6.12.0 6.12.77 6.12.77-rc1 6.13 6.13.12 6.14 6.15 6.15.11 6.12-rc1 6.13-rc1",
    "v6.16": "6.12.78 6.12.78-rc1 6.12.200 6.16 6.16.0 6.16-rc1 6.17 6.19.9 7.0 7.2 7.3 7.3.9 7.3-rc1",
}
NEWEST = "7.3"
CASES = [(ref, name) for name, refs in RELEASES.items() for ref in refs.split()]


def test_the_newest_release_and_every_set_have_a_row_here() -> None:
    assert version_text(newest()) == NEWEST
    assert tuple(RELEASES) == built_in_names()[: len(RELEASES)]
    assert resolve(NEWEST).rules == resolve("latest").rules == resolve(list(RELEASES)[-1]).rules
    assert (resolve("latest").ref, resolve("latest").release) == ("latest", newest())
    with pytest.raises(ValueError, match=f"is newer than the newest known release, {re.escape(NEWEST)} "):
        resolve(version_text((*newest()[:-1], newest()[-1] + 1)))


@pytest.mark.parametrize(("ref", "name"), CASES)
def test_a_release_has_the_rules_of_its_time(ref: str, name: str) -> None:
    kernel = resolve(ref)
    assert kernel.rules.name == name
    assert kernel.ref == ref
    assert not kernel.proposal
    assert resolve(f"v{ref}") == kernel._replace(ref=f"v{ref}")


def test_6_10_is_not_6_1() -> None:
    """REFs are taken as written."""
    assert resolve("6.10").rules.name == "v6.7"
    assert resolve("6.1").rules.name == "v4.4"
    assert resolve("6.10").release != resolve("6.1").release


@pytest.mark.parametrize("name", built_in_names())
def test_a_built_in_name_is_itself_in_any_case(name: str) -> None:
    for ref in (name, name.upper(), f" {name} "):
        kernel = resolve(ref)
        assert kernel.rules.name == name
        assert kernel.ref == ref


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("7.99", f"7.99 is newer than the newest known release, {NEWEST} (latest: the newest known rules)"),
        ("7.99-rc1", f"7.99-rc is newer than the newest known release, {NEWEST} (latest: the newest known rules)"),
        ("8.90", f"8.90 is newer than the newest known release, {NEWEST} (latest: the newest known rules)"),
        ("2.6.27", "2.6.27 is older than vmx_get_mt_mask() (2.6.28 is the first release with it)"),
        ("2.6.27.62", "2.6.27.62 is older than vmx_get_mt_mask() (2.6.28 is the first release with it)"),
        ("2.4.37", "2.4.37 is older than vmx_get_mt_mask() (2.6.28 is the first release with it)"),
        ("6.77", "there never was a release 6.77 (6.19 is the last of its series)"),
        ("6.20", "there never was a release 6.20 (6.19 is the last of its series)"),
        ("5.20", "there never was a release 5.20 (5.19 is the last of its series)"),
        ("4.21", "there never was a release 4.21 (4.20 is the last of its series)"),
        ("3.20.1", "there never was a release 3.20.1 (3.19 is the last of its series)"),
        ("slot-flg", "unknown rule set 'slot-flg' (did you mean slot-flag?)"),
        ("mem-dma", "unknown rule set 'mem-dma' (did you mean kvm-mem-dma?)"),
        ("5.15,6.12", "unknown rule set '5.15,6.12' (one at a time: -r 5.15 -r 6.12)"),
        (
            "Linux h 6.8.0-45-generic #45",
            "unknown rule set 'Linux h 6.8.0-45-generic #45' (did you mean 6.8.0-45-generic? uname -r prints it alone)",
        ),
        ("lates", "unknown rule set 'lates' (did you mean latest?)"),
        ("quirk_v1", "unknown rule set 'quirk_v1' (did you mean quirk-v1?)"),
    ],
)
def test_what_is_refused_and_what_would_be_right(ref: str, message: str) -> None:
    """Unknown: with the nearest names; newer than the newest known: naming latest; older than the function."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        resolve(ref)


@pytest.mark.parametrize(
    "ref",
    ["", "6", "6.", "6.12.", "6.12.x", "6.-1", "06.1", "6.01", "6.1.2.3.4", "6.12x", "6.12-", "x86", "6.١", "99999.1"],
)
def test_what_is_neither_name_nor_release(ref: str) -> None:
    """A word that is near to none gets the whole list."""
    assert parse_release(ref) is None
    with pytest.raises(
        ValueError, match=r"^unknown rule set '.*' \((did you mean |one of v2\.6\.28, .*latest, host, or a)"
    ):
        resolve(ref)


@pytest.mark.parametrize(
    ("uname", "name", "shown", "suffix"),
    [
        ("6.12.107+deb12-amd64", "v6.16", "6.12.107", "+deb12-amd64"),
        ("6.12.48+deb13-amd64", "v6.11", "6.12.48", "+deb13-amd64"),
        ("5.15.0-91-generic", "v4.4", "5.15", "-91-generic"),
        ("3.10.0-1160.el7.x86_64", "v2.6.31", "3.10", "-1160.el7.x86_64"),
        ("2.6.32-754.el6.x86_64", "v2.6.31", "2.6.32", "-754.el6.x86_64"),
        ("6.1.0-18-amd64", "v4.4", "6.1", "-18-amd64"),
        ("6.8.12-4-pve", "v6.7", "6.8.12", "-4-pve"),
        ("6.6.87.2-microsoft-standard-wsl2", "v4.4", "6.6.87", ".2-microsoft-standard-wsl2"),
        ("6.6.13_1", "v4.4", "6.6.13", "_1"),
        ("6.11.0-rc3+", "v6.11-rc1", "6.11-rc", "+"),
    ],
)
def test_the_output_of_uname_r(uname: str, name: str, shown: str, suffix: str) -> None:
    """A suffix earns a note that names the release and the suffix; tests/rules/test_uname.py has the grades."""
    kernel = resolve(uname)
    assert kernel.rules.name == name
    assert any(note.startswith(f"rules of mainline {shown}; '{suffix}' is ") for note in noted(kernel.notes))
    assert not any("vendor" in other for other in noted(resolve(shown.replace("-rc", "-rc1")).notes))


@given(st.integers(3, 9), st.integers(0, 30), st.integers(0, 400))
def test_a_release_is_read_back_from_its_text(major: int, minor: int, stable: int) -> None:
    version = (major, minor, stable) if stable else (major, minor)
    assert parse_release(version_text(version)) == (version, "")
    assert parse_release(f"v{version_text(version)}-foo") == (version, "-foo")
    assert parse_release(f"{version_text(version)}-rc5+") == ((*version, -1), "+")


@settings(max_examples=60)
@given(st.text(alphabet="0123456789.-+_vrcx ", max_size=12) | st.text(max_size=8))
def test_any_word_is_a_kernel_or_a_reason(word: str) -> None:
    try:
        kernel = resolve(word)
    except ValueError as error:
        assert "(" in str(error)  # noqa: PT017 - the answer is one of two
    else:
        assert isinstance(kernel, Kernel)


@pytest.mark.parametrize(
    ("ref", "confirmed"),
    [
        ("3.12", True),
        ("3.13", True),
        ("3.14", True),
        ("4.2.3", True),
        ("4.2.4", False),
        ("4.2.7", False),
        ("4.2.8", True),
        ("4.3", True),
        ("4.4", True),
        ("4.5", True),
        ("6.16", True),
        ("6.17", True),
        ("7.2", True),
        ("7.3", True),
        ("latest", True),
    ],
)
def test_what_rests_on_memory_alone_is_said_to_be_unconfirmed(ref: str, confirmed: bool) -> None:
    assert any(note.startswith("unconfirmed: ") for note in noted(resolve(ref).notes)) is not confirmed


AROUND = [
    # release, walk, MMIO test, MTRRs limit the level, quirks, slot flags
    ("2.6.28", MtrrWalk.V4_1, MmioTest.HEAD, MtrrLimit.NEVER, (), 0x1),
    ("3.6", MtrrWalk.V4_1, MmioTest.HEAD, MtrrLimit.NEVER, (), 0x1),
    ("3.7", MtrrWalk.V4_1, MmioTest.HEAD, MtrrLimit.NEVER, (), 0x3),
    ("4.1", MtrrWalk.V4_1, MmioTest.PAGE, MtrrLimit.NEVER, (), 0x3),
    ("4.2", MtrrWalk.V4_2, MmioTest.RESERVED, MtrrLimit.ALWAYS, ("CD_NW_CLEARED",), 0x3),
    ("4.3", MtrrWalk.V4_2, MmioTest.RESERVED, MtrrLimit.ALWAYS, ("CD_NW_CLEARED",), 0x3),
    ("4.4", MtrrWalk.V4_4, MmioTest.RESERVED, MtrrLimit.ALWAYS, ("CD_NW_CLEARED",), 0x3),
    ("4.15", MtrrWalk.V4_4, MmioTest.RESERVED, MtrrLimit.ALWAYS, ("CD_NW_CLEARED",), 0x3),
    ("4.16", MtrrWalk.V4_4, MmioTest.HOST_TYPE, MtrrLimit.ALWAYS, ("CD_NW_CLEARED",), 0x3),
    ("5.1", MtrrWalk.V4_4, MmioTest.HOST_TYPE, MtrrLimit.ALWAYS, ("CD_NW_CLEARED",), 0x3),
    ("5.2", MtrrWalk.V4_4, MmioTest.E820, MtrrLimit.ALWAYS, ("CD_NW_CLEARED",), 0x3),
    ("5.19", MtrrWalk.V4_4, MmioTest.E820, MtrrLimit.ALWAYS, ("CD_NW_CLEARED",), 0x3),
    ("6.0", MtrrWalk.V4_4, MmioTest.E820, MtrrLimit.NONCOHERENT_DMA, ("CD_NW_CLEARED",), 0x3),
    ("6.7", MtrrWalk.V4_4, MmioTest.E820, MtrrLimit.NONCOHERENT_DMA, ("CD_NW_CLEARED",), 0x3),
    ("6.8", MtrrWalk.V4_4, MmioTest.E820, MtrrLimit.NONCOHERENT_DMA, ("CD_NW_CLEARED",), 0x7),
    ("6.10", MtrrWalk.V4_4, MmioTest.E820, MtrrLimit.NONCOHERENT_DMA, ("CD_NW_CLEARED",), 0x7),
    ("6.11-rc1", MtrrWalk.NONE, MmioTest.E820, MtrrLimit.NEVER, ("CD_NW_CLEARED",), 0x7),
    ("6.12.77", MtrrWalk.NONE, MmioTest.E820, MtrrLimit.NEVER, ("CD_NW_CLEARED",), 0x7),
    ("6.12.78", MtrrWalk.NONE, MmioTest.E820, MtrrLimit.NEVER, ("CD_NW_CLEARED", "IGNORE_GUEST_PAT"), 0x7),
    ("6.15", MtrrWalk.NONE, MmioTest.E820, MtrrLimit.NEVER, ("CD_NW_CLEARED",), 0x7),
    ("6.16", MtrrWalk.NONE, MmioTest.E820, MtrrLimit.NEVER, ("CD_NW_CLEARED", "IGNORE_GUEST_PAT"), 0x7),
    ("latest", MtrrWalk.NONE, MmioTest.E820, MtrrLimit.NEVER, ("CD_NW_CLEARED", "IGNORE_GUEST_PAT"), 0x7),
    ("slot-flag", MtrrWalk.V4_4, MmioTest.E820, MtrrLimit.NONCOHERENT_DMA, ("CD_NW_CLEARED",), 0xF),
    ("slot-honor-mtrr", MtrrWalk.V4_4, MmioTest.E820, MtrrLimit.NONCOHERENT_DMA, ("CD_NW_CLEARED",), 0xF),
    ("kvm-mem-dma", MtrrWalk.V4_4, MmioTest.E820, MtrrLimit.ALWAYS, ("CD_NW_CLEARED",), 0x3),
    ("quirk-v1", MtrrWalk.NONE, MmioTest.E820, MtrrLimit.NEVER, ("CD_NW_CLEARED", "IGNORE_GUEST_PAT"), 0x7),
]


@pytest.mark.parametrize(("ref", "walk", "test", "split", "quirks", "flags"), AROUND)
def test_the_behaviour_around_the_rules(
    ref: str, walk: MtrrWalk, test: MmioTest, split: MtrrLimit, quirks: tuple[str, ...], flags: int
) -> None:
    """Which walk, which MMIO test, whether MTRRs limit the mapping level, quirks and slot flags known."""
    kernel = resolve(ref)
    assert kernel.mtrr_walk is walk
    assert kernel.mmio_test is MMIO_RULES[test]
    assert kernel.quirks == quirks
    assert kernel.slot_flags == flags
    if split is MtrrLimit.NEVER:
        assert kernel.split_when is None
    else:
        assert kernel.split_when is not None
        assert holds(kernel.split_when, Facts(noncoherent_dma=True))
        # From 6.0 on flagged slots are split by non-coherent DMA too, not by the flag; before, all are.
        assert holds(kernel.split_when, Facts(slot_flags=8)) is (split is MtrrLimit.ALWAYS)


def test_what_limits_the_level_follows_the_release_around_a_proposal() -> None:
    """kvm-mem-dma was written for 5.6, where MTRRs limit the level on every fault; slot-flag for 6.8."""
    assert resolve("kvm-mem-dma").split_when == ALWAYS
    assert resolve("quirk-v1").split_when is None
    assert resolve("slot-honor-mtrr").split_when == Atom(NONCOHERENT_DMA)
    assert resolve("slot-flag").split_when == Atom(NONCOHERENT_DMA)


NO_SNOOP_NO_QUIRK = Facts(self_snoop=False, disabled_quirks=QUIRKS["IGNORE_GUEST_PAT"])


@pytest.mark.parametrize(
    ("ref", "reachable"),
    [("6.12.77", True), ("6.12.78", False), ("6.16", False), ("latest", False), ("quirk-v1", True)],
)
def test_self_snoop_off_with_the_quirk_off_cannot_happen(ref: str, reachable: bool) -> None:
    """From v6.16 on IGP cannot be turned off on a CPU without self-snoop; in quirk-v1 it can."""
    kernel = resolve(ref)
    assert any(holds(state.when, NO_SNOOP_NO_QUIRK) for state in kernel.unreachable) is not reachable
    for possible in (Facts(self_snoop=False), NO_SNOOP_NO_QUIRK._replace(self_snoop=True)):
        possible = from_the_start(kernel, possible)
        assert not any(holds(state.when, possible) for state in kernel.unreachable)
    notes = noted(unknown_inputs(kernel, NO_SNOOP_NO_QUIRK))
    assert any("cannot get here" in note for note in notes) is not reachable


def test_inputs_that_a_kernel_does_not_know_are_noted() -> None:
    """Answered all the same, with a note."""
    flagged = Facts(slot_flags=8, disabled_quirks=QUIRKS["IGNORE_GUEST_PAT"])
    assert noted(unknown_inputs(resolve("6.1"), flagged)) == (
        "this kernel has no quirk IGNORE_GUEST_PAT: disabling it does nothing here",
        "this kernel refuses slot flag NON_COHERENT_DMA (EINVAL)",
    )
    assert noted(unknown_inputs(resolve("slot-flag"), flagged._replace(disabled_quirks=QUIRKS["CD_NW_CLEARED"]))) == ()


@pytest.mark.parametrize("name", [proposal.rules.name for proposal in PROPOSALS])
def test_a_proposal_says_that_it_is_one(name: str) -> None:
    assert resolve(name).proposal


def test_rules_that_nobody_placed() -> None:
    """6.10's behaviour if the rules ask for the guest's MTRR type, else the latest."""
    assert kernel_for_rules(resolve("v4.2").rules, "x.c").release == (6, 10)
    assert kernel_for_rules(resolve("v6.11").rules, "x.c").release == newest()


@pytest.mark.parametrize(
    ("ref", "file"),
    [
        ("rules.yaml", True),
        ("vmx.c", True),
        ("0003.patch", True),
        ("series.MBOX", True),
        ("./6.1", True),
        ("dir/slot-flag", True),
        ("-", True),
        ("6.1", False),
        ("slot-flag", False),
        ("latest", False),
    ],
)
def test_a_word_with_a_slash_or_a_suffix_is_a_file(ref: str, file: bool) -> None:
    assert is_file_ref(ref) is file
