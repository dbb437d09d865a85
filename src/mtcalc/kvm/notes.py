# SPDX-License-Identifier: GPL-2.0-only
"""Notes: what belongs to an answer besides the answer, each with a code (mtcalc.kvm.note_codes).

Outputs group and place notes by their codes; the text is for people alone.
"""

from typing import TYPE_CHECKING

from mtcalc.text.record import Record

if TYPE_CHECKING:
    from mtcalc.kvm.note_codes import About, Level


class Note(Record):
    """One note. Two of the same code and text are the same note."""

    code: str
    text: str

    @property
    def about(self) -> "About":
        """What it speaks of."""
        from mtcalc.kvm.note_codes import CODES

        return CODES[self.code].about

    @property
    def level(self) -> "Level":
        """How much it matters."""
        from mtcalc.kvm.note_codes import CODES

        return CODES[self.code].level

    def __str__(self) -> str:
        return self.text
