# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's command line, from ps, libvirt's log or a script: the quirk, the CPU, and what to ask about.

Source: QEMU's qemu-options.hx and target/i386/cpu.c. honor-guest-pat since QEMU 11.0. The memory's layout is not in
it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mtcalc.importers.dump import Dump, ImportRemark, Line, Setting
from mtcalc.text.errors import InputError, Place

NAME = "qemu-command"
FORM = "qemu-system-x86_64 -accel kvm,honor-guest-pat=on -m 4G"

_PROGRAMS = (
    re.compile(r"(?:^|[\s/'\"])(?:qemu-system-(?:x86_64|i386)|qemu-kvm)['\"]? +(?=-|\\$|\S+=)"),
    # Debian's name; the value of an option, as of -accel, may be the same word.
    re.compile(r"(?:^|[\s/'\"])kvm['\"]? +(?=-|\\$|\S+=)"),
)
_WANTS_VALUE = re.compile(r"(?:^|.*\s)--?[A-Za-z][\w-]+ *['\"]?")
_YES, _NO = frozenset(("on", "yes", "true")), frozenset(("off", "no", "false"))
_OPTION = re.compile(r"--?[A-Za-z][\w-]+(?:\s|$)")
_LAST_OPTION = re.compile(r"--?[A-Za-z][\w-]*")
_MATTERS = re.compile(r"--?(?:accel|cpu|device|machine|enable-kvm)")
_REST = re.compile(r"\s--?[A-Za-z][\w-]*\s|^[\w.:/]*[,=][\w,=.:/+-]*$|^[\w.:/+-]{0,11}[\w./+-]$")
_NARROWEST = 50
"""Characters of a line that a mail or a terminal breaks, at least."""
MOST_LINES = 2000


class QemuCommand:
    """The reader."""

    def __init__(self) -> None:
        self._commands: list[tuple[Line, list[str]]] = []
        self._open = False
        self._width = 0  # of the line before
        self._wrapped = False  # the next line may be the rest of one that a mail has broken

    def feed(self, line: Line) -> bool:
        if self._open:
            self._add(line.text)
            return True
        arguments = _arguments(line.text)
        wrapped, self._wrapped = self._wrapped, False
        if wrapped and self._goes_on(line.text, arguments is not None):
            return True
        width, self._width = self._width, len(line.source)
        cut = line.text.endswith("\\") or (width >= _NARROWEST and _REST.search(line.text))
        if wrapped and arguments is None and cut:
            raise line.error("the rest of QEMU's command, which begins inside of a word (the command in one line)")
        if arguments is None or not (" -" in f" {arguments}" or arguments.strip() == "\\"):
            return False
        self._commands.append((line, []))
        self._add(arguments)
        return True

    def _goes_on(self, text: str, a_command: bool) -> bool:
        """Takes the rest of a command that is folded at a blank, or inside of an option's name."""
        before = self._commands[-1][1]
        last = before[-1].rpartition(" ")[2]
        if last.endswith((",", "=")) or (last.startswith("-") and _MATTERS.fullmatch(last + text.split()[0])):
            self._add(before.pop() + text)
        elif _LAST_OPTION.fullmatch(last) or (not a_command and _OPTION.match(text)):
            self._add(text)
        else:
            return False
        return True

    def _add(self, text: str) -> None:
        line, parts = self._commands[-1]
        self._open = text.endswith("\\")
        self._wrapped = not self._open
        parts.append(text.removesuffix("\\").strip())
        if len(parts) > MOST_LINES:
            raise line.error(f"a command of more than {MOST_LINES} lines (cut it out)")

    def finish(self) -> Iterator[Dump]:
        for line, parts in self._commands:
            yield _dump(line, _words(" ".join(parts)))


def _arguments(text: str) -> str | None:
    """What stands behind the program's name, the first in the line; None where there is none."""
    for program in _PROGRAMS:
        for found in program.finditer(text):
            if not _WANTS_VALUE.fullmatch(text[: found.start() + 1]):
                return text[found.end() :]
    return None


def _words(text: str) -> list[str]:
    import shlex

    try:
        return shlex.split(text)
    except ValueError:  # a quote of ps that has no end
        return text.split()


def _dump(line: Line, words: list[str]) -> Dump:
    place = line.place()
    settings: list[Setting] = [Setting("whose_vm", "guest", place)]
    remarks: list[ImportRemark] = []
    options = list(zip(words, [*words, ""][1:], strict=True))
    kvm = any(word == "-enable-kvm" for word in words)
    cpu = ""
    for option, value in options:
        name = option.replace("--", "-", 1) if option.startswith("--") else option
        if name in ("-accel", "-machine", "-M"):
            kvm = _accel(name, value, kvm, settings, remarks, place)
        elif name == "-cpu":
            cpu = value  # the last one counts
        elif name == "-device":
            _device(value, remarks, place)
    _cpu(cpu, settings, remarks, place)
    if not kvm:
        remarks.append(ImportRemark("no -accel kvm in it: under TCG KVM decides nothing", place))
    return Dump(NAME, place, tuple(settings), remarks=tuple(remarks))


def _keys(value: str) -> dict[str, str]:
    found = {}
    for part in value.split(","):
        key, equals, rest = part.partition("=")
        found[key] = rest if equals else "on"
    return found


def _object(value: str) -> dict[str, str]:
    """The JSON form of -device, libvirt's, as the keys of the other."""
    import json

    try:
        record = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(record, dict):
        return {}
    return {key: ("on" if word else "off") if isinstance(word, bool) else str(word) for key, word in record.items()}


def _switch(text: str) -> bool | None:
    return True if text in _YES else False if text in _NO else None


def _accel(
    name: str, value: str, kvm: bool, settings: list[Setting], remarks: list[ImportRemark], place: Place
) -> bool:
    keys = _keys(value)
    kvm = kvm or (name == "-accel" and "kvm" in keys) or "kvm" in keys.get("accel", "").split(":")
    if "honor-guest-pat" in keys:
        word = keys["honor-guest-pat"]
        on = _switch(word)
        if on is None:
            remarks.append(ImportRemark(f"honor-guest-pat={word}: QEMU decides, and no dump tells how", place))
        else:
            settings.append(Setting("honor_guest_pat", on, place))
    return kvm


def _cpu(value: str, settings: list[Setting], remarks: list[ImportRemark], place: Place) -> None:
    keys = _keys(value)
    mtrr = _switch(keys["mtrr"]) if "mtrr" in keys else True if "+mtrr" in keys else False if "-mtrr" in keys else None
    if mtrr is not None:
        settings.append(Setting("cpuid_mtrr", mtrr, place))
    width = keys.get("phys-bits", "")
    if width and not re.fullmatch(r"0[xX][0-9a-fA-F]{1,2}|[0-9]{1,3}", width):
        raise InputError(f"phys-bits={width} is no number of bits (phys-bits=40)", place)
    bits = int(width or "0", 16 if width[1:2] in ("x", "X") else 10)
    if bits:
        settings.append(Setting("maxphyaddr", bits, place))
    elif _switch(keys.get("host-phys-bits", "")):
        remarks.append(
            ImportRemark("host-phys-bits=on: the guest's maxphyaddr is the host's, which is not told", place)
        )


def _device(value: str, remarks: list[ImportRemark], place: Place) -> None:
    keys = _object(value) if value.startswith("{") else _keys(value)
    driver = keys.get("driver") or value.partition(",")[0]
    if driver.startswith("vfio-pci"):
        host = keys.get("host", keys.get("sysfsdev", "a device"))
        remarks.append(
            ImportRemark(f"{driver} {host}: DMA is non-coherent where the IOMMU can't snoop (--noncoherent-dma)", place)
        )
    elif driver.startswith("virtio-") and ("hostmem" in keys or _switch(keys.get("blob", ""))):
        what = f"hostmem={keys['hostmem']}" if "hostmem" in keys else "blob=on"
        remarks.append(
            ImportRemark(
                f"{driver} {what}: its blobs are slots that come and go (info mtree -f while they are there)", place
            )
        )
    elif driver.startswith("ivshmem"):
        remarks.append(ImportRemark(f"{driver}: its BAR 2 is RAM of the host, a slot of its own", place))
