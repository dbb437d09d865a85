# SPDX-License-Identifier: GPL-2.0-only
"""--request and --guest as users run them, and what people asked in public about a guest's own choice."""

from __future__ import annotations

import csv
import io
import itertools
from pathlib import Path
from typing import Any

import pytest

from support import linux_model
from support.program import DATA, quick, run

REPORTS = DATA / "reports"
HOSTMEM = str(REPORTS / "01-edk2-13129-hostmem" / "requests.yaml")
IVSHMEM = str(REPORTS / "02-ivshmem-amd" / "requests.yaml")
NO_MTRR = str(REPORTS / "09-clh-1752-nomtrr" / "requests.yaml")
BLOB = "0x800000000"


def one(*args: str) -> dict[str, Any]:
    (answer,) = quick("lookup", *args, "-o", "json").json
    assert isinstance(answer, dict)
    return answer


def changed(path: str, *changes: tuple[str, str]) -> str:
    text = Path(path).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("ref", ["5.15", "6.10", "6.11", "6.17", "latest"])
def test_hostmem_is_wb_whatever_the_guest_writes(ref: str) -> None:
    """Case 01, Intel without non-coherent DMA: 0x70, so the UC- of the guest's page tables has no say."""
    cached, combined, *_ = quick("eval", HOSTMEM, "-r", ref, "-o", "json").json["results"]
    assert (cached["request"], cached["pat"], cached["pat_index"]) == ("memremap", "UC-", 2)
    assert (combined["request"], combined["pat"], combined["pat_index"]) == ("ioremap_wc", "WC", 1)
    for answer in (cached, combined):
        assert (answer["ept"]["mask"], answer["effective"], answer["guest"]) == ("0x70", "WB", "linux-6.8")


@pytest.mark.parametrize(
    ("ref", "vm"),
    [
        ("6.11", "{noncoherent_dma: true}"),
        ("6.17", "{noncoherent_dma: true}"),
        ("6.17", "{disabled_quirks: [IGNORE_GUEST_PAT]}"),
    ],
)
def test_hostmem_is_uncached_where_the_guests_pat_is_honoured(tmp_path: Path, ref: str, vm: str) -> None:
    path = tmp_path / "vm.yaml"
    path.write_text(changed(HOSTMEM, ("{noncoherent_dma: false}", vm)))
    cached, combined, ram, asked = quick("eval", str(path), "-r", ref, "-o", "json").json["results"]
    assert (cached["ept"]["mask"], cached["pat"], cached["effective"]) == ("0x30", "UC-", "UC")
    assert combined["effective"] == "WC"
    assert (ram["pat"], ram["effective"]) == ("WB", "WB")
    assert any(note.startswith("Linux 6.8 would not choose PAT WB here") for note in asked["notes"])
    # Would WB MTRRs help? Then the driver's WB stays.
    path.write_text(changed(str(path), ("- {base: 0x800000000, size: 32G, type: UC}", "# removed")))
    assert quick("eval", str(path), "-r", ref, "-o", "json").json["results"][0]["effective"] == "WB"


def test_an_address_and_an_expectation_are_told_what_the_guest_would_choose(tmp_path: Path) -> None:
    said = "Linux 6.8 would not choose PAT WB here; asked for it, it takes UC-: WB over MTRR type UC becomes UC-"
    (answer,) = quick("eval", HOSTMEM, "--gpa", BLOB, "--pat", "wb", "-o", "json").json["results"]
    assert said in answer["notes"]
    (answer,) = quick("eval", HOSTMEM, "--gpa", BLOB, "--pat", "wc", "-o", "json").json["results"]
    assert not [note for note in answer["notes"] if "would not choose" in note]
    path = tmp_path / "vm.yaml"
    path.write_text(Path(HOSTMEM).read_text() + f"expect:\n  - {{gpa: {BLOB}, pat: WB, effective: WB}}\n")
    assert "would not choose PAT WB" in quick("check", str(path)).out


def test_ivshmem_on_intel() -> None:
    """Case 02: the guest writes UC- over OVMF's UC range, and without non-coherent DMA it is WB all the same."""
    assert quick("check", IVSHMEM).status == 0
    (answer,) = quick("eval", IVSHMEM, "-o", "json").json["results"]
    assert (answer["pat"], answer["ept"]["mask"], answer["effective"]) == ("UC-", "0x70", "WB")
    without = changed(IVSHMEM, ("- {base: 0x800000000, size: 32G, type: UC}", "# removed"))
    (answer,) = run("eval", "-", "-o", "json", stdin=without).json["results"]
    assert (answer["pat"], answer["effective"]) == ("WB", "WB")


def test_a_guest_without_mtrrs_has_no_wc() -> None:
    """Case 09: PAT skipped, so WC is UC-; from 6.2 on it is programmed all the same; up to 4.1 it acts as WT."""
    ram, wc, uc, _ = quick("eval", NO_MTRR, "-o", "json").json["results"]
    assert (ram["ept"]["mask"], ram["effective"]) == ("0x30", "WB")
    assert (wc["pat"], wc["pat_index"], wc["effective"]) == ("UC-", 2, "UC")
    assert (uc["pat"], uc["effective"]) == ("UC-", "UC")
    for guest, want in [("6.1", ("UC-", "UC")), ("6.2", ("WC", "WC")), ("4.1", ("WT", "UC")), ("4.2", ("UC-", "UC"))]:
        args = ("--gpa", "0xe0000000", "--request", "ioremap_wc", "--guest", guest, "-o", "json")
        (answer,) = quick("eval", NO_MTRR, *args).json["results"]
        assert (answer["pat"], answer["effective"]) == want


def test_the_whole_table_against_the_second_model() -> None:
    for guest in ("2.6.29", "4.1", "4.6", "5.15", "6.8"):
        answers = quick("table", "--request", "-r", "6.1", "-r", "6.17", "--guest", guest, "-o", "json").json
        assert len(answers) == 2 * 6 * 5
        for answer in answers:
            release = tuple(map(int, guest.split(".")))
            want = linux_model.got(release, answer["request"], answer["inputs"]["guest_mtrr"])
            found = None if answer["pat_index"] is None else (answer["pat"], answer["pat_index"])
            assert found == (want and (want.page, want.entry))
            assert (answer["effective"] is None) is (want is None)


def test_uc_is_a_type_and_not_nothing() -> None:
    """Its encoding is 0."""
    assert one("-r", "6.17", "--mtrr", "uc", "--request", "wb")["pat"] == "UC-"
    assert one("-r", "6.17", "--request", "wb")["pat"] == "WB"
    assert one("-r", "6.17", "--request", "uc")["pat"] == "UC"


def test_mtrr_is_read_by_the_guest_even_where_kvm_never_asks() -> None:
    """So no note says that it is not read; without a request one does."""
    args = ("-r", "6.17", "--mtrr", "uc", "--noncoherent-dma")
    assert not [note for note in one(*args, "--request", "wc")["notes"] if "does not read" in note]
    plain = quick("lookup", *args, "--pat", "wc", "-o", "json").json
    assert [note for note in plain[0]["notes"] if "does not read: guest MTRR type" in note]
    others = one(*args, "--no-self-snoop", "--request", "wc")["notes"]
    assert [note for note in others if note.endswith("does not read: host self-snoop")]


def test_functions_and_types_name_the_same() -> None:
    for function, kind in [("ioremap_wc", "WC"), ("memremap", "WB"), ("devm_ioremap", "UC-"), ("ioremap_wt()", "WT")]:
        by_name, by_type = one("--request", function), one("--request", kind)
        for key in ("pat", "pat_index", "ept", "effective"):
            assert by_name[key] == by_type[key]


@pytest.mark.parametrize("form", ["csv", "tsv"])
def test_columns_of_requests_stand_behind_all_others(form: str) -> None:
    delimiter = "," if form == "csv" else "\t"
    plain = quick("lookup", "--pat", "wc", "-o", form).out.splitlines()[0]
    asked = quick("lookup", "--request", "wc", "--guest", "6.8", "-o", form).out
    header, *rows = csv.reader(io.StringIO(asked), delimiter=delimiter)
    assert header == [*plain.split(delimiter), "request", "guest", "pat_index"]
    assert [dict(zip(header, row, strict=True))["pat_index"] for row in rows] == ["1"]
    refused = quick("lookup", "--request", "wt", "--guest", "4.1", "-o", form).out
    header, row = csv.reader(io.StringIO(refused), delimiter=delimiter)
    found = dict(zip(header, row, strict=True))
    assert (found["request"], found["guest"], found["pat"], found["effective"], found["pat_index"]) == (
        "WT",
        "linux-4.1",
        "",
        "",
        "",
    )


def test_rows_of_pages_keep_their_columns_beside_requests() -> None:
    """A refused request has no type, and does not make csv one column a type."""
    text = changed(HOSTMEM, ("  - {gpa: 0x800000000, pat: WB}\n", "  - {gpa: 0x100000000, request: ioremap_wc}\n"))
    header, *rows = csv.reader(io.StringIO(run("eval", "-", "-o", "csv", stdin=text).out))
    assert header[12:14] == ["pat", "effective"]
    assert [row[12] for row in rows] == ["UC-", "WC", "WB", ""]


OF_THE_GUEST = ("request", "MTRR type as the guest sees it", "guest's memory type", "PAT entry")
EVERY_STEP = (*OF_THE_GUEST, "EPT byte", "effective type")


@pytest.mark.parametrize(
    "args",
    [
        ("-r", "6.17", "--noncoherent-dma", "--mtrr", "uc", "--request", "memremap"),
        (HOSTMEM, "--gpa", BLOB, "--request", "memremap"),
    ],
)
def test_explain_has_each_step_with_its_source(args: tuple[str, ...]) -> None:
    found = quick("explain", *args, "-o", "json").json
    about = [step["step"] for step in found["steps"]]
    assert [name for name in about if name in EVERY_STEP] == list(EVERY_STEP)
    assert all(step["source"] for step in found["steps"])
    entry = next(step for step in found["steps"] if step["step"] == "PAT entry")
    assert (entry["result"], entry["text"][0]) == ("2 (UC-)", "PCD: 0x10 in the page-table entry")


def test_explain_takes_the_size_of_the_page_that_the_file_lists(tmp_path: Path) -> None:
    path = tmp_path / "vm.yaml"
    listed = ("gpa: 0x800000000, request: memremap, size: 256M", "gpa: 6G, request: WB, size: 64G")
    smaller = ("{name: ram-high, gpa: 4G, size: 6G}", "{name: ram-high, gpa: 4G, size: 1G}")
    path.write_text(changed(HOSTMEM, listed, smaller))
    found = quick("explain", str(path), "--gpa", "6G", "--request", "WB", "-o", "json").json
    seen = next(step for step in found["steps"] if step["step"] == "MTRR type as the guest sees it")
    assert seen["result"] == "mixed"
    assert found["answer"]["pat"] == "UC-"


def test_explain_of_a_refused_request_ends_without_a_type() -> None:
    found = quick("explain", HOSTMEM, "--gpa", "4G", "--request", "ioremap_wc", "-o", "json").json
    about = [step["step"] for step in found["steps"]]
    assert "guest's mapping" in about
    assert "effective type" not in about
    assert (found["answer"]["pat"], found["answer"]["effective"]) == (None, None)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("lookup", "--request", "wb", "--pat", "wb"), "--request and --pat exclude each other"),
        (("lookup", "--request", "wb", "--no-paging"), "--request and --no-paging exclude each other"),
        (("lookup", "--guest", "6.8"), "--guest without --request"),
        (("lookup", "--request", "wb", "--request", "wc"), "--request is given twice"),
        (("lookup", "--request"), "--request without a type"),
        (("explain", "--request", "wb", "--request", "wc"), "--request is given twice"),
        (("table", "--request", "--pat", "wc"), "--request and --pat exclude each other"),
        (("table", "--request", "--where", "mtrr=UC"), "--where and --request exclude each other"),
        (("table", "--who", "honours-pat", "--request", "wb"), "--who with other inputs"),
        (("eval", HOSTMEM, "--request", "wb"), "--request without --gpa"),
        (("eval", HOSTMEM, "--gpa", "0", "--request", "wb", "--pat", "wb"), "--request and --pat exclude each other"),
        (("eval", HOSTMEM, "--gpa", "0", "--guest", "6.8"), "--guest without --request"),
        (("lookup", "--request", "wb", "--guest", "8.0"), "newer than the newest known release"),
    ],
    ids=lambda value: " ".join(value[:1]) if isinstance(value, tuple) else value[:24],
)
def test_wrong_usage(args: tuple[str, ...], message: str) -> None:
    done = quick(*args)
    assert (done.status, done.out) == (2, "")
    assert message in done.err


def test_an_address_beyond_the_guest_is_an_error_with_a_request_too() -> None:
    done = quick("eval", HOSTMEM, "--gpa", "1T", "--request", "wb")
    assert (done.status, done.out) == (2, "")
    assert "beyond the guest's maxphyaddr 40" in done.err
    text = "memslots: [{gpa: 0, size: 4K}]\nguest: {cr0: {pg: false}}\n"
    done = run("eval", "-", "--gpa", "0", "--request", "wb", stdin=text)
    assert (done.status, done.out) == (2, "")
    assert "cr0.pg is false" in done.err


def test_every_format_of_every_command() -> None:
    calls = (
        ("lookup", "-r", "6.17", "--mtrr", "uc", "--request", "wb"),
        ("lookup", "-r", "6.1", "-r", "6.17", "--request", "wt", "--guest", "4.1"),
        ("table", "--request", "-r", "6.1", "-r", "6.17", "--guest", "4.1"),
        ("eval", HOSTMEM),
        ("eval", HOSTMEM, "-r", "6.1", "-r", "6.17"),
        ("eval", NO_MTRR, "--gpa", "0", "--gpa", "0xe0000000", "--request", "ioremap_wc"),
    )
    for call, form in itertools.product(calls, ("table", "plain", "json", "jsonl", "csv", "tsv", "markdown", "html")):
        done = quick(*call, "-o", form)
        assert (done.status, done.err) == (0, "")
        assert done.out
        if form == "plain":
            assert done.out.isascii()
            assert max(map(len, done.out.splitlines())) <= 80


def test_memory_under_a_uc_mtrr_that_is_taken_as_ram_says_what_it_were_as_a_device(tmp_path: Path) -> None:
    """Nobody said device: true of the blob: RAM it is, with the other answer beside it; elsewhere there is none."""
    path = tmp_path / "vm.yaml"
    path.write_text(Path(HOSTMEM).read_text().replace(", device: true", ""))
    said = "taken as the guest's RAM (device: true makes a slot a device's memory"
    for gpa, request, note in (
        (BLOB, "memremap", f"{said}, and the PAT type UC-)"),
        ("0x1000000", "memremap", f"{said})"),
        (BLOB, "ioremap_wc", f"{said})"),
    ):
        (answer,) = quick("eval", str(path), "--gpa", gpa, "--request", request, "-o", "json").json["results"]
        assert note in answer["notes"]
        assert answer["pat"] == (None if request == "ioremap_wc" else "WB")
    (answer,) = quick("eval", HOSTMEM, "--gpa", BLOB, "--request", "memremap", "-o", "json").json["results"]
    assert (answer["pat"], [note for note in answer["notes"] if "RAM" in note]) == ("UC-", [])
