# SPDX-License-Identifier: GPL-2.0-only
"""Answers to lines from standard input, written as they are made: which formats can be, and how."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from mtcalc.cli.options import STREAMED, Output
from mtcalc.output.document import Document
from mtcalc.output.emit import write_rows
from mtcalc.output.plain import render

T = TypeVar("T")


def streamed(output: Output, what: str, allowed: Sequence[str] = STREAMED) -> Output:
    """How to answer `what`, an option or argument that is -: a default that is no stream gives way to plain.

    Raises UsageError for a format of the command line that is made of all answers at once.
    """
    if output.form in allowed:
        return output
    if click.get_current_context().get_parameter_source("form") is ParameterSource.COMMANDLINE:
        raise click.UsageError(f"{what} does not go with -o {output.form} (one of {', '.join(allowed)})")
    return output._replace(form="plain")


def writer(
    form: str,
    document: Callable[[T], Document],
    record: Callable[[T], Any],
    header: Sequence[str],
    rows: Callable[[T], Iterable[Sequence[str]]],
) -> Callable[[T], None]:
    """What writes answers in plain, jsonl, csv or tsv on sys.stdout, one by one; the header is written at once."""
    out = sys.stdout
    if form == "jsonl":
        import json

        return lambda answer: print(json.dumps(record(answer)))
    if form in ("csv", "tsv"):
        write_rows(out, [header], form)
        return lambda answer: write_rows(out, rows(answer), form)
    first = True

    def plain(answer: T) -> None:
        nonlocal first
        if not first:
            out.write("\n")
        first = False
        out.writelines(f"{text}\n" for text in render(document(answer)))

    return plain


def encode(text: str) -> bytes:
    """Text as standard output would write it."""
    return text.encode(sys.stdout.encoding or "ascii", "backslashreplace")


def write(data: bytes) -> None:
    """Writes all of `data` on standard output, at once."""
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]
