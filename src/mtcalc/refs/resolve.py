# SPDX-License-Identifier: GPL-2.0-only
"""REF -> Kernel: a built-in name, a kernel release, the output of `uname -r`, `latest`, a file, a git revision."""

from __future__ import annotations

from functools import partial

from mtcalc.refs.names import resolve_name
from mtcalc.rules.kernel import Kernel
from mtcalc.text.filenames import is_file_ref, is_git_ref

DEFAULT_REF = "slot-flag"
"""The rule set of the patch that mtcalc was founded on."""


def resolve(
    ref: str, base: str | None = None, directory: str = "", release: str | None = None, git: str | None = None
) -> Kernel:
    """The Kernel a REF names; a patch goes on top of the REF `base`, file names are relative to `directory`.

    `release` is the kernel around every C file of it, `git` a folder of the git tree (default: the working
    directory). Raises ValueError: unknown, with the nearest names; newer
    than the newest known; older than the function; InputError for a file that can't be read or understood.
    """
    again = partial(resolve, release=release, git=git)
    if is_git_ref(ref):
        from mtcalc.refs.git_ref import kernel_of_git

        return kernel_of_git(ref, again, directory, release, git)
    if not is_file_ref(ref):
        return resolve_name(ref)
    from mtcalc.refs.file import kernel_of_file

    return kernel_of_file(ref, again, base, directory, release, git)
