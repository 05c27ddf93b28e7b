"""The build refuses imports that point outward, and says by which rule."""

from __future__ import annotations

import pytest

from tests.build.scratch_tree import ScratchTree

# A domain that states its rule, one that leaves it to src/domains/BUILD, and the rest.
SOURCES = {
    "src/common/numbers.py": "import numpy\n",
    "src/domains/stated/BUILD": "domain()\n\npython_sources()\n",
    "src/domains/stated/train.py": "import common.numbers\n",
    "src/domains/stated/task/BUILD": "python_sources()\n",
    "src/domains/stated/task/score.py": "import domains.stated.train\n",
    "src/domains/unstated/BUILD": "python_sources()\n",
    "src/domains/unstated/train.py": "import common.numbers\n",
    "src/domains/unstated/score.py": "import domains.unstated.train\n",
    "src/adrift/BUILD": "python_sources()\n",
    "src/adrift/alone.py": "import numpy\n",
    "orchestration/__init__.py": "",
    # In a domain's own environment: otherwise nothing there would own the import.
    "orchestration/jobs/BUILD": 'python_sources(resolve="torch")\n',
    "orchestration/jobs/submit.py": "import common.numbers\n"
    "import domains.stated.train\n",
}
FORBIDDEN = {
    "a domain from common": (
        "src/common/outward.py",
        "import domains.stated.train",
        "src/common/BUILD[!//src/domains/**]",
    ),
    "orchestration from common": (
        "src/common/outward.py",
        "import orchestration.jobs.submit",
        "src/common/BUILD[!//orchestration/**]",
    ),
    "a platform from common": (
        "src/common/outward.py",
        "import azure.identity",
        "src/common/BUILD[!//3rdparty/*#*azure*]",
    ),
    "another domain": (
        "src/domains/stated/outward.py",
        "import domains.unstated.train",
        "src/domains/stated/BUILD[!//src/domains/**]",
    ),
    "another domain, from a task's folder": (
        "src/domains/stated/task/outward.py",
        "import domains.unstated.train",
        "src/domains/stated/BUILD[!//src/domains/**]",
    ),
    "another domain, where no rule is stated": (
        "src/domains/unstated/outward.py",
        "import domains.stated.train",
        "src/domains/BUILD[!//src/domains/**]",
    ),
    "orchestration from a domain": (
        "src/domains/stated/outward.py",
        "import orchestration.jobs.submit",
        "src/domains/stated/BUILD[!//orchestration/**]",
    ),
    "Azure from a domain": (
        "src/domains/stated/outward.py",
        "import azure.identity",
        "src/domains/stated/BUILD[!//3rdparty/*#*azure*]",
    ),
    "anything of ours from elsewhere in src": (
        "src/adrift/outward.py",
        "import common.numbers",
        "src/BUILD[!*]",
    ),
    "Kubernetes from a domain": (
        "src/domains/unstated/outward.py",
        "import kubernetes",
        "src/domains/BUILD[!//3rdparty/*#*kubernetes*]",
    ),
}


@pytest.fixture(scope="module")
def sources(repository: ScratchTree) -> dict[str, str]:
    # Even where a lock offers a platform's package, the layers may not use it.
    name = "3rdparty/torch.in"
    offered = (repository.root / name).read_text() + "azure-identity\nkubernetes\n"
    return {**SOURCES, name: offered}


def test_imports_that_point_inward_are_accepted(tree: ScratchTree) -> None:
    outcome = tree.pants("dependencies", "--transitive", "src/domains/stated/task::")

    assert outcome.status == 0, outcome.errors
    assert "src/common/numbers.py" in outcome.output.splitlines()
    assert tree.pants("dependencies", "::").status == 0


@pytest.mark.parametrize(
    ("path", "line", "rule"), FORBIDDEN.values(), ids=list(FORBIDDEN)
)
def test_an_import_that_points_outward_is_refused(
    tree: ScratchTree, path: str, line: str, rule: str
) -> None:
    tree.write({path: f"{line}\n"})
    outcome = tree.pants("dependencies", "::")

    assert outcome.status == 1
    assert f"{path} has 1 dependency violation" in outcome.errors
    assert rule in outcome.errors


def test_an_import_that_no_package_owns_is_refused(tree: ScratchTree) -> None:
    path = "src/domains/stated/unowned.py"
    tree.write({path: "import nowhere_to_be_found\n"})
    outcome = tree.pants("dependencies", "::")

    assert outcome.status == 1
    assert "nowhere_to_be_found" in outcome.errors
