# SPDX-License-Identifier: GPL-2.0-only
"""Who honours the guest's PAT: host kernel x vendor x VMM x slot flag.

What the rules say is computed from them, for RAM of a guest that has not set CR0.CD; what a VMM can do about the
quirk is data (mtcalc.kvm.vmm).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from mtcalc.kvm.flags import QUIRKS, SLOT_FLAGS
from mtcalc.kvm.history import NPT_PATS, row_at
from mtcalc.kvm.notes import Note
from mtcalc.kvm.release import OLDEST, Version, before, newest, sort_key
from mtcalc.kvm.versions import GuestPat, Vendor, VmType
from mtcalc.kvm.vmm import PAT_SWITCH
from mtcalc.rules.builtin import built_in, latest
from mtcalc.rules.condition import holds
from mtcalc.rules.cubes import Budget, cover
from mtcalc.rules.inputs import (
    CR0_CD,
    GUEST_MTRR,
    MMIO,
    PRIVATE,
    QUIRK_CD_NW_CLEARED,
    QUIRK_IGNORE_GUEST_PAT,
    Facts,
    Input,
    Value,
    said,
    with_value,
)
from mtcalc.rules.kernel import (
    Kernel,
    from_the_start,
    kernel_at,
    kernel_label,
    kernel_notes,
    out_of_reach,
    version_text,
)
from mtcalc.rules.platform import FIRST_WITH_TDS, on_platform
from mtcalc.rules.releases import RELEASES, release_at, source_text
from mtcalc.rules.rule import decide, inputs_read
from mtcalc.rules.truth import space_of, values_at, when_of
from mtcalc.x86.ept import split_mask

_FIXED = (MMIO, CR0_CD, QUIRK_CD_NW_CLEARED, GUEST_MTRR, PRIVATE)
MOST_STATES = 1 << 12


class Honours(Enum):
    """Whether the guest's PAT counts."""

    YES = "yes"
    NO = "no"
    ONLY = "only"


class WhoRow(NamedTuple):
    """One row. `slot_flag` None: no flag matters; `vmm` '': any."""

    vendor: Vendor
    name: str  # the releases, or what was asked for
    rules: tuple[str, ...]  # the names of the rule sets
    vmm: str
    slot_flag: str | None  # '' for slots without the flag that matters
    answer: Honours
    needs: tuple[str, ...]  # one of them is needed
    source: str
    notes: tuple[Note, ...] = ()


def who_rows(kernels: Sequence[Kernel], vendor: Vendor | None) -> tuple[WhoRow, ...]:
    """The rows of these kernels, none: of every release and of the proposal for slots; `vendor` None: of both.

    Raises ValueError for rules that ask for too many inputs.
    """
    found: list[WhoRow] = []
    if vendor is not Vendor.AMD:
        found += (row for kernel in kernels for row in _of_ept(kernel, kernel_label(kernel)))
        found += () if kernels else _every_ept()
    if vendor is not Vendor.INTEL:
        found += (_of_npt(mine, kernel_label(mine)) for mine in (on_platform(k, Vendor.AMD) for k in kernels))
        found += () if kernels else _every_npt()
    return tuple(found)


def _every_ept() -> Iterator[WhoRow]:
    """Every release, those in a row that answer the same together; then a proposal's slots, and TDs."""
    spans: list[tuple[Version, list[WhoRow]]] = []
    for release in RELEASES:
        rows = list(_of_ept(kernel_at(release.since, release.rules, version_text(release.since)), ""))
        if spans and [_said(row) for row in spans[-1][1]] == [_said(row) for row in rows]:
            since, earlier = spans[-1]
            names = (dict.fromkeys((*old.rules, *new.rules)) for old, new in zip(earlier, rows, strict=True))
            joined = [row._replace(rules=tuple(rules)) for row, rules in zip(earlier, names, strict=True)]
            spans[-1] = (since, joined)
        else:
            spans.append((release.since, rows))
    ends = [before(since) for since, _ in spans[1:]]
    for (since, rows), end in zip(spans, [*ends, newest()], strict=True):
        yield from (row._replace(name=_span(since, end)) for row in rows)
    flag = built_in("slot-flag")
    assert flag is not None
    yield from _of_ept(flag, kernel_label(flag))
    yield from _of_ept(
        on_platform(latest(), Vendor.INTEL, VmType.TD), f"{version_text(FIRST_WITH_TDS)} on, TD's shared"
    )


def _span(since: Version, end: Version) -> str:
    first, last = version_text(since), version_text(end)
    if len(since) == 3 and since[0] > 2 and end == since[:2]:  # of a stable series
        return f"{first} on ({last}.y)"
    return first if sort_key(end) <= sort_key(since) else f"{first} to {last}"


def _said(row: WhoRow) -> tuple[object, ...]:
    return row.vmm, row.slot_flag, row.answer, row.needs


def _every_npt() -> Iterator[WhoRow]:
    ends = [*(before(row.since) for row in NPT_PATS[1:]), newest()]
    for row, end in zip(NPT_PATS, ends, strict=True):
        since = max(row.since, OLDEST)
        kernel = on_platform(kernel_at(end, release_at(end).rules, version_text(end)), Vendor.AMD)
        yield _of_npt(kernel, _span(since, end))


def _of_npt(kernel: Kernel, name: str) -> WhoRow:
    answer = Honours.YES if kernel.npt is GuestPat.GUESTS else Honours.NO
    source = row_at(NPT_PATS, kernel.release).source
    rules = (kernel.rules.name,)
    return WhoRow(Vendor.AMD, name, rules, "", None, answer, (), source, kernel_notes(kernel))


def _of_ept(kernel: Kernel, name: str) -> Iterator[WhoRow]:
    flags = [item for item in inputs_read(kernel.rules) if item.name == "slot_flag"]
    if not flags:
        yield from _by_vmm(kernel, name, None, 0)
        return
    yield from _by_vmm(kernel, name, "", 0)
    for item in flags:
        yield from _by_vmm(kernel, name, item.arg, SLOT_FLAGS[item.arg])


def _by_vmm(kernel: Kernel, name: str, flag: str | None, bits: int) -> Iterator[WhoRow]:
    answer, ways = _ways(kernel, bits)
    source = "; ".join(map(source_text, kernel.rules.sources)) or kernel.rules.title
    rules, notes = (kernel.rules.name,), kernel_notes(kernel)
    quirk = [when for when in ways if _turns_off(when)]
    if answer is not Honours.ONLY or not quirk:
        yield WhoRow(Vendor.INTEL, name, rules, "", flag, answer, tuple(map(_words, ways)), source, notes)
        return
    others = [name for name, rows in PAT_SWITCH.items() if rows[-1][1] is None]
    unread = (
        [Note("vmm-unread", f"not known, whether they can turn the quirk off: {', '.join(others)}")] if others else []
    )
    switched = Facts(disabled_quirks=QUIRKS["IGNORE_GUEST_PAT"], self_snoop=False)
    snoop = " and on a CPU with self-snoop" if any(holds(state.when, switched) for state in kernel.unreachable) else ""
    for named, switch, told in _vmms():
        option = f"{switch}{snoop}" if switch else ""
        needs = [_words(when, option) for when in ways if option or not _turns_off(when)]
        got = Honours.ONLY if needs else Honours.NO
        yield WhoRow(Vendor.INTEL, name, rules, named, flag, got, tuple(needs), f"{source}; {told}", (*notes, *unread))


def _vmms() -> Iterator[tuple[str, str, str]]:
    """(name and versions, the option that turns the quirk off or '', source) of the VMMs known, newest first."""
    for name, rows in PAT_SWITCH.items():
        for at, (since, can, source) in reversed(list(enumerate(rows))):
            if can is None:
                continue
            named = name
            if at + 1 < len(rows):
                named = f"{name} before {version_text(rows[at + 1][0])}"
            elif at:
                named = f"{name} {version_text(since)} on"
            yield f"{named} (?)" if "(?)" in source else named, source.partition("|")[0] if can else "", source


def _turns_off(when: dict[Input, tuple[Value, ...]]) -> bool:
    return when.get(QUIRK_IGNORE_GUEST_PAT) == (False,)


def _words(when: dict[Input, tuple[Value, ...]], option: str = "") -> str:
    words = []
    for item, values in when.items():
        if item == QUIRK_IGNORE_GUEST_PAT and option and not values[0]:
            words.append(f"with {option}")
        elif item.kind.typed:
            words.append(f"where `{item.arg}` is {' or '.join(map(str, values))}")
        else:
            words.append(said(item, values[0]))
    return " and ".join(words)


def _ways(kernel: Kernel, flags: int) -> tuple[Honours, list[dict[Input, tuple[Value, ...]]]]:
    """Whether the EPT entry of RAM leaves the guest's PAT its say, and the states in which it does, in few rows."""
    free = [item for item in inputs_read(kernel.rules) if item not in _FIXED and item.name != "slot_flag"]
    space = space_of(free)
    if space.size > MOST_STATES:
        raise ValueError(f"{len(free)} inputs have {space.size} combinations (at most {MOST_STATES})")
    never = out_of_reach(kernel)
    wanted = left_out = 0
    for number in range(space.size):
        facts = from_the_start(kernel, Facts(slot_flags=flags))
        for item, value in zip(space.inputs, values_at(space, number), strict=True):
            facts = with_value(facts, item, value)
        if any(holds(state.when, facts) for state in never):
            left_out |= 1 << number
        elif not split_mask(decide(kernel.rules, facts)[1])[1]:
            wanted |= 1 << number
    if not wanted:
        return Honours.NO, []
    if wanted == space.full & ~left_out:
        return Honours.YES, []
    chosen = cover(wanted, [(wanted, wanted | left_out)], space.sizes, Budget())
    return Honours.ONLY, [when_of(space, cube) for cube, *_ in chosen]
