# SPDX-License-Identifier: GPL-2.0-only
"""A host-MMIO test written as C, in the shapes that kvm_is_mmio_pfn() had over the years.

The rules are the source; of the kernel's text only the pattern is taken: whether there is a struct page comes first,
and each side of that is one return. What a patch's context is compared with.
"""

from __future__ import annotations

from functools import lru_cache

from mtcalc.csource.masks import NEVER, negated
from mtcalc.csource.mmio import INNER, LATER_PFN, RESERVED_TEST, TEST
from mtcalc.csource.tree import Known, all_of, any_of, learnt, simplified
from mtcalc.csource.writer import host_page_text
from mtcalc.kvm.history import MMIO_TESTS, row_at
from mtcalc.kvm.release import Version, sort_key
from mtcalc.kvm.versions import MmioTest
from mtcalc.rules.condition import Atom, Condition
from mtcalc.rules.inputs import STRUCT_PAGE
from mtcalc.rules.mmio import MMIO_RULES
from mtcalc.rules.rule import Rule, RuleSet

_PAGE = Atom(STRUCT_PAGE)

_OF_THE_HEAD = (
    # The page that a larger one begins with is asked in place of the page; read: 2.6.29 to 3.6.5.
    "\tif (pfn_valid(pfn)) {",
    "\t\tstruct page *page = compound_head(pfn_to_page(pfn));",
    "\t\treturn PageReserved(page);",
    "\t}",
)

_OF_HEAD_AND_TAIL = (
    # The head may have been split off by then, so the page is asked again: what is known of a page here is one.
    # read: 3.10.99, 3.11 (that both are asked); how it is spelt, and since when (2.6.38?): from memory (?).
    "\tif (pfn_valid(pfn)) {",
    "\t\tint reserved;",
    "\t\tstruct page *tail = pfn_to_page(pfn);",
    "\t\tstruct page *head = compound_trans_head(tail);",
    "\t\treserved = PageReserved(head);",
    "\t\tif (head != tail) {",
    "\t\t\tsmp_rmb();",
    "\t\t\tif (PageTail(tail))",
    "\t\t\t\treturn reserved;",
    "\t\t}",
    "\t\treturn PageReserved(tail);",
    "\t}",
)


@lru_cache(maxsize=32)
def mmio_texts(rules: RuleSet, release: Version) -> tuple[str, ...]:
    """A host-MMIO test as kernels of a release's time may have spelt it. Raises ValueError for what no C says."""
    source = row_at(MMIO_TESTS, release).source
    name = next(name for name in (INNER, RESERVED_TEST, TEST) if source.startswith(f"{name}()"))
    taken = LATER_PFN if sort_key(release) >= (4, 5, 0) else "pfn_t"
    texts = [_written(rules, name, taken)]
    if rules == MMIO_RULES[MmioTest.HEAD]:
        head, behind = texts[0].split("\n\tif ", 1)[0], ("", "\treturn true;", "}", "")
        texts += ["\n".join((head, *lines, *behind)) for lines in (_OF_THE_HEAD, _OF_HEAD_AND_TAIL)]
    if name == INNER:
        texts = [text + _KEPT for text in texts]
    return tuple(texts)


_KEPT = "\n".join(
    (
        "",
        f"static bool {TEST}({LATER_PFN} pfn, int *is_host_mmio)",
        "{",
        "\tif (*is_host_mmio < 0)",
        f"\t\t*is_host_mmio = {INNER}(pfn);",
        "",
        "\treturn *is_host_mmio;",
        "}",
        "",
    )
)
"""From 6.17 on the answer is kept while an entry is made. Read: 6.16.1 -> 6.17.0."""


def _written(rules: RuleSet, name: str, taken: str) -> str:
    lines = [f"static bool {name}({taken} pfn)", "{"]
    with_page, without = (_value(rules.rules, side) for side in (True, False))
    lines += [f"\tif ({host_page_text(_PAGE)})", f"\t\treturn {host_page_text(with_page)};", ""]
    return "\n".join([*lines, f"\treturn {host_page_text(without)};", "}", ""])


def _value(rules: tuple[Rule, ...], struct_page: bool) -> Condition:
    """When a page with a struct page, or one without, is MMIO: the list's outcomes as one condition."""
    known = learnt(Known(), _PAGE, struct_page)
    value: Condition = NEVER
    for rule in reversed(rules):
        when = simplified(rule.when, known)
        value = any_of((when, value)) if rule.then.const else all_of((negated(when), value))
    return value
