# SPDX-License-Identifier: GPL-2.0-only
"""The kernel around a C file with the host-MMIO test alone: in no tree is that the file with the rules."""

from __future__ import annotations

from mtcalc.csource.cut import cut
from mtcalc.csource.mmio import INNER, RESERVED_TEST, TEST, mmio_test_of, read_mmio_test
from mtcalc.csource.predicates import FUNCTION
from mtcalc.csource.source import OLDEST_FUNCTION
from mtcalc.kvm.history import MMIO_TESTS
from mtcalc.kvm.notes import Note
from mtcalc.kvm.release import before, newest
from mtcalc.rules.kernel import Kernel, kernel_at, version_text
from mtcalc.rules.mmio import MMIO_RULES
from mtcalc.rules.releases import release_at
from mtcalc.rules.rule import RuleSet
from mtcalc.rules.truth import same_bytes
from mtcalc.text.errors import InputError, Place

TESTS = (TEST, INNER, RESERVED_TEST)
"""The functions that a host-MMIO test may be."""


def is_test_file(text: str) -> bool:
    """Whether a C text defines a host-MMIO test, and not the rules."""
    raw = text.encode("utf-8", "surrogateescape")
    if any(cut(raw, name) for name in (FUNCTION, OLDEST_FUNCTION)):
        return False
    return any(cut(raw, name) for name in TESTS)


def kernel_around_test(text: str, file: str) -> Kernel:
    """The newest release whose test a file's is, by name and by what it says; else by name alone, else the newest.

    With the release's own test, and a note on whose the rules are. Raises InputError for C that is not understood.
    """
    test = read_mmio_test(text, file)
    release = newest()
    if test is not None:
        ends = [*(before(row.since) for row in MMIO_TESTS[1:]), newest()]
        rows = list(zip(MMIO_TESTS, ends, strict=True))[::-1]
        named = [(row, end) for row, end in rows if row.source.startswith(f"{test.name}()")]
        same = [end for row, end in named if _alike(MMIO_RULES[row.what], test)]
        release = next(iter((*same, *(end for _, end in named), release)))
    return kernel_at(release, release_at(release).rules, file)._replace(notes=(_lent(file, version_text(release)),))


class TestAloneError(InputError):
    """A C file that was asked for its rules and has the host-MMIO test alone; who compares tests takes that."""

    def __init__(self, text: str, file: str, ref: str, around: Kernel | None) -> None:
        right = "the file that holds it; a host-MMIO test alone goes to mtcalc diff, or to review as --base"
        place = Place(file, 1, 1, text.partition("\n")[0])
        super().__init__(f"no {FUNCTION}() is defined here ({right})", place)
        self._asked = text, file, ref, around

    def kernel(self) -> Kernel:
        """The test with the rules of the release around it: the one that is named, else kernel_around_test().

        Raises InputError for C that is not understood, and for a test that is none in the kernel around it.
        """
        text, file, ref, around = self._asked
        kernel = kernel_around_test(text, file)
        if around is not None:
            kernel = around._replace(notes=(_lent(ref, version_text(around.release)),))
        test = mmio_test_of(text, file, kernel.release)
        if test is None:
            what = f"{version_text(kernel.release)} asks no {RESERVED_TEST}() about host MMIO"
            raise InputError(f"{what} (--kernel 4.1)", self.place)
        return kernel._replace(ref=ref, mmio_test=test.rules, mmio_said=True)


def on_rules_of(tested: Kernel, other: Kernel) -> tuple[Kernel, Kernel]:
    """(A kernel that is a host-MMIO test alone, on another's rules; that other).

    So they differ in the test alone. Where the other says none of its own, its release's stands for it, with a note.
    """
    lent = other._replace(ref=tested.ref, mmio_test=tested.mmio_test, mmio_said=True, proposal="", default=False)
    lent = lent._replace(notes=(_lent(tested.ref, other.ref),))
    if not other.mmio_said:
        stands = f"{other.ref} has no host-MMIO test: that of {version_text(other.release)} stands for it"
        other = other._replace(mmio_said=True, notes=(*other.notes, Note("around", stands)))
    return lent, other


def both_alone(before: Kernel, after: Kernel) -> tuple[Kernel, Kernel]:
    """Two kernels that are host-MMIO tests alone, on the rules of the first."""
    lent, _ = on_rules_of(after, before)
    return before, lent._replace(notes=(_lent(after.ref, version_text(before.release)),))


def _lent(file: str, whose: str) -> Note:
    return Note("around", f"{file} has no {FUNCTION}(): the rules are those of {whose}")


def _alike(one: RuleSet, other: RuleSet) -> bool:
    try:
        return same_bytes(one, other)
    except ValueError:
        return False  # more assumptions than can be gone through
