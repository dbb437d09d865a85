# SPDX-License-Identifier: GPL-2.0-only
"""How SPTEs of a VM are recorded: the tools' commands, the events by release, and what makes KVM map anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mtcalc.kvm.release import Version, sort_key


class Event(NamedTuple):
    """A tracepoint that carries SPTEs, and since when it is there."""

    name: str
    since: Version
    fields: str  # of bpftrace: gfn, spte, level
    source: str


class Tool(NamedTuple):
    """A tool's commands, {pid} the VM's process, {events} the tracepoints; and what it misses."""

    name: str
    commands: tuple[str, ...]
    misses: str


class Zap(NamedTuple):
    """What makes KVM drop entries, so that they are written again as pages are touched; since and until a release."""

    what: str
    command: str
    since: Version
    until: Version | None  # the first release that no longer does
    source: str


EVENTS: tuple[Event, ...] = (
    Event("kvmmmu:kvm_mmu_set_spte", (5, 3), "args->gfn, args->spte, args->level", "read: 5.2.1 -> 5.3.1"),
    Event(
        "kvmmmu:kvm_tdp_mmu_spte_changed",
        (5, 11),
        "args->gfn, args->new_spte, args->level",
        "read: 5.10 -> 5.11.0; 6.4 on for accessed and dirty bits too",
    ),
)

TOOLS: tuple[Tool, ...] = (
    Tool(
        "trace-cmd",
        ("trace-cmd record {events} \\\n  -P {pid} -c -o vm.dat", "trace-cmd report vm.dat | mtcalc audit vm.yaml -"),
        "events that the ring buffer lost ('EVENTS DROPPED'; -b SIZE makes it larger)",
    ),
    Tool(
        "perf",
        ("perf record {events} \\\n  -p {pid} -o vm.perf", "perf script -i vm.perf | mtcalc audit vm.yaml -"),
        "events that perf lost ('LOST', -m PAGES makes its buffer larger)",
    ),
    Tool(
        "bpftrace",
        ("bpftrace -e '{probes}\n' > vm.spte", "mtcalc audit --as spte vm.yaml vm.spte"),
        "address spaces (SMM's entries count as address space 0's), and the entries that new ones replace",
    ),
)
"""The sources of the commands are the tools' manual pages."""

ALWAYS = (
    "what was mapped before the recording began: start it before the VM, or make KVM map anew",
    "entries that no event carries: those that the CPU's accessed and dirty bits change, and all before 5.3",
)
"""What every tool misses."""

ZAPS: tuple[Zap, ...] = (
    Zap(
        "a slot deleted or moved: all of the VM (a reset of the guest does so under QEMU)",
        "virsh reset NAME",
        (4, 2),
        None,
        "kvm_arch_flush_shadow_memslot(); from 6.12 on only its own slot's where the quirk SLOT_ZAP_ALL is off",
    ),
    Zap(
        "non-coherent DMA beginning or ending: all of the VM (a device assigned or taken away)",
        "virsh detach-device NAME device.xml",
        (6, 7),
        None,
        "read: 6.6.9 -> 6.8.0; from 6.16 on where the quirk IGNORE_GUEST_PAT is in force",
    ),
    Zap(
        "the guest's MTRRs written, with non-coherent DMA: what the register covers",
        "",
        (4, 2),
        (6, 11),
        "kvm_mtrr_set_msr(); read: 6.10.0 -> 6.11.11",
    ),
    Zap(
        "nx_huge_pages changed: every VM of the host (unconfirmed, from memory)",
        "echo force > /sys/module/kvm/parameters/nx_huge_pages",
        (5, 4),
        None,
        "set_nx_huge_pages() (?)",
    ),
    Zap(
        "pages moved by the host: those pages",
        "echo 1 > /proc/sys/vm/compact_memory",
        (2, 6, 35),
        None,
        "the MMU notifiers",
    ),
    Zap("the VM started anew: all, and the recording from the begin", "", (2, 6, 29), None, ""),
)


def record_lines(pid: str, release: Version | None = None) -> Iterator[str]:
    """The commands that record what an audit needs, as a shell takes them, the rest as comments.

    `pid`: of the VM's process, as the commands are to have it; `release`: the host's, None: any.
    """
    events = [event for event in EVENTS if release is None or sort_key(event.since) <= sort_key(release)]
    if not events:
        yield from _comment(
            f"no event carries SPTEs before {_text(EVENTS[0].since)}: logs of the kernel have them at most"
        )
    else:
        for event in events:
            yield from _comment(f"{event.name}: from {_text(event.since)} on")
        for tool in TOOLS:
            yield ""
            yield from _comment(f"{tool.name}; misses {tool.misses}")
            for command in tool.commands:
                yield (
                    command.replace("{pid}", pid)
                    .replace("{events}", _events(events))
                    .replace("{probes}", _probes(events, pid))
                )
        yield ""
        for what in ALWAYS:
            yield from _comment(f"missed by all: {what}")
    yield ""
    yield from _comment("entries are written when a page is touched; what makes KVM drop them, so that they are again:")
    for zap in ZAPS:
        begun = release is None or sort_key(zap.since) <= sort_key(release)
        ended = release is not None and zap.until is not None and sort_key(zap.until) <= sort_key(release)
        if not begun or ended:
            continue
        until = f" to {_before(zap.until)}" if zap.until is not None else " on"
        yield from _comment(f"- {zap.what}; {_text(zap.since)}{until}")
        if zap.command:
            yield f"#     {zap.command}"


def _events(events: Sequence[Event]) -> str:
    return " \\\n  ".join(f"-e {event.name}" for event in events)


def _probes(events: Sequence[Event], pid: str) -> str:
    # With the TDP MMU the second event has what the first one has, and more.
    return "".join(
        f'\n  tracepoint:{event.name} /pid == {pid}/ {{\n    printf("%llx %llx %d\\n", {event.fields}); }}'
        for event in events
    )


def _comment(text: str) -> Iterator[str]:
    from textwrap import wrap

    hang = "  " if text.startswith("- ") else ""
    lines = wrap(text, 77, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False)
    yield from (f"# {line}" for line in lines)


def _text(release: Version) -> str:
    return ".".join(map(str, release))


def _before(release: Version) -> str:
    return _text((*release[:-1], release[-1] - 1))
