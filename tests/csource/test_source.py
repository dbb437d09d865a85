# SPDX-License-Identifier: GPL-2.0-only
"""Rule sets read from C."""

from __future__ import annotations

import itertools
import operator
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.csource.source import rules_from_c
from mtcalc.kvm.flags import SLOT_FLAGS
from mtcalc.refs.resolve import resolve
from mtcalc.rules.builtin import built_in_names
from mtcalc.rules.condition import ALWAYS, And, Atom, Condition, Not, Or
from mtcalc.rules.inputs import (
    CR0_CD,
    GUEST_MTRR,
    MMIO,
    NONCOHERENT_DMA,
    QUIRK_CD_NW_CLEARED,
    Facts,
    Input,
    UnknownInput,
    domain,
    value_of,
    with_value,
)
from mtcalc.rules.kernel import kernel_for_rules, unread
from mtcalc.rules.rule import Outcome, Rule, RuleSet, decide, ept, guest_mtrr, inputs_read
from mtcalc.text.errors import InputError
from mtcalc.x86.memtype import MTRR_TYPES, MemType
from support.c_printer import HEAD, SPELLINGS, STYLES, TYPES, condition_c, early_c, first

DATA = Path(__file__).parent.parent / "data" / "c"


def read(text: str) -> RuleSet:
    return rules_from_c(text, "vmx.c")


def read_or_refused(text: str) -> RuleSet | InputError:
    try:
        return read(text)
    except InputError as error:
        return error


def body(statements: str, before: str = "") -> RuleSet:
    return read(f"{before}{HEAD}{statements}\n}}\n")


def listed(rules: RuleSet) -> list[tuple[Condition, Outcome]]:
    return [(rule.when, rule.then) for rule in rules.rules]


def same_bytes(one: RuleSet, other: RuleSet) -> None:
    items = tuple(dict.fromkeys((*inputs_read(one), *inputs_read(other))))
    for values in itertools.product(*map(domain, items)):
        facts = Facts()
        for item, value in zip(items, values, strict=True):
            facts = with_value(facts, item, value)
        assert decide(one, facts)[1] == decide(other, facts)[1], (items, values)


NAMES = built_in_names()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", NAMES)
def test_every_built_in_rule_set_reads_back_from_every_style(name: str, style: str) -> None:
    rules = resolve(name).rules
    same_bytes(rules, read(STYLES[style](rules, first)))


@pytest.mark.parametrize("name", NAMES)
def test_early_returns_read_back_as_the_very_same_list(name: str) -> None:
    rules = resolve(name).rules
    again = read(early_c(rules))
    assert listed(again) == listed(rules)
    ids = [rule.id for rule in again.rules]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("item", SPELLINGS, ids=str)
def test_every_spelling_is_the_same_input(item: Input) -> None:
    for text in SPELLINGS[item]:
        if item == GUEST_MTRR:
            assert listed(body(f"return {text} << 3;")) == [(ALWAYS, guest_mtrr(0))]
        else:
            for asked, when in ((text, Atom(item)), (f"!({text})", Not(Atom(item)))):
                found = body(f"if ({asked}) return 0x70; return 0;")
                assert listed(found) == [(when, ept(MemType.WB, 1)), (ALWAYS, ept(MemType.UC, 0))], text


OLD_LOOKUP = "get_mtrr_type(&vcpu->arch.mtrr_state, gfn << PAGE_SHIFT, (gfn << PAGE_SHIFT) + PAGE_SIZE)"


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        # A shift forgotten: the byte is what C makes of it.
        ("return MTRR_TYPE_WRBACK;", [(ALWAYS, Outcome(6))]),
        ("return kvm_mtrr_get_guest_memory_type(vcpu, gfn);", [(ALWAYS, Outcome(0, GUEST_MTRR, 0))]),
        (f"return {OLD_LOOKUP} << 3;", [(ALWAYS, guest_mtrr(0))]),
        ("return MTRR_TYPE_WRBACK << 3 | 1 << 6;", [(ALWAYS, Outcome(0x70))]),
        ("return (MTRR_TYPE_WRBACK << 8) | 0x170;", [(ALWAYS, Outcome(0x70))]),
        ("u8 x = 0x170; return x;", [(ALWAYS, Outcome(0x70))]),
        ("u8 x = 0xff; return ~x >> 4;", [(ALWAYS, Outcome(0xF0))]),
        ("u8 x = 0xff; x = ~x; return x;", [(ALWAYS, Outcome(0))]),
        ("bool x = 6; return x;", [(ALWAYS, Outcome(1))]),
        ("u32 x = 0; return (x - 1) >> 31;", [(ALWAYS, Outcome(1))]),
        ("int x = 0; return (x - 1) >> 31;", [(ALWAYS, Outcome(0xFF))]),
        ("return -1 < 0U;", [(ALWAYS, Outcome(0))]),
        (
            "u8 cache = 6; cache <<= 3; cache += VMX_EPT_IPAT_BIT; cache &= ~0x40; return cache;",
            [(ALWAYS, Outcome(48))],
        ),
        ("return (kvm_get_guest_memory_type(vcpu, gfn) << 3 | 0x47) & 0x7f & ~7;", [(ALWAYS, guest_mtrr(1))]),
        ("return (kvm_get_guest_memory_type(vcpu, gfn) << 3 | 0x47) & 0x41;", [(ALWAYS, Outcome(0x41))]),
        ("return kvm_get_guest_memory_type(vcpu, gfn) << 8;", [(ALWAYS, Outcome(0))]),
        ("return is_mmio;", [(Atom(MMIO), Outcome(1)), (ALWAYS, Outcome(0))]),
        ("return is_mmio ? 0 : 0x70;", [(Atom(MMIO), Outcome(0)), (ALWAYS, Outcome(0x70))]),
        ("return 0x30 | !is_mmio << 6;", [(Not(Atom(MMIO)), Outcome(0x70)), (ALWAYS, Outcome(0x30))]),
        ("if (is_mmio) WARN_ON_ONCE(gfn); return 0;", [(ALWAYS, Outcome(0))]),
        (
            "if (is_mmio) if (is_mmio) return 1; else return 2; return 3;",
            [(Atom(MMIO), Outcome(1)), (ALWAYS, Outcome(3))],
        ),
        ("u8 x; if (is_mmio) x = 1; if (!is_mmio) x = 2; return x;", [(Atom(MMIO), Outcome(1)), (ALWAYS, Outcome(2))]),
        ("{ u8 x = 1; { u8 x = 2; (void)x; } return x; }", [(ALWAYS, Outcome(1))]),
        ("if (1) goto out; return 1; out: return 2;", [(ALWAYS, Outcome(2))]),
        (
            "struct kvm *kvm = vcpu->kvm; bool dma = kvm_arch_has_noncoherent_dma(kvm);"
            " if (!dma) return 0x70; return 0;",
            [(Not(Atom(NONCOHERENT_DMA)), Outcome(0x70)), (ALWAYS, Outcome(0))],
        ),
        (
            "unsigned long cr0 = kvm_read_cr0(vcpu); if (cr0 & X86_CR0_CD) return 0x40; return 0x30;",
            [(Atom(CR0_CD), Outcome(0x40)), (ALWAYS, Outcome(0x30))],
        ),
        (
            "u8 t = kvm_mtrr_get_guest_memory_type(vcpu, gfn); if (t == MTRR_TYPE_WRCOMB) return 8;"
            " if (t != 6) return 0; return t << 3;",
            [
                (Atom(GUEST_MTRR, MemType.WC), Outcome(8)),
                (Not(Atom(GUEST_MTRR, MemType.WB)), Outcome(0)),
                (ALWAYS, guest_mtrr(0)),
            ],
        ),
        (
            "switch (kvm_mtrr_get_guest_memory_type(vcpu, gfn)) { case MTRR_TYPE_WRBACK: return 0x30;"
            " case 1: case 4: break; default: return 0; } return 8;",
            [
                (Atom(GUEST_MTRR, MemType.WB), Outcome(0x30)),
                (Atom(GUEST_MTRR, MemType.WC), Outcome(8)),
                (Atom(GUEST_MTRR, MemType.WT), Outcome(8)),
                (ALWAYS, Outcome(0)),
            ],
        ),
    ],
)
def test_c_means_what_c_means(statements: str, expected: list[tuple[Condition, Outcome]]) -> None:
    assert listed(body(statements)) == expected


def test_unknown_conditions_are_assumptions_under_their_text() -> None:
    found = body("if (!foo( vcpu,gfn )) return 0; if (vcpu->arch.bar  ==  3 || foo(vcpu, gfn)) return 0x70; return 8;")
    foo, bar = Atom(Input("assume", "foo(vcpu, gfn)")), Atom(Input("assume", "vcpu->arch.bar == 3"))
    # Past the first return, foo() is known to hold.
    assert listed(found) == [(Not(foo), Outcome(0)), (ALWAYS, Outcome(0x70))]
    assert listed(body("if (vcpu->arch.bar != 3) return 0; return 8;"))[0][0] == Not(bar)


def test_a_name_of_the_locals_is_not_part_of_an_assumption() -> None:
    found = body("u32 x = vcpu->arch.bar; u32 y = x; if (y == 3) return 0; return 8;")
    assert listed(found)[0][0] == Atom(Input("assume", "vcpu->arch.bar == 3"))


def test_an_unknown_memory_type_is_an_assumption_of_its_own() -> None:
    kind = Input("assume_type", "kvm_get_type(vcpu, gfn + 1)")
    for text in (
        "return kvm_get_type(vcpu, gfn + 1) << VMX_EPT_MT_EPTE_SHIFT | VMX_EPT_IPAT_BIT;",
        "u8 cache = kvm_get_type(vcpu, gfn + 1); u64 ipat = 1 << 6; return (cache << 3) | ipat;",
        "u64 ret = kvm_get_type(vcpu, gfn + 1); ret <<= 3; ret |= 0x40; return ret;",
    ):
        assert listed(body(text)) == [(ALWAYS, Outcome(0x40, kind))]


def test_a_cut_register_is_not_taken_for_the_bit_it_lost() -> None:
    found = body("u8 cd = kvm_read_cr0(vcpu) & X86_CR0_CD; if (cd) return 0x40; return 0x30;")
    assert listed(found) == [(ALWAYS, Outcome(0x30))]
    assert found.unreached == ("return 0x40;",)
    assert asked("(int)kvm_read_cr0(vcpu) & X86_CR0_CD") == Atom(CR0_CD)
    assert asked("(short)kvm_read_cr0(vcpu) & X86_CR0_CD") == assumed("(s16)kvm_read_cr0(vcpu) & X86_CR0_CD")


def asked(expression: str, before: str = "") -> Condition | bool:
    """What an expression comes to as a condition; a constant as a bool."""
    found = listed(body(f"if ({expression}) return 0x40; return 0x30;", before))
    if len(found) == 1:
        return found[0] == (ALWAYS, Outcome(0x40))
    (condition, _), _ = found
    return condition if found[0][1] == Outcome(0x40) else Not(condition)


def assumed(text: str) -> Condition:
    return Atom(Input("assume", text))


def flag(name: str) -> Condition:
    return Atom(Input("slot_flag", name))


_IGP, _CD_NW = Atom(Input("quirk", "IGNORE_GUEST_PAT")), Atom(QUIRK_CD_NW_CLEARED)
_READONLY, _NCD = flag("READONLY"), flag("NON_COHERENT_DMA")
_NO_FLAG = tuple(Not(flag(name)) for name in SLOT_FLAGS)
_COUNT = "atomic_read(&vcpu->kvm->arch.noncoherent_dma_count)"
_NW, _TWO = assumed("kvm_read_cr0(vcpu) & X86_CR0_NW"), assumed(f"{_COUNT} > 1")
_ONLY_READONLY = And((Not(flag("LOG_DIRTY_PAGES")), _READONLY, Not(flag("GUEST_MEMFD")), Not(_NCD)))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # Bits by value, however they are written.
        ("slot->flags & BIT(3)", _NCD),
        ("slot->flags & (1UL<<3)", _NCD),
        ("8 & fault->slot->flags", _NCD),
        ("(u8)slot->flags & 8", _NCD),
        ("kvm_vcpu_gfn_to_memslot(vcpu, gfn)->flags & BIT_ULL(3)", _NCD),
        ("READ_ONCE(slot->flags) & 8", _NCD),
        ("kvm_check_has_quirk(vcpu->kvm, BIT(9))", _IGP),
        ("vcpu->kvm->arch.disabled_quirks & 0x200", Not(_IGP)),
        ("kvm_is_cr0_bit_set(vcpu, BIT(30)) == 1", Atom(CR0_CD)),
        ("mem->flags & KVM_MEM_READONLY", _READONLY),
        # Compared with the mask, with a part of it, with what it never is.
        ("kvm_read_cr0_bits(vcpu, X86_CR0_CD) == X86_CR0_CD", Atom(CR0_CD)),
        ("kvm_read_cr0_bits(vcpu, X86_CR0_CD) != X86_CR0_CD", Not(Atom(CR0_CD))),
        ("kvm_read_cr0_bits(vcpu, X86_CR0_CD) == 1", False),
        ("kvm_read_cr0_bits(vcpu, X86_CR0_CD) != true", True),
        ("kvm_read_cr0_bits(vcpu, X86_CR0_CD | X86_CR0_NW) == 1", False),
        ("X86_CR0_CD == kvm_read_cr0_bits(vcpu, X86_CR0_CD)", Atom(CR0_CD)),
        ("5 < (slot->flags & 8)", _NCD),
        ("1 < (slot->flags & 8)", _NCD),
        ("0 < (slot->flags & 8)", _NCD),
        ("0 < slot->flags", Or(tuple(flag(name) for name in SLOT_FLAGS))),
        ("(s8)(vcpu->kvm->arch.disabled_quirks & BIT(9))", False),
        ("(u16)(vcpu->kvm->arch.disabled_quirks & 0x10200)", Not(_IGP)),
        ("kvm_read_cr0_bits(vcpu, X86_CR0_CD) >> 30 == 1", Atom(CR0_CD)),
        ("kvm_read_cr0_bits(vcpu, X86_CR0_CD) & X86_CR0_NW", False),
        ("kvm_read_cr0_bits(vcpu, 0)", False),
        ("kvm_check_has_quirk(vcpu->kvm, 0)", True),
        ("slot->flags & (KVM_MEM_READONLY|KVM_MEM_NON_COHERENT_DMA)", Or((_READONLY, _NCD))),
        ("(slot->flags & (KVM_MEM_READONLY | 8)) > 0", Or((_READONLY, _NCD))),
        ("(slot->flags & 10) == (KVM_MEM_READONLY | KVM_MEM_NON_COHERENT_DMA)", And((_READONLY, _NCD))),
        ("(slot->flags & 10) == KVM_MEM_READONLY", And((_READONLY, Not(_NCD)))),
        ("(slot->flags & 10) < 1", And((Not(_READONLY), Not(_NCD)))),
        ("(slot->flags & 8) > 4", _NCD),
        ("slot->flags & KVM_MEM_READONLY & KVM_MEM_NON_COHERENT_DMA", False),
        ("slot->flags == KVM_MEM_READONLY", _ONLY_READONLY),
        ("slot->flags != KVM_MEM_READONLY", Not(_ONLY_READONLY)),
        ("!slot->flags", Not(Or(tuple(flag(name) for name in SLOT_FLAGS)))),
        # In force are those that are not disabled: all of several.
        (
            "kvm_check_has_quirk(vcpu->kvm, KVM_X86_QUIRK_CD_NW_CLEARED | KVM_X86_QUIRK_IGNORE_GUEST_PAT)",
            And((_CD_NW, _IGP)),
        ),
        # ! binds tighter than &: 0 or 1, and a bit that neither has.
        ("!kvm_read_cr0(vcpu) & X86_CR0_CD", False),
        ("!vcpu->arch.foo & X86_CR0_NW", False),
        ("!slot->flags & KVM_MEM_NON_COHERENT_DMA", False),
        ("X86_CR0_CD & !is_mmio", False),
        ("!is_mmio & 1", Not(Atom(MMIO))),
        ("kvm_arch_has_noncoherent_dma(vcpu->kvm) & 2", False),
        # What no table knows stays a question, in the words of the source.
        ("slot->flags & BIT( 16 )", assumed("slot->flags & BIT(16)")),
        # What is known stays known beside it.
        ("slot->flags & (BIT(3)|BIT(16))", Or((_NCD, assumed("slot->flags & 0x10000")))),
        (
            "(s8)(vcpu->kvm->arch.disabled_quirks & BIT(7)) == 0xffffff80",
            assumed("(s8)(vcpu->kvm->arch.disabled_quirks & BIT(7)) == 0xffffff80"),
        ),
        ("slot->flags == 16", And((*_NO_FLAG, assumed("(slot->flags & 0xfffffff0) == 0x10")))),
        ("slot->flags & KVM_MEMSLOT_INVALID", assumed("slot->flags & KVM_MEMSLOT_INVALID")),
        ("slot->flags & ~8", Or(tuple(flag(name) for name in SLOT_FLAGS if name != "NON_COHERENT_DMA"))),
        ("fault->flags & 8", assumed("fault->flags & 8")),
        ("foo(BIT(3)) & 1UL<<4", assumed("foo(BIT(3)) & 1UL << 4")),
        ("kvm_check_has_quirk(vcpu->kvm, BIT(7))", assumed("kvm_check_has_quirk(vcpu->kvm, BIT(7))")),
        ("kvm_check_has_quirk(other, BIT(9))", assumed("kvm_check_has_quirk(other, BIT(9))")),
        ("kvm_read_cr0(vcpu) & (X86_CR0_CD|X86_CR0_NW)", Or((Atom(CR0_CD), _NW))),
        ("(kvm_read_cr0(vcpu) & (X86_CR0_CD|X86_CR0_NW)) == X86_CR0_CD", And((Atom(CR0_CD), Not(_NW)))),
        ("kvm_is_cr0_bit_set(vcpu, X86_CR0_CD | X86_CR0_NW)", Or((Atom(CR0_CD), _NW))),
        (
            "kvm_read_cr0(vcpu) == X86_CR0_CD",
            And((Atom(CR0_CD), Not(assumed("kvm_read_cr0(vcpu) & 0xffffffffbfffffff")))),
        ),
        (
            "vcpu->kvm->arch.disabled_quirks == KVM_X86_QUIRK_CD_NW_CLEARED",
            And((Not(_CD_NW), _IGP, Not(assumed("vcpu->kvm->arch.disabled_quirks & 0xfffffffffffffdfd")))),
        ),
        (
            "vcpu->kvm->arch.disabled_quirks & (KVM_X86_QUIRK_CD_NW_CLEARED | KVM_X86_QUIRK_SLOT_ZAP_ALL)",
            Or((Not(_CD_NW), assumed("vcpu->kvm->arch.disabled_quirks & KVM_X86_QUIRK_SLOT_ZAP_ALL"))),
        ),
        # One bit of many, shifted, turned, or'd away, asked by its number.
        ("vcpu->kvm->arch.disabled_quirks >> 1 & 1", Not(_CD_NW)),
        ("!(~vcpu->kvm->arch.disabled_quirks & 2)", Not(_CD_NW)),
        ("(vcpu->kvm->arch.disabled_quirks >> 1 & 1) == 0", _CD_NW),
        ("(vcpu->kvm->arch.disabled_quirks ^ 2) & 2", _CD_NW),
        ("(vcpu->kvm->arch.disabled_quirks | 2) == vcpu->kvm->arch.disabled_quirks", Not(_CD_NW)),
        ("(vcpu->kvm->arch.disabled_quirks & 2) == 2", Not(_CD_NW)),
        ("(vcpu->kvm->arch.disabled_quirks & ~2ULL) == vcpu->kvm->arch.disabled_quirks", _CD_NW),
        ("vcpu->kvm->arch.disabled_quirks << 62 >> 63", Not(_CD_NW)),
        ("test_bit(1, (unsigned long *)&vcpu->kvm->arch.disabled_quirks)", Not(_CD_NW)),
        ("!test_bit(9, &vcpu->kvm->arch.disabled_quirks)", _IGP),
        ("kvm_read_cr0(vcpu) >> 30 & 1", Atom(CR0_CD)),
        ("(kvm_read_cr0(vcpu) >> 29 & 3) == 2", And((Atom(CR0_CD), Not(_NW)))),
        ("(u32)kvm_read_cr0(vcpu) << 1 >> 31", Atom(CR0_CD)),
        ("test_bit(30, &vcpu->arch.cr0)", Atom(CR0_CD)),
        ("test_bit(X86_CR0_CD_BIT, &vcpu->arch.cr0)", Atom(CR0_CD)),
        ("kvm_read_cr0(vcpu) & BIT(X86_CR0_CD_BIT)", Atom(CR0_CD)),
        ("test_bit(ilog2(KVM_MEM_NON_COHERENT_DMA), &slot->flags)", _NCD),
        ("slot->flags >> ilog2(8) & 1", _NCD),
        ("slot->flags >> 3 & 1", _NCD),
        ("!(~slot->flags & 8)", _NCD),
        ("~slot->flags & 8", Not(_NCD)),
        ("(slot->flags | 8) == slot->flags", _NCD),
        ("slot->flags == (8 | slot->flags)", _NCD),
        ("(slot->flags & 8) == 8", _NCD),
        ("(slot->flags ^ 8) != (slot->flags | 8)", _NCD),
        ("(slot->flags & 0xff) >> 3 & 1", _NCD),
        ("test_bit(16, &slot->flags)", assumed("test_bit(16, &slot->flags)")),
        # A count: whoever counts two counts one.
        ("COUNT > 1", And((Atom(NONCOHERENT_DMA), _TWO))),
        ("COUNT >= 2", And((Atom(NONCOHERENT_DMA), _TWO))),
        ("1 < COUNT", And((Atom(NONCOHERENT_DMA), _TWO))),
        ("COUNT < 2", Not(And((Atom(NONCOHERENT_DMA), _TWO)))),
        ("COUNT > 2", And((Atom(NONCOHERENT_DMA), _TWO, assumed(f"{_COUNT} > 2")))),
        ("COUNT == 1", And((Atom(NONCOHERENT_DMA), Not(And((Atom(NONCOHERENT_DMA), _TWO)))))),
        ("COUNT >= 0", True),
        ("COUNT < 0", False),
        ("COUNT == -1", False),
        ("(slot->flags & 8) | foo(vcpu)", assumed("slot->flags & 8 | foo(vcpu)")),
    ],
)
def test_bits_of_known_registers(expression: str, expected: Condition | bool) -> None:
    assert asked(expression.replace("COUNT", _COUNT)) == expected


@pytest.mark.parametrize(
    ("expression", "column"),
    [
        ("kvm_read_cr0(vcpu) + 1", 6),
        ("-kvm_read_cr0(vcpu)", 6),
        ("kvm_read_cr0(vcpu) > 5", 6),
        ("kvm_read_cr0(vcpu) & (X86_CR0_CD | X86_CR0_FRESH)", 6),
        ("vcpu->kvm->arch.disabled_quirks * 2", 6),
        ("test_bit(foo, &slot->flags)", 6),
        ("COUNT & 1", 6),
        ("1 + (COUNT & 1)", 11),
        ("(u8)COUNT == 3", 6),
        ("COUNT > 100", 6),
    ],
)
def test_what_mixes_an_input_with_unknown_bits_is_refused(expression: str, column: int) -> None:
    found = read_or_refused(f"{HEAD}\tif ({expression.replace('COUNT', _COUNT)})\n\t\treturn 0x40;\n\treturn 0;\n}}\n")
    assert isinstance(found, InputError)
    assert found.place is not None
    assert (found.place.line, found.place.column) == (HEAD.count("\n") + 1, column)


_SLOT = "slot->flags & 8"


@pytest.mark.parametrize(
    ("meant", "spellings"),
    [
        (
            _NCD,
            (
                *("slot[0].flags & 8", "(*slot).flags & 8", "(&slot[0])->flags & 8", "(&*slot)->flags & 8"),
                *("(*(slot)).flags & 8", "(*&slot[0]).flags & 8", "((slot))->flags & BIT(3)", "(&(*slot))->flags & 8"),
                *("slot[0u].flags & 8", "((struct kvm_memory_slot *)slot)[0].flags & 8", "8 & *&slot->flags"),
                *("READ_ONCE(slot->flags) & 8", "data_race(slot->flags) & 8", "data_race(slot->flags & 8)"),
                *("ACCESS_ONCE(slot[0].flags) & 8", "unlikely(data_race(READ_ONCE((slot)->flags)) & 8)"),
                *("rcu_dereference(slot)->flags & 8", "WARN_ON_ONCE(slot->flags & 8)", f'WARN_ONCE({_SLOT}, "%u", 3)'),
                *(f"__builtin_expect(!!({_SLOT}), 0)", f"__builtin_expect({_SLOT}, 1)", f"likely(({_SLOT}) == 8)"),
                *(f"KVM_BUG_ON({_SLOT}, vcpu->kvm)", f'KVM_BUG({_SLOT}, vcpu->kvm, "bug")', f"!WARN_ON(!({_SLOT}))"),
                *(f"IS_ENABLED(CONFIG_KVM_INTEL) && ({_SLOT})", f"({_SLOT}) * IS_ENABLED(CONFIG_X86_64)"),
                "__builtin_expect_with_probability(slot->flags & 8, 1, 90)",
            ),
        ),
        (
            Atom(CR0_CD),
            (
                *("kvm_is_cr0_bit_set(&*vcpu, X86_CR0_CD)", "kvm_is_cr0_bit_set(&vcpu[0], X86_CR0_CD)"),
                *("kvm_is_cr0_bit_set(((struct kvm_vcpu *)(vcpu)), BIT(30))", "vcpu[0].arch.cr0 & X86_CR0_CD"),
                *("READ_ONCE((*vcpu).arch.cr0) & X86_CR0_CD", "(&vcpu->arch)->cr0 & (u32)BIT(30)"),
                *("kvm_read_cr0_bits(&(*vcpu), X86_CR0_CD)", "kvm_is_cr0_bit_set(*&vcpu, X86_CR0_CD)"),
            ),
        ),
        (
            Atom(NONCOHERENT_DMA),
            (
                *("kvm_arch_has_noncoherent_dma((&*vcpu)->kvm)", "kvm_arch_has_noncoherent_dma(vcpu[0].kvm)"),
                *("kvm_arch_has_noncoherent_dma(&*vcpu->kvm)", "kvm_arch_has_noncoherent_dma(READ_ONCE(vcpu->kvm))"),
                *(f"{_COUNT} > 0", f"{_COUNT} >= 1", f"0 < {_COUNT}", f"1 <= {_COUNT}", f"!({_COUNT} <= 0)"),
                *(f"!({_COUNT} < 1)", f"0 != {_COUNT}", f"(u64){_COUNT}", f"(long){_COUNT} > 0", f"arch_{_COUNT}"),
                *(f"raw_{_COUNT} > 0", "data_race(vcpu->kvm->arch.noncoherent_dma_count)", f"(bool){_COUNT} == true"),
                "atomic_read(&(*vcpu->kvm).arch.noncoherent_dma_count)",
            ),
        ),
        (
            assumed("foo->bar == 3"),
            (
                *("(*foo).bar == 3", "foo[0].bar == 3", "(&*foo)->bar == 3", "(&foo[0])->bar == 3", "(foo)->bar == 3"),
                *("READ_ONCE(foo->bar) == 3", "likely(data_race((*foo).bar) == 3)", "(*&foo)->bar == 3"),
                *("*&foo->bar == 3", "__builtin_expect(foo->bar == 3, 1)"),
            ),
        ),
        (assumed("IS_ENABLED(CONFIG_FOO)"), ("IS_ENABLED(CONFIG_FOO) == 1", "IS_ENABLED( CONFIG_FOO ) << 3")),
        (assumed("slot[1].flags & 8"), ("slot[1].flags & 8", "(&slot[1])->flags & 8", "(*&slot[1]).flags & 8")),
        (And((Atom(NONCOHERENT_DMA), assumed(f"(u8){_COUNT}"))), (f"(u8){_COUNT}",)),
    ],
    ids=range(7),
)
def test_spellings_that_say_the_same(meant: Condition, spellings: tuple[str, ...]) -> None:
    assert {text: asked(text) for text in spellings} == dict.fromkeys(spellings, meant)


def test_spellings_that_say_the_same_are_one_input() -> None:
    found = body("if (foo[0].bar) return 0; if ((*foo).bar) return 1; if ((&foo[0])->bar) return 2; return 3;")
    assert [str(rule.when) for rule in found.rules] == [str(assumed("foo->bar")), str(ALWAYS)]


@pytest.mark.parametrize(
    ("statements", "before", "expected"),
    [
        ("return one << 3;", "static const u8 one = 6;\n", "1:1: one is a constant of this file that is not followed"),
        ("return list[0];", "const u8 list[] = { 6 };\n", "1:1: list is a constant of this file that is not followed"),
        ("u8 x = 1, y = 2; { x * y; y = 3; } return y;", "", "3:20: x is a local, and no type"),
        ("u8 y = 2; { foo * y; y = 3; } return y;", "", "3:13: foo is no known type, and y is a local already"),
        ("enum foo x = 3; return x;", "", "3:1: enum foo is not in this file, and so its sign is not known"),
        ("return (enum foo)-1 < 0;", "", "3:9: enum foo is not in this file, and so its sign is not known"),
        ("enum foo x = 3; return x;", "enum foo { A = f(1) };\n", "4:1: enum foo is not followed"),
        ("return (typeof(gfn))-1 > 0;", "", "3:9: typeof is not understood here"),
        ("return (u64)(*slot).flags & 8;", "", "3:8: a cast of something with more behind it"),
        ("u8 x = 1; if (KVM_BUG_ON(is_mmio, x = 3)) return x; return 2;", "", "3:35: a local written in passing"),
        ("return GENMASK(3, 4);", "", "3:8: `GENMASK(3, 4)` is no range of bits"),
        ("u8 gfn_t = 3; return (gfn_t)-1;", "", "3:23: gfn_t is a local here, and a type as well"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(statements: str, before: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        body(statements, before)
    assert str(caught.value).startswith(f"vmx.c:{expected}")
    assert "(" in str(caught.value).split("\n")[0][len(expected) :]  # what would be right


def test_a_parameter_of_another_name_is_spelt_alike() -> None:
    head = "u8 vmx_get_mt_mask(struct kvm_vcpu *v, gfn_t gfn, bool is_mmio, struct kvm_memory_slot *s)"
    for text in ("(*s).flags & 8", "s[0].flags & 8", "(&*s)->flags & 8", "(&s[0])->flags & 8"):
        found = read(f"{head}\n{{\n\tif ({text})\n\t\treturn 0x40;\n\treturn 0x30;\n}}\n")
        assert listed(found)[0][0] == _NCD, text


class Expression(NamedTuple):
    """C, and the number it comes to."""

    text: str
    value: Callable[[Facts], int]


_LEAVES = st.one_of(
    st.sampled_from((0, 1, 2, 8, 9, 10, 1 << 30)).map(lambda number: Expression(f"{number}UL", lambda _: number)),
    st.sampled_from((1, 2, 8, 10, 15)).map(
        lambda mask: Expression(f"(slot->flags & {mask}UL)", lambda facts: facts.slot_flags & mask)
    ),
    st.just(Expression("kvm_read_cr0_bits(vcpu, X86_CR0_CD)", lambda facts: facts.cr0_cd << 30)),
    st.just(Expression("is_mmio", lambda facts: int(facts.mmio))),
)
_OPERATORS: dict[str, Callable[[int, int], int]] = {
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">=": operator.ge,
    "&&": lambda a, b: bool(a and b),
    "||": lambda a, b: bool(a or b),
}


def _joined(sign: str, a: Expression, b: Expression) -> Expression:
    return Expression(
        f"({a.text} {sign} {b.text})", lambda facts: int(_OPERATORS[sign](a.value(facts), b.value(facts)))
    )


_EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda one: Expression(f"!{one.text}", lambda facts: int(not one.value(facts)))),
        inner.map(lambda one: Expression(f"({one.text} >> 3)", lambda facts: one.value(facts) >> 3)),
        inner.map(lambda one: Expression(f"((u8){one.text})", lambda facts: one.value(facts) & 0xFF)),
        st.builds(_joined, st.sampled_from(sorted(_OPERATORS)), inner, inner),
    ),
    max_leaves=5,
)


@given(_EXPRESSIONS)
@settings(max_examples=150, deadline=None)
def test_law_bits_of_registers_are_what_c_makes_of_them(expression: Expression) -> None:
    """Arithmetic on known bits is C's: no question is left, and the answer is right for every value of them."""
    found = body(f"if ({expression.text}) return 0x40; return 0x30;")
    for flags, cd, mmio in itertools.product((0, 1, 2, 8, 10, 13, 15), (False, True), (False, True)):
        facts = Facts(slot_flags=flags, cr0_cd=cd, mmio=mmio)
        assert decide(found, facts)[1] == (0x40 if expression.value(facts) else 0x30)


def test_what_a_condition_does_not_settle_is_asked_in_the_words_of_the_source() -> None:
    assert listed(body("if (!is_mmio & FOO_BIT) return 0x40; return 0x30;")) == [
        (Atom(MMIO), Outcome(0x30)),
        (assumed("!is_mmio & FOO_BIT"), Outcome(0x40)),
        (ALWAYS, Outcome(0x30)),
    ]


def test_bits_of_a_register_as_numbers() -> None:
    assert listed(body("return (slot->flags & KVM_MEM_NON_COHERENT_DMA) << 3 | 0x30;")) == [
        (_NCD, Outcome(0x70)),
        (ALWAYS, Outcome(0x30)),
    ]
    found = body(
        "u32 flags = slot->flags; flags &= KVM_MEM_READONLY | KVM_MEM_NON_COHERENT_DMA; switch (flags) {"
        " case KVM_MEM_READONLY: return 1; case 8: return 2; default: return 3; }"
    )
    for flags, byte in ((0, 3), (2, 1), (8, 2), (10, 3), (13, 2)):
        assert decide(found, Facts(slot_flags=flags))[1] == byte
    assert found.unreached == ()


def test_the_file_s_own_constants_count() -> None:
    asking = "slot->flags & KVM_MEM_NON_COHERENT_DMA"
    assert asked(asking, "#define KVM_MEM_NON_COHERENT_DMA (1UL << 5)\n") == assumed(asking)
    assert asked("slot->flags & OURS", "#define OURS BIT(3)\n") == _NCD


def helper(head: str, *lines: str) -> str:
    return f"static {head}\n{{\n" + "".join(f"\t{line}\n" for line in lines) + "}\n\n"


_KNOWN_NAMES = [
    (
        helper(
            "bool kvm_arch_has_noncoherent_dma(struct kvm *kvm)",
            "return atomic_read(&kvm->arch.noncoherent_dma_count) && foo(kvm);",
        ),
        "kvm_arch_has_noncoherent_dma(vcpu->kvm)",
        And((Atom(NONCOHERENT_DMA), assumed("foo(vcpu->kvm)"))),
    ),
    (
        helper("bool kvm_check_has_quirk(struct kvm *kvm, u64 quirk)", "return !(kvm->arch.disabled_quirks & quirk);"),
        "kvm_check_has_quirk(vcpu->kvm, KVM_X86_QUIRK_CD_NW_CLEARED)",
        _CD_NW,
    ),
    (
        helper("bool kvm_check_has_quirk(struct kvm *kvm, u64 quirk)", "return kvm->arch.disabled_quirks & quirk;"),
        "kvm_check_has_quirk(vcpu->kvm, KVM_X86_QUIRK_CD_NW_CLEARED)",
        Not(_CD_NW),
    ),
    (helper("ulong kvm_read_cr0(struct kvm_vcpu *vcpu)", "return 0;"), "kvm_read_cr0(vcpu) & X86_CR0_CD", False),
    (
        helper("bool kvm_is_mmio_pfn(kvm_pfn_t pfn)", "return !pfn_valid(pfn);"),
        "kvm_is_mmio_pfn(pfn)",
        Not(assumed("pfn_valid(pfn)")),
    ),
    (
        helper("u8 kvm_get_guest_memory_type(struct kvm_vcpu *vcpu, gfn_t gfn)", "return 6;"),
        "kvm_get_guest_memory_type(vcpu, gfn) == MTRR_TYPE_WRBACK",
        True,
    ),
    (helper("bool unlikely(bool x)", "return !x;"), "unlikely(is_mmio)", Not(Atom(MMIO))),
]


@pytest.mark.parametrize(("before", "expression", "expected"), _KNOWN_NAMES)
def test_a_known_name_defined_in_the_file_means_its_body(
    before: str, expression: str, expected: Condition | bool
) -> None:
    assert asked(expression, before) == expected


def test_wide_functions_cut_nothing() -> None:
    wide = HEAD.replace("u8", "u64", 1)
    assert listed(read(f"{wide}return 0x70;\n}}\n")) == [(ALWAYS, Outcome(0x70))]
    assert listed(body("return 0x130;")) == [(ALWAYS, Outcome(0x30))]
    for returned, what in (
        ("0x130", "returns 0x130, and"),
        ("-1", "returns 0xffffffffffffffff, and"),
        ("MTRR_TYPE_WRBACK << 6", "returns 0x180, and"),
        ("kvm_mtrr_get_guest_memory_type(vcpu, gfn) << 3 | 0x100", "has bits above the lowest 8, and"),
        ("kvm_mtrr_get_guest_memory_type(vcpu, gfn) << 6", "has bits above the lowest 8, and"),
    ):
        with pytest.raises(InputError, match=rf"^vmx.c:3:1: .*{what} an EPT memory-type byte has 8 bits"):
            read(f"{wide}return {returned};\n}}\n")


def test_a_parameter_called_mmio_in_the_place_of_is_mmio() -> None:
    for parameters, expected in (
        ("struct kvm_vcpu *vcpu, gfn_t gfn, bool mmio", Atom(MMIO)),
        ("struct kvm_vcpu *vcpu, bool mmio, gfn_t gfn", assumed("mmio")),
    ):
        found = read(f"u8 vmx_get_mt_mask({parameters})\n{{\n\tif (mmio)\n\t\treturn 0;\n\treturn 0x70;\n}}\n")
        assert listed(found)[0][0] == expected


@pytest.mark.parametrize(
    ("given", "text", "same"),
    [
        ("my_new_predicate(vcpu,gfn)", "my_new_predicate(vcpu, gfn)", True),
        (" a [ 2 ]&BAR ", "a[2] & BAR", True),
        ("x==-1", "x == -1", True),
        ("a & &b", "a && b", False),
        ("a & &b", "a&&b", False),
        ("unsigned x", "unsignedx", False),
        ("f(a, b)", "f(a, c)", False),
        ("f(g(x ) )", "f(g(x))", True),
    ],
)
def test_blanks_do_not_tell_assumptions_apart(given: str, text: str, same: bool) -> None:
    for name, value in (("assume", False), ("assume_type", MemType.WC)):
        facts, item = Facts(assume={given: value}), Input(name, text)
        if same:
            assert value_of(item, facts) == value
        else:
            with pytest.raises(UnknownInput):
                value_of(item, facts)
    # The very text goes before its likes.
    assert value_of(Input("assume", text), Facts(assume={given: True, text: False})) is False
    rules = RuleSet(
        "any", "", (Rule("a", Atom(Input("assume", text)), Outcome(0), ""), Rule("b", ALWAYS, Outcome(1), ""))
    )
    assert (unread(kernel_for_rules(rules, ""), [Input("assume", given)]) == ()) is same


def test_half_of_the_iommu_condition_is_an_assumption() -> None:
    found = body("if (vcpu->kvm->arch.iommu_domain) return 0; return 0x70;")
    assert listed(found)[0][0] == Atom(Input("assume", "vcpu->kvm->arch.iommu_domain"))
    flipped = body(
        "if (!vcpu->kvm->arch.iommu_domain || (vcpu->kvm->arch.iommu_flags & KVM_IOMMU_CACHE_COHERENCY)) return 0x70;"
        " return 0;"
    )
    assert listed(flipped)[0][0] == Not(Atom(NONCOHERENT_DMA))


OUT_PARAMETERS = """
static void fill(struct kvm_vcpu *vcpu, u8 *type, bool *ipat)
{
	if (kvm_check_has_quirk(vcpu->kvm, KVM_X86_QUIRK_CD_NW_CLEARED)) {
		*type = MTRR_TYPE_WRBACK;
		*ipat = false;
	} else {
		*type = MTRR_TYPE_UNCACHABLE;
		*ipat = true;
	}
}

"""


def test_helpers_that_write_through_pointers_are_followed() -> None:
    found = body(
        "u8 cache; bool ipat; if (!(kvm_read_cr0(vcpu) & X86_CR0_CD)) return 8; fill(vcpu, &cache, &ipat);"
        " return cache << VMX_EPT_MT_EPTE_SHIFT | (ipat ? VMX_EPT_IPAT_BIT : 0);",
        OUT_PARAMETERS,
    )
    assert listed(found) == [
        (Not(Atom(CR0_CD)), Outcome(8)),
        (Atom(QUIRK_CD_NW_CLEARED), Outcome(0x30)),
        (ALWAYS, Outcome(0x40)),
    ]


HELPERS = """
#define MY_TYPE (MTRR_TYPE_WRBACK)
#define MY_BYTE ((MY_TYPE << 3) | BIT(6))
#if 0
u8 vmx_get_mt_mask(void) { return "}"; }
#endif
static __always_inline bool cached(struct kvm *kvm, bool also)
{
	/* } */
	if (kvm_arch_has_noncoherent_dma(kvm))
		return false;
	return also;
}
static int
twice(int x)
{
	return x + x; // }
}
"""


def test_helpers_that_return_values_and_predicates_are_followed() -> None:
    found = body("if (cached(vcpu->kvm, !is_mmio)) return MY_BYTE; return twice(twice(2)) | cached(0, 1);", HELPERS)
    other = Atom(Input("assume", "kvm_arch_has_noncoherent_dma(0)"))
    assert listed(found) == [
        (And((Not(Atom(NONCOHERENT_DMA)), Not(Atom(MMIO)))), Outcome(0x70)),
        (Not(other), Outcome(9)),
        (ALWAYS, Outcome(8)),
    ]


def test_a_helper_that_writes_runs_only_where_c_runs_it() -> None:
    helper = "static bool set(u8 *x)\n{\n\t*x = 7;\n\treturn true;\n}\n"
    found = body("u8 x = 1; if (is_mmio && set(&x)) return x; return x;", helper)
    assert listed(found) == [(Atom(MMIO), Outcome(7)), (ALWAYS, Outcome(1))]
    found = body("u8 x = 1; if (is_mmio || set(&x)) return x; return x;", helper)
    assert listed(found) == [(Atom(MMIO), Outcome(1)), (ALWAYS, Outcome(7))]


def test_rules_say_where_they_come_from() -> None:
    found = read("/* one\n * two */\n" + early_c(resolve("v6.7").rules).replace("\n", "\r\n"))
    assert [rule.source for rule in found.rules] == [f"vmx.c:{line}" for line in (5, 8, 11, 14, 17)]
    assert found.rules[0].why == "if ((is_mmio))"
    assert [rule.id for rule in found.rules] == ["mmio", "coherent", "cd-quirk", "cd", "guest-mtrr"]
    assert found.sources == ("vmx.c:3",)
    assert rules_from_c(HEAD + "return 0;\n}\n", "a.c", "mine").name == "mine"


@pytest.mark.parametrize("path", sorted((DATA / "bad").glob("*.txt")), ids=lambda path: path.stem)
def test_what_is_not_understood_is_refused(path: Path) -> None:
    text, expected = path.read_text().split("=====\n")
    with pytest.raises(InputError) as caught:
        read(text)
    assert f"{caught.value}\n" == expected


_BOOLEAN = [item for item in SPELLINGS if item != GUEST_MTRR]
_BOOLEAN += [Input("assume", "foo(vcpu)"), Input("assume", "vcpu->arch.bar[2] & BAR")]
_ATOMS = st.sampled_from([*map(Atom, _BOOLEAN), *(Atom(GUEST_MTRR, kind) for kind in MTRR_TYPES)])
_CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: And(tuple(parts))),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: Or(tuple(parts))),
    ),
    max_leaves=4,
)
_OUTCOMES = st.one_of(
    st.integers(0, 255).map(Outcome),
    st.builds(
        Outcome,
        st.sampled_from((0, 0x40, 0x80, 0x47)),
        st.sampled_from((GUEST_MTRR, Input("assume_type", "kvm_type_of(gfn)"))),
        st.just(3),
    ),
)


@st.composite
def rule_sets(draw: st.DrawFn) -> RuleSet:
    rules = [Rule(f"r{at}", draw(_CONDITIONS), draw(_OUTCOMES), "") for at in range(draw(st.integers(0, 4)))]
    found = RuleSet("any", "", (*rules, Rule("last", ALWAYS, draw(_OUTCOMES), "")))
    return found if len(inputs_read(found)) <= 7 else found._replace(rules=found.rules[-1:])


@given(rule_sets(), st.sampled_from(sorted(STYLES)), st.data())
@settings(max_examples=120, deadline=None)
def test_law_rules_printed_as_c_decide_the_same(rules: RuleSet, style: str, data: st.DataObject) -> None:
    """What is printed as C, in any style and spelling, is read back to the same byte on every input."""
    offset = data.draw(st.integers(0, 4))
    same_bytes(rules, read(STYLES[style](rules, lambda texts: texts[offset % len(texts)])))


_MUTATED = [STYLES[style](resolve(name).rules, first) for style in STYLES for name in ("v4.2", "v6.7", "quirk-v1")]
_MUTATED.append(
    HELPERS + OUT_PARAMETERS + HEAD + "u8 a; bool b;\nfill(vcpu, &a, &b);\nreturn cached(vcpu->kvm, b);\n}\n"
)


@given(st.data())
@settings(max_examples=250, deadline=None)
def test_law_mutated_c_is_read_or_refused(data: st.DataObject) -> None:
    """Any text gives a rule set that catches everything, or a located error; nothing else, and soon."""
    text = data.draw(st.sampled_from(_MUTATED))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(at, min(at + 30, len(text))))
        middle = data.draw(
            st.one_of(
                st.just(""),
                st.text(max_size=3),
                st.sampled_from([*"(){};:=!&|*~+<>?,\"'#\\\n0", "/*", "*/", "if ", "goto exit;", "return ", "&&"]),
                st.just(text[at:end] * 2),
            )
        )
        text = text[:at] + middle + text[end:]
    if data.draw(st.booleans()):
        text = text[: data.draw(st.integers(0, len(text)))]
    started = time.process_time()
    found = read_or_refused(text)
    if isinstance(found, InputError):
        assert found.place is not None
        assert str(found).startswith(f"vmx.c:{found.place.line}:{found.place.column}: ")
    else:
        assert found.rules[-1].when == ALWAYS
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "return " + "(" * 5000 + "0" + ")" * 5000 + ";\n}\n",
        HEAD + "return " + "!" * 5000 + "0;\n}\n",
        HEAD + "{" * 5000 + "}" * 5000 + "\n}\n",
        HEAD + "if (is_mmio) ;\n" * 3000 + "return 0;\n}\n",
        HEAD + "u64 x = 0;\n" + "".join(f"if (foo({i})) x += {i};\n" for i in range(90)) + "return x;\n}\n",
        HEAD + "".join(f"if (foo({i})) return {i};\n" for i in range(99)) + "return 0;\n}\n",
        HEAD + "".join(f"if (foo({i})) return 1; else " for i in range(300)) + "return 0;\n}\n",
        HEAD + "return 0;\n" * 60000 + "}\n",
        "/*" * 100000,
        '"' * 100000,
        "(" * 100000,
        "vmx_get_mt_mask(" * 20000,
        "#define A B\n" * 20000 + HEAD + "return A;\n}\n",
        "\x00\ufeff" * 1000,
    ],
    ids=range(14),
)
def test_large_and_deep_c_ends_soon(text: str) -> None:
    started = time.process_time()
    found = read_or_refused(text)
    assert found.rules if isinstance(found, RuleSet) else found.place
    assert time.process_time() - started < 5


def test_every_slot_flag_is_known() -> None:
    for name in SLOT_FLAGS:
        found = body(f"if (slot->flags & KVM_MEM_{name}) return 0; return 8;")
        assert listed(found)[0][0] == Atom(Input("slot_flag", name))
    assert (
        condition_c(Atom(GUEST_MTRR, MemType.WB))
        == f"(kvm_mtrr_get_guest_memory_type(vcpu, gfn) == {TYPES[MemType.WB]})"
    )


def test_a_case_that_falls_through_and_says_so() -> None:
    """The kernel's word for it says nothing about the byte; as a macro of the file's own it may."""
    with_word = "switch (slot->flags & KVM_MEM_READONLY) {{ case 2: u = 0x30; {} default: u |= 0x40; }} return u;"
    said, unsaid = (body("u8 u = 0; " + with_word.format(word)) for word in ("fallthrough;", ""))
    assert [(rule.when, rule.then) for rule in said.rules] == [(rule.when, rule.then) for rule in unsaid.rules]
    assert {rule.then.const for rule in said.rules} == {0x70, 0x40}
    own = read_or_refused(
        "#define fallthrough break\n" + HEAD + "{ u8 u = 0; " + with_word.format("fallthrough;") + " }\n"
    )
    assert isinstance(own, InputError)
