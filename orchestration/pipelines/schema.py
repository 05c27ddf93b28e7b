"""The JSON Schema of ``pipeline.yaml``, from the models that the file is read by."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from orchestration.pipelines.spec import Pipeline

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NULL = {"type": "null"}


def pipeline_schema() -> dict[str, Any]:
    """Give the schema, of draft 2020-12, with the short forms that are accepted."""
    schema = Pipeline.model_json_schema(schema_generator=_Generator)
    definitions = schema.pop("$defs")
    inputs = definitions["Step"]["properties"]["inputs"]
    # A step is read without its inputs that are null.
    for one in inputs["patternProperties"].values():
        one["anyOf"].append(_NULL)
    return {
        "$schema": _DIALECT,
        **schema,
        "title": "A pipeline",
        "$defs": definitions,
    }


class _Generator(GenerateJsonSchema):
    """Refuses keys that are no names, and leaves out titles that repeat the key."""

    def dict_schema(self, schema: Any) -> dict[str, Any]:
        found = super().dict_schema(schema)
        if "patternProperties" in found:
            found["additionalProperties"] = False
        return found

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False
