# SPDX-License-Identifier: GPL-2.0-only
"""The parts of pages that the program writes: between `<!-- NAME -->` and `<!-- /NAME -->`."""

from __future__ import annotations

import re
from collections.abc import Callable

from mtcalc.scenario.reference import key_reference

_PART = re.compile(r"(<!-- ([a-z-]+) -->\n).*?(<!-- /\2 -->)", re.S)

PARTS: dict[str, Callable[[], str]] = {"keys": key_reference}
"""By the name in the mark: what makes the part, Markdown with a final newline."""


def filled(text: str) -> str:
    """A page with every marked part made anew. Raises KeyError for a mark nobody makes."""
    return _PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}{found[3]}", text)
