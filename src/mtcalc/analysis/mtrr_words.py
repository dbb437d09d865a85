# SPDX-License-Identifier: GPL-2.0-only
"""Why KVM and the manual give an address different types, in words that name pairs, addresses and types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mtcalc.kvm.guest_mtrr import combine, kvm_spans
from mtcalc.kvm.versions import MtrrWalk
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import MtrrLookup, Mtrrs


def part_reason(
    mtrrs: Mtrrs, walk: MtrrWalk, kvm: MtrrLookup, manual: MtrrLookup, covering: Sequence[int], gpa: int
) -> str:
    """The reason why the two lookups of one address in bytes have different types; `mtrrs` as as_read() has them.

    `covering`: the pairs that KVM from 4.2 on takes to cover the address, in the order of its visits.
    """
    if kvm.via in ("misread", "garbage") or (manual.via == "fixed" and kvm.via != "fixed"):
        why = _misread(kvm)
    elif not mtrrs.enabled:
        why = _disabled(mtrrs, walk, gpa < 1 << 20)
    elif kvm.via == "fixed":
        why = "FE is 0, and KVM up to 4.1 reads the fixed ranges all the same"
    elif walk is MtrrWalk.V4_1:
        why = f"{_overlap(mtrrs, manual.pairs)} overlap, for KVM up to 4.1 a conflict"
    else:
        why = "; ".join((*_coverage(mtrrs, covering, manual.pairs), *_order(mtrrs, kvm, manual)))
    says = "leaves it undefined" if manual.memtype is None else str(manual.memtype)
    answers = "answers what these hold" if kvm.memtype is None else f"answers {kvm.memtype}"
    return f"{why}: KVM {answers}, the manual {says}"


def _misread(kvm: MtrrLookup) -> str:
    """4.2's and 4.3's readings of the fixed ranges."""
    if kvm.via == "garbage":
        return "4.2 and 4.3 read bytes of their own in place of the fixed range, which pairs 6 and 7 have changed"
    if kvm.via == "misread":
        return "4.2 and 4.3 read another byte in place of the fixed range's"
    return "4.2 and 4.3 pass over the fixed ranges from 0xc1000 on"


def _disabled(mtrrs: Mtrrs, walk: MtrrWalk, low: bool) -> str:
    """KVM's readings of E=0 other than the manual's, which is UC."""
    if walk is not MtrrWalk.V4_1:
        return "E is 0 and the guest's CPUID has no MTRRs"
    if not mtrrs.fixed_enabled:
        return "E and FE are 0"
    reads = "the fixed ranges" if low else "the default type"
    return f"E is 0 but FE is 1, and KVM up to 4.1 then reads {reads}"


def named(mtrrs: Mtrrs, number: int) -> str:
    """'UC at 0xc0000000 (pair 1)'."""
    pair = mtrrs.variable[number]
    return f"{pair.memtype} at {hex(pair.address) if pair.address else '0'} (pair {number})"


def _overlap(mtrrs: Mtrrs, numbers: Sequence[int]) -> str:
    names = [named(mtrrs, number) for number in numbers]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _coverage(mtrrs: Mtrrs, covering: Sequence[int], matching: Sequence[int]) -> Iterator[str]:
    """The pairs that one of the two takes to hold the address, and the other does not."""
    spans = {span.pair: span for span in kvm_spans(mtrrs)}
    for number in sorted({*covering} ^ {*matching}):
        span = spans[number]
        reach = f"{span.start:#x} to {span.end - 1:#x}"
        mask = mtrrs.variable[number].address_mask(mtrrs.maxphyaddr)
        if number in covering:
            yield f"{named(mtrrs, number)} covers {reach} for KVM, for the manual only what its mask {mask:#x} matches"
        else:
            yield f"mask {mask:#x} of {named(mtrrs, number)} matches here, and for KVM it covers {reach} alone"


def _order(mtrrs: Mtrrs, kvm: MtrrLookup, manual: MtrrLookup) -> Iterator[str]:
    """The step at which KVM's walk gave up and answered WB, and an UC that it then never reached."""
    current: MemType | None = None
    since: list[int] = []  # the pairs that made the current type
    for number in kvm.pairs:
        new = mtrrs.variable[number].memtype
        if current is None:
            current, since = new, [number]
            continue
        after, stop = combine(current, new)
        if stop and after is MemType.WB:
            first = named(mtrrs, since[0])
            if len(since) > 1:
                first = f"WT (of {_overlap(mtrrs, since)})"
            yield f"{first} is visited before {named(mtrrs, number)}"
            missed = [n for n in manual.pairs if mtrrs.variable[n].memtype is MemType.UC and n not in kvm.pairs]
            if missed and MemType.UC not in (mtrrs.variable[n].memtype for n in kvm.pairs):
                yield f"{named(mtrrs, missed[0])} is never reached"
            return
        if after != current:
            since.append(number)
        current = after
