# SPDX-License-Identifier: GPL-2.0-only
"""Exit status, streams and signals, as every filter keeps them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from mtcalc.cli.main import cli
from mtcalc.cli.options import ALL_FORMATS
from support.program import DATA, PROGRAM, Run, environment, quick, run

LOOKUP = ("lookup", "--pat", "wc")
EVAL = ("eval", "golden/vfio.yaml")
WIDE = ("eval", "golden/wide.yaml")


def shell(script: str, *args: str, stdin: str = "", env: dict[str, str] | None = None) -> Run:
    """A line of sh around the program, "$@"."""
    done = subprocess.run(
        ["sh", "-c", script, "sh", *PROGRAM, *args],
        input=stdin,
        capture_output=True,
        text=True,
        env=environment(env),
        cwd=DATA,
        timeout=120,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("status", "args"),
    [
        (0, ("lookup",)),
        (0, ("--version",)),
        (0, ("rules", "list")),
        (0, ("table", "-r", "v6.7", "-r", "v6.16")),
        (0, ("eval", "golden/vfio.yaml", "-r", "v6.7", "-r", "v6.16")),
        (0, ("decode", "mtrr", "0x2ff=0x1c06")),
        (0, ("check", "golden/virtio-gpu.yaml")),
        (1, ("check", "golden/failing.yaml")),
        (2, ("check", "golden/bad.yaml")),
        (2, ("lookup", "--pat", "xx")),
        (2, ("nothing",)),
        (2, ()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_the_exit_status_says_how_it_went(status: int, args: tuple[str, ...]) -> None:
    """0 done; 1 a failed expectation; 2 wrong usage or bad input, one message and nothing on standard output."""
    done = quick(*args)
    assert done.status == status
    assert bool(done.out) == (status < 2)
    assert bool(done.err) == (status == 2)
    assert "Traceback" not in done.err


def test_the_status_is_the_real_process_too() -> None:
    assert [run("check", f"golden/{name}.yaml").status for name in ("virtio-gpu", "failing", "bad")] == [0, 1, 2]


@pytest.mark.parametrize(
    "args", [LOOKUP, (*EVAL, "-o", "json"), (*LOOKUP, "-o", "table"), ("-h",), (*EVAL, "--gpa", "-")]
)
def test_a_closed_pipe_ends_it_by_sigpipe(args: Sequence[str]) -> None:
    """A closed pipe ends the program without a message as it ends cat."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as out:
        done = subprocess.run(
            [*PROGRAM, *args],
            input=b"0x1000\n",
            stdout=out,
            stderr=subprocess.PIPE,
            env=environment(),
            cwd=DATA,
            check=False,
        )
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


def test_ctrl_c_ends_it_by_sigint() -> None:
    process = subprocess.Popen(
        [*PROGRAM, *EVAL, "--gpa", "-", "-o", "jsonl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        cwd=DATA,
        bufsize=0,
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"0x1000\n")
    assert os.read(process.stdout.fileno(), 1 << 16)  # it is up, and waits for the next line
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (-signal.SIGINT, b"")


@pytest.mark.parametrize("args", [LOOKUP, (*LOOKUP, "-o", "table"), (*EVAL, "--gpa", "-", "-o", "tsv"), ("-h",)])
def test_a_full_disk_is_one_message(args: tuple[str, ...]) -> None:
    done = shell('exec "$@" >/dev/full', *args, stdin="0x1000\n")
    assert done == Run(2, "", "mtcalc: standard output: No space left on device\n")


def test_a_closed_standard_output_is_one_message() -> None:
    for args in (LOOKUP, ("--help",)):
        assert shell('exec "$@" >&-', *args) == Run(2, "", "mtcalc: standard output: closed\n")


def test_a_closed_standard_error_changes_nothing_else() -> None:
    assert shell('exec "$@" 2>&-', "lookup", "--pat", "xx") == Run(2, "", "")
    assert shell('exec "$@" 2>&-', *LOOKUP).status == 0


def test_a_full_standard_error_changes_nothing_else() -> None:
    assert shell('exec "$@" 2>/dev/full', "lookup", "--pat", "xx") == Run(2, "", "")
    assert shell('exec "$@" 2>/dev/full', *LOOKUP).status == 0


def test_ctrl_c_while_it_starts_says_nothing() -> None:
    """From the first line of our own on, whatever is still to be loaded."""
    code = (
        "import os, signal, sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'mtcalc.cli.main': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from mtcalc.cli.start import run\n"
        "run()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment(), check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


@pytest.mark.parametrize(
    ("args", "status"),
    [
        (("lookup",), 0),
        (("eval", str(DATA / "golden/vfio.yaml")), 0),
        (("eval", "x.yaml"), 2),
        (("lookup", "-r", "./x.yaml"), 2),
        (("review", "x.patch", "--base", "./x.c"), 2),
        (("eval", "-", "--base", "./x.c"), 2),
        (("completion", "--write", "."), 2),
    ],
)
def test_a_deleted_working_directory_is_no_trouble_of_its_own(args: Sequence[str], status: int) -> None:
    script = 'gone=$(mktemp -d) && cd "$gone" && rmdir "$gone" && exec "$@"'
    done = shell(script, *args, stdin="rules: a.patch\nmemslots: [{gpa: 0, size: 4K}]\n")
    assert done.status == status
    assert done.err.count("\n") <= 3
    assert "Traceback" not in done.err
    assert "standard output" not in done.err


@pytest.mark.parametrize("value", ["0", "1", "2", "3", "4", "-3", "x", "\u00b2", "9" * 5000, ""])
@pytest.mark.parametrize("args", [LOOKUP, EVAL, ("diff", "v6.7", "slot-flag"), ("--help",)], ids=" ".join)
def test_any_width_is_answered(args: Sequence[str], value: str) -> None:
    """A width of a few columns, or none at all, takes nothing of the answer.

    In a few columns a table is cut into parts, each of which begins with its first column again.
    """
    form = () if args == ("--help",) else ("-o", "table")
    wide = quick(*args, *form, env={"COLUMNS": "200"})
    done = quick(*args, *form, env={"COLUMNS": value, "LINES": value})
    assert (done.status, done.err) == (wide.status, "")
    if form:
        assert not letters(wide.out) - letters(done.out)
        assert value in ("1", "2", "3", "4") or letters(wide.out) == letters(done.out)


def letters(text: str) -> Counter[str]:
    """What stands there, however it is broken and underlined."""
    return Counter(char for char in text if char.isascii() and char.isalnum())


@pytest.mark.parametrize("question", ["bash_complete", "zsh_complete", "fish_complete"])
@pytest.mark.parametrize("words", [{}, {"COMP_WORDS": ""}, {"COMP_CWORD": "x"}, {"COMP_CWORD": "\u00b2"}])
def test_missing_completion_variables_mean_an_empty_line(question: str, words: dict[str, str]) -> None:
    done = run(env={"_MTCALC_COMPLETE": question, **words})
    assert (done.status, done.err) == (0, "")
    if question != "fish_complete" or "COMP_CWORD" not in words:
        assert "lookup" in done.out


def test_an_unknown_completion_question_is_bad_usage() -> None:
    done = run(env={"_MTCALC_COMPLETE": "tcsh_complete"})
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("mtcalc: _MTCALC_COMPLETE: 'tcsh_complete' is not known (bash_complete, ")


def test_a_closed_standard_input_is_one_message() -> None:
    done = shell('exec "$@" <&-', "eval", "-")
    assert done == Run(2, "", "mtcalc: -: standard input is closed (a file, or a pipe into the program)\n")
    done = shell('exec "$@" <&-', *EVAL, "--gpa", "-")
    assert done == Run(2, "", "mtcalc: -: standard input is closed (addresses, one a line)\n")


def test_input_that_cannot_be_read_is_no_fault_of_the_output(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as unreadable:
        done = subprocess.run(
            [*PROGRAM, *EVAL, "--gpa", "-"],
            stdin=unreadable,
            capture_output=True,
            text=True,
            env=environment(),
            cwd=DATA,
            check=False,
        )
    message = "mtcalc: -: bad file descriptor (addresses, one a line)\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)


@pytest.mark.parametrize("form", ["plain", "table", "json", "jsonl", "csv", "tsv"])
def test_an_ascii_stream_gets_ascii(form: str) -> None:
    """A name that an ASCII stream can't say is written as an escape, in every format."""
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run(*WIDE, "-o", form, env=ascii_only)
    assert (done.status, done.err) == (0, "")
    assert done.out.isascii()
    assert r"na\xefve \u5185\u5b58" in done.out or r"na\u00efve \u5185\u5b58" in done.out


def test_an_error_on_an_ascii_stream_is_ascii() -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run("eval", "-", stdin="memslöts: 1\n", env=ascii_only)
    assert done.status == 2
    assert done.err == "-:1:1: unknown key 'memsl\\xf6ts' (did you mean memslots?)\n  memsl\\xf6ts: 1\n  ^\n"


def test_a_unicode_stream_gets_the_name_itself() -> None:
    for form in ("table", "csv", "tsv"):
        assert "naïve 内存" in quick(*WIDE, "-o", form).out
    assert "\\xefve" in quick(*WIDE, "-o", "plain").out  # plain is ASCII anywhere


def test_input_cannot_steer_the_terminal() -> None:
    """Neither a scenario nor a word of the command line gets its control characters onto the screen."""
    scenario = 'memslots: [{name: "a\\e[31mb", gpa: 0, size: 4K}]\n'
    calls = [
        quick("eval", "-", stdin=scenario),
        quick("eval", "-", stdin="\x1b[31m: 1\n"),
        quick("eval", "\x1b[31m"),
        quick("lookup", "--pat", "\x1b[31m"),
        quick("lookup", "-r", "\x1b[31m"),
        quick("\x1b[31m"),
        quick("lookup", "--\x1b[31m"),
        quick("lookup", "\x1b[31m"),
        quick("lookup", env={"MTCALC_OUTPUT": "\x1b[31m"}),
    ]
    for done in calls:
        assert (done.status, done.out) == (2, "")
        assert "[31m" in done.err
        assert "\x1b" not in done.err


@pytest.mark.parametrize(
    ("args", "env", "coloured"),
    [
        ((), {}, False),  # a pipe
        (("--color", "always"), {}, True),
        (("--color", "never"), {"FORCE_COLOR": "1"}, False),
        (("--color", "auto"), {"FORCE_COLOR": "1"}, True),
        ((), {"FORCE_COLOR": "1"}, True),
        ((), {"FORCE_COLOR": "0"}, False),
        ((), {"FORCE_COLOR": ""}, False),
        ((), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ((), {"FORCE_COLOR": "1", "NO_COLOR": ""}, True),
        ((), {"MTCALC_COLOR": "always"}, True),
        ((), {"MTCALC_COLOR": "never", "FORCE_COLOR": "1"}, False),
        ((), {"MTCALC_COLOR": "auto", "FORCE_COLOR": "1"}, True),
        (("--color", "never"), {"MTCALC_COLOR": "always"}, False),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
        (("--color", "always"), {"TERM": "dumb"}, True),
    ],
)
def test_colour(args: tuple[str, ...], env: dict[str, str], coloured: bool) -> None:
    """NO_COLOR and FORCE_COLOR are honoured, FORCE_COLOR=0 means no, NO_COLOR wins; the option wins over all."""
    done = quick(*LOOKUP, "-o", "table", *args, env=env)
    assert (done.status, done.err) == (0, "")
    assert ("\x1b[" in done.out) is coloured
    plain = quick(*LOOKUP, "-o", "plain", *args, env=env)
    assert plain.out == quick(*LOOKUP).out


def test_colour_says_nothing_that_words_do_not() -> None:
    coloured = quick(*EVAL, "-o", "table", "--color", "always").out
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    wanted = quick(*EVAL, "-o", "table").out
    assert [line.rstrip() for line in plain.splitlines()] == [line.rstrip() for line in wanted.splitlines()]


def rules_of(done: Run) -> Any:
    """The rule set that answered."""
    answer = done.json
    return (answer["results"] if isinstance(answer, dict) else answer)[0]["rules"]


def test_rules_precedence() -> None:
    """Option, scenario, environment, default."""
    env = {"MTCALC_RULES": "v4.4"}
    json = ("-o", "json")
    assert rules_of(quick("lookup", *json)) == "slot-flag"
    assert rules_of(quick("lookup", *json, env=env)) == "v4.4"
    assert rules_of(quick("lookup", *json, "-r", "5.15", env=env)) == "v4.4"
    assert rules_of(quick("lookup", *json, "-r", "v6.16", env=env)) == "v6.16"
    assert rules_of(quick(*EVAL, *json, env=env)) == "v6.7"
    assert rules_of(quick(*EVAL, *json, "-r", "v6.16", env=env)) == "v6.16"
    unsaid = "memslots: [{gpa: 0, size: 4K}]\n"
    assert rules_of(quick("eval", "-", *json, stdin=unsaid)) == "slot-flag"
    assert rules_of(quick("eval", "-", *json, stdin=unsaid, env=env)) == "v4.4"
    assert rules_of(quick("lookup", *json, env={"MTCALC_RULES": ""})) == "slot-flag"


def test_the_default_is_said_to_be_a_proposal() -> None:
    """Answers under the default say that slot-flag is a proposal."""
    note = "slot-flag is a proposal of 5 January 2024, not in mainline"
    chosen = f"{note} (the default: choose others with -r)"
    assert quick("lookup", "-o", "json").json[0]["notes"][0] == chosen
    assert quick("lookup", "-o", "json", "-r", "slot-flag").json[0]["notes"] == [note]
    assert quick("lookup", "-o", "json", "-r", "v6.7").json[0]["notes"] == []
    assert quick("lookup", "-o", "json", env={"MTCALC_RULES": "slot-flag"}).json[0]["notes"] == [note]


def test_output_precedence() -> None:
    env = {"MTCALC_OUTPUT": "csv"}
    csv = quick(*LOOKUP, "-o", "csv").out
    assert quick(*LOOKUP, env=env).out == csv
    assert quick(*LOOKUP, "-o", "tsv", env=env).out == csv.replace(",", "\t")
    assert quick(*LOOKUP, env={"MTCALC_OUTPUT": ""}).out == quick(*LOOKUP).out
    # explain has no rows: what suits other commands does not stop it.
    assert quick("explain", env=env).out == quick("explain").out


@pytest.mark.parametrize("form", ["yaml", "junit", "github"])
def test_a_format_of_other_commands_does_not_stop_a_command(form: str) -> None:
    """From the environment; on the command line it is refused as ever."""
    env = {"MTCALC_OUTPUT": form}
    for args in (LOOKUP, ("explain",), ("rules", "list"), ("decode", "pat", "linux"), ("mtrr", "golden/vfio.yaml")):
        assert quick(*args, env=env) == quick(*args)
        assert quick(*args, "-o", form).status == 2
    own = ("rules", "show", "v6.7") if form == "yaml" else ("check", "golden/vfio.yaml")
    assert quick(*own, env=env) == quick(*own, "-o", form)
    other = ("check", "golden/vfio.yaml") if form == "yaml" else ("rules", "show", "v6.7")
    assert quick(*other, env=env) == quick(*other)


def test_the_formats_of_the_environment_are_those_of_the_commands() -> None:
    found: set[str] = set()

    def walk(command: click.Command | None) -> None:
        assert command is not None
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                walk(command.get_command(click.Context(command), name))
        for param in command.params:
            if param.name == "form":
                found.update(item.value for item in param.type.shell_complete(click.Context(command), param, ""))

    walk(cli)
    assert found == set(ALL_FORMATS)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"MTCALC_RULES": "slot-falg"}, "mtcalc: MTCALC_RULES: unknown rule set 'slot-falg' (did you mean slot-flag?)"),
        ({"MTCALC_COLOR": "yes"}, "mtcalc lookup: MTCALC_COLOR: 'yes' is not known (auto, always, never)"),
        (
            {"MTCALC_OUTPUT": "xml"},
            "mtcalc lookup: MTCALC_OUTPUT: 'xml' is no format (table, plain, json, jsonl, csv, tsv",
        ),
    ],
)
def test_a_bad_word_in_the_environment_is_named(env: dict[str, str], message: str) -> None:
    done = quick("lookup", env=env)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(message)
    # Where the option is given the environment is not asked.
    assert quick("lookup", "-r", "v6.7", "-o", "plain", "--color", "never", env=env).status == 0


def test_a_fault_of_ours_is_one_message_too() -> None:
    """Whatever Python raises."""
    for raised in ("RecursionError('deep')", "MemoryError()", "KeyError('\\x1b')"):
        code = (
            "import mtcalc.cli.main as m\n"
            "def main():\n"
            f"    raise {raised}\n"
            "m.main = main\n"
            "from mtcalc.cli.start import run\n"
            "run()\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"mtcalc: {raised.split('(')[0]}: ")
        assert done.stderr.endswith("(a fault of mtcalc: please report)\n")
        assert "Traceback" not in done.stderr
        assert "\x1b" not in done.stderr
