# SPDX-License-Identifier: GPL-2.0-only
"""Where in a mail the code stands that a review is about: what a tool points at."""

from __future__ import annotations

from mtcalc.patches.hunks import KNOWN, ROOTS, holds_function, is_code
from mtcalc.patches.known import changed_lines
from mtcalc.patches.records import Mail
from mtcalc.text.errors import Place


def lines_of(mail: Mail) -> tuple[Place, ...]:
    """The changed lines of a mail, those first that the rules are likeliest made of; the mail's own where none is."""
    ranked: list[tuple[int, Place]] = []
    for item in mail.files:
        rest = 2 if holds_function(item) else 3 if is_code(item.path) else 4
        for hunk in item.hunks:
            for function, line in changed_lines(hunk):
                rank = 0 if function in ROOTS else 1 if function in KNOWN and rest < 4 else rest
                ranked.append((rank, line.place))
    ranked.sort(key=lambda pair: pair[0])  # stable: of one rank as they stand
    return tuple(place for _, place in ranked) or (mail.place,)
