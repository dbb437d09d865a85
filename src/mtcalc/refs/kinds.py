# SPDX-License-Identifier: GPL-2.0-only
"""What kind of rule set a file is: by its suffix, and where none tells, by what is in it."""

from __future__ import annotations

import re
from enum import Enum

from mtcalc.csource.cut import cut
from mtcalc.csource.predicates import FUNCTION
from mtcalc.csource.source import OLDEST_FUNCTION
from mtcalc.text.filenames import C_SUFFIXES, PATCH_SUFFIXES, RULE_FILE_SUFFIXES


class FileKind(Enum):
    """What a file REF can be."""

    RULES = "a rule file"
    C = "a C source"
    PATCH = "a patch"


_SUFFIXES = {FileKind.RULES: RULE_FILE_SUFFIXES, FileKind.C: C_SUFFIXES, FileKind.PATCH: PATCH_SUFFIXES}

_QUOTE = rb"^(?:> ?)*"
_PATCH = re.compile(
    _QUOTE + rb"(?:diff --git |--- .*\r?\n(?:> ?)*\+\+\+ |@@ -\d)|\A(?:From [0-9a-f]{40} |(?:From|Subject|Date): )",
    re.M,
)
_MAIL = re.compile(
    rb"(?:From [^\n]*\n)?(?:[A-Za-z][\w-]*:[^\n]*\n(?:[ \t][^\n]*\n)*)*?(?:From|Subject|Date|Message-I[Dd]): "
)
"""Headers, of which a server's stand first; the body may be encoded."""
_MAIL_HEAD = 1 << 16
_C = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?:/\*|//|#[ \t]*(?:include|define|if))|^[a-z][^\n;=:#]*\([^\n;]*\)\s*\{", re.M
)
_KEYS = rb"[\"']?(?:rules|base|changes|name|title|kernel|mmio_test)[\"']?[ \t]*:"
_RULES = re.compile(rb"^" + _KEYS + rb"|\A\s*\{\s*" + _KEYS, re.M)
_PACKED = (b"\x1f\x8b", b"\xfd7zXZ\x00")


def kind_by_suffix(ref: str) -> FileKind | None:
    """The kind that a name tells."""
    return next((kind for kind, suffixes in _SUFFIXES.items() if ref.lower().endswith(suffixes)), None)


def kind_by_content(content: bytes) -> FileKind | None:
    """The kind that a content tells; None for none. A packed file is a patch: nothing else is read packed."""
    if content.startswith(_PACKED) or _PATCH.search(content) or _MAIL.match(content[:_MAIL_HEAD]):
        return FileKind.PATCH
    if any(cut(content, name) for name in (FUNCTION, OLDEST_FUNCTION)):
        return FileKind.C
    if _RULES.search(content):
        return FileKind.RULES
    return FileKind.C if _C.search(content) else None
