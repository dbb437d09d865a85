# SPDX-License-Identifier: GPL-2.0-only
"""Rule sets that were proposed and never were in mainline, written as what they change."""

from mtcalc.kvm.flags import SLOT_FLAGS
from mtcalc.kvm.versions import MtrrWalk
from mtcalc.rules.condition import ALWAYS, And, Atom, Condition, Not, Or
from mtcalc.rules.inputs import (
    FLAG_NON_COHERENT_DMA,
    GUEST_MTRR,
    MEM_DMA,
    NONCOHERENT_DMA,
    QUIRK_IGNORE_GUEST_PAT,
    SELF_SNOOP,
)
from mtcalc.rules.kernel import Kernel, Version
from mtcalc.rules.releases import V4_4, V6_7, V6_16
from mtcalc.rules.rule import Rule, RuleSet, ept, guest_mtrr, insert_after
from mtcalc.text.record import Record
from mtcalc.x86.memtype import MemType

SEED_MAIL = "20240105091237.24577-1-yan.y.zhao@intel.com"


class Proposal(Record):
    """A proposed rule set and the kernel it was written for."""

    rules: RuleSet
    release: Version
    what: str
    slot_flags: int = 0  # accepted besides the release's own


SLOT_FLAG = Proposal(
    RuleSet(
        "slot-flag",
        "proposal of January 2024: KVM_MEM_NON_COHERENT_DMA",
        insert_after(
            V6_7.rules,
            "mmio",
            Rule(
                "slot-flag",
                Atom(FLAG_NON_COHERENT_DMA),
                ept(MemType.WB, 0),
                "the slot's flag: the guest's PAT decides, whatever the DMA count, MTRRs and CR0.CD say",
                "[PATCH 3/4] KVM: VMX: Honor guest PATs for memslots of flag KVM_MEM_NON_COHERENT_DMA",
            ),
        ),
        (f"message-id {SEED_MAIL}", 'series "KVM: Honor guest memory types for virtio GPU devices"'),
    ),
    (6, 8),
    "proposal of 5 January 2024, not in mainline",
    SLOT_FLAGS["NON_COHERENT_DMA"],
)

# "N also true for the whole VM once any slot has KVM_MEM_DMA": wherever v4.4 reads N.
_DMA = Or((Atom(NONCOHERENT_DMA), Atom(MEM_DMA)))
KVM_MEM_DMA = Proposal(
    RuleSet(
        "kvm-mem-dma",
        "RFC of February 2020: KVM_MEM_DMA",
        tuple(
            rule._replace(when=Not(_DMA), source="RFC 20200213213036.207625-1-olvaffe@gmail.com")
            if rule.when == Not(Atom(NONCOHERENT_DMA))
            else rule
            for rule in V4_4.rules
        ),
        ("message-id 20200213213036.207625-1-olvaffe@gmail.com",),
    ),
    (5, 6),
    "RFC of February 2020, not in mainline",
)

SLOT_HONOR_MTRR = Proposal(
    RuleSet(
        "slot-honor-mtrr",
        "suggestion of December 2023: KVM_MEM_HONOR_GUEST_PAT",
        insert_after(
            V6_7.rules,
            "mmio",
            Rule(
                "slot-flag",
                Atom(FLAG_NON_COHERENT_DMA),
                guest_mtrr(0),
                "the slot's flag: the guest's MTRRs and PAT are honoured",
                "suggested on the list, 20 December 2023",
            ),
        ),
        ("suggested on the list, 20 December 2023; the flag was to be called KVM_MEM_HONOR_GUEST_PAT",),
    ),
    (6, 8),
    "suggestion of 20 December 2023, not in mainline",
    SLOT_FLAGS["NON_COHERENT_DMA"],
)

_QUIRK_V1_MAIL = "20250224070946.31482-1-yan.y.zhao@intel.com"
QUIRK_V1 = Proposal(
    RuleSet(
        "quirk-v1",
        "first version, February 2025, of the quirk IGNORE_GUEST_PAT",
        (
            V6_16.rules[0],
            Rule(
                "ignore-guest-pat",
                And((Not(Atom(NONCOHERENT_DMA)), Or((Atom(QUIRK_IGNORE_GUEST_PAT), Not(Atom(SELF_SNOOP)))))),
                ept(MemType.WB, 1),
                "no non-coherent DMA, and the quirk is on or the CPU has no self-snoop",
                f"message-id {_QUIRK_V1_MAIL}",
            ),
            Rule("guest-pat", ALWAYS, ept(MemType.WB, 0), "the guest's PAT decides", f"message-id {_QUIRK_V1_MAIL}"),
        ),
        (f"message-id {_QUIRK_V1_MAIL}",),
    ),
    (6, 14),
    "proposal of February 2025, merged in another form as v6.16",
)

PROPOSALS = (SLOT_FLAG, KVM_MEM_DMA, SLOT_HONOR_MTRR, QUIRK_V1)

_ON_TOP = {proposal.rules.name: proposal for proposal in (SLOT_FLAG, SLOT_HONOR_MTRR, KVM_MEM_DMA)}


def proposal_on_top(name: str) -> Proposal | None:
    """The proposal behind a '+'. None for another word, such as a vendor's suffix.

    Raises ValueError for a proposal that is no change on top of others, and for a word near to a proposal's name.
    """
    word = name.lower().replace("_", "-")
    if word in _ON_TOP:
        return _ON_TOP[word]
    from mtcalc.text.suggest import nearest

    near = nearest(word, [proposal.rules.name for proposal in PROPOSALS])
    if near and word[:1].isalpha():
        right = f"one of {', '.join(_ON_TOP)}"
        raise ValueError(f"'+{name}' is no proposal that goes on top of a release ({right})")
    return None


def on_top(kernel: Kernel, proposal: Proposal) -> Kernel:
    """A kernel with a proposal's change on top of its rules. Raises ValueError where it does not go there."""
    name = f"{kernel.rules.name}+{proposal.rules.name}"
    before = kernel.rules.rules
    if proposal is KVM_MEM_DMA:
        rules = tuple(rule._replace(when=_with_mem_dma(rule.when)) for rule in before)
        if rules == before:
            raise ValueError(f"{kernel.rules.name} does not ask for non-coherent DMA (2.6.31 and later do)")
    else:
        change = next(rule for rule in proposal.rules.rules if rule.id == "slot-flag")
        if change.then.memtype_of == GUEST_MTRR and kernel.mtrr_walk is MtrrWalk.NONE:
            raise ValueError(f"{kernel.rules.name} never asks for the guest's MTRR type (6.10 and older do)")
        if any(rule.id == change.id for rule in before):
            raise ValueError(f"{kernel.rules.name} has a rule for the slot flag already (one of them)")
        if all(rule.id != "mmio" for rule in before):
            raise ValueError(
                f"{kernel.rules.name} has no rule 'mmio', behind which {proposal.rules.name} goes (v4.3 has)"
            )
        rules = insert_after(before, "mmio", change)
    split = kernel.split_when
    if split is not None and proposal is KVM_MEM_DMA:
        split = _with_mem_dma(split)
    sources = (*kernel.rules.sources, *proposal.rules.sources)
    title = f"{kernel.rules.name} with {proposal.rules.name} on top"
    return kernel._replace(
        rules=RuleSet(name, title, rules, sources, kernel.rules.unconfirmed),
        slot_flags=kernel.slot_flags | proposal.slot_flags,
        split_when=split,
        proposal=proposal.what,
    )


def _with_mem_dma(when: Condition) -> Condition:
    """A condition in which non-coherent DMA is also KVM_MEM_DMA's."""
    if isinstance(when, Atom):
        return _DMA if when == Atom(NONCOHERENT_DMA) else when
    if isinstance(when, Not):
        return Not(_with_mem_dma(when.of))
    return type(when)(tuple(map(_with_mem_dma, when.of)))
