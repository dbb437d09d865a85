# SPDX-License-Identifier: GPL-2.0-only
"""Which hunks of a patch can concern vmx_get_mt_mask(), or the host-MMIO test.

Everything else in a patch is left aside before anything is made of it: what a reviewer trimmed, moved or renamed
elsewhere is nobody's trouble here. What counts is the function, the helper that kernels have had for it, and what
the patch's own new code calls and defines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from mtcalc.csource.mmio import INNER, RESERVED_TEST, TEST
from mtcalc.csource.predicates import (
    FUNCTION,
    GUEST_MTRR_SPELLINGS,
    HOST_PAGE_SPELLINGS,
    MASK_CALLS,
    MASK_CONSTANTS,
    QUIRK_CONSTANTS,
    SPELLINGS,
    TRANSPARENT,
)
from mtcalc.csource.tokens import Function, texts
from mtcalc.csource.writer import HELPER
from mtcalc.kvm.flags import QUIRKS
from mtcalc.patches.macros import Macros, defines, macro_name
from mtcalc.patches.pieces import (
    CALLED,
    CONDITIONAL,
    LABEL,
    FunctionPiece,
    head_name,
    net_braces,
    pieces_of,
    section_function,
    side_of_hunk,
    under_condition,
)
from mtcalc.patches.records import FilePatch, Hunk, Mail
from mtcalc.text.errors import InputError, Place

ROOTS = (FUNCTION, HELPER)
"""The functions whose hunks can concern the rules, with all that these come to call."""

MAX_CUTS = 400
"""Hunks that can concern the function; a series of twenty patches has some sixty."""
MAX_HUNK = 100_000
"""Characters of a hunk that can concern the function; all of vmx_get_mt_mask() has some 1,500."""
_MAX_TOGETHER = 10 * MAX_HUNK
"""Of all of them, or of all hunks of a file whose braces are counted."""
_OWN_LABEL = "exit"  # what kernels from 4.2 to 5.17 had in the function
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
    *QUIRKS,
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


INTERFACE = ("include/uapi/linux/kvm.h", "include/uapi/asm/kvm.h", "include/linux/kvm.h", "include/asm/kvm.h")
"""The headers that give slot flags and quirks their bits. Read: 3.6.5 -> 3.7.2, where uapi/ came."""
FLAGS_AND_QUIRKS = frozenset((*QUIRK_CONSTANTS, *(name for name in MASK_CONSTANTS if name.startswith("KVM_MEM_"))))
"""What rules know by name, whatever bit those headers give it."""


class Subject(NamedTuple):
    """What patches are followed for."""

    asked: tuple[str, ...]  # the functions that it is read from
    roots: tuple[str, ...]  # whose hunks can concern it, with all that these come to call
    files: tuple[str, ...]  # of these names, wherever they are
    hints: tuple[str, ...]  # words that give away a hunk where its @@ line names no function
    known: frozenset[str]  # names whose meaning is known
    only_hinted: bool  # of hunks that name no function, those alone count
    needed: tuple[str, ...]  # a text without one of them is not the one that a change of it is for


RULES = Subject((FUNCTION,), ROOTS, ("vmx.c",), _HINTS, KNOWN, False, (HELPER,))
_TESTS = (TEST, INNER, RESERVED_TEST)
HOST_MMIO = Subject(
    _TESTS,
    _TESTS,
    ("spte.c", "mmu.c", "kvm_main.c"),
    ("pfn_valid(", "PageReserved(", "is_zero_pfn(", "pat_pfn_immune_to_uc_mtrr(", "e820__mapped_raw_any("),
    frozenset((*TRANSPARENT, *(name for row in HOST_PAGE_SPELLINGS for name in re.findall(r"(\w+)\\\(", row.pattern)))),
    True,
    (TEST, INNER),
)
"""Source: arch/x86/kvm/mmu/spte.c, before 5.11 arch/x86/kvm/mmu/mmu.c and mmu.c, before 4.2 virt/kvm/kvm_main.c."""


class CutHunk(NamedTuple):
    """A hunk that can concern the function, cut at the heads of functions."""

    mail: Mail
    item: FilePatch
    hunk: Hunk
    before: tuple[FunctionPiece, ...] = ()
    after: tuple[FunctionPiece, ...] = ()
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
    """Patches as far as they can concern the function, in order."""

    mails: tuple[Mail, ...]
    cuts: tuple[CutHunk, ...]
    names: frozenset[str]  # the functions that the new code can reach
    unbalanced: InputError | None  # a file that has more or fewer braces afterwards
    macros: Macros  # those that the patches add
    known: tuple[KnownChange, ...]
    subject: Subject = RULES


def holds_function(item: FilePatch, subject: Subject = RULES, named: bool = False) -> bool:
    """Whether it is the file with vmx_get_mt_mask(): by its path, or since a hunk lies in that function.

    Of the host-MMIO test, a file of the kernel alone: other code has functions that are called like its. `named`: a
    path alone does not tell.
    """
    if "selftests" in item.path or (subject is HOST_MMIO and not is_code(item.path)):
        return False
    if not named and item.path.rsplit("/", 1)[-1] in subject.files:
        return True
    return any(name in subject.asked for hunk in item.hunks for name in _defined(hunk))


def hunk_name(item: FilePatch, hunk: Hunk | None) -> str:
    """'arch/x86/kvm/mmu/spte.c: static bool kvm_is_mmio_pfn(kvm_pfn_t pfn)'; without a hunk the path alone."""
    path = item.path[-100:]
    if hunk is None:
        return path
    return f"{path}: {hunk.section or f'line {hunk.old_start}'}"


def prepare(
    mails: Sequence[Mail],
    reached: Iterable[str] = (),
    known: Sequence[KnownChange] = (),
    subject: Subject = RULES,
) -> Prepared:
    """The hunks that can concern the subject, those that `reached` names besides, and what `known` lead to.

    Raises InputError for one of them that can't be read, or too many.
    """
    followed = [change.name for change in known if change.new]
    listed = [(mail, item, hunk) for mail in mails for item in mail.files for hunk in item.hunks or (None,)]
    pairs = [(item, hunk) for _, item, hunk in listed]
    names, chosen = _reached(pairs, {*subject.roots, *reached, *followed}, subject)
    cuts: list[CutHunk] = []
    together = 0
    for number, (mail, item, hunk) in enumerate(listed):
        if hunk is None and item.trouble and holds_function(item, subject):
            raise item.trouble
        if hunk is None or number not in chosen:
            continue
        if hunk.trouble and (holds_function(item, subject) or not _lacks_a_blank_line(hunk)):
            raise hunk.trouble
        size = _size(hunk)
        together += size
        if size > MAX_HUNK or together > _MAX_TOGETHER:
            what = f"{size:,} characters in a hunk that can concern {subject.asked[0]}()"
            raise InputError(f"{what} (at most {MAX_HUNK:,}, and {_MAX_TOGETHER:,} together)", hunk.place)
        if len(cuts) == MAX_CUTS:
            what = f"over {MAX_CUTS} hunks that can concern {subject.asked[0]}() (the patches that do)"
            raise InputError(what, hunk.place)
        cuts.append(_cut(mail, item, hunk, names, subject))
    unbalanced = next((found for found in map(_unbalanced, _files_cut(cuts)) if found), None)
    macros = Macros(
        macro
        for _, item, hunk in listed
        if hunk and is_code(item.path)
        for macro in defines(hunk)
        if not (macro.name in FLAGS_AND_QUIRKS and item.path.endswith(INTERFACE))
    )
    return Prepared(tuple(mails), tuple(cuts), frozenset(names), unbalanced, macros, tuple(known), subject)


def _lacks_a_blank_line(hunk: Hunk) -> bool:
    """Whether a hunk is whole but for the blank line at its end that mail programs eat."""
    old, new = (sum(line.kind in (" ", sign) for line in hunk.lines) for sign in "-+")
    return old == hunk.old_count and new + 1 == hunk.new_count


def _size(hunk: Hunk) -> int:
    return sum(len(line.text) + 1 for line in hunk.lines)


def _reached(
    listed: Sequence[tuple[FilePatch, Hunk | None]], names: set[str], subject: Subject
) -> tuple[set[str], set[int]]:
    """The functions that the patches' new code can reach, and the numbers of the hunks that hold part of them."""
    defining: dict[str, list[int]] = {}
    chosen: set[int] = set()
    for number, (item, hunk) in enumerate(listed):
        if hunk is None or not (is_code(item.path) or holds_function(item, subject)):
            continue
        for name in _defined(hunk):
            defining.setdefault(name, []).append(number)
        if holds_function(item, subject) and _may_be_ours(hunk, subject):
            chosen.add(number)
    todo = list(names)
    fresh = list(chosen)
    while todo or fresh:
        for name in todo:
            fresh += [number for number in defining.get(name, ()) if number not in chosen]
        chosen.update(fresh)
        called = {name for number in fresh for name in _calls(listed[number][1])}
        fresh = []
        todo = [name for name in called - names if name in defining and name not in subject.known]
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


def _calls(hunk: Hunk | None) -> Iterator[str]:
    for line in hunk.lines if hunk else ():
        if line.kind != "-" and "(" in line.text:
            yield from CALLED.findall(line.text)


def _may_be_ours(hunk: Hunk, subject: Subject) -> bool:
    """Whether a hunk of the function's file names the function, or names none and may lie in it."""
    if subject is RULES and any(
        name in text for name in subject.roots for text in (hunk.section, *(n.text for n in hunk.lines))
    ):
        return True
    label = LABEL.match(hunk.section)
    if (label and label[1] != _OWN_LABEL) or (hunk.section and not label):
        return False
    if subject.only_hinted:
        return _hinted(hunk, subject)
    return (
        bool(hunk.trouble)
        or _hinted(hunk, subject)
        or any(line.kind != " " and line.text.strip() for line in hunk.lines)
    )


def _hinted(hunk: Hunk, subject: Subject) -> bool:
    return any(hint in line.text for line in hunk.lines for hint in subject.hints)


def _cut(mail: Mail, item: FilePatch, hunk: Hunk, names: set[str], subject: Subject) -> CutHunk:
    found = CutHunk(mail, item, hunk, hinted=_hinted(hunk, subject))
    try:
        was, new = side_of_hunk(hunk, "-"), side_of_hunk(hunk, "+")
    except ValueError as error:
        return found._replace(trouble=str(error))
    if (was.begins_open, was.ends_open) != (new.begins_open, new.ends_open):
        return found._replace(trouble="it opens or closes a comment that goes on outside of it")
    before, after = pieces_of(hunk, was.tokens), pieces_of(hunk, new.tokens)
    # What is added with its #if is told by what else has that name.
    old = [piece for piece in before if piece.name in names and piece.head]
    kept = [piece for piece in after if piece.name in {piece.name for piece in old} and piece.head]
    under = under_condition(hunk, [*old, *kept])
    same = texts(was.tokens) == texts(new.tokens)
    return found._replace(before=before, after=after, comments_only=same, trouble=under)


def _files_cut(cuts: Iterable[CutHunk]) -> list[FilePatch]:
    files: list[FilePatch] = []
    for cut in cuts:
        if not files or cut.item is not files[-1]:
            files.append(cut.item)
    return files


def _unbalanced(item: FilePatch) -> InputError | None:
    """A file whose braces do not close any longer after a patch; None where that can't be told."""
    net = 0
    if sum(map(_size, item.hunks)) > _MAX_TOGETHER:
        return None
    for hunk in item.hunks:
        if hunk.trouble or any(line.kind != " " and CONDITIONAL.match(line.text) for line in hunk.lines):
            return None
        try:
            net += net_braces(side_of_hunk(hunk, "+").tokens) - net_braces(side_of_hunk(hunk, "-").tokens)
        except ValueError:
            return None
    if not net:
        return None
    many, few = "{}" if net > 0 else "}{"
    return InputError(f"after this patch the file has more '{many}' than '{few}' (all hunks of it, whole)", item.place)
