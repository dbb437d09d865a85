# SPDX-License-Identifier: GPL-2.0-only
"""Which hunks of a patch can concern vmx_get_mt_mask(), and those as pieces of functions.

Everything else in a patch is left aside before anything is made of it: what a reviewer trimmed, moved or renamed
elsewhere is nobody's trouble here. What counts is the function, the helper that kernels have had for it, and what
the patch's own new code calls and defines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from mtcalc.csource.predicates import FUNCTION, GUEST_MTRR_SPELLINGS, MASK_CALLS, SPELLINGS, TRANSPARENT
from mtcalc.csource.tokens import Function, Side, Token, head_at, parentheses, side_of, texts, without_cut_head
from mtcalc.csource.writer import HELPER
from mtcalc.patches.macros import Macros, defines, macro_name
from mtcalc.patches.read import FilePatch, Hunk, Mail
from mtcalc.text.errors import InputError, Place

OUTSIDE = "code outside functions"
MAX_STEPS = 400
"""Hunks that can concern the function; a series of twenty patches has some sixty."""

MAX_HUNK = 100_000
"""Characters of a hunk that can concern the function; all of vmx_get_mt_mask() has some 1,500."""
_MAX_TOGETHER = 10 * MAX_HUNK
"""Of all of them, or of all hunks of a file whose braces are counted."""

_LABEL = re.compile(r"(\w+):$")
_OWN_LABEL = "exit"  # what kernels from 4.2 to 5.17 had in the function
_CALLED = re.compile(r"\b(\w+)\s*\(")
_CONDITIONAL = re.compile(r"\s*#\s*(if|ifdef|ifndef|else|elif|endif)\b")
NOT_NAMES = {"if", "for", "while", "switch", "return", "else", "do", "sizeof", "case", "goto"}
_HINTS = (
    FUNCTION,
    HELPER,
    "VMX_EPT_MT_EPTE_SHIFT",
    "VMX_EPT_IPAT_BIT",
    "VMX_EPT_IGMT_BIT",
    "is_mmio",
    "MTRR_TYPE_",
    "guest_memory_type",
    "noncoherent_dma",
    "NON_COHERENT_DMA",
    "X86_CR0_CD",
    "CD_NW_CLEARED",
    "IGNORE_GUEST_PAT",
)
"""Words that give away a hunk of the function where its @@ line names none."""

KNOWN = frozenset(
    (
        *MASK_CALLS,
        *TRANSPARENT,
        *(
            name
            for pattern in (*(spelling.pattern for spelling in SPELLINGS), *GUEST_MTRR_SPELLINGS)
            for name in re.findall(r"(\w+)\\\(", pattern)
        ),
    )
)
"""What the rules ask by a name whose meaning is known: no helper, wherever it is defined."""


class Piece(NamedTuple):
    """Part of one side of a hunk that lies in one function; without head where it began before the hunk."""

    name: str
    head: tuple[Token, ...]
    body: tuple[Token, ...]
    anchored: bool  # starts right behind the function's `{`
    words: tuple[str, ...]  # the texts of the body
    ends: Mapping[int, int]  # by the brace depth it begins at, the index behind the `}` that closes the function


class Step(NamedTuple):
    """A hunk that can concern the function, cut at the heads of functions."""

    mail: Mail
    item: FilePatch
    hunk: Hunk
    before: tuple[Piece, ...] = ()
    after: tuple[Piece, ...] = ()
    comments_only: bool = False
    hinted: bool = False  # names what the function is made of
    trouble: str = ""  # why its sides can't be followed


class KnownChange(NamedTuple):
    """A function that rules ask by name, and whose code patches change.

    `new` is the function afterwards, where the patches show all of it, its old meaning is the one known by its name,
    and the new one can be followed; else None, and its meaning can only be taken as before.
    """

    name: str
    new: Function | None
    mail: Mail
    place: Place


class Prepared(NamedTuple):
    """Patches as far as they can concern the function, in order, and what of them cannot."""

    mails: tuple[Mail, ...]
    steps: tuple[Step, ...]
    aside: tuple[tuple[Mail, FilePatch, Hunk | None], ...]
    names: frozenset[str]  # the functions that the new code can reach
    unbalanced: InputError | None  # a file that has more or fewer braces afterwards
    macros: Macros  # those that the patches add
    known: tuple[KnownChange, ...]


def _is_function_file(path: str) -> bool:
    """Whether a path is that of the file with vmx_get_mt_mask()."""
    return path.rsplit("/", 1)[-1] == "vmx.c" and "selftests" not in path


def holds_function(item: FilePatch) -> bool:
    """Whether it is the file with vmx_get_mt_mask(): by its path, or since a hunk lies in that function."""
    return _is_function_file(item.path) or (
        "selftests" not in item.path and any(FUNCTION in _defined(hunk) for hunk in item.hunks)
    )


def hunk_name(item: FilePatch, hunk: Hunk | None) -> str:
    """'arch/x86/kvm/mmu/spte.c: static bool kvm_is_mmio_pfn(kvm_pfn_t pfn)'; without a hunk the path alone."""
    path = item.path[-100:]
    if hunk is None:
        return path
    return f"{path}: {hunk.section or f'line {hunk.old_start}'}"


def section_function(section: str) -> str | None:
    """The function an @@ line names; None where it names none, '' for another kind of definition."""
    if not section or _LABEL.match(section):
        return None
    found = _CALLED.search(section)
    return found[1] if found else ""


def prepare(mails: Sequence[Mail], reached: Iterable[str] = (), known: Sequence[KnownChange] = ()) -> Prepared:
    """The hunks that can concern the function, those that `reached` names besides, and what `known` lead to.

    Raises InputError for one of them that can't be read, or too many.
    """
    followed = [change.name for change in known if change.new]
    listed = [(mail, item, hunk) for mail in mails for item in mail.files for hunk in item.hunks or (None,)]
    names, chosen = _reached([(item, hunk) for _, item, hunk in listed], {FUNCTION, HELPER, *reached, *followed})
    steps: list[Step] = []
    aside = []
    together = 0
    for number, (mail, item, hunk) in enumerate(listed):
        if hunk is None and item.trouble and holds_function(item):
            raise item.trouble
        if hunk is None or number not in chosen:
            aside.append((mail, item, hunk))
            continue
        if hunk.trouble and (holds_function(item) or not _lacks_a_blank_line(hunk)):
            raise hunk.trouble
        size = _size(hunk)
        together += size
        if size > MAX_HUNK or together > _MAX_TOGETHER:
            what = f"{size:,} characters in a hunk that can concern {FUNCTION}()"
            raise InputError(f"{what} (at most {MAX_HUNK:,}, and {_MAX_TOGETHER:,} together)", hunk.place)
        if len(steps) == MAX_STEPS:
            raise InputError(f"over {MAX_STEPS} hunks that can concern {FUNCTION}() (the patches that do)", hunk.place)
        steps.append(_step(mail, item, hunk, names))
    unbalanced = next((found for found in map(_unbalanced, _files_of(steps)) if found), None)
    macros = Macros(macro for _, item, hunk in listed if hunk and is_code(item.path) for macro in defines(hunk))
    return Prepared(tuple(mails), tuple(steps), tuple(aside), frozenset(names), unbalanced, macros, tuple(known))


def _lacks_a_blank_line(hunk: Hunk) -> bool:
    """Whether a hunk is whole but for the blank line at its end that mail programs eat."""
    old, new = (sum(line.kind in (" ", sign) for line in hunk.lines) for sign in "-+")
    return old == hunk.old_count and new + 1 == hunk.new_count


def _size(hunk: Hunk) -> int:
    return sum(len(line.text) + 1 for line in hunk.lines)


def _reached(listed: Sequence[tuple[FilePatch, Hunk | None]], names: set[str]) -> tuple[set[str], set[int]]:
    """The functions that the patches' new code can reach, and the numbers of the hunks that hold part of them."""
    defining: dict[str, list[int]] = {}
    chosen: set[int] = set()
    for number, (item, hunk) in enumerate(listed):
        if hunk is None or not (is_code(item.path) or holds_function(item)):
            continue
        for name in _defined(hunk):
            defining.setdefault(name, []).append(number)
        if holds_function(item) and _may_be_ours(hunk):
            chosen.add(number)
    todo = list(names)
    fresh = list(chosen)
    while todo or fresh:
        for name in todo:
            fresh += [number for number in defining.get(name, ()) if number not in chosen]
        chosen.update(fresh)
        called = {name for number in fresh for name in _calls(listed[number][1])}
        fresh = []
        todo = [name for name in called - names if name in defining and name not in KNOWN]
        names.update(todo)
    return names, chosen


def is_code(path: str) -> bool:
    """Whether a path is that of C code of the kernel itself, as it is built for x86."""
    other = path.startswith("tools/") or (path.startswith("arch/") and not path.startswith("arch/x86/"))
    return path.endswith((".c", ".h")) and "selftests" not in path and not other


def _defined(hunk: Hunk) -> Iterator[str]:
    """The functions whose heads a hunk's lines may be, or that its @@ line names."""
    named = section_function(hunk.section)
    if named:
        yield named
    for line in hunk.lines:
        name = head_name(line.text) or (macro_name(line.text) if line.kind == "+" else "")
        if name:
            yield name


def head_name(text: str) -> str:
    """The function whose head a line may be, '' for none."""
    if not (text[:1].isalpha() or text[:1] == "_"):
        return ""
    words, parenthesis, _ = text[:300].partition("(")
    name = words.split()[-1].lstrip("*") if parenthesis and words.split() else ""
    plain = name not in NOT_NAMES and words.split()[0] not in NOT_NAMES if name else False
    return name if plain and not text.endswith(";") else ""


def _calls(hunk: Hunk | None) -> Iterator[str]:
    for line in hunk.lines if hunk else ():
        if line.kind != "-" and "(" in line.text:
            yield from _CALLED.findall(line.text)


def _may_be_ours(hunk: Hunk) -> bool:
    """Whether a hunk of the function's file names the function, or names none and may lie in it."""
    if any(name in text for name in (FUNCTION, HELPER) for text in (hunk.section, *(n.text for n in hunk.lines))):
        return True
    label = _LABEL.match(hunk.section)
    if (label and label[1] != _OWN_LABEL) or (hunk.section and not label):
        return False
    return bool(hunk.trouble) or _hinted(hunk) or any(line.kind != " " and line.text.strip() for line in hunk.lines)


def _hinted(hunk: Hunk) -> bool:
    return any(hint in line.text for line in hunk.lines for hint in _HINTS)


def _step(mail: Mail, item: FilePatch, hunk: Hunk, names: set[str]) -> Step:
    found = Step(mail, item, hunk, hinted=_hinted(hunk))
    try:
        was, new = _side(hunk, "-"), _side(hunk, "+")
    except ValueError as error:
        return found._replace(trouble=str(error))
    if (was.begins_open, was.ends_open) != (new.begins_open, new.ends_open):
        return found._replace(trouble="it opens or closes a comment that goes on outside of it")
    before, after = _pieces(hunk, was.tokens), _pieces(hunk, new.tokens)
    # What is added with its #if is told by what else has that name.
    old = [piece for piece in before if piece.name in names and piece.head]
    kept = [piece for piece in after if piece.name in {piece.name for piece in old} and piece.head]
    under = _under_condition(hunk, [*old, *kept])
    same = texts(was.tokens) == texts(new.tokens)
    return found._replace(before=before, after=after, comments_only=same, trouble=under)


def sides_of(hunk: Hunk) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Both sides of a hunk cut at the heads of functions; none where they can't be followed."""
    try:
        return _pieces(hunk, _side(hunk, "-").tokens), _pieces(hunk, _side(hunk, "+").tokens)
    except ValueError:
        return (), ()


def comments_only(hunk: Hunk) -> bool:
    """Whether both sides of a hunk are the same code."""
    try:
        return texts(_side(hunk, "-").tokens) == texts(_side(hunk, "+").tokens)
    except ValueError:
        return False


def _side(hunk: Hunk, sign: str) -> Side:
    """One side of a hunk, the old ('-') or the new ('+'). Raises ValueError."""
    return side_of((line.text, line.place) for line in hunk.lines if line.kind in (" ", sign))


def _pieces(hunk: Hunk, found: Sequence[Token]) -> tuple[Piece, ...]:
    """One side of a hunk cut at the heads of functions."""
    section = section_function(hunk.section)
    side = without_cut_head(found)
    closed = parentheses(side)
    heads = []
    at = 0
    while at < len(side):
        head = head_at(side, at, closed)
        if head:
            heads.append(head)
            at = head[1]
        at += 1
    first = list(side[: heads[0][0]] if heads else side)
    # A head that began before the hunk: its closing parenthesis is one too many.
    depth = 0
    anchored = False
    for index, token in enumerate(first):
        depth += (token.text == "(") - (token.text == ")")
        if depth < 0:
            anchored = index + 1 < len(first) and first[index + 1].text == "{"
            first = first[index + 2 :] if anchored else first
            break
    if not anchored and first and first[0].text == "{":
        # In the kernel's style a line begins so only where a function does; its head is above the hunk.
        anchored = True
        first = first[1:]
    outside = section is not None and not section
    pieces = [_piece(OUTSIDE if outside else section or "", (), first, anchored)]
    ends = [*(head[0] for head in heads[1:]), len(side)]
    for (start, brace, name), end in zip(heads, ends, strict=False):
        pieces.append(_piece(name, side[start:brace], side[brace + 1 : end], True))
    return tuple(pieces)


def _piece(name: str, head: Sequence[Token], body: Sequence[Token], anchored: bool) -> Piece:
    ends: dict[int, int] = {}
    depth = 0
    for index, token in enumerate(body):
        depth += (token.text == "{") - (token.text == "}")
        if depth < 0:
            ends.setdefault(-depth, index + 1)
    return Piece(name, tuple(head), tuple(body), anchored, tuple(texts(body)), ends)


def _under_condition(hunk: Hunk, pieces: Sequence[Piece]) -> str:
    """What is wrong where a hunk puts a function under an #if, or takes it out from under one; '' if nothing is."""
    for sign in "-+":
        for start, end in _changed_conditions(hunk, sign):
            for piece in pieces:
                place = piece.head[0].place
                if place and start < place.line < end:
                    return f"it changes under which #if {piece.name}() stands"
    return ""


def _changed_conditions(hunk: Hunk, sign: str) -> list[tuple[float, float]]:
    """From which line to which an #if that the hunk adds or removes reaches; infinite where it does not show that."""
    found: list[tuple[float, float]] = []
    opened: list[tuple[float, bool]] = []
    for line in hunk.lines:
        match = _CONDITIONAL.match(line.text) if line.kind in (" ", sign) and "#" in line.text else None
        if match is None:
            continue
        changed = line.kind == sign
        if match[1].startswith("if"):
            opened.append((line.place.line, changed))
            continue
        start, was = opened.pop() if opened else (float("-inf"), False)
        if changed or was:
            found.append((start, line.place.line))
        if match[1] != "endif":
            opened.append((line.place.line, changed))
    found += [(start, float("inf")) for start, changed in opened if changed]
    return found


def _files_of(steps: Iterable[Step]) -> list[FilePatch]:
    files: list[FilePatch] = []
    for step in steps:
        if not files or step.item is not files[-1]:
            files.append(step.item)
    return files


def _unbalanced(item: FilePatch) -> InputError | None:
    """A file whose braces do not close any longer after a patch; None where that can't be told."""
    net = 0
    if sum(map(_size, item.hunks)) > _MAX_TOGETHER:
        return None
    for hunk in item.hunks:
        if hunk.trouble or any(line.kind != " " and _CONDITIONAL.match(line.text) for line in hunk.lines):
            return None
        try:
            net += _net_braces(_side(hunk, "+").tokens) - _net_braces(_side(hunk, "-").tokens)
        except ValueError:
            return None
    if not net:
        return None
    many, few = "{}" if net > 0 else "}{"
    return InputError(f"after this patch the file has more '{many}' than '{few}' (all hunks of it, whole)", item.place)


def _net_braces(found: Iterable[Token]) -> int:
    return sum((token.text == "{") - (token.text == "}") for token in found)


def whole(piece: Piece) -> int | None:
    """The index behind the `}` that closes a piece with a head; None where the hunk does not show it."""
    return piece.ends.get(1)
