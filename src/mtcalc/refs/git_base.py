# SPDX-License-Identifier: GPL-2.0-only
"""What a patch goes on top of, out of a git tree: the blob of its index line, or a revision that somebody names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mtcalc.csource.cut import cut
from mtcalc.patches.apply import rules_from_patch
from mtcalc.patches.hunks import HOST_MMIO, holds_function
from mtcalc.patches.records import FilePatch, Mail
from mtcalc.patches.result import CFile, NothingTouchedError, PatchedRules
from mtcalc.refs.git import Git, open_git
from mtcalc.refs.names import named_release
from mtcalc.refs.tree import MMIO, RULES, SPOTS, Tree, kernel_text
from mtcalc.text.errors import InputError
from mtcalc.text.filenames import GIT


class GitBase(NamedTuple):
    """A file of a git tree that patches go on top of, what it is called, and why it was taken where nobody named it."""

    source: CFile
    name: str
    note: str | None = None


def index_base(mails: Sequence[Mail], release: str | None = None, folder: str | None = None) -> GitBase | None:
    """The very file that patches were made on; None where it is not there.

    An index line has the id of that file's content, so what is found is no guess; whether the patches apply to it is
    to be asked all the same, since the id is cut short. Raises InputError for a `folder` that is no git tree.
    """
    rules, test = _first_at(mails, RULES), _first_at(mails, MMIO)
    if rules is None and test is None:
        return None
    try:
        with open_git(folder) as git:
            files = [_file_of(git, item, what) for item, what in ((rules, RULES), (test, MMIO)) if item]
            found = [one for one in files if one is not None]
            if not found or (rules is not None and files[0] is None):
                return None
            blob, text, path = found[0]
            around = named_release(release) or Tree(git).around_blob(blob)
    except InputError:
        if folder is not None:
            raise
        return None
    name = f"git blob {blob[:12]}"
    beside = [(text, f"git blob {other[:12]}:{where}") for other, text, where in found[1:]]
    source = CFile(text, f"{name}:{path}", around, beside[0] if beside else None)
    return GitBase(source, name, f"base {name}: the patch's index line names it")


def _file_of(git: Git, item: FilePatch, what: str) -> tuple[str, str, str] | None:
    """The blob's id, the text and the path of what a patch of a file is made on; None where it is not there."""
    found = git.blob(item.blobs[0])
    names = dict.fromkeys(spot.function for spot in SPOTS[what])
    if found is None or not any(cut(found[1], name) for name in names):
        return None
    return found[0], kernel_text(found[1]), item.path


def revision_base(base: str, release: str | None = None, folder: str | None = None) -> GitBase:
    """The file of a commit, git:REV. Raises InputError."""
    with open_git(folder) as git:
        commit = git.commit(base.removeprefix(GIT))
        tree = Tree(git, named_release(release))
        around = tree.kernel(commit, base)
        piece = tree.piece(commit, RULES)
        assert piece is not None  # else there is no kernel
        text = kernel_text(git.read(piece.blob))
        test = tree.piece(commit, MMIO)
        beside = None
        if test is not None and test.blob != piece.blob:
            beside = kernel_text(git.read(test.blob)), f"{base}:{test.spot.path}"
    return GitBase(CFile(text, f"{base}:{piece.spot.path}", around, beside), base)


def on_index_line(
    mails: Sequence[Mail], file: str, release: str | None = None, folder: str | None = None
) -> PatchedRules | None:
    """The rules before and after patches on index_base(); None where there is none, or they can't be read on it.

    Raises NothingTouchedError; InputError for a `folder` that is no git tree.
    """
    base = index_base(mails, release, folder)
    if base is None:
        return None
    try:
        rules = rules_from_patch(mails, file, base.source)
    except NothingTouchedError:
        raise
    except ValueError:  # a damaged mail, or C that is not understood: the statements may still tell
        return None
    return _named(rules, base.name)._replace(choice_note=base.note)


def on_revision(
    mails: Sequence[Mail], file: str, base: str, release: str | None = None, folder: str | None = None
) -> PatchedRules:
    """The rules before and after patches on the file of a commit, git:REV. Raises as rules_from_patch() does."""
    found = revision_base(base, release, folder)
    return _named(rules_from_patch(mails, file, found.source), found.name)


def _first_at(mails: Sequence[Mail], what: str) -> FilePatch | None:
    """The first patch of a file that has held a function of the kernel, if its index line says what it is made on.

    Of files that hold much else too, one whose function the patch names.
    """
    spots = SPOTS[what]
    for mail in mails:
        for item in mail.files:
            if "selftests" in item.path or not any(_is_at(item.path, spot.path) for spot in spots):
                continue
            if what == RULES or holds_function(item, HOST_MMIO, named=True):
                return item if item.blobs[0].strip("0") else None
    return None


def _is_at(path: str, spot: str) -> bool:
    """Whether a path, perhaps without its first folders, is that of a spot."""
    return path.endswith(spot.partition("/")[2].removeprefix("x86/"))


def _named(rules: PatchedRules, name: str) -> PatchedRules:
    before = rules.before._replace(ref=name, rules=rules.before.rules._replace(name=name))
    return rules._replace(before=before, after=rules.after._replace(proposal=f"patch on top of {name}"))
