# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc review: what a patch mail, or commits of a git tree, change."""

from __future__ import annotations

from functools import partial

import click

from mtcalc.analysis.diff import check_expandable
from mtcalc.analysis.diff import diff as compare
from mtcalc.analysis.review import review as ask
from mtcalc.cli.options import Output, check_git, git_folder, output_options, release_of, release_option
from mtcalc.cli.params import PATCH_FILE, REF
from mtcalc.output.diff import diff_lines, diff_rows
from mtcalc.output.document import Document
from mtcalc.output.emit import Result
from mtcalc.patches.series import Part
from mtcalc.refs.resolve import resolve
from mtcalc.rules.kernel import Kernel
from mtcalc.text.errors import InputError
from mtcalc.text.filenames import is_git_ref


@click.command()
@click.argument("patch", type=PATCH_FILE)
@click.option("--base", type=REF, metavar="REF", help="What the patch goes on top of.  [the built-in set that it fits]")
@release_option
@click.option("--expand", is_flag=True, help="Every single combination of inputs, instead of rows (json, jsonl, csv).")
@output_options()
@click.pass_context
def review(ctx: click.Context, patch: str, base: str | None, expand: bool, output: Output) -> None:
    """What a patch mail (- is standard input) changes: its rules against those before it, and what to ask about it.

    git:REV is a commit of a git tree, git:A..B the commits of B that are not in A.

    \b
    mtcalc review mail.patch
    mtcalc review - --base vmx.c < mail
    mtcalc review git:origin/master..HEAD
    """
    if is_git_ref(patch):
        if base is not None:
            raise click.UsageError(f"--base with {patch} (what commits go on top of is in their tree)")
        ctx.exit(_review_commits(patch, expand, output))
    check_git([patch, *([base] if base else [])])
    # Both bring the C parser, which a TAB has no need of.
    from mtcalc.output.review import review_document, review_record, untouched_record, untouched_text
    from mtcalc.patches.result import NothingTouchedError
    from mtcalc.refs.file import patched

    try:
        release = release_of([base] if base else [])
        again = partial(resolve, release=release, git=git_folder())
        rules = patched(patch, again, base, release=release, git=git_folder())
    except NothingTouchedError as untouched:
        mails, named, text = untouched.mails, untouched.base, untouched_text(untouched.asked)
        kernel = resolve("latest")
        nothing = compare(kernel, kernel)
        output.write(
            Result(
                document=lambda: Document([text]),
                data=lambda: untouched_record(mails, named, text, nothing),
                lines=lambda: diff_lines(nothing, expand),
                rows=lambda: diff_rows(nothing, expand),
            )
        )
        return
    except InputError:
        raise
    except ValueError as error:
        raise click.UsageError(str(error) if str(error).startswith("--kernel") else f"--base: {error}") from None
    found = compare(rules.before, rules.after)
    if expand:
        check_expandable(found)
    remarks = ask(found, rules.one_vcpu)
    output.write(
        Result(
            document=lambda: review_document(rules, found, remarks),
            data=lambda: review_record(rules, found, remarks, expand),
            lines=lambda: diff_lines(found, expand),
            rows=lambda: diff_rows(found, expand),
        )
    )
    ctx.exit(0 if found.same else 1)


def _review_commits(ref: str, expand: bool, output: Output) -> int:
    """Writes the review of git:REV or git:A..B; the exit status."""
    from mtcalc.output.series import Judged, series_document, series_record
    from mtcalc.refs.git_review import reviewed_commits

    def judged(part: Part, before: Kernel | None, after: Kernel | None, one_vcpu: tuple[str, ...] = ()) -> Judged:
        if before is None or after is None:
            return Judged(part)
        found = compare(before, after)
        if expand:
            check_expandable(found)
        return Judged(part, found, ask(found, one_vcpu))

    whole = reviewed_commits(ref, release_of([ref]), git_folder())
    parts = [judged(part, part.before, part.after) for part in whole.parts]
    all_of_it = judged(whole.parts[-1], whole.before, whole.after, whole.one_vcpu)
    latest = resolve("latest")
    nothing = compare(latest, latest)
    found = all_of_it.found or nothing
    output.write(
        Result(
            document=lambda: series_document(whole, parts, all_of_it),
            data=lambda: series_record(whole, parts, all_of_it, nothing, expand),
            lines=lambda: diff_lines(found, expand),
            rows=lambda: diff_rows(found, expand),
        )
    )
    return 0 if found.same else 1
