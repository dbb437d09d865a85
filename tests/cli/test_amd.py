# SPDX-License-Identifier: GPL-2.0-only
"""AMD hosts, TDs and SNP guests on the command line: what wins, what is refused, what scripts read."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from support import models
from support.program import TESTS, quick

ROOT = TESTS.parent
AMD = "golden/amd.yaml"
TD = "golden/td.yaml"
PATCH = "patches/noncoherent-dma-slot-flag-3of4.patch"
HOSTS = ("UC", "WC", "WT", "WP", "WB")
PATS = ("UC", "UC-", "WC", "WT", "WP", "WB")
INTEL = "rules,gpa,end,slot,level,mmio,slot_flags,mtrr,rule,memtype,ipat,mask"
TAIL = "ref,noncoherent_dma,cr0_cd,quirks,self_snoop"


@pytest.mark.parametrize("ref", ["4.14", "6.8"])
@pytest.mark.parametrize("host", ["UC", "WC", "WT", "WP", "WB"])
def test_lookup_is_the_models(ref: str, host: str) -> None:
    release = tuple(map(int, ref.split(".")))
    for answer in quick("lookup", "--vendor", "amd", "-r", ref, "--host-mtrr", host, "-o", "json").json:
        assert answer["ept"] is None
        assert answer["npt"] == {"index": 0, "memtype": "WB"}
        assert answer["inputs"]["host_mtrr"] == host
        assert answer["effective"] == models.npt_effective(release, answer["pat"], host)


def test_the_hosts_mtrr_type_is_wb_and_with_mmio_uc() -> None:
    for args, kind in (((), "WB"), (("--mmio",), "UC"), (("--mmio", "--host-mtrr", "wc"), "WC")):
        (answer,) = quick("lookup", "--vendor", "amd", "--pat", "wb", *args, "-o", "json").json
        assert (answer["inputs"]["host_mtrr"], answer["effective"]) == (kind, kind)
        assert any("taken as UC" in note for note in answer["notes"]) is (args == ("--mmio",))


def test_the_option_wins_over_the_scenario_and_rules_of_ept_never_answer() -> None:
    assert [a["npt"] for a in quick("eval", AMD, "--ranges", "-o", "json").json["results"]] == [
        {"index": 0, "memtype": "WB"}
    ] * 4
    for args in (("eval", AMD, "--vendor", "intel", "--ranges"), ("lookup", "--vendor", "intel")):
        got = quick(*args, "-o", "json").json
        for answer in got["results"] if isinstance(got, dict) else got:
            assert "npt" not in answer
            assert "host_mtrr" not in answer["inputs"]
            assert answer["ept"]["mask"].startswith("0x")
    for ref in ("slot-flag", "6.6+slot-flag", "../../examples/idea.yaml", "c/faults/quirk-after.c", PATCH):
        (answer,) = quick("lookup", "--vendor", "amd", "-r", ref, "--pat", "wb", "-o", "json").json
        assert (answer["rules"], answer["rule"]["id"]) == ("npt-v4.15", "npt")
        assert any("rules of EPT" in note for note in answer["notes"])


@pytest.mark.parametrize("ref", ["4.14", "6.8"])
@pytest.mark.parametrize("kind", ["UC", "WC", "WT", "WP", "WB", "CD", "WC+"])
def test_a_search_finds_every_state_that_fits(ref: str, kind: str) -> None:
    """Over host MTRR types, CR0.CD and its quirk, against the model."""
    release = tuple(map(int, ref.split(".")))
    wanted = {
        (host, cd, quirk, pat)
        for host, cd, quirk, pat in itertools.product(HOSTS, (False, True), (False, True), PATS)
        if models.npt_effective(release, pat, host, caches_off=cd and not quirk) == kind
    }
    found = quick("table", "--vendor", "amd", "-r", ref, "--where", f"effective={kind}", "-o", "json").json
    places = [(a["inputs"]["host_mtrr"], a["inputs"]["cr0_cd"], a["inputs"]["quirks"], a["pat"]) for a in found]
    assert {(host, cd, quirks["CD_NW_CLEARED"], pat) for host, cd, quirks, pat in places} == wanted
    assert len(places) == len(wanted)
    rows = quick("table", "--vendor", "amd", "-r", ref, "--where", f"effective={kind}").out
    assert f"{len(wanted) or 'none'} of 120 combinations" in rows


def test_a_host_mtrr_type_given_is_fixed_in_a_search() -> None:
    found = quick("table", "--vendor", "amd", "--host-mtrr", "wc", "--where", "effective=WC", "-o", "json").json
    assert {answer["inputs"]["host_mtrr"] for answer in found} == {"WC"}
    same = quick("table", "--vendor", "amd", "--where", "effective=WC", "--where", "host_mtrr=wc", "-o", "json").json
    assert [a["pat"] for a in same] == [a["pat"] for a in found]


def test_ranges_pages_and_streams_say_the_same() -> None:
    ranges = quick("eval", AMD, "--ranges", "-o", "json").json["results"]
    for piece in ranges:
        (page,) = quick("eval", AMD, "--gpa", piece["gpa"], "-o", "json").json["results"]
        assert page["effective"] == piece["effective"]
        line = quick("eval", AMD, "--gpa", "-", "-o", "jsonl", stdin=f"{piece['gpa']}\n{piece['gpa']} wc\n").out
        six, one = map(json.loads, line.splitlines())
        assert six == page
        assert one["effective"] == piece["effective"]["WC"]


@pytest.mark.parametrize("form", ["csv", "tsv"])
def test_columns_are_added_behind_all_others_and_for_amd_and_tds_alone(form: str) -> None:
    sep = {"csv": ",", "tsv": "\t"}[form]

    def header(*args: str, stdin: str = "") -> str:
        return quick(*args, "-o", form, stdin=stdin).out.splitlines()[0].replace(sep, ",")

    one = f"{INTEL},pat,effective,{TAIL}"
    six = f"{INTEL},{','.join(PATS)},{TAIL}"
    assert header("lookup") == header("lookup", "--vendor", "intel") == one
    assert header("lookup", "--vendor", "amd") == f"{one},npt_index,host_mtrr"
    assert header("lookup", "--vendor", "amd", "--private") == f"{one},npt_index,host_mtrr,vm_type,private"
    assert header("lookup", "--private") == f"{one},vm_type,private"
    assert header("eval", "golden/vfio.yaml") == six
    assert header("eval", AMD, "--ranges") == f"{six},npt_index,host_mtrr"
    assert header("eval", AMD, "--gpa", "-", stdin="0\n") == f"{six},npt_index,host_mtrr"
    assert header("eval", TD, "--gpa", "-", stdin="0 wc\n") == f"{one},vm_type,private"
    rows = quick("eval", AMD, "--gpa", "-", "-o", form, stdin="0\n").out.splitlines()
    assert rows[1].split(sep)[-2:] == ["0", "WB"]
    nothing = quick("eval", AMD, "--gpa", "1T", "-o", form).out.splitlines()[1].split(sep)
    assert len(nothing) == len(rows[0].split(sep))
    assert nothing[-2:] == ["", ""]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("lookup --host-mtrr uc", "--host-mtrr without --vendor amd"),
        ("lookup --vendor intel --host-mtrr uc", "--host-mtrr without --vendor amd"),
        ("lookup --vendor via", "'via' is not known (one of intel, amd)"),
        ("table --where host_mtrr=wb", "'host_mtrr' is no key of an answer"),
        ("diff --vendor amd --assume x=yes 6.1 6.2", "--assume with --vendor amd"),
        ("eval golden/td.yaml --vendor amd", "a TD runs on Intel's CPUs alone"),
        ("mtrr golden/td.yaml --vendor amd", "a TD runs on Intel's CPUs alone"),
        ("explain golden/amd.yaml --gpa 0 --host-mtrr uc --vendor amd", "FILE says what the flags would"),
        ("explain golden/amd.yaml --gpa 0 --private", "FILE says what the flags would"),
        ("explain --vendor amd -r 6.1 -r 6.2", "-r is given twice"),
    ],
)
def test_what_is_refused(args: str, message: str) -> None:
    done = quick(*args.split())
    assert (done.status, done.out) == (2, "")
    assert message in done.err


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("vm: {type: snp}", "1:12", "an SNP guest runs on AMD's CPUs alone"),
        ("host: {vendor: amd}\nvm: {type: td}", "2:12", "a TD runs on Intel's CPUs alone"),
        ("vm: {type: tdx}", "1:12", "unknown type of VM 'tdx' (did you mean td?"),
        ("memslots:\n  - {gpa: 0, size: 4K, private: true}", "2:33", "private memory of a VM that has none"),
        ("pages:\n  - {gpa: 0, private: true}", "2:23", "private memory of a VM that has none"),
        ("expect:\n  - {gpa: 0, level: 4K, private: true}", "2:34", "private memory of a VM that has none"),
        ("memslots:\n  - {gpa: 0, size: 4K, backing: {host_mtrr: UC-}}", "2:45", "UC- exists in the PAT alone"),
        (
            "expect:\n  - {gpa: 0, pat: WC, effective: WC++}",
            "2:34",
            "'WC++' is not a memory type (one of UC, WC, WT, WP, WB, under NPT CD and WC+)",
        ),
    ],
)
def test_what_a_scenario_gets_wrong(text: str, place: str, message: str) -> None:
    done = quick("eval", "-", stdin=f"{text}\n")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"-:{place}: {message}"), done.err


def test_expectations_speak_of_cd_and_wc_plus_and_of_no_ept_byte() -> None:
    text = "host: {vendor: amd}\nrules: '6.8'\nmemslots: [{gpa: 0, size: 4K}]\nexpect:\n  - {gpa: 0, pat: %s, %s}\n"

    def check(pat: str, wanted: str) -> str:
        done = quick("check", "-", stdin=text % (pat, wanted))
        assert done.status in (0, 1)
        return done.out if done.status else "ok"

    assert check("UC", "effective: cd") == "ok"
    assert check("WC", "effective: WC+") == "ok"
    assert check("WB", "memtype: WB") == "ok"
    assert "effective: wanted UC, got CD" in check("UC", "effective: UC")
    assert "ept: wanted 0x30 (WB), got no EPT entry" in check("WB", "ept: 0x30")
    assert "ipat: wanted 0, got none" in check("WB", "ipat: 0")
    assert "guest_mtrr: wanted WB, got none" in check("WB", "guest_mtrr: WB")


@pytest.mark.parametrize(("said", "got"), [("pat: WC", "WT"), ("pat_index: 3", "CD"), ("pte: 0x1b", "CD")])
def test_a_pages_index_counts_up_to_4_14(said: str, got: str) -> None:
    pat = "[WB, WC, UC-, WC, WB, WP, UC-, WT]"
    text = f"rules: '4.14'\nhost: {{vendor: amd}}\nguest: {{pat: {pat}}}\nmemslots: [{{gpa: 0, size: 4K}}]\n"
    page = f"{{gpa: 0, {said}"
    done = quick("eval", "-", "-o", "json", stdin=f"{text}pages: [{page}}}]\n")
    assert [(a["pat"], a["effective"]) for a in done.json["results"]] == [("WC", got)]
    assert quick("check", "-", stdin=f"{text}expect: [{page}, effective: {got}}}]\n").status == 0


def test_explain_goes_by_the_entry_that_the_guests_kernel_chose(tmp_path: Path) -> None:
    """Entries 0 and 3 of this PAT are WB: a request for UC takes the second, and up to 4.14 the index counts."""
    path = tmp_path / "vm.yaml"
    path.write_text("""\
rules: "4.14"
host: {vendor: amd}
guest: {kernel: linux-4.6, pat: 0x0100070406050106, mtrr: {enabled: false}}
memslots:
  - {name: ram, gpa: 0, size: 1G}
  - {name: bar, gpa: 0xe0000000, size: 16M, device: true}
pages:
  - {gpa: 0xe0000000, request: UC}
""")
    (page,) = quick("eval", str(path), "-o", "json").json["results"]
    assert (page["pat"], page["pat_index"], page["effective"]) == ("WB", 3, "CD")
    found = quick("explain", str(path), "--gpa", "0xe0000000", "--request", "UC", "-o", "json").json
    steps = {step["step"]: step["result"] for step in found["steps"]}
    assert steps["guest PAT type"] == "UC (PAT WB)"
    assert steps["effective type"] == "CD (PAT WB)"
    assert found["answer"] == page


@pytest.mark.parametrize("args", [(), ("--request",), ("--request", "-r", "4.14", "-r", "4.15"), ("--where", "pat=WC")])
def test_every_table_says_what_cd_and_wc_plus_are_and_nothing_twice(args: tuple[str, ...]) -> None:
    """Wherever one of the two stands, in whichever row and side."""
    out = " ".join(quick("table", "--vendor", "amd", *args, "-o", "plain").out.split())
    table, *notes = out.split(" note: ")
    for kind, words in (("CD", "uncached like UC, with snooping"), ("WC+", "write-combining, with snooping")):
        assert (kind in table.replace("CR0.CD", "").replace("CD_NW", "")) is (f"{kind}: {words}" in notes)
    assert sum("up to 4.14 NPT goes by" in note for note in notes) == ("4.14" in args)
    assert len(notes) == len(set(notes))


def test_a_refused_request_has_no_index_to_speak_of() -> None:
    """Linux 4.1 has no WT."""
    args = ("--vendor", "amd", "-r", "4.14", "--guest", "4.1", "--request", "WT", "-o")
    (answer,) = quick("lookup", *args, "json").json
    assert (answer["pat"], answer["effective"]) == (None, None)
    assert not any("up to 4.14" in note for note in answer["notes"])
    table = quick("table", *args, "plain")
    assert table.status == 0
    assert "up to 4.14" not in " ".join(table.out.split())


@pytest.mark.parametrize("form", ["jsonl", "csv", "plain"])
def test_an_index_in_a_stream_counts_as_that_of_a_page_does(form: str, tmp_path: Path) -> None:
    """Entries 0 and 3 of this PAT are WB, and up to 4.14 the hardware has UC in the second."""
    path = tmp_path / "vm.yaml"
    path.write_text("""\
rules: "4.14"
host: {vendor: amd}
guest: {pat: 0x0100070406050106}
memslots: [{gpa: 0, size: 1G}]
pages: [{gpa: 0, pat_index: 3}, {gpa: 0, pat_index: 0}, {gpa: 0, pat: WB}]
""")
    stream = quick("eval", str(path), "--gpa", "-", "-o", form, stdin="0x0 3\n0x0 0\n0x0 WB\n")
    pages = quick("eval", str(path), "-o", form)
    assert stream.status == 0
    if form == "plain":
        assert [line.split()[5] for line in stream.out.splitlines()[1:4]] == ["CD", "WB", "WB"]
    else:
        assert stream.out == pages.out


@pytest.mark.parametrize("command", ["eval", "map"])
def test_vendor_goes_over_the_scenarios_own(command: str, tmp_path: Path) -> None:
    """As if the file said so, in every format."""
    path = tmp_path / "vm.yaml"
    path.write_text('rules: "6.8"\nmemslots:\n  - {gpa: 0, size: 2M}\n')
    found = [quick(command, str(path), "--vendor", "amd", "-o", form) for form in ("plain", "json", "csv")]
    path.write_text('rules: "6.8"\nhost: {vendor: amd}\nmemslots:\n  - {gpa: 0, size: 2M}\n')
    assert found == [quick(command, str(path), "-o", form) for form in ("plain", "json", "csv")]
    assert "NPT" in found[0].out
    assert "EPT" not in found[0].out


def test_explain_and_check_say_that_cd_is_uncached() -> None:
    steps = quick("explain", "--vendor", "amd", "--pat", "uc", "-o", "json").json["steps"]
    assert steps[-1]["text"] == ["CD: uncached like UC, with snooping"]
    hazards = quick("check", "reports/02-ivshmem-amd/scenario.yaml", "--vendor", "amd", "-o", "json").json[0]["hazards"]
    assert any("which is CD (uncached) here" in hazard["text"] for hazard in hazards)


def test_diff_has_a_status_and_the_same_rows_in_each_form() -> None:
    assert quick("diff", "--vendor", "amd", "5.15", "6.8").status == 0
    done = quick("diff", "--vendor", "amd", "4.14", "4.15", "-o", "json")
    assert done.status == 1
    found = json.loads(done.out)
    lines = quick("diff", "--vendor", "amd", "4.14", "4.15", "-o", "jsonl", "--expand").out.splitlines()
    assert len(lines) == found["changed"] == 5
    for line in map(json.loads, lines):
        host = line["inputs"]["host_mtrr"]
        for side, release in (("before", (4, 14)), ("after", (4, 15))):
            assert line[side]["effective"] == {pat: models.npt_effective(release, pat, host) for pat in PATS}
    rows = quick("diff", "--vendor", "amd", "4.14", "4.15", "-o", "csv").out.splitlines()
    assert rows[0] == quick("diff", "v6.7", "slot-flag", "-o", "csv").out.splitlines()[0]
    assert len(rows) == 1 + len(found["rows"])


# What people asked in public


def test_ivshmem_under_a_uc_mtrr_is_slow_on_amd_alone() -> None:
    """The guest's kernel makes UC- of WB over the firmware's UC range; AMD honours it, Intel with ignore-PAT does not.

    What the guest calls UC is CD on RAM that the host's MTRRs call WB: uncached all the same.
    """
    scenario = "reports/02-ivshmem-amd/scenario.yaml"

    def got(*args: str) -> dict[str, str]:
        return {a["pat"]: a["effective"] for a in quick("eval", scenario, *args, "-o", "json").json["results"]}

    assert got("--vendor", "amd") == {"WB": "WB", "UC-": "CD"}
    assert got() == {"WB": "WB", "UC-": "WB"}


def test_the_three_ranges_of_the_dump_are_the_scenarios() -> None:
    dump = "reports/02-ivshmem-amd/proc-mtrr.txt"
    imported = quick("import", dump, "--default-type", "WB", "--vendor", "amd", "-r", "6.4")
    assert imported.status == 0
    assert "vendor: amd" in imported.out
    places = ("--gpa", "0x800000000", "--gpa", "0xb0000000", "--gpa", "0xc0000000", "--gpa", "0x1000")
    seen = quick("mtrr", "-", *places, "-o", "json", stdin=imported.out).json
    assert [(each["kvm"], each["manual"]) for each in seen] == [(None, "UC")] * 3 + [(None, "WB")]


def test_an_mmio_entry_of_npt_says_why_its_bits_were_reserved() -> None:
    """Bit 11 belonged to the generation in patches before the fix."""
    (entry,) = quick("decode", "epte", "--vendor", "amd", "--level", "1", "0xff800ffc12817", "-o", "json").json
    assert (entry["kind"], entry["gfn"], entry["memtype"], entry["npt"]) == ("mmio", "0xffc12", None, None)
    assert "bit 11" in entry["sign"]
    log = quick("decode", "epte", "--vendor", "amd", "--level", "4", "0x1344a0827", "-o", "json").json
    assert log[0]["kind"] == "table"


IVSHMEM = "examples/ivshmem-amd.yaml"
ENTRY = "note: 0:WB: entry 0 of the host's PAT, which is WB"
UNCACHED = "CD: uncached like UC, with snooping"


@pytest.mark.parametrize(
    "args",
    [
        ("eval", IVSHMEM),
        ("eval", IVSHMEM, "--ranges"),
        ("eval", IVSHMEM, "-r", "6.4", "-r", "6.17"),
        ("table", "-r", "6.17", "--vendor", "amd"),
        ("table", "-r", "6.17", "--vendor", "amd", "--request", "ioremap"),
        ("table", "-r", "6.17", "--vendor", "amd", "--where", "effective=CD"),
        ("lookup", "--vendor", "amd", "-r", "4.14", "-r", "6.17"),
        ("map", IVSHMEM, "--pat", "uc-"),
    ],
)
def test_what_nobody_knows_from_the_screen_alone_has_a_line(args: tuple[str, ...]) -> None:
    """The entry in a column, CD and WC+: one line each, only where they appear; nothing of it under EPT."""
    words = tuple(str(ROOT / word) if word == IVSHMEM else word for word in args)
    shown = quick(*words, "-o", "plain").out
    assert shown.count(ENTRY) == 1
    assert shown.count(UNCACHED) == 1
    assert shown.count("WC+: write-combining, with snooping") == ("WC+" in shown.replace("WC+: ", ""))
    assert max(map(len, shown.splitlines())) <= 80
    intel = tuple("intel" if word == "amd" else word for word in words if "effective" not in word)
    intel = tuple(word for word in intel if word != "--where")
    shown = quick(*intel, *(() if "--vendor" in words else ("--vendor", "intel")), "-o", "plain").out
    assert "0:WB" not in shown
    assert "snoop" not in shown.replace("self-snoop", "")


def test_a_single_answer_says_cd_in_its_own_line() -> None:
    shown = quick("lookup", "-r", "6.17", "--vendor", "amd", "--pat", "uc-", "-o", "plain").out
    assert "guest gets  CD  (PAT UC-), uncached like UC, with snooping\n" in shown
    assert shown.count("snooping") == 1
    for args in (("explain",), ("explain", "--l2")):
        shown = quick(*args, "-r", "6.17", "--vendor", "amd", "--pat", "uc-", "-o", "plain").out
        assert f"effective type: CD (PAT UC-)\n  {UNCACHED}\n" in shown
        shown = quick(*args, "-r", "6.17", "--vendor", "amd", "--pat", "wb", "-o", "plain").out
        assert UNCACHED not in shown
    assert f"note: {UNCACHED}\n" in quick("diff", "--vendor", "amd", "4.14", "4.15", "-o", "plain").out


def test_who_expects_uc_and_gets_cd_is_told_what_that_is(tmp_path: Path) -> None:
    """JSON keeps the name alone."""
    path = tmp_path / "vm.yaml"
    path.write_text((ROOT / IVSHMEM).read_text().replace("effective: CD", "effective: UC"))
    done = quick("check", str(path), "-o", "plain")
    assert done.status == 1
    assert "effective: wanted UC, got CD (uncached like UC, with snooping)" in " ".join(done.out.split())
    assert "uncached like UC, with snooping" in quick("check", str(path), "-o", "github").out
    (found,) = json.loads(quick("check", str(path), "-o", "json").out)
    assert found["expectations"][1]["failures"] == [{"key": "effective", "wanted": "UC", "got": "CD"}]


def test_who_searches_for_uc_is_told_of_cd() -> None:
    said = "CD, uncached as well, is another type: --where effective=CD"
    where = ("table", "-r", "6.17", "--where", "effective=UC", "-o", "plain")
    assert said in quick(*where, "--vendor", "amd").out
    assert said not in quick(*where).out
    assert said not in quick(*where[:4], "effective=WC", "--vendor", "amd", "-o", "plain").out
