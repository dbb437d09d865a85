# SPDX-License-Identifier: GPL-2.0-only
"""A commit of a Linux tree -> Kernel: the function's file and its release, as they are there.

Which file holds a function, and its name, moved with the years; the newest place is looked in first.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import NamedTuple

from mtcalc.csource.cut import Cut, cut, definitions
from mtcalc.csource.kernel import kernel_of_c
from mtcalc.csource.mmio import mmio_test_of
from mtcalc.csource.predicates import FUNCTION
from mtcalc.kvm.notes import Note
from mtcalc.kvm.release import Version, newest
from mtcalc.patches.known import meaning_of
from mtcalc.refs.git import Entry, Git, GitCommit, MissingObject
from mtcalc.refs.names import parse_release, resolve_name
from mtcalc.rules.kernel import Kernel, kernel_at, version_text
from mtcalc.rules.rule import RuleSet
from mtcalc.text.errors import InputError


class Spot(NamedTuple):
    """Where a function was for some years, and its name there."""

    path: str
    function: str


RULES = FUNCTION
MMIO = "kvm_is_mmio_pfn"
"""What the host-MMIO test is called, whatever its name was."""

SPOTS: dict[str, tuple[Spot, ...]] = {
    RULES: (
        Spot("arch/x86/kvm/vmx/vmx.c", FUNCTION),  # read: 4.20 -> 5.0.1
        Spot("arch/x86/kvm/vmx.c", FUNCTION),
    ),
    MMIO: (
        Spot("arch/x86/kvm/mmu/spte.c", "kvm_is_mmio_pfn"),  # calls __kvm_is_mmio_pfn(); read: 6.16.1 -> 6.17.0
        Spot("arch/x86/kvm/mmu/spte.c", "__kvm_is_mmio_pfn"),
        Spot("arch/x86/kvm/mmu/mmu.c", "kvm_is_mmio_pfn"),
        Spot("arch/x86/kvm/mmu.c", "kvm_is_mmio_pfn"),  # read: 4.1.3 -> 4.2.8, private to it
        Spot("virt/kvm/kvm_main.c", "kvm_is_mmio_pfn"),
        Spot("virt/kvm/kvm_main.c", "kvm_is_reserved_pfn"),  # read: 3.16.0 -> 3.18.9; later it is not the test
    ),
}
"""What `log` follows. Of several that are there, the first is what decides the memory type."""

HELPERS: dict[str, tuple[str, ...]] = {
    "kvm_arch_has_noncoherent_dma": ("arch/x86/kvm/x86.c",),
    "kvm_check_has_quirk": ("arch/x86/kvm/x86.h",),
}
"""Functions of other files that the rules ask by name, and where they are. Read: trees of 3.13 to 7.3."""

HELPER_PATHS = tuple(dict.fromkeys(path for paths in HELPERS.values() for path in paths))

PATHS = tuple(dict.fromkeys(spot.path for spots in SPOTS.values() for spot in spots))

_MAKE = re.compile(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*:?=[ \t]*(\S*)[ \t]*$", re.MULTILINE)
_MAKEFILE_HEAD = 4_000


class TextPiece(NamedTuple):
    """A function as it stands in some file: what of the file its meaning hangs on, and the file's blob."""

    spot: Spot
    blob: str
    text: Cut


class Tree:
    """The kernel files of a git tree's commits. Equal files are read once, equal functions understood once."""

    def __init__(self, git: Git, release: Kernel | None = None) -> None:
        self.git = git
        self._named = release  # the kernel around, where somebody named one
        self._cuts: dict[tuple[str, str], Cut | None] = {}
        self._makefiles: dict[str, str] = {}
        self._helpers: dict[tuple[str, str], str] = {}
        self._kernels: dict[tuple[Cut, Cut | None, str, str], Kernel | InputError] = {}

    def entry(self, tree: str, path: str) -> Entry | None:
        """What stands at a path below a tree object; None for nothing. Raises MissingObject."""
        here: Entry | None = Entry(True, tree)
        for name in path.encode().split(b"/"):
            if here is None or not here.folder:
                return None
            here = self.git.tree(here.id).get(name)
        return here

    def piece(self, commit: GitCommit, what: str) -> TextPiece | None:
        """The function `what` at a commit; None where it is in none of its files. Raises MissingObject."""
        for spot in SPOTS[what]:
            entry = self.entry(commit.tree, spot.path)
            if entry is None or entry.folder:
                continue
            key = (entry.id, spot.function)
            if key not in self._cuts:
                content = self.git.read(entry.id)
                for path, function in (spot for spots in SPOTS.values() for spot in spots):
                    if path == spot.path:
                        self._cuts[entry.id, function] = cut(content, function)
            found = self._cuts[key]
            if found is not None:
                return TextPiece(spot, entry.id, found)
        return None

    def helpers(self, commit: GitCommit) -> dict[str, str | None]:
        """What HELPERS mean at a commit, as meaning_of() says it; without those that a clone lacks, or no file has."""
        found: dict[str, str | None] = {}
        for name, paths in HELPERS.items():
            with suppress(MissingObject):
                texts = [self.helper_text(commit, name, path) for path in paths]
                found.update((name, meaning_of(name, text)) for text in texts if text)
        return found

    def helper_text(self, commit: GitCommit, name: str, path: str) -> str:
        """A function's own definition in a file; '' where there is none. Raises MissingObject."""
        entry = self.entry(commit.tree, path)
        if entry is None or entry.folder:
            return ""
        key = (entry.id, name)
        if key not in self._helpers:
            content = self.git.read(entry.id)
            self._helpers[key] = kernel_text(b"\n".join(definitions(content, name.encode())))
        return self._helpers[key]

    def release(self, commit: GitCommit) -> str:
        """What the commit's Makefile says, such as '6.12.0-rc3'; '' where it says nothing. Raises MissingObject."""
        entry = self.entry(commit.tree, "Makefile")
        if entry is None or entry.folder:
            return ""
        if entry.id not in self._makefiles:
            self._makefiles[entry.id] = makefile_release(kernel_text(self.git.read(entry.id)))
        return self._makefiles[entry.id]

    def around_blob(self, blob: str) -> Kernel | None:
        """The kernel around a file, where it is the one that HEAD has; else nothing is known. Raises MissingObject."""
        try:
            head = self.git.commit("HEAD")
        except MissingObject:
            raise
        except InputError:  # no commit yet
            return None
        for path in PATHS:
            entry = self.entry(head.tree, path)
            if entry is not None and entry.id == blob:
                return _around(self.release(head))[0]
        return None

    def kernel(self, commit: GitCommit, ref: str) -> Kernel:
        """The rules at a commit with the behaviour of the release around them, named `ref`.

        Raises InputError: no such function there, one that is not understood; MissingObject.
        """
        try:
            rules, test = self.piece(commit, RULES), self.piece(commit, MMIO)
        except MissingObject as error:
            raise MissingObject(f"{ref}: {error.message}") from None
        if rules is None:
            looked = " nor ".join(spot.path for spot in SPOTS[RULES])
            what = f"{ref}: no {FUNCTION}() in it: neither in {looked}"
            raise InputError(f"{what} (a commit of Linux 2.6.31 or later; -r RELEASE for older ones)")
        release = self.release(commit)
        asked = (text for name, text in self.helpers(commit).items() if name.encode() in rules.text.functions)
        helpers = "\n".join(text for text in asked if text)
        key = (rules.text, test.text if test else None, release, helpers)
        found = self._kernels.get(key)
        if found is None:
            try:
                found = self._read(rules, test, release, ref, helpers)
            except InputError as error:
                found = error
            self._kernels[key] = found
        if isinstance(found, InputError):
            raise found
        return found._replace(ref=ref, rules=found.rules._replace(name=ref))

    def mmio_test(self, piece: TextPiece, release: Version, ref: str) -> RuleSet | None:
        """The host-MMIO test of a commit called `ref` as rules; None where it can't be read. Raises InputError."""
        found = mmio_test_of(kernel_text(self.git.read(piece.blob)), f"{ref}:{piece.spot.path}", release)
        return None if found is None else found.rules

    def around(self, commit: GitCommit) -> Kernel | None:
        """The kernel around a commit: the one named, else its Makefile's; None for none that is known."""
        return self._named or _around(self.release(commit))[0]

    def _read(self, rules: TextPiece, test: TextPiece | None, release: str, ref: str, helpers: str) -> Kernel:
        around, notes = (self._named, []) if self._named is not None else _around(release)
        text = kernel_text(self.git.read(rules.blob))
        text = f"{text}\n{helpers}\n" if helpers else text
        file = f"{ref}:{rules.spot.path}"
        try:
            kernel = kernel_of_c(text, file, ref, around)
        except InputError:
            raise
        except ValueError as error:
            if self._named is not None:
                raise
            kernel = kernel_of_c(text, file, ref)
            why = str(error).removeprefix("--kernel: ")
            notes.append(Note("around", f"{why}: behaviour of {version_text(kernel.release)} instead"))
            around = None
        if test is not None:
            try:
                found = self.mmio_test(test, kernel.release, ref)
            except InputError as error:
                what = f"{test.spot.function}() is not read, the release's stands for it: {error.message}"
                notes.append(Note("test-unread", what))
                found = None
            if found is not None:
                return kernel._replace(mmio_test=found, mmio_said=True, notes=(*kernel.notes, *notes))
        return kernel._replace(mmio_said=around is not None, notes=(*kernel.notes, *notes))


def makefile_release(text: str) -> str:
    """The release that a kernel's Makefile names: '6.12.0-rc3', '2.6.32.9'; '' where it names none."""
    said = {match[1]: match[2] for match in reversed(list(_MAKE.finditer(text[:_MAKEFILE_HEAD])))}
    if not said.get("VERSION") or not said.get("PATCHLEVEL"):
        return ""
    number = ".".join((said["VERSION"], said["PATCHLEVEL"], said.get("SUBLEVEL") or "0"))
    for word in (f"{number}{said.get('EXTRAVERSION', '')}", number):
        if parse_release(word) is not None:
            return word
    return ""


def _around(release: str) -> tuple[Kernel | None, list[Note]]:
    """The kernel whose behaviour is around rules in a tree of a release, and what is to be said of that."""
    parsed = parse_release(release)
    if parsed is None:
        none = "no release in its Makefile: the behaviour around is what the rules and names tell"
        return None, [Note("around", none)]
    last = newest()
    if parsed[0][:2] > last[:2]:
        shown = version_text(last)
        note = Note("around", f"its Makefile names {release}, newer than any known: behaviour of {shown}")
        return kernel_at(last, resolve_name("latest").rules, release), [note]
    for word in (release, ".".join(release.split(".")[:2])):
        try:
            return resolve_name(word), []
        except ValueError:
            continue
    return None, [Note("around", f"its Makefile names {release}, of which nothing is known")]


def kernel_text(content: bytes) -> str:
    """A file of the kernel as text; old ones have names in Latin-1 in their comments."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")
