# SPDX-License-Identifier: GPL-2.0-only
"""The matrix against lookup, searches against second models, rows against what they stand for."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.analysis.answer import Answer
from mtcalc.analysis.table import Search, Where, rows, search
from mtcalc.cli.where import parse_where, where_keys
from mtcalc.kvm.flags import QUIRKS, SLOT_FLAGS
from mtcalc.rules.builtin import built_in, built_in_names
from mtcalc.rules.condition import Atom
from mtcalc.rules.inputs import CR0_CD, GUEST_MTRR, MMIO, NONCOHERENT_DMA, SELF_SNOOP, Facts, Input, value_of
from mtcalc.rules.kernel import Kernel
from mtcalc.rules.rule import Rule, ept
from mtcalc.rules.truth import values_at
from mtcalc.x86.effective import effective_type
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, MemType
from support.answers import lookup, matrix
from support.notes import noted
from support.rule_models import MODELS, Case


def kernel_of(name: str) -> Kernel:
    kernel = built_in(name)
    assert kernel is not None
    return kernel


def found_by(name: str, *conditions: str, facts: Facts = Facts(), given: tuple[Input, ...] = ()) -> Search:  # noqa: B008
    kernel = kernel_of(name)
    return search([kernel], facts, given, PAT_TYPES, [parse_where(text, [kernel]) for text in conditions])


all_facts = st.builds(
    Facts,
    mmio=st.booleans(),
    slot_flags=st.sampled_from((0, 1, 8)),
    noncoherent_dma=st.booleans(),
    mem_dma=st.booleans(),
    cr0_cd=st.booleans(),
    disabled_quirks=st.sampled_from((0, *QUIRKS.values(), sum(QUIRKS.values()))),
    self_snoop=st.booleans(),
)
names = st.sampled_from(built_in_names())


@settings(max_examples=40, deadline=None)
@given(name=names, facts=all_facts, paging=st.booleans())
def test_every_cell_of_the_matrix_is_lookups_answer(name: str, facts: Facts, paging: bool) -> None:
    """`mtcalc table`: the whole matrix for some fixed inputs, guest MTRR type x PAT type -> effective type."""
    kernel = kernel_of(name)
    pats = PAT_TYPES if paging else (MemType.WB,)
    cells = iter(matrix(kernel, facts, MTRR_TYPES, pats, paging))
    for kind, pat in product(MTRR_TYPES, pats):
        answer = next(cells)
        (alone,) = lookup(kernel, facts._replace(guest_mtrr=kind), (pat,), paging)
        assert answer.facts is not None
        assert (answer.facts.guest_mtrr, answer.pat) == (kind, pat)
        assert (answer.byte, answer.rule, answer.effective) == (alone.byte, alone.rule, alone.effective)
    assert next(cells, None) is None


EVERY_INPUT = (
    MMIO,
    Input("slot_flag", "NON_COHERENT_DMA"),
    NONCOHERENT_DMA,
    Input("mem_dma"),
    CR0_CD,
    Input("quirk", "CD_NW_CLEARED"),
    Input("quirk", "IGNORE_GUEST_PAT"),
    SELF_SNOOP,
    GUEST_MTRR,
)


def cell_of(answer: Answer) -> tuple[object, ...]:
    """An answer's inputs, PAT type, byte and effective type."""
    assert answer.facts is not None
    values = tuple(value_of(item, answer.facts) for item in EVERY_INPUT)
    return (*values, answer.pat, answer.byte, answer.effective[0][1])


@pytest.mark.parametrize("name", built_in_names())
def test_a_search_finds_what_a_filter_over_all_inputs_finds(name: str) -> None:
    """`--where`: only what fits, over every input not fixed by a flag; states the kernel cannot reach left out."""
    kernel = kernel_of(name)
    wanted = set()
    for state, kind in product(product((False, True), repeat=8), MTRR_TYPES):
        mmio, flag, n, mem_dma, cd, cd_quirk, igp, self_snoop = state
        case = Case(mmio, flag, n, mem_dma, cd, cd_quirk, igp, self_snoop, int(kind))
        if name == "v6.16" and ((not case.igp and not case.self_snoop) or case.cd_quirk):
            continue
        byte = MODELS[name](case)
        for pat in PAT_TYPES:
            effective = effective_type(MemType(byte >> 3 & 7), bool(byte & 0x40), pat)
            if effective == MemType.UC and not case.cd:
                wanted.add((*state, kind, pat, byte, effective))
    everything = Where("", lambda _: True, EVERY_INPUT)
    wheres = [everything, *(parse_where(text, [kernel]) for text in ("effective=UC", "cd=no"))]
    result = search([kernel], Facts(), (), PAT_TYPES, wheres)
    got = [cell_of(answer) for answer in result.found[0].answers]
    assert set(got) == wanted
    assert len(got) == len(wanted)
    assert result.found[0].left_out.bit_count() == (800 if name == "v6.16" else 0)


def test_what_no_rule_reads_and_nobody_names_is_not_varied() -> None:
    """v6.16 reads neither self-snoop nor the guest's MTRRs."""
    result = found_by("v6.16", "effective=UC")
    assert {item.name for item in result.space.inputs} == {"mmio", "noncoherent_dma", "quirk"}
    assert not result.found[0].left_out
    named = found_by("v6.16", "effective=UC", "self_snoop=no")
    assert SELF_SNOOP in named.space.inputs
    assert named.found[0].left_out.bit_count() == 4


def test_flags_fix_inputs() -> None:
    """An input given, a flag set, a quirk disabled: none of them is varied."""
    facts = Facts(slot_flags=8, disabled_quirks=2, noncoherent_dma=True)
    result = found_by("slot-flag", "effective=UC", facts=facts, given=(NONCOHERENT_DMA,))
    assert result.space.inputs == (MMIO, CR0_CD, GUEST_MTRR)
    assert {a.facts.noncoherent_dma for a in result.found[0].answers if a.facts} == {True}


def test_what_is_given_and_cannot_be_reached_is_answered_all_the_same() -> None:
    """An input the chosen kernel cannot reach is answered all the same, with a note."""
    facts = Facts(self_snoop=False, disabled_quirks=QUIRKS["IGNORE_GUEST_PAT"])
    result = found_by("v6.16", "effective=WC", facts=facts, given=(SELF_SNOOP,))
    assert not result.found[0].left_out
    assert result.found[0].answers
    assert all(any("cannot get here" in note for note in noted(answer.notes)) for answer in result.found[0].answers)


CONDITIONS = (
    ("effective=UC",),
    ("effective=WB",),
    ("effective=WC", "pat=uc-"),
    ("ept=0x30",),
    ("ipat=1", "mmio=no"),
    ("memtype=WB", "mtrr=UC"),
    ("ept=0x70", "cd=yes"),
    ("self_snoop=no", "effective=WT"),
    ("slot_flag=non-coherent-dma", "pat=WB"),
)


@settings(max_examples=30, deadline=None)
@given(chosen=st.lists(names, min_size=1, max_size=2), conditions=st.sampled_from(CONDITIONS))
def test_rows_stand_for_exactly_what_fits(chosen: list[str], conditions: tuple[str, ...]) -> None:
    """Inputs that don't matter are left out of a row: with any value of theirs the answers are the row's."""
    kernels = [kernel_of(name) for name in chosen]
    wheres = [parse_where(text, kernels) for text in conditions]
    result = search(kernels, Facts(), (), PAT_TYPES, wheres)
    for found in result.found:
        stood_for = set()
        for row in rows(result, found):
            admitted = [
                number
                for number in range(result.space.size)
                if not found.left_out >> number & 1
                and all(
                    value in row.when.get(item, (value,))
                    for item, value in zip(result.space.inputs, values_at(result.space, number), strict=True)
                )
            ]
            assert len(admitted) == row.states
            for number in admitted:
                answer, base = found.states[number], result.found[0].states[number]
                assert found.fits[number] == row.fits
                assert (answer.rule, answer.byte) == (row.answer.rule, row.answer.byte)
                assert (answer.byte != base.byte) is row.byte_differs
            stood_for.update(admitted)
        fitting = {number for number, which in enumerate(found.fits) if any(which)}
        assert stood_for == fitting
        assert sum(map(sum, found.fits)) == len(found.answers)


def test_rows_leave_out_what_does_not_matter() -> None:
    """Who gets UC under v6.16: host MMIO, and the guest's UC and UC- where its PAT is honoured."""
    result = found_by("v6.16", "effective=UC")
    shown = [
        (row.when, [pat for pat, fit in zip(PAT_TYPES, row.fits, strict=True) if fit])
        for row in rows(result, result.found[0])
    ]
    quirk = Input("quirk", "IGNORE_GUEST_PAT")
    uncached = [MemType.UC, MemType.UC_MINUS]
    assert shown == [
        ({MMIO: (True,)}, [pat for pat in PAT_TYPES if pat != MemType.WC]),
        ({MMIO: (False,), quirk: (False,)}, uncached),
        ({MMIO: (False,), NONCOHERENT_DMA: (True,)}, uncached),
    ]


SAME = (
    ("effective=write-combining", "effective=WC"),
    ("mask=0x30", "ept=030"),
    ("ept.mask=0x30", "ept=0x30"),
    ("memtype=6", "ept.memtype=wb"),
    ("ipat=yes", "ept.ipat=1"),
    ("is_mmio=true", "mmio=yes"),
    ("cr0_cd=off", "cd=no"),
    ("guest_mtrr=MTRR_TYPE_WRCOMB", "mtrr=wc"),
    ("noncoherent-dma=yes", "inputs.noncoherent_dma=1"),
    ("quirks.CD_NW_CLEARED=no", "kvm-x86-quirk-cd-nw-cleared=no"),
    ("slot_flags=8", "KVM_MEM_NON_COHERENT_DMA=yes"),
    ("rule.id=cd", " rule = cd "),
    ("slot_flag=none", "non-coherent-dma=no"),
)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a_key_has_several_names(one: str, other: str) -> None:
    """Keys of JSON, of the flags and of the rules mean the same."""
    kernel = kernel_of("slot-flag")
    for answer in search([kernel], Facts(), (), PAT_TYPES, []).found[0].answers:
        assert parse_where(one, [kernel]).holds(answer) == parse_where(other, [kernel]).holds(answer)
    assert 0 < len(found_by("slot-flag", one).found[0].answers) < 960


def test_every_key_has_a_value_that_fits_something() -> None:
    """Each key in the list of keys can be asked for."""
    values = {"effective": "WC", "ept": "0x30", "memtype": "WB", "rule": "mmio", "rules": "slot-flag", "pat": "WC"}
    values |= {"mtrr": "WC", "slot_flag": "readonly"}
    for key in where_keys():
        assert found_by("slot-flag", f"{key}={values.get(key, 'yes')}").found[0].answers


BAD = (
    ("effective", "'effective' is no condition (KEY=VALUE, such as effective=UC)"),
    ("=UC", "'=UC' is no condition (KEY=VALUE, such as effective=UC)"),
    ("efective=UC", "'efective' is no key of an answer (did you mean effective?)"),
    ("effective=UC-", "UC- exists in the PAT alone (one of UC, WC, WT, WP, WB)"),
    ("effective=fast", "'fast' is not a memory type (one of UC, WC, WT, WP, WB)"),
    ("mmio=maybe", "'maybe' is neither yes nor no (yes or no)"),
    ("rule=mimo", "'mimo' is no rule here (did you mean mmio?)"),
    ("rules=v6.8", "'v6.8' is no rule set asked for (did you mean v6.7?)"),
    ("ept=3x", "'3x' is not a number (decimal, 0x hex, or a size such as 64K, 2M, 4G, 1T)"),
    ("slot_flag=readnly", "'readnly' (did you mean READONLY?)"),
)


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_bad_condition_says_what_would_be_right(text: str, message: str) -> None:
    """Did you mean, for keys and values."""
    with pytest.raises(ValueError) as error:  # noqa: PT011
        parse_where(text, [kernel_of("v6.7")])
    assert str(error.value).endswith(message)


def assuming(count: int) -> Kernel:
    """v6.7 behind rules that ask for conditions of somebody's own."""
    kernel = kernel_of("v6.7")
    own = tuple(
        Rule(f"own{at}", Atom(Input("assume", f"x == {at}")), ept(MemType.WC, at % 2), "") for at in range(count)
    )
    return kernel._replace(rules=kernel.rules._replace(rules=own + kernel.rules.rules))


def test_assumed_conditions_are_inputs_by_their_text() -> None:
    """A condition that only a C file or patch knows is varied, and can be asked for."""
    kernel = assuming(1)
    result = search([kernel], Facts(), (), PAT_TYPES, [parse_where("x == 0=yes", [kernel])])
    assert {answer.byte for answer in result.found[0].answers} == {0x08}
    fixed = search([kernel], Facts(assume={"x == 0": False}), (), PAT_TYPES, [])
    assert {answer.byte for answer in fixed.found[0].answers} == {0x00, 0x08, 0x20, 0x28, 0x30, 0x40, 0x70}
    assert Input("assume", "x == 0") not in fixed.space.inputs


def test_too_many_combinations_are_refused() -> None:
    """Looking at each of them would take minutes."""
    with pytest.raises(ValueError, match=r"free inputs have 163840 combinations \(at most 65536 .*fix some with flags"):
        search([assuming(11)], Facts(), (), PAT_TYPES, [])


def test_slot_flags_nobody_reads_can_be_asked_for() -> None:
    """A key that names an input makes it part of the search."""
    result = found_by("v6.16", "READONLY=yes")
    assert {a.facts.slot_flags for a in result.found[0].answers if a.facts} == {SLOT_FLAGS["READONLY"]}
