# SPDX-License-Identifier: GPL-2.0-only
"""What a derivation is made of."""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    """One step: what it is about, what it found, in full sentences, and where that stands."""

    about: str
    result: str
    lines: tuple[str, ...]
    source: str
