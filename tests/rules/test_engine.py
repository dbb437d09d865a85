# SPDX-License-Identifier: GPL-2.0-only
"""The rule engine: decisions, traces and the reasons in them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.kvm.flags import QUIRKS, SLOT_FLAGS
from mtcalc.refs.resolve import resolve
from mtcalc.rules.builtin import built_in_names
from mtcalc.rules.condition import (
    ALWAYS,
    And,
    Atom,
    Condition,
    Not,
    Or,
    condition_text,
    holds,
    inputs,
    reasons,
)
from mtcalc.rules.inputs import (
    GUEST_MTRR,
    KINDS,
    MMIO,
    Facts,
    Input,
    UnknownInput,
    Value,
    domain,
    input_words,
    value_of,
    with_value,
)
from mtcalc.rules.rule import (
    Outcome,
    Rule,
    RuleSet,
    decide,
    ept,
    guest_mtrr,
    inputs_read,
    insert_after,
)
from mtcalc.rules.trace import trace
from mtcalc.x86.memtype import MTRR_TYPES, MemType

ASSUMED = Input("assume", "a > b")
ASSUMED_TYPE = Input("assume_type", "some_type(x)")
IS_WC = Atom(GUEST_MTRR, MemType.WC)
FLAGS = [Input("slot_flag", name) for name in SLOT_FLAGS]
ALL_INPUTS = [
    *(Input(name) for name in ("mmio", "noncoherent_dma", "mem_dma", "cr0_cd", "self_snoop", "guest_mtrr")),
    *(Input("quirk", name) for name in QUIRKS),
    *FLAGS,
    ASSUMED,
    ASSUMED_TYPE,
]

atoms = st.sampled_from(ALL_INPUTS).flatmap(
    lambda item: (
        st.sampled_from(MTRR_TYPES).map(lambda kind: Atom(item, kind))
        if item.name in ("guest_mtrr", "assume_type")
        else st.just(Atom(item))
    )
)
conditions: st.SearchStrategy[Condition] = st.recursive(
    atoms,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, max_size=3).map(lambda parts: And(tuple(parts))),
        st.lists(inner, max_size=3).map(lambda parts: Or(tuple(parts))),
    ),
    max_leaves=8,
)


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    known = Facts()
    for item in ALL_INPUTS:
        known = with_value(known, item, draw(st.sampled_from(domain(item))))
    return known


def truth(condition: Condition, known: Facts) -> bool:
    """A second evaluator: no short cut, counting."""
    match condition:
        case Atom(item, value):
            return value_of(item, known) is value
        case Not(of):
            return not truth(of, known)
        case And(parts):
            return sum(truth(part, known) for part in parts) == len(parts)
        case Or(parts):
            return sum(truth(part, known) for part in parts) > 0


@given(conditions, facts())
def test_a_condition_holds_where_its_truth_table_says(condition: Condition, known: Facts) -> None:
    assert holds(condition, known) is truth(condition, known)


@given(conditions, facts(), facts())
def test_reasons_decide_a_condition(condition: Condition, known: Facts, other: Facts) -> None:
    """Changing inputs that are not named in the reasons cannot change the verdict."""
    because = reasons(condition, known)
    assert all(value_of(item, known) == value for item, value in because)
    assert {item for item, _ in because} <= set(inputs(condition))
    for item, value in because:
        other = with_value(other, item, value)
    assert holds(condition, other) is holds(condition, known)


@given(conditions)
def test_the_text_names_every_input_read(condition: Condition) -> None:
    """Nothing that a condition reads is left out of its text."""
    text = condition_text(condition)
    for item in inputs(condition):
        assert str(item) in text


@pytest.mark.parametrize("name", built_in_names())
def test_a_trace_agrees_with_the_decision_and_its_reasons_decide(name: str) -> None:
    """First match wins: rules before it were passed over; unnamed inputs cannot change a step's verdict."""
    rules = resolve(name).rules
    read = inputs_read(rules)
    states = []
    for values in itertools.product(*map(domain, read)):
        known = Facts()
        for item, value in zip(read, values, strict=True):
            known = with_value(known, item, value)
        states.append(known)
    assert len(states) >= 1
    for known in states:
        decision = trace(rules, known)
        assert (decision.rule, decision.byte) == decide(rules, known)
        seen = [step.rule for step in decision.trace]
        assert seen == list(rules.rules[: len(seen)])
        assert [step.matched for step in decision.trace] == [False] * (len(seen) - 1) + [True]
        assert decision.trace[-1].rule is decision.rule
        for step in decision.trace:
            because = reasons(step.rule.when, known)
            assert step.because == because
            named = {item for item, _ in because}
            for other in states:
                if all(value_of(item, other) == value_of(item, known) for item in named):
                    assert holds(step.rule.when, other) is step.matched


@settings(max_examples=50)
@given(st.lists(st.tuples(conditions, st.sampled_from(MTRR_TYPES), st.booleans()), max_size=5), facts())
def test_the_first_rule_that_holds_wins(shapes: list[tuple[Condition, MemType, bool]], known: Facts) -> None:
    rules = RuleSet(
        "random",
        "random",
        (
            *(Rule(f"rule-{n}", when, ept(kind, ipat), "why") for n, (when, kind, ipat) in enumerate(shapes)),
            Rule("last", ALWAYS, ept(MemType.UC, 0), "why"),
        ),
    )
    first = next((n for n, (when, _, _) in enumerate(shapes) if truth(when, known)), None)
    rule, byte = decide(rules, known)
    if first is None:
        assert (rule.id, byte) == ("last", 0)
    else:
        _, kind, ipat = shapes[first]
        assert (rule.id, byte) == (f"rule-{first}", kind * 8 + ipat * 64)
    assert trace(rules, known)[:2] == (byte, rule)


@given(facts(), st.sampled_from(ALL_INPUTS), st.data())
def test_setting_an_input_sets_it_and_no_other(known: Facts, item: Input, data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(domain(item)))
    after = with_value(known, item, value)
    assert value_of(item, after) == value
    for other in ALL_INPUTS:
        if other != item:
            assert value_of(other, after) == value_of(other, known)


def test_a_list_that_does_not_end_is_an_error() -> None:
    rules = RuleSet("open", "open", (Rule("mmio", Atom(MMIO), ept(MemType.UC, 0), "why"),))
    assert decide(rules, Facts(mmio=True))[1] == 0
    with pytest.raises(ValueError, match=r"no rule of open matches \(the last rule has to catch everything\)"):
        decide(rules, Facts())


@pytest.mark.parametrize(
    ("item", "wrong", "example"),
    [(ASSUMED, MemType.WB, "a > b=yes|no"), (ASSUMED_TYPE, True, r"some_type\(x\)=UC\|WC\|WT\|WP\|WB")],
)
def test_an_assumption_not_given_is_asked_for(item: Input, wrong: Value, example: str) -> None:
    """Never a guess: a condition that only a C file knows has to be said; of the right kind."""
    for known in (Facts(), Facts(assume={item.arg: wrong}), Facts(assume={"other": True})):
        with pytest.raises(UnknownInput, match=rf"--assume '{example.replace('yes|no', 'yes.no')}'") as caught:
            value_of(item, known)
        assert caught.value.item == item


def test_an_and_stops_before_an_assumption_that_is_not_needed() -> None:
    """C evaluates left to right, no further than needed."""
    both = And((Atom(MMIO), Atom(ASSUMED)))
    assert holds(both, Facts(mmio=False)) is False
    with pytest.raises(UnknownInput):
        holds(both, Facts(mmio=True))


def test_guest_mtrr_unknown_to_the_kernel_is_an_error() -> None:
    with pytest.raises(ValueError, match="the kernel around them never does"):
        value_of(GUEST_MTRR, Facts(guest_mtrr=None))


def test_outcomes_and_rules_in_words() -> None:
    known = Facts(guest_mtrr=MemType.WT)
    assert [str(ept(MemType.WB, 1)), str(guest_mtrr(0)), str(guest_mtrr(1))] == [
        "WB, ignore PAT",
        "guest MTRR type",
        "guest MTRR type, ignore PAT",
    ]
    assert [guest_mtrr(0).byte(known), guest_mtrr(1).byte(known)] == [0x20, 0x60]
    # A forgotten shift, and a byte that a u8 cuts off.
    assert Outcome(0, GUEST_MTRR, 0).byte(known) == 4
    assert str(Outcome(0, GUEST_MTRR, 0)) == "guest MTRR type shifted by 0"
    assert Outcome(0, GUEST_MTRR, 6).byte(known) == 0
    assert str(Outcome(0x06)) == "UC, stray bits 0x06"
    assert Rule("x", ALWAYS, ept(MemType.WB, 0), "").text == "otherwise -> WB"
    assert Rule("x", Not(Atom(MMIO)), ept(MemType.UC, 1), "").text == "not mmio -> UC, ignore PAT"


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (
            And((Atom(MMIO), Or((Not(Atom(MMIO)), IS_WC)))),
            "mmio and (not mmio or guest_mtrr WC)",
        ),
        (Not(And((Atom(MMIO), Atom(FLAGS[3])))), "not (mmio and slot_flag NON_COHERENT_DMA)"),
        (Or((And((Atom(MMIO), Atom(MMIO))), Atom(ASSUMED))), 'mmio and mmio or assume "a > b"'),
        (Not(Not(Atom(MMIO))), "not not mmio"),
        (And(()), "always"),
        (Not(Or(())), "not never"),
    ],
)
def test_conditions_in_words(condition: Condition, text: str) -> None:
    """not binds tighter than and, and tighter than or."""
    assert condition_text(condition) == text


def test_every_input_has_words() -> None:
    assert {item.name for item in ALL_INPUTS} == set(KINDS)
    assert len({input_words(item) for item in ALL_INPUTS}) == len(ALL_INPUTS)


def test_inserting_after_a_rule_that_is_not_there() -> None:
    base = resolve("v6.7").rules.rules
    extra = Rule("extra", Atom(MMIO), ept(MemType.UC, 0), "why")
    assert insert_after(base, "cd", extra)[4] is extra
    assert len(insert_after(base, base[-1].id, extra)) == len(base) + 1
    with pytest.raises(ValueError, match=r"no rule 'cdd' \(one of mmio, coherent, cd-quirk, cd, guest-mtrr\)"):
        insert_after(base, "cdd", extra)
