# SPDX-License-Identifier: GPL-2.0-only
"""The rows of inputs: whatever is declared by hand for one is there, and everything else follows from the row."""

from __future__ import annotations

import pytest

from mtcalc.cli.lookup import lookup
from mtcalc.csource.source import rules_from_c
from mtcalc.csource.writer import Style, write_c
from mtcalc.kvm.vm import Vm
from mtcalc.output.records import RARE, answer_header, inputs_record
from mtcalc.rules.condition import Atom, condition_text
from mtcalc.rules.condition_parse import parse_condition
from mtcalc.rules.inputs import (
    KINDS,
    Facts,
    Input,
    Kind,
    Scope,
    Value,
    domain,
    input_words,
    is_given,
    named_inputs,
    rank,
    said,
    value_of,
    with_value,
)
from mtcalc.rules.rule import Rule, RuleSet, ept
from mtcalc.scenario.schema import SECTIONS
from mtcalc.x86.memtype import MemType

ALL = (*named_inputs(), Input("assume", "foo(vcpu) > 1"), Input("assume_type", "bar(gfn)"))
ALL_VALUES = [(item, value) for item in ALL for value in domain(item)]
ROWS = list(KINDS.values())


@pytest.mark.parametrize("kind", ROWS, ids=lambda kind: kind.name)
def test_a_row_has_a_fact_a_flag_and_a_scenario_key(kind: Kind) -> None:
    assert kind.field in Facts._fields
    flags = {opt for parameter in lookup.params for opt in (*parameter.opts, *parameter.secondary_opts)}
    assert f"--{kind.option}" in flags
    if kind.scope in (Scope.VM, Scope.HOST, Scope.UNKNOWN) or kind.name == "cr0_cd":
        assert kind.field in Vm._fields
        assert {kind.field, kind.option} & {name for keys in SECTIONS.values() for name in keys.fields}


@pytest.mark.parametrize(("item", "value"), ALL_VALUES)
def test_a_value_put_is_the_value_read_and_no_other_changes(item: Input, value: Value) -> None:
    facts = with_value(Facts(), item, value)
    assert value_of(item, facts) == value
    for other in named_inputs():
        if other != item:
            assert value_of(other, facts) == value_of(other, Facts())
    assert with_value(facts, item, value) == facts


@pytest.mark.parametrize(("item", "value"), ALL_VALUES)
def test_the_parser_knows_every_row(item: Input, value: Value) -> None:
    typed = isinstance(value, MemType)
    atom = Atom(item, value if typed else True)
    assert parse_condition(condition_text(atom)) == atom


def test_each_has_words_of_its_own_and_its_place() -> None:
    plain = named_inputs()
    assert len({input_words(item) for item in plain}) == len(plain)
    assert len({said(item, value) for item in plain if not item.kind.typed for value in (True, False)}) == 2 * sum(
        not item.kind.typed for item in plain
    )
    assert list(map(rank, plain)) == sorted(map(rank, plain))
    assert len(set(map(rank, plain))) == len(plain)


@pytest.mark.parametrize("item", [item for item in ALL if not item.kind.typed], ids=str)
def test_c_says_every_condition_and_reads_it_back(item: Input) -> None:
    rules = (
        Rule("a", Atom(item), ept(MemType.WC, 0), ""),
        Rule("b", parse_condition("always"), ept(MemType.WB, 1), ""),
    )
    read = rules_from_c(write_c(RuleSet("x", "", rules), Style.RETURN), "x.c")
    assert [(rule.when, rule.then) for rule in read.rules] == [(rule.when, rule.then) for rule in rules]


@pytest.mark.parametrize(("item", "value"), ALL_VALUES)
def test_rows_that_differ_in_an_input_differ_in_a_record(item: Input, value: Value) -> None:
    changed, plain = inputs_record(with_value(Facts(), item, value)), inputs_record(Facts())
    default = not item.kind.text and value_of(item, Facts()) == value
    assert (changed == plain) is default
    header = answer_header(six=True, rare=RARE)
    assert item.kind.key in header or item.name in ("mmio", "guest_mtrr")


def test_given_is_what_somebody_set() -> None:
    for item in named_inputs():
        if item.kind.bits:
            assert is_given(item, with_value(Facts(), item, not item.kind.disabled))
        assert not is_given(item, Facts())
    assert is_given(Input("assume", "f( a )"), Facts(assume={"f(a)": True}))
    assert not is_given(Input("assume", "f(b)"), Facts(assume={"f(a)": True}))
