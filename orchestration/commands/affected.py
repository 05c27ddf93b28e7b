"""``./strata affected``: what a change affects, and why."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from common.command_line import Parser, one_of, say, warn
from orchestration.affected import describe_all
from orchestration.changes import Affected, affected_since
from orchestration.checkout import Checkout
from orchestration.target_graph import read_tree

_KINDS = ("tasks", "pipelines", "images")
_NAMED = 5


def main(arguments: Sequence[str]) -> None:
    """Say what is affected.

    Raises:
        UserError: The request is wrong, or something in the tree is.
    """
    args = _parser().parse_args(arguments)
    checkout = Checkout.of_this_code()
    tree = read_tree(checkout)
    if args.all:
        things = describe_all(checkout.root, tree)
        found = {k: tuple(Affected(n, ()) for n in sorted(things[k])) for k in _KINDS}
    else:
        found = affected_since(checkout, tree, args.since, describe_all, warn)
    if args.matrix:
        names = [one.name for one in found[args.matrix]]
        matrix = names if args.form == "github" else _legs(args.matrix, names)
        say(json.dumps(matrix, separators=(",", ":")))
    elif args.json:
        say(json.dumps(_as_json(found), indent=2))
    else:
        _say(found)


def _legs(kind: str, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Give the matrix that Azure DevOps takes: variables by the names of jobs.

    A job's name has letters, digits and underscores, a letter first, and at most 100
    of them (its documentation of ``strategy``).
    """
    legs: dict[str, dict[str, str]] = {}
    for name in names:
        slug = re.sub(r"[^A-Za-z0-9]", "_", name)[:90]
        leg = slug if slug[:1].isalpha() else f"n{slug}"
        while leg in legs:
            leg += "_"
        legs[leg] = {kind.removesuffix("s"): name}
    return legs


def _as_json(found: Mapping[str, Sequence[Affected]]) -> dict[str, object]:
    return {
        kind: [
            {
                "name": one.name,
                "reasons": [
                    {k: v for k, v in vars(reason).items() if v is not None}
                    for reason in one.reasons
                ],
            }
            for one in found[kind]
        ]
        for kind in _KINDS
    }


def _say(found: Mapping[str, Sequence[Affected]]) -> None:
    if not any(found.values()):
        say("nothing is affected")
    for kind in _KINDS:
        if found[kind]:
            say(f"{kind}:")
        for one in found[kind]:
            say(f"  {one.name}")
            for reason in one.reasons[:_NAMED]:
                say(f"    {reason}")
            if len(one.reasons) > _NAMED:
                say(f"    and {len(one.reasons) - _NAMED} more (--json has all)")


def _parser() -> Parser:
    parser = Parser(
        "strata affected",
        "Say which tasks, pipelines and images are affected by what has changed since "
        "this tree and a commit have parted, committed or not, and why.",
        "./strata affected --since origin/main",
    )
    since = parser.add_mutually_exclusive_group(required=True)
    since.add_argument("--since", metavar="REF", help="a branch, a tag or a commit")
    since.add_argument(
        "--all", action="store_true", help="everything that there is, without reasons"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json", action="store_true", help="print JSON, with all reasons"
    )
    form.add_argument(
        "--matrix",
        type=one_of(*_KINDS),
        metavar="KIND",
        help="print one line of JSON for a matrix of jobs: tasks, pipelines or images",
    )
    parser.add_argument(
        "--form",
        type=one_of("github", "azure-devops"),
        default="github",
        metavar="SYSTEM",
        help="whose matrix: github, a list of names; azure-devops, their variable "
        "(task, pipeline or image) by jobs",
    )
    return parser
