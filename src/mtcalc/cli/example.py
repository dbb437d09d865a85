# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc example: the shipped examples, wherever the program is installed."""

from __future__ import annotations

import os
from collections.abc import Iterable

import click

from mtcalc.cli.params import Word
from mtcalc.text.errors import InputError


def example_folder() -> str:
    """Where the examples are: in the installed package, else in the checkout that it runs from."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    inside = os.path.join(package, "examples")
    return inside if os.path.isdir(inside) else os.path.join(os.path.dirname(os.path.dirname(package)), "examples")


def example_names() -> list[str]:
    """The examples by name, with the folder they are in, scenarios and rule files without suffix."""
    found: list[str] = []
    top = example_folder()
    for folder, _, files in os.walk(top):
        inside = os.path.relpath(folder, top)
        found += (os.path.normpath(os.path.join(inside, name)) for name in files if not name.endswith(".schema.json"))
    return sorted(name.removesuffix(".yaml") for name in found)


DUMPS = {
    "dumps/mtree.txt": "QEMU's info mtree -f, for import",
    "dumps/proc-mtrr.txt": "/proc/mtrr of the same guest",
    "series.mbox": "a series of patches that adds a slot flag, for review",
    "traced/trace.txt": "what KVM wrote into the EPT of traced/vm, for audit",
}
"""What those files are that have no head."""


def summary_of(text: str) -> str:
    """What an example is about: the first sentence of its head; of a dump nothing."""
    head = []
    for line in text.split("\n"):
        if not line.startswith("#"):
            break
        words = line.lstrip("# ")
        if words and not words.startswith(("yaml-language-server", "mtcalc ")):
            head.append(words)
    return " ".join(head).partition(". ")[0].rstrip(".")


def _names() -> Iterable[str]:
    return example_names()


NAME: Word[str] = Word("name", str, _names)


@click.command()
@click.argument("name", type=NAME, required=False)
def example(name: str | None) -> None:
    """A shipped example on standard output, its comments saying what to try; without NAME the list of them.

    \b
    mtcalc example
    mtcalc example vfio > vm.yaml
    mtcalc example vfio | mtcalc eval -
    """
    names = example_names()
    if not names:
        raise InputError("the examples are not installed (they are files of the wheel)")
    if name is None:
        from mtcalc.output.document import Document, Table
        from mtcalc.output.plain import render, terminal_width

        rows = [[each, DUMPS.get(each) or summary_of(_text(each))] for each in names]
        for line in render(Document([Table(("NAME", "SHOWS"), rows)]), terminal_width()):
            click.echo(line)
        return
    name = name.removesuffix(".yaml")
    if name not in names:
        from mtcalc.text.suggest import did_you_mean

        raise click.UsageError(f"no example '{name[:80]}' ({did_you_mean(name[:80], names)})")
    click.echo(_text(name), nl=False)


def _text(name: str) -> str:
    path = os.path.join(example_folder(), name)
    with open(path if os.path.isfile(path) else f"{path}.yaml", encoding="utf-8") as file:
        return file.read()
