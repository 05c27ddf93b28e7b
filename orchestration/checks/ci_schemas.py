"""CI's definitions against the schemas that GitHub and Azure DevOps publish."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from orchestration.checks import ci_files
from orchestration.checks.findings import Finding, found
from orchestration.checks.look import Look
from orchestration.checks.schemas import mistakes
from orchestration.pipelines.spelling import spell

takes = ci_files.takes
_HINTS = {
    ci_files.WORKFLOW: "GitHub's workflow syntax has all keys",
    ci_files.ACTION: "GitHub's metadata syntax for actions has all keys",
    ci_files.AZURE: "Azure Pipelines' YAML schema has all keys",
}


def find(look: Look, file: str) -> Iterator[Finding]:
    """Find what does not fit the schema."""
    document = look.document(file)
    if document.mistakes:
        return  # the check of texts says so
    kind, data = str(ci_files.kind(file)), document.data
    if not isinstance(data, dict):
        yield Finding(file, 1, "it holds no mapping", _HINTS[kind])
        return
    if kind == ci_files.AZURE:
        from check_jsonschema.transforms.azure_pipelines import azure_main

        data = _as_texts(azure_main(data))
    for where, said in mistakes(_validator(kind), data):
        text = f"{where}: {said}" if where else said
        yield found(file, document.line(where), text, _HINTS[kind])


def _as_texts(data: Any) -> Any:
    """Write scalars as texts, which they all are to Azure Pipelines."""
    if isinstance(data, dict):
        return {key: _as_texts(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_as_texts(value) for value in data]
    return "" if data is None else spell(data)


@lru_cache(maxsize=8)
def _validator(kind: str) -> Any:
    # Only now: they take a while.
    from check_jsonschema.builtin_schemas import get_builtin_schema
    from check_jsonschema.regex_variants import RegexImplementation, RegexVariantName
    from jsonschema import validators

    schema = get_builtin_schema(f"vendor.{kind}")
    # Their patterns are JavaScript's.
    expressions = RegexImplementation(RegexVariantName.nonunicode)
    keywords = {
        "pattern": expressions.pattern_keyword,
        "patternProperties": expressions.patternProperties_keyword,
    }
    extend: Any = validators.extend
    return extend(validators.validator_for(schema), keywords)(schema)
