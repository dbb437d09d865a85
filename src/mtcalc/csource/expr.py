# SPDX-License-Identifier: GPL-2.0-only
"""C expressions evaluated over states: each state is one way the decisions so far can have gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from tree_sitter import Node

from mtcalc.csource.masks import NEVER, Masked
from mtcalc.csource.operands import (
    READS_ATOMIC,
    as_it_is,
    bool_compared,
    holder_of,
    masking_call,
    range_of,
    truth_as_long,
    turned_back,
)
from mtcalc.csource.parse import Function, Source, walk
from mtcalc.csource.predicates import (
    BIT_MACROS,
    CONFIG_MACROS,
    CONFIGURED,
    EXPECTING,
    NO_CALLS,
    RANGE_MACROS,
    TRANSPARENT,
    is_guest_mtrr,
    register_of,
    spelling_of,
)
from mtcalc.csource.state import Scope, State, child, text_of
from mtcalc.csource.tree import (
    Branch,
    Slot,
    all_of,
    any_of,
    simplified,
)
from mtcalc.csource.types import (
    BOOL,
    BYTE,
    INT,
    LONG,
    ULONG,
    UNKNOWN,
    AnyType,
    CType,
    Pointer,
)
from mtcalc.csource.typing import Typing
from mtcalc.csource.values import (
    AND_AND,
    OR_OR,
    POSTFIX,
    PRECEDENCE,
    UNARY,
    Bits,
    Val,
    assumption,
    binary,
    convert,
    literal,
    number,
    truth,
    truth_value,
    unary,
)
from mtcalc.csource.words import written
from mtcalc.rules.condition import ALWAYS, Condition
from mtcalc.rules.inputs import GUEST_MTRR
from mtcalc.text.errors import InputError

_POSTFIX = ("field_expression", "subscript_expression", "call_expression")
_WRITES = ("assignment_expression", "update_expression")


class Reader(Typing):
    """Evaluates expressions. The executor of statements builds on it (and gives it calls of helpers)."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.running: list[str] = []  # the functions being executed, outermost first
        self.called: set[str] = set()  # every function called by its name
        self.kept: set[str] = set()  # those of them that the file defines, and whose known meaning was taken

    def call_helper(
        self, node: Node, helper: Function, arguments: list[Val], state: State, scope: Scope
    ) -> list[tuple[State, Val]]:
        """What a function of the same file makes of its arguments. Raises InputError."""
        raise NotImplementedError

    def means_what_it_does(self, name: str, node: Node, listed: list[Node], state: State, scope: Scope) -> bool:
        """Whether a known helper that the file defines, and that is not followed, is the kernel's own."""
        raise NotImplementedError

    def truths(self, node: Node, state: State, scope: Scope) -> list[tuple[State, Condition]]:
        """An expression as a condition."""
        return [(after, truth(val)) for after, val in self.values(node, state, scope)]

    # Expressions

    def values(self, node: Node, state: State, scope: Scope) -> list[tuple[State, Val]]:
        """The values an expression can have, each with the state it has it in. Raises InputError."""
        method = self._KINDS.get(node.type)
        if method is None:
            what = node.type.replace("_", " ")
            self.refuse(f"{what} is not understood here (memory types, constants and conditions)", node, scope)
        self.enter(node, scope)
        found = method(self, node, state, scope)
        self.leave()
        return self.checked(found, node, scope)

    def _parenthesized(self, node: Node, state: State, scope: Scope) -> list[tuple[State, Val]]:
        inner = node.named_children
        if len(inner) != 1:
            self.refuse("not understood (one expression in the parentheses)", node, scope)
        return self.values(inner[0], state, scope)

    def _literal(self, node: Node, state: State, scope: Scope) -> list[tuple[State, Val]]:
        return [(state, self.attempt(partial(literal, text_of(node)), node, scope))]

    def _word(self, node: Node, state: State, scope: Scope) -> list[tuple[State, Val]]:
        return [(state, self.name(text_of(node), node, state, scope))]

    def _field(self, node: Node, state: State, scope: Scope) -> list[tuple[State, Val]]:
        argument, field = child(node, "argument"), child(node, "field")
        operator = child(node, "operator")
        found = []
        for after, val in self.values(argument, state, scope):
            if not val.opaque:
                self.refuse(f"`{val.text}` has no fields (a pointer to a structure)", node, scope)
            found.append((after, self.known_text(f"{holder_of(val, text_of(operator))}{text_of(field)}")))
        return found

    def _subscript(self, node: Node, state: State, scope: Scope) -> list[tuple[State, Val]]:
        found = []
        for after, val in self.values(child(node, "argument"), state, scope):
            for then, index in self.values(child(node, "index"), after, scope):
                if not val.opaque or index.ref is not None:
                    self.refuse(f"`{val.text}[{index.text}]` is not followed (a plain local)", node, scope)
                at = "0" if index.num == 0 else index.text
                found.append((then, Val(f"{val.inside(UNARY + 1)}[{at}]")))
        return found

    def known_text(self, text: str) -> Val:
        """An expression that only its text tells of: a spelling we know, or opaque."""
        if is_guest_mtrr(text):
            return Val(text, type=BYTE, bits=Bits(0, GUEST_MTRR, 0))
        spelling = spelling_of(text)
        if spelling is not None and spelling.boolean:
            return truth_value(spelling.condition, text)
        register = register_of(text)
        if register is not None:
            return Val(text, type=CType(register.width, False), mask=Masked(register))
        return Val(text, type=INT if READS_ATOMIC.match(text) else UNKNOWN)

    def _unary(self, node: Node, state: State, scope: Scope) -> list[tuple[State, Val]]:
        operator = scope.function.text_of(child(node, "operator"))
        if operator in ("*", "&"):
            return self._pointer(node, state, scope)
        found = []
        for after, val in self.values(child(node, "argument"), state, scope):
            parts = [(after, val)] if operator == "!" else self.split(val, after, node, scope)
            for then, one in parts:
                found.append((then, self.attempt(partial(unary, operator, one), node, scope)))
        return found

    def _pointer(self, node: Node, state: State, scope: Scope) -> list[tuple[State, Val]]:
        operator = scope.function.text_of(child(node, "operator"))
        argument = child(node, "argument")
        if operator == "&":
            var = scope.names.get(text_of(argument)) if argument.type == "identifier" else None
            if var is not None:
                return [(state, Val(f"&{var.name}", UNARY, ref=var))]
        found = []
        for after, val in self.values(argument, state, scope):
            if operator == "*" and val.ref is not None:
                if val.ref not in after.env:
                    self.refuse(f"{val.ref.name} has no value yet here (an assignment on every way)", node, scope)
                found.append((after, after.env[val.ref]))
            elif val.opaque and turned_back(operator, val) is not None:
                found.append((after, self.known_text(turned_back(operator, val) or "")))
            elif val.opaque or (operator == "&" and argument.type in ("field_expression", "subscript_expression")):
                found.append((after, Val(operator + val.inside(UNARY), UNARY)))
            else:
                self.refuse(f"`{operator}{val.text}` is not followed (the address of a local)", node, scope)
        return found

    def _cast(self, node: Node, state: State, scope: Scope) -> list[tuple[State, Val]]:
        kind = self.described_type(child(node, "type"), scope)
        return self._cast_to(kind, child(node, "value"), node, state, scope)

    def _cast_to(self, kind: AnyType, value: Node, node: Node, state: State, scope: Scope) -> list[tuple[State, Val]]:
        found = []
        for after, val in self.values(value, state, scope):
            if isinstance(kind, Pointer) and val.ref is None:
                found.append((after, val))
            else:
                new = self.attempt(partial(convert, val, kind), node, scope)
                # A conversion that the source writes is told, but for what the tables know.
                told = new.opaque and new.mask is None and spelling_of(val.text) is None
                found.append((after, new._replace(text=written(new.text)) if told else new))
        return found

    def _binary(self, node: Node, state: State, scope: Scope) -> list[tuple[State, Val]]:
        operator = text_of(child(node, "operator"))
        left, right = child(node, "left"), child(node, "right")
        if operator in ("&&", "||"):
            return self._logical(operator, left, right, state, scope)
        if operator not in PRECEDENCE:
            self.refuse(f"operator {operator} is not understood here (memory types are shifted and or'd)", node, scope)
        found = []
        for after, a in self.values(left, state, scope):
            for then, b in self.values(right, after, scope):
                whole = bool_compared(operator, a, b)
                found += [(then, whole)] if whole is not None else self.computed(operator, a, b, then, node, scope)
        return found

    def computed(
        self, operator: str, a: Val, b: Val, state: State, node: Node, scope: Scope
    ) -> list[tuple[State, Val]]:
        """A binary operator on two values; those that are conditions as 0 and 1, each in its own state."""
        if as_it_is(operator, a, b):
            return [(state, self.attempt(partial(binary, operator, a, b), node, scope))]
        return [
            (second, self.attempt(partial(binary, operator, x, y), node, scope))
            for first, x in self.split(a, state, node, scope)
            for second, y in self.split(b, first, node, scope)
        ]

    def _logical(self, operator: str, left: Node, right: Node, state: State, scope: Scope) -> list[tuple[State, Val]]:
        """&& and ||: one condition where the right side neither decides nor writes anything of its own."""
        both = operator == "&&"
        prec = AND_AND if both else OR_OR
        join = all_of if both else any_of
        found: list[tuple[State, Val]] = []
        for after, a in self.values(left, state, scope):
            first = simplified(truth(a), after.known)
            if first == (NEVER if both else ALWAYS):
                found.append((after, number(int(not both), INT)))
                continue
            branch = Branch(first, self.line(left, scope), Slot(), Slot())
            sides = self.sides(branch, after)
            asked, short = sides if both else (sides[1], sides[0])
            results = self.values(right, asked, scope)
            if len(results) == 1 and results[0][0].slot is asked.slot and results[0][0].env is after.env:
                b = results[0][1]
                text = f"{a.inside(prec)} {operator} {b.inside(prec + 1)}"
                found.append((after, truth_value(join((first, truth(b))), text, prec)))
                continue
            if first in (ALWAYS, NEVER):
                # The right side alone counts; what it decides takes this state's place in the tree.
                after.slot.tree = asked.slot.tree
                settled = [(s._replace(slot=after.slot) if s.slot is asked.slot else s, v) for s, v in results]
            else:
                after.slot.tree = branch
                found.append((short, number(int(not both), INT)))
                settled = results
            for then, b in settled:
                found.append((then, self.attempt(partial(convert, b, BOOL), right, scope)._replace(type=INT)))
        return found

    def _conditional(self, node: Node, state: State, scope: Scope) -> list[tuple[State, Val]]:
        parts = [node.child_by_field_name(name) for name in ("condition", "consequence", "alternative")]
        if any(part is None for part in parts):
            self.refuse("?: without a middle is not understood (both values)", node, scope)
        asked, if_yes, if_no = (part for part in parts if part is not None)
        kind = self.type_of(node, scope)
        found = []
        for after, condition in self.truths(asked, state, scope):
            yes, no = self.fork(condition, after, asked, scope)
            for arm, start in ((if_yes, yes), (if_no, no)):
                if start is not None:
                    found += [
                        (then, self._as_arm(val, kind, arm, scope)) for then, val in self.values(arm, start, scope)
                    ]
        return found

    def _as_arm(self, val: Val, kind: CType, node: Node, scope: Scope) -> Val:
        """An arm of ?: in the type that both have in common."""
        if val.ref is not None or val.opaque:
            return val
        if kind != UNKNOWN:
            return self.attempt(partial(convert, val, kind), node, scope)
        if val.num is not None:
            return self.attempt(partial(number, val.num, UNKNOWN, val.text), node, scope)._replace(prec=val.prec)
        return val._replace(type=UNKNOWN) if val.mask is None else val

    def _call(self, node: Node, state: State, scope: Scope) -> list[tuple[State, Val]]:
        function, listed = child(node, "function"), child(node, "arguments").named_children
        if function.type == "parenthesized_expression":
            inner = function.named_children
            kind = self.integer(text_of(inner[0]), inner[0], scope) if len(inner) == 1 else None
            if kind is not None and len(listed) == 1:
                holder = node.parent
                if holder is not None and holder.type in _POSTFIX and holder.named_children[0] == node:
                    self.refuse(
                        "a cast of something with more behind it (parentheses around what is cast)", node, scope
                    )
                return self._cast_to(kind, listed[0], node, state, scope)
        if function.type == "field_expression":
            called = self.values(function, state, scope)
            if len(called) != 1:
                self.refuse("a call that is not understood (a function by its name)", function, scope)
            return self.unknown_call(called[0][1].text, node, listed, state, scope)
        name = text_of(function)
        if name in NO_CALLS:
            self.refuse(f"{name} is not understood here (the type's own name)", function, scope)
        if function.type != "identifier" or name in scope.names:
            self.refuse("a call that is not understood (a function by its name)", function, scope)
        self.called.add(name)
        macro = self.source.macro(name, scope.function.offset + node.start_byte)
        if macro is not None and not self.means_what_it_does(name, node, listed, state, scope):
            self.refuse(f"{name} is a macro that is not followed (a function)", function, scope)
        if macro is None:
            found = self._defined_call(name, node, listed, state, scope)
            if found is not None:
                return found
        if (name in TRANSPARENT or name in EXPECTING) and listed:
            return self._first_of(name, node, listed, state, scope)
        if name in CONFIG_MACROS and len(listed) == 1 and listed[0].type == "identifier":
            text = f"{name}({text_of(listed[0])})"
            known = name == "IS_ENABLED" and text_of(listed[0]) in CONFIGURED
            return [(state, truth_value(ALWAYS if known else assumption(text), text))]
        return self.unknown_call(name, node, listed, state, scope)

    def _first_of(
        self, name: str, node: Node, listed: list[Node], state: State, scope: Scope
    ) -> list[tuple[State, Val]]:
        """What a macro makes of its first argument, the only one that counts."""
        for other in listed[1:]:
            self.without_effect(other, scope)
        found = self.values(listed[0], state, scope)
        if name in EXPECTING:
            return self._as_long(found, node, scope)
        if TRANSPARENT[name]:
            return [(after, self.attempt(partial(truth_as_long, val), node, scope)) for after, val in found]
        return found

    def _as_long(self, found: list[tuple[State, Val]], node: Node, scope: Scope) -> list[tuple[State, Val]]:
        return [(after, self.attempt(partial(convert, val, LONG), node, scope)) for after, val in found]

    def without_effect(self, node: Node, scope: Scope) -> None:
        """Refuses an expression that is passed over and yet writes a local. Raises InputError."""
        for part in walk(node):
            signed = part.type in ("pointer_expression", "unary_expression")
            address = signed and scope.function.text_of(part).startswith("&")
            if part.type in _WRITES or (address and text_of(child(part, "argument")) in scope.names):
                self.refuse("a local written in passing (a statement of its own)", part, scope)

    def _defined_call(
        self, name: str, node: Node, listed: list[Node], state: State, scope: Scope
    ) -> list[tuple[State, Val]] | None:
        """What the file's own function of a name makes of its arguments; None where there is none.

        Also of a function that goes by a name we know: its body counts. Where the body can't be followed and
        is the kernel's own for all that can be told, the name's meaning holds: None then.
        """
        depth, running, reached = self._depth, len(self.running), set(self.reached)
        try:
            helper = self.source.function(name)
            if helper is None:
                at = self.source.defined_otherwise(name)
                if at is None:
                    return None
                what = f"a definition of {name} that is not followed (type and name, starting in column 1)"
                self.source.refuse(what, at)
            return [
                one
                for after, values in self.arguments(listed, state, scope)
                for one in self.call_helper(node, helper, values, after, scope)
            ]
        except InputError:
            self._depth, self.reached = depth, reached
            del self.running[running:]
            if name in self.running or not self.means_what_it_does(name, node, listed, state, scope):
                raise
        return None

    def arguments(self, listed: list[Node], state: State, scope: Scope) -> list[tuple[State, list[Val]]]:
        """The values of a call's arguments."""
        found: list[tuple[State, list[Val]]] = [(state, [])]
        for node in listed:
            found = [(then, [*before, val]) for after, before in found for then, val in self.values(node, after, scope)]
        return found

    def unknown_call(
        self, name: str, node: Node, listed: list[Node], state: State, scope: Scope
    ) -> list[tuple[State, Val]]:
        found = []
        for after, values in self.arguments(listed, state, scope):
            for val, argument in zip(values, listed, strict=True):
                if val.ref is not None:
                    what = f"{name} is not in this file, and can write {val.ref.name}"
                    self.refuse(f"{what} (its definition in the same file)", argument, scope)
            text = f"{name}({', '.join(val.text for val in values)})"
            if name in BIT_MACROS and len(values) == 1 and values[0].num is not None:
                bit = self.attempt(partial(binary, "<<", number(1, ULONG), values[0]), node, scope)
                found.append((after, bit._replace(text=text, prec=POSTFIX)))
                continue
            if name in RANGE_MACROS and len(values) == 2 and all(val.num is not None for val in values):
                found.append((after, self.attempt(partial(range_of, values, text), node, scope)))
                continue
            found.append((after, masking_call(name, values, text) or self.known_text(text)))
        return found

    _KINDS: Mapping[str, Callable[[Reader, Node, State, Scope], list[tuple[State, Val]]]] = {
        "parenthesized_expression": _parenthesized,
        "number_literal": _literal,
        "identifier": _word,
        "true": _word,
        "false": _word,
        "null": _word,
        "field_expression": _field,
        "subscript_expression": _subscript,
        "unary_expression": _unary,
        "pointer_expression": _pointer,
        "cast_expression": _cast,
        "binary_expression": _binary,
        "conditional_expression": _conditional,
        "call_expression": _call,
    }
