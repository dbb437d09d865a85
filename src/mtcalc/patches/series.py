# SPDX-License-Identifier: GPL-2.0-only
"""What is reviewed, patch by patch, whether it came as mails or out of a git tree."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from mtcalc.kvm.uapi import Edits
from mtcalc.patches.beside import Beside
from mtcalc.rules.kernel import Kernel
from mtcalc.text.errors import Place


class Part(NamedTuple):
    """One patch or commit. `before` and `after` where it touches a rule and both can be read; else `why` not."""

    subject: str
    author: str
    message_id: str = ""
    commit: str = ""  # its id, where it came from git
    touches: bool = False
    before: Kernel | None = None
    after: Kernel | None = None
    why: str = ""
    one_vcpu: tuple[str, ...] = ()  # where its new code takes one vCPU's state for all
    beside: tuple[Beside, ...] = ()  # what it changes beside the rules
    cover: bool = False  # a cover letter
    aside: tuple[str, ...] = ()  # its hunks, as Whole.left_aside names those that are left aside
    edits: Edits = Edits()  # what it changes of the interface and of what keeps entries fresh
    no_change: bool = False  # its message says that nothing changes in function
    lines: tuple[Place, ...] = ()  # those that it changes, the rules' own first; of a commit the file's after it


class Whole(NamedTuple):
    """All parts together; `before` and `after` None where none touches a rule."""

    parts: tuple[Part, ...]
    base: str
    base_note: str
    date: date | None
    before: Kernel | None = None
    after: Kernel | None = None
    one_vcpu: tuple[str, ...] = ()  # where the new code takes one vCPU's state for all
    left_aside: tuple[str, ...] = ()  # hunks elsewhere, as 'path: section'
    beside: tuple[Beside, ...] = ()  # what they change beside the rules
    asked: tuple[str, ...] = ()  # what rules ask by name, and the patches change in a way that is not followed
    edits: Edits = Edits()  # what all of them change of the interface and of what keeps entries fresh
    asked_why: str = ""  # why it is not, where that is known
    untouched: Kernel | None = None  # the rules of patches that touch none, where they are known
