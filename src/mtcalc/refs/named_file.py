# SPDX-License-Identifier: GPL-2.0-only
"""Files that a file names: a scenario's `rules:`, a rule file's `base:`.

Whoever reads a scenario out of a mail did not choose these names. So they mean regular files alone, never standard
input, a pipe or a device, and an error about one says where it is and not what is in it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from mtcalc.text.errors import InputError


class UnreadFile(InputError):
    """A file that is not read at all: the message holds names of files and nothing of what is in them."""


def check_named_file(ref: str, directory: str) -> None:
    """Raises UnreadFile where a file REF, relative to `directory`, is no regular file; a missing one passes."""
    if ref == "-":
        raise UnreadFile("- is standard input (a file's name, or a rule set's)")
    try:
        mode = os.stat(os.path.join(directory, ref)).st_mode
    except (OSError, ValueError):
        return  # reading it says why
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UnreadFile(f"{ref} is no regular file (a file's name, or a rule set's)")


@contextmanager
def unquoted() -> Iterator[None]:
    """Errors inside keep their place and lose their words and the source line, but for an UnreadFile."""
    try:
        yield
    except UnreadFile:
        raise
    except InputError as error:
        if error.place is None:
            raise UnreadFile(error.message) from None
        place = error.place._replace(source="")
        what = f"not a rule set that can be read (mtcalc rules show {place.file} says why)"
        raise InputError(what, place) from None
