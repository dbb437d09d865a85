# SPDX-License-Identifier: GPL-2.0-only
"""Random VMs of 2 GiB under random rule sets, and a second model of what a page of one gets."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from hypothesis import strategies as st

from mtcalc.analysis.evaluate import Evaluator
from mtcalc.kvm.host_mmio import MMIO, RAM, Backing
from mtcalc.kvm.vm import Slot, Vm
from mtcalc.refs.resolve import resolve
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import decode_registers
from support import models
from support.registers import registers
from support.rule_models import MODELS, Case

BITS = 31
END = 1 << BITS
PAGE = 0x1000
LARGE = {"1G": 1 << 30, "2M": 1 << 21}
PATS = ("UC", "UC-", "WC", "WT", "WP", "WB")

WALKS = {
    "4.1": ("v2.6.28", "v2.6.29", "v2.6.31", "v3.13"),
    "4.2": ("v4.2", "v4.3"),
    "4.4": ("v4.4", "v6.7", "slot-flag", "kvm-mem-dma", "slot-honor-mtrr"),
}
"""Rule sets by the kernel's walk of guest MTRRs; the others look at none."""


class RandomVm(NamedTuple):
    """A VM, as mtcalc takes it and as raw registers, and the rule set to ask."""

    rules: str
    regs: models.Registers
    vm: Vm
    slots: tuple[Slot, ...]

    def evaluator(self) -> Evaluator:
        """mtcalc's."""
        return Evaluator(resolve(self.rules), self.vm, self.slots)


class Expected(NamedTuple):
    """What the model says of a page."""

    slot: str
    guest_mtrr: str | None
    byte: int | None  # None: it hangs on a guest MTRR type that is unknown
    effective: tuple[str, ...]  # in the order of PATS
    level: str


_edges = st.one_of(
    st.integers(0, 1 << BITS - 12).map(lambda page: page * PAGE),
    st.integers(0, 1 << BITS - 21).map(lambda block: block << 21),
    st.integers(0, 1 << 8).map(lambda page: page * PAGE),
    st.sampled_from((0, 1 << 20, 1 << 30, END)),
)
_backings = st.sampled_from(
    (
        RAM,
        RAM,
        MMIO,
        Backing(reserved=True, host_type=MemType.UC_MINUS),
        Backing(reserved=True),
        Backing(struct_page=False),
        RAM._replace(page_level=2),
        RAM._replace(page_level=1),
        MMIO._replace(page_level=3),
        Backing(reserved=True, zero_page=True),
    )
)


@st.composite
def slots_of(draw: st.DrawFn) -> tuple[Slot, ...]:
    """Slots with holes between them, and sometimes one of SMM."""
    edges = sorted(draw(st.sets(_edges, min_size=2, max_size=7)))
    slots = []
    for number, (start, end) in enumerate(itertools.pairwise(edges)):
        if draw(st.integers(0, 4)):
            hva = draw(st.sampled_from((None, None, start, start + PAGE, start + (1 << 21))))
            flags = draw(st.sampled_from((0, 0, 8, 8, 2, 1, 9)))
            device = draw(st.booleans())
            slots.append(Slot(start, end - start, f"slot{number}", number, flags, draw(_backings), hva, device=device))
    if draw(st.integers(0, 4)) == 0:
        start, end = sorted(draw(st.sets(_edges, min_size=2, max_size=2)))
        slots.append(Slot(start, end - start, "smram", 90, address_space=1))
    return tuple(draw(st.permutations(slots)))


@st.composite
def random_vms(draw: st.DrawFn) -> RandomVm:
    """Any of it; masks with holes only where the kernel takes them for one range."""
    rules = draw(st.sampled_from((*MODELS, *WALKS["4.4"], *WALKS["4.4"])))  # those that do most
    regs = draw(registers(BITS))
    if rules in WALKS["4.1"]:
        regs = regs._replace(variable=[pair for pair in regs.variable if _regular(*pair)])
    vm = Vm(
        noncoherent_dma=draw(st.integers(0, 2)) > 0,
        mem_dma=draw(st.booleans()),
        disabled_quirks=draw(st.sampled_from((0, 2, 0x200, 0x202))),
        self_snoop=draw(st.booleans()),
        maxphyaddr=BITS,
        host_maxphyaddr=draw(st.sampled_from((BITS, 46))),
        cpuid_mtrr=regs.cpuid_mtrr,
        cr0_cd=draw(st.integers(0, 2)) == 0,
        mtrrs=decode_registers(regs.msrs(), BITS, len(regs.variable)),
    )
    return RandomVm(rules, regs, vm, draw(slots_of()))


def _regular(base: int, mask: int) -> bool:
    width = -(mask >> 12 << 12) & (1 << BITS) - 1
    return width & width - 1 == 0 and not (base >> 12 << 12) & (width - 1)


def expected_page(case: RandomVm, gpa: int) -> Expected | None:
    """The model's answer for a page, None in no slot."""
    slot = next((s for s in case.slots if s.gpa <= gpa < s.gpa + s.size and not s.address_space), None)
    if slot is None:
        return None
    vm = case.vm
    backing = slot.backing
    mmio = models.host_mmio(
        "4.1" if case.rules in WALKS["4.1"] else "4.15" if case.rules in (*WALKS["4.2"], "v4.4") else "5.2",
        backing.struct_page,
        backing.reserved,
        backing.zero_page,
        backing.e820_ram,
        str(backing.host_type),
        vm.host_pat,
    )
    walk = next((version for version, names in WALKS.items() if case.rules in names), None)
    kind = models.kvm_type(case.regs, gpa, walk, vm.host_maxphyaddr) if walk else None
    known = {None: (0,), "unknown": tuple(models.NAMES)}
    encodings = known.get(kind) or tuple(code for code, name in models.NAMES.items() if name == kind)
    quirks = vm.disabled_quirks

    def inputs(encoding: int) -> Case:
        return Case(
            mmio=mmio,
            flag=slot.flags & 8 != 0,
            n=vm.noncoherent_dma,
            mem_dma=vm.mem_dma,
            cd=vm.cr0_cd,
            cd_quirk=not quirks & 2,
            igp=not quirks & 0x200,
            self_snoop=vm.self_snoop,
            gmt=encoding,
        )

    found = {MODELS[case.rules](inputs(encoding)) for encoding in encodings}
    byte = found.pop() if len(found) == 1 else None
    if byte is None:
        effective: tuple[str, ...] = ("None",) * len(PATS)
    else:
        ept = models.NAMES[byte >> 3 & 7]
        effective = tuple(ept if byte & 0x40 else models.effective(ept, pat) for pat in PATS)
    # v4.4 is the release; the RFC kvm-mem-dma was written for 5.6.
    always = case.rules in (*WALKS["4.2"], "v4.4", "kvm-mem-dma")
    split = always or (walk == "4.4" and vm.noncoherent_dma)
    width = vm.host_maxphyaddr if walk == "4.2" else 0
    newest = walk is None and case.rules not in ("v6.11-rc1", "v6.11")
    small = _small(slot, always or walk == "4.1", newest)
    level = "4K" if small else _level(case, slot, gpa, split, width)
    if case.rules in ("v2.6.28", "v2.6.29", "v2.6.31") and level == "1G":
        level = "2M"  # KVM up to 2.6.31 makes no larger page
    return Expected(slot.name, kind, byte, effective, level)


def _small(slot: Slot, reserved: bool, vfio_huge: bool) -> bool:
    """Whether the host page alone says 4K: reserved or without struct page up to 5.19, a BAR up to 6.11."""
    backing = slot.backing
    if backing.zero_page or (reserved and (backing.reserved or not backing.struct_page)):
        return True
    if backing.page_level is not None:
        return backing.page_level == 1
    bar = not backing.struct_page or (slot.device and backing.reserved)
    return bar and not vfio_huge


def _level(case: RandomVm, slot: Slot, gpa: int, split: bool, width: int) -> str:
    for name, size in LARGE.items():
        start = gpa // size * size
        inside = slot.gpa <= start and start + size <= slot.gpa + slot.size
        congruent = slot.hva is None or slot.hva % size == slot.gpa % size
        if slot.flags & 1 or not inside or not congruent:
            continue
        if name == "1G" and slot.backing.page_level == 2:
            continue
        if not split or models.block_is_consistent(case.regs, start, size, width):
            return name
    return "4K"
