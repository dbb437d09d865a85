# SPDX-License-Identifier: GPL-2.0-only
"""Answers as tests take them apart: one a PAT type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtcalc.analysis import lookup as what_if
from mtcalc.analysis import table
from mtcalc.analysis.answer import Answer, each_pat
from mtcalc.rules.inputs import Facts
from mtcalc.rules.kernel import Kernel
from mtcalc.x86.memtype import PAT_TYPES, MemType


def lookup(kernel: Kernel, facts: Facts, pats: Sequence[MemType] = PAT_TYPES, *more: Any) -> tuple[Answer, ...]:
    """analysis.lookup.lookup(), an answer a PAT type."""
    return each_pat(what_if.lookup(kernel, facts, pats, *more))


def matrix(
    kernel: Kernel, facts: Facts, mtrrs: Sequence[MemType], pats: Sequence[MemType], *more: Any
) -> tuple[Answer, ...]:
    """analysis.table.matrix(), an answer a PAT type."""
    return tuple(one for row in table.matrix(kernel, facts, mtrrs, pats, *more) for one in each_pat(row))
