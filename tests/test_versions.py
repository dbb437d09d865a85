# SPDX-License-Identifier: GPL-2.0-only
"""What the project asks of the libraries it stands on."""

from __future__ import annotations

import pytest

from support.versions import pinned, requirements


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


@pytest.mark.parametrize("name", requirements("test"))
def test_a_library_has_a_lowest_version_and_a_pinned_one(name: str) -> None:
    """.ci/run installs the lowest, the README's commands the pinned one, which lies between the bounds."""
    lowest, too_new = requirements("test")[name]
    assert lowest is not None
    version = numbers(pinned()[name])
    assert numbers(lowest) <= version
    assert too_new is None or version < numbers(too_new)
