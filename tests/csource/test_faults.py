# SPDX-License-Identifier: GPL-2.0-only
"""C that was read wrongly once, and its neighbours: other spellings, other types, other places."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtcalc.analysis.diff import diff
from mtcalc.csource.kernel import kernel_of_c
from mtcalc.kvm.release import newest
from mtcalc.kvm.versions import MtrrWalk
from mtcalc.refs.resolve import resolve
from mtcalc.rules.builtin import built_in
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import Kernel, out_of_reach, unknown_inputs
from mtcalc.rules.rule import inputs_read
from mtcalc.text.errors import InputError
from support.notes import noted
from support.program import quick

DATA = Path(__file__).parent.parent / "data" / "c"
VFIO = str(Path(__file__).parent.parent.parent / "examples" / "vfio.yaml")
HEAD = "u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)"
DMA = "kvm_arch_has_noncoherent_dma"


def kernel(text: str, release: str | None = None) -> Kernel:
    return kernel_of_c(text, "f.c", "f.c", None if release is None else resolve(release))


def rules(text: str) -> list[str]:
    return [rule.text for rule in kernel(text).rules.rules]


def body(statements: str, before: str = "", head: str = HEAD) -> list[str]:
    return rules(f"{before}{head}\n{{\n{statements}\n}}\n")


UC, WB, WB_IPAT = "UC", "WB", "WB, ignore PAT"

FAULTS = {
    "bool-const-text": ['assume "foo(vcpu) > 1" -> WB', "otherwise -> UC"],
    "bool-text": [
        'assume "foo(vcpu)" and assume "!!foo(vcpu) == bar(vcpu)" -> WB',
        'assume "foo(vcpu)" and assume "foo(vcpu) == bar(vcpu)" -> WC',
        'assume "foo(vcpu)" -> UC, ignore PAT',
        'not assume "bar(vcpu)" -> WB',
        'assume "foo(vcpu) == bar(vcpu)" -> WC',
        "otherwise -> UC, ignore PAT",
    ],
    "chand-enum_shadows": ["otherwise -> WT"],
    "enum": ["otherwise -> WT"],
    "label-declaration": ["otherwise -> UC, stray bits 0x06"],
    "label-declaration-shadow": ["otherwise -> WB"],
    "likely": ["otherwise -> WB"],
    "likely2": ["otherwise -> WC"],
    "m01-int-is_mmio": ["mmio -> UC", "otherwise -> WB, ignore PAT"],
    "m02-known-helper-defined": ["mmio -> UC", "otherwise -> guest MTRR type"],
    "m03-known-bits-helper": ["cr0_cd -> UC, ignore PAT", "otherwise -> WB"],
    "m04-other-vcpu": ["cr0_cd -> UC", "otherwise -> guest MTRR type"],
    "m10-old-walk": ["mmio -> UC", "noncoherent_dma -> guest MTRR type", "otherwise -> WB, ignore PAT"],
    "mask-in-a-local": [
        'assume "foo(vcpu) & (1 | 2)" -> WB',
        'assume "foo(vcpu) & 1 | 2" -> WC',
        "otherwise -> UC, ignore PAT",
    ],
    "other-slot": [
        'assume "gfn_to_memslot(vcpu->kvm, 0)->flags & KVM_MEM_NON_COHERENT_DMA" -> WB',
        "otherwise -> UC",
    ],
    "shadow-before-declaration": ["otherwise -> WB"],
    "slot-flag": ["mmio -> UC", "slot_flag NON_COHERENT_DMA -> WB", "otherwise -> WB, ignore PAT"],
    "ternary-type": ["otherwise -> WB"],
}

REFUSED = {
    "chand-macro_redefines_bool": "f.c:2:61: bool is a macro of this file here (a type)",
    "chand-macro_redefines_return": "f.c:5:3: return is a macro of this file here (without it)",
    "m15-shift-function": "f.c:1:1: vmx_get_mt_mask_shift() returns no more than a shift, and its callers decide"
    " (say v2.6.29, whose kernels had it)",
}


def file(name: str) -> str:
    return (DATA / "faults" / f"{name}.c").read_text()


@pytest.mark.parametrize("name", FAULTS)
def test_read_right(name: str) -> None:
    assert rules(file(name)) == FAULTS[name]


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_place(name: str) -> None:
    with pytest.raises(InputError) as caught:
        rules(file(name))
    assert str(caught.value).split("\n")[0] == REFUSED[name]


def test_a_kernel_knows_what_its_rules_read() -> None:
    before, after = kernel(file("quirk-before")), kernel(file("quirk-after"))
    found = diff(before, after)
    assert (found.changed.bit_count(), found.reachable.bit_count()) == (5, 40)
    assert "IGNORE_GUEST_PAT" in after.quirks
    assert "IGNORE_GUEST_PAT" not in before.quirks
    flagged = kernel(file("slot-flag"))
    assert not [note for note in noted(unknown_inputs(flagged, Facts(slot_flags=8))) if "slot flag" in note]
    assert [note for note in noted(unknown_inputs(before, Facts(slot_flags=8))) if "slot flag" in note]


@pytest.mark.parametrize("quirk", ["CD_NW_CLEARED", "IGNORE_GUEST_PAT"])
def test_a_quirk_in_rules_is_known_and_reachable_on_every_way_in(quirk: str, tmp_path: Path) -> None:
    text = f"{HEAD}\n{{\nif (kvm_check_has_quirk(vcpu->kvm, KVM_X86_QUIRK_{quirk}))\nreturn 0x70;\nreturn 0x30;\n}}\n"
    rule_file = f"kernel: 3.2\nrules:\n- {{id: a, when: quirk {quirk}, ept: {{memtype: WB, ipat: 1}}}}\n"
    (tmp_path / "r.yaml").write_text(rule_file + "- {id: b, ept: {memtype: WB, ipat: 0}}\n")
    for one in (kernel(text, "3.2"), resolve(str(tmp_path / "r.yaml"))):
        assert one.release == (3, 2)
        assert one.quirks == (quirk,)
        assert not [state for state in out_of_reach(one) if quirk in state.why]


@pytest.mark.parametrize("kind", ["u8", "int", "unsigned long", "u64", "s32", "_Bool", "const bool", "enum x", "char"])
@pytest.mark.parametrize("name", ["is_mmio", "mmio"])
def test_is_mmio_has_any_integer_type(kind: str, name: str) -> None:
    head = f"u64 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, {kind} {name})"
    assert body(f"if ({name})\nreturn 0;\nreturn 0x30;", head=head) == ["mmio -> UC", "otherwise -> WB"]


KNOWN_HELPERS = {
    "kvm_arch_has_noncoherent_dma(vcpu->kvm)": (
        "noncoherent_dma",
        "struct kvm *a",
        ("atomic_read(&a->arch.noncoherent_dma_count)", "!!arch_atomic_read(&a->arch.noncoherent_dma_count)"),
        "!atomic_read(&a->arch.noncoherent_dma_count)",
    ),
    "kvm_check_has_quirk(vcpu->kvm, KVM_X86_QUIRK_CD_NW_CLEARED)": (
        "quirk CD_NW_CLEARED",
        "struct kvm *a, u64 b",
        ("!(a->arch.disabled_quirks & b)", "(a->arch.disabled_quirks & b) == 0"),
        "a->arch.disabled_quirks & b",
    ),
    "kvm_read_cr0_bits(vcpu, X86_CR0_CD)": (
        "cr0_cd",
        "struct kvm_vcpu *a, ulong b",
        ("a->arch.cr0 & b", "b & kvm_read_cr0(a)"),
        "~a->arch.cr0 & b",
    ),
    "kvm_is_cr0_bit_set(vcpu, X86_CR0_CD)": (
        "cr0_cd",
        "struct kvm_vcpu *a, ulong b",
        ("!!(a->arch.cr0 & b)", "!!kvm_read_cr0_bits(a, b)", "(a->arch.cr0 & b) == b"),
        "!(a->arch.cr0 & b)",
    ),
    "vmx_ignore_guest_pat(vcpu->kvm)": (
        "not noncoherent_dma and quirk IGNORE_GUEST_PAT",
        "struct kvm *a",
        ("!kvm_arch_has_noncoherent_dma(a) && kvm_check_has_quirk(a, KVM_X86_QUIRK_IGNORE_GUEST_PAT)",),
        "!kvm_arch_has_noncoherent_dma(a) || kvm_check_has_quirk(a, KVM_X86_QUIRK_IGNORE_GUEST_PAT)",
    ),
}
LOOPS = (
    "while (1)\n\t\twork(a);",
    "for (i = 0; i < 3; i++)\n\t\twork(a);",
    "kvm_for_each_vcpu(i, v, a)\n\t\twork(v);",
    "list_for_each_entry(v, &a->list, node) {\n\t\twork(v);\n\t}",
    "hlist_for_each_entry_rcu(v, head, node)\n\t\twork(v);",
    "idr_for_each_entry(&a->idr, v, i)\n\t\twork(v);",
    "xa_for_each(&a->xa, i, v)\n\t\twork(v);",
    "for_each_online_cpu(i)\n\t\twork(i);",
)
"""Loops in their spellings, that no helper is followed through."""


def _defined(call: str, style: str, statements: str) -> str:
    name = call.split("(")[0]
    parameters = KNOWN_HELPERS[call][1]
    return f"{style} {name}({parameters})\n{{\n\tunsigned long i;\n\tstruct kvm_vcpu *v;\n\n\t{statements}\n}}\n\n"


def _asking(call: str) -> str:
    return f"{HEAD}\n{{\nif ({call})\nreturn 0x70;\nreturn 0x30;\n}}\n\n"


@pytest.mark.parametrize("call", KNOWN_HELPERS)
@pytest.mark.parametrize("style", ["static inline unsigned long", "u64", "static __always_inline long"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_known_helper_that_can_t_be_followed_means_what_it_does(call: str, style: str, place: str) -> None:
    meaning, _, returned, _ = KNOWN_HELPERS[call]
    for loop in LOOPS:
        for text in returned:
            for end in (f"return {text};", f"u64 ret;\n\tret = {text};\n\treturn ret;"):
                helper, function = _defined(call, style, f"{loop}\n\t{end}"), _asking(call)
                found = rules(helper + function if place == "before" else function + helper)
                assert found == [f"{meaning} -> WB, ignore PAT", "otherwise -> WB"]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("call", KNOWN_HELPERS)
def test_one_that_says_more_or_the_contrary_is_refused_at_its_loop(call: str, loop: str) -> None:
    _, parameters, (text, *_), contrary = KNOWN_HELPERS[call]
    last = parameters.split("*")[-1].split()[-1]
    word = loop.split("(")[0].strip()
    for statements in (
        f"{loop}\n\treturn {contrary};",
        f"{loop}\n\treturn ({text}) && other(a);",
        f"{loop}\n\treturn ({text}) || i;",
        f"{loop}\n\tif (other(a))\n\t\treturn 0;\n\treturn {text};",
        f"{loop}\n\tlong ret = {text};\n\tret |= other(a);\n\treturn ret;",
        f"{loop}\n\tlong ret = {text};\n\tother(&ret);\n\treturn ret;",
        f"{loop}\n\tu8 ret = {text};\n\treturn ret;",
        *([f"{loop}\n\tbool ret = {text};\n\treturn ret;"] if "cr0_bits" in call else []),
        f"{loop}\n\t{last} = other(a);\n\treturn {text};",
        f"{loop}\n\tother(&{last});\n\treturn {text};",
        f"{loop}\n\treturn 0;",
        f"{loop}\n\twork({text});",
    ):
        with pytest.raises(InputError, match=rf"^f\.c:6:2: {word} is not understood here") as caught:
            rules(_defined(call, "static long", statements) + _asking(call))
        assert "(if, switch, goto, return and assignments)" in str(caught.value)


def test_a_loop_that_steps_through_the_parameter_is_refused() -> None:
    text = "return atomic_read(&a->arch.noncoherent_dma_count);"
    for loop in ("list_for_each_entry(a, &vms, list)\n\t\twork(a);", "kvm_for_each_vcpu(i, a, v)\n\t\twork(v);"):
        with pytest.raises(InputError, match="is not understood here, a macro that makes a loop or a block"):
            rules(_defined(f"{DMA}(vcpu->kvm)", "bool", f"{loop}\n\t{text}") + _asking(f"{DMA}(vcpu->kvm)"))


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_is_refused_where_it_stands(loop: str) -> None:
    word = loop.split("(")[0].strip()
    helper = f"static bool mine(struct kvm *a)\n{{\n\tint i;\n\t{loop}\n\treturn true;\n}}\n"
    with pytest.raises(InputError, match=rf"^f\.c:4:2: {word} is not understood here"):
        rules(helper + _asking("mine(vcpu->kvm)"))
    with pytest.raises(InputError, match=rf"^f\.c:3:1: {word} is not understood here"):
        body(f"{loop}\nreturn 0;")


_DMA_COUNT = "atomic_read(&kvm->arch.noncoherent_dma_count)"


@pytest.mark.parametrize(
    ("other", "known"), [(f"!!{_DMA_COUNT}", True), (f"{_DMA_COUNT} > 0", True), ("false", False), ("true", False)]
)
def test_of_two_definitions_both_have_to_be_the_kernel_s_own(other: str, known: bool) -> None:
    one, two = (f"bool {DMA}(struct kvm *kvm)\n{{\n\treturn {text};\n}}\n" for text in (_DMA_COUNT, other))
    text = f"#ifdef A\n{one}#else\n{two}#endif\n{_asking(f'{DMA}(vcpu->kvm)')}"
    if known:
        assert rules(text) == ["noncoherent_dma -> WB, ignore PAT", "otherwise -> WB"]
        return
    with pytest.raises(InputError, match=rf"^f\.c:7:6: {DMA} again, first in line 2"):
        rules(text)


WALK = "u8 kvm_mtrr_get_guest_memory_type(struct kvm_vcpu *vcpu, gfn_t gfn)\n{{\n\tint kind = -1;\n\t{}\n}}\n"


@pytest.mark.parametrize(
    ("statements", "known"),
    [
        ("for_each_range(&vcpu->arch.mtrr_state, kind)\n\t\tkind++;\n\treturn kind;", True),
        ("while (mtrr_next(vcpu, &kind))\n\t\tWARN_ON(kind > 6);\n\treturn kind;", True),
        ("while (next(&kind))\n\t\t;\n\treturn kind;", False),
        ("while (mtrr_next(vcpu, &kind))\n\t\t;\n\treturn kvm_read_cr0(vcpu) & X86_CR0_CD ? 0 : kind;", False),
        ("while (mtrr_next(vcpu, &kind))\n\t\t;\n\treturn vcpu->arch.other ? 0 : kind;", False),
        ("while (mtrr_next(vcpu, &kind))\n\t\t;\n\treturn page_is_odd(gfn) ? 0 : kind;", False),
        (
            "while (mtrr_next(vcpu, &kind))\n\t\t;\n\tif (odd(gfn) && mtrr(vcpu))\n\t\treturn 0;\n\treturn kind;",
            False,
        ),
        ("while (mtrr_next(vcpu, &kind))\n\t\t;", False),
    ],
)
def test_a_walk_over_mtrrs_speaks_of_nothing_else(statements: str, known: bool) -> None:
    text = f"{WALK.format(statements)}{HEAD}\n{{\nreturn kvm_mtrr_get_guest_memory_type(vcpu, gfn) << 3;\n}}\n"
    if known:
        assert rules(text) == ["otherwise -> guest MTRR type"]
        return
    with pytest.raises(InputError, match=r"^f\.c:4:2: while is not understood"):
        rules(text)


def test_a_test_of_a_host_page_is_followed_or_refused() -> None:
    """What it returns is no input, so nothing says that a definition which is not followed is the kernel's own."""
    for loop in LOOPS:
        helper = f"bool kvm_is_mmio_pfn(kvm_pfn_t a)\n{{\n\tint i;\n\t{loop}\n\treturn pfn_valid(a);\n}}\n"
        with pytest.raises(InputError, match=r"^f\.c:4:2: "):
            rules(helper + _asking("kvm_is_mmio_pfn(pfn)"))


def test_a_known_helper_as_a_macro() -> None:
    for macro, asked in (
        ("kvm_check_has_quirk(kvm, quirk) (!((kvm)->arch.disabled_quirks & (quirk)))", "quirk IGNORE_GUEST_PAT"),
        ("kvm_check_has_quirk(kvm, quirk) ({ !((kvm)->arch.disabled_quirks & (quirk)); })", "quirk IGNORE_GUEST_PAT"),
    ):
        found = body(
            "if (kvm_check_has_quirk(vcpu->kvm, KVM_X86_QUIRK_IGNORE_GUEST_PAT))\nreturn 0x70;\nreturn 0x30;",
            f"#define {macro}\n",
        )
        assert found == [f"{asked} -> WB, ignore PAT", "otherwise -> WB"]


@pytest.mark.parametrize(
    "macro",
    [
        "(kvm, quirk) ((kvm)->arch.disabled_quirks & (quirk))",
        "(kvm, quirk) ({ ((kvm)->arch.disabled_quirks & (quirk)); })",
        "(kvm, quirk) (!((kvm)->arch.disabled_quirks & (quirk)) && other(kvm))",
        "(kvm, quirk) (!((kvm)->arch.disabled_quirks & quirk))",
        "(kvm, quirk) !((kvm)->arch.disabled_quirks & (quirk)) || 0",
        "(kvm, quirk) kvm_check_has_quirk(kvm, quirk)",
        "(kvm, quirk...) (!((kvm)->arch.disabled_quirks & (quirk)))",
        "(kvm) (!((kvm)->arch.disabled_quirks & BIT(9)))",
        "disabled_quirks",
    ],
)
def test_a_macro_of_a_known_name_that_says_something_else_is_refused(macro: str) -> None:
    name = "kvm_check_has_quirk"
    blank = "" if macro[0] == "(" else " "
    with pytest.raises(InputError, match=rf"^f\.c:4:5: {name} is a macro that is not followed"):
        rules(f"#define {name}{blank}{macro}\n{_asking(f'{name}(vcpu->kvm, KVM_X86_QUIRK_IGNORE_GUEST_PAT)')}")


@pytest.mark.parametrize("word", ["KVM_X86_QUIRK_EPT_IGNORE_GUEST_PAT", "KVM_X86_QUIRK_IGNORE_GUEST_PAT", "BIT(9)"])
def test_the_quirk_s_first_name(word: str) -> None:
    found = body(f"return kvm_check_has_quirk(vcpu->kvm, {word}) ? 0x70 : 0x30;")
    assert found == ["quirk IGNORE_GUEST_PAT -> WB, ignore PAT", "otherwise -> WB"]


@pytest.mark.parametrize(
    ("parameters", "statements", "vcpu", "kvm", "gfn"),
    [
        ("struct kvm_vcpu *vcpu, gfn_t gfn", "", "vcpu", "vcpu->kvm", "gfn"),
        ("struct kvm_vcpu *v, gfn_t frame", "", "v", "v->kvm", "frame"),
        ("const struct kvm_vcpu *v, gfn_t gfn", "struct kvm *vm = v->kvm;", "v", "vm", "gfn"),
        ("struct kvm *kvm, gfn_t gfn", "", "kvm_get_vcpu(kvm, 0)", "kvm", "gfn"),
        ("struct kvm *vm, gfn_t gfn", "struct kvm_vcpu *first = kvm_get_vcpu(vm, 0);", "first", "vm", "gfn"),
        ("struct kvm *vm, gfn_t gfn", "", "vm->vcpus[0]", "vm", "gfn"),
        (
            "struct kvm_vcpu *vcpu, gfn_t gfn",
            "",
            "kvm_get_vcpu(vcpu->kvm, 0)",
            "kvm_get_vcpu(vcpu->kvm, 0)->kvm",
            "gfn",
        ),
        ("struct kvm_vcpu *v, gfn_t gfn", "struct vcpu_vmx *x = to_vmx(v);", "&x->vcpu", "x->vcpu.kvm", "gfn"),
        ("struct kvm_vcpu *vcpu, struct kvm_page_fault *f", "", "vcpu", "vcpu->kvm", "f->gfn"),
    ],
)
def test_other_ways_to_say_vcpu_and_vm(parameters: str, statements: str, vcpu: str, kvm: str, gfn: str) -> None:
    text = (
        f"{statements}\nif (!{DMA}({kvm}))\nreturn 0x70;\nif (kvm_read_cr0({vcpu}) & X86_CR0_CD)\n"
        f"return kvm_check_has_quirk({kvm}, KVM_X86_QUIRK_CD_NW_CLEARED) ? 0x30 : 0x40;\n"
        f"return kvm_mtrr_get_guest_memory_type({vcpu}, {gfn}) << 3;"
    )
    assert body(text, head=f"u8 vmx_get_mt_mask({parameters}, bool is_mmio)") == [
        "not noncoherent_dma -> WB, ignore PAT",
        "cr0_cd and quirk CD_NW_CLEARED -> WB",
        "cr0_cd -> UC, ignore PAT",
        "otherwise -> guest MTRR type",
    ]


def test_another_vcpu_and_another_page_stay_unknown() -> None:
    for asked in (
        "kvm_is_cr0_bit_set(kvm_get_vcpu(vcpu->kvm, 1), X86_CR0_CD)",
        "kvm_read_cr0(other) & X86_CR0_CD",
        "kvm_mtrr_get_guest_memory_type(vcpu, gfn + 1) == 6",
        "kvm_arch_has_noncoherent_dma(other)",
    ):
        assert body(f"if ({asked})\nreturn 0x40;\nreturn 0x30;")[0] == f'assume "{asked}" -> UC, ignore PAT'


def test_a_walk_over_the_vm() -> None:
    for vm in ("kvm", "vcpu->kvm"):
        found = body(f"return kvm_mtrr_get_guest_memory_type({vm}, gfn) << 3;")
        assert found == ["otherwise -> guest MTRR type"]


_SLOT = ", const struct kvm_memory_slot *{})"


@pytest.mark.parametrize(
    ("head", "owner", "known"),
    [
        (HEAD, "slot", True),
        (HEAD, "fault->slot", True),
        (HEAD, "kvm_vcpu_gfn_to_memslot(vcpu, gfn)", True),
        (HEAD, "gfn_to_memslot(vcpu->kvm, gfn)", True),
        (HEAD, "__gfn_to_memslot(kvm_vcpu_memslots(vcpu), gfn)", True),
        (HEAD[:-1] + _SLOT.format("slot"), "slot", True),
        (HEAD[:-1] + _SLOT.format("s"), "s", True),
        (HEAD[:-1] + ", const struct other *slot)", "slot", False),
        (HEAD[:-1] + ", struct kvm_memory_slot *slot" + _SLOT.format("o"), "o", False),
        (HEAD, "gfn_to_memslot(vcpu->kvm, gfn + 1)", False),
        (HEAD, "id_to_memslot(slots, 3)", False),
        (HEAD, "new_slot", False),
        (HEAD, "fault", False),
        (HEAD, "vma", False),
        (HEAD, "vcpu->arch.mmu", False),
    ],
)
def test_only_this_page_s_slot_has_slot_flags(head: str, owner: str, known: bool) -> None:
    found = body(f"if ({owner}->flags & KVM_MEM_NON_COHERENT_DMA)\nreturn 0x30;\nreturn 0;", head=head)
    asked = "slot_flag NON_COHERENT_DMA" if known else f'assume "{owner}->flags & KVM_MEM_NON_COHERENT_DMA"'
    assert found == [f"{asked} -> WB", "otherwise -> UC"]


@pytest.mark.parametrize("word", ["if", "else", "bool", "u8", "static", "flags", "vmx_get_mt_mask", "gfn_t"])
def test_a_macro_where_no_value_stands_is_refused(word: str) -> None:
    text = (
        f"#define {word} other\nstatic {HEAD}\n{{\nbool x = 1;\nif (slot->flags & 8)\nreturn x;\nelse\nreturn 0;\n}}\n"
    )
    with pytest.raises(InputError, match=rf"^f\.c:\d+:\d+: .*{word}"):
        rules(text)
    assert rules(text.replace("#define", "#undef"))  # and without it all is well
    assert rules(text.split("\n", 1)[1] + f"#define {word} other\n")  # below the function it counts for nothing


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("enum { MTRR_TYPE_WRBACK = 4 };", "otherwise -> WT"),
        ("enum kinds { FIRST, MTRR_TYPE_WRBACK, };", "otherwise -> WC"),
        ("#define MTRR_TYPE_WRBACK 5", "otherwise -> WP"),
        ("#undef MTRR_TYPE_WRBACK\n#define OTHER 3", None),
        ("static const u8 MTRR_TYPE_WRBACK = 4;", None),
        ("enum { MTRR_TYPE_WRBACK = unknown(3) };", None),
        ("#ifdef X\n#define MTRR_TYPE_WRBACK 4\n#endif", None),
        ("enum { A = 4 };", "otherwise -> WB"),
    ],
)
def test_the_file_s_own_constants_of_known_names(before: str, expected: str | None) -> None:
    text = f"{before}\n{HEAD}\n{{\nreturn MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT;\n}}\n"
    if expected is not None:
        assert rules(text) == [expected]
        return
    with pytest.raises(InputError, match=r"^f\.c:\d+:\d+: MTRR_TYPE_WRBACK is "):
        rules(text)


OLD = (DATA / "faults" / "m10-old-walk.c").read_text()
MODERN = OLD.replace("kvm_get_guest", "kvm_mtrr_get_guest")


@pytest.mark.parametrize(
    ("text", "release", "walk"),
    [
        (OLD, (4, 1), MtrrWalk.V4_1),
        (OLD.replace("if (is_mmio)", "if (is_mmio && foo(vcpu))"), (4, 1), MtrrWalk.V4_1),
        # v3.13's rules by a function that 4.2 brought: no kernel of 3.13.
        (MODERN, (6, 10), MtrrWalk.V4_4),
        (OLD.replace("kvm_get_guest_memory_type(vcpu, gfn)", "foo(vcpu)"), newest(), MtrrWalk.NONE),
        (f"{HEAD}\n{{\nreturn kvm_read_cr0(vcpu) & X86_CR0_CD ? 0x40 : 0x70;\n}}\n", (6, 10), MtrrWalk.V4_4),
        (file("slot-flag"), newest(), MtrrWalk.NONE),
    ],
)
def test_the_kernel_around(text: str, release: tuple[int, ...], walk: MtrrWalk) -> None:
    found = kernel(text)
    assert (found.release, found.mtrr_walk) == (release, walk)
    assert kernel(text, "4.3").mtrr_walk is MtrrWalk.V4_2


@pytest.mark.parametrize("name", ["v3.13", "v4.4", "v6.7", "v6.11", "v6.16", "slot-flag", "quirk-v1", "kvm-mem-dma"])
def test_around_c_that_equals_a_built_in_set_is_its_kernel(name: str) -> None:
    from support.c_printer import early_c, goto_c

    kernel_of_name = built_in(name)
    assert kernel_of_name is not None
    for written in (early_c(kernel_of_name.rules), goto_c(kernel_of_name.rules)):
        text = written.replace("kvm_mtrr_get", "kvm_get") if kernel_of_name.release <= (4, 1) else written
        found = kernel(text)
        assert found.release == kernel_of_name.release
        for field in ("mtrr_walk", "mmio_test", "split_when", "quirks", "slot_flags", "unreachable"):
            assert getattr(found, field) == getattr(kernel_of_name, field)
        assert (found.proposal, noted(found.notes), found.ref) == ("", (), "f.c")


def test_a_named_kernel_wins_on_every_command() -> None:
    path = str(DATA / "faults" / "m10-old-walk.c")
    asked = ("eval", VFIO, "--gpa", "0xc8000000", "-o", "json", "-r", path)
    (answer,) = quick(*asked).json["results"]
    assert (answer["level"], answer["inputs"]["guest_mtrr"], answer["ept"]["mask"]) == ("2M", "UC", "0x00")
    (answer,) = quick(*asked, "--kernel", "5.15").json["results"]
    assert (answer["inputs"]["guest_mtrr"], answer["ept"]["mask"]) == ("WB", "0x30")
    for command in (
        ("lookup", "-r", path),
        ("table", "-r", path),
        ("explain", "-r", path),
        ("rules", "show", path),
        ("rules", "check", path),
        ("diff", path, "v6.7"),
        ("mtrr", VFIO, "-r", path),
        ("check", VFIO, "-r", path),
        ("eval", VFIO, "-r", path),
    ):
        assert quick(*command, "--kernel", "5.15").status in (0, 1), command
        refused = quick(*command, "--kernel", "6.15")
        assert (refused.status, refused.out) == (2, "")
        what = "the rules ask for the guest's MTRR type, which 6.15 never does (6.10 or older)"
        assert f"--kernel: {what}" in refused.err
    without_c: tuple[tuple[str, ...], ...] = (("lookup",), ("lookup", "-r", "v6.7"), ("diff", "v6.7", "v6.11"))
    for words in without_c:
        refused = quick(*words, "--kernel", "6.1")
        assert refused.status == 2
        assert "--kernel without a C file" in refused.err


def test_each_input_is_read_under_its_exact_text_once() -> None:
    """Two texts are one input if and only if they say the same."""
    found = kernel(
        f"{HEAD}\n{{\nu32 x = foo(vcpu);\nif (x == 1)\nreturn 1;\nif (foo(vcpu) == 1)\nreturn 2;\nreturn 3;\n}}\n"
    )
    assert [item.arg for item in inputs_read(found.rules)] == ["(u32)foo(vcpu) == 1", "foo(vcpu) == 1"]
    alone = kernel(f"{HEAD}\n{{\nu32 x = foo(vcpu);\nreturn x == 1;\n}}\n")
    assert [item.arg for item in inputs_read(alone.rules)] == ["foo(vcpu) == 1"]
