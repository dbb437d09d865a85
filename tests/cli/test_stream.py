# SPDX-License-Identifier: GPL-2.0-only
"""eval FILE --gpa -: line by line what --gpa A answers, however the lines are written and however they arrive."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.analysis.evaluate import Evaluator
from mtcalc.output.records import answer_header, answer_record, answer_row
from mtcalc.refs.resolve import resolve
from mtcalc.scenario.load import load_scenario
from mtcalc.x86.memtype import PAT_TYPES, MemType
from support.program import DATA, PROGRAM, environment, quick

SCENARIO = "golden/vfio.yaml"
STREAM = (SCENARIO, "--gpa", "-")
LAST = (1 << 46) - 1
EDGES = (0, 0xA0000, 0xC0000, 0xC8000, 0x100000, 3 << 30, 0xD0000000, 0xE0000000, 0xFFFC0000, 4 << 30, 0x140000000)


@cache
def evaluator(path: str = SCENARIO) -> Evaluator:
    """The library's, of a scenario in tests/data."""
    scenario = load_scenario((DATA / path).read_text(), path)
    assert scenario.rules
    return Evaluator(resolve(scenario.rules), scenario.vm, scenario.slots, scenario.notes)


def expected(gpa: int, pat: MemType | None = None) -> str:
    """The line of jsonl."""
    return json.dumps(answer_record(evaluator().page(gpa, pat)))


addresses = st.one_of(
    st.integers(0, LAST),
    st.builds(lambda edge, step: max(0, edge + step), st.sampled_from(EDGES), st.integers(-8192, 8192)),
    st.integers(0, 1 << 20),
)


@st.composite
def spelled(draw: st.DrawFn) -> tuple[str, int]:
    """An address as somebody types it."""
    gpa = draw(addresses)
    ways = [hex(gpa), hex(gpa), hex(gpa).upper(), f"0x{gpa:016x}", f"0x{gpa:X}", str(gpa)]
    if gpa > 0xFFFF:
        ways.append(f"0x{gpa >> 16:x}_{gpa & 0xFFFF:04x}")
    ways += [f"{gpa >> shift}{name}" for name, shift in (("K", 10), ("m", 20), ("G", 30)) if not gpa % (1 << shift)]
    return draw(st.sampled_from(ways)), gpa


_PATS = st.sampled_from(
    (
        ("", None),
        ("", None),
        ("wc", MemType.WC),
        ("UC-", MemType.UC_MINUS),
        ("uncached-minus", MemType.UC_MINUS),
        ("Write-Back", MemType.WB),
        ("1", MemType.WC),
        ("3", MemType.UC),
        ("5", MemType.WP),
        ("7", MemType.WT),
    )
)
_ENDS = st.sampled_from(("", "", "", "\r", " ", "\t", "  \r"))


@settings(max_examples=20)
@given(
    st.lists(st.tuples(spelled(), _PATS, st.sampled_from(("", "", "", " ", "\t")), _ENDS), max_size=40), st.booleans()
)
def test_a_stream_answers_each_line_in_order(
    lines: list[tuple[tuple[str, int], tuple[str, MemType | None], str, str]], last_newline: bool
) -> None:
    """Answers line by line in order; each line an address, optionally followed by a PAT type or index."""
    text = "\n".join(f"{lead}{word}{' ' if pat else ''}{pat}{end}" for (word, _), (pat, _), lead, end in lines)
    done = quick("eval", *STREAM, "-o", "jsonl", stdin=text + ("\n" if last_newline and lines else ""))
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == [expected(gpa, pat) for (_, gpa), (_, pat), _, _ in lines]


def one_by_one(form: str, gpas: list[int], pat: str = "") -> str:
    """What `--gpa A` answers, an address a call's option."""
    options = [word for gpa in gpas for word in ("--gpa", hex(gpa))]
    done = quick("eval", SCENARIO, *options, "-o", form, *(("--pat", pat) if pat else ()))
    assert (done.status, done.err) == (0, "")
    return done.out


@pytest.mark.parametrize("form", ["jsonl", "csv", "tsv"])
@pytest.mark.parametrize("pat", ["", "WC", "UC-"])
@pytest.mark.parametrize("decimal", [False, True], ids=["fast", "slow"])
def test_a_stream_is_the_single_answers(form: str, pat: str, decimal: bool) -> None:
    gpas = sorted({edge + step for edge in EDGES for step in (-1, 0, 4096) if edge + step >= 0})
    random.Random(1).shuffle(gpas)
    lines = [f"{gpa if decimal else hex(gpa)} {pat}".rstrip() for gpa in gpas]
    done = quick("eval", *STREAM, "-o", form, stdin="\n".join(lines) + "\n")
    assert (done.status, done.err) == (0, "")
    assert done.out == one_by_one(form, gpas, pat)


@pytest.mark.parametrize("pat", ["", "WB"])
def test_a_stream_in_plain_has_the_same_columns_and_notes(pat: str) -> None:
    """Fixed columns, so that a line can be printed before the next one is known."""
    gpas = [edge for edge in EDGES if edge != 3 << 30]
    done = quick("eval", *STREAM, "-o", "plain", stdin="".join(f"{gpa:#x} {pat}\n" for gpa in gpas))
    assert (done.status, done.err) == (0, "")
    streamed = done.out.splitlines()
    (title, empty, *rows) = one_by_one("plain", gpas, pat).splitlines()
    assert (title, empty) == ("rules v6.7, VMX with EPT", "")
    if not pat:
        (heading, *rows) = rows
        assert heading.startswith("columns UC to WB: ")
    # A stream has no line that is none: readers of lines would get one.
    assert [line.split() for line in streamed] == [line.split() for line in rows if line]
    table = [line for line in streamed if not line.startswith(("note:", " "))]
    assert len({line.index(line.split()[2], 16) for line in table}) == 1  # the column begins at one place
    assert max(map(len, streamed)) <= 80


def test_one_without_a_type_among_those_with_one_says_all_six() -> None:
    done = quick("eval", *STREAM, "-o", "csv", stdin="0x1000 wt\n0x1000\n")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [(row["pat"], row["effective"]) for row in rows] == [
        ("WT", "WT"),
        ("", "UC=UC UC-=UC WC=WC WT=WT WP=WP WB=WB"),
    ]


_LINES = st.one_of(
    st.builds(
        lambda word, kind: f"{word[0]} {kind[0]}".rstrip(),
        spelled(),
        _PATS,
    ),
    st.sampled_from(("0x40000000000 wc", "0x3000000000", "0x3fffffffffff 7")),  # in no slot
    st.sampled_from(("", "# wb", "0x1000 wx", "zzz", "1T wc 1", "0x400000000000")),  # passed over, or bad
)


def answered(line: str) -> bool:
    """Whether a line of _LINES has an answer."""
    return bool(line) and line not in ("# wb", "0x1000 wx", "zzz", "1T wc 1", "0x400000000000")


@cache
def row_under(form: str, header_by: str, line: str) -> list[str]:
    """What a line alone gets under the header that another line, or --pat, has made."""
    done = quick("eval", *STREAM, "-o", form, stdin=f"{header_by}\n{line}\n")
    return done.out.splitlines()[2:]


@settings(max_examples=25, deadline=None)
@given(st.lists(_LINES, max_size=12), st.sampled_from(("csv", "tsv")), st.sampled_from((None, "WT")))
def test_one_shape_for_the_whole_stream(lines: list[str], form: str, pat: str | None) -> None:
    """--pat, else the first line that has an answer, makes the header; each row has its columns and hangs on no other.

    Bad lines, blank ones and comments decide nothing.
    """
    done = quick("eval", *STREAM, "-o", form, *(("--pat", pat) if pat else ()), stdin="\n".join(lines))
    good = [line for line in lines if answered(line)]
    typed = bool(pat) or (bool(good) and len(good[0].split()) > 1)
    header, *rows = csv.reader(done.out.splitlines(), delimiter="," if form == "csv" else "\t")
    assert header == answer_header(six=not typed)
    assert len(rows) == len(good)
    assert {len(row) for row in rows} <= {len(header)}
    for line, row in zip(good, done.out.splitlines()[1:], strict=True):
        asked = line if pat is None or len(line.split()) > 1 else f"{line} {pat}"
        assert row_under(form, "0x1000 wc" if typed else "0x1000", asked) == [row]


def cells(*lines: str, form: str = "csv", pat: str = "") -> list[dict[str, str]]:
    """A stream's rows by column."""
    done = quick("eval", *STREAM, "-o", form, *(("--pat", pat) if pat else ()), stdin="\n".join(lines))
    return list(csv.DictReader(io.StringIO(done.out)))


def test_what_a_line_of_the_other_kind_looks_like() -> None:
    """Under six columns one type fills its own; under pat and effective six are listed, and pat is empty."""
    plain, typed, nowhere, nowhere_typed = "0xc0000", "0xc0000 WC", "0x3000000000", "0x3000000000 wb"
    six = cells(plain, typed, nowhere, nowhere_typed)
    one = cells(typed, plain, nowhere, nowhere_typed)
    types = [str(pat) for pat in PAT_TYPES]
    assert [row[pat] for row in six for pat in types] == [
        *("UC", "WC", "WC", "WT", "WP", "WP"),
        *("", "", "WC", "", "", ""),
        *[""] * 12,
    ]
    assert [(row["pat"], row["effective"]) for row in one] == [
        ("WC", "WC"),
        ("", "UC=UC UC-=WC WC=WC WT=WT WP=WP WB=WP"),
        ("", ""),
        ("WB", ""),
    ]
    rest = [name for name in answer_header(six=True) if name not in types]
    assert [[row[name] for name in rest] for row in six] == [[row[name] for name in rest] for row in one]
    assert cells(plain, pat="WC") == cells(typed)


PLAIN_SHAPES = {
    "0xc0000 WC\n0xc0000\n0x3000000000\n": """\
GPA             LVL MTRR EPT  PAT EFFECTIVE RULE       SLOT
0xc0000         4K  WP   0x28 WC  WC        guest-mtrr ram-low
0xc0000         4K  WP   0x28 UC  UC        guest-mtrr ram-low
                              UC- WC*
                              WC  WC
                              WT  WT*
                              WP  WP
                              WB  WP
0x3000000000    -   -    -    -   -         -          -
""",
    "0x1000 wx\n0xc0000\n0xc0000 WC\n0x3000000000 wb\n": """\
GPA             LVL MTRR EPT  UC  UC- WC  WT  WP  WB  RULE       SLOT
0xc0000         4K  WP   0x28 UC  WC* WC  WT* WP  WP  guest-mtrr ram-low
0xc0000         4K  WP   0x28 -   -   WC  -   -   -   guest-mtrr ram-low
0x3000000000    -   -    -    -   -   -   -   -   -   -          -
""",
}


@pytest.mark.parametrize("lines", PLAIN_SHAPES, ids=["typed first", "untyped first"])
def test_plain_keeps_its_columns_and_80_of_them(lines: str) -> None:
    done = quick("eval", *STREAM, "-o", "plain", stdin=lines)
    assert done.out.startswith(PLAIN_SHAPES[lines] + "note: ")
    assert max(map(len, done.out.splitlines())) <= 80


BAD = """\
0x1000
0x1001 wx
0x2000 WC

0x400000000000
 3G 8
0xc0000 1 2
010
zzz
\t0x5000\r
"""
MESSAGES = """\
-:2:8: 'wx' is not a memory type (one of UC, UC-, WC, WT, WP, WB)
  0x1001 wx
         ^
-:5:1: 0x400000000000 is beyond the guest's maxphyaddr 46 (at most 0x3fffffffffff)
  0x400000000000
  ^
-:6:5: PAT index 8 (0 to 7)
   3G 8
      ^
-:7:11: '2' is one word too many (an address, and one for what is asked)
  0xc0000 1 2
            ^
-:8:1: '010' has a leading zero (hex is written 0x10; decimal has no leading zero)
  010
  ^
-:9:1: 'zzz' is not a number (decimal, 0x hex, or a size such as 64K, 2M, 4G, 1T)
  zzz
  ^
"""


def test_bad_lines_are_reported_and_the_rest_goes_on() -> None:
    """A bad line is reported as -:LINE:COLUMN, the rest goes on, and the exit status is 2 at the end."""
    done = quick("eval", *STREAM, "-o", "jsonl", stdin=BAD)
    assert done.status == 2
    assert done.out.splitlines() == [expected(0x1000), expected(0x2000, MemType.WC), expected(0x5000)]
    assert done.err == MESSAGES


def test_one_address_beyond_among_many_plain_ones() -> None:
    """What all look alike is answered in bulk, and still each is checked."""
    done = quick("eval", *STREAM, "-o", "jsonl", stdin="0x1000\n0x400000000000\n0x2000\n")
    assert (done.status, done.out.splitlines()) == (2, [expected(0x1000), expected(0x2000)])
    assert done.err.startswith("-:2:1: 0x400000000000 is beyond the guest's maxphyaddr 46")


def test_messages_stand_between_the_answers() -> None:
    done = subprocess.run(
        [*PROGRAM, "eval", *STREAM, "-o", "jsonl"],
        input=b"0x1000\nbad\n0x2000\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
        cwd=DATA,
        check=False,
    )
    lines = done.stdout.decode().splitlines()
    assert [lines[0], lines[-1]] == [expected(0x1000), expected(0x2000)]
    assert lines[1].startswith("-:2:1: 'bad' is not a number")


def test_bad_bytes_are_shown_and_harm_nothing() -> None:
    done = quick("eval", *STREAM, "-o", "jsonl", stdin=b"\xff\xfe\n0x1000 \x1b[31m\n0x1000\n\x00\n")
    assert (done.status, done.out) == (2, expected(0x1000) + "\n")
    assert done.err.isascii()
    assert "\x1b" not in done.err
    assert [line.split(":")[1] for line in done.err.splitlines() if line.startswith("-:")] == ["1", "2", "4"]


@pytest.mark.parametrize(("form", "header"), [("jsonl", 0), ("csv", 1), ("tsv", 1), ("plain", 1)])
def test_no_lines_no_answers(form: str, header: int) -> None:
    done = quick("eval", *STREAM, "-o", form)
    assert (done.status, done.err, len(done.out.splitlines())) == (0, "", header)


def test_many_lines_are_answered_as_each_would_be() -> None:
    """However lines fall into chunks: 200,000 of them as one by one."""
    rng = random.Random(7)
    chosen = [rng.randrange(LAST) for _ in range(150)] + [edge + rng.randrange(8192) for edge in EDGES * 14]
    by_line = {hex(gpa): "\t".join(answer_row(evaluator().page(gpa), six=True)) for gpa in chosen}
    lines = rng.choices(list(by_line), k=200_000)
    header = "\t".join(answer_header(six=True))
    fast = quick("eval", *STREAM, "-o", "tsv", stdin="\n".join(lines) + "\n")
    assert (fast.status, fast.err) == (0, "")
    assert fast.out.splitlines() == [header, *map(by_line.__getitem__, lines)]
    del lines[80_000:]
    lines[60_000] = "oops"
    mixed = quick("eval", *STREAM, "-o", "tsv", stdin="\n".join(lines))
    assert mixed.status == 2
    assert mixed.err.startswith("-:60001:1: 'oops' is not a number")
    assert mixed.out.splitlines() == [header, *(by_line[line] for line in lines if line != "oops")]


def test_many_lines_with_pat_types() -> None:
    rng = random.Random(8)
    by_line = {
        f"{gpa:#x} {word}": expected(gpa, pat)
        for gpa in EDGES
        for pat in PAT_TYPES
        for word in (str(pat), str(pat).lower())
    }
    by_line |= {
        f"{gpa:#x} {index}": expected(gpa, evaluator().vm.pat.entries[index]) for gpa in EDGES for index in (1, 7)
    }
    lines = rng.choices(list(by_line), k=30_000)
    done = quick("eval", *STREAM, "-o", "jsonl", stdin="\n".join(lines) + "\n")
    assert (done.status, done.err) == (0, "")
    assert done.out == "".join(f"{by_line[line]}\n" for line in lines)


def test_masks_with_holes_are_answered_too(tmp_path: Path) -> None:
    """Where segments would be too many each address is looked up by itself."""
    scenario = tmp_path / "holes.yaml"
    scenario.write_text(
        "rules: v3.13\nvm: {noncoherent_dma: true}\n"
        "guest: {mtrr: {variable: [{physbase: 0, physmask: 0x1800}]}}\n"
        "memslots: [{name: ram, gpa: 0, size: 1T}]\n"
    )
    rng = random.Random(9)
    gpas = [rng.randrange(1 << 20, 1 << 40) for _ in range(2000)]
    lines = "".join(f"{gpa:#x}\n" for gpa in gpas)
    done = quick("eval", str(scenario), "--gpa", "-", "-o", "jsonl", stdin=lines)
    assert (done.status, done.err) == (0, "")
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert [int(answer["gpa"], 16) for answer in answers] == gpas
    assert [answer["ept"]["memtype"] for answer in answers] == ["WB" if gpa & 0x1000 else "UC" for gpa in gpas]


@contextmanager
def program(*args: str) -> Iterator[subprocess.Popen[bytes]]:
    """The program with pipes at both ends."""
    process = subprocess.Popen(
        [*PROGRAM, "eval", *STREAM, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        cwd=DATA,
        bufsize=0,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe
            pipe.close()


def arrived(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """What comes within some time, b'' if nothing does."""
    assert process.stdout
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    return os.read(process.stdout.fileno(), 1 << 16) if ready else b""


def test_a_live_pipe_gets_each_answer_at_once() -> None:
    """Read what is there: half a line waits, a whole one is answered before the next is written."""
    with program("-o", "jsonl") as process:
        assert process.stdin
        for line, answer in (("0x1000\n", expected(0x1000)), ("3G\n", expected(3 << 30))):
            process.stdin.write(line.encode())
            assert arrived(process, 60).decode() == answer + "\n"
        process.stdin.write(b"0x10")
        assert arrived(process, 0.1) == b""
        process.stdin.write(b"00\n0x20")
        assert arrived(process, 60).decode() == expected(0x1000) + "\n"
        process.stdin.close()
        assert arrived(process, 60).decode() == expected(0x20) + "\n"
        assert process.wait(60) == 0


def test_a_closed_pipe_ends_it_silently() -> None:
    """A closed pipe ends the program without a message as it ends cat, by SIGPIPE."""
    with program("-o", "jsonl") as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"0x1000\n")
        assert arrived(process, 60)
        process.stdout.close()
        process.stdin.write(b"0x1000\n")
        assert process.wait(60) == -signal.SIGPIPE
        assert process.stderr
        assert process.stderr.read() == b""


def test_a_line_without_an_end_is_refused_before_it_fills_memory() -> None:
    done = quick("eval", *STREAM, "-o", "jsonl", stdin=b"0x1000\n" + b"0" * 300_000)
    assert (done.status, done.out) == (2, expected(0x1000) + "\n")
    assert done.err == "-:2:1: a line of more than 64 KiB (an address, then a PAT type or a request if you like)\n"


@pytest.mark.parametrize("line", ["9" * 65_537, "# " + "9" * 65_535, "9" * 150_000])
@pytest.mark.parametrize("command", ["eval vfio --gpa -", "mtrr vfio --gpa - -o json", "decode epte -"])
def test_a_long_line_is_refused_with_its_end_too(command: str, line: str) -> None:
    """However the line falls into what is read at once."""
    words = [SCENARIO if word == "vfio" else word for word in command.split()]
    done = quick(*words, stdin=f"0x1000\n{line}\n0x2000\n")
    assert done.status == 2
    assert done.err.startswith("-:2:1: a line of more than 64 KiB (")
    longest = quick(*words, stdin=f"0x1000\n{line[:65_536]}\n0x2000\n")
    assert "64 KiB" not in longest.err


@pytest.mark.parametrize("command", ["pat", "epte"])
def test_blanks_that_only_unicode_knows_say_nothing(command: str) -> None:
    done = quick("decode", command, "-", "-o", "jsonl", stdin="0x6\n\xa0\n \u2003 \n0x6\n")
    assert (done.status, done.err, len(done.out.splitlines())) == (0, "", 2)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ("--gpa", "-", "--gpa", "0"),
            "--gpa - stands alone (a line holds an address, then a PAT type or a request if you like)",
        ),
        (
            ("--gpa", "-", "--pat", "wc", "--pat", "wb"),
            "--gpa - and --pat twice (--pat is the type of lines that name none)",
        ),
        (("--gpa", "-", "-o", "json"), "--gpa - does not go with -o json (one of jsonl, tsv, csv, plain)"),
        (("--gpa", "-", "-o", "table"), "--gpa - does not go with -o table (one of jsonl, tsv, csv, plain)"),
        (("--gpa", "-", "--ranges"), "--ranges and --gpa exclude each other"),
    ],
)
def test_what_does_not_go_together(args: tuple[str, ...], message: str) -> None:
    done = quick("eval", SCENARIO, *args, stdin="0x1000\n")
    assert (done.status, done.out) == (2, "")
    assert done.err == f"mtcalc eval: {message}\nTry 'mtcalc eval --help'.\n"


def test_only_one_can_have_standard_input() -> None:
    done = quick("eval", "-", "--gpa", "-", stdin="0x1000\n")
    assert (done.status, done.out) == (2, "")
    assert "FILE and --gpa can't both be standard input" in done.err


def test_a_default_that_is_no_stream_gives_way() -> None:
    """What the environment or a terminal would choose for documents is plain in a stream."""
    done = quick("eval", *STREAM, stdin="0x1000\n", env={"MTCALC_OUTPUT": "json"})
    assert (done.status, done.err) == (0, "")
    assert done.out == quick("eval", *STREAM, "-o", "plain", stdin="0x1000\n").out


COMMENTED = "# addresses of 6.1\n\n0x1000\n   \n\t# 0x2000\n#0x2000\n3G wc\n\r\n0x2000 #\n# the end"


@pytest.mark.parametrize("form", ["jsonl", "csv", "tsv", "plain"])
def test_blank_lines_and_comments_are_passed_over(form: str) -> None:
    """And counted: the bad line is the ninth."""
    bare = quick("eval", *STREAM, "-o", form, stdin="0x1000\n3G wc\n")
    done = quick("eval", *STREAM, "-o", form, stdin=COMMENTED)
    assert (done.status, done.out) == (2, bare.out)
    assert done.err.startswith("-:9:8: '#' is not a memory type ")
    assert quick("eval", *STREAM, "-o", form, stdin="# nothing\n\n").out == quick("eval", *STREAM, "-o", form).out


def test_comments_among_many_lines() -> None:
    lines = [line for gpa in range(0, 1 << 28, 4096) for line in (f"{gpa:#x}", f"# page {gpa >> 12}", "")]
    done = quick("eval", *STREAM, "-o", "jsonl", stdin="\n".join([*lines, "bad\n"]))
    bare = quick("eval", *STREAM, "-o", "jsonl", stdin="".join(f"{line}\n" for line in lines[::3]))
    assert done.out == bare.out
    answers = done.out.splitlines()
    assert len(answers) == 1 << 16
    assert answers[::97] == [expected(gpa) for gpa in range(0, 1 << 28, 97 * 4096)]
    assert done.err.startswith(f"-:{len(lines) + 1}:1: 'bad' ")


@pytest.mark.parametrize("form", ["jsonl", "csv", "tsv", "plain"])
@pytest.mark.parametrize("pat", ["WC", "uncached-minus"])
def test_a_type_for_the_lines_that_name_none(form: str, pat: str) -> None:
    named = quick("eval", *STREAM, "-o", form, stdin=f"# \n0x1000 {pat}\n3G {pat}\n3G wt\n4096 {pat}\n0 7\n")
    done = quick("eval", *STREAM, "--pat", pat, "-o", form, stdin="# \n0x1000\n3G\n3G wt\n4096\n0 7\n")
    assert (done.status, done.err, done.out) == (0, "", named.out)
    bulk = quick("eval", *STREAM, "--pat", pat, "-o", form, stdin="0x1000\n0xc0000000\n")
    assert bulk.out == quick("eval", *STREAM, "-o", form, stdin=f"0x1000 {pat}\n0xc0000000 {pat}\n").out
    empty = quick("eval", *STREAM, "--pat", pat, "-o", form)
    assert empty.out == "".join(line + "\n" for line in named.out.splitlines()[: form != "jsonl"])


def test_addresses_as_dumps_pad_them() -> None:
    done = quick("eval", *STREAM, "-o", "jsonl", stdin="00000000c0000000\n0000000000001000 wc\n00c6\n")
    assert done.out.splitlines() == [expected(3 << 30), expected(0x1000, MemType.WC)]
    assert done.err.splitlines()[0] == "-:3:1: '00c6' has a leading zero (hex is written 0xc6)"


def shell(line: str) -> subprocess.CompletedProcess[bytes]:
    """A line of sh with the program as $M."""
    env = environment({"M": " ".join(PROGRAM)})
    return subprocess.run(["sh", "-c", line], capture_output=True, env=env, cwd=DATA, timeout=60, check=False)


@pytest.mark.parametrize("error", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize("command", ["eval {} -o jsonl", "mtrr {} -r 6.1 -o json", "mtrr {} -r 6.1 -o csv"])
def test_good_lines_are_answered_where_bad_ones_can_not_be_reported(command: str, error: str) -> None:
    call = f"$M {command.format(SCENARIO)} --gpa -"
    done = shell(f"printf '0x1000\\nbad\\n0x2000\\n' | {call} {error}")
    good = shell(f"printf '0x1000\\n0x2000\\n' | {call}")
    assert (done.returncode, done.stdout) == (2, good.stdout)
    assert good.stdout


@pytest.mark.parametrize("error", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize("form", ["jsonl", "csv", "plain"])
def test_good_entries_are_answered_where_bad_ones_can_not_be_reported(form: str, error: str) -> None:
    done = shell(f"printf '7\\nzork\\n0x37\\n' | $M decode epte - -o {form} {error}")
    good = shell(f"printf '7\\n0x37\\n' | $M decode epte - -o {form}")
    assert (done.returncode, done.stdout) == (2, good.stdout)
    assert good.stdout


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "plain"])
@pytest.mark.parametrize("command", ["eval", "mtrr"])
def test_a_closed_standard_input_is_said(command: str, form: str) -> None:
    if (command, form) == ("eval", "json"):
        pytest.skip("eval streams no json")
    done = shell(f"$M {command} {SCENARIO} --gpa - -o {form} <&-")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"mtcalc: -: standard input is closed (addresses, one a line)\n"


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "tsv", "plain"])
def test_bad_lines_of_mtrr_are_reported_alike(form: str) -> None:
    done = quick(
        "mtrr", SCENARIO, "-r", "6.1", "--gpa", "-", "-o", form, stdin="0x1000\n  zork\n0x1000 wc\n1T wc 1\n\xa0\n"
    )
    places = [line for line in done.err.splitlines() if line.startswith("-:")]
    assert done.status == 2
    assert places == [
        "-:2:3: 'zork' is not a number (decimal, 0x hex, or a size such as 64K, 2M, 4G, 1T)",
        "-:3:8: 'wc' behind the address (one address a line)",
        "-:4:4: 'wc' behind the address (one address a line)",
        "-:5:2: no address here (an address, then a PAT type or a request if you like)",
    ]


@pytest.mark.parametrize(
    "command", [("eval", "examples/vga-window.yaml", "--gpa", "-"), ("mtrr", "examples/vga-window.yaml", "--gpa", "-"),
                ("decode", "epte", "-"), ("decode", "pat", "-")]
)  # fmt: skip
@pytest.mark.parametrize("bad", [1, 20, 21, 100])
def test_bad_lines_beyond_the_first_twenty_are_counted(command: tuple[str, ...], bad: int) -> None:
    root = Path(__file__).parents[2]
    done = quick(*command, stdin="zz\n" * bad, cwd=root)
    named = [line for line in done.err.splitlines() if re.match(r"-:\d+:", line)]
    assert (done.status, len(named)) == (2, min(bad, 20))
    more = bad - 20
    assert (f"-: and {more} more bad line" in done.err) is (more > 0)
