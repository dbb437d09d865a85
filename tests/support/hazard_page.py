# SPDX-License-Identifier: GPL-2.0-only
"""docs/hazards.md, made from the table of hazards and the scenarios of tests/data/hazards.

`python tests/support/hazard_page.py` writes it.
"""

from __future__ import annotations

import difflib
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mtcalc.kvm.hazards import HAZARDS, HazardRow
from mtcalc.text.markdown import escape
from support.program import DATA
from support.readme import ROOT

PAGE = ROOT / "docs" / "hazards.md"
SCENARIOS = DATA / "hazards"

HEAD = """\
# Hazards

A scenario that is right can still hurt. `mtcalc check FILE...` says how: each hazard with its level, the slot or the
addresses, the consequence and the remedy. **Errors** are what is surely broken, and make the exit status 1;
**warnings** are what hurts; **notes** are what to know. `--select` and `--ignore` take codes or names, several with
commas; `--explain MT009` prints what stands here of one code, `--list` all of them; `-o junit` and `-o github` are for
CI.

A scenario can expect a hazard, or that there is none, anywhere, at an address or in a slot by name; `--ignore` does not
touch these:

```yaml
expect:
  - {hazard: MT009, gpa: 0xb8000}
  - {no_hazard: MT011, slot: ram}
```

`vm: {vmm: qemu-11.0}` says which VMM runs the VM, for MT008. Codes are stable: rows join behind the others, and none is
given another meaning. This page is made from the table that the program has (tests/support/hazard_page.py). Below each
hazard stands a scenario in which it fires, with the change after which it does not.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_overview(), *(line for code in HAZARDS for line in _section(code, HAZARDS[code]))]) + "\n"


def _overview() -> Iterator[str]:
    yield "| Code | Level | Name | What |"
    yield "|---|---|---|---|"
    for code, row in HAZARDS.items():
        yield f"| [{code}](#{code.lower()}-{row.name}) | {row.level.value} | {row.name} | {escape(row.title)} |"


def _section(code: str, row: HazardRow) -> Iterator[str]:
    yield ""
    yield f"## {code} {row.name}"
    yield ""
    yield from _wrapped(f"**{row.level.value.capitalize()}**, where {row.when}.")
    yield ""
    yield from _wrapped(f"{row.harm[0].upper()}{row.harm[1:]} Remedy: {row.remedy}.")
    yield ""
    yield from _wrapped(f"Source: {row.source}.")
    yield ""
    yield "```diff"
    fires, quiet = ((SCENARIOS / f"{code}{tail}.yaml").read_text().splitlines() for tail in ("", ".not"))
    yield from (line.rstrip() for line in difflib.ndiff(fires, quiet) if not line.startswith("?"))
    yield "```"


def _wrapped(text: str) -> Iterator[str]:
    parts = text.split("`")
    marked = "`".join(part if at % 2 else escape(part).replace("\\*\\*", "**") for at, part in enumerate(parts))
    yield from textwrap.wrap(marked, 118, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    PAGE.write_text(page())
