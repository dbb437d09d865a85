# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc review as a program: the seed mail however it comes, and each question provoked by a patch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mtcalc.analysis.questions import QUESTIONS
from mtcalc.csource.writer import Style, write_c
from support.patches import c_file, crlf, diff, kernel, mail, quoted
from support.program import DATA, Run, quick, run

NAME = "patches/noncoherent-dma-slot-flag-3of4.patch"
SEED = (DATA / NAME).read_text()

SEED_TEXT = """\
patch  [PATCH 3/4] KVM: VMX: Honor guest PATs for memslots of flag
       KVM_MEM_NON_COHERENT_DMA
from   Yan Zhao, 2024-01-05
base   v6.7: of those the patch fits (v4.4, v6.7, v6.11), the newest in mainline
       on 5 January 2024

33 of 160 reachable inputs change: slots with NON_COHERENT_DMA that are not host
MMIO.

ROW INPUTS BEFORE    AFTER     UC    UC-       WC    WT        WP        WB
1   20     0x70 WB,1 0x30 WB,0 WB>UC WB>UC     WB>WC WB>WT     WB>WP     WB
2   8      MTRR,0    0x30 WB,0 UC    UC/WC*>UC WC    UC/WT*>WT UC/WP*>WP MTRR>WB
3   5      0x40 UC,1 0x30 WB,0 UC    UC        UC>WC UC>WT     UC>WP     UC>WB

when not mmio and slot_flag NON_COHERENT_DMA, and
1  not noncoherent_dma
2  noncoherent_dma and not cr0_cd and guest_mtrr UC|WC|WT|WP
3  noncoherent_dma and cr0_cd and not quirk CD_NW_CLEARED

around the rules
slot flags accepted  NON_COHERENT_DMA too (taken so, as the rules read it)

OF 33 ROW PAT        QUESTIONS: is that meant?
5     3   WB: UC>WB  guest memory becomes cacheable though guest CR0.CD is set
4     2   WB: UC>WB  guest memory becomes cacheable though the guest's MTRRs say
                     UC or WC (as with guest_mtrr UC)
4     2   UC-: WC>UC memory that was WC becomes UC, and framebuffers slow (as
                     with guest_mtrr WC)
5     3   WC: UC>WC  memory that was UC becomes WC, and writes may be combined
20    1   UC: WB>UC  guests without non-coherent DMA can now make RAM uncached
25    1   WC: WB>WC  the guest's PAT is newly honoured: the host maps RAM WB, so
                     another type in the guest is an alias
33    1              nothing makes KVM accept KVM_MEM_NON_COHERENT_DMA (EINVAL)
33    1              slot flag NON_COHERENT_DMA may be set on any slot, RAM too
33    1              stale entries stay when slot flag NON_COHERENT_DMA changes
33    1              non-coherent DMA, guest CR0.CD, quirk CD_NW_CLEARED, guest
                     MTRR type stop mattering there: is that said?
13    2              the guest's MTRRs still limit the mapping level there
                     (noncoherent_dma) (as with guest_mtrr UC)
33    1              new condition, slot flag NON_COHERENT_DMA: 33 changes where
                     it holds, 0 where it does not

note: a>b: the effective type changes from a to b
note: *: for some inputs or all, undefined in previous editions of the manual
"""

EARLY = write_c(kernel("v6.7").rules, Style.RETURN)
MMIO_UC = "\t\treturn MTRR_TYPE_UNCACHABLE << VMX_EPT_MT_EPTE_SHIFT;\n"
SECOND = "\tif (!kvm_arch_has_noncoherent_dma(vcpu->kvm))\n"
LAST = "\treturn kvm_mtrr_get_guest_memory_type(vcpu, gfn) << VMX_EPT_MT_EPTE_SHIFT;\n"


def replaced(old: str, new: str) -> str:
    """A patch of v6.7's function: the first such line replaced."""
    assert old in EARLY
    return mail(diff(c_file(EARLY), c_file(EARLY.replace(old, new, 1))))


def inserted(condition: str, byte: str) -> str:
    """A patch that adds a rule behind the one for host MMIO."""
    return replaced(SECOND, f"\tif ({condition})\n\t\treturn {byte};\n\n{SECOND}")


def reviewed(text: str, base: str | None = "v6.7") -> dict[str, Any]:
    named = ("--base", base) if base else ()
    done = quick("review", "-", *named, "-o", "json", stdin=text)
    assert done.err == ""
    record: dict[str, Any] = json.loads(done.out)
    assert done.status == (1 if record["changed"] else 0)
    return record


def questions(record: dict[str, Any]) -> list[str]:
    return [question["text"] for question in record["questions"]]


# The seed mail.


def test_the_seed_as_it_stands() -> None:
    """Plain output is fit to paste into a reply."""
    assert run("review", NAME) == (1, SEED_TEXT, "")
    assert SEED_TEXT.isascii()
    assert max(map(len, SEED_TEXT.splitlines())) <= 80
    assert len(SEED_TEXT.splitlines()) <= 45  # a screen, and the prompt below it


FORMS = {
    "quoted": "On 5/1/24 Someone else <x@example.org> wrote:\n" + quoted(SEED),
    "crlf": crlf(SEED),
    "quoted, crlf": crlf(quoted(SEED)),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_seed_however_it_comes(form: str, tmp_path: Path) -> None:
    """From a file and from standard input: the same rows and questions."""
    wanted = json.loads(quick("review", NAME, "-o", "json").out)
    (tmp_path / "m.eml").write_bytes(FORMS[form].encode())
    by_file = quick("review", "m.eml", "-o", "json", cwd=tmp_path)
    by_stdin = quick("review", "-", "-o", "json", stdin=FORMS[form])
    for done in (by_file, by_stdin):
        assert (done.status, done.err) == (1, "")
        record = json.loads(done.out)
        for key in ("text", "rows", "questions", "base", "date", "changed"):
            assert record[key] == wanted[key]


def test_the_seed_on_a_c_file(tmp_path: Path) -> None:
    """Applied to a C file given with --base; what it does there is what it does on the same rules by name."""
    (tmp_path / "vmx.c").write_text(c_file(EARLY))
    record = json.loads(quick("review", "-", "--base", "vmx.c", "-o", "json", stdin=SEED, cwd=tmp_path).out)
    named = reviewed(SEED)
    assert (record["base"], record["base_note"], named["base"]) == ("vmx.c", None, "v6.7")
    for key in ("changed", "reachable", "questions"):
        assert record[key] == named[key]
    assert "\nbase   vmx.c\n" in quick("review", "-", "--base", "vmx.c", stdin=SEED, cwd=tmp_path).out


def _said_of_itself(patch: dict[str, Any]) -> dict[str, Any]:
    return {key: patch[key] for key in ("subject", "author", "message_id", "touches")}


def test_the_keys_of_json() -> None:
    record = json.loads(quick("review", NAME, "-o", "json").out)
    assert list(record) == [
        *("patches", "date", "base", "base_note", "left_aside", "questions"),
        *(
            "before",
            "after",
            "before_ref",
            "after_ref",
            "text",
            "changed",
            "reachable",
            "left_out",
            "rows",
            "mmio_rows",
            "around",
            "notes",
        ),
        *("beside", "in_between", "against"),
    ]
    (patch,) = record["patches"]
    assert list(patch) == [
        *("subject", "author", "message_id", "commit", "touches", "text", "changed", "rows", "mmio_rows", "questions"),
        *("beside", "brings"),
    ]
    assert patch["brings"] == [1, 2, 3]
    for key in ("text", "changed", "rows", "mmio_rows", "questions", "beside"):
        assert patch[key] == record[key]
    assert [_said_of_itself(patch)] == [
        {
            "subject": "[PATCH 3/4] KVM: VMX: Honor guest PATs for memslots of flag KVM_MEM_NON_COHERENT_DMA",
            "author": "Yan Zhao",
            "message_id": "",
            "touches": True,
        }
    ]
    assert (record["date"], record["before"], record["after"]) == ("2024-01-05", "v6.7", NAME.split("/")[1])
    assert {tuple(question) for question in record["questions"]} == {
        ("kind", "text", "count", "pat", "rule", "example", "code", "place")
    }
    assert [(question["code"], question["count"]) for question in record["questions"]] == [
        ("cd-cacheable", 5),
        ("mtrr-cacheable", 4),
        ("wc-to-uc", 4),
        ("uc-to-wc", 5),
        ("uncached-ram", 20),
        ("pat-honoured", 25),
        ("flag-not-accepted", 33),
        ("any-slot", 33),
        ("stale", 33),
        ("input-stops", 33),
        ("mtrr-split", 13),
        ("new-condition", 33),
    ]
    assert [question["kind"] for question in record["questions"]] == [
        QUESTIONS[question["code"]].kind for question in record["questions"]
    ]
    assert record["notes"] == [f"{NAME.split('/')[1]} is a patch on top of v6.7"]
    sent = reviewed(mail(SEED[SEED.index("diff --git") :], date="Fri, 5 Jan 2024 17:12:37 +0800"))
    assert list(map(_said_of_itself, sent["patches"])) == [
        {
            "subject": "[PATCH] KVM: VMX: a change",
            "author": "A Writer <writer@example.org>",
            "message_id": "20240102100000.1-1-writer@example.org",
            "touches": True,
        }
    ]


def test_rows_are_those_of_diff() -> None:
    """jsonl and csv hold the rows; --expand the single combinations."""
    for args in (("jsonl",), ("csv", "--expand"), ("tsv",)):
        done = quick("review", NAME, "-o", *args)
        assert done == quick("diff", "v6.7", "slot-flag", "-o", *args)
        assert done.status == 1


def example(record: dict[str, Any], kind: str, nth: int = 0) -> dict[str, Any]:
    found = [question["example"] for question in record["questions"] if question["kind"] == kind]
    one: dict[str, Any] = found[nth]
    return one


def test_what_the_seed_claims() -> None:
    """Its text against what the review shows: the aliases, the huge pages, and what it does not say."""
    record = reviewed(SEED)
    # "Combinations like guest MTRR=WC or UC, guest PAT=WB are not allowed": where a guest has one, it turns WB.
    state = example(record, "cacheable", 1)
    assert (state["inputs"]["guest_mtrr"], state["inputs"]["cr0_cd"]) == ("UC", False)
    assert (state["before"]["effective"]["WB"], state["after"]["effective"]["WB"]) == ("UC", "WB")
    # "Guest MTRR=WC, PAT=UC-": WC when MTRRs are honoured, UC with the flag, which its author calls arguable.
    state = example(record, "combining", 0)
    assert (state["inputs"]["guest_mtrr"], state["inputs"]["noncoherent_dma"]) == ("WC", True)
    assert (state["before"]["effective"]["UC-"], state["after"]["effective"]["UC-"]) == ("WC", "UC")
    # "We don't break down an EPT huge page": with non-coherent DMA KVM still does.
    split = example(record, "mapping level")
    assert split["inputs"]["noncoherent_dma"] is True
    assert split["inputs"]["slot_flags"] == ["NON_COHERENT_DMA"]
    # Not in its text: with N, CD set and the quirk off, memory was UC,1.
    state = example(record, "cacheable", 0)
    assert (state["inputs"]["noncoherent_dma"], state["inputs"]["cr0_cd"]) == (True, True)
    assert state["inputs"]["quirks"] == {"CD_NW_CLEARED": False}
    assert (state["before"]["mask"], state["after"]["mask"]) == ("0x40", "0x30")
    # Guest MTRR=WC, PAT=UC-: WC when MTRRs are honoured, UC with the flag.
    (row,) = [row for row in record["rows"] if row["before"]["memtype"] == "guest_mtrr"]
    assert "WC" in row["when"]["guest_mtrr"]
    assert "WC" in row["before"]["effective"]["UC-"]
    assert row["after"]["effective"]["UC-"] == "UC"


# Questions provoked.

PROVOKED = {
    "forgotten shift": (
        inserted("slot->flags & KVM_MEM_READONLY", "MTRR_TYPE_WRBACK"),
        "0x06 is returned: UC, stray bits 0x06, which end up in the entry (was a shift forgotten?)",
        40,
    ),
    "forgotten shift of the guest's type": (
        replaced("(vcpu, gfn) << VMX_EPT_MT_EPTE_SHIFT", "(vcpu, gfn)"),
        "0x04 is returned: UC, stray bits 0x04, which end up in the entry (was a shift forgotten?)",
        2,
    ),
    "reserved type": (
        inserted("slot->flags & KVM_MEM_READONLY", "3 << VMX_EPT_MT_EPTE_SHIFT"),
        "0x18 is returned: memory type 3 is reserved, an EPT misconfiguration",
        40,
    ),
    "host MMIO becomes WB": (
        replaced(MMIO_UC, MMIO_UC.replace("UNCACHABLE", "WRBACK")),
        "host MMIO may become cacheable: device memory mapped cacheable can raise a machine check",
        40,
    ),
    "host MMIO touched": (
        replaced(MMIO_UC, MMIO_UC.replace("UNCACHABLE", "WRCOMB")),
        "host MMIO is touched: is that meant?",
        40,
    ),
    "a new predicate": (
        inserted("kvm_own(vcpu->kvm)", "MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT"),
        "new condition, `kvm_own(vcpu->kvm)`: 33 changes where it holds, 0 where it does not",
        33,
    ),
    "a new predicate and its other side": (
        inserted("!kvm_own(vcpu->kvm)", "MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT"),
        "new condition, `kvm_own(vcpu->kvm)`: 0 changes where it holds, 33 where it does not",
        33,
    ),
    "a new memory type": (
        replaced("kvm_mtrr_get_guest_memory_type(vcpu, gfn)", "own_type(vcpu, gfn)"),
        "new memory type, `own_type(vcpu, gfn)`",
        40,
    ),
    "PAT honoured no longer": (
        replaced(LAST, "\treturn (MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT) | VMX_EPT_IPAT_BIT;\n"),
        "the guest's PAT is honoured no longer: what drivers map WC or UC they don't get",
        10,
    ),
    "CR0.CD": (
        replaced("UNCACHABLE << VMX_EPT_MT_EPTE_SHIFT) |", "WRBACK << VMX_EPT_MT_EPTE_SHIFT) |"),
        "guest memory becomes cacheable though guest CR0.CD is set: is that meant?",
        5,
    ),
    "mapping level still split": (
        replaced(LAST, "\treturn MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT;\n"),
        "the guest's MTRRs still limit the mapping level there (noncoherent_dma)",
        8,
    ),
    "an input stops mattering": (
        replaced(LAST, "\treturn MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT;\n"),
        "guest MTRR type stops mattering there: is that said?",
        8,
    ),
}


@pytest.mark.parametrize("what", PROVOKED)
def test_provoked(what: str) -> None:
    """Each question by a patch that gives cause, and in how many of the changed states it stands."""
    text, question, count = PROVOKED[what]
    record = reviewed(text)
    (found,) = [one for one in record["questions"] if one["text"] == question]
    assert found["count"] == count
    assert found["example"]["before"] != found["example"]["after"]


OF_ITS_OWN = """\
u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)
{
\tu64 bits = MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT;

\tif (is_mmio)
\t\tbits = 0;
\telse if (own_state(vcpu))
\t\tbits |= VMX_EPT_IPAT_BIT;

\treturn bits;
}
"""


def test_a_patch_of_code_that_no_release_had(tmp_path: Path) -> None:
    """With --base FILE.c the patch is applied to the file itself, whatever it says."""
    (tmp_path / "vmx.c").write_text(c_file(OF_ITS_OWN))
    text = mail(diff(c_file(OF_ITS_OWN), c_file(OF_ITS_OWN.replace("own_state(", "!own_state("))))
    record = json.loads(quick("review", "-", "--base", "vmx.c", "-o", "json", stdin=text, cwd=tmp_path).out)
    assert [(row["before"]["mask"], row["after"]["mask"]) for row in record["rows"]] == [
        ("0x30", "0x70"),
        ("0x70", "0x30"),
    ]
    assert [row["when"]["assume"] for row in record["rows"]] == [{"own_state(vcpu)": False}, {"own_state(vcpu)": True}]


def test_a_reserved_type_in_plain() -> None:
    mmio = quick("review", "-", "--base", "v6.7", stdin=replaced(MMIO_UC, "\t\treturn 0x10;\n"))
    assert "40    1   WC: WC>- host MMIO is touched\n" in mmio.out
    done = quick("review", "-", "--base", "v6.7", stdin=PROVOKED["reserved type"][0])
    assert "0x18 reserved 3,0" in done.out
    assert "None" not in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_a_rule_that_can_never_match() -> None:
    record = reviewed(replaced("\tif (is_mmio)\n", "\tif (!slot || kvm_own(vcpu->kvm) || !kvm_own(vcpu->kvm))\n"))
    found = [question for question in record["questions"] if question["kind"] == "dead rule"]
    assert {question["rule"] for question in found} >= {"coherent", "guest-mtrr"}
    assert all(question["example"] is None and "never matches" in question["text"] for question in found)


# What is no change, and what is no review.


def test_a_patch_that_changes_nothing() -> None:
    """Exit status 0; all that is asked is why nobody gets there."""
    both = "\tif (is_mmio)\n\t\treturn 0;\n\n"
    text = replaced(SECOND, both + SECOND)
    record = reviewed(text)
    assert (record["changed"], record["rows"]) == (0, [])
    assert [question["text"] for question in record["questions"]] == ["never reached: `return 0;`"]
    done = quick("review", "-", "--base", "v6.7", stdin=text)
    assert (done.status, done.err) == (0, "")
    assert "none of 80 reachable inputs changes" in done.out
    assert done.out.endswith("\n\nQUESTIONS: is that meant?\n-  never reached: `return 0;`\n")


def refused(*args: str, stdin: str = "", cwd: Path = DATA) -> str:
    done: Run = quick("review", *args, stdin=stdin, cwd=cwd)
    assert (done.status, done.out) == (2, "")
    return done.err


def test_a_patch_of_something_else() -> None:
    """One short line, status 0."""
    text = mail(diff(c_file(EARLY), c_file(EARLY).replace("\t\treturn 1;", "\t\treturn 2;"), context=1))
    other = mail(diff("int a;\n", "int b;\n", "virt/kvm/kvm_main.c"))
    for sent in (text, other):
        done = quick("review", "-", stdin=sent)
        assert (done.status, done.err) == (0, "")
        assert done.out == "touches no rule: vmx_get_mt_mask() and what it calls stay as they are\n"


def test_several_fit_and_there_is_no_date() -> None:
    """The newest, and the choice is said."""
    record = reviewed(SEED.replace("Date: Fri Jan 05 2024 - 04:45:09 EST\n", ""), base=None)
    assert (record["base"], record["date"]) == ("v6.11", None)
    assert record["base_note"] == "base v6.11: the newest that the patch fits (v4.4, v6.7, v6.11); it bears no date"


def test_a_base_that_does_not_fit() -> None:
    message = refused(NAME, "--base", "6.16")
    assert message.startswith(f"{NAME}:45:1: this hunk does not fit 6.16: ")
    assert "(fitting: v4.4, v6.7, v6.11; or give the C file as base)" in message


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((NAME, "--base", "slotflag"), "mtcalc review: --base: unknown rule set 'slotflag' (did you mean slot-flag?"),
        ((NAME, "--base", "nowhere.c"), "mtcalc: nowhere.c: no such file "),
        (("nowhere.patch",), "mtcalc: nowhere.patch: no such file "),
        ((), "mtcalc review: missing argument 'PATCH...'"),
        (("golden/vfio.yaml",), "golden/vfio.yaml:1:1: no patch found "),
    ],
)
def test_what_is_wrong(args: tuple[str, ...], message: str) -> None:
    assert refused(*args).startswith(message)


def test_hunks_elsewhere_are_listed() -> None:
    text = inserted("kvm_own(vcpu)", "0") + diff("#define A 1\n", "#define A 2\n", "include/uapi/linux/kvm.h")
    record = reviewed(text)
    assert record["left_aside"] == ["include/uapi/linux/kvm.h: line 1"]
    plain = quick("review", "-", "--base", "v6.7", stdin=text).out
    assert "left aside (not vmx_get_mt_mask)\n  include/uapi/linux/kvm.h: line 1\n" in plain
