# SPDX-License-Identifier: GPL-2.0-only
"""A machine as a scenario in YAML, each part with the place that tells it; what is assumed says so."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mtcalc.importers.dump import DumpPair, PageFact, SlotFact
from mtcalc.importers.merge import Machine
from mtcalc.importers.told import Told, ToldMtrrs
from mtcalc.kvm.flags import SLOT_FLAGS, flag_names
from mtcalc.text.errors import Place, printable
from mtcalc.text.numbers import format_size
from mtcalc.x86.memtype import MemType
from mtcalc.x86.mtrr import PAGE
from mtcalc.x86.pat import Pat

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
LONGEST_NAME = 200


def scenario_yaml(machine: Machine) -> str:
    """The scenario's text."""
    return "\n".join(_lines(machine)) + "\n"


def _source(told: Told | None, user: str = "as given") -> str:
    """The comment on a value."""
    if told is None:
        return ""
    if told.assumed:
        return "assumed: no dump tells"
    return user if told.place is None else _place(told.place)


def _place(place: Place) -> str:
    return printable(f"{place.file}:{place.line}")


def _with(text: str, comment: str) -> str:
    return f"{text}  # {comment}" if comment else text


def _word(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _quoted(text: str) -> str:
    """Text as a YAML scalar."""
    if _PLAIN_NAME.fullmatch(text) and text.lower() not in _WORDS:
        return text
    shown = "".join(c if c.isprintable() else "?" for c in text)[:LONGEST_NAME]
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _lines(machine: Machine) -> Iterator[str]:
    yield "# made by mtcalc import; the comments name the lines that tell each part"
    if machine.rules is not None:
        yield _with(f"rules: {_quoted(str(machine.rules.value))}", _source(machine.rules))
    host = (
        ("vendor", machine.vendor),
        ("self_snoop", machine.self_snoop),
        ("maxphyaddr", machine.host_maxphyaddr),
    )
    if any(told is not None for _, told in host):
        yield "host:"
        for key, told in host:
            if told is not None:
                yield _with(f"  {key}: {_word(told.value)}", _source(told))
    yield "vm:"
    yield _with(f"  noncoherent_dma: {_word(machine.noncoherent_dma.value)}", _source(machine.noncoherent_dma))
    honor = machine.ignore_guest_pat_off
    if honor is not None:
        yield _with(f"  disabled_quirks: [{'IGNORE_GUEST_PAT' if honor.value else ''}]", _source(honor))
    yield "guest:"
    yield _with(f"  maxphyaddr: {_word(machine.maxphyaddr.value)}", _source(machine.maxphyaddr))
    if machine.cpuid_mtrr is not None:
        yield _with(f"  cpuid_mtrr: {_word(machine.cpuid_mtrr.value)}", _source(machine.cpuid_mtrr))
    if machine.guest_kernel is not None:
        release = str(machine.guest_kernel.value)
        yield _with(f"  kernel: {_quoted(f'linux-{release}')}", _source(machine.guest_kernel))
    bits = [(key, told) for key, told in (("cd", machine.cd), ("pg", machine.pg)) if told is not None]
    if bits:
        yield "  cr0:"
        for key, told in bits:
            yield _with(f"    {key}: {_word(told.value)}", _source(told))
    if machine.pat is not None:
        pat = machine.pat.value
        assert isinstance(pat, Pat)
        types = ", ".join(map(str, pat.entries))
        yield _with(f"  pat: [{types}]", _source(machine.pat))
    if machine.mtrrs is not None:
        yield from _mtrr_lines(machine.mtrrs, int(str(machine.maxphyaddr.value)))
    if machine.slots:
        yield "memslots:"
        for fact, name in machine.slots:
            yield _slot(fact, name)
    if machine.pages:
        yield "pages:"
        for page in machine.pages:
            yield _page(page)


def _mtrr_lines(mtrrs: ToldMtrrs, width: int) -> Iterator[str]:
    yield "  mtrr:"
    yield _with(f"    enabled: {_word(mtrrs.enabled.value)}", _source(mtrrs.enabled))
    yield _with(f"    fixed_enabled: {_word(mtrrs.fixed_enabled.value)}", _source(mtrrs.fixed_enabled))
    yield _with(f"    default: {mtrrs.default.value}", _source(mtrrs.default))
    if mtrrs.vcnt is not None:
        yield f"    vcnt: {mtrrs.vcnt}"
    if mtrrs.fixed:
        yield "    fixed:"
        for msr, told in mtrrs.fixed:
            yield _with(f"      {msr:#x}: {int(str(told.value)):#018x}", _source(told))
    if mtrrs.pairs:
        yield "    variable:"
        for pair in mtrrs.pairs:
            yield _with(
                f"      - {{{_pair(pair, width)}}}", _place(pair.place) if pair.valid else f"pair {pair.number}: off"
            )


def _pair(pair: DumpPair, width: int) -> str:
    """A pair in words where it is regular and on, else as its registers."""
    base = pair.physbase & ~0xFF
    kind = MemType(pair.physbase & 0xFF)
    if pair.physmask is None:
        return f"base: {base:#x}, size: {format_size(pair.size)}, type: {kind}"
    full = 1 << width
    address_mask = pair.physmask & full - PAGE
    size = full - address_mask
    if pair.physmask == address_mask | 1 << 11 and not size & (size - 1) and not base % size:
        return f"base: {base:#x}, size: {format_size(size)}, type: {kind}"
    return f"physbase: {pair.physbase:#x}, physmask: {pair.physmask:#x}"


def _slot(fact: SlotFact, name: str | None) -> str:
    parts = [] if fact.id is None else [f"id: {fact.id}"]
    if name is not None:
        parts.append(f"name: {_quoted(name)}")
    parts += [f"gpa: {fact.gpa:#x}", f"size: {fact.size:#x}"]
    if fact.flags:
        parts.append(f"flags: [{', '.join(flag_names(fact.flags, SLOT_FLAGS))}]")
    if fact.host_type is not None:
        # Reserved: then it is the type that decides, or that there is no struct page.
        struct = _word(not fact.mmio)
        backing = f"struct_page: {struct}, reserved: true, host_type: {fact.host_type}, e820_ram: false"
        parts.append(f"backing: {{{backing}}}")
    elif fact.mmio:
        parts.append("backing: mmio")
    if fact.hva is not None:
        parts.append(f"hva: {fact.hva:#x}")
    if fact.address_space:
        parts.append(f"address_space: {fact.address_space}")
    places = [_place(place) for place in (fact.place, fact.host_place) if place is not None]
    return _with(f"  - {{{', '.join(parts)}}}", ", ".join(places))


def _page(page: PageFact) -> str:
    what = f"pat: {page.pat}" if page.pat is not None else f"pat_index: {page.pat_index}"
    more = f", up to {page.gpa + page.size - 1:#x}" if page.size > PAGE else ""
    return _with(f"  - {{gpa: {page.gpa:#x}, {what}}}", f"{_place(page.place)}{more}")
