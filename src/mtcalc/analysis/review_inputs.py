# SPDX-License-Identifier: GPL-2.0-only
"""What a reviewer would ask about the inputs of changed rules: whose they are, and what happens as they change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mtcalc.analysis.diff import Diff
from mtcalc.analysis.diff_words import gone, mattering, sensitive, word_list
from mtcalc.analysis.questions import Remark
from mtcalc.analysis.review_states import Changes, asked, facts_of, newly_decided, within
from mtcalc.kvm.flags import QUIRK_ALIASES, SLOT_FLAGS
from mtcalc.kvm.quirks import QUIRK_SPANS, has_quirk
from mtcalc.kvm.slot_history import slot_limits
from mtcalc.kvm.uapi import Edits
from mtcalc.kvm.zaps import Zap, zapped_when
from mtcalc.rules.condition import ALWAYS, And, Atom, Condition, Not, condition_text, holds, inputs
from mtcalc.rules.inputs import (
    CR0_CD,
    GUEST_MTRR,
    MMIO,
    NONCOHERENT_DMA,
    QUIRK_CD_NW_CLEARED,
    QUIRK_IGNORE_GUEST_PAT,
    Input,
    Scope,
    input_words,
)
from mtcalc.rules.kernel import Kernel
from mtcalc.rules.rule import inputs_read

_DROPPED: dict[Zap, Condition | None] = {
    Zap.NEVER: None,
    Zap.ALWAYS: ALWAYS,
    Zap.NONCOHERENT_DMA: Atom(NONCOHERENT_DMA),
    Zap.NONCOHERENT_DMA_WITHOUT_QUIRK: And((Atom(NONCOHERENT_DMA), Not(Atom(QUIRK_CD_NW_CLEARED)))),
    Zap.IGNORE_GUEST_PAT: Atom(QUIRK_IGNORE_GUEST_PAT),
}

_OF_A_VCPU = re.compile(
    r"\bvcpu->(?!kvm\b)\w|\bto_vmx\(vcpu\)->|\bkvm_(?:read|is)_\w*cr\d\w*\(vcpu\b|\bkvm_mtrr_\w+\(vcpu\b"
    r"|\bguest_cpuid_?\w*\(vcpu\b"
)
"""In a condition that only the source text knows: what is surely a vCPU's own, and not its VM's by way of vcpu->kvm."""
_GUEST_PAT = re.compile(r"\barch\.pat\b")
_SLOT_FLAG = re.compile(r"slot->flags & KVM_MEM_(\w+)(?: != 0)?")
_QUIRK = re.compile(r"\bKVM_(?:X86_)?QUIRK_(\w+)")


def about_vcpus(found: Diff, changes: Changes, one_vcpu: Sequence[str]) -> Iterator[Remark]:
    """One vCPU's state that decides for all of them: by name, or since the first to touch a page makes the entry."""
    for text in one_vcpu:
        yield Remark("one-vcpu", f"one vCPU's state for all vCPUs? `{text}`", 0, None)
    states = 0
    named = []
    for item in found.inputs:
        if item.kind.scope is Scope.VCPU or (item.kind.text and _OF_A_VCPU.search(item.arg)):
            newly = newly_decided(found, item) & found.changed
            states |= newly
            named += [item] if newly else []
    if named:
        verb = "decides" if len(named) == 1 else "decide"
        text = f"{_words(named)} of one vCPU {verb} for all, which share the entry: is that meant?"
        yield from asked("vcpu-decides", text, changes, within(found, states))


def about_slots(found: Diff, changes: Changes, edits: Edits) -> Iterator[Remark]:
    """Slot flags that RAM may have too; what changes while entries stay that were made before."""
    known = inputs_read(found.before.rules)
    for item in inputs_read(found.after.rules):
        if _slot_flag(item) and item not in known:
            flag = _slot_flag(item)
            if _is_refused(flag, found.before, edits):
                text = f"nothing makes KVM accept KVM_MEM_{flag} (EINVAL): is that meant?"
                newly = within(found, newly_decided(found, item))
                yield from asked(
                    "flag-not-accepted",
                    text,
                    changes,
                    lambda state, change, item=item, newly=newly: state[item] is True and newly(state, change),  # type: ignore[misc]
                )
            text = f"{input_words(item)} may be set on any slot, RAM too: is that meant?"
            newly = within(found, newly_decided(found, item))
            yield from asked(
                "any-slot",
                text,
                changes,
                lambda state, change, item=item, newly=newly: (  # type: ignore[misc]
                    state[item] is True and state.get(MMIO) is not True and newly(state, change)
                ),
            )
    yield from _stale(found, changes, edits)


def _is_refused(flag: str, before: Kernel, edits: Edits) -> bool:
    """Whether the kernel refuses a slot flag and nobody has it accept that; not where nobody looked."""
    taken = bool(SLOT_FLAGS.get(flag, 0) & before.slot_flags) or not slot_limits(before.release).flags_checked
    return not taken and edits.accepted is not None and not {flag, ""} & edits.accepted


def _stale(found: Diff, changes: Changes, edits: Edits) -> Iterator[Remark]:
    """Inputs that newly decide, and whose change drops no entry."""
    named: list[Input] = []
    shown = set()
    for item in found.inputs:
        zap = _zap(item, found.after, edits)
        if zap is None or zap is Zap.ALWAYS:
            continue
        dropped = _DROPPED[zap]
        newly = within(found, newly_decided(found, item))
        kept = {
            change.values
            for state, change in changes
            if newly(state, change) and not (dropped is not None and holds(dropped, facts_of(state)))
        }
        shown |= kept
        named += [item] if kept else []
    if named:
        text = f"stale entries stay when {_words(named, 'or')} changes{_unless(edits)}: is that meant?"
        yield from asked("stale", text, changes, lambda _, change: change.values in shown)


def about_zaps(edits: Edits, kernel: Kernel | None) -> Iterator[Remark]:
    """What no longer drops entries as an input changes that the rules read; of rules that nobody knows, any."""
    read = (
        None
        if kernel is None
        else {name for item in inputs_read(kernel.rules) for name in (item.name, _slot_flag(item))}
    )
    for one in edits.unzapped:
        if read is None or one.kind in read:
            item = Input("slot_flag", one.kind) if one.kind in SLOT_FLAGS else None
            words = input_words(item) if item else _KIND_WORDS.get(one.kind, one.kind)
            said = (
                f"{one.function}() drops or refuses nothing any longer"
                if item
                else f"{one.function}() drops none any longer"
            )
            text = f"stale entries stay when {words} changes, since {said}{_unless(edits)}: is that meant?"
            yield Remark("stale", text, 0, None, place=one.place)


_KIND_WORDS = {
    "noncoherent_dma": input_words(NONCOHERENT_DMA),
    "cr0_cd": input_words(CR0_CD),
    "guest_mtrr": input_words(GUEST_MTRR),
    "guest_pat": "the guest's PAT",
    "quirk": "a quirk",
}


def _unless(edits: Edits) -> str:
    """That a new zap, of which nobody knows what it is for, may see to it."""
    if not edits.unplaced:
        return ""
    names = word_list([f"{name or 'something'}()" for name in edits.unplaced[:2]])
    return f" (unless the new zap in {names} sees to that)"


def _zap(item: Input, kernel: Kernel, edits: Edits) -> Zap | None:
    """When entries are dropped as an input changes; None where nobody knows, or the patches see to it."""
    kind, name, flag = item.name, item.arg, _slot_flag(item)
    if flag:
        kind, name = "slot_flag", flag
    elif item.kind.text:
        kind = "guest_pat" if _GUEST_PAT.search(name) else "quirk" if _quirks(item) else kind
    if {one.kind for one in edits.unzapped} & {kind, name}:
        return Zap.NEVER
    if (
        edits.zapping is not None
        and edits.zapping & {kind, name}
        and (edits.surely & {kind, name} or not edits.unplaced)
    ):
        return None
    if flag and edits.zapping is None:
        return None  # whether a new flag's change is refused, the rules alone don't tell
    return zapped_when(kind, name, kernel.release)


def _slot_flag(item: Input) -> str:
    """The slot flag that an input is; '' for another one. One of its own a patch may have, as a source text."""
    if item.kind.scope is Scope.SLOT:
        return item.arg
    found = _SLOT_FLAG.fullmatch(item.arg) if item.name == "assume" else None
    return found[1] if found else ""


def about_quirks(found: Diff, changes: Changes, edits: Edits) -> Iterator[Remark]:
    """Quirks that the kernel before did not have: whether they can be turned off, and how they are at the start."""
    known = {name for item in inputs_read(found.before.rules) for name in _quirks(item)} | set(found.before.quirks)
    for item in inputs_read(found.after.rules):
        for name in _quirks(item):
            if name in known or (name in QUIRK_SPANS and has_quirk(name, found.before.release)):
                continue
            known.add(name)
            newly = within(found, newly_decided(found, item))
            if edits.masked is not None and not {name, *_alias(name)} & edits.masked:
                text = f"quirk {name} is new, and is added to no mask of allowed quirks: can it be turned off?"
                yield from asked("quirk-mask", text, changes, newly)
            text = f"quirk {name} is new: what is its default, and with EPT off or without self-snoop?"
            yield from asked("quirk-default", text, changes, newly)


def _quirks(item: Input) -> Sequence[str]:
    if item.kind.text:
        return _QUIRK.findall(item.arg)
    return (item.arg,) if item.name == "quirk" else ()


def _alias(name: str) -> Iterator[str]:
    """The first names of a quirk."""
    return (first for first, later in QUIRK_ALIASES.items() if later == name)


def about_inputs(found: Diff, changes: Changes) -> Iterator[Remark]:
    """Inputs that cease or begin to matter in what changes; MTRRs that cease to, and still split large pages."""
    stops, starts = mattering(found)
    for code, items, verb, side in (("input-stops", stops, "stop", 0), ("input-starts", starts, "start", 1)):
        if items:
            states = 0
            for item in items:
                states |= sensitive(found, item, side)
            words = ", ".join(map(input_words, items))
            text = f"{words} {verb}{'s' if len(items) == 1 else ''} mattering there: is that said?"
            yield from asked(code, text, changes, within(found, states))
    nowhere = gone(found)
    if nowhere:
        states = 0
        for item in nowhere:
            states |= sensitive(found, item, 0, everywhere=True)
        verb = "matters" if len(nowhere) == 1 else "matter"
        text = f"{_words(nowhere)} {verb} nowhere any longer: is that said?"
        yield from asked("input-gone", text, changes, within(found, states))
    split = found.after.split_when
    if GUEST_MTRR in stops and split is not None and set(inputs(split)) <= set(found.inputs):
        text = f"the guest's MTRRs still limit the mapping level there ({condition_text(split)})"
        yield from asked("mtrr-split", text, changes, lambda state, _: holds(split, facts_of(state)))
    yield from _new_inputs(found, changes)


def _new_inputs(found: Diff, changes: Changes) -> Iterator[Remark]:
    """Conditions that the rules did not ask before, and both sides of each."""
    known = inputs_read(found.before.rules)
    for item in inputs_read(found.after.rules):
        if item in known:
            continue
        if item.kind.typed:
            code, text = "new-type", f"new memory type, {input_words(item)}"
        else:
            yes = sum(state[item] is True for state, _ in changes)
            no = sum(state[item] is False for state, _ in changes)
            many = "change" if yes == 1 else "changes"
            code = "new-condition"
            text = f"new condition, {input_words(item)}: {yes} {many} where it holds, {no} where it does not"
        yield from asked(code, text, changes, lambda *_: True)


def _words(items: Sequence[Input], link: str = "and") -> str:
    return word_list(list(map(input_words, items)), link)
