# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc completion: scripts for shells, and what they ask the program on a TAB.

The question is click's: _MTCALC_COMPLETE=bash_complete with the words so far in COMP_WORDS and the number of the
last one in COMP_CWORD. The answer is ours, and so are the scripts: files are offered by suffix, and a value behind
`=` completes in each shell. The scripts name files by themselves, since only a shell knows its quoting.
"""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

from mtcalc.cli.completion_scripts import BASH, FISH, SCRIPTS, ZSH
from mtcalc.cli.params import Word, one_of

QUESTIONS = tuple(f"{shell}_{what}" for shell in SCRIPTS for what in ("complete", "source"))
"""What _MTCALC_COMPLETE may hold."""

_BREAKS = frozenset("=:")
_REDIRECTIONS = frozenset("<>&|0123456789")


def glue(words: list[str]) -> tuple[list[str], int]:
    """Words that bash cut at = and : (COMP_WORDBREAKS) in one piece again.

    With it, how many characters of the last one stand before its last cut: what bash does not replace.
    """
    glued: list[str] = []
    cut = 0
    open_end = False
    for word in words:
        if word and glued and _BREAKS.issuperset(word):
            glued[-1] += word
            cut = len(glued[-1])
            open_end = True
        elif open_end:
            glued[-1] += word
            open_end = False
        else:
            glued.append(word)
            cut = 0
    return glued, cut


def _value_of(item: CompletionItem[str], lead: str) -> str:
    """What the shell gets: a whole word, or the suffixes of files to offer."""
    if item.type == "file":
        return " ".join(item.suffixes or ("",))
    return f"{lead}{item.value}"


def _lead(incomplete: str) -> str:
    """`--option=` of `--option=value`, which click leaves out of its values."""
    option, equals, _ = incomplete.partition("=")
    return f"{option}=" if equals and option.startswith("--") else ""


def words_asked() -> tuple[list[str], int]:
    """The words of the command line so far, and which of them the cursor is on: what bash and zsh hand over.

    A variable that is missing or nonsense is taken as the end of the line.
    """
    words = split_arg_string(os.environ.get("COMP_WORDS", ""))
    number = os.environ.get("COMP_CWORD", "")
    known = number.isascii() and number.isdigit() and len(number) < 6
    return words, int(number) if known else max(len(words) - 1, 1)


@add_completion_class
class _Bash(BashComplete):
    _lead = ""
    _cut = 0

    def source(self) -> str:
        return BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        words, at = words_asked()
        glued, self._cut = glue([*words, *[""] * (at + 1 - len(words))][: at + 1])
        *args, incomplete = glued[1:] or [""]
        self._lead = _lead(incomplete)
        return args, incomplete

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        if args and args[-1][-1:] in ("<", ">") and _REDIRECTIONS.issuperset(args[-1]):
            return [CompletionItem(incomplete, type="file")]
        return super().get_completions(args, incomplete)

    def format_completion(self, item: CompletionItem[str]) -> str:
        value = _value_of(item, self._lead)
        return f"{item.type},{value[self._cut :] if item.type == 'plain' else value}"


@add_completion_class
class _Zsh(ZshComplete):
    _lead = ""

    def source(self) -> str:
        return ZSH

    def get_completion_args(self) -> tuple[list[str], str]:
        words, at = words_asked()
        incomplete = words[at] if at < len(words) else ""
        self._lead = _lead(incomplete)
        return words[1:at], incomplete

    def format_completion(self, item: CompletionItem[str]) -> str:
        return f"{item.type}\n{_value_of(item, self._lead)}\n{item.help or '_'}"


@add_completion_class
class _Fish(FishComplete):
    _lead = ""

    def source(self) -> str:
        return FISH

    def get_completion_args(self) -> tuple[list[str], str]:
        args = split_arg_string(os.environ.get("COMP_WORDS", ""))[1:]
        incomplete = next(iter(split_arg_string(os.environ.get("COMP_CWORD", ""))), "")
        if incomplete and args[-1:] == [incomplete]:
            args.pop()
        self._lead = _lead(incomplete)
        return args, incomplete

    def format_completion(self, item: CompletionItem[str]) -> str:
        help_ = f"\t{item.help}" if item.help and item.type == "plain" else ""
        return f"{item.type},{_value_of(item, self._lead)}{help_}"


SHELL: Word[str] = Word("shell", one_of(tuple(SCRIPTS)), lambda: SCRIPTS)


@click.command()
@click.argument("shell", type=SHELL, required=False, metavar="bash|zsh|fish")
@click.option("--write", "folder", type=click.Path(file_okay=False), metavar="DIR", help="Write all three into DIR.")
@click.option("--install", is_flag=True, help="Put the script where the shell looks, and say what else there is.")
def completion(shell: str | None, folder: str | None, install: bool) -> None:
    """The completion script of a shell, on standard output.

    A distribution's package has the scripts in their places; pipx, uv and pip in a virtual environment leave them
    inside it. --install puts the one of $SHELL, or of the shell named, where your shell finds it, and says where
    the manual pages are.

    \b
    source <(mtcalc completion bash)    # in ~/.bashrc
    source <(mtcalc completion zsh)     # in ~/.zshrc, after compinit
    mtcalc completion --install
    """
    if install:
        if folder is not None:
            raise click.UsageError("--install and --write exclude each other")
        from mtcalc.cli.completion_install import install_script

        for line in install_script(shell):
            click.echo(line)
        return
    if (shell is None) == (folder is None):
        raise click.UsageError("a shell, or --write DIR (bash, zsh or fish)")
    if folder is not None:
        for name, script in SCRIPTS.values():
            (Path(folder) / name).write_text(script, encoding="ascii")
    elif shell is not None:
        click.echo(SCRIPTS[shell][1], nl=False)
