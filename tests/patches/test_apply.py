# SPDX-License-Identifier: GPL-2.0-only
"""Patches applied to built-in rule sets and to C files."""

from __future__ import annotations

import datetime
import itertools
import os
import re
from pathlib import Path

import pytest

from mtcalc.csource.source import rules_from_c
from mtcalc.csource.writer import Style, texts_of_its_time, write_c
from mtcalc.kvm.flags import SLOT_FLAGS
from mtcalc.patches.apply import rules_from_patch
from mtcalc.patches.c_file import patch_c
from mtcalc.patches.choose import fitting
from mtcalc.patches.hunks import prepare
from mtcalc.patches.known import known_changes
from mtcalc.patches.read import read_patches
from mtcalc.patches.result import CFile, NothingTouchedError, PatchedRules
from mtcalc.rules.builtin import built_in_names
from mtcalc.rules.kernel import Kernel
from mtcalc.rules.rule import RuleSet
from mtcalc.text.errors import InputError
from support.patches import (
    BEFORE,
    VMX,
    base64,
    blanks_eaten,
    c_file,
    crlf,
    diff,
    kernel,
    mail,
    quoted,
    quoted_printable,
    same_bytes,
    trailing_eaten,
)

DATA = Path(__file__).parent.parent / "data" / "patches"
SEED = (DATA / "noncoherent-dma-slot-flag-3of4.patch").read_text()

RELEASES = [name for name in built_in_names() if name.startswith("v")]
EARLY = write_c(kernel("v6.7").rules, Style.RETURN)


def patched(text: str, base: Kernel | CFile | None = None) -> PatchedRules:
    return rules_from_patch(read_patches(text, "m.patch"), "m.patch", base)


def refused(text: str, base: Kernel | CFile | None = None) -> InputError:
    with pytest.raises(InputError) as caught:
        patched(text, base)
    assert caught.value.place is not None
    return caught.value


def patched_file(text: str, c_text: str, file: str) -> str:
    """A C file's text with a patch applied."""
    return "\n".join(line.text for line in patch_c(read_patches(text, "m.patch"), CFile(c_text, file)).lines)


def fits(text: str) -> list[str]:
    """The built-in rule sets that a patch fits."""
    mails = read_patches(text, "m.patch")
    return list(fitting(prepare(mails, known=known_changes(mails)))[0])


def insert(text: str, before: str, new: str) -> str:
    assert text.count(before) == 1
    return text.replace(before, new + before)


def with_flag(text: str) -> str:
    """The function with one rule more, as the seed adds it, in words of its own."""
    flag = "\tif (slot->flags & KVM_MEM_NON_COHERENT_DMA)\n\t\treturn MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT;\n\n"
    return insert(text, "\tif (!kvm_arch_has_noncoherent_dma(vcpu->kvm))\n", flag)


# The seed, in every way it may come.

SEED_FORMS = {
    "as it stands": SEED,
    "crlf": crlf(SEED),
    "quoted": "On 5/1/24 Someone else <x@example.org> wrote:\n" + quoted(SEED),
    "quoted twice": quoted(quoted(SEED)),
    "quoted without blanks": quoted(SEED, ">"),
    "trailing blanks eaten": trailing_eaten(SEED),
    "byte order mark": "\ufeff" + SEED,
}


@pytest.mark.parametrize("form", SEED_FORMS)
def test_seed(form: str) -> None:
    """The mail of 5 January 2024 is on v6.7, and what it makes of it is slot-flag."""
    result = patched(SEED_FORMS[form])
    assert result.before == kernel("v6.7")
    assert same_bytes(result.after.rules, kernel("slot-flag").rules)
    assert [rule.id for rule in result.after.rules.rules] == [rule.id for rule in kernel("slot-flag").rules.rules]
    assert result.after.slot_flags == kernel("v6.7").slot_flags | SLOT_FLAGS["NON_COHERENT_DMA"]
    assert (result.after.release, result.after.mtrr_walk) == (result.before.release, result.before.mtrr_walk)
    assert result.left_aside == ()
    assert result.date == datetime.date(2024, 1, 5)
    assert result.choice_note == (
        "base v6.7: of those the patch fits (v4.4, v6.7, v6.11), the newest in mainline on 5 January 2024"
    )


def test_seed_keeps_the_rules_it_leaves_alone() -> None:
    rules = patched(SEED).after.rules
    assert [rule for rule in rules.rules if rule.id != "slot-flag"] == list(kernel("v6.7").rules.rules)
    assert rules.rules[1].source == "m.patch:49"


def test_seed_without_date_is_on_the_newest_it_fits() -> None:
    """`git diff` bears none: the newest, and the choice is said."""
    result = patched(SEED.replace("Date: Fri Jan 05 2024 - 04:45:09 EST\n", ""))
    assert (result.before, result.date) == (kernel("v6.11"), None)
    assert result.choice_note == "base v6.11: the newest that the patch fits (v4.4, v6.7, v6.11); it bears no date"


@pytest.mark.parametrize(
    ("day", "base", "same_month"),
    [
        ("Sat, 29 Oct 2022 09:00:00 +0000", "v4.4", False),
        ("Tue, 31 Oct 2023 23:59:00 +0000", "v4.4", False),
        ("Wed, 1 Nov 2023 00:00:00 +0000", "v6.7", True),
        ("Sun, 1 Sep 2024 00:00:00 +0000", "v6.11", True),
        ("Thu, 1 Jan 2026 00:00:00 +0000", "v6.11", False),
    ],
)
def test_newest_in_mainline_at_the_mails_date(day: str, base: str, same_month: bool) -> None:
    """Where several fit, the newest that was in mainline at the mail's date, and the choice is said."""
    result = patched(SEED.replace("Fri Jan 05 2024 - 04:45:09 EST", day))
    assert result.before == kernel(base)
    assert result.choice_note is not None
    assert result.choice_note.startswith(f"base {base}: ")
    assert ("came in that very month" in result.choice_note) is same_month


def test_several_fit_and_none_was_there_yet() -> None:
    error = refused(SEED.replace("Fri Jan 05 2024", "Fri Jan 05 2007"))
    assert "none of them in mainline on 5 January 2007 (say which with --base: v4.4, v6.7, v6.11)" in error.message


def test_seed_on_a_named_base() -> None:
    result = patched(SEED, kernel("v4.3"))
    assert result.before == kernel("v4.3")
    assert result.choice_note is None
    assert [rule.id for rule in result.after.rules.rules][1] == "slot-flag"
    error = refused(SEED, kernel("v6.16"))
    assert error.message.startswith("this hunk does not fit v6.16: ")
    assert "(fitting: v4.4, v6.7, v6.11; or give the C file as base)" in error.message


# Patches from one release's rules to the next one's.


@pytest.mark.parametrize("style", Style)
@pytest.mark.parametrize("context", [0, 1, 3, 10])
@pytest.mark.parametrize(("old", "new"), list(itertools.pairwise(RELEASES)))
def test_from_release_to_release(old: str, new: str, context: int, style: Style) -> None:
    """A patch between two written rule sets makes the one of the other, or, with too little context, says so."""
    before, after = write_c(kernel(old).rules, style), write_c(kernel(new).rules, style)
    if before == after:
        return
    text = mail(diff(c_file(before), c_file(after), context=context))
    if context == 0:
        try:
            result = patched(text, kernel(old))
        except InputError:
            return
    else:
        result = patched(text, kernel(old))
    assert same_bytes(result.after.rules, kernel(new).rules)


@pytest.mark.parametrize(("old", "new"), list(itertools.pairwise(RELEASES)))
def test_fits_its_own_base(old: str, new: str) -> None:
    """A patch made on a release's text fits that release's rule set without anybody naming it."""
    before = texts_of_its_time(kernel(old).rules)[-1]
    after = texts_of_its_time(kernel(new).rules)[-1]
    if before == after:
        return
    text = mail(diff(c_file(before), c_file(after)))
    assert old in fits(text)
    without_names = mail(diff(c_file(before), c_file(after), section=False))
    assert old in fits(without_names)


def test_blanks_eaten_everywhere() -> None:
    for old, new in itertools.pairwise(RELEASES):
        for style in Style:
            before, after = write_c(kernel(old).rules, style), write_c(kernel(new).rules, style)
            if before != after:
                text = blanks_eaten(mail(diff(c_file(before), c_file(after))))
                assert same_bytes(patched(text, kernel(old)).after.rules, kernel(new).rules)
                source = CFile(c_file(before), "vmx.c")
                assert same_bytes(patched(text, source).after.rules, kernel(new).rules)
                bare = re.sub(r"^([+-]) (?!/)", r"\1", text, flags=re.M)
                assert same_bytes(patched(bare, source).after.rules, kernel(new).rules)


@pytest.mark.parametrize("send", [str, crlf, quoted_printable, base64, quoted, trailing_eaten, blanks_eaten])
def test_however_the_mail_was_sent(send: object) -> None:
    assert callable(send)
    text = send(mail(diff(c_file(EARLY), c_file(with_flag(EARLY)))))
    result = patched(text, kernel("v6.7"))
    assert same_bytes(result.after.rules, kernel("slot-flag").rules)


# Hunks elsewhere, helpers, heads.


def test_hunks_elsewhere_are_left_aside() -> None:
    mmu = "static bool kvm_is_mmio_pfn(kvm_pfn_t pfn)\n{\n" + "\tline();\n" * 6 + "\treturn true;\n}\n"
    other = c_file(with_flag(EARLY)).replace("\t\treturn 1;", "\t\treturn 2;")
    text = mail(
        diff(mmu, mmu.replace("true", "false"), "arch/x86/kvm/mmu/spte.c")
        + diff("#define A 1\n", "#define A 2\n", "include/uapi/linux/kvm.h")
        + "diff --git a/x.bin b/x.bin\nindex 0123..4567 100644\nBinary files a/x.bin and b/x.bin differ\n"
        + "diff --git a/old.c b/new.c\nsimilarity index 100%\nrename from old.c\nrename to new.c\n"
        + diff(c_file(EARLY), other, context=1)
    )
    result = patched(text)
    assert same_bytes(result.after.rules, kernel("slot-flag").rules)
    assert result.left_aside == (
        "arch/x86/kvm/mmu/spte.c: static bool kvm_is_mmio_pfn(kvm_pfn_t pfn)",
        "include/uapi/linux/kvm.h: line 1",
        "x.bin",
        "new.c",
        f"{VMX}: static int vmx_stand_in(struct kvm_vcpu *vcpu)",
    )


TOUCHES_NONE = "the patch touches no rule (vmx_get_mt_mask() and what it calls stay as they are)"


def untouched(text: str, base: Kernel | CFile | None = None) -> bool:
    """Whether a patch is told to touch no rule, in one short line."""
    with pytest.raises(NothingTouchedError) as caught:
        patched(text, base)
    return caught.value.message == TOUCHES_NONE


def test_a_patch_of_other_functions_touches_no_rule() -> None:
    other = c_file(EARLY).replace("\t\treturn 1;", "\t\treturn 2;")
    text = diff(c_file(EARLY), other, context=1)
    assert untouched(text)
    assert untouched(text, CFile(c_file(EARLY), "vmx.c"))


def test_a_patch_of_other_things_touches_no_rule() -> None:
    mmu = "static bool kvm_is_mmio_pfn(kvm_pfn_t pfn)\n{\n\ta();\n}\n\nbool spte_other(void)\n{\n\tb();\n}\n"
    dma = "bool kvm_arch_has_noncoherent_dma(struct kvm *kvm)\n{\n\treturn 1;\n}\n"
    new = "\nstatic u8 vmx_own(void)\n{\n\treturn 0;\n}\n"
    other = c_file(EARLY + new).replace("\t\treturn 1;", "\t\treturn 2;").replace("mask = value", "mask = ~value")
    text = (
        diff(mmu, mmu.replace("();", "(1);"), "arch/x86/kvm/mmu/spte.c", context=0)
        + diff(dma, dma.replace("1", "2"), "arch/x86/kvm/x86.c", context=1)
        + diff("#define A 1\n", "#define A 2\n", "include/uapi/linux/kvm.h")
        + "diff --git a/old.c b/new.c\nsimilarity index 100%\nrename from old.c\nrename to new.c\n"
    )
    both = mail(text) + mail(diff(c_file(EARLY), other))
    for whole in (text, both, text + quoted(SEED)):
        for base in (None, kernel("v6.7")):
            with pytest.raises(NothingTouchedError) as caught:
                patched(whole, base)
            assert caught.value.asked == ("kvm_is_mmio_pfn", "kvm_arch_has_noncoherent_dma")
            assert caught.value.message == (
                "the patch touches no rule itself (it changes kvm_is_mmio_pfn() (the host-MMIO test), "
                "kvm_arch_has_noncoherent_dma(), asked by name: their meanings are taken as before (the patch does not "
                f"fit the host-MMIO test of {'v6.7' if base else 'any release'}: its context and removed lines are not "
                "in kvm_is_mmio_pfn()))"
            )


def test_a_new_function_behind_it_is_no_change_of_it() -> None:
    new = "\nstatic u8 vmx_own(void)\n{\n\tif (is_mmio)\n\t\treturn 1;\n\n\treturn 0;\n}\n"
    text = diff(c_file(EARLY), c_file(EARLY + new))
    assert untouched(text)
    both = diff(c_file(EARLY), c_file(with_flag(EARLY) + new))
    result = patched(both, kernel("v6.7"))
    assert same_bytes(result.after.rules, kernel("slot-flag").rules)
    assert result.left_aside == (f"{VMX}: vmx_own() (new)",)


HELPER = (
    "static bool vmx_own(struct kvm_vcpu *vcpu, const struct kvm_memory_slot *slot)\n{\n"
    "\tif (!slot)\n\t\treturn false;\n\n\treturn slot->flags & KVM_MEM_NON_COHERENT_DMA;\n}\n\n"
)


@pytest.mark.parametrize("context", [1, 3, 30])
def test_a_new_helper_is_followed(context: int) -> None:
    """A function that the patch adds, and that the patched one calls, is read with it."""
    calls = with_flag(EARLY).replace("slot->flags & KVM_MEM_NON_COHERENT_DMA", "vmx_own(vcpu, slot)")
    text = diff(c_file(EARLY), c_file(HELPER + calls), context=context)
    result = patched(text, kernel("v6.7"))
    assert same_bytes(result.after.rules, patched(text, CFile(c_file(EARLY), "vmx.c")).after.rules)
    assert "slot_flag NON_COHERENT_DMA" in " ".join(rule.text for rule in result.after.rules.rules)
    assert result.left_aside == ()


@pytest.mark.parametrize("context", [0, 3])
def test_the_helper_of_v6_16(context: int) -> None:
    old = c_file(texts_of_its_time(kernel("v6.16").rules)[0])
    new = old.replace("return !kvm_arch_has_noncoherent_dma(kvm) && kvm_check", "return kvm_check")
    result = patched(diff(old, new, context=context))
    assert result.before == kernel("v6.16")
    assert result.choice_note == "base v6.16: the only built-in rule set that the patch fits"
    assert [rule.text for rule in result.after.rules.rules] == [
        "mmio -> UC",
        "quirk IGNORE_GUEST_PAT -> WB, ignore PAT",
        "otherwise -> WB",
    ]
    gone = c_file(texts_of_its_time(kernel("v6.11").rules)[0])
    assert same_bytes(patched(diff(old, gone)).after.rules, kernel("v6.11").rules)
    assert same_bytes(patched(diff(gone, old)).after.rules, kernel("v6.16").rules)
    assert patched(diff(gone, old)).after.quirks == ("CD_NW_CLEARED", "IGNORE_GUEST_PAT")


def test_heads_are_compared_by_name_alone() -> None:
    """Parameter lists came and went; a head that the patch changes is the one that counts."""
    head, body = EARLY.split("\n{\n", 1)
    other = "u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)\n{\n" + body
    text = diff(c_file(other), c_file(with_flag(other)))
    assert same_bytes(patched(text, kernel("v6.7")).after.rules, kernel("slot-flag").rules)
    moved = "static u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn,\n\t\t\t  bool is_mmio)\n{\n" + body
    changed = diff(c_file(moved), c_file(with_flag(moved)))
    assert same_bytes(patched(changed, kernel("v6.7")).after.rules, kernel("slot-flag").rules)
    assert head in EARLY


def test_comments_count_for_nothing() -> None:
    commented = EARLY.replace("{\n", "{\n\t/*\n\t * Some words\n\t * more words.\n\t */\n", 1).replace(
        "\tif (!kvm_arch", "\t// and a line\n\t/* if (x) return 0; */\n\tif (!kvm_arch"
    )
    for context in (1, 2, 3, 4, 5, 20):
        text = diff(c_file(commented), c_file(with_flag(commented)), context=context)
        assert same_bytes(patched(text, kernel("v6.7")).after.rules, kernel("slot-flag").rules)
    only = patched(diff(c_file(commented), c_file(commented.replace("more words", "better words"))), kernel("v6.7"))
    assert only.after.rules.rules == only.before.rules.rules


def test_a_comment_that_swallows_code_is_refused() -> None:
    """A comment whose end is not in the hunk must not hide statements."""
    commented = EARLY.replace("\tif (!kvm_arch", "\t/* some words */\n\tif (!kvm_arch")
    text = diff(c_file(commented), c_file(with_flag(commented))).replace("some words */", "some words")
    assert "a comment that does not end" in refused(text, kernel("v6.7")).message


def test_a_forgotten_shift_and_an_unknown_predicate() -> None:
    wrong = with_flag(EARLY).replace("RBACK << VMX_EPT_MT_EPTE_SHIFT;", "RBACK;", 1)
    result = patched(diff(c_file(EARLY), c_file(wrong)), kernel("v6.7"))
    assert result.after.rules.rules[1].then.const == 0x06
    asked = with_flag(EARLY).replace("slot->flags & KVM_MEM_NON_COHERENT_DMA", "kvm_own(vcpu->kvm,\n\t\t    gfn)")
    result = patched(diff(c_file(EARLY), c_file(asked)), kernel("v6.7"))
    assert result.after.rules.rules[1].when.input.arg == "kvm_own(vcpu->kvm, gfn)"  # type: ignore[union-attr]


def test_an_error_in_the_new_code_is_told_at_its_place_in_the_patch() -> None:
    text = diff(c_file(EARLY), c_file(with_flag(EARLY).replace("\tif (slot->", "\twhile (slot->")))
    line = next(n for n, text_line in enumerate(text.splitlines(), 1) if "while" in text_line)
    for base in (kernel("v6.7"), CFile(c_file(EARLY), "vmx.c")):
        error = refused(text, base)
        assert error.place is not None
        assert (error.place.file, error.place.line, error.place.column) == ("m.patch", line, 3)


# Series and threads.


def series() -> tuple[list[str], RuleSet]:
    """Three patches in a row, each on the one before, and a cover letter; the rules at the end."""
    texts = [EARLY, with_flag(EARLY)]
    texts.append(insert(texts[1], "\tif (is_mmio)\n", "\tif (kvm_own(vcpu))\n\t\treturn 0;\n\n"))
    texts.append(texts[2].replace("slot->flags & KVM_MEM_NON_COHERENT_DMA", "slot->flags & KVM_MEM_READONLY"))
    subjects = [f"[PATCH v2 {n}/3] KVM: VMX: step {n}" for n in range(4)]
    steps = [mail("", subjects[0])]
    for number, (old, new) in enumerate(itertools.pairwise(texts), 1):
        steps.append(mail(diff(c_file(old), c_file(new)), subjects[number]))
    return steps, rules_from_c(texts[-1], "vmx.c")


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 1, 0)])
def test_series_in_any_order(order: tuple[int, ...]) -> None:
    """Patches of a series are applied in the order of their numbers, however the mailbox holds them."""
    steps, wanted = series()
    mailbox = "\n".join(steps[n] for n in order)
    for base in (None, kernel("v6.7"), CFile(c_file(EARLY), "vmx.c")):
        result = patched(mailbox, base)
        assert same_bytes(result.after.rules, wanted)
        assert [mail.number for mail in result.mails] == [1, 2, 3]


def test_series_with_one_missing() -> None:
    """Without its first patch the series is on another rule set: the one that patch makes."""
    steps, wanted = series()
    assert "does not fit v6.7" in refused(steps[2] + steps[3], kernel("v6.7")).message
    result = patched(steps[2] + steps[3])
    assert result.before == kernel("slot-flag")
    assert same_bytes(result.after.rules, wanted)


def test_thread_with_replies() -> None:
    """In a thread the patches count, not what replies quote of them."""
    steps, wanted = series()
    reply = mail("", "Re: [PATCH v2 2/3] KVM: VMX: step 2") + quoted(steps[2]) + "\nNo.\n" + quoted(steps[3])
    assert same_bytes(patched(steps[1] + reply + steps[3] + steps[2]).after.rules, wanted)


def test_two_versions_of_a_series_are_refused() -> None:
    steps, _ = series()
    assert "two patches numbered 1/3 (keep one version" in refused(steps[1] + steps[1].replace("v2 ", "v3 ")).message
    assert "patches of v2 and v3 of a series" in refused(steps[1] + steps[2].replace("v2 ", "v3 ")).message


@pytest.mark.parametrize(
    ("subjects", "said"),
    [
        (("[PATCH] KVM: x", "[PATCH v2] KVM: x"), "v1 and v2 of one patch"),
        (("[PATCH v3] KVM: x", "[RFC PATCH v2] kvm: x"), "v3 and v2 of one patch"),
        (("[PATCH] KVM: x", "[PATCH v2 1/1] KVM: x"), "v1 and v2 of one patch"),
        (("[PATCH] KVM: x", "[PATCH] KVM: x"), "two patches of one subject, and not the same"),
    ],
)
def test_two_versions_of_one_patch_are_refused(subjects: tuple[str, str], said: str) -> None:
    """Though each would apply behind the other."""
    one = with_flag(EARLY)
    two = EARLY.replace("if (is_mmio)", "if (is_mmio && own(vcpu))")
    text = mail(diff(c_file(EARLY), c_file(one)), subjects[0]) + mail(diff(c_file(EARLY), c_file(two)), subjects[1])
    for base in (None, kernel("v6.7"), CFile(c_file(EARLY), "vmx.c")):
        assert refused(text, base).message.startswith(said)


@pytest.mark.parametrize("again", ["[PATCH] KVM: x", "[PATCH RESEND] KVM: x"])
def test_a_patch_sent_once_more_counts_once(again: str) -> None:
    own = diff(c_file(EARLY), c_file(with_flag(EARLY)))
    result = patched(mail(own, "[PATCH] KVM: x") + mail(own, again), kernel("v6.7"))
    assert same_bytes(result.after.rules, kernel("slot-flag").rules)
    assert len(result.mails) == 1


def test_a_mails_own_patch_counts_not_the_one_it_quotes() -> None:
    steps, _ = series()
    own = diff(c_file(EARLY), c_file(with_flag(EARLY)))
    text = f"Subject: Re: x\nFrom: B <b@c>\n\n{quoted(steps[2])}\nBetter:\n\n{own}"
    result = patched(text, kernel("v6.7"))
    assert same_bytes(result.after.rules, kernel("slot-flag").rules)
    assert result.left_aside == (f"quoted: {VMX}",)
    twice = f"{quoted(quoted(steps[1]))}\n{quoted(steps[2])}"
    assert "quotes two patches" in refused(twice).message


# On a C file.


@pytest.mark.parametrize("form", SEED_FORMS)
def test_seed_on_a_c_file(form: str) -> None:
    for file, text in (("vmx.c", c_file(EARLY)), ("own.c", EARLY), ("own.c", c_file(EARLY))):
        result = patched(SEED_FORMS[form], CFile(text, file))
        assert same_bytes(result.before.rules, kernel("v6.7").rules)
        assert same_bytes(result.after.rules, kernel("slot-flag").rules)
        assert result.after.rules.rules[1].source == f"m.patch:{50 if form == 'quoted' else 49}"
        at = text[: text.index("if (is_mmio)")].count("\n") + 1
        assert result.after.rules.rules[0].source == f"{file}:{at}"


def test_apply_keeps_the_rest_of_the_file() -> None:
    text = c_file(EARLY)
    wanted = c_file(with_flag(EARLY))
    patches = diff(text, wanted)
    assert patched_file(patches, text, "vmx.c") == wanted
    assert patched_file(patches, crlf(text), "arch/x86/kvm/vmx/vmx.c") == wanted
    moved = "\n" * 40 + text.replace("\t", "        ")
    assert patched_file(patches, moved, "vmx.c").split() == wanted.split()


def test_hunks_over_the_edge_of_a_lone_function() -> None:
    """A file with only the function takes hunks whose context reaches into its neighbours."""
    first = EARLY.replace("\tif (is_mmio)", "\tif (kvm_own(vcpu))\n\t\treturn 0;\n\n\tif (is_mmio)")
    last = EARLY.replace("return kvm_mtrr", "return 6 | kvm_mtrr")
    for changed in (first, last):
        text = diff(c_file(EARLY), c_file(changed), context=9)
        result = patched(text, CFile(EARLY, "own.c"))
        assert same_bytes(result.after.rules, rules_from_c(changed, "x.c"))
        assert refused(text, CFile(EARLY, "vmx.c")).message.startswith("this hunk does not fit vmx.c")


def test_a_lone_function_leaves_the_rest_aside() -> None:
    other = c_file(with_flag(EARLY)).replace("\t\treturn 1;", "\t\treturn 2;")
    result = patched(diff(c_file(EARLY), other, context=1), CFile(EARLY, "own.c"))
    assert result.left_aside == (f"{VMX}: static int vmx_stand_in(struct kvm_vcpu *vcpu)",)


def test_a_hunk_that_fits_twice() -> None:
    """The stated line decides, then the function that @@ names; else it is an error."""
    block = "\tif (some)\n\t\tgo();\n\n\tcall();\n"
    old = BEFORE.replace("\treturn 0;\n", block) + "\n" + EARLY.replace("{\n", "{\n" + block, 1)
    new = old[: len(BEFORE) + 10] + old[len(BEFORE) + 10 :].replace("\tcall();\n", "\tcall(1);\n")
    assert patched_file(diff(old, new, context=0, section=False), old, "vmx.c") == new
    shifted = "\n\n\n" + old
    named = patched_file(diff(old, new, context=0), shifted, "vmx.c")
    assert named == "\n\n\n" + new
    with pytest.raises(InputError, match="this hunk fits in several places"):
        patched_file(diff(old, new, context=0, section=False), shifted, "vmx.c")
    twice = shifted.replace("{\n" + block, "{\n" + block + block)
    with pytest.raises(InputError, match="this hunk fits in several places"):
        patched_file(diff(old, new, context=0), twice, "vmx.c")


def test_a_patch_of_another_c_file() -> None:
    with pytest.raises(NothingTouchedError, match="touches no rule"):
        patched_file(diff("int a;\n", "int b;\n", "arch/x86/kvm/svm/svm.c"), c_file(EARLY), "vmx.c")
    changed = patched_file(diff("int a;\n", "int b;\n", "arch/x86/kvm/mtrr.c"), "int a;\n", "mtrr.c")
    assert changed == "int b;\n"


@pytest.mark.parametrize("path", sorted((DATA / "bad").glob("*.txt")), ids=lambda path: path.stem)
def test_bad_patches(path: Path) -> None:
    text, wanted = path.read_text().split("=====\n")
    with pytest.raises(InputError) as caught:
        rules_from_patch(read_patches(text, "m.patch"), "m.patch")
    if os.environ.get("MTCALC_GOLDEN") == "write":
        wanted = f"{caught.value}\n"
        path.write_text(f"{text}=====\n{wanted}")
    assert str(caught.value) == wanted.rstrip("\n"), "wanted? MTCALC_GOLDEN=write pytest tests/patches/test_apply.py"


def test_diffs_with_and_without_a_git_line_in_one_file() -> None:
    """Both are read, in either order, where no mail's text stands before them."""
    plain = "--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-int a;\n+int b;\n"
    git = "diff --git a/y.c b/y.c\n--- a/y.c\n+++ b/y.c\n@@ -1 +1 @@\n-int c;\n+int d;\n"
    for text, paths in ((plain + git, ["x.c", "y.c"]), (git + plain, ["y.c", "x.c"])):
        (mail,) = read_patches(text, "two.patch")
        assert [item.path for item in mail.files] == paths


def test_a_set_without_a_helper_that_the_patch_changes_is_no_base() -> None:
    """v6.11 fits the hunk of the function, v6.16 both."""
    text = """diff --git a/arch/x86/kvm/vmx/vmx.c b/arch/x86/kvm/vmx/vmx.c
--- a/arch/x86/kvm/vmx/vmx.c
+++ b/arch/x86/kvm/vmx/vmx.c
@@ -1,5 +1,4 @@
 static bool vmx_ignore_guest_pat(struct kvm *kvm)
 {
-\treturn !kvm_arch_has_noncoherent_dma(kvm) &&
-\t       kvm_check_has_quirk(kvm, KVM_X86_QUIRK_IGNORE_GUEST_PAT);
+\treturn kvm_check_has_quirk(kvm, KVM_X86_QUIRK_IGNORE_GUEST_PAT);
 }
@@ -10,2 +9,2 @@ u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)
-\tif (is_mmio)
+\tif (is_mmio && !own(vcpu))
 \t\treturn MTRR_TYPE_UNCACHABLE << VMX_EPT_MT_EPTE_SHIFT;
"""
    mails = read_patches(text, "x.patch")
    assert fits(text) == ["v6.16"]
    found = rules_from_patch(mails, "x.patch")
    assert (found.before.rules.name, found.left_aside) == ("v6.16", ())
