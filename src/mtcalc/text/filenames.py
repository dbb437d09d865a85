# SPDX-License-Identifier: GPL-2.0-only
"""Which words mean files, told by their suffix alone; nothing is opened."""

GIT = "git:"
"""What a REF that is a revision of a git tree begins with."""

RULE_FILE_SUFFIXES = (".yaml", ".yml")
C_SUFFIXES = (".c",)
PATCH_SUFFIXES = (".patch", ".diff", ".mbox", ".eml", ".txt")


def is_file_ref(ref: str) -> bool:
    """Whether a REF means a file: it has a '/' or one of the suffixes, or is '-'."""
    if is_git_ref(ref):
        return False
    return ref == "-" or "/" in ref or ref.lower().endswith(RULE_FILE_SUFFIXES + C_SUFFIXES + PATCH_SUFFIXES)


def may_be(ref: str, *suffixes: str) -> bool:
    """Whether a REF can mean a file of a kind: by its suffix, or because none tells, but its content will."""
    if not is_file_ref(ref):
        return False
    name = ref.lower()
    return name.endswith(suffixes) or not name.endswith(RULE_FILE_SUFFIXES + C_SUFFIXES + PATCH_SUFFIXES)


def is_git_ref(ref: str) -> bool:
    """Whether a REF means a revision of a git tree; a file of such a name has a './' before it."""
    return ref.startswith(GIT)
