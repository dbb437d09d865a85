# SPDX-License-Identifier: GPL-2.0-only
"""What patches change of KVM's interface and of what keeps entries fresh: numbers, masks of quirks, zaps.

Told by names and lines alone, and not followed: it is what spares a reviewer a question that the patches answer, or
gives cause for one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from mtcalc.csource.predicates import MASK_CONSTANTS
from mtcalc.kvm.flags import SLOT_FLAGS
from mtcalc.kvm.uapi import PREFIXES, Edits, Number, Unzapped
from mtcalc.patches.hunks import is_code
from mtcalc.patches.known import changed_lines
from mtcalc.patches.pieces import head_name, section_function
from mtcalc.patches.records import Hunk, Mail
from mtcalc.text.errors import Place

_DEFINE = re.compile(rf"\s*#\s*define\s+((?:{'|'.join(PREFIXES)})\w+)\s+(.*)")
_BIT = re.compile(r"\(?\s*(?:(?:BIT|BIT_ULL|_BITUL|_BITULL)\s*\(\s*(\d{1,2})\s*\)|1[uUlL]*\s*<<\s*(\d{1,2}))\s*\)?")
_PLAIN = re.compile(r"\(?\s*(0[xX][0-9a-fA-F]{1,16}|\d{1,9})[uUlL]*\s*\)?")
_QUIRK = re.compile(r"\bKVM_(?:X86_)?QUIRK_(\w+)")
_FLAG = re.compile(r"\bKVM_MEM_(\w+)")
_MASK = re.compile(r"\b(?:KVM_X86_(?:VALID|CONDITIONAL)_QUIRKS|supported_quirks|inapplicable_quirks)\b")
_MASK_OF_NONE = re.compile(r"\s*#\s*define\s+KVM_X86_CONDITIONAL_QUIRKS\b|\binapplicable_quirks\b")
"""Masks of quirks that are off from the start; who may turn one off, KVM_X86_VALID_QUIRKS says."""
_GOES_ON = ("\\", "|", "=", "(")
_COMMENT = re.compile(r"^\s*\*(?!\w*\s*=(?!=)).*|/\*.*?(?:\*/|$)|//.*")
_HEAD = re.compile(r"\s*(?:static|extern|inline|void|bool|int)\b")
_ZAP = re.compile(r"\b\w*zap\w*\s*\(")

_FIRST_NAMES = {
    said.removeprefix("KVM_MEM_"): name
    for said, bits in MASK_CONSTANTS.items()
    for name, bit in SLOT_FLAGS.items()
    if said.startswith("KVM_MEM_") and bits == bit
}
"""What a slot flag is called, by each of its names."""

_SLOT_CODE = re.compile(r"(?:__)?kvm_set_memory_region\Z")

_CHECK = re.compile(r"check_memory_region_flags\Z")
_VALID = re.compile(r"\b(?:valid|allowed|supported)_(?:\w+_)?flags\b")
"""What a slot's flags may be. Source: virt/kvm/kvm_main.c; read: 3.7.2 to 7.3.4."""

_ALL = ("noncoherent_dma", "cr0_cd", "guest_mtrr", "guest_pat", "quirk")


class _Row(NamedTuple):
    """A function that changes an input, and the kinds whose entries a zap in it drops."""

    functions: str
    kinds: tuple[str, ...]


_ZAPPING = tuple(
    (re.compile(f"(?:{row.functions})\\Z"), row.kinds)
    for row in (
        _Row("update_mtrr|kvm_mtrr_set_msr|set_msr_mtrr", ("guest_mtrr",)),
        _Row("kvm_post_set_cr0|kvm_set_cr0", ("cr0_cd",)),
        _Row(r"kvm_arch_(?:un)?register_noncoherent_dma|kvm_noncoherent_dma_assignment_\w+", ("noncoherent_dma",)),
        _Row("kvm_vm_ioctl_enable_cap", ("quirk",)),
        _Row(r"kvm_set_msr_common|vmx_set_msr", ("guest_pat",)),
    )
)


_BY_CALL = re.compile(r"\b(update_mtrr|kvm_noncoherent_dma_assignment_\w+)\s*\(")
"""Functions that drop entries for those who call them. Read: 4.2.8 to 6.10.0; 6.14.0 to 7.3.4."""

_MOST_CALLERS = 5
"""How far up callers are looked for; the kernel's own helpers go one or two."""


class _Line(NamedTuple):
    """A line of a function ('' for none)."""

    function: str
    text: str
    place: Place


def number_in(text: str, place: Place) -> Number | None:
    """The number of the interface that a line defines; None for another line, or one that is not plainly a number."""
    found = _DEFINE.match(text)
    if found is None:
        return None
    value = re.sub(r"/\*.*?(?:\*/|$)|//.*", "", found[2]).strip()
    bit, plain = _BIT.fullmatch(value), _PLAIN.fullmatch(value)
    if bit:
        return Number(found[1], 1 << int(bit[1] or bit[2]), place)
    if plain is None or (plain[1][0] == "0" and plain[1].isdigit() and len(plain[1]) > 1):
        return None
    return Number(found[1], int(plain[1], 0), place)


def edits_of(mails: Sequence[Mail]) -> Edits:
    """What patches change of the kernel around the rules, as far as questions hang on it."""
    gone: set[tuple[str, int]] = set()
    given: dict[tuple[str, int], Number] = {}
    masked: set[str] = set()
    added: list[_Line] = []
    removed: list[_Line] = []
    kept: list[_Line] = []
    accepted: set[str] = set()
    for path, hunk in _code(mails):
        lines = [line for line in hunk.lines if line.kind != "-"]
        if path.endswith("asm/kvm_host.h") or _MASK.search(hunk.section) or any(_MASK.search(n.text) for n in lines):
            allowing = _allowing([line.text for line in lines])
            masked.update(
                name
                for line, on in zip(lines, allowing, strict=True)
                if on and line.kind == "+"
                for name in _QUIRK.findall(line.text)
            )
        for line in hunk.lines:
            number = number_in(line.text, line.place) if line.kind != " " else None
            if number and line.kind == "+":
                given.setdefault(number[:2], number)
            elif number:
                gone.add(number[:2])
        for kind, shown in _lines_of(hunk):
            (added if kind == "+" else removed if kind == "-" else kept).append(shown)
        for function, line in changed_lines(hunk):
            if line.kind == "+":
                accepted.update(let_in(function, line.text))
    numbers = tuple(number for key, number in given.items() if key not in gone)
    edits = Edits(numbers, frozenset(masked), accepted=frozenset(accepted))
    return _with_zaps(edits, added, removed, kept)


def _lines_of(hunk: Hunk) -> Iterator[tuple[str, _Line]]:
    """The lines of a hunk, those that change with the function that changed_lines() says, others with the one above."""
    changed = {line.place: function for function, line in changed_lines(hunk)}
    function = section_function(hunk.section) or ""
    for line in hunk.lines:
        function = "" if line.text[:1] == "}" else head_name(line.text) or function
        name = changed.get(line.place, function)
        yield line.kind, _Line(name, line.text, line.place)


def _with_zaps(edits: Edits, added: Sequence[_Line], removed: Sequence[_Line], kept: Sequence[_Line]) -> Edits:
    """The edits, with what new and old lines do to entries as inputs change."""
    sure: set[str] = set()
    maybe: set[str] = set()
    unplaced: dict[str, None] = {}
    for function, text, _ in added:
        seen = set(seen_to(function, text))
        known = bool(_SLOT_CODE.match(function) or _kinds_of(function))
        if seen and not known:
            seen = _by_callers(function, (*added, *kept))
            known = bool(seen)
        if seen or known:
            sure |= seen | _called_kinds(text)
        elif seen_to(function, text):
            maybe.update(_ALL)
            unplaced[function] = None
    still = sure | {kind for line in kept for kind in _dropping(line, kept)}
    gone: dict[str, Unzapped] = {}
    for line in removed:
        if _SLOT_CODE.match(line.function) and "^" not in line.text:
            continue  # it names a flag, and does not compare it with what it was
        for kind in _dropping(line, (*removed, *kept)):
            if kind not in still:
                gone.setdefault(kind, Unzapped(kind, line.function, line.place))
    return edits._replace(
        zapping=frozenset(sure | maybe), unplaced=tuple(unplaced), surely=frozenset(sure), unzapped=tuple(gone.values())
    )


def _kinds_of(function: str) -> tuple[str, ...]:
    """The kinds whose change a function sees to, if it is known for that."""
    return next((kinds for functions, kinds in _ZAPPING if functions.match(function)), ())


def _called_kinds(text: str) -> set[str]:
    """The kinds whose entries a call of a line drops."""
    text = _COMMENT.sub("", text)
    called = None if _HEAD.match(text) else _BY_CALL.search(text)
    return set(_kinds_of(called[1])) if called else set()


def _dropping(line: _Line, others: Sequence[_Line]) -> set[str]:
    """The kinds and flags that a line of a function known for it, or of one that such a function calls, sees to."""
    seen = set(seen_to(line.function, line.text))
    if seen and not (_SLOT_CODE.match(line.function) or _kinds_of(line.function)):
        seen = _by_callers(line.function, others)
    return seen | _called_kinds(line.text)


def _by_callers(function: str, lines: Sequence[_Line]) -> set[str]:
    """The kinds whose change a function sees to by way of those that call it, as far as lines show."""
    found: set[str] = set()
    names, known = {function}, {function}
    for _ in range(_MOST_CALLERS):
        call = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(names)))})\s*\(") if names - {""} else None
        if call is None:
            break
        above = {line.function for line in lines if call.search(_COMMENT.sub("", line.text))} - known - {""}
        found.update(kind for name in above for kind in _kinds_of(name))
        names, known = above, known | above
    return found


class Sides(NamedTuple):
    """A file before and after some commits; '' where it is not there."""

    path: str
    before: str
    after: str


MASKS, SLOTS = "arch/x86/include/asm/kvm_host.h", "virt/kvm/kvm_main.c"
FILES = (
    "include/uapi/linux/kvm.h",
    "include/linux/kvm.h",  # read: 3.6.5 -> 3.7.2, where it moved
    "arch/x86/include/uapi/asm/kvm.h",
    "arch/x86/include/asm/kvm.h",
    MASKS,
    SLOTS,
    "arch/x86/kvm/x86.c",
    "arch/x86/kvm/mtrr.c",
    "arch/x86/kvm/mmu/mmu.c",
    "arch/x86/kvm/mmu.c",
)
"""Where a tree has what this is about."""


def edits_between(files: Sequence[Sides]) -> Edits:
    """As edits_of(), of files as a tree has them; a mask that holds a quirk holds it, whoever put it there.

    What no file of these can tell, since a tree lacks it, nobody looked at.
    """
    gone: set[tuple[str, int]] = set()
    given: dict[tuple[str, int], Number] = {}
    added: list[_Line] = []
    removed: list[_Line] = []
    kept: list[_Line] = []
    accepted: set[str] = set()
    checked = False
    there = {file.path: file.after for file in files if file.after}
    for file in files:
        old = Counter(file.before.split("\n"))
        heads: dict[str, int] = {}
        function = ""
        for at, text in enumerate(file.after.split("\n"), 1):
            function = "" if text[:1] == "}" else head_name(text) or function
            heads.setdefault(function, at)
            new = not old[text]
            old[text] -= not new
            line = _Line(function, text, Place(file.path, at, 1))
            (added if new or _SLOT_CODE.match(function) else kept).append(line)
            checked = checked or bool(_CHECK.match(function))
            if new or _CHECK.match(function):
                accepted.update(name for name in let_in(function, text) if new or name)
            number = number_in(text, Place(file.path, at, 1)) if new else None
            if number:
                given.setdefault(number[:2], number)
        numbers = (number_in(text, Place(file.path, 1, 1)) for text, count in old.items() if count)
        gone.update(number[:2] for number in numbers if number)
        lost = +old
        function = ""
        for text in file.before.split("\n") if lost else ():
            function = "" if text[:1] == "}" else head_name(text) or function
            if lost[text]:
                lost[text] -= 1
                removed.append(_Line(function, text, Place(file.path, heads.get(function, 1), 1)))
    masks = there.get(MASKS, "").split("\n")
    masked = [text for text, on in zip(masks, _allowing(masks), strict=True) if on]
    found = Edits(
        tuple(number for key, number in given.items() if key not in gone),
        frozenset(_QUIRK.findall("\n".join(masked))) if MASKS in there else None,
        accepted=frozenset(accepted) if checked else None,
    )
    found = _with_zaps(found, added, removed, kept)
    return found if SLOTS in there else found._replace(zapping=None)


def _allowing(texts: Sequence[str]) -> list[bool]:
    """Of each line, whether what it lists may be in a mask of quirks that user space can turn off.

    One mask may be part of another.
    """
    found = []
    aside = goes_on = composed = False
    for text in texts:
        if _MASK_OF_NONE.search(text):
            aside = True
        elif not goes_on:
            aside = False
        composed = composed or (not aside and "KVM_X86_CONDITIONAL_QUIRKS" in text)
        found.append(not aside)
        goes_on = text.rstrip().endswith(_GOES_ON)
    return [True] * len(found) if composed else found


def seen_to(function: str, text: str) -> Iterable[str]:
    """The kinds of inputs, and the slot flags, whose change a new line of a function sees to.

    A comment sees to nothing, nor does the head of a function that drops entries.
    """
    text = _COMMENT.sub("", text)
    if _SLOT_CODE.match(function):
        return [_FIRST_NAMES.get(name, name) for name in _FLAG.findall(text)]
    if not _ZAP.search(text) or _HEAD.match(text):
        return ()
    return next((kinds for functions, kinds in _ZAPPING if functions.match(function)), _ALL)


def let_in(function: str, text: str) -> Iterable[str]:
    """The slot flags that a line of a function has KVM accept; '' where it speaks of none by name."""
    text = _COMMENT.sub("", text)
    if not text.strip(" \t{}") or not (_CHECK.match(function) or _VALID.search(text)):
        return ()
    return [_FIRST_NAMES.get(name, name) for name in _FLAG.findall(text)] or [""]


def _code(mails: Sequence[Mail]) -> Iterator[tuple[str, Hunk]]:
    for mail in mails:
        for item in mail.files:
            if is_code(item.path):
                yield from ((item.path, hunk) for hunk in item.hunks if not hunk.trouble)
