# SPDX-License-Identifier: GPL-2.0-only
"""A review for tools: one line a finding, `FILE:LINE: LEVEL: text [code]`, as checkpatch --terse has them.

b4 reads such lines (read: b4 0.16.0, LoreMessage.run_local_check()): a line with `ERROR:` in it is a failure, any other
a warning, a leading `-:` is dropped; each line on standard error is a failure, so an error is one line too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from mtcalc.analysis.deciding import deciding_rule, plainest
from mtcalc.analysis.diff import Change, Diff, by_pat
from mtcalc.analysis.diff_words import sentence, when_text
from mtcalc.analysis.questions import QUESTIONS, Remark
from mtcalc.kvm import note_codes
from mtcalc.output.series import Earlier, Judged, in_between
from mtcalc.patches.known import listed_names
from mtcalc.patches.series import Part, Whole
from mtcalc.rules.kernel import kernel_notes
from mtcalc.rules.rule import Rule
from mtcalc.text.errors import InputError, Place, printable, shown
from mtcalc.x86.memtype import PAT_TYPES, MemType


class Level(Enum):
    """How much a finding matters, in checkpatch's words."""

    ERROR = "ERROR"
    WARNING = "WARNING"
    CHECK = "CHECK"


class Row(NamedTuple):
    """The level of a code's findings, and why it is that."""

    level: Level
    why: str


_ERROR, _WARNING, _CHECK = Level

LEVELS: dict[str, Row] = {
    # What a review says besides its questions.
    "not-reviewed": Row(_ERROR, "nothing was looked at: no patch, one that does not apply, C that is not read"),
    "rows": Row(_WARNING, "a guest gets another memory type: what the patch is for, or what nobody meant"),
    "host-mmio": Row(_WARNING, "other host pages are taken for MMIO, which decides before all else"),
    "series": Row(_CHECK, "the sum of patches that were each reported"),
    "not-alone": Row(_WARNING, "the tree after this patch can't be read, and a bisection may stop there"),
    "taken-as-before": Row(_WARNING, "the answer stands on the old meaning of a function that is changed"),
    "against": Row(_CHECK, "an earlier version did something else, which a new version may"),
    "patch": Row(_CHECK, "how the patch was read was an assumption"),
    "around": Row(_CHECK, "which kernel is around the rules was an assumption"),
    "test-unread": Row(_CHECK, "the release's host-MMIO test stands for one that is not understood"),
    "slot-there": Row(_CHECK, "that the page has a slot was an assumption"),
    # What is changed beside the rules: nobody has followed it, and most of it is harmless.
    "beside-noncoherent-dma": Row(_CHECK, "another VM may come to rows that stay as they are"),
    "beside-quirks": Row(_CHECK, "another VM may come to rows that stay as they are"),
    "beside-slot-flags": Row(_CHECK, "another slot may come to rows that stay as they are"),
    "beside-zap": Row(_CHECK, "entries may stay with their old byte"),
    "beside-gate": Row(_CHECK, "the byte may be written elsewhere, or not at all"),
    "beside-caller": Row(_CHECK, "the function may be asked about another page"),
    "beside-byte": Row(_CHECK, "the entry may hold another byte than the rules give"),
    "beside-unread": Row(_CHECK, "a hunk of code that decides who comes to which rows can't be read"),
    "beside-host-mmio": Row(_CHECK, "another host page may come to the rows with mmio"),
    "beside-host-type": Row(_CHECK, "a host page may have another type, by which the host-MMIO test goes"),
    "beside-guest-mtrr": Row(_CHECK, "an address may have another guest MTRR type"),
    "beside-level": Row(_CHECK, "an entry's page may be larger or smaller"),
}
"""The level of each code but the questions', which have their own. What is surely wrong, or was not looked at, is an
ERROR; what a guest can feel a WARNING."""

_OF_QUESTIONS = {
    note_codes.Level.ERROR: _ERROR,
    note_codes.Level.WARNING: _WARNING,
    note_codes.Level.NOTE: _CHECK,
}

_COMMIT = re.compile(r"git:[0-9a-f]{12}:")

_FITTING = re.compile(r"(?:that|those) the patch fits \(([^()]+)\)")
_MEANT = ": is that meant?"

_NOTED = ("taken-as-before", "patch", "around", "test-unread", "slot-there")
"""Notes on the rules after the patches that are findings: without them an assumption would go unsaid."""


def level_of(code: str) -> Level:
    """The level of a finding; LEVELS and QUESTIONS have every code."""
    row = LEVELS.get(code)
    return row.level if row else _OF_QUESTIONS[QUESTIONS[code].level]


class Finding(NamedTuple):
    """One line; `place` is the mail's, or of a commit the file's in the tree."""

    place: Place
    code: str
    text: str

    def __str__(self) -> str:
        return f"{printable(self.place.file)}:{self.place.line}: {_said(self.code, self.text)}"


class TerseError(InputError):
    """An error as --terse has it: one line, as long as it stands at a place, with the column that an error has."""

    def __str__(self) -> str:
        return f"{printable(str(self.place))}: {_said('not-reviewed', shown(self.message))}"


def _said(code: str, text: str) -> str:
    return f"{level_of(code).value}: {printable(' '.join(text.split()))} [{code}]"


def terse_error(error: InputError) -> InputError:
    """An error as --terse has it; one without a place says what it always says."""
    return error if error.place is None else TerseError(error.message, error.place)


def findings(whole: Whole, parts: Sequence[Judged], all_of_it: Judged, earlier: Earlier | None = None) -> list[Finding]:
    """What a review finds, by the lines of each mail; of commits, which have lines in files of their own, by commit."""
    found = list(_findings(whole, parts, all_of_it, earlier))
    if parts[0].part.commit:
        return found
    places = [place.file for judged in parts for place in judged.part.lines]
    files = {file: at for at, file in enumerate(dict.fromkeys((*places, *(one.place.file for one in found))))}
    return sorted(found, key=lambda one: (files[one.place.file], one.place.line))


def _findings(
    whole: Whole, parts: Sequence[Judged], all_of_it: Judged, earlier: Earlier | None = None
) -> Iterator[Finding]:
    several = sum(judged.changes for judged in parts) > 1 or (all_of_it.found is not None and not _one_says_all(parts))
    passing = [(judged.part, remark) for judged, remark in in_between(parts, all_of_it)] if several else []
    for judged in parts:
        own = _of_part(whole, judged, [remark for part, remark in passing if part is judged.part])
        yield from sorted(own, key=lambda one: (one.place.file, one.place.line))
    last = next((judged.part for judged in reversed(parts) if judged.part.touches), parts[-1].part)
    found = all_of_it.found
    yield from _whole(all_of_it, parts, last, several)
    for note in kernel_notes(found.after) if found else ():
        if note.code in _NOTED:
            yield Finding(_first(last), note.code, note.text)
    places = {one.name: _in_tree(one.place) for one in whole.beside}
    for name in whole.asked:
        text = f"changes {listed_names([name])}, asked by name: its meaning is taken as before"
        yield Finding(places.get(f"{name}()", _first(last)), "taken-as-before", text)
    asked = {remark.place for judged in (*parts, all_of_it) for remark in judged.remarks}
    for one in whole.beside:
        if one.name.removesuffix("()") not in whole.asked and one.place not in asked:
            yield Finding(
                places[one.name], f"beside-{one.kind}", f"{one.name} is changed, and not followed: {one.text}"
            )
    if earlier is not None and not earlier.found.same:
        on = f" (on top of {earlier.base})" if earlier.base and earlier.base != whole.base else ""
        text = f"against {earlier.file}{on}: {_rows_text(earlier.found) or _hosts_text(earlier.found)}"
        yield Finding(_first(last), "against", text)


def _in_tree(place: Place) -> Place:
    """A place by its file's path alone: editors know no file of a commit."""
    return place._replace(file=_COMMIT.sub("", place.file, count=1))


def _one_says_all(parts: Sequence[Judged]) -> bool:
    """Whether the difference of one patch is that of the whole: no other touches a rule."""
    return sum(judged.part.touches for judged in parts) == 1 and all(part.found for part in parts if part.part.touches)


def _of_part(whole: Whole, judged: Judged, passing: Sequence[Remark]) -> Iterator[Finding]:
    part, found = judged.part, judged.found
    who = f"{part.commit[:12]}: " if part.commit and len(whole.parts) > 1 else ""
    if part.why:
        yield Finding(_first(part), "not-alone", f"{who}not read alone: {part.why}")
    if found is not None and found.changed:
        base = f" ({_short_base(whole.base_note)})" if whole.base_note and not part.commit else ""
        example = plainest(found)
        at = _first(part) if example is None else _at(part, deciding_rule(found, example))
        yield Finding(at, "rows", f"{who}{_rows_text(found)}{base}")
    if found is not None and _hosts_text(found):
        yield Finding(_first(part), "host-mmio", f"{who}{_hosts_text(found)}")
    for remark in judged.remarks:
        text = f"{who}{_question(found, remark)}"
        if remark in passing:
            text += "; not so after the last patch: is the tree right between the patches?"
        yield Finding(_asked_at(part, found, remark), remark.code, text)


def _whole(all_of_it: Judged, parts: Sequence[Judged], last: Part, several: bool) -> Iterator[Finding]:
    """What is to be said of all patches together that was not said of one; of several what they come to."""
    found = all_of_it.found
    together = "all patches together: " if several else ""
    if several and found is not None:
        text = _hosts_text(found) if not found.changed else ""
        yield Finding(_first(last), "series", f"{together}{text or _rows_text(found)}")
    asked = {(remark.code, remark.text) for judged in parts for remark in judged.remarks}
    for remark in all_of_it.remarks:
        if (remark.code, remark.text) not in asked:
            yield Finding(_asked_at(last, found, remark), remark.code, f"{together}{_question(found, remark)}")


def _short_base(note: str) -> str:
    """'base v6.7, of 3 that it fits': the base that was chosen, and among how many."""
    listed = _FITTING.search(note)
    base = note.partition(":")[0]
    return f"{base}, of {len(listed[1].split(','))} that it fits" if listed else base


def _rows_text(found: Diff) -> str:
    """The difference in a sentence, with a state that shows it; '' where no byte changes and something else does."""
    example = plainest(found)
    if example is None:
        return "" if _hosts_text(found) else sentence(found)
    return f"{sentence(found, stops=False, starts=False)}; {_example(example, _differing(example))}"


def _hosts_text(found: Diff) -> str:
    """Which host pages become or stop being MMIO; '' for none."""
    tests = found.mmio
    if tests is None or not tests.changed:
        return ""
    row = tests.rows[0]
    example = f"such as {when_text(row.when)}: {row.before} becomes {row.after}"
    return f"{tests.changed_count} of {tests.total} host pages become or stop being MMIO; {example}"


def _question(found: Diff | None, remark: Remark) -> str:
    if found is None or remark.example is None:
        return (
            f"{remark.text.removesuffix(_MEANT)} (rule {remark.rule})"
            if remark.rule and remark.rule not in remark.text
            else remark.text.removesuffix(_MEANT)
        )
    shown = _example(remark.example, remark.pat)
    count = f"{remark.states} of {found.changed_count}; " if found.changed_count > 1 else ""
    return f"{remark.text.removesuffix(_MEANT)} ({count}{shown})"


def _example(change: Change, pat: MemType | None) -> str:
    """What a state shows: '0x70>0x30', and with a PAT type what a guest gets, 'PAT WC: WB>WC'."""
    if pat is None:
        return f"{change.before:#04x}>{change.after:#04x}"
    kinds = (by_pat(byte)[pat] for byte in (change.before, change.after))
    return f"PAT {pat}: {'>'.join('-' if kind is None else str(kind) for kind in kinds)}"


def _differing(change: Change) -> MemType | None:
    """A PAT type, WC before others, with which the effective type changes."""
    before, after = by_pat(change.before), by_pat(change.after)
    return next((pat for pat in (MemType.WC, *PAT_TYPES) if before[pat] != after[pat]), None)


def _first(part: Part) -> Place:
    return part.lines[0] if part.lines else Place("-", 1, 1)


def _asked_at(part: Part, found: Diff | None, remark: Remark) -> Place:
    if remark.place is not None or found is None:
        return _first(part) if remark.place is None else _in_tree(remark.place)
    if remark.example is not None:
        return _at(part, deciding_rule(found, remark.example))
    named = next((rule for rule in found.after.rules.rules if remark.rule and rule.id == remark.rule), None)
    return _first(part) if named is None else _at(part, named)


def _at(part: Part, rule: Rule) -> Place:
    """The line of a patch that makes a rule; where the patch does not write that rule, the first that it changes."""
    for place in part.lines:
        if f":{rule.source}".endswith(f":{place.file}:{place.line}"):  # of a commit, behind its name
            return place
    return _first(part)
