# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc diff as a program: every single change against lookup's answers, and the forms it is shown in."""

from __future__ import annotations

import csv
import io
import itertools
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.analysis.diff import Diff, DiffRow
from mtcalc.analysis.diff import diff as compare
from mtcalc.output.diff import diff_document, diff_lines, diff_record, diff_rows, expanded_document
from mtcalc.output.document import Table, text_of
from mtcalc.output.plain import render
from mtcalc.rulefile.write import write_rule_file
from mtcalc.rules.builtin import built_in_names
from mtcalc.rules.condition import ALWAYS
from mtcalc.rules.inputs import GUEST_MTRR, Facts, Input, Value, domain, with_value
from mtcalc.rules.kernel import kernel_at
from mtcalc.rules.releases import RELEASES
from mtcalc.rules.rule import Outcome, Rule, RuleSet
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, MemType
from support.answers import lookup
from support.patches import c_file, kernel
from support.program import DATA, quick
from support.random_rules import PLAIN, TYPED, rule_sets

SEED = DATA / "patches" / "noncoherent-dma-slot-flag-3of4.patch"
NAMES = built_in_names()

# What each built-in rule set reads, by hand.
READS = {
    "v2.6.28": "",
    "v2.6.29": "is_mmio guest_mtrr",
    "v2.6.31": "is_mmio noncoherent_dma guest_mtrr",
    "v3.13": "is_mmio noncoherent_dma guest_mtrr",
    "v4.2": "is_mmio noncoherent_dma cr0_cd CD_NW_CLEARED guest_mtrr",
    "v4.3": "is_mmio noncoherent_dma cr0_cd CD_NW_CLEARED guest_mtrr",
    "v4.4": "is_mmio noncoherent_dma cr0_cd CD_NW_CLEARED guest_mtrr",
    "v6.7": "is_mmio noncoherent_dma cr0_cd CD_NW_CLEARED guest_mtrr",
    "v6.11-rc1": "is_mmio noncoherent_dma self_snoop",
    "v6.11": "is_mmio noncoherent_dma",
    "v6.16": "is_mmio noncoherent_dma IGNORE_GUEST_PAT",
    "slot-flag": "is_mmio NON_COHERENT_DMA noncoherent_dma cr0_cd CD_NW_CLEARED guest_mtrr",
    "kvm-mem-dma": "is_mmio noncoherent_dma mem_dma cr0_cd CD_NW_CLEARED guest_mtrr",
    "slot-honor-mtrr": "is_mmio NON_COHERENT_DMA noncoherent_dma cr0_cd CD_NW_CLEARED guest_mtrr",
    "quirk-v1": "is_mmio noncoherent_dma IGNORE_GUEST_PAT self_snoop",
}
BITS = {"CD_NW_CLEARED": 1 << 1, "IGNORE_GUEST_PAT": 1 << 9}
FLAG = 1 << 3
FROM_6_16 = ("v6.16",)
"""The releases' sets from 6.16 on, which has IGNORE_GUEST_PAT: a later one joins them."""


@cache
def sides(name: str) -> dict[Facts, dict[str, Any]]:
    """Every state of the inputs that a rule set reads, and what lookup answers: the byte, the effective types."""
    read = READS[name].split()
    found = {}
    for combination in itertools.product(*(MTRR_TYPES if item == "guest_mtrr" else (False, True) for item in read)):
        facts = facts_of(dict(zip(read, combination, strict=True)))
        answers = lookup(kernel(name), hashable(facts))
        encoding, ipat = answers[0].memtype, answers[0].ipat
        assert encoding is not None
        found[facts] = {
            "memtype": MemType(encoding).name,
            "ipat": int(bool(ipat)),
            "mask": f"0x{answers[0].byte:02x}",
            "effective": {str(answer.pat): str(answer.effective[0][1]) for answer in answers},
        }
    return found


def hashable(facts: Facts) -> Facts:
    return facts._replace(assume={})


def facts_of(values: dict[str, Any]) -> Facts:
    """Facts by the names of the interface; what is not named is as a plain VM has it."""
    disabled = sum(bit for name, bit in BITS.items() if not values.get(name, True))
    return Facts(
        mmio=values.get("is_mmio", False),
        slot_flags=FLAG if values.get("NON_COHERENT_DMA") else 0,
        noncoherent_dma=values.get("noncoherent_dma", False),
        mem_dma=values.get("mem_dma", False),
        cr0_cd=values.get("cr0_cd", False),
        disabled_quirks=disabled,
        self_snoop=values.get("self_snoop", True),
        guest_mtrr=values.get("guest_mtrr", MemType.WB),
        assume=(),  # type: ignore[arg-type]  # no assumptions, and the facts can be looked up
    )


def inputs_of(values: dict[str, Any]) -> dict[str, Any]:
    """ "inputs" as INTERFACE has them: what neither rule set reads is absent."""
    record: dict[str, Any] = {}
    for name, value in values.items():
        if name == "NON_COHERENT_DMA":
            record["slot_flags"] = [name] if value else []
        elif name in BITS:
            record.setdefault("quirks", {})[name] = value
        else:
            record[name] = str(value) if name == "guest_mtrr" else value
    return record


def reaches(name: str, values: dict[str, Any]) -> bool:
    """Whether a kernel gets there: a quirk it has not can't be disabled, and v6.16 keeps one without self-snoop."""
    has = {"CD_NW_CLEARED": not name.startswith(("v2", "v3")), "IGNORE_GUEST_PAT": name in (*FROM_6_16, "quirk-v1")}
    if any(not values.get(quirk, True) and not has[quirk] for quirk in has):
        return False
    if name not in FROM_6_16:
        return True
    # CD_NW_CLEARED is off from the start there.
    kept = values.get("IGNORE_GUEST_PAT", True) or values.get("self_snoop", True)
    return kept and not values.get("CD_NW_CLEARED", False)


def by_lookup(before: str, after: str) -> list[dict[str, Any]]:
    """Every single change: lookup's answer under both, for each combination of the inputs that either reads."""
    reads = {name: READS[name].split() for name in (before, after)}
    either = list(dict.fromkeys([*reads[before], *reads[after]]))
    found = []
    for combination in itertools.product(*(MTRR_TYPES if item == "guest_mtrr" else (False, True) for item in either)):
        values = dict(zip(either, combination, strict=True))
        if not (reaches(before, values) or reaches(after, values)):
            continue
        old, new = (sides(name)[facts_of({item: values[item] for item in reads[name]})] for name in (before, after))
        if old["mask"] != new["mask"]:
            found.append({"inputs": inputs_of(values), "before": old, "after": new})
    return found


def in_order(lines: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(line, sort_keys=True) for line in lines)


@pytest.mark.parametrize("before", NAMES)
def test_expand_is_lookup_compared_with_lookup(before: str) -> None:
    """One line for each single combination of the inputs that either reads, where the returned bytes differ."""
    for after in NAMES:
        found = compare(kernel(before), kernel(after))
        assert in_order(list(diff_lines(found, True))) == in_order(by_lookup(before, after))


@pytest.mark.parametrize(
    ("before", "after"), [("v6.7", "slot-flag"), ("v6.11", "v6.16"), ("kvm-mem-dma", "quirk-v1"), ("v4.2", "v2.6.28")]
)
def test_the_program_expands(before: str, after: str) -> None:
    done = quick("diff", before, after, "-o", "jsonl", "--expand")
    assert (done.status, done.err) == (1, "")
    wanted = by_lookup(before, after)
    assert in_order([json.loads(line) for line in done.out.splitlines()]) == in_order(wanted)
    whole = quick("diff", before, after, "-o", "json", "--expand")
    assert in_order(json.loads(whole.out)["rows"]) == in_order(wanted)
    assert json.loads(whole.out)["changed"] == len(wanted)
    rows = list(csv.DictReader(io.StringIO(quick("diff", before, after, "-o", "csv", "--expand").out)))
    assert sorted((row["before"], row["after"], row["after WC"]) for row in rows) == sorted(
        (line["before"]["mask"], line["after"]["mask"], line["after"]["effective"]["WC"]) for line in wanted
    )


@pytest.mark.parametrize(
    ("args", "status"),
    [
        (("v6.7", "slot-flag"), 1),
        (("v6.7", "v6.7"), 0),
        (("v4.3", "v4.4"), 0),
        (("6.6", "6.12.80"), 1),
        (("latest", RELEASES[-1].rules.name), 0),
        (("v6.7", "v6.77"), 2),
        (("v6.7",), 2),
        (("v6.7", "v6.11", "v6.16"), 2),
        (("v6.7", "nowhere.yaml"), 2),
        (("v6.7", "v6.11", "--base", "v6.7"), 2),
    ],
)
def test_exit_status(args: tuple[str, ...], status: int) -> None:
    """0 equal, 1 different, 2 wrong usage or bad input, with one message and nothing on standard output."""
    done = quick("diff", *args)
    assert done.status == status
    assert bool(done.err) is (status == 2)
    assert bool(done.out) is (status != 2)


# The forms.

PLAIN_TEXT = """\
v6.7 -> slot-flag
33 of 160 reachable inputs change: slots with NON_COHERENT_DMA that are not host
MMIO; non-coherent DMA, guest CR0.CD, quirk CD_NW_CLEARED and guest MTRR type
stop mattering there.

ROW INPUTS BEFORE    AFTER     UC    UC-       WC    WT        WP        WB
1   20     0x70 WB,1 0x30 WB,0 WB>UC WB>UC     WB>WC WB>WT     WB>WP     WB
2   8      MTRR,0    0x30 WB,0 UC    UC/WC*>UC WC    UC/WT*>WT UC/WP*>WP MTRR>WB
3   5      0x40 UC,1 0x30 WB,0 UC    UC        UC>WC UC>WT     UC>WP     UC>WB

when
1  not mmio and slot_flag NON_COHERENT_DMA and not noncoherent_dma
2  not mmio and slot_flag NON_COHERENT_DMA and noncoherent_dma and not cr0_cd
   and guest_mtrr UC|WC|WT|WP
3  not mmio and slot_flag NON_COHERENT_DMA and noncoherent_dma and cr0_cd and
   not quirk CD_NW_CLEARED

around the rules
slot flags accepted  before: LOG_DIRTY_PAGES, READONLY
                     after: LOG_DIRTY_PAGES, READONLY, GUEST_MEMFD,
                     NON_COHERENT_DMA

note: a>b: the effective type changes from a to b
note: *: for some inputs or all, undefined in previous editions of the manual
note: slot-flag is a proposal of 5 January 2024, not in mainline
"""

EQUAL = """\
v4.3 -> v4.4
none of 80 reachable inputs changes: the rules of v4.3 and v4.4 return the same
bytes.

around the rules
guest MTRR walk  before: 4.2 and 4.3: descending bases, E=0 always UC, fixed
                 ranges misread, masks of the host's width
                 after: 4.4 to 6.10: descending bases, E=0 is UC only if CPUID
                 has MTRRs

note: the rules agree, but the guest MTRR type itself is found another way: see
      guest MTRR walk
"""

EXPANDED = """\
v6.11 -> v6.16
1 of 8 reachable inputs changes: pages that are not host MMIO, without
non-coherent DMA, with quirk IGNORE_GUEST_PAT disabled.

BEFORE AFTER INPUTS
0x70   0x30  not mmio and not noncoherent_dma and not quirk IGNORE_GUEST_PAT
"""

CSV = """\
when,count,before,after,before UC,before UC-,before WC,before WT,before WP,before WB,\
after UC,after UC-,after WC,after WT,after WP,after WB
not mmio and slot_flag NON_COHERENT_DMA and not noncoherent_dma,20,0x70,0x30,WB,WB,WB,WB,WB,WB,UC,UC,WC,WT,WP,WB
not mmio and slot_flag NON_COHERENT_DMA and noncoherent_dma and not cr0_cd and guest_mtrr UC|WC|WT|WP,8,\
guest MTRR type,0x30,UC,UC/WC,WC,UC/WT,UC/WP,UC/WC/WT/WP,UC,UC,WC,WT,WP,WB
not mmio and slot_flag NON_COHERENT_DMA and noncoherent_dma and cr0_cd and not quirk CD_NW_CLEARED,5,\
0x40,0x30,UC,UC,UC,UC,UC,UC,UC,UC,WC,WT,WP,WB
"""


def test_plain() -> None:
    assert quick("diff", "v6.7", "slot-flag") == (1, PLAIN_TEXT, "")
    assert quick("diff", "v6.11", "v6.16", "--expand").out.startswith(EXPANDED)


def test_equal_lists_with_another_walk() -> None:
    """Rule sets whose lists agree but whose guest-MTRR walks differ compare as equal, with a note."""
    assert quick("diff", "v4.3", "v4.4") == (0, EQUAL, "")
    assert quick("diff", "v4.3", "v4.4", "-o", "jsonl") == (0, "", "")
    record = quick("diff", "v4.3", "v4.4", "-o", "json").json
    assert (record["changed"], record["reachable"], record["rows"]) == (0, 80, [])
    assert record["notes"] == [
        "the rules agree, but the guest MTRR type itself is found another way: see guest MTRR walk"
    ]


def test_csv_and_tsv() -> None:
    assert quick("diff", "v6.7", "slot-flag", "-o", "csv") == (1, CSV, "")
    tsv = quick("diff", "v6.7", "slot-flag", "-o", "tsv")
    assert tsv == (1, CSV.replace(",", "\t"), "")


def test_json() -> None:
    """The keys; notes belong to the answer, and are a list."""
    done = quick("diff", "v6.7", "slot-flag", "-o", "json")
    record = json.loads(done.out)
    assert (done.status, done.err) == (1, "")
    assert list(record) == [
        *("before", "after", "before_ref", "after_ref", "text", "changed", "reachable", "left_out"),
        *("rows", "mmio_rows", "around", "notes"),
    ]
    assert (record["before"], record["after"]) == ("v6.7", "slot-flag")
    assert (record["changed"], record["reachable"], record["left_out"]) == (33, 160, 0)
    assert [row["count"] for row in record["rows"]] == [20, 8, 5]
    assert record["rows"][0]["when"] == {
        "is_mmio": False,
        "slot_flags": ["NON_COHERENT_DMA"],
        "slot_flags_clear": [],
        "noncoherent_dma": False,
    }
    assert record["around"] == [
        {
            "what": "slot flags accepted",
            "before": "LOG_DIRTY_PAGES, READONLY",
            "after": "LOG_DIRTY_PAGES, READONLY, GUEST_MEMFD, NON_COHERENT_DMA",
        }
    ]
    assert record["notes"] == ["slot-flag is a proposal of 5 January 2024, not in mainline"]
    lines = quick("diff", "v6.7", "slot-flag", "-o", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == record["rows"]
    vendor = json.loads(quick("diff", "6.12.107+deb12-amd64", "v6.7", "-o", "json").out)
    assert any("vendors backport" in note for note in vendor["notes"])


@pytest.mark.parametrize("form", ["table", "markdown", "html", "svg"])
def test_other_forms(form: str) -> None:
    done = quick("diff", "v6.7", "slot-flag", "-o", form)
    assert (done.status, done.err) == (1, "")
    assert "NON_COHERENT_DMA" in done.out.replace("\\", "")
    assert "UC/WC" in done.out


# Plain, whatever the rule sets.


def type_words(found: Diff) -> dict[Input, str]:
    """The words that stand for memory types taken from inputs."""
    taken = [outcome.memtype_of for row in found.rows for outcome in (row.before, row.after)]
    other = [item for item in dict.fromkeys(taken) if item is not None and item != GUEST_MTRR]
    assert len(other) < 2
    return {GUEST_MTRR: "MTRR", **dict.fromkeys(other, "TYPE")}


def check_cells(found: Diff, row: DiffRow, cells: dict[str, str], words: dict[Input, str]) -> None:
    """Each cell says what the effective types are before and after, and is marked if any changes."""
    items = list(dict.fromkeys(o.memtype_of for o in (row.before, row.after) if o.memtype_of is not None))
    admitted = [row.when.get(item, domain(item)) for item in items]
    for pat in PAT_TYPES:
        seen: list[tuple[str, str]] = []
        for values in itertools.product(*admitted):
            facts = Facts()
            for item, value in zip(items, values, strict=True):
                facts = with_value(facts, item, value)
            seen.append((TYPES[row.before.byte(facts)][pat], TYPES[row.after.byte(facts)][pat]))
        shown = cells[str(pat)].split(">")
        assert (len(shown) == 2) is any(old != new for old, new in seen)
        for side, outcome in ((0, row.before), (1, row.after)):
            text = shown[side if len(shown) == 2 else 0]
            taken = outcome.memtype_of
            if taken is not None and text == words[taken]:
                at = items.index(taken)  # the word: whatever the input's own type is
                kinds = list(itertools.product(*admitted))
                assert all(pair[side] == str(values[at]) for pair, values in zip(seen, kinds, strict=True))
            else:
                sides = (outcome,) if len(shown) == 2 else (row.before, row.after)
                some = {byte for one in sides for byte in bytes_of(one, items, admitted)}
                assert text.endswith("*") is any(is_starred(byte, pat) for byte in some)
                assert set(text.removesuffix("*").split("/")) == {pair[side] for pair in seen}


def bytes_of(outcome: Outcome, items: list[Input], admitted: list[tuple[Value, ...]]) -> set[int]:
    found = set()
    for values in itertools.product(*admitted):
        facts = Facts()
        for item, value in zip(items, values, strict=True):
            facts = with_value(facts, item, value)
        found.add(outcome.byte(facts))
    return found


def is_starred(byte: int, pat: MemType) -> bool:
    """Whether the manual's earlier editions left the cell undefined: by hand, the five there are."""
    cells = {("WC", "WT"), ("WC", "WP"), ("WT", "WP"), ("WP", "UC-"), ("WP", "WT")}
    names = {1: "WC", 4: "WT", 5: "WP"}
    return not byte & 0x40 and (names.get(byte >> 3 & 7), str(pat)) in cells


def types_of(byte: int) -> dict[MemType, str]:
    one = kernel_at((6, 10), RuleSet("x", "", (Rule("x", ALWAYS, Outcome(byte), ""),)), "x")
    kinds = {answer.pat: answer.effective[0][1] for answer in lookup(one, Facts())}
    return {pat: "-" if kind is None else str(kind) for pat, kind in kinds.items() if pat is not None}


TYPES = {byte: types_of(byte) for byte in range(256)}


def check_plain(found: Diff) -> None:
    """At most 80 columns, ASCII, nothing cut off."""
    document = diff_document(found)
    tables = [block for block in document.blocks if isinstance(block, Table)]
    cells: dict[str, dict[str, str]] = {}
    for table in tables:
        widths = [max(len(text_of(row[n])) for row in [table.columns, *table.rows]) for n in range(len(table.columns))]
        assert sum(widths) + len(widths) - 1 <= 80
        assert table.columns[0] == "ROW"
        for line in table.rows:
            texts = dict(zip(table.columns, map(text_of, line), strict=True))
            cells.setdefault(texts.pop("ROW"), {}).update(texts)
    words = type_words(found)
    assert list(cells) == [str(n) for n in range(1, len(found.rows) + 1)]
    for row, shown in zip(found.rows, cells.values(), strict=True):
        assert shown["INPUTS"] == str(row.states)
        check_cells(found, row, shown, words)
    for lines in (list(render(document)), list(render(expanded_document(found)))):
        assert all(len(line) <= 80 and line.isascii() and line == line.rstrip() for line in lines)
    if "TYPE" in words.values():
        assert any(note.startswith("TYPE: `") for note in document.notes)


@pytest.mark.parametrize("before", NAMES)
def test_plain_of_all_pairs(before: str) -> None:
    """Fixed columns in ASCII, at most 80 columns; a cell is marked where and only where a type changes."""
    for after in NAMES:
        check_plain(compare(kernel(before), kernel(after)))


POOL = (PLAIN[0], PLAIN[1], Input("slot_flag", "READONLY"), *TYPED)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.sampled_from(POOL), min_size=1, max_size=4, unique=True).flatmap(
        lambda pool: st.tuples(rule_sets(pool), rule_sets(pool))
    )
)
def test_plain_of_random_pairs(pair: tuple[RuleSet, RuleSet]) -> None:
    """Also where rules return odd bytes, and memory types that only a C file knows."""
    found = compare(*(kernel_at((6, 10), rules, name) for rules, name in zip(pair, "ab", strict=True)))
    check_plain(found)
    assert json.loads(json.dumps(diff_record(found, False)))["changed"] == found.changed_count
    for expand in (False, True):
        rows = list(diff_rows(found, expand))
        assert len({len(row) for row in rows}) == 1
        assert not any("None" in cell for row in rows for cell in row[2:])


# REFs that are files.

FUNCTION = """\
static u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)
{
\tif (is_mmio)
\t\treturn MTRR_TYPE_UNCACHABLE << VMX_EPT_MT_EPTE_SHIFT;

\tif (kvm_own(vcpu->kvm))
\t\treturn MTRR_TYPE_WRBACK;

\treturn own_type(vcpu, gfn) << VMX_EPT_MT_EPTE_SHIFT;
}
"""
VARIATION = """\
base: v6.16
changes:
  - insert_after: mmio
    id: snoop
    when: not self_snoop and not quirk IGNORE_GUEST_PAT
    ept: {memtype: UC, ipat: 1}
"""


def test_refs_that_are_files(tmp_path: Path) -> None:
    (tmp_path / "same.yaml").write_text(write_rule_file(kernel("v6.7")))
    (tmp_path / "own.c").write_text(c_file(FUNCTION))
    (tmp_path / "seed.patch").write_text(SEED.read_text())
    assert quick("diff", "v6.7", "same.yaml", cwd=tmp_path).status == 0
    plain = quick("diff", "same.yaml", "slot-flag", "-o", "jsonl", cwd=tmp_path)
    assert plain == quick("diff", "v6.7", "slot-flag", "-o", "jsonl")
    for args in (("seed.patch",), ("seed.patch", "--base", "same.yaml"), ("./seed.patch", "--base", "v6.7")):
        done = quick("diff", "slot-flag", *args, "-o", "json", cwd=tmp_path)
        assert (done.status, json.loads(done.out)["changed"]) == (0, 0)
    done = quick("diff", "v6.7", "-", "-o", "jsonl", stdin=SEED.read_text())
    assert done.out == plain.out
    # A C file is named as given, and what it alone knows is an input under its source text.
    done = quick("diff", "v6.7", "own.c", "-o", "jsonl", "--expand", cwd=tmp_path)
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert {line["inputs"]["assume"]["kvm_own(vcpu->kvm)"] for line in lines} == {True, False}
    assert {line["inputs"]["assume"]["own_type(vcpu, gfn)"] for line in lines} == {"UC", "WC", "WT", "WP", "WB"}
    assert quick("diff", "v6.7", "own.c", cwd=tmp_path).out.startswith("v6.7 -> own.c\n")
    assert "note: TYPE: `own_type(vcpu, gfn)`\n" in quick("diff", "v6.7", "own.c", cwd=tmp_path).out


def test_states_that_neither_reaches_are_left_out_and_counted(tmp_path: Path) -> None:
    """From v6.16 on, IGP cannot be turned off on a CPU without self-snoop."""
    (tmp_path / "snoop.yaml").write_text(VARIATION)
    same = quick("diff", "v6.16", "snoop.yaml", cwd=tmp_path)
    assert same.status == 0
    assert "none of 12 reachable inputs changes" in same.out
    assert "note: 4 combinations left out: neither kernel can get there" in same.out
    # quirk-v1 gets there.
    lines = quick("diff", "quirk-v1", "snoop.yaml", "-o", "jsonl", "--expand", cwd=tmp_path).out.splitlines()
    changed = [json.loads(line)["inputs"] for line in lines]
    assert all(not c["self_snoop"] and not c["quirks"]["IGNORE_GUEST_PAT"] for c in changed)
    assert len(changed) == 2


def test_what_is_wrong_with_a_file_is_told_at_its_place(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(VARIATION.replace("insert_after: mmio", "insert_after: mimo"))
    done = quick("diff", "v6.7", "bad.yaml", cwd=tmp_path)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("bad.yaml:3:19: no rule 'mimo' in the base (did you mean mmio?)\n")
    (tmp_path / "bad.c").write_text(c_file(FUNCTION.replace("own_type(vcpu, gfn) <<", "own_type(vcpu, gfn) +")))
    done = quick("diff", "bad.c", "v6.7", cwd=tmp_path)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("bad.c:20:")


TEST_C = "static bool kvm_is_mmio_pfn(kvm_pfn_t pfn)\n{\n\tif (pfn_valid(pfn))\n\t\treturn ZERO;\n\n\treturn true;\n}\n"


def test_files_with_the_host_mmio_test_alone(tmp_path: Path) -> None:
    """Two of them, or one beside a release or rules: the tests are compared, on one set of rules, which is said."""
    reserved = "PageReserved(pfn_to_page(pfn))"
    (tmp_path / "a.c").write_text(TEST_C.replace("ZERO", f"!is_zero_pfn(pfn) && {reserved}"))
    (tmp_path / "b.c").write_text(TEST_C.replace("ZERO", reserved))
    (tmp_path / "vmx.c").write_text(c_file(FUNCTION))
    becomes = {"inputs": {"struct_page": True, "zero_page": True}, "before": {"mmio": False}, "after": {"mmio": True}}
    pairs: tuple[tuple[tuple[str, ...], str], ...] = (
        (("a.c", "b.c"), "4.15"),
        (("a.c", "b.c", "--kernel", "4.4"), "4.4"),
        (("4.14", "b.c"), "4.14"),
        (("5.15", "b.c"), "5.15"),
    )
    for words, whose in pairs:
        done = quick("diff", *words, "-o", "json", cwd=tmp_path)
        found = json.loads(done.out)
        assert (done.status, done.err, found["changed"]) == (1, "", 0)
        assert f"b.c has no vmx_get_mt_mask(): the rules are those of {whose}" in found["notes"]
        assert whose == "5.15" or found["mmio_rows"] == [becomes]
        assert found["mmio_rows"]
    back = json.loads(quick("diff", "b.c", "vmx.c", "--kernel", "4.14", "-o", "json", cwd=tmp_path).out)
    assert back["mmio_rows"] == [becomes | {"before": becomes["after"], "after": becomes["before"]}]
    assert "vmx.c has no host-MMIO test: that of 4.14 stands for it" in back["notes"]
    assert quick("diff", "a.c", "a.c", cwd=tmp_path).status == 0
    for command in (("lookup", "-r", "a.c"), ("table", "-r", "a.c"), ("rules", "show", "a.c")):
        done = quick(*command, cwd=tmp_path)
        assert (done.status, done.out) == (2, "")
        assert done.err.startswith("a.c:1:1: no vmx_get_mt_mask() is defined here (the file that holds it; a host-MMIO")


def test_a_host_mmio_test_alone_that_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text(TEST_C.replace("return ZERO", "for (;;)"))
    done = quick("diff", "a.c", "6.1", cwd=tmp_path)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("a.c:4:3: ")
    (tmp_path / "b.c").write_text(
        TEST_C.replace("kvm_is_mmio_pfn", "kvm_is_reserved_pfn").replace("kvm_pfn_t", "pfn_t")
    )
    done = quick("diff", "6.1", "b.c", "--kernel", "6.1", cwd=tmp_path)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("b.c:1:1: 6.1 asks no kvm_is_reserved_pfn() about host MMIO (--kernel 4.1)")
