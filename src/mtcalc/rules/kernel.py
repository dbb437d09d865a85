# SPDX-License-Identifier: GPL-2.0-only
"""A rule set together with the kernel behaviour around it, and that behaviour by release."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias, TypeVar

from mtcalc.kvm.flags import QUIRKS, SLOT_FLAGS
from mtcalc.kvm.versions import MmioTest, MtrrWalk
from mtcalc.rules.condition import (
    GUEST_MTRR,
    NONCOHERENT_DMA,
    QUIRK_IGNORE_GUEST_PAT,
    SELF_SNOOP,
    And,
    Atom,
    Condition,
    Facts,
    Input,
    Not,
    Value,
    holds,
    reason_text,
    same_input,
)
from mtcalc.rules.rule import RuleSet, inputs_read

Version: TypeAlias = tuple[int, ...]
"""(6, 12, 78); a release candidate as (6, 11, -1). Compare by sort_key()."""

T = TypeVar("T")

NEWEST: Version = (7, 3)
"""The newest release whose code was read."""

LAST_OF_SERIES: dict[Version, int] = {(2,): 6, (2, 6): 39, (3,): 19, (4,): 20, (5,): 19, (6,): 19}
"""The last number behind each one of a series that is closed."""

OLDEST: Version = (2, 6, 28)
"""The first release with vmx_get_mt_mask() (as get_mt_mask_shift)."""


class Unreachable(NamedTuple):
    """A combination of inputs that the kernel does not let happen."""

    when: Condition
    why: str


class Kernel(NamedTuple):
    """A rule set and what the kernel does around it."""

    ref: str  # what the user asked for
    rules: RuleSet
    release: Version  # whose behaviour this is
    mtrr_walk: MtrrWalk
    mmio_test: MmioTest
    split_when: Condition | None  # when MTRRs limit the mapping level; None: never
    quirks: tuple[str, ...]  # those this kernel knows
    slot_flags: int  # those this kernel accepts
    unreachable: tuple[Unreachable, ...] = ()
    proposal: str = ""  # what it is, where it never was in mainline
    notes: tuple[str, ...] = ()  # said with every answer
    default: bool = False  # nobody asked for it


# Each table: since which release, and what then. Looked up by bisection, as releases sort.
_WALKS: tuple[tuple[Version, MtrrWalk], ...] = (
    ((0,), MtrrWalk.V4_1),
    ((4, 2), MtrrWalk.V4_2),
    ((4, 4), MtrrWalk.V4_4),
    ((6, 11, -1), MtrrWalk.NONE),
)
_MMIO_TESTS: tuple[tuple[Version, MmioTest], ...] = (
    ((0,), MmioTest.RESERVED),
    ((4, 16), MmioTest.HOST_TYPE),
    ((5, 2), MmioTest.E820),
)
_SPLITS: tuple[tuple[Version, Condition | None], ...] = (
    ((0,), None),
    ((4, 2), Atom(NONCOHERENT_DMA)),
    ((6, 11, -1), None),
)
_QUIRKS: tuple[tuple[Version, tuple[str, ...]], ...] = (
    ((0,), ()),
    ((4, 2), ("CD_NW_CLEARED",)),
    ((6, 12, 78), ("CD_NW_CLEARED", "IGNORE_GUEST_PAT")),
    ((6, 13), ("CD_NW_CLEARED",)),
    ((6, 16), ("CD_NW_CLEARED", "IGNORE_GUEST_PAT")),
)
_LOG = SLOT_FLAGS["LOG_DIRTY_PAGES"]
_SLOT_FLAGS: tuple[tuple[Version, int], ...] = (
    ((0,), _LOG),
    ((3, 7), _LOG | SLOT_FLAGS["READONLY"]),
    ((6, 8), _LOG | SLOT_FLAGS["READONLY"] | SLOT_FLAGS["GUEST_MEMFD"]),
)
_QUIRK_NEEDS_SELF_SNOOP = Unreachable(
    And((Not(Atom(QUIRK_IGNORE_GUEST_PAT)), Not(Atom(SELF_SNOOP)))),
    "from v6.16 on, IGNORE_GUEST_PAT cannot be disabled on a CPU without self-snoop",
)


def sort_key(release: Version) -> Version:
    """Three numbers at least, so that 6.11-rc sorts before 6.11 and 6.11 equals 6.11.0."""
    return release + (0,) * (3 - len(release))


def since(table: Sequence[tuple[Version, T]], release: Version) -> T:
    """The row of a table in force at a release."""
    return table[bisect_right([sort_key(key) for key, _ in table], sort_key(release)) - 1][1]


def kernel_at(release: Version, rules: RuleSet, ref: str, *, proposal: str = "", extra_slot_flags: int = 0) -> Kernel:
    """The rules with the behaviour of a release around them."""
    quirks = since(_QUIRKS, release)
    return Kernel(
        ref=ref,
        rules=rules,
        release=release,
        mtrr_walk=since(_WALKS, release),
        mmio_test=since(_MMIO_TESTS, release),
        split_when=since(_SPLITS, release),
        quirks=quirks,
        slot_flags=since(_SLOT_FLAGS, release) | extra_slot_flags,
        unreachable=(_QUIRK_NEEDS_SELF_SNOOP,) if "IGNORE_GUEST_PAT" in quirks else (),
        proposal=proposal,
    )


def with_read(kernel: Kernel) -> Kernel:
    """The kernel, knowing the slot flags and quirks that its rules read: code that asks for one comes with it.

    The one place for this, for all rules that are no release's own: C, patches, rule files, proposals. A quirk that
    the release lacks can be disabled here; what the release does not let happen stays out of reach.
    """
    read = inputs_read(kernel.rules)
    flags = kernel.slot_flags
    quirks = set(kernel.quirks)
    for item in read:
        if item.name == "slot_flag":
            flags |= SLOT_FLAGS[item.arg]
        elif item.name == "quirk":
            quirks.add(item.arg)
    return kernel._replace(slot_flags=flags, quirks=tuple(name for name in QUIRKS if name in quirks))


def version_text(release: Version) -> str:
    """(6, 12, 78) -> '6.12.78', (6, 11, -1) -> '6.11-rc'."""
    if release[-1] == -1:
        return ".".join(map(str, release[:-1])) + "-rc"
    return ".".join(map(str, release))


def kernel_notes(kernel: Kernel) -> tuple[str, ...]:
    """What every answer by this kernel has to say: a proposal, a vendor's release, something unconfirmed."""
    if not kernel.proposal:
        return kernel.notes
    chosen = " (the default: choose others with -r)" if kernel.default else ""
    article = "an" if kernel.proposal.startswith("RFC") else "a"
    return (f"{kernel.rules.name} is {article} {kernel.proposal}{chosen}", *kernel.notes)


def kernel_label(kernel: Kernel) -> str:
    """What was asked for, and the rule set that it has: '6.1 (v4.4)', 'slot-flag'."""
    name = kernel.rules.name
    if kernel.ref == name or kernel.ref.endswith(f"/{name}"):
        return kernel.ref  # a file's path, which tells two of one name apart
    return f"{kernel.ref} ({name})"


def asks_guest_mtrr(kernel: Kernel) -> bool:
    """Whether the kernel looks at the guest's MTRRs at all."""
    return kernel.mtrr_walk is not MtrrWalk.NONE


def out_of_reach(kernel: Kernel) -> tuple[Unreachable, ...]:
    """The states that cannot be: those the kernel does not let happen, and quirks disabled that it does not have."""
    missing = tuple(
        Unreachable(Not(Atom(Input("quirk", name))), f"{kernel.rules.name} has no quirk {name}")
        for name in QUIRKS
        if name not in kernel.quirks
    )
    return (*kernel.unreachable, *missing)


def assuming(kernel: Kernel, item: Input, value: Value) -> Kernel:
    """The kernel, with every other value of an input out of reach."""
    other = Unreachable(Not(Atom(item, value)), f"assumed: {reason_text(item, value)}")
    return kernel._replace(unreachable=(*kernel.unreachable, other))


def unknown_inputs(kernel: Kernel, facts: Facts) -> tuple[str, ...]:
    """Notes on inputs given that this kernel does not know, cannot reach or does not look at."""
    notes = []
    for name, bit in QUIRKS.items():
        if facts.disabled_quirks & bit and name not in kernel.quirks:
            notes.append(f"this kernel has no quirk {name}: disabling it does nothing here")
    for name, bit in SLOT_FLAGS.items():
        if facts.slot_flags & bit & ~kernel.slot_flags:
            notes.append(f"this kernel refuses slot flag {name} (EINVAL)")
    notes += [f"this kernel cannot get here: {s.why}" for s in kernel.unreachable if holds(s.when, facts)]
    return tuple(notes)


def unread(kernel: Kernel, given: Sequence[Input]) -> tuple[Input, ...]:
    """Which of the inputs given the rules do not read."""
    read = {same_input(item) for item in inputs_read(kernel.rules)}
    return tuple(item for item in given if same_input(item) not in read)


def kernel_for_rules(rules: RuleSet, ref: str) -> Kernel:
    """The kernel around rules that nobody placed: 6.10's if they ask for the guest's MTRR type, else the newest."""
    release = (6, 10) if GUEST_MTRR in inputs_read(rules) else NEWEST
    return with_read(kernel_at(release, rules, ref))
