# SPDX-License-Identifier: GPL-2.0-only
"""Inputs that once crashed the program, hung it, or leaked: tests/data/hostile.

Time is told as a multiple of a run over a harmless input of the same size, which is generous and does not flake.
"""

from __future__ import annotations

import csv
import json
import subprocess
import time
from pathlib import Path

import pytest

from support.program import DATA, PROGRAM, Run, environment, quick, run

HOSTILE = DATA / "hostile"
MULTIPLE = 15
LONGEST_REPORT = 1000


def timed(*args: str, stdin: str | bytes = "") -> tuple[Run, float]:
    started = time.monotonic()
    done = run(*args, stdin=stdin)
    return done, time.monotonic() - started


def place(name: str) -> Path:
    return (DATA / "c" / "hostile" if name.endswith(".c") else HOSTILE) / name


def harmless(path: Path, folder: Path) -> Path:
    """A file of the same kind and size, with nothing in it but comments or talk."""
    line = {".c": "/* x */\n", ".yaml": "# x\n", ".patch": "a word of talk\n"}[path.suffix]
    copy = folder / f"harmless{path.suffix}"
    copy.write_text(line * (path.stat().st_size // len(line)))
    return copy


REFUSED_OR_ANSWERED = (
    ("encoded-word.patch", ("review",)),
    ("encoded-charset.patch", ("review",)),
    ("slow-attribution.patch", ("review",)),
    ("slow-hunk-line.patch", ("review",)),
    ("slow-subject.patch", ("review",)),
    ("nested-conditions.c", ("rules", "show")),
    ("slow-calls.c", ("rules", "show")),
    ("slow-heads.c", ("rules", "show")),
    ("slow-parens.c", ("rules", "show")),
    ("long-number.c", ("rules", "show")),
    ("crlf-column.c", ("rules", "show")),
    ("diff-recursion-a.yaml", ("diff", "v6.7")),
    ("diff-hang-a.yaml", ("rules", "show")),
    ("scalar-message.yaml", ("lookup", "-r")),
    ("stdin-rules.yaml", ("eval",)),
)


@pytest.mark.parametrize(("name", "args"), REFUSED_OR_ANSWERED, ids=[name for name, _ in REFUSED_OR_ANSWERED])
def test_it_is_answered_or_refused_soon(name: str, args: tuple[str, ...], tmp_path: Path) -> None:
    path = place(name)
    _, usual = timed(*args, str(harmless(path, tmp_path)))
    done, took = timed(*args, str(path))
    assert done.status in (0, 1, 2)
    assert "Traceback" not in done.err
    assert len(done.err) < LONGEST_REPORT
    assert bool(done.err) == (done.status == 2)
    assert took < MULTIPLE * usual


@pytest.mark.parametrize("kind", ["recursion", "hang"])
def test_a_diff_of_two_large_rule_sets_ends(kind: str, tmp_path: Path) -> None:
    one, two = (HOSTILE / f"diff-{kind}-{side}.yaml" for side in "ab")
    _, usual = timed("diff", str(harmless(one, tmp_path)), str(harmless(two, tmp_path)))
    done, took = timed("diff", str(one), str(two))
    assert done.status in (1, 2)
    assert "Traceback" not in done.err
    assert len(done.err) < LONGEST_REPORT
    assert took < MULTIPLE * usual


def test_a_long_chain_of_bases_is_refused(tmp_path: Path) -> None:
    """252 rule files, each the base of the one before."""
    change = "changes: [{{insert_before: mmio, id: r{}, when: mmio, ept: {{memtype: UC, ipat: 0}}}}]\n"
    for number in range(1, 253):
        base = f"./c{number + 1}.yaml" if number < 252 else "v6.7"
        (tmp_path / f"c{number}.yaml").write_text(f"base: {base}\n{change.format(number)}")
    done = run("lookup", "-r", str(tmp_path / "c1.yaml"))
    assert (done.status, done.out) == (2, "")
    assert "Traceback" not in done.err
    assert len(done.err) < LONGEST_REPORT
    # A few are a habit of people, and are read.
    assert run("lookup", "-r", str(tmp_path / "c248.yaml")).status == 0


def test_blanks_are_read_in_linear_time() -> None:
    """2 KB of blanks behind a word once took seconds, in whatever place of a mail."""
    for text in ("Subject: [PATCH{} x", "On{} wrote:", "diff --git a/x b/x{}", "@@ -1,1 +1,1 @@{}", "{}--", ">{} x"):
        small, usual = timed("review", "-", stdin=text.format("\t " * 100) + "\n" * 60_000)
        large, took = timed("review", "-", stdin=text.format("\t " * 30_000))
        assert (small.status, large.status) == (2, 2)
        assert took < MULTIPLE * usual


@pytest.mark.parametrize("form", ["csv", "tsv"])
@pytest.mark.parametrize(
    "args",
    [
        ("lookup", "-r", "escape-in-names.yaml"),
        ("rules", "show", "escape-in-names.yaml"),
        ("diff", "v6.7", "escape-in-names.yaml"),
        ("check", "escape-in-expect.yaml"),
        ("rules", "check", "../c/hostile/escape-in-comment.c"),
        ("lookup", "-r", "../c/hostile/escape-in-comment.c"),
    ],
    ids=" ".join,
)
def test_rows_carry_no_control_character(args: tuple[str, ...], form: str) -> None:
    """One row a line, as many fields in each, and nothing that steers a terminal."""
    done = run(*args, "-o", form, cwd=HOSTILE)
    assert (done.status in (0, 1), done.err) == (True, "")
    rows = list(csv.reader(done.out.splitlines(), "excel-tab" if form == "tsv" else "excel"))
    assert len(rows) == done.out.count("\n") > 0
    assert len({len(row) for row in rows}) == 1
    assert all(char.isprintable() for row in rows for field in row for char in field)


def test_json_with_a_surrogate_pair_is_json() -> None:
    done = run("eval", str(HOSTILE / "json-emoji.json"), "-r", "v6.7", "-o", "json")
    slots = {slot["name"] for slot in json.loads((HOSTILE / "json-emoji.json").read_text())["memslots"]}
    assert {answer["slot"] for answer in done.json["results"]} == slots


def test_streams_go_on_without_standard_error() -> None:
    """Good lines are answered, whatever becomes of the messages."""
    for closed in ("2>&-", "2>/dev/full"):
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {closed}', "sh", *PROGRAM, "eval", "golden/vfio.yaml", "--gpa", "-", "-o", "tsv"],
            input=b"0x1000\nxx\n0x2000\n",
            capture_output=True,
            env=environment(),
            cwd=DATA,
            check=False,
        )
        assert done.returncode == 2
        assert [line.split(b"\t")[1] for line in done.stdout.splitlines()] == [b"gpa", b"0x1000", b"0x2000"]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *PROGRAM, "mtrr", "golden/vfio.yaml", "--gpa", "-", "-o", "json"],
        capture_output=True,
        env=environment(),
        cwd=DATA,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"mtcalc: -: standard input is closed (")


def test_the_remedy_of_a_number_that_is_too_long_is_said() -> None:
    done = quick("rules", "show", str(place("long-number.c")))
    assert done.status == 2
    assert "int" not in done.err.split("\n")[0].split("long-number.c")[-1].replace("integer", "")


def test_a_column_stands_within_its_line() -> None:
    path = place("crlf-column.c")
    done = quick("rules", "show", str(path))
    assert done.status == 2
    number, column = map(int, done.err.split("crlf-column.c:")[1].split(":")[:2])
    line = path.read_bytes().split(b"\n")[number - 1].rstrip(b"\r")
    assert column <= len(line) + 1
