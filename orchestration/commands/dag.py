"""``./strata dag``: a pipeline's steps and what they read, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.command_line import say, warn
from orchestration.atomic_files import write_atomically
from orchestration.engines.choice import add_engine, make_engine
from orchestration.pipelines.dag import as_lines, as_svg
from orchestration.pipelines.opening import open_pipeline, pipeline_parser


def main(arguments: Sequence[str]) -> None:
    """Draw a pipeline.

    Raises:
        UserError: The request is wrong.
    """
    parser = pipeline_parser(
        "strata dag",
        "Draw a pipeline: in the terminal, or as an SVG file.",
        "./strata dag digit_recognition --svg pipeline.svg",
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw it to this file")
    add_engine(parser)
    args = parser.parse_args(arguments)
    opened = open_pipeline(args)
    engine = make_engine(args.engine, opened, opened.checkout.cache, warn)
    plans = opened.planner(engine.platform()).plan()
    states = {plan.name: plan.state for plan in plans}
    if args.svg is not None:
        write_atomically(args.svg, as_svg(opened.pipeline, states).encode())
        say(str(args.svg))
        return
    for line in as_lines(opened.pipeline, states):
        say(line)
