# SPDX-License-Identifier: GPL-2.0-only
"""A scenario as plain records, with the places they came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mtcalc.kvm.notes import Note
from mtcalc.kvm.points import Expect, ExpectHazard, Page
from mtcalc.kvm.vm import Slot, Vm
from mtcalc.text.errors import InputError, Place

if TYPE_CHECKING:
    from mtcalc.kvm.vmm import Vmm


class Scenario(NamedTuple):
    """One VM as a file describes it.

    `rules` is the REF as written, None where the file names none; `slot_places` run along `slots`;
    `vcnt` is the number of variable MTRR pairs, `vcnt_said` whether the file gives it, `vcnt_unsaid` the error under
    a kernel that gives a guest fewer, where it does not; `notes` are assumptions worth saying.
    """

    file: str
    rules: str | None
    rules_place: Place | None
    vm: Vm
    slots: tuple[Slot, ...]
    slot_places: tuple[Place, ...]
    pages: tuple[Page, ...]
    expects: tuple[Expect, ...]
    vcnt: int = 8
    notes: tuple[Note, ...] = ()
    mtrr_place: Place | None = None
    vcnt_said: bool = False
    vcnt_unsaid: InputError | None = None
    pat_said: bool = False  # whether the file gives guest.pat
    expect_hazards: tuple[ExpectHazard, ...] = ()
    vmm: Vmm | None = None

    def pair_notes(self, pairs: int) -> tuple[Note, ...]:
        """What a kernel that gives a guest `pairs` variable MTRRs makes of those here.

        Raises InputError where the file has more and does not say so with vcnt.
        """
        if self.vcnt_unsaid is not None and self.vcnt > pairs:
            raise self.vcnt_unsaid
        if not self.vcnt_said or self.vcnt >= pairs:
            return ()
        text = f"{self.vcnt} variable pairs: KVM gives a guest {pairs}; the others are taken as off"
        return (Note("pairs", text),)
