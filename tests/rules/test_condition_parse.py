# SPDX-License-Identifier: GPL-2.0-only
"""Conditions as text: the parser is the inverse of condition_text(), and its errors point at the word."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.kvm.flags import QUIRKS
from mtcalc.rules.condition import ALWAYS, And, Atom, Condition, Not, Or, condition_text
from mtcalc.rules.condition_parse import MAX_DEPTH, parse_condition
from mtcalc.rules.inputs import (
    CR0_CD,
    FLAG_NON_COHERENT_DMA,
    GUEST_MTRR,
    MEM_DMA,
    MMIO,
    NONCOHERENT_DMA,
    QUIRK_CD_NW_CLEARED,
    SELF_SNOOP,
    Input,
)
from mtcalc.rules.proposals import PROPOSALS
from mtcalc.rules.releases import RELEASES
from mtcalc.text.errors import InputError, Place
from mtcalc.x86.memtype import MemType
from support.random_rules import conditions


@settings(max_examples=200)
@given(conditions())
def test_what_is_written_reads_back_equal(condition: Condition) -> None:
    """A condition as a rule file writes it parses back to an equal one."""
    assert parse_condition(condition_text(condition)) == condition


@given(st.text(min_size=1).filter(str.strip))
def test_any_assumed_text_reads_back_equal(text: str) -> None:
    """A condition that only a C file or patch knows is an input under its source text, whatever that holds."""
    for condition in (Atom(Input("assume", text)), Not(Atom(Input("assume_type", text), MemType.WC))):
        assert parse_condition(condition_text(condition)) == condition


def test_every_built_in_condition_reads_back_equal() -> None:
    sets = [row.rules for row in RELEASES] + [proposal.rules for proposal in PROPOSALS]
    found = {rule.when for rules in sets for rule in rules.rules}
    assert len(found) > 10
    assert all(parse_condition(condition_text(when)) == when for when in found)


A, B, C = Atom(MMIO), Atom(CR0_CD), Atom(SELF_SNOOP)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("mmio", A),
        ("mem_dma", Atom(MEM_DMA)),
        ("NOT Noncoherent-DMA", Not(Atom(NONCOHERENT_DMA))),
        ("not mmio and cr0_cd", And((Not(A), B))),
        ("not (mmio and cr0_cd)", Not(And((A, B)))),
        ("mmio or cr0_cd and self_snoop", Or((A, And((B, C))))),
        ("mmio and cr0_cd or self_snoop", Or((And((A, B)), C))),
        ("mmio and (cr0_cd or self_snoop)", And((A, Or((B, C))))),
        ("mmio and cr0_cd and self_snoop", And((A, B, C))),
        ("mmio and (cr0_cd and self_snoop)", And((A, And((B, C))))),
        ("((mmio))", A),
        ("not not mmio", Not(Not(A))),
        ("  mmio\n  and\tcr0_cd ", And((A, B))),
        ("always", ALWAYS),
        ("never", Or(())),
        ("not never and always", And((Not(Or(())), ALWAYS))),
        ("quirk CD_NW_CLEARED", Atom(QUIRK_CD_NW_CLEARED)),
        ("quirk kvm-x86-quirk-cd-nw-cleared", Atom(QUIRK_CD_NW_CLEARED)),
        ("quirk 2", Atom(QUIRK_CD_NW_CLEARED)),
        ("slot_flag non-coherent-dma", Atom(FLAG_NON_COHERENT_DMA)),
        ("slot-flag KVM_MEM_NON_COHERENT_DMA", Atom(FLAG_NON_COHERENT_DMA)),
        ("slot_flag 0x8", Atom(FLAG_NON_COHERENT_DMA)),
        ("guest_mtrr WC", Atom(GUEST_MTRR, MemType.WC)),
        ("guest_mtrr is write-combining", Atom(GUEST_MTRR, MemType.WC)),
        ('assume "f(x)"', Atom(Input("assume", "f(x)"))),
        ('assume"mmio and"and mmio', And((Atom(Input("assume", "mmio and")), A))),
        (r'assume "\"\\\n"', Atom(Input("assume", '"\\n'))),
        ('assume_type "f(x)" is WB', Atom(Input("assume_type", "f(x)"), MemType.WB)),
    ],
)
def test_what_a_person_writes(text: str, condition: Condition) -> None:
    """not binds tighter than and, and than or; case, hyphens and the kernel's prefixes do not matter."""
    assert parse_condition(text) == condition


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 1, "no condition here (always, or such as: mmio and not noncoherent_dma)"),
        ("mimo", 1, "unknown condition 'mimo' (did you mean mmio?)"),
        ("mmio or non_coherent_dma", 9, "unknown condition 'non_coherent_dma' (did you mean noncoherent_dma?)"),
        ("mmio &&cr0_cd", 6, "'&&cr0_cd' where a condition ended (write and)"),
        ("mmio || cr0_cd", 6, "'||' where a condition ended (write or)"),
        ("!mmio", 1, "'!mmio' is C (write not)"),
        ("mmio cr0_cd", 6, "'cr0_cd' where a condition ended (and, or, or nothing)"),
        ("mmio and", 9, "no condition at the end (such as mmio, or not noncoherent_dma)"),
        ("not ", 4, "no condition at the end (such as mmio, or not noncoherent_dma)"),
        ("mmio and or cr0_cd", 10, "no condition before 'or' (such as mmio, or not noncoherent_dma)"),
        ("()", 2, "no condition before ')' (such as mmio, or not noncoherent_dma)"),
        ("mmio)", 5, "a ')' too many (no '(' is open)"),
        ("not (mmio", 5, "a '(' that is never closed (end with ')')"),
        ("(mmio cr0_cd)", 7, "'cr0_cd' where a condition ended (and, or, or a closing parenthesis)"),
        ("quirk", 1, f"quirk without a name ({', '.join(QUIRKS)})"),
        ("quirk and mmio", 7, f"quirk without a name ({', '.join(QUIRKS)})"),
        ("quirk CD_NW", 7, "unknown quirk 'CD_NW' (did you mean CD_NW_CLEARED?)"),
        ("slot_flag DMA", 11, "KVM_MEM_DMA acts on the whole VM (write mem_dma)"),
        (
            "slot_flag 0xc",
            11,
            "slot_flag 0xc is 2 flags (one: LOG_DIRTY_PAGES, READONLY, GUEST_MEMFD, NON_COHERENT_DMA)",
        ),
        ("slot_flag 0", 11, "slot_flag 0 is 0 flags (one: LOG_DIRTY_PAGES, READONLY, GUEST_MEMFD, NON_COHERENT_DMA)"),
        ("guest_mtrr", 1, "guest_mtrr without a memory type (one of UC, WC, WT, WP, WB)"),
        ("guest_mtrr is UC-", 15, "UC- exists in the PAT alone (one of UC, WC, WT, WP, WB)"),
        ("guest_mtrr XY", 12, "'XY' is not a memory type (one of UC, WC, WT, WP, WB)"),
        ("assume f", 1, 'assume without its text (assume "the text, in double quotes")'),
        ('assume ""', 1, 'assume without its text (assume "the text, in double quotes")'),
        ('mmio and assume "f', 17, 'a quote that is never closed (end the text with ")'),
        ('"mmio"', 1, 'text in quotes (only behind assume: assume "mmio")'),
    ],
)
def test_errors_point_at_the_word(text: str, column: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_condition(text, Place("f", 3, 1, text))
    assert (caught.value.place, caught.value.message) == (Place("f", 3, column, text), message)


def test_columns_count_from_the_place_given() -> None:
    with pytest.raises(InputError) as caught:
        parse_condition("mmio and x", Place("f", 7, 11))
    assert caught.value.place == Place("f", 7, 20)


def test_depth_is_limited() -> None:
    """A hundred thousand parentheses are an error, not a crash."""
    assert parse_condition("(" * MAX_DEPTH + "mmio" + ")" * MAX_DEPTH) == A
    assert parse_condition(" and ".join(["(mmio)"] * 1000)) == And((A,) * 1000)
    for text in ("(" * 100_000, "not " * 100_000 + "mmio", "not(" * 33 + "mmio" + ")" * 33):
        with pytest.raises(InputError, match=r"nested too deeply \(at most 64 levels\)"):
            parse_condition(text)


@given(st.text(st.sampled_from('mio andtr()"\\ _!&')))
def test_any_text_is_a_condition_or_an_error_with_a_place(text: str) -> None:
    place = Place("f", 1, 1, text)
    try:
        parse_condition(text, place)
    except InputError as error:
        place = error.place or Place("", 0, 0)
    assert 1 <= place.column <= len(text) + 1
