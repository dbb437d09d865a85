# SPDX-License-Identifier: GPL-2.0-only
"""The program `mtcalc mtrr`, run as users run it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from support.program import Run, quick, run

THREE_G = """\
guest:
  maxphyaddr: 36
  mtrr:
    default: UC
    variable:
      - {base: 0, size: 4G, type: WB}
      - {base: 0xc0000000, size: 1G, type: UC}
"""
ODD = """\
vm: {noncoherent_dma: true}
guest:
  maxphyaddr: 52
  mtrr:
    fixed: {0x259: 0x0101010101010101}
    default: UC
    variable:
      - {physbase: 0x123456001, physmask: 0xffffffff00800}
      - {physbase: 6, physmask: 0xf0000000c0800}
memslots:
  - {gpa: 0, size: 3G, name: ram}
"""
TEN = "guest: {maxphyaddr: 36, mtrr: {vcnt: 10, msrs: {0x2ff: 0xc06, 0x212: 0xc0000000, 0x213: 0xfc0000800}}}\n"


FIXED = "guest: {mtrr: {enabled: true, fixed_enabled: true}}\nmemslots: [{name: ram, gpa: 0, size: 4G}]\n"


@pytest.mark.parametrize("release", ["4.1", "4.2", "4.5", "4.6", "4.7", "6.1"])
def test_the_level_by_a_stray_cursor_is_said_to_be_one(release: str, tmp_path: Path) -> None:
    """4.2 to 4.6, as eval says it: of addresses, of the map and behind a stream."""
    (tmp_path / "vm.yaml").write_text(FIXED)
    said = release in ("4.2", "4.5", "4.6")
    calls: tuple[list[str], ...] = (["--gpa", "0"], ["--gpa", "3G"], [], ["-o", "json"])
    found = [quick("mtrr", "vm.yaml", "-r", release, *args, cwd=tmp_path).out for args in calls]
    found.append(quick("mtrr", "vm.yaml", "-r", release, "--gpa", "-", cwd=tmp_path, stdin="0\n").out)
    assert ["stray cursor" in " ".join(out.split()) for out in found] == [said, False, said, said, said]
    evaluated = quick("eval", "vm.yaml", "-r", release, "--gpa", "0", cwd=tmp_path).out
    assert ("stray cursor" in " ".join(evaluated.split())) is said


def asked(*args: str, stdin: str = "") -> Run:
    return quick("mtrr", *args, stdin=stdin)


def answered(*args: str, stdin: str = "") -> str:
    done = asked(*args, stdin=stdin)
    assert (done.status, done.err) == (0, "")
    return done.out


@pytest.fixture
def three_g(tmp_path: Path) -> str:
    path = tmp_path / "3g.yaml"
    path.write_text(THREE_G)
    return str(path)


@pytest.fixture
def odd(tmp_path: Path) -> str:
    path = tmp_path / "odd.yaml"
    path.write_text(ODD)
    return str(path)


def test_plain_shows_registers_maps_and_where_they_part(three_g: str) -> None:
    assert answered(three_g, "-r", "6.1") == (
        "rules 6.1 (v4.4), guest maxphyaddr 36\n"
        "\n"
        "IA32_MTRR_DEF_TYPE  0x800  E=1 FE=0 default UC\n"
        "\n"
        "variable ranges\n"
        "PAIR BASE       SIZE TYPE PHYSBASE   PHYSMASK    REMARK\n"
        "0    0x0        4G   WB   0x6        0xf00000800\n"
        "1    0xc0000000 1G   UC   0xc0000000 0xfc0000800\n"
        "2-7  -          -    -    0x0        0x0         disabled\n"
        "\n"
        "address space\n"
        "GPA         END         KVM MANUAL PART\n"
        "0x0         0xbfffffff  WB  WB\n"
        "0xc0000000  0xffffffff  WB  UC     [1]\n"
        "0x100000000 0xfffffffff UC  UC\n"
        "\n"
        "[1] 0xc0000000-0xffffffff\n"
        "  UC at 0xc0000000 (pair 1) is visited before WB at 0 (pair 0): KVM answers WB,\n"
        "  the manual UC\n"
    )


def test_plain_of_anything_is_80_columns_of_ascii(odd: str) -> None:
    shown = answered(odd)
    assert shown.isascii()
    assert max(map(len, shown.splitlines())) <= 80
    for words in ("irregular: hole in the", "pieces of the address space", "and more: ask for", "0xa0000 0xbffff WC"):
        assert words in shown
    assert len(shown.splitlines()) < 250


def test_agreement_is_said(tmp_path: Path) -> None:
    path = tmp_path / "vm.yaml"
    path.write_text("guest: {maxphyaddr: 36}\n")
    shown = answered(str(path), "-r", "6.1")
    assert shown.endswith("0x0 0xfffffffff WB  WB\n\nKVM and the manual agree everywhere.\n")


def test_json_has_registers_maps_and_disagreements(three_g: str) -> None:
    found: dict[str, Any] = json.loads(answered(three_g, "-o", "json"))
    assert list(found) == ["rules", "ref", "maxphyaddr", "registers", "maps", "disagreements", "notes"]
    pair = found["registers"]["variable"][1]
    assert (pair["pair"], pair["base"], pair["size"], pair["type"]) == (1, "0xc0000000", "0x40000000", "UC")
    assert (pair["physbase"], pair["physmask"], pair["valid"]) == ("0xc0000000", "0xfc0000800", True)
    assert found["registers"]["def_type"]["default"] == "UC"
    assert found["maps"] == {
        "kvm": [
            {"gpa": "0x0", "end": "0xffffffff", "type": "WB"},
            {"gpa": "0x100000000", "end": "0xfffffffff", "type": "UC"},
        ],
        "manual": [
            {"gpa": "0x0", "end": "0xbfffffff", "type": "WB"},
            {"gpa": "0xc0000000", "end": "0xfffffffff", "type": "UC"},
        ],
        "complete_to": None,
    }
    (part,) = found["disagreements"]
    assert (part["gpa"], part["end"], part["kvm"], part["manual"]) == ("0xc0000000", "0xffffffff", "WB", "UC")
    assert "pair 1" in part["reason"]
    assert found["notes"][0].startswith("slot-flag is a proposal")


def test_a_map_that_is_cut_short_says_so_in_json(odd: str) -> None:
    found = json.loads(answered(odd, "-o", "json"))
    assert found["maps"]["complete_to"] == found["maps"]["manual"][-1]["end"]
    assert found["maps"]["kvm"][-1]["end"] == "0xfffffffffffff"
    assert any("ask for addresses with --gpa" in note for note in found["notes"])


def test_rows_of_the_map(three_g: str) -> None:
    lines = answered(three_g, "-o", "jsonl").splitlines()
    assert [json.loads(line)["kvm"] for line in lines] == ["WB", "WB", "UC"]
    rows = list(csv.reader(io.StringIO(answered(three_g, "-o", "csv"))))
    assert rows[0] == ["gpa", "end", "kvm", "manual", "reason"]
    assert rows[2][:4] == ["0xc0000000", "0xffffffff", "WB", "UC"]


ASKED = ("--gpa", "3G", "--gpa", "0x100000fff")


@pytest.mark.parametrize(
    ("ref", "first", "second"),
    [("6.1", ("WB", "UC"), ("UC", "UC")), ("4.1", ("UC", "UC"), ("UC", "UC")), ("6.12", (None, "UC"), (None, "UC"))],
)
def test_addresses_as_json(three_g: str, ref: str, first: tuple[str, str], second: tuple[str, str]) -> None:
    """A list of gpa, kvm (null from 6.11 on), manual, level."""
    assert json.loads(answered(three_g, "-r", ref, "-o", "json", *ASKED)) == [
        {"gpa": "0xc0000000", "kvm": first[0], "manual": first[1], "level": "1G"},
        {"gpa": "0x100000fff", "kvm": second[0], "manual": second[1], "level": "1G"},
    ]


def test_undefined_types_and_levels(odd: str) -> None:
    gpas = ("--gpa", "0x123400000", "--gpa", "0x123600000", "--gpa", "2G", "--gpa", "0xa0000")
    assert answered(odd, "-r", "6.1", "-o", "tsv", *gpas).splitlines() == [
        "gpa\tkvm\tmanual\tlevel",
        "0x123400000\tWB\tundefined\t4K",
        "0x123600000\tWB\tWB\t2M",
        "0x80000000\tWB\tWB\t1G",
        "0xa0000\tWC\tWC\t4K",
    ]


def test_ten_pairs_have_the_manuals_view_alone(tmp_path: Path) -> None:
    path = tmp_path / "ten.yaml"
    path.write_text(TEN)
    found = json.loads(answered(str(path), "-r", "6.1", "-o", "json"))
    assert found["maps"]["kvm"] is None
    assert found["disagreements"] == []
    assert {"gpa": "0xc0000000", "end": "0xffffffff", "type": "UC"} in found["maps"]["manual"]
    assert found["notes"] == ["10 variable pairs, and KVM gives a guest 8: the manual's view alone"]
    shown = answered(str(path), "-r", "6.1")
    assert "KVM and the manual" not in shown
    assert "0xc0000000  0xffffffff  UC\n" in shown


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--gpa", "64G"], "mtcalc: 0x1000000000 is beyond the guest's maxphyaddr 36 (at most 0xfffffffff)\n"),
        (["-r", "v6.7", "-r", "v6.16"], "mtcalc mtrr: -r is given twice"),
        (["--gpa", "-", "--gpa", "0"], "mtcalc mtrr: --gpa - stands alone (write all addresses on standard input)\n"),
        (["--gpa", "-", "-o", "table"], "mtcalc mtrr: --gpa - does not go with -o table"),
        (["--gpa", "0x"], "mtcalc mtrr: invalid value for '--gpa': '0x' is not a number"),
    ],
)
def test_wrong_usage(three_g: str, args: list[str], message: str) -> None:
    done = asked(three_g, *args, stdin="")
    assert done.status == 2
    assert done.out == ""
    assert done.err.startswith(message)


def test_a_scenario_and_addresses_can_not_share_standard_input() -> None:
    done = asked("-", "--gpa", "-", stdin=THREE_G)
    assert (done.status, done.out) == (2, "")
    assert "FILE and --gpa can't both be standard input" in done.err


STREAM = "0xc0000000\n0x0\n  zork\n4G\n\n0x1000000000\n0xfffffffff"
BAD_LINES = ["-:3:3: 'zork' is not a number", "-:6:1: 0x1000000000 is beyond the guest's maxphyaddr 36"]
GOOD = [("0xc0000000", "WB", "UC"), ("0x0", "WB", "WB"), ("0x100000000", "UC", "UC"), ("0xfffffffff", "UC", "UC")]


@pytest.mark.parametrize("form", ["jsonl", "csv", "tsv", "plain", "json"])
def test_a_stream_is_answered_in_order_and_bad_lines_are_reported(three_g: str, form: str) -> None:
    done = asked(three_g, "-r", "6.1", "--gpa", "-", "-o", form, stdin=STREAM)
    assert done.status == 2
    places = [line for line in done.err.splitlines() if line.startswith("-:")]
    assert len(places) == len(BAD_LINES)
    assert all(place.startswith(start) for place, start in zip(places, BAD_LINES, strict=True))
    expected = [(*answer, "1G") for answer in GOOD]
    lines = done.out.splitlines()
    if form == "json":
        assert [tuple(answer.values()) for answer in json.loads(done.out)] == expected
    elif form == "jsonl":
        assert [tuple(json.loads(line).values()) for line in lines] == expected
    elif form == "plain":
        assert lines[0].split() == ["GPA", "KVM", "MANUAL", "LEVEL"]
        assert [tuple(line.split()) for line in lines[1:]] == expected
    else:
        rows = list(csv.reader(lines, delimiter="," if form == "csv" else "\t"))
        assert rows[0] == ["gpa", "kvm", "manual", "level"]
        assert [tuple(row) for row in rows[1:]] == expected


@pytest.mark.parametrize("name", ["three_g", "odd"])
@pytest.mark.parametrize("form", ["jsonl", "csv", "tsv"])
def test_a_stream_says_what_single_addresses_say(name: str, form: str, request: pytest.FixtureRequest) -> None:
    path: str = request.getfixturevalue(name)
    addresses = ["0x0", "0x9ffff", "0xa0000", "0xc0000000", "0xbfffffff", "0x123456000", "0xfffffffff"]
    single = [part for address in addresses for part in ("--gpa", address)]
    assert answered(path, "--gpa", "-", "-o", form, stdin="\n".join(addresses)) == answered(path, "-o", form, *single)


def test_from_6_11_on_a_stream_has_no_type_by_kvm(three_g: str) -> None:
    assert answered(three_g, "-r", "6.12", "--gpa", "-", "-o", "jsonl", stdin="0x0\n") == (
        '{"gpa": "0x0", "kvm": null, "manual": "WB", "level": "1G"}\n'
    )
    shown = answered(three_g, "-r", "6.12", "--gpa", "-", stdin="0x0\n")
    assert shown.splitlines()[1:] == [
        "0x0             -   WB        1G",
        "note: 6.12 is 6.12.0; from 6.12.78 on, v6.16",
        "note: this KVM does not look at guest MTRRs: the manual's view alone",
    ]


def test_the_program_in_a_process_of_its_own(three_g: str) -> None:
    done = run("mtrr", three_g, "--gpa", "3G", "-r", "6.1", "-o", "jsonl")
    assert done == (0, '{"gpa": "0xc0000000", "kvm": "WB", "manual": "UC", "level": "1G"}\n', "")
