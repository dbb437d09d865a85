# SPDX-License-Identifier: GPL-2.0-only
"""What is true of a page's memory slot wherever the function is asked: that it is there, and its flags by their names.

The function is asked for a page of a slot as its entry is made, and a page of no slot gets none; and a flag that a
text gives a name of its own is told by that name, whatever flag else has had its bit.
"""

from __future__ import annotations

import re

from mtcalc.csource.context import Context
from mtcalc.csource.masks import NEVER
from mtcalc.csource.names import macro_number
from mtcalc.csource.predicates import MASK_CONSTANTS, SLOT, SLOT_FLAGS_SHOWN
from mtcalc.csource.tree import Branch, FoundRule, Hole, Known, Tree, learnt, renamed, replaced, simplified
from mtcalc.csource.words import known_words
from mtcalc.kvm.flags import SLOT_FLAGS
from mtcalc.rules.condition import ALWAYS, Condition, inputs
from mtcalc.rules.inputs import Input

_FLAG = re.compile(r"\bKVM_MEM_\w+")
_BIT = re.compile(rf"{re.escape(SLOT_FLAGS_SHOWN)} & (0x[0-9a-f]+)")
_WHOLE_FLAG = re.compile(rf"\(({re.escape(SLOT_FLAGS_SHOWN)} & (KVM_MEM_\w+))\) == \2")
"""The one bit of a flag whose number is not known, asked for in another way."""


def is_slot(item: Input) -> bool:
    """Whether a condition is that the page has a slot."""
    return item.name == "assume" and SLOT.fullmatch(known_words(item.arg)) is not None


def slot_given(root: Hole) -> bool:
    """Takes the page's slot as there wherever a tree asks for it. Whether it does."""
    if root.tree is None or not _asks(root.tree):
        return False
    root.tree = _given(root.tree, Known())
    return True


def _asks(tree: Tree) -> bool:
    if not isinstance(tree, Branch):
        return False
    sides = (hole.tree for hole in (tree.yes, tree.no))
    return any(map(is_slot, inputs(tree.condition))) or any(side is not None and _asks(side) for side in sides)


def _given(tree: Tree, known: Known) -> Tree:
    """The same tree, each condition without what is known by then."""
    if not isinstance(tree, Branch):
        return tree
    left = simplified(replaced(tree.condition, _there), known)
    yes, no = tree.yes.tree, tree.no.tree
    assert yes is not None
    assert no is not None
    if left == ALWAYS:
        return _given(yes, known)
    if left == NEVER:
        return _given(no, known)
    sides = Hole(), Hole()
    for hole, side, holds in zip(sides, (yes, no), (True, False), strict=True):
        hole.tree = _given(side, learnt(known, left, holds))
    return Branch(left, tree.line, *sides)


def _there(item: Input) -> Condition | None:
    return ALWAYS if is_slot(item) else None


def flags_by_name(context: Context, offset: int, found: list[FoundRule]) -> list[FoundRule]:
    """The rules with the slot flags that a text defines itself under their names; `offset`: where that counts."""
    names = _own_flags(context, offset)

    def shown(item: Input) -> Input:
        bit = SLOT_FLAGS.get(item.arg) if item.name == "slot_flag" else None
        text = item.arg if item.name == "assume" else ""
        number, whole = _BIT.fullmatch(text), _WHOLE_FLAG.fullmatch(text)
        bit = int(number[1], 16) if number else bit
        if bit in names:
            return Input("assume", f"{SLOT_FLAGS_SHOWN} & {names[bit]}")
        return item._replace(arg=whole[1]) if whole else item

    return renamed(found, shown)


def _own_flags(context: Context, offset: int) -> dict[int, str]:
    """The flags of one bit that a text defines, by that; not where it speaks of that bit by the kernel's own name."""
    listed = context.source.words(_FLAG)
    own: dict[int, str] = {}
    for name in listed:
        bit = None if name in MASK_CONSTANTS else macro_number(context, name, offset)
        if bit is not None and bit.bit_count() == 1:
            own.setdefault(bit, name)
    return {bit: name for bit, name in own.items() if not any(MASK_CONSTANTS.get(other) == bit for other in listed)}
