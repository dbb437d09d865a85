# SPDX-License-Identifier: GPL-2.0-only
"""SPTEs of a known release or of none: what they are, and which releases can have written them.

The layouts are mtcalc.kvm.spte_eras, one value under one layout is mtcalc.kvm.spte_reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

from mtcalc.kvm.notes import Note
from mtcalc.kvm.spte_eras import LAYOUTS, Layout, Release, layout_at, spans, unread
from mtcalc.kvm.spte_reading import (
    Gfn,
    Reading,
    SpteKind,
    generation_repeats,
    read_ept,
    read_manual,
    read_pte,
)
from mtcalc.x86.ept import LARGE_BIT
from mtcalc.x86.ept_entry import EptEntry, decode_entry

__all__ = ["EraReading", "Gfn", "Reading", "Spte", "SpteKind", "decode_spte", "decode_spte_at_any_level", "eras_of"]

T = TypeVar("T")
LEVELS = (1, 2, 3, 4, 5)


class EraReading(NamedTuple):
    """A reading and the releases that have it."""

    era: str
    reading: Reading


class Spte(NamedTuple):
    """An SPTE: what each release that can have written it says. What they agree on are the properties."""

    value: int
    level: int
    entry: EptEntry  # as the manual reads it, whatever wrote it
    readings: tuple[EraReading, ...]  # one at least, oldest era first, then NPT and shadow paging
    era: str  # '' where no release writes such an entry, and it is read as the CPU does
    release: Release | None = None  # whose layout was asked for
    pte_era: str = ""  # the releases that can have written it for NPT or shadow paging, where EPT's can as well
    fits: str = ""  # the releases that can have written it, where the one asked for can not
    pte_fits: str = ""  # where none can into an EPT: those that can for NPT or shadow paging
    notes: tuple[Note, ...] = ()
    levels: tuple[int, ...] = ()  # all that it reads the same at, where none was given
    others: tuple[Spte, ...] = ()  # the same value at levels where it says something else
    npt: bool = False  # read as an entry of AMD's nested paging: mtcalc.kvm.npt_entry

    @property
    def kind(self) -> SpteKind | None:
        """What it is; None where that is undecided."""
        return _one(found.reading.kind for found in self.readings)

    @property
    def memtype(self) -> int | None:
        """The encoding in a leaf, else None."""
        return _one(found.reading.memtype for found in self.readings)

    @property
    def ipat(self) -> bool | None:
        """Ignore-PAT in a leaf, else None."""
        return _one(found.reading.ipat for found in self.readings)

    @property
    def npt_index(self) -> int | None:
        """In a leaf of NPT the entry of the host's PAT that it selects, else None."""
        return _one(found.reading.npt_index for found in self.readings)

    @property
    def address(self) -> int | None:
        """Physical, in bytes: of the page, or of the next table."""
        return _one(found.reading.address for found in self.readings)

    @property
    def access_tracked(self) -> bool:
        """RWX is 0 because KVM waits for an access; memory type and IPAT are valid."""
        return all(found.reading.saved is not None for found in self.readings)

    @property
    def undecided(self) -> bool:
        """Whether it may as well be an entry of NPT or shadow paging: nothing in it tells.

        With a release, `kind` is then what it is in a VM that uses EPT; without one it is None.
        """
        return bool(self.pte_era)


def decode_spte(value: int, level: int = 1, maxphyaddr: int = 52, release: Release | None = None) -> Spte:
    """The SPTE `value` (64 bits) at `level` (1 to 5), of KVM in `release` or of any.

    Raises ValueError for a level or value out of range, and for a release before 2.6.29.
    """
    entry = decode_entry(value, level, maxphyaddr)
    if release is not None:
        return _of_release(entry, release)
    ept, pte = _fitting(entry)
    if ept:
        readings = (*grouped(ept), *grouped(pte))
        notes = _mmio_notes(value, ept)
        return Spte(value, level, entry, readings, _spans([*ept, *pte]), pte_era=_spans(pte), notes=notes)
    if pte:
        told = _with_sign(entry, pte)
        return Spte(value, level, entry, grouped(told), _spans(pte))
    strong = read_ept(entry, LAYOUTS[1])
    if strong.kind is SpteKind.NOT_EPT:
        return Spte(value, level, entry, (EraReading("", strong),), "")
    notes = (Note("spte", "no release of KVM writes such an entry: read as the CPU does"),)
    if level == 1 and value & LARGE_BIT and entry.present:
        notes += (Note("spte", "bit 7 is set: a leaf of 2M or 1G at level 2 or 3 (--level), ignored at level 1"),)
    return Spte(value, level, entry, (EraReading("", read_manual(entry)),), "", notes=notes)


def decode_spte_at_any_level(value: int, maxphyaddr: int = 52, release: Release | None = None) -> Spte:
    """As decode_spte(), at the lowest level at which KVM would write such an entry; level 1 where there is none.

    `levels` are those at which it says the same, `others` has the rest of those at which KVM would write it.
    """
    return at_any_level([decode_spte(value, level, maxphyaddr, release) for level in LEVELS])


def at_any_level(found: Sequence[Spte]) -> Spte:
    """Of one value at every level, ascending, what decode_spte_at_any_level() answers."""
    sound = [spte for spte in found if _sound(spte)]
    no_ept = [spte for spte in found if spte.kind is SpteKind.NOT_EPT]
    ept = [spte for spte in sound if spte not in no_ept]
    choice = ept or sound or [spte for spte in found if spte.fits] or no_ept or [found[0]]
    groups: dict[tuple[EraReading, ...], list[Spte]] = {}
    for spte in choice:
        groups.setdefault(spte.readings, []).append(spte)
    first, *rest = (same[0]._replace(levels=tuple(spte.level for spte in same)) for same in groups.values())
    return first._replace(others=tuple(rest))


def eras_of(value: int, level: int) -> tuple[str, ...]:
    """The eras whose KVM can have written this value at this level into an EPT: '5.4 to 5.12', ... Oldest first.

    Parts of an era where its releases tell the value apart.
    """
    entry = decode_entry(value, level)
    fits = _fitting(entry)[0]
    return tuple(dict.fromkeys(_era_of(entry, row, found, _pte(entry, row, found)) for row, found in fits))


def _one(values: Iterable[T]) -> T | None:
    different = set(values)
    return different.pop() if len(different) == 1 else None


def _sound(spte: Spte) -> bool:
    """Whether KVM may have written it at this level."""
    if spte.release is not None:
        return not spte.readings[0].reading.odd
    return bool(spte.era)


Fit = tuple[Layout, Reading]


def _fitting(entry: EptEntry) -> tuple[list[Fit], list[Fit]]:
    """The layouts that can have written it into an EPT, and those that can have for NPT or shadow paging."""
    ept: list[Fit] = []
    pte: list[Fit] = []
    for layout in LAYOUTS:
        reading = read_ept(entry, layout)
        if not reading.odd:
            ept.append((layout, reading))
        other = _pte(entry, layout, reading)
        if other is not None:
            pte.append((layout, other))
    return ept, pte


def read_both(entry: EptEntry, layout: Layout) -> tuple[Reading, Reading | None]:
    """An entry under a layout as EPT's, and as one of NPT or shadow paging, None where it can't be one."""
    ept = read_ept(entry, layout)
    return ept, _pte(entry, layout, ept)


def _pte(entry: EptEntry, layout: Layout, ept: Reading) -> Reading | None:
    if ept.kind in (SpteKind.EMPTY, SpteKind.REMOVED):  # the same in every paging mode
        return None
    found = read_pte(entry.value, entry.level, layout)
    if found is not None and found.gfns and layout.mmu_present and not ept.odd:
        return None  # a present entry of EPT, far up in a host of 52 bits
    return found


def _spans(fits: Iterable[Fit]) -> str:
    return spans(layout for layout, _ in fits)


def grouped(fits: Iterable[Fit]) -> tuple[EraReading, ...]:
    """The different readings among those of several layouts, oldest first, each with its releases."""
    groups: dict[Reading, list[Layout]] = {}
    for layout, reading in fits:
        groups.setdefault(reading, []).append(layout)
    return tuple(EraReading(spans(layouts), reading) for reading, layouts in groups.items())


def _with_sign(entry: EptEntry, pte: list[Fit]) -> list[Fit]:
    """Entries that are no EPT's in any release, with one sign that tells so: the newest such release's."""
    if pte[0][1].gfns:
        return pte
    signs = [read_ept(entry, layout) for layout, _ in pte]
    # The signs that hold in every release first.
    told = [s.sign for s in signs if s.sign and "from 6.10" not in s.sign] or [s.sign for s in signs if s.sign]
    sign = told[0] if told else f"{signs[-1].odd[0]}: {pte[-1][1].sign}"
    return [(layout, reading._replace(sign=sign)) for layout, reading in pte]


def _of_release(entry: EptEntry, release: Release) -> Spte:
    value, level = entry.value, entry.level
    layout = layout_at(release)
    reading = read_ept(entry, layout)
    other = _pte(entry, layout, reading)
    era = _era_of(entry, layout, reading, other)
    pte_era = fits = pte_fits = ""
    if not reading.odd:
        pte_era = era if other is not None else ""
    elif other is not None:
        sign = other.sign if other.gfns else reading.sign or f"{reading.odd[0]}: {other.sign}"
        reading = other._replace(sign=sign)
    else:
        ept, pte = _fitting(entry)
        fits, pte_fits = _spans(ept), "" if ept else _spans(pte)
    notes = [Note("spte", unread(release))] if unread(release) else []
    if layout.tdx and level == 1 and not value & layout.mmio_mask:
        notes.append(Note("spte", "in the shared EPT of a TDX guest this is an MMIO entry"))
    notes += _mmio_notes(value, [(layout, reading)])
    return Spte(value, level, entry, (EraReading(era, reading),), era, release, pte_era, fits, pte_fits, tuple(notes))


def _era_of(entry: EptEntry, layout: Layout, reading: Reading, other: Reading | None) -> str:
    """The releases of a layout's era that read an entry as it does: rows inside an era tell some entries apart."""
    era = [row for row in LAYOUTS if row.era == layout.era]
    found = [(row, read_ept(entry, row)) for row in era]
    return spans(row for row, same in found if same == reading and _pte(entry, row, same) == other)


def _mmio_notes(value: int, fits: list[Fit]) -> tuple[Note, ...]:
    partial = [layout for layout, found in fits if found.kind is SpteKind.MMIO and generation_repeats(value, layout)]
    if not partial:
        return ()
    return (Note("spte", f"{spans(partial)}: kernels without 34c0f6f2695a keep low bits of the generation alone"),)
