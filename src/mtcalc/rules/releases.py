# SPDX-License-Identifier: GPL-2.0-only
"""The rules of vmx_get_mt_mask() in mainline, each change cited as a commit, and which release had which.

Source: arch/x86/kvm/vmx.c, from 4.20 arch/x86/kvm/vmx/vmx.c. A later list is written as its change to the one
before where the change is that small.
"""

from __future__ import annotations

from mtcalc.kvm.release import Version, before, newest, since
from mtcalc.rules.condition import ALWAYS, And, Atom, Not
from mtcalc.rules.inputs import CR0_CD, MMIO, NONCOHERENT_DMA, QUIRK_CD_NW_CLEARED, QUIRK_IGNORE_GUEST_PAT, SELF_SNOOP
from mtcalc.rules.rule import Rule, RuleSet, ept, guest_mtrr
from mtcalc.text.record import Record
from mtcalc.x86.memtype import MemType

UC, WB = MemType.UC, MemType.WB

_NO_DMA = Not(Atom(NONCOHERENT_DMA))
_CD_QUIRK = And((Atom(CR0_CD), Atom(QUIRK_CD_NW_CLEARED)))

_MMIO = Rule(
    "mmio",
    Atom(MMIO),
    ept(UC, 0),
    "host MMIO is UC, and the guest's PAT may still make it WC",
    "2aaf69dcee86",
)
_COHERENT = Rule(
    "coherent",
    _NO_DMA,
    ept(WB, 1),
    "without non-coherent DMA all accesses are coherent, so WB whatever the guest asks for",
    "522c68c4416d",
)
_CD_QUIRK_WB_IPAT = Rule(
    "cd-quirk",
    _CD_QUIRK,
    ept(WB, 1),
    "guests boot with CR0.CD set; the quirk keeps their memory WB",
    "fb279950ba02",
)
_CD_UC = Rule("cd", Atom(CR0_CD), ept(UC, 1), "the guest disabled its caches", "fb279950ba02")
_GUEST_MTRR = Rule(
    "guest-mtrr",
    ALWAYS,
    guest_mtrr(0),
    "with non-coherent DMA the guest's MTRRs and PAT are honoured",
    "522c68c4416d",
)

V2_6_28 = RuleSet(
    "v2.6.28",
    "2.6.28",
    (Rule("all", ALWAYS, ept(WB, 1), "everything is WB", "928d4bf747e9"),),
    ("928d4bf747e9",),
    mainline="2008-11",
)
V2_6_29 = RuleSet(
    "v2.6.29",
    "2.6.29 to 2.6.30",
    (
        _MMIO,
        Rule("guest-mtrr", ALWAYS, guest_mtrr(1), "the guest's MTRRs alone are honoured", "2aaf69dcee86"),
    ),
    ("2aaf69dcee86",),
    mainline="2009-02",
)
V2_6_31 = RuleSet(
    "v2.6.31",
    "2.6.31 to 3.12",
    (
        _MMIO,
        Rule(
            "noncoherent-iommu",
            Atom(NONCOHERENT_DMA),
            guest_mtrr(0),
            "an IOMMU domain without cache coherency: the guest's MTRRs and PAT are honoured",
            "522c68c4416d",
        ),
        Rule("coherent", ALWAYS, ept(WB, 1), _COHERENT.why, "522c68c4416d"),
    ),
    ("522c68c4416d",),
    mainline="2009-06",
)
V3_13 = RuleSet(
    "v3.13",
    "3.13 to 4.1",
    (
        _MMIO,
        Rule("noncoherent-dma", Atom(NONCOHERENT_DMA), guest_mtrr(0), _GUEST_MTRR.why, "e0f0bbc527f6"),
        Rule("coherent", ALWAYS, ept(WB, 1), _COHERENT.why, "e0f0bbc527f6"),
    ),
    ("e0f0bbc527f6",),
    mainline="2013-11",
)
V4_2 = RuleSet(
    "v4.2",
    "4.2 (4.2.4 on: v4.3)",
    (
        Rule(
            "coherent-ram",
            And((Not(Atom(MMIO)), _NO_DMA)),
            ept(WB, 1),
            "RAM without non-coherent DMA; host MMIO is not special any more (machine checks followed)",
            "fd717f11015f",
        ),
        _CD_QUIRK_WB_IPAT,
        _CD_UC,
        Rule("guest-mtrr", ALWAYS, guest_mtrr(0), "host MMIO, or non-coherent DMA", "fd717f11015f"),
    ),
    ("fd717f11015f", "fb279950ba02"),
    ("that stable 4.2.4 is the first with v4.3's rules",),
    "2015-07",
)
V4_3 = RuleSet(
    "v4.3",
    "4.3, and 4.2.4 on",
    (_MMIO, _COHERENT, _CD_QUIRK_WB_IPAT, _CD_UC, _GUEST_MTRR),
    ("606decd67049",),
    mainline="2015-10",
)
V4_4 = RuleSet(
    "v4.4",
    "4.4 to 6.6",
    V4_3.rules,  # the guest's MTRR type alone is found another way: MtrrWalk.V4_4
    (),
    mainline="2016-01",
)
V6_7 = RuleSet(
    "v6.7",
    "6.7 to 6.10",
    (
        _MMIO,
        _COHERENT,
        Rule(
            "cd-quirk",
            _CD_QUIRK,
            ept(WB, 0),
            "as before, and the guest's PAT is honoured",
            "c9f65a3f2d92",
        ),
        _CD_UC,
        _GUEST_MTRR,
    ),
    ("c9f65a3f2d92",),
    mainline="2023-11",
)
_HONOR_PAT = Rule(
    "guest-pat",
    ALWAYS,
    ept(WB, 0),
    "the guest's PAT decides; its MTRRs and CR0.CD are not looked at",
    "0a7b73559b39",
)
V6_11_RC1 = RuleSet(
    "v6.11-rc1",
    "6.11-rc only",
    (
        _MMIO,
        Rule(
            "no-self-snoop",
            And((Not(Atom(SELF_SNOOP)), _NO_DMA)),
            ept(WB, 1),
            "without self-snoop the guest's PAT is honoured only if it must be",
            "377b2f359d1f",
        ),
        _HONOR_PAT,
    ),
    ("377b2f359d1f",),
    mainline="2024-07",
)
V6_11 = RuleSet(
    "v6.11",
    "6.11 to 6.15, and 6.12.0 to 6.12.77",
    (_MMIO, _COHERENT, _HONOR_PAT),
    ("0a7b73559b39", "e1548088ff54", "9d70f3fec144"),
    mainline="2024-09",
)
V6_16 = RuleSet(
    "v6.16",
    "6.16 to {newest}, and 6.12.78 on",
    (
        _MMIO,
        Rule(
            "ignore-guest-pat",
            And((_NO_DMA, Atom(QUIRK_IGNORE_GUEST_PAT))),
            ept(WB, 1),
            "no non-coherent DMA, and user space left the quirk on",
            "c9c1e20b4c7d",
        ),
        _HONOR_PAT,
    ),
    ("c9c1e20b4c7d",),
    mainline="2025-06",
)


class Release(Record):
    """A release that changed the rules, and what it has from then on."""

    since: Version
    rules: RuleSet
    candidates: str = ""  # where the rules came in between the release's candidates: by which commit, and when
    read: Version = ()  # the first release that was read with these rules, where it is a later one


RELEASES: tuple[Release, ...] = (
    Release((2, 6, 28), V2_6_28, "commit 928d4bf747e9, November 2008; 2.6.28-rc1 is of October"),
    Release((2, 6, 29), V2_6_29, "commit 2aaf69dcee86, February 2009; 2.6.29-rc1 is of January"),
    Release((2, 6, 31), V2_6_31),
    Release((3, 13), V3_13),
    Release((4, 2), V4_2, "commit fb279950ba02, July 2015, after 4.2-rc1"),
    Release((4, 2, 4), V4_3, read=(4, 2, 8)),
    Release((4, 3), V4_3, "commit 606decd67049, October 2015; 4.3-rc1 is of September"),
    Release((4, 4), V4_4),
    Release((6, 7), V6_7),
    Release((6, 11, -1), V6_11_RC1),
    Release((6, 11), V6_11),
    Release((6, 12, 78), V6_16),
    Release((6, 13), V6_11),
    Release((6, 16), V6_16),
)
"""Every change of the rules, ascending. `latest` has those of the last row."""


def release_at(version: Version) -> Release:
    """The row in force at a release."""
    row = since([(row.since, row) for row in RELEASES], version)
    return row._replace(rules=titled(row.rules))


def newest_with(rules: RuleSet) -> Version:
    """The newest release that has some rules, whose behaviour their bare name stands for."""
    at = max(number for number, row in enumerate(RELEASES) if row.rules == rules)
    return newest() if at + 1 == len(RELEASES) else before(RELEASES[at + 1].since)


def titled(rules: RuleSet) -> RuleSet:
    """A release's rule set with its title: {newest}, in that of the last, is the newest release with it.

    '7.4 to {newest}' is '7.4' while no later one was read.
    """
    last = ".".join(map(str, newest_with(rules)))
    return rules._replace(title=rules.title.replace("{newest}", last).removeprefix(f"{last} to "))


class Commit(Record):
    """A change of the function in mainline."""

    subject: str
    release: str  # the first with it
    confirmed: bool = True  # the subject was seen in an archive; else it rests on memory


COMMITS: dict[str, Commit] = {
    "928d4bf747e9": Commit("KVM: VMX: Set IGMT bit in EPT entry", "2.6.28"),
    "2aaf69dcee86": Commit("KVM: MMU: Map device MMIO as UC in EPT", "2.6.29"),
    "522c68c4416d": Commit("KVM: Enable snooping control for supported hardware", "2.6.31", confirmed=False),
    "e0f0bbc527f6": Commit("kvm: Create non-coherent DMA registeration", "3.13"),
    "fd717f11015f": Commit("KVM: x86: apply guest MTRR virtualization on host reserved pages", "4.2"),
    "fb279950ba02": Commit("KVM: vmx: obey KVM_QUIRK_CD_NW_CLEARED", "4.2"),
    "606decd67049": Commit('Revert "KVM: x86: apply guest MTRR virtualization on host reserved pages"', "4.3"),
    "c9f65a3f2d92": Commit("KVM: VMX: drop IPAT in memtype when CD=1 for KVM_X86_QUIRK_CD_NW_CLEARED", "6.7"),
    "377b2f359d1f": Commit("KVM: VMX: Always honor guest PAT on CPUs that support self-snoop", "6.11-rc1"),
    "0a7b73559b39": Commit("KVM: x86: Remove VMX support for virtualizing guest MTRR memtypes", "6.11"),
    "e1548088ff54": Commit("KVM: VMX: Drop support for forcing UC memory when guest CR0.CD=1", "6.11"),
    "9d70f3fec144": Commit('Revert "KVM: VMX: Always honor guest PAT on CPUs that support self-snoop"', "6.11"),
    "c9c1e20b4c7d": Commit("KVM: x86: Introduce Intel specific quirk KVM_X86_QUIRK_IGNORE_GUEST_PAT", "6.16"),
}
"""By the first twelve digits of the commit's id."""


def source_text(source: str) -> str:
    """A rule's source in words: a commit id with subject and release, anything else as it stands."""
    if source in COMMITS:
        commit = COMMITS[source]
        doubt = "" if commit.confirmed else ", subject unconfirmed"
        return f'commit {source} ("{commit.subject}"), {commit.release}{doubt}'
    return source
