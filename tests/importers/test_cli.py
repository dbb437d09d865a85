# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc import on the command line: what it takes, what it offers on TAB, what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtcalc.importers.recognise import FORMATS
from mtcalc.scenario.load import load_scenario
from support.program import DATA, quick

SAMPLES = DATA / "importers/samples"
DMESG = str(SAMPLES / "dmesg-mtrr-9-syslog.txt")
PROC = str(SAMPLES / "r02-ivshmem.txt")
MTREE = str(SAMPLES / "mtree-looking-glass.txt")


def offered(*words: str) -> list[str]:
    """What bash is offered for the last word."""
    env = {"_MTCALC_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    return [line.split(",", 1)[1] for line in quick(env=env).out.splitlines()]


def test_a_tab_offers_the_formats() -> None:
    assert offered("mtcalc", "import", "--as", "''") == [form.name for form in FORMATS]
    assert offered("mtcalc", "import", "--as", "info-t") == ["info-tlb"]
    assert offered("mtcalc", "import", "--whose", "''") == ["guest", "host"]


def test_the_list_names_every_format_with_its_command() -> None:
    lines = quick("import", "--list").out.splitlines()
    assert [line.split()[0] for line in lines[::2]] == [form.name for form in FORMATS]
    assert all("from: " in line for line in lines[1::2])
    assert max(map(len, lines)) <= 80


def test_json_is_the_same_scenario() -> None:
    for files in ((DMESG,), (DMESG, MTREE), (MTREE,)):
        yaml, json = (quick("import", *files, "-o", form).out for form in ("yaml", "json"))
        a, b = load_scenario(yaml, "a"), load_scenario(json, "b")
        assert (a.vm, a.slots) == (b.vm, b.slots)


@pytest.mark.parametrize(
    ("flags", "key", "value"),
    [
        ("--default-type UC", "default", "UC"),
        ("--default-type WB --maxphyaddr 40", "maxphyaddr", "40"),
        ("--default-type WB --noncoherent-dma", "noncoherent_dma", "true"),
        ("--default-type WB --no-noncoherent-dma", "noncoherent_dma", "false"),
        ("--default-type WB --non-coherent-dma", "noncoherent_dma", "true"),
        ("--default-type WB --no-self-snoop", "self_snoop", "false"),
        ("--default-type WB --no-cpuid-mtrr", "cpuid_mtrr", "false"),
        ("--default-type WB --vendor intel", "vendor", "intel"),
        ("--default-type WB --host-maxphyaddr 39", "maxphyaddr", "39"),
        ("--default-type WB --rules 6.4", "rules", '"6.4"'),
        ("--default-type WB -r v6.7", "rules", "v6.7"),
        ("--msr 0x2ff=0x806", "default", "WB"),
        ("--msr IA32_MTRR_DEF_TYPE=0x800", "default", "UC"),
    ],
)
def test_what_is_given_is_in_the_result(flags: str, key: str, value: str) -> None:
    done = quick("import", PROC, *flags.split())
    assert done.status == 0
    assert f" {key}: {value}  # as given\n" in f" {done.out}".replace("\n", "\n ")
    plain = quick("import", PROC, "--default-type", "WB").out
    assert f"{key}: {value}  # as given" not in plain or key == "default"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("", "nothing to import"),
        ("--as dmesg", "--as without FILE"),
        ("- -", "- twice"),
        ("--msr 0x200=6 --msr 0x200=0 x", "--msr 0x200 is given twice"),
        ("--msr 0x2ff=0x806 --default-type WB x", "which holds the default type"),
        ("--msr 0x2ff x", "is no register"),
        ("--msr 0x277=0x2 x", "#GP"),
        ("--msr 0x600=0x2 x", "is no MTRR register"),
        ("--msr 0xfe=0x508 x", "can't be given"),
        ("--maxphyaddr 31 x", "is no maxphyaddr"),
        ("--default-type UC- x", "exists in the PAT alone"),
        ("--whose me x", "'me' is not known"),
        ("--vendor arm x", "'arm' is not known (one of intel, amd)"),
        ("-o csv x", "'csv' is not known"),
        ("--rules 99.1 x", "newer than the newest known"),
    ],
)
def test_what_it_refuses(args: str, message: str) -> None:
    done = quick("import", *args.split())
    assert (done.status, done.out) == (2, "")
    assert message in done.err


def test_a_scenario_is_no_dump() -> None:
    done = quick("import", "golden/vfio.yaml")
    assert (done.status, done.out) == (2, "")
    assert "this is a scenario already" in done.err


def test_dumps_where_a_scenario_is_asked_for() -> None:
    """The answers are those of what import makes of them."""
    made = quick("import", MTREE).out
    for command in ("eval", "check"):
        direct, via = quick(command, MTREE, "-r", "6.8"), quick(command, "-", "-r", "6.8", stdin=made)
        assert direct.status == via.status == 0
        assert direct.out.split("note: ")[0].rstrip() == via.out.split("note: ")[0].rstrip()
    direct = quick("mtrr", DMESG, "-r", "6.8", "-o", "json").json
    via = quick("mtrr", "-", "-r", "6.8", "-o", "json", stdin=quick("import", DMESG).out).json
    assert {**direct, "notes": []} == {**via, "notes": []}
    assert any("not a scenario" in note for note in direct["notes"])
    assert quick("mtrr", PROC, "--gpa", "0xc0000000", "-r", "6.8", "-o", "tsv").out.count("\n") == 2
    assert quick("explain", MTREE, "--gpa", "0x100000", "-r", "6.8").status == 0


def test_the_default_type_of_a_dump_itself() -> None:
    """UC where a WB range is listed, else WB, and a note says so."""
    for text, kind in ((PROC, "WB"), (str(SAMPLES / "proc-mtrr-2.txt"), "UC")):
        done = quick("mtrr", text, "-r", "6.8")
        assert f"default {kind}\n" in done.out
        assert f"taken as {kind}" in " ".join(done.out.split())
        assert "--default-type" in quick("import", text).err


def test_more_pairs_than_a_guest_has_and_slots_are_two_machines(tmp_path: Path) -> None:
    """Under a kernel that reads the guest's MTRRs eval would refuse the result; of others a remark says so."""
    log = tmp_path / "host.txt"
    rows = "  0 base 0000000000 mask FC00000000 write-back\n" + "".join(f"  {n} disabled\n" for n in range(1, 10))
    log.write_text(f"MTRR default type: uncachable\nMTRR variable ranges enabled:\n{rows}last_pfn = 1\n")
    done = quick("import", str(log), MTREE, "--maxphyaddr", "46", "-r", "6.8")
    assert (done.status, done.out) == (2, "")
    assert "10 variable pairs, and KVM gives a guest 8" in done.err
    assert f"slots at {MTREE}:" in done.err
    told = quick("import", str(log), MTREE, "--maxphyaddr", "46", "-r", "6.12")
    assert "eval under a kernel that reads the guest's MTRRs refuses it" in " ".join(told.err.split())
    host = quick("import", str(log), MTREE, "--maxphyaddr", "46", "-r", "6.8", "--whose", "host")
    for made in (told, host):
        assert quick("eval", "-", stdin=made.out.encode()).status == 0
    assert "vcnt: 10" in quick("import", str(log)).out
