# SPDX-License-Identifier: GPL-2.0-only
"""eval FILE --gpa - with requests: line by line what --gpa A --request answers, notes and all."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path

import pytest

from mtcalc.linux.functions import FUNCTIONS, request_names
from mtcalc.x86.memtype import PAT_TYPES
from support.program import quick

VM = """\
rules: "6.17"
vm: {noncoherent_dma: true}
guest:
  maxphyaddr: 40
  KERNEL
  mtrr:
    default: WB
    fixed: {0x250: 0x0606060606060606, 0x258: 0x0606060606060606, 0x268: 0x0506050605060506}
    variable:
      - {base: 0x80000000, size: 2G, type: UC}
      - {base: 0x800000000, size: 32G, type: UC}
      MORE
memslots:
  - {name: ram-low, gpa: 0, size: 2G}
  - {name: ram-high, gpa: 4G, size: 6G}
  - {name: blob, gpa: 0x7f0000000, size: 512M, device: true}
"""
EDGES = (0, 0xA0000, 0xC0000, 0xC2000, 1 << 20, 2 << 30, 4 << 30, 10 << 30, 0x7F0000000, 0x800000000, 0x810000000)
GPAS = sorted({edge + step for edge in EDGES for step in (-4096, -1, 0, 1, 4096) if edge + step >= 0})


def scenario(path: Path, kernel: str = "", more: str = "") -> str:
    file = path / "vm.yaml"
    lines = VM.replace("KERNEL", f"kernel: {kernel}" if kernel else "# none named")
    file.write_text(lines.replace("MORE", more or "# no more"))
    return str(file)


def single(file: str, gpas: list[int], *args: str, form: str = "jsonl") -> list[str]:
    """What `--gpa A` answers, an address a call's option."""
    options = [word for gpa in gpas for word in ("--gpa", hex(gpa))]
    done = quick("eval", file, *options, *args, "-o", form)
    assert (done.status, done.err) == (0, "")
    return done.out.splitlines()


def streamed(file: str, lines: list[str], *args: str, form: str = "jsonl") -> list[str]:
    done = quick("eval", file, "--gpa", "-", *args, "-o", form, stdin="".join(f"{line}\n" for line in lines))
    assert (done.status, done.err) == (0, "")
    return done.out.splitlines()


KERNELS = ("", "linux-6.8", "linux-4.1", "linux-2.6.29", "linux-6.1.10")
HOLES = "- {physbase: 0x900000006, physmask: 0xf0f0000800}"


@pytest.mark.parametrize("more", ["", HOLES], ids=["plain", "holes"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_request_on_a_line_is_that_of_the_option(tmp_path: Path, kernel: str, more: str) -> None:
    """In bulk and line by line, whatever comes before: a function's name is a request, as it is with --request."""
    file = scenario(tmp_path, kernel, more)
    names = [row.name for row in FUNCTIONS]
    want = {f"{gpa:#x} {name}": "" for name in names for gpa in GPAS}
    for name in names:
        for gpa, line in zip(GPAS, single(file, GPAS, "--request", name), strict=True):
            want[f"{gpa:#x} {name}"] = line
    lines = list(want)
    random.Random(4).shuffle(lines)
    assert streamed(file, lines) == [want[line] for line in lines]
    slow = [f"{int(line.split()[0], 16)} {line.split()[1]}" for line in lines]
    assert streamed(file, slow) == [want[line] for line in lines]
    bare = single(file, GPAS)
    mixed = [item for gpa, line in zip(GPAS, bare, strict=True) for item in ((f"{gpa:#x}", line),)]
    some = random.Random(5).sample(list(want.items()), 60) + mixed
    random.Random(6).shuffle(some)
    assert streamed(file, [line for line, _ in some]) == [answer for _, answer in some]


@pytest.mark.parametrize("form", ["jsonl", "csv", "tsv"])
@pytest.mark.parametrize("name", request_names())
def test_the_option_is_the_request_of_lines_that_name_none(tmp_path: Path, name: str, form: str) -> None:
    file = scenario(tmp_path, "linux-6.8")
    lines = [hex(gpa) for gpa in GPAS]
    assert streamed(file, lines, "--request", name, form=form) == single(file, GPAS, "--request", name, form=form)
    older = ("--guest", "4.1")
    found = streamed(file, lines, "--request", name, *older, form=form)
    assert found == single(file, GPAS, "--request", name, *older, form=form)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_pat_type_on_a_line_has_the_notes_of_the_option(tmp_path: Path, kernel: str) -> None:
    """Among them that the guest's kernel would not choose it."""
    file = scenario(tmp_path, kernel)
    noted = False
    for pat in map(str, PAT_TYPES):
        want = single(file, GPAS, "--pat", pat)
        assert streamed(file, [f"{gpa:#x} {pat}" for gpa in GPAS]) == want
        assert streamed(file, [f"{gpa:#x}" for gpa in GPAS], "--pat", pat) == want
        noted = noted or any("would not choose" in note for line in want for note in json.loads(line)["notes"])
    assert noted == bool(kernel)


def test_a_page_begins_before_its_last_byte(tmp_path: Path) -> None:
    """A request at an address within a page is for that page alone: the next one, over UC, has no say."""
    file = scenario(tmp_path, "linux-6.8")
    for args in (("--request", "memremap"), ("--pat", "WB")):
        for gpa in ("0x7fffff000", "0x7fffff001", "0x7ffffffff"):
            (answer,) = quick("eval", file, "--gpa", gpa, *args, "-o", "json").json["results"]
            assert (answer["pat"], answer["effective"], answer["notes"]) == ("WB", "WB", [])
        (answer,) = quick("eval", file, "--gpa", "0x800000000", *args, "-o", "json").json["results"]
        assert answer["notes"]
    last = quick("eval", file, "--gpa", "0xffffffffff", "--request", "memremap", "-o", "json").json["results"]
    assert last[0]["pat"] == "WB"


def test_a_page_of_a_scenario_is_one_page_too(tmp_path: Path) -> None:
    file = Path(scenario(tmp_path, "linux-6.8"))
    pages = [f"  - {{gpa: {gpa}, request: memremap}}\n" for gpa in ("0x7fffff001", "0x800000001", "0xffffffffff")]
    file.write_text(file.read_text() + "pages:\n" + "".join(pages))
    assert [one["pat"] for one in quick("eval", str(file), "-o", "json").json["results"]] == ["WB", "UC-", "WB"]


@pytest.mark.parametrize("form", ["csv", "tsv"])
def test_rows_have_the_columns_of_requests_where_something_announces_them(tmp_path: Path, form: str) -> None:
    file = scenario(tmp_path, "linux-6.8")
    delimiter = "," if form == "csv" else "\t"
    lines = ["0x800000000 memremap", "0x800000000 WB", "0x800000000", "0x1000 ioremap_wc"]
    rows = list(csv.DictReader(io.StringIO("\n".join(streamed(file, lines, form=form))), delimiter=delimiter))
    assert [(row["request"], row["pat_index"], row["pat"], row["effective"]) for row in rows] == [
        ("memremap", "2", "UC-", "UC"),
        ("", "", "WB", "WB"),
        ("", "", "", "UC=UC UC-=UC WC=WC WT=WT WP=WP WB=WB"),
        ("ioremap_wc", "", "", ""),
    ]
    lines = ["0x800000000", "0x800000000 memremap", "0x1000 ioremap_wc"]
    found = streamed(file, lines, "--guest", "6.8", form=form)
    rows = list(csv.DictReader(io.StringIO("\n".join(found)), delimiter=delimiter))
    assert [[row[str(pat)] for pat in PAT_TYPES] for row in rows] == [
        ["UC", "UC", "WC", "WT", "WP", "WB"],
        ["", "UC", "", "", "", ""],
        ["", "", "", "", "", ""],
    ]
    assert [row["request"] for row in rows] == ["", "memremap", "ioremap_wc"]


@pytest.mark.parametrize("form", ["plain", "csv", "tsv"])
@pytest.mark.parametrize("first", ["0x1000", "0x1000 WB", "0x1000 ioremap 1\n0x1000"])
def test_a_request_without_its_columns_is_a_bad_line(tmp_path: Path, form: str, first: str) -> None:
    """So no row looks like that of a PAT type; a bad line in front decides nothing."""
    file = scenario(tmp_path, "linux-6.8")
    done = quick("eval", file, "--gpa", "-", "-o", form, stdin=f"{first}\n0x800000000 ioremap\n0x2000\n")
    assert done.status == 2
    at = first.count("\n") + 2
    assert f"-:{at}:13: 'ioremap' is a request, and the header above has no columns for one (--guest, " in done.err
    assert "0x2000" in done.out
    assert "0x800000000" not in done.out
    assert "request" not in done.out.lower()


def test_plain_shows_request_type_and_what_comes_of_it(tmp_path: Path) -> None:
    file = scenario(tmp_path, "linux-6.8")
    lines = ["0x7fffff000 memremap", "0x800000001 memremap", "0x1000 ioremap_wc", "0x1000 WB"]
    found = streamed(file, lines, form="plain")
    assert found[:5] == [
        "GPA             LVL MTRR EPT  REQUEST    PAT GETS RULE             SLOT",
        "0x7fffff000     2M  -    0x30 memremap   WB  WB   guest-pat        blob",
        "0x800000001     2M  -    0x30 memremap   UC- UC   guest-pat        blob",
        "0x1000          1G  -    0x30 ioremap_wc -   -    guest-pat        ram-low",
        "0x1000          1G  -    0x30 -          WB  WB   guest-pat        ram-low",
    ]
    assert "note: blob: Linux 6.8: WB over MTRR type UC becomes UC-" in found
    assert max(map(len, found)) <= 80


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--request", "wb", "--pat", "wb"), "--request and --pat exclude each other"),
        (("--request", "wb", "--request", "wc"), "--gpa - and --request twice (--request is that of lines that name"),
        (("--request", "wb", "-o", "json"), "--gpa - does not go with -o json"),
    ],
)
def test_what_does_not_go_together(tmp_path: Path, args: tuple[str, ...], message: str) -> None:
    done = quick("eval", scenario(tmp_path), "--gpa", "-", *args, stdin="0x1000\n")
    assert (done.status, done.out) == (2, "")
    assert message in done.err


def test_without_paging_no_page_table_selects_a_type(tmp_path: Path) -> None:
    file = Path(scenario(tmp_path))
    file.write_text(file.read_text().replace("guest:\n", "guest:\n  cr0: {pg: false}\n"))
    done = quick("eval", str(file), "--gpa", "-", "-o", "jsonl", stdin="0x1000 ioremap\n0x1000 WB\n")
    assert done.err.startswith("-:1:8: 'ioremap' is a request, but cr0.pg is false")
    assert (done.status, len(done.out.splitlines())) == (2, 1)
    for args in (("--request", "wb"), ("--guest", "6.8")):
        done = quick("eval", str(file), "--gpa", "-", *args, stdin="0x1000\n")
        assert (done.status, done.out) == (2, "")
        assert f"{args[0]}, but cr0.pg is false" in done.err


def test_a_misspelt_request_is_told_the_nearest(tmp_path: Path) -> None:
    done = quick("eval", scenario(tmp_path), "--gpa", "-", "-o", "jsonl", stdin="0x1000 memremp\n0x1000 xyz\n")
    assert "-:1:8: 'memremp' is no PAT type and no request (did you mean memremap?)" in done.err
    assert "-:2:8: 'xyz' is not a memory type (one of UC, UC-, WC, WT, WP, WB)" in done.err
