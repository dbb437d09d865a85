# SPDX-License-Identifier: GPL-2.0-only
"""The names that scripts rely on, and the program against the library under it."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mtcalc
from mtcalc.analysis.answer import each_pat
from mtcalc.kvm.flags import QUIRKS, SLOT_FLAGS, flag_names
from mtcalc.kvm.host_mmio import Backing
from mtcalc.x86.ept import LEVEL_NAMES
from support.notes import noted
from support.program import DATA, quick
from support.random_vms import RandomVm, random_vms
from support.vectors import live_entries

ANSWER = ["rules", "gpa", "slot", "level", "inputs", "pat", "rule", "ept", "effective", "notes"]
INPUTS = ["is_mmio", "slot_flags", "noncoherent_dma", "cr0_cd", "quirks", "self_snoop", "guest_mtrr"]
HEADER = "rules,gpa,end,slot,level,mmio,slot_flags,mtrr,rule,memtype,ipat,mask"
TAIL = "ref,noncoherent_dma,cr0_cd,quirks,self_snoop"
PATS = ["UC", "UC-", "WC", "WT", "WP", "WB"]


def in_order(wanted: list[str], record: dict[str, Any]) -> bool:
    """Whether the keys are there, in the order of the interface; others may stand between."""
    return [key for key in record if key in wanted] == wanted


def assert_answer(answer: dict[str, Any], a_range: bool = False) -> None:
    """The shape of one answer that has an EPT entry."""
    assert in_order([*ANSWER[:2], "end", *ANSWER[2:]] if a_range else ANSWER, answer)
    assert in_order(INPUTS, answer["inputs"])
    assert list(answer["inputs"]["quirks"]) == list(QUIRKS)
    assert in_order(["CD_NW_CLEARED", "IGNORE_GUEST_PAT"], answer["inputs"]["quirks"])
    assert list(answer["rule"]) == ["id", "text"]
    assert list(answer["ept"]) == ["memtype", "ipat", "mask"]
    assert answer["ept"]["ipat"] in (0, 1)
    assert int(answer["ept"]["mask"], 16) >> 6 == answer["ept"]["ipat"]
    assert isinstance(answer["notes"], list)


def test_the_keys_of_a_lookup() -> None:
    answers = quick("lookup", "-o", "json").json
    assert [answer["pat"] for answer in answers] == PATS
    for answer in answers:
        assert_answer(answer)
        assert (answer["gpa"], answer["slot"], answer["level"]) == (None, None, None)
        assert answer["inputs"]["quirks"] == dict.fromkeys(QUIRKS, True)
    assert [json.loads(line) for line in quick("lookup", "-o", "jsonl").out.splitlines()] == answers


def test_the_keys_of_ranges_and_pages() -> None:
    ranges = quick("eval", "golden/vfio.yaml", "-o", "json").json
    assert list(ranges) == ["results"]
    for answer in ranges["results"]:
        assert_answer(answer, a_range=True)
        assert answer["pat"] is None
        assert list(answer["effective"]) == PATS
        assert (answer["gpa"][:2], answer["end"][:2]) == ("0x", "0x")
        assert answer["level"] in ("4K", "2M", "1G")
    lines = quick("eval", "golden/vfio.yaml", "-o", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == ranges["results"]
    (page,) = quick("eval", "golden/vfio.yaml", "--gpa", "0", "--pat", "wc", "-o", "json").json["results"]
    assert_answer(page)
    assert "end" not in page
    assert (page["pat"], page["effective"]) == ("WC", "WC")


def test_an_address_in_no_slot_has_nulls_and_a_note() -> None:
    """slot, ept, effective and rule are null and a note says that the access exits to be emulated."""
    for pat in ((), ("--pat", "wb")):
        (page,) = quick("eval", "golden/vfio.yaml", "--gpa", "3G", *pat, "-o", "json").json["results"]
        assert in_order(ANSWER, page)
        assert [page[key] for key in ("slot", "ept", "effective", "rule")] == [None] * 4
        assert "the access exits to be emulated" in page["notes"][-1]


def test_several_rule_sets_are_one_flat_list() -> None:
    """-r given twice or more: one flat list in JSON, rule set by rule set."""
    answers = quick("lookup", "-r", "v6.7", "-r", "slot-flag", "-o", "json").json
    assert [answer["rules"] for answer in answers] == ["v6.7"] * 6 + ["slot-flag"] * 6
    both = quick("eval", "golden/vfio.yaml", "-r", "v6.16", "-r", "v6.7", "-o", "json").json["results"]
    alone = [quick("eval", "golden/vfio.yaml", "-r", name, "-o", "json").json["results"] for name in ("v6.16", "v6.7")]
    assert both == alone[0] + alone[1]


@pytest.mark.parametrize(("form", "mark"), [("csv", ","), ("tsv", "\t")])
def test_the_header_of_csv_and_tsv(form: str, mark: str) -> None:
    """A header line; then pat and effective, or one column a PAT type."""
    lookup = quick("lookup", "-o", form).out.splitlines()
    assert lookup[0] == f"{HEADER},pat,effective,{TAIL}".replace(",", mark)
    assert len(lookup) == 7
    ranges = quick("eval", "golden/vfio.yaml", "-o", form).out.splitlines()
    assert ranges[0] == f"{HEADER},{','.join(PATS)},{TAIL}".replace(",", mark)
    one = quick("eval", "golden/vfio.yaml", "--gpa", "0", "--pat", "wc", "-o", form).out.splitlines()
    assert one[0] == lookup[0]


def test_csv_says_what_json_says() -> None:
    """Notes are left out of csv and tsv; the rest is there."""
    rows = list(csv.DictReader(io.StringIO(quick("eval", "golden/vfio.yaml", "-o", "csv").out)))
    answers = quick("eval", "golden/vfio.yaml", "-o", "json").json["results"]
    for row, answer in zip(rows, answers, strict=True):
        assert [row[key] for key in ("rules", "gpa", "end", "slot", "level")] == [
            answer[key] for key in ("rules", "gpa", "end", "slot", "level")
        ]
        assert row["mmio"] == ("yes" if answer["inputs"]["is_mmio"] else "no")
        assert row["slot_flags"] == "|".join(answer["inputs"]["slot_flags"])
        assert row["mtrr"] == (answer["inputs"]["guest_mtrr"] or "")
        assert row["rule"] == answer["rule"]["id"]
        assert [row["memtype"], row["ipat"], row["mask"]] == [str(value) for value in answer["ept"].values()]
        assert {pat: row[pat] for pat in PATS} == answer["effective"]
        assert row["ref"] == answer["ref"]
        for name in ("noncoherent_dma", "cr0_cd", "self_snoop"):
            assert row[name] == ("yes" if answer["inputs"][name] else "no")
        assert row["quirks"].split() == [name for name, on in answer["inputs"]["quirks"].items() if on]
    assert not any("manual" in value for row in rows for value in row.values())


@settings(max_examples=40)
@given(
    st.sampled_from(mtcalc.built_in_names()),
    st.builds(
        mtcalc.Facts,
        mmio=st.booleans(),
        slot_flags=st.sampled_from((0, 8, 3)),
        noncoherent_dma=st.booleans(),
        mem_dma=st.booleans(),
        cr0_cd=st.booleans(),
        disabled_quirks=st.sampled_from((0, 2, 0x200, 0x202)),
        self_snoop=st.booleans(),
        guest_mtrr=st.sampled_from([mtcalc.parse_memtype(word) for word in ("UC", "WC", "WT", "WP", "WB")]),
        # What no flag of the call below says; hypothesis would make them up.
        private=st.just(False),
        host_mtrr=st.none(),
        assume=st.just({}),
    ),
)
def test_lookup_is_the_librarys(name: str, facts: mtcalc.Facts) -> None:
    """`import mtcalc` gives the same answers; the program prints nothing that the library can't return."""
    facts = facts._replace(private=False)  # --private makes it another kind of VM, and so another kernel
    flags = {"--mmio": facts.mmio, "--noncoherent-dma": facts.noncoherent_dma, "--cd": facts.cr0_cd}
    flags |= {"--mem-dma": facts.mem_dma, "--self-snoop": facts.self_snoop}
    args = [flag if on else flag.replace("--", "--no-", 1) for flag, on in flags.items()]
    args += ["--slot-flag", str(facts.slot_flags), "--disable-quirk", str(facts.disabled_quirks)]
    args += ["--mtrr", str(facts.guest_mtrr), "-r", name]
    printed = quick("lookup", *args, "-o", "json").json
    answers = each_pat(mtcalc.lookup(mtcalc.resolve(name), facts))
    for got, answer in zip(printed, answers, strict=True):
        assert answer.rule
        assert got["rule"] == {"id": answer.rule.id, "text": answer.rule.text}
        assert int(got["ept"]["mask"], 16) == answer.byte
        assert [(got["pat"], got["effective"])] == [(str(pat), str(kind)) for pat, kind in answer.effective]
        assert got["inputs"]["slot_flags"] == [
            word
            for bit, word in enumerate(("LOG_DIRTY_PAGES", "READONLY", "GUEST_MEMFD", "NON_COHERENT_DMA"))
            if facts.slot_flags >> bit & 1
        ]
        # v6.16 turns CD_NW_CLEARED off itself when it starts a VM.
        off = facts.disabled_quirks | (QUIRKS["CD_NW_CLEARED"] if name == "v6.16" else 0)
        assert got["inputs"]["quirks"] == {word: not off & bit for word, bit in QUIRKS.items()}
        # The program adds one note of its own: inputs named on the command line that the rules do not read.
        assert [note for note in got["notes"] if "does not read" not in note] == list(noted(answer.notes))
    plain = quick("lookup", *args).out
    for answer in answers:
        assert answer.rule
        assert f"{answer.byte:#04x}" in plain
        assert answer.rule.id in plain


@settings(max_examples=15)
@given(random_vms())
def test_eval_is_the_librarys(case: RandomVm) -> None:
    evaluator = case.evaluator()
    wanted = list(evaluator.ranges())
    if not wanted:
        return
    done = quick("eval", "-", "-r", case.rules, "-o", "json", stdin=as_scenario(case))
    answers = done.json["results"]
    places = [(got["slot"], int(got["gpa"], 16), int(got["end"], 16)) for got in answers]
    assert places == [(answer.slot and answer.slot.name, answer.gpa, answer.end) for answer in wanted]
    for got, answer in zip(answers, wanted, strict=True):
        assert answer.facts
        assert got["inputs"]["guest_mtrr"] == answer.guest_mtrr
        if answer.byte is None:
            assert (got["inputs"]["guest_mtrr"], got["ept"], got["effective"]) == ("unknown", None, None)
        else:
            assert int(got["ept"]["mask"], 16) == answer.byte
            assert got["effective"] == {str(pat): str(kind) for pat, kind in answer.effective}
        assert got["level"] == {1: "4K", 2: "2M", 3: "1G"}[answer.level or 0]
        assert set(noted(answer.notes)) <= set(got["notes"])


def as_scenario(case: RandomVm) -> str:
    """A random VM as a scenario file."""
    vm = case.vm
    quirks = [name for name, bit in QUIRKS.items() if vm.disabled_quirks & bit]
    slots = [
        {
            "id": slot.id,
            "name": slot.name,
            "gpa": hex(slot.gpa),
            "size": hex(slot.size),
            "flags": list(flag_names(slot.flags, SLOT_FLAGS)),
            "address_space": slot.address_space,
            "backing": _backing(slot.backing),
            "device": slot.device,
            **({} if slot.hva is None else {"hva": slot.hva}),
        }
        for slot in case.slots
    ]
    document = {
        "host": {"self_snoop": vm.self_snoop, "maxphyaddr": max(32, vm.host_maxphyaddr)},
        "vm": {"noncoherent_dma": vm.noncoherent_dma, "mem_dma": vm.mem_dma, "disabled_quirks": quirks},
        "guest": {
            "maxphyaddr": 32,
            "cpuid_mtrr": vm.cpuid_mtrr,
            "cr0": {"cd": vm.cr0_cd},
            "mtrr": {"msrs": {hex(number): hex(value) for number, value in _for_32_bits(case).items()}},
        },
        "memslots": slots,
    }
    return json.dumps(document)


def _backing(backing: Backing) -> dict[str, object]:
    keys = {**backing._asdict(), "host_type": str(backing.host_type)}
    level = keys.pop("page_level")
    assert keys.pop("host_mtrr") is None
    return keys if level is None else {**keys, "page_size": LEVEL_NAMES[level]}


def _for_32_bits(case: RandomVm) -> dict[int, int]:
    """The registers for one address bit more, which every mask watches."""
    msrs = case.regs.msrs()
    for number in range(len(case.regs.variable)):
        msrs[0x201 + 2 * number] |= 1 << 31
    return msrs


RUNS = sorted({entry["run"] for entry in live_entries()})


@pytest.mark.parametrize("run", RUNS)
def test_the_recorded_entries_by_the_program(run: str) -> None:
    """Every leaf entry that KVM itself wrote equals `eval --gpa` on the scenario, byte for byte."""
    entries = [entry for entry in live_entries() if entry["run"] == run]
    lines = "".join(f"{entry['gpa']}\n" for entry in entries)
    done = quick("eval", f"live/{run}.yaml", "--gpa", "-", "-o", "jsonl", stdin=lines)
    assert (done.status, done.err) == (0, "")
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert [answer["gpa"] for answer in answers] == [entry["gpa"] for entry in entries]
    assert [int(answer["ept"]["mask"], 16) for answer in answers] == [int(entry["mask"], 16) for entry in entries]
    for answer, entry in zip(answers, entries, strict=True):
        assert entry["level"] <= {"4K": 1, "2M": 2, "1G": 3}[answer["level"]]


def test_every_public_name_is_there_and_documented() -> None:
    """Typed, documented, immutable objects."""
    assert set(mtcalc.__all__) <= set(dir(mtcalc))
    for name in mtcalc.__all__:
        assert getattr(mtcalc, name)
        assert name == "__version__" or getattr(mtcalc, name).__doc__
    answer = mtcalc.lookup(mtcalc.resolve("slot-flag"), mtcalc.Facts(slot_flags=8), [mtcalc.MemType.WC])
    with pytest.raises(AttributeError):
        answer.byte = 0  # type: ignore[misc]
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = mtcalc.nothing


def test_the_package_says_that_it_is_typed() -> None:
    assert (DATA.parents[1] / "src" / "mtcalc" / "py.typed").exists()


SAYS_EPT = [
    "lookup --pat wc",
    "lookup -r 6.1",
    "lookup -r 6.1 -r v6.16 -r 6.12.107+deb12-amd64",
    "eval golden/vfio.yaml",
    "eval golden/vfio.yaml --gpa 0 --gpa 1T --pat wc",
    "eval golden/vfio.yaml -r v6.7 -r latest",
    "eval golden/vfio.yaml -r v6.7 -r latest --gpa 0",
    "table",
    "table -r v6.7 -r v6.16",
    "table --where ept=0x40",
    "table --where ept=0x40 -r v6.7 -r v6.16",
    "explain",
    "explain golden/vfio.yaml --gpa 0xe0000000",
    "explain golden/vfio.yaml --gpa 1T",
    "check golden/virtio-gpu.yaml",
]


@pytest.mark.parametrize("call", SAYS_EPT)
@pytest.mark.parametrize("form", ["plain", "table", "markdown"])
def test_the_line_that_names_the_rules_says_for_what_the_answers_are(call: str, form: str) -> None:
    """Nobody who reads an answer in a mail takes it for AMD's; programs read no key for it."""
    done = quick(*call.split(), "-o", form)
    title = " ".join(done.out.split("\n\n")[0].replace("*", "").split())
    assert title.startswith("rules ")
    assert ", VMX with EPT" in title
    assert done.out.count("VMX with EPT") == 1
    assert max(map(len, done.out.splitlines())) <= (80 if form == "plain" else 300)
    assert "VMX with EPT" not in quick(*call.split(), "-o", "json").out


def test_host_is_offered_as_a_rule_set() -> None:
    assert "host," in " ".join(quick("lookup", "--help").out.split())
    assert "host" in quick("lookup", "-r", "hots").err
