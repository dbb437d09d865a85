# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc review: what a patch mail changes."""

from __future__ import annotations

import click

from mtcalc.analysis.diff import check_expandable
from mtcalc.analysis.diff import diff as compare
from mtcalc.analysis.review import review as ask
from mtcalc.cli.options import Output, output_options, release_of, release_option
from mtcalc.cli.params import PATCH_FILE, REF
from mtcalc.output.diff import diff_lines, diff_rows
from mtcalc.output.document import Document
from mtcalc.output.emit import Result
from mtcalc.refs.resolve import resolve
from mtcalc.text.errors import InputError


@click.command()
@click.argument("patch", type=PATCH_FILE)
@click.option("--base", type=REF, metavar="REF", help="What the patch goes on top of.  [the built-in set that it fits]")
@release_option
@click.option("--expand", is_flag=True, help="Every single combination of inputs, instead of rows (json, jsonl, csv).")
@output_options()
@click.pass_context
def review(ctx: click.Context, patch: str, base: str | None, expand: bool, output: Output) -> None:
    """What a patch mail (- is standard input) changes: its rules against those before it, and what to ask about it.

    \b
    mtcalc review mail.patch
    mtcalc review - --base vmx.c < mail
    """
    # Both bring the C parser, which a TAB has no need of.
    from mtcalc.output.review import review_document, review_record, untouched_record, untouched_text
    from mtcalc.patches.apply import NothingTouchedError
    from mtcalc.refs.file import patched

    try:
        rules = patched(patch, resolve, base, release=release_of([base] if base else []))
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
