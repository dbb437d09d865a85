# SPDX-License-Identifier: GPL-2.0-only
"""A rule set together with the kernel behaviour around it, and that behaviour by release."""

from collections.abc import Iterator, Sequence

from mtcalc.kvm.flags import ALL_QUIRK_BITS, QUIRKS, SLOT_FLAGS, TAKEN_FLAGS
from mtcalc.kvm.history import MMIO_TESTS, MTRR_LIMITS, WALKS, row_at
from mtcalc.kvm.notes import Note
from mtcalc.kvm.quirks import OF_L2, first_releases, has_quirk, known_quirks, off_at_start, unconcerned
from mtcalc.kvm.release import Version as Version
from mtcalc.kvm.release import in_force, newest
from mtcalc.kvm.release import since as since
from mtcalc.kvm.release import sort_key as sort_key
from mtcalc.kvm.versions import GuestPat, MtrrLimit, MtrrWalk, VmType
from mtcalc.rules.condition import ALWAYS, And, Atom, Condition, Not, condition_text, holds, inputs, reason_text
from mtcalc.rules.inputs import (
    GUEST_MTRR,
    NONCOHERENT_DMA,
    QUIRK_IGNORE_GUEST_PAT,
    SELF_SNOOP,
    Facts,
    Input,
    Value,
    same_input,
)
from mtcalc.rules.mmio import MMIO_RULES
from mtcalc.rules.rule import RuleSet, inputs_read
from mtcalc.text.record import Record


class Unreachable(Record):
    """A combination of inputs that the kernel does not let happen."""

    when: Condition
    why: str


class Kernel(Record):
    """A rule set and what the kernel does around it."""

    ref: str  # what the user asked for
    rules: RuleSet
    release: Version  # whose behaviour this is
    mtrr_walk: MtrrWalk
    mmio_test: RuleSet
    split_when: Condition | None  # when MTRRs limit the mapping level; None: never
    quirks: tuple[str, ...]  # those this kernel knows
    slot_flags: int  # those this kernel accepts
    quirks_off: int = 0  # KVM_X86_QUIRK_ bits not in force when it starts a VM, nor ever
    unreachable: tuple[Unreachable, ...] = ()
    proposal: str = ""  # what it is, where it never was in mainline
    notes: tuple[Note, ...] = ()  # said with every answer
    default: bool = False  # nobody asked for it
    mmio_said: bool = True  # what was asked for says the host-MMIO test too; else it is taken from around
    npt: GuestPat | None = None  # on AMD with NPT: which PAT counts; None: VMX with EPT
    vm_type: VmType = VmType.NORMAL
    also_read: tuple[Input, ...] = ()  # what decides besides the rules


_SPLITS: dict[MtrrLimit, Condition | None] = {
    MtrrLimit.NEVER: None,
    MtrrLimit.ALWAYS: ALWAYS,
    MtrrLimit.NONCOHERENT_DMA: Atom(NONCOHERENT_DMA),
}

_QUIRK_NEEDS_SELF_SNOOP = Unreachable(
    And((Not(Atom(QUIRK_IGNORE_GUEST_PAT)), Not(Atom(SELF_SNOOP)))),
    f"from {first_releases('IGNORE_GUEST_PAT')} on, IGNORE_GUEST_PAT cannot be disabled on a CPU without self-snoop",
)


def off_from_the_start(name: str) -> Unreachable:
    """That a quirk is in force, where KVM starts the VM without it."""
    return Unreachable(Atom(Input("quirk", name)), f"quirk {name} is off from the start, and nothing turns it on")


def kernel_at(release: Version, rules: RuleSet, ref: str, *, proposal: str = "", extra_slot_flags: int = 0) -> Kernel:
    """The rules with the behaviour of a release around them."""
    quirks = known_quirks(release)
    off = off_at_start(release)
    never = [_QUIRK_NEEDS_SELF_SNOOP] if "IGNORE_GUEST_PAT" in quirks else []
    never += [off_from_the_start(name) for name in quirks if off & QUIRKS[name]]
    return Kernel(
        ref=ref,
        rules=rules,
        release=release,
        mtrr_walk=row_at(WALKS, release).what,
        mmio_test=MMIO_RULES[row_at(MMIO_TESTS, release).what],
        split_when=_SPLITS[row_at(MTRR_LIMITS, release).what],
        quirks=quirks,
        slot_flags=in_force(TAKEN_FLAGS, release) | extra_slot_flags,
        quirks_off=off,
        unreachable=tuple(never),
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


def kernel_notes(kernel: Kernel) -> tuple[Note, ...]:
    """What every answer by this kernel has to say: a proposal, a vendor's release, something unconfirmed."""
    notes = (*kernel.notes, _SLOT_THERE) if kernel.rules.slot_asked else kernel.notes
    if not kernel.proposal:
        return notes
    chosen = " (the default: choose others with -r)" if kernel.default else ""
    article = "an" if kernel.proposal.startswith("RFC") else "a"
    return (Note("proposal", f"{kernel.rules.name} is {article} {kernel.proposal}{chosen}"), *notes)


_SLOT_THERE = Note("slot-there", "that the page has a slot is taken as so: no entry is made for a page of none")


def kernel_label(kernel: Kernel) -> str:
    """What was asked for, and the rule set that it has: '6.1 (v4.4)', 'slot-flag'; what is odd about the default."""
    name = kernel.rules.name
    if kernel.default and kernel.proposal:
        return f"{name} (the default: a proposal, not in mainline)"
    if kernel.ref == name or kernel.ref.endswith(f"/{name}"):
        return kernel.ref  # a file's path, which tells two of one name apart
    return f"{kernel.ref} ({name})"


def platform_words(kernel: Kernel) -> str:
    """On which CPUs the kernel runs, and what kind of VM: 'VMX with EPT', 'SVM with NPT, SNP guest'."""
    words = "VMX with EPT" if kernel.npt is None else "SVM with NPT"
    return words + {VmType.NORMAL: "", VmType.TD: ", TD", VmType.SNP: ", SNP guest"}[kernel.vm_type]


def asks_guest_mtrr(kernel: Kernel) -> bool:
    """Whether the kernel looks at the guest's MTRRs for a type: under NPT never."""
    return kernel.mtrr_walk is not MtrrWalk.NONE and kernel.npt is None


def split_text(kernel: Kernel) -> str:
    """When the guest's MTRRs limit the mapping level: 'never', 'always', 'when noncoherent_dma'."""
    if kernel.split_when is None:
        return "never"
    return "always" if kernel.split_when == ALWAYS else f"when {condition_text(kernel.split_when)}"


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


def from_the_start(kernel: Kernel, facts: Facts) -> Facts:
    """The facts, with the quirks not in force that this kernel turns off itself when it starts a VM."""
    return facts._replace(disabled_quirks=facts.disabled_quirks | kernel.quirks_off)


def unknown_inputs(kernel: Kernel, facts: Facts) -> tuple[Note, ...]:
    """Notes on inputs given that this kernel does not know, cannot reach or does not look at."""
    notes = [*_quirk_notes(kernel, facts.disabled_quirks), *_slot_flag_notes(kernel, facts.slot_flags)]
    if facts.private and facts.mmio:
        text = "private memory comes from guest_memfd, which has RAM alone: host MMIO is shared"
        notes.append(Note("private-mmio", text))
    reached = (state for state in kernel.unreachable if holds(state.when, facts))
    notes += [Note("unreachable", f"this kernel cannot get here: {state.why}") for state in reached]
    return tuple(notes)


def slot_inputs(kernel: Kernel, facts: Facts) -> tuple[Note, ...]:
    """As unknown_inputs(), of a slot as a whole: without what hangs on the guest MTRR type of a page."""
    whole = tuple(state for state in kernel.unreachable if GUEST_MTRR not in inputs(state.when))
    return unknown_inputs(kernel._replace(unreachable=whole), facts)


def _quirk_notes(kernel: Kernel, disabled: int) -> Iterator[Note]:
    known = {name for name in ALL_QUIRK_BITS if has_quirk(name, kernel.release)} | set(kernel.quirks)
    for name, bit in ALL_QUIRK_BITS.items():
        if disabled & bit and name not in known:
            came = f" (first in {first_releases(name)})" if name not in QUIRKS else ""
            yield Note("quirk-unknown", f"this kernel has no quirk {name}{came}: disabling it does nothing here")
    others = [name for name in unconcerned(disabled) if name in known]
    if kernel.npt is not None and OF_L2 in others:
        others.remove(OF_L2)
        yield Note("quirk-idle", f"quirk {OF_L2} decides of the guest's own guests alone (explain --l2)")
    if others:
        yield Note("quirk-idle", f"no memory type hangs on quirk {', '.join(others)}")


_MEMFD, _NOT_WITH_MEMFD = SLOT_FLAGS["GUEST_MEMFD"], SLOT_FLAGS["READONLY"] | SLOT_FLAGS["LOG_DIRTY_PAGES"]


def _slot_flag_notes(kernel: Kernel, flags: int) -> Iterator[Note]:
    if not flags & (_MEMFD | ~kernel.slot_flags):
        return
    from mtcalc.kvm.slot_history import slot_limits  # what a lookup without such flags does without

    limits = slot_limits(kernel.release)
    for name, bit in SLOT_FLAGS.items():
        if flags & bit & ~kernel.slot_flags:
            if limits.flags_checked:
                # READONLY is taken, but not with protected state.
                where = " on a VM with protected state" if bit & in_force(TAKEN_FLAGS, kernel.release) else ""
                yield Note("flag-refused", f"this kernel refuses slot flag {name}{where} (EINVAL)")
            elif bit & limits.invalid_mark:
                text = f"slot flag {name} is bit {bit.bit_length() - 1}, here KVM's own mark of an invalid slot"
                yield Note("flag-own", f"{text}, and it is not checked")
            else:
                yield Note("flag-unchecked", f"this kernel does not know slot flag {name}, and takes it unchecked")
    if limits.flags_checked and flags & _MEMFD and flags & _NOT_WITH_MEMFD:
        yield Note("flags-together", "no kernel takes GUEST_MEMFD together with READONLY or LOG_DIRTY_PAGES (EINVAL)")
    elif flags & _MEMFD & kernel.slot_flags and limits.memfd_private_only and kernel.vm_type is VmType.NORMAL:
        yield Note("memfd", "this kernel takes GUEST_MEMFD on VMs with private memory alone (6.18 on: on every VM)")


def unread(kernel: Kernel, given: Sequence[Input]) -> tuple[Input, ...]:
    """Which of the inputs given neither the rules nor the host-MMIO test read, nor what decides besides them."""
    read = {same_input(item) for rules in (kernel.rules, kernel.mmio_test) for item in inputs_read(rules)}
    read.update(kernel.also_read)
    return tuple(item for item in given if same_input(item) not in read)


def kernel_for_rules(rules: RuleSet, ref: str) -> Kernel:
    """The kernel around rules that nobody placed: 6.10's if they ask for the guest's MTRR type, else the newest."""
    release = (6, 10) if GUEST_MTRR in inputs_read(rules) else newest()
    return with_read(kernel_at(release, rules, ref))
