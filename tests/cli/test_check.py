# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc check as a program: what its output says besides the expectations, its options and its forms."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from mtcalc.kvm.hazards import HAZARDS
from support.program import quick
from support.readme import ROOT

SLOTS = """\
host: {maxphyaddr: 36}
vm: {disabled_quirks: [SLOT_ZAP_ALL]}
memslots:
  - {id: 0, name: low, gpa: 0, size: 4K}
  - {id: 32, name: many, gpa: 8K, size: 4K, flags: [NON_COHERENT_DMA]}
  - {id: 33, name: high, gpa: 0x1000000000, size: 4K}
"""
VGA = """\
rules: "6.12.80"
memslots:
  - {name: ram, gpa: 0, size: 640K}
  - {name: vga, gpa: 0xa0000, size: 128K, backing: {struct_page: true, reserved: true, host_type: WB}}
"""


def found(folder: Path, text: str, *args: str) -> dict[str, Any]:
    """What check says of one scenario as JSON; standard error stays empty."""
    (folder / "vm.yaml").write_text(text)
    done = quick("check", "vm.yaml", *args, "-o", "json", cwd=folder)
    assert done.err == ""
    (one,) = json.loads(done.out)
    assert one["file"] == "vm.yaml"
    bad = one["failed"] or any(hazard["level"] == "error" for hazard in one["hazards"])
    assert done.status == (1 if bad else 0)
    one_of_them: dict[str, Any] = one
    return one_of_them


def notes(folder: Path, release: str) -> list[str]:
    """The notes of the JSON; the text says as much, as hazards or as notes."""
    listed: list[str] = found(folder, SLOTS, "-r", release)["notes"]
    text = " ".join(quick("check", "vm.yaml", "-r", release, cwd=folder).out.split())
    assert all(note.removeprefix("many: ").removeprefix("high: ") in text for note in listed)
    return listed


def test_what_a_kernel_refuses_of_slots_is_said_slot_by_slot(tmp_path: Path) -> None:
    refuses = "this kernel refuses the slot (EINVAL):"
    above = "last page 0x1000000000 is above the host's maxphyaddr 36 (end at or below 0x1000000000)"
    assert notes(tmp_path, "3.8") == [
        "this kernel has no quirk SLOT_ZAP_ALL (first in 6.12): disabling it does nothing here",
        "many: this kernel refuses slot flag NON_COHERENT_DMA (EINVAL)",
        f"many: {refuses} slot id 32 (0 to 31)",
        f"high: {refuses} slot id 33 (0 to 31)",
    ]
    assert notes(tmp_path, "5.18")[1:] == [
        "many: this kernel refuses slot flag NON_COHERENT_DMA (EINVAL)",
        f"high: {refuses} {above}",
    ]


def test_and_is_an_error_in_a_slot(tmp_path: Path) -> None:
    hazards = [hazard for hazard in found(tmp_path, SLOTS, "-r", "5.18")["hazards"] if hazard["level"] == "error"]
    assert [(each["code"], each["slot"], each["gpa"], each["end"]) for each in hazards] == [
        ("MT001", "high", "0x1000000000", "0x1000000fff"),
        ("MT002", "many", "0x2000", "0x2fff"),
    ]


def test_what_is_a_hazard_is_no_note_beside_it(tmp_path: Path) -> None:
    (tmp_path / "vm.yaml").write_text(SLOTS.replace("SLOT_ZAP_ALL", "SLOT_ZAP_ALL, IGNORE_GUEST_PAT"))
    for args, notes_too in ((), False), (("--ignore", "MT002,MT006"), True):
        text = " ".join(quick("check", "vm.yaml", "-r", "5.18", *args, cwd=tmp_path).out.split())
        assert ("note: many: this kernel refuses slot flag NON_COHERENT_DMA" in text) is notes_too
        assert ("note: this kernel has no quirk IGNORE_GUEST_PAT" in text) is notes_too
        assert text.count("this kernel refuses slot flag NON_COHERENT_DMA") == 1
        assert "note: this kernel has no quirk SLOT_ZAP_ALL" in text  # which no memory type hangs on


def test_they_are_those_of_eval(tmp_path: Path) -> None:
    for release in ("3.6", "3.8", "5.18", "6.12"):
        listed = notes(tmp_path, release)
        evaluated = " ".join(quick("eval", "vm.yaml", "-r", release, cwd=tmp_path).out.split())
        assert listed
        assert all(note in evaluated for note in listed)


def test_a_hazard_has_every_key_and_those_of_the_table(tmp_path: Path) -> None:
    (hazard,) = found(tmp_path, VGA)["hazards"]
    row = HAZARDS["MT009"]
    text = hazard.pop("text")
    assert "machine check" in text
    assert hazard == {
        "code": "MT009",
        "name": "device-cached",
        "level": "error",
        "slot": "vga",
        "gpa": "0xa0000",
        "end": "0xbffff",
        "remedy": row.remedy,
        "source": row.source,
    }


@pytest.mark.parametrize(
    ("args", "codes"),
    [
        ((), ["MT009"]),
        (("--select", "MT009"), ["MT009"]),
        (("--select", "mt001,mt009"), ["MT009"]),
        (("--select", "device-cached"), ["MT009"]),
        (("--select", "MT001"), []),
        (("--ignore", "MT001"), ["MT009"]),
        (("--ignore", "MT001", "--ignore", "MT009"), []),
        (("--ignore", "MT001,MT009"), []),
        (("--select", "MT009", "--ignore", "MT009"), []),
    ],
)
def test_hazards_can_be_chosen(tmp_path: Path, args: tuple[str, ...], codes: list[str]) -> None:
    """What is not shown does not count either."""
    assert [hazard["code"] for hazard in found(tmp_path, VGA, *args)["hazards"]] == codes


@pytest.mark.parametrize(
    ("code", "right"),
    [
        ("MT999", "MT0"),
        ("", f"MT001 to {list(HAZARDS)[-1]}; mtcalc check --list"),
        ("MT001,", "mtcalc check --list"),
        ("device-cache", "did you mean device-cached?"),
        ("zzzzzzz", "mtcalc check --list"),
    ],
)
@pytest.mark.parametrize("option", ["--select", "--ignore", "--explain"])
def test_a_code_that_there_is_not(tmp_path: Path, option: str, code: str, right: str) -> None:
    (tmp_path / "vm.yaml").write_text(VGA)
    files = () if option == "--explain" else ("vm.yaml",)
    done = quick("check", *files, option, code, cwd=tmp_path)
    assert (done.status, done.out) == (2, "")
    assert "no hazard '" in done.err
    assert right in done.err


@pytest.mark.parametrize(
    ("entry", "failures"),
    [
        ("{hazard: MT009}", []),
        ("{hazard: device-cached, gpa: 0xb8000}", []),
        ("{hazard: mt009, slot: vga}", []),
        ("{no_hazard: MT009, slot: ram}", []),
        ("{no_hazard: MT009, gpa: 0x9f000}", []),
        ("{no_hazard: MT001}", []),
        ("{gpa: 0xb8000, ept: 0x70, hazard: MT009, no_hazard: MT010}", []),
        ("{hazard: MT001}", [("hazard", "MT001 slot-refused", "none")]),
        ("{hazard: MT009, gpa: 0xc0000}", [("hazard", "MT009 device-cached at 0xc0000", "none")]),
        ("{hazard: MT009, slot: ram}", [("hazard", "MT009 device-cached in ram", "none")]),
        ("{no_hazard: MT009}", [("no_hazard", "no MT009 device-cached", None)]),
        ("{gpa: 0xb8000, ept: 0x30, no_hazard: MT009}", [("ept", "0x30 (WB)", None), ("no_hazard", None, None)]),
    ],
)
def test_a_scenario_can_expect_hazards(tmp_path: Path, entry: str, failures: list[tuple[str, Any, Any]]) -> None:
    """None: whatever it says. --ignore hides a hazard from the list, not from whoever expects it."""
    one = found(tmp_path, f"{VGA}expect:\n  - {entry}\n", "--ignore", "MT009")
    assert one["failed"] == len(failures)
    got = [failure for verdict in one["expectations"] for failure in verdict["failures"]]
    for failure, (key, wanted, given) in zip(got, failures, strict=True):
        assert failure["key"] == key
        assert wanted in (None, failure["wanted"])
        assert given in (None, failure["got"])
    assert {verdict["at"] for verdict in one["expectations"]} == {"vm.yaml:6:5"}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{hazard: MT999}", "vm.yaml:6:14: no hazard 'MT999' (did you mean MT0"),
        ("{hazard: []}", "vm.yaml:6:14: a list here (a hazard, as mtcalc check --list has them)"),
        ("{slot: vga, gpa: 0}", "vm.yaml:6:6: slot without a hazard (hazard or no_hazard names one)"),
        ("{hazard: MT009, slot: vgb}", "vm.yaml:6:27: no slot 'vgb' (did you mean vga?)"),
        ("{hazard: MT009, pat: WC}", "vm.yaml:6:21: pat beside a hazard alone (gpa and slot say where)"),
        ("{ept: 0x30}", "vm.yaml:6:5: 'gpa' is missing (an expect entry has a gpa)"),
        ("{hazards: MT009}", "vm.yaml:6:6: unknown key 'hazards' (did you mean hazard?)"),
    ],
)
def test_an_expectation_that_cannot_be(tmp_path: Path, entry: str, message: str) -> None:
    (tmp_path / "vm.yaml").write_text(f"{VGA}expect:\n  - {entry}\n")
    done = quick("check", "vm.yaml", cwd=tmp_path)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(message)


def test_several_files(tmp_path: Path) -> None:
    (tmp_path / "vga.yaml").write_text(VGA)
    (tmp_path / "plain.yaml").write_text((ROOT / "examples" / "plain.yaml").read_text())
    done = quick("check", "plain.yaml", "vga.yaml", "-", "-o", "json", stdin=VGA, cwd=tmp_path)
    assert done.status == 1
    assert [(one["file"], len(one["hazards"])) for one in json.loads(done.out)] == [
        ("plain.yaml", 0),
        ("vga.yaml", 1),
        ("-", 1),
    ]
    text = quick("check", "plain.yaml", "vga.yaml", cwd=tmp_path).out
    assert "plain.yaml: rules latest (v6.16)" in text
    assert "vga.yaml: rules 6.12.80 (v6.16)" in text
    assert "1 of 2 files failed" in text
    assert "2 files, none failed" in quick("check", "plain.yaml", "plain.yaml", cwd=tmp_path).out
    lines = [json.loads(line) for line in quick("check", "vga.yaml", "-o", "jsonl", cwd=tmp_path).out.splitlines()]
    assert [(line["file"], line["code"]) for line in lines] == [("vga.yaml", "MT009")]


def test_one_bad_file_and_nothing_is_printed(tmp_path: Path) -> None:
    (tmp_path / "vga.yaml").write_text(VGA)
    (tmp_path / "bad.yaml").write_text("memslots: 1\n")
    done = quick("check", "vga.yaml", "bad.yaml", cwd=tmp_path)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("bad.yaml:1:11:")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "missing argument 'FILE'"),
        (("-", "-"), "standard input is given twice"),
        (("--list", "vm.yaml"), "--list and --explain stand alone"),
        (("--explain", "MT001", "--list"), "--list and --explain stand alone"),
        (("--list", "-o", "junit"), "-o junit without FILE"),
    ],
)
def test_wrong_calls(args: tuple[str, ...], message: str) -> None:
    done = quick("check", *args)
    assert (done.status, done.out) == (2, "")
    assert message in done.err


def test_a_code_is_explained_and_all_are_listed() -> None:
    for code, row in HAZARDS.items():
        done = quick("check", "--explain", code)
        assert (done.status, done.err) == (0, "")
        text = " ".join(done.out.split())
        for part in (code, row.name, row.level.value, row.when, row.harm, row.remedy):
            assert " ".join(part.split()) in text
    listed = json.loads(quick("check", "--list", "-o", "json").out)
    assert [row["code"] for row in listed] == list(HAZARDS)
    assert quick("check", "--list").out.count("\nMT") == len(HAZARDS)
    assert json.loads(quick("check", "--explain", "MT001,MT003", "-o", "json").out) == [listed[0], listed[2]]


AWKWARD = """\
rules: "6.12.80"
memslots:
  - {name: "a,b:c%25 <&> \\"q\\"", gpa: 0xa0000, size: 128K, backing: {reserved: true}}
  - {name: bar, gpa: 1M, size: 1M, device: true}
vm: {noncoherent_dma: true}
expect:
  - {gpa: 0xa0000, ept: 0x70}
"""


def test_github_annotations(tmp_path: Path) -> None:
    (tmp_path / "a,b.yaml").write_text(AWKWARD)
    done = quick("check", "a,b.yaml", "-o", "github", cwd=tmp_path)
    assert (done.status, done.err) == (1, "")
    lines = done.out.splitlines()
    form = re.compile(r"::(error|warning|notice) file=a%2Cb\.yaml(,line=(\d+),col=\d+)?,title=([^,:]+)::(.+)")
    matches = [form.fullmatch(line) for line in lines]
    assert all(matches)
    seen = [(match[1], match[3], match[4]) for match in matches if match]
    assert seen[0] == ("error", "7", "expectation failed")
    assert seen[1] == ("error", "3", 'MT009 device-cached a%2Cb%3Ac%2525 <&> "q"')
    assert ("notice", "4", "MT034 slow-uncached-possible bar") in seen


def test_a_file_that_can_not_be_read_hides_no_result(tmp_path: Path) -> None:
    """In a CI: the others' results stand, the file is an error of its own, and the status 2."""
    (tmp_path / "vm.yaml").write_text(AWKWARD)
    (tmp_path / "broken.yaml").write_text("memslots: {\n")
    (tmp_path / "rules.yaml").write_text((Path(__file__).parents[2] / "examples/idea.yaml").read_text())
    files = ("broken.yaml", "vm.yaml", "rules.yaml")
    alone = quick("check", "vm.yaml", "-o", "github", cwd=tmp_path).out
    done = quick("check", *files, "-o", "github", cwd=tmp_path)
    assert done.status == 2
    assert [line for line in done.out.splitlines() if "title=not checked" not in line] == alone.splitlines()
    assert re.search(r"^::error file=broken\.yaml,line=\d+,col=\d+,title=not checked::.", done.out, re.M)
    assert "mtcalc rules check has rule files" in done.out
    assert len(re.findall(r"^\w+\.yaml:\d+:\d+: ", done.err, re.M)) == 2
    done = quick("check", *files, "-o", "junit", cwd=tmp_path)
    assert done.status == 2
    root = ElementTree.fromstring(done.out.encode())
    assert [(suite.get("name"), suite.get("errors")) for suite in root] == [
        ("vm.yaml", "0"), ("broken.yaml", "1"), ("rules.yaml", "1"),
    ]  # fmt: skip
    assert (root.get("errors"), root.get("failures")) == ("2", "2")
    assert int(str(root.get("tests"))) == len(list(root.iter("testcase")))
    for form in ("plain", "json", "csv"):
        done = quick("check", *files, "-o", form, cwd=tmp_path)
        assert (done.status, done.out) == (2, "")


def test_cases_of_one_line_have_names_of_their_own(tmp_path: Path) -> None:
    text = AWKWARD.replace("  - {gpa: 0xa0000, ept: 0x70}", "  [{gpa: 0xa0000, ept: 0x70}, {gpa: 0xa0000, ept: 0x30}]")
    (tmp_path / "vm.yaml").write_text(text)
    root = ElementTree.fromstring(quick("check", "vm.yaml", "-o", "junit", cwd=tmp_path).out.encode())
    names = [case.get("name") for case in root.iter("testcase")]
    assert len(set(names)) == len(names)
    assert sum("expect, line 7, column " in str(name) for name in names) == 2


def test_junit(tmp_path: Path) -> None:
    (tmp_path / "vm.yaml").write_text(AWKWARD)
    (tmp_path / "plain.yaml").write_text(VGA.split("  - {name: vga")[0])
    done = quick("check", "vm.yaml", "plain.yaml", "-o", "junit", cwd=tmp_path)
    assert (done.status, done.err) == (1, "")
    root = ElementTree.fromstring(done.out.encode())
    assert root.tag == "testsuites"
    suites = list(root)
    assert [suite.get("name") for suite in suites] == ["vm.yaml", "plain.yaml"]
    cases = list(suites[0])
    failures = [case for case in cases if case.find("failure") is not None]
    assert [(case.get("name"), case.get("line")) for case in failures] == [
        ("expect, line 7", "7"),
        ('MT009 device-cached a,b:c%25 <&> "q" 0xa0000-0xbffff', "3"),
    ]
    assert (suites[0].get("tests"), suites[0].get("failures")) == (str(len(cases)), "2")
    assert (root.get("tests"), root.get("failures")) == (str(len(cases) + 1), "2")
    assert [case.get("name") for case in suites[1]] == ["no hazards"]
    assert any("note: " in (said.text or "") for said in root.iter("system-out"))


def test_rows_have_hazards_too(tmp_path: Path) -> None:
    (tmp_path / "vm.yaml").write_text(VGA)
    header, row = quick("check", "vm.yaml", "-o", "tsv", cwd=tmp_path).out.splitlines()
    cells = dict(zip(header.split("\t"), row.split("\t"), strict=True))
    text = cells.pop("text")
    assert "machine checks" in text
    assert {key: value for key, value in cells.items() if value} == {
        "result": "hazard",
        "gpa": "0xa0000",
        "at": "vm.yaml:4:5",
        "file": "vm.yaml",
        "code": "MT009",
        "level": "error",
        "slot": "vga",
        "end": "0xbffff",
    }


def test_a_mask_with_too_many_holes_leaves_the_expectations(tmp_path: Path) -> None:
    mtrr = "guest: {mtrr: {default: WB, variable: [{physbase: 0, physmask: 0x155555555800}]}}"
    text = f"rules: v3.13\nvm: {{noncoherent_dma: true}}\n{mtrr}\nmemslots: [{{gpa: 0, size: 16T}}]\n"
    one = found(tmp_path, f"{text}expect: [{{gpa: 0x1000, guest_mtrr: UC}}]\n")
    assert (one["failed"], one["hazards"]) == (0, [])
    assert any("no hazards were looked for" in note for note in one["notes"])
    (tmp_path / "vm.yaml").write_text(f"{text}expect: [{{no_hazard: MT001}}]\n")
    assert quick("check", "vm.yaml", cwd=tmp_path).status == 2


def test_an_assumption_that_the_rules_need_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "odd.c").write_text(
        "u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)\n{\n"
        "\tif (!kvm_arch_has_noncoherent_dma(vcpu->kvm) && my_test(vcpu))\n"
        "\t\treturn (MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT) | VMX_EPT_IPAT_BIT;\n"
        "\treturn MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT;\n}\n"
    )
    (tmp_path / "vm.yaml").write_text("memslots: [{gpa: 0, size: 1G}]\n")
    done = quick("check", "vm.yaml", "-r", "odd.c", cwd=tmp_path)
    assert (done.status, done.out) == (2, "")
    assert "these rules ask for `my_test(vcpu)`" in done.err
    assert quick("check", "vm.yaml", "-r", "odd.c", "--assume", "my_test(vcpu)=yes", cwd=tmp_path).status == 0
    # Nobody needs it where a device is there, though the entries before it would.
    (tmp_path / "vm.yaml").write_text("vm: {noncoherent_dma: true}\nmemslots: [{gpa: 0, size: 1G}]\n")
    assert quick("check", "vm.yaml", "-r", "odd.c", "--kernel", "6.1", cwd=tmp_path).status == 0
