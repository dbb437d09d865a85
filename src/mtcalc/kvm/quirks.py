# SPDX-License-Identifier: GPL-2.0-only
"""KVM's quirks by release: which there are, which are off when a VM starts, which can't be turned off.

Source: KVM_X86_VALID_QUIRKS in arch/x86/include/asm/kvm_host.h, and kvm_arch_init_vm() with
kvm_vm_ioctl_enable_cap() in arch/x86/kvm/x86.c. A row's source gives the last tree read without the fact and the
first with it.
"""

from mtcalc.kvm.flags import ALL_QUIRK_BITS, QUIRKS
from mtcalc.kvm.release import Version, in_force, sort_key
from mtcalc.kvm.versions import Vendor
from mtcalc.text.record import Record


class QuirkSpan(Record):
    """The releases that have a quirk: from one on, in one stable series alone where `series` is given."""

    since: Version
    source: str
    series: Version = ()


QUIRK_SPANS: dict[str, tuple[QuirkSpan, ...]] = {
    "LINT0_REENABLED": (QuirkSpan((4, 2), "read: 4.1.3 -> 4.2.8"),),
    "CD_NW_CLEARED": (QuirkSpan((4, 2), "read: 4.1.3 -> 4.2.8"),),
    "LAPIC_MMIO_HOLE": (QuirkSpan((4, 19), "read: 4.17.0 -> 4.19"),),
    "OUT_7E_INC_RIP": (QuirkSpan((5, 2), "read: 5.0.1 -> 5.2.1"),),
    "MISC_ENABLE_NO_MWAIT": (QuirkSpan((5, 3), "read: 5.2.1 -> 5.3.1"),),
    "FIX_HYPERCALL_INSN": (QuirkSpan((5, 19), "read: 5.18.8 -> 5.19.0"),),
    "MWAIT_NEVER_UD_FAULTS": (QuirkSpan((6, 0), "read: 5.19.0 -> 6.0.1"),),
    "SLOT_ZAP_ALL": (QuirkSpan((6, 12), "read: 6.11.11 -> 6.12.0"),),
    "STUFF_FEATURE_MSRS": (
        QuirkSpan((6, 12, 117), "read: 6.12.0 -> 6.12.117", (6, 12)),
        QuirkSpan((6, 13), "read: 6.12.0 -> 6.13.2"),
    ),
    "IGNORE_GUEST_PAT": (
        QuirkSpan((6, 12, 78), "Debian's changelog of 6.12.78", (6, 12)),
        QuirkSpan((6, 16), "commit c9c1e20b4c7d; read: 6.14.0 -> 6.16.1"),
    ),
    "VMCS12_ALLOW_FREEZE_IN_SMM": (
        QuirkSpan((6, 12, 117), "read: 6.12.0 -> 6.12.117", (6, 12)),
        QuirkSpan((7, 1), "read: 6.19 -> 7.1.2"),
    ),
    "NESTED_SVM_SHARED_PAT": (QuirkSpan((7, 2), "read: 7.1.5 -> 7.2.13"),),
}
"""Every quirk by name. Where trees in between were not read, the first release is the first tree's."""

OF_L2 = "NESTED_SVM_SHARED_PAT"
"""The quirk that gives L2, a guest's own guest, the PAT of L1, the guest: on AMD alone."""

_OFF_AT_START: tuple[tuple[Version, int, str], ...] = (
    # What KVM turns off itself when it makes a VM on Intel; what it turned off, nothing turns on again.
    ((0,), 0, "KVM_CAP_DISABLE_QUIRKS overwrites: a later call turns quirks on again"),
    ((6, 12, 78), QUIRKS["CD_NW_CLEARED"], "Debian's changelog of 6.12.78: vendor code may disable quirks"),
    ((6, 13), 0, "as before"),
    ((6, 16), QUIRKS["CD_NW_CLEARED"], "commit a4dae7c7a41d; read: 6.14 -> 6.16.1"),
)

_OFF_AT_START_NPT: tuple[tuple[Version, int, str], ...] = (
    # The same on AMD with NPT.
    ((0,), 0, "as on Intel"),
    ((6, 12, 78), QUIRKS["IGNORE_GUEST_PAT"], "Debian's changelog of 6.12.78"),
    ((6, 13), 0, "as before"),
    ((6, 16), QUIRKS["IGNORE_GUEST_PAT"], "commit a4dae7c7a41d; read: 6.14 -> 6.16.1"),
)


def has_quirk(name: str, release: Version) -> bool:
    """Whether a release knows a quirk, one of QUIRK_SPANS."""
    return any(
        sort_key(span.since) <= sort_key(release) and release[: len(span.series)] == span.series
        for span in QUIRK_SPANS[name]
    )


def known_quirks(release: Version) -> tuple[str, ...]:
    """The quirks of a release that decide a memory type, lowest bit first."""
    return tuple(name for name in QUIRKS if has_quirk(name, release))


def off_at_start(release: Version, vendor: Vendor = Vendor.INTEL) -> int:
    """KVM_X86_QUIRK_ bits not in force, and never to be, when a release starts a VM with EPT, or with NPT."""
    return in_force(_OFF_AT_START if vendor is Vendor.INTEL else _OFF_AT_START_NPT, release)


def first_releases(name: str) -> str:
    """Where a quirk came in, in words: '4.2', '6.16 and 6.12.78'."""
    return " and ".join(".".join(map(str, span.since)) for span in reversed(QUIRK_SPANS[name]))


def unconcerned(bits: int) -> tuple[str, ...]:
    """The quirks among `bits` that no memory type hangs on, lowest first."""
    return tuple(name for name, bit in ALL_QUIRK_BITS.items() if bits & bit and name not in QUIRKS)
