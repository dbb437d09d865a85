# SPDX-License-Identifier: GPL-2.0-only
"""git:REV and git:A..B as what is reviewed: a commit, or all from where it leaves A."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence, Set
from contextlib import suppress
from datetime import date
from difflib import SequenceMatcher

from mtcalc.csource.cut import Cut
from mtcalc.kvm.uapi import Edits
from mtcalc.patches.beside import Beside
from mtcalc.patches.claims import says_no_change
from mtcalc.patches.edits import FILES, MASKS, SLOTS, Sides, edits_between
from mtcalc.patches.hunks import KNOWN
from mtcalc.patches.reached import one_vcpu
from mtcalc.patches.result import with_known
from mtcalc.patches.series import Part, Whole
from mtcalc.patches.stages import MOST_STAGES, without_followed
from mtcalc.refs.git import Git, GitCommit, MissingObject, open_git
from mtcalc.refs.git_beside import PATHS, changed_beside
from mtcalc.refs.history import read_range, touching
from mtcalc.refs.names import named_release
from mtcalc.refs.tree import HELPER_PATHS, HELPERS, MMIO, RULES, TextPiece, Tree, kernel_text
from mtcalc.text.errors import InputError, Place
from mtcalc.text.filenames import GIT


def reviewed_commits(ref: str, release: str | None = None, folder: str | None = None) -> Whole:
    """The commits of git:REV or git:A..B, the oldest first, merges left out, and the rules before and after them.

    Raises InputError: no such commits; rules that can't be read at either end; MissingObject.
    """
    with open_git(folder) as git:
        tree = Tree(git, named_release(release))
        if ".." not in ref:
            commit = git.commit(ref.removeprefix(GIT))
            before, note = _parent(git, ref, commit)
            commits, after, touched = [commit], commit, {commit.id}
        else:
            asked = read_range(git, ref)
            assert asked.first is not None
            ids = git.commits(asked.last.id, asked.first.id)
            if not ids:
                raise InputError(f"{ref}: no commit in it (A..B: those of B that are not in A)")
            commits, after = [git.commit_of(one) for one in reversed(ids)], asked.last
            touched = {*touching(git, asked), *_of_helpers(tree, asked.first, asked.last)}
            before, note = _left_at(git, asked.first, asked.last)
        parts = tuple(_part(tree, commit) if commit.id in touched else _untouched(commit) for commit in commits)
        beside = _beside(tree, before, after, f"{GIT}{after.id[:12]}")
        near = set(_near(git, before, after, commits)) if beside else set()
        if len(near) <= MOST_STAGES:
            parts = tuple(_with_beside(tree, part) if part.commit in near else part for part in parts)
        whole = Whole(parts, f"{GIT}{before.id[:12]}", note, _day(commits[0]), beside=beside)
        pieces = [tree.piece(one, RULES) for one in (before, after)]
        texts = [piece.text if piece else None for piece in pieces]
        known = _read_through(tree, before, after)
        followed = {name for name, changes in known.items() if changes}
        whole = whole._replace(beside=_without(beside, followed))
        beside = whole.beside
        whole = whole._replace(edits=_edits(tree, before, after))
        if texts[0] == texts[1] and not followed and not any(part.touches for part in parts):
            if whole.edits.unzapped:
                with suppress(InputError):  # rules that can't be read ask for anything
                    whole = whole._replace(untouched=tree.kernel(after, ref))
            return whole._replace(asked=_asked(beside, texts[1], known))
        kernels = tree.kernel(before, f"{GIT}{before.id[:12]}"), tree.kernel(after, ref)
        asks = one_vcpu(*(text.functions.decode("utf-8", "replace") if text else "" for text in texts))
        beside = without_followed(beside, *kernels)
        last = with_known(kernels[1], _asked(beside, texts[1], known))
        return whole._replace(before=kernels[0], after=last, one_vcpu=asks, beside=beside)


def _of_helpers(tree: Tree, first: GitCommit, last: GitCommit) -> list[str]:
    """The ids of the commits that touch the files of what the rules ask by name; of many only if that changes."""
    ids = tree.git.commits(last.id, first.id, HELPER_PATHS)
    return ids if len(ids) <= MOST_STAGES or tree.helpers(first) != tree.helpers(last) else []


def _read_through(tree: Tree, before: GitCommit, after: GitCommit) -> dict[str, bool]:
    """The functions that the rules ask by name and whose meaning is known at both ends, and whether it changes."""
    piece = tree.piece(after, RULES)
    old, new = tree.helpers(before), tree.helpers(after)
    return {
        name: text != old[name]
        for name, text in new.items()
        if piece is not None
        and name.encode() in piece.text.functions
        and text is not None
        and old.get(name) is not None
    }


def _followed(tree: Tree, before: GitCommit, after: GitCommit) -> set[str]:
    """Those of them that mean another thing afterwards."""
    return {name for name, changes in _read_through(tree, before, after).items() if changes}


def _without(beside: Sequence[Beside], followed: Set[str]) -> tuple[Beside, ...]:
    return tuple(one for one in beside if one.name.removesuffix("()") not in followed)


def _asked(beside: Sequence[Beside], text: Cut | None, known: Collection[str]) -> tuple[str, ...]:
    """The functions that the rules ask by name, and that are changed beside them in a way that is not known."""
    listed = [one.name.removesuffix("()") for one in beside if one.name.endswith("()")]
    names = [name for name in listed if name not in known]
    return tuple(name for name in names if text is not None and name in KNOWN and name.encode() in text.functions)


def _beside(tree: Tree, before: GitCommit, after: GitCommit, name: str) -> tuple[Beside, ...]:
    """What is changed beside the rules between two commits; nothing where a clone lacks what tells."""
    with suppress(MissingObject):
        return changed_beside(tree, before, after, name)
    return ()


def _near(git: Git, before: GitCommit, after: GitCommit, commits: Sequence[GitCommit]) -> list[str]:
    """The ids of the commits that touch a file with what is beside the rules."""
    return [commits[0].id] if len(commits) == 1 else git.commits(after.id, before.id, PATHS)


def _with_beside(tree: Tree, part: Part) -> Part:
    """A part with what its commit changes beside the rules."""
    try:
        commit = tree.git.commit_of(part.commit)
        parent = tree.git.commit_of(commit.parents[0])
    except (InputError, IndexError):
        return part
    beside = _without(_beside(tree, parent, commit, f"{GIT}{commit.id[:12]}"), _followed(tree, parent, commit))
    if part.before is not None and part.after is not None:
        beside = without_followed(beside, part.before, part.after)
    return part._replace(beside=beside)


def _parent(git: Git, ref: str, commit: GitCommit) -> tuple[GitCommit, str]:
    if not commit.parents:
        raise InputError(f"{ref} is the first commit: nothing is before it (git:A..B, or a later one)")
    try:
        parent = git.commit_of(commit.parents[0])
    except MissingObject as error:
        raise MissingObject(f"{ref}: the commit before it is missing: {error.message}") from None
    merge = "the first commit before a merge" if len(commit.parents) > 1 else "the commit before"
    return parent, f"base {GIT}{parent.id[:12]}: {merge}, {parent.title}"


def _left_at(git: Git, first: GitCommit, last: GitCommit) -> tuple[GitCommit, str]:
    """The commit before a range: its first end, or where it left the history of that end."""
    left = git.fork_points(last.id, first.id)
    if first.id in left or not left:
        return first, f"base {GIT}{first.id[:12]}: {first.title}"
    fork = git.commit_of(left[0])
    return fork, f"base {GIT}{fork.id[:12]}: where the range leaves {first.id[:12]}, {fork.title}"


def _untouched(commit: GitCommit) -> Part:
    return Part(commit.subject, commit.author, commit=commit.id, no_change=says_no_change(commit.message))


def _part(tree: Tree, commit: GitCommit) -> Part:
    part = _untouched(commit)
    try:
        parent = tree.git.commit_of(commit.parents[0]) if commit.parents else None
        if parent is None:
            return part
        same = all(_text(tree, parent, what) == _text(tree, commit, what) for what in (RULES, MMIO))
        helpers = _followed(tree, parent, commit)
        if same and not helpers:
            return part
        lines = _helpers_at(tree, parent, commit, helpers) if same else _changed_at(tree, parent, commit)
        part = part._replace(touches=True, lines=lines)
        part = part._replace(edits=_edits(tree, parent, commit))
        before = tree.kernel(parent, f"{GIT}{parent.id[:12]}")
        return part._replace(before=before, after=tree.kernel(commit, f"{GIT}{commit.id[:12]}"))
    except InputError as error:
        return part._replace(touches=True, why=str(error).partition("\n")[0])


_CALLED = re.compile(rb"\b([A-Za-z_]\w*)\s*\(")


def _changed_at(tree: Tree, parent: GitCommit, commit: GitCommit) -> tuple[Place, ...]:
    """The lines that a commit changes of the function and of what it calls in its file, as that is after the commit.

    Where the rules are as they were, the function is the host-MMIO test; where no line of either changes, the line of
    its head stands for a macro.
    """
    what = RULES if _text(tree, parent, RULES) != _text(tree, commit, RULES) else MMIO
    was, now = tree.piece(parent, what), tree.piece(commit, what)
    if now is None:  # it is gone
        return (Place(was.spot.path if was else "Makefile", 1, 1),)
    old, new = (_functions(tree, piece) if piece else {} for piece in (was, now))
    own = now.spot.function
    numbers: list[int] = []
    for name in sorted(new, key=lambda name: name != own):
        head, lines = new[name]
        blocks = SequenceMatcher(None, old.get(name, (0, []))[1], lines, autojunk=False).get_opcodes()
        for tag, _, _, start, end in blocks:
            if tag != "equal":  # what is gone has stood before the next line
                numbers += range(head + start, head + max(end, start + 1))
    return tuple(Place(now.spot.path, number, 1) for number in numbers or [new[own][0] if own in new else 1])


def _helpers_at(tree: Tree, parent: GitCommit, commit: GitCommit, names: Set[str]) -> tuple[Place, ...]:
    """The first line that a commit changes of each of some functions of HELPERS, as their file is after it."""
    found = []
    for name in sorted(names):
        for path in HELPERS[name]:
            old, new = (tree.helper_text(one, name, path) for one in (parent, commit))
            entry = tree.entry(commit.tree, path)
            if not new or old == new or entry is None:
                continue
            text = kernel_text(tree.git.read(entry.id))
            pairs = zip(old.split("\n"), new.split("\n"), strict=False)
            same = next((at for at, (was, now) in enumerate(pairs) if was != now), 0)
            found.append(Place(path, text[: text.index(new)].count("\n") + 1 + same, 1))
    return tuple(found)


def _functions(tree: Tree, piece: TextPiece) -> dict[str, tuple[int, list[str]]]:
    """A function and those of its file that it calls: the number of the first line, and the lines up to the brace."""
    text = kernel_text(tree.git.read(piece.blob))
    names = {piece.spot.function, *(name.decode() for name in _CALLED.findall(piece.text.functions))}
    called = "|".join(sorted(names))
    head = re.compile(rf"^[A-Za-z_][^;{{}}()\n]*\b({called})\s*\([^;{{}}]*\)\s*\{{", re.MULTILINE)
    found = {}
    for match in head.finditer(text):
        end = text.find("\n}", match.end())
        first = text.count("\n", 0, match.start()) + 1
        found[match[1]] = first, text[match.start() : end if end >= 0 else None].split("\n")
    return found


def _edits(tree: Tree, before: GitCommit, after: GitCommit) -> Edits:
    """What is changed of the interface and of what keeps entries fresh; of a tree that lacks files nobody knows."""
    with suppress(MissingObject):
        return edits_between([sides for path in FILES for sides in _sides(tree, before, after, path)])
    return Edits()


def _sides(tree: Tree, before: GitCommit, after: GitCommit, path: str) -> Iterator[Sides]:
    """A file at both ends; one that stays is of no interest but for what stands in it anyway."""
    entries = [tree.entry(commit.tree, path) for commit in (before, after)]
    if entries[0] != entries[1] or path in (MASKS, SLOTS):
        texts = (kernel_text(tree.git.read(one.id)) if one and not one.folder else "" for one in entries)
        yield Sides(path, *texts)


def _text(tree: Tree, commit: GitCommit, what: str) -> object:
    piece = tree.piece(commit, what)
    return piece and piece.text


def _day(commit: GitCommit) -> date | None:
    with suppress(ValueError):
        return date.fromisoformat(commit.date)
    return None
