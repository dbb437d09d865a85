# SPDX-License-Identifier: GPL-2.0-only
"""What a patch does to names whose meaning is known: the functions that rules ask by name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

from mtcalc.csource.predicates import FUNCTION, KNOWN_HELPERS
from mtcalc.csource.source import read_c
from mtcalc.csource.tokens import Function, Token, functions, render, texts, tokens
from mtcalc.csource.writer import HELPER
from mtcalc.patches.hunks import KNOWN, KnownChange, Prepared, is_code
from mtcalc.patches.macros import parameters_in_order
from mtcalc.patches.pieces import comments_only, head_name, section_function, sides_of, under_condition
from mtcalc.patches.records import Hunk, HunkLine, Mail
from mtcalc.text.errors import InputError, Place

_LONGEST_HEAD = 1_000

_ASKED = {name: helper.asked for name, helper in KNOWN_HELPERS.items() if helper.asked}
"""How rules ask them."""


def known_changes(mails: Sequence[Mail]) -> tuple[KnownChange, ...]:
    """What the patches change of what rules ask by name, such as kvm_arch_has_noncoherent_dma(), in their order."""
    first: dict[str, tuple[Mail, Place]] = {}
    named: dict[str, list[Hunk]] = {}
    for mail, hunk in _code(mails):
        for name, place in _changed_in(hunk).items():
            first.setdefault(name, (mail, place))
            named.setdefault(name, []).append(hunk)
    found = []
    renamed = _renamed(mails)
    for name, (mail, place) in first.items():
        sides = [_whole(named[name], name, side) for side in (0, 1)]
        old, new = (functions[0] if len(functions) == 1 else None for functions in sides)
        if old and new and texts(old.body) == texts(new.body):
            continue  # moved, or in other words for who reads it
        alone = old is None and new is not None and _adds_alone(named[name], name)
        if alone and new and _says_the_same(name, new):
            continue  # what its name says
        follows = new is not None and (alone or (old is not None and _says_the_same(name, old)))
        follows = follows and new is not None and _is_followed(name, new)
        found.append(KnownChange(name, new if follows else None, mail, place))
    return (*(change for change in found if change.name not in renamed), *renamed.values())


def _renamed(mails: Sequence[Mail]) -> dict[str, KnownChange]:
    """The known functions that get another name, and are left alone otherwise; by their old name, the new one."""
    lines = Counter(name for _, hunk in _code(mails) for name, _ in changed_lines(hunk))
    found = {}
    for mail, hunk in _code(mails):
        for old, alias, place in _renamed_in(hunk):
            if lines[old] + lines[alias.name] == 2:  # its head, and none of its code
                found[old] = KnownChange(alias.name, alias, mail, place)
    return found


def _changed_in(hunk: Hunk) -> dict[str, Place]:
    """The known functions whose lines a hunk changes, and where first."""
    found: dict[str, Place] = {}
    for name, line in changed_lines(hunk):
        if name in KNOWN and name != HELPER:
            found.setdefault(name, line.place)
    return found if not found or hunk.trouble or not comments_only(hunk) else {}


def changed_lines(hunk: Hunk) -> Iterator[tuple[str, HunkLine]]:
    """The changed lines of a hunk, each with the function that it lies in, '' for none."""
    name = section_function(hunk.section)
    for line in hunk.lines:
        if line.text[:1] == "}":
            name = None
        else:
            name = head_name(line.text) or name
        if line.kind != " " and line.text.strip() and not line.text.startswith("EXPORT_SYMBOL"):
            yield name or "", line


def _renamed_in(hunk: Hunk) -> Iterator[tuple[str, Function, Place]]:
    """Known functions that a hunk gives another name, each as a function of that name that calls it."""
    gone: dict[str, str] = {}  # by what a head's line says but for the name
    new: dict[str, HunkLine] = {}
    for name, line in changed_lines(hunk):
        if head_name(line.text) != name:
            continue
        if line.kind == "-" and name in _ASKED:
            gone[line.text.replace(name, "", 1)] = name
        elif line.kind == "+":
            new[line.text.replace(name, "", 1)] = line
    for said, old in gone.items():
        head = _head_from(hunk, new[said]) if said in new else ()
        if head:
            given = ", ".join(parameters_in_order(head))
            body = tokens([(f"return {old}({given});", None), ("}", None)])
            yield old, Function(head_name(new[said].text), head, tuple(body)), new[said].place


def _head_from(hunk: Hunk, first: HunkLine) -> tuple[Token, ...]:
    """The head that begins with a line of the new side; () where the hunk does not show all of it."""
    text = ""
    for line in hunk.lines[hunk.lines.index(first) :]:
        if line.kind != "-":
            text += " " + line.text
        if len(text) > _LONGEST_HEAD:
            return ()
        if text.count(")") and text.count("(") == text.count(")"):
            head = text[: text.rindex(")") + 1]
            return tuple(token._replace(place=first.place) for token in tokens([(head, None)]))
    return ()


def _whole(hunks: Sequence[Hunk], name: str, side: int) -> list[Function]:
    """The definitions of a function that hunks show whole on one side, 0 the old and 1 the new."""
    found = []
    for hunk in hunks:
        if hunk.trouble:
            return []
        for piece in sides_of(hunk)[side]:
            if piece.name != name or not (piece.head or piece.body or piece.anchored):
                continue
            head = piece.head or (_section_head(hunk) if piece.anchored else ())
            end = piece.ends.get(1)
            if not head or end is None or (not piece.head and piece.body and not piece.anchored):
                return []  # part of it
            found.append(Function(name, head, piece.body[:end]))
    return found


def _section_head(hunk: Hunk) -> tuple[Token, ...]:
    """The head that an @@ line names, if all of it stands there."""
    text = hunk.section
    if not text.endswith(")") or text.count("(") != text.count(")"):
        return ()
    return tuple(token._replace(place=hunk.place) for token in tokens([(text, None)]))


def _adds_alone(hunks: Sequence[Hunk], name: str) -> bool:
    """Whether hunks add a function, under no #if that they show, and show and remove nothing of another one."""
    for hunk in hunks:
        old, new = sides_of(hunk)
        if any(piece.name == name and (piece.head or piece.body or piece.anchored) for piece in old):
            return False
        if under_condition(hunk, [piece for piece in new if piece.name == name and piece.head], changed=False):
            return False
    return True


def _says_the_same(name: str, function: Function) -> bool:
    """Whether a function's text means what its name does."""
    asked = _asking(name)
    if not asked:
        return False
    try:
        plain, read = (read_c(text, "x.c") for text in (asked, written(function) + asked))
    except InputError:
        return False
    said = [[(rule.when, rule.then) for rule in one.rules.rules] for one in (plain, read)]
    return said[0] == said[1]


def _is_followed(name: str, function: Function) -> bool:
    """Whether a function's text can be followed where it is asked."""
    asked = _asking(name)
    try:
        return bool(asked) and name in read_c(written(function) + asked, "x.c").followed
    except InputError:
        return False


@lru_cache(maxsize=256)
def meaning_of(name: str, text: str) -> str | None:
    """What a text's definition of a function that rules ask by name means: '' what the name says, else the definition.

    None for one that can't be followed, or is not there once.
    """
    try:
        found = [one for one in functions(tokens((line, None) for line in text.splitlines())) if one.name == name]
    except ValueError:
        return None
    if len(found) != 1:
        return None
    if _says_the_same(name, found[0]):
        return ""
    return written(found[0]) if _is_followed(name, found[0]) else None


def _asking(name: str) -> str:
    """A text that asks for a function as rules do; '' for one that they can't be asked for so."""
    if name not in _ASKED:
        return ""
    head = f"u8 {FUNCTION}(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)"
    return f"{head}\n{{\n\tif ({name}{_ASKED[name]})\n\t\treturn 1;\n\treturn 0;\n}}\n"


def written(function: Function) -> str:
    """A function's text."""
    head = (function.head[0]._replace(gap="\n"), *function.head[1:])
    return render((*head, Token("{", "\n", None), *function.body)).text


def _code(mails: Sequence[Mail]) -> Iterator[tuple[Mail, Hunk]]:
    for mail in mails:
        for item in mail.files:
            if is_code(item.path):
                yield from ((mail, hunk) for hunk in item.hunks)


def not_followed(patches: Prepared, written: Sequence[str] | None = None) -> list[str]:
    """The functions asked by name that patches change and whose meaning is taken as before.

    `written`: the texts of which one asks, where those are known.
    """
    return [
        change.name
        for change in patches.known
        if change.new is None and (written is None or _asks(change.name, written))
    ]


def _asks(name: str, written: Sequence[str]) -> bool:
    """Whether one of the texts asks for a function; the host-MMIO test is asked by who calls the function."""
    return "mmio" in name or any(re.search(rf"\b{name}\b", text) for text in written)


def listed_names(names: Sequence[str]) -> str:
    """Functions asked by name, as they are told; of the host-MMIO test it is said what it is."""
    return ", ".join(f"{name}() (the host-MMIO test)" if "mmio" in name else f"{name}()" for name in names)


def taken_as_before(names: Sequence[str], why: str = "") -> str:
    """What is said of functions that rules ask by name and that are changed; `why` they are not followed."""
    listed = listed_names(names)
    what = "its meaning is" if len(names) == 1 else "their meanings are"
    text = f"it changes {listed}, asked by name: {what} taken as before"
    return f"{text} ({why})" if why else text
