# SPDX-License-Identifier: GPL-2.0-only
"""What a patch does beside the function itself: what it asks by name, what is renamed and moved, macros, parameters."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any

import pytest

from mtcalc.csource.writer import Style, texts_of_its_time, write_c
from mtcalc.patches.apply import rules_from_patch
from mtcalc.patches.read import read_patches
from mtcalc.patches.result import CFile, NothingTouchedError, PatchedRules
from mtcalc.rules.kernel import Kernel
from mtcalc.text.errors import InputError
from support.notes import noted
from support.patches import VMX, c_file, crlf, diff, kernel, mail, quoted, same_bytes

EARLY = write_c(kernel("v6.7").rules, Style.RETURN)
LATE = texts_of_its_time(kernel("v6.16").rules)[0]
FLAG = "\tif (slot->flags & KVM_MEM_NON_COHERENT_DMA)\n\t\treturn MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT;\n\n"
WITH_FLAG = EARLY.replace("\tif (!kvm_arch", f"{FLAG}\tif (!kvm_arch")
HEADER = "arch/x86/kvm/x86.h"

COUNT = """\
static int other(struct kvm *kvm)
{
\treturn kvm->some;
}

bool noinstr kvm_arch_has_noncoherent_dma(struct kvm *kvm)
{
\treturn raw_atomic_read(&kvm->arch.noncoherent_dma_count);
}
EXPORT_SYMBOL_GPL(kvm_arch_has_noncoherent_dma);
"""
QUIRK = """\
static inline bool kvm_check_has_quirk(struct kvm *kvm, u64 quirk)
{
\treturn !(kvm->arch.disabled_quirks & quirk);
}
"""
WALK = """\
u8 kvm_mtrr_get_guest_memory_type(struct kvm_vcpu *vcpu, gfn_t gfn)
{
\tstruct mtrr_iter iter;
\tint type = -1;

\tmtrr_for_each_mem_type(&iter, vcpu, gfn) {
\t\ttype = iter.type;
\t}

\tif (iter.mtrr_off)
\t\treturn mtrr_disabled_type(vcpu);

\treturn type;
}
"""
BASES: list[Any] = [kernel("v6.7"), CFile(c_file(EARLY), "vmx.c")]


def patched(text: str | bytes, base: Kernel | CFile | None = None) -> PatchedRules:
    return rules_from_patch(read_patches(text if isinstance(text, str) else text.decode(), "m"), "m", base)


def refused(text: str, base: Kernel | CFile | None = None) -> str:
    with pytest.raises(InputError) as caught:
        patched(text, base)
    assert not isinstance(caught.value, NothingTouchedError)
    assert caught.value.place is not None
    return f"{caught.value.place.line}: {caught.value.message}"


def untouched(text: str, base: Kernel | CFile | None = None) -> tuple[str, ...]:
    """What is said to be asked by name, of a patch that touches no rule."""
    with pytest.raises(NothingTouchedError) as caught:
        patched(text, base)
    return caught.value.asked


def unchanged(text: str, base: Kernel | CFile | None) -> None:
    """A patch that touches what is reached, or nothing at all, and leaves the rules as they are."""
    with suppress(NothingTouchedError):
        result = patched(text, base)
        assert same_bytes(result.after.rules, result.before.rules)
        assert noted(result.after.notes) == noted(result.before.notes)
        return
    assert untouched(text, base) == ()


def rules(result: PatchedRules) -> list[str]:
    return [rule.text for rule in result.after.rules.rules]


# What rules ask by name.


def count(new: str, context: int = 3) -> str:
    changed = COUNT.replace("raw_atomic_read(&kvm->arch.noncoherent_dma_count)", new)
    return mail(diff(COUNT, changed, "arch/x86/kvm/x86.c", context))


ALWAYS = ["mmio -> UC", "cr0_cd and quirk CD_NW_CLEARED -> WB", "cr0_cd -> UC, ignore PAT"]


@pytest.mark.parametrize("context", [1, 3, 20])
@pytest.mark.parametrize("base", [None, *BASES, CFile(COUNT + c_file(EARLY), "vmx.c")])
def test_a_new_text_of_a_known_function_is_followed(context: int, base: Any) -> None:
    result = patched(count("true", context), base)
    assert rules(result) == [*ALWAYS, "otherwise -> guest MTRR type"]
    assert result.before.ref == (base.file if isinstance(base, CFile) else "v6.7")
    assert not any("asked by name" in note for note in noted(result.after.notes))
    assert [mail.subject for mail in result.mails] == ["[PATCH] KVM: VMX: a change"]
    if base is None:
        assert result.date is not None
        assert result.left_aside == ()


@pytest.mark.parametrize("base", [None, *BASES, CFile(COUNT + c_file(EARLY), "vmx.c")])
@pytest.mark.parametrize(
    "said", ["bool kvm_arch_has_noncoherent_dma(struct kvm *kvm)", "bool kvm_arch_has_noncoherent_"]
)
def test_a_context_that_holds_the_function_that_the_hunk_is_said_to_lie_in(base: Any, said: str) -> None:
    listed = count("true", 30).splitlines(keepends=True)
    at, head = (next(n for n, line in enumerate(listed) if line.startswith(start)) for start in ("@@", " bool"))
    text = "".join([*listed[:at], f"@@ -6,5 +6,5 @@ {said}\n", *listed[head:]])
    assert rules(patched(text, base)) == [*ALWAYS, "otherwise -> guest MTRR type"]


@pytest.mark.parametrize("lines", [1, 4])
@pytest.mark.parametrize("path", [VMX, HEADER])
@pytest.mark.parametrize("base", BASES)
def test_what_is_asked_by_name_and_added_is_followed(base: Any, path: str, lines: int) -> None:
    dma, quirk = (
        f"static inline bool {head} {{ return {answer}; }}\n"
        for head, answer in (
            ("kvm_arch_has_noncoherent_dma(struct kvm *kvm)", "true"),
            ("kvm_check_has_quirk(struct kvm *kvm, u64 quirk)", "false"),
        )
    )
    text = c_file(EARLY) if path == VMX else "struct kvm;\n\nstruct kvm_vcpu;\n"
    for added, wanted in (
        (dma, [*ALWAYS, "otherwise -> guest MTRR type"]),
        (quirk, [ALWAYS[0], "not noncoherent_dma -> WB, ignore PAT", ALWAYS[2], "otherwise -> guest MTRR type"]),
    ):
        whole = added if lines == 1 else added.replace(" {", "\n{\n").replace("; }", ";\n}")
        line = text.index("\n\n") + 1
        result = patched(mail(diff(text, text[:line] + whole + text[line:], path)), base)
        assert rules(result) == wanted
        assert not any("asked by name" in note for note in noted(result.after.notes))


def test_what_is_added_and_says_what_its_name_does_changes_nothing() -> None:
    for text in (COUNT, QUIRK, WALK):
        for base in (None, *BASES):
            assert untouched(mail(diff("struct kvm;\n", f"struct kvm;\n{text}", HEADER)), base) == ()


def test_what_is_added_under_an_if_is_taken_as_before() -> None:
    """As it is where there are two, of which one is compiled."""
    stub = "static inline bool kvm_arch_has_noncoherent_dma(struct kvm *kvm)\n{\n\treturn false;\n}\n"
    where = "#ifndef OWN\nstruct kvm;\n#endif\n"
    inside = where.replace("#endif", f"{stub}#endif")
    both = f"#ifdef OWN\n{stub}#else\n{stub.replace('false', 'true')}#endif\n{where}"
    for base in BASES:
        for new in (inside, both, f"#ifdef OWN\n{stub}#endif\n{where}"):
            assert untouched(mail(diff(where, new, HEADER)), base) == ("kvm_arch_has_noncoherent_dma",)


@pytest.mark.parametrize(
    ("base", "wanted"),
    [
        ("v6.16", ["mmio -> UC", "otherwise -> WB"]),
        ("v6.11-rc1", ["mmio -> UC", "otherwise -> WB"]),
        (
            "v4.4",
            [
                "mmio -> UC",
                "cr0_cd and quirk CD_NW_CLEARED -> WB, ignore PAT",
                ALWAYS[2],
                "otherwise -> guest MTRR type",
            ],
        ),
    ],
)
def test_on_other_bases(base: str, wanted: list[str]) -> None:
    assert rules(patched(count("true"), kernel(base))) == wanted
    assert untouched(count("true"), kernel("v2.6.28")) == ()


def test_the_same_meaning_in_other_words_changes_nothing() -> None:
    for text in (count("atomic_read(&kvm->arch.noncoherent_dma_count)"), count("kvm->arch.noncoherent_dma_count > 0")):
        for base in (None, *BASES):
            unchanged(text, base)


def test_comments_and_moves_of_a_known_function_are_no_change() -> None:
    commented = diff(COUNT, COUNT.replace("\treturn raw", "\t/* words */\n\treturn raw"), "arch/x86/kvm/x86.c")
    away = diff(COUNT, COUNT[: COUNT.index("bool")], "arch/x86/kvm/x86.c")
    moved = away + diff("int z;\n", f"int z;\n\n{COUNT[COUNT.index('bool') :]}", "arch/x86/kvm/own.c")
    for text in (commented, moved):
        for base in (None, *BASES):
            assert untouched(mail(text), base) == ()


def test_a_helper_of_the_new_text_is_followed() -> None:
    new = COUNT.replace(
        "bool noinstr", "static bool own_dma(struct kvm *kvm)\n{\n\treturn kvm->arch.own;\n}\n\nbool noinstr"
    )
    new = new.replace("return raw", "return own_dma(kvm) || raw")
    for base in BASES:
        result = patched(mail(diff(COUNT, new, "arch/x86/kvm/x86.c")), base)
        assert rules(result)[1] == 'not (assume "vcpu->kvm->arch.own" or noncoherent_dma) -> WB, ignore PAT'


def test_the_quirks_of_all() -> None:
    text = mail(diff(QUIRK, QUIRK.replace("return !(kvm->arch.disabled_quirks & quirk)", "return true"), HEADER))
    for base in (None, *BASES):
        assert rules(patched(text, base))[2:4] == ["cr0_cd -> WB", "otherwise -> guest MTRR type"]
    assert rules(patched(text, kernel("v6.16")))[1] == "not noncoherent_dma -> WB, ignore PAT"
    assert untouched(text, kernel("v6.11")) == ()


def test_what_is_not_shown_whole_or_not_understood_is_taken_as_before() -> None:
    """And that is said, where the rules ask for it; nowhere else."""
    part = diff(WALK, WALK.replace("\treturn type;", "\treturn type | 8;"), "arch/x86/kvm/mtrr.c")
    whole = diff(WALK, WALK.replace("\treturn type;", "\treturn type | 8;"), "arch/x86/kvm/mtrr.c", 40)
    name = "kvm_mtrr_get_guest_memory_type"
    for text in (part, whole):
        for base in (None, *BASES, CFile(WALK + c_file(EARLY), "vmx.c")):
            assert untouched(mail(text), base) == (name,)
            both = patched(mail(text + diff(c_file(EARLY), c_file(WITH_FLAG))), base)
            said = f"the patch: it changes {name}(), asked by name: its meaning is taken as before"
            assert said in noted(both.after.notes)
            assert same_bytes(both.after.rules, kernel("slot-flag").rules)
        assert untouched(mail(text), kernel("v6.16")) == ()
    gone = WALK[: WALK.index("\tstruct")] + "\treturn MTRR_TYPE_WRBACK;\n}\n"
    result = patched(mail(diff(WALK, gone, "arch/x86/kvm/mtrr.c")))
    assert rules(result)[-1] == "otherwise -> WB"


def test_code_for_others_is_nobodys_trouble() -> None:
    for path in ("tools/x.h", "arch/arm64/kvm/x.c"):
        assert untouched(mail(diff(QUIRK, QUIRK.replace("!", ""), path))) == ()


@pytest.mark.parametrize("context", [0, 1, 3, 30])
def test_a_known_function_by_another_name(context: int) -> None:
    for name, text, path in (
        ("kvm_arch_has_noncoherent_dma", COUNT, "arch/x86/kvm/x86.c"),
        ("kvm_mtrr_get_guest_memory_type", WALK, "arch/x86/kvm/mtrr.c"),
    ):
        renamed = diff(text, text.replace(name, "kvm_own_name"), path, context)
        called = diff(c_file(EARLY), c_file(EARLY.replace(name, "kvm_own_name")), context=context)
        for base in (None, *BASES):
            result = patched(mail(renamed + called), base)
            assert same_bytes(result.after.rules, kernel("v6.7").rules)
            assert noted(result.after.notes) == noted(result.before.notes)
    changed = WALK.replace("kvm_mtrr_get_guest_memory_type", "kvm_own_name").replace("return type;", "return 6;")
    called = diff(c_file(EARLY), c_file(EARLY.replace("kvm_mtrr_get_guest_memory_type", "kvm_own_name")))
    result = patched(mail(diff(WALK, changed, "arch/x86/kvm/mtrr.c") + called))
    assert rules(result)[-1] == "otherwise -> `kvm_own_name(vcpu, gfn)`"


# Renamed and moved.


@pytest.mark.parametrize("context", [1, 3, 10, 50])
@pytest.mark.parametrize("base", [None, kernel("v6.16"), CFile(c_file(LATE), "vmx.c")])
def test_the_helper_renamed(context: int, base: Any) -> None:
    new = LATE.replace("vmx_ignore_guest_pat", "vmx_own_name")
    result = patched(mail(diff(c_file(LATE), c_file(new), context=context)), base)
    assert same_bytes(result.after.rules, kernel("v6.16").rules)
    assert noted(result.after.notes) == noted(result.before.notes)
    result = patched(diff(c_file(LATE), c_file(new.replace("!kvm_arch_has_noncoherent_dma(kvm) && ", ""))), base)
    assert rules(result)[1] == "quirk IGNORE_GUEST_PAT -> WB, ignore PAT"


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("base", [None, kernel("v6.16"), CFile(c_file(LATE), "vmx.c")])
def test_the_helper_moved_to_a_header(first: bool, base: Any) -> None:
    helper, function = LATE.split("\n\n", 1)
    head = "#ifndef X_H\n#define X_H\n\nint own;\n\n#endif\n"
    away = diff(c_file(LATE), c_file(function))
    there = diff(head, head.replace("own;\n", f"own;\n\n{helper}\n"), "arch/x86/kvm/vmx/vmx.h")
    unchanged(there + away if first else away + there, base)
    changed = there.replace("!kvm_arch_has_noncoherent_dma(kvm) && ", "")
    assert rules(patched(changed + away if first else away + changed, base))[1].startswith("quirk IGNORE_GUEST_PAT")


@pytest.mark.parametrize("path", ["arch/x86/kvm/vmx/ept.c", "arch/x86/kvm/vmx/zz.c"])
@pytest.mark.parametrize(("name", "function"), [("v6.7", EARLY), ("v6.16", LATE)])
def test_the_function_moved_to_another_file(path: str, name: str, function: str) -> None:
    """Before vmx.c in the patch, and behind it."""
    away = diff(c_file(function), c_file(""))
    new = "#include <own.h>\n\nint own;\n"
    for moved in (function, function.replace("MTRR_TYPE_UNCACHABLE", "MTRR_TYPE_WRTHROUGH", 1)):
        there = diff(new, new.replace("\nint", f"\n{moved}\nint"), path)
        text = there + away if path < VMX else away + there
        for base in (None, kernel(name), CFile(c_file(function), "vmx.c")):
            if moved == function and isinstance(base, CFile):
                assert untouched(text, base) == ()
                continue
            result = patched(text, base)
            assert same_bytes(result.after.rules, kernel(name).rules) is (moved == function)
            assert rules(result)[0] == ("mmio -> UC" if moved == function else "mmio -> WT")


WRAPPER = (
    "static u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio, const struct kvm_memory_slot *slot)\n"
)
WRAPPER += "{\n\treturn __vmx_own(vcpu, gfn, is_mmio, slot);\n}\n"


@pytest.mark.parametrize("context", [1, 3, 40])
@pytest.mark.parametrize("front", [True, False])
@pytest.mark.parametrize("base", [None, *BASES])
def test_the_function_renamed_with_a_wrapper(context: int, front: bool, base: Any) -> None:
    inner = EARLY.replace("vmx_get_mt_mask", "__vmx_own")
    for wrapper in (WRAPPER, WRAPPER.replace("\treturn", "\tif (is_mmio)\n\t\treturn 0x20;\n\n\treturn")):
        new = f"{wrapper}\n{inner}" if front else f"{inner}\n{wrapper}"
        result = patched(mail(diff(c_file(EARLY), c_file(new), context=context)), base)
        assert same_bytes(result.after.rules, kernel("v6.7").rules) is (wrapper == WRAPPER)
        assert rules(result)[0] == ("mmio -> UC" if wrapper == WRAPPER else "mmio -> WT")


# Helpers and macros that the patch adds.


def used(definition: str, call: str, path: str = HEADER) -> str:
    """A patch that adds a definition and rests a rule on it."""
    new = EARLY.replace(
        "\tif (!kvm_arch", f"\tif ({call})\n\t\treturn MTRR_TYPE_WRTHROUGH << VMX_EPT_MT_EPTE_SHIFT;\n\n\tif (!kvm_arch"
    )
    head = "#ifndef X_H\n#define X_H\n\nint own;\n\n#endif\n"
    return mail(diff(head, head.replace("own;\n", f"own;\n\n{definition}"), path) + diff(c_file(EARLY), c_file(new)))


def helper(value: str) -> str:
    return f"static inline bool kvm_own(struct kvm *kvm)\n{{\n\treturn {value};\n}}\n"


@pytest.mark.parametrize("base", [None, *BASES])
def test_a_helper_under_ifdef(base: Any) -> None:
    """Defined once, it is that; twice the same, too; else the second is pointed at."""
    one, other = helper("kvm->arch.own"), helper("false")
    once = used(f"#ifdef CONFIG_OWN\n{one}#endif\n", "kvm_own(vcpu->kvm)")
    twice = used(f"#ifdef CONFIG_OWN\n{one}#else\n{one}#endif\n", "kvm_own(vcpu->kvm)")
    for text in (once, twice):
        assert rules(patched(text, base))[1] == 'assume "vcpu->kvm->arch.own" -> WT'
    text = used(f"#ifdef CONFIG_OWN\n{one}#else\n{other}#endif\n", "kvm_own(vcpu->kvm)")
    line = [n for n, row in enumerate(text.splitlines(), 1) if "kvm_own(struct" in row][1]
    assert refused(text, base) == f"{line}: the patch adds two kvm_own() that differ (the one that is compiled)"
    elsewhere = text.replace("if (kvm_own(vcpu->kvm))", "if (is_mmio)")
    assert "kvm_own" not in " ".join(rules(patched(elsewhere, base)))


OWN_KVM = 'assume "vcpu->kvm->own" and noncoherent_dma'
OWN = 'assume "vcpu->own"'
PLAIN = [
    ("#define k(v)\t((v)->own && \\\n\t\tkvm_arch_has_noncoherent_dma(v))\n", "k(vcpu->kvm)", OWN_KVM),
    ("#define own(a, b) (!(a) && (b)->own)\n", "own(is_mmio, vcpu)", 'assume "vcpu->own"'),
    ("#define own(a) own2(a)\n#define own2(a) ((a)->own)\n", "own(vcpu)", 'assume "vcpu->own"'),
    ("#define own() (vcpu->own)\n", "own()", 'assume "vcpu->own"'),
    ("#define own(a) (a) || is_mmio\n", "!own(vcpu->own)", 'not assume "vcpu->own"'),  # as it stands, no parentheses
    ("#define own(v) kvm_read_cr0_bits(v, X86_CR0_CD) /* words\n * more\n */\n", "own(vcpu)", "cr0_cd"),
    ("#define OWN KVM_MEM_NON_COHERENT_DMA\n", "slot->flags & OWN", "slot_flag NON_COHERENT_DMA"),
    ("#if X\n#define own(a) ((a)->own)\n#else\n#define own(a)  ((a)->own)\n#endif\n", "own(vcpu)", OWN),
]  # fmt: skip


@pytest.mark.parametrize(("definition", "call", "condition"), PLAIN)
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("path", [HEADER, VMX.replace("vmx.c", "own.c")])
def test_a_plain_macro_is_expanded(definition: str, call: str, condition: str, base: Any, path: str) -> None:
    result = patched(used(definition, call, path), base)
    assert rules(result)[1] == f"{condition} -> WT"
    assert result.left_aside == ()


@pytest.mark.parametrize(
    ("definition", "call", "said"),
    [
        ("#define own(a) ({ bool b = (a)->own; b; })\n", "own(vcpu)", "own is a macro that is not followed"),
        ("#define own(...) x(__VA_ARGS__)\n", "own(vcpu)", "own is a macro that is not followed"),
        ("#define own(a) own(a)\n", "own(vcpu)", "own is a macro that is not followed"),
        ("#define own(a, b) (a)\n", "own(vcpu)", "own is a macro that is not followed"),
        ("#define own(a) x##a\n", "own(vcpu)", "own is a macro that is not followed"),
        ("#define own(a)\n", "own(vcpu)", "own is a macro that is not followed"),
        ("#ifdef X\n#define own(a) (a)\n#else\n#define own(a) 0\n#endif\n", "own(vcpu)", "the patch adds two own that"),
    ],
)
@pytest.mark.parametrize("base", BASES)
def test_any_other_macro_is_refused(definition: str, call: str, said: str, base: Any) -> None:
    assert said in refused(used(definition, call), base)


# Parameters.


HEAD = "gfn_t gfn, bool is_mmio"


@pytest.mark.parametrize("base", [None, *BASES])
@pytest.mark.parametrize(
    ("new", "name"), [("gfn_t gfn", "is_mmio"), ("bool is_mmio", "gfn"), ("gfn_t gfn, bool own", "is_mmio")]
)
def test_a_parameter_that_goes_and_is_used_still(base: Any, new: str, name: str) -> None:
    """gcc would not take it."""
    text = mail(diff(c_file(EARLY), c_file(EARLY.replace(HEAD, new))))
    assert f"after the patch vmx_get_mt_mask() uses {name}, which is no parameter of it any longer" in refused(
        text, base
    )


@pytest.mark.parametrize("base", [None, *BASES])
def test_a_parameter_that_goes_with_its_use(base: Any) -> None:
    local = EARLY.replace(HEAD, "struct own *fault").replace(
        "{\n", "{\n\tgfn_t gfn = fault->gfn;\n\tbool is_mmio = fault->own;\n\n", 1
    )
    assert rules(patched(mail(diff(c_file(EARLY), c_file(local))), base))[0] == 'assume "fault->own" -> UC'
    renamed = EARLY.replace("is_mmio", "mmio")
    assert same_bytes(patched(mail(diff(c_file(EARLY), c_file(renamed))), base).after.rules, kernel("v6.7").rules)
    pfn = EARLY.replace(HEAD, "gfn_t gfn").replace("(is_mmio)", "(kvm_is_mmio_pfn(pfn))")
    assert same_bytes(patched(mail(diff(c_file(EARLY), c_file(pfn))), base).after.rules, kernel("v6.7").rules)


def test_the_parameter_of_a_helper() -> None:
    new = LATE.replace("(struct kvm *kvm)", "(struct kvm_vcpu *vcpu)").replace(
        "guest_pat(vcpu->kvm)", "guest_pat(vcpu)"
    )
    said = "vmx_ignore_guest_pat() uses kvm, which is no parameter"
    for base in (None, CFile(c_file(LATE), "vmx.c")):
        assert said in refused(diff(c_file(LATE), c_file(new), context=9), base)


def test_a_base_that_does_not_use_it_is_fine() -> None:
    """From 6.11 on nothing asks for the gfn."""
    text = mail(diff(c_file(EARLY), c_file(EARLY.replace(HEAD, "bool is_mmio"))), date="Tue, 1 Oct 2024 10:00:00 +0000")
    assert patched(text).before == kernel("v6.11")


# Additions without context.


def _blob(text: str) -> str:
    return hashlib.sha1(b"blob %d\0" % len(text) + text.encode(), usedforsecurity=False).hexdigest()[:12]


def test_an_addition_without_context() -> None:
    """Its line number tells in the very file that it was made from; in another one nothing does."""
    old, new = c_file(EARLY), c_file(WITH_FLAG)
    git = diff(old, new, context=0).replace("0123456789ab..", f"{_blob(old)}..")
    base = CFile(old, "vmx.c")
    for text in (git, crlf(git), quoted(git), mail(git)):
        result = patched(text, base)
        assert same_bytes(result.after.rules, kernel("slot-flag").rules)
        assert noted(result.after.notes) == noted(result.before.notes)
    assert "no old lines to find its place by" in refused(git, CFile(f"\n{old}", "vmx.c"))
    assert "no old lines to find its place by" in refused(git, CFile(EARLY, "own.c"))
    assert "no context to find its place by" in refused(git, kernel("v6.7"))
    plain = "".join(line for line in git.splitlines(keepends=True) if not line.startswith(("diff", "index")))
    result = patched(plain, base)
    assert same_bytes(result.after.rules, kernel("slot-flag").rules)
    assert "placed by its line number alone, as it has no context: m:3" in noted(result.after.notes)
    two = old.replace("static int", "static int a(void)\n{\n\treturn 1;\n}\n\nstatic int", 1)
    two = two.replace(EARLY, WITH_FLAG)
    git = diff(old, two, context=0).replace("0123456789ab..", f"{_blob(old)}..")
    assert same_bytes(patched(git, base).after.rules, kernel("slot-flag").rules)


def test_macros_in_macros_are_followed_so_far() -> None:
    """No recursion that a patch drives, and no text that doubles with each."""
    deep = "".join(f"#define m{n}(a) m{n + 1}(a)\n" for n in range(1500))
    wide = "".join(f"#define m{n}(a) m{n + 1}(a + a)\n" for n in range(20))
    assert "macros deep (at most" in refused(used(deep, "m0(vcpu)"), kernel("v6.7"))
    assert "becomes far too long" in refused(used(wide, "m0(vcpu)"), kernel("v6.7"))
    for definition in (deep, wide):
        assert refused(used(definition, "m0(vcpu)"), CFile(c_file(EARLY), "vmx.c"))
