# SPDX-License-Identifier: GPL-2.0-only
"""The examples in --help, of every command: there are some, and they run as written in a folder that has the files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from mtcalc.cli.main import cli
from support.program import DATA, environment
from support.trees import linux

PATCHES = DATA / "patches"


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command and group of commands, by the words that call it."""
    yield path, group
    ctx = click.Context(group, info_name=path)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def examples(command: click.Command) -> list[str]:
    """The lines behind \\b that call the program."""
    lines = [line.strip() for line in (command.help or "").split("\n")]
    return [line for line in lines if line.startswith(("mtcalc ", "source "))]


EVERY_COMMAND = dict(commands(cli, "mtcalc"))
EVERY = {path: examples(command) for path, command in EVERY_COMMAND.items()}
CALLS = [line for lines in EVERY.values() for line in lines]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kernel's tree, in which the files lie that the examples name."""
    path = tmp_path_factory.mktemp("help")
    tree = linux(path / "linux")
    here = tree.folder
    seed = PATCHES / "noncoherent-dma-slot-flag-3of4.patch"
    (here / "v2").mkdir()
    for name in ("mail.patch", "mail", "v1.mbox", "v2/1.patch"):
        shutil.copy(seed, here / name)
    env = {**environment(), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in (
        "mtcalc example vfio > vm.yaml",
        "mtcalc example dumps/mtree.txt > mtree.txt",
        "mtcalc example dumps/proc-mtrr.txt > proc-mtrr.txt",
        "mtcalc rules show v6.7 -o yaml > mine.yaml",
        "git show v6.7:arch/x86/kvm/vmx/vmx.c > vmx.c",
        "git update-ref refs/remotes/origin/master v6.7",
        "ln -s . linux",
    ):
        subprocess.run(["bash", "-c", command], cwd=here, env=env, check=True)
    return here


def test_every_command_has_two_examples() -> None:
    assert {path: lines for path, lines in EVERY.items() if len(lines) < 2} == {}
    assert "examples/" not in " ".join(CALLS), "only a checkout has those files"


@pytest.mark.parametrize("path", EVERY)
def test_no_word_is_broken(path: str) -> None:
    """On terminals of any width: a hyphen of slot-flag ends no line."""
    for width in (40, 60, 80, 140):
        text = click.Context(EVERY_COMMAND[path], info_name=path, terminal_width=width).get_help()
        lines = (line.strip() for line in text.splitlines() if line.strip() not in EVERY[path])
        assert [line for line in lines if line.endswith("-") and not line.endswith(" -")] == []
        assert text.isascii()


@pytest.mark.parametrize("call", CALLS)
def test_an_example_runs(call: str, folder: Path) -> None:
    env = {**environment(), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder)}
    env["SHELL"] = "/bin/bash"
    if " zsh" in call:
        call = call.replace("source <(", "cat <(")  # another shell's
    done = subprocess.run(["bash", "-c", call], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout or ">" in call or call.startswith("source")
