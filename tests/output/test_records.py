# SPDX-License-Identifier: GPL-2.0-only
"""Answers as plain data: reserved bytes, assumptions, addresses in no slot."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtcalc.analysis.answer import Answer, effective_types
from mtcalc.analysis.evaluate import Evaluator
from mtcalc.kvm.vm import Slot, Vm
from mtcalc.output.document import Document
from mtcalc.output.emit import Result, emit, write_rows
from mtcalc.output.records import answer_header, answer_record, answer_row, answer_rows, inputs_record
from mtcalc.refs.resolve import resolve
from mtcalc.rules.condition import ALWAYS
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import Kernel, kernel_for_rules
from mtcalc.rules.rule import Outcome, Rule, RuleSet
from mtcalc.x86.memtype import PAT_TYPES, MemType
from support.answers import lookup
from support.notes import noted


def kernel_of(byte: int) -> Kernel:
    """A rule set that returns one byte whatever is asked."""
    return kernel_for_rules(RuleSet("odd", "", (Rule("all", ALWAYS, Outcome(byte), "so"),)), "odd.yaml")


@pytest.mark.parametrize("encoding", [2, 3, 7])
def test_a_reserved_memory_type_has_no_effective_type(encoding: int) -> None:
    """2, 3 and 7 are an EPT misconfiguration."""
    (answer,) = lookup(kernel_of(encoding << 3), Facts(), [MemType.WB])
    record = answer_record(answer)
    assert record["ept"] == {"memtype": f"reserved {encoding}", "ipat": 0, "mask": f"{encoding << 3:#04x}"}
    assert record["effective"] is None
    assert answer_row(answer, six=False)[9:14] == [f"reserved {encoding}", "0", f"{encoding << 3:#04x}", "WB", ""]
    assert noted(answer.notes) == (f"memory type {encoding} is reserved: the entry is an EPT misconfiguration",)
    assert not answer.starred(MemType.WB)


def test_bits_outside_are_said() -> None:
    """A forgotten shift: 0x06 is UC with stray permission bits."""
    (answer,) = lookup(kernel_of(0x06), Facts(), [MemType.WC])
    assert answer_record(answer)["ept"] == {"memtype": "UC", "ipat": 0, "mask": "0x06"}
    assert answer_record(answer)["effective"] == "WC"
    assert noted(answer.notes) == ("the byte 0x06 has bits outside memory type and ignore-PAT: 0x06",)


def test_no_slot_is_empty_everywhere() -> None:
    answer = Evaluator(resolve("v6.7"), Vm(), (Slot(0, 4096, "ram"),)).page(4096, MemType.WC)
    assert answer_row(answer, six=False) == ["v6.7", "0x1000", *[""] * 10, "WC", "", "v6.7", *[""] * 4]
    assert answer_row(answer, six=True) == ["v6.7", "0x1000", *[""] * 16, "v6.7", *[""] * 4]
    assert (answer.memtype, answer.ipat, answer.starred(MemType.WC)) == (None, None, False)


def test_header_and_rows_are_of_one_length() -> None:
    answers = lookup(resolve("v6.7"), Facts())
    for six in (False, True):
        assert {len(row) for row in answer_rows(answers, six)} == {len(answer_header(six))}


def test_assumptions_are_shown_where_there_are_any() -> None:
    assert "assume" not in inputs_record(Facts())
    assumed = inputs_record(Facts(assume={"x()": True, "y": MemType.WC}))
    assert assumed["assume"] == {"x()": True, "y": "WC"}
    assert inputs_record(Facts(guest_mtrr=None))["guest_mtrr"] is None


def test_effective_types_with_and_without_paging() -> None:
    assert dict(effective_types(0x30, PAT_TYPES))[MemType.WC] is MemType.WC
    assert set(dict(effective_types(0x30, PAT_TYPES, paging=False)).values()) == {MemType.WB}
    assert set(dict(effective_types(0x38, PAT_TYPES)).values()) == {None}


def test_a_form_that_a_result_lacks_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError, match="no form csv"):
        emit(Result(document=lambda: Document([])), "csv", False)


def test_an_answer_is_immutable() -> None:
    (answer,) = lookup(resolve("v6.7"), Facts(), [MemType.WC])
    assert isinstance(answer, Answer)
    assert hash(answer.kernel.rules) == hash(resolve("v6.7").rules)


def test_rows_of_different_inputs_never_look_alike() -> None:
    """Every single input that one may change changes its row, or the header."""
    kernel = resolve("quirk-v1")
    base = Facts()
    others = [
        base._replace(mmio=True),
        base._replace(slot_flags=8),
        base._replace(noncoherent_dma=True),
        base._replace(mem_dma=True),
        base._replace(cr0_cd=True),
        base._replace(disabled_quirks=2),
        base._replace(disabled_quirks=0x200),
        base._replace(self_snoop=False),
        base._replace(guest_mtrr=MemType.UC),
        base._replace(assume={"x()": True}),
        base._replace(assume={"x()": False}),
        base._replace(assume={"x()": MemType.WC}),
    ]
    for six in (False, True):
        shown = {str(list(answer_rows(lookup(kernel, facts, [MemType.WC]), six))) for facts in (base, *others)}
        assert len(shown) == len(others) + 1
        together = [answer for facts in (base, *others) for answer in lookup(kernel, facts, [MemType.WC])]
        rows = list(map(tuple, answer_rows(together, six)))
        assert len(set(rows)) == len(rows) == len(others) + 2
        assert {len(row) for row in rows} == {len(rows[0])}


@given(st.lists(st.lists(st.text(max_size=6), min_size=2, max_size=4), min_size=1, max_size=3))
def test_a_row_is_a_line_without_control_characters(rows: list[list[str]]) -> None:
    for form, mark in (("csv", ","), ("tsv", "\t")):
        out = io.StringIO()
        write_rows(out, rows, form)
        lines = out.getvalue().split("\n")
        assert lines.pop() == ""
        assert len(lines) == len(rows)
        for line, row in zip(lines, rows, strict=True):
            assert all(c.isprintable() or c == mark for c in line)
            (back,) = csv.reader([line], delimiter=mark)
            assert [cell for cell, said in zip(back, row, strict=True) if said.isprintable() and cell != said] == []
