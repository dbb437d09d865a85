# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc decode epte: the command around kvm/spte.py: levels, releases, streams, every form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.program import quick

KEYS = {
    "value",
    "level",
    "kind",
    "text",
    "memtype",
    "ipat",
    "mask",
    "address",
    "flags",
    "kvm_state",
    "undecided",
    "misconfigurations",
    "ignored_bits",
}
"""Those that scripts rely on."""


def decoded(*args: str) -> Any:
    return quick("decode", "epte", *args, "-o", "json").json


def test_the_keys_stay() -> None:
    for value in ("600000455299b77", "5a0", "0", "32b1825", "f8f0000066", "22", "1344a0827"):
        (record,) = decoded(value)
        assert record.keys() >= KEYS
        assert record["kind"] in {"leaf", "table", "empty", "removed", "mmio", "not_present", "not_ept", None}
        for reading in record["readings"]:
            assert {"kind", "era", "memtype", "ipat", "address"} <= reading.keys()
            # What stands outside is what all agree on.
            for key in ("kind", "memtype", "ipat", "mask", "address", "generation"):
                assert record[key] in (reading[key], None), key


def test_several_releases_fit() -> None:
    """MMIO of 5.13 on: where the generation stands differs."""
    (record,) = decoded("9000f8f00001b6")
    assert (record["kind"], record["memtype"], record["generation"]) == ("mmio", None, None)
    assert record["era"] == "5.13 on"
    assert [(r["era"], r["generation"]) for r in record["readings"]] == [("5.13 to 7.1", "0x936"), ("7.2 on", "0x4b6")]
    assert record["gfns"] == [{"gfn": "0xf8f0000", "l1tf_width": None}, {"gfn": "0xf0000", "l1tf_width": 40}]
    (record,) = decoded("9000f8f00001b6", "--kernel", "7.3.4")
    assert (record["era"], record["generation"], record["readings"]) == ("7.2 on", "0x4b6", [])


@pytest.mark.parametrize(
    ("kernel", "era"),
    [
        ("6.12.107+deb12-amd64", "6.10 to 7.1"),
        ("v5.10", "5.4 to 5.12"),
        ("v4.4", "3.11 to 4.7"),
        ("4.4", "3.11 to 4.7"),
        ("latest", "7.2 on"),
        ("7.2-rc1", "7.2 on"),
        ("2.6.32.69", "2.6.32 to 3.0"),
        ("2.6.31", "2.6.29 to 2.6.31"),
        ("5.13", "5.13 to 6.9"),
    ],
)
def test_a_release_however_it_is_named(kernel: str, era: str) -> None:
    (record,) = decoded("0", "--kernel", kernel)
    assert record["era"] == era


def test_notes_of_a_release() -> None:
    assert decoded("0", "--kernel", "6.6")[0]["notes"] == []
    (note,) = decoded("0", "--kernel", "6.6.1-1-default")[0]["notes"]
    assert note == (
        "SPTEs of mainline 6.6.1; '-1-default' is openSUSE's build, near upstream; vendors backport changes"
    )
    assert decoded("0", "--kernel", "6.6+slot-flag")[0]["notes"] == []
    assert "5.13 itself was not read" in decoded("0", "--kernel", "5.13")[0]["notes"][0]


@pytest.mark.parametrize(
    "name",
    [
        "4.18.0-553.el8.x86_64",
        "5.14.0-427.13.1.el9_4.x86_64",
        "5.3.18-150300.59.161-default",
        "5.15.0-91-generic",
        "6.12.107+deb12-amd64",
        "6.8.12-4-pve",
        "6.6.1-gdeadbeef1",
        "6.6.1-mine",
    ],
)
def test_a_vendors_name_is_graded_as_with_r(name: str) -> None:
    """What -r says of whose build it is, said of SPTEs."""
    graded = json.loads(quick("lookup", "-r", name, "-o", "json").out)[0]["notes"]
    (rules,) = [note for note in graded if note.startswith("rules of mainline")]
    notes = decoded("0", "--kernel", name)[0]["notes"]
    wanted = rules.replace("rules of", "SPTEs of", 1).replace("other rules: give vmx.c", "another release's bits")
    assert wanted in notes


AMD = ("--vendor", "amd")


@pytest.mark.parametrize(
    ("args", "kind"),
    [
        ("455299e67 --level 1 --kernel 6.12", "leaf"),
        ("455299c67 --level 1 --kernel 5.10", "leaf"),
        ("455200ee7 --level 2 --kernel 6.12", "leaf"),
        ("455299827 --level 2 --kernel 6.12", "table"),
        ("8000000000000000 --kernel 6.12", "empty"),
        ("80000000000005a0 --kernel 6.12", "removed"),
        ("800008fc0002f --level 1 --kernel 6.12", "mmio"),
        ("455299067 --kernel 6.12", "not_present"),
    ],
)
def test_entries_of_npt(args: str, kind: str) -> None:
    """KVM leaves PWT, PCD and PAT clear: entry 0 of the host's PAT, WB, in leaves alone."""
    (record,) = decoded(*args.split(), *AMD)
    assert (record["vendor"], record["kind"], record["ept"]) == ("amd", kind, None)
    assert (record["memtype"], record["ipat"], record["mask"]) == (None, None, None)
    assert record["npt"] == ({"index": 0, "memtype": "WB"} if kind == "leaf" else None)


def test_the_vendor_is_intel_where_nothing_is_said() -> None:
    value = ("455299e67", "--level", "1", "--kernel", "6.12")
    (record,) = decoded(*value)
    assert decoded(*value, "--vendor", "intel") == decoded(*value, "--vendor", "Intel") == [record]
    assert (record["vendor"], record["kind"], record["ept"], record["npt"]) == ("intel", "not_ept", None, None)
    (leaf,) = decoded("600000455299b77")
    assert leaf["ept"] == {"memtype": "WB", "ipat": 1, "mask": "0x70"}
    assert quick("decode", "epte", "--vendor", "via", "0").err.startswith("mtcalc decode epte: invalid value for")


def test_npt_in_every_form_and_as_a_stream() -> None:
    plain = quick("decode", "epte", *AMD, "455299e67").out
    assert "nested type  WB: entry 0 of the host's PAT\n" in plain
    assert "EPT" not in plain
    row = quick("decode", "epte", *AMD, "455299e67", "-o", "csv").out.splitlines()[1]
    assert row == "0x455299e67,1,leaf,WB,,,0x455299000,,5.13 on,"
    for form in ("csv", "jsonl", "plain"):
        stream = quick("decode", "epte", *AMD, "-", "-o", form, stdin="455299e67\n")
        assert (stream.status, stream.out) == (0, quick("decode", "epte", *AMD, "455299e67", "-o", form).out)


def test_a_byte_order_mark_before_a_stream_is_passed_over() -> None:
    for args in ((), AMD):
        marked = quick("decode", "epte", *args, "-", "-o", "csv", stdin="\ufeff5a0\n0\n")
        assert (marked.status, marked.err) == (0, "")
        assert marked.out == quick("decode", "epte", *args, "-", "-o", "csv", stdin="5a0\n0\n").out
    second = quick("decode", "epte", "-", "-o", "csv", stdin="5a0\n\ufeff0\n")
    assert second.status == 2
    assert second.err.startswith("-:2:1: ")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("--kernel 9.9 0", "--kernel: 9.9 is newer than the newest known release"),
        ("--kernel 2.6.28 0", "--kernel: 2.6.28: SPTEs are known from 2.6.29 on"),
        ("--kernel nonsense 0", "--kernel: unknown rule set 'nonsense'"),
        ("--kernel - 0", "--kernel - (a release"),
        ("- 0", "- stands alone"),
        ("- -o json", "- does not go with -o json (one of jsonl, tsv, csv, plain)"),
    ],
)
def test_wrong_usage(args: str, message: str) -> None:
    done = quick("decode", "epte", *args.split(), stdin="0\n")
    assert (done.status, done.out) == (2, "")
    assert message in done.err


LINES = "0x600000455299b77\n\n# a remark\n  21be00bf3 \t2\nde4657107 level 2\n"


def test_a_stream_is_answered_line_by_line() -> None:
    done = quick("decode", "epte", "-", "-o", "jsonl", stdin=LINES)
    records = [json.loads(line) for line in done.out.splitlines()]
    assert (done.status, done.err) == (0, "")
    assert [(r["value"], r["level"], r["kind"]) for r in records] == [
        ("0x600000455299b77", 1, "leaf"),
        ("0x21be00bf3", 2, "leaf"),
        ("0xde4657107", 2, "table"),
    ]
    assert records[0] == decoded("600000455299b77")[0]
    plain = quick("decode", "epte", "-", stdin="5a0\n0\n").out
    assert plain == quick("decode", "epte", "5a0", "0").out
    for form in ("csv", "tsv"):
        assert quick("decode", "epte", "-", "-o", form, stdin="5a0\n77\n").out == (
            quick("decode", "epte", "5a0", "77", "-o", form).out
        )
    assert quick("decode", "epte", "-", "-o", "csv", stdin="").out.startswith("value,level,kind")
    assert quick("decode", "epte", "--level", "2", "-", "-o", "csv", stdin="0\n0 3\n").out.count("0x0,2,") == 1


def test_a_bad_line_does_not_end_a_stream() -> None:
    done = quick("decode", "epte", "-", "-o", "csv", stdin="zz\n5a0 9\n0\n0 level 4 x\n\xff\n")
    assert done.status == 2
    assert [line for line in done.err.splitlines() if line.startswith("-:")] == [
        "-:1:1: '0xzz' is not a number (hex is 0x and digits 0-9 a-f)",
        "-:2:5: '9' is no level (1 to 5)",
        "-:4:11: 'x' is one word too many (an entry, then a level if you like)",
        done.err.splitlines()[-3],
    ]
    assert done.out.splitlines()[1].startswith("0x0,1,empty")
    assert len(done.out.splitlines()) == 2


def test_a_line_without_end_is_refused() -> None:
    done = quick("decode", "epte", "-", stdin="7" * 70000)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("-:1:1: a line of more than 64 KiB")


def test_notes_name_their_value_where_there_are_several() -> None:
    out = quick("decode", "epte", "22", "0").out
    assert "note: 0x22: no release of KVM writes such an entry" in out
    assert "note: no release of KVM writes" in quick("decode", "epte", "22").out


@pytest.mark.parametrize("value", ["0x8000000000200ef7", "0x8600000000200ff7"])
def test_bit_7_of_a_4k_leaf_that_no_release_fits_is_named(value: str) -> None:
    """It says that the entry is of another level than the one it is read at."""
    assert "bit 7 is set: a leaf of 2M or 1G at level 2 or 3" in " ".join(quick("decode", "epte", value).out.split())
    assert "bit 7" not in quick("decode", "epte", hex(int(value, 16) & ~0x80)).out
