# SPDX-License-Identifier: GPL-2.0-only
"""A patch as it was read: mails, the files that they patch, hunks and their lines."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from mtcalc.text.errors import InputError, Place


class HunkLine(NamedTuple):
    """One line of a hunk: ' ' context, '-' removed, '+' added; the text without that sign."""

    kind: str
    text: str
    place: Place


class Hunk(NamedTuple):
    """One hunk; `section` is the text behind the second @@."""

    old_start: int
    old_count: int
    new_start: int
    new_count: int
    section: str
    lines: tuple[HunkLine, ...]
    place: Place
    trouble: InputError | None = None  # why its lines are not surely those of the hunk


class FilePatch(NamedTuple):
    """What a patch does to one file; `depth` is how often it is quoted, `trouble` the first, its hunks' too."""

    path: str
    hunks: tuple[Hunk, ...]
    place: Place
    trouble: InputError | None = None
    depth: int = 0
    blobs: tuple[str, str] = ("", "")  # the hashes of its index line, before and after


class Mail(NamedTuple):
    """One patch mail; number and total are those of [PATCH 3/4], 0 where it has none."""

    subject: str
    author: str
    date: date | None
    message_id: str
    number: int
    total: int
    files: tuple[FilePatch, ...]
    place: Place
    version: int = 1
    cover: bool = False  # [PATCH 0/4]
    commit: bool = False  # of `git log -p`
    no_change: bool = False  # its message says that nothing changes in function
