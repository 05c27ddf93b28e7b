"""A list of command lines, as a pipeline like any other, whose result is delivered."""

from __future__ import annotations

import json
from pathlib import Path

from tests.end_to_end.mill import Mill

NAME = "mill/plain"
FOLDER = f"src/domains/{NAME}"
SHORT = {
    "input": "data/grain",
    "output": "outputs/plain",
    "steps": [
        "src/domains/mill:grind --grain ${input} --factor 2 --output ${output}",
        {
            "name": "oven",
            "script": "src/domains/mill:bake",
            "args": {"flour": "${input}", "output": "${output}"},
        },
    ],
}
LONG = """\
datasets: {input: {address: data/grain}}
steps:
  grind:
    script: src/domains/mill:grind
    inputs: {input: {dataset: input}}
    args: {grain: "${inputs.input}", factor: 2, output: "${outputs.output}"}
    outputs: [output]
  oven:
    script: src/domains/mill:bake
    inputs: {input: grind/output}
    args: {flour: "${inputs.input}", output: "${outputs.output}"}
    outputs: [output]
deliver: {outputs/plain: oven/output}
"""


def delivered(root: Path) -> dict[str, bytes]:
    """Read everything that was delivered."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_it_runs_as_its_long_form_and_delivers_what_has_changed(mill: Mill) -> None:
    mill.tree.write({f"{FOLDER}/pipeline.json": json.dumps(SHORT, indent=2)})
    place = mill.tree.root / "outputs/plain"

    first = mill.strata("run", NAME)
    assert first.status == 0, first.errors
    assert "oven/output -> outputs/plain: 2 files written\n" in first.errors
    found = delivered(place)
    assert sorted(found) == [".strata.json", "cut.sh", "loaf.txt"]
    assert json.loads(found["loaf.txt"])["amount"] == 20

    second = mill.strata("run", NAME)
    assert "outputs/plain: nothing has changed (2 files)" in second.errors
    assert "2 cached" in second.output
    for command in ("plan", "dag"):
        assert "oven" in mill.strata(command, NAME).output

    # A part that is not delivered delivers nothing.
    (mill.grain / "a.txt").write_text("spelt")
    part = mill.strata("run", NAME, "--until", "grind")
    assert part.status == 0 and "-> outputs" not in part.errors
    assert delivered(place) == found

    # Written out, it is the same: what the list has run is cached.
    (mill.tree.root / FOLDER / "pipeline.json").unlink()
    mill.tree.write({f"{FOLDER}/pipeline.yaml": LONG})
    states = {n: s["state"] for n, s in mill.run(pipeline=NAME)["steps"].items()}
    assert states == {"grind": "cached", "oven": "done"}
    changed = delivered(place)
    assert changed["loaf.txt"] != found["loaf.txt"]
    assert changed["cut.sh"] == found["cut.sh"]


def test_what_is_wrong_in_it_is_told_with_its_line(mill: Mill) -> None:
    steps = ["src/domains/mill:grind --grain ${inptu} --output ${output}"]
    text = json.dumps({**SHORT, "steps": steps}, indent=2)
    mill.tree.write({f"{FOLDER}/pipeline.json": text})

    outcome = mill.strata("run", NAME)

    assert outcome.status == 2
    place = f"{FOLDER}/pipeline.json:5: steps.0.args.grain: ${{inptu}} is neither "
    assert outcome.errors.startswith(f"strata: error: {place}")
    assert outcome.errors.count("\n") == 1


def test_a_platform_is_not_asked_to_fill_a_folder(mill: Mill) -> None:
    mill.tree.write(
        {
            "config/dev.yaml": "store: s3://nowhere/store\n",
            f"{FOLDER}/pipeline.json": json.dumps(SHORT),
        }
    )

    outcome = mill.tree.run("./strata", "render", NAME, "--for", "argo")

    assert outcome.status == 2
    said = f"{NAME} delivers to outputs/plain, a folder, which no container on a platf"
    assert said in outcome.errors
