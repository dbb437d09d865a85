# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc diff: every input on which two rule sets differ."""

from __future__ import annotations

import click

from mtcalc.analysis.diff import check_expandable
from mtcalc.analysis.diff import diff as compare
from mtcalc.cli.options import (
    Assumptions,
    Output,
    assume_option,
    base_of,
    base_option,
    named_kernel,
    output_options,
    vendor_option,
)
from mtcalc.cli.params import REF
from mtcalc.kvm.versions import Vendor
from mtcalc.output.diff import diff_document, diff_lines, diff_record, diff_rows, expanded_document
from mtcalc.output.emit import Result
from mtcalc.rules.inputs import Input
from mtcalc.rules.kernel import Kernel, assuming
from mtcalc.rules.rule import inputs_read
from mtcalc.text.errors import InputError
from mtcalc.x86.memtype import MemType


@click.command()
@click.argument("before", metavar="A", type=REF)
@click.argument("after", metavar="B", type=REF)
@click.option("--expand", is_flag=True, help="Every single combination of inputs, instead of rows.")
@base_option
@vendor_option("intel")
@assume_option
@output_options()
@click.pass_context
def diff(
    ctx: click.Context,
    before: str,
    after: str,
    expand: bool,
    vendor: Vendor | None,
    assume: Assumptions,
    output: Output,
) -> None:
    """Every input on which two rule sets differ, in as few rows as say it. Exit status 1 if they do.

    With --vendor amd two releases under NPT, where rules of EPT do not count. Of two C files with the host-MMIO test
    alone (spte.c) the tests are compared.

    \b
    mtcalc diff v6.7 slot-flag
    mtcalc diff 6.6 6.12.80 -o jsonl --expand
    """
    base = base_of([before, after])
    sides = _named(before, after, base)
    if vendor is Vendor.AMD:
        ctx.exit(_on_amd(sides, assume, expand, output))
    for text, value in assume:
        item = Input("assume_type" if isinstance(value, MemType) else "assume", text)
        read = {other for kernel in sides for rules in (kernel.rules, kernel.mmio_test) for other in inputs_read(rules)}
        if item not in read:
            other = Input("assume" if item.name == "assume_type" else "assume_type", text)
            if other not in read:
                raise click.UsageError(f"--assume: neither rule set asks for `{text}`")
            right = "=yes or =no" if other.name == "assume" else "=UC, WC, WT, WP or WB"
            raise click.UsageError(f"--assume: `{text}` is asked for as another kind of thing ({right})")
        sides = (assuming(sides[0], item, value), assuming(sides[1], item, value))
    found = compare(*sides)
    if expand:
        check_expandable(found)
    output.write(
        Result(
            document=lambda: expanded_document(found) if expand else diff_document(found),
            data=lambda: diff_record(found, expand),
            lines=lambda: diff_lines(found, expand),
            rows=lambda: diff_rows(found, expand),
        )
    )
    ctx.exit(0 if found.same else 1)


def _named(before: str, after: str, base: str | None) -> tuple[Kernel, Kernel]:
    """The kernels of two REFs; a file with the host-MMIO test alone is compared as such, on the rules of the other."""
    (old, old_alone), (new, new_alone) = (_kernel_or_test(word, base) for word in (before, after))
    if not (old_alone or new_alone):
        return old, new
    from mtcalc.csource.mmio_kernel import both_alone, on_rules_of

    if old_alone and new_alone:
        return both_alone(old, new)
    if new_alone:
        return on_rules_of(new, old)[::-1]
    return on_rules_of(old, new)


def _kernel_or_test(word: str, base: str | None) -> tuple[Kernel, bool]:
    """(The kernel of a REF, whether it is a host-MMIO test alone)."""
    try:
        return named_kernel(word, base=base), False
    except InputError as error:
        from mtcalc.csource.mmio_kernel import TestAloneError

        if not isinstance(error, TestAloneError):
            raise
        return error.kernel(), True


def _on_amd(sides: tuple[Kernel, Kernel], assume: Assumptions, expand: bool, output: Output) -> int:
    """diff --vendor amd; the exit status."""
    from mtcalc.analysis.npt_diff import npt_diff
    from mtcalc.output.npt_diff import npt_diff_document, npt_diff_lines, npt_diff_record, npt_diff_rows
    from mtcalc.rules.platform import on_platform

    if assume:
        raise click.UsageError("--assume with --vendor amd (rules of EPT do not count there)")
    before, after = (on_platform(kernel, Vendor.AMD) for kernel in sides)
    found = npt_diff(before, after)
    output.write(
        Result(
            document=lambda: npt_diff_document(found),
            data=lambda: npt_diff_record(found, expand),
            lines=lambda: npt_diff_lines(found, expand),
            rows=lambda: npt_diff_rows(found, expand),
        )
    )
    return 1 if found.rows else 0
