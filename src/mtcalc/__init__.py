# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc: the memory-type calculator for KVM on x86.

The public names below are loaded when first used, so that importing mtcalc costs nothing:

>>> import mtcalc
>>> kernel = mtcalc.resolve("slot-flag")
>>> answer = mtcalc.lookup(kernel, mtcalc.Facts(slot_flags=8), [mtcalc.MemType.WC])
>>> hex(answer.byte), answer.rule.id
('0x30', 'slot-flag')
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mtcalc.analysis.answer import Answer as Answer
    from mtcalc.analysis.answer import NptEntry as NptEntry
    from mtcalc.analysis.diff import Diff as Diff
    from mtcalc.analysis.diff import diff as diff
    from mtcalc.analysis.diff_words import sentence as sentence
    from mtcalc.analysis.evaluate import Evaluator as Evaluator
    from mtcalc.analysis.expectations import check_expectations as check_expectations
    from mtcalc.analysis.explain import explain_lookup as explain_lookup
    from mtcalc.analysis.explain import explain_page as explain_page
    from mtcalc.analysis.guest_pages import request_page as request_page
    from mtcalc.analysis.lookup import lookup as lookup
    from mtcalc.analysis.mtrr_map import MtrrView as MtrrView
    from mtcalc.analysis.requests import lookup_request as lookup_request
    from mtcalc.analysis.review import review as review
    from mtcalc.analysis.rule_check import check_rules as check_rules
    from mtcalc.analysis.table import matrix as matrix
    from mtcalc.analysis.table import search as search
    from mtcalc.csource.source import rules_from_c as rules_from_c
    from mtcalc.kvm.guest_mtrr import kvm_lookup as kvm_lookup
    from mtcalc.kvm.host_mmio import Backing as Backing
    from mtcalc.kvm.mapping_level import mapping_level as mapping_level
    from mtcalc.kvm.points import Expect as Expect
    from mtcalc.kvm.points import Page as Page
    from mtcalc.kvm.spte import decode_spte as decode_spte
    from mtcalc.kvm.versions import MmioTest as MmioTest
    from mtcalc.kvm.versions import MtrrWalk as MtrrWalk
    from mtcalc.kvm.versions import Vendor as Vendor
    from mtcalc.kvm.versions import VmType as VmType
    from mtcalc.kvm.vm import Slot as Slot
    from mtcalc.kvm.vm import Vm as Vm
    from mtcalc.linux.functions import parse_request as parse_request
    from mtcalc.linux.pat import GuestLinux as GuestLinux
    from mtcalc.patches.apply import rules_from_patch as rules_from_patch
    from mtcalc.patches.read import read_patches as read_patches
    from mtcalc.refs.resolve import resolve as resolve
    from mtcalc.rulefile.load import load_rule_file as load_rule_file
    from mtcalc.rulefile.write import write_rule_file as write_rule_file
    from mtcalc.rules.builtin import built_in_names as built_in_names
    from mtcalc.rules.inputs import Facts as Facts
    from mtcalc.rules.kernel import Kernel as Kernel
    from mtcalc.rules.platform import on_platform as on_platform
    from mtcalc.rules.rule import Rule as Rule
    from mtcalc.rules.rule import RuleSet as RuleSet
    from mtcalc.rules.rule import decide as decide
    from mtcalc.rules.trace import trace as trace
    from mtcalc.scenario.json_schema import json_schema as json_schema
    from mtcalc.scenario.load import load_scenario as load_scenario
    from mtcalc.scenario.record import Scenario as Scenario
    from mtcalc.text.errors import InputError as InputError
    from mtcalc.text.errors import Place as Place
    from mtcalc.x86.effective import effective_type as effective_type
    from mtcalc.x86.ept_entry import decode_entry as decode_entry
    from mtcalc.x86.memtype import MemType as MemType
    from mtcalc.x86.memtype import NptType as NptType
    from mtcalc.x86.memtype import parse_memtype as parse_memtype
    from mtcalc.x86.mtrr import Mtrrs as Mtrrs
    from mtcalc.x86.mtrr import decode_registers as decode_registers
    from mtcalc.x86.mtrr import manual_lookup as manual_lookup
    from mtcalc.x86.pat import Pat as Pat
    from mtcalc.x86.pat import decode_pat as decode_pat

_WHERE = {
    "analysis.answer": "Answer NptEntry",
    "analysis.lookup": "lookup",
    "analysis.diff": "Diff diff",
    "analysis.diff_words": "sentence",
    "analysis.evaluate": "Evaluator",
    "analysis.expectations": "check_expectations",
    "analysis.explain": "explain_lookup explain_page",
    "analysis.guest_pages": "request_page",
    "analysis.mtrr_map": "MtrrView",
    "analysis.requests": "lookup_request",
    "analysis.review": "review",
    "analysis.rule_check": "check_rules",
    "analysis.table": "matrix search",
    "kvm.guest_mtrr": "kvm_lookup",
    "kvm.host_mmio": "Backing",
    "kvm.mapping_level": "mapping_level",
    "kvm.points": "Expect Page",
    "kvm.spte": "decode_spte",
    "kvm.versions": "MmioTest MtrrWalk Vendor VmType",
    "kvm.vm": "Slot Vm",
    "linux.functions": "parse_request",
    "linux.pat": "GuestLinux",
    "csource.source": "rules_from_c",
    "rules.inputs": "Facts",
    "rules.kernel": "Kernel",
    "rules.builtin": "built_in_names",
    "rules.platform": "on_platform",
    "patches.read": "read_patches",
    "patches.apply": "rules_from_patch",
    "refs.resolve": "resolve",
    "rules.rule": "Rule RuleSet decide",
    "rulefile.load": "load_rule_file",
    "rulefile.write": "write_rule_file",
    "rules.trace": "trace",
    "scenario.json_schema": "json_schema",
    "scenario.load": "load_scenario",
    "scenario.record": "Scenario",
    "text.errors": "InputError Place",
    "x86.effective": "effective_type",
    "x86.ept_entry": "decode_entry",
    "x86.memtype": "MemType NptType parse_memtype",
    "x86.mtrr": "Mtrrs decode_registers manual_lookup",
    "x86.pat": "Pat decode_pat",
}
_MODULE = {name: module for module, names in _WHERE.items() for name in names.split()}

__all__ = ["__version__", *_MODULE]


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'mtcalc' has no attribute '{name}'")
    from importlib import import_module

    value = getattr(import_module(f"mtcalc.{_MODULE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
