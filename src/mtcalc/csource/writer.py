# SPDX-License-Identifier: GPL-2.0-only
"""A rule set written as C, in the shapes that vmx_get_mt_mask() had over the years.

The rules are the source; the kernel's text serves only as the pattern: if/else with one return up to 4.1,
`cache`, `ipat` and a goto from 4.2 to 5.17, early returns since. What a patch's context is compared with.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from mtcalc.csource.predicates import FUNCTION, UNCACHED, WRITTEN
from mtcalc.rules.condition import ALWAYS, And, Atom, Condition, Not, Or
from mtcalc.rules.inputs import HOST_TYPE, NONCOHERENT_DMA, QUIRK_IGNORE_GUEST_PAT, RESERVED, ZERO_PAGE, Input
from mtcalc.rules.rule import Outcome, Rule, RuleSet
from mtcalc.x86.ept import MEMTYPE_SHIFT, ept_mask
from mtcalc.x86.memtype import MTRR_TYPES, MemType

HELPER = "vmx_ignore_guest_pat"


class Style(Enum):
    """How the function comes to its one value."""

    IF_ELSE = "ret in if, else if, else; one return"
    GOTO = "cache and ipat, goto exit"
    RETURN = "early returns"


class Spelling(NamedTuple):
    """How a kernel of some time put the parts of a statement."""

    cd: str = "kvm_read_cr0_bits(vcpu, X86_CR0_CD)"
    dma: str = "kvm_arch_has_noncoherent_dma({kvm})"
    mtrr: str = "kvm_mtrr_get_guest_memory_type(vcpu, gfn)"
    ipat: str = "VMX_EPT_IPAT_BIT"
    ipat_first: bool = True  # of the two assignments before a goto
    parens: bool = False  # around the last return's value
    helper: bool = False  # HELPER for "no non-coherent DMA, and the quirk is on"


MODERN = Spelling()

CR0_AND = "kvm_read_cr0(vcpu) & X86_CR0_CD"
CR0_BITS = "kvm_read_cr0_bits(vcpu, X86_CR0_CD)"
CR0_SET = "kvm_is_cr0_bit_set(vcpu, X86_CR0_CD)"
IOMMU = "{kvm}->arch.iommu_domain && !({kvm}->arch.iommu_flags & KVM_IOMMU_CACHE_COHERENCY)"
OLD_MTRR = "kvm_get_guest_memory_type(vcpu, gfn)"

_OLD = Spelling(cd=CR0_AND, mtrr=OLD_MTRR)
_GOTO_ERA = tuple((Style.GOTO, Spelling(cd=CR0_AND, ipat_first=first)) for first in (True, False))
_RETURN_ERA = tuple((Style.RETURN, Spelling(cd=cd)) for cd in (CR0_BITS, CR0_SET, CR0_AND))
_NO_MTRR_ERA = tuple((Style.RETURN, Spelling(parens=parens)) for parens in (True, False))
_IF_ELSE_ERA = tuple((Style.IF_ELSE, _OLD._replace(ipat=ipat)) for ipat in ("VMX_EPT_IPAT_BIT", "VMX_EPT_IGMT_BIT"))

_ERAS: dict[str, tuple[tuple[Style, Spelling], ...]] = {
    "v2.6.28": _IF_ELSE_ERA,
    "v2.6.29": _IF_ELSE_ERA,
    "v2.6.31": tuple((style, spelling._replace(dma=IOMMU)) for style, spelling in _IF_ELSE_ERA),
    "v3.13": _IF_ELSE_ERA,
    "v4.2": _GOTO_ERA,
    "v4.3": _GOTO_ERA,
    "v4.4": (*_GOTO_ERA, (Style.GOTO, Spelling(cd=CR0_BITS)), *_RETURN_ERA),
    "v6.7": _RETURN_ERA,
    "v6.11-rc1": _NO_MTRR_ERA,
    "v6.11": _NO_MTRR_ERA,
    "v6.16": tuple((style, spelling._replace(helper=True)) for style, spelling in _NO_MTRR_ERA),
    "slot-flag": _RETURN_ERA,
    "kvm-mem-dma": _GOTO_ERA,
    "slot-honor-mtrr": _RETURN_ERA,
    "quirk-v1": _NO_MTRR_ERA,
}

_TYPE_NAMES = {
    MemType.UC: "MTRR_TYPE_UNCACHABLE",
    MemType.WC: "MTRR_TYPE_WRCOMB",
    MemType.WT: "MTRR_TYPE_WRTHROUGH",
    MemType.WP: "MTRR_TYPE_WRPROT",
    MemType.WB: "MTRR_TYPE_WRBACK",
}
_HOST_PAGE = {
    "struct_page": "pfn_valid(pfn)",
    "reserved": "PageReserved(pfn_to_page(pfn))",
    "zero_page": "is_zero_pfn(pfn)",
    "host_pat": "pat_enabled()",
    "e820_ram": "e820__mapped_raw_any(pfn_to_hpa(pfn), pfn_to_hpa(pfn + 1) - 1, E820_TYPE_RAM)",
}
_UNCACHED = tuple(Atom(HOST_TYPE, kind) for kind in UNCACHED)
_IS_UNCACHED = Atom(Input("assume", "pat_pfn_immune_to_uc_mtrr(pfn)"))
_PRIMARY = re.compile(r"[A-Za-z_][\w.>-]*(?:\((?:[^()]|\([^()]*\))*\))?$")
_SHIFT = "VMX_EPT_MT_EPTE_SHIFT"
_HELPED = And((Not(Atom(NONCOHERENT_DMA)), Atom(QUIRK_IGNORE_GUEST_PAT)))
_IPAT = ept_mask(MemType.UC, True)


@lru_cache(maxsize=64)
def texts_of_its_time(rules: RuleSet) -> tuple[str, ...]:
    """The rule set as kernels of its time may have spelled it; a set that is not built in: in every way."""
    if rules.name not in _ERAS:
        return all_texts(rules)
    return tuple(dict.fromkeys(write_c(rules, style, spelling) for style, spelling in _ERAS[rules.name]))


@lru_cache(maxsize=64)
def all_texts(rules: RuleSet) -> tuple[str, ...]:
    """The rule set in every style and spelling, those of its time first."""
    of_its_time = texts_of_its_time(rules) if rules.name in _ERAS else ()
    return tuple(dict.fromkeys((*of_its_time, *_every(rules))))


def _every(rules: RuleSet) -> Iterator[str]:
    spellings = [
        Spelling(cd, dma, mtrr, "VMX_EPT_IPAT_BIT", ipat_first, parens, helper)
        for cd, (dma, mtrr), ipat_first, parens, helper in itertools.product(
            (CR0_BITS, CR0_SET, CR0_AND),
            ((MODERN.dma, MODERN.mtrr), (MODERN.dma, OLD_MTRR), (IOMMU, OLD_MTRR)),
            (True, False),
            (False, True),
            (False, True),
        )
    ]
    for style in Style:
        yield from dict.fromkeys(write_c(rules, style, spelling) for spelling in spellings)


def write_c(rules: RuleSet, style: Style, spelling: Spelling = MODERN) -> str:
    """The rule set as the function, with its helper before it where the spelling has one."""
    lines: list[str] = []
    if spelling.helper and any(rule.when == _HELPED for rule in rules.rules):
        value = _condition(_HELPED, spelling._replace(helper=False), "kvm")
        lines += [f"static inline bool {HELPER}(struct kvm *kvm)", "{", f"\treturn {value};", "}", ""]
    width = "u8" if style is Style.RETURN else "u64"
    slot = "const struct kvm_memory_slot *slot"
    lines += [f"static {width} {FUNCTION}(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio, {slot})", "{"]
    body = {Style.IF_ELSE: _if_else, Style.GOTO: _goto, Style.RETURN: _returns}[style](rules.rules, spelling)
    return "\n".join([*lines, *body, "}", ""])


def _if_else(rules: tuple[Rule, ...], spelling: Spelling) -> Iterator[str]:
    yield from ("\tu64 ret;", "")
    for number, rule in enumerate(rules):
        last = number == len(rules) - 1
        if number:
            yield "\telse" if last else f"\telse if ({_condition(rule.when, spelling)})"
        elif not last:
            yield f"\tif ({_condition(rule.when, spelling)})"
        yield f"\t{'' if last and not number else chr(9)}ret = {_value(rule.then, spelling)};"
    yield from ("", "\treturn ret;")


def _goto(rules: tuple[Rule, ...], spelling: Spelling) -> Iterator[str]:
    yield from ("\tu8 cache;", "\tu64 ipat = 0;", "")
    for first, second in _grouped(rules[:-1]):
        yield f"\tif ({_condition((second or first).when, spelling)}) {{"
        if second is None:
            yield from (f"\t\t{line}" for line in _assignments(first.then, spelling))
        elif _same_ipat(first, second):
            if first.then.const & _IPAT:
                yield f"\t\tipat = {spelling.ipat};"
            yield from (f"\t\t{line}" for line in _cache_of_both(first, second, spelling))
        else:
            yield f"\t\tif ({_inner(first, spelling)}) {{"
            yield from (f"\t\t\t{line}" for line in _assignments(first.then, spelling))
            yield "\t\t} else {"
            yield from (f"\t\t\t{line}" for line in _assignments(second.then, spelling))
            yield "\t\t}"
        yield from ("\t\tgoto exit;", "\t}", "")
    yield from (f"\t{line}" for line in _assignments(rules[-1].then, spelling))
    yield from ("", "exit:", f"\treturn (cache << {_SHIFT}) | ipat;")


def _returns(rules: tuple[Rule, ...], spelling: Spelling) -> Iterator[str]:
    groups = list(_grouped(rules[:-1]))
    if any(second is not None and _same_ipat(first, second) for first, second in groups):
        yield from ("\tu8 cache;", "")
    for first, second in groups:
        if second is None:
            yield f"\tif ({_condition(first.when, spelling)})"
            yield f"\t\treturn {_value(first.then, spelling)};"
        else:
            yield f"\tif ({_condition(second.when, spelling)}) {{"
            if _same_ipat(first, second):
                yield from (f"\t\t{line}" for line in _cache_of_both(first, second, spelling))
                value = f"cache << {_SHIFT}"
                yield from ("", f"\t\treturn {f'({value}) | {spelling.ipat}' if first.then.const & _IPAT else value};")
            else:
                yield f"\t\tif ({_inner(first, spelling)})"
                yield f"\t\t\treturn {_value(first.then, spelling)};"
                yield "\t\telse"
                yield f"\t\t\treturn {_value(second.then, spelling)};"
            yield "\t}"
        yield ""
    value = _value(rules[-1].then, spelling)
    yield f"\treturn ({value});" if spelling.parens else f"\treturn {value};"


def _grouped(rules: tuple[Rule, ...]) -> Iterator[tuple[Rule, Rule | None]]:
    """Each rule alone, or `A and B` with the `A` behind it: one `if (A)` with an `if (B)` and an else in it."""
    at = 0
    while at < len(rules):
        rule = rules[at]
        after = rules[at + 1] if at + 1 < len(rules) else None
        if after and isinstance(rule.when, And) and len(rule.when.of) == 2 and rule.when.of[0] == after.when:
            yield rule, after
            at += 2
        else:
            yield rule, None
            at += 1


def _inner(first: Rule, spelling: Spelling) -> str:
    """The B of a rule whose condition is `A and B`."""
    return _condition(And(first.when.of[1:]) if isinstance(first.when, And) else first.when, spelling)


def _same_ipat(first: Rule, second: Rule) -> bool:
    return first.then.const & _IPAT == second.then.const & _IPAT and _has_cache(first.then) and _has_cache(second.then)


def _cache_of_both(first: Rule, second: Rule, spelling: Spelling) -> Iterator[str]:
    yield f"if ({_inner(first, spelling)})"
    yield f"\tcache = {_cache(first.then, spelling)};"
    yield "else"
    yield f"\tcache = {_cache(second.then, spelling)};"


def _has_cache(outcome: Outcome) -> bool:
    """Whether the byte is a memory type and perhaps IPAT, so that cache and ipat can say it."""
    rest = outcome.const & ~_IPAT
    if outcome.memtype_of is not None:
        return outcome.shift == MEMTYPE_SHIFT and not rest
    return rest in {ept_mask(kind, False) for kind in MTRR_TYPES}


def _cache(outcome: Outcome, spelling: Spelling) -> str:
    if outcome.memtype_of is not None:
        return _type(outcome.memtype_of, spelling)
    return _TYPE_NAMES[MemType((outcome.const & ~_IPAT) >> MEMTYPE_SHIFT)]


def _assignments(outcome: Outcome, spelling: Spelling) -> list[str]:
    if not _has_cache(outcome):
        return [f"return {_value(outcome, spelling)};"]
    lines = [f"ipat = {spelling.ipat};"] if outcome.const & _IPAT else []
    lines.append(f"cache = {_cache(outcome, spelling)};")
    return lines if spelling.ipat_first else lines[::-1]


def _value(outcome: Outcome, spelling: Spelling) -> str:
    """The returned byte as an expression."""
    if _has_cache(outcome):
        shifted = f"{_cache(outcome, spelling)} << {_SHIFT}"
        return f"({shifted}) | {spelling.ipat}" if outcome.const & _IPAT else shifted
    if outcome.memtype_of is None:
        return f"{outcome.const:#04x}"
    kind = _type(outcome.memtype_of, spelling)
    shifted = f"{kind} << {outcome.shift}" if outcome.shift else kind
    return f"({shifted}) | {outcome.const:#04x}" if outcome.const else shifted


def _type(item: Input, spelling: Spelling) -> str:
    return item.arg if item.kind.text else spelling.mtrr


def _condition(condition: Condition, spelling: Spelling, kvm: str = "vcpu->kvm", inside: str = "") -> str:
    """A condition as C; `inside`: the operator around it, which decides about parentheses."""
    if spelling.helper and condition == _HELPED:
        return f"{HELPER}({kvm})"
    if isinstance(condition, Atom):
        text = _atom(condition, spelling, kvm)
        bare = not inside or _PRIMARY.match(text) is not None
        return text if bare or (inside == "&&" and "&&" in text) else f"({text})"
    if isinstance(condition, Not):
        return f"!{_condition(condition.of, spelling, kvm, '!')}"
    if not condition.of:
        return "true" if condition == ALWAYS else "false"
    mark = "&&" if isinstance(condition, And) else "||"
    text = f" {mark} ".join(_condition(part, spelling, kvm, mark) for part in condition.of)
    return f"({text})" if inside and inside != mark else text


def _atom(atom: Atom, spelling: Spelling, kvm: str) -> str:
    item = atom.input
    if isinstance(atom.value, MemType):
        return f"{_type(item, spelling)} == {_TYPE_NAMES[atom.value]}"
    if item.kind.text:
        return item.arg
    text = {"cr0_cd": spelling.cd, "noncoherent_dma": spelling.dma}.get(item.name) or WRITTEN[item.name]
    return text.format(kvm=kvm, arg=item.arg)


def write_mmio_c(rules: RuleSet, name: str = "kvm_is_mmio_pfn") -> str:
    """A host-MMIO test as C: a function of that name, each rule an early return.

    In C the zero page is reserved, and the host's type is UC, UC- and WC, or none of them: what tells more apart
    raises ValueError.
    """
    lines = [f"static bool {name}(kvm_pfn_t pfn)", "{"]
    for rule in rules.rules[:-1]:
        lines += [f"\tif ({_condition(_host_page(rule.when), MODERN)})", f"\t\treturn {_taken(rule)};", ""]
    return "\n".join([*lines, f"\treturn {_taken(rules.rules[-1])};", "}", ""])


def host_page_text(condition: Condition) -> str:
    """A condition on a host page as C. Raises ValueError as write_mmio_c() does."""
    return _condition(_host_page(condition), MODERN)


def _taken(rule: Rule) -> str:
    return "true" if rule.then.const else "false"


def _host_page(condition: Condition) -> Condition:
    """A condition on a host page as one on C expressions. Raises ValueError."""
    if isinstance(condition, Not):
        return Not(_host_page(condition.of))
    if isinstance(condition, And | Or):
        parts = condition.of
        if isinstance(condition, Or) and {Atom(RESERVED), Atom(ZERO_PAGE)} <= set(parts):
            parts = tuple(part for part in parts if part != Atom(ZERO_PAGE))
        if isinstance(condition, Or) and set(_UNCACHED) <= set(parts):
            at = min(map(parts.index, _UNCACHED))
            rest = [part for part in parts if part not in _UNCACHED]
            done = [*map(_host_page, rest[:at]), _IS_UNCACHED, *map(_host_page, rest[at:])]
        else:
            done = [_host_page(part) for part in parts]
        return done[0] if len(done) == 1 else type(condition)(tuple(done))
    if condition.input.kind.text:
        return condition
    if condition.input == HOST_TYPE:
        raise ValueError(f"no C says host_type {condition.value} (UC, UC- and WC together)")
    return Atom(Input("assume", _HOST_PAGE[condition.input.name]))
