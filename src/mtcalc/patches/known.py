# SPDX-License-Identifier: GPL-2.0-only
"""What a patch does to names whose meaning is known: functions that rules ask by name, constants, C's own words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mtcalc.csource.predicates import CONSTANTS, LONG_CONSTANTS, MASK_CONSTANTS
from mtcalc.csource.types import is_type_name
from mtcalc.patches.hunks import KNOWN, NOT_NAMES, head_name, is_code, section_function
from mtcalc.patches.read import Hunk, Line, Mail
from mtcalc.text.errors import InputError

# Slot flags and quirks are told by name, whatever their bits.
_VALUES = {
    **CONSTANTS,
    **LONG_CONSTANTS,
    **{name: bit for name, bit in MASK_CONSTANTS.items() if name.startswith("X86_")},
}
_DEFINE = re.compile(r"\s*#\s*define\s+(\w+)(\(?)")
_NUMBER = re.compile(r"(?:(0x[0-9a-f]+|\d+)[ul]*(?:<<(\d+)[ul]*)?|bit(?:_ull)?(\d+)[ul]*)", re.IGNORECASE)


def known_functions_changed(mails: Sequence[Mail]) -> tuple[str, ...]:
    """The functions that rules ask by name, such as kvm_arch_has_noncoherent_dma, and whose code the patches change."""
    found: dict[str, None] = {}
    for _, hunk in _code(mails):
        name = section_function(hunk.section)
        for line in hunk.lines:
            if line.text[:1] == "}":
                name = None
            else:
                name = head_name(line.text) or name
            if name is not None and name in KNOWN and line.kind != " " and line.text.strip():
                found[name] = None
    return tuple(found)


def check_macros(mails: Sequence[Mail]) -> None:
    """Raises InputError where a patch gives a known constant another value, or C's own words another meaning."""
    gone = {_said(line.text) for _, hunk in _code(mails) for line in hunk.lines if line.kind == "-"}
    for line in _added(mails):
        macro = _DEFINE.match(line.text)
        if macro is None or _said(line.text) in gone:
            continue  # none, or moved
        name = macro[1]
        known = name in KNOWN or name in NOT_NAMES or is_type_name(name)
        if known or (
            name in _VALUES and ((macro[2] and not macro[3].count(")")) or _value(line.text) != _VALUES[name])
        ):
            what = f"the patch defines {name} anew, which is not followed"
            raise InputError(f"{what} (review the C file itself, before and after: mtcalc diff)", line.place)


def _code(mails: Sequence[Mail]) -> Iterator[tuple[str, Hunk]]:
    for mail in mails:
        for item in mail.files:
            if is_code(item.path):
                yield from ((item.path, hunk) for hunk in item.hunks)


def _added(mails: Sequence[Mail]) -> Iterator[Line]:
    return (line for _, hunk in _code(mails) for line in hunk.lines if line.kind == "+")


def _said(text: str) -> str:
    return " ".join(text.split())


def _value(text: str) -> int | None:
    """The number that a #define's line gives its name; None where that is not plain."""
    body = re.sub(r"/\*.*?\*/|//.*", "", text)
    macro = re.match(r"\s*#\s*define\s+\w+\s+(.*)$", body)
    number = _NUMBER.fullmatch(re.sub(r"[\s()]", "", macro[1])) if macro else None
    if number is None:
        return None
    if number[3]:
        return 1 << int(number[3]) if len(number[3]) < 3 else None
    if len(number[1]) > 18 or (number[2] and len(number[2]) > 2):
        return None
    return int(number[1], 0 if number[1][:2].lower() == "0x" else 10) << int(number[2] or 0)
