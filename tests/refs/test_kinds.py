# SPDX-License-Identifier: GPL-2.0-only
"""What a file is, told by its content where its name does not: standard input, pipes, names without a suffix."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from mtcalc.refs.kinds import FileKind, kind_by_content, kind_by_suffix
from mtcalc.rulefile.write import write_rule_file
from mtcalc.rules.builtin import built_in_names
from support.patches import c_file, crlf, kernel, quoted
from support.program import DATA, quick
from support.trees import function_of

ROOT = Path(__file__).parents[2]
PATCH = (DATA / "patches/noncoherent-dma-slot-flag-3of4.patch").read_text()
RULES = write_rule_file(kernel("v6.7"))
C = c_file(function_of("v6.7"))
FILES = [
    *sorted((DATA / "patches").iterdir()),
    *sorted((DATA / "c").iterdir()),
    *(path for path in sorted(ROOT.glob("examples/*.yaml")) if "\nmemslots:" not in path.read_text()),
]


@pytest.mark.parametrize("path", [path for path in FILES if path.is_file()], ids=lambda path: path.name)
def test_content_tells_what_the_suffix_tells(path: Path) -> None:
    """Of every rule file, C source and patch that the tests have, but for those in which there is nothing."""
    assert kind_by_content(path.read_bytes()) in (kind_by_suffix(path.name), None)
    assert kind_by_suffix(path.name) is not None


@pytest.mark.parametrize("name", built_in_names())
def test_every_built_in_set_both_ways(name: str) -> None:
    assert kind_by_content(function_of(name).encode()) is FileKind.C
    assert kind_by_content(c_file(function_of(name)).encode()) is FileKind.C
    assert kind_by_content(write_rule_file(kernel(name)).encode()) is FileKind.RULES


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PATCH, FileKind.PATCH),
        (quoted(PATCH), FileKind.PATCH),
        (crlf(PATCH), FileKind.PATCH),
        (PATCH[PATCH.index("--- a/") :], FileKind.PATCH),
        (PATCH[PATCH.index("@@ -") :], FileKind.PATCH),
        ("Subject: a cover letter\n\nHello.\n", FileKind.PATCH),
        (crlf(C), FileKind.C),
        ("\ufeff" + C, FileKind.C),
        ("/* nothing yet */\n", FileKind.C),
        ("#include <linux/kvm.h>\n", FileKind.C),
        ("static int other(void)\n{\n\treturn 0;\n}\n", FileKind.C),
        (crlf(RULES), FileKind.RULES),
        ("# Comment: (x)\nbase: v6.7\nchanges: []\n", FileKind.RULES),
        ("", None),
        ("hello\n", None),
        ("memslots:\n  - {gpa: 0, size: 4K}\n", None),
        ("\x00\x01", None),
    ],
)
def test_kinds(content: str, kind: FileKind | None) -> None:
    assert kind_by_content(content.encode()) is kind


def test_a_packed_file_is_a_patch() -> None:
    assert kind_by_content(gzip.compress(PATCH.encode())) is FileKind.PATCH


TEXTS = {"patch": PATCH, "yaml": RULES, "c": C}


@pytest.mark.parametrize("suffix", TEXTS)
def test_standard_input_a_pipe_and_a_bare_name(suffix: str, tmp_path: Path) -> None:
    """The same answers as from a file with the suffix."""
    text = TEXTS[suffix]
    (tmp_path / f"x.{suffix}").write_text(text)
    (tmp_path / "bare").write_text(text)
    call = ("lookup", "--slot-flag", "8", "--pat", "wc", "-o", "json", "-r")

    def asked(ref: str, stdin: str = "") -> object:
        (answer,) = quick(*call, ref, stdin=stdin, cwd=tmp_path).json
        return answer["rule"]["id"], answer["ept"], answer["effective"]

    wanted = asked(f"x.{suffix}")
    assert asked("-", text) == wanted
    assert asked("/dev/stdin", text) == wanted
    assert asked("./bare") == wanted


def test_pipes_of_a_shell(tmp_path: Path) -> None:
    """<(...), which can be read but once: two of them to compare, and a C file below a patch."""
    (tmp_path / "a.c").write_text(C)
    (tmp_path / "b.c").write_text(c_file(function_of("v6.11")))
    (tmp_path / "p.patch").write_text(PATCH)
    fifos = []
    for number, name in enumerate(("a.c", "b.c", "p.patch", "a.c")):
        fifo = tmp_path / f"pipe{number}"
        os.mkfifo(fifo)
        fifos.append((fifo, (tmp_path / name).read_bytes()))
    pids = []
    for fifo, content in fifos:
        pid = os.fork()
        if not pid:
            try:
                with open(fifo, "wb") as pipe:
                    pipe.write(content)
            finally:
                os._exit(0)
        pids.append(pid)
    by_pipe = quick("diff", "./pipe0", "./pipe1", "-o", "json", cwd=tmp_path)
    by_file = quick("diff", "a.c", "b.c", "-o", "json", cwd=tmp_path)
    assert by_pipe.status == by_file.status == 1
    assert json.loads(by_pipe.out)["rows"] == json.loads(by_file.out)["rows"]
    by_pipe = quick("review", "./pipe2", "--base", "./pipe3", "-o", "json", cwd=tmp_path)
    by_file = quick("review", "p.patch", "--base", "a.c", "-o", "json", cwd=tmp_path)
    assert by_pipe.status == by_file.status == 1
    assert json.loads(by_pipe.out)["rows"] == json.loads(by_file.out)["rows"]
    for pid in pids:
        os.waitpid(pid, 0)


@pytest.mark.parametrize(
    ("args", "stdin", "why"),
    [
        (("-r", "/dev/stdin"), "hello\n", "no rule set by its suffix nor by what is in it"),
        (("-r", "-"), "hello\n", "no patch found"),
        (("-r", "-", "--base", "v6.7"), RULES, "--base goes with a patch"),
        (("-r", "/dev/stdin", "--base", "v6.7"), C, "--base goes with a patch"),
        (("-r", "./nowhere"), "", "unknown kind of rule set"),
    ],
)
def test_what_is_refused(args: tuple[str, ...], stdin: str, why: str) -> None:
    done = quick("lookup", *args, stdin=stdin)
    assert (done.status, done.out) == (2, "")
    assert why in done.err


def test_a_bare_name_that_is_its_own_base(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("base: ./b\nchanges: []\n")
    (tmp_path / "b").write_text("base: ./a\nchanges: []\n")
    done = quick("lookup", "-r", "./a", cwd=tmp_path)
    assert done.status == 2
    assert "is its own base" in done.err
