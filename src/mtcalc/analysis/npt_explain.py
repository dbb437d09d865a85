# SPDX-License-Identifier: GPL-2.0-only
"""The derivation of one answer under AMD's NPT: the steps in the place of EPT's byte and table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import TYPE_CHECKING

from mtcalc.analysis.answer import Answer
from mtcalc.analysis.npt import ENTRY, Chain, caches_off, chain, host_mtrr, is_snp
from mtcalc.analysis.steps import Step
from mtcalc.kvm.history import NPT_PATS, row_at
from mtcalc.kvm.versions import GuestPat
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import Kernel
from mtcalc.x86.memtype import MemType, npt_type_words
from mtcalc.x86.npt import CROSS_CHECKED, CROSS_CHECKED_MTRR, SOURCE
from mtcalc.x86.pat import LINUX_PAT, RESET_PAT, Pat

if TYPE_CHECKING:
    from mtcalc.x86.memtype import Effective

_TRANSLATED = f"{SOURCE}, read in a translation"
_NO_MTRR = (
    "under NPT the guest's MTRRs make no type: they count in the guest's own choice of a PAT type",
    "KVM up to 5.19 lets them limit the mapping level, from 4.2 on",
)


def guest_mtrr_step() -> Step:
    """That nothing asks for the guest's MTRR type."""
    return Step("guest MTRR type", "not asked", _NO_MTRR, "svm_get_mt_mask(), there up to 5.19, returned 0")


def npt_steps(
    kernel: Kernel,
    facts: Facts,
    answer: Answer,
    paging: bool,
    guest_pat: Pat | None = None,
    index: int | None = None,
) -> list[Step]:
    """From the entry to the effective type. `facts`: before the host's MTRR type was filled in.

    `guest_pat` None: that of Linux; `index` as in chain().
    """
    table = guest_pat or LINUX_PAT
    pats = [pat for pat, _ in answer.effective]
    ways = {pat: chain(kernel, facts, pat, table, paging, index) for pat in pats}
    found = {pat: way for pat, way in ways.items() if way is not None}
    guest = _guest_step(kernel, found, table, paging)
    return [*entry_steps(kernel, facts, found, [guest]), _effective_step(kernel, answer)]


def entry_steps(kernel: Kernel, facts: Facts, ways: dict[MemType, Chain], guest: Iterable[Step]) -> Iterator[Step]:
    """From the entry to what comes under the host's MTRRs; `guest`: the steps to the guest's own type in between."""
    for rule in kernel.rules.rules:
        yield Step(f"rule {rule.id}", "matches", (rule.text, rule.why), rule.source)
    selected = f"PWT, PCD and PAT clear select entry {ENTRY.pat_index} of the host's PAT, which Linux has as WB"
    yield Step("NPT entry", f"entry {ENTRY.pat_index}, so {ENTRY.memtype}", (selected,), "make_spte()")
    yield from guest
    mtrr = host_mtrr(facts)
    usual = "as firmware sets it for RAM" if mtrr is MemType.WB else "as it usually is for device memory"
    yield Step(
        "host MTRR type", str(mtrr), ("as given" if facts.host_mtrr is not None else f"taken so, {usual}",), SOURCE
    )
    rows = _rows((way.guest, way.combined) for way in ways.values())
    yield Step(
        "guest and nested type",
        _joined((pat, way.combined) for pat, way in ways.items()),
        (f"column nested {ENTRY.memtype}, row the guest's type: {rows}",),
        _source({way.guest for way in ways.values()}, {kind for kind, _ in CROSS_CHECKED}),
    )
    rows = _rows((way.combined, way.under_mtrr) for way in ways.values())
    yield Step(
        "with the host's MTRRs",
        _joined((pat, way.under_mtrr) for pat, way in ways.items()),
        (f"column host MTRR {mtrr}, row what they combine to: {rows}",),
        _source({way.combined for way in ways.values()}, {kind for kind, host in CROSS_CHECKED_MTRR if host is mtrr}),
    )
    if facts.cr0_cd:
        yield _cd_step(kernel, facts, ways)
    if is_snp(kernel):
        line = "under SNP UC becomes CD, and WC becomes WC+"
        yield Step("SNP", _joined((pat, way.effective) for pat, way in ways.items()), (line,), _TRANSLATED)


def _guest_step(kernel: Kernel, ways: dict[MemType, Chain], table: Pat, paging: bool) -> Step:
    row = row_at(NPT_PATS, kernel.release)
    result = _joined((pat, way.guest) for pat, way in ways.items())
    if not paging:
        return Step("guest PAT type", result, ("guest CR0.PG=0: the PAT memory type is WB",), row.source)
    if kernel.npt is GuestPat.GUESTS:
        lines = ["the guest's own PAT counts, so the type that it has for the page"]
    else:
        lines = [
            f"the guest's PAT, {table.value:#018x}, is not in the hardware, which has {RESET_PAT.value:#018x}",
            *(f"{pat} is entry {way.pat_index} of the guest's, and {way.guest} there" for pat, way in ways.items()),
        ]
    return Step("guest PAT type", result, tuple(lines), row.source)


def _cd_step(kernel: Kernel, facts: Facts, ways: dict[MemType, Chain]) -> Step:
    result = _joined((pat, way.disabled) for pat, way in ways.items())
    if caches_off(kernel, facts):
        line = "quirk CD_NW_CLEARED is off, so the bit reaches the hardware: CD of what would be cached"
        return Step("guest CR0.CD", result, (line,), "svm_set_cr0(); unconfirmed: what the bit makes of each type")
    line = "KVM clears the bit in what the hardware gets, while the quirk CD_NW_CLEARED is in force"
    return Step("guest CR0.CD", "no effect", (line,), "svm_set_cr0()")


def _effective_step(kernel: Kernel, answer: Answer) -> Step:
    result = ", ".join(f"{'none' if kind is None else kind} (PAT {pat})" for pat, kind in answer.effective)
    lacking = [str(pat) for pat, kind in answer.effective if kind is None]
    lines = (f"the guest's PAT has no entry {', '.join(lacking)}: no page can be of that type",) if lacking else ()
    named = npt_type_words(kind for _, kind in answer.effective)
    return Step("effective type", result, (*named, *lines), SOURCE)


def _joined(pairs: Iterable[tuple[MemType, Effective]]) -> str:
    return ", ".join(f"{kind} (PAT {pat})" for pat, kind in pairs) or "none"


def _rows(pairs: Iterable[tuple[Effective, Effective]]) -> str:
    return ", ".join(f"{row} -> {cell}" for row, cell in dict.fromkeys(pairs)) or "none"


def _source(rows: Set[Effective], checked: Set[Effective]) -> str:
    """The manual, and which of these rows were found a second time."""
    twice = sorted(map(str, rows & checked))
    alone = sorted(map(str, rows - checked))
    words = [_TRANSLATED if twice else f"{_TRANSLATED} alone"]
    if twice:
        words.append(f"{', '.join(twice)} also in another hypervisor's comments (SimpleSvm)")
    if twice and alone:
        words.append(f"{', '.join(alone)} in the translation alone")
    return "; ".join(words)
