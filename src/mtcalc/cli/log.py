# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc log: the commits of a git tree that changed the rules."""

from __future__ import annotations

import click

from mtcalc.cli.options import Output, git_folder, output_options, release_option, release_word
from mtcalc.cli.params import COMMITS
from mtcalc.output.emit import Result


@click.command()
@click.argument("commits", metavar="[A..B]", type=COMMITS, default="HEAD")
@release_option
@output_options()
def log(commits: str, output: Output) -> None:
    """The commits of a git tree that changed the rules or the host-MMIO test, newest first, and how.

    \b
    mtcalc log v6.7..HEAD
    mtcalc log --git ~/linux -o json
    """
    # They bring the C parser, which a TAB has no need of.
    from mtcalc.analysis.log import LogState, change, test_kernel
    from mtcalc.output.log import LogLine, log_document, log_record, log_rows
    from mtcalc.output.progress import progress
    from mtcalc.refs.git import open_git
    from mtcalc.refs.history import LoggedSide, LoggedStep, read_range, steps, touching
    from mtcalc.refs.names import named_release
    from mtcalc.refs.tree import Tree

    def state(side: LoggedSide) -> LogState:
        kernel = test_kernel(side.test) if side.test is not None else side.kernel
        return LogState(side.there, side.name, kernel, side.why)

    def line(step: LoggedStep) -> LogLine | None:
        commit = step.commit
        if step.missing:
            return LogLine(commit.id, commit.subject, commit.date, step.what, False, 0, step.missing, missing=True)
        found = change(state(step.before), state(step.after), step.same_text)
        return found and LogLine(commit.id, commit.subject, commit.date, step.what, *found)

    with open_git(git_folder()) as git:
        asked = read_range(git, commits)
        ids = touching(git, asked)
        tree = Tree(git, named_release(release_word()))
        with progress("reading commits", len(ids), output.colour) as tick:
            lines = [found for step in steps(tree, ids, tick) if (found := line(step)) is not None]
    output.write(
        Result(
            document=lambda: log_document(f"git:{commits.removeprefix('git:')}", lines, len(ids)),
            data=lambda: [log_record(one) for one in lines],
            lines=lambda: map(log_record, lines),
            rows=lambda: log_rows(lines),
        )
    )
