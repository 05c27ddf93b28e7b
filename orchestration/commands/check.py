"""``./strata check``: what is wrong in the tree's specifications, offline."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path

from common.command_line import FAILED, Parser, say, warn
from common.errors import RunError, UserError
from orchestration.checkout import Checkout
from orchestration.checks.checking import Report, check_tree
from orchestration.names import nearest


def main(arguments: Sequence[str]) -> None:
    """Check, and print what was found.

    Raises:
        UserError: The request is wrong.
        RunError: Something could not be checked.
        SystemExit: With 1, after findings.
    """
    args = _parser().parse_args(arguments)
    start = time.monotonic()
    checkout = Checkout.of_this_code()

    def choose(files: Collection[str]) -> Collection[str]:
        return {one for path in args.paths for one in _below(checkout, path, files)}

    report = check_tree(checkout, warn, choose if args.paths else None)
    if not report.files:
        raise UserError(
            f"{' '.join(map(str, args.paths)) or checkout.root} has no specification; "
            "docs/check.md says what is one"
        )
    seconds = time.monotonic() - start
    if args.json:
        say(json.dumps(_as_json(report, seconds), indent=2))
    else:
        for finding in report.findings:
            say(str(finding))
        say(
            f"{_count(len(report.files), 'specification')}, "
            f"{_count(len(report.findings), 'finding')} in {seconds:.1f} s"
        )
    if report.unchecked:
        raise RunError(f"not checked: {'; '.join(report.unchecked)}")
    if report.findings:
        raise SystemExit(FAILED)


def _below(checkout: Checkout, path: Path, files: Collection[str]) -> list[str]:
    """Give the tree's files that are a path, or lie below it."""
    place = Path(os.path.normpath(Path.cwd() / path))
    if not place.is_relative_to(checkout.root):
        raise UserError(f"{path} lies outside {checkout.root}")
    name = place.relative_to(checkout.root).as_posix()
    below = [one for one in files if name in (".", one) or one.startswith(f"{name}/")]
    if not below:
        raise UserError(f"the tree has no {path}{nearest(name, sorted(files))}")
    return below


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _as_json(report: Report, seconds: float) -> dict[str, object]:
    return {
        "specifications": list(report.files),
        "findings": [asdict(one) for one in report.findings],
        "unchecked": list(report.unchecked),
        "seconds": round(seconds, 3),
    }


def _parser() -> Parser:
    parser = Parser(
        "strata check",
        "Check every specification in the tree, offline: pipelines, jobs and resources "
        "of Azure Machine Learning, workflows of Argo, stages, Dockerfiles, CI and "
        "scripts of shell. Exits 1 if something is wrong.",
        "./strata check src/domains/digit_recognition",
    )
    parser.add_argument(
        "paths",
        type=Path,
        nargs="*",
        metavar="PATH",
        help="check these files and what lies in these folders; everything if left out",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser
