# SPDX-License-Identifier: GPL-2.0-only
"""A scenario as plain records, with the places they came from."""

from __future__ import annotations

from typing import NamedTuple

from mtcalc.kvm.points import Expect, Page
from mtcalc.kvm.vm import Slot, Vm
from mtcalc.text.errors import Place


class Scenario(NamedTuple):
    """One VM as a file describes it.

    `rules` is the REF as written, None where the file names none; `slot_places` run along `slots`;
    `vcnt` is the number of variable MTRR pairs; `notes` are assumptions worth saying.
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
    notes: tuple[str, ...] = ()
    mtrr_place: Place | None = None
