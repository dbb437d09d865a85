# SPDX-License-Identifier: GPL-2.0-only
"""What a page of L2, the guest of a guest, gets: L0's entry for the L1 page that holds it, with L2's PAT.

What L1 writes into the tables that it has for L2 (EPT12, NPT12) has no say in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mtcalc.analysis.answer import Answer, effective_types
from mtcalc.analysis.npt import Chain, chain
from mtcalc.kvm.nested import L2Pat, PatRule, pat_rule, shares_pat
from mtcalc.kvm.versions import GuestPat
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import Kernel
from mtcalc.x86.memtype import Effective, MemType
from mtcalc.x86.pat import LINUX_PAT, RESET_PAT, Pat


class L2Pats(NamedTuple):
    """The PATs around a page of L2."""

    of: L2Pat  # whose counts
    counts: Pat | None  # that one; None: not said, and a page's type is known without
    seen: Pat | None  # the one that L2 takes for its own; None: not said, so as the one that counts
    shared: bool | None  # whether the quirk NESTED_SVM_SHARED_PAT is in force; None: no such quirk here


class L2Type(NamedTuple):
    """The PAT type of a page of L2."""

    asked: MemType  # as L2 has it in its own PAT
    pat_index: int | None  # its entry there, 0 to 7, where that PAT is known
    memtype: MemType | None  # what it really is; None: L2's PAT has no such entry


class L2Page(NamedTuple):
    """What a page of L2 gets, for each PAT type that was asked for. `effective` None: no entry, or no such page."""

    pats: L2Pats
    types: tuple[L2Type, ...]
    effective: tuple[tuple[MemType, Effective | None], ...]


def l2_pats(kernel: Kernel, disabled_quirks: int, own: Pat | None = None, l1: Pat | None = None) -> L2Pats:
    """Whose PAT counts. `own`: the one that vmcs12 loads, or vmcb12 has; `l1`: L1's; None: not said.

    `disabled_quirks`: KVM_X86_QUIRK_ bits. Where the index in a PAT that nobody described counts, that is Linux's.
    """
    rule = pat_rule(kernel.release, kernel.npt).what
    if rule is PatRule.ENTRY_CONTROL:
        return L2Pats(L2Pat.L1, l1, None, None) if own is None else L2Pats(L2Pat.VMCS12, own, own, None)
    if rule is PatRule.HARDWARES:
        return L2Pats(L2Pat.HARDWARE, RESET_PAT, own or l1 or LINUX_PAT, None)
    shared = shares_pat(kernel.release, disabled_quirks) if rule is PatRule.QUIRK else None
    if shared is False:
        return L2Pats(L2Pat.VMCB12, own, own, False)
    if own is None:
        return L2Pats(L2Pat.L1, l1, None, shared)
    return L2Pats(L2Pat.L1, l1 or LINUX_PAT, own, shared)


def l2_type(pats: L2Pats, asked: MemType, paging: bool = True) -> L2Type:
    """The type of a page that L2 has as `asked` in its own PAT; the lowest entry with it is taken.

    `paging`: L2's CR0.PG; without it the type is WB.
    """
    if not paging:
        return L2Type(asked, None, MemType.WB)
    if pats.seen is None or pats.counts is None:
        return L2Type(asked, None, asked)
    if asked not in pats.seen.entries:
        return L2Type(asked, None, None)
    index = pats.seen.entries.index(asked)
    return L2Type(asked, index, pats.counts.entries[index])


def l2_page(answer: Answer, pats: L2Pats, asked: Sequence[MemType], paging: bool = True) -> L2Page:
    """What L2 gets in the page that `answer` is about, which is L1's."""
    types = tuple(l2_type(pats, kind, paging) for kind in asked)
    if answer.kernel.npt is not None and answer.facts is not None:
        ways = chains(answer.kernel, answer.facts, types, paging)
        gets = {kind: way.effective for kind, way in ways.items()}
        return L2Page(pats, types, tuple((kind, gets.get(kind)) for kind in asked))
    if answer.byte is None:
        return L2Page(pats, types, tuple((kind, None) for kind in asked))
    real = [kind.memtype for kind in types if kind.memtype is not None]
    found = dict(effective_types(answer.byte, real, paging))
    return L2Page(
        pats, types, tuple((kind.asked, None if kind.memtype is None else found[kind.memtype]) for kind in types)
    )


def chains(kernel: Kernel, facts: Facts, types: Sequence[L2Type], paging: bool = True) -> dict[MemType, Chain]:
    """Under NPT, by the type asked for: how a page comes to its type; pages that cannot exist are left out."""
    found: dict[MemType, Chain] = {}
    # The type is known by now, so it is taken as from 4.15 on.
    known = kernel._replace(npt=GuestPat.GUESTS)
    for kind in types:
        way = None if kind.memtype is None else chain(known, facts, kind.memtype, LINUX_PAT, paging)
        if way is not None:
            found[kind.asked] = way._replace(pat_index=kind.pat_index)
    return found
