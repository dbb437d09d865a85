# SPDX-License-Identifier: GPL-2.0-only
"""Other tools' texts given where a scenario is expected: what they are, and what to do with them.

Sources of the forms: the kernel's arch/x86/kernel/cpu/mtrr, arch/x86/mm/pat, arch/x86/kvm/mmu/mmutrace.h and
virt/kvm; QEMU's softmmu/memory.c and accel/kvm/trace-events; msr-tools, x86info, chipsec; edk2's MtrrLib, coreboot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from mtcalc.text.errors import InputError, Place

LINES = 5000
"""Lines looked at; a log that says nothing of memory types for longer is only no scenario."""
LONGEST_LINE = 1000


class Foreign(InputError):
    """The error for a text that is no scenario but something else that is known."""


class Form(NamedTuple):
    """A kind of text: how one of its lines looks, its name, and what to do with it.

    In `right`, a format string, {1}, {2} ... are the line's groups.
    """

    line: re.Pattern[str]
    name: str
    right: str


def _form(line: str, name: str, right: str, flags: int = 0) -> Form:
    return Form(re.compile(line, flags), name, right)


_HEX = "(?:0x)?[0-9a-fA-F]+"
_SLOTS = "write a memslot for each slot: {{gpa: ..., size: ..., flags: [...]}}"
_VARIABLE = "write each pair into guest.mtrr.variable"
_REGISTERS = "mtcalc decode mtrr REG=VALUE, or guest.mtrr.msrs: {{0x2ff: ..., 0x200: ..., 0x201: ...}}"
_ENTRIES = "mtcalc decode epte --level N VALUE; of all mtcalc audit FILE TRACE, in this order"

# What may quote any of the others in its text comes first, wherever in it its own lines stand.
_WHOLE = (
    _form(r"^\s*<(?:!doctype html|html)\b", "an HTML page", "save the raw text of it", re.IGNORECASE),
    _form(r"^\s*<domain\b", "a libvirt domain", "write its memory and devices as memslots"),
    _form(r"^(?:> ?)*diff --(?:git|cc|combined) ", "a patch", "mtcalc review FILE, or -r FILE beside a scenario"),
    _form(r"^(?:> ?)*@@+ -\d+(?:,\d+)? ", "a patch", "mtcalc review FILE, or -r FILE beside a scenario"),
    _form(r"^\*{3} \d+(?:,\d+)? \*{4}$", "a context diff", "a unified one, diff -u: mtcalc review FILE"),
    _form(r"\bvmx_get_mt_mask(?:_shift)?\s*\(", "C source", "mtcalc rules show FILE.c, or -r FILE.c beside a scenario"),
    _form(
        r"^(?:#\s*(?:include\s*[<\"]|define\s|ifn?def\s)|/\*|(?:static|extern)\s+\w+[\s*]|struct\s+\w+\s*\{)",
        "C source",
        "mtcalc rules show FILE.c, where it holds vmx_get_mt_mask()",
    ),
    _form(
        r"^From [0-9a-f]{40} |^(?:Message-I[dD]|X-Mailer|MIME-Version): ",
        "a mail",
        "with a patch in it: mtcalc review FILE",
    ),
)

# Then the first line that is one of these.
_DUMPS = (
    _form(
        r"\breg\d+: base=(0x[0-9a-fA-F]+) \(\s*\d+[KMG]?B\), size=\s*(\d+[kKMG]?B)(?:, count=\d+)?:"
        r" ([a-z]+(?:-[a-z]+)*)",
        "/proc/mtrr",
        "write each line into guest.mtrr.variable, this one as {{base: {1}, size: {2}, type: {3}}}; the default type "
        "is not in it: guest.mtrr.default",
    ),
    _form(
        r"\bMTRR default type: ([a-z]+(?:-[a-z]+)*)",
        "a kernel's log",
        "write guest.mtrr.default: {1}, a line `N base B mask M TYPE` into guest.mtrr.variable, the line of the PAT "
        "as guest.pat",
    ),
    _form(
        r"^\W*(?:\[[^\]]*\]\W*)*\d+ base [0-9A-F]{6,} mask [0-9A-F]{6,} [a-z]+",
        "a kernel's log of the MTRRs",
        "write each pair into guest.mtrr.variable, the default type as guest.mtrr.default",
    ),
    _form(
        r"\bMTRR (?:fixed|variable) ranges (?:en|dis)abled|\bMTRR map: \d+ entries|\bMTRRs? ?(?:disabled|all blank)",
        "a kernel's log of the MTRRs",
        "write guest.mtrr: {{enabled: ..., default: ..., variable: [...]}}",
    ),
    _form(
        r"\bconfiguration \[0-7\]: *((?:(?:WB|WC|WT|WP|UC-|UC) *){8})",
        "a kernel's log",
        "mtcalc decode pat '{1}', or guest.pat: {1}",
        re.IGNORECASE,
    ),
    _form(
        r"\bPAT enabled: .*\bnew (0x[0-9a-fA-F]+)",
        "a kernel's log",
        "mtcalc decode pat {1}, or guest.pat: {1}",
    ),
    _form(r"\bPAT support disabled\b", "a kernel's log", "the line of the PAT below it is guest.pat"),
    _form(r"^[> ]*\*\*\* (?:Guest|Host) State \*\*\*", "KVM's dump of a VMCS", "PAT of the guest's state: guest.pat"),
    _form(
        r"\bPAT: \[mem 0x|\bPAT memtype list|^(?:uncached|write-[a-z]+)(?:-minus)? @ 0x",
        "pat_memtype_list",
        "write a guest's lines as pages: [{{gpa: ..., pat: ...}}], a host's as host_type of a slot's backing",
    ),
    _form(
        r"\bkvm_mmu_set_spte: .*\bspte ([0-9a-f]+) .*\blevel (\d)",
        "a trace of SPTEs",
        "mtcalc decode epte --level {2} {1}; of all mtcalc audit FILE TRACE, in this order",
    ),
    _form(
        r"\b(?:kvm_tdp_mmu_spte_changed|kvm_mmu_set_spte|fast_page_fault|ept_misconfig_inspect_spte|get_mmio_spte"
        r"|check_mmio_spte|handle_mmio_page_fault)\b",
        "a trace of SPTEs",
        _ENTRIES,
    ),
    _form(r"^[- ]*spte 0x[0-9a-f]+ level \d", "a log of SPTEs", _ENTRIES),
    _form(r"\bkvm_set_user_memory\b", "QEMU's trace of memory slots", _SLOTS),
    _form(
        r"\bKVM_SET_USER_MEMORY_REGION2?\b",
        "a trace of system calls",
        _SLOTS,
    ),
    _form(
        r"^[> ]*FlatView #\d+|^[> ]*AS \"[^\"]*\", root: |^[> ]{0,8}[0-9a-f]{16}-[0-9a-f]{16} \(prio -?\d+, ",
        "QEMU's info mtree",
        "of info mtree -f, write each line of kind ram as a memslot; its end is the last byte: size is END - START + 1",
    ),
    _form(
        r"^[> ]*(?:address-space|memory-region): ", "QEMU's info mtree without -f", "info mtree -f has what KVM gets"
    ),
    _form(r"^[0-9a-f]{16}: [0-9a-f]{16} [-XGPDACTUW]{8,}", "QEMU's info tlb", "write pages: [{{gpa: ..., pte: ...}}]"),
    _form(r"^[RE]AX=[0-9a-f]+ [RE]BX=", "QEMU's info registers", "CR0 tells guest.cr0: {{cd: ..., pg: ...}}"),
    _form(
        rf"\bmsr_(?:read|write) [0-9a-f]+ = {_HEX}|\bRDMSR\(|\brdmsr\b|\bIA32_SMRR_PHYS"
        rf"|\bMSR_?(?:IA32_)?MTRR\w+\b.*{_HEX}"
        rf"|^\s*MTRR(?:phys|fix|def|cap)\w* *(?:\(0x|[:=])|^\s*IA32_(?:MTRR\w*|PAT) *[:=]",
        "a dump of MSRs",
        _REGISTERS,
    ),
    _form(
        r"\bMTRR Default Type: 0x|\b(?:Variable|Fixed) MTRR ?\[\d+\]|\bMTRR: \d+ base 0x"
        r"|\bMTRR: Fixed MSR 0x|^Reg Valid Write-type",
        "a firmware's log of the MTRRs",
        f"{_VARIABLE}, as physbase and physmask or as base, size and type",
    ),
    _form(
        rf"^\s*(?:0x)?(?:2[0-3][0-9a-fA-F]|25[089]|26[89a-fA-F]|2[fF][fF]|277)\s*[ :=]\s*{_HEX}\s*$",
        "a dump of MSRs",
        _REGISTERS,
    ),
    _form(
        r"^\s*(?:0x)?([0-9a-fA-F]{15,16})\s*$",
        "the value of a register",
        "mtcalc decode pat 0x{1}, or decode mtrr REG=0x{1}",
    ),
    _form(r"\bqemu-system-\w+\b|\bqemu-kvm\b", "QEMU's command line", "write its memory as memslots"),
    _form(r"^(?:processor|vendor_id|cpu family)\s*: ", "/proc/cpuinfo", "flag ss is host.self_snoop"),
    _form(
        r"^\s*[0-9a-f]{8,16}-[0-9a-f]{8,16} : \S",
        "/proc/iomem",
        "write the guest's RAM and devices as memslots; its end is the last byte",
    ),
    _form(r"^[0-9a-f]{8,16}-[0-9a-f]{8,16} [-r][-w][-x][ps] ", "/proc/PID/maps", "its addresses are a slot's hva"),
)


def recognised(text: str, file: str) -> InputError | None:
    """The error for a text that is no scenario but something else that is known, at the line that shows it."""
    lines = text.splitlines()[:LINES]
    return next(_matches(_WHOLE, lines, file), None) or _first_dump(lines, file)


def _matches(forms: tuple[Form, ...], lines: list[str], file: str) -> Iterator[InputError]:
    for form in forms:
        for number, line in enumerate(lines, start=1):
            found = form.line.search(line[:LONGEST_LINE])
            if found:
                yield _error(form, found, Place(file, number, found.start() + 1, line))
                break


def _first_dump(lines: list[str], file: str) -> InputError | None:
    for number, line in enumerate(lines, start=1):
        for form in _DUMPS:
            found = form.line.search(line[:LONGEST_LINE])
            if found:
                return _error(form, found, Place(file, number, found.start() + 1, line))
    return None


def _error(form: Form, found: re.Match[str], place: Place) -> InputError:
    groups = ["", *((group or "...").strip() for group in found.groups())]
    return Foreign(f"this is {form.name}, no scenario ({form.right.format(*groups)})", place)
