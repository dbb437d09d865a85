# SPDX-License-Identifier: GPL-2.0-only
"""Notes as tests compare them."""

from __future__ import annotations

from collections.abc import Iterable

from mtcalc.kvm.notes import Note


def noted(notes: Iterable[Note]) -> tuple[str, ...]:
    """What notes say."""
    return tuple(note.text for note in notes)


def codes(notes: Iterable[Note]) -> tuple[str, ...]:
    """Their codes."""
    return tuple(note.code for note in notes)
