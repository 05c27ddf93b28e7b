"""Images of tasks: built once, pushed once, and what is in them."""

from __future__ import annotations

import json
import re
import subprocess

import docker
import pytest

from tests.end_to_end.conftest import LocalRegistry
from tests.end_to_end.orchard import Orchard


def run_in(image: str, *command: str, user: str = "") -> str:
    flags = ["--user", user] if user else []
    done = subprocess.run(
        ["docker", "run", "--rm", *flags, image, *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_image_holds_the_closure_and_its_packages_and_no_tools(
    orchard: Orchard, engine: docker.DockerClient
) -> None:
    results = orchard.images()
    apples, pears = (results[name]["image"] for name in ("apples", "pears"))

    assert {result["state"] for result in results.values()} == {"built"}
    seen = json.loads(run_in(apples, "python", "-m", "domains.apples.ripen"))
    assert seen["packages"] == ["tqdm"]
    assert seen["files"] == [
        "src/common/__init__.py",
        "src/common/errors.py",
        "src/domains/apples/helper.py",
        "src/domains/apples/ripen.py",
    ]
    assert seen["user"] == 1000
    seen = json.loads(run_in(pears, "python", "-m", "domains.pears.press", "out.json"))
    assert seen["packages"] == []
    # Whoever starts it may write.
    run_in(pears, "python", "-m", "domains.pears.press", "out.json", user="4321:4321")
    assert run_in(apples, "sh", "-c", "command -v uv gcc || true") == ""
    search = ("find", "/", "-xdev", "-name", "uv*", "-type", "f")
    assert run_in(apples, *search, user="0") == "/usr/local/lib/strata/uv.lock\n"

    labels = engine.images.get(apples).labels
    prefix = "org.opencontainers.image."
    commit = orchard.tree.git("rev-parse", "HEAD").strip()
    assert labels[prefix + "revision"] == commit
    assert labels[prefix + "version"].startswith(apples.partition(":")[2])


def test_what_is_there_is_not_built_and_an_edit_adds_one_layer(
    orchard: Orchard, engine: docker.DockerClient
) -> None:
    first = orchard.images()
    again = orchard.images()
    assert {result["state"] for result in again.values()} == {"unchanged"}
    assert [r["image"] for r in again.values()] == [r["image"] for r in first.values()]

    orchard.append("src/domains/apples/helper.py")
    edited = orchard.images()

    assert edited["pears"] == again["pears"]
    assert edited["apples"]["state"] == "built"
    before, after = (
        engine.images.get(results["apples"]["image"]).attrs["RootFS"]["Layers"]
        for results in (first, edited)
    )
    assert [one for one in after if one not in before] == after[-1:]
    # The commit is not what this was made from.
    labels = engine.images.get(edited["apples"]["image"]).labels
    assert "org.opencontainers.image.revision" not in labels


def test_only_what_a_commit_changed_is_built(
    orchard: Orchard, engine: docker.DockerClient
) -> None:
    orchard.append("src/domains/pears/press.py")
    orchard.tree.commit("Edit pears")

    affected = orchard.strata(
        "affected", "--since", "HEAD~1", "--matrix", "images"
    ).output
    assert list(orchard.images("--changed-since", "HEAD~1")) == json.loads(affected)
    assert affected == '["pears"]\n'


def test_a_pushed_image_runs_elsewhere_and_is_never_pushed_again(
    orchard: Orchard, engine: docker.DockerClient, registry: LocalRegistry
) -> None:
    flags = ("--push", "--registry", f"{registry.address}/team")
    first = orchard.images(*flags)

    assert {result["state"] for result in first.values()} == {"pushed"}
    commit = orchard.tree.git("rev-parse", "HEAD").strip()
    digest = first["apples"]["digest"]
    assert re.fullmatch(
        rf"{re.escape(registry.address)}/team/strata/apples@sha256:[0-9a-f]{{64}}",
        digest,
    )
    # An engine that does not have it gets it from the registry, by digest or by tag.
    repository = digest.partition("@")[0]
    engine.images.remove(
        first["apples"]["image"].removeprefix(f"{registry.address}/team/")
    )
    for name in (digest, f"{repository}:main", f"{repository}:{commit}"):
        engine.images.pull(name)
        assert "tqdm" in run_in(name, "python", "-m", "domains.apples.ripen")
        engine.images.remove(name)

    uploads = registry.uploads()
    again = orchard.images(*flags)
    assert {result["state"] for result in again.values()} == {"unchanged"}
    assert again["apples"]["digest"] == digest
    assert registry.uploads() == uploads

    orchard.append("src/domains/pears/press.py")
    edited = orchard.images(*flags)
    assert edited["apples"]["state"] == "unchanged"
    # The code layer: the payload and some kilobytes; the base is a hundred times that.
    assert 1_000_000 < edited["pears"]["bytes_pushed"] < 1_010_000
    assert edited["pears"]["tags"] == ["main"]  # not the commit: it is something else


def test_a_build_that_fails_shows_its_last_lines_and_leaves_no_image(
    orchard: Orchard, engine: docker.DockerClient
) -> None:
    orchard.append(
        "src/domains/apples/environment/Dockerfile", "\nRUN echo wormy && false\n"
    )

    outcome = orchard.strata("image", "apples")

    assert outcome.status == 1
    assert "wormy" in outcome.errors
    assert re.search(r"building strata/apples:\w+ failed", outcome.errors)
    name = re.findall(r"strata/apples:\w+", outcome.errors)[-1]
    assert engine.images.list(name) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["image", "aples"], "there is no task aples (did you mean apples?)"),
        (["image", "--push"], "--push needs a registry"),
        (["image", "--registry", "http://x"], "'http://x' is no registry"),
        (
            ["image", "--python-image", "nowhere/at-all:1"],
            "nowhere/at-all:1 is neither",
        ),
        (["image", "--pusch"], "did you mean --push?"),
        (["imgae"], "there is no command imgae (did you mean image?)"),
        (["exec", "apples", "rippen"], "no script rippen (did you mean ripen?)"),
        (["exec", "apples", "ripen", "--gpus", "all"], "--gpus is for --docker"),
    ],
)
def test_a_wrong_request_is_one_line(
    orchard: Orchard, engine: docker.DockerClient, arguments: list[str], message: str
) -> None:
    outcome = orchard.strata(*arguments)

    assert outcome.status == 2
    assert outcome.output == ""
    assert message in outcome.errors
    assert outcome.errors.count("\n") == 1
