# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc audit: what KVM wrote, recorded with the VM that it wrote it for, and the same with something changed."""

from __future__ import annotations

import gzip
import json
import lzma
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.program import DATA, PROGRAM, environment, quick
from support.traces import EPT, LIVE, SHADOW, entries

STALE = "staged/5.10_stage_n_late.trace"
CLEAN = [name for name in EPT if name != STALE]


def scenario_of(name: str) -> Path:
    return (LIVE / name).with_suffix(".yaml")


def audited(scenario: Path | str, trace: Path | str, *args: str, status: int) -> Any:
    done = quick("audit", *args, str(scenario), str(trace), "-o", "json")
    assert (done.status, done.err) == (status, ""), done
    return json.loads(done.out)


def changed(tmp_path: Path, name: str, *changes: tuple[str, str]) -> Path:
    """A recorded VM's scenario with some of its text changed: each pattern stands there once."""
    text = scenario_of(name).read_text()
    for pattern, new in changes:
        text, count = re.subn(pattern, new, text, flags=re.MULTILINE)
        assert count == 1, pattern
    path = tmp_path / "changed.yaml"
    path.write_text(text)
    return path


def is_leaf(level: int, value: int) -> bool:
    """By the bits that every recorded release has: not empty, not frozen, not MMIO."""
    if not value & 7 and not value & 0xF00000000000000 | value & 0x800:
        return False
    tracked = value >> 52 and not value & 7 and value & 0xFFFF_FFFF_F000
    return bool((value & 7 and value & 7 != 6) or tracked) and (level == 1 or bool(level < 4 and value & 0x80))


@pytest.mark.parametrize("name", CLEAN)
def test_a_recorded_vm_is_clean(name: str) -> None:
    found = audited(scenario_of(name), LIVE / name, status=0)
    counts = found["entries"]
    leaves = [entry for entry in entries(name) if is_leaf(entry.level, entry.value)]
    assert counts["matched"] == len(leaves)
    assert (counts["mismatched"], counts["undecided"], counts["no_slot"]) == (0, 0, 0)
    assert found["groups"] == []
    assert sum(counts["leaves"].values()) == counts["matched"]


def test_there_are_35_recorded_vms_that_are_clean() -> None:
    assert len(CLEAN) == 35
    assert sum(len(entries(name)) for name in CLEAN) > 4000


@pytest.mark.parametrize("name", SHADOW)
def test_shadow_paging_is_refused(name: str) -> None:
    """Nothing in a line says so, and the scenario must not be said to match."""
    for args in ((), (str(scenario_of(name)),)):
        done = quick("audit", *args, str(LIVE / name))
        assert (done.status, done.out) == (2, "")
        assert "entries of NPT or shadow paging, which carry no memory type" in done.err


def test_entries_made_while_something_else_was_so_are_stale() -> None:
    found = audited(scenario_of(STALE), LIVE / STALE, status=1)
    assert (found["entries"]["matched"], found["entries"]["mismatched"]) == (10, 3)
    assert {group["cause"] for group in found["groups"]} == {"stale"}
    assert all("vm.noncoherent_dma: true" in group["reason"] for group in found["groups"])
    assert {(group["wanted"]["mask"], group["got"]["mask"]) for group in found["groups"]} == {
        ("0x70", "0x00"),
        ("0x70", "0x20"),
    }


CHANGES = [
    ("6.1_non_bios.trace", [("noncoherent_dma: true", "noncoherent_dma: false")], "vm", "vm.noncoherent_dma: true"),
    ("7.3_chv_N1.trace", [("noncoherent_dma: true", "noncoherent_dma: false")], "vm", "vm.noncoherent_dma: true"),
    ("6.12_noff_mtrr.trace", [("noncoherent_dma: false", "noncoherent_dma: true")], "vm", "vm.noncoherent_dma: false"),
    ("6.1_non_cd_q2.trace", [("disabled_quirks: .*}", "disabled_quirks: []}")], "vm", "quirk CD_NW_CLEARED disabled"),
    ("6.1_non_cd_q0.trace", [("cd: true", "cd: false")], "vm", "guest.cr0.cd: true"),
    ("6.12_q_ignore_pat_off_N0.trace", [("disabled_quirks: .*}", "disabled_quirks: []}")], "vm",
     "quirk IGNORE_GUEST_PAT disabled"),
    ("6.12_q_ignore_pat_off_N0.trace", [("^rules: .*", "rules: 6.12.60")], "rules",
     "every entry fits under 6.12.78 (v6.16) instead of 6.12.60"),
    ("6.12_non_bios.trace", [("^rules: .*", "rules: 6.10")], "rules", "under 6.11 (v6.11) instead of 6.10"),
    ("6.1_noff_mtrr.trace", [("^rules: .*", "rules: '5.10'")], "rules", "under 5.13 (v4.4) instead of 5.10"),
    ("7.3_noff_mtrr.trace", [("^rules: .*", "rules: '7.1'")], "rules", "under 7.2 (v6.16) instead of 7.1"),
    ("6.1_non_bios.trace", [("0x2ff: 0xc06", "0x2ff: 0xc04")], "mtrr", "with MTRR default type WB"),
    ("6.1_non_bios.trace", [("0x2ff: 0xc06", "0x2ff: 0x406")], "mtrr", "MTRRs on (E=1)"),
    ("6.1_non_bios.trace", [("(?s)^  mtrr:.*(?=^memslots)", "")], "mtrr", "guest MTRRs changed since, or are others"),
    ("6.1_noff_mtrr.trace", [(r"name: bar4,(.*)backing: mmio", r"name: bar4,\1backing: ram")], "mmio",
     "every entry of the slot fits if it is host MMIO (backing: mmio)"),
    ("6.1_noff_mtrr.trace", [("(name: anon1.*flags: ..)", r"\1, backing: mmio")], "mmio",
     "every entry of the slot fits if it is no host MMIO (backing: ram)"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "cause", "words"), CHANGES, ids=[f"{c[0]} {c[3]}"[:60] for c in CHANGES])
def test_what_was_changed_in_the_scenario_is_the_reason(
    tmp_path: Path, name: str, changes: list[tuple[str, str]], cause: str, words: str
) -> None:
    found = audited(changed(tmp_path, name, *changes), LIVE / name, status=1)
    assert found["entries"]["mismatched"] == sum(group["count"] for group in found["groups"]) > 0
    for group in found["groups"]:
        assert words in group["reason"], found["groups"]
    assert cause in {found["groups"][0]["cause"], "vm"}


@pytest.mark.parametrize(
    "name", ["5.10_noff_mtrr.trace", "6.1_non_bios.trace", "6.12_non_bios.trace", "7.3_chv_N1.trace"]
)
@pytest.mark.parametrize("bit", [0, 3, 4, 5, 6, 51])
def test_a_flipped_bit_is_found_and_named(tmp_path: Path, name: str, bit: int) -> None:
    """In one entry of a leaf, wherever it stands."""
    leaves = [entry for entry in entries(name) if is_leaf(entry.level, entry.value)]
    for entry in (leaves[0], leaves[len(leaves) // 2], leaves[-1]):
        value = entry.value ^ 1 << bit
        text = (LIVE / name).read_text().replace(f"spte {entry.value:x} ", f"spte {value:x} ", 1)
        text = re.sub(f"_spte {entry.value:x}$", f"_spte {value:x}", text, count=1, flags=re.MULTILINE)
        (tmp_path / "trace").write_text(text)
        done = quick("audit", str(scenario_of(name)), str(tmp_path / "trace"), "-o", "jsonl")
        assert done.status == 1, (entry, hex(value), done)
        assert f'"spte": "{value:#x}"' in done.out


def test_no_rule_set_is_an_error(tmp_path: Path) -> None:
    name = "6.1_noff_mtrr.trace"
    scenario = changed(tmp_path, name, ("^rules: .*", ""))
    done = quick("audit", str(scenario), str(LIVE / name))
    assert (done.status, done.out) == (2, "")
    assert "no rule set (-r REF, or rules: in the scenario; an audit has no default)" in done.err
    assert quick("audit", "-r", "6.1", str(scenario), str(LIVE / name)).status == 0


def test_a_leaf_larger_than_the_level_allows(tmp_path: Path) -> None:
    """The slot's first 2M hold a page of 4K at most where the host address is not congruent."""
    name = "5.10_huge1g_noff.trace"
    scenario = changed(tmp_path, name, (r"(name: huge1?1?[^\n]*)page_size: 1G", r"\1page_size: 4K"))
    found = audited(scenario, LIVE / name, status=1)
    assert any(group["cause"] == "level" and "page_size" in group["reason"] for group in found["groups"])


def test_the_sum_of_two_audits(tmp_path: Path) -> None:
    one = audited(scenario_of(STALE), LIVE / STALE, status=1)
    other = audited(scenario_of("6.1_noff_mtrr.trace"), LIVE / "6.1_noff_mtrr.trace", status=0)
    for name in ("a", "b"):
        args = (STALE, "a") if name == "a" else ("6.1_noff_mtrr.trace", "b")
        done = quick("audit", str(scenario_of(args[0])), str(LIVE / args[0]), "-o", "json")
        (tmp_path / name).write_text(done.out)
    done = quick("audit", "--merge", str(tmp_path / "a"), str(tmp_path / "b"), "-o", "json")
    assert done.status == 1
    total = json.loads(done.out)
    for key in ("matched", "mismatched", "undecided", "no_slot"):
        assert total["entries"][key] == one["entries"][key] + other["entries"][key]
    again = tmp_path / "c"
    again.write_text(done.out)
    twice = json.loads(quick("audit", "--merge", str(again), str(again), "-o", "json").out)
    assert twice["entries"]["matched"] == 2 * total["entries"]["matched"]
    assert twice["audits"] == 4
    assert [group["count"] for group in twice["groups"]] == [2 * group["count"] for group in total["groups"]]


SAMPLES = sorted((DATA / "traces").glob("*.txt"))


def test_every_sample_of_a_trace_has_its_golden_file() -> None:
    golden = "".join(path.read_text().split("\n", 1)[0] for path in (DATA / "golden").glob("audit-*.txt"))
    assert [path.name for path in SAMPLES if path.name not in golden] == []


NOFF = "6.1_noff_mtrr.trace"


def answer(data: bytes, *args: str, scenario: str = NOFF) -> Any:
    done = quick("audit", str(scenario_of(scenario)), "-", *args, "-o", "json", stdin=data)
    assert done.status == 0, done
    return json.loads(done.out)["entries"]


def test_a_trace_however_it_comes() -> None:
    """Packed, quoted in a mail and wrapped there, as perf and trace-cmd print it, with CRLF, cut at both ends."""
    plain = (LIVE / NOFF).read_bytes()
    wanted = answer(plain)
    assert wanted["matched"] == 42
    lines = plain.splitlines()
    ways = {
        "gzip": gzip.compress(plain),
        "xz": lzma.compress(plain),
        "quoted": b"".join(b"> > " + line + b"\n" for line in lines),
        "wrapped": b"".join(b"> " + line.replace(b": as id ", b": as\n> id ") + b"\n" for line in lines),
        "crlf": b"".join(line + b"\r\n" for line in lines),
        "html": b"".join(line.replace(b" ", b"&nbsp;") + b"<br>\n" for line in lines),
        "perf": b"".join(
            b"CPU 0/KVM  4711 [002]   1.958633:   kvmmmu:" + line[line.index(b"kvm_") :] + b"\n"
            for line in lines
            if b"kvm_" in line
        ),
        "trace-cmd": b"cpus=8\nCPU 3 is empty\n" + plain.replace(b"kvm_mmu_set_spte: ", b"kvm_mmu_set_spte:     "),
        "journal": b"".join(
            b'{"MESSAGE":"' + line.strip() + b'","_PID":"1"}\n'
            for line in lines
            if b'"' not in line and b"\\" not in line
        ),
        "soft breaks": b"".join(line[:70] + b"=\n" + line[70:] + b"\n" for line in lines),
    }
    for name, data in ways.items():
        got = answer(data)
        assert {**got, "no_type": 0} == {**wanted, "no_type": 0}, name
    bare = b"".join(b"%x 0x%x %d\n" % (entry.gfn, entry.value, entry.level) for entry in entries(NOFF))
    assert answer(b"Attaching 2 probes...\n" + bare, "--as", "spte") == wanted


def test_perf_data_and_trace_dat_are_named() -> None:
    for data, tool in ((b"PERFILE2\x00\x01", "perf script"), (b"\x17\x08\x44tracing6\x00", "trace-cmd report")):
        done = quick("audit", "-", stdin=data)
        assert (done.status, done.out) == (2, "")
        assert tool in done.err


@pytest.mark.parametrize("data", [b"", b"\n", b"no entry\n", b"8 8600000002b7eb77 1\n"])
def test_a_trace_without_an_entry_is_an_error(data: bytes) -> None:
    done = quick("audit", "-", stdin=data)
    assert (done.status, done.out) == (2, "")
    assert "no SPTE in it" in done.err
    assert "--as spte" in done.err


@pytest.mark.program
def test_ctrl_c_gives_the_summary_so_far_and_ends_by_the_signal() -> None:
    trace = (LIVE / NOFF).read_bytes().splitlines(keepends=True)
    process = subprocess.Popen(
        [*PROGRAM, "audit", str(scenario_of(NOFF)), "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    process.stdin.write(b"".join(trace[:50]))
    process.stdin.flush()
    # It is asleep in its read once all is read, which the pipe tells.
    reader = Path(f"/proc/{process.pid}/wchan")
    for _ in range(600):
        if reader.exists() and "pipe" in reader.read_text():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out = process.stdout.read().decode()
    assert process.wait(60) == -signal.SIGINT
    assert process.stderr.read() == b""
    assert "stopped after 50 lines: what follows is of those" in out
    assert "all 24 leaves match" in out
    process.stdin.close()
    process.stdout.close()
    process.stderr.close()


def test_what_records_is_a_shell_script() -> None:
    for args in ((), ("--pid", "4711"), ("--kernel", "6.1"), ("-r", "5.10")):
        done = quick("audit", "--record", *args)
        assert (done.status, done.err) == (0, "")
        assert max(map(len, done.out.splitlines())) <= 80
        assert subprocess.run(["sh", "-n"], input=done.out, text=True, check=False).returncode == 0
        for tool in ("trace-cmd record", "perf record", "bpftrace -e"):
            assert tool in done.out
        assert ("4711" in done.out) is ("4711" in args)
        assert ("kvm_tdp_mmu_spte_changed" in done.out) is ("5.10" not in args)
    assert "6.11" not in quick("audit", "--record", "--kernel", "6.12").out
    assert "no event carries SPTEs before 5.3" in quick("audit", "--record", "--kernel", "4.19").out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("--pid 1 x", "--pid without --record"),
        ("--record x", "--record and a TRACE"),
        ("--record -o json", "--record does not go with -o json"),
        ("--merge", "--merge without FILE"),
        ("--merge - -", "- twice"),
        ("- -", "- twice"),
        ("--vendor amd golden/vfio.yaml -", "--vendor amd and a scenario"),
        ("a b c", "3 files"),
        ("--as gfn x", "'gfn' is not known"),
        ("--assume x=yes traces/kvm-trace-1-ftrace-ept.txt", "--assume without a scenario"),
        ("--kernel 2.6.28 traces/kvm-trace-1-ftrace-ept.txt", "SPTEs are known from 2.6.29 on"),
        ("-r 6.1 -r 6.2 traces/kvm-trace-1-ftrace-ept.txt", "-r is given twice"),
    ],
)
def test_wrong_usage(args: str, message: str) -> None:
    done = quick("audit", *args.split())
    assert (done.status, done.out) == (2, "")
    assert message in done.err


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "nonsense",
        "[" * 5000,
        '{"entries": 1}',
        '{"entries": {"matched": 1}, "groups": [], "notes": []}',
    ],
)
def test_what_is_no_result_is_not_added_up(text: str) -> None:
    done = quick("audit", "--merge", "-", stdin=text)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("-:1:")


def _without_a_key(value: Any) -> Iterator[str]:
    """A result as often as it has keys, each time without one; of a list, in its first item."""

    def spoil(part: Any) -> Iterator[str]:
        if isinstance(part, list):
            yield from spoil(part[0] if part else None)
        for key in list(part) if isinstance(part, dict) else ():
            kept = dict(part)
            del part[key]
            yield json.dumps(value)
            part.clear()
            part.update(kept)
            yield from spoil(part[key])

    return spoil(value)


def test_a_result_that_lacks_a_key_is_added_up_or_refused() -> None:
    value = json.loads((DATA / "traces" / "result.json").read_text())
    statuses = set()
    for text in _without_a_key(value):
        done = quick("audit", "--merge", "-", "-o", "plain", stdin=text)
        assert (done.status in (0, 1), done.err) == (True, "") or done.err.startswith("-:1:1: no result of an audit")
        statuses.add(done.status)
    assert {1, 2} <= statuses


def test_the_command_of_a_reason_shows_it() -> None:
    """The byte that was found, by the what-if that the group names."""
    found = audited(scenario_of(STALE), LIVE / STALE, status=1)
    for group in found["groups"]:
        words = shlex.split(group["command"])
        assert words[:2] == ["mtcalc", "lookup"]
        (answer,) = quick(*words[1:], "--pat", "wb", "-o", "json").json
        assert answer["ept"]["mask"] == group["got"]["mask"]


def test_npt_is_decoded_where_it_is_asked_for() -> None:
    found = quick("audit", "--vendor", "amd", "traces/kvm-trace-2-npt-wrapped.txt", "-o", "json").json
    assert found["entries"]["no_type"] == {"empty": 1, "leaf": 5, "removed": 5, "table": 1}
    assert (found["entries"]["matched"], found["entries"]["leaves"], found["groups"]) == (None, {}, [])
    ept = quick("audit", "--vendor", "amd", "traces/kvm-trace-1-ftrace-ept.txt", "-o", "json")
    assert ept.status == 1
    assert {group["cause"] for group in json.loads(ept.out)["groups"]} == {"odd"}


def test_the_formats_complete() -> None:
    words = "mtcalc audit --as "
    asked = {"COMP_WORDS": words, "COMP_CWORD": "3", "_MTCALC_COMPLETE": "bash_complete"}
    assert quick(env=asked).out.split() == ["plain,trace", "plain,log", "plain,spte"]


def test_the_traced_example_is_of_another_release() -> None:
    """What its help runs (test_help.py), and what that says."""
    folder = Path(__file__).parents[2] / "examples" / "traced"
    files = str(folder / "vm.yaml"), str(folder / "trace.txt")
    assert "19 leaves do not match, 3 do" in quick("audit", *files).out
    assert "all 22 leaves match" in quick("audit", "-r", "6.12.80", *files).out
    assert "trace-cmd record" in quick("audit", "--record", "--pid", "4711").out


BIOS = "6.1_non_bios.trace"
READ = {"trace": b"kvm_mmu_set_spte: gfn 8 spte 6000000029c7b37 (rwxu) level 1\n", "spte": b"8 6000000029c7b37 1\n"}
READ["log"] = b"EPT: GPA: 0x8000\nept_misconfig_inspect_spte: spte 0x6000000029c7b37 level 1\n"


@pytest.mark.parametrize(
    ("form", "line", "kind"),
    [
        ("trace", b"kvm_mmu_set_spte: gfn 8 spte zz00029c7b37 (rwxu) level 1", "kvm_mmu_set_spte"),
        ("trace", b"kvm_mmu_set_spte: gfn 8 spte 6000000029c7b37 (rwxu) level 9", "kvm_mmu_set_spte"),
        ("trace", b"kvm_mmu_set_spte:   [FAILED TO PARSE] gfn=0x8 spte=0x25", "kvm_mmu_set_spte"),
        ("trace", b"kvm_mmu_split_huge_page: gfn 8 spte", "kvm_mmu_split_huge_page"),
        ("trace", b"kvm_tdp_mmu_spte_changed: as id 0 gfn 8 level 1 old_spte 0 new_sp", "kvm_tdp_mmu_spte_changed"),
        ("trace", b"kvm_tdp_mmu_spte_changed: as id 0 gfn 8 level 1 old_spte 0 new_spte ", "kvm_tdp_mmu_spte_changed"),
        ("trace", b"fast_page_fault: vcpu 0 gva 8000 error_code W sptep 1 old", "fast_page_fault"),
        ("trace", b"check_mmio_spte: spte xyz", "check_mmio_spte"),
        ("spte", b"xx yy 1", "three words"),
        ("spte", b"9 600000025", "three words"),
        ("spte", b"9 600000025c7b77 6", "three words"),
        ("spte", b"9 600000025c7b77 1 1", "three words"),
        ("log", b"ept_misconfig_inspect_spte: spte 0x84c2 lev", "a printed entry"),
        ("log", b"------ spte 0xzz level 4.", "a printed entry"),
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_a_line_that_can_not_be_read_is_counted_and_named(form: str, line: bytes, kind: str, last: bool) -> None:
    """It is no success to have read the others."""
    before = READ[form] * 2
    data = before + line + (b"" if last else b"\n" + READ[form])
    number = before.count(b"\n") + 1
    done = quick("audit", str(scenario_of(BIOS)), "-", "--as", form, "-o", "json", stdin=data)
    assert done.status == 2
    found = json.loads(done.out)
    assert (found["complete"], found["unread"]) == (False, [{"kind": kind, "count": 1, "line": number}])
    assert found["entries"]["matched"] == 1
    assert f"1 line of {kind} not read: line {number}" in found["notes"]
    assert done.err.startswith(f"-:{number}:")
    assert len(done.err.splitlines()) == 3
    shown = quick("audit", str(scenario_of(BIOS)), "-", "--as", form, stdin=data).out
    assert "1 line not read: what follows is of the others\n1 leaf matches\n" in shown


def test_what_is_no_entry_is_no_line_that_can_not_be_read() -> None:
    comment = b"# kvm_mmu_set_spte: from 5.3 on\n\nkvm_mmu_spte_requested: gfn 84d pfn 100 level 2\nnoise\n"
    for form, more in (("trace", comment), ("spte", b"Attaching 2 probes...\n\n  # gfn spte level\n \t\r\n")):
        done = quick("audit", str(scenario_of(BIOS)), "-", "--as", form, "-o", "json", stdin=more + READ[form] + more)
        assert (done.status, done.err) == (0, "")
        assert (done.json["complete"], done.json["unread"]) == (True, [])


def test_a_trace_cut_anywhere_is_no_whole_one() -> None:
    """Nothing that is cut is read, and where it is cut is said: at each byte of an event's line."""
    data = (LIVE / BIOS).read_bytes()
    lines = data.splitlines(keepends=True)
    head = b"".join(lines[:23])
    whole = json.loads(quick("audit", str(scenario_of(BIOS)), "-", "-o", "json", stdin=head).out)
    assert b"kvm_tdp_mmu_spte_changed" in lines[23]
    for end in range(20, len(lines[23]) - 1, 7):
        done = quick("audit", str(scenario_of(BIOS)), "-", "-o", "json", stdin=head + lines[23][:end])
        assert done.status == 2, end
        found = json.loads(done.out)
        assert ([each["line"] for each in found["unread"]], found["complete"]) == ([24], False)
        assert found["entries"] == whole["entries"]


def test_most_of_a_trace_unread(tmp_path: Path) -> None:
    text = re.sub(r"(new_spte|gfn [0-9a-f]+ spte) 6000", r"\1 zz", (LIVE / BIOS).read_text())
    (tmp_path / "t").write_text(text)
    done = quick("audit", str(scenario_of(BIOS)), str(tmp_path / "t"), "-o", "json")
    assert done.status == 2
    found = json.loads(done.out)
    assert sum(each["count"] for each in found["unread"]) == len(re.findall(r"spte zz", text)) == 86
    (tmp_path / "r").write_text(done.out)
    added = quick("audit", "--merge", str(tmp_path / "r"), str(tmp_path / "r"), "-o", "json")
    assert added.status == 2
    assert [each["count"] for each in json.loads(added.out)["unread"]] == [86, 86]


@pytest.mark.parametrize("name", EPT)
def test_every_line_of_a_recording_is_read(name: str) -> None:
    assert json.loads(quick("audit", str(LIVE / name), "-o", "json").out)["unread"] == []


def test_every_example_of_an_error_is_read() -> None:
    """Taken out of the texts: what a user copies has to be accepted."""
    texts = [quick("audit", "-", *args, stdin="").err for args in ((), ("--as", "spte"), ("--as", "log"))]
    broken = [
        "kvm_mmu_set_spte: gfn z", "kvm_mmu_split_huge_page: gfn z", "kvm_tdp_mmu_spte_changed: as id 0 gfn",
        "fast_page_fault: vcpu", "check_mmio_spte: z", "ept_misconfig_inspect_spte: spte z",
    ]  # fmt: skip
    texts += [quick("audit", "-", stdin=f"{line}\n").err for line in broken]
    examples = [each for text in texts for each in re.findall(r"'([^']+)'", text.splitlines()[0])]
    assert len(examples) == 10
    for example in examples:
        form = ("--as", "spte") if re.fullmatch(r"[0-9a-f]+ [0-9a-f]+ \d", example) else ()
        done = quick("audit", *form, "-", "-o", "json", stdin=f"{example}\n")
        assert (done.status, done.err, done.json["unread"]) == (0, "", []), example


@pytest.mark.parametrize("release", ["6.10", "6.12", "6.16", "5.10", "4.19"])
def test_the_releases_that_fit_are_the_whole_span(release: str) -> None:
    """The VM ran on 6.1: of all releases those fit whose audit says that all match."""
    files = str(scenario_of(BIOS)), str(LIVE / BIOS)
    group = json.loads(quick("audit", "-r", release, *files, "-o", "json").out)["groups"][0]
    assert "all of 5.13 to 6.9 do" in group["reason"]
    named = re.findall(r"\d\.\d+\b(?! \(v)", " ".join([group["reason"], *group["also"]]).partition("instead of")[2])
    assert sorted(named) == sorted([release, "5.13", "6.9"])
    for fits in ("5.12", "5.13", "6.0", "6.7", "6.8", "6.9", "6.10"):
        status = quick("audit", "-r", fits, *files, "-o", "json").status
        assert (status == 0) is (fits not in ("5.12", "6.10")), fits


@pytest.mark.parametrize("value", ["6000000029c7b07", "6000000029cdb37", "6000000029cbb07"])
def test_one_leaf_alone_is_no_change_of_mtrrs(tmp_path: Path, value: str) -> None:
    """Its neighbours, which the same register covers, are as the rules say."""
    text = (LIVE / BIOS).read_text()
    (tmp_path / "t").write_text(text.replace(f"{value[:-2]}{text[text.index(value[:-2]) + 13 :][:2]}", value))
    found = audited(scenario_of(BIOS), tmp_path / "t", status=1)
    (group,) = found["groups"]
    assert (group["count"], group["got"]["mask"]) == (1, f"{int(value[-2:], 16) & 0x78:#04x}")
    assert (group["cause"], group["reason"]) == ("unknown", "no single change that was tested fits")
    assert "1 leaf does not match, 44 do" in quick("audit", str(scenario_of(BIOS)), str(tmp_path / "t")).out


def test_a_value_of_no_release_is_not_said_to_be_of_a_later_one() -> None:
    """A digit less than KVM's own: without a release nothing is held against it that only some releases have."""
    found = quick("audit", "--as", "spte", "-", "-o", "json", stdin="8 600000025c7b77 1\n")
    assert found.status == 1
    assert "6.10" not in found.out
    assert "no KVM writes such an entry" in json.loads(found.out)["groups"][0]["reason"]


def test_the_files_the_other_way_round() -> None:
    done = quick("audit", str(LIVE / BIOS), str(scenario_of(BIOS)))
    assert (done.status, done.out) == (2, "")
    assert "mtcalc audit FILE TRACE, in this order" in done.err
