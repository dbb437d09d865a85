# SPDX-License-Identifier: GPL-2.0-only
"""What an error about a command's words says of the other commands. Loads them all."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from mtcalc.cli.main import COMMANDS, cli, lower
from mtcalc.text.errors import shown


def usage_error(error: click.UsageError, args: list[str] | None) -> str:
    """One sentence, and the command whose --help says more; an option of other commands is said to be theirs."""
    words = sys.argv[1:] if args is None else args
    if error.ctx is not None:
        command = error.ctx.command_path
    else:
        command = f"mtcalc {words[0]}" if words and words[0] in COMMANDS else "mtcalc"
    message = lower(error.format_message())
    if isinstance(error, click.NoSuchOption):
        others = [name for name in _with_option(error.option_name) if f"mtcalc {name}" != command]
        if others:
            have = "has it" if len(others) == 1 else "have it"
            message = f"no such option '{shown(error.option_name)}' here ({', '.join(others)} {have})"
    return f"{command}: {message}\nTry '{command} --help'."


def _with_option(option: str) -> list[str]:
    return [name for name, command in _commands() if any(option in param.opts for param in command.params)]


def _commands() -> Iterator[tuple[str, click.Command]]:
    """Every command by name, those of groups too: 'decode pat'."""
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", each) for inner, each in command.commands.items())
        elif command is not None:
            yield name, command
