# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc import: other tools' dumps, this host, a running QEMU, to a scenario."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mtcalc.cli.params import MTRR_TYPE, REF, InputFile, Word, one_of
from mtcalc.text.errors import InputError
from mtcalc.x86.memtype import MemType

if TYPE_CHECKING:
    from mtcalc.importers.convert import Imported
    from mtcalc.importers.dump import Dump
    from mtcalc.importers.lines import Progress

DUMP_FILE = InputFile("")
WHOSE = ("guest", "host")
VENDORS = ("intel", "amd")


def _names() -> tuple[str, ...]:
    from mtcalc.importers.recognise import NAMES

    return NAMES


def _format(text: str) -> str:
    return one_of(_names())(text)


def _width(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 32 <= int(text) <= 52):
        raise ValueError(f"'{text}' is no maxphyaddr (32 to 52 bits)")
    return int(text)


def _register(text: str) -> tuple[int, int]:
    from mtcalc.text.numbers import parse_register_value
    from mtcalc.x86.mtrr import MSR_CAP, check_register, parse_register
    from mtcalc.x86.pat import decode_pat

    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"'{text}' is no register (REG=VALUE, such as 0x2ff=0xc06)")
    number = parse_register_value(value)
    if name.strip().lower() in ("0x277", "277", "pat", "ia32_pat"):
        decode_pat(number)
        return 0x277, number
    msr = parse_register(name)
    if msr == MSR_CAP:
        raise ValueError("IA32_MTRRCAP can't be given (the pairs that there are)")
    check_register(msr, number, 52)
    return msr, number


def _hpa(text: str) -> tuple[str, int]:
    from mtcalc.text.numbers import parse_address
    from mtcalc.x86.mtrr import PAGE

    name, equals, value = text.rpartition("=")
    if not equals or not name.strip():
        raise ValueError(f"'{text}' is no slot with an address (SLOT=ADDRESS, such as bar2=0xe0000000)")
    address = parse_address(value)
    if address % PAGE or address >> 52:
        raise ValueError(f"{value} is no address of a page (its last three digits are 0, at most 52 bits)")
    return name.strip(), address


FORMAT: Word[str] = Word("format", _format, _names)
WIDTH: Word[int] = Word("bits", _width, lambda: ("36", "39", "40", "46", "48", "52"))
REGISTER: Word[tuple[int, int]] = Word("reg=value", _register, list)
HPA: Word[tuple[str, int]] = Word("slot=address", _hpa, list)
OUTPUT: Word[str] = Word("format", one_of(("yaml", "json")), lambda: ("yaml", "json"))
WHOSE_WORD: Word[str] = Word("whose", one_of(WHOSE), lambda: WHOSE)
VENDOR: Word[str] = Word("vendor", lambda text: one_of(VENDORS)(text.lower()), lambda: VENDORS)


@click.command("import")
@click.argument("files", nargs=-1, type=DUMP_FILE, metavar="[FILE]...")
@click.option("--as", "name", type=FORMAT, metavar="FORMAT", help="Every FILE is of this format (--list).")
@click.option("--list", "listing", is_flag=True, help="The formats, and the commands that make them.")
@click.option("--host", "this_host", is_flag=True, help="This machine, as the host.")
@click.option("--qmp", "socket", metavar="SOCKET", help="A running QEMU, through its monitor (mtcalc[qmp]).")
@click.option("-o", "--output", "form", type=OUTPUT, default="yaml", metavar="FORMAT", help="yaml or json.  [yaml]")
@click.option("-r", "--rules", type=REF, metavar="REF", help="Rule set or kernel release of the host.")
@click.option("--default-type", "default", type=MTRR_TYPE, help="The default type of the guest's MTRRs.")
@click.option("--msr", "registers", type=REGISTER, multiple=True, help="A register of the guest, such as 0x277.")
@click.option("--maxphyaddr", type=WIDTH, help="The guest's, in bits.")
@click.option("--host-maxphyaddr", type=WIDTH, help="The host's, in bits.")
@click.option("--noncoherent-dma/--no-noncoherent-dma", default=None, help="The VM has non-coherent DMA.")
@click.option("--self-snoop/--no-self-snoop", default=None, help="The host CPU has self-snoop.")
@click.option("--cpuid-mtrr/--no-cpuid-mtrr", default=None, help="The guest's CPUID has MTRRs.")
@click.option("--vendor", type=VENDOR, help="The host CPU's: intel or amd.")
@click.option("--whose", type=WHOSE_WORD, help="Whose logs and registers these are.  [guest]")
@click.option("--hpa", "hpa", type=HPA, multiple=True, help="Where a slot begins in the host's memory.")
@click.option("--incomplete", is_flag=True, help="What a cut log lacks is off, or gone.")
def import_(
    files: tuple[str, ...],
    name: str | None,
    listing: bool,
    this_host: bool,
    socket: str | None,
    form: str,
    rules: str | None,
    default: MemType | None,
    registers: tuple[tuple[int, int], ...],
    maxphyaddr: int | None,
    host_maxphyaddr: int | None,
    noncoherent_dma: bool | None,
    self_snoop: bool | None,
    cpuid_mtrr: bool | None,
    vendor: str | None,
    whose: str | None,
    hpa: tuple[tuple[str, int], ...],
    incomplete: bool,
) -> None:
    """Other tools' dumps of one machine to a scenario in YAML; - is standard input.

    What the dumps do not tell is said on standard error and can be given here.

    \b
    mtcalc import --default-type WB proc-mtrr.txt
    mtcalc import mtree.txt proc-mtrr.txt --default-type UC -r 6.8 > vm.yaml
    """
    if listing:
        click.echo("\n".join(_list()))
        return
    if name is not None and not files:
        raise click.UsageError("--as without FILE (of which file is this the format?)")
    if not files and not this_host and socket is None:
        raise click.UsageError("nothing to import (FILE..., --host or --qmp SOCKET; --list has the formats)")
    if files.count("-") > 1:
        raise click.UsageError("- twice (standard input can be read once)")
    given_twice = [msr for msr, _ in registers]
    for msr in given_twice:
        if given_twice.count(msr) > 1:
            raise click.UsageError(f"--msr {msr:#x} is given twice (one value)")
    slots_given = [slot for slot, _ in hpa]
    for slot in slots_given:
        if slots_given.count(slot) > 1:
            raise click.UsageError(f"--hpa {slot} is given twice (one address)")
    if default is not None and 0x2FF in given_twice:
        raise click.UsageError("--default-type and --msr 0x2ff (which holds the default type)")

    from mtcalc.importers.convert import convert, scenario_json
    from mtcalc.importers.told import Given

    if rules is not None:
        from mtcalc.cli.options import named_kernel

        named_kernel(rules, "--rules: ")
    given = Given(
        rules=rules,
        default=default,
        maxphyaddr=maxphyaddr,
        host_maxphyaddr=host_maxphyaddr,
        noncoherent_dma=noncoherent_dma,
        self_snoop=self_snoop,
        vendor=vendor,
        cpuid_mtrr=cpuid_mtrr,
        registers=dict(registers),
        hpa=hpa,
        host=None if whose is None else whose == "host",
        incomplete=incomplete,
    )
    imported = convert(_dumps(files, name, this_host, socket), given)
    _check_pairs(imported)
    sys.stderr.write("".join(f"{line}\n" for remark in imported.remarks for line in _wrapped(remark)))
    click.echo(imported.text if form == "yaml" else scenario_json(imported.text), nl=False)


def _check_pairs(imported: Imported) -> None:
    """Raises InputError where slots stand beside more pairs than KVM gives, and the kernel asks for the guest's type.

    Its answers would be errors: of two machines one has the registers, and the other the slots.
    """
    from mtcalc.kvm.guest_mtrr import KVM_PAIRS

    machine, count = imported.machine, imported.scenario.vcnt
    if count <= KVM_PAIRS or not machine.slots or machine.rules is None or machine.mtrrs is None:
        return
    from mtcalc.cli.options import named_kernel
    from mtcalc.importers.told import at_place
    from mtcalc.rules.kernel import asks_guest_mtrr

    if asks_guest_mtrr(named_kernel(str(machine.rules.value), "--rules: ")):
        what = f"{count} variable pairs, and KVM gives a guest {KVM_PAIRS}: these are a host's, and the slots at"
        slot = at_place(machine.slots[0][0].place)
        raise InputError(f"{what} {slot} are a guest's (--whose host leaves the registers out)", machine.mtrrs.place)


def _dumps(files: tuple[str, ...], name: str | None, this_host: bool, socket: str | None) -> list[Dump]:
    from mtcalc.importers.recognise import read_file

    dumps: list[Dump] = []
    for file in files:
        shown = _Shown(file)
        try:
            dumps += read_file(file, name, shown.progress if sys.stderr.isatty() else None)
        finally:
            shown.end()
    if this_host:
        from mtcalc.importers.host import read_host

        dumps.append(read_host())
    if socket is not None:
        from mtcalc.importers.qmp import read_qmp

        dumps += read_qmp(socket)
    return dumps


class _Shown:
    """How far a long file is read, on a terminal."""

    STEP = 16 << 20  # bytes

    def __init__(self, file: str) -> None:
        self.file = file
        self._next = self.STEP
        self._width = 0

    @property
    def progress(self) -> Progress:
        return self._told

    def _told(self, done: int, size: int) -> None:
        if done < self._next:
            return
        self._next = done + self.STEP
        part = f" of {size >> 20}" if size else ""
        from mtcalc.text.errors import printable

        text = f"{printable(self.file)}: {done >> 20}{part} MiB"
        sys.stderr.write(f"\r{text.ljust(self._width)}")
        sys.stderr.flush()
        self._width = len(text)

    def end(self) -> None:
        """The line is cleared."""
        if self._width:
            sys.stderr.write(f"\r{' ' * self._width}\r")


def _wrapped(remark: str) -> list[str]:
    from textwrap import wrap

    return wrap(f"note: {remark}", 80, subsequent_indent="      ", break_long_words=False, break_on_hyphens=False)


def _list() -> Iterator[str]:
    from mtcalc.importers.recognise import FORMATS
    from mtcalc.output.document import Content, Document, Fields
    from mtcalc.output.plain import render, terminal_width

    rows: list[tuple[str, Content]] = []
    for form in FORMATS:
        rows += [(form.name, form.what), ("", f"from: {form.command}")]
    return render(Document([Fields(rows)]), terminal_width())
