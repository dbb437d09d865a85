# SPDX-License-Identifier: GPL-2.0-only
"""Patches of the host-MMIO test, on built-in bases, on C files and in git trees."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from mtcalc.csource.mmio import mmio_test_of
from mtcalc.csource.mmio_writer import mmio_texts as written
from mtcalc.kvm.history import MMIO_TESTS, MMIO_TESTS_MAINLINE
from mtcalc.kvm.host_mmio import Backing
from mtcalc.kvm.release import newest
from mtcalc.patches.apply import rules_from_patch
from mtcalc.patches.read import read_patches
from mtcalc.patches.result import CFile, NothingTouchedError, PatchedRules
from mtcalc.refs.resolve import resolve
from mtcalc.rules.mmio import MMIO_RULES, is_host_mmio
from mtcalc.rules.rule import RuleSet
from mtcalc.x86.memtype import PAT_TYPES
from support import models
from support.patches import c_file, diff, kernel, mail
from support.program import quick
from support.trees import VMX, TestTree, function_of, in_file, makefile, needs_git

SPTE = "arch/x86/kvm/mmu/spte.c"
MMU = "arch/x86/kvm/mmu.c"
MAIN = "virt/kvm/kvm_main.c"

NO_DATE = ""

BEFORE = """\
/* A file of its own for tests. */
static u64 some_mask;

static u64 stand_in(unsigned int value)
{
\treturn value & some_mask;
}

"""
BEHIND = """
/* What is behind. */
bool next_stand_in(u64 value)
{
\tif (!value)
\t\treturn false;

\treturn value & some_mask;
}
"""

TYPE_ASKED = """\
\tif (pfn_valid(pfn))
\t\treturn !is_zero_pfn(pfn) && PageReserved(pfn_to_page(pfn)) &&
\t\t\t/*
\t\t\t * Some words on why.
\t\t\t */
\t\t\t(!pat_enabled() || pat_pfn_immune_to_uc_mtrr(pfn));

"""
RAM_ASKED = """\
\treturn !e820__mapped_raw_any(pfn_to_hpa(pfn),
\t\t\t\t     pfn_to_hpa(pfn + 1) - 1,
\t\t\t\t     E820_TYPE_RAM);
"""
KEPT = """\
}

static bool kvm_is_mmio_pfn(kvm_pfn_t pfn, int *is_host_mmio)
{
\t/* Asked once. */
\tif (*is_host_mmio < 0)
\t\t*is_host_mmio = __kvm_is_mmio_pfn(pfn);

\treturn *is_host_mmio;
"""
PLAIN = "\tif (pfn_valid(pfn))\n\t\treturn PageReserved(pfn_to_page(pfn));\n\n\treturn true;\n"

ERAS: dict[str, tuple[str, str, str]] = {
    "3.0": (
        MAIN,
        "inline int kvm_is_mmio_pfn(pfn_t pfn)",
        "\tif (pfn_valid(pfn)) {\n\t\tstruct page *page = compound_head(pfn_to_page(pfn));\n"
        "\t\treturn PageReserved(page);\n\t}\n\n\treturn true;\n",
    ),
    "3.16": (MAIN, "bool kvm_is_mmio_pfn(pfn_t pfn)", PLAIN),
    "4.1": (MAIN, "bool kvm_is_reserved_pfn(pfn_t pfn)", PLAIN),
    "4.15": (MMU, "static bool kvm_is_mmio_pfn(kvm_pfn_t pfn)", PLAIN.replace("Page", "!is_zero_pfn(pfn) && Page", 1)),
    "5.1": (MMU, "static bool kvm_is_mmio_pfn(kvm_pfn_t pfn)", f"{TYPE_ASKED}\treturn true;\n"),
    "6.16": (SPTE, "static bool kvm_is_mmio_pfn(kvm_pfn_t pfn)", TYPE_ASKED + RAM_ASKED),
    "7.1": (SPTE, "static bool __kvm_is_mmio_pfn(kvm_pfn_t pfn)", TYPE_ASKED + RAM_ASKED + KEPT),
}
"""By the last release with it: the file, the function's head, its body; layout and comments as a kernel has them."""


def text_of(era: str) -> str:
    _, head, body = ERAS[era]
    return f"{BEFORE}{head}\n{{\n{body}}}\n{BEHIND}"


def patched(text: str, base: Any = None) -> PatchedRules:
    return rules_from_patch(read_patches(text, "x.mbox"), "x.mbox", base)


def verdicts(test: RuleSet) -> list[bool]:
    """What a test says of every host page."""
    pages = itertools.product(itertools.product((False, True), repeat=5), PAT_TYPES)
    return [
        is_host_mmio(test, Backing(page, held, zero, kind, ram), pat) for (page, held, zero, ram, pat), kind in pages
    ]


def by_model(era: str) -> list[bool]:
    """What the second model says of every host page."""
    release = {"3.0": "3.11", "3.16": "4.1", "6.16": "5.2", "7.1": "5.2"}.get(era, era)
    pages = itertools.product(itertools.product((False, True), repeat=5), PAT_TYPES)
    return [
        models.host_mmio(release, page, held, zero, ram, str(kind), pat) for (page, held, zero, ram, pat), kind in pages
    ]


def rows_of(text: str, *args: str) -> tuple[int, dict[str, Any]]:
    done = quick("review", "-", "-o", "json", *args, stdin=text)
    return done.status, json.loads(done.out)


@pytest.mark.parametrize("row", MMIO_TESTS, ids=lambda row: ".".join(map(str, row.since)))
def test_law_a_test_written_as_of_a_release_reads_back_equal(row: Any) -> None:
    for text in written(MMIO_RULES[row.what], row.since):
        found = mmio_test_of(text, "x.c", row.since)
        assert found is not None
        assert verdicts(found.rules) == verdicts(MMIO_RULES[row.what])


def test_every_row_has_its_month() -> None:
    assert list(MMIO_TESTS_MAINLINE) == [row.since for row in MMIO_TESTS]
    assert list(MMIO_TESTS_MAINLINE.values()) == sorted(MMIO_TESTS_MAINLINE.values())


@pytest.mark.parametrize(
    ("old", "new", "base"),
    [
        (old, new, base)
        for (old, new), base in itertools.product(itertools.pairwise(ERAS), ("none", "named", "file"))
        if base != "file" or ERAS[old][0] == ERAS[new][0]
    ],
)
def test_law_each_change_of_a_release_is_what_the_model_says(old: str, new: str, base: str) -> None:
    """The patch from one release's function to the next one's, in the layout of a kernel; moves and names too."""
    here, there = ERAS[old][0], ERAS[new][0]
    if here == there:
        text = diff(text_of(old), text_of(new), there)
    else:
        gone = BEFORE + BEHIND
        text = diff(gone, BEFORE + text_of(new)[len(BEFORE) :], there)
        if ERAS[old][1].find("reserved") < 0:  # that one stays, for other uses
            text += diff(text_of(old), gone, here)
    below = {"none": None, "named": resolve(old), "file": CFile(text_of(old), here)}[base]
    found = patched(mail(text, date=NO_DATE), below)
    assert found.before.mmio_said
    assert found.after.mmio_said
    assert found.test_followed
    assert verdicts(found.before.mmio_test) == by_model(old)
    assert verdicts(found.after.mmio_test) == by_model(new)
    assert found.after.rules.rules == found.before.rules.rules
    assert [item for item in found.left_aside if "pfn" in item] == []


@pytest.mark.parametrize("era", ["4.15", "5.1", "6.16", "7.1"])
def test_what_changes_is_rows_and_counts(era: str) -> None:
    """An exempt zero page no longer, on the release that the statements tell; the text, the status, the records."""
    path = ERAS[era][0]
    text = mail(diff(text_of(era), text_of(era).replace("!is_zero_pfn(pfn) && ", ""), path), date=NO_DATE)
    status, found = rows_of(text)
    assert (status, found["changed"], found["rows"], found["beside"], found["left_aside"]) == (1, 0, [], [], [])
    assert found["mmio_rows"] == found["patches"][0]["mmio_rows"] != []
    assert found["patches"][0]["touches"] is True
    assert all(row["inputs"]["zero_page"] is True and row["after"] == {"mmio": True} for row in found["mmio_rows"])
    shown = quick("review", "-", stdin=text)
    assert shown.status == 1
    assert "not MMIO -> MMIO  struct_page and zero_page" in shown.out
    assert "taken as before" not in shown.out
    assert "host pages become or stop being MMIO" in found["patches"][0]["text"]


@pytest.mark.parametrize(
    ("day", "release"),
    [
        ("Mon, 2 May 2016 10:00:00 +0000", "4.16"),  # before all: the oldest that it fits
        ("Mon, 7 May 2018 10:00:00 +0000", "4.16"),
        ("Tue, 2 Jun 2020 10:00:00 +0000", "5.2"),
        ("Tue, 2 Jan 2024 10:00:00 +0000", "6.7"),
        ("Tue, 2 Sep 2025 10:00:00 +0000", "6.16"),
        (NO_DATE, "6.16"),
    ],
)
def test_the_base_is_of_its_time(day: str, release: str) -> None:
    """Of the releases whose test a patch fits: the hunk is one that 4.16 and 5.2 have alike."""
    old = "static bool kvm_is_mmio_pfn(kvm_pfn_t pfn)\n{\n" + TYPE_ASKED
    new = old.replace("!is_zero_pfn(pfn) && ", "")
    found = patched(mail(diff(old, new, SPTE, context=1), date=day))
    assert found.before.ref == release
    assert found.choice_note is not None
    assert found.choice_note.startswith(f"base {release}: the ")
    assert "(since 4.16, since 5.2)" in found.choice_note


def test_a_base_that_is_named_and_does_not_fit_is_said() -> None:
    text = mail(diff(text_of("5.1"), text_of("5.1").replace("!is_zero_pfn(pfn) && ", ""), MMU), date=NO_DATE)
    done = quick("review", "-", "--base", "4.15", stdin=text)
    assert done.status == 0
    words = " ".join(done.out.split())
    assert "kvm_is_mmio_pfn() (the host-MMIO test), asked by name: its meaning is taken as before" in words
    why = (
        "its context and removed lines are not in kvm_is_mmio_pfn(); fitting: that of 4.16 to 5.1, that of 5.2 to 6.16"
    )
    assert f"the patch does not fit the host-MMIO test of 4.15: {why})" in words


def test_a_function_under_a_name_of_another_time() -> None:
    """kvm_is_reserved_pfn() is the test from 3.18 to 4.1; later it stays, for other uses."""
    text = diff(text_of("4.1"), text_of("4.1").replace("return true", "return false"), MAIN)
    for day, is_test in (("Mon, 2 Mar 2015 10:00:00 +0000", True), ("Mon, 4 Nov 2019 10:00:00 +0000", False)):
        if is_test:
            assert patched(mail(text, date=day)).before.ref == "3.18"
        else:
            with pytest.raises(NothingTouchedError):
                patched(mail(text, date=day))
    with pytest.raises(NothingTouchedError):
        patched(mail(text, date=NO_DATE))
    assert patched(mail(text, date=NO_DATE), resolve("4.0")).test_followed


@pytest.mark.parametrize("era", ["4.15", "6.16", "7.1"])
def test_what_leaves_the_test_alone_touches_nothing(era: str) -> None:
    """Behind it, where git's @@ line names it; in another function; a call of it."""
    text = text_of(era)
    for old, new in (("return value & some_mask;\n}\n", "return value;\n}\n"), ("!value", "value == 0")):
        at = text.rindex(old)
        with pytest.raises(NothingTouchedError) as caught:
            patched(mail(diff(text, text[:at] + new + text[at + len(old) :], ERAS[era][0])))
        assert caught.value.asked == ()


def test_a_condition_that_only_the_patch_knows() -> None:
    """As proposed in 2026: the host's MTRRs asked in place of its PAT."""
    new = text_of("7.1").replace("(!pat_enabled() || pat_pfn_immune_to_uc_mtrr(pfn))", "kvm_host_mtrr_is_uc(pfn)")
    status, found = rows_of(mail(diff(text_of("7.1"), new, SPTE)))
    assert status == 1
    assumed = [row["inputs"]["assume"] for row in found["mmio_rows"]]
    assert {"kvm_host_mtrr_is_uc(pfn)": True} in assumed
    assert {"kvm_host_mtrr_is_uc(pfn)": False} in assumed


def test_the_host_s_mtrrs_asked_by_the_kernel_s_own_function() -> None:
    """mtrr_type_lookup() sets `uniform`, which is what it says of it, and writes nothing else."""
    asked = "mtrr_type_lookup(pfn_to_hpa(pfn), pfn_to_hpa(pfn + 1), &uniform)"
    for used in ("", " || !uniform"):
        tested = f"({asked} == MTRR_TYPE_UNCACHABLE{used})"
        new = text_of("6.16").replace("(!pat_enabled() || pat_pfn_immune_to_uc_mtrr(pfn))", tested)
        new = new.replace("\tif (pfn_valid", "\tu8 uniform;\n\n\tif (pfn_valid")
        status, found = rows_of(mail(diff(text_of("6.16"), new, SPTE)))
        assert status == 1
        assumed = {text for row in found["mmio_rows"] for text in row["inputs"]["assume"]}
        assert assumed == ({asked, f"uniform of {asked}"} if used else {asked})  # UC is 0


def test_a_helper_of_another_file_is_followed() -> None:
    """What a header of the patch adds and the test calls."""
    new = text_of("7.1").replace("PageReserved(pfn_to_page(pfn)) &&", "kvm_is_odd(pfn) &&")
    header = "#define A 1\n"
    helper = "\nstatic inline bool kvm_is_odd(kvm_pfn_t pfn)\n{\n\treturn PageReserved(pfn_to_page(pfn));\n}\n"
    text = diff(text_of("7.1"), new, SPTE) + diff(header, header + helper, "arch/x86/kvm/mmu/spte.h")
    status, found = rows_of(mail(text))
    assert (status, found["mmio_rows"], found["patches"][0]["touches"]) == (0, [], True)


def test_code_that_is_not_understood_is_refused_at_its_line() -> None:
    new = text_of("7.1").replace("\tif (pfn_valid(pfn))\n", "\twhile (pfn)\n\t\t;\n\tif (pfn_valid(pfn))\n")
    done = quick("review", "-", stdin=mail(diff(text_of("7.1"), new, SPTE)))
    assert (done.status, done.out) == (2, "")
    assert "after the patch: while is not understood here" in done.err
    assert "-:" in done.err


def two(context: int = 3) -> tuple[str, str]:
    """A patch of the test and one of the rules."""
    test = diff(text_of("6.16"), text_of("6.16").replace("!is_zero_pfn(pfn) && ", ""), SPTE, context)
    old = c_file(function_of("v6.7"))
    return test, diff(old, old.replace("if (is_mmio)", "if (is_mmio && !gfn)"), context=context)


def test_a_series_of_both() -> None:
    """Each patch has what it changes, and the whole has both, on one base."""
    test, rules = two()
    day = "Tue, 2 Jan 2024 10:00:00 +0100"
    text = mail(rules, "[PATCH 1/2] rules", day) + mail(test, "[PATCH 2/2] test", day)
    for args in ((), ("--base", "6.8")):
        status, found = rows_of(text, *args)
        first, second = found["patches"]
        assert status == 1
        assert [bool(rows) for one in (first, second) for rows in (one["rows"], one["mmio_rows"])] == [
            True,
            False,
            False,
            True,
        ]
        assert (found["rows"], found["mmio_rows"]) == (first["rows"], second["mmio_rows"])
        assert found["left_aside"] == []


def test_a_test_that_is_not_followed_leaves_the_rules() -> None:
    """It is said, with the reason, beside the rows of the rules."""
    test, rules = two()
    other = test.replace("PageReserved", "PageOdd")
    status, found = rows_of(mail(rules + other))
    assert status == 1
    assert (bool(found["rows"]), found["mmio_rows"]) == (True, [])
    said = [note for note in found["notes"] if "kvm_is_mmio_pfn() (the host-MMIO test)" in note]
    assert len(said) == 1
    assert "taken as before (the patch does not fit the host-MMIO test of any release" in said[0]


def test_on_a_file_with_the_rules_alone(tmp_path: Path) -> None:
    """Its test is elsewhere: a release's with these rules, or that of --kernel."""
    path = tmp_path / "vmx.c"
    path.write_text(c_file(function_of("v6.7")))
    test, rules = two()
    for text, args in itertools.product((mail(test), mail(rules + test)), ((), ("--kernel", "6.8"))):
        status, found = rows_of(text, "--base", str(path), *args)
        assert status == 1
        assert found["mmio_rows"]
        assert bool(found["rows"]) is (rules in text)
        assert found["left_aside"] == []


def test_on_a_file_with_the_test_alone(tmp_path: Path) -> None:
    """The rules are the release's whose test it is; a patch that changes them too wants the other file."""
    path = tmp_path / "spte.c"
    path.write_text(text_of("6.16"))
    test, rules = two()
    status, found = rows_of(mail(test), "--base", str(path))
    assert (status, found["rows"]) == (1, [])
    assert found["mmio_rows"]
    assert any("spte.c has no vmx_get_mt_mask(): the rules are those of 6.16" in note for note in found["notes"])
    refused = quick("review", "-", "--base", str(path), stdin=mail(test + rules))
    assert (refused.status, refused.out) == (2, "")
    assert "the patch changes vmx_get_mt_mask() too, which is not in" in refused.err
    other = quick("review", "-", "--base", str(path), stdin=mail(test.replace("PageReserved", "PageOdd")))
    assert (other.status, other.out) == (2, "")
    assert "does not fit" in other.err


@needs_git
def test_on_a_git_tree(tmp_path: Path) -> None:
    """On a revision, and on the file that an index line names."""
    tree = TestTree(tmp_path / "linux")
    files = {"Makefile": makefile("6.8"), SPTE: text_of("6.16"), VMX: in_file(function_of("v6.7"))}
    tree.commit("6.8", files)
    new = {SPTE: text_of("6.16").replace("!is_zero_pfn(pfn) && ", "")}
    tree.commit("changed", new)
    text = tree.git("format-patch", "--stdout", "-1", "HEAD") + "\n"
    at = str(tree.folder)
    for args in (("--base", "git:HEAD~1", "--git", at), ("--git", at)):
        status, found = rows_of(text, *args)
        assert status == 1
        assert found["mmio_rows"]
        assert "git" in found["base"]
    named = rows_of(text, "--git", at)[1]
    assert named["base_note"].endswith("the patch's index line names it")
    # Of two files the tree has one: the rules are not to be lost for the test's sake.
    both = rows_of(two()[1] + text[text.index("diff --git") :], "--git", at)[1]
    assert both["rows"] != []
    assert both["mmio_rows"] == named["mmio_rows"]
    committed = quick("review", "git:HEAD", "--git", at, "-o", "json")
    assert json.loads(committed.out)["mmio_rows"] == named["mmio_rows"]


def test_a_patch_as_a_rule_set_has_its_test() -> None:
    """-r and diff take it as review does."""
    text = mail(diff(text_of("7.1"), text_of("7.1").replace("!is_zero_pfn(pfn) && ", ""), SPTE), date=NO_DATE)
    done = quick("rules", "show", "-", "-o", "json", stdin=text)
    assert done.status == 0
    rules = json.loads(done.out)["mmio_test"]["rules"]
    assert all("zero_page" not in rule["when"] or rule["outcome"] for rule in rules if "outcome" in rule)
    compared = quick("diff", "latest", "-", "-o", "json", stdin=text)
    assert (compared.status, bool(json.loads(compared.out)["mmio_rows"])) == (1, True)
    assert newest()[:2] >= (7, 1)
    assert kernel("v6.16").mmio_said


HEAD_AND_TAIL = """\
bool kvm_is_mmio_pfn(pfn_t pfn)
{
\tif (pfn_valid(pfn)) {
\t\tint reserved;
\t\tstruct page *tail = pfn_to_page(pfn);
\t\tstruct page *head = compound_trans_head(tail);

\t\treserved = PageReserved(head);
\t\tif (head != tail) {
\t\t\t/* It may have been split by now. */
\t\t\tsmp_rmb();
\t\t\tif (PageTail(tail))
\t\t\t\treturn reserved;
\t\t}
\t\treturn PageReserved(tail);
\t}

\treturn true;
}
"""
OF_THE_FILE = "virt/kvm/kvm_main.c"


@pytest.mark.parametrize("plain", [False, True], ids=["git", "diff without -p"])
def test_a_test_that_asks_head_and_tail(plain: bool) -> None:
    """Of 2.6.38 or so to 3.12: followed as that of its releases, by gcc's reading of the C (csource/test_gcc.py)."""
    simple = HEAD_AND_TAIL[: HEAD_AND_TAIL.index("\t\tint")] + HEAD_AND_TAIL[HEAD_AND_TAIL.index("\t\treturn PageR") :]
    never = HEAD_AND_TAIL.replace("\treturn true;", "\treturn false;")
    for new, changed in (
        (simple.replace("(tail)", "(pfn_to_page(pfn))"), []),
        (never, [({"struct_page": False}, True, False)]),
        (
            HEAD_AND_TAIL.replace("return PageReserved(tail)", "return !is_zero_pfn(pfn) && PageReserved(tail)"),
            [
                (
                    {"struct_page": True, "zero_page": True, "assume": {"PageTail(pfn_to_page(pfn))": False}},
                    True,
                    False,
                ),
                (
                    {
                        "struct_page": True,
                        "zero_page": True,
                        "assume": {"compound_trans_head(pfn_to_page(pfn)) == pfn_to_page(pfn)": True},
                    },
                    True,
                    False,
                ),
            ],
        ),
    ):
        text = diff(HEAD_AND_TAIL, new, OF_THE_FILE, section=not plain)
        if plain:
            text = "\n".join(line for line in text.split("\n") if not line.startswith(("diff", "index")))
        for args in ((), ("--base", "3.10")):
            status, found = rows_of(text, *args)
            rows = [(row["inputs"], row["before"]["mmio"], row["after"]["mmio"]) for row in found["mmio_rows"]]
            assert (status, rows) == (bool(changed), changed)


def test_a_hunk_without_a_name_in_another_function_touches_nothing() -> None:
    text = "int a;\n\n\n\n\tif (!PageReserved(page))\n\t\tSetPageDirty(page);\n\n\n\n"
    status, found = rows_of(diff(text, text.replace("!Page", "Page"), OF_THE_FILE, section=False))
    assert (status, found["mmio_rows"]) == (0, [])
    assert found["text"].startswith("touches no rule: ")
