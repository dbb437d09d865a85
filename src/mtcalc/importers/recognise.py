# SPDX-License-Identifier: GPL-2.0-only
"""The formats by name, and a file's lines through all of their readers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from mtcalc.importers import (
    dmesg,
    firmware,
    msrs,
    pat_memtype,
    proc_mtrr,
    qemu_command,
    qemu_monitor,
    qemu_mtree,
    qemu_trace,
    strace,
    vmcs,
)
from mtcalc.importers.dump import Dump, ImportRemark, Reader
from mtcalc.importers.lines import DumpLines, Progress, file_lines
from mtcalc.importers.prefixes import tool_lines
from mtcalc.text.errors import InputError, Place


class NothingFound(InputError):
    """Nothing of a known format is in the text, or nothing that a scenario holds."""


class Format(NamedTuple):
    """A format: its name, what it is, the command that makes it, one of its lines, and its reader."""

    name: str
    what: str
    command: str
    form: str
    reader: Callable[[], Reader]


FORMATS = (
    Format(proc_mtrr.NAME, "the variable MTRRs that are on", "cat /proc/mtrr", proc_mtrr.FORM, proc_mtrr.ProcMtrr),
    Format(dmesg.NAME, "a kernel's log: MTRRs and PAT", "dmesg", dmesg.FORM, dmesg.Dmesg),
    Format(
        msrs.NAME,
        "registers: REG VALUE, x86info, chipsec, kvm_msr events",
        "x86info --mtrr",
        msrs.FORM,
        msrs.Msrs,
    ),
    Format(
        vmcs.NAME,
        "KVM's dump of a VMCS: the guest's PAT",
        "dmesg, with kvm_intel.dump_invalid_vmcs=1",
        vmcs.FORM,
        vmcs.Vmcs,
    ),
    Format(
        qemu_mtree.NAME,
        "QEMU's memory, as KVM gets it",
        "virsh qemu-monitor-command --hmp VM 'info mtree -f'",
        qemu_mtree.FORM,
        qemu_mtree.QemuMtree,
    ),
    Format(
        qemu_trace.NAME,
        "QEMU's trace of memory slots",
        "qemu-system-x86_64 -trace kvm_set_user_memory",
        qemu_trace.FORM,
        qemu_trace.QemuTrace,
    ),
    Format(
        strace.NAME,
        "system calls that set memory slots",
        "strace -f -v -e trace=ioctl -p PID",
        strace.FORM,
        strace.Strace,
    ),
    Format(
        firmware.NAME,
        "MTRRs in a log of edk2, coreboot, U-Boot, Slim Bootloader",
        "its serial console",
        firmware.FORM,
        firmware.Firmware,
    ),
    Format(
        pat_memtype.NAME,
        "the types a guest's kernel chose",
        "cat /sys/kernel/debug/x86/pat_memtype_list",
        pat_memtype.FORM,
        pat_memtype.PatMemtype,
    ),
    Format(qemu_command.NAME, "QEMU's command line", "ps -o args= -p PID", qemu_command.FORM, qemu_command.QemuCommand),
    Format(
        qemu_monitor.TLB,
        "the guest's page tables",
        "virsh qemu-monitor-command --hmp VM 'info tlb'",
        qemu_monitor.TLB_FORM,
        qemu_monitor.InfoTlb,
    ),
    Format(
        qemu_monitor.REGISTERS,
        "the guest's CR0",
        "virsh qemu-monitor-command --hmp VM 'info registers'",
        qemu_monitor.REGISTERS_FORM,
        qemu_monitor.InfoRegisters,
    ),
)
NAMES = tuple(form.name for form in FORMATS)

_SCENARIO = re.compile(r"(?:memslots|guest|vm|host):\s*(?:[{\[#].*)?$")
"""A key of a scenario; what stands below them reads like registers."""

_PASSED_OVER = "{} on were looked through for what a dump begins with, no more (--as FORMAT reads them all)"

KEPT = 5000
"""Lines of a text of no known format that are kept, to say what it is."""


def read_file(path: str, name: str | None = None, progress: Progress | None = None) -> tuple[Dump, ...]:
    """The dumps in a file, '-' for standard input; `name` is a format, the only one then.

    Raises InputError: a broken line, and nothing of a known format, or of that one, in it.
    """
    return read_lines(file_lines(path, whole=name is not None, progress=progress), name)


def read_lines(source: DumpLines, name: str | None = None) -> tuple[Dump, ...]:
    """The dumps in a file that is open. Raises InputError as read_file() does."""
    formats = [form for form in FORMATS if name in (None, form.name)]
    readers = [form.reader() for form in formats]
    feeds = [reader.feed for reader in readers]
    kept: list[str] = []
    for line in tool_lines(source, source.file):
        used = False
        for feed in feeds:
            if feed(line):
                used = True
        if used:
            source.useful()
        if len(kept) < KEPT:
            kept.append(line.source)
    dumps = tuple(dump for reader in readers for dump in reader.finish())
    if any(map(_SCENARIO.match, kept)) and {dump.format for dump in dumps if dump.tells} <= {msrs.NAME}:
        what = "this is a scenario already (mtcalc eval, mtrr or check; import takes other tools' dumps)"
        raise NothingFound(what, Place(source.file, 1, 1))
    if not any(dump.tells for dump in dumps):
        error = _nothing(source.file, kept, formats, name, dumps)
        if source.passed_over:
            raise NothingFound(f"{error.message}; lines from {_PASSED_OVER.format(source.passed_over)}", error.place)
        raise error
    if source.passed_over:
        what = f"lines from {_PASSED_OVER.format(source.passed_over)}"
        dumps = (
            *dumps[:-1],
            dumps[-1]._replace(remarks=(*dumps[-1].remarks, ImportRemark(what, Place(source.file, 1, 1)))),
        )
    return dumps


def _nothing(
    file: str, kept: list[str], formats: list[Format], name: str | None, dumps: tuple[Dump, ...]
) -> NothingFound:
    """The error for a text that tells nothing."""
    for dump in dumps:
        for remark in dump.remarks:
            return NothingFound(f"nothing for a scenario in it ({remark.text})", remark.place)
        return NothingFound("nothing for a scenario in it (mtcalc import --list: what each format tells)", dump.place)
    if name is not None:
        return NothingFound(f"no line of {name} in it (expected: {formats[0].form})", Place(file, 1, 1))
    from mtcalc.scenario.foreign import recognised

    other = recognised("\n".join(kept), file)
    if other is not None:
        what = other.message.replace(", no scenario (", ", of which nothing is imported (")
        return NothingFound(what, other.place)
    what = "no line of a dump that is known" if kept else "an empty file"
    return NothingFound(f"{what} (mtcalc import --list has the formats)", Place(file, 1, 1))
