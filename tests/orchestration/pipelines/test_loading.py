"""A pipeline's file is read whole, or refused with everything that is wrong in it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.command_line import run
from common.errors import UserError
from orchestration.pipelines.loading import find_pipelines, load_pipeline
from orchestration.pipelines.spec import (
    Dataset,
    FromDataset,
    FromPath,
    FromStep,
    Resources,
)
from tests.orchestration.pipelines.files import (
    EXAMPLE,
    NAME,
    PLACE,
    changed,
    line_of,
    load,
    refused,
    write,
)


def test_the_example_is_read_with_its_short_forms_written_out(tmp_path: Path) -> None:
    pipeline = load(tmp_path, EXAMPLE)
    assert pipeline.description == "Train and use a reader of handwritten digits."
    expected = {"dataset": "digits", "limit": None, "epochs": 20, "seed": 0}
    assert pipeline.params == expected
    assert list(pipeline.steps) == ["prepare", "train", "predict"]
    prepare, train, predict = pipeline.steps.values()
    assert prepare.outputs == {"data": "data"}
    assert prepare.inputs == {"raw": FromDataset(dataset="mnist")}
    assert train.inputs == {"data": FromStep(step="prepare", output="data")}
    assert train.resources == Resources(cpu=2, memory=4 * 10**9)
    assert (train.timeout, train.retries, train.portable) == (7200, 1, True)
    assert train.env == {"CUDA_VISIBLE_DEVICES": None}
    assert (predict.map, predict.shards, predict.timeout) == ("images", 2, None)
    assert predict.inputs["images"] == FromPath(path="data/images")
    assert predict.outputs == {"table.csv": "table.csv"}
    assert predict.positional == ["${inputs.images}"]


def test_json_says_the_same(tmp_path: Path) -> None:
    document = load(tmp_path, EXAMPLE).model_dump_json()
    path = write(tmp_path, document, "pipeline.json")
    assert load_pipeline(path, NAME) == load(tmp_path, EXAMPLE)


def test_a_pipeline_stays_as_it_was_read(tmp_path: Path) -> None:
    pipeline = load(tmp_path, EXAMPLE)
    with pytest.raises(ValueError, match="frozen"):
        pipeline.steps["train"].retries = 3


def test_a_profile_puts_its_values_in_place(tmp_path: Path) -> None:
    toy = load(tmp_path, EXAMPLE, "toy")
    expected = {"dataset": "digits", "limit": 300, "epochs": 2, "seed": 0}
    assert toy.params == expected
    assert toy.steps["predict"].inputs["images"] == FromPath(path="data/few")
    assert toy.datasets == {"mnist": Dataset(address="s3://data/few")}
    assert load(tmp_path, EXAMPLE, "full") == load(tmp_path, EXAMPLE)


def test_an_input_that_is_null_is_there_where_a_profile_names_it(
    tmp_path: Path,
) -> None:
    text = changed(
        ("raw: {dataset: mnist}", "raw: null"),
        ("full: {}", "full: {inputs: {prepare.raw: {dataset: mnist}}}"),
    )
    without = load(tmp_path, text).steps["prepare"]
    assert without.inputs == {}
    assert without.args["data_path"] is None
    given = load(tmp_path, text, "full").steps["prepare"]
    assert given.inputs == {"raw": FromDataset(dataset="mnist")}
    assert given.args["data_path"] == "${inputs.raw}"


def test_settings_override_parameters_and_arguments_of_one_step(tmp_path: Path) -> None:
    settings = ["epochs=3", "train.seed=7", "dataset=no", "limit="]
    pipeline = load(tmp_path, EXAMPLE, "toy", settings)
    expected = {"dataset": "no", "limit": None, "epochs": 3, "seed": 0}
    assert pipeline.params == expected
    assert pipeline.steps["train"].args["seed"] == 7
    assert pipeline.steps["train"].args["epochs"] == "${params.epochs}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1e-3", 0.001),
        ("true", True),
        ("null", None),
        ("'8'", "8"),
        ("[1, a]", [1, "a"]),
        ("a: b # c", "a: b # c"),
        ("x=y", "x=y"),
    ],
)
def test_a_setting_is_a_value_of_yaml(text: str, value: object, tmp_path: Path) -> None:
    pipeline = load(tmp_path, EXAMPLE, settings=[f"seed={text}"])
    found = pipeline.params["seed"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("0x10", 16),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("~", None),
        ("[1, [x]]", None),
    ],
)
def test_scalars_are_those_of_yaml_1_2(
    text: str, value: object, tmp_path: Path
) -> None:
    file = changed(("seed: 0", f"seed: {text}"))
    if text == "[1, [x]]":
        assert refused(tmp_path, file) == (
            f"{PLACE}:2: params.seed: takes a text, a finite number, true, false, "
            "null, or a list of them",
        )
        return
    found = load(tmp_path, file).params["seed"]
    assert (found, type(found)) == (value, type(value))


# What is replaced, by what, the part that the line is of, and what is said of it.
_WRONG = [
    (
        "    retries: 1",
        "    argz: {}",
        "argz",
        "steps.train.argz: unknown key (did you mean args?)",
    ),
    (
        "description:",
        "descripton:",
        "descripton",
        "descripton: unknown key (did you mean description?)",
    ),
    (
        "cpu: 2",
        "cpus: 2",
        "cpus",
        "steps.train.resources.cpus: unknown key (did you mean cpu?)",
    ),
    (
        "{address: data/mnist, digest: null}",
        "{adress: data/mnist}",
        "adress",
        "datasets.mnist.adress: unknown key (did you mean address?)",
    ),
    ("    script: train\n", "", "  train:", "steps.train.script: is missing"),
    ("retries: 1", "retries: -1", "retries", "should be greater than or equal to 0"),
    ("retries: 1", "retries: '1'", "retries", "retries: takes a whole number"),
    ("portable: true", "portable: 1", "portable", "portable: takes true or false"),
    ("timeout: 2h", "timeout: 2 weeks", "timeout", "takes a duration, such as 90s, 10"),
    ("timeout: 2h", "timeout: 0", "timeout", "takes a duration above 0"),
    ("memory: 4GB", "memory: 4 X", "memory: 4 X", "memory: takes a size, such as 500"),
    (
        "shards: 2",
        "shards: 0",
        "shards",
        "shards: should be greater than or equal to 1",
    ),
    ("  train:", "  Train:", "Train:", "a step's name has lower-case letters, digits"),
    ("[data]", "[a b]", "[a b]", "an output's name has letters, digits, -, _ and ."),
    ("[data]", "[data, data]", "[data", "steps.prepare.outputs: data is there twice"),
    ("{run: run}", "{run: ../run}", "../run", "../run leads out of its folder: .. is"),
    ("{run: run}", "{run: /run}", ": /run", "outputs.run: /run is no relative path"),
    ("{run: run}", "{run: .}", "run: .}", "takes the path of something in the folder"),
    ("path: data/images", "path: /data", ": /data", "/data is no relative path"),
    ("prepare/data", "prepare", "data: prepare}", "prepare is none of STEP/OUTPUT, {p"),
    ("{path: data/images}", "{pth: x}", "pth", "inputs.images: takes STEP/OUTPUT, {pa"),
    ("address: data/mnist", "address: ftp://x/y", "ftp", "ftp://x/y is none of s3://"),
    ("digest: null", "digest: md5:1", "md5", "digest: takes sha256: and 64 digits of"),
    ("[CUDA_VISIBLE_DEVICES]", "{A: true}", "A: true", 'write "true" or "false" in qu'),
    ("[CUDA_VISIBLE_DEVICES]", "[A-B]", "A-B", "an environment variable's name has l"),
    (
        "script: train\n",
        "script: train -x\n",
        "train -x",
        "takes a script of the task's",
    ),
    ("seed: 0", "seed: .nan", "seed: .nan", "params.seed: takes a text, a finite numb"),
    ("seed: 0", "s.d: 0", "s.d: 0", "params.s.d: a name has letters, digits, - and _"),
    ("      seed:", "      --seed:", "--seed", "a flag is named without its dashes"),
    ("full: {}", "full: {steps: {}}", "full", "profiles.full.steps: unknown key"),
    (
        "limit: 300",
        "limits: 300",
        "limits",
        "profiles.toy.params.limits: there is no parameter limits (did you mean "
        "limit?)",
    ),
    (
        "predict.images:",
        "predict.imges:",
        "imges",
        "profiles.toy.inputs.predict.imges: no step has this input (did you mean "
        "predict.images?)",
    ),
    (
        "{mnist: {address: s3",
        "{mnst: {address: s3",
        "mnst",
        "profiles.toy.datasets.mnst: there is no dataset mnst (did you mean mnist?)",
    ),
    ("  full: {}", "  full: {inputs: {train: x/y}}", "x/y", "takes STEP.INPUT"),
    (
        "full: {}",
        "full: {without: [trian]}",
        "without",
        "profiles.full.without: there is no step trian (did you mean train?)",
    ),
    (
        "full: {}",
        "full: {without: [prepare]}",
        "without",
        "profiles.full.without: train.data needs prepare; give it another input in "
        "profiles.full.inputs, or leave train out as well",
    ),
    (
        "full: {}",
        "full: {without: [prepare, train, predict]}",
        "without",
        "profiles.full.without: no step is left",
    ),
    (
        "full: {}",
        "full: {without: train}",
        "without",
        "profiles.full.without: takes a list",
    ),
    ("retries: 1", "retries: 1\n    retries: 2", "retries: 2", "the key is in line 26"),
    ("cpu: 2", "cpu: !!python/name:os.system x", "os.sys", "name:os.system is not acc"),
    ("full: {}", "full: &a {}\n  other: *a", "full", "an alias (*name) is not accept"),
    ("full: {}", "full: {", "full", "while parsing a flow"),
    ("full: {}", "? [a]\n  : {}", "[a]", "a key is a text"),
]


@pytest.mark.parametrize(("old", "new", "part", "problem"), _WRONG)
def test_what_is_wrong_is_named_with_its_line(
    old: str, new: str, part: str, problem: str, tmp_path: Path
) -> None:
    text = changed((old, new))
    lines = refused(tmp_path, text)
    named = [line for line in lines if problem in line]
    assert len(named) == 1, lines
    file, number, message = named[0].split(":", 2)
    assert file == PLACE
    # A file that ends too early is wrong at its end.
    assert int(number) - line_of(text, part) in (
        (0, 1) if "parsing" in problem else (0,)
    )
    assert message.startswith(" ") and "\n" not in message


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = changed(
        ("prepare/data", "prepare/dta"),
        ("shards: 2", "shard: 2"),
        ("full: {}", "full: {params: {epoch: 1}}"),
        ("retries: 1", "retries: 1\n    retries: 2"),
    )
    settings = ["train.epoch=1", "trian.epochs=1", "sed=1", "x", "seed=[1"]
    lines = refused(tmp_path, text, "toi", settings)
    assert lines == (
        "--profile toi: there is no such profile (did you mean toy?); profiles: full, "
        "toy",
        "--set train.epoch=1: step train has no argument epoch (did you mean epochs?)",
        "--set trian.epochs=1: there is no step trian (did you mean train?)",
        "--set sed=1: there is no parameter sed (did you mean seed?)",
        "--set x: takes PARAM=VALUE or STEP.ARG=VALUE",
        lines[5],
        f"{PLACE}:{line_of(text, 'prepare/dta')}: steps.train.inputs.data: step "
        "prepare has no output dta (did you mean data?)",
        f"{PLACE}:27: steps.train.retries: the key is in line 26 already",
        f"{PLACE}:{line_of(text, 'shard:')}: steps.predict.shard: unknown key (did you "
        "mean shards?)",
        f"{PLACE}:{line_of(text, 'epoch:')}: profiles.full.params.epoch: there is no "
        "parameter epoch (did you mean epochs?)",
    )
    assert lines[5].startswith("--set seed=[1: while parsing a flow sequence")


def test_a_step_that_cannot_be_read_makes_no_others_wrong(tmp_path: Path) -> None:
    text = changed(("script: prepare.py", "scrpt: prepare.py"))
    number = line_of(text, "scrpt")
    assert refused(tmp_path, text) == (
        f"{PLACE}:{number - 1}: steps.prepare.script: is missing",
        f"{PLACE}:{number}: steps.prepare.scrpt: unknown key (did you mean script?)",
    )


def test_a_profile_leaves_steps_out(tmp_path: Path) -> None:
    text = changed(
        (
            "  full: {}",
            "  full:\n    without: [prepare]\n    inputs: {train.data: {path: x}}",
        ),
        ("{path: data/few}", "prepare/data"),
    )
    assert list(load(tmp_path, text, "toy").steps) == ["prepare", "train", "predict"]
    full = load(tmp_path, text, "full", ["train.epochs=1"])
    assert list(full.steps) == ["train", "predict"]
    (line,) = refused(tmp_path, text, "full", ["prepare.limit=1"])
    assert line == "--set prepare.limit=1: there is no step prepare"


def test_what_a_profile_breaks_is_named_where_it_does(tmp_path: Path) -> None:
    text = changed(("{path: data/few}", "train/rn"))
    problem = "step train has no output rn (did you mean run?)"
    number = line_of(text, "train/rn")
    expected = f"{PLACE}:{number}: profiles.toy.inputs.predict.images: {problem}"
    for profile in (None, "toy"):
        assert refused(tmp_path, text, profile) == (expected,)


def test_a_cycle_that_a_profile_makes_is_found(tmp_path: Path) -> None:
    text = changed(
        ("predict.images: {path: data/few}", "prepare.raw: predict/table.csv")
    )
    load(tmp_path, text)
    assert refused(tmp_path, text, "toy") == (
        f"{PLACE}:6: steps.prepare: the steps need each other: "
        "prepare -> train -> predict -> prepare",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1: it holds no mapping"),
        ("- a\n", "1: it holds no mapping"),
        ("steps: {}\n", "1: steps: is empty"),
        ("description: x\n", "1: steps: is missing"),
        ("steps:\n  a: 3\n", "2: steps.a: takes a mapping"),
        ("steps: 3\n", "1: steps: takes a mapping"),
        ("a: 1\n---\nb: 2\n", "2: "),
        ("a: \t- b\n\tc", "1: "),
        ("a: \x07\n", "1: "),
        ("steps:\n " + "[" * 200_000, "2: it is nested too deeply"),
        ("a: " + "- " * 50 + "b", "1: "),
    ],
)
def test_what_is_no_pipeline_is_refused(
    text: str, problem: str, tmp_path: Path
) -> None:
    assert refused(tmp_path, text)[0].startswith(f"{PLACE}:{problem}")


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_bytes(b"description: a\n# \xff\n")
    with pytest.raises(UserError, match=rf"^{PLACE}:2: it is not UTF-8 text$"):
        load_pipeline(path, NAME)
    with pytest.raises(UserError, match="none.yaml does not exist$"):
        load_pipeline(tmp_path / "none.yaml", NAME)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{\n"steps": {},\n"steps": 1}', "3: steps: the key is in line 2 already"),
        ('{\n"steps": }', "2: Expecting value"),
        ('{"params":\n {"a": NaN}}', "1: NaN is no finite number"),
        (
            '{"description": "\\ud83d\\ude00", "x": 1, "x": 2}',
            "1: the key x is there t",
        ),
        ('{\n"steps": {"a":\n{"scrpt": 1}}}', "2: steps.a.script: is missing"),
    ],
)
def test_json_is_refused_as_well(text: str, problem: str, tmp_path: Path) -> None:
    path = write(tmp_path, text, "pipeline.json")
    with pytest.raises(UserError) as caught:
        load_pipeline(path, NAME)
    place = PLACE.replace("yaml", "json")
    assert str(caught.value).split("\n")[0].startswith(f"{place}:{problem}")


def test_each_problem_is_a_line_on_the_screen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, changed(("retries:", "retry:"), ("shards:", "shard:")))
    assert run("strata", lambda _: print(load_pipeline(path, NAME))) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    for line in errors:
        assert line.startswith(f"strata: error: {PLACE}:")


def test_pipelines_are_found_by_their_folders(tmp_path: Path) -> None:
    files = [
        "src/domains/b/pipeline.yaml",
        "src/domains/a/deep/pipeline.json",
        "src/domains/a/other.yaml",
        "src/domains/pipeline.yaml",
        "tests/domains/b/pipeline.yaml",
        "pipeline.yaml",
    ]
    assert list(find_pipelines(tmp_path, files).items()) == [
        ("a/deep", tmp_path / "src/domains/a/deep/pipeline.json"),
        ("b", tmp_path / "src/domains/b/pipeline.yaml"),
    ]
    with pytest.raises(UserError, match="src/domains/b has pipeline.yaml and pipeline"):
        find_pipelines(tmp_path, [*files, "src/domains/b/pipeline.json"])


def test_fifty_steps_are_read_in_no_time(tmp_path: Path) -> None:
    steps = {
        f"step-{number}": {
            "script": "work",
            "inputs": {"before": f"step-{number - 1}/out"} if number else {},
            "args": {"to": "${outputs.out}"}
            | ({"of": "${inputs.before}"} if number else {}),
            "outputs": ["out"],
        }
        for number in range(50)
    }
    path = write(tmp_path, json.dumps({"steps": steps}, indent=1))
    load_pipeline(path, NAME)
    start = time.process_time()
    load_pipeline(path, NAME)
    assert time.process_time() - start < 0.1


def test_reading_imports_no_more_than_it_needs() -> None:
    program = (
        "import sys, orchestration.pipelines.loading; "
        "print(*{'rich', 'docker', 'requests', 'asyncio'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(path or "." for path in sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""


def test_addresses_of_deliveries_are_spelled_in_one_way(tmp_path: Path) -> None:
    text = EXAMPLE + (
        "deliver:\n  s3://models//digits/: train/run\n  /srv/data/./x/: prepare/data\n"
        "  outputs/tables: {step: predict, output: table.csv}\n"
    )
    assert load(tmp_path, text).deliver == {
        "s3://models/digits": FromStep(step="train", output="run"),
        "/srv/data/x": FromStep(step="prepare", output="data"),
        "outputs/tables": FromStep(step="predict", output="table.csv"),
    }
    # A profile changes none of them.
    assert load(tmp_path, text, "toy").deliver == load(tmp_path, text).deliver


@pytest.mark.parametrize(
    ("deliver", "problem"),
    [
        ("s3://a/b: trian/run", "s3://a/b: there is no step trian (did you mean tra"),
        ("s3://a/b: train/runs", "s3://a/b: step train has no output runs (did you m"),
        ("s3://a/b: train", "s3://a/b: train is none of STEP/OUTPUT"),
        ("s3://a/b: {step: train}", "s3://a/b.output: is missing"),
        ("https://a/b: train/run", "https://a/b: https://a/b is none of a folder, s3:"),
        ("s3://: train/run", "s3://: s3:// is none of a folder, s3://BUCKET/FOLDER"),
        ("s3://a/../b: train/run", "s3://a/../b: s3://a/../b is none of a folder"),
        ("s3://a/b?x=y: train/run", "an address holds no credentials or settings"),
        ("../x: train/run", "../x: ../x leads out of its folder"),
        ("/: train/run", "/: / is no relative path"),
        ("data/images/x: train/run", "the pipeline reads data/images; deliver elsewh"),
        ("data: train/run", "data: the pipeline reads data/images; deliver elsewhere"),
        ("data/mnist: train/run", "the pipeline reads data/mnist; deliver elsewhere"),
    ],
)
def test_what_cannot_be_delivered_is_refused(
    deliver: str, problem: str, tmp_path: Path
) -> None:
    text = f"{EXAMPLE}deliver:\n  {deliver}\n"
    lines = [line for line in refused(tmp_path, text) if problem in line]
    assert len(lines) == 1, refused(tmp_path, text)
    assert lines[0].startswith(f"{PLACE}:{text.count(chr(10))}: deliver.")


def test_no_two_deliveries_share_a_folder(tmp_path: Path) -> None:
    deliver = "deliver: {s3://a/b: train/run, s3://a/b/c: prepare/data}\n"
    (line,) = refused(tmp_path, EXAMPLE + deliver)
    assert line.endswith("s3://a/b/c: it lies in s3://a/b, where something else goes")
