# SPDX-License-Identifier: GPL-2.0-only
"""Did you mean: the nearest of the known words."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], most: int = 3, cutoff: float = 0.5) -> list[str]:
    """The known words that look like `word`, best first, at most `most`; `cutoff` from 0 to 1, alike to the letter."""
    from difflib import get_close_matches  # costs 5 ms, and only errors need it

    spelled = {name.casefold(): name for name in known}
    return [spelled[m] for m in get_close_matches(word.casefold(), spelled, n=most, cutoff=cutoff)]


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """`did you mean X?` for the nearest known word, else `one of A, B, C`."""
    words = list(known)
    near = nearest(word, words, 1, cutoff)
    return f"did you mean {near[0]}?" if near else f"one of {', '.join(words)}"
