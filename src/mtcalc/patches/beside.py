# SPDX-License-Identifier: GPL-2.0-only
"""What patches change beside the rules: code that decides which rows a VM comes to, told by its names.

What is changed there is not followed: the rows stay, and what is said is what the names decide in any kernel. Source
of the names: kernel trees of 2.6.29 to 7.3; those of one row did the same work over the years.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from itertools import takewhile
from typing import NamedTuple

from mtcalc.csource.tokens import texts
from mtcalc.patches.hunks import ROOTS, holds_function, hunk_name, is_code
from mtcalc.patches.known import changed_lines, known_changes
from mtcalc.patches.pieces import comments_only, section_function, side_of_hunk
from mtcalc.patches.records import FilePatch, Hunk, Mail
from mtcalc.text.errors import Place


class Beside(NamedTuple):
    """One function or macro beside the rules that patches change, and what it decides about the rows."""

    kind: str
    name: str
    text: str  # what it decides
    place: Place  # the first changed line
    hunk: str  # as hunk_name() has it


class _Row(NamedTuple):
    """Code of one kind: in which functions, on lines that hold which words; '' for any."""

    kind: str
    functions: str
    words: str
    text: str


_COUNT = "which VMs come to the rows with noncoherent_dma, and when"
_QUIRKS = "which VMs have a quirk in force, and so come to its rows"
_FLAGS = "which slots can have a flag, and so come to its rows"
_GATE = "where the byte of the rules is written at all"
_ASKED = "which function is asked for the byte, in place of the rules"
_PASSED = "what the function is asked with: page, or whether it is host MMIO"
_BYTE = "what becomes of the byte of the rules in the entry"
_UNREAD = "what a hunk here changes, which can't be read"
_ZAP = "which entries go when an input changes; those that stay keep their old byte"
_MMIO = "which host pages come to the rows with mmio"
_HOST = "which type the host has for a page, as the host-MMIO test asks"
_WALK = "which guest MTRR type an address has"
_LEVEL = "how large the page of an entry can be"

_A_MASK_S_LINE = re.compile(r"^[\s(]*KVM_X86_QUIRK_\w+(?=\s*(?:\|\s*\\?|\))\s*$)")
"""A line of KVM_X86_VALID_QUIRKS and its like."""

_OPS = "KVM_X86_OP"
"""A line of kvm-x86-ops.h begins so."""

ROWS = (
    _Row(
        "noncoherent-dma",
        r"kvm_arch_(?:un)?register_noncoherent_dma|kvm_arch_has_noncoherent_dma|kvm_vfio_update_coherency"
        r"|kvm_vfio_(?:group|file)_(?:is|enforced)_(?:non)?coherent|(?:kvm_)?vfio_(?:file|group)_enforced_coherent"
        r"|vfio_domains_have_(?:iommu_cache|enforce_cache_coherency)",
        "",
        _COUNT,
    ),
    _Row(
        "noncoherent-dma",
        "",
        r"\b(?:noncoherent_dma_count|iommu_noncoherent|KVM_IOMMU_CACHE_COHERENCY|VFIO_DMA_CC_IOMMU)\b",
        _COUNT,
    ),
    _Row("quirks", "kvm_check_has_quirk", "", _QUIRKS),
    _Row(
        "quirks",
        "",
        r"\b(?:KVM_X86_(?:VALID|CONDITIONAL)_QUIRKS|supported_quirks|inapplicable_quirks|disabled_quirks"
        r"|KVM_CAP_DISABLE_QUIRKS2?)\b|#\s*define\s+KVM_X86_QUIRK_\w+",
        _QUIRKS,
    ),
    _Row("quirks", "", _A_MASK_S_LINE.pattern, _QUIRKS),
    _Row("slot-flags", "check_memory_region_flags", "", _FLAGS),
    _Row(
        "slot-flags", r"(?:__)?kvm_set_memory_region|kvm_arch_prepare_memory_region", r"\b(?:KVM_MEM_|flags\b)", _FLAGS
    ),
    _Row("slot-flags", "", r"\bKVM_SET_USER_MEMORY_REGION_V1_FLAGS\b|#\s*define\s+KVM_MEM_\w+", _FLAGS),
    _Row(
        "zap",
        r"kvm_mtrr_set_msr|set_msr_mtrr|kvm_post_set_cr0|kvm_set_cr0|(?:vmx|kvm)_set_msr(?:_common)?",
        r"\b(?:kvm_zap_gfn_range|kvm_mmu_reset_context|(?:__)?kvm_mmu_honors_guest_mtrrs|kvm_mmu_may_ignore_guest_pat"
        r"|update_mtrr)\b",
        _ZAP,
    ),
    _Row(
        "zap",
        "kvm_post_set_cr0|kvm_set_cr0",
        r"\b(?:kvm_arch_has_noncoherent_dma|KVM_X86_QUIRK_CD_NW_CLEARED|X86_CR0_CD)\b",
        _ZAP,
    ),
    _Row(
        "zap",
        r"update_mtrr|(?:__)?kvm_mmu_honors_guest_mtrrs|kvm_mmu_may_ignore_guest_pat|kvm_noncoherent_dma_assignment_\w+",
        "",
        _ZAP,
    ),
    _Row("gate", "", r"\bif\s*\(.*\b(?:get_mt_mask|shadow_(?:memtype|mt)_mask)\b", _GATE),
    _Row("caller", "", r"\bget_mt_mask(?=\s*=(?!=))", _ASKED),
    _Row("caller", "(?:vt|svm)_get_mt_mask", "", _ASKED),
    _Row("gate", rf"{_OPS}\w*", r"\bget_mt_mask(?=\))", _GATE),
    _Row("gate", "", r"\bshadow_(?:memtype|mt)_mask\s*=(?!=)", _GATE),
    _Row("gate", "make_spte|set_spte", r"\btdp_enabled\b", _GATE),
    _Row("byte", "", r"\bVMX_EPT_(?:MT_EPTE_SHIFT|MT_MASK|DEFAULT_MT|DEFAULT_IPAT_BIT|IPAT_BIT|IGMT_BIT)\b", _BYTE),
    _Row("host-mmio", r"(?:__)?kvm_is_mmio_pfn|kvm_is_reserved_pfn", "", _MMIO),
    _Row("host-type", "pat_pfn_immune_to_uc_mtrr|lookup_memtype", "", _HOST),
    _Row(
        "guest-mtrr",
        r"(?:kvm_)?(?:mtrr_)?get_guest_memory_type|get_mtrr_type|mtrr_lookup_\w+|mtrr_for_each_\w+|var_mtrr_range|kvm_vcpu_mtrr_init"
        r"|match_var_range|mtrr_default_type|mtrr_disabled_type",
        "",
        _WALK,
    ),
    _Row("level", r"kvm_mtrr_check_gfn_range_consistency|(?:__)?kvm_mmu_max_mapping_level|mapping_level", "", _LEVEL),
)
"""The first row that fits a changed line says what it is."""

_CALLERS = re.compile(r"\w*(?:make|set)_spte\w*\Z")
_MMIO_CALL = re.compile(r"\b(?:__)?kvm_is_(?:mmio|reserved)_pfn\s*\(")
_HOW_ASKED = {"(", ")", ".", "->", "*", "kvm_x86_ops", "kvm_x86_call", "static_call", "kvm"}
"""How get_mt_mask is called, over the years: kvm_x86_ops->get_mt_mask(), static_call(kvm_x86_get_mt_mask)()."""
_KEPT = re.compile(r"(?<=kvm_is_mmio_pfn \( )(\w+) , & \w+(?= \))")
"""From 6.17 on the answer is kept beside; which page is asked about stays. Read: 6.16.1 -> 6.17.0."""

_INNER = re.compile(r"\b__(?=kvm_is_mmio_pfn\b)")
"""The same test under its name from 6.17 on: who only renames it asks nothing else."""

_ENDS = frozenset(";{},")
_WORD = re.compile("|".join(f"(?:{part})" for row in ROWS for part in (row.functions, row.words) if part))
"""Any name of any row."""
_WORDS = tuple((re.compile(f"(?:{row.functions})\\Z"), re.compile(row.words), row) for row in ROWS)


def beside_the_rules(mails: Sequence[Mail], followed: bool = True) -> tuple[Beside, ...]:
    """What patches change beside the rules, each function or macro once, in their order; not what they only move.

    `followed`: who reads the rules follows what these ask by name, where the patches show all of that.
    """
    known = {f"{change.name}()" for change in known_changes(mails) if change.new} if followed else set()
    hunks = [(item, hunk) for mail in mails for item in mail.files if is_code(item.path) for hunk in item.hunks]
    lines = {sign: {_bare(n.text) for _, hunk in hunks for n in hunk.lines if n.kind == sign} for sign in "+-"}
    moved = lines["+"] & lines["-"]
    found: dict[tuple[str, str], Beside] = {}
    for item, hunk in hunks:
        for one in (*_in_hunk(item, hunk, moved), *_asked_otherwise(item, hunk)):
            if one.name not in known:
                found.setdefault((one.kind, one.name), one)
    return tuple(found.values())


def _bare(text: str) -> str:
    """A line by what it says: without blanks; of a mask's, the bit alone."""
    line = _A_MASK_S_LINE.match(text)
    return "".join((line.group() if line else text).split())


def _in_hunk(item: FilePatch, hunk: Hunk, moved: Set[str]) -> Iterator[Beside]:
    if hunk.trouble:
        if "/kvm/" in item.path and any(_WORD.search(text) for text in (hunk.section, *(n.text for n in hunk.lines))):
            name = section_function(hunk.section)
            what = f"{_UNREAD} ({hunk.trouble.message})"
            yield Beside("unread", f"{name}()" if name else item.path[-60:], what, hunk.place, hunk_name(item, hunk))
        return
    if comments_only(hunk):
        return
    named, declared = section_function(hunk.section), hunk.section.rstrip().endswith(";")
    for function, line in changed_lines(hunk):
        if function in ROOTS or _bare(line.text) in moved:
            continue
        for functions, words, row in _WORDS:
            said = words.search(line.text) if row.words else None
            if (row.functions and not functions.match(function)) or (row.words and not said):
                continue
            if row.kind == "byte" and holds_function(item):
                continue  # the rules' own file: what they come to call is followed
            inside = function and not (declared and function == named) and not function.startswith(_OPS)
            name = f"{function}()" if inside else _word(said.group() if said else "", line.text)
            yield Beside(row.kind, name, row.text, line.place, hunk_name(item, hunk))
            break


def _asked_otherwise(item: FilePatch, hunk: Hunk) -> Iterator[Beside]:
    """Where a hunk has the function asked with another page or is_mmio; an argument more is none of these."""
    if hunk.trouble or not any("get_mt_mask" in line.text or _MMIO_CALL.search(line.text) for line in hunk.lines):
        return
    lines = [(name, line) for name, line in changed_lines(hunk) if name not in ROOTS]
    try:
        old, new = (_calls(texts(side_of_hunk(hunk, sign).tokens)) for sign in "-+")
    except ValueError:
        return
    other = any(was[: len(now)] != now[: len(was)] for (was, _), (now, _) in zip(old, new, strict=False))
    around = any(was != now for (_, was), (_, now) in zip(old, new, strict=False))
    for name, line in lines:
        signs = Counter(n.kind for of, n in lines if of == name for _ in _MMIO_CALL.findall(n.text))
        if (other and len(old) == len(new)) or (_CALLERS.match(name) and signs["-"] > signs["+"]):
            yield Beside("caller", f"{name}()" if name else "get_mt_mask", _PASSED, line.place, hunk_name(item, hunk))
            return
        if around and len(old) == len(new):
            yield Beside("byte", f"{name}()" if name else "get_mt_mask", _BYTE, line.place, hunk_name(item, hunk))
            return


def _calls(words: Sequence[str]) -> list[tuple[list[str], tuple[list[str], list[str]]]]:
    """Of each call of get_mt_mask the first three arguments, as far as they are shown, and what is made of it: the
    words of its statement before and behind the call, without how it is called."""
    found = []
    for at, word in enumerate(words):
        start = at + 1 + (words[at + 1 : at + 2] == [")"])
        if not word.endswith("get_mt_mask") or words[start : start + 1] != ["("]:
            continue
        given = [""]
        depth = 0
        end = len(words)
        for n, text in enumerate(words[start:], start):
            depth += (text == "(") - (text == ")")
            end = n + 1
            if not depth:
                break
            if text == "," and depth == 1:
                given.append("")
            elif (text, depth) != ("(", 1) or given[-1]:
                given[-1] += f" {text}"
        shown = given[:3] if not depth else given[:-1][:3]
        behind = list(takewhile(lambda text: text not in _ENDS, words[end:]))
        before = list(takewhile(lambda text: text not in _ENDS and text != ")", reversed(words[:at])))
        made = [text for text in before[::-1] if text not in _HOW_ASKED]
        found.append(([_KEPT.sub(r"\1", _INNER.sub("", text)) for text in shown], (made, behind)))
    return found


def _word(said: str, text: str) -> str:
    """The name on a line outside functions; that of a #define is what it defines."""
    defined = re.match(r"\s*#\s*define\s+(\w+)", text)
    return defined[1] if defined else said.lstrip(" \t(")
