# SPDX-License-Identifier: GPL-2.0-only
"""Did you mean: the nearest of the known words."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known words that look like `word`, best first, at most `most`."""
    from difflib import get_close_matches  # costs 5 ms, and only errors need it

    spelled = {name.casefold(): name for name in known}
    return [spelled[m] for m in get_close_matches(word.casefold(), spelled, n=most, cutoff=0.5)]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean X?` for the nearest known word, else `one of A, B, C`."""
    words = list(known)
    near = nearest(word, words, 1)
    return f"did you mean {near[0]}?" if near else f"one of {', '.join(words)}"
