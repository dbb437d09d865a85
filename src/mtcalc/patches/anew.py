# SPDX-License-Identifier: GPL-2.0-only
"""Names whose meaning is known, and that a patch gives another: constants, the function's own words, those of C.

Rules read from a patch take such names as what they are known for; where a patch says otherwise it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mtcalc.csource.predicates import CONSTANTS, FUNCTION, LONG_CONSTANTS, MASK_CONSTANTS, QUIRK_CONSTANTS
from mtcalc.csource.tokens import Token, texts
from mtcalc.csource.types import is_type_name
from mtcalc.csource.writer import HELPER
from mtcalc.patches.hunks import FLAGS_AND_QUIRKS, INTERFACE, KNOWN, holds_function, is_code
from mtcalc.patches.macros import declares, is_field
from mtcalc.patches.pieces import NOT_NAMES, side_of_hunk
from mtcalc.patches.records import Hunk, Mail
from mtcalc.text.errors import InputError, Place

_BY_NUMBER = re.compile(r"\b(?:flags|disabled_quirks)\s*(?:&|\|\||==|!=)\s*~?\(?\s*(?:\d|BIT|_BITULL?|GENMASK)")
"""Code that asks for a flag or quirk by its bit, and not by name."""

KNOWN_VALUES = {**CONSTANTS, **LONG_CONSTANTS, **MASK_CONSTANTS, **QUIRK_CONSTANTS}

FUNCTION_WORDS = frozenset(
    (
        *("vcpu", "gfn", "is_mmio", "mmio", "kvm", "arch", "slot", "memslot", "flags", "cr0", "mtrr_state"),
        *("cache", "ipat", "ret", "mt_mask", "exit", "disabled_quirks", "noncoherent_dma_count", "iommu_noncoherent"),
        *("kvm_vcpu", "kvm_memory_slot", "iommu_domain", "iommu_flags", "KVM_IOMMU_CACHE_COHERENCY"),
        "X86_FEATURE_SELFSNOOP",
    )
)
"""Parameters, locals, fields and other words that kernels have had in the function and that rules are written with."""

_ASKED = frozenset((FUNCTION, HELPER, "kvm_read_cr0"))

_NEAR = 500
"""Tokens before a name that are looked at; the longest enum of KVM's headers has some 150."""

_MACRO = re.compile(r"\s*#\s*(define|undef)\s+(\w+)(\(?)")
_NUMBER = re.compile(
    r"(?:(0x[0-9a-f]+|0|[1-9]\d*)[ul]*(?:<<(\d+)[ul]*)?|(?:bit(?:_ull)?|_bitull?)(\d+)[ul]*)", re.IGNORECASE
)
_AN_ENUM = re.compile(r"\benum\b[^;{}()]*\{?\s*$")


class _Said(NamedTuple):
    """What one side of a hunk says of a name: `how` it is told, 'define' or 'undef', else as C; and its value."""

    name: str
    how: str
    takes: bool
    value: str


def check_names(mails: Sequence[Mail]) -> None:
    """Raises InputError where a patch gives a known name another value or meaning, or takes its own from it.

    A bit that the interface's own header gives a slot flag or quirk is none: rules know these by name, and a review
    asks about the number. Unless code masks with plain numbers, of which it is not known which bits they mean then.
    """
    hunks = [
        (hunk, holds_function(item) or _is_seen(item.path), item.path.endswith(INTERFACE))
        for mail in mails
        for item in mail.files
        if is_code(item.path)
        for hunk in item.hunks
    ]
    gone = {said for hunk, *_ in hunks for said, _ in _said_in(hunk, "-")}
    by_number = any(_BY_NUMBER.search(line.text) for hunk, *_ in hunks for line in hunk.lines if line.kind == "+")
    for hunk, seen, interface in hunks:
        new = [(said, place) for said, place in _said_in(hunk, "+") if said not in gone]  # else it is moved, or stays
        for at, (said, place) in enumerate(new):
            if said.how == "undef":
                again = any(later.name == said.name and later.how == "define" for later, _ in new[at:])
                if said.name in KNOWN_VALUES and not again:
                    what = f"the patch takes {said.name} away"
                    raise InputError(f"{what} (no #undef, or a #define of it below)", place)
            elif _is_anew(said, seen) and (by_number or not (interface and _is_a_bit_by_name(said))):
                what = f"the patch defines {said.name} anew, which is not followed"
                raise InputError(f"{what} (review the C file itself, before and after: mtcalc diff)", place)


def _is_seen(path: str) -> bool:
    """Whether a file is a header that the function's file can include."""
    return path.endswith(".h") and path.startswith(("arch/", "include/", "virt/"))


def _is_anew(said: _Said, seen: bool) -> bool:
    """Whether a name gets another meaning; `seen`: in a file that the function sees."""
    if said.name in KNOWN_VALUES:
        return said.takes or _number(said.value) != KNOWN_VALUES[said.name]
    if said.how != "define":
        return False
    if said.name in KNOWN or said.name in _ASKED or said.name in NOT_NAMES or is_type_name(said.name):
        return True
    return seen and said.name in FUNCTION_WORDS and not said.takes and said.value != said.name


def _is_a_bit_by_name(said: _Said) -> bool:
    """Whether a #define gives a slot flag or a quirk one bit, in plain digits."""
    if said.how != "define" or said.takes or said.name not in FLAGS_AND_QUIRKS:
        return False
    number = _number(said.value) or 0
    return number > 0 and not number & (number - 1)


def _said_in(hunk: Hunk, sign: str) -> Iterator[tuple[_Said, Place]]:
    """What one side of a hunk says of names: its #define and #undef, enumerators and variables."""
    yield from _macros_in(hunk, sign)
    if not any(name in line.text for line in hunk.lines for name in KNOWN_VALUES):
        return
    try:
        found = side_of_hunk(_blanked(hunk), sign).tokens
    except ValueError:
        return  # half a comment, which is a matter of who follows the hunk
    yield from _declared_in(found, hunk)


def _macros_in(hunk: Hunk, sign: str) -> Iterator[tuple[_Said, Place]]:
    """The #define and #undef lines of one side, those with continuation lines as one."""
    pending = ""
    place: Place | None = None
    for line in hunk.lines:
        if line.kind not in (" ", sign):
            continue
        text = line.text.rstrip()
        if place is None and not _MACRO.match(text[:500]):
            continue
        place = place or line.place
        pending += " " + text.removesuffix("\\")
        if text.endswith("\\"):
            continue
        macro = _MACRO.match(pending)
        if macro:
            value = re.sub(r"/\*.*?\*/|//.*", "", pending[macro.end(2) :])
            yield _Said(macro[2], macro[1], bool(macro[3]), " ".join(value.split())), place
        pending, place = "", None


def _blanked(hunk: Hunk) -> Hunk:
    """A hunk whose preprocessor lines are empty, with the lines that they go on in."""
    lines = []
    inside = {" ": False, "-": False, "+": False}
    for line in hunk.lines:
        sides = ("-", "+") if line.kind == " " else (line.kind,)
        directive = line.text.lstrip().startswith("#") or any(inside[side] for side in sides)
        inside |= dict.fromkeys(sides, directive and line.text.rstrip().endswith("\\"))
        # A comment that begins behind a directive may go on below it.
        lines.append(line._replace(text=_comment_of(line.text)) if directive else line)
    return hunk._replace(lines=tuple(lines))


def _comment_of(text: str) -> str:
    start = text.rfind("/*")
    return "" if start < 0 or "*/" in text[start:] else text[start:]


def _declared_in(found: Sequence[Token], hunk: Hunk) -> Iterator[tuple[_Said, Place]]:
    """The known constants that tokens of C declare or give a value: as variables, or as enumerators."""
    opened: list[tuple[int, bool]] = [(0, bool(_AN_ENUM.search(hunk.section)))]
    for at, token in enumerate(found):
        if token.text == "{":
            opened.append((at, bool(_AN_ENUM.search(" ".join(texts(found[max(at - 8, 0) : at]))))))
        elif token.text == "}" and len(opened) > 1:
            opened.pop()
        elif token.text in KNOWN_VALUES and not is_field(found, at):
            behind = found[at + 1].text if at + 1 < len(found) else ""
            start, enum = opened[-1]
            ahead = found[at - 1].text if at else ""
            bare = enum and behind in (",", "}", "") and ahead in ("{", ",", "")
            near = max(start, at - _NEAR)
            if behind == "=" or bare or declares(found[near : at + 2], at - near):
                value = _value_behind(found, at + 2) if behind == "=" else " ".join(texts(found[near : at + 1]))
                yield _Said(token.text, "C", False, value), token.place or hunk.place


def _value_behind(found: Sequence[Token], at: int) -> str:
    """The text of what a name is given: up to the comma, brace or semicolon."""
    last = min(at + _NEAR, len(found))
    end = next((n for n in range(at, last) if found[n].text in (",", ";", "}")), last)
    return " ".join(texts(found[at:end]))


def _number(text: str) -> int | None:
    """The number that a plain text is; None for another."""
    number = _NUMBER.fullmatch(re.sub(r"[\s()]", "", text))
    if number is None:
        return None
    if number[3]:
        return 1 << int(number[3]) if len(number[3]) < 3 else None
    if len(number[1]) > 18 or (number[2] and len(number[2]) > 2):
        return None
    return int(number[1], 0 if number[1][:2].lower() == "0x" else 10) << int(number[2] or 0)
