# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc review: what patch mails, or commits of a git tree, change, patch by patch and in all."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from mtcalc.analysis.diff import check_expandable
from mtcalc.analysis.diff import diff as compare
from mtcalc.analysis.review import about_beside, about_numbers, about_the_message, about_zaps
from mtcalc.analysis.review import review as ask
from mtcalc.cli.options import Output, check_git, git_folder, output_options, release_of, release_option
from mtcalc.cli.params import PATCH_FILE, REF
from mtcalc.output.diff import diff_lines, diff_rows
from mtcalc.output.emit import Result
from mtcalc.refs.resolve import resolve
from mtcalc.text.errors import InputError
from mtcalc.text.filenames import is_git_ref

if TYPE_CHECKING:
    from mtcalc.output.series import Earlier, Judged
    from mtcalc.patches.series import Part, Whole


@click.command()
@click.argument("patches", metavar="PATCH...", type=PATCH_FILE, nargs=-1, required=True)
@click.option("--base", type=REF, metavar="REF", help="What the patch goes on top of.  [the built-in set that it fits]")
@click.option("--against", type=PATCH_FILE, metavar="FILE", help="An earlier version: what the new one does otherwise.")
@release_option
@click.option("--expand", is_flag=True, help="Every single combination of inputs, instead of rows (json, jsonl, csv).")
@click.option("--terse", is_flag=True, help="One line a finding, FILE:LINE: LEVEL: text [code]: for b4, editors, CI.")
@output_options()
@click.pass_context
def review(
    ctx: click.Context,
    patches: tuple[str, ...],
    base: str | None,
    against: str | None,
    expand: bool,
    terse: bool,
    output: Output,
) -> None:
    """What a patch mail (- is standard input) changes: its rules against those before it, and what to ask about it.

    A series is reviewed patch by patch and in all: a mailbox, several files, or a directory of them. git:REV is a
    commit of a git tree, git:A..B the commits of B that are not in A.

    \b
    mtcalc review mail.patch
    mtcalc review - --base vmx.c < mail
    mtcalc review v2/ --against v1.mbox
    mtcalc review git:origin/master..HEAD
    mtcalc review --terse - < mail
    """
    if terse:
        _check_terse(ctx, expand, output)
    try:
        whole, earlier = _read(patches, base, against)
        parts = [_judged(part, part, whole, expand) for part in whole.parts]
        all_of_it = _judged(whole.parts[-1], whole, whole, expand)
        parts, all_of_it = _with_going_back(parts, all_of_it)
    except InputError as error:
        if not terse:
            raise
        from mtcalc.output.terse import terse_error

        raise terse_error(error) from None
    if terse:
        from mtcalc.output.terse import findings

        sys.stdout.writelines([f"{finding}\n" for finding in findings(whole, parts, all_of_it, earlier)])
    else:
        _write(output, whole, parts, all_of_it, expand, earlier)
    found = all_of_it.found
    ctx.exit(0 if found is None or found.same else 1)


def _check_terse(ctx: click.Context, expand: bool, output: Output) -> None:
    """Raises UsageError for another form of output beside --terse; one that the environment names gives way."""
    if ctx.get_parameter_source("form") is ParameterSource.COMMANDLINE:
        raise click.UsageError(f"--terse with -o {output.form} (--terse is a form of its own: one of the two)")
    if expand:
        raise click.UsageError("--terse with --expand (--terse has one example a finding; --expand is for json)")


def _read(words: tuple[str, ...], base: str | None, against: str | None) -> tuple[Whole, Earlier | None]:
    if any(map(is_git_ref, words)):
        return _commits(words, base, against), None
    return _mails(words, base, against)


def _write(
    output: Output, whole: Whole, parts: list[Judged], all_of_it: Judged, expand: bool, earlier: Earlier | None
) -> None:
    # What reads patches brings the C parser, which a TAB has no need of.
    from mtcalc.output.series import series_document, series_record

    latest = resolve("latest")
    nothing = compare(latest, latest)
    found = all_of_it.found or nothing
    output.write(
        Result(
            document=lambda: series_document(whole, parts, all_of_it, earlier),
            data=lambda: series_record(whole, parts, all_of_it, nothing, expand, earlier),
            lines=lambda: diff_lines(found, expand),
            rows=lambda: diff_rows(found, expand),
        )
    )


def _judged(part: Part, of: Part | Whole, whole: Whole, expand: bool) -> Judged:
    """A part, or the whole by its last part; edits are those of all patches, but for numbers and zaps removed."""
    from mtcalc.output.series import Judged
    from mtcalc.patches.series import Whole

    beside = [
        (one.kind, one.name, one.text, one.place) for one in of.beside if one.name.removesuffix("()") not in whole.asked
    ]  # else that is asked
    if of.before is None or of.after is None:
        zaps = about_zaps(of.edits, whole.after or whole.untouched)
        return Judged(part, remarks=(*about_numbers(of.edits), *zaps, *about_beside(beside, None)))
    found = compare(of.before, of.after)
    if expand:
        check_expandable(found)
    parts = [one for one in of.parts if one.touches] if isinstance(of, Whole) else [of]
    claims = about_the_message(found) if parts and all(one.no_change for one in parts) else ()
    own = whole.edits._replace(numbers=of.edits.numbers, unzapped=of.edits.unzapped)
    return Judged(part, found, (*claims, *ask(found, of.one_vcpu, own), *about_beside(beside, found.before.rules)))


def _with_going_back(parts: list[Judged], all_of_it: Judged) -> tuple[list[Judged], Judged]:
    """Patches and the whole, with the questions on what one patch changes and a later one takes back."""
    from mtcalc.analysis.going_back import Stage, going_back
    from mtcalc.output.series import part_name

    stages = []
    number = 0
    for part, found, _ in parts:
        number += not part.cover
        name = part_name(part)
        name = f"patch {number}" if name == "patch" else name
        stages.append(Stage(name, found, part.lines[0] if part.lines else None))
    parts = list(parts)
    for gone in going_back(stages):
        judged = parts[gone.stage]
        parts[gone.stage] = judged._replace(remarks=(*judged.remarks, gone.of_it))
        all_of_it = all_of_it._replace(remarks=(*all_of_it.remarks, gone.of_all))
    return parts, all_of_it


def _commits(words: tuple[str, ...], base: str | None, against: str | None) -> Whole:
    """git:REV or git:A..B. Raises UsageError for what does not go with it, InputError."""
    from mtcalc.refs.git_review import reviewed_commits

    if len(words) > 1:
        raise click.UsageError("git:REV beside other patches (one git:A..B, or files)")
    if base is not None:
        raise click.UsageError(f"--base with {words[0]} (what commits go on top of is in their tree)")
    if against is not None:
        raise click.UsageError(f"--against with {words[0]} (mtcalc diff git:OLD git:NEW compares two trees)")
    return reviewed_commits(words[0], release_of([words[0]]), git_folder())


def _mails(words: tuple[str, ...], base: str | None, against: str | None) -> tuple[Whole, Earlier | None]:
    """The patches of mails, and what they do otherwise than those of `against`. Raises UsageError, InputError."""
    from mtcalc.output.series import Earlier
    from mtcalc.refs.mail_review import Top, earlier_version, reviewed_mails

    check_git([*words, *([base] if base else [])])
    if (*words, against, base).count("-") > 1:
        raise click.UsageError("- twice (standard input is read once)")
    top = Top(base, release_of([base] if base else []), git_folder())
    try:
        new = reviewed_mails(words, top)
        was = None if against is None else earlier_version(against, new, top)
    except InputError:
        raise
    except ValueError as error:
        raise click.UsageError(str(error) if str(error).startswith("--kernel") else f"--base: {error}") from None
    if was is None or against is None:
        return new.whole, None
    below = new.whole.before or was.before or resolve("latest")  # of both, where one touches no rule
    return new.whole, Earlier(against, compare(was.after or below, new.whole.after or below), was.base)
