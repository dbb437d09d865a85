# SPDX-License-Identifier: GPL-2.0-only
"""The JSON Schemas of what commands write as JSON, and of rule files.

A schema says which keys are always there and what they hold. Keys may be added from release to release, none is
renamed or dropped: so no output is closed against further ones (a rule file, which is input, is).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mtcalc.rules.inputs import KINDS, Kind
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_BOOL: Schema = {"type": "boolean"}
_HEX: Schema = {"type": "string", "pattern": "^0x[0-9a-f]+$"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_LEVEL: Schema = {"enum": ["4K", "2M", "1G"]}
_PAT: Schema = {"enum": [str(kind) for kind in PAT_TYPES]}
_MTRR: Schema = {"enum": [str(kind) for kind in MTRR_TYPES]}
# Under AMD's NPT also CD (cacheable memory accessed uncached, with snooping) and WC+ (WC that snoops).
_EFFECTIVE: Schema = {"enum": [*(str(kind) for kind in PAT_TYPES), "CD", "WC+"]}
# "unknown": what 4.2 and 4.3 take from bytes of their own.
_READ: Schema = {"enum": [*_MTRR["enum"], "unknown"]}
_MEMTYPE: Schema = {"anyOf": [_MTRR, {"type": "string", "pattern": "^reserved [237]$"}]}
_IPAT: Schema = {"enum": [0, 1]}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _map(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def _object(keys: dict[str, Schema], **optional: Schema) -> Schema:
    """An object that has all of `keys`, and may have the optional ones and others."""
    return {"type": "object", "properties": {**keys, **optional}, "required": list(keys)}


def _one_or_more(schema: Schema) -> Schema:
    return {"anyOf": [schema, _list(schema)]}


# Answers ----------------------------------------------------------------------------------------------------


def _input(kind: Kind, plain: Callable[[Schema], Schema]) -> Schema:
    """One input's value; `plain` makes what it may be beside one memory type."""
    if kind.disabled:
        return _map(_BOOL)  # true: in force
    if kind.bits:
        return _TEXTS
    return plain(_MTRR) if kind.typed else _BOOL


_NAMED = [kind for kind in KINDS.values() if not kind.text]
_INPUTS = {**{kind.key: _input(kind, _or_null) for kind in _NAMED}, "guest_mtrr": _or_null(_READ)}
_ASSUME = _map({"anyOf": [_BOOL, _MTRR]})
# On AMD, and of TDs and SNP guests, alone.
_PLATFORM = {"host_mtrr": _or_null(_MTRR), "vm_type": {"enum": ["td", "snp"]}, "private": _BOOL}
_NPT = _object({"index": {"enum": list(range(8))}, "memtype": _PAT})
_EPT = _object({"memtype": _MEMTYPE, "ipat": _IPAT, "mask": _HEX})
_BY_PAT = {"type": "object", "propertyNames": _PAT, "additionalProperties": _or_null(_EFFECTIVE)}

ANSWER = _object(
    {
        "rules": _TEXT,
        "ref": _TEXT,
        "gpa": _or_null(_HEX),
        "slot": _or_null(_TEXT),
        "level": _or_null(_LEVEL),
        "inputs": _or_null(_object(_INPUTS, assume=_ASSUME, **_PLATFORM)),
        "pat": _or_null(_PAT),
        "rule": _or_null(_object({"id": _TEXT, "text": _TEXT})),
        "ept": _or_null(_EPT),
        "effective": {"anyOf": [{"type": "null"}, _EFFECTIVE, _BY_PAT]},
        "notes": _TEXTS,
    },
    end=_HEX,
    npt=_or_null(_NPT),
    request=_TEXT,  # these three with a request
    guest={"type": "string", "pattern": "^linux-[0-9.]+(-rc)?$"},
    pat_index=_or_null({"enum": list(range(8))}),
)
_WHO = _object(
    {
        "vendor": {"enum": ["intel", "amd"]},
        "kernel": _TEXT,
        "rules": _TEXTS,
        "vmm": _or_null(_TEXT),
        "slot_flag": _or_null(_TEXT),
        "honours_pat": {"enum": ["yes", "no", "only"]},
        "needs": _TEXTS,
        "source": _TEXT,
        "notes": _TEXTS,
    }
)
# One value where one PAT type was asked for, else one a type.
_L2_PAT = {"type": "object", "propertyNames": _PAT, "additionalProperties": _or_null(_PAT)}
_PAT_INDEX = _or_null({"enum": list(range(8))})
_L2 = _object(
    {
        "pat_from": {"enum": ["vmcs12", "vmcb12", "l1", "hardware"]},
        "register": _or_null(_HEX),
        "own_register": _or_null(_HEX),
        "pat": {"anyOf": [{"type": "null"}, _PAT, _L2_PAT]},
        "pat_index": {
            "anyOf": [_PAT_INDEX, {"type": "object", "propertyNames": _PAT, "additionalProperties": _PAT_INDEX}]
        },
        "effective": {"anyOf": [{"type": "null"}, _EFFECTIVE, _BY_PAT]},
    },
    quirks=_map(_BOOL),
)
_EXPLANATION = _object(
    {
        "answer": ANSWER,
        "steps": _list(
            _object({"step": _TEXT, "result": _TEXT, "text": _TEXTS, "source": {"type": ["string", "null"]}})
        ),
    },
    l2=_L2,  # with --l2
)
_VERDICT = _object(
    {
        "gpa": _or_null(_HEX),
        "pat": _or_null(_PAT),
        "at": _TEXT,
        "ok": _BOOL,
        "failures": _list(_object({"key": _TEXT, "wanted": {}, "got": {}})),
        "notes": _TEXTS,
    },
    request=_TEXT,
    file=_TEXT,
    hazard=_TEXT,
    no_hazard=_TEXT,
    slot=_or_null(_TEXT),
)
_CODE: Schema = {"type": "string", "pattern": "^MT[0-9]{3}$"}
_GRAVITY: Schema = {"enum": ["error", "warning", "note"]}
_HAZARD = _object(
    {
        "code": _CODE,
        "name": _TEXT,
        "level": _GRAVITY,
        "slot": _or_null(_TEXT),
        "gpa": _or_null(_HEX),
        "end": _or_null(_HEX),
        "text": _TEXT,
        "remedy": _TEXT,
        "source": _TEXT,
    },
    file=_TEXT,
)
_HAZARD_ROW = _object(
    {"code": _CODE, "level": _GRAVITY, **dict.fromkeys(("name", "title", "when", "harm", "remedy", "source"), _TEXT)}
)


def _in_file(schema: Schema) -> Schema:
    """What a line of several files' findings has: the file it is about."""
    return {**schema, "required": ["file", *schema["required"]]}


_CHECKED = _object(
    {
        "file": _TEXT,
        "rules": _TEXT,
        "expectations": _list(_VERDICT),
        "hazards": _list(_HAZARD),
        "failed": _COUNT,
        "notes": _TEXTS,
    }
)

# Differences ------------------------------------------------------------------------------------------------

# Of several values an input or an outcome may have, a list; what is "guest_mtrr" follows that type.
_SOME_INPUTS = {
    "type": "object",
    "properties": {
        **{kind.key: _input(kind, _one_or_more) for kind in _NAMED},
        "slot_flags": {"anyOf": [_TEXTS, _map(_BOOL)]},
        "host_mtrr": _one_or_more(_MTRR),
        "assume": _map(_one_or_more({"anyOf": [_BOOL, _MTRR]})),
    },
}
_SIDE = _object(
    {
        "memtype": _TEXT,
        "ipat": _IPAT,
        "mask": _or_null(_HEX),
        "effective": {
            "type": "object",
            "propertyNames": _PAT,
            "additionalProperties": _one_or_more(_or_null(_EFFECTIVE)),
        },
    },
    npt=_NPT,
)
_CHANGE = {
    **_object({"before": _SIDE, "after": _SIDE}, when=_SOME_INPUTS, inputs=_SOME_INPUTS, count=_COUNT),
    "anyOf": [{"required": ["when", "count"]}, {"required": ["inputs"]}],  # --expand: inputs
}
_MMIO = _object({"mmio": _BOOL})
_MMIO_INPUT = {"anyOf": [_BOOL, _one_or_more(_PAT), _map(_BOOL)]}  # the last: "assume"
_MMIO_ROW = _object({"inputs": _map(_MMIO_INPUT), "before": _MMIO, "after": _MMIO})
_DIFF_KEYS = {
    "before": _TEXT,
    "after": _TEXT,
    "before_ref": _TEXT,
    "after_ref": _TEXT,
    "text": _TEXT,
    "changed": _COUNT,
    "reachable": _COUNT,
    "left_out": _COUNT,
    "rows": _list(_CHANGE),
    "mmio_rows": _list(_MMIO_ROW),
    "around": _list(_object({"what": _TEXT, "before": _TEXT, "after": _TEXT})),
    "notes": _TEXTS,
}
_QUESTION = _object(
    {"kind": _TEXT, "text": _TEXT, "count": _or_null(_COUNT), "pat": _or_null(_PAT), "rule": _or_null(_TEXT)},
    example={},
    code=_TEXT,
    place=_or_null(_TEXT),
)
_BESIDE = _object({"kind": _TEXT, "name": _TEXT, "text": _TEXT, "place": _TEXT})

_REVIEW = _object(
    {
        "patches": _list(
            _object(
                {"subject": _or_null(_TEXT), "author": _or_null(_TEXT), "message_id": _or_null(_TEXT)},
                touches=_BOOL,
                commit=_or_null(_TEXT),
                text=_TEXT,
                changed=_COUNT,
                rows=_list(_CHANGE),
                mmio_rows=_list(_MMIO_ROW),
                questions=_list(_QUESTION),
                beside=_list(_BESIDE),
                brings=_list(_COUNT),
            )
        ),
        "date": _or_null(_TEXT),
        "base": _or_null(_TEXT),
        "base_note": _or_null(_TEXT),
        "left_aside": _TEXTS,
        "questions": _list(_QUESTION),
        **_DIFF_KEYS,
        # Null where no patch touches a rule.
        **dict.fromkeys(("before", "after", "before_ref", "after_ref"), _or_null(_TEXT)),
        "beside": _list(_BESIDE),
        "in_between": _list(_object({"patch": _TEXT, "kind": _TEXT, "text": _TEXT})),
        "against": _or_null(_object({"file": _TEXT, "base": _or_null(_TEXT), **_DIFF_KEYS})),
    }
)

_COMMIT = _object(
    {
        "commit": {"type": "string", "pattern": "^[0-9a-f]{40}([0-9a-f]{24})?$"},
        "subject": _TEXT,
        "date": _TEXT,
        "function": {"enum": ["vmx_get_mt_mask", "kvm_is_mmio_pfn"]},
        "first": _BOOL,
        "changed": _COUNT,
        "text": _TEXT,
    }
)

# Rule sets --------------------------------------------------------------------------------------------------

_RULE = _object({"id": _TEXT, "when": _TEXT, "then": _TEXT, "text": _TEXT, "why": _TEXT, "source": _TEXT})
_RULES = _list(_RULE)
_RULE_SET = _object(
    {
        "name": _TEXT,
        "title": _TEXT,
        "mainline": _or_null(_TEXT),
        "proposal": _or_null(_TEXT),
        "rules": _RULES,
        "mmio_test": _object({"name": _TEXT, "title": _TEXT, "rules": _RULES}),
        "kernel": _map(_TEXT),
        "sources": _TEXTS,
        "unconfirmed": _TEXTS,
        "notes": _TEXTS,
    }
)
_FINDING = _object({"kind": _TEXT, "rules": _TEXTS, "text": _TEXT, "example": _map({})})

_RULE_KEYS: dict[str, Schema] = {
    "id": {**_TEXT, "description": "a name, for `rule` in an answer"},
    "when": {"type": ["string", "boolean"], "description": "a condition; a rule without one always matches"},
    "ept": {
        "description": "memory type and ignore-PAT bit, or the byte",
        "type": "object",
        "properties": {
            "memtype": {"anyOf": [{"enum": [*_MTRR["enum"], "guest_mtrr"]}, _TEXT, {"type": "object"}]},
            "ipat": {"enum": [0, 1, True, False]},
            "byte": {"type": ["integer", "string"]},
            "shift": {"type": ["integer", "string"]},
        },
        "additionalProperties": False,
    },
    "why": {**_TEXT, "description": "the reason, as explain tells it"},
    "source": {**_TEXT, "description": "where it is from"},
}
_WORD: Schema = {"type": ["string", "number"]}
_WORDS: Schema = {"anyOf": [_WORD, _list(_WORD)]}
_ACTIONS = ("insert_after", "insert_before", "replace", "remove")

_RULE_FILE: Schema = {
    "type": "object",
    "properties": {
        "name": {**_WORD, "description": "the rule set's name; by default the file's"},
        "title": _WORD,
        "kernel": {**_WORD, "description": "the release whose behaviour is around the rules"},
        "rules": _list(
            {
                "type": "object",
                "properties": _RULE_KEYS,
                "required": ["id", "ept"],
                "additionalProperties": False,
            }
        ),
        "base": {**_WORD, "description": "the rule set that `changes` vary"},
        "changes": _list(
            {
                "type": "object",
                "properties": {**dict.fromkeys(_ACTIONS, _WORD), "rules": _list({}), **_RULE_KEYS},
                "oneOf": [{"required": [action]} for action in _ACTIONS],
                "additionalProperties": False,
            }
        ),
        "sources": _WORDS,
        "unconfirmed": _WORDS,
        "mainline": {**_WORD, "description": "year and month, 2024-01"},
        "proposal": _WORD,
        "notes": _WORDS,
        "mtrr_walk": _TEXT,
        "mmio_test": {"anyOf": [_WORD, _list(_object({"mmio": _BOOL}, id=_WORD, when=_WORD, why=_WORD, source=_WORD))]},
        "split_when": {"type": ["string", "boolean"]},
        "slot_flags": _WORDS,
        "quirks": _WORDS,
        "unreachable": _list(_object({"when": {"type": ["string", "boolean"]}, "why": _TEXT})),
    },
    "additionalProperties": False,
}

# Registers --------------------------------------------------------------------------------------------------

_MANUAL: Schema = {"enum": [*_MTRR["enum"], "undefined"]}
_SEEN = _object({"gpa": _HEX, "kvm": _or_null(_READ), "manual": _MANUAL, "level": _LEVEL})
_RUN = _object({"gpa": _HEX, "end": _HEX, "type": {"enum": [*_MANUAL["enum"], "unknown"]}})
_PIECE = _object({"gpa": _HEX, "end": _HEX, "kvm": _or_null(_READ), "manual": _MANUAL, "reason": _or_null(_TEXT)})
_MAP = _object(
    {
        "rules": _TEXT,
        "ref": _TEXT,
        "maxphyaddr": _COUNT,
        "registers": _object(
            {
                "def_type": _object({"value": _HEX, "enabled": _BOOL, "fixed_enabled": _BOOL, "default": _MTRR}),
                "fixed": _map(_HEX),
                "fixed_ranges": _list(_RUN),
                "variable": _list(
                    _object(
                        {
                            "pair": _COUNT,
                            "physbase": _HEX,
                            "physmask": _HEX,
                            "valid": _BOOL,
                            "base": _HEX,
                            "size": _or_null(_HEX),
                            "type": _MTRR,
                            "irregular": _TEXTS,
                            "kvm_range": _or_null(_object({"gpa": _HEX, "end": _HEX})),
                        }
                    )
                ),
            }
        ),
        "maps": _object({"kvm": _or_null(_list(_RUN)), "manual": _list(_RUN), "complete_to": _or_null(_HEX)}),
        "disagreements": _list(_PIECE),
        "notes": _TEXTS,
    }
)
_AREA = _object(
    {
        "rules": _TEXT,
        "ref": _TEXT,
        "gpa": _HEX,
        "end": _HEX,
        "slot": _or_null(_TEXT),
        "kvm": _or_null(_READ),
        "manual": _MANUAL,
        "rule": _or_null(_TEXT),
        "ept": _or_null(_EPT),
        "effective": _or_null(_BY_PAT),
        "differs": _BOOL,
    },
    npt=_or_null(_NPT),
    requests=_or_null(
        _map(_object({"pat": _or_null(_PAT), "pat_index": _PAT_INDEX, "effective": _or_null(_EFFECTIVE)}))
    ),
)
_PAT_RECORD = _object(
    {
        "value": _HEX,
        "entries": {"type": "array", "items": _PAT, "minItems": 8, "maxItems": 8},
        "name": _or_null(_TEXT),
    }
)
_REGISTER = _object(
    {"msr": _HEX, "name": _TEXT, "value": _HEX, "text": _TEXTS, "error": _or_null(_TEXT)},
)
_SPTE_LEVEL = {"type": "integer", "minimum": 1, "maximum": 5}
_GFNS = _list(_object({"gfn": _HEX, "l1tf_width": _or_null(_COUNT)}))
_READING = {
    "level": _SPTE_LEVEL,
    "levels": _list(_SPTE_LEVEL),
    "kind": _or_null({"enum": ["leaf", "table", "empty", "removed", "mmio", "not_present", "not_ept"]}),
    "text": _TEXT,
    "era": _or_null(_TEXT),
    "memtype": _or_null(_MEMTYPE),
    "ipat": _or_null(_IPAT),
    "mask": _or_null(_HEX),
    "address": _or_null(_HEX),
    "gfn": _or_null(_HEX),
    "gfns": _GFNS,
    "generation": _or_null(_HEX),
    "flags": _TEXTS,
    "kvm_state": _TEXTS,
    "kvm_bits": _map(_COUNT),
    "access_tracked": _BOOL,
    "vendor": {"enum": ["intel", "amd"]},
    "ept": _or_null(_object({"memtype": _MEMTYPE, "ipat": _IPAT, "mask": _HEX})),
    "npt": _or_null(_object({"index": _COUNT, "memtype": _PAT})),
    "saved": _or_null(_TEXT),
    "undecided": _BOOL,
    "npt_era": _or_null(_TEXT),
    "sign": _or_null(_TEXT),
    "odd": _TEXTS,
    "misconfigurations": _TEXTS,
    "other_bits": _HEX,
    "fits": _or_null(_TEXT),
    "npt_fits": _or_null(_TEXT),
}
_SPTE = {**_READING, "value": _HEX, "ignored_bits": _HEX, "notes": _TEXTS}
_ENTRY = _object({**_SPTE, "readings": _list(_object(_READING)), "other_levels": _list(_object(_SPTE))})
_COUNTS = _map(_COUNT)
_AUDIT_SIDE: Schema = {"memtype": _MEMTYPE, "ipat": _IPAT, "mask": _HEX, "level": _or_null(_LEVEL)}
_AUDIT_LINE_KEYS: Schema = {
    "line": _COUNT,
    "address_space": _COUNT,
    "gfn": _or_null(_HEX),
    "level": _SPTE_LEVEL,
    "spte": _HEX,
}
_AUDIT_GROUP_KEYS: Schema = {
    "slot": _or_null(_TEXT),
    "reason": _TEXT,
    "cause": {"enum": ["rules", "vm", "mmio", "slot", "level", "mtrr", "stale", "era", "odd", "not-ept", "unknown"]},
    "wanted": _object({}, **_AUDIT_SIDE),
    "got": _object({"kind": _TEXT, "text": _TEXT, "level": _or_null(_LEVEL)}, **_AUDIT_SIDE),
}
_AUDIT_GROUP = _object(
    {
        **_AUDIT_GROUP_KEYS,
        "also": _TEXTS,
        "count": _COUNT,
        "example": _object(_AUDIT_LINE_KEYS, trace=_or_null(_TEXT)),
        "command": _TEXT,
    }
)
_AUDIT = _object(
    {
        **{name: _or_null(_TEXT) for name in ("rules", "ref", "label", "file", "trace", "era")},
        "lines": _COUNT,
        "complete": _BOOL,
        "unread": _list(_object({"kind": _TEXT, "count": _COUNT, "line": _COUNT})),
        "entries": _object(
            {
                "matched": _or_null(_COUNT),
                "mismatched": _or_null(_COUNT),
                "no_type": _COUNTS,
                "undecided": _COUNT,
                "no_slot": _COUNT,
                "leaves": _COUNTS,
            }
        ),
        "groups": _list(_AUDIT_GROUP),
        "notes": _TEXTS,
    },
    audits=_COUNT,
)
_AUDIT_LINE = {"anyOf": [_object({**_AUDIT_LINE_KEYS, **_AUDIT_GROUP_KEYS}), _AUDIT_GROUP]}


def _scenario() -> Schema:
    from mtcalc.scenario.json_schema import json_schema  # which brings pydantic

    return json_schema()


def _fixed(title: str, schema: Schema) -> Callable[[], Schema]:
    return lambda: {"$schema": DIALECT, "title": title, **schema}


SCHEMAS: dict[str, Callable[[], Schema]] = {
    "scenario": _scenario,
    "rule-file": _fixed("mtcalc rule file", _RULE_FILE),
    "lookup": _fixed("mtcalc lookup -o json", _list(ANSWER)),
    "eval": _fixed("mtcalc eval -o json", _object({"results": _list(ANSWER)})),
    "table": _fixed("mtcalc table -o json, and with --who", {"anyOf": [_list(ANSWER), _list(_WHO)]}),
    "explain": _fixed("mtcalc explain -o json", _EXPLANATION),
    "diff": _fixed("mtcalc diff -o json", _object(_DIFF_KEYS)),
    "review": _fixed("mtcalc review -o json", _REVIEW),
    "log": _fixed("mtcalc log -o json", _list(_COMMIT)),
    "rules-list": _fixed("mtcalc rules list -o json", _list(_RULE_SET)),
    "rules-show": _fixed("mtcalc rules show -o json", _RULE_SET),
    "rules-check": _fixed("mtcalc rules check -o json", _list(_FINDING)),
    "mtrr": _fixed("mtcalc mtrr -o json, and with --gpa", {"anyOf": [_MAP, _list(_SEEN)]}),
    "map": _fixed("mtcalc map -o json", _object({"pieces": _list(_AREA), "notes": _TEXTS})),
    "decode-pat": _fixed("mtcalc decode pat -o json", _PAT_RECORD),
    "decode-mtrr": _fixed("mtcalc decode mtrr -o json", _list(_REGISTER)),
    "decode-epte": _fixed("mtcalc decode epte -o json", _list(_ENTRY)),
    "audit": _fixed("mtcalc audit -o json, and of --merge", _AUDIT),
    "check": _fixed("mtcalc check -o json, and with --list", {"anyOf": [_list(_CHECKED), _list(_HAZARD_ROW)]}),
}
"""By the name that `mtcalc schema` takes: a command's words joined by hyphens, `scenario`, `rule-file`."""

LINES: dict[str, Schema] = {
    **dict.fromkeys(("lookup", "eval"), ANSWER),
    "table": {"anyOf": [ANSWER, _WHO]},
    **dict.fromkeys(("diff", "review"), _CHANGE),
    "log": _COMMIT,
    "rules-list": _RULE_SET,
    "rules-show": _RULE,
    "rules-check": _FINDING,
    "mtrr": {"anyOf": [_PIECE, _SEEN]},
    "map": _AREA,
    "decode-pat": _PAT_RECORD,
    "decode-mtrr": _REGISTER,
    "decode-epte": _ENTRY,
    "audit": _AUDIT_LINE,
    "check": {"anyOf": [_in_file(_VERDICT), _in_file(_HAZARD), _HAZARD_ROW]},
}
"""By the command, what a line of its jsonl holds; `mtcalc schema` takes NAME-jsonl."""

SCHEMAS |= {
    f"{name}-jsonl": _fixed(f"a line of mtcalc {name.replace('-', ' ')} -o jsonl", LINES[name]) for name in LINES
}
