# SPDX-License-Identifier: GPL-2.0-only
"""The program: its commands, loaded when called, and its manners: one message, one status."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click

from mtcalc.cli import environment
from mtcalc.text.errors import InputError, shown

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class CommandRow:
    """A command by name: where it lives, and its line in the list of commands."""

    def __init__(self, where: str, summary: str) -> None:
        self.where = where
        self.summary = summary


COMMANDS = {
    "lookup": CommandRow("lookup:lookup", "One what-if from flags: EPT byte, effective type, the rule that decided."),
    "eval": CommandRow("eval:eval_", "Every memory slot of a scenario, or single addresses of it."),
    "explain": CommandRow("explain:explain", "The derivation of one answer, step by step, with sources."),
    "table": CommandRow("table:table", "The whole matrix for fixed inputs, or who gets a certain answer."),
    "diff": CommandRow("diff:diff", "Every input on which two rule sets differ."),
    "review": CommandRow("review:review", "What a patch mail changes, and what to ask about it."),
    "log": CommandRow("log:log", "The commits of a git tree that changed the rules, and how."),
    "rules": CommandRow("rules:rules", "The rule sets: list them, show or check one."),
    "mtrr": CommandRow("mtrr:mtrr", "The guest's MTRRs decoded; addresses as KVM and as the manual see them."),
    "map": CommandRow("map:map_", "A picture of the guest-physical address space."),
    "decode": CommandRow("decode:decode", "PAT, MTRR and EPT entry values in words."),
    "import": CommandRow("import_:import_", "Other tools' dumps, this host, a running QEMU, to a scenario."),
    "audit": CommandRow("audit:audit", "Recorded SPTEs against what the rules say they should be."),
    "check": CommandRow("check:check", "The expectations of scenarios, and the hazards in them."),
    "example": CommandRow("example:example", "The shipped examples: list them, print one."),
    "schema": CommandRow("schema:schema", "The JSON Schema of scenarios, for editors; their keys in a table."),
    "completion": CommandRow("completion:completion", "The completion script of bash, zsh or fish."),
}


class Help(click.HelpFormatter):
    """click's, that keeps words with a hyphen whole: slot-flag, --self-snoop."""

    _WHOLE = "\u2011"  # one column too, where nothing is broken

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        super().write_dl([(name, text.replace("-", self._WHOLE)) for name, text in rows], col_max, col_spacing)

    def write_text(self, text: str) -> None:
        super().write_text(text.replace("-", self._WHOLE))

    def getvalue(self) -> str:
        return super().getvalue().replace(self._WHOLE, "-")


click.Context.formatter_class = Help


class Mtcalc(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, name = entry.where.split(":")
        command: click.Command = getattr(import_module(f"mtcalc.cli.{module}"), name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        # The names are known without importing a command.
        found = [CompletionItem(name, help=entry.summary) for name, entry in COMMANDS.items()]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(item for item in found if item.value.startswith(incomplete)), *options]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            from mtcalc.text.suggest import did_you_mean

            raise click.UsageError(f"no command '{args[0]}' ({did_you_mean(args[0], COMMANDS)})", ctx)
        return super().resolve_command(ctx, args)


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from mtcalc import __version__
        from mtcalc.kvm.release import OLDEST, newest

        oldest, last = (".".join(map(str, release)) for release in (OLDEST, newest()))
        click.echo(f"mtcalc {__version__}, KVM of Linux {oldest} to {last}")
        ctx.exit()


_SPELLINGS = {"non-coherent-dma": "noncoherent-dma", "no-non-coherent-dma": "no-noncoherent-dma"}
"""Options as people also write them, without the dashes in front."""


def _spelling(token: str) -> str:
    return _SPELLINGS.get(token, token)


@click.group(
    cls=Mtcalc,
    context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": _spelling},
    no_args_is_help=True,
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_version,
    help="The version, and the kernels that it knows.",
)
def cli() -> None:
    """The memory-type calculator for KVM on x86.

    Which EPT memory type and ignore-PAT bit KVM's vmx_get_mt_mask() gives a guest page, which memory type
    the guest really gets, and why: by every version of that function, and by proposed ones.

    The answers are for Intel CPUs, for VMX with EPT, and with --vendor amd, or a scenario that says so, for AMD's
    NPT. They do not hold under shadow paging.

    \b
    mtcalc lookup --slot-flag non-coherent-dma --pat wc
    mtcalc example virtio-gpu | mtcalc eval -
    mtcalc diff 6.6 6.12.80
    """


def _fail(message: str) -> NoReturn:
    # What was written so far stands before the message, as in a terminal it was written before.
    with suppress(OSError, AttributeError):
        sys.stdout.flush()
    with suppress(OSError, AttributeError):
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()
    raise SystemExit(2)


def main(args: list[str] | None = None) -> NoReturn:
    """Runs the program and ends the process: 0 done, 1 a difference or failure found, 2 bad usage or input."""
    if sys.stdout is None:  # closed by the caller: >&-
        _fail("mtcalc: standard output: closed")
    for stream in (sys.stdout, sys.stderr):
        # A name that an ASCII stream can't say is written as \x.., not as a traceback.
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    asked = os.environ.get(environment.COMPLETE)
    if asked:
        completion = import_module("mtcalc.cli.completion")  # which tells click how to answer a TAB
        if asked not in completion.QUESTIONS:
            _fail(f"mtcalc: {environment.COMPLETE}: '{shown(asked)}' is not known ({', '.join(completion.QUESTIONS)})")
    try:
        status = cli.main(args, prog_name="mtcalc", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        _fail(error.format_message())
    except click.UsageError as error:
        from mtcalc.cli.elsewhere import usage_error

        _fail(usage_error(error, args))
    except click.ClickException as error:
        _fail(f"mtcalc: {lower(error.format_message())}")
    except ValueError as error:
        located = isinstance(error, InputError) and error.place is not None
        _fail(str(error) if located else f"mtcalc: {shown(str(error))}")
    except OSError as error:
        _fail(f"mtcalc: {shown(str(error.filename or 'standard output'))}: {error.strerror}")
    sys.exit(status if isinstance(status, int) else 0)


def lower(message: str) -> str:
    """click's sentences in the tone of the others: no capital, no full stop, nothing that steers the terminal."""
    text = shown(message.strip())
    text = text[:-1] if text.endswith(".") and not text.endswith("..") else text
    return text if text[1:2].isupper() or text[1:2].isdigit() else text[:1].lower() + text[1:]
