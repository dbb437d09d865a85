# SPDX-License-Identifier: GPL-2.0-only
"""Rules, rule sets, and the decision: first match wins."""

from mtcalc.rules.condition import ALWAYS, Condition, condition_text, holds, inputs
from mtcalc.rules.inputs import GUEST_MTRR, Facts, HostPage, Input, value_of
from mtcalc.text.record import Record
from mtcalc.x86.ept import MEMTYPE_SHIFT, ept_mask, mask_text
from mtcalc.x86.memtype import MemType


class Outcome(Record):
    """What a rule returns: constant bits, or'd with an input's memory type shifted left; of a host-MMIO test 0 or 1."""

    const: int
    memtype_of: Input | None = None
    shift: int = MEMTYPE_SHIFT
    mmio: bool = False  # an outcome of the host-MMIO test
    npt: bool = False  # no EPT byte: the PAT index of an NPT entry

    def byte(self, facts: Facts | HostPage) -> int:
        """The byte, 0 to 0xff. Raises UnknownInput where it hangs on an assumption not given."""
        if self.memtype_of is None:
            return self.const
        return (self.const | int(value_of(self.memtype_of, facts)) << self.shift) & 0xFF

    def __str__(self) -> str:
        """In words: 'WB, ignore PAT', 'guest MTRR type'."""
        if self.mmio:
            return "MMIO" if self.const else "not MMIO"
        if self.npt:
            return f"PAT index {self.const} (PWT, PCD and PAT clear)"
        if self.memtype_of is None:
            return mask_text(self.const)
        from mtcalc.rules.inputs import input_words

        words = input_words(self.memtype_of)
        if self.shift != MEMTYPE_SHIFT:
            words += f" shifted by {self.shift}"
        ipat = ept_mask(MemType.UC, True)
        if self.const & ~ipat:
            words += f" | {self.const & ~ipat:#04x}"
        return words + (", ignore PAT" if self.const & ipat else "")


def ept(memtype: MemType, ipat: int) -> Outcome:
    """A constant EPT byte."""
    return Outcome(ept_mask(memtype, bool(ipat)))


def mmio(taken: bool) -> Outcome:
    """Whether a host page is MMIO."""
    return Outcome(int(taken), mmio=True)


def guest_mtrr(ipat: int) -> Outcome:
    """The guest's MTRR type as EPT type."""
    return Outcome(ept_mask(MemType.UC, bool(ipat)), GUEST_MTRR)


class Rule(Record):
    """One rule: when its condition holds and none before did, its outcome is the EPT byte."""

    id: str
    when: Condition
    then: Outcome
    why: str
    source: str = ""

    @property
    def text(self) -> str:
        """The rule in one line: 'mmio -> UC'."""
        if self.when == ALWAYS:
            return f"always -> {self.then}" if self.then.npt else f"otherwise -> {self.then}"
        return f"{condition_text(self.when)} -> {self.then}"


class RuleSet(Record):
    """An ordered list of rules; the last one catches everything."""

    name: str
    title: str
    rules: tuple[Rule, ...]
    sources: tuple[str, ...] = ()
    unconfirmed: tuple[str, ...] = ()
    mainline: str = ""  # YYYY-MM since when in mainline; empty for what never was
    unreached: tuple[str, ...] = ()  # statements of a C function that no way leads to
    slot_asked: bool = False  # whether a C function asks if the page has a slot, which was taken as so


def decide(rule_set: RuleSet, facts: Facts | HostPage) -> tuple[Rule, int]:
    """The first rule that matches, and its EPT byte.

    Raises UnknownInput for an assumption not given; ValueError where no rule matches.
    """
    for rule in rule_set.rules:
        if holds(rule.when, facts):
            return rule, rule.then.byte(facts)
    raise ValueError(f"no rule of {rule_set.name} matches (the last rule has to catch everything)")


def inputs_read(rule_set: RuleSet) -> tuple[Input, ...]:
    """Every input that the rule set reads, each once, in the order of the rules."""
    found: dict[Input, None] = {}
    for rule in rule_set.rules:
        found.update(dict.fromkeys(inputs(rule.when)))
        if rule.then.memtype_of is not None:
            found[rule.then.memtype_of] = None
    return tuple(found)


def insert_after(base: tuple[Rule, ...], after: str, *new: Rule) -> tuple[Rule, ...]:
    """A list with rules inserted behind the rule with id `after`, as a patch does. Raises ValueError."""
    for at, rule in enumerate(base, start=1):
        if rule.id == after:
            return (*base[:at], *new, *base[at:])
    raise ValueError(f"no rule '{after}' (one of {', '.join(rule.id for rule in base)})")
