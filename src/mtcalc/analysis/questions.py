# SPDX-License-Identifier: GPL-2.0-only
"""What a review can ask, each question with a code: when it is asked, and where it stands that one should.

Outputs and tools know a question by its code; the text is for people alone.
"""

from __future__ import annotations

from typing import NamedTuple

from mtcalc.analysis.diff import Change
from mtcalc.kvm.note_codes import Level
from mtcalc.text.errors import Place
from mtcalc.x86.memtype import MemType


class Question(NamedTuple):
    """One row: the family of a question, when it is asked, and the source of what is said with it."""

    kind: str
    when: str
    source: str
    level: Level = Level.WARNING


_EFFECTIVE = 'SDM vol. 3, "Effective Page-Level Memory Types"'
_IPAT = 'SDM vol. 3, "Memory Type Used for Translated Guest-Physical Addresses"'
_WC = f"{_EFFECTIVE}; commit 9d70f3fec144, of framebuffers that became UC"
_SHARED = "vCPUs share the EPT of their address space: kvm_mmu_page_role has no memory type, from memory (?)"
_BOTH = "computed from the rules before and after"
_REACHED = "computed from the rules after"
_MASKS = "KVM_X86_VALID_QUIRKS; a4dae7c7a41d, of masks and defaults; mtcalc.kvm.quirks"

QUESTIONS: dict[str, Question] = {
    "odd-byte": Question(
        "byte", "a byte with a reserved memory type or stray bits", 'SDM vol. 3, "EPT Misconfigurations"', Level.ERROR
    ),
    "cd-cacheable": Question(
        "cacheable", "memory was uncached with guest CR0.CD set, and may be cached", 'SDM vol. 3, "Cache Control"'
    ),
    "mtrr-cacheable": Question(
        "cacheable", "memory that the guest's MTRRs call UC or WC was uncached, and may be cached", _EFFECTIVE
    ),
    "not-cacheable": Question("uncacheable", "memory with PAT type WB was cached, and is not", _EFFECTIVE),
    "mmio-cacheable": Question(
        "mmio", "host MMIO may be cached", "kernel bug 104091, of machine checks with 4.2", Level.ERROR
    ),
    "mmio-touched": Question("mmio", "host MMIO has another byte", "UC,0 in every release from 2.6.29 on but 4.2"),
    "host-mmio-lost": Question(
        "mmio",
        "a host page was MMIO by the host-MMIO test, and is none",
        "kernel bug 104091, of machine checks with 4.2",
    ),
    "guest-uc-to-wc": Question("combining", "what has PAT type UC was UC and becomes WC", _EFFECTIVE),
    "wc-to-uc": Question("combining", "with some PAT type memory was WC and becomes UC", _WC),
    "uc-to-wc": Question("combining", "with another PAT type than UC memory was UC and becomes WC", _EFFECTIVE),
    "uncached-ram": Question(
        "uncached ram", "a VM without non-coherent DMA can get RAM uncached, and could not", _EFFECTIVE
    ),
    "one-vcpu": Question("vcpu", "the new code takes the state of one vCPU, such as number 0, by name", _SHARED),
    "vcpu-decides": Question("vcpu", "a vCPU's own state makes another byte where it made none", _SHARED),
    "pat-honoured": Question("pat", "ignore-PAT was set, and is clear", _IPAT),
    "pat-ignored": Question("pat", "ignore-PAT was clear, and is set", _IPAT),
    "any-slot": Question(
        "slot flag",
        "a slot flag is newly read, and decides for pages that are not host MMIO",
        "check_memory_region_flags(), which asks for no backing",
    ),
    "flag-not-accepted": Question(
        "slot flag",
        "a slot flag is newly read that the kernel refuses, and nothing has its check accept it",
        "check_memory_region_flags(), from 3.7 on; mtcalc.kvm.slot_history",
    ),
    "stale": Question(
        "stale",
        "an input makes another byte where it made none, and no entry is dropped as it changes; "
        "or what dropped them is removed",
        "mtcalc.kvm.zaps",
    ),
    "quirk-mask": Question("quirk", "a new quirk is read, and the patches add it to no mask", _MASKS),
    "quirk-default": Question("quirk", "a new quirk is read", _MASKS, Level.NOTE),
    "input-stops": Question(
        "input", "an input makes no other byte any longer where the changes are", _BOTH, level=Level.NOTE
    ),
    "input-starts": Question(
        "input", "an input made no other byte where the changes are, and does so", _BOTH, level=Level.NOTE
    ),
    "input-gone": Question(
        "input", "an input made another byte in some state, and makes none in any", _BOTH, level=Level.NOTE
    ),
    "mtrr-split": Question(
        "mapping level", "the guest's MTRRs decide no byte any longer, and limit the page size", "mtcalc.kvm.history"
    ),
    "new-condition": Question(
        "new input", "the rules ask for something that they did not ask for", _BOTH, level=Level.NOTE
    ),
    "new-type": Question("new input", "the rules take a memory type from something new", _BOTH, level=Level.NOTE),
    "uapi-number": Question(
        "uapi",
        "the patches give out a number that mainline has for another name, or give a known name another number",
        "mtcalc.kvm.uapi",
    ),
    "goes-back": Question(
        "series",
        "a patch changes an input or a host page, and a later one of the series takes it back",
        "computed from the rules between the patches",
    ),
    "says-no-change": Question(
        "message", "the message says no functional change, and inputs change", "the message and the rules; NFC too"
    ),
    "not-followed": Question(
        "beside",
        "what the guest's MTRRs say, or what host MMIO is, is found by changed code that is not followed",
        "mtcalc.patches.beside",
    ),
    "dead-rule": Question("dead rule", "a rule that can never match, and there was none like it", _REACHED),
    "dead-code": Question("dead rule", "a statement that is never reached, and there was none like it", _REACHED),
}
"""Every code there is, the gravest questions first but for the kinds' order in a review."""


class Remark(NamedTuple):
    """One thing to ask about, in how many of the changed states, and one of them.

    `example` is None where a rule, a statement or a line shows it rather than a state: then `rule`, the text or
    `place` names it.
    """

    code: str
    text: str
    states: int
    example: Change | None
    pat: MemType | None = None  # the PAT type with which the example shows it
    rule: str = ""
    place: Place | None = None

    @property
    def kind(self) -> str:
        """The family that it belongs to."""
        return QUESTIONS[self.code].kind
