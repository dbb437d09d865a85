# SPDX-License-Identifier: GPL-2.0-only
"""Patch mails as what is reviewed: one file or several, a directory of them, and an earlier version beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from mtcalc.patches.decode import patch_text
from mtcalc.patches.read import NoPatchError, Series, read_series
from mtcalc.patches.result import CFile
from mtcalc.patches.series import Whole
from mtcalc.patches.stages import reviewed_series
from mtcalc.refs.file import base_of_patches
from mtcalc.refs.git_base import GitBase, index_base, revision_base
from mtcalc.refs.kinds import FileKind, kind_by_content
from mtcalc.refs.resolve import resolve
from mtcalc.rules.kernel import Kernel
from mtcalc.text.errors import InputError
from mtcalc.text.filenames import PATCH_SUFFIXES, is_git_ref
from mtcalc.text.source import read_bytes


class Top(NamedTuple):
    """What somebody says of what patches go on top of: --base, --kernel, --git."""

    base: str | None = None
    release: str | None = None
    git: str | None = None


class Reviewed(NamedTuple):
    """Patches as they were read on a base, and that base: what an earlier version goes on top of too."""

    whole: Whole
    below: Kernel | CFile | GitBase | None


def reviewed_mails(words: Sequence[str], top: Top) -> Reviewed:
    """The patches of files, of directories (each file in them by its name), of standard input ('-').

    On top of what somebody names, else of the file that an index line names, else of the rule set that they fit.
    Raises InputError; ValueError for a base that is not known.
    """
    series, name = _series_of(words), _name(words)
    below = _named_base(top)
    if below is None:
        found = index_base(series.patches, top.release, top.git)
        if found is not None:
            try:
                return Reviewed(_on(series, name, found), found)
            except ValueError:  # a damaged mail, or C that is not understood: the statements may still tell
                below = None
    whole = _on(series, name, below)
    return Reviewed(whole, below or whole.before)


def earlier_version(word: str, new: Reviewed, top: Top) -> Whole:
    """An earlier version of the patches, on the base of the new one, else on the one that it fits itself.

    Raises InputError.
    """
    series = _series_of([word])
    try:
        return _on(series, word, new.below)
    except InputError:
        if top.base is not None or new.below is None:
            raise
        return _on(series, word, None)


def _named_base(top: Top) -> Kernel | CFile | GitBase | None:
    if top.base is None:
        return None
    if is_git_ref(top.base) and "+" not in top.base:
        return revision_base(top.base, top.release, top.git)
    again = partial(resolve, release=top.release, git=top.git)
    return base_of_patches(top.base, again, release=top.release, git=top.git)


def _on(series: Series, name: str, below: Kernel | CFile | GitBase | None) -> Whole:
    if not isinstance(below, GitBase):
        return reviewed_series(series, name, below)
    whole = reviewed_series(series, name, below.source)
    if whole.before is None or whole.after is None:
        return whole._replace(base=below.name)
    before = whole.before._replace(ref=below.name, rules=whole.before.rules._replace(name=below.name))
    after = whole.after._replace(proposal=f"patch on top of {below.name}")
    return whole._replace(before=before, after=after, base=below.name, base_note=below.note or "")


def _series_of(words: Sequence[str]) -> Series:
    paths = [path for word in words for path in _files(word)]
    contents = [(read_bytes(path), path) for path in paths]
    try:
        return read_series([(patch_text(content, path), path) for content, path in contents])
    except NoPatchError as error:
        found = next((content for content, path in contents if error.place and error.place.file == path), b"")
        kind = None if _SCENARIO.search(found) else kind_by_content(found)
        if kind not in (FileKind.C, FileKind.RULES):
            raise
        what = f"no patch found: it is {kind.value} (mtcalc diff compares two of these; a review takes patches)"
        raise InputError(what, error.place) from None


_SCENARIO = re.compile(rb"^memslots[ \t]*:", re.M)  # it may name rules too


def _files(word: str) -> list[str]:
    if word == "-" or not os.path.isdir(word):
        return [word]
    names = sorted(name for name in os.listdir(word) if name.lower().endswith(PATCH_SUFFIXES))
    paths = [path for path in (os.path.join(word, name) for name in names) if os.path.isfile(path)]
    if not paths:
        raise InputError(f"{word}: a directory without a patch in it (files that end with {', '.join(PATCH_SUFFIXES)})")
    return paths


def _name(words: Sequence[str]) -> str:
    """What the rules after the patches are called."""
    first = words[0].rstrip("/") or words[0]
    return first if len(words) == 1 else f"{first} and {len(words) - 1} more"
