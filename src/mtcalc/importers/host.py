# SPDX-License-Identifier: GPL-2.0-only
"""This machine as a host of KVM: its kernel, its CPU, its IOMMU.

Source: /proc/sys/kernel/osrelease, /proc/cpuinfo, the parameters of kvm_intel and kvm_amd,
/sys/class/iommu/dmar*/intel-iommu/ecap (bit 7: snoop control; VT-d specification, "Extended Capability Register").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mtcalc.importers.dump import Dump, ImportRemark, Setting
from mtcalc.text.errors import InputError, Place

NAME = "host"

_VENDORS = {"GenuineIntel": "intel", "AuthenticAMD": "amd", "HygonGenuine": "amd"}
_SNOOP_CONTROL = 1 << 7


def read_host(root: str = "/") -> Dump:
    """What this machine tells; `root` is where its /proc and /sys are. Raises InputError where there is no /proc."""
    base = Path(root)
    release = base / "proc/sys/kernel/osrelease"
    cpuinfo = base / "proc/cpuinfo"
    kernel = _first_line(release)
    if kernel is None:
        raise InputError(f"{release}: can't be read (Linux, with /proc)")
    settings = [Setting("rules", kernel, Place(str(release), 1, 1))]
    remarks: list[ImportRemark] = []
    flags = _cpu(cpuinfo, settings, remarks)
    place = Place(str(cpuinfo), 1, 1)
    if "hypervisor" in flags:
        remarks.append(
            ImportRemark("this machine is a guest itself: its own /proc/mtrr and dmesg tell of it as a guest", place)
        )
    amd = any(setting.key == "vendor" and setting.value == "amd" for setting in settings)
    remarks += _npt(base) if amd else (*_kvm(base), *_iommu(base))
    if (base / "proc/mtrr").exists():
        what = "a host's MTRRs have no effect on a guest under EPT: left out"
        if amd:
            what = "the host's MTRR type of a slot's memory counts under NPT: RAM is taken as WB, host MMIO as UC"
            what += " (backing: host_mtrr says it)"
        remarks.append(ImportRemark(what, Place(str(base / "proc/mtrr"), 1, 1)))
    iomem = base / "proc/iomem"
    if not _shows_addresses(iomem):
        remarks.append(
            ImportRemark("root alone sees which addresses are RAM, and the log of the PAT", Place(str(iomem), 1, 1))
        )
    return Dump(NAME, settings[0].place, tuple(settings), remarks=tuple(remarks))


def _first_line(path: Path) -> str | None:
    try:
        text = path.read_text("utf-8", "replace").strip()
    except OSError:
        return None
    return text.splitlines()[0].strip() if text else None


def _cpu(path: Path, settings: list[Setting], remarks: list[ImportRemark]) -> frozenset[str]:
    """The first CPU's vendor, width and self-snoop; its flags."""
    try:
        lines = path.read_text("utf-8", "replace").split("\n\n")[0].splitlines()
    except OSError:
        remarks.append(ImportRemark("can't be read: the CPU is not told", Place(str(path), 1, 1)))
        return frozenset()
    flags: frozenset[str] = frozenset()
    for number, line in enumerate(lines, start=1):
        key, _, value = (part.strip() for part in line.partition(":"))
        place = Place(str(path), number, 1, line)
        if key == "vendor_id":
            if value in _VENDORS:
                settings.append(Setting("vendor", _VENDORS[value], place))
            else:
                remarks.append(ImportRemark(f"vendor {value}: neither Intel nor AMD, so taken as Intel", place))
        elif key == "address sizes":
            found = re.match(r"(\d+) bits physical", value)
            if found:
                settings.append(Setting("host_maxphyaddr", int(found[1]), place))
        elif key == "flags":
            flags = frozenset(value.split())
            settings.append(Setting("self_snoop", "ss" in flags, place))
    return flags


def _kvm(base: Path) -> Iterator[ImportRemark]:
    ept = base / "sys/module/kvm_intel/parameters/ept"
    word = _first_line(ept)
    if word is not None and word.upper() in ("N", "0"):
        yield ImportRemark("EPT is off: under shadow paging entries have no memory type", Place(str(ept), 1, 1, word))
    elif word is None and not (base / "sys/module/kvm_amd").exists():
        yield ImportRemark("kvm_intel is not loaded: whether it uses EPT is not told", Place(str(ept), 1, 1))


def _npt(base: Path) -> Iterator[ImportRemark]:
    npt = base / "sys/module/kvm_amd/parameters/npt"
    word = _first_line(npt)
    if word is not None and word.upper() in ("N", "0"):
        yield ImportRemark("NPT is off: under shadow paging entries have no memory type", Place(str(npt), 1, 1, word))
    elif word is None:
        yield ImportRemark("kvm_amd is not loaded: whether it uses NPT is not told", Place(str(npt), 1, 1))


def _iommu(base: Path) -> Iterator[ImportRemark]:
    units = sorted((base / "sys/class/iommu").glob("dmar*/intel-iommu/ecap"))
    lacking = []
    for unit in units:
        word = _first_line(unit)
        try:
            capabilities = int(word or "", 16)
        except ValueError:
            yield ImportRemark("no number in it: snoop control is not told", Place(str(unit), 1, 1, word or ""))
            continue
        if not capabilities & _SNOOP_CONTROL:
            lacking.append(unit)
    if lacking:
        what = f"{len(lacking)} of {len(units)} IOMMUs can't snoop: assigned devices behind them make DMA non-coherent"
        yield ImportRemark(f"{what} (--noncoherent-dma)", Place(str(lacking[0]), 1, 1))
    elif units:
        yield ImportRemark(
            "every IOMMU can snoop: assigned devices need no non-coherent DMA", Place(str(units[0]), 1, 1)
        )


def _shows_addresses(path: Path) -> bool:
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return False
    return bool(re.search(r"^ *0*[1-9a-f][0-9a-f]*-", text, re.MULTILINE))
