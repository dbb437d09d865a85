# SPDX-License-Identifier: GPL-2.0-only
"""REFs that are no files: a built-in name, a kernel release, the output of `uname -r`, `latest`."""

from __future__ import annotations

from mtcalc.rules.kernel import (
    LAST_OF_SERIES,
    NEWEST,
    OLDEST,
    Kernel,
    Version,
    kernel_at,
    since,
    sort_key,
    version_text,
    with_read,
)
from mtcalc.rules.proposals import PROPOSALS
from mtcalc.rules.releases import RELEASE_RULES, V3_13, V4_3, V4_4, V6_16
from mtcalc.rules.rule import RuleSet
from mtcalc.text.suggest import nearest

RULE_FILE_SUFFIXES = (".yaml", ".yml")
C_SUFFIXES = (".c",)
PATCH_SUFFIXES = (".patch", ".diff", ".mbox", ".eml", ".txt")


def built_in_names() -> tuple[str, ...]:
    """The names of all built-in rule sets, oldest release first, then the proposals."""
    releases = dict.fromkeys(rules.name for _, rules, _ in RELEASE_RULES)
    return (*releases, *(proposal.rules.name for proposal in PROPOSALS))


def is_file_ref(ref: str) -> bool:
    """Whether a REF means a file: it has a '/' or one of the suffixes, or is '-'."""
    return ref == "-" or "/" in ref or ref.lower().endswith(RULE_FILE_SUFFIXES + C_SUFFIXES + PATCH_SUFFIXES)


def is_patch_ref(ref: str) -> bool:
    """Whether a REF means a patch: by its suffix, or '-'."""
    return ref == "-" or ref.lower().endswith(PATCH_SUFFIXES)


def built_in(name: str) -> Kernel | None:
    """A built-in rule set by name, with the behaviour of the newest release that has it; None if unknown."""
    for proposal in PROPOSALS:
        if proposal.rules.name == name:
            kernel = kernel_at(
                proposal.release,
                proposal.rules,
                name,
                proposal=proposal.what,
                extra_slot_flags=proposal.slot_flags,
            )
            if proposal.split_when is not None:
                kernel = kernel._replace(split_when=proposal.split_when)
            return with_read(kernel)
    for _, rules, newest in RELEASE_RULES:
        if rules.name == name:
            return kernel_at(newest, rules, name)
    return None


def resolve_name(ref: str) -> Kernel:
    """The Kernel a REF names that is no file.

    Raises ValueError: unknown, with the nearest names; newer than the newest known; older than the function.
    """
    word = ref.strip().lower()
    if word == "latest":
        return kernel_at(NEWEST, V6_16, ref)
    kernel = built_in(word)
    if kernel is not None:
        return kernel._replace(ref=ref)
    release = parse_release(word)
    if release is None:
        names = (*built_in_names(), "latest")
        near = nearest(word, names)
        right = f"did you mean {' or '.join(near)}?" if near else f"one of {', '.join(names)}, or a kernel release"
        raise ValueError(f"unknown rule set '{ref}' ({right})")
    return _of_release(ref, *release)


def parse_release(word: str) -> tuple[Version, str] | None:
    """(version, vendor suffix) of a release or of `uname -r` output, None where it is neither.

    '6.12.107+deb12-amd64' -> ((6, 12, 107), '+deb12-amd64'); '6.11-rc3' -> ((6, 11, -1), '').
    """
    text = word.removeprefix("v")
    end = 0
    while end < len(text) and (text[end].isdigit() or (text[end] == "." and text[end + 1 : end + 2].isdigit())):
        end += 1
    digits, suffix = text[:end], text[end:]
    parts = digits.split(".")
    if not 2 <= len(parts) <= 4 or not text.isascii() or any(not p or len(p) > 4 or p != str(int(p)) for p in parts):
        return None
    version = tuple(map(int, parts))
    if suffix and (suffix[0] not in "-+_" or suffix in ("-", "_")):
        return None
    while len(version) > 2 and version[0] >= 3 and version[-1] == 0:
        version = version[:-1]
    if suffix.startswith("-rc") and suffix[3:4].isdigit():
        return (*version, -1), suffix[3:].lstrip("0123456789")
    return version, suffix


def _of_release(ref: str, version: Version, suffix: str) -> Kernel:
    shown = version_text(version)
    if sort_key(version) < OLDEST:
        raise ValueError(f"{shown} is older than vmx_get_mt_mask() (2.6.28 is the first release with it)")
    if version[:2] > NEWEST[:2]:
        raise ValueError(
            f"{shown} is newer than the newest known release, {version_text(NEWEST)} (latest: the newest known rules)"
        )
    for series, last in LAST_OF_SERIES.items():
        if version[: len(series)] == series and version[len(series) :] and version[len(series)] > last:
            end = version_text((*series, last))
            raise ValueError(f"there never was a release {shown} ({end} is the last of its series)")
    table = [(key, rules) for key, rules, _ in RELEASE_RULES]
    if version[-1] == -1 and version[:-1] != (6, 11):
        # The changes of every other release, stable ones too (6.12.78-rc1), came in before its first candidate.
        version = version[:-1]
    rules = since(table, version)
    kernel = kernel_at(version, rules, ref)
    return kernel._replace(notes=_release_notes(version, rules, shown, suffix))


def _release_notes(version: Version, rules: RuleSet, shown: str, suffix: str) -> tuple[str, ...]:
    notes = []
    later = [key for key, _, _ in RELEASE_RULES if len(key) == 3 and key[:2] == version and key[2] > 0]
    if later and version[0] >= 3:
        other = since([(key, found) for key, found, _ in RELEASE_RULES], later[0])
        notes.append(f"{shown} is {shown}.0; from {version_text(later[0])} on, {other.name}")
    if suffix:
        notes.append(f"rules of mainline {shown}; '{suffix}' is a vendor's build, and vendors backport changes")
    # Releases whose place in the table rests on memory alone (SPEC marks them).
    unconfirmed = (
        (rules == V3_13 and version[:2] == (3, 13))
        or (rules == V4_3 and version[:2] == (4, 2))
        or (rules == V4_4 and version[:2] == (4, 4))
        or (rules == V6_16 and (6, 17) <= version < NEWEST)
    )
    if unconfirmed:
        notes.append(f"unconfirmed: {', '.join(rules.unconfirmed) or f'that {shown} has {rules.name}'}")
    return tuple(notes)
