# SPDX-License-Identifier: GPL-2.0-only
"""REFs that are no files: a built-in name, a kernel release, the output of `uname -r`, `host`, `latest`.

Any of them may have a proposal on top: `6.6+slot-flag`.
"""

from __future__ import annotations

import re

from mtcalc.kvm.notes import Note
from mtcalc.kvm.release import OLDEST, Version, never_was, newest, sort_key
from mtcalc.rules.builtin import built_in, built_in_names, latest
from mtcalc.rules.kernel import Kernel, kernel_at, version_text
from mtcalc.rules.proposals import on_top, proposal_on_top
from mtcalc.rules.releases import RELEASES, Release, release_at
from mtcalc.text.filenames import is_file_ref


def resolve_name(ref: str) -> Kernel:
    """The Kernel a REF names that is no file. `v4.4` is the git tag, so the release 4.4, as `4.4` is.

    Raises ValueError: unknown, with the nearest names; newer than the newest known; older than the function; a
    proposal that does not go on top of the rest.
    """
    word = _without_linux(ref.strip())
    if word.lower() == "latest":
        return latest(ref)
    if word.lower() == "host":
        return _of_host(ref)
    below, plus, name = word.rpartition("+")
    if plus and below:
        proposal = proposal_on_top(name)
        if proposal is not None:
            return on_top(resolve_name(below), proposal)._replace(ref=ref)
    release = parse_release(word)
    if release is not None:
        return _of_release(ref, *release, merge_window="rc0" in word.lower())
    kernel = built_in(word.lower())
    if kernel is not None:
        return kernel._replace(ref=ref)
    from mtcalc.text.suggest import nearest

    inside = [part for part in re.split(r"[\s,;]+", word) if parse_release(part)]
    if "," in word and inside:
        raise ValueError(f"unknown rule set '{ref}' (one at a time: {' '.join(f'-r {part}' for part in inside)})")
    if inside:  # uname -a and the like
        raise ValueError(f"unknown rule set '{ref}' (did you mean {inside[0]}? uname -r prints it alone)")
    names = (*built_in_names(), "latest", "host")
    near = nearest(word.lower(), names)
    printed = "a kernel release as uname -r prints it"
    right = f"did you mean {' or '.join(near)}?" if near else f"one of {', '.join(names)}, or {printed}"
    raise ValueError(f"unknown rule set '{ref}' ({right})")


def _without_linux(word: str) -> str:
    """A release without the word before it: linux-6.1, Linux 6.1."""
    bare = word[5:].lstrip("- ") if word[:5].lower() == "linux" else word
    return bare if parse_release(bare) is not None else word


def _of_host(ref: str) -> Kernel:
    """This machine's kernel. Raises ValueError where it is not Linux, or not one that is known."""
    import os

    machine = os.uname()
    release = parse_release(machine.release) if machine.sysname == "Linux" else None
    if release is None:
        raise ValueError(f"host: this machine runs {machine.sysname} {machine.release} (a Linux release: -r 6.12)")
    try:
        kernel = _of_release(ref, *release)
    except ValueError as error:
        raise ValueError(f"host: {error}") from None
    return kernel._replace(notes=(Note("host", f"host is {machine.release}"), *kernel.notes))


def parse_release(word: str) -> tuple[Version, str] | None:
    """(version, what stands behind) of a release or of `uname -r` output, None where it is neither.

    '6.12.107+deb12-amd64' -> ((6, 12, 107), '+deb12-amd64'); '6.11-rc3' -> ((6, 11, -1), '').
    """
    text = word[1:] if word[:1] in ("v", "V") else word
    end = 0
    while end < len(text) and (text[end].isdigit() or (text[end] == "." and text[end + 1 : end + 2].isdigit())):
        end += 1
    digits, suffix = text[:end], text[end:]
    parts = digits.split(".")
    if not 2 <= len(parts) <= 4 or not text.isascii() or any(not p or len(p) > 4 or p != str(int(p)) for p in parts):
        return None
    version = tuple(map(int, parts))
    if suffix and (suffix[0] not in "-+_~" or suffix in ("-", "_", "~") or not suffix.isprintable()):
        return None
    if len(version) == 4 and version[0] >= 3:  # mainline has three numbers, a fourth is a vendor's
        version, suffix = version[:3], f".{parts[3]}{suffix}"
    while len(version) > 2 and version[0] >= 3 and version[-1] == 0:
        version = version[:-1]
    if suffix:
        from mtcalc.refs.uname import CANDIDATE  # patterns that a plain name or release has no use for

        candidate = CANDIDATE.match(suffix)
        if candidate:
            return (*version, -1), suffix[candidate.end() :]
    return version, suffix


def _of_release(ref: str, version: Version, suffix: str, merge_window: bool = False) -> Kernel:
    shown = version_text(version)
    if sort_key(version) < OLDEST:
        raise ValueError(f"{shown} is older than vmx_get_mt_mask() (2.6.28 is the first release with it)")
    if version[:2] > newest()[:2]:
        raise ValueError(
            f"{shown} is newer than the newest known release, {version_text(newest())} (latest: the newest known rules)"
        )
    last = never_was(version)
    if last is not None:
        raise ValueError(f"there never was a release {shown} ({version_text(last)} is the last of its series)")
    notes: list[Note] = []
    candidate = version[-1] == -1
    if candidate:
        notes += _candidate_notes(version, shown, merge_window)
        if not _has_own(version):
            version = version[:-1]
    row = release_at(version)
    kernel = kernel_at(version, row.rules, ref)
    notes += _release_notes(version, row, shown, suffix, candidate)
    return kernel._replace(notes=tuple(notes))


def _has_own(candidate: Version) -> bool:
    """Whether a release's candidates have rules of their own."""
    return any(row.since == candidate for row in RELEASES)


def _candidate_notes(candidate: Version, shown: str, merge_window: bool) -> list[Note]:
    """What is known of a release's candidates: some have rules of their own, a stable release's the release's."""
    release = candidate[:-1]
    text = ""
    if merge_window:
        text = f"{shown}0 is a snapshot before the first candidate: the rules may not be in yet"
    elif any(row.since == release and row.candidates for row in RELEASES):
        text = f"{shown}: the rules came in between the candidates, an early one may have those before"
    elif len(release) > 2 and release[0] > 2:
        text = f"{shown} is taken as {version_text(release)}"
    elif not _has_own(candidate):
        text = f"{shown} is taken as {version_text(release)}: its rules came in before the first candidate"
    return [Note("candidate", text)] if text else []


def _release_notes(version: Version, row: Release, shown: str, suffix: str, candidate: bool) -> list[Note]:
    notes = []
    later = [other for other in RELEASES if len(other.since) == 3 and other.since[:2] == version and other.since[2] > 0]
    if later and version[0] >= 3 and not candidate:
        text = f"{shown} is {shown}.0; from {version_text(later[0].since)} on, {later[0].rules.name}"
        notes.append(Note("stable", text))
    if suffix:
        from mtcalc.refs.uname import build_note

        notes.append(Note("build", build_note((*version, -1) if candidate else version, shown, suffix)))
    if sort_key(version) < row.read:  # rests on memory alone
        notes.append(Note("unconfirmed", f"unconfirmed: that {shown} has {row.rules.name}"))
    return notes


def named_release(release: str | None) -> Kernel | None:
    """The kernel that --kernel names, if it does. Raises ValueError."""
    if release is None:
        return None
    if is_file_ref(release):
        raise ValueError(f"--kernel {release} is a file (a kernel release, or a built-in rule set)")
    try:
        return resolve_name(release)
    except ValueError as error:
        raise ValueError(f"--kernel: {error}") from None
