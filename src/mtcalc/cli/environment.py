# SPDX-License-Identifier: GPL-2.0-only
"""The environment variables mtcalc reads, all of them."""

from __future__ import annotations

import os
import sys

RULES = "MTCALC_RULES"
OUTPUT = "MTCALC_OUTPUT"
COLOR = "MTCALC_COLOR"
GIT = "MTCALC_GIT"
COMPLETE = "_MTCALC_COMPLETE"
"""What a shell's completion script sets on a TAB; the words typed so far are in COMP_WORDS and COMP_CWORD."""


def colour(option: str | None) -> bool:
    """Whether to use colour: --color or MTCALC_COLOR; in auto NO_COLOR, then FORCE_COLOR, then the terminal."""
    if option == "always":
        return True
    if option == "never" or os.environ.get("NO_COLOR"):
        return False
    forced = os.environ.get("FORCE_COLOR", "")
    if forced:
        return forced != "0"
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
