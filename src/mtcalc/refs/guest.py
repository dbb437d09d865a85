# SPDX-License-Identifier: GPL-2.0-only
"""The kernel of a Linux guest, as people name it: `linux-6.8`, `6.8`, the output of `uname -r`, `latest`."""

from __future__ import annotations

from typing import NamedTuple

from mtcalc.kvm.notes import Note
from mtcalc.kvm.release import Version, never_was, newest, sort_key
from mtcalc.refs.names import parse_release
from mtcalc.rules.kernel import version_text

OLDEST_GUEST: Version = (2, 6, 29)
"""The first release whose choice of memory types was read."""


class GuestKernel(NamedTuple):
    """A guest's kernel: its release, and what there is to say of the name it was given by."""

    release: Version
    notes: tuple[Note, ...] = ()


def newest_note() -> Note:
    """That nobody named the guest's kernel, so that the newest known is meant."""
    return Note("guest-kernel", f"no guest kernel is named: taken as {version_text(newest())}, the newest known")


def parse_guest(text: str) -> GuestKernel:
    """The guest kernel that a text names. Raises ValueError where it is no release, or none that is known."""
    word = text.strip()
    if word.lower() == "latest":
        return GuestKernel(newest())
    bare = word[5:].lstrip("- ") if word.lower().startswith("linux") else word
    found = parse_release(bare)
    if found is None:
        others = "of another guest its pages' PAT types are asked for, --pat or pat:"
        raise ValueError(f"'{text}' is no kernel release of a Linux guest (linux-6.8, 6.8, or its uname -r; {others})")
    version, suffix = found
    shown = version_text(version)
    if sort_key(version) < OLDEST_GUEST:
        raise ValueError(f"a guest of Linux {shown} is older than what was read ({version_text(OLDEST_GUEST)} on)")
    if version[:2] > newest()[:2]:
        known = version_text(newest())
        raise ValueError(f"Linux {shown} is newer than the newest known release, {known} (latest: that one)")
    last = never_was(version)
    if last is not None:
        raise ValueError(f"there never was a release {shown} ({version_text(last)} is the last of its series)")
    if not suffix:
        return GuestKernel(version)
    from mtcalc.refs.uname import Words, build_note

    words = Words("guest's choices", "another release's")
    return GuestKernel(version, (Note("guest-kernel", build_note(version, shown, suffix, words)),))
