# SPDX-License-Identifier: GPL-2.0-only
"""REFs that are files: rule files, C sources, patches on top of a base."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias

from mtcalc.kvm.notes import Note
from mtcalc.patches.apply import rules_from_patch
from mtcalc.patches.result import CFile, PatchedRules
from mtcalc.refs.kinds import FileKind, kind_by_content, kind_by_suffix
from mtcalc.refs.named_file import UnreadFile, check_named_file, unquoted
from mtcalc.refs.names import named_release, resolve_name
from mtcalc.rules.kernel import Kernel
from mtcalc.text.errors import InputError
from mtcalc.text.filenames import RULE_FILE_SUFFIXES, is_file_ref, is_git_ref
from mtcalc.text.source import decode_source, read_bytes, read_source

Resolve: TypeAlias = Callable[[str, str | None, str], Kernel]
"""resolve(), which finds bases: (REF, its base, the directory that file names are relative to)."""


def kernel_of_file(
    ref: str,
    resolve: Resolve,
    base: str | None = None,
    directory: str = "",
    release: str | None = None,
    git: str | None = None,
) -> Kernel:
    """The kernel of a rule file, a C source, or a patch on top of the REF `base`.

    A relative name is relative to `directory`, the base's too; `release` is the kernel around a C file, `git` a
    folder of the git tree that a patch may be made on. Raises InputError; ValueError for a base REF that is not known.
    """
    path = _path(ref, directory)
    if path.lower().endswith(RULE_FILE_SUFFIXES) and not os.path.exists(path):
        split = _on_top(ref, directory)
        if split is not None:
            below, path = split
            check_named_file(path, "")  # a scenario's name for it was checked as a whole, '6.6+' included
            return rules_on_top(below, path, ref, resolve)
    kind, content = _told(ref, path)
    return _kernel_of(kind, content, ref, resolve, base, directory, release, git)


def _kernel_of(
    kind: FileKind,
    content: bytes,
    ref: str,
    resolve: Resolve,
    base: str | None,
    directory: str,
    release: str | None,
    git: str | None,
) -> Kernel:
    """The kernel of a file REF whose kind and content are known."""
    path = _path(ref, directory)
    if kind is FileKind.PATCH:
        found = _patch_or_nothing(ref, resolve, base, directory, release, git, content)
        notes = (*found.after.notes, Note("base", found.choice_note)) if found.choice_note else found.after.notes
        return found.after._replace(notes=notes)
    if base is not None and kind_by_suffix(ref) is None:
        raise InputError(f"{ref} is {kind.value}, and --base goes with a patch (it says what that goes on top of)")
    if kind is FileKind.RULES:
        from mtcalc.rulefile.load import load_rule_file

        return load_rule_file(decode_source(content, path), path, _Resolver(path, resolve))
    from mtcalc.csource.kernel import kernel_of_c
    from mtcalc.csource.mmio_kernel import TestAloneError, is_test_file

    text, around = decode_source(content, path), named_release(release)
    if is_test_file(text):
        raise TestAloneError(text, path, ref, around)
    return kernel_of_c(text, path, ref, around)


def _patch_or_nothing(
    ref: str,
    resolve: Resolve,
    base: str | None,
    directory: str,
    release: str | None,
    git: str | None,
    content: bytes,
) -> PatchedRules:
    """As patched(); where standard input is no patch after all, what it could have been is said."""
    from mtcalc.patches.read import NoPatchError

    try:
        return patched(ref, resolve, base, directory, release, git, content)
    except NoPatchError as error:
        if ref != "-" or kind_by_content(content) is not None:
            raise
        what = f"{'nothing in it' if not content.strip() else 'no patch found, nor rules or C'}"
        raise InputError(f"{what} (a patch, a rule file, or C with vmx_get_mt_mask())", error.place) from None


def _path(ref: str, directory: str) -> str:
    return ref if ref == "-" else os.path.join(directory, ref)


def _told(ref: str, path: str) -> tuple[FileKind, bytes]:
    """The kind of a file REF, by its suffix or else by its content, and that content: a pipe is read but once.

    What standard input does not tell is a patch. Raises InputError.
    """
    kind = kind_by_suffix(ref)
    if kind is None and ref != "-" and (not os.path.exists(path) or os.path.isdir(path)):
        raise InputError(
            f"{ref}: unknown kind of rule set (.yaml, .c, .patch, .diff, .mbox, .eml, .txt, or - for a patch)"
        )
    content = read_bytes(path)
    kind = kind or kind_by_content(content) or (FileKind.PATCH if ref == "-" else None)
    if kind is None:
        raise InputError(f"{ref}: no rule set by its suffix nor by what is in it (rules, C, or a patch)")
    return kind, content


def rules_on_top(below: Kernel, path: str, ref: str, resolve: Resolve) -> Kernel:
    """A kernel with the changes of a rule file on top of its rules. Raises InputError."""
    from mtcalc.rulefile.load import load_rule_file

    kernel = load_rule_file(read_source(path), path, _Resolver(path, resolve), below=below)
    name = f"{below.rules.name}+{kernel.rules.name}"
    return kernel._replace(ref=ref, rules=kernel.rules._replace(name=name))


def _on_top(ref: str, directory: str) -> tuple[Kernel, str] | None:
    """`6.6+file.yaml`: the kernel below and the file's path; None where no '+' stands behind a kernel's name.

    Where several do, the one whose file exists, else the last.
    """
    found = None
    for at, character in enumerate(ref):
        if character != "+" or is_file_ref(ref[:at]):
            continue
        path = os.path.join(directory, ref[at + 1 :])
        try:
            found = resolve_name(ref[:at]), path
        except ValueError:
            continue
        if os.path.exists(path):
            break
    return found


def patched(
    ref: str,
    resolve: Resolve,
    base: str | None = None,
    directory: str = "",
    release: str | None = None,
    git: str | None = None,
    content: bytes | None = None,
) -> PatchedRules:
    """The kernels before and after a patch, '-' being standard input. Raises as kernel_of_file() does.

    `content` is the patch's, where it was read already.
    Without a base: the file that its index line names, where the git tree has it; else what it fits.
    """
    from mtcalc.patches.decode import patch_text
    from mtcalc.patches.read import read_patches

    path = _path(ref, directory)
    mails = read_patches(patch_text(read_bytes(path) if content is None else content, path), path)
    from mtcalc.refs.git_base import on_index_line, on_revision

    below: Kernel | CFile | None = None
    if base is None:
        found = on_index_line(mails, path, release, git)
        if found is not None:
            return found
    elif is_git_ref(base) and "+" not in base:
        return on_revision(mails, path, base, release, git)
    else:
        below = base_of_patches(base, resolve, directory, release, git)
    return rules_from_patch(mails, path, below)


def base_of_patches(
    base: str, resolve: Resolve, directory: str = "", release: str | None = None, git: str | None = None
) -> Kernel | CFile:
    """What patches go on top of: the REF `base`, a C file as its text. Raises as kernel_of_file() does."""
    if not is_file_ref(base) or kind_by_suffix(base) not in (FileKind.C, None):
        return resolve(base, None, directory)
    path = _path(base, directory)
    kind, content = _told(base, path)
    if kind is FileKind.C:
        return CFile(decode_source(content, path), path, named_release(release))
    return _kernel_of(kind, content, base, resolve, None, directory, release, git)


def kernel_to_check(
    ref: str, resolve: Resolve, base: str | None = None, release: str | None = None, git: str | None = None
) -> Kernel:
    """As kernel_of_file(), but of a rule file as it stands, though its list may leave inputs uncaught."""
    if ref != "-" and not os.path.exists(ref):
        return kernel_of_file(ref, resolve, base, "", release, git)
    kind, content = _told(ref, ref)
    if kind is not FileKind.RULES or base is not None:
        return _kernel_of(kind, content, ref, resolve, base, "", release, git)
    from mtcalc.rulefile.load import load_rule_file

    return load_rule_file(decode_source(content, ref), ref, _Resolver(ref, resolve), strict=False)


MOST_BASES = 16
"""How many rule files may stand one on another: a variation of a variation is plenty."""


class _Resolver:
    """Finds the base of a rule file; refuses one that is its own base by way of others, or stands on too many."""

    def __init__(self, path: str, resolve: Resolve, seen: frozenset[str] = frozenset()) -> None:
        self._resolve = resolve
        self._directory = os.path.dirname(path)
        self._seen = seen | {os.path.realpath(path)}

    def __call__(self, ref: str) -> Kernel:
        if not is_file_ref(ref):
            return self._resolve(ref, None, self._directory)
        check_named_file(ref, self._directory)
        with unquoted():
            return self._file(ref)

    def _file(self, ref: str) -> Kernel:
        path = os.path.join(self._directory, ref)
        if _told(ref, path)[0] is not FileKind.RULES:
            return self._resolve(ref, None, self._directory)
        if os.path.realpath(path) in self._seen:
            raise UnreadFile(f"{ref} is its own base (a rule set that stands by itself at the end)")
        if len(self._seen) >= MOST_BASES:
            raise UnreadFile(f"more than {MOST_BASES} rule files stand one on another (rules: the whole list)")
        from mtcalc.rulefile.load import load_rule_file

        return load_rule_file(read_source(path), path, _Resolver(path, self._resolve, self._seen))
