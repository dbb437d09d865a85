# SPDX-License-Identifier: GPL-2.0-only
"""What a commit of a Linux tree changes beside the rules: the files that can hold it, compared line by line.

git itself compares nothing here: its diff has drivers that a tree's configuration names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from mtcalc.patches.beside import Beside, beside_the_rules
from mtcalc.patches.records import FilePatch, Hunk, HunkLine, Mail
from mtcalc.refs.git import GitCommit
from mtcalc.refs.tree import Tree, kernel_text
from mtcalc.text.errors import Place

PATHS = (
    *(f"arch/x86/kvm/{name}" for name in ("x86.c", "x86.h", "mtrr.c", "mmu.h", "mmu.c", "svm.c", "vmx.c")),
    *(f"arch/x86/kvm/{name}" for name in ("mmu/mmu.c", "mmu/spte.c", "svm/svm.c", "vmx/vmx.c", "vmx/main.c")),
    *(f"arch/x86/include/{name}" for name in ("asm/kvm_host.h", "asm/kvm-x86-ops.h", "uapi/asm/kvm.h")),
    *("arch/x86/mm/pat.c", "arch/x86/mm/pat/memtype.c", "include/uapi/linux/kvm.h", "include/linux/kvm_host.h"),
    *(f"virt/kvm/{name}" for name in ("kvm_main.c", "vfio.c", "iommu.c")),
    *(f"drivers/vfio/{name}" for name in ("vfio.c", "vfio_main.c", "group.c", "vfio_iommu_type1.c")),
)
"""Where the functions and macros of mtcalc.patches.beside have been. Read: trees of 2.6.29 to 7.3."""

_CONTEXT = 3


def changed_beside(tree: Tree, before: GitCommit, after: GitCommit, name: str) -> tuple[Beside, ...]:
    """What the files of one commit have beside the rules and those of an earlier one otherwise.

    `name`: what the later one is called in places. Raises MissingObject.
    """
    files = []
    for path in PATHS:
        old, new = (tree.entry(commit.tree, path) for commit in (before, after))
        if old == new or any(entry is not None and entry.folder for entry in (old, new)):
            continue
        texts = [kernel_text(tree.git.read(entry.id)) if entry else "" for entry in (old, new)]
        place = Place(f"{name}:{path}", 1, 1)
        hunks = tuple(_hunks(texts[0].split("\n"), texts[1].split("\n"), place))
        files.append(FilePatch(path, hunks, place))
    if not files:
        return ()
    whole = Mail(after.subject, after.author, None, "", 0, 0, tuple(files), files[0].place, commit=True)
    return beside_the_rules([whole], followed=False)


def _hunks(old: Sequence[str], new: Sequence[str], place: Place) -> Iterator[Hunk]:
    """The differences of two texts as hunks with context."""
    shorter = min(len(old), len(new))
    first = next((at for at in range(shorter) if old[at] != new[at]), shorter)
    rest = shorter - first
    last = next((n for n in range(rest) if old[-1 - n] != new[-1 - n]), rest)
    # What differs, with the context of both ends.
    start, end = max(first - _CONTEXT, 0), max(last - _CONTEXT, 0)
    middle = SequenceMatcher(None, old[start : len(old) - end], new[start : len(new) - end])
    for group in middle.get_grouped_opcodes(_CONTEXT):
        lines: list[HunkLine] = []
        for kind, old_from, old_to, new_from, new_to in group:
            if kind == "equal":
                lines += _lines(" ", new, start + new_from, start + new_to, place)
            else:
                lines += _lines("-", old, start + old_from, start + old_to, place)
                lines += _lines("+", new, start + new_from, start + new_to, place)
        old_at, new_at = start + group[0][1], start + group[0][3]
        counts = group[-1][2] - group[0][1], group[-1][4] - group[0][3]
        at = place._replace(line=new_at + 1)
        yield Hunk(old_at + 1, counts[0], new_at + 1, counts[1], _section(old, old_at), tuple(lines), at)


def _lines(kind: str, text: Sequence[str], first: int, behind: int, place: Place) -> Iterator[HunkLine]:
    """Lines of a text, each with its own number in it."""
    for at in range(first, behind):
        yield HunkLine(kind, text[at], place._replace(line=at + 1, source=text[at]))


def _section(lines: Sequence[str], at: int) -> str:
    """What an @@ line names: the last line before a hunk that begins with a name, and is no label."""
    for line in reversed(lines[:at]):
        if (line[:1].isalpha() or line[:1] == "_") and not line.rstrip().endswith(":"):
            return line.rstrip()
    return ""
