# SPDX-License-Identifier: GPL-2.0-only
"""C functions executed: vmx_get_mt_mask() itself, and helpers of the same file with arguments."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from tree_sitter import Node

from mtcalc.csource.exec import Statements
from mtcalc.csource.helpers import is_the_kernel_s_own
from mtcalc.csource.masks import NEVER
from mtcalc.csource.parse import Function
from mtcalc.csource.predicates import KNOWN_HELPERS, MMIO_PARAMETER, MMIO_PLACE
from mtcalc.csource.state import Scope, State, child, text_of
from mtcalc.csource.tree import Leaf, Slot, as_condition
from mtcalc.csource.types import BOOL, PLAIN_CHAR, UNKNOWN, AnyType, CType, Pointer, integer_type, is_plain_char
from mtcalc.csource.values import Val, Var, convert, truth_value
from mtcalc.csource.words import named
from mtcalc.rules.condition import ALWAYS, Atom, Condition
from mtcalc.rules.inputs import MMIO


class Executor(Statements):
    """Executes functions of one file."""

    def run(
        self, function: Function, arguments: list[Val] | None, state: State
    ) -> list[tuple[State, Val | None, Node, Scope]]:
        """Every way to a return, its value converted to the function's type (None for void).

        Without arguments every parameter is what its name says. Raises InputError.
        """
        outer = Scope(function, {})
        declarator = child(function.node, "declarator")
        kind: AnyType | None
        words = text_of(child(function.node, "type"))
        if arguments is not None and declarator.type == "pointer_declarator":
            declarator, kind = child(declarator, "declarator"), Pointer(None)
        else:
            kind = self.integer(words, child(function.node, "type"), outer)
        if declarator.type != "function_declarator":
            self.refuse(f"{function.name} does not return a number (an integer type)", declarator, outer)
        if is_plain_char(words):
            self.refuse(PLAIN_CHAR, child(function.node, "type"), outer)
        if kind is None and words != "void":
            self.refuse(f"unknown type '{words}' (an integer type of the kernel)", child(function.node, "type"), outer)
        names, state = self._bind(function, declarator, arguments, state, outer)
        scope = Scope(function, names)
        self.running.append(function.name)
        body = child(function.node, "body")
        done = self._block(body, state, scope)
        self.running.pop()
        for _, node in done.gotos:
            label = text_of(child(node, "label"))
            self.refuse(f"goto {label} goes backwards or nowhere (a label further down)", node, scope)
        for _, node in done.breaks:
            self.refuse(f"{text_of(node).rstrip(';')} outside a switch (return, goto or a switch)", node, scope)
        found: list[tuple[State, Val | None, Node, Scope]] = []
        for after, val, node in done.returns:
            if (val is None) is not (kind is None):
                what = "a value" if val is None else "no value"
                self.refuse(
                    f"{function.name} returns {words}, and here {what.replace('a value', 'nothing')} "
                    f"({'a value' if kind else 'no value'})",
                    node,
                    scope,
                )
            if val is not None and kind is not None:
                # The byte is cut to its type by the caller, which knows that only 8 bits count.
                cut = arguments is not None or kind == BOOL
                if cut and not (isinstance(kind, Pointer) and val.ref is None):
                    val = self.attempt(partial(convert, val, kind), node, scope)
            found.append((after, val, node, scope))
        end = body.children[-1]
        for after in done.on:
            if kind is not None:
                self.refuse(f"{function.name} can end here without a return (a value on every way)", end, scope)
            found.append((after, None, end, scope))
        return found

    def _bind(
        self, function: Function, declarator: Node, arguments: list[Val] | None, state: State, scope: Scope
    ) -> tuple[Mapping[str, Var], State]:
        parameters = [node for node in child(declarator, "parameters").named_children if text_of(node) != "void"]
        if arguments is not None and len(parameters) != len(arguments):
            what = f"{function.name} takes {len(parameters)} arguments, and is called with {len(arguments)}"
            self.refuse(f"{what} (as many)", declarator, scope)
        names: dict[str, Var] = {}
        env = dict(state.env)
        words = _parameter_words(parameters) if arguments is None else {}
        for at, node in enumerate(parameters):
            inner = node.child_by_field_name("declarator")
            if node.type != "parameter_declaration" or inner is None:
                self.refuse("a parameter that is not understood (a type and a name)", node, scope)
            kind = self.integer(text_of(child(node, "type")), node, scope)
            var = self._declared(inner, kind, function, scope, opaque=True)
            names[var.name] = var
            if arguments is not None:
                val = arguments[at]
                if isinstance(var.type, CType) or val.ref is not None:
                    val = self.attempt(partial(convert, val, var.type), node, scope)
                env[var] = val
            elif isinstance(var.type, CType) and (
                var.name == MMIO_PARAMETER or (var.name == "mmio" and at == MMIO_PLACE)
            ):
                # Whatever its integer type: callers pass what the host-MMIO test says, 0 or 1.
                env[var] = truth_value(Atom(MMIO), var.name)._replace(type=var.type)
            else:
                kind = var.type if isinstance(var.type, CType) else UNKNOWN
                env[var] = Val(named(words.get(var.name, var.name), var.name), type=kind)
        return names, state._replace(env=env)

    def means_what_it_does(self, name: str, node: Node, listed: list[Node], state: State, scope: Scope) -> bool:
        """Whether a known helper that the file defines, and that is not followed, is the kernel's own."""
        if name not in KNOWN_HELPERS or name in self.running:
            return False
        depth, reached = self._depth, set(self.reached)
        aside = state._replace(slot=Slot())
        given = self.arguments(listed, aside, scope)
        known = self.unknown_call(name, node, listed, aside, scope)
        own = len(given) == len(known) == 1
        own = own and is_the_kernel_s_own(self, name, node, given[0][1], state, scope, known[0][1])
        self._depth, self.reached = depth, reached
        if own:
            self.kept.add(name)
        return own

    def call_helper(
        self, node: Node, helper: Function, arguments: list[Val], state: State, scope: Scope
    ) -> list[tuple[State, Val]]:
        """A helper executed in place; one that just answers yes or no becomes a condition."""
        if helper.name in self.running:
            self.refuse(f"{helper.name} calls itself (helpers without recursion)", node, scope)
        start = state._replace(slot=Slot())
        ends = self.run(helper, arguments, start)
        if not ends:
            self.refuse(f"{helper.name} never returns (a value on every way)", node, scope)
        text = f"{helper.name}({', '.join(val.text for val in arguments)})"
        found = []
        pure = True
        for after, val, _, _ in ends:
            env = {var: kept for var, kept in after.env.items() if var.owner != helper.name}
            same = env == state.env
            pure = pure and same
            found.append((after._replace(env=state.env if same else env), val or Val("", prec=0)))
        answers = [val.cond if val.cond is not None else _settled(val) for _, val in found]
        if pure and all(answer is not None for answer in answers):
            for (after, _), answer in zip(found, answers, strict=True):
                assert answer is not None
                after.slot.tree = Leaf(answer, 0)
            return [(state, truth_value(as_condition(start.slot), text)._replace(type=found[0][1].type))]
        if start.slot.tree is None:  # one way, no decision
            return [(after._replace(slot=state.slot), val._replace(text=val.text or text)) for after, val in found]
        state.slot.tree = start.slot.tree
        return found


_WORDS = {
    "struct kvm_vcpu": "vcpu",
    "struct kvm": "kvm",
    "struct kvm_memory_slot": "slot",
    "struct kvm_page_fault": "fault",
    "gfn_t": "gfn",
    "kvm_pfn_t": "pfn",
    "pfn_t": "pfn",
}
"""By its type, what the tables call a parameter, whatever its own name is."""


def _parameter_words(parameters: list[Node]) -> dict[str, str]:
    """What the tables call each parameter. One of another type that has such a name is called nothing they know."""
    found: dict[str, str] = {}
    meant: dict[str, list[str]] = {}
    for node in parameters:
        inner = node.child_by_field_name("declarator")
        while inner is not None and inner.type == "pointer_declarator":
            inner = inner.child_by_field_name("declarator")
        if inner is None or node.child_by_field_name("type") is None:
            continue
        name, kind = text_of(inner), text_of(child(node, "type"))
        word = _WORDS.get(kind)
        if word is not None:
            meant.setdefault(word, []).append(name)
        elif name in ("mem", "memslot", *_WORDS.values()) and not (name in ("gfn", "pfn") and integer_type(kind)):
            found[name] = f"other {name}"
    for word, names in meant.items():
        for name in names:
            found[name] = word if name == word or (word not in names and len(names) == 1) else f"other {name}"
    return found


def _settled(val: Val) -> Condition | None:
    """ALWAYS or NEVER for the numbers 1 and 0."""
    if val.num not in (0, 1):
        return None
    return ALWAYS if val.num else NEVER
