# SPDX-License-Identifier: GPL-2.0-only
"""Which lines of a large log may begin a dump, at the speed of a few passes in C.

A line without its small letters, digits and most signs is its shape, a tenth of it. A log has few shapes, so most
blocks hold none that was not seen before, and each is looked at once. Where a shape is also that of other lines, the
block itself is searched for the form. A false alarm costs time, no more.
"""

from __future__ import annotations

import re

_KEPT = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ[#=(@_/kqvx\n"
_DROPPED = bytes(set(range(256)) - set(_KEPT))

_FORMS = (
    b"MTRR",
    b"base=0x0c0000000 ( 3072MB), size=",
    b"PAT",
    b"FlatView #",
    b"Slot#0 flags=0x0",
    b"SET_USER_MEM",
    b"RDMSR",
    b"kvm_msr: msr_write 2ff = 0xc06",
    b"CR0: actual=0x0, shadow=0x0, gh_mask=0",
    b"CR0=80050033 CR2=0 CR3=0",
    b"Reg Valid Write-type Base || Mask || Size ||",
)
"""What stands in a line by which a format begins, and has a shape of its own."""
_SURE = tuple(form.translate(None, _DROPPED) for form in _FORMS)
_ANY_SURE = re.compile(b"|".join(map(re.escape, _SURE)))

_REGISTER = rb"2(?:[fF]{2}|77|5[089]|6[89a-fA-F]|[01][0-9a-fA-F])\)?(?:[ \t]*[:=]|[ \t]+[0-9a-fA-F])"
_BARE = rb"[> |]*(?:" + _REGISTER + rb"|[0-9a-f]{16}: 000)"

_ALSO_OTHERS = (
    # A register by its number in hex, and its value; the x is rare, which makes it fast.
    (re.compile(rb"x(?:[=xA-Z]|$)"), re.compile(rb"x" + _REGISTER)),
    # Rows of info mtree whose view's head is not there, and those of pat_memtype_list in its older form.
    (re.compile(rb"(?:KVM|kv|@)$"), re.compile(rb"\(prio -?\d")),
    (re.compile(rb"@xx$"), re.compile(rb"@ 0x")),
    # QEMU's command: by a path, or by a name of QEMU's own, or at the beginning of a line.
    (re.compile(rb"qx_|/q|^q"), re.compile(rb"qemu-system-(?:x86_64|i386)['\"]? +(?:-|\\|\S+=)")),
    (re.compile(rb"qkv|/kv|^kv"), re.compile(rb"kvm['\"]? +(?:-|\\|\S+=)")),
    # A register by its number in bare digits, a row of info tlb: at the beginning of a line, but for quoting.
    (re.compile(rb"^[XGPDACTUWFx=]{0,12}$"), re.compile(rb"\n" + _BARE)),
)
"""Shapes that other lines have as well, and what is to stand in the block then, with one first letter, for speed."""
_HINTS = (b"x", b"KVM\n", b"kv\n", b"@\n", b"@xx\n", b"q", b"/kv", b"\nkv", b"\n\n", b"\n=", b"\nx", b"A\n", b"W\n")

DIVERSE = 256
"""New shapes in a block, of which each is looked at; of more the block is searched first."""
MOST_SHAPES = 20_000
"""That are kept in mind."""


class Signs:
    """Looks at the blocks of one file, one after the other."""

    def __init__(self) -> None:
        self._dull: set[bytes] = set()

    def of_block(self, data: bytes) -> tuple[int, list[int]]:
        """How many lines end in a block, and which of its lines, from 0 on, may begin a dump, ascending."""
        shaped = data.translate(None, _DROPPED)
        shapes = shaped.split(b"\n")
        count = len(shapes) - 1
        if not shapes[-1]:
            shapes.pop()  # what stands behind the last line
        fresh = set(shapes)
        fresh -= self._dull
        places: list[int] = []
        sure: set[bytes] = set()
        if fresh and (len(fresh) < DIVERSE or any(sign in shaped for sign in (*_SURE, *_HINTS))):
            sure = {shape for shape in fresh if _ANY_SURE.search(shape)}
            doubtful = set(sure)
            for shape_form, form in _ALSO_OTHERS:
                alike = {shape for shape in fresh if shape_form.search(shape)}
                if alike:
                    doubtful |= alike
                    places += [found.end() - 2 for found in form.finditer(b"\n" + data)]
            if len(fresh) < DIVERSE:
                if len(self._dull) > MOST_SHAPES:
                    self._dull.clear()
                self._dull |= fresh - doubtful
        lines = {at for at, shape in enumerate(shapes) if shape in sure} if sure else set()
        return count, sorted(lines | set(_line_numbers(data, places)))


def _line_numbers(data: bytes, places: list[int]) -> list[int]:
    """In which lines of a block places are, from 0 on."""
    numbers = []
    number = last = 0
    for place in sorted(places):
        number += data.count(b"\n", last, place)
        last = place
        numbers.append(number)
    return numbers
