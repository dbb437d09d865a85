# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc review --terse: one line a finding, at a line that an editor can open, with a level that b4 can tell."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mtcalc.analysis.deciding import deciding_rule, plainest
from mtcalc.analysis.diff import diff
from mtcalc.analysis.questions import QUESTIONS
from mtcalc.analysis.review import review
from mtcalc.output.terse import LEVELS, Level, level_of
from mtcalc.patches.beside import ROWS
from mtcalc.refs.resolve import resolve
from mtcalc.rules.builtin import built_in_names
from mtcalc.rules.inputs import Facts, with_value
from mtcalc.rules.rule import decide
from support.patches import diff as unified
from support.patches import mail
from support.program import DATA, quick
from support.trees import VMX, function_of, in_file, linux, needs_git

PATCHES = DATA / "patches"
SERIES = "patches/series.mbox"
LINE = re.compile(
    r"(?P<file>[^:\n]+):(?P<line>[1-9]\d*): (?P<level>ERROR|WARNING|CHECK): (?P<text>.+) \[(?P<code>[a-z-]+)\]"
)


class Said(NamedTuple):
    file: str
    line: int
    level: str
    text: str
    code: str


def terse(*args: str, stdin: str = "", status: int = 1, cwd: Path = DATA) -> list[Said]:
    """The findings of a call that went well."""
    done = quick("review", "--terse", *args, stdin=stdin, cwd=cwd)
    assert (done.status, done.err) == (status, "")
    found = []
    for line in done.out.splitlines():
        match = LINE.fullmatch(line)
        assert match, line
        found.append(Said(match["file"], int(match["line"]), match["level"], match["text"], match["code"]))
    return found


def record(*args: str, stdin: str = "", cwd: Path = DATA) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(quick("review", *args, "-o", "json", stdin=stdin, cwd=cwd).out)
    return found


def told(question: dict[str, Any]) -> str:
    """A question's text without what most end with."""
    return str(question["text"]).removesuffix(": is that meant?")


def test_a_series() -> None:
    """The rows, each question and each thing beside the rules, in the order of the mailbox's lines that say it."""
    found, wanted = terse(SERIES), record(SERIES)
    patch = wanted["patches"][3]
    assert [one.line for one in found] == sorted(one.line for one in found)
    beside, rows, *asked = found
    assert (beside.code, rows.code) == ("beside-slot-flags", "rows")
    assert all(one.text.startswith(told(q)) for one, q in zip(asked, patch["questions"], strict=True))
    assert patch["text"].startswith(rows.text.partition(";")[0])
    assert rows.text.endswith(f"(base {wanted['base']}, of 3 that it fits)")
    assert max(len(f"{one.level}: {one.text} [{one.code}]") for one in found) <= 160
    lines = (DATA / SERIES).read_text().splitlines()
    assert {one.file for one in found} == {SERIES}
    assert " ".join(lines[rows.line - 1].split()) == "+ if (slot->flags & KVM_MEM_NON_COHERENT_DMA)"
    assert " ".join(lines[beside.line - 1].split()) == "+ valid_flags |= KVM_MEM_NON_COHERENT_DMA;"
    assert f"{wanted['beside'][0]['place']}" == f"{beside.file}:{beside.line}"


def test_standard_input_is_a_hyphen() -> None:
    text = (DATA / SERIES).read_text()
    of_file = terse(SERIES)
    assert terse("-", stdin=text) == [one._replace(file="-") for one in of_file]


def test_each_file_of_a_series_has_its_own_lines(tmp_path: Path) -> None:
    first = unified(in_file(function_of("v6.7")), in_file(function_of("v4.4")))
    second = unified(in_file(function_of("v4.4")), in_file(function_of("slot-flag")))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "1.patch").write_text(mail(first, "[PATCH 1/2] KVM: VMX: one"))
    (tmp_path / "d" / "2.patch").write_text(mail(second, "[PATCH 2/2] KVM: VMX: two"))
    found = terse("d", cwd=tmp_path)
    assert {one.file for one in found} == {"d/1.patch", "d/2.patch"}
    said = [(one.file, one.code) for one in found if one.code in ("rows", "series")]
    assert said[0] == ("d/1.patch", "rows")
    assert sorted(said[1:]) == [("d/2.patch", "rows"), ("d/2.patch", "series")]
    for one in found:
        text = (tmp_path / one.file).read_text().splitlines()[one.line - 1]
        assert text[:1] in "+-"
        assert text[:3] not in ("+++", "---")


@pytest.mark.parametrize("path", sorted(p for p in PATCHES.rglob("*") if p.is_file()), ids=lambda path: path.name)
def test_every_patch(path: Path) -> None:
    """The status is as without --terse; an error is one line, at the same place; a change is never without a line."""
    name = str(path.relative_to(DATA))
    plain, found = quick("review", name), quick("review", "--terse", name)
    assert found.status == plain.status
    if plain.status == 2:
        assert found.out == ""
        (line,) = found.err.splitlines()
        place = re.match(r".*?:\d+:\d+: ", plain.err)
        assert place
        assert line.startswith(f"{place[0]}ERROR: ")
        assert line.endswith(" [not-reviewed]")
        return
    said = terse(name, status=plain.status)
    assert bool({one.code for one in said} & {"rows", "host-mmio", "series"}) == bool(plain.status)
    questions = [q for part in record(name)["patches"] for q in part["questions"]]
    texts = [one.text for one in said]
    assert all(any(text.startswith(told(q)) for text in texts) for q in questions)
    beside = record(name)["beside"]
    lines = sorted(int(one["place"].rpartition(":")[2]) for one in beside)
    assert [one.line for one in said if one.code.startswith(("beside-", "not-followed"))] == lines
    assert [one.line for one in said] == sorted(one.line for one in said)


def test_what_is_true_on_the_way_alone() -> None:
    """A question of a patch that the whole no longer raises is marked; what patches come to together has its line."""
    plain = function_of("v6.7")
    cached = plain.replace("MTRR_TYPE_UNCACHABLE <<", "MTRR_TYPE_WRBACK <<", 1)
    assert plain != cached
    mails = [
        mail(unified(in_file(plain), in_file(cached)), "[PATCH 1/2] KVM: VMX: one"),
        mail(unified(in_file(cached), in_file(plain)), "[PATCH 2/2] KVM: VMX: two"),
    ]
    found = terse("-", "--base", "v6.7", stdin="".join(mails), status=0)
    marked = [one for one in found if "is the tree right between the patches?" in one.text]
    assert marked
    assert {one.line for one in marked} == {found[0].line}
    (series,) = (one for one in found if one.code == "series")
    assert series.text.startswith("all patches together: none of ")


def test_what_changes_nothing_says_nothing() -> None:
    assert terse("patches/bad/other-file.txt", status=0) == []


def test_one_form_of_output() -> None:
    for args in (("-o", "json"), ("-o", "plain"), ("--expand",)):
        done = quick("review", "--terse", SERIES, *args)
        assert (done.status, done.out) == (2, "")
        assert done.err.startswith(f"mtcalc review: --terse with {' '.join(args)} (")
    given = quick("review", "--terse", SERIES, env={"MTCALC_OUTPUT": "json"})
    assert given.out == quick("review", "--terse", SERIES).out


def test_an_earlier_version() -> None:
    text = (DATA / SERIES).read_text()
    assert terse("-", "--against", SERIES, stdin=text) == terse("-", stdin=text)
    other = mail(unified(in_file(function_of("v6.7")), in_file(function_of("v4.4"))))
    found = terse("-", "--against", SERIES, "--base", "v6.7", stdin=other)
    (one,) = (one for one in found if one.code == "against")
    changed = record("-", "--against", SERIES, "--base", "v6.7", stdin=other)["against"]["changed"]
    assert changed
    assert one.text.startswith(f"against {SERIES}: {changed} of ")
    assert one.level == "CHECK"


@needs_git
def test_commits_are_at_lines_of_their_files(tmp_path: Path) -> None:
    """An editor in the tree opens them: the file as the commit has it, from the top of the tree."""
    tree = linux(tmp_path)
    new = in_file(function_of("v6.16").replace("\treturn (MTRR_TYPE_WRBACK", "\treturn (MTRR_TYPE_WRTHROUGH", 1))
    tree.commit("KVM: VMX: through", {VMX: "/* above */\n" + new})
    (rows, *rest) = terse("git:HEAD", cwd=tmp_path)
    assert (rows.file, rows.code) == (VMX, "rows")
    assert "MTRR_TYPE_WRTHROUGH" in (tmp_path / VMX).read_text().splitlines()[rows.line - 1]
    assert {one.file for one in rest} <= {VMX}
    assert terse("git:HEAD~1", status=0, cwd=tmp_path) == []
    of_range = terse("git:v6.7..HEAD", cwd=tmp_path)
    ids = [tree.git("rev-parse", "--short=12", rev) for rev in ("v6.11-rc1", "v6.11", "v6.16", "HEAD")]
    assert [one.text.split(": ")[0] for one in of_range if one.code == "rows"] == ids
    for one, rev in zip((o for o in of_range if o.code == "rows"), ids, strict=True):
        diffs = tree.git("show", "--format=", "-U0", rev, "--", VMX)
        starts = [int(found[1]) for found in re.finditer(r"^@@ \S+ \+(\d+)", diffs, re.M)]
        assert min(starts) <= one.line <= max(starts) + 8


def test_every_code_has_a_level_and_a_reason() -> None:
    """Questions of every change between two rule sets, and what stands beside the rules."""
    kernels = [resolve(name) for name in built_in_names()]
    pairs = [pair for two in itertools.pairwise(kernels) for pair in (two, two[::-1])]
    asked = {remark.code for old, new in pairs for remark in review(diff(old, new), ("x",))}
    for path in PATCHES.rglob("*"):
        asked |= {one.code for one in terse_of(path)}
    assert len(asked) > 8
    assert asked <= LEVELS.keys() | QUESTIONS.keys()
    assert not LEVELS.keys() & QUESTIONS.keys()
    assert {f"beside-{row.kind}" for row in ROWS} <= LEVELS.keys()
    assert all(row.why for row in LEVELS.values())
    assert level_of("odd-byte") is level_of("mmio-cacheable") is level_of("not-reviewed") is Level.ERROR
    assert level_of("rows") is level_of("pat-honoured") is Level.WARNING
    assert level_of("series") is level_of("input-stops") is Level.CHECK


def terse_of(path: Path) -> list[Said]:
    done = quick("review", "--terse", str(path)) if path.is_file() else None
    if done is None or done.status == 2:
        return []
    return terse(str(path), status=done.status)


def test_the_plainest_change_and_the_rule_that_decides_it() -> None:
    """Against every change, and the rules themselves asked."""
    found = diff(resolve("v6.7"), resolve("slot-flag"))
    shown = plainest(found)
    assert shown is not None
    plain = Facts()

    def odd(values: tuple[Any, ...]) -> int:
        facts = Facts()
        for item, value in zip(found.inputs, values, strict=True):
            facts = with_value(facts, item, value)
        return sum(a != b for a, b in zip(facts, plain, strict=True))

    assert odd(shown.values) == min(odd(change.values) for change in found.changes)
    for change in found.changes:
        facts = Facts()
        for item, value in zip(found.inputs, change.values, strict=True):
            facts = with_value(facts, item, value)
        assert deciding_rule(found, change) == decide(found.after.rules, facts)[0]
        assert decide(found.after.rules, facts)[1] == change.after
    assert plainest(diff(resolve("v6.7"), resolve("v6.7"))) is None


def test_a_question_that_a_line_shows(tmp_path: Path) -> None:
    """It stands at that line, and where no rule is touched too; of a commit in the file of the tree."""
    capability, header = "#define KVM_CAP_OWN 236", "include/uapi/linux/kvm.h"
    hunk = f"@@ -100,2 +100,3 @@ struct kvm_enable_cap {{\n \tone;\n+{capability}\n \ttwo;\n"
    text = mail(f"diff --git a/{header} b/{header}\n--- a/{header}\n+++ b/{header}\n{hunk}")
    (asked,) = terse("-", stdin=text, status=0)
    assert (asked.code, asked.level) == ("uapi-number", "WARNING")
    assert text.splitlines()[asked.line - 1] == f"+{capability}"
    tree = linux(tmp_path)
    tree.commit("before", {header: "/* numbers */\n"})
    tree.commit("a number", {header: f"/* numbers */\n{capability}\n"})
    for rev in ("git:HEAD", "git:HEAD~2..HEAD"):
        (asked,) = terse(rev, status=0, cwd=tmp_path)
        assert (asked.file, asked.line, asked.code) == (header, 2, "uapi-number")


def test_what_a_commit_changes_beside_stands_in_the_file_of_the_tree(tmp_path: Path) -> None:
    """Of one commit, and of several of which another is the last; an editor opens no file of a commit."""
    tree, header = linux(tmp_path), "arch/x86/include/asm/kvm_host.h"
    tree.commit("before", {header: "/* masks */\n"})
    tree.commit("a mask", {header: "/* masks */\n#define KVM_X86_VALID_QUIRKS (KVM_X86_QUIRK_OWN)\n"})
    tree.commit("words", {"a.rst": "words"})
    for rev in ("git:HEAD~1", "git:HEAD~3..HEAD"):
        (said,) = terse(rev, status=0, cwd=tmp_path)
        assert (said.file, said.line, said.code) == (header, 2, "beside-quirks")
