# SPDX-License-Identifier: GPL-2.0-only
"""Damaged mails: an answer or a clean error, and no answer that the damage made wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtcalc.csource.tokens import texts, tokens
from mtcalc.csource.writer import Style, texts_of_its_time, write_c
from mtcalc.patches.apply import rules_from_patch
from mtcalc.patches.read import read_patches
from mtcalc.patches.result import CFile, PatchedRules
from mtcalc.rules.kernel import Kernel
from mtcalc.text.errors import InputError
from support.patches import blanks_eaten, c_file, diff, kernel, mail, quoted, quoted_printable, same_bytes

SEED = (Path(__file__).parent.parent / "data" / "patches" / "noncoherent-dma-slot-flag-3of4.patch").read_text()


def change(old: str, new: str, style: Style) -> str:
    return mail(diff(c_file(write_c(kernel(old).rules, style)), c_file(write_c(kernel(new).rules, style))))


# (mail, rule set before it, rule set after it)
CASES = (
    (SEED, "v6.7", "slot-flag"),
    (quoted(SEED), "v6.7", "slot-flag"),
    (change("v4.4", "v6.7", Style.RETURN), "v4.4", "v6.7"),
    (change("v4.2", "v4.3", Style.GOTO), "v4.2", "v4.3"),
    (change("v3.13", "v4.3", Style.IF_ELSE), "v3.13", "v4.3"),
    (blanks_eaten(change("v6.7", "v6.11", Style.RETURN)), "v6.7", "v6.11"),
    (quoted_printable(change("v6.11-rc1", "v6.11", Style.RETURN)), "v6.11-rc1", "v6.11"),
)
HUNK = re.compile(r"(?:> ?)?@@ -")


def outcome(text: str, base: Kernel | CFile | None) -> PatchedRules | None:
    """The rules, or None for a clean error."""
    try:
        return rules_from_patch(read_patches(text, "m.patch"), "m.patch", base)
    except InputError as error:
        found = error
    assert found.place is not None
    assert re.search(r"\(.*\)$", found.message, re.S)
    return None


def bases(name: str) -> tuple[Kernel | CFile | None, ...]:
    return (None, kernel(name), CFile(c_file(write_c(kernel(name).rules, Style.RETURN)), "vmx.c"))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CASES), st.data())
def test_truncated(case: tuple[str, str, str], data: st.DataObject) -> None:
    """A mail cut off anywhere is refused or, where only its tail is lost, means what it meant."""
    text, old, new = case
    end = data.draw(st.integers(0, len(text)))
    start = data.draw(st.sampled_from((0, 0, end // 3)))
    result = outcome(text[start:end], kernel(old))
    assert result is None or same_bytes(result.after.rules, kernel(new).rules)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CASES), st.data())
def test_mutated_anywhere(case: tuple[str, str, str], data: st.DataObject) -> None:
    """Whatever is done to a mail, the answer is rules or an InputError."""
    text, old, _ = case
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        length = data.draw(st.sampled_from((0, 1, 1, 5, 40)))
        put = data.draw(
            st.sampled_from(
                (
                    "",
                    " ",
                    "\n",
                    "+",
                    "-",
                    "{",
                    "}",
                    "(",
                    "/*",
                    "*/",
                    "\r",
                    "\0",
                    "@@ -1 +1 @@",
                    "=",
                    "> ",
                    '"',
                    "\ufeff",
                    "exit:",
                )
            )
        )
        text = text[:at] + put + text[at + length :]
    for base in bases(old):
        outcome(text, base)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.sampled_from("+-@ ,17\n>\tab/{}();*=:\r"), max_size=200))
def test_arbitrary_hunks(body: str) -> None:
    text = f"diff --git a/vmx.c b/vmx.c\n--- a/vmx.c\n+++ b/vmx.c\n@@ -1,2 +1,2 @@\n{body}"
    for base in bases("v6.7"):
        outcome(text, base)


def hunk_lines(text: str) -> list[int]:
    """The indices of the lines of a mail that lie in its hunks."""
    lines = text.split("\n")
    first = next(n for n, line in enumerate(lines) if HUNK.match(line))
    last = max((n for n, line in enumerate(lines) if re.fullmatch(r"(?:> ?)?--(?:=20| )?", line)), default=len(lines))
    return [n for n in range(first + 1, last) if not HUNK.match(lines[n])]


PLAIN = [case for case in CASES if "quoted-printable" not in case[0]]
# Each line of a hunk that is context or removed, and is a statement of the function or part of one.
STATEMENTS = [
    (number, line)
    for number, (text, _, _) in enumerate(PLAIN)
    for line in hunk_lines(text)
    if re.search(r"return|if \(|goto|cache =|ipat =|ret =|else", text.split("\n")[line])
    and not re.match(r"(?:> ?)?\+", text.split("\n")[line])
]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(STATEMENTS), st.data())
def test_changed_statements_do_not_apply(where: tuple[int, int], data: st.DataObject) -> None:
    """A hunk whose context or removed lines are not those of the rule set is refused, on any base that is named."""
    number, line = where
    text, old, _ = PLAIN[number]
    lines = text.split("\n")
    was = lines[line]
    words = [match.span() for match in re.finditer(r"\w+|<<|[!|&=(){};]", was)]
    start, end = data.draw(st.sampled_from(words))
    how = data.draw(st.sampled_from(("drop", "double", "letter", "other", "bang")))
    word = was[start:end]
    put = {
        "drop": "",
        "double": f"{word} {word}",
        "letter": f"{word}x",
        "other": "MTRR_TYPE_WRCOMB",
        "bang": f"!{word}",
    }[how]
    lines[line] = was[:start] + put + was[end:]
    if texts(tokens([(lines[line].lstrip("> -"), None)])) == texts(tokens([(was.lstrip("> -"), None)])):
        return
    written = CFile(c_file(write_c(kernel(old).rules, Style.RETURN)), "vmx.c")
    for base in (kernel(old), written):
        assert outcome("\n".join(lines), base) is None, (was, lines[line])


@pytest.mark.parametrize("number", range(len(PLAIN)))
def test_lost_doubled_and_turned_lines(number: int) -> None:
    """Counts hold a hunk together: a line lost, doubled or with another sign is refused, or changes nothing."""
    text, old, new = PLAIN[number]
    lines = text.split("\n")
    for line in hunk_lines(text):
        quote = re.match(r"(?:> ?)?", lines[line])
        assert quote is not None
        mark, rest = quote.group(), lines[line][quote.end() :]
        changes = [lines[:line] + lines[line + 1 :], lines[: line + 1] + lines[line:]]
        signs = [sign for sign in "+- " if sign != rest[:1]] if rest[:1] in ("+", "-") else ["+", "-"]
        changes += [[*lines[:line], f"{mark}{sign}{rest[1:]}", *lines[line + 1 :]] for sign in signs]
        for changed in changes:
            result = outcome("\n".join(changed), kernel(old))
            assert result is None or same_bytes(result.after.rules, kernel(new).rules), changed[line]


@pytest.mark.parametrize("number", range(len(PLAIN)))
def test_wrong_counts(number: int) -> None:
    text, old, new = PLAIN[number]
    header = re.search(r"@@ -(\d+),(\d+) \+(\d+),(\d+) @@", text)
    assert header is not None
    for more_old in range(-3, 4):
        for more_new in range(-3, 4):
            counts = f"@@ -{header[1]},{int(header[2]) + more_old} +{header[3]},{int(header[4]) + more_new} @@"
            result = outcome(text.replace(header.group(), counts), kernel(old))
            assert result is None or same_bytes(result.after.rules, kernel(new).rules), counts
            if more_old != more_new:
                assert result is None, counts


CHANGE = mail(
    diff(c_file(texts_of_its_time(kernel("v6.11").rules)[0]), c_file(texts_of_its_time(kernel("v6.16").rules)[0]))
)
COUNTED = {"seed": SEED, "change": CHANGE, "eaten": blanks_eaten(CHANGE)}


def message(text: str) -> str:
    try:
        rules_from_patch(read_patches(text, "m.patch"), "m.patch")
    except InputError as error:
        return error.message
    return ""


@pytest.mark.parametrize("name", COUNTED)
def test_wrong_counts_are_told_as_such(name: str) -> None:
    """Not as a patch that fits no rule set: archives that eat blanks, and quoting, hide nothing."""
    text = COUNTED[name]
    assert message(text) == ""
    for header in re.finditer(r"@@ -(\d+),(\d+) \+(\d+),(\d+) @@", text):
        for more_old in range(-3, 4):
            for more_new in range(-3, 4):
                counts = f"@@ -{header[1]},{int(header[2]) + more_old} +{header[3]},{int(header[4]) + more_new} @@"
                wrong = text.replace(header.group(), counts)
                told = message(wrong)
                # Blank context at the hunk's end may be lost: nobody can tell.
                lost = more_old == more_new <= 0
                assert told or lost, counts
                assert re.match(r"the hunk|blanks were eaten, and lines with|$", told), (counts, told)
                for mark in ("> ", ">"):
                    in_reply = message(quoted(wrong, mark))
                    assert in_reply == told or (lost and not in_reply), (counts, mark)
                bare = "".join(f">{line}\n" for line in wrong.splitlines())
                assert message(bare) == told, counts
