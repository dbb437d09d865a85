# SPDX-License-Identifier: GPL-2.0-only
"""REFs that are files: rule files, C sources, patches on top of a base."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias

from mtcalc.rules.kernel import Kernel
from mtcalc.rules.names import C_SUFFIXES, RULE_FILE_SUFFIXES, is_file_ref, is_patch_ref
from mtcalc.rules.patch_apply import CFile, PatchedRules, rules_from_patch
from mtcalc.text.errors import InputError
from mtcalc.text.source import read_source

Resolve: TypeAlias = Callable[[str, str | None, str], Kernel]
"""resolve(), which finds bases: (REF, its base, the directory that file names are relative to)."""


def kernel_of_file(
    ref: str, resolve: Resolve, base: str | None = None, directory: str = "", release: str | None = None
) -> Kernel:
    """The kernel of a rule file, a C source, or a patch on top of the REF `base`.

    A relative name is relative to `directory`, the base's too; `release` is the kernel around a C file. Raises
    InputError; ValueError for a base REF that is not known.
    """
    if is_patch_ref(ref):
        found = patched(ref, resolve, base, directory, release)
        notes = (*found.after.notes, found.choice_note) if found.choice_note else found.after.notes
        return found.after._replace(notes=notes)
    path = os.path.join(directory, ref)
    if path.lower().endswith(RULE_FILE_SUFFIXES):
        from mtcalc.rules.rulefile import load_rule_file

        return load_rule_file(read_source(path), path, _Resolver(path, resolve))
    if path.lower().endswith(C_SUFFIXES):
        source = _c_file(path)
        from mtcalc.rules.c_kernel import kernel_of_c

        return kernel_of_c(source.text, source.file, ref, release)
    raise InputError(f"{ref}: unknown kind of rule set (.yaml, .c, .patch, .diff, .mbox, .eml, .txt, or - for a patch)")


def patched(
    ref: str, resolve: Resolve, base: str | None = None, directory: str = "", release: str | None = None
) -> PatchedRules:
    """The kernels before and after a patch, '-' being standard input. Raises as kernel_of_file() does."""
    from mtcalc.rules.patch import read_patches

    path = ref if ref == "-" else os.path.join(directory, ref)
    mails = read_patches(read_source(path), path)
    below: Kernel | CFile | None = None
    if base is not None:
        if is_file_ref(base) and base.lower().endswith(C_SUFFIXES):
            below = _c_file(os.path.join(directory, base))._replace(release=release)
        else:
            below = resolve(base, None, directory)
    return rules_from_patch(mails, path, below)


def unchecked_rule_file(path: str, resolve: Resolve) -> Kernel:
    """A rule file as it stands, though its list may leave inputs uncaught: for who checks it."""
    from mtcalc.rules.rulefile import load_rule_file

    return load_rule_file(read_source(path), path, _Resolver(path, resolve), strict=False)


def _c_file(path: str) -> CFile:
    return CFile(read_source(path), path)


class _Resolver:
    """Finds the base of a rule file, and refuses one that is its own base by way of others."""

    def __init__(self, path: str, resolve: Resolve, seen: frozenset[str] = frozenset()) -> None:
        self._resolve = resolve
        self._directory = os.path.dirname(path)
        self._seen = seen | {os.path.realpath(path)}

    def __call__(self, ref: str) -> Kernel:
        if not is_file_ref(ref) or not ref.lower().endswith(RULE_FILE_SUFFIXES):
            return self._resolve(ref, None, self._directory)
        path = os.path.join(self._directory, ref)
        if os.path.realpath(path) in self._seen:
            raise ValueError(f"{ref} is its own base (a rule set that stands by itself at the end)")
        from mtcalc.rules.rulefile import load_rule_file

        return load_rule_file(read_source(path), path, _Resolver(path, self._resolve, self._seen))
