"""A job's target: Pants runs it and answers its question for the graph meanwhile."""

from __future__ import annotations

import json

from tests.end_to_end.orchard import Orchard

JOB = """\
type: command
code: ../../
command: python -m domains.apples.ripen ${{outputs.run}}/seen.json
environment: azureml:apples@latest
compute: azureml:cpu
outputs: {run: {type: uri_folder}}
"""
SOURCES = {
    "config/dev.yaml": "azure: {compute: {cpu: small-cpu}}\n",
    "orchestration/jobs/BUILD": 'submissions("apples", "pears")\n',
    "src/domains/apples/azure-ml-job.yaml": JOB,
}


def test_a_target_submits_what_the_command_submits(same_orchard: Orchard) -> None:
    tree = same_orchard.tree
    tree.write(SOURCES)
    image = f"registry.example.com/apples@sha256:{'0' * 64}"
    flags = ("--dry-run", "--json", "--image", image)

    listed = tree.pants("list", "orchestration/jobs:")
    # Nobody has asked for the graph of this tree yet.
    by_target = tree.pants("run", "orchestration/jobs:apples", "--", *flags)
    by_command = same_orchard.strata("job", "apples", *flags)

    names = [f"orchestration/jobs:{name}" for name in ("apples", "pears")]
    assert listed.output.split() == names, listed.errors
    assert by_target.status == 0, by_target.errors
    jobs = [json.loads(one.output) for one in (by_target, by_command)]
    assert jobs[0].pop("name") != jobs[1].pop("name")
    assert jobs[0] == jobs[1]
    assert jobs[0]["compute"] == "azureml:small-cpu"
    wrong = tree.pants("run", "orchestration/jobs:apples", "--", "--set", "x=1")
    assert wrong.status == 2
    assert "--set x: there is no such key" in wrong.errors
