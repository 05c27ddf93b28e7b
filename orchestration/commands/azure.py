"""``./strata azure``: the resources of a stage's workspace, and what it lacks."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common.command_line import Parser, say, warn
from common.errors import RunError, UserError
from orchestration.azure.connection import connect
from orchestration.azure.documents import (
    AzureFile,
    dump,
    read_azure_file,
    with_settings,
)
from orchestration.azure.resources import (
    COMPONENT,
    SCHEDULE,
    WORKSPACE,
    Kind,
    apply,
    kind_of,
    load_resource,
    register,
)
from orchestration.azure.task_jobs import Choices, name_in
from orchestration.azure.task_resources import Part, fill
from orchestration.checkout import Checkout
from orchestration.names import nearest
from orchestration.screen import Screen
from orchestration.stages import add_stage, load_stage
from orchestration.tables import table

_HELP = """usage: strata azure [--help] ACTION ...

The resources of a stage's workspace of Azure Machine Learning.

{actions}

strata azure ACTION --help says more.

example:
  ./strata azure check --stage dev"""


def main(arguments: Sequence[str]) -> None:
    """Do what is asked for with a stage's workspace.

    Raises:
        UserError: The request is wrong, or Azure refuses it.
        RunError: Azure, or the way to it, failed, or the stage lacks something.
    """
    words = list(arguments)
    if not words or words[0] in ("-h", "--help"):
        width = max(map(len, _ACTIONS)) + 4
        lines = [f"  {name:<{width}}{about}" for name, (_, about) in _ACTIONS.items()]
        say(_HELP.format(actions="\n".join(lines)))
        return
    name = words[0]
    if name not in _ACTIONS:
        hint = nearest(name, list(_ACTIONS))
        raise UserError(f"there is no action {name}{hint}; --help lists all")
    _ACTIONS[name][0](words[1:])


def _apply(words: Sequence[str]) -> None:
    parser = Parser(
        "strata azure apply",
        "Make the resource that a file describes, or change it to that: a workspace, "
        "compute, datastore, data asset, model, environment, component, schedule, "
        "online or batch endpoint or deployment, by the file's $schema.",
        "./strata azure apply azure/cpu.yaml --stage dev",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the file")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="a key of the file with another value; any number of times",
    )
    add_stage(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the resource and make nothing; needs no network",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args(words)
    checkout = Checkout.of_this_code()
    path = args.file.absolute()
    file = read_azure_file(path, name_in(checkout.root, path))
    kind = kind_of(file)
    stage = load_stage(checkout.root, args.stage)
    data = with_settings(file, args.set)
    if kind == WORKSPACE:
        # They have one place, from which jobs take them as well.
        location = stage.values.azure.location
        data |= {"location": location} if location else {}
        data |= {"name": stage.values.azure.workspace or data.get("name")}
    part = fill(
        checkout, stage, kind, file, data, Choices(args.set, is_offline=args.dry_run)
    )
    resource, component = _load(kind, file, data, part)
    if args.dry_run:
        if part is not None:
            data[str(kind.part)] = part.data
        say(json.dumps(data, indent=2) if args.json else dump(data).rstrip())
        return
    client = connect(stage, with_workspace=kind != WORKSPACE)
    with Screen().steps(f"{kind.name} {resource.name}"):
        if component is not None:
            resource.component = register(client, component).id
        made = apply(client, kind, resource)
    told = {"kind": kind.name, "name": made.name, "id": getattr(made, "id", None)}
    version = getattr(made, "version", None)
    name = f"{made.name}:{version}" if version else made.name
    told |= {"version": version} if version else {}
    say(json.dumps(told, indent=2) if args.json else f"{kind.name} {name}: ok")


def _load(
    kind: Kind, file: AzureFile, data: Mapping[str, Any], part: Part | None
) -> tuple[Any, Any]:
    """Load a resource, and the component that has to be there before it."""
    if part is None:
        return load_resource(kind, file, data), None
    if kind == SCHEDULE:
        with tempfile.TemporaryDirectory() as scratch:
            # A schedule takes its job from a file alone.
            written = Path(scratch) / "job.yaml"
            written.write_text(dump(part.data))
            job = {str(kind.part): str(written)}
            return load_resource(kind, file, {**data, **job}), None
    component = load_resource(COMPONENT, part.file, part.data)
    # From a file it would be one without a name, and the same for all deployments.
    named = {str(kind.part): f"azureml:{component.name}:{component.version or 1}"}
    return load_resource(kind, file, {**data, **named}), component


def _check(words: Sequence[str]) -> None:
    parser = Parser(
        "strata azure check",
        "Say what a stage has and what it lacks: workspace, computes, registry, store.",
        "./strata azure check --stage dev",
    )
    add_stage(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args(words)
    stage = load_stage(Checkout.of_this_code().root, args.stage)

    # Only now: Azure's packages take seconds.
    from orchestration.azure.checks import OK, check_stage

    findings = check_stage(stage)
    if args.json:
        say(json.dumps([asdict(one) for one in findings], indent=2))
    else:
        rows = [(one.part, one.name, one.state) for one in findings]
        for line in table((stage.name, "name", "state"), rows):
            say(line)
        for one in findings:
            if one.way_out:
                warn(f"{one.part}: {one.way_out}")
    lacking = [one.part for one in findings if one.state != OK]
    if lacking:
        raise RunError(f"{stage.name} lacks: {', '.join(dict.fromkeys(lacking))}")


_ACTIONS = {
    "apply": (_apply, "make or change the resource that a file describes"),
    "check": (_check, "say what a stage has and what it lacks"),
}
