# SPDX-License-Identifier: GPL-2.0-only
"""Kernel releases as tuples, and tables of rows 'since release, what, source' looked up by release."""

from collections.abc import Sequence
from typing import TypeAlias, TypeVar

Version: TypeAlias = tuple[int, ...]
"""(6, 12, 78); a release candidate as (6, 11, -1). Compare by sort_key()."""

T = TypeVar("T")

SERIES: dict[Version, int] = {(2,): 6, (2, 6): 39, (3,): 19, (4,): 20, (5,): 19, (6,): 19, (7,): 3}
"""The last number behind each series; of the last series, which is open, the newest release whose code was read."""

OLDEST: Version = (2, 6, 28)
"""The first release with vmx_get_mt_mask() (as get_mt_mask_shift)."""


def newest() -> Version:
    """The newest release whose code was read."""
    series, last = list(SERIES.items())[-1]
    return (*series, last)


def never_was(release: Version) -> Version | None:
    """The last release of the series that a release would lie behind; None where there can be such a release."""
    for series, last in list(SERIES.items())[:-1]:
        if release[: len(series)] == series and release[len(series) :] and release[len(series)] > last:
            return (*series, last)
    return None


def before(release: Version) -> Version:
    """The release that comes before one: 3.13 -> 3.12, 4.0 -> 3.19, 6.11 -> 6.11-rc, 6.11-rc -> 6.10."""
    *series, last = release
    if last == -1:
        return before(tuple(series))
    if last > 0:
        return (*series, last - 1)
    return next((*known, end) for known, end in reversed(SERIES.items()) if known < tuple(series) and known != (2,))


def sort_key(release: Version) -> Version:
    """Three numbers at least, so that 6.11-rc sorts before 6.11 and 6.11 equals 6.11.0."""
    return release + (0,) * (3 - len(release))


def since(table: Sequence[tuple[Version, T]], release: Version) -> T:
    """The row of a table in force at a release."""
    asked = sort_key(release)
    return [row for key, row in table if sort_key(key) <= asked][-1]


def in_force(table: Sequence[tuple[Version, T, str]], release: Version) -> T:
    """The value of the row 'since release, value, source' in force at a release."""
    return since([(key, value) for key, value, _ in table], release)
