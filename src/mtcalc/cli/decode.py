# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc decode: raw register values and EPT entries in words."""

from __future__ import annotations

from typing import Any

import click

from mtcalc.cli.options import Output, output_options
from mtcalc.cli.params import Word
from mtcalc.output.emit import Result
from mtcalc.text.numbers import parse_number
from mtcalc.x86.mtrr import check_register, parse_register, register_name
from mtcalc.x86.pat import LINUX_PAT, RESET_PAT, Pat, decode_pat


@click.group(no_args_is_help=True)
def decode() -> None:
    """PAT, MTRR and EPT entry values in words."""


def _read_pat(text: str) -> Pat:
    named = {"linux": LINUX_PAT, "reset": RESET_PAT}.get(text.lower())
    return named or decode_pat(_read_value(text))


def _read_register(text: str) -> tuple[int, int]:
    register, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"'{text}' has no = (REG=VALUE, such as 0x2ff=0xc06)")
    return parse_register(register), _read_value(value)


def _read_entry(text: str) -> int:
    # Traces print entries in hex without 0x, and nobody writes one in decimal.
    word = text.strip().lower()
    return parse_number(word if word.startswith("0x") else f"0x{word}")


def _read_value(text: str) -> int:
    """A register value. Raises ValueError for digits that may be hex as well as decimal."""
    word = text.strip()
    if word.isascii() and word.isdigit() and len(word) > 1 and word[0] != "0":
        raise ValueError(f"'{text}': hex or decimal? (write 0x{word} or {int(word):#x})")
    return parse_number(word)


PAT_VALUE: Word[Pat] = Word("value", _read_pat, lambda: ("linux", "reset"))
REGISTER: Word[tuple[int, int]] = Word("reg=value", _read_register, list)
ENTRY: Word[int] = Word("value", _read_entry, list)
MAXPHYADDR = click.IntRange(32, 52)


@decode.command("pat")
@click.argument("value", type=PAT_VALUE)
@output_options()
def pat(value: Pat, output: Output) -> None:
    """IA32_PAT (MSR 0x277): a register value, or linux or reset.

    \b
    mtcalc decode pat 0x0407050600070106
    """
    from mtcalc.output.decode import pat_document, pat_record, pat_rows

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
def mtrr(registers: tuple[tuple[int, int], ...], maxphyaddr: int, output: Output) -> None:
    """MTRR registers, by number or the manual's name; a value that earns #GP is said so.

    \b
    mtcalc decode mtrr 0x2ff=0xc06 0x200=0xc0000000 0x201=0x3fffc0000800
    """
    from mtcalc.output.decode import mtrr_document, mtrr_record, mtrr_rows

    values: dict[int, int] = {}
    problems: dict[int, str] = {}
    for msr, value in registers:
        if msr in values:
            raise click.UsageError(f"{register_name(msr)} is given twice (each register once)")
        values[msr] = value
        try:
            check_register(msr, value, maxphyaddr)
        except ValueError as error:
            problems[msr] = str(error)
    output.write(
        Result(
            document=lambda: mtrr_document(values, problems, maxphyaddr),
            data=lambda: mtrr_record(values, problems, maxphyaddr),
            lines=lambda: mtrr_record(values, problems, maxphyaddr),
            rows=lambda: mtrr_rows(values, problems, maxphyaddr),
        )
    )


@decode.command("epte", short_help="EPT entries as KVM writes them.")
@click.argument("values", metavar="VALUE...", type=ENTRY, nargs=-1, required=True)
@click.option("--level", type=click.IntRange(1, 5), default=1, show_default=True, help="1: 4K, 2: 2M, 3: 1G.")
@click.option("--maxphyaddr", type=MAXPHYADDR, default=52, show_default=True, help="Physical address bits.")
@output_options()
def epte(values: tuple[int, ...], level: int, maxphyaddr: int, output: Output) -> None:
    """EPT entries as KVM writes them, in words; in hex, with 0x or without.

    \b
    mtcalc decode epte 0x600000455299b77
    mtcalc decode epte --level 2 60000021be00bf3
    """
    from mtcalc.kvm.spte import decode_spte
    from mtcalc.output.decode import spte_document, spte_record, spte_rows

    sptes: list[Any] = [decode_spte(value, level, maxphyaddr) for value in values]
    output.write(
        Result(
            document=lambda: spte_document(sptes),
            data=lambda: [spte_record(spte) for spte in sptes],
            lines=lambda: map(spte_record, sptes),
            rows=lambda: spte_rows(sptes),
        )
    )
