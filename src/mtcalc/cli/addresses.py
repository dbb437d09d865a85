# SPDX-License-Identifier: GPL-2.0-only
"""--gpa -: what goes with it, and what is on a line: an address, and for eval a PAT type or a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar

import click

from mtcalc.text.errors import InputError, Place
from mtcalc.text.numbers import parse_address

T = TypeVar("T")

WHAT = "addresses"
LINE_HOLDS = "an address, then a PAT type or a request if you like"


def check_stream(file: str, gpas: tuple[int | None, ...], refs: tuple[str, ...], a_line: str) -> None:
    """Raises UsageError where standard input has two readers, or --gpa - is one address among others.

    `a_line` says what to do instead.
    """
    if len(gpas) > 1:
        raise click.UsageError(f"--gpa - stands alone ({a_line})")
    if "-" in refs:
        raise click.UsageError("-r and --gpa can't both be standard input (give the patch a file)")
    if file == "-":
        raise click.UsageError("FILE and --gpa can't both be standard input (give the scenario a file)")


def read_line(line: str, number: int, limit: int, read_word: Callable[[str], T]) -> tuple[int, T | None]:
    """The address on a line, and what the word behind it is by `read_word`, None where there is none.

    Addresses are below `limit`, a power of two. Raises InputError at the word that is wrong; `read_word` raises
    ValueError.
    """
    words = line.split()
    column = len(line) - len(line.lstrip()) + 1
    try:
        if not words:  # blanks that only Unicode knows
            raise ValueError(f"no address here ({LINE_HOLDS})")
        gpa = parse_address(words[0])
        if gpa >= limit:
            bits = limit.bit_length() - 1
            raise ValueError(f"{gpa:#x} is beyond the guest's maxphyaddr {bits} (at most {limit - 1:#x})")
        if len(words) == 1:
            return gpa, None
        column = line.index(words[1], column - 1 + len(words[0])) + 1
        found = read_word(words[1])
        if len(words) > 2:
            column = line.index(words[2], column - 1 + len(words[1])) + 1
            raise ValueError(f"'{words[2]}' is one word too many (an address, and one for what is asked)")
    except ValueError as error:
        raise InputError(str(error), Place("-", number, column, line)) from None
    return gpa, found


def no_word(word: str) -> NoReturn:
    """Reads the word behind an address that stands alone. Raises ValueError."""
    raise ValueError(f"'{word}' behind the address (one address a line)")
