# SPDX-License-Identifier: GPL-2.0-only
"""The kernel around rules that come from C: a release that is named, else a built-in set's, else the era's."""

from __future__ import annotations

from mtcalc.csource.mmio import ReadTest, mmio_test_of
from mtcalc.csource.source import ReadC, read_c
from mtcalc.kvm.notes import Note
from mtcalc.rules.builtin import built_in, built_in_names
from mtcalc.rules.inputs import CR0_CD, GUEST_MTRR, QUIRK_CD_NW_CLEARED
from mtcalc.rules.kernel import (
    Kernel,
    Version,
    asks_guest_mtrr,
    kernel_at,
    kernel_for_rules,
    sort_key,
    version_text,
    with_read,
)
from mtcalc.rules.rule import inputs_read
from mtcalc.rules.truth import same_bytes
from mtcalc.text.errors import InputError

ERAS: tuple[tuple[Version, Version, tuple[str, ...]], ...] = (
    # The releases with these functions, the first and the last; the first row that has one of them tells.
    # read: 4.1.3 -> 4.2.8, arch/x86/kvm/mmu.c's kvm_get_guest_memory_type() and vmx.c's get_mtrr_type() are gone
    ((2, 6, 29), (4, 1), ("kvm_get_guest_memory_type", "get_mtrr_type")),
    # read: 4.1.3 -> 4.2.8, there; 6.10.0 -> 6.11.11, arch/x86/kvm/mtrr.c no longer answers for the MMU
    ((4, 2), (6, 10), ("kvm_mtrr_get_guest_memory_type", "mtrr_get_guest_memory_type")),
)


def kernel_of_c(text: str, file: str, ref: str, around: Kernel | None = None) -> Kernel:
    """The rules in a C text with the behaviour of the kernel `around` them.

    Where none is named: that of the built-in set that the rules equal and whose era has the names in the text, of
    several the newest; else the last of the era that the names tell; else 6.10's if the rules ask for the guest's
    MTRR type, else the newest. Raises InputError for C that is not understood, ValueError where `around` never asks
    for the guest's MTRR type, and the rules do.

    The host-MMIO test is the text's own where it defines one that is understood; else a note says that it is not.
    """
    found = read_c(text, file)
    if around is None:
        around = _around(found, ref)
    elif GUEST_MTRR in inputs_read(found.rules) and not asks_guest_mtrr(around):
        shown = version_text(around.release)
        raise ValueError(f"--kernel: the rules ask for the guest's MTRR type, which {shown} never does (6.10 or older)")
    kernel = around._replace(ref=ref, rules=found.rules, proposal="", notes=(), default=False)
    try:
        test = mmio_test_of(text, file, kernel.release)
    except InputError as error:
        at = file if error.place is None else f"{file}:{error.place.line}:{error.place.column}"
        stands = f"that of {version_text(kernel.release)} stands for it"
        unread = f"the file's host-MMIO test is not read, {stands}: {at}: {error.message}"
        return with_read(with_test(kernel._replace(notes=(Note("test-unread", unread),)), None))
    return with_read(with_test(kernel, test))


def with_test(kernel: Kernel, test: ReadTest | None) -> Kernel:
    """The kernel with the host-MMIO test that its text defines; one that defines none keeps the one around it."""
    if test is None:
        return kernel._replace(mmio_said=False)
    return kernel._replace(mmio_test=test.rules, mmio_said=True)


def _around(found: ReadC, ref: str) -> Kernel:
    first, last = next(((since, until) for since, until, names in ERAS if found.called.intersection(names)), ((), ()))
    alike = []
    for name in built_in_names():
        kernel = built_in(name)
        if kernel is None or not same_bytes(kernel.rules, found.rules):
            continue
        if not last or sort_key(first) <= sort_key(kernel.release) <= sort_key(last):
            alike.append(kernel)
    if alike:
        return max(alike, key=lambda kernel: sort_key(kernel.release))
    if last:
        return kernel_at(last, found.rules, ref)
    read = inputs_read(found.rules)
    if CR0_CD in read or QUIRK_CD_NW_CLEARED in read:
        return kernel_at((6, 10), found.rules, ref)  # e1548088ff54, 6.11: the guest's CR0.CD is no longer looked at
    return kernel_for_rules(found.rules, ref)
