# SPDX-License-Identifier: GPL-2.0-only
"""Completion: the scripts, what the program answers them, and TABs typed into the real shells."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mtcalc.cli.completion import glue
from mtcalc.cli.completion_scripts import SCRIPTS
from mtcalc.cli.main import COMMANDS
from mtcalc.kvm.release import newest
from mtcalc.refs.resolve import resolve
from mtcalc.rules.builtin import built_in_names
from support.program import quick
from support.shells import Shell, interactive
from support.trees import TestTree, needs_git

SCRIPT_FOLDER = Path(__file__).parents[2] / "completions"
BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")
IN_CI = os.environ.get("CI") == "true"


# The scripts


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_scripts_in_completions_are_fresh(shell: str) -> None:
    name, _ = SCRIPTS[shell]
    printed = quick("completion", shell)
    assert (printed.status, printed.err) == (0, "")
    assert (SCRIPT_FOLDER / name).read_text() == printed.out, "mtcalc completion --write completions"


def test_completions_holds_nothing_else() -> None:
    assert sorted(path.name for path in SCRIPT_FOLDER.iterdir()) == sorted(name for name, _ in SCRIPTS.values())


def test_write_makes_all_three(tmp_path: Path) -> None:
    assert quick("completion", "--write", str(tmp_path)) == (0, "", "")
    for name, script in SCRIPTS.values():
        assert (tmp_path / name).read_text() == script
    missing = quick("completion", "--write", str(tmp_path / "none"))
    assert (missing.status, missing.out) == (2, "")
    assert "No such file or directory" in missing.err


@pytest.mark.parametrize("args", [[], ["bash", "--write", "."], ["tcsh"]])
def test_what_is_no_shell_is_refused(args: list[str]) -> None:
    done = quick("completion", *args)
    assert (done.status, done.out) == (2, "")
    assert "bash, zsh" in done.err or "bash|zsh" in done.err


@pytest.mark.parametrize("shell", SCRIPTS)
def test_clicks_way_to_the_script_works_too(shell: str) -> None:
    assert quick(env={"_MTCALC_COMPLETE": f"{shell}_source"}).out == SCRIPTS[shell][1]


# What the program answers


def answers(*words: str, shell: str = "bash", env: dict[str, str] | None = None) -> list[str]:
    """The lines that the program gives a shell for a TAB behind these words; the last one is incomplete."""
    asked = {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)}
    if shell == "fish":
        asked = {"COMP_WORDS": " ".join(words), "COMP_CWORD": words[-1]}
    done = quick(env={**asked, **(env or {}), "_MTCALC_COMPLETE": f"{shell}_complete"})
    assert (done.status, done.err) == (0, "")
    return done.out.removesuffix("\n").split("\n")


def words_for(*words: str, env: dict[str, str] | None = None) -> list[str]:
    """The plain words among them."""
    return [line.removeprefix("plain,") for line in answers(*words, env=env) if line.startswith("plain,")]


def test_commands() -> None:
    assert words_for("mtcalc", "") == list(COMMANDS)
    assert words_for("mtcalc", "rules", "")
    assert words_for("mtcalc", "--v") == ["--version"]


RULE_SUFFIXES = "file,.yaml .yml .c .patch .diff .mbox .eml .txt"


@pytest.mark.parametrize("before", [["lookup", "-r"], ["eval", "vm.yaml", "--rules"], ["rules", "show"], ["diff"]])
def test_rule_sets_releases_and_files(before: list[str]) -> None:
    *lines, last = answers("mtcalc", *before, "")
    offered = [line.removeprefix("plain,") for line in lines]
    assert last == RULE_SUFFIXES
    assert set(offered) >= {*built_in_names(), "latest", "host", "5.15", "6.1", "6.6", "6.12"}
    assert words_for("mtcalc", *before, "SLOT-F") == ["slot-flag"]


def test_every_release_on_offer_is_known() -> None:
    """From the first letter on all releases are there, and each resolves."""
    for major in range(3, newest()[0] + 1):
        offered = words_for("mtcalc", "lookup", "-r", f"{major}.")
        assert offered
        for ref in offered:
            resolve(ref)
    assert "6.11" in words_for("mtcalc", "lookup", "-r", "6.1")
    assert f"{newest()[0]}.{newest()[1] + 1}" not in words_for("mtcalc", "lookup", "-r", f"{newest()[0]}.")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("lookup --slot-flag ", "log-dirty-pages readonly guest-memfd non-coherent-dma"),
        ("lookup --slot-flag NON_", "non-coherent-dma"),
        ("lookup --disable-quirk ", "cd-nw-cleared ignore-guest-pat"),
        ("lookup --mtrr ", "UC WC WT WP WB"),
        ("lookup --pat u", "UC UC-"),
        ("lookup --pat=u", "--pat=UC --pat=UC-"),
        ("lookup --color ", "auto always never"),
        ("lookup -o ", "table plain json jsonl csv tsv markdown html svg"),
        ("explain -o ", "table plain json markdown html svg"),
        ("schema -o ", "json markdown"),
        ("schema rules-s", "rules-show rules-show-jsonl"),
        ("table --where effective=w", "effective=WC effective=WT effective=WP effective=WB"),
        ("decode pat ", "linux reset"),
        ("completion ", "bash zsh fish"),
    ],
)
def test_values(typed: str, offered: str) -> None:
    words = words_for("mtcalc", *typed.split(" "))
    assert set(words) >= set(offered.split())
    # A new slot flag may join; formats and types are all there are.
    if "flag" not in typed and "quirk" not in typed:
        assert words == offered.split()


@pytest.mark.parametrize("command", ["eval", "check", "explain", "mtrr"])
def test_scenario_files(command: str) -> None:
    assert answers("mtcalc", command, "") == ["file,.yaml .yml .json"]


def test_patch_files_and_folders() -> None:
    assert answers("mtcalc", "review", "") == ["file,.patch .diff .mbox .eml .txt"]
    assert answers("mtcalc", "completion", "--write", "") == ["dir,"]
    assert answers("mtcalc", "eval", "-", "<", "") == ["file,"]


@needs_git
@pytest.mark.parametrize(
    "before", [["lookup", "-r"], ["review"], ["diff"], ["diff", "6.12"], ["rules", "show"], ["log"]]
)
def test_branches_and_tags_of_a_git_tree(before: list[str], tmp_path: Path) -> None:
    """Behind git:, each shell in its way; of --git's tree or MTCALC_GIT's; none that a shell would run."""
    tree = TestTree(tmp_path)
    tree.commit("one", {"a": "b"})
    for name in ("v6.7", "v6.12", "6.1;touch", "$(x)", "caf\u00e9", "a&b"):
        tree.git("tag", name)
    tree.git("branch", "topic/mine")
    at = {"MTCALC_GIT": str(tmp_path)}
    assert words_for("mtcalc", *before, "git", ":", "", env=at) == ["HEAD", "master", "topic/mine", "v6.12", "v6.7"]
    assert words_for("mtcalc", *before, "git", ":", "v6.1", env=at) == ["v6.12"]
    asked = ["git:v6.7"] if before[0] != "log" else ["git:v6.7", "git:v6.7..v6"]
    for typed in asked:
        found = answers("mtcalc", *before, typed, shell="fish", env=at)
        assert [line.partition("\t")[0] for line in found] == [
            f"plain,{typed.rpartition('v6')[0]}{name}"
            for name in (["v6.7"] if typed == "git:v6.7" else ["v6.12", "v6.7"])
        ]
    command, option = (before[:1], before[1:]) if before[1:] == ["-r"] else (before, [])
    for folder, found in ((tmp_path, ["topic/mine"]), (tmp_path / "no", [])):
        assert words_for("mtcalc", *command, "--git", str(folder), *option, "git", ":", "to") == found


@needs_git
def test_a_git_that_takes_long_is_not_waited_for(tmp_path: Path) -> None:
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nsleep 20\n")
    slow.chmod(0o755)
    start = time.monotonic()
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert words_for("mtcalc", "lookup", "-r", "git", ":", "", env=path) == ["HEAD"]
    assert time.monotonic() - start < 15


def test_help_texts_go_to_the_shells_that_show_them() -> None:
    said = COMMANDS["lookup"].summary
    assert answers("mtcalc", "look", shell="fish") == [f"plain,lookup\t{said}"]
    assert answers("mtcalc", "look", shell="zsh") == ["plain", "lookup", said]
    assert answers("mtcalc", "look") == ["plain,lookup"]


def test_a_wrong_line_or_environment_is_no_traceback() -> None:
    assert answers("mtcalc", "lookup", "--mtrr", "XX", "--pat", "wc") == ["plain,WC"]
    assert answers("mtcalc", "lookup", "--nothing", "") == [""]
    asked = {"COMP_WORDS": "mtcalc lookup -o js", "COMP_CWORD": "3", "MTCALC_OUTPUT": "bad", "MTCALC_RULES": "bad"}
    assert quick(env={**asked, "_MTCALC_COMPLETE": "bash_complete"}) == (0, "plain,json\nplain,jsonl\n", "")


@pytest.mark.parametrize(
    ("words", "glued"),
    [
        (["a", "--rules", "=", "v6"], (["a", "--rules=v6"], 8)),
        (["a", "--rules", "="], (["a", "--rules="], 8)),
        (["a", "--where", "effective", "=", "w"], (["a", "--where", "effective=w"], 10)),
        (["a", "b", ":", "c", "d"], (["a", "b:c", "d"], 0)),
        (["a", "b", "=", "c", ":", "d"], (["a", "b=c:d"], 4)),
        (["a", ""], (["a", ""], 0)),
    ],
)
def test_bashs_cuts_are_undone(words: list[str], glued: tuple[list[str], int]) -> None:
    assert glue(words) == glued


TABS = [
    "mtcalc ",
    "mtcalc rules sh",
    *(f"mtcalc {command} " for command in COMMANDS),
    *(f"mtcalc {command} -" for command in COMMANDS),
    "mtcalc lookup -r ",
    "mtcalc table --where effective=",
    "mtcalc decode epte ",
]


def test_a_tab_imports_no_heavy_thing() -> None:
    """A TAB imports neither rich, pydantic nor yaml, nor tree_sitter, whatever stands before it."""
    code = """
import os, sys
from mtcalc.cli.main import main
for line in sys.stdin.read().splitlines():
    if os.fork() == 0:
        os.environ.update(_MTCALC_COMPLETE="zsh_complete", COMP_WORDS=line, COMP_CWORD=str(line.count(" ")))
        sys.stdout = open(os.devnull, "w")
        try:
            main()
        except SystemExit as end:
            heavy = {"rich", "pydantic", "pydantic_core", "yaml", "tree_sitter", "json"} & set(sys.modules)
            os.write(1, f"{line!r} {end.code} {sorted(heavy)}\\n".encode())
        os._exit(0)
    os.wait()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], input="\n".join(TABS), capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.splitlines() == [f"{line!r} 0 []" for line in TABS]


# The real shells


class Variant(NamedTuple):
    """A shell, and what its user has set up."""

    shell: str
    first: str = ""
    sourced: bool = True


VARIANTS = {
    "bash": Variant("bash"),
    "bash with bash-completion": Variant("bash", f"source {BASH_COMPLETION}\n"),
    "zsh": Variant("zsh"),
    "zsh autoload": Variant("zsh", f"fpath=({SCRIPT_FOLDER} $fpath)\n", sourced=False),
    "fish": Variant("fish"),
}


def needed(found: object, what: str) -> None:
    """Skips without a program; in CI, which installs them all, that is a failure."""
    if not found:
        if IN_CI:
            pytest.fail(f"{what} is not installed")
        pytest.skip(f"{what} is not installed")


@pytest.fixture(scope="module", params=list(VARIANTS))
def at_prompt(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Shell]]:
    """The variant's name and its shell, in a folder with some files, which is its home."""
    variant = VARIANTS[request.param]
    needed(shutil.which(variant.shell), variant.shell)
    if "bash-completion" in request.param:
        needed(BASH_COMPLETION.exists(), "bash-completion")
    folder = tmp_path_factory.mktemp("home")
    for name in ("vm.yaml", "my vm.yml", "notes.md", "fix.patch", "rules.c", "wide.JSON"):
        (folder / name).write_text("")
    (folder / "dir").mkdir()
    (folder / "dir" / "inner.yaml").write_text("")
    script = SCRIPT_FOLDER / SCRIPTS[variant.shell][0] if variant.sourced else Path(os.devnull)
    with interactive(variant.shell, script, folder, variant.first) as shell:
        yield request.param, shell


CASES = [
    ("mtcalc look", "mtcalc lookup "),
    ("mtcalc rules sh", "mtcalc rules show "),
    ("mtcalc lookup --slot-f", "mtcalc lookup --slot-flag "),
    ("mtcalc lookup -r slot-f", "mtcalc lookup -r slot-flag "),
    ("mtcalc lookup --rules=slot-f", "mtcalc lookup --rules=slot-flag "),
    ("mtcalc lookup -r 5.15", "mtcalc lookup -r 5.15 "),
    ("mtcalc lookup -r fi", "mtcalc lookup -r fix.patch "),
    ("mtcalc lookup --rules=fi", "mtcalc lookup --rules=fix.patch "),
    ("mtcalc lookup -r ru", "mtcalc lookup -r rules.c "),
    ("mtcalc lookup -r di", "mtcalc lookup -r dir/"),
    ("mtcalc lookup -r dir/", "mtcalc lookup -r dir/inner.yaml "),
    ("mtcalc lookup --slot-flag NON_C", "mtcalc lookup --slot-flag non-coherent-dma "),
    ("mtcalc lookup --disable-quirk cd", "mtcalc lookup --disable-quirk cd-nw-cleared "),
    ("mtcalc lookup --mtrr wc", "mtcalc lookup --mtrr WC "),
    ("mtcalc lookup --mtrr=wc", "mtcalc lookup --mtrr=WC "),
    ("mtcalc lookup --pat u", "mtcalc lookup --pat UC"),
    ("mtcalc lookup -o js", "mtcalc lookup -o json"),
    ("mtcalc explain -o csv", "mtcalc explain -o csv"),
    ("mtcalc lookup --color al", "mtcalc lookup --color always "),
    ("mtcalc table --where eff", "mtcalc table --where effective="),
    ("mtcalc table --where effective=wb", "mtcalc table --where effective=WB "),
    ("mtcalc eval vm", "mtcalc eval vm.yaml "),
    ("mtcalc eval my", "mtcalc eval my\\ vm.yml "),
    ("mtcalc eval 'my", "mtcalc eval 'my vm.yml' "),
    ("mtcalc eval ~/my", "mtcalc eval ~/my\\ vm.yml "),
    ("mtcalc eval wi", "mtcalc eval wide.JSON "),
    ("mtcalc eval not", "mtcalc eval not"),
    ("mtcalc eval fi", "mtcalc eval fi"),
    ("mtcalc eval - < not", "mtcalc eval - < notes.md "),
    ("mtcalc review fi", "mtcalc review fix.patch "),
    ("mtcalc completion --write di", "mtcalc completion --write dir/"),
    ("MTCALC_COLOR=never mtcalc rules sh", "MTCALC_COLOR=never mtcalc rules show "),
    ("echo 4G | mtcalc eval --ra", "echo 4G | mtcalc eval --ranges "),
]


def test_tabs(at_prompt: tuple[str, Shell]) -> None:
    name, shell = at_prompt
    # Of a shell that is set up in another way, as many cases as show that the script is in use.
    cases = CASES if name in SCRIPTS else CASES[1::4]
    assert [(typed, shell.on_tab(typed)) for typed, _ in cases] == cases


def test_two_tabs_list_what_there_is(at_prompt: tuple[str, Shell]) -> None:
    name, shell = at_prompt
    seen = shell.screen("mtcalc rules \t\t", re.compile(r"list\b.*show\b", re.DOTALL))
    if not name.startswith("bash"):
        assert "One rule set" in seen or "Every built-in" in seen, "with a line on each"


def test_a_command_by_its_path(at_prompt: tuple[str, Shell]) -> None:
    _, shell = at_prompt
    path = Path(sys.executable).with_name("mtcalc")
    assert shell.on_tab(f"{path} look") == f"{path} lookup "


def test_a_tab_in_the_middle_of_a_line(at_prompt: tuple[str, Shell]) -> None:
    """What stands behind the cursor does not change what is offered."""
    _, shell = at_prompt
    back = "\x02" * len(" -o json")  # ^B
    for typed, end, line in (
        ("mtcalc lookup -r slot-f", "", "mtcalc lookup -r slot-flag -o json"),
        ("mtcalc lookup --mtrr ", "wc", "mtcalc lookup --mtrr WC -o json"),
    ):
        got = shell.after(f"{typed} -o json{back}{end}\t")
        assert got.replace("  ", " ") == line  # zsh adds a blank, though there is one
    assert "slot-flag" in shell.screen(f"mtcalc lookup -r  -o json{back}\t\t", re.compile("v6.7.*v6.11", re.DOTALL))
