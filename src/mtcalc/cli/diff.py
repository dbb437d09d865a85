# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc diff: every input on which two rule sets differ."""

from __future__ import annotations

import click

from mtcalc.analysis.diff import diff as compare
from mtcalc.cli.options import Output, base_of, base_option, named_kernel, output_options
from mtcalc.cli.params import REF
from mtcalc.output.diff import diff_document, diff_lines, diff_record, diff_rows, expanded_document
from mtcalc.output.emit import Result


@click.command()
@click.argument("before", metavar="A", type=REF)
@click.argument("after", metavar="B", type=REF)
@click.option("--expand", is_flag=True, help="Every single combination of inputs, instead of rows.")
@base_option
@output_options()
@click.pass_context
def diff(ctx: click.Context, before: str, after: str, expand: bool, output: Output) -> None:
    """Every input on which two rule sets differ, in as few rows as say it. Exit status 1 if they do.

    \b
    mtcalc diff v6.7 slot-flag
    mtcalc diff 6.6 6.12.80 -o jsonl --expand
    """
    base = base_of([before, after])
    found = compare(named_kernel(before, base=base), named_kernel(after, base=base))
    output.write(
        Result(
            document=lambda: expanded_document(found) if expand else diff_document(found),
            data=lambda: diff_record(found, expand),
            lines=lambda: diff_lines(found, expand),
            rows=lambda: diff_rows(found, expand),
        )
    )
    ctx.exit(1 if found.changed else 0)
