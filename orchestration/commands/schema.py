"""``./strata schema``: print the JSON Schema of a kind of file."""

from __future__ import annotations

import json
from collections.abc import Sequence

from common.command_line import Parser, one_of, say


def main(arguments: Sequence[str]) -> None:
    """Print the schema.

    Raises:
        UserError: There is no such schema.
    """
    parser = Parser(
        "strata schema",
        "Print the JSON Schema of a kind of file, by which editors complete and check "
        "it.",
        "./strata schema pipeline > pipeline.schema.json",
    )
    parser.add_argument(
        "kind",
        type=one_of("pipeline"),
        metavar="KIND",
        help="the kind of file: pipeline",
    )
    parser.parse_args(arguments)

    # Only now: --help need not wait for it.
    from orchestration.pipelines.schema import pipeline_schema

    say(json.dumps(pipeline_schema(), indent=2))
