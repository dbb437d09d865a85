# SPDX-License-Identifier: GPL-2.0-only
"""The host-MMIO test, kvm_is_mmio_pfn(), as rule sets over what is known of a host page.

Source: arch/x86/kvm/mmu/spte.c, arch/x86/kvm/mmu.c, before 4.2 virt/kvm/kvm_main.c. Which release has which, and
the function's name there: MMIO_TESTS in mtcalc.kvm.history.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mtcalc.kvm.versions import MmioTest
from mtcalc.rules.condition import ALWAYS, And, Atom, Not, Or
from mtcalc.rules.inputs import E820_RAM, HOST_PAT, HOST_TYPE, RESERVED, STRUCT_PAGE, ZERO_PAGE, HostPage, Value
from mtcalc.rules.rule import Rule, RuleSet, decide, mmio
from mtcalc.x86.memtype import MemType

if TYPE_CHECKING:
    from mtcalc.kvm.host_mmio import Backing

_NONE = Not(Atom(STRUCT_PAGE))
_UNCACHED = tuple(Atom(HOST_TYPE, kind) for kind in (MemType.UC, MemType.UC_MINUS, MemType.WC))

_NO_STRUCT_PAGE = Rule("no-struct-page", _NONE, mmio(True), "a pfn without struct page is a device's")
_ZERO_PAGE = Rule("zero-page", Atom(ZERO_PAGE), mmio(False), "the zero page is reserved, and RAM")
_RESERVED = Rule("reserved", Atom(RESERVED), mmio(True), "a reserved page is a device's")
_HOST_TYPE = Rule(
    "reserved",
    And((Atom(RESERVED), Or((Not(Atom(HOST_PAT)), *_UNCACHED)))),
    mmio(True),
    "a reserved page that the host maps uncached, or may, for all it can tell, is a device's",
)
_RAM = Rule("ram", ALWAYS, mmio(False), "RAM of the host")

MMIO_RULES: dict[MmioTest, RuleSet] = {
    MmioTest.HEAD: RuleSet(
        "head",
        "up to 3.12: no struct page, or a page (its compound head) that is reserved, the zero page too",
        (
            _NO_STRUCT_PAGE,
            Rule("reserved", Or((Atom(RESERVED), Atom(ZERO_PAGE))), mmio(True), "a reserved page is a device's"),
            _RAM,
        ),
    ),
    MmioTest.PAGE: RuleSet(
        "page",
        "3.13 to 4.1: no struct page, or a reserved page, the zero page too",
        (
            _NO_STRUCT_PAGE,
            Rule("reserved", Or((Atom(RESERVED), Atom(ZERO_PAGE))), mmio(True), "a reserved page is a device's"),
            _RAM,
        ),
    ),
    MmioTest.RESERVED: RuleSet(
        "reserved",
        "4.2 to 4.15: no struct page, or a reserved page that is not the zero page",
        (_NO_STRUCT_PAGE, _ZERO_PAGE, _RESERVED, _RAM),
    ),
    MmioTest.HOST_TYPE: RuleSet(
        "host_type",
        "4.16 to 5.1: no struct page, or a reserved page that the host maps UC, UC- or WC",
        (_NO_STRUCT_PAGE, _ZERO_PAGE, _HOST_TYPE, _RAM),
    ),
    MmioTest.E820: RuleSet(
        "e820",
        "5.2 on: no struct page and no e820 RAM, or a reserved page that the host maps UC, UC- or WC",
        (
            Rule(
                "no-ram",
                And((_NONE, Not(Atom(E820_RAM)))),
                mmio(True),
                "no struct page, and the firmware's e820 has no RAM there",
            ),
            Rule("hidden-ram", _NONE, mmio(False), "no struct page, but the firmware's e820 has RAM there (mem=)"),
            _ZERO_PAGE,
            _HOST_TYPE,
            _RAM,
        ),
    ),
}
"""The test in its versions. Up to 4.1 the zero page counts as what it is, reserved, whether somebody says so or not."""


def host_page(backing: Backing, host_pat: bool = True, assume: Mapping[str, Value] | None = None) -> HostPage:
    """What the test can know of the host page behind a guest page.

    `host_pat`: the host's PAT is on; `assume`: what only a C text asks for.
    """
    kind, zero, firmware = backing.host_type, backing.zero_page, backing.e820_ram
    return HostPage(backing.struct_page, backing.reserved, zero, kind, host_pat, firmware, assume or {})


def is_host_mmio(
    test: RuleSet, backing: Backing, host_pat: bool = True, assume: Mapping[str, Value] | None = None
) -> bool:
    """Whether KVM takes a host page for MMIO. Raises UnknownInput as decide() does."""
    return bool(decide(test, host_page(backing, host_pat, assume))[1])
