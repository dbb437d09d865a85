# SPDX-License-Identifier: GPL-2.0-only
"""The commits of a git tree that change the text of the rules or of the host-MMIO test, each with both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from mtcalc.kvm.release import newest
from mtcalc.refs.git import Git, GitCommit, MissingObject, check_revision
from mtcalc.refs.tree import MMIO, PATHS, RULES, SPOTS, TextPiece, Tree
from mtcalc.rules.kernel import Kernel
from mtcalc.rules.rule import RuleSet
from mtcalc.text.errors import InputError
from mtcalc.text.filenames import GIT


class LoggedSide(NamedTuple):
    """A function before or after a commit."""

    there: bool
    name: str = ""  # what it is called there
    kernel: Kernel | None = None  # vmx_get_mt_mask(), where it is read
    test: RuleSet | None = None  # the host-MMIO test, where it is read
    why: str = ""  # why it is not read


class LoggedStep(NamedTuple):
    """A commit that changes the text of a function, RULES or MMIO, or may: `missing` says what is not there to tell."""

    commit: GitCommit
    what: str
    before: LoggedSide = LoggedSide(False)
    after: LoggedSide = LoggedSide(False)
    same_text: bool = False  # the function's own; what stands around it changes
    missing: str = ""


class Range(NamedTuple):
    """A..B of a git tree; `first` None: from the beginning."""

    first: GitCommit | None
    last: GitCommit


def read_range(git: Git, words: str) -> Range:
    """'A..B', 'A..', '..B' or a single revision, whose whole history is meant. Raises InputError."""
    words = words.removeprefix(GIT)
    if "..." in words:
        raise InputError(f"{words}: three dots (A..B)")
    first, dots, last = words.partition("..")
    if not dots:
        return Range(None, git.commit(words))
    for word in (first, last):
        check_revision(word or "HEAD")
    return Range(git.commit(first or "HEAD"), git.commit(last or "HEAD"))


def touching(git: Git, asked: Range) -> list[str]:
    """The ids of the commits that touch one of the files, newest first, merges left out. Raises InputError."""
    return git.commits(asked.last.id, asked.first.id if asked.first else None, PATHS)


def steps(tree: Tree, ids: list[str], tick: Callable[[], None] = lambda: None) -> Iterator[LoggedStep]:
    """The changes among commits, in their order; `tick` is called for each commit looked at. Raises InputError."""
    for object_id in ids:
        commit = tree.git.commit_of(object_id)
        for what in (RULES, MMIO):
            step = _step(tree, commit, what)
            if step is not None:
                yield step
        tick()


def _step(tree: Tree, commit: GitCommit, what: str) -> LoggedStep | None:
    try:
        parent = tree.git.commit_of(commit.parents[0]) if commit.parents else None
    except MissingObject:
        # The last commit of a shallow clone: nothing says that it changed what it has.
        missing = "the history ends here (a shallow clone): what the commit before had is not known"
        return LoggedStep(commit, what, missing=missing) if what == RULES else None
    try:
        if parent is not None and _same_files(tree, parent, commit, what):
            return None
        before = tree.piece(parent, what) if parent is not None else None
        after = tree.piece(commit, what)
    except MissingObject:
        missing = "a version of its file is missing (a partial clone): whether it changes is not known"
        return LoggedStep(commit, what, missing=missing)
    except InputError as error:
        return LoggedStep(commit, what, missing=f"whether it changes is not known: {error.message}")
    if (before and before.text) == (after and after.text):
        return None
    same = before is not None and after is not None and before.text.functions == after.text.functions
    return LoggedStep(commit, what, _side(tree, parent, before, what), _side(tree, commit, after, what), same)


def _same_files(tree: Tree, one: GitCommit, other: GitCommit, what: str) -> bool:
    return all(tree.entry(one.tree, spot.path) == tree.entry(other.tree, spot.path) for spot in SPOTS[what])


def _side(tree: Tree, commit: GitCommit | None, piece: TextPiece | None, what: str) -> LoggedSide:
    if commit is None or piece is None:
        return LoggedSide(False)
    name = piece.spot.function
    ref = f"{GIT}{commit.id[:12]}"
    try:
        if what == RULES:
            return LoggedSide(True, name, kernel=tree.kernel(commit, ref))
        around = tree.around(commit)
        test = tree.mmio_test(piece, around.release if around else newest(), ref)
        return LoggedSide(True, name, test=test, why="" if test else "it is not read as rules")
    except InputError as error:
        return LoggedSide(True, name, why=str(error).partition("\n")[0])
