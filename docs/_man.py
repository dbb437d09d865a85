# SPDX-License-Identifier: GPL-2.0-only
"""The manual pages: mtcalc(1), one a command, and those that are pages of the docs too."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _parts
import _roff as roff
import click

import mtcalc
from mtcalc.cli.main import COMMANDS, cli

PAGES = {
    "mtcalc-scenario.5": ("scenario.md", "a virtual machine as mtcalc reads it"),
    "mtcalc-rules.7": ("rules.md", "rule sets, and the names of kernels"),
}
"""Manual pages made from pages of the docs: the file, and the line of whatis."""

_ROOT = click.Context(cli, info_name="mtcalc", help_option_names=["-h", "--help"])

_STATUS = (
    ("0", "done, and nothing to report"),
    (
        "1",
        "a difference (diff, review), a finding (rules check), a failed expectation or a hazard of level error"
        " (check), a mismatch (audit)",
    ),
    ("2", "wrong usage or bad input, with one message on standard error"),
)
_ENVIRONMENT = (
    ("MTCALC_RULES", "the rule set where neither option nor scenario names one"),
    ("MTCALC_GIT", "the git tree of git:REV"),
    ("MTCALC_OUTPUT", "the output format"),
    ("MTCALC_COLOR", "auto, always or never"),
    ("NO_COLOR, FORCE_COLOR", "as everywhere; NO_COLOR wins, FORCE_COLOR=0 means no"),
)


def pages(docs: Path) -> Iterator[tuple[str, str]]:
    """Every page: its file's name and its text."""
    commands = dict(_commands(cli, "mtcalc"))
    for path, command in commands.items():
        name = path.replace(" ", "-")
        yield f"{name}.1", _text(_command_page(path, command, commands), name, 1)
    for name, (source, summary) in PAGES.items():
        stem, section = name.rsplit(".", 1)
        yield name, _text(_docs_page(stem, summary, _parts.filled((docs / source).read_text())), stem, int(section))


def _text(lines: Iterator[str], name: str, section: int) -> str:
    head = f'.TH {name.upper()} {section} "" "mtcalc {mtcalc.__version__}" "mtcalc manual"'
    return "\n".join(('.\\" Made by docs/make.py: change that, or what it reads.', head, ".nh", ".ad l", *lines, ""))


def _commands(group: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, group
    if isinstance(group, click.Group):
        ctx = click.Context(group, info_name=path)
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            if command is not None and not command.hidden:
                yield from _commands(command, f"{path} {name}")


def _command_page(path: str, command: click.Command, commands: dict[str, click.Command]) -> Iterator[str]:
    ctx = click.Context(command, info_name=path.split()[-1], parent=None if command is cli else _ROOT)
    description, examples = _help(command)
    summary = COMMANDS[path.split()[1]].summary if path.count(" ") == 1 else description[0].split(". ")[0]
    yield ".SH NAME"
    yield f"{roff.text(path.replace(' ', '-'))} \\- {roff.prose(_lower(summary))}"
    yield ".SH SYNOPSIS"
    pieces = " ".join(command.collect_usage_pieces(ctx))
    yield f"{roff.bold(path)} {roff.text(pieces)}"
    yield ".SH DESCRIPTION"
    for paragraph in description:
        yield from (".PP", roff.prose(paragraph))
    if isinstance(command, click.Group):
        yield ".SH COMMANDS"
        for name, inner in commands.items():
            if name.startswith(f"{path} ") and name.count(" ") == path.count(" ") + 1:
                words = COMMANDS[name.split()[1]].summary if path == "mtcalc" else inner.get_short_help_str(200)
                yield from (".TP", f"\\fB{roff.text(name.replace(' ', '-'))}\\fR(1)", roff.prose(words))
    yield ".SH OPTIONS"
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)
        if record is not None:
            names, words = record
            yield from (".TP", _names(names), roff.prose(" ".join(words.split())) or "\\ ")
    if examples:
        yield ".SH EXAMPLES"
        yield from roff.example(examples)
    yield ".SH EXIT STATUS"
    for status, words in _STATUS:
        yield from (".TP", roff.bold(status), roff.prose(words))
    yield ".SH ENVIRONMENT"
    for variable, words in _ENVIRONMENT:
        yield from (".TP", roff.bold(variable), roff.prose(words))
    yield ".SH SEE ALSO"
    yield ",\n".join(f"\\fB{roff.text(name)}\\fR({section})" for name, section in _see_also(path, commands))


def _see_also(path: str, commands: dict[str, click.Command]) -> Iterator[tuple[str, str]]:
    near = [name for name in commands if name != path and name.count(" ") <= 1]
    yield from ((name.replace(" ", "-"), "1") for name in near if "mtcalc" in (path, name))
    yield from (tuple(page.rsplit(".", 1)) for page in PAGES)  # type: ignore[misc]


def _names(names: str) -> str:
    """Options bold, what they take slanted."""
    return "".join(map(_name, re.split(r"(, | / | )", names)))


def _name(word: str) -> str:
    if word.startswith("-"):
        return roff.bold(word)
    return f"\\fI{roff.text(word)}\\fR" if word.strip(" ,/") else word


def _help(command: Any) -> tuple[list[str], list[str]]:
    """The paragraphs of a command's help, and its examples: what stands behind \\b."""
    paragraphs: list[str] = []
    examples: list[str] = []
    # From 3.13 on the compiler takes the indent away.
    for block in inspect.cleandoc(command.help or "").split("\n\n"):
        lines = block.split("\n")
        if lines[0].strip() == "\b":
            examples += [line.removeprefix("Try:  ") for line in lines[1:] if line.strip()]
        else:
            paragraphs.append(" ".join(line.strip() for line in lines))
    return paragraphs or [command.get_short_help_str(200)], examples


def _lower(words: str) -> str:
    words = words.rstrip(".")
    return words if words[1:2].isupper() else words[:1].lower() + words[1:]


def _docs_page(name: str, summary: str, source: str) -> Iterator[str]:
    yield ".SH NAME"
    yield f"{roff.text(name)} \\- {roff.prose(summary)}"
    title, _, body = source.partition("\n")
    assert title.startswith("# "), name
    yield ".SH DESCRIPTION"
    yield from roff.markdown(body)
    yield ".SH SEE ALSO"
    yield "\\fBmtcalc\\fR(1)"
