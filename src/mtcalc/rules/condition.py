# SPDX-License-Identifier: GPL-2.0-only
"""Facts about one page, and conditions over them.

An Input is something a rule can ask for; Facts hold a value for each; a Condition is an Atom, or Not, And,
Or of conditions. As text: `mmio`, `not noncoherent_dma`, `cr0_cd and quirk CD_NW_CLEARED`,
`slot_flag NON_COHERENT_DMA`, `guest_mtrr WC`, `assume "source text"`; not binds tighter than and, and than or.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias, Union

from mtcalc.kvm.flags import QUIRKS, SLOT_FLAGS
from mtcalc.x86.memtype import MTRR_TYPES, MemType

Value: TypeAlias = Union[bool, MemType]


class Input(NamedTuple):
    """Something a rule set can read: a name of INPUT_WORDS, and which one where there are several."""

    name: str
    arg: str = ""

    def __str__(self) -> str:
        if self.name in ("assume", "assume_type"):
            escaped = self.arg.replace("\\", "\\\\").replace('"', '\\"')
            return f'{self.name} "{escaped}"'
        return f"{self.name} {self.arg}" if self.arg else self.name


MMIO = Input("mmio")
NONCOHERENT_DMA = Input("noncoherent_dma")
MEM_DMA = Input("mem_dma")
CR0_CD = Input("cr0_cd")
SELF_SNOOP = Input("self_snoop")
GUEST_MTRR = Input("guest_mtrr")
QUIRK_CD_NW_CLEARED = Input("quirk", "CD_NW_CLEARED")
QUIRK_IGNORE_GUEST_PAT = Input("quirk", "IGNORE_GUEST_PAT")
FLAG_NON_COHERENT_DMA = Input("slot_flag", "NON_COHERENT_DMA")

INPUT_WORDS = {
    "mmio": "host MMIO",
    "noncoherent_dma": "non-coherent DMA",
    "mem_dma": "some slot has KVM_MEM_DMA",
    "cr0_cd": "guest CR0.CD",
    "self_snoop": "host self-snoop",
    "guest_mtrr": "guest MTRR type",
    "quirk": "quirk in force",
    "slot_flag": "slot flag",
    "assume": "assumed condition",
    "assume_type": "assumed memory type",
}
"""Every input name, and how a sentence calls it."""


def input_words(item: Input) -> str:
    """An input as a sentence calls it: 'quirk CD_NW_CLEARED', 'guest CR0.CD', '`a source text`'."""
    if item.name in ("assume", "assume_type"):
        return f"`{item.arg}`"
    if item.name in ("quirk", "slot_flag"):
        return f"{'quirk' if item.name == 'quirk' else 'slot flag'} {item.arg}"
    return INPUT_WORDS[item.name]


def domain(item: Input) -> tuple[Value, ...]:
    """The values an input can take."""
    return MTRR_TYPES if item.name in ("guest_mtrr", "assume_type") else (False, True)


class Facts(NamedTuple):
    """Everything a rule can know about one page."""

    mmio: bool = False
    slot_flags: int = 0
    noncoherent_dma: bool = False
    mem_dma: bool = False
    cr0_cd: bool = False
    disabled_quirks: int = 0
    self_snoop: bool = True
    guest_mtrr: MemType | None = MemType.WB  # None: a kernel that never asks
    assume: Mapping[str, Value] = {}


class UnknownInput(ValueError):
    """An assumed condition or type that nobody gave a value for."""

    def __init__(self, item: Input) -> None:
        example = "yes|no" if item.name == "assume" else "UC|WC|WT|WP|WB"
        super().__init__(
            f"these rules ask for `{item.arg}` (say --assume '{item.arg}={example}'; in a scenario, assume:)"
        )
        self.item = item


def value_of(item: Input, facts: Facts) -> Value:
    """The value of an input. Raises UnknownInput for an assumption that is not given or of another kind."""
    name = item.name
    if name == "slot_flag":
        return bool(facts.slot_flags & SLOT_FLAGS[item.arg])
    if name == "quirk":
        return not facts.disabled_quirks & QUIRKS[item.arg]
    if name in ("assume", "assume_type"):
        assumed = facts.assume.get(item.arg)
        if assumed is None:
            assumed = _assumed_alike(item.arg, facts.assume)
        if assumed is None or isinstance(assumed, MemType) is not (name == "assume_type"):
            raise UnknownInput(item)
        return assumed
    if name == "guest_mtrr" and facts.guest_mtrr is None:
        what = "these rules ask for the guest's MTRR type, and the kernel around them never does"
        raise ValueError(f"{what} (6.10 and older do; mtcalc lookup takes --mtrr)")
    value: Value = getattr(facts, name)
    return value


def _assumed_alike(text: str, assume: Mapping[str, Value]) -> Value | None:
    folded = folded_text(text)
    return next((value for given, value in assume.items() if folded_text(given) == folded), None)


def folded_text(text: str) -> str:
    """A source text without the blanks that C does without: `f(a, b) == 1` and `f( a,b )==1` are one."""
    folded = ""
    for word in text.split():
        last = folded[-1:]
        apart = (last.isalnum() or last == "_") and (word[0].isalnum() or word[0] == "_")
        # One mark twice can be another operator: `a & &b`.
        folded += f" {word}" if apart or (last == word[0] and last not in "()[]") else word
    return folded


def same_input(item: Input) -> Input:
    """An input as others are compared with it: an assumption by its folded text."""
    return item._replace(arg=folded_text(item.arg)) if item.name in ("assume", "assume_type") else item


def with_value(facts: Facts, item: Input, value: Value) -> Facts:
    """The facts with one input set."""
    if item.name == "slot_flag":
        bit = SLOT_FLAGS[item.arg]
        return facts._replace(slot_flags=facts.slot_flags | bit if value else facts.slot_flags & ~bit)
    if item.name == "quirk":
        bit = QUIRKS[item.arg]
        return facts._replace(disabled_quirks=facts.disabled_quirks & ~bit if value else facts.disabled_quirks | bit)
    if item.name in ("assume", "assume_type"):
        return facts._replace(assume={**facts.assume, item.arg: value})
    fields: dict[str, Any] = {item.name: value}
    return facts._replace(**fields)


class Atom(NamedTuple):
    """An input has a value: yes for a condition, one memory type for guest_mtrr."""

    input: Input
    value: Value = True


class Not(NamedTuple):
    """The condition does not hold."""

    of: "Condition"


class And(NamedTuple):
    """All hold; And(()) always does."""

    of: "tuple[Condition, ...]"

    # As tuples alone, And(x) and Or(x) would be equal, and so would always and never.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, And) and self.of == other.of

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(("and", self.of))


class Or(NamedTuple):
    """At least one holds; Or(()) never does."""

    of: "tuple[Condition, ...]"

    # As tuples alone, And(x) and Or(x) would be equal, and so would always and never.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Or) and self.of == other.of

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(("or", self.of))


Condition: TypeAlias = Union[Atom, Not, And, Or]

ALWAYS = And(())


def holds(condition: Condition, facts: Facts) -> bool:
    """Whether a condition holds. Evaluates as C does, left to right, no further than needed."""
    if isinstance(condition, Atom):
        return value_of(condition.input, facts) == condition.value
    if isinstance(condition, Not):
        return not holds(condition.of, facts)
    if isinstance(condition, And):
        return all(holds(part, facts) for part in condition.of)
    return any(holds(part, facts) for part in condition.of)


def reasons(condition: Condition, facts: Facts) -> tuple[tuple[Input, Value], ...]:
    """The inputs, with their values, that make the condition hold or fail: as few as decide it."""
    if isinstance(condition, Atom):
        return ((condition.input, value_of(condition.input, facts)),)
    if isinstance(condition, Not):
        return reasons(condition.of, facts)
    decisive = isinstance(condition, Or)  # one part that holds decides an Or, one that fails an And
    for part in condition.of:
        if holds(part, facts) is decisive:
            return reasons(part, facts)
    return tuple(dict.fromkeys(r for part in condition.of for r in reasons(part, facts)))


def inputs(condition: Condition) -> Iterator[Input]:
    """Every input the condition reads, in order, repetitions included."""
    if isinstance(condition, Atom):
        yield condition.input
    elif isinstance(condition, Not):
        yield from inputs(condition.of)
    else:
        for part in condition.of:
            yield from inputs(part)


_BINDS = {Or: 1, And: 2, Not: 3, Atom: 4}


def condition_text(condition: Condition) -> str:
    """A condition as a rule file writes it; parses back to an equal one."""
    if isinstance(condition, Atom):
        if isinstance(condition.value, MemType):
            return f"{condition.input} {condition.value}"
        return str(condition.input)
    if isinstance(condition, Not):
        return f"not {_inner(condition.of, Not)}"
    if not condition.of:
        return "always" if isinstance(condition, And) else "never"
    word = " and " if isinstance(condition, And) else " or "
    return word.join(_inner(part, type(condition)) for part in condition.of)


def _inner(part: Condition, outer: type) -> str:
    text = condition_text(part)
    empty = isinstance(part, And | Or) and not part.of
    tight = _BINDS[type(part)] > _BINDS[outer] or (isinstance(part, Not) and outer is Not)
    return text if tight or empty else f"({text})"


def reason_text(item: Input, value: Value) -> str:
    """One input and its value as explain says it: 'noncoherent_dma is no', 'guest_mtrr is WC'."""
    return f"{item} is {value_text(value)}"


def value_text(value: Value) -> str:
    """A value in words: yes, no, or a memory type."""
    return str(value) if isinstance(value, MemType) else "yes" if value else "no"
