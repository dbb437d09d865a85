# SPDX-License-Identifier: GPL-2.0-only
"""The numbers that mainline has given away in KVM's interface: slot flags, quirks, capabilities.

Source: include/uapi/linux/kvm.h (read: linux-next up to 243, what follows in QEMU's copy of it),
arch/x86/include/uapi/asm/kvm.h, include/linux/kvm_host.h (the bits from 16 on: from memory (?)).
"""

from __future__ import annotations

from typing import NamedTuple

from mtcalc.kvm.flags import ALL_QUIRK_BITS, QUIRK_ALIASES, QUIRK_NAMES, SLOT_FLAGS
from mtcalc.text.errors import Place

_FIRST_CAPABILITY = 116
_CAPABILITIES = """
DISABLE_QUIRKS X86_SMM MULTI_ADDRESS_SPACE GUEST_DEBUG_HW_BPS GUEST_DEBUG_HW_WPS SPLIT_IRQCHIP IOEVENTFD_ANY_LENGTH
HYPERV_SYNIC S390_RI SPAPR_TCE_64 ARM_PMU_V3 VCPU_ATTRIBUTES MAX_VCPU_ID X2APIC_API S390_USER_INSTR0 MSI_DEVID PPC_HTM
SPAPR_RESIZE_HPT PPC_MMU_RADIX PPC_MMU_HASH_V3 IMMEDIATE_EXIT MIPS_VZ MIPS_TE MIPS_64BIT S390_GS S390_AIS
SPAPR_TCE_VFIO X86_DISABLE_EXITS ARM_USER_IRQ S390_CMMA_MIGRATION PPC_FWNMI PPC_SMT_POSSIBLE HYPERV_SYNIC2
HYPERV_VP_INDEX S390_AIS_MIGRATION PPC_GET_CPU_CHAR S390_BPB GET_MSR_FEATURES HYPERV_EVENTFD HYPERV_TLBFLUSH
S390_HPAGE_1M NESTED_STATE ARM_INJECT_SERROR_ESR MSR_PLATFORM_INFO PPC_NESTED_HV HYPERV_SEND_IPI COALESCED_PIO
HYPERV_ENLIGHTENED_VMCS EXCEPTION_PAYLOAD ARM_VM_IPA_SIZE MANUAL_DIRTY_LOG_PROTECT HYPERV_CPUID
MANUAL_DIRTY_LOG_PROTECT2 PPC_IRQ_XIVE ARM_SVE ARM_PTRAUTH_ADDRESS ARM_PTRAUTH_GENERIC PMU_EVENT_FILTER
ARM_IRQ_LINE_LAYOUT_2 HYPERV_DIRECT_TLBFLUSH PPC_GUEST_DEBUG_SSTEP ARM_NISV_TO_USER ARM_INJECT_EXT_DABT
S390_VCPU_RESETS S390_PROTECTED PPC_SECURE_GUEST HALT_POLL ASYNC_PF_INT LAST_CPU SMALLER_MAXPHYADDR S390_DIAG318
STEAL_TIME X86_USER_SPACE_MSR X86_MSR_FILTER ENFORCE_PV_FEATURE_CPUID SYS_HYPERV_CPUID DIRTY_LOG_RING
X86_BUS_LOCK_EXIT PPC_DAWR1 SET_GUEST_DEBUG2 SGX_ATTRIBUTE VM_COPY_ENC_CONTEXT_FROM PTP_KVM HYPERV_ENFORCE_CPUID
SREGS2 EXIT_HYPERCALL PPC_RPT_INVALIDATE BINARY_STATS_FD EXIT_ON_EMULATION_FAILURE ARM_MTE VM_MOVE_ENC_CONTEXT_FROM
VM_GPA_BITS XSAVE2 SYS_ATTRIBUTES PPC_AIL_MODE_3 S390_MEM_OP_EXTENSION PMU_CAPABILITY DISABLE_QUIRKS2 VM_TSC_CONTROL
SYSTEM_EVENT_DATA ARM_SYSTEM_SUSPEND S390_PROTECTED_DUMP X86_TRIPLE_FAULT_EVENT X86_NOTIFY_VMEXIT
VM_DISABLE_NX_HUGE_PAGES S390_ZPCI_OP S390_CPU_TOPOLOGY DIRTY_LOG_RING_ACQ_REL S390_PROTECTED_ASYNC_DISABLE
DIRTY_LOG_RING_WITH_BITMAP PMU_EVENT_MASKED_EVENTS COUNTER_OFFSET ARM_EAGER_SPLIT_CHUNK_SIZE
ARM_SUPPORTED_BLOCK_SIZES ARM_SUPPORTED_REG_MASK_RANGES USER_MEMORY2 MEMORY_FAULT_INFO MEMORY_ATTRIBUTES GUEST_MEMFD
VM_TYPES PRE_FAULT_MEMORY X86_APIC_BUS_CYCLES_NS X86_GUEST_MODE ARM_WRITABLE_IMP_ID_REGS ARM_EL2 ARM_EL2_E2H0
RISCV_MP_STATE_RESET ARM_CACHEABLE_PFNMAP_SUPPORTED GUEST_MEMFD_FLAGS ARM_SEA_TO_USER S390_USER_OPEREXEC
"""

CAPABILITIES: dict[int, str] = dict(enumerate(_CAPABILITIES.split(), _FIRST_CAPABILITY))
"""From the first that a quirk has to do with on, without KVM_CAP_."""

FLAG_BITS: dict[int, str] = {
    0: "KVM_MEM_LOG_DIRTY_PAGES",
    1: "KVM_MEM_READONLY",
    2: "KVM_MEM_GUEST_MEMFD",
    16: "KVM_MEMSLOT_INVALID",
}
"""The bits of kvm_userspace_memory_region's flags; from 16 on they are KVM's own."""

PREFIXES = ("KVM_CAP_", "KVM_MEM_", "KVM_X86_QUIRK_")
"""What a number's name begins with: of a capability, of a slot flag, of a quirk."""


class Number(NamedTuple):
    """A number that code gives a name of the interface: a capability's, or the bits of a flag or quirk."""

    name: str
    value: int
    place: Place


def taken_by(number: Number) -> str:
    """What mainline has a number for, if it is not for that name: 'bit 2 is KVM_MEM_GUEST_MEMFD'; '' for nothing."""
    name, value, _ = number
    if name.startswith("KVM_CAP_"):
        other = CAPABILITIES.get(value, name.removeprefix("KVM_CAP_"))
        return "" if name == f"KVM_CAP_{other}" else f"{value} is KVM_CAP_{other}"
    if name.startswith("KVM_MEM_"):
        given = FLAG_BITS
    else:
        given = {bit: f"KVM_X86_QUIRK_{other}" for bit, other in enumerate(QUIRK_NAMES)}
        quirk = name.removeprefix("KVM_X86_QUIRK_")
        name = f"KVM_X86_QUIRK_{QUIRK_ALIASES.get(quirk, quirk)}"
    for bit, other in given.items():
        if value >> bit & 1 and other != name:
            return f"bit {bit} is {other}"
    return ""


def collision(number: Number) -> str:
    """What is odd about a number: mainline has it for another name, or that name has another; '' for nothing."""
    name, value, _ = number
    other = taken_by(number)
    if other:
        return f"{name} collides with mainline, where {other}"
    known, whose = _known_number(name)
    if not known or known == value:
        return ""
    here, there = (
        (f"bit {one.bit_length() - 1}" if one and not one & (one - 1) else hex(one)) for one in (value, known)
    )
    if name.startswith("KVM_CAP_"):
        here, there = str(value), str(known)
    return f"{name} is {here} here, and {there} {whose}"


def _known_number(name: str) -> tuple[int, str]:
    """(The number that a name has, where it has it); 0 for a name that nobody knows."""
    if name.startswith("KVM_CAP_"):
        return next((at for at, other in CAPABILITIES.items() if name == f"KVM_CAP_{other}"), 0), "in mainline"
    if name.startswith("KVM_MEM_"):
        flag = "NON_COHERENT_DMA" if name == "KVM_MEM_HONOR_GUEST_PAT" else name.removeprefix("KVM_MEM_")
        mainline = name in FLAG_BITS.values()
        return SLOT_FLAGS.get(flag, 0), "in mainline" if mainline else "in the series that proposed it, and in crosvm"
    quirk = name.removeprefix("KVM_X86_QUIRK_")
    return ALL_QUIRK_BITS.get(QUIRK_ALIASES.get(quirk, quirk), 0), "in mainline"


class Unzapped(NamedTuple):
    """A call, or a check, that is gone, and that entries were dropped by as an input changed."""

    kind: str  # the input's kind; of a slot flag its name
    function: str
    place: Place


class Edits(NamedTuple):
    """What patches change of the kernel around the rules, as far as questions hang on it."""

    numbers: tuple[Number, ...] = ()  # those that they give out
    masked: frozenset[str] | None = None  # quirks that they add to a mask of those allowed; None: nobody looked
    zapping: frozenset[str] | None = None  # kinds and slot flags whose change they may see to; None: nobody looked
    unplaced: tuple[str, ...] = ()  # functions with new zaps of which nobody knows which change they see to
    surely: frozenset[str] = frozenset()  # of `zapping`, what a zap of a function known for it sees to
    unzapped: tuple[Unzapped, ...] = ()  # what no longer drops entries
    accepted: frozenset[str] | None = None  # slot flags that they let in, "" for who can tell; None: nobody looked
