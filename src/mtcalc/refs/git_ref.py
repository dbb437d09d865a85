# SPDX-License-Identifier: GPL-2.0-only
"""git:REV -> Kernel: the function's file in a commit of a git tree."""

from __future__ import annotations

import os

from mtcalc.kvm.notes import Note
from mtcalc.refs.file import Resolve, rules_on_top
from mtcalc.refs.git import GitCommit, check_revision, open_git
from mtcalc.refs.names import named_release
from mtcalc.refs.tree import Tree
from mtcalc.rules.kernel import Kernel
from mtcalc.rules.proposals import on_top, proposal_on_top
from mtcalc.text.filenames import GIT, RULE_FILE_SUFFIXES


def kernel_of_git(
    ref: str, resolve: Resolve, directory: str = "", release: str | None = None, folder: str | None = None
) -> Kernel:
    """The kernel of git:REV, with a proposal or a rule file behind a '+' on top of it.

    The tree is the one that `folder` is in, by default the working directory's; `release` is the kernel around the
    rules, by default the one that the tree's Makefile names; a rule file is relative to `directory`. Raises
    InputError; ValueError for a proposal that does not go there.
    """
    word = ref.removeprefix(GIT)
    revision, plus, name = word.rpartition("+")
    if plus and revision:
        if name.lower().endswith(RULE_FILE_SUFFIXES):
            below = kernel_of_git(f"{GIT}{revision}", resolve, directory, release, folder)
            return rules_on_top(below, os.path.join(directory, name), ref, resolve)
        proposal = proposal_on_top(name)
        if proposal is not None:
            below = kernel_of_git(f"{GIT}{revision}", resolve, directory, release, folder)
            return on_top(below, proposal)._replace(ref=ref)
    check_revision(word)
    with open_git(folder) as git:
        commit = git.commit(word)
        tree = Tree(git, named_release(release))
        kernel = tree.kernel(commit, ref)
        makefile = tree.release(commit)
    return kernel._replace(notes=(commit_note(ref, commit, makefile), *kernel.notes))


def commit_note(ref: str, commit: GitCommit, makefile: str) -> Note:
    """Which commit a revision is; a branch moves, and a name may be a branch's and a tag's."""
    linux = f", Linux {makefile}" if makefile else ""
    return Note("commit", f"{ref} is {commit.id[:12]} of {commit.date or 'no date'}{linux}: {commit.title}")
