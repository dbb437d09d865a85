# SPDX-License-Identifier: GPL-2.0-only
"""The keys of a scenario in a table, made from the models that check them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from mtcalc.scenario.json_schema import json_schema
from mtcalc.text.markdown import code, escape, table

_BARE = re.compile(r"[A-Za-z0-9_./+-]+")


class KeyRow(NamedTuple):
    """One key: its path (`[]` for every item of a list), default and example as a file writes them, meaning."""

    path: str
    default: str  # '' where a key left out means something that no value says
    required: bool
    example: str
    meaning: str


def key_rows() -> list[KeyRow]:
    """Every key, in the order of the models, what is in a mapping below it."""
    schema = json_schema()
    return list(_rows(schema, schema["$defs"], ""))


def key_reference() -> str:
    """The keys as a Markdown table, with a final newline."""
    rows = [
        (
            code(row.path),
            "required" if row.required else code(row.default) if row.default else "",
            code(row.example),
            "".join(code(part) if at % 2 else escape(part) for at, part in enumerate(row.meaning.split("`"))),
        )
        for row in key_rows()
    ]
    return "\n".join(table(("Key", "Default", "Example", "Meaning"), rows)) + "\n"


def _rows(mapping: dict[str, Any], models: dict[str, Any], lead: str) -> Iterator[KeyRow]:
    for key, form in mapping["properties"].items():
        path = f"{lead}{key}"
        default = flow(form["default"]) if "default" in form else ""
        required = key in mapping.get("required", ())
        yield KeyRow(path, default, required, flow(form["examples"][-1]), form["description"])
        is_list = form.get("type") == "array"
        for option in (form["items"] if is_list else form, *form.get("anyOf", ())):
            if "$ref" in option:
                model = models[option["$ref"].rpartition("/")[2]]
                yield from _rows(model, models, f"{path}[]." if is_list else f"{path}.")


def flow(value: Any) -> str:
    """A value as a scenario writes it on one line."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{flow(key)}: {flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, str) and _BARE.fullmatch(value):
        return value
    return json.dumps(value)
