# SPDX-License-Identifier: GPL-2.0-only
"""The JSON Schema of scenario files, as editors want it: pydantic models made of the keys, for no other use."""

from __future__ import annotations

import os
from typing import Annotated, Any

# Its search for plugins goes through the metadata of all that is installed; it has to be told before it is imported.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, create_model
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from mtcalc.scenario.keys import REQUIRED, ByName, Items, Key, Keys, Shape, Single, WordOr
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


def model(keys: type[Keys]) -> type[BaseModel]:
    """A pydantic model of a mapping's keys."""
    fields: dict[str, Any] = {name: (_type(key.value), _field(key)) for name, key in keys.fields.items()}
    config = ConfigDict(extra="forbid", json_schema_extra=keys.more_schema)
    return create_model(keys.__name__, __config__=config, __doc__=keys.__doc__, **fields)


def _field(key: Key) -> Any:
    if key.default is REQUIRED:
        return Field(description=key.description, examples=key.examples)
    if isinstance(key.default, Keys):  # what a mapping left out means is said key by key
        return Field(default_factory=type(key.default), description=key.description, examples=key.examples)
    return Field(key.default, description=key.description, examples=key.examples)


def _type(value: Shape) -> Any:
    if isinstance(value, Single):
        return Annotated[Any, WithJsonSchema(value.form)]
    if isinstance(value, Items):
        return list[_type(value.of)]  # type: ignore[misc]
    if isinstance(value, ByName):
        return dict[str, _type(value.of)]  # type: ignore[misc]
    if isinstance(value, WordOr):
        return Annotated[Any, WithJsonSchema(value.word.form)] | _type(value.section)
    return model(value)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of scenario files: every key with description and examples, no key besides."""
    return {"$schema": DIALECT, **model(ScenarioKeys).model_json_schema(schema_generator=_Editors)}
