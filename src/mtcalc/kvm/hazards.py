# SPDX-License-Identifier: GPL-2.0-only
"""The hazards of a scenario, a row a code. `mtcalc check --list` and docs/hazards.md are made from these rows.

Codes are stable: a row may be added behind the others, none is given another meaning. mtcalc.analysis.hazards finds
them. An error is what is surely broken, a warning what hurts, a note what to know.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mtcalc.kvm.note_codes import Level
from mtcalc.text.suggest import did_you_mean


class HazardRow(NamedTuple):
    """One kind of hazard."""

    name: str
    title: str  # in a few words
    level: Level
    when: str  # the condition, as the code tests it
    harm: str  # the consequence, in one sentence
    remedy: str  # what to do, without a capital and without a full stop
    source: str


_ERROR, _WARNING, _NOTE = Level.ERROR, Level.WARNING, Level.NOTE
_SET = "virt/kvm/kvm_main.c, KVM_SET_USER_MEMORY_REGION; rows with their trees in mtcalc.kvm.slot_history"
_MTRR = 'SDM vol. 3, "MTRR Precedences"'
_LINUX = "arch/x86/mm/pat/memtype.c, pat_x_mtrr_type(); read: 2.6.29 -> 2.6.31.3 and since"
_EFFECTIVE = 'SDM vol. 3, "Memory Type Used for Translated Guest-Physical Addresses"'
_COVER = "message-id 20240105091237.24577-1-yan.y.zhao@intel.com, the cover letter"
_PAT_ALIAS = 'SDM vol. 3, "Programming the PAT" (aliases of different types)'

HAZARDS: dict[str, HazardRow] = {
    "MT001": HazardRow(
        "slot-refused",
        "a slot that this release refuses",
        _ERROR,
        "a slot fails a check of this release: its id, address space, host address, size, or its last page against "
        "host.maxphyaddr and a TD's shared bit",
        "KVM answers EINVAL, so the VM has no such slot and accesses there exit to be emulated.",
        "change the slot as the text says, give host.maxphyaddr (46 where nothing does), or take a release that "
        "accepts it (-r)",
        _SET,
    ),
    "MT002": HazardRow(
        "flag-refused",
        "a slot flag that this kernel refuses",
        _ERROR,
        "a slot has a flag that this kernel does not accept, or not for such a VM (READONLY of a TD or an SNP guest, "
        "from 6.11 on), and it checks flags (3.7 and later)",
        "KVM answers EINVAL, so the VM has no such slot.",
        "probe the capability of the flag for the VM, and leave it out where the kernel lacks it",
        "virt/kvm/kvm_main.c, check_memory_region_flags(); read: 3.6.5 -> 3.7.2, 6.10.0 -> 6.11.11",
    ),
    "MT003": HazardRow(
        "slot-conditional",
        "a slot that some hosts or VMs refuse",
        _WARNING,
        "a slot is accepted on some hosts or VMs alone: its host address needs 5-level paging, it meets the page at "
        "0xfee00000 that KVM keeps where the CPU virtualizes APIC accesses, or GUEST_MEMFD needs private memory",
        "on the others KVM answers EINVAL or EEXIST, so a VM that starts here does not start there.",
        "move the slot, or leave the flag out, unless it is known on which host it will run",
        _SET,
    ),
    "MT004": HazardRow(
        "flag-unchecked",
        "a slot flag taken, and not known",
        _WARNING,
        "a slot has a flag that this kernel does not know, and takes unchecked (up to 3.6)",
        "the call succeeds and the flag does nothing, or, from 2.6.35 on, marks the slot invalid.",
        "leave the flag out on kernels without it",
        "virt/kvm/kvm_main.c; read: 3.6.5 -> 3.7.2",
    ),
    "MT005": HazardRow(
        "slot-beyond",
        "a slot beyond the guest's maxphyaddr",
        _NOTE,
        "a slot ends above what guest.maxphyaddr can address",
        "the guest can't reach that part of the slot; no memory type of it matters.",
        "give guest.maxphyaddr as the guest's CPUID has it, or move the slot",
        'SDM vol. 3, "Physical Address Space"',
    ),
    "MT006": HazardRow(
        "quirk-unknown",
        "a disabled quirk that is not there",
        _WARNING,
        "vm.disabled_quirks names a quirk that decides a memory type elsewhere, and this kernel does not have it",
        "disabling it fails (EINVAL) or does nothing, and memory keeps the type it had.",
        "take a release that has the quirk, or leave it out",
        "arch/x86/include/asm/kvm_host.h, KVM_X86_VALID_QUIRKS; rows in mtcalc.kvm.quirks",
    ),
    "MT007": HazardRow(
        "state-unreachable",
        "a state that this kernel does not reach",
        _WARNING,
        "the scenario's quirks, self-snoop, CR0.CD of a TD, private memory over a device, or type of VM are a state "
        "that this kernel does not let happen",
        "the answers are those of a VM that cannot be; the real one has other memory types.",
        "describe the state that the kernel allows, as the text names it",
        "commit a4dae7c7a41d; read: 6.14 -> 6.16.1 (quirks, TDs), 6.1.192 -> 6.12.117 (SNP)",
    ),
    "MT008": HazardRow(
        "vmm-no-switch",
        "a quirk that this VMM cannot turn off",
        _WARNING,
        "vm.vmm has no switch for quirk IGNORE_GUEST_PAT, which this kernel has, or no VMM can turn it off as the "
        "host's CPU lacks self-snoop, and either the scenario has it disabled, or it is why a page that the scenario "
        "names does not get the type it asks for, or why the PAT has no say in a slot with device: true or with the "
        "flag NON_COHERENT_DMA",
        "the guest's PAT stays ignored under this VMM unless the VM has non-coherent DMA.",
        "QEMU 11.0 or later, on a CPU with self-snoop: -accel kvm,honor-guest-pat=on",
        "QEMU 11.0, -accel kvm,honor-guest-pat; crosvm: from memory (?)",
    ),
    "MT009": HazardRow(
        "device-cached",
        "device memory in caches: machine checks",
        _ERROR,
        "the memory of a device, host MMIO by KVM's test or a reserved page that is plainly a device's (in a slot that "
        "the guest sees as a BAR, over the guest's VGA window, or no larger than the host's ISA window), has a "
        "cacheable effective type for a page of PAT WB",
        "caches hold and write back lines of a device: expect machine checks.",
        "map it UC or WC on the host, whose tracking KVM asks; on AMD, give it a UC host MTRR; else keep the slot from "
        "the guest",
        "kernel bug 104091; dosemu2 pull requests 2813 and 2815; arch/x86/kvm/mmu, kvm_is_mmio_pfn()",
    ),
    "MT010": HazardRow(
        "reserved-as-ram",
        "reserved pages that count as RAM",
        _WARNING,
        "a reserved host page tracked as WB, in a slot too large for the host's ISA window, counts as RAM and is "
        "cacheable for the guest",
        "that is right for NVDIMM; device memory mapped so raises machine checks.",
        "make sure that it is no device's memory; if it is, have the host track it as UC or WC",
        "arch/x86/kvm/mmu, kvm_is_mmio_pfn(); read: 4.15.1 -> 4.16.13",
    ),
    "MT011": HazardRow(
        "alias",
        "another type for the guest than the host",
        _WARNING,
        "memory that the host maps WB is UC or WC for the guest, or the other way round: whatever its PAT says (but "
        "see MT012), or on a page that `pages` or `expect` name",
        "host accesses, live migration among them, and the guest's are an alias: either may see stale data.",
        "flush around accesses of the host, or keep the memory WB",
        f"{_PAT_ALIAS}; {_COVER}",
    ),
    "MT012": HazardRow(
        "alias-possible",
        "the guest's PAT can make an alias",
        _NOTE,
        "the guest's PAT decides the type of memory, so that the guest's can be UC or WC where the host maps it WB, or "
        "the other way round; or where it is so whatever the PAT says, of a READONLY slot or below 1M by the fixed "
        "ranges, which firmware makes uncached everywhere",
        "a page that the guest maps WC or UC is an alias of the host's WB mapping.",
        "the host has to flush around its accesses to such pages",
        f"{_PAT_ALIAS}; {_COVER}",
    ),
    "MT013": HazardRow(
        "slots-alias",
        "one host page under two types",
        _WARNING,
        "two slots, not both READONLY and neither private, share host addresses (both have hva), and their entries "
        "differ there",
        "the guest reaches one host page under two memory types: an alias, either view may be stale.",
        "give both slots the same flags and, if KVM reads them, the same MTRR type; or unmap one",
        _PAT_ALIAS,
    ),
    "MT014": HazardRow(
        "dma-cached",
        "DMA that does not snoop, memory WB",
        _NOTE,
        "a device's DMA does not snoop (non-coherent DMA in the VM, or the slot's flag), and memory that the guest can "
        "write and that is not private is WB for a page of PAT WB, the guest's PAT being honoured; on AMD too",
        "what the guest maps WB there is stale for the device, or the device's data for the guest.",
        "drivers have to flush, or map what the device touches WC or UC, as on real hardware",
        _COVER,
    ),
    "MT015": HazardRow(
        "dma-pat-ignored",
        "DMA that does not snoop, PAT ignored",
        _WARNING,
        "a device's DMA does not snoop (non-coherent DMA in the VM, or the slot's flag), and memory that the guest can "
        "write and that is not private stays cacheable with ignore-PAT set",
        "a driver that maps buffers WC or UC gets them cached: the device reads stale memory.",
        "a kernel whose rules honour the guest's PAT with such DMA, CR0.CD clear, or a device whose DMA snoops",
        _EFFECTIVE,
    ),
    "MT016": HazardRow(
        "uncached-ignored-dma",
        "called uncached, is not, with such DMA",
        _WARNING,
        "the guest's MTRRs (from 1M on) or CR0.CD call memory uncached that is not private, KVM leaves it cacheable, "
        "and a device's DMA does not snoop (non-coherent DMA in the VM, or the slot's flag)",
        "the guest counts on uncached memory, and a device that does not snoop shares it through caches.",
        "the guest has to say it with its PAT, where that is honoured, or to flush",
        _MTRR,
    ),
    "MT017": HazardRow(
        "uncached-ignored",
        "called uncached by MTRRs or CD, is not",
        _NOTE,
        "the guest's MTRRs or CR0.CD call memory uncached, and KVM leaves it cacheable",
        "harmless for RAM that only CPUs and snooping devices touch; accesses are faster than the guest believes.",
        "nothing to do, unless a device or a timing test depends on it",
        _MTRR,
    ),
    "MT018": HazardRow(
        "bar-uncached",
        "a BAR in RAM that firmware made UC",
        _WARNING,
        "memory of the host behind a BAR (device: true, or a whole slot above 1M that the guest's MTRRs call UC, as "
        "firmware does with PCI windows), where the guest's kernel (guest.kernel, or the newest Linux) makes UC- of a "
        "request for WB, as most do where the MTRRs call any of it other than WB, are off or not in CPUID; and a page "
        "of PAT UC- is UC there (CD on AMD)",
        "a Linux guest turns a request for WB there into UC-, so shared memory or a framebuffer is slow: on AMD "
        "always, on Intel where its PAT counts.",
        "firmware that leaves the window WB, a driver that asks for WC, or ignore-PAT (Intel)",
        f"{_LINUX}; tianocore pull request 13129",
    ),
    "MT019": HazardRow(
        "bar-uncached-hidden",
        "the same, hidden by ignore-PAT",
        _NOTE,
        "all is as in MT018, but the entry ignores the guest's PAT, and the memory is WB whatever the guest maps",
        "WB here alone: in a state of the VM that honours the guest's PAT, or on AMD, the same guest is uncached.",
        "firmware that leaves the window WB, if the VM is to run elsewhere",
        f"{_LINUX}; tianocore pull request 13129",
    ),
    "MT020": HazardRow(
        "slow-uncached",
        "a page of a BAR in RAM that is UC",
        _WARNING,
        "a page that `pages` or `expect` name is UC for the guest, in a slot of host RAM that the guest sees as a BAR",
        "stores to a framebuffer in uncached RAM are very slow on some hosts, where WC or WB is not.",
        "map it WC in the guest, or, on Intel without non-coherent DMA, leave quirk IGNORE_GUEST_PAT in force where "
        "the kernel has it",
        "9d70f3fec144 (revert of 377b2f359d1f)",
    ),
    "MT021": HazardRow(
        "mtrr-undefined",
        "undefined MTRR overlap, and it counts",
        _ERROR,
        "variable MTRRs overlap as the manual leaves undefined, and KVM takes the entry's type from them",
        "no two views of that memory need agree: KVM's choice is as arbitrary as a CPU's.",
        "UC over anything, or WT with WB, are the overlaps that the manual defines",
        _MTRR,
    ),
    "MT022": HazardRow(
        "mtrr-undefined-unread",
        "undefined MTRR overlap",
        _NOTE,
        "variable MTRRs overlap as the manual leaves undefined, and no entry hangs on it",
        "KVM does not look; a guest's kernel that does may choose any type for a request of WB.",
        "UC over anything, or WT with WB, are the overlaps that the manual defines",
        _MTRR,
    ),
    "MT023": HazardRow(
        "mtrr-parted",
        "KVM reads MTRRs unlike the manual",
        _WARNING,
        "KVM takes the entry's type from the guest's MTRRs and reads another type than the manual",
        "memory has a type that the guest did not ask for.",
        "ranges that do not overlap (mtcalc mtrr shows both views)",
        f"arch/x86/kvm/mtrr.c; {_MTRR}",
    ),
    "MT024": HazardRow(
        "mtrr-garbage",
        "KVM reads a type from bytes of its own",
        _ERROR,
        "4.2 and 4.3 take the type of a page below 1M from bytes of their own, and the entry hangs on it",
        "the memory type is not to be known.",
        "a later kernel, or fixed ranges off",
        "arch/x86/kvm/mtrr.c; read: 4.3.3 -> 4.4.0",
    ),
    "MT025": HazardRow(
        "mtrr-stray",
        "a check of MTRRs that is undefined",
        _ERROR,
        "4.2 to 4.6 check the MTRRs of a block that goes on from fixed ranges of one type with a stray cursor: that "
        "of 2M at 0, and that of 1G where it can be mapped as one page",
        "undefined: the host may oops.",
        "a later kernel, fixed ranges of more than one type, or fixed ranges off",
        "arch/x86/kvm/mtrr.c; read: 4.6.2 -> 4.7.4",
    ),
    "MT026": HazardRow(
        "mtrr-write-refused",
        "MTRRs that no guest can have",
        _WARNING,
        "an MTRR of the scenario has a value whose write this KVM answers with #GP",
        "no guest has these MTRRs, so the answers are those of none.",
        "give the registers as the guest's CPU holds them",
        "mtcalc.kvm.mtrr_writes; read: 3.16.0 -> 3.18.9",
    ),
    "MT027": HazardRow(
        "mixed-mapping",
        "different types in one large page",
        _WARNING,
        "inside one large page that KVM may map, pages would get different entries",
        "the whole page takes the entry of whichever address faults first or of its first page.",
        "align MTRR ranges to the host's page size, keep that at 4K, or, up to 4.1, take a kernel that splits such "
        "pages",
        "arch/x86/kvm/mmu.c; read: 4.1.3 -> 4.2.8",
    ),
    "MT028": HazardRow(
        "wb-hole",
        "the PCI hole or a BAR is WB by MTRR",
        _NOTE,
        "the scenario's MTRRs call a BAR of a device, or the local APIC's page where no slot is, cacheable",
        "where the guest's MTRRs count, as in a guest of another hypervisor, device memory would be cached.",
        "a UC range over the PCI hole, as firmware writes it",
        "cloud-hypervisor: IA32_MTRR_DEF_TYPE 0x806 and no ranges",
    ),
    "MT029": HazardRow(
        "stale-entries",
        "a change that zaps nothing",
        _NOTE,
        "an entry hangs on non-coherent DMA, CR0.CD (set at reset) or the guest's MTRRs, and this kernel zaps "
        "nothing, or not all, when that changes: of MTRRs nothing up to 4.1, then the new range of a variable one",
        "entries made before the change keep the old byte until something else zaps them.",
        "do it before the memory is touched, or make the slot anew, which zaps",
        "362ff6dca541; rows in mtcalc.kvm.zaps",
    ),
    "MT030": HazardRow(
        "misconfiguration",
        "a reserved type in the entry",
        _ERROR,
        "the rules give an entry a reserved memory type",
        "the access ends in an EPT misconfiguration, which stops the VM.",
        "rules that return types 0, 1, 4, 5 or 6 (mtcalc rules check)",
        'SDM vol. 3, "EPT Misconfigurations"',
    ),
    "MT031": HazardRow(
        "odd-byte",
        "bits beside type and ignore-PAT",
        _WARNING,
        "the rules give an entry bits besides memory type and ignore-PAT",
        "other bits of the entry change with it.",
        "memory type << 3 | ignore-PAT << 6, and nothing else (mtcalc rules check)",
        "arch/x86/include/asm/vmx.h, VMX_EPT_MT_EPTE_SHIFT",
    ),
    "MT032": HazardRow(
        "starred-cell",
        "a cell that was undefined once",
        _NOTE,
        "a page that `pages` or `expect` name falls into a cell of the manual's table that earlier editions left "
        "undefined",
        "older CPUs may do otherwise.",
        "another MTRR or PAT type",
        'SDM vol. 3, "Effective Page-Level Memory Types"',
    ),
    "MT033": HazardRow(
        "no-pat-entry",
        "a page type that the PAT lacks",
        _WARNING,
        "a page that `pages` or `expect` name has a type that the guest's PAT has no entry of",
        "there is no such page: a Linux guest without an entry WC writes UC- where a driver asks for WC.",
        "give guest.pat as the guest programs it, or the type that it then uses",
        "arch/x86/mm/pat/memtype.c",
    ),
    "MT034": HazardRow(
        "slow-uncached-possible",
        "a BAR in RAM that may be mapped UC",
        _NOTE,
        "host RAM that the guest sees as a BAR (device: true), and the guest's PAT decides its type",
        "a driver that maps it with ioremap() gets UC, which is very slow on some hosts.",
        "a driver that maps it WC; name the mapping under `pages` to have it judged",
        "9d70f3fec144 (revert of 377b2f359d1f)",
    ),
}
"""Every hazard by its code."""


def parse_hazard(text: str) -> str:
    """The code that a person means: MT001, mt001 or its name, slot-refused. Raises ValueError."""
    word = text.strip()
    if word.upper() in HAZARDS:
        return word.upper()
    names = {row.name: code for code, row in HAZARDS.items()}
    if word.lower() in names:
        return names[word.lower()]
    first, *_, last = HAZARDS
    near = did_you_mean(word, [*HAZARDS, *names], cutoff=0.6)
    hint = f"{first} to {last}; mtcalc check --list" if near.startswith("one of") else near
    raise ValueError(f"no hazard '{text}' ({hint})")


def parse_hazards(texts: Iterable[str]) -> Iterator[str]:
    """The codes of several texts, each one code or several with commas between. Raises ValueError."""
    for text in texts:
        for word in text.split(","):
            yield parse_hazard(word)
