# SPDX-License-Identifier: GPL-2.0-only
"""What a careful reviewer would ask about a change of the rules: each question with a state that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from mtcalc.analysis.diff import Change, Diff, by_pat
from mtcalc.analysis.diff_words import mattering, sensitive
from mtcalc.analysis.rule_check import Oddity, check_rules
from mtcalc.rules.condition import condition_text, holds, inputs
from mtcalc.rules.inputs import CR0_CD, GUEST_MTRR, MMIO, Facts, Input, Value, input_words, value_of, with_value
from mtcalc.rules.rule import Rule, RuleSet, inputs_read
from mtcalc.rules.truth import members, values_at
from mtcalc.text.errors import Place
from mtcalc.x86.ept import odd_byte, split_mask
from mtcalc.x86.memtype import CACHEABLE, MTRR_TYPES, PAT_TYPES, MemType

ASSUMED = ("assume", "assume_type")

State: TypeAlias = dict[Input, Value]


class Remark(NamedTuple):
    """One thing to ask about, in how many of the changed states, and one of them.

    `example` is None where a rule, a statement or a line shows it rather than a state: then `rule`, the text or
    `place` names it.
    """

    kind: str
    text: str
    states: int
    example: Change | None
    pat: MemType | None = None  # the PAT type with which the example shows it
    rule: str = ""
    place: Place | None = None

    @property
    def code(self) -> str:
        """Its name for tools."""
        return self.kind.replace(" ", "-")


Changes: TypeAlias = list[tuple[State, Change]]


def review(found: Diff, one_vcpu: Sequence[str] = ()) -> tuple[Remark, ...]:
    """The remarks on a change, the gravest first. Nothing is said that no state, rule or statement shows.

    `one_vcpu`: the expressions of the new code that take one vCPU's state for all.
    """
    changes = [(state_of(found, change), change) for change in found.changes]
    return (
        *_bytes(changes),
        *_cacheable(changes),
        *_not_cacheable(changes),
        *_mmio(changes),
        *_combining(changes),
        *(Remark("vcpu", f"one vCPU's state for all vCPUs? `{text}`", 0, None) for text in one_vcpu),
        *_guest_pat(changes),
        *_inputs(found, changes),
        *_new_inputs(found, changes),
        *_dead_rules(found),
    )


def state_of(found: Diff, change: Change) -> State:
    """A change's inputs with their values."""
    return dict(zip(found.inputs, change.values, strict=True))


def _remark(
    kind: str,
    text: str,
    changes: Changes,
    shows: Callable[[State, Change], bool],
    pat: Callable[[Change], MemType | None] = lambda _: None,
) -> Iterator[Remark]:
    """A remark, if any change shows it."""
    shown = [(state, change) for state, change in changes if shows(state, change)]
    if shown:
        _, example = min(shown, key=lambda pair: _unusual(pair[0]))
        yield Remark(kind, text, len(shown), example, pat(example))


def _unusual(state: State) -> int:
    """How many inputs are not as a plain VM has them."""
    plain = Facts()
    return sum(value != (value_of(item, plain) if item.name not in ASSUMED else False) for item, value in state.items())


def _bytes(changes: Changes) -> Iterator[Remark]:
    """Bytes that are more, or other, than a memory type and ignore-PAT."""
    for byte in sorted({change.after for _, change in changes}):
        words = odd_byte(byte)
        if words is not None:
            shift = ", which end up in the entry (was a shift forgotten?)" if byte & ~0x78 else ""
            text = f"{byte:#04x} is returned: {words}{shift}"
            yield from _remark("byte", text, changes, lambda _, change, byte=byte: change.after == byte)  # type: ignore[misc]


def _becomes_cacheable(change: Change) -> MemType | None:
    """A PAT type, WB before others, with which the effective type was not cacheable and is so now."""
    before, after = by_pat(change.before), by_pat(change.after)
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
    yield from _remark(
        "cacheable",
        text.format("guest CR0.CD is set"),
        changes,
        shows(lambda state: state.get(CR0_CD) is True),
        _becomes_cacheable,
    )
    yield from _remark(
        "cacheable",
        text.format("the guest's MTRRs say UC or WC"),
        changes,
        shows(lambda s: s.get(GUEST_MTRR) in (MemType.UC, MemType.WC) and s.get(CR0_CD) is not True),
        _becomes_cacheable,
    )


def _not_cacheable(changes: Changes) -> Iterator[Remark]:
    """Guest memory that was cacheable with PAT type WB, and is not any longer."""

    def loses(state: State, change: Change) -> bool:
        before, after = by_pat(change.before)[MemType.WB], by_pat(change.after)[MemType.WB]
        return state.get(MMIO) is not True and before in CACHEABLE and after not in CACHEABLE

    text = "guest memory with PAT type WB is cacheable no longer: is that meant?"
    yield from _remark("uncacheable", text, changes, loses, lambda _: MemType.WB)


def _mmio(changes: Changes) -> Iterator[Remark]:
    """Host MMIO, and worse: host MMIO that may now be cached."""

    def is_mmio(state: State, _: Change) -> bool:
        return state.get(MMIO) is True

    def cached(state: State, change: Change) -> bool:
        return is_mmio(state, change) and _becomes_cacheable(change) is not None

    what = "host MMIO may become cacheable: device memory mapped cacheable can raise a machine check"
    yield from _remark("mmio", what, changes, cached, _becomes_cacheable)
    yield from _remark("mmio", "host MMIO is touched: is that meant?", changes, is_mmio, _differs)


def _combining(changes: Changes) -> Iterator[Remark]:
    """What the guest maps UC, the strongest type it can ask for, and gets as WC."""

    def weaker(_: State, change: Change) -> bool:
        before, after = by_pat(change.before)[MemType.UC], by_pat(change.after)[MemType.UC]
        return before is MemType.UC and after is MemType.WC

    text = "what the guest maps UC becomes WC, and writes to it may be combined and reordered: is that meant?"
    yield from _remark("combining", text, changes, weaker, lambda _: MemType.UC)


def _differs(change: Change) -> MemType | None:
    """A PAT type, WC before others, with which the effective type changes."""
    before, after = by_pat(change.before), by_pat(change.after)
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
    yield from _remark("pat", text, changes, turns(False), _differs)
    text = "the guest's PAT is honoured no longer: what drivers map WC or UC they don't get"
    yield from _remark("pat", text, changes, turns(True), _differs)


def _inputs(found: Diff, changes: Changes) -> Iterator[Remark]:
    """Inputs that cease or begin to matter in what changes; MTRRs that cease to, and still split large pages."""
    stops, starts = mattering(found)
    for items, verb, side in ((stops, "stop", 0), (starts, "start", 1)):
        if items:
            words = ", ".join(map(input_words, items))
            text = f"{words} {verb}{'s' if len(items) == 1 else ''} mattering there: is that said?"
            yield from _remark("input", text, changes, _where_one_matters(found, items, side))
    split = found.after.split_when
    if GUEST_MTRR in stops and split is not None and set(inputs(split)) <= set(found.inputs):
        text = f"the guest's MTRRs still limit the mapping level there ({condition_text(split)})"
        yield from _remark("mapping level", text, changes, lambda state, _: holds(split, _facts(state)))


def _where_one_matters(found: Diff, items: Sequence[Input], side: int) -> Callable[[State, Change], bool]:
    """Whether another value of one of `items` makes another byte, before (0) or after (1)."""
    states = 0
    for item in items:
        states |= sensitive(found, item, side)
    shown = {values_at(found.space, number) for number in members(states & found.changed)}
    return lambda _, change: change.values in shown


def _facts(state: State) -> Facts:
    facts = Facts()
    for item, value in state.items():
        facts = with_value(facts, item, value)
    return facts


def _new_inputs(found: Diff, changes: Changes) -> Iterator[Remark]:
    """Conditions that the rules did not ask before, and both sides of each."""
    known = inputs_read(found.before.rules)
    for item in inputs_read(found.after.rules):
        if item in known:
            continue
        if item.kind.typed:
            text = f"new memory type, {input_words(item)}"
        else:
            yes = sum(state[item] is True for state, _ in changes)
            no = sum(state[item] is False for state, _ in changes)
            many = "change" if yes == 1 else "changes"
            text = f"new condition, {input_words(item)}: {yes} {many} where it holds, {no} where it does not"
        yield from _remark("new input", text, changes, lambda *_: True)


def _dead_rules(found: Diff) -> Iterator[Remark]:
    """What of the new list can never match, or of the new function is never reached, and was not so before."""
    before = {rule.when for rule, _ in _never(found.before.rules)}
    for rule, message in _never(found.after.rules):
        if rule.when not in before:
            yield Remark("dead rule", message, 0, None, rule=rule.id)
    for text in found.after.rules.unreached:
        if text not in found.before.rules.unreached:
            yield Remark("dead rule", f"never reached: `{text}`", 0, None)


def _never(rule_set: RuleSet) -> Iterator[tuple[Rule, str]]:
    by_id = {rule.id: rule for rule in rule_set.rules}
    for finding in check_rules(rule_set):
        if finding.kind is Oddity.NEVER and finding.rules:
            yield by_id[finding.rules[0]], finding.message
