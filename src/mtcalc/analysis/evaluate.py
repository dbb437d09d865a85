# SPDX-License-Identifier: GPL-2.0-only
"""Which EPT byte, which effective type, which rule: for one what-if, for addresses, for whole slots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mtcalc.analysis.answer import Answer, EptByte, NptEntry, byte_notes, effective_types
from mtcalc.analysis.lookup import latest_note
from mtcalc.kvm.guest_mtrr import GuestMtrrMap, as_read
from mtcalc.kvm.history import LEVEL_LIMITS, PAIRS, UNDEFINED_CHECKS, row_at
from mtcalc.kvm.mapping_level import (
    blocks_around,
    host_pages,
    largest_level,
    leaves_fixed_ranges,
    level_obstacle,
    mapping_level,
    slot_obstacle,
)
from mtcalc.kvm.mtrr_writes import refused_writes
from mtcalc.kvm.notes import Note
from mtcalc.kvm.slot_history import slot_limits
from mtcalc.kvm.slots import APIC_PAGE, PAGE, SlotMap, own_slot_notes, slot_notes
from mtcalc.kvm.versions import MtrrWalk, Vendor, VmType
from mtcalc.kvm.vm import Slot, Vm
from mtcalc.rules import builtin
from mtcalc.rules.condition import holds
from mtcalc.rules.inputs import GUEST_MTRR, KINDS, Facts
from mtcalc.rules.kernel import Kernel, asks_guest_mtrr, from_the_start, kernel_notes, slot_inputs, unknown_inputs
from mtcalc.rules.mmio import is_host_mmio
from mtcalc.rules.rule import Rule, decide
from mtcalc.x86.ept import split_mask
from mtcalc.x86.memtype import CACHEABLE, MTRR_TYPES, PAT_TYPES, Effective, MemType
from mtcalc.x86.mtrr import FIXED_RANGES, ONE_MEGABYTE, is_regular, manual_lookup, matching_blocks

MISREAD = Note(
    "misread", "4.2 and 4.3 misread the fixed ranges below 1M; this is what they read, not what the guest wrote"
)
GARBAGE = Note(
    "garbage",
    "4.2 and 4.3 take the type here from bytes of their own, which pairs 6 and 7 have changed: "
    "the guest MTRR type is unknown",
)
MASK_WIDTH = Note(
    "mask-width",
    "4.2 and 4.3 read MTRR masks with the host's width, and the guest's is smaller: "
    "every valid pair covers all from its base up",
)
STRAY = Note(
    "stray",
    "4.2 to 4.6 check the MTRRs around here with a stray cursor (undefined, the host may oops); "
    "the level is that of 4.7",
)
SMALL_BAR = Note("bar", "BAR taken as mapped in 4K pages, as VFIO does up to 6.11 (page_size says otherwise)")
LARGE_BAR = Note("bar", "BAR taken as mapped as large as fits, as VFIO does from 6.12 on (page_size says otherwise)")
NO_SLOT = Note("no-slot", "no slot holds the address: the access exits to be emulated, there is no EPT entry")
NO_SLOT_NPT = Note("no-slot", NO_SLOT.text.replace("EPT", "NPT"))
HOST_MTRR_IDLE = Note("host-mtrr-idle", "host MTRRs have no effect under EPT: host_mtrr is for amd")
NO_SLOT_BUT_SMM = Note(
    "no-slot", "no slot of address space 0 holds the address: outside SMM the access exits to be emulated"
)


def page_type_notes(vm: Vm, pat: MemType) -> list[Note]:
    """What there is to say of a page of that PAT type in this guest: that none can exist, where its PAT lacks it."""
    if not vm.paging or pat in vm.pat.entries:
        return []
    return [Note("no-pat-entry", f"the guest's PAT has no entry {pat}: a page of that type cannot exist")]


def on_vms_platform(kernel: Kernel, vm: Vm) -> Kernel:
    """The kernel on the VM's host, for its type of VM. Raises ValueError where the host's CPU runs no such VM."""
    if vm.vendor is Vendor.INTEL and vm.type is VmType.NORMAL:
        return kernel
    from mtcalc.rules.platform import on_platform

    return on_platform(kernel, vm.vendor, vm.type)


class Evaluator:
    """One VM under one kernel: answers for addresses and for whole slots.

    Raises ValueError where the VM has more variable MTRRs than KVM gives a guest and the kernel looks at them.
    """

    def __init__(self, kernel: Kernel, vm: Vm, slots: Sequence[Slot], notes: Sequence[Note] = ()) -> None:
        """`notes` are said with every answer: what was assumed of the VM.

        `kernel` is put on the VM's platform: its host's CPU, and the type of VM.
        """
        kernel = on_vms_platform(kernel, vm)
        fields = {kind.field: getattr(vm, kind.field) for kind in KINDS.values() if hasattr(vm, kind.field)}
        self._base = from_the_start(kernel, Facts(guest_mtrr=None, **fields))
        split = kernel.split_when is not None and holds(kernel.split_when, self._base)
        self._asks = asks_guest_mtrr(kernel)
        asks = self._asks or split  # under NPT for the mapping level alone
        pairs = row_at(PAIRS, kernel.release).what
        count = len(vm.mtrrs.variable)
        if asks and count > pairs:
            what = f"{count} variable MTRRs, and KVM gives a guest {pairs}"
            raise ValueError(f"{what} (only the manual's view exists: mtcalc mtrr)")
        many = Note("pairs", f"{count} variable pairs: KVM gives a guest {pairs}, so only the manual's view exists")
        self.kernel = kernel
        self.vm = vm
        self.slots = slots
        self.kvm_mtrrs = as_read(vm.mtrrs, kernel.mtrr_walk, vm.host_maxphyaddr)
        self.limits = row_at(LEVEL_LIMITS, kernel.release).what
        self._map = GuestMtrrMap(self.kvm_mtrrs, kernel.mtrr_walk, vm.cpuid_mtrr) if asks else None
        # Under NPT a note says what the manual makes of the registers.
        npt = kernel.npt is not None
        self._irregular = not all(is_regular(pair, vm.mtrrs.maxphyaddr) for pair in vm.mtrrs.variable if pair.valid)
        self._holes = (asks or npt) and self._irregular
        # Where the manual's ranges begin and end elsewhere than those that KVM reads.
        self._manual_edges = self._holes or npt or kernel.mtrr_walk is MtrrWalk.V4_2
        self._by_address = SlotMap(slots)
        self._smm = SlotMap(slots, 1)
        self.split_mtrrs = self.kvm_mtrrs if split else None
        self._stray = split and row_at(UNDEFINED_CHECKS, kernel.release).what and leaves_fixed_ranges(vm.mtrrs)
        wide = asks and self.kvm_mtrrs.maxphyaddr > vm.maxphyaddr and vm.mtrrs.enabled
        width = (MASK_WIDTH,) if wide and any(pair.valid for pair in vm.mtrrs.variable) else ()
        self._mmio = {
            backing: is_host_mmio(kernel.mmio_test, backing, vm.host_pat, vm.assume)
            for backing in {slot.backing for slot in slots}
        }
        refused = () if count > pairs else refused_writes(vm.mtrrs, kernel.release)
        self.vm_notes = (*width, *notes, *((many,) if count > pairs else ()), *refused)
        """What every answer has to say of the VM."""
        self._common_notes = (*kernel_notes(kernel), *self.vm_notes)
        self._slot_limits = slot_limits(kernel.release)
        self._slot_notes = {slot: slot_notes(slot, self._slot_limits, vm) for slot in slots}
        self._latest_test = builtin.latest().mmio_test if kernel.default else None
        self._decided: dict[Facts | tuple[object, ...], tuple[Rule, int | None]] = {}

    @property
    def base_facts(self) -> Facts:
        """The inputs that are the same for every page of the VM."""
        return self._base

    @property
    def stray(self) -> bool:
        """Whether some block of this VM is checked with a stray cursor."""
        return bool(self._stray)

    def slot_notes(self) -> Iterator[tuple[Slot, Note]]:
        """What there is to say of each slot as a whole: what the kernel refuses of it, or makes of it."""
        for slot in self.slots:
            notes = [*slot_inputs(self.kernel, self._facts(slot, None)), *self._slot_notes[slot]]
            notes += self._place_notes(slot, slot.end)
            if not slot.address_space:
                notes += own_slot_notes(self._slot_limits, slot.gpa, slot.end - 1)
            yield from ((slot, note) for note in notes)

    def _place_notes(self, slot: Slot, end: int) -> list[Note]:
        """Where a slot is that the guest sees in part alone; `end`: the first address behind what is looked at."""
        notes = []
        if slot.address_space:
            notes.append(Note("slot-smm", f"slot is in address space {slot.address_space} (SMM)"))
        if end - 1 >> self.vm.maxphyaddr:
            beyond = f"the guest, of maxphyaddr {self.vm.maxphyaddr}, can't reach all of this"
            notes.append(Note("slot-beyond", beyond))
        return notes

    def slots_between(self, start: int, end: int) -> list[Slot]:
        """The slots that hold some of the guest addresses [start, end) in bytes, those of SMM left aside."""
        return self._by_address.between(start, end)

    def smm_slot(self, gpa: int) -> Slot | None:
        """The slot of address space 1, which a vCPU in SMM sees, at `gpa` in bytes."""
        return self._smm.find(gpa)

    def level_obstacles(self, slot: Slot, gpa: int) -> Iterator[tuple[int, str]]:
        """The levels above the one at which the page at `gpa` (bytes) can be mapped, and what is against each."""
        for level in (3, 2):
            why = level_obstacle(self.split_mtrrs, slot, gpa, level, self.limits)
            if why is None:
                return
            yield level, why

    def largest_level(self, slot: Slot, start: int, end: int) -> int:
        """The highest level that some page of [start, end) in bytes can get; no MTRR range begins or ends inside."""
        return largest_level(self.split_mtrrs, slot, start, end, self.limits)

    def facts(self, slot: Slot, gpa: int) -> Facts:
        """What the rules can know about the page at `gpa` (bytes) in `slot`.

        Its guest MTRR type is None where the kernel never asks, and where 4.2 and 4.3 read garbage.
        """
        memtype = self._map.lookup(gpa).memtype if self._map is not None and self._asks else None
        return self._facts(slot, memtype)

    def slot_at(self, gpa: int, address_space: int = 0) -> Slot | None:
        """The slot that holds a guest address in bytes."""
        return (self._smm if address_space == 1 else self._by_address).find(gpa)

    def byte_at(self, slot: Slot, gpa: int) -> int | None:
        """The byte of the page at `gpa` (bytes) in `slot`; None where it hangs on a type that nobody knows."""
        return self._decide(self.facts(slot, gpa))[1]

    def level_at(self, slot: Slot, gpa: int) -> int:
        """The highest level, 1 to 3, at which the page at `gpa` (bytes) in `slot` can be mapped."""
        return mapping_level(self.split_mtrrs, slot, gpa, self.limits)

    def _facts(self, slot: Slot, memtype: MemType | None) -> Facts:
        facts = self._base._replace(mmio=self._mmio[slot.backing], slot_flags=slot.flags, guest_mtrr=memtype)
        if self.kernel.npt is not None:
            facts = facts._replace(host_mtrr=slot.backing.host_mtrr)
        return facts._replace(private=True) if slot.private else facts

    def _decide(self, facts: Facts) -> tuple[Rule, int | None]:
        key = facts[:-1]  # the assumptions are the VM's, and a dict
        if key not in self._decided:
            if facts.guest_mtrr is None and self._asks:
                self._decided[key] = self._decide_unknown(facts)
            else:
                self._decided[key] = decide(self.kernel.rules, facts)
        return self._decided[key]

    def _decide_unknown(self, facts: Facts) -> tuple[Rule, int | None]:
        """The rule for a guest MTRR type that nobody knows, the byte None where it hangs on the type."""
        found = [decide(self.kernel.rules, facts._replace(guest_mtrr=kind)) for kind in MTRR_TYPES]
        rule, byte = found[0]
        return rule, byte if all(other == byte for _, other in found) else None

    def page(
        self, gpa: int, pat: MemType | None = None, private: bool | None = None, index: int | None = None
    ) -> Answer:
        """The answer for one guest address in bytes; `pat` None: for all six types; `private` None: as its slot is.

        `index`: the entry of the guest's PAT that the page selects, where it is known; under NPT it can count.
        Raises ValueError beyond the guest's maxphyaddr.
        """
        if gpa >> self.vm.maxphyaddr:
            raise ValueError(
                f"{gpa:#x} is beyond the guest's maxphyaddr {self.vm.maxphyaddr} "
                f"(at most {(1 << self.vm.maxphyaddr) - 1:#x})"
            )
        slot = self._by_address.find(gpa)
        if slot is None:
            smm = (NO_SLOT_BUT_SMM, Note("smm", "address space 1 (SMM) has a slot here"))
            no_slot = NO_SLOT if self.kernel.npt is None else NO_SLOT_NPT
            none = (*self._common_notes, *(smm if self.smm_slot(gpa) else (no_slot,)))
            return Answer(self.kernel, gpa, None, None, None, None, None, None, pat, (), none)
        if private is not None and private is not slot.private:
            changed = slot._replace(private=private)
            self._slot_notes[changed] = self._slot_notes[slot]
            slot = changed
        facts = self.facts(slot, gpa)
        level = mapping_level(self.split_mtrrs, slot, gpa, self.limits)
        notes = []
        if self.smm_slot(gpa):
            notes.append(Note("smm", "address space 1 (SMM) has a slot here too; this is address space 0's answer"))
        return self._answer(slot, facts, gpa, None, level, pat, notes, index)

    def segments(self, by_the_manual: bool = False) -> list[int] | None:
        """Starts of the segments over which page() answers the same, ascending from 0.

        `by_the_manual`: and over which the manual reads the guest's MTRRs as one type. None where an MTRR mask with
        holes may make too many: then each address is its own.
        """
        end = 1 << self.vm.maxphyaddr
        if self._irregular if by_the_manual else self._holes:
            return None
        edges = {edge for slot in self._by_address.slots for edge in (slot.gpa, slot.end)}
        edges.update(edge for slot in self._smm.slots for edge in (slot.gpa, slot.end))
        if self._map is not None:
            edges.update(self._map.edges(0, end))
        if self._manual_edges or by_the_manual:
            edges.update(self._edges_by_the_manual(0, end))
        starts = {0}
        if self._stray:
            starts.update((1 << 21, 1 << 30))
        if self._slot_limits.internal_slots:
            starts.update((APIC_PAGE, APIC_PAGE + PAGE))
        # A large page may be refused for an edge inside it, so its whole block is a piece of its own.
        starts.update(edges, blocks_around(edges))
        return sorted(start for start in starts if start < end)

    def ranges(self) -> Iterator[Answer]:
        """Every slot, in the order given, cut where guest MTRR type or EPT byte change.

        Raises ValueError where an MTRR mask full of holes cuts a slot into too many pieces.
        """
        for slot in self.slots:
            run: list[tuple[int, int, MemType | None]] = []
            for start, end, memtype in self._pieces(slot):
                if run and run[-1][2] != memtype:
                    yield self._range(slot, run)
                    run = []
                run.append((start, end, memtype))
            yield self._range(slot, run)

    def _pieces(self, slot: Slot) -> Iterator[tuple[int, int, MemType | None]]:
        if self._map is None:
            yield slot.gpa, slot.end, None
            return
        for start, end, found in self._map.pieces(slot.gpa, slot.end):
            yield start, end, found.memtype if self._asks else None

    def _range(self, slot: Slot, run: list[tuple[int, int, MemType | None]]) -> Answer:
        start, end, memtype = run[0][0], run[-1][1], run[0][2]
        level = max(self.largest_level(slot, low, high) for low, high, _ in run)
        notes = self._place_notes(slot, end)
        return self._answer(slot, self._facts(slot, memtype), start, end - 1, level, None, notes)

    def _answer(
        self,
        slot: Slot,
        facts: Facts,
        gpa: int,
        end: int | None,
        level: int,
        pat: MemType | None,
        notes: list[Note],
        index: int | None = None,
    ) -> Answer:
        rule, byte = self._decide(facts)
        pats = PAT_TYPES if pat is None else (pat,)
        notes = [*self._common_notes, *unknown_inputs(self.kernel, facts), *self._slot_notes[slot], *notes]
        last = gpa if end is None else end
        notes += self._level_notes(slot, gpa, last, level)
        notes += self._misread_notes(gpa, last)
        effective: tuple[tuple[MemType, Effective | None], ...] = tuple((kind, None) for kind in pats)
        entry: EptByte | NptEntry | None = None if byte is None else EptByte(byte)
        if self.kernel.npt is not None:
            from mtcalc.analysis import npt

            notes += npt.npt_notes(self.kernel, facts, pats, self.vm.pat, self.vm.paging, index)
            notes += [] if end is not None else self._npt_mtrr_notes(gpa)
            notes += [] if slot.address_space else own_slot_notes(self._slot_limits, gpa, last)
            notes += [] if pat is None else page_type_notes(self.vm, pat)
            facts = npt.with_host(facts)
            entry = npt.ENTRY
            effective = npt.npt_types(self.kernel, facts, pats, self.vm.pat, self.vm.paging, index)
        elif slot.backing.host_mtrr is not None:
            notes.append(HOST_MTRR_IDLE)
        if byte is not None and self.kernel.npt is None:
            if self._latest_test is not None:
                mmio = is_host_mmio(self._latest_test, slot.backing, self.vm.host_pat)
                notes.append(latest_note(byte, facts._replace(mmio=mmio), pat, self.vm.paging))
            notes += self._page_notes(slot, facts, rule, byte, gpa, end)
            if not slot.address_space:
                notes += own_slot_notes(self._slot_limits, gpa, last)
            notes += [] if pat is None else page_type_notes(self.vm, pat)
            notes += byte_notes(byte, pats, self.vm.paging, alone=pat is not None)
            effective = effective_types(byte, pats, self.vm.paging)
        return Answer(
            self.kernel, gpa, end, slot, level, facts, rule, entry, pat, effective, tuple(notes), self.vm.paging
        )

    def _level_notes(self, slot: Slot, gpa: int, last: int, level: int) -> list[Note]:
        """What the level found for [gpa, last] rests on, where nobody said it."""
        notes = []
        if self.meets_stray(slot, gpa):
            notes.append(STRAY)
        if not host_pages(slot, self.limits).assumed:
            return notes
        if level > 1:
            notes.append(LARGE_BAR)
        elif self.limits.device == 1:
            # Said only where another size would make another level.
            free = self.limits._replace(device=3)
            if largest_level(self.split_mtrrs, slot, gpa, last + 1, free) > 1:
                notes.append(SMALL_BAR)
        return notes

    def meets_stray(self, slot: Slot | None, gpa: int) -> bool:
        """Whether the check for the page at `gpa` (bytes) is of a block that begins with the fixed ranges.

        The block of 2M is checked on every fault, that of 1G where nothing else is against it.
        """
        if not self._stray:
            return False
        return gpa < 1 << 21 or (gpa < 1 << 30 and slot_obstacle(slot, gpa, 3, self.limits) is None)

    def _misread_notes(self, gpa: int, last: int) -> list[Note]:
        """What 4.2 and 4.3 do to the fixed ranges in [gpa, last]."""
        mtrrs = self.kvm_mtrrs
        if self._map is None or not self._asks or self.kernel.mtrr_walk is not MtrrWalk.V4_2 or gpa >= ONE_MEGABYTE:
            return []
        if not (mtrrs.enabled and mtrrs.fixed_enabled):
            return []
        ways = {self._map.lookup(at).via for at in (gpa, *self._map.edges(gpa, min(last + 1, ONE_MEGABYTE)))}
        if ways == {"fixed"}:
            return []
        return [GARBAGE] if "garbage" in ways else [MISREAD]

    def _page_notes(self, slot: Slot, facts: Facts, rule: Rule, byte: int, gpa: int, end: int | None) -> list[Note]:
        notes = []
        backing = slot.backing
        encoding, ipat = split_mask(byte)
        device = backing.struct_page and backing.reserved and not backing.zero_page and not facts.mmio
        if device and encoding in CACHEABLE:
            what = f"a reserved host page tracked {backing.host_type} counts as RAM and is mapped {MemType(encoding)}"
            firm = ", ignore PAT" if ipat else ""
            device_memory = "if it is device memory, such as the VGA window, expect machine checks"
            notes.append(Note("reserved-as-ram", f"{what}{firm}; {device_memory}"))
        if facts.guest_mtrr is None:
            return notes
        if rule.then.memtype_of == GUEST_MTRR:
            notes += self._disagreement(gpa, gpa if end is None else end)
        elif facts.guest_mtrr not in CACHEABLE and encoding in CACHEABLE and not facts.mmio:
            fixed = ipat or not self.vm.paging
            row = "" if encoding == MemType.WB else f", in row EPT {MemType(encoding)}"
            honoured = f"what the guest's PAT says{row}"
            gets = f"{MemType(encoding)} all the same" if fixed else honoured
            by_kvm = "" if manual_lookup(self.vm.mtrrs, gpa).memtype == facts.guest_mtrr else ", as KVM reads them"
            said = f"the guest's MTRRs say {facts.guest_mtrr}{by_kvm}"
            notes.append(Note("mtrr-ignored", f"{said}; this rule does not look at them: memory is {gets}"))
        return notes

    def _npt_mtrr_notes(self, gpa: int) -> list[Note]:
        """That the guest's MTRRs make no type of the page at `gpa` (bytes), where they say another than WB."""
        kind = manual_lookup(self.vm.mtrrs, gpa).memtype
        if kind is None or kind in CACHEABLE:
            return []
        text = f"the guest's MTRRs say {kind}: under NPT they make no type, and count in the guest's own choice alone"
        return [Note("npt-mtrr", text)]

    def _disagreement(self, gpa: int, last: int) -> list[Note]:
        """Where KVM's lookup and the manual's part in [gpa, last], as a note about the first such piece."""
        if self._map is None:
            return []
        cuts = {gpa, *self._map.edges(gpa, last + 1)}
        if self._manual_edges:
            cuts.update(self._edges_by_the_manual(gpa, last + 1))
        for at in sorted(cuts):
            if at >> self.vm.maxphyaddr:
                break  # the guest has no such address, so the manual says nothing of it
            kvm = self._map.lookup(at)
            manual = manual_lookup(self.vm.mtrrs, at)
            if kvm.memtype != manual.memtype:
                says = "leaves it undefined" if manual.memtype is None else f"says {manual.memtype}"
                where = "" if gpa == last else f" at {at:#x}"
                return [Note("mtrr-parted", f"guest MTRRs{where}: KVM reads {kvm.memtype}, the manual {says}")]
        return []

    def _edges_by_the_manual(self, start: int, end: int, most: int = 256) -> Iterator[int]:
        """Edges of what the manual reads; of a mask with holes the first few, enough to show a disagreement."""
        mtrrs = self.vm.mtrrs
        for pair in mtrrs.variable:
            if not pair.valid:
                continue
            for _, (low, high) in zip(range(most), matching_blocks(pair, mtrrs.maxphyaddr, start, end), strict=False):
                yield from (edge for edge in (low, high) if start < edge < end)
        if mtrrs.enabled and mtrrs.fixed_enabled and start < ONE_MEGABYTE:
            yield from (edge for _, edge in FIXED_RANGES if start < edge < end)
