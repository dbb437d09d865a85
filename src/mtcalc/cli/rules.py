# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc rules: the rule sets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from mtcalc.cli.options import Output, base_of, base_option, git_folder, named_kernel, output_options, release_word
from mtcalc.cli.params import REF
from mtcalc.output.emit import Result, formats
from mtcalc.text.errors import InputError
from mtcalc.text.filenames import is_file_ref

if TYPE_CHECKING:
    from mtcalc.rules.kernel import Kernel


@click.group(no_args_is_help=True)
def rules() -> None:
    """The rule sets: vmx_get_mt_mask() through time, and proposals.

    \b
    mtcalc rules list
    mtcalc rules show 6.12.80
    """


@rules.command("list")
@output_options()
def list_(output: Output) -> None:
    """Every built-in rule set, oldest first, then the proposals.

    \b
    mtcalc rules list
    mtcalc rules list -o json
    """
    from mtcalc.output.rules import list_document, list_rows, rule_set_record
    from mtcalc.rules.builtin import built_in, built_in_names

    kernels = [kernel for name in built_in_names() if (kernel := built_in(name)) is not None]
    output.write(
        Result(
            document=lambda: list_document(kernels),
            data=lambda: [rule_set_record(kernel) for kernel in kernels],
            lines=lambda: map(rule_set_record, kernels),
            rows=lambda: list_rows(kernels),
        )
    )


@rules.command("show", short_help="One rule set with its reasons and sources.")
@click.argument("ref", type=REF)
@base_option
@output_options(*formats(), "yaml")
def show(ref: str, output: Output) -> None:
    """One rule set: its rules in order, their reasons and sources, the kernel around it.

    -o yaml writes it as a rule file, to be changed and given as REF.

    \b
    mtcalc rules show 6.12.80
    mtcalc rules show v6.7 -o yaml > mine.yaml
    """
    from mtcalc.output.rules import rule_record, rule_set_record, show_document, show_rows
    from mtcalc.rulefile.write import write_rule_file

    kernel = named_kernel(ref, base=base_of([ref]))
    output.write(
        Result(
            document=lambda: show_document(kernel),
            data=lambda: rule_set_record(kernel),
            lines=lambda: map(rule_record, kernel.rules.rules),
            rows=lambda: show_rows(kernel),
            yaml=lambda: write_rule_file(kernel),
        )
    )


@rules.command("check", short_help="What in a rule file can never match, or says nothing.")
@click.argument("ref", metavar="FILE", type=REF)
@base_option
@output_options()
@click.pass_context
def check(ctx: click.Context, ref: str, output: Output) -> None:
    """A rule file, C source or patch: rules that never match, inputs not caught, rules without effect.

    Exit status 1 if there is a finding.

    \b
    mtcalc rules check mine.yaml
    mtcalc example idea | mtcalc rules check -
    """
    from mtcalc.analysis.rule_check import check_rules
    from mtcalc.output.rules import finding_record, findings_document, findings_rows

    kernel = _to_check(ref) if is_file_ref(ref) else named_kernel(ref, base=base_of([ref]))
    findings = check_rules(kernel.rules, kernel)
    output.write(
        Result(
            document=lambda: findings_document(kernel, findings),
            data=lambda: [finding_record(finding) for finding in findings],
            lines=lambda: map(finding_record, findings),
            rows=lambda: findings_rows(findings),
        )
    )
    ctx.exit(1 if findings else 0)


def _to_check(ref: str) -> Kernel:
    """The kernel of a file; a rule file's list may leave inputs uncaught. Raises UsageError, InputError."""
    from mtcalc.refs.file import kernel_to_check
    from mtcalc.refs.resolve import resolve

    base, release, git = base_of([ref]), release_word(), git_folder()
    try:
        return kernel_to_check(ref, partial(resolve, release=release, git=git), base, release, git)
    except InputError:
        raise
    except ValueError as error:
        told = base is None or str(error).startswith("--kernel")
        raise InputError(str(error) if told else f"--base: {error}") from None
