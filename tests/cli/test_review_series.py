# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc review of a series: patch by patch and in all, from a mailbox, files, a directory, against an earlier one."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mtcalc.csource.mmio_writer import mmio_texts
from mtcalc.csource.writer import Style, write_c
from mtcalc.kvm.versions import MmioTest
from mtcalc.rules.mmio import MMIO_RULES
from support.patches import VMX, c_file, diff, kernel, mail
from support.program import DATA, Run, quick

SEED = (DATA / "patches" / "noncoherent-dma-slot-flag-3of4.patch").read_text()

EARLY = write_c(kernel("v6.7").rules, Style.RETURN)
SECOND = "\tif (!kvm_arch_has_noncoherent_dma(vcpu->kvm))\n"
MMIO = "\t\treturn MTRR_TYPE_UNCACHABLE << VMX_EPT_MT_EPTE_SHIFT;\n"


def with_flag(text: str, name: str = "KVM_MEM_NON_COHERENT_DMA") -> str:
    rule = f"\tif (slot->flags & {name})\n\t\treturn MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT;\n\n"
    return text.replace(SECOND, rule + SECOND, 1)


CACHED = EARLY.replace(MMIO, MMIO.replace("UNCACHABLE", "WRBACK"), 1)
"""Host MMIO cached: what no series should do on the way."""

FLAGS = f"""\
diff --git a/virt/kvm/kvm_main.c b/virt/kvm/kvm_main.c
--- a/virt/kvm/kvm_main.c
+++ b/virt/kvm/kvm_main.c
@@ -1600,3 +1600,4 @@ static int check_memory_region_flags(struct kvm *kvm,
 #endif
{" "}
+\tvalid_flags |= KVM_MEM_NON_COHERENT_DMA;
 \tif (mem->flags & ~valid_flags)
"""
COVER = mail("", "[PATCH 0/4] KVM: what the series is for")


def between(old: str, new: str, subject: str) -> str:
    return mail(diff(c_file(old), c_file(new)), subject)


FOUNDING = [
    COVER,
    mail(FLAGS, "[PATCH 1/4] KVM: a new flag of slots"),
    mail(diff("int a;\n", "int b;\n", "arch/x86/kvm/svm/svm.c"), "[PATCH 2/4] KVM: SVM: a parameter"),
    mail(SEED[SEED.index("diff --git") :], "[PATCH 3/4] KVM: VMX: honour the guest's PAT"),
    mail(diff("int a;\n", "int b;\n", "tools/testing/selftests/kvm/x.c"), "[PATCH 4/4] KVM: selftests: try it"),
]
TWO = [
    between(EARLY, CACHED, "[PATCH 1/2] KVM: VMX: first"),
    between(CACHED, with_flag(EARLY), "[PATCH 2/2] KVM: VMX: second"),
]


def record(done: Run, status: int = 1) -> dict[str, Any]:
    assert (done.status, done.err) == (status, "")
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_the_founding_series() -> None:
    """Patch 3 alone brings the rows; the others are a line each, and the flag's check is named."""
    found = record(quick("review", "-", "-o", "json", stdin="".join(FOUNDING)))
    assert [(patch["touches"], patch["changed"]) for patch in found["patches"]] == [
        (False, 0),
        (False, 0),
        (False, 0),
        (True, 33),
        (False, 0),
    ]
    whole = record(quick("diff", "v6.7", "slot-flag", "-o", "json"))
    assert found["rows"] == found["patches"][3]["rows"] == whole["rows"]
    assert found["questions"] == found["patches"][3]["questions"]
    assert [one["name"] for one in found["beside"]] == ["check_memory_region_flags()"]
    assert found["patches"][1]["beside"] == found["beside"]
    assert found["in_between"] == []
    text = quick("review", "-", stdin="".join(FOUNDING)).out
    lines = text.splitlines()
    assert lines[:5] == [
        "1/4   KVM: a new flag of slots: beside the rules, not followed:",
        "      check_memory_region_flags()",
        "2/4   KVM: SVM: a parameter: touches no rule",
        "3/4   KVM: VMX: honour the guest's PAT: rows 1 to 3",
        "4/4   KVM: selftests: try it: touches no rule",
    ]
    assert "which slots can have a flag, and so come to its rows: check_memory_region_flags()" in " ".join(text.split())
    assert text.count("33 of 160 reachable inputs change") == 1
    assert len(lines) <= 50  # a screen
    assert max(Counter(line for line in lines if line).values()) == 1
    assert "left aside" not in text  # that a patch touches no rule says so of its hunks
    assert max(map(len, lines)) <= 80


def test_several_files_and_a_directory_are_the_mailbox(tmp_path: Path) -> None:
    """In any order, as the patches are numbered; a cover letter is a file of its own."""
    (tmp_path / "d").mkdir()
    names = [f"d/{number:04}-x.patch" for number in range(5)]
    for name, text in zip(names, FOUNDING, strict=True):
        (tmp_path / name).write_text(text)
    (tmp_path / "d" / "notes").write_text("no patch")
    wanted = record(quick("review", "-", "-o", "json", stdin="".join(FOUNDING)))
    for words in (names, names[::-1], ["d"], [*names[:2], "-", names[4]]):
        stdin = "".join(FOUNDING[2:4])
        found = record(quick("review", *words, "-o", "json", stdin=stdin, cwd=tmp_path))
        for key in ("rows", "questions", "base", "changed"):
            assert found[key] == wanted[key]
        assert [patch["subject"] for patch in found["patches"]] == [patch["subject"] for patch in wanted["patches"]]


def test_each_patch_with_its_own_rows() -> None:
    """What holds on the way alone is asked about; the whole is the difference of the ends."""
    found = record(quick("review", "-", "-o", "json", stdin="".join(TWO)))
    first, second = found["patches"]
    assert [row["when"] for row in first["rows"]] == [{"is_mmio": True}]
    assert (first["changed"], second["changed"], found["changed"]) == (40, 113, 33)
    assert "mmio" in {question["kind"] for question in first["questions"]}
    assert {(one["patch"], one["kind"]) for one in found["in_between"]} == {("[PATCH 1/2] KVM: VMX: first", "mmio")}
    text = quick("review", "-", stdin="".join(TWO)).out
    at = [
        text.index(words)
        for words in ("\n1/2 KVM: VMX: first\n", "\n2/2 KVM: VMX: second\n", "\nall patches together\n")
    ]
    assert at == sorted(at)
    assert "true on the way alone" in text
    # The whole's rows stand above, at the patch that brings them, and are not shown again.
    assert text.startswith("1/2   KVM: VMX: first: no row that stays\n2/2   KVM: VMX: second: rows 1 to 3\n")
    assert [patch["brings"] for patch in found["patches"]] == [[], [1, 2, 3]]
    end = text[text.index("\nall patches together\n") :]
    assert "that is rows 1 to 3 of 2/2." in end
    assert "ROW INPUTS" not in end
    assert "around the rules" not in end
    assert "\n33    2/2:1 new condition, slot flag NON_COHERENT_DMA: " in end
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("base", ["v6.7", "vmx.c"])
def test_a_row_is_brought_by_one_patch(base: str, tmp_path: Path) -> None:
    """Three patches, each a rule more; changed inputs are those of the diff between neighbours."""
    (tmp_path / "vmx.c").write_text(c_file(EARLY))
    texts = [EARLY]
    for name in ("KVM_MEM_NON_COHERENT_DMA", "KVM_MEM_READONLY"):
        texts.append(with_flag(texts[-1], name))
    mails = [
        between(texts[0], texts[1], "[PATCH 1/3] KVM: VMX: a flag"),
        mail(diff("int a;\n", "int b;\n", VMX), "[PATCH 2/3] KVM: VMX: nothing"),
        between(texts[1], texts[2], "[PATCH 3/3] KVM: VMX: another"),
    ]
    if base == "vmx.c":
        mails[1] = mail(diff("int a;\n", "int b;\n", "virt/kvm/x.c"), "[PATCH 2/3] KVM: nothing")
    (tmp_path / "s.mbox").write_text("".join(mails))
    found = record(quick("review", "s.mbox", "--base", base, "-o", "json", cwd=tmp_path))
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.c").write_text(c_file(text))
    counts = []
    for old, new in (("0.c", "1.c"), ("1.c", "2.c")):
        counts.append(record(quick("diff", old, new, "-o", "json", cwd=tmp_path))["changed"])
    assert [patch["changed"] for patch in found["patches"]] == [counts[0], 0, counts[1]]
    assert [patch["touches"] for patch in found["patches"]] == [True, False, True]
    brings = [patch["brings"] for patch in found["patches"]]
    assert brings[1] == []
    assert sorted({*brings[0], *brings[2]}) == list(range(1, len(found["rows"]) + 1))
    assert all((brings[0], brings[2]))


def test_a_series_that_comes_to_nothing(tmp_path: Path) -> None:
    """A change and its revert: each is shown, on a C file and on a rule set."""
    (tmp_path / "vmx.c").write_text(c_file(EARLY))
    both = between(EARLY, CACHED, "[PATCH 1/2] one") + between(CACHED, EARLY, "[PATCH 2/2] back")
    for base in ("v6.7", "vmx.c"):
        found = record(quick("review", "-", "--base", base, "-o", "json", stdin=both, cwd=tmp_path), 0)
        assert [patch["changed"] for patch in found["patches"]] == [40, 40]
        assert found["changed"] == 0
        assert found["in_between"]


def going_back(found: Any) -> list[tuple[str, int]]:
    return [(one["text"], one["count"]) for one in found["questions"] if one["code"] == "goes-back"]


def test_what_goes_back_is_asked_of_the_patch_and_of_the_whole(tmp_path: Path) -> None:
    """40 states of host MMIO are cached between the two; what stays is not asked about."""
    (tmp_path / "vmx.c").write_text(c_file(EARLY))
    undone = between(EARLY, CACHED, "[PATCH 1/2] one") + between(CACHED, EARLY, "[PATCH 2/2] back")
    text = "what 1/2 changes goes back with 2/2: is the tree right between the two?"
    for words, stdin, status in (
        (("--base", "v6.7"), undone, 0),
        (("--base", "vmx.c"), undone, 0),
        ((), "".join(TWO), 1),
    ):
        found = record(quick("review", "-", *words, "-o", "json", stdin=stdin, cwd=tmp_path), status)
        assert going_back(found) == [(text, 40)]
        first, second = found["patches"]
        assert going_back(first) == [(text, 40)]
        assert going_back(second) == []
        (shown,) = [one for one in first["questions"] if one["code"] == "goes-back"]
        assert shown["example"]["inputs"]["is_mmio"] is True
        plain = " ".join(quick("review", "-", *words, stdin=stdin, cwd=tmp_path).out.split())
        assert plain.count(" ".join(text.split()).replace("between the two?", "")) == 1
        terse = quick("review", "--terse", "-", *words, stdin=stdin, cwd=tmp_path)
        (line,) = [line for line in terse.out.splitlines() if line.endswith("[goes-back]")]
        assert f" WARNING: {text} (40 of 40; PAT " in line
        assert terse.status == status
    for stdin in ("".join(FOUNDING), TWO[0]):
        assert going_back(record(quick("review", "-", "-o", "json", stdin=stdin))) == []


def test_the_patch_that_takes_back_is_the_first_that_does() -> None:
    """Three patches without numbers: the last gives the first its bytes back, and not the second its own."""
    other = EARLY.replace(MMIO, MMIO.replace("UNCACHABLE", "WRCOMB"), 1)
    texts = (EARLY, CACHED, other, EARLY)
    mails = [between(*pair, f"[PATCH] {at}") for at, pair in enumerate(pairwise(texts))]
    found = record(quick("review", "-", "--base", "v6.7", "-o", "json", stdin="".join(mails)), 0)
    assert going_back(found) == [
        ("what patch 1 changes goes back with patch 3: is the tree right between the two?", 40)
    ]


def test_host_pages_that_go_back() -> None:
    path = "arch/x86/kvm/mmu/spte.c"
    old = mmio_texts(MMIO_RULES[MmioTest.E820], (6, 6))[0] + "\n"
    new = old.replace("!is_zero_pfn(pfn) && ", "", 1)
    both = mail(diff(old, new, path), "[PATCH 1/2] one") + mail(diff(new, old, path), "[PATCH 2/2] back")
    found = record(quick("review", "-", "--base", "6.6", "-o", "json", stdin=both), 0)
    ((text, count),) = going_back(found)
    assert text == "host pages that 1/2 changes go back with 2/2: is the tree right between the two?"
    assert count > 0


def test_a_patch_that_cannot_be_read_alone() -> None:
    """What the first patch leaves is no code that is followed: the series is answered, and the first says why not."""
    bad = EARLY.replace("\tif (is_mmio)\n", "\twhile (is_mmio)\n", 1)
    text = between(EARLY, bad, "[PATCH 1/2] one") + between(bad, with_flag(EARLY), "[PATCH 2/2] two")
    found = record(quick("review", "-", "-o", "json", stdin=text))
    first, second = found["patches"]
    assert first["text"].startswith("not read: after the patch:")
    assert (first["touches"], first["changed"]) == (True, 0)
    assert second["changed"] == found["changed"] == 33


def test_against_an_earlier_version(tmp_path: Path) -> None:
    """What the new version does otherwise: nothing, where the sums are one; else the difference of the ends."""
    (tmp_path / "v1.mbox").write_text("".join(FOUNDING))
    (tmp_path / "v2.mbox").write_text("".join(TWO))
    (tmp_path / "v3.mbox").write_text(between(EARLY, with_flag(CACHED), "[PATCH v3] KVM: VMX: both"))
    (tmp_path / "v0.mbox").write_text(FOUNDING[1])
    same = record(quick("review", "v2.mbox", "--against", "v1.mbox", "-o", "json", cwd=tmp_path))
    assert (same["changed"], same["against"]["changed"], same["against"]["file"]) == (33, 0, "v1.mbox")
    other = record(quick("review", "v3.mbox", "--against", "v1.mbox", "-o", "json", cwd=tmp_path))
    assert other["against"]["changed"] == 80
    assert [row["when"] for row in other["against"]["rows"]] == [{"is_mmio": True}]
    none = record(quick("review", "v1.mbox", "--against", "v0.mbox", "-o", "json", cwd=tmp_path))
    assert none["against"]["changed"] == none["changed"] == 33
    gone = record(quick("review", "v0.mbox", "--against", "v1.mbox", "-o", "json", cwd=tmp_path), 0)
    assert (gone["changed"], gone["against"]["changed"]) == (0, 33)
    text = quick("review", "v3.mbox", "--against", "v1.mbox", cwd=tmp_path).out
    assert "\nagainst v1.mbox: what the new version does otherwise\n80 of 160 reachable inputs change" in text


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("empty",), "empty: a directory without a patch in it"),
        (("cover.patch", "cover.patch"), "cover.patch:1:1: cover letters alone (give the patches)"),
        (("one.patch", "prose.txt"), "prose.txt:1:1: no patch found "),
        (("one.patch", "one.patch", "--against", "nowhere.mbox"), "mtcalc: nowhere.mbox: no such file "),
        (("-", "-"), "mtcalc review: - twice (standard input is read once)"),
        (("one.patch", "git:HEAD"), "mtcalc review: git:REV beside other patches"),
        (("git:HEAD", "--against", "one.patch"), "mtcalc review: --against with git:HEAD"),
    ],
)
def test_what_is_wrong(words: tuple[str, ...], why: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "cover.patch").write_text(COVER)
    (tmp_path / "one.patch").write_text(FOUNDING[3])
    (tmp_path / "prose.txt").write_text("no patch\n")
    done = quick("review", *words, cwd=tmp_path, stdin="")
    assert (done.status, done.out) == (2, "")
    assert why in done.err
