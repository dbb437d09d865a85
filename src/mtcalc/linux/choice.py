# SPDX-License-Identifier: GPL-2.0-only
"""What a Linux guest's kernel makes of a request: the type, the PAT entry, the bits of the page-table entry.

Source: memtype_reserve() (up to 5.6 reserve_memtype()) and pat_x_mtrr_type(), arch/x86/mm/pat.c, from 5.7
arch/x86/mm/pat/memtype.c; __ioremap_caller(), memremap(), track_pfn_remap(), of the trees that each row names.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from mtcalc.kvm.history import Row, row_at
from mtcalc.kvm.release import sort_key
from mtcalc.linux.functions import TYPES, Request, Way
from mtcalc.linux.mtrrs import SeenType
from mtcalc.linux.pat import GuestLinux, GuestPat, guest_pat, own_pat
from mtcalc.x86.memtype import MemType
from mtcalc.x86.pat import entry_bits_text

ISA_START, ISA_END = 0xA0000, 0x100000
"""The ISA window, in bytes: WB whatever is asked."""

_WB, _WC, _UC, _UC_MINUS = MemType.WB, MemType.WC, MemType.UC, MemType.UC_MINUS
_RESERVE = "memtype_reserve(), arch/x86/mm/pat.c"


class OverMtrr(Enum):
    """What a request for WB becomes over an MTRR type."""

    AS_MTRR = "UC over UC, WC over WC, else WB"
    NOT_WB = "UC- where the MTRR type is not WB, or not one"
    NOT_WB_BUT_OFF = "UC- where the MTRR type is not WB, or not one; WB where MTRRs are off"


OVER_MTRR: tuple[Row[OverMtrr], ...] = (
    Row((0,), OverMtrr.AS_MTRR, "pat_x_mtrr_type(); read: 2.6.29"),
    Row((2, 6, 31), OverMtrr.NOT_WB, "pat_x_mtrr_type(); read: 2.6.29 -> 2.6.31.3, the same since"),
    Row((6, 1, 7), OverMtrr.NOT_WB_BUT_OFF, "90b926e68f50, x86/pat: Fix pat_x_mtrr_type() for MTRR disabled case"),
    Row((6, 1, 33), OverMtrr.NOT_WB, "pat_x_mtrr_type() as in 2.6.31; 90b926e68f50 reverted in 6.1.33, before 6.2.1"),
)

WC_WITHOUT_PAT: tuple[Row[MemType], ...] = (
    Row((0,), _UC_MINUS, "reserve_memtype() without pat_enabled; read: 2.6.29 to 4.1.3"),
    Row((4, 2), _WC, "the request passes unchanged; read: 4.1.3 -> 4.2.8"),
)


class Where(NamedTuple):
    """The range that is asked for: what the guest has there. Without an address: memory that is not its RAM."""

    seen: SeenType
    ram: bool = False  # some of it is RAM
    all_ram: bool = False
    tracked_as_ram: bool = False  # some of it is RAM above 1M: below, memory types are tracked as for devices
    first_ram: bool = False  # its first page is such RAM
    isa: bool = False  # all of it is in the ISA window


class Told(NamedTuple):
    """One step of the choice: what it is about, what came of it, sentences, and the source."""

    about: str
    result: str
    lines: tuple[str, ...]
    source: str


class Choice(NamedTuple):
    """What became of a request; types and entry are None where it is refused."""

    request: Request
    guest: GuestLinux
    where: Where
    pat: GuestPat
    kind: MemType | None  # the type that the kernel settles on
    entry: int | None  # of the PAT, 0 to 7
    refusal: str  # why there is no mapping; '' where there is one
    why: str  # why the type is this one
    source: str
    direct: bool = False  # no new mapping: the direct map of RAM

    @property
    def memtype(self) -> MemType | None:
        """The page's PAT type: what its entry selects in the register."""
        return None if self.entry is None else self.pat.register.entries[self.entry]

    @property
    def tracked(self) -> bool:
        """Whether other requests for the range meet this one."""
        if self.kind is None or self.direct or not self.pat.on or self.where.isa:
            return False
        if self.request.way is Way.INSERT:
            return False
        return self.request.way is Way.CHANGE or not self.where.tracked_as_ram


def choose(request: Request, guest: GuestLinux, where: Where) -> Choice:
    """What a guest's kernel makes of a request for a range, alone: no other mapping of it."""
    pat = guest_pat(guest)
    refusal, source = _refused(request, guest, where)
    if refusal:
        return Choice(request, guest, where, pat, None, None, refusal, refusal, source)
    kind, why, source = _settled(request, guest, where, pat)
    direct = request.way is Way.DIRECT and where.ram
    return Choice(request, guest, where, pat, kind, pat.entries[kind], "", why, source, direct)


def _refused(request: Request, guest: GuestLinux, where: Where) -> tuple[str, str]:
    """Why there is no mapping at all, and the source; empty texts where there is one."""
    if sort_key(guest.release) < sort_key(request.since):
        first = ".".join(map(str, request.since))
        what = f"request for {request.asks}" if request in TYPES else request.name
        return f"{guest.name} has no {what} (since {first})", request.source
    if not where.ram:
        return "", ""
    if request.way is Way.IOREMAP:
        what = f"an ioremap as {request.asks}" if request in TYPES else request.name
        return f"{what} of RAM is refused: RAM stays WB", "__ioremap_caller(), memremap(): RAM is not remapped"
    if request.way is Way.DIRECT and not where.all_ram:
        return f"{request.name} of a range that is RAM in part is refused", "memremap(): REGION_MIXED"
    if request.way is Way.CHANGE and where.tracked_as_ram and not where.all_ram:
        return f"{request.name} of a range that is RAM in part is refused (EINVAL)", _RESERVE
    if request.way is Way.CHANGE and where.tracked_as_ram and request.asks is MemType.WP:
        return "RAM can't be made WP (EINVAL)", "reserve_ram_pages_type(); read: 4.1.3 -> 4.2.8"
    return "", ""


def _settled(request: Request, guest: GuestLinux, where: Where, pat: GuestPat) -> tuple[MemType, str, str]:
    """The type, why, and the source."""
    asks = request.asks
    if request.way is Way.DIRECT and where.ram:
        return _WB, "RAM is in the direct map, which is WB", "memremap(): the direct map"
    if not pat.on:
        off = row_at(WC_WITHOUT_PAT, guest.release)
        kind = off.what if asks is _WC else asks
        what = "the request stands" if kind is asks else f"{asks} becomes {kind}"
        return kind, f"the PAT is off: {what}", off.source
    if where.isa:
        return _WB, "the ISA window 0xa0000-0xfffff is WB whatever is asked", f"is_untracked_pat_range(); {_RESERVE}"
    if request.way is Way.INSERT:
        what = "RAM has its page's type, WB unless set_memory_*() changed it" if where.first_ram else _UNTRACKED
        return (_WB if where.first_ram else _UC_MINUS), f"the request is ignored: {what}", request.source
    if request.way is Way.REMAP and where.tracked_as_ram:
        source = "reserve_pfn_range(): the first page's type"
        if where.first_ram:
            return _WB, "RAM keeps its page's type, WB unless set_memory_*() changed it", source
        return _UC_MINUS, f"the request is ignored, as some of it is RAM: {_UNTRACKED}", source
    if request.way is Way.CHANGE and where.tracked_as_ram:
        kind = _UC_MINUS if asks is _UC else asks
        return kind, "RAM gets the type asked for, whatever the MTRRs say", "reserve_ram_pages_type()"
    row = row_at(OVER_MTRR, guest.release)
    if asks is not _WB:
        return asks, "only a request for WB looks at the MTRRs; this one stands", row.source
    kind = over_mtrr(row.what, where.seen)
    return kind, f"WB over {_over(where.seen)} {'stays WB' if kind is _WB else f'becomes {kind}'}", row.source


_UNTRACKED = "what is tracked counts, and a device's memory without an entry is UC-"


def _over(seen: SeenType) -> str:
    return f"MTRR type {seen.memtype}" if seen.memtype is not None else seen.state.value


def over_mtrr(rule: OverMtrr, seen: SeenType) -> MemType:
    """What a request for WB becomes, where the MTRRs are asked."""
    if rule is OverMtrr.AS_MTRR:
        return seen.memtype if seen.memtype in (_UC, _WC) else _WB
    if rule is OverMtrr.NOT_WB_BUT_OFF and not seen.usable:
        return _WB
    return _WB if seen.memtype is _WB else _UC_MINUS


def asks_mtrrs(choice: Choice) -> bool:
    """Whether the guest's MTRRs had a say."""
    where, request = choice.where, choice.request
    if choice.refusal or choice.direct or not choice.pat.on or where.isa or request.asks is not _WB:
        return False
    return request.way is not Way.INSERT and not where.tracked_as_ram


def steps(choice: Choice) -> tuple[Told, ...]:
    """The choice step by step, from what is asked for to the bits of the page-table entry."""
    guest, request, pat = choice.guest, choice.request, choice.pat
    told = [Told("request", request.words, (f"asked of the guest's kernel, {guest.name}",), request.source)]
    if choice.entry is None or choice.kind is None:
        return (*told, Told("guest's mapping", "none", (choice.refusal,), choice.source))
    if asks_mtrrs(choice):
        seen = choice.where.seen
        told.append(Told("MTRR type as the guest sees it", seen.name, (seen.words,), seen.source))
    told.append(Told("guest's memory type", str(choice.kind), (choice.why,), choice.source))
    lines = [
        f"{entry_bits_text(choice.entry)}",
        f"IA32_PAT {pat.register.value:#018x}: {' '.join(map(str, pat.register.entries))}",
    ]
    if pat.why:
        lines.append(f"{pat.why}: {pat.how}")
    elif pat.register == own_pat(guest):
        lines.append(f"as {guest.name} programs it")
    else:
        lines.append(f"{guest.name} would program {own_pat(guest).value:#018x}")
    if choice.memtype is not choice.kind:
        lines.append(f"this PAT has no {choice.kind} there: the page is {choice.memtype}")
    told.append(Told("PAT entry", f"{choice.entry} ({choice.memtype})", tuple(lines), pat.source))
    return tuple(told)
