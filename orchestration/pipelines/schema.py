"""The JSON Schema of ``pipeline.yaml``, from the models that the file is read by."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from orchestration.pipelines.spec import STEP_NAME, Pipeline

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
    definitions["Pipeline"] = schema
    definitions["ListedStep"] = _listed_step(definitions["Step"])
    definitions["ShortPipeline"] = _short_pipeline(schema)
    return {
        "$schema": _DIALECT,
        "title": "A pipeline",
        "description": schema["description"],
        "if": {"properties": {"steps": {"type": "array"}}, "required": ["steps"]},
        "then": {"$ref": "#/$defs/ShortPipeline"},
        "else": {"$ref": "#/$defs/Pipeline"},
        "$defs": definitions,
    }


def _short_pipeline(long: dict[str, Any]) -> dict[str, Any]:
    step = {
        "anyOf": [
            {"type": "string", "pattern": r"\S"},
            {"$ref": "#/$defs/ListedStep"},
        ]
    }
    return {
        "type": "object",
        "description": "A sequence of steps, each of which reads what the one before "
        "it has written.",
        "additionalProperties": False,
        "required": ["steps"],
        "properties": {
            "description": long["properties"]["description"],
            "input": {
                "anyOf": [{"type": "string"}, {"$ref": "#/$defs/Dataset"}],
                "description": "Where the first step's ${input} is: an address, alone "
                "or with its digest.",
            },
            "output": {
                "type": "string",
                "description": "Where the last step's ${output} is put: a folder, "
                "s3://, az:// or gs://.",
            },
            "steps": {
                "type": "array",
                "minItems": 1,
                "items": step,
                "description": "Command lines, which begin with a script, or steps. "
                "${input} is what a step reads, ${output} its output folder.",
            },
        },
    }


def _listed_step(step: dict[str, Any]) -> dict[str, Any]:
    name = {
        "type": "string",
        "pattern": STEP_NAME,
        "description": "The step's name; its script's if left out.",
    }
    own = {"name": name, **step["properties"]}
    properties = {k: v for k, v in own.items() if k not in ("inputs", "outputs")}
    return {**step, "properties": properties}


class _Generator(GenerateJsonSchema):
    """Refuses keys that are no names, and leaves out titles that repeat the key."""

    def dict_schema(self, schema: Any) -> dict[str, Any]:
        found = super().dict_schema(schema)
        if "patternProperties" in found:
            found["additionalProperties"] = False
        return found

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False
