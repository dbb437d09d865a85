# SPDX-License-Identifier: GPL-2.0-only
"""The lines of one hunk, told by the counts of its @@ line, which alone say where it ends.

Archives eat blanks at either end of lines, so that a context line can begin with any character, and a mail's text goes
on right behind: of the readings of the lines' signs, the one that adds up is taken, and of several none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mtcalc.patches.parts import TextLine
from mtcalc.patches.records import Hunk, HunkLine
from mtcalc.text.errors import InputError, Place

HUNK_LINE = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@ ?(.*)$")
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|#39|#x27);")
_SECTION = 120
"""Characters of a hunk's section that are kept; git writes 80."""
_BROKEN_LINES = 2_000
"""Of a hunk that does not add up, how many lines are looked at to tell whether it matters."""
_STATEMENT = re.compile(
    r".\s*(?:(?:if|else|for|while|do|switch|case|default|return|goto|break|continue|static|struct|u8|u64|bool)\b"
    r"|[/{}#]|$)"
)
"""A line with + or - that cannot be C with these as its own: they are signs."""
_HEAD = re.compile(r"(?:\w+[ *]+){0,4}\*?\w+\([\w *,]*(?:\)$|,?$)")
"""The end of a function's head, or of its first line: 'vmx_ignore_guest_pat(struct kvm *kvm)'."""
_BEHIND = re.compile(r"--\s*$|diff |Index: |Only in |```|</?\w+>|[-_=*#]{3,}\s*$")
"""What may stand right behind a hunk, without a blank line."""


def counted_hunk(lines: Sequence[TextLine], at: int, end: int) -> tuple[Hunk, int]:
    """The hunk whose @@ line stands at `at`; `end` is where it ends at the latest. Raises InputError."""
    place = lines[at].place
    header = HUNK_LINE.match(lines[at].text)
    if header is None:
        raise InputError("not a hunk header (@@ -7600,6 +7600,9 @@ is one)", place)
    old_count = int(header[2]) if header[2] else 1
    new_count = int(header[4]) if header[4] else 1
    section = header[5].strip()[:_SECTION]
    body = lines[at + 1 : end]
    first = at + 1
    if (
        body
        and _goes_on(header[5], body[0].text)
        and not _blanks_eaten(body[1:])
        and _kinds(body[1:], old_count, new_count) is not None
    ):
        # A mail program broke the @@ line: its rest is no line of the hunk.
        section = f"{section} {body[0].text.strip()}"
        body = body[1:]
        first += 1
    kinds = _kinds(body, old_count, new_count)
    if kinds is None and _blanks_eaten(body):
        kinds = _other_kinds(body, old_count, new_count, place)
    more = end < len(lines) and lines[end].text.startswith("@@ -")
    if kinds is None or (more and len(kinds) < len(body) and body[len(kinds)].text):
        # Above the next hunk, a line of blanks is one too many.
        raise InputError(_count_trouble(body, old_count, new_count), place)
    found = []
    for line, kind in zip(lines[first:], kinds, strict=False):
        if kind == "\\":
            continue
        text = line.text[1:] if line.text[:1] == kind else line.text
        found.append(HunkLine(kind, text, line.place))
    trouble = None
    if all(line.kind == " " for line in found):
        trouble = InputError("a hunk that changes nothing (a word diff without its colours? get the raw diff)", place)
    elif any(_ENTITY.search(line.text) for line in found if "&" in line.text):
        trouble = InputError("HTML for characters, such as &lt; for < (get the raw mail)", place)
    hunk = Hunk(int(header[1]), old_count, int(header[3]), new_count, section, tuple(found), place, trouble)
    return hunk, first + len(kinds)


def broken_hunk(lines: Sequence[TextLine], trouble: InputError) -> Hunk:
    """A hunk that can't be read, with what tells whether it matters: its section, and its lines by their signs."""
    header = HUNK_LINE.match(lines[0].text)
    body = lines[1 : _BROKEN_LINES + 1]
    if any(_has_word_diff(line.text) for line in body):
        trouble = InputError("a word diff (git diff without --word-diff)", lines[0].place)
    kept = [
        HunkLine(sign if sign in "+-" else " ", line.text[line.text[:1] in (" ", "+", "-", "\\") :], line.place)
        for line, sign in zip(body, _signs(body), strict=True)
        if sign
    ]
    section = header[5].strip()[:_SECTION] if header else ""
    counts = [int(header[n] or 1) if header else 0 for n in (1, 2, 3, 4)]
    return Hunk(counts[0], counts[1], counts[2], counts[3], section, tuple(kept), lines[0].place, trouble)


def _has_word_diff(text: str) -> bool:
    """Whether a line marks words as `git diff --word-diff` does."""
    marked = any(0 <= text.find(start) < text.rfind(end) - 1 for start, end in (("[-", "-]"), ("{+", "+}")))
    return marked or text == "~"


def _goes_on(section: str, text: str) -> bool:
    """Whether a line without a sign is the rest of an @@ line's section, broken within the head of a function."""
    if text[:1] in (" ", "\t", "+", "-", "\\", ""):
        return False
    if "(" in section:
        return _net_parens(text) < 0 < _net_parens(section)
    return bool(section.strip()) and section[-1:] not in ":;{" and _HEAD.match(text) is not None


def _net_parens(text: str) -> int:
    return text.count("(") - text.count(")")


def _signs(body: Sequence[TextLine]) -> Iterator[str]:
    """Each line's kind by its first character; '' for the mark above a mail's signature."""
    for line in body:
        sign = line.text[:1]
        if line.text.rstrip() == "--":
            yield ""
        elif line.text.startswith("\\ No newline"):
            yield "\\"
        else:
            yield sign if sign in ("+", "-") else " "


def _kinds(body: Sequence[TextLine], old: int, new: int) -> list[str] | None:
    """The kinds of the hunk's lines if their signs agree with the counts, else None."""
    kinds = []
    for sign in _signs(body):
        if not old and not new:
            break
        if not sign:
            return None
        kinds.append(sign)
        old -= sign in (" ", "-")
        new -= sign in (" ", "+")
        if old < 0 or new < 0:
            return None
    return kinds if not old and not new and _stops(body, len(kinds)) else None


class _Stops:
    """Where in a body the text does not go on as a hunk would behind its last line.

    A line of blanks is no line of it. Where the hunk lost its blanks, any text may be its context.
    """

    def __init__(self, body: Sequence[TextLine]) -> None:
        self._behind = [""] * (len(body) + 1)  # the next line with text, or that is quite empty
        for at in range(len(body) - 1, -1, -1):
            text = body[at].text
            self._behind[at] = text if not text or text.strip() else self._behind[at + 1]
        self._eaten = len(body) + 1  # from which length on a line has lost its blank
        for at, line in enumerate(body):
            if line.text.rstrip() == "--":
                break
            if line.text[:1] not in (" ", "\t", "+", "-", "\\", ""):
                self._eaten = at + 1
                break

    def at(self, length: int) -> bool:
        behind = self._behind[length]
        if not behind or _BEHIND.match(behind):
            return True
        return behind[0] not in "+- \t" and length < self._eaten


def _stops(body: Sequence[TextLine], at: int) -> bool:
    return _Stops(body).at(at)


def _blanks_eaten(body: Sequence[TextLine]) -> bool:
    """Whether a line of the hunk, which ends above a mail's signature at the latest, has no sign and no blank."""
    for line in body:
        if line.text.rstrip() == "--":
            return False
        if line.text[:1] not in (" ", "\t", "+", "-", "\\", ""):
            return True
    return False


def _other_kinds(body: Sequence[TextLine], old: int, new: int, place: Place) -> list[str] | None:
    """Some signed lines may be context that lost its blank: the one reading that the counts allow.

    Raises InputError where they allow several.
    """
    readings = []
    signs = list(_signs(body))
    own = [sign in ("+", "-") and not _STATEMENT.match(line.text) for sign, line in zip(signs, body, strict=True)]
    counted = {" ": 0, "+": 0, "-": 0, "\\": 0}
    most = {"+": 0, "-": 0}  # of them, those that can be context
    stops = _Stops(body)
    for length, (sign, is_own) in enumerate(zip(signs, own, strict=True), 1):
        if not sign:
            break
        counted[sign] += 1
        most[sign if is_own else "+"] += is_own
        if length < len(signs) and (body[length].text.isspace() or not stops.at(length)):
            continue
        turned = {
            "+": old - counted[" "] - counted["-"],
            "-": new - counted[" "] - counted["+"],
        }
        if min(turned.values()) < -len(signs) or not all(0 <= turned[sign] <= most[sign] for sign in turned):
            continue
        readings.append((length, turned))
        if len(readings) > 1 or any(turned[sign] not in (0, most[sign]) for sign in turned):
            raise InputError(
                "blanks were eaten, and lines with + or - can be read in several ways (get the raw mail)", place
            )
    if not readings:
        return None
    length, turned = readings[0]
    return [" " if o and turned[sign] else sign for sign, o in zip(signs[:length], own, strict=False)]


def _count_trouble(body: Sequence[TextLine], old: int, new: int) -> str:
    signs = []
    for sign in _signs(body):
        if not sign:
            break
        signs.append(sign)
    has_old, has_new = (sum(sign in (" ", wanted) for sign in signs) for wanted in "-+")
    if has_old < old or has_new < new:
        what = f"the hunk is cut short: it counts {old} old and {new} new lines"
        return f"{what}, and has {has_old} and {has_new} (get the raw mail)"
    return f"the hunk's lines do not add up to its counts, {old} old and {new} new (get the raw mail)"
