# SPDX-License-Identifier: GPL-2.0-only
"""Dumps written as the tools write them, from a state that is known: the other side of the importers.

Nothing of mtcalc.importers is used here. Forms: the kernel's print_mtrr_state() and mtrr_seq_show(), QEMU's trace
event, strace.
"""

from __future__ import annotations

import base64
import json
import quopri
from collections.abc import Callable, Sequence
from typing import NamedTuple

from hypothesis import strategies as st

TYPES = {0: "uncachable", 1: "write-combining", 4: "write-through", 5: "write-protect", 6: "write-back"}
FIXED_STARTS = [
    *range(0, 0x80000, 0x10000),
    *range(0x80000, 0xC0000, 0x4000),
    *range(0xC0000, 0x100000, 0x1000),
]


class State(NamedTuple):
    """MTRRs: (base, size, type) or None a pair, 88 fixed types or None, bits of a physical address."""

    enabled: bool
    fixed_enabled: bool
    default: int
    fixed: tuple[int, ...]
    pairs: tuple[tuple[int, int, int] | None, ...]
    width: int


@st.composite
def states(draw: st.DrawFn) -> State:
    """MTRRs as firmware leaves them: contiguous masks, eight to ten pairs, one at least that is on."""
    width = draw(st.integers(36, 52))
    kinds = st.sampled_from(sorted(TYPES))

    def pair() -> tuple[int, int, int]:
        shift = draw(st.integers(12, width - 1))
        return draw(st.integers(0, (1 << width - shift) - 1)) << shift, 1 << shift, draw(kinds)

    count = draw(st.integers(8, 10))
    pairs = [pair() if draw(st.booleans()) else None for _ in range(count)]
    if not any(pairs):
        pairs[draw(st.integers(0, count - 1))] = pair()
    fixed = tuple(draw(st.lists(kinds, min_size=88, max_size=88)))
    return State(draw(st.booleans()), draw(st.booleans()), draw(kinds), fixed, tuple(pairs), width)


def dmesg(state: State) -> list[str]:
    """What a kernel up to 6.0 logs of them."""
    lines = [f"MTRR default type: {TYPES[state.default]}"]
    lines.append(f"MTRR fixed ranges {'en' if state.fixed_enabled else 'dis'}abled:")
    starts = [*FIXED_STARTS, 0x100000]
    at = 0
    for index, kind in enumerate(state.fixed):
        if index == 87 or state.fixed[index + 1] != kind:
            lines.append(f"  {at:05X}-{starts[index + 1] - 1:05X} {TYPES[kind]}")
            at = starts[index + 1]
    lines.append(f"MTRR variable ranges {'en' if state.enabled else 'dis'}abled:")
    digits = (state.width + 3) // 4
    for number, pair in enumerate(state.pairs):
        if pair is None:
            lines.append(f"  {number} disabled")
        else:
            base, size, kind = pair
            mask = (1 << state.width) - size
            lines.append(f"  {number} base {base:0{digits}X} mask {mask:0{digits}X} {TYPES[kind]}")
    return [*lines, "x86/PAT: Configuration [0-7]: WB  WC  UC- UC  WB  WP  UC- WT  "]


def proc_mtrr(state: State) -> list[str]:
    """/proc/mtrr: pairs that are on; sizes with the unit that the kernel chooses."""
    lines = []
    for number, pair in enumerate(state.pairs):
        if pair is not None:
            base, size, kind = pair
            unit, shift = ("KB", 10) if size < 1 << 20 else ("MB", 20)
            where = f"base=0x{base >> 12:06x}000 ({base >> 20:5}MB)"
            lines.append(f"reg{number:02}: {where}, size={size >> shift:5}{unit}, count=1: {TYPES[kind]}")
    return lines


def registers(state: State) -> dict[int, int]:
    """The raw registers."""
    values = {0x2FF: state.enabled << 11 | state.fixed_enabled << 10 | state.default}
    for number, pair in enumerate(state.pairs):
        base, size, kind = pair or (0, 0, 0)
        values[0x200 + 2 * number] = base | kind
        values[0x201 + 2 * number] = ((1 << state.width) - size | 1 << 11) if pair else 0
    for index, msr in enumerate((0x250, 0x258, 0x259, *range(0x268, 0x270))):
        eight = state.fixed[8 * index : 8 * index + 8]
        values[msr] = sum(kind << 8 * k for k, kind in enumerate(eight))
    return values


def _quoted_printable(lines: Sequence[str]) -> list[str]:
    text = "\n".join(lines).encode() + b"\n"
    head = ["Content-Transfer-Encoding: quoted-printable", "", "a =3D b"]
    return [*head, *quopri.encodestring(text).decode().split("\n")]


def _journal(lines: Sequence[str]) -> list[str]:
    return [json.dumps({"_HOSTNAME": "h", "MESSAGE": line, "PRIORITY": "6"}) for line in lines]


def _each(form: str) -> Callable[[Sequence[str]], list[str]]:
    return lambda lines: [form.replace("$", line).replace("%", str(at % 10)) for at, line in enumerate(lines)]


WRAPPINGS: dict[str, Callable[[Sequence[str]], list[str]]] = {
    "bare": _each("$"),
    "printk": _each("[    0.000%] $"),
    "caller": _each("[    0.00000%][    T0] $"),
    "kernel behind": _each("[    0.00000%] kernel: $"),
    "syslog": _each("Sep  6 10:22:5% host kernel: [    0.00000%] $"),
    "syslog alone": _each("Sep 16 10:22:55 my-host.example kernel: $"),
    "iso": _each("2026-09-14T08:33:00,00021%+00:00 $"),
    "iso host": _each("2026-09-14T08:33:00.000210+0200 host kernel: $"),
    "human": _each("[  +0.00000%] $"),
    "human first": _each("[Sep14 08:33] $"),
    "ctime": _each("[Mon Sep 14 08:33:0% 2026] $"),
    "priority": _each("<6>[    0.00000%] $"),
    "decoded": _each("kern  :info  : [    0.00000%] $"),
    "short monotonic": _each("[    0.00000%] host kernel: $"),
    "xen": _each("(XEN) [    0.00000%] $"),
    "mail": _each("> > [    0.00000%] $"),
    "bars": _each("| $"),
    "comment": _each("    // $"),
    "html": lambda lines: [line.replace(" ", "&nbsp;").replace("<", "&lt;") + "<br>" for line in lines],
    "hard blanks": lambda lines: [line.replace(" ", "\xa0") for line in lines],
    "crlf": _each("$\r"),
    "colours": _each("\x1b[32m[    0.00000%]\x1b[0m $"),
    "quoted-printable": _quoted_printable,
    "journal": _journal,
    "escaped": lambda lines: [line.replace('"', '\\"') for line in lines],
}


def wrapped(lines: Sequence[str], name: str) -> str:
    """Lines as a log, a journal or a mail has them."""
    return "\n".join(WRAPPINGS[name](lines)) + "\n"


class Block(NamedTuple):
    """A memory slot. Bytes."""

    id: int
    gpa: int
    size: int
    flags: int
    hva: int
    space: int = 0


@st.composite
def blocks(draw: st.DrawFn, most: int = 6) -> list[Block]:
    """Slots that do not overlap, of one VM."""
    found = []
    for space in range(draw(st.integers(1, 2))):
        at = 0
        for number in range(draw(st.integers(1, most))):
            at += draw(st.integers(0, 1 << 20)) << 12
            size = draw(st.integers(1, 1 << 20)) << 12
            flags = draw(st.sampled_from((0, 1, 2, 3)))
            found.append(Block(number, at, size, flags, draw(st.integers(1, 1 << 34)) << 12, space))
            at += size
    return found


def trace_line(block: Block, size: int, split: bool, result: int = 0) -> str:
    """QEMU's trace event; `split`: newer, with the address space apart."""
    where = f"AddrSpace#{block.space} Slot#{block.id}" if split else f"Slot#{block.space << 16 | block.id}"
    fields = f"flags=0x{block.flags:x} gpa=0x{block.gpa:x} size=0x{size:x} ua=0x{block.hva:x}"
    return f"kvm_set_user_memory {where} {fields} ret={result}"


def strace_line(block: Block, size: int, result: str = "0") -> str:
    """One call as strace prints it."""
    names = [name for bit, name in ((1, "KVM_MEM_LOG_DIRTY_PAGES"), (2, "KVM_MEM_READONLY")) if block.flags & bit]
    gpa = f"{block.gpa:#x}" if block.gpa else "0"
    fields = f"{{slot={block.space << 16 | block.id}, flags={'|'.join(names) or '0'}, guest_phys_addr={gpa}, "
    return (
        f"ioctl(13, KVM_SET_USER_MEMORY_REGION, {fields}memory_size={size}, userspace_addr={block.hva:#x}}}) = {result}"
    )


def packed_journal_bytes(line: str) -> str:
    """journald's form of a message that is not all printable: a list of bytes."""
    return json.dumps({"MESSAGE": list(base64.b64decode(base64.b64encode(line.encode())))})
