# SPDX-License-Identifier: GPL-2.0-only
"""Which words mean files, told by their suffix alone; nothing is opened."""

RULE_FILE_SUFFIXES = (".yaml", ".yml")
C_SUFFIXES = (".c",)
PATCH_SUFFIXES = (".patch", ".diff", ".mbox", ".eml", ".txt")


def is_file_ref(ref: str) -> bool:
    """Whether a REF means a file: it has a '/' or one of the suffixes, or is '-'."""
    return ref == "-" or "/" in ref or ref.lower().endswith(RULE_FILE_SUFFIXES + C_SUFFIXES + PATCH_SUFFIXES)


def is_patch_ref(ref: str) -> bool:
    """Whether a REF means a patch: by its suffix, or '-'."""
    return ref == "-" or ref.lower().endswith(PATCH_SUFFIXES)
