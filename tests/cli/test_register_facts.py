# SPDX-License-Identifier: GPL-2.0-only
"""What a guest's registers mean hangs on the release, on the width, and on how they are written: by the program."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.program import quick

Write = Callable[[str], str]

RESERVED = """\
vm: {noncoherent_dma: true}
guest: {maxphyaddr: 36, mtrr: {msrs: {0x2ff: 0xc06, 0x200: 0xc0000100, 0x201: 0xfc0000801}}}
memslots: [{gpa: 3G, size: 1G}]
expect: [{gpa: 3G, ipat: 0}]
"""
HIGH = """\
vm: {noncoherent_dma: true}
guest: {maxphyaddr: 36, mtrr: {msrs: {0x2ff: 0xc06, 0x200: 0x10c0000000, 0x201: 0xfffffc0000800}}}
memslots: [{gpa: 3G, size: 1G}]
expect: [{gpa: 3G, ipat: 0}]
"""
PAIR_EIGHT = """\
vm: {noncoherent_dma: true}
guest:
  mtrr: {msrs: {0x2ff: 0xc06, 0x210: 0xc0000000, 0x211: 0x3fffc0000800}}
memslots: [{gpa: 3G, size: 1G}]
pages: [{gpa: 3G}]
expect: [{gpa: 3G, memtype: UC}]
"""
NARROW = """\
guest: {mtrr: {msrs: {0x2ff: 0xc06, 0x200: 0xc0000000, 0x201: 0xfc0000800}}}
memslots: [{gpa: 3G, size: 1G}]
"""
NO_PAGING = "guest: {cr0: {pg: false}}\nmemslots: [{gpa: 0, size: 1G}]\n"
REFUSED = "this KVM answers with #GP the write of IA32_MTRR_"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> str:
        path = tmp_path / "vm.yaml"
        path.write_text(text)
        return str(path)

    return write


def answered(*args: str) -> str:
    done = quick(*args)
    assert (done.status, done.err) == (0, "")
    return done.out


@pytest.mark.parametrize(
    ("text", "kind", "first"),
    [
        (RESERVED, "UC", "PHYSBASE0 = 0xc0000100 (reserved bits 0x100) and 1 more"),
        (HIGH, "WB", "PHYSBASE0 = 0x10c0000000 (address bits at or above maxphyaddr 36) and 1 more"),
    ],
)
@pytest.mark.parametrize("release", ["2.6.31", "3.13", "3.16", "3.18", "4.4", "6.10", "6.11"])
def test_reserved_bits_are_answered_and_refused_from_3_18_on(
    write: Write, text: str, kind: str, first: str, release: str
) -> None:
    path = write(text)
    later = release not in ("2.6.31", "3.13", "3.16")
    (answer,) = json.loads(answered("eval", path, "-r", release, "-o", "json"))["results"]
    found = json.loads(answered("mtrr", path, "-r", release, "-o", "json"))
    if release != "6.11":
        assert answer["inputs"]["guest_mtrr"] == kind
        assert {"gpa": "0xc0000000", "end": "0xffffffff", "type": "UC"} in found["maps"]["kvm"] or kind == "WB"
    for notes in (answer["notes"], found["notes"]):
        assert [f"{REFUSED}{first}: a guest cannot get here" in notes, any(REFUSED in n for n in notes)] == [later] * 2
    checked = answered("check", path, "-r", release)
    assert (REFUSED in " ".join(checked.split())) is later
    single = answered("mtrr", path, "-r", release, "--gpa", "3G")
    explained = answered("explain", path, "-r", release, "--gpa", "3G")
    assert (REFUSED in " ".join(single.split())) is later
    assert (REFUSED in " ".join(explained.split())) is later


@pytest.mark.parametrize("form", ["plain", "json"])
def test_a_low_byte_that_is_no_type_is_refused_in_a_mask_from_2_6_31_on(write: Write, form: str) -> None:
    path = write(RESERVED.replace("0xc0000100", "0xc0000000").replace("0xfc0000801", "0xfc0000802"))
    for release, refused in (("2.6.29", False), ("2.6.31", True), ("3.16", True), ("6.1", True)):
        said = " ".join(answered("mtrr", path, "-r", release, "-o", form).split())
        assert ("PHYSMASK0 = 0xfc0000802 (" in said) is refused


def test_a_base_above_the_width_has_no_range(write: Write) -> None:
    found = json.loads(answered("mtrr", write(HIGH), "-r", "6.1", "-o", "json"))
    pair = found["registers"]["variable"][0]
    assert (pair["kvm_range"], pair["size"]) == (None, None)
    assert pair["irregular"] == ["base bits at or above maxphyaddr 36: 0x1000000000"]
    assert found["maps"]["kvm"] == found["maps"]["manual"]


def test_decode_mtrr_says_since_when_kvm_refuses() -> None:
    records = json.loads(
        answered("decode", "mtrr", "0x200=0xc0000106", "0x201=0x3fffc0000802", "0x203=0x3fffc0000801", "-o", "json")
    )
    assert [record["error"].rpartition("; ")[2] for record in records] == [
        "KVM refuses it from 3.18 on",
        "KVM refuses it from 2.6.31 on",
        "KVM refuses it from 3.18 on",
    ]
    (typed,) = json.loads(answered("decode", "mtrr", "0x200=0xc0000002", "-o", "json"))
    said = "KVM from 2.6.31 on answers #GP, and what older ones make of it is not modelled"
    assert typed["error"] == (
        f"IA32_MTRR_PHYSBASE0 = 0xc0000002: memory type 2 is reserved (0 UC, 1 WC, 4 WT, 5 WP or 6 WB; {said})"
    )


COMMANDS = (
    ("eval",),
    ("eval", "--gpa", "3G"),
    ("mtrr",),
    ("mtrr", "--gpa", "3G"),
    ("explain", "--gpa", "3G"),
    ("check",),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_ninth_pair_is_a_register_of_3_16_alone(write: Write, command: tuple[str, ...]) -> None:
    path = write(PAIR_EIGHT)
    for release in ("3.16", "3.16.0", "3.16.0-4-amd64"):
        out = answered(command[0], path, *command[1:], "-r", release)
        assert "UC" in out or command == ("check",)
    for release in ("3.14", "3.18", "6.1", "slot-flag"):
        done = quick(command[0], path, *command[1:], "-r", release)
        assert (done.status, done.out) == (2, "")
        assert done.err.startswith(
            f"{path}:3:31: IA32_MTRR_PHYSBASE8 is no register of 8 pairs (vcnt: 9 where there are as many)"
        )


def test_the_scenarios_own_release_counts_and_each_of_several(write: Write) -> None:
    path = write(f'rules: "3.16"\n{PAIR_EIGHT}')
    assert "UC" in answered("eval", path)
    done = quick("eval", path, "-r", "3.16", "-r", "6.1")
    assert (done.status, done.out) == (2, "")


def test_too_few_pairs_are_counted_by_release(write: Write) -> None:
    path = write("guest: {mtrr: {vcnt: 8}}\nmemslots: [{gpa: 0, size: 4K}]\n")
    few = "8 variable pairs: KVM gives a guest 10; the others are taken as off"
    for command in ("eval", "mtrr"):
        for release, said in (("3.16", True), ("3.18", False)):
            assert (few in " ".join(answered(command, path, "-r", release).split())) is said


def test_a_mask_for_another_width_is_said_with_the_width_assumed(write: Write) -> None:
    said = "guest.maxphyaddr is not given: 46 is assumed, and the top bit of IA32_MTRR_PHYSMASK0 = 0xfc0000800 says 36"
    path = write(NARROW)
    assert said in json.loads(answered("eval", path, "-o", "json"))["results"][0]["notes"]
    assert said in json.loads(answered("mtrr", path, "-o", "json"))["notes"]
    assert said in " ".join(answered("mtrr", path, "--gpa", "0").split())
    right = write(NARROW.replace("{mtrr", "{maxphyaddr: 36, mtrr"))
    assert "top bit" not in answered("eval", right) + answered("mtrr", right)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ("0x201=0xfc0000800", "read for 46 physical address bits; the mask's top bit says 36: --maxphyaddr 36"),
        ("0x201=0xfffffc0000800", "read for 46 physical address bits; the mask's top bit says 52: --maxphyaddr 52"),
        ("0x201=0xfc0000800 --maxphyaddr 39", "read for 39 physical address bits; the mask's top bit says 36"),
        ("0x201=0xfc0000800 --maxphyaddr 36", ""),
        ("0x201=0x3fffc0000800", ""),
        ("0x201=0x3ff0c0000800", ""),
        ("0x201=0xfc0000000", ""),
    ],
)
def test_decode_mtrr_names_the_width(args: str, said: str) -> None:
    (record,) = json.loads(answered("decode", "mtrr", *args.split(), "-o", "json"))
    words = [text for text in record["text"] if "top bit" in text]
    assert len(words) == bool(said)
    assert all(text.startswith(said) for text in words)


@pytest.mark.parametrize(
    "command", ["eval FILE --gpa 0", "eval FILE --gpa 0 --gpa 4K", "eval FILE --gpa -", "explain FILE --gpa 0"]
)
def test_a_pat_type_without_paging_is_refused(write: Write, command: str) -> None:
    path = write(NO_PAGING)
    words = [path if word == "FILE" else word for word in command.split()]
    done = quick(*words, "--pat", "wc", stdin="0\n")
    assert (done.status, done.out) == (2, "")
    assert f"--pat says WC, but cr0.pg is false in {path} (then the PAT memory type is WB; leave it out)" in done.err
    assert quick(*words, "--pat", "wb", stdin="0\n").status == 0


def test_lines_of_a_stream_name_no_pat_type_without_paging(write: Write) -> None:
    path = write(NO_PAGING)
    done = quick("eval", path, "--gpa", "-", "-o", "tsv", stdin="0x1000\n0x2000 wc\n0x3000 1\n0x4000 wb\n0x5000 0\n")
    assert done.status == 2
    assert [line for line in done.err.splitlines() if line.startswith("-:")] == [
        "-:2:8: 'wc' says WC, but cr0.pg is false (then the PAT memory type is WB; leave it out)",
        "-:3:8: '1' says WC, but cr0.pg is false (then the PAT memory type is WB; leave it out)",
    ]
    assert [line.split("\t")[1] for line in done.out.splitlines()] == ["gpa", "0x1000", "0x4000", "0x5000"]


@pytest.mark.parametrize("lines", ["0x1000\n0x2000\n", "0x1000", "# a remark\n4096\n", "", "0x1000 \n"])
@pytest.mark.parametrize("command", [("eval", "-o", "tsv"), ("eval",), ("mtrr", "-o", "csv"), ("mtrr", "-o", "json")])
def test_a_byte_order_mark_before_the_first_address(write: Write, command: tuple[str, ...], lines: str) -> None:
    path = write("memslots: [{gpa: 0, size: 1G}]\n")
    args = (command[0], path, "--gpa", "-", *command[1:])
    plain, marked = quick(*args, stdin=lines), quick(*args, stdin=f"\ufeff{lines}")
    assert (marked.status, marked.err, marked.out) == (plain.status, plain.err, plain.out)


def test_a_byte_order_mark_elsewhere_is_a_bad_line(write: Write) -> None:
    path = write("memslots: [{gpa: 0, size: 1G}]\n")
    done = quick("eval", path, "--gpa", "-", stdin="0x1000\n\ufeff0x2000\n")
    assert done.status == 2
    assert done.err.startswith("-:2:1: ")


PATS = """\
0x0407050600070106

# a remark
  WB  WT  UC- UC  WB  WT  UC- UC
x86/PAT: Configuration [0-7]: WB  WC  UC- UC  WB  WP  UC- WT
"""


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_pats_from_standard_input(mark: str) -> None:
    done = quick("decode", "pat", "-", "-o", "jsonl", stdin=mark + PATS)
    assert (done.status, done.err) == (0, "")
    linux, reset = (json.loads(answered("decode", "pat", name, "-o", "json")) for name in ("linux", "reset"))
    assert [json.loads(line) for line in done.out.splitlines()] == [linux, reset, linux]
    plain = quick("decode", "pat", "-", stdin=mark + PATS).out
    assert plain == "\n".join(answered("decode", "pat", name) for name in ("linux", "reset", "linux"))
    for form, separator in (("csv", ","), ("tsv", "\t")):
        rows = [
            line.split(separator)
            for line in quick("decode", "pat", "-", "-o", form, stdin=mark + PATS).out.splitlines()
        ]
        assert rows[0] == ["value", "entry", "type"]
        assert rows[1:9] == [[linux["value"], str(i), kind] for i, kind in enumerate(linux["entries"])]
        assert len(rows) == 25


def test_a_bad_pat_does_not_end_a_stream() -> None:
    done = quick("decode", "pat", "-", "-o", "jsonl", stdin="reset\n  zz\n407050600070106\nlinux")
    assert done.status == 2
    assert [line.split(" ")[0] for line in done.err.splitlines() if line.startswith("-:")] == ["-:2:3:", "-:3:1:"]
    assert len(done.out.splitlines()) == 2
    for form in ("json", "table"):
        refused = quick("decode", "pat", "-", "-o", form, stdin=PATS)
        assert (refused.status, refused.out) == (2, "")
        assert f"- does not go with -o {form} (one of jsonl, tsv, csv, plain)" in refused.err
    closed = quick("decode", "pat", "-", "linux")
    assert (closed.status, closed.out) == (2, "")
