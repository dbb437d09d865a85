# SPDX-License-Identifier: GPL-2.0-only
"""What a careful reviewer would ask about a change of the rules: each question with a state that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mtcalc.analysis.diff import Change, Diff
from mtcalc.analysis.diff_words import when_text
from mtcalc.analysis.questions import Remark as Remark
from mtcalc.analysis.review_inputs import about_inputs, about_quirks, about_slots, about_vcpus
from mtcalc.analysis.review_inputs import about_zaps as about_zaps
from mtcalc.analysis.review_states import Changes, State, asked, own_inputs, spread, types_by_pat, within
from mtcalc.analysis.review_states import state_of as state_of
from mtcalc.analysis.rule_check import Oddity, check_rules
from mtcalc.kvm.uapi import Edits, collision
from mtcalc.rules.inputs import CR0_CD, GUEST_MTRR, MMIO, NONCOHERENT_DMA, Input
from mtcalc.rules.rule import Rule, RuleSet, inputs_read
from mtcalc.text.errors import Place
from mtcalc.x86.ept import odd_byte, split_mask
from mtcalc.x86.memtype import CACHEABLE, MTRR_TYPES, PAT_TYPES, MemType

_NO_EDITS = Edits()


def review(found: Diff, one_vcpu: Sequence[str] = (), edits: Edits = _NO_EDITS) -> tuple[Remark, ...]:
    """The remarks on a change, the gravest first. Nothing is said that no state, rule or statement shows.

    `one_vcpu`: the expressions of the new code that take one vCPU's state for all; `edits`: what is changed beside.
    """
    changes = [(state_of(found, change), change) for change in found.changes]
    return (
        *_bytes(changes),
        *_cacheable(changes),
        *_not_cacheable(changes),
        *_mmio(changes),
        *_host_pages(found),
        *_combining(changes),
        *_uncached_ram(found, changes),
        *about_vcpus(found, changes, one_vcpu),
        *_guest_pat(changes),
        *about_slots(found, changes, edits),
        *about_zaps(edits, found.after),
        *about_quirks(found, changes, edits),
        *about_inputs(found, changes),
        *about_numbers(edits),
        *_dead_rules(found),
    )


def about_numbers(edits: Edits) -> tuple[Remark, ...]:
    """Numbers of the interface that the patches give out and mainline has for something else, or another for that."""
    odd = ((number, collision(number)) for number in edits.numbers)
    return tuple(Remark("uapi-number", text, 0, None, place=number.place) for number, text in odd if text)


def about_the_message(found: Diff) -> tuple[Remark, ...]:
    """What a message leaves out that says of a change that there is none."""
    said = "the message says no functional change, and"
    changes = [(state_of(found, change), change) for change in found.changes]
    if changes:
        what = "1 input changes" if len(changes) == 1 else f"{len(changes)} inputs change"
        return tuple(asked("says-no-change", f"{said} {what}: is that meant?", changes, lambda *_: True, _differs))
    if found.mmio is None or not found.mmio.changed:
        return ()
    count, row = found.mmio.changed_count, found.mmio.rows[0]
    what = "a kind of host page changes" if count == 1 else f"{count} kinds of host pages change"
    return (Remark("says-no-change", f"{said} {what} (`{when_text(row.when)}`)", count, None),)


_ASKED: dict[str, tuple[Input, ...]] = {
    "guest-mtrr": (GUEST_MTRR,),
    "host-mmio": (MMIO,),
    "host-type": (MMIO,),
}
"""What is changed beside the rules and makes an input of theirs, by its kind; such a change can change any answer."""


def about_beside(beside: Sequence[tuple[str, str, str, Place]], rules: RuleSet | None) -> tuple[Remark, ...]:
    """What the rules ask for, and is found in another way: whether a guest gets another byte nobody has followed.

    `beside`: kind, name, what it decides and where it stands. `rules`: those before the change, where they are
    known; what these do not ask for is no matter.
    """
    remarks = []
    for kind, items in _ASKED.items():
        ours = [one for one in beside if one[0] == kind]
        if ours and (rules is None or set(items) & set(inputs_read(rules))):
            names = ", ".join(dict.fromkeys(name for _, name, _, _ in ours))
            verb = "decides" if ", " not in names else "decide"
            text = f"{names} {verb} {ours[0][2]}, and what changes in it is not followed: is that meant?"
            remarks.append(Remark("not-followed", text, 0, None, place=ours[0][3]))
    return tuple(remarks)


def _host_pages(found: Diff) -> Iterator[Remark]:
    """Host pages that the test no longer calls MMIO: the rules map them as RAM, so WB."""
    tests = found.mmio
    lost = [] if tests is None else [change for change in tests.changes if change.before and not change.after]
    if lost and tests is not None:
        row = next(row for row in tests.rows if row.before.const)
        pages = f"{len(lost)} of {tests.total} kinds of host pages" if len(lost) > 1 else "a kind of host page"
        text = f"{pages} stop{'s' if len(lost) == 1 else ''} being MMIO, and may be mapped WB (`{when_text(row.when)}`)"
        yield Remark("host-mmio-lost", text, len(lost), None)


def _bytes(changes: Changes) -> Iterator[Remark]:
    """Bytes that are more, or other, than a memory type and ignore-PAT."""
    for byte in sorted({change.after for _, change in changes}):
        words = odd_byte(byte)
        if words is not None:
            shift = ", which end up in the entry (was a shift forgotten?)" if byte & ~0x78 else ""
            text = f"{byte:#04x} is returned: {words}{shift}"
            yield from asked("odd-byte", text, changes, lambda _, change, byte=byte: change.after == byte)  # type: ignore[misc]


def _becomes_cacheable(change: Change) -> MemType | None:
    """A PAT type, WB before others, with which the effective type was not cacheable and is so now."""
    before, after = types_by_pat(change.before), types_by_pat(change.after)
    for pat in reversed(PAT_TYPES):
        if before[pat] not in (None, *CACHEABLE) and after[pat] in CACHEABLE:
            return pat
    return None


def _cacheable(changes: Changes) -> Iterator[Remark]:
    """Guest memory whose MTRRs or CR0.CD ask for uncached, and that may now be cached."""

    def shows(asked: Callable[[State], bool]) -> Callable[[State, Change], bool]:
        return lambda state, change: (
            state.get(MMIO) is not True and asked(state) and _becomes_cacheable(change) is not None
        )

    text = "guest memory becomes cacheable though {}: is that meant?"
    yield from asked(
        "cd-cacheable",
        text.format("guest CR0.CD is set"),
        changes,
        shows(lambda state: state.get(CR0_CD) is True),
        _becomes_cacheable,
    )
    yield from asked(
        "mtrr-cacheable",
        text.format("the guest's MTRRs say UC or WC"),
        changes,
        shows(lambda s: s.get(GUEST_MTRR) in (MemType.UC, MemType.WC) and s.get(CR0_CD) is not True),
        _becomes_cacheable,
    )


def _not_cacheable(changes: Changes) -> Iterator[Remark]:
    """Guest memory that was cacheable with PAT type WB, and is not any longer."""

    def loses(state: State, change: Change) -> bool:
        before, after = types_by_pat(change.before)[MemType.WB], types_by_pat(change.after)[MemType.WB]
        return state.get(MMIO) is not True and before in CACHEABLE and after not in CACHEABLE

    text = "guest memory with PAT type WB is cacheable no longer: is that meant?"
    yield from asked("not-cacheable", text, changes, loses, lambda _: MemType.WB)


def _mmio(changes: Changes) -> Iterator[Remark]:
    """Host MMIO, and worse: host MMIO that may now be cached."""

    def is_mmio(state: State, _: Change) -> bool:
        return state.get(MMIO) is True

    def cached(state: State, change: Change) -> bool:
        return is_mmio(state, change) and _becomes_cacheable(change) is not None

    what = "host MMIO may become cacheable: device memory mapped cacheable can raise a machine check"
    yield from asked("mmio-cacheable", what, changes, cached, _becomes_cacheable)
    yield from asked("mmio-touched", "host MMIO is touched: is that meant?", changes, is_mmio, _differs)


def _combining(changes: Changes) -> Iterator[Remark]:
    """What the guest maps UC, the strongest type it can ask for, and gets as WC."""

    def weaker(_: State, change: Change) -> bool:
        before, after = types_by_pat(change.before)[MemType.UC], types_by_pat(change.after)[MemType.UC]
        return before is MemType.UC and after is MemType.WC

    text = "what the guest maps UC becomes WC, and writes to it may be combined and reordered: is that meant?"
    yield from asked("guest-uc-to-wc", text, changes, weaker, lambda _: MemType.UC)

    def turns(old: MemType, new: MemType) -> Callable[[Change], MemType | None]:
        def pat(change: Change) -> MemType | None:
            before, after = types_by_pat(change.before), types_by_pat(change.after)
            return next((pat for pat in PAT_TYPES if (before[pat], after[pat]) == (old, new)), None)

        return pat

    slower, faster = turns(MemType.WC, MemType.UC), turns(MemType.UC, MemType.WC)
    text = "memory that was WC becomes UC, and framebuffers slow: is that meant?"
    yield from asked("wc-to-uc", text, changes, lambda _, change: slower(change) is not None, slower)

    def other(state: State, change: Change) -> bool:
        return faster(change) is not None and not weaker(state, change)

    text = "memory that was UC becomes WC, and writes may be combined: is that meant?"
    yield from asked("uc-to-wc", text, changes, other, faster)


_UNCACHED = (MemType.UC, MemType.WC)


def _uncached_with(byte: int) -> MemType | None:
    """A PAT type with which memory is not cached, UC before others; None where there is none."""
    types = types_by_pat(byte)
    return next((pat for pat in PAT_TYPES if types[pat] in _UNCACHED), None)


def _uncached_ram(found: Diff, changes: Changes) -> Iterator[Remark]:
    """RAM of a VM without non-coherent DMA that the guest, by its PAT, MTRRs or CR0.CD, can newly get uncached."""
    uncached = 0
    for byte, states in found.bytes_before.items():
        uncached |= states if _uncached_with(byte) is not None else 0
    could = within(found, spread(found, uncached & found.reachable, own_inputs(found)))

    def can_now(state: State, change: Change) -> bool:
        ram = state.get(MMIO) is not True and state.get(NONCOHERENT_DMA) is not True
        return ram and _uncached_with(change.after) is not None and not could(state, change)

    text = "guests without non-coherent DMA can now make RAM uncached: is that meant?"
    yield from asked("uncached-ram", text, changes, can_now, lambda change: _uncached_with(change.after))


def _differs(change: Change) -> MemType | None:
    """A PAT type, WC before others, with which the effective type changes."""
    before, after = types_by_pat(change.before), types_by_pat(change.after)
    for pat in (MemType.WC, *PAT_TYPES):
        if before[pat] != after[pat]:
            return pat
    return None


def _guest_pat(changes: Changes) -> Iterator[Remark]:
    """The guest's PAT newly honoured or no longer; a reserved memory type honours nothing."""

    def turns(ipat: bool) -> Callable[[State, Change], bool]:
        def shows(_: State, change: Change) -> bool:
            (old, was), (new, now) = split_mask(change.before), split_mask(change.after)
            return old in MTRR_TYPES and new in MTRR_TYPES and was is not ipat and now is ipat

        return shows

    text = "the guest's PAT is newly honoured: the host maps RAM WB, so another type in the guest is an alias"
    yield from asked("pat-honoured", text, changes, turns(False), _differs)
    text = "the guest's PAT is honoured no longer: what drivers map WC or UC they don't get"
    yield from asked("pat-ignored", text, changes, turns(True), _differs)


def _dead_rules(found: Diff) -> Iterator[Remark]:
    """What of the new list can never match, or of the new function is never reached, and was not so before."""
    before = {rule.when for rule, _ in _never(found.before.rules)}
    for rule, message in _never(found.after.rules):
        if rule.when not in before:
            yield Remark("dead-rule", message, 0, None, rule=rule.id)
    for text in found.after.rules.unreached:
        if text not in found.before.rules.unreached:
            yield Remark("dead-code", f"never reached: `{text}`", 0, None)


def _never(rule_set: RuleSet) -> Iterator[tuple[Rule, str]]:
    by_id = {rule.id: rule for rule in rule_set.rules}
    for finding in check_rules(rule_set):
        if finding.kind is Oddity.NEVER and finding.rules:
            yield by_id[finding.rules[0]], finding.message
