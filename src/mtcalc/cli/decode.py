# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc decode: raw register values and EPT entries in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mtcalc.cli.options import Output, named_kernel, output_options
from mtcalc.cli.params import REF, Word, one_of
from mtcalc.kvm.notes import Note
from mtcalc.output.emit import Result
from mtcalc.text.errors import InputError, Place
from mtcalc.text.numbers import parse_entry, parse_register_value
from mtcalc.x86.mtrr import check_register, parse_register, register_name
from mtcalc.x86.pat import parse_pat

if TYPE_CHECKING:
    from mtcalc.kvm.spte import Spte


class _Decode(click.Group):
    """A group that says which command a bare value may be meant for."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0][:1].isdigit():
            value = args[0][:80]
            what = f"decode mtrr {value}" if "=" in value else f"decode pat {value}, decode epte {value}"
            raise click.UsageError(f"'{value}' is of which kind? ({what})", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Decode, no_args_is_help=True)
def decode() -> None:
    """PAT, MTRR and EPT entry values in words.

    \b
    mtcalc decode pat 0x0407050600070106
    mtcalc decode mtrr def_type=0x806
    mtcalc decode epte 0x600000455299b77
    """


def _read_register(text: str) -> tuple[int, int] | None:
    if text == "-":
        return None
    register, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"'{text}' has no = (REG=VALUE, such as 0x2ff=0xc06)")
    return parse_register(register), parse_register_value(value)


def _read_entry(text: str) -> int | None:
    return None if text == "-" else parse_entry(text)


PAT_WORD: Word[str] = Word("value", str, lambda: ("linux", "reset"))
REGISTER: Word[tuple[int, int] | None] = Word("reg=value", _read_register, list)
ENTRY: Word[int | None] = Word("value", _read_entry, list)
VENDORS = ("intel", "amd")
VENDOR: Word[str] = Word("vendor", lambda text: one_of(VENDORS)(text.lower()), lambda: VENDORS)
LEVEL = click.IntRange(1, 5)
MAXPHYADDR = click.IntRange(32, 52)


@decode.command("pat", short_help="IA32_PAT: a value, or the types as dmesg prints them.")
@click.argument("words", metavar="VALUE", type=PAT_WORD, nargs=-1, required=True)
@output_options()
@click.pass_context
def pat(ctx: click.Context, words: tuple[str, ...], output: Output) -> None:
    """IA32_PAT (MSR 0x277): a register value, linux, reset, or the eight types as dmesg prints them.

    - reads values from standard input, one a line.

    \b
    mtcalc decode pat 0x0407050600070106
    mtcalc decode pat "WB  WC  UC- UC  WB  WP  UC- WT"
    """
    if words == ("-",):
        from mtcalc.cli.pat_stream import stream
        from mtcalc.cli.stdout import streamed

        ctx.exit(stream(streamed(output, "-").form))
    from mtcalc.output.decode import pat_document, pat_record, pat_rows

    try:
        value = parse_pat(" ".join(words))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="VALUE") from None

    output.write(
        Result(
            document=lambda: pat_document(value),
            data=lambda: pat_record(value),
            lines=lambda: [pat_record(value)],
            rows=lambda: pat_rows(value),
        )
    )


@decode.command("mtrr", short_help="MTRR registers, by number or by name.")
@click.argument("registers", metavar="REG=VALUE...", type=REGISTER, nargs=-1, required=True)
@click.option("--maxphyaddr", type=MAXPHYADDR, default=46, show_default=True, help="Physical address bits.")
@output_options()
def mtrr(registers: tuple[tuple[int, int] | None, ...], maxphyaddr: int, output: Output) -> None:
    """MTRR registers, by number or the manual's name; a value that earns #GP is said so.

    - reads registers from standard input, one a line: REG=VALUE, or REG VALUE.

    \b
    mtcalc decode mtrr 0x2ff=0xc06 0x200=0xc0000000 0x201=0x3fffc0000800
    mtcalc decode mtrr def_type=0x806 -o json
    """
    from mtcalc.output.decode import mtrr_document, mtrr_record, mtrr_rows

    values: dict[int, int] = {}
    problems: dict[int, str] = {}
    for msr, value in _registers_given(registers):
        if msr in values:
            raise click.UsageError(f"{register_name(msr)} is given twice (each register once)")
        values[msr] = value
        problem = _problem(msr, value, maxphyaddr)
        if problem:
            problems[msr] = problem
    output.write(
        Result(
            document=lambda: mtrr_document(values, problems, maxphyaddr),
            data=lambda: mtrr_record(values, problems, maxphyaddr),
            lines=lambda: mtrr_record(values, problems, maxphyaddr),
            rows=lambda: mtrr_rows(values, problems, maxphyaddr),
        )
    )


def _registers_given(words: tuple[tuple[int, int] | None, ...]) -> Iterator[tuple[int, int]]:
    """Registers with values, those of standard input where - stands. Raises InputError for a line that has none."""
    for word in words:
        if word is not None:
            yield word
            continue
        import sys

        for number, line in enumerate(sys.stdin, 1):
            text = line.split("#")[0].strip()
            if not text:
                continue
            register, _, value = text.replace("=", " ").strip().partition(" ")
            try:
                yield parse_register(register), parse_register_value(value.strip())
            except ValueError as error:
                raise InputError(f"{error} (REG=VALUE, such as 0x2ff=0xc06)", Place("-", number, 1)) from None


def _problem(msr: int, value: int, maxphyaddr: int) -> str:
    """Why a register can't hold a value, and which KVM refuses it where not every one does; '' where it can."""
    try:
        check_register(msr, value, maxphyaddr)
    except ValueError as error:
        said = str(error)
    else:
        return ""
    try:
        check_register(msr, value, maxphyaddr, kept=True)
    except ValueError:
        return said
    from mtcalc.kvm.mtrr_writes import refused_since
    from mtcalc.rules.kernel import version_text

    first = refused_since(msr, value, maxphyaddr)
    return said if first is None else f"{said}; KVM refuses it from {version_text(first)} on"


@decode.command("epte", short_help="EPT or NPT entries as KVM writes them.")
@click.argument("values", metavar="VALUE...", type=ENTRY, nargs=-1, required=True)
@click.option("--level", type=LEVEL, help="1: 4K, 2: 2M, 3: 1G.  [each that the value can be of]")
@click.option("--kernel", type=REF, metavar="RELEASE", help="Whose SPTEs these are.  [each that the value can be of]")
@click.option("--vendor", type=VENDOR, default="intel", show_default=True, help="intel: EPT, amd: NPT.")
@click.option("--maxphyaddr", type=MAXPHYADDR, default=52, show_default=True, help="Physical address bits.")
@output_options()
@click.pass_context
def epte(
    ctx: click.Context,
    values: tuple[int | None, ...],
    level: int | None,
    kernel: str | None,
    vendor: str,
    maxphyaddr: int,
    output: Output,
) -> None:
    """EPT entries as KVM writes them, in words; in hex, with 0x or without. Its bits moved with the releases:
    without --kernel, what all agree on that can have written the value, and where they differ.

    - reads values from standard input, one a line; a level may stand behind each.

    \b
    mtcalc decode epte 0x600000455299b77
    mtcalc decode epte --kernel 5.10 --level 2 7400ff7
    """
    from mtcalc.output.spte import spte_document, spte_record, spte_rows

    if vendor == "amd":
        from mtcalc.kvm.npt_entry import decode_npt as at_level
        from mtcalc.kvm.npt_entry import decode_npt_at_any_level as at_any
    else:
        from mtcalc.kvm.spte import decode_spte as at_level
        from mtcalc.kvm.spte import decode_spte_at_any_level as at_any
    release, notes = _release_of(kernel)

    def read(value: int, at: int | None) -> Spte:
        spte = at_any(value, maxphyaddr, release) if at is None else at_level(value, at, maxphyaddr, release)
        return spte._replace(notes=(*notes, *spte.notes))

    if None in values:
        if len(values) > 1:
            raise click.UsageError("- stands alone (write all values on standard input)")
        from mtcalc.cli.epte_stream import stream
        from mtcalc.cli.stdout import streamed

        ctx.exit(stream(streamed(output, "-").form, lambda value, at: read(value, level if at is None else at)))
    sptes = [read(value, level) for value in values if value is not None]
    output.write(
        Result(
            document=lambda: spte_document(sptes),
            data=lambda: [spte_record(spte) for spte in sptes],
            lines=lambda: map(spte_record, sptes),
            rows=lambda: spte_rows(sptes),
        )
    )


def _release_of(ref: str | None) -> tuple[tuple[int, ...] | None, tuple[Note, ...]]:
    """The release of --kernel, and what to say of it. Raises UsageError or InputError."""
    from mtcalc.kvm.spte_eras import layout_at
    from mtcalc.refs.names import parse_release
    from mtcalc.refs.uname import SPTE_WORDS, build_note
    from mtcalc.rules.kernel import version_text

    if ref is None:
        return None, ()
    if ref == "-":
        raise click.UsageError("--kernel - (a release, such as 6.12 or what uname -r prints)")
    word = ref.strip().lower()
    parsed = parse_release(word)
    # v4.4 is a release here, though a rule set that lasted longer has that name too.
    kernel = named_kernel(word.removeprefix("v") if parsed else ref, "--kernel: ")
    release = kernel.release
    try:
        layout_at(release)
    except ValueError as error:
        raise InputError(f"--kernel: {error}") from None
    if parsed is None or not parsed[1] or kernel.proposal:
        return release, ()
    return release, (Note("build", build_note(release, version_text(release), parsed[1], SPTE_WORDS)),)
