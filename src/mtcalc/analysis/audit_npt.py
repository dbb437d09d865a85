# SPDX-License-Identifier: GPL-2.0-only
"""The entries of a trace as AMD's nested paging has them: what each is. None carries a memory type to compare."""

from __future__ import annotations

from mtcalc.analysis.audit_entries import SpteClass, Tally, Told, Trace
from mtcalc.kvm.npt_entry import read_npt
from mtcalc.kvm.recorded import Recorded
from mtcalc.kvm.spte_eras import LAYOUTS, era_text, layout_at, spans
from mtcalc.kvm.spte_reading import Reading


def read_npt_trace(tally: Tally, release: tuple[int, ...] | None, maxphyaddr: int = 52) -> Trace:
    """What the entries counted say in KVM of `release`, None: of the releases that fit most of them.

    Raises ValueError for a release before 2.6.29. `maxphyaddr`: the host's, in bits.
    """
    firsts: dict[SpteClass, Recorded] = {}
    totals: dict[SpteClass, int] = {}
    for (_, _, level, value), seen in tally.cells().items():
        firsts.setdefault((level, value), seen.first)
        totals[level, value] = totals.get((level, value), 0) + seen.count
    read = {
        name: [read_npt(first[3], first[2], maxphyaddr, layout) for layout in LAYOUTS] for name, first in firsts.items()
    }
    if release is not None:
        chosen = [LAYOUTS.index(layout_at(release))]
        era = era_text(LAYOUTS[chosen[0]])
    else:
        score = [sum(totals[name] for name in read if not read[name][k].odd) for k in range(len(LAYOUTS))]
        chosen = [k for k, found in enumerate(score) if found == max(score)]
        era = spans(LAYOUTS[k] for k in chosen)
    told = {name: _told(readings, chosen) for name, readings in read.items()}
    return Trace(told, era, "", None, True, tuple(chosen))


def _told(readings: list[Reading], chosen: list[int]) -> Told:
    layouts = frozenset(k for k, reading in enumerate(readings) if not reading.odd)
    fitting = [readings[k] for k in chosen if k in layouts]
    if fitting:
        kinds = {reading.kind for reading in fitting}
        return Told(kinds.pop() if len(kinds) == 1 else None, layouts=layouts)
    newest = readings[chosen[-1]]
    if layouts:
        fits = spans(LAYOUTS[k] for k in layouts)
        return Told(readings[min(layouts)].kind, None, "era", f"the entries are those of KVM {fits}", fits, layouts)
    return Told(newest.kind, None, "odd", ", ".join(newest.odd))
