# SPDX-License-Identifier: GPL-2.0-only
"""Kernel releases as tuples, and tables of rows 'since release, what, source' looked up by release."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import TypeAlias, TypeVar

Version: TypeAlias = tuple[int, ...]
"""(6, 12, 78); a release candidate as (6, 11, -1). Compare by sort_key()."""

T = TypeVar("T")


def sort_key(release: Version) -> Version:
    """Three numbers at least, so that 6.11-rc sorts before 6.11 and 6.11 equals 6.11.0."""
    return release + (0,) * (3 - len(release))


def since(table: Sequence[tuple[Version, T]], release: Version) -> T:
    """The row of a table in force at a release."""
    return table[bisect_right([sort_key(key) for key, _ in table], sort_key(release)) - 1][1]


def in_force(table: Sequence[tuple[Version, T, str]], release: Version) -> T:
    """The value of the row 'since release, value, source' in force at a release."""
    return since([(key, value) for key, value, _ in table], release)
