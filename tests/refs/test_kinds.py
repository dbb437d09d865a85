# SPDX-License-Identifier: GPL-2.0-only
"""What a file is, told by its content where its name does not: standard input, pipes, names without a suffix."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from mtcalc.refs.kinds import FileKind, kind_by_content, kind_by_suffix
from mtcalc.rulefile.write import write_rule_file
from mtcalc.rules.builtin import built_in_names
from support.patches import c_file, crlf, diff, kernel, quoted
from support.program import DATA, quick, run
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
        ("Return-Path: <w@x>\nReceived: from a\n\tby b; now\nX-A: b\nSubject: packed\n\nZGlmZg==\n", FileKind.PATCH),
        ("From git@z Thu Jan  1 00:00:00 1970\r\nMIME-Version: 1.0\r\nDate: now\r\n\r\nx\r\n", FileKind.PATCH),
        ("X-A: b\n\nSubject: in a body\n", None),
        (crlf(C), FileKind.C),
        ("\ufeff" + C, FileKind.C),
        ("/* nothing yet */\n", FileKind.C),
        ("#include <linux/kvm.h>\n", FileKind.C),
        ("static int other(void)\n{\n\treturn 0;\n}\n", FileKind.C),
        (crlf(RULES), FileKind.RULES),
        ("# Comment: (x)\nbase: v6.7\nchanges: []\n", FileKind.RULES),
        ('{"name": "x", "rules": []}\n', FileKind.RULES),
        ('\n{\n  "rules": []\n}\n', FileKind.RULES),
        ('"rules": []\n', FileKind.RULES),
        ("{memslots: [{name: ram, gpa: 0, size: 4K}]}\n", None),
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


LOOSE = """\
rules:
  - {id: a, when: mmio, ept: {memtype: UC, ipat: 0}}
  - {id: b, when: mmio, ept: {memtype: WB, ipat: 0}}
"""


def piped(tmp_path: Path, *args: str) -> tuple[int, dict[str, Any] | list[Any]]:
    """What a command says in JSON, its arguments that name files given as pipes, which can be read but once."""
    pids, words = [], []
    for number, word in enumerate(args):
        path = tmp_path / word
        if not path.is_file():
            words.append(word)
            continue
        fifo = tmp_path / f"pipe{number}"
        os.mkfifo(fifo)
        words.append(f"./{fifo.name}")
        pid = os.fork()
        if not pid:
            try:
                with open(fifo, "wb") as pipe:
                    pipe.write(path.read_bytes())
            finally:
                os._exit(0)
        pids.append(pid)
    done = quick(*words, "-o", "json", cwd=tmp_path)
    for pid in pids:
        os.waitpid(pid, 0)
    for path in tmp_path.glob("pipe*"):
        path.unlink()
    assert done.err == ""
    return done.status, json.loads(done.out)


@pytest.mark.parametrize(
    "args",
    [
        ("diff", "a.c", "b.c"),
        ("diff", "a.c", "r.yaml"),
        ("diff", "r.yaml", "p.patch"),
        ("review", "p.patch", "--base", "a.c"),
        ("review", "p.patch", "--base", "r.yaml"),
        ("review", "q.patch", "--base", "p.patch"),
        ("review", "p.patch", "--against", "p.patch"),
        ("review", "p.patch"),
        ("rules", "check", "a.c"),
        ("rules", "check", "r.yaml"),
        ("rules", "check", "loose.yaml"),
        ("rules", "check", "p.patch"),
        ("rules", "check", "p.patch", "--base", "r.yaml"),
        ("lookup", "-r", "a.c", "-r", "r.yaml", "-r", "p.patch"),
    ],
    ids=" ".join,
)
def test_pipes_of_a_shell(args: tuple[str, ...], tmp_path: Path) -> None:
    """<(...), which can be read but once, says what the file says; so does standard input."""
    on_top = function_of("slot-flag").replace("NON_COHERENT_DMA", "DMA")
    texts = {"a.c": C, "b.c": c_file(function_of("v6.11")), "r.yaml": RULES, "p.patch": PATCH, "loose.yaml": LOOSE}
    texts["q.patch"] = diff(c_file(function_of("slot-flag")), c_file(on_top))
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    wanted = quick(*args, "-o", "json", cwd=tmp_path)
    assert (wanted.status in (0, 1), wanted.err) == (True, "")

    def told(found: Any) -> Any:
        """What does not hang on the files' names."""
        if isinstance(found, list):
            return [[one.get(key) for key in ("rule", "ept", "effective", "kind", "example")] for one in found]
        return {key: found[key] for key in ("rows", "mmio_rows", "changed", "reachable")}

    status, found = piped(tmp_path, *args)
    assert (status, told(found)) == (wanted.status, told(json.loads(wanted.out)))
    for at, word in enumerate(args):
        if word in texts:
            words = (*args[:at], "-", *args[at + 1 :])
            done = quick(*words, "-o", "json", stdin=texts[word], cwd=tmp_path)
            assert (done.status, done.err) == (wanted.status, "")
            assert told(json.loads(done.out)) == told(json.loads(wanted.out))


def test_names_of_pipes() -> None:
    """A pipe's number is no name for rules."""
    for text in (LOOSE, PATCH):
        done = run("rules", "check", "/dev/stdin", stdin=text)
        assert done.status in (0, 1)
        assert done.out.split(":")[0] == ("rules" if text == LOOSE else "/dev/stdin")


@pytest.mark.parametrize(
    ("args", "stdin"),
    [
        (("diff", "-", "-"), C),
        (("lookup", "-r", "-", "-r", "-"), C),
        (("review", "-", "--base", "-"), PATCH),
        (("diff", "v6.7", "-", "--base", "-"), PATCH),
        (("eval", "-", "-r", "-"), (ROOT / "examples" / "vfio.yaml").read_text()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_standard_input_twice(args: tuple[str, ...], stdin: str) -> None:
    done = quick(*args, stdin=stdin)
    assert (done.status, done.out) == (2, "")
    assert "- twice (standard input is read once)" in done.err


@pytest.mark.parametrize(
    ("args", "stdin", "why"),
    [
        (("-r", "/dev/stdin"), "hello\n", "no rule set by its suffix nor by what is in it"),
        (("-r", "-"), "hello\n", "no patch found, nor rules or C (a patch, a rule file, or C with vmx_get_mt_mask())"),
        (("-r", "-"), "", "-:1:1: nothing in it (a patch, "),
        (("-r", "-", "--base", "v6.7"), RULES, "--base goes with a patch"),
        (("-r", "/dev/stdin", "--base", "v6.7"), C, "--base goes with a patch"),
        (("-r", "./nowhere"), "", "unknown kind of rule set"),
    ],
)
def test_what_is_refused(args: tuple[str, ...], stdin: str, why: str) -> None:
    done = quick("lookup", *args, stdin=stdin)
    assert (done.status, done.out) == (2, "")
    assert why in done.err


@pytest.mark.parametrize(("text", "what"), [(C, "a C source"), (RULES, "a rule file"), (LOOSE, "a rule file")])
def test_what_a_review_is_given_in_place_of_a_patch(text: str, what: str) -> None:
    done = quick("review", "-", stdin=text)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"-:1:1: no patch found: it is {what} (mtcalc diff compares ")


def test_a_bare_name_that_is_its_own_base(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("base: ./b\nchanges: []\n")
    (tmp_path / "b").write_text("base: ./a\nchanges: []\n")
    done = quick("lookup", "-r", "./a", cwd=tmp_path)
    assert done.status == 2
    assert "is its own base" in done.err
