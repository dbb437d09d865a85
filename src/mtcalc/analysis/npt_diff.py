# SPDX-License-Identifier: GPL-2.0-only
"""What differs between two releases under AMD's NPT: the effective types by the host's MTRR type, and what is around.

The entry never differs. Guest CR0.CD is taken as clear, or the quirk CD_NW_CLEARED as in force; what it makes of a
type where it reaches the hardware is one thing in every release that lets it.
"""

from __future__ import annotations

from typing import NamedTuple

from mtcalc.analysis.around import Around, differences
from mtcalc.analysis.npt import npt_notes, npt_types
from mtcalc.kvm.notes import Note
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import Kernel, kernel_notes
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, Effective, MemType
from mtcalc.x86.pat import LINUX_PAT

Types = tuple[tuple[MemType, "Effective | None"], ...]


class NptRow(NamedTuple):
    """Host MTRR types under which the same changes: each PAT type with its effective type, before and after."""

    host_mtrrs: tuple[MemType, ...]
    before: Types
    after: Types


class NptDiff(NamedTuple):
    """What differs between two kernels on AMD."""

    before: Kernel
    after: Kernel
    rows: tuple[NptRow, ...]
    around: tuple[Around, ...]
    notes: tuple[Note, ...]

    @property
    def changed(self) -> int:
        """Under how many host MTRR types something changes."""
        return sum(len(row.host_mtrrs) for row in self.rows)


def npt_diff(before: Kernel, after: Kernel) -> NptDiff:
    """The difference between two kernels on AMD, for a guest with Linux's PAT."""
    rows: dict[tuple[Types, Types], list[MemType]] = {}
    for host in MTRR_TYPES:
        facts = Facts(host_mtrr=host)
        old, new = (npt_types(kernel, facts, PAT_TYPES, LINUX_PAT) for kernel in (before, after))
        if old != new:
            rows.setdefault((old, new), []).append(host)
    found = tuple(NptRow(tuple(hosts), *types) for types, hosts in rows.items())
    said = [note for kernel in (before, after) for note in npt_notes(kernel, Facts(), PAT_TYPES, LINUX_PAT)]
    notes = dict.fromkeys((*said, *kernel_notes(before), *kernel_notes(after)))
    return NptDiff(before, after, found, differences(before, after), tuple(notes))


def npt_sentence(found: NptDiff) -> str:
    """How much changes, in one sentence without a full stop."""
    if not found.rows:
        return "no effective type changes under NPT, whatever the host's MTRR type is"
    pats = [pat for pat in PAT_TYPES if any(dict(row.before)[pat] != dict(row.after)[pat] for row in found.rows)]
    names = ", ".join(map(str, pats))
    return f"effective types change under {found.changed} of {len(MTRR_TYPES)} host MTRR types, for PAT {names}"
