# SPDX-License-Identifier: GPL-2.0-only
"""The kernel of a Linux guest, as people name it."""

from __future__ import annotations

import re

import pytest

from mtcalc.kvm.release import newest
from mtcalc.refs.guest import parse_guest


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("linux-6.8", (6, 8)),
        ("6.8", (6, 8)),
        ("v6.8", (6, 8)),
        ("Linux 6.8", (6, 8)),
        ("linux-6.1.32", (6, 1, 32)),
        ("6.11-rc3", (6, 11, -1)),
        ("2.6.29", (2, 6, 29)),
        ("latest", newest()),
        (" linux-4.1.0 ", (4, 1)),
    ],
)
def test_a_release(text: str, release: tuple[int, ...]) -> None:
    assert parse_guest(text) == (release, ())


def test_a_vendors_build_earns_a_note() -> None:
    guest = parse_guest("6.8.0-45-generic")
    assert guest.release == (6, 8)
    (note,) = guest.notes
    assert note.code == "guest-kernel"
    assert note.text.startswith("guest's choices of mainline 6.8; '-45-generic' is Ubuntu's build")
    (note,) = parse_guest("4.18.0-305.el8.x86_64").notes
    assert note.text.endswith("who backports later KVM: likely another release's")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("windows", "'windows' is no kernel release of a Linux guest (linux-6.8, 6.8, or its uname -r; "),
        ("linux-", "'linux-' is no kernel release"),
        ("6", "'6' is no kernel release"),
        ("linux-2.6.28", "a guest of Linux 2.6.28 is older than what was read (2.6.29 on)"),
        ("linux-99.1", "Linux 99.1 is newer than the newest known release"),
        ("linux-5.20", "there never was a release 5.20 (5.19 is the last of its series)"),
    ],
)
def test_what_is_none(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=re.escape(error)):
        parse_guest(text)
