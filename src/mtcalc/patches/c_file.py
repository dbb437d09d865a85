# SPDX-License-Identifier: GPL-2.0-only
"""Patches applied to a C file, line by line, with what they add in other files behind it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from mtcalc.csource.mmio import INNER, TEST
from mtcalc.csource.predicates import FUNCTION
from mtcalc.csource.tokens import Function, Token, functions, render, texts, tokens
from mtcalc.patches.hunks import CutHunk, KnownChange, Prepared, holds_function, hunk_name, prepare
from mtcalc.patches.known import known_changes, not_followed
from mtcalc.patches.lines import PatchedLine, apply_hunk
from mtcalc.patches.macros import macro_name, parameters, use_of
from mtcalc.patches.meant import meant
from mtcalc.patches.pieces import whole
from mtcalc.patches.reached import functions_in, reached_from, words_by_function
from mtcalc.patches.records import FilePatch, Hunk, Mail
from mtcalc.patches.result import CFile, NothingTouchedError
from mtcalc.text.errors import InputError, Place


class PatchedC(NamedTuple):
    lines: list[PatchedLine]
    mails: tuple[Mail, ...]
    left_aside: tuple[str, ...]
    known: tuple[KnownChange, ...]
    numbered: tuple[Hunk, ...]  # placed by their line number alone


def patch_c(mails: Sequence[Mail], source: CFile) -> PatchedC:
    """A C file with the patches applied, in order.

    Takes hunks of a file of the same base name; where there are none, those of vmx.c, of which what lies outside the
    given functions is left aside. Raises InputError for a hunk that is not found, found twice or unreadable;
    NothingTouchedError where no hunk concerns the file.
    """
    raw = [line.removesuffix("\r") for line in source.text.split("\n")]
    lines = [PatchedLine(line, Place(source.file, n, 1, line)) for n, line in enumerate(raw, 1)]
    mails, quoted = meant(mails)
    defined = words_by_function(functions_in(raw))
    tests = [reached_from(name, defined) for name in (TEST, INNER) if name in defined]
    patches = prepare(mails, reached_from(FUNCTION, defined).union(*tests), known_changes(mails))
    work = _Work(patches, source.file, mails, defined, lines, quoted)
    for mail in mails:
        for item in mail.files:
            work.apply(mail, item)
    if patches.unbalanced and patches.cuts:
        raise patches.unbalanced
    lines = _expanded(patches, work.lines)
    held = functions_in([line.text for line in lines])
    added = _added_elsewhere(patches, held)
    touching = work.touching
    touching += [change.mail for change in patches.known if change.new and change.mail not in touching]
    if not touching:
        raise NothingTouchedError(mails, source.file, not_followed(patches, [source.text]))
    macros = _macros_elsewhere(patches, held, {macro_name(line.text) for line in lines})
    lines = [*macros, *lines, *added]
    _check_parameters(patches, lines)
    hunks = ((item, hunk) for mail in mails for item in mail.files for hunk in item.hunks)
    used = {hunk_name(item, hunk) for item, hunk in hunks if patches.macros.holds_used(hunk)}
    left = tuple(name for name in dict.fromkeys(work.aside) if name not in used)
    return PatchedC(lines, tuple(touching), left, patches.known, tuple(work.numbered))


class _Work:
    """A C file's lines while hunks are applied to them, and what is left aside of these."""

    def __init__(
        self,
        patches: Prepared,
        file: str,
        mails: Sequence[Mail],
        defined: Mapping[str, set[str]],
        lines: list[PatchedLine],
        aside: list[str],
    ) -> None:
        self.patches = patches
        self.file = file
        self.base_name = file.replace("\\", "/").rsplit("/", 1)[-1]
        self.own = any(_is_for(item, self.base_name, file) for mail in mails for item in mail.files)
        self.defined = defined
        self.cuts = {id(cut.hunk): cut for cut in patches.cuts}
        self.lines = lines
        self.aside = aside
        self.touching: list[Mail] = []
        self.numbered: list[Hunk] = []  # placed by their line number alone

    def apply(self, mail: Mail, item: FilePatch) -> None:
        """Applies what a mail does to one file. Raises InputError."""
        here = _is_for(item, self.base_name, self.file) if self.own else holds_function(item)
        by_number = here and self.own and (not item.blobs[0] or _is_blob(self.lines, item.blobs[0]))
        shift = 0
        for hunk in item.hunks or (None,):
            cut = self.cuts.get(id(hunk))
            if hunk is None or not (here or _changes_one_of(cut, self.defined)):
                self.aside += [] if cut and _adds_used(cut, self.patches) else [hunk_name(item, hunk)]
                continue
            ours = here and cut is not None
            applied = _applied(self.lines, hunk, shift, not (self.own and here), ours, by_number)
            by_number = by_number and (applied is not None or (cut is not None and here and _adds_alone(cut)))
            if applied is None:
                self._without(item, hunk, cut if here else None)
                continue
            if not hunk.old_count and not item.blobs[0]:
                self.numbered.append(hunk)
            self.lines, moved = applied
            shift += moved
            if mail not in self.touching:
                self.touching.append(mail)

    def _without(self, item: FilePatch, hunk: Hunk, cut: CutHunk | None) -> None:
        """Does without a hunk that does not fit. Raises InputError where it is one that matters, `cut`."""
        if cut is None:
            self.aside.append(hunk_name(item, hunk))
        elif not _adds_alone(cut):  # else it is what is moved to another file
            what = f"this hunk does not fit {self.file} (its old lines are not in it)"
            raise InputError(what, hunk.place)


def _is_blob(lines: Sequence[PatchedLine], name: str) -> bool:
    """Whether lines are the file that git calls so."""
    import hashlib

    data = "\n".join(line.text for line in lines).encode("utf-8", "surrogateescape")
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest().startswith(name)


def _applied(
    lines: list[PatchedLine], hunk: Hunk, shift: int, partial: bool, ours: bool, by_number: bool
) -> tuple[list[PatchedLine], int] | None:
    """apply_hunk(), and None for a hunk elsewhere that can't be read or that fits in several places."""
    if hunk.trouble and not ours:
        return None
    try:
        return apply_hunk(lines, hunk, shift, partial, by_number)
    except InputError:
        if ours:
            raise
        return None


def _expanded(patches: Prepared, lines: list[PatchedLine]) -> list[PatchedLine]:
    """The lines with the plain macros that the patches add expanded, where a call stands in one line."""
    found = []
    for line in lines:
        text = line.text
        if not any(mark in text for mark in ("/*", "*/", "//", '"', "'", "#")) and patches.macros.may_stand_in(text):
            body = tokens([(text, None)])
            made = tuple(body)
            with suppress(InputError):  # a matter of the functions that are reached, which come later
                made = patches.macros.expanded(body)
            if made != tuple(body):
                indent = text[: len(text) - len(text.lstrip())]
                text = indent + render([token._replace(gap=token.gap.replace("\n", "")) for token in made]).text.strip()
        found.append(line._replace(text=text))
    return found


def _changes_one_of(cut: CutHunk | None, defined: Mapping[str, set[str]]) -> bool:
    """Whether a hunk of another file changes a function that the C file holds."""
    return cut is not None and any(piece.name in defined for piece in cut.before)


def _adds_alone(cut: CutHunk) -> bool:
    """Whether a hunk only adds, and adds functions."""
    added = _new_functions(cut)
    return bool(added) and all(line.kind != "-" for line in cut.hunk.lines)


def _adds_used(cut: CutHunk, patches: Prepared) -> bool:
    """Whether a hunk adds a function that is reached, or changes one asked by name in a way that is followed."""
    followed = {change.name for change in patches.known if change.new}
    added = any(function.name in patches.names for function in _new_functions(cut))
    return added or any(piece.name in followed for piece in cut.before)


def _new_functions(cut: CutHunk) -> list[Function]:
    """The functions that a hunk adds whole."""
    before = {piece.name for piece in cut.before if piece.head}
    ends = ((piece, whole(piece)) for piece in cut.after if piece.head and piece.name not in before)
    return [Function(piece.name, piece.head, piece.body[:end]) for piece, end in ends if end is not None]


def _added_elsewhere(patches: Prepared, held: Sequence[Function]) -> list[PatchedLine]:
    """The functions that the patches add in other files, or change there, as lines behind the C file.

    Raises InputError for two of one name that differ.
    """
    defined = {function.name for function in held}
    known: dict[str, Function] = {change.name: change.new for change in patches.known if change.new}
    added = dict(known)
    for cut in patches.cuts:
        for function in _new_functions(cut):
            if function.name in defined or function.name in known or function.name not in patches.names:
                continue
            if texts(added.setdefault(function.name, function).body) != texts(function.body):
                what = f"the patch adds two {function.name}() that differ (the one that is compiled)"
                raise InputError(what, function.head[0].place or cut.hunk.place)
    found = []
    for function in added.values():
        if function.name in defined:
            continue
        start = function.head[0]._replace(gap="\n")
        written = render((start, *function.head[1:], Token("{", "\n", None), *function.body))
        for number, text in enumerate(written.text.rstrip("\n").split("\n"), 1):
            token = written.token_near(number, 1)
            place = next((token.place for token in (token, *function.head) if token and token.place), None)
            if place is not None:
                found.append(PatchedLine(text, place))
    return found


def _macros_elsewhere(patches: Prepared, held: Sequence[Function], here: Collection[str]) -> list[PatchedLine]:
    """The macros that the patches add in other files and that the function comes to, as lines above the C file."""
    reached = reached_from(FUNCTION, words_by_function(held))
    used = patches.macros.used_in([function.body for function in held if function.name in reached])
    return [PatchedLine(render(macro.line).text.strip(), macro.place) for macro in used if macro.name not in here]


def _check_parameters(patches: Prepared, lines: Sequence[PatchedLine]) -> None:
    """Raises InputError where a function uses a parameter that the patches take from it."""
    without: dict[str, set[str]] = {}
    for cut in patches.cuts:
        for old in cut.before:
            for new in cut.after:
                if old.head and new.head and old.name == new.name:
                    without[new.name] = without.get(new.name, set()) | parameters(old.head)
                    without[new.name] -= parameters(new.head)
    if not any(without.values()):
        return
    for function in functions(tokens((line.text, line.place) for line in lines)):
        token = use_of(without.get(function.name, ()), function.body)
        if token:
            what = f"after the patch {function.name}() uses {token.text}, which is no parameter of it any longer"
            raise InputError(f"{what} (all hunks of the patch)", token.place)


def _is_for(item: FilePatch, base_name: str, c_file: str) -> bool:
    return item.path.rsplit("/", 1)[-1] == base_name and ("selftests" in item.path) <= ("selftests" in c_file)
