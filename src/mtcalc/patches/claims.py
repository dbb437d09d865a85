# SPDX-License-Identifier: GPL-2.0-only
"""What the message of a patch says of it: that it changes nothing for anybody."""

from __future__ import annotations

import re

_END = r"(?=[.!;)\]]|\s*\n\s*\n|\s*\n[A-Z][\w-]+: |\s*\Z)"
_NOTHING = re.compile(
    r"\bno\s+functional(?:\s+or\s+behaviou?ral)?\s+changes?(?:\s+(?:is|are))?(?:\s+(?:intended|expected|meant))?"
    + _END,
    re.IGNORECASE,
)
"""Not what speaks of some VMs alone: 'no functional change for VMs without assigned devices'."""
_NFC = re.compile(r"(?<!\bnot )(?<!\bnot an )(?<!\bnot a )\bNFCI?\b")
"""The short form."""


def says_no_change(message: str) -> bool:
    """Whether a message, its subject included, says plainly that nothing changes in function."""
    return _NFC.search(message) is not None or _NOTHING.search(message) is not None
