# SPDX-License-Identifier: GPL-2.0-only
"""The JSON Schema of scenario files, as editors want it."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from mtcalc.scenario.schema import ScenarioKeys
from mtcalc.x86.memtype import MemType
from mtcalc.x86.pat import LINUX_PAT

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Editors(GenerateJsonSchema):
    """Without a title a key (it repeats the key), with defaults as a file writes them."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:
        """Not at all: examples keep the order that a person would write."""
        return value

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """The form of a value, with the default where a file can write it."""
        default = schema.get("default")
        form = self.generate_inner(schema["schema"])
        if isinstance(default, MemType):
            return {**form, "default": str(default)}
        if default == LINUX_PAT:
            return {**form, "default": "linux"}
        return form if default is None else super().default_schema(schema)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of scenario files: every key with description and examples, no key besides."""
    return {"$schema": DIALECT, **ScenarioKeys.model_json_schema(schema_generator=_Editors)}
