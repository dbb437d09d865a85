# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc table as a program: the matrix, --where, and rule sets one below the other."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.analysis.answer import Answer, each_pat
from mtcalc.analysis.lookup import lookup as look_up
from mtcalc.analysis.table import matrix as rows_of
from mtcalc.cli.lookup import lookup
from mtcalc.cli.table import table
from mtcalc.output.document import Table, text_of
from mtcalc.output.plain import render
from mtcalc.output.table import matrix_document
from mtcalc.rules.builtin import built_in, built_in_names
from mtcalc.rules.inputs import Facts
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, MemType


def run(*args: str) -> Result:
    """The command in this process; what it raises comes out."""
    return CliRunner().invoke(table, args, catch_exceptions=False)


def program(*args: str) -> subprocess.CompletedProcess[str]:
    """The program as users run it."""
    return subprocess.run([sys.executable, "-m", "mtcalc", *args], capture_output=True, text=True, check=False)


HONOURED = """\
rules v6.7, VMX with EPT
guest MTRR type down, PAT type across; host MMIO no, non-coherent DMA yes, guest
CR0.CD no, quirk CD_NW_CLEARED yes

MTRR EPT  UC UC- WC WT  WP  WB RULE
UC   0x00 UC UC  WC UC  UC  UC guest-mtrr
WC   0x08 UC WC  WC UC* UC* WC guest-mtrr
WT   0x20 UC UC  WC WT  WP* WT guest-mtrr
WP   0x28 UC WC* WC WT* WP  WP guest-mtrr
WB   0x30 UC UC  WC WT  WP  WB guest-mtrr

note: * undefined in previous editions of the manual, so implementation-defined
"""

BESIDE = """\
rules v6.7, slot-flag side by side, VMX with EPT
10 of 30 effective types and 4 of 5 EPT bytes differ between v6.7 and slot-flag
guest MTRR type down, PAT type across; host MMIO no, non-coherent DMA yes, guest
CR0.CD no, quirk CD_NW_CLEARED yes, slot flag NON_COHERENT_DMA yes

v6.7
MTRR EPT  UC UC- WC WT  WP  WB RULE
UC   0x00 UC UC  WC UC  UC  UC guest-mtrr
WC   0x08 UC WC  WC UC* UC* WC guest-mtrr
WT   0x20 UC UC  WC WT  WP* WT guest-mtrr
WP   0x28 UC WC* WC WT* WP  WP guest-mtrr
WB   0x30 UC UC  WC WT  WP  WB guest-mtrr

slot-flag
MTRR EPT   UC UC- WC WT  WP  WB  RULE
UC   0x30! UC UC  WC WT! WP! WB! slot-flag
WC   0x30! UC UC! WC WT! WP! WB! slot-flag
WT   0x30! UC UC  WC WT  WP  WB! slot-flag
WP   0x30! UC UC! WC WT  WP  WB! slot-flag
WB   0x30  UC UC  WC WT  WP  WB  slot-flag

note: ! differs from v6.7
note: * undefined in previous editions of the manual, so implementation-defined
note: v6.7: this kernel refuses slot flag NON_COHERENT_DMA (EINVAL)
note: slot-flag is a proposal of 5 January 2024, not in mainline
"""


def test_the_matrix_of_the_program() -> None:
    """Plain output of a whole run, exit status 0, nothing on standard error."""
    done = program("table", "-r", "v6.7", "--noncoherent-dma", "-o", "plain")
    assert (done.stdout, done.stderr, done.returncode) == (HONOURED, "", 0)


def test_rule_sets_one_below_the_other() -> None:
    """Differences are no failure here: the exit status is 0."""
    flags = ("--noncoherent-dma", "--slot-flag", "non-coherent-dma")
    done = program("table", "-r", "v6.7", "-r", "slot-flag", *flags, "-o", "plain")
    assert (done.stdout, done.stderr, done.returncode) == (BESIDE, "", 0)


def test_rows_merge_where_the_mtrr_type_is_not_read() -> None:
    """One row for any guest MTRR type; a type asked for keeps its name."""
    assert "\nany  0x70 WB WB  WB WB WB WB coherent\n" in run("-r", "v6.7", "-o", "plain").output
    assert "\nWC   0x70 WB WB  WB WB WB WB coherent\n" in run("-r", "v6.7", "--mtrr", "wc", "-o", "plain").output


def test_pat_restricts_the_columns() -> None:
    """--mtrr and --pat restrict rows and columns; without paging the PAT type is WB."""
    assert "MTRR EPT  WC UC- RULE\n" in run("--pat", "wc", "--pat", "uc-", "-o", "plain").output
    off = run("-r", "v6.16", "--no-paging", "--noncoherent-dma", "-o", "plain").output
    assert "MTRR EPT  WB RULE\nany  0x30 WB guest-pat\n" in off
    assert "note: guest CR0.PG is 0: the PAT memory type is WB\n" in off


def test_json_is_lookups_answers_mtrr_type_by_mtrr_type() -> None:
    """A flat list of answers, one for each MTRR and PAT type, the rows of plain not merged."""
    flags = ["-r", "6.12.80", "--mmio", "-o", "json"]
    found = json.loads(run(*flags).output)
    wanted = []
    for kind in MTRR_TYPES:
        one = CliRunner().invoke(lookup, [*flags, "--mtrr", str(kind)], catch_exceptions=False)
        wanted += json.loads(one.output)
    for answer in wanted:  # an input that was named, and is not read, has a note about that
        answer["notes"] = [note for note in answer["notes"] if "does not read: guest MTRR" not in note]
    assert found == wanted
    assert len(found) == 30
    lines = run(*flags[:-1], "jsonl").output.splitlines()
    assert [json.loads(line) for line in lines] == found
    rows = list(csv.DictReader(io.StringIO(run(*flags[:-1], "csv").output)))
    assert [(row["mtrr"], row["pat"], row["effective"]) for row in rows] == [
        (answer["inputs"]["guest_mtrr"], answer["pat"], answer["effective"]) for answer in found
    ]


def test_several_rule_sets_are_one_flat_list() -> None:
    """Rule set by rule set."""
    both = json.loads(run("-r", "v6.7", "-r", "v6.16", "-o", "json").output)
    alone = [json.loads(run("-r", name, "-o", "json").output) for name in ("v6.7", "v6.16")]
    assert both == alone[0] + alone[1]


WHO = """\
rules v6.16, VMX with EPT
26 of 48 combinations of inputs: effective=UC

MTRR EPT  UC UC- WC WT WP WB RULE      WHEN
any  0x00 UC UC  .  UC UC UC mmio      mmio
any  0x30 UC UC  .  .  .  .  guest-pat not mmio and not quirk IGNORE_GUEST_PAT
any  0x30 UC UC  .  .  .  .  guest-pat not mmio and noncoherent_dma
"""


def test_who_gets_uc() -> None:
    """Only what fits, over every input not fixed by a flag: what does not matter is left out."""
    done = program("table", "-r", "v6.16", "--where", "effective=UC", "-o", "plain")
    assert done.stdout == WHO
    assert (done.stderr, done.returncode) == ("", 0)


def test_where_in_json_is_a_flat_list_of_what_fits() -> None:
    """Uncompressed: one answer for each combination, all conditions hold."""
    found = json.loads(run("-r", "v6.7", "--where", "effective=UC", "--where", "mmio=no", "-o", "json").output)
    assert {answer["effective"] for answer in found} == {"UC"}
    assert {answer["inputs"]["is_mmio"] for answer in found} == {False}
    assert {answer["rule"]["id"] for answer in found} == {"guest-mtrr", "cd-quirk", "cd"}
    seen = {json.dumps([answer["inputs"], answer["pat"]]) for answer in found}
    # cd: 6 PAT types under 5 MTRR types; its quirk: 2 under 5; guest MTRR UC 5, WC 3, WT 2, WP 1, WB 2 with
    # each of the quirk's two values
    assert len(found) == len(seen) == 6 * 5 + 2 * 5 + 2 * (5 + 3 + 2 + 1 + 2)


def test_nothing_fits_is_an_answer() -> None:
    """Exit status 0, and none in words."""
    done = run("-r", "v6.16", "--where", "effective=WP", "--where", "pat=WB", "-o", "plain")
    assert done.exit_code == 0
    assert done.output == "rules v6.16, VMX with EPT\nnone of 48 combinations of inputs: effective=WP, pat=WB\n"
    assert run("-r", "v6.16", "--where", "effective=WP", "--where", "pat=WB", "-o", "json").output == "[]\n"


def test_where_side_by_side() -> None:
    """Rule sets one below the other, over the inputs that any of them reads; another EPT byte is marked."""
    shown = run("-r", "v6.7", "-r", "slot-flag", "--where", "ept=0x30", "--mtrr", "wb", "-o", "plain").output
    assert shown.startswith(
        "rules v6.7, slot-flag side by side, VMX with EPT\ncombinations of inputs with ept=0x30: 36 of 192 under"
    )
    first, second = shown.split("\nslot-flag; WHEN, in every row: not mmio\n")
    assert "0x30!" not in first
    assert "\nWB   0x30! UC UC  WC WT WP WB slot-flag  not noncoherent_dma" in second
    assert "\nWB   0x30  UC UC  WC WT WP WB guest-mtrr noncoherent_dma" in second
    assert "note: ! another EPT byte under v6.7\n" in shown


def test_left_out_states_are_counted() -> None:
    """States the kernel cannot reach are left out, and a note says how many."""
    shown = run("-r", "v6.16", "--where", "effective=UC", "--where", "self_snoop=no", "-o", "plain").output
    assert "of 72 combinations" in shown
    assert "note: 24 combinations left out: the kernel cannot get there (from 6.16 and" in shown


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("efective=UC", "mtcalc: --where: 'efective' is no key of an answer (did you mean effective?)\n"),
        ("rule=mimo", "mtcalc: --where: 'mimo' is no rule here (did you mean mmio?)\n"),
    ],
)
def test_a_bad_condition_is_one_message_and_status_2(condition: str, message: str) -> None:
    """Nothing on standard output."""
    done = program("table", "--where", condition, "-o", "json")
    assert (done.stdout, done.stderr, done.returncode) == ("", message, 2)


@settings(max_examples=40, deadline=None)
@given(
    names=st.lists(st.sampled_from(built_in_names()), min_size=2, max_size=3),
    facts=st.builds(
        Facts,
        mmio=st.booleans(),
        slot_flags=st.sampled_from((0, 8)),
        noncoherent_dma=st.sampled_from((True, True, False)),
        cr0_cd=st.booleans(),
        disabled_quirks=st.sampled_from((0, 2, 512)),
        self_snoop=st.booleans(),
    ),
)
def test_marks_stand_on_exactly_the_cells_that_differ(names: list[str], facts: Facts) -> None:
    """Cells that differ from the first rule set are marked, and no others; plain has at most 80 columns."""
    sides = [rows_of(kernel, facts, MTRR_TYPES, PAT_TYPES) for name in names if (kernel := built_in(name))]
    document = matrix_document(sides, PAT_TYPES)
    tables = [block for block in document.blocks if isinstance(block, Table)]
    assert len(tables) == len(names)
    for name, shown in zip(names, tables, strict=True):
        seen = []
        for row in shown.rows:
            mtrrs, mask, *cells, rule = map(text_of, row)
            kinds = MTRR_TYPES if mtrrs == "any" else [MemType[word] for word in mtrrs.split()]
            for kind in kinds:
                seen.append(kind)
                base, mine = (answer_of(each, facts, kind) for each in (names[0], name))
                assert mask == f"{mine[0].byte:#04x}{'!' if mine[0].byte != base[0].byte else ''}"
                assert mine[0].rule is not None
                assert rule == mine[0].rule.id
                for cell, pat, a, b in zip(cells, PAT_TYPES, base, mine, strict=True):
                    star = "*" if b.starred(pat) else ""
                    mark = "!" if a.effective != b.effective else ""
                    assert cell == f"{b.effective[0][1]}{star}{mark}"
        assert sorted(seen) == sorted(MTRR_TYPES)
    lines = list(render(document))
    assert max(map(len, lines)) <= 80
    assert any("!" in line for line in lines) == ("! differs" in "".join(document.notes))


def answer_of(name: str, facts: Facts, kind: MemType) -> tuple[Answer, ...]:
    kernel = built_in(name)
    assert kernel is not None
    return each_pat(look_up(kernel, facts._replace(guest_mtrr=kind)))
