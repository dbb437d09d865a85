# SPDX-License-Identifier: GPL-2.0-only
"""A YAML text as an editor has it that checks it by a JSON Schema."""

from __future__ import annotations

import re
from typing import Any

from mtcalc.text.numbers import parse_number
from mtcalc.text.yaml import ListNode, MapNode, Node, ScalarNode, scalar_value


def as_editors_see(node: Node, numbers: bool = True) -> Any:
    """The values of a text as a YAML 1.2 editor has them; its numbers as integers, or all in quotes."""
    if isinstance(node, ListNode):
        return [as_editors_see(item, numbers) for item in node.items]
    if isinstance(node, MapNode):
        return {key: as_editors_see(entry.value, numbers) for key, entry in node.entries.items()}
    assert isinstance(node, ScalarNode)
    if numbers and not node.quoted and re.fullmatch("0|[1-9][0-9]*|0x[0-9a-fA-F]+", node.text):
        return parse_number(node.text)
    return scalar_value(node)
