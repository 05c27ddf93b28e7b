"""The commands, called as a user calls them, on one small shop."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from tests.domains.product_recommendation.item2vec.conftest import Made
from tests.domains.product_recommendation.item2vec.shops import (
    OUTPUTS,
    SHOP,
    call,
    read_json,
    read_rows,
)

# For programs that are started here. Read before a test changes the folder: Pants puts
# the sources on the path relative to it.
_PYTHONPATH = os.pathsep.join(os.path.abspath(path) for path in sys.path)
_CLEAN = ["--max_ratings_per_user", "200"]


@pytest.fixture
def home(made: Made, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where all commands have run."""
    monkeypatch.chdir(made.home)
    return made.home


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def test_the_vectors_beat_popularity(made: Made) -> None:
    metrics = read_json(made.outputs / "evaluate" / "metrics.json")
    ours, popular = (metrics["methods"][n] for n in ("item2vec", "popularity"))
    assert ours["hit_rate"]["10"]["low"] > popular["hit_rate"]["10"]["high"]
    assert ours["mrr"]["low"] > popular["mrr"]["high"]
    assert metrics["mrr_ahead_of"]["popularity"]["low"] > 0
    held_out = read_rows(made.outputs / "preprocess" / "held_out.csv")
    assert metrics["users"] == len(held_out) > 500
    for method in metrics["methods"].values():
        rates = [one["value"] for one in method["hit_rate"].values()]
        assert rates == sorted(rates)
        for one in (*method["hit_rate"].values(), method["mrr"]):
            assert 0 <= one["low"] <= one["value"] <= one["high"] <= 1


def test_neighbours_are_of_one_style(made: Made) -> None:
    products = read_rows(made.outputs / "clean" / "products.csv")
    style = {row["product"]: row["title"].split()[0] for row in products}
    category = {row["product"]: row["category"] for row in products}
    folder = made.outputs / "train" / "vectors"
    names = [row["product"] for row in read_rows(folder / "products.csv")]
    vectors = np.load(folder / "vectors.npy", allow_pickle=False)
    assert vectors.shape == (len(names), 16)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    pairs = [
        (names[number], names[nearest])
        for number, nearest in enumerate(cosines.argmax(axis=1))
        if names[number] in style and names[nearest] in style
    ]
    assert np.mean([category[a] == category[b] for a, b in pairs]) > 0.5
    assert np.mean([style[a] == style[b] for a, b in pairs]) > 0.3


def test_pictures_are_drawn(made: Made) -> None:
    for name in ("map.png", "metrics.png"):
        pixels = imread(made.outputs / "evaluate" / name)
        height, width, _ = pixels.shape
        assert 800 < width < 2000
        assert 400 < height < 2000
        assert np.unique(pixels).size > 50
        assert np.median(pixels) > 0.8


def test_the_defects_are_found_and_reported(made: Made) -> None:
    with gzip.open(made.outputs / "generate" / "reviews.jsonl.gz") as file:
        lines = file.read().splitlines()
    records = []
    for line in lines:
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    loaded = read_json(made.outputs / "load" / "report.json")["ratings"]
    assert loaded["lines"] == len(lines)
    assert loaded["rows"] == len(records)
    assert loaded["malformed"] == len(lines) - len(records) > 0
    assert len(loaded["samples"]) == min(10, loaded["malformed"])
    assert loaded["compression"] == "gzip"

    report = read_json(made.outputs / "clean" / "report.json")["ratings"]
    fields = {"user": "reviewerID", "product": "asin"}
    fields |= {"rating": "overall", "time": "unixReviewTime"}
    for column, field in fields.items():
        assert report["dropped"][f"missing_{column}"] == sum(
            record[field] is None for record in records
        )
    wrong = [r["overall"] for r in records if r["overall"] is not None]
    outside = sum(not 1 <= value <= 5 for value in wrong)
    assert report["dropped"]["out_of_bounds"] == outside > 0
    assert list(report["bots"].values()) == [300, 300]
    assert report["dropped"]["bot"] == 600
    kept = read_rows(made.outputs / "clean" / "ratings.csv")
    assert len(kept) == report["kept"]
    assert len({(row["user"], row["product"]) for row in kept}) == len(kept)


def test_each_command_ends_with_the_next_one(made: Made) -> None:
    nexts = re.findall(r"^Next +\./pants run (\S+)", made.screen, re.MULTILINE)
    targets = ["load", "clean", "preprocess", "train", "evaluate", "recommend"]
    prefix = "src/domains/product_recommendation/item2vec:"
    assert nexts == [prefix + target for target in targets]
    metrics = read_json(made.outputs / "evaluate" / "metrics.json")
    rate = metrics["methods"]["item2vec"]["hit_rate"]["10"]["value"]
    assert f"Evaluated      hit rate@10: item2vec {rate:.1%}, co-occurrence" in (
        made.screen
    )
    assert "epoch 30/30" in made.screen


def test_one_more_duplicate_changes_nothing_behind_clean(
    made: Made, scratch: Path
) -> None:
    with gzip.open(made.outputs / "generate" / "reviews.jsonl.gz") as file:
        content = file.read()
    line = content.splitlines(keepends=True)[3]
    Path("reviews").write_bytes(content + line)
    products = str(made.outputs / "generate" / "products.jsonl.gz")
    assert call("load", "--ratings", "reviews", "--products", products) == 0
    assert call("clean", *_CLEAN) == 0
    before, after = made.outputs / "clean", OUTPUTS / "clean"
    for name in ("ratings.csv", "products.csv"):
        assert (after / name).read_bytes() == (before / name).read_bytes()
    duplicates = [
        read_json(folder / "report.json")["ratings"]["dropped"]["duplicate"]
        for folder in (before, after)
    ]
    assert duplicates[1] == duplicates[0] + 1


def test_the_same_seed_gives_the_same_bytes_in_any_process(
    made: Made, scratch: Path
) -> None:
    sentences = str(made.outputs / "preprocess" / "sentences.csv")
    flags = ["--sentences", sentences, "--epochs", "2", "--output_path"]
    assert call("train", *flags, "here") == 0
    subprocess.run(
        [sys.executable, "-m", "domains.product_recommendation.item2vec.train"]
        + [*flags, "there"],
        env={
            **os.environ,
            "PYTHONPATH": _PYTHONPATH,
            # Other than this process's, whatever that is.
            "PYTHONHASHSEED": str(hash("here") % 1000 + 1),
        },
        stdout=subprocess.DEVNULL,
        check=True,
    )
    here = _contents(Path("here"))
    assert _contents(Path("there")) == here
    assert call("train", *flags, "other", "--seed", "5") == 0
    other = _contents(Path("other"))
    assert other["vectors/vectors.npy"] != here["vectors/vectors.npy"]
    assert other["vectors/products.csv"] == here["vectors/products.csv"]


def test_scores_and_pictures_are_the_same_again(home: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    flags = ["--map_products", "200", "--output_path", str(again)]
    assert call("evaluate", *flags) == 0
    assert _contents(again) == _contents(OUTPUTS / "evaluate")


def test_several_workers_learn_and_say_that_they_are_not_repeatable(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "two")
    assert call("train", "--workers", "2", "--output_path", output) == 0
    captured = capsys.readouterr()
    assert "--workers 2" in captured.err
    assert "differ a little from run to run" in captured.err
    assert f"evaluate -- --vectors {output}/vectors" in captured.out


def test_ratings_alone_are_enough(
    made: Made, scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ratings = str(made.outputs / "generate" / "reviews.jsonl.gz")
    assert call("load", "--ratings", ratings) == 0
    assert call("clean", *_CLEAN) == 0
    assert read_rows(OUTPUTS / "clean" / "products.csv") == []
    assert call("preprocess") == 0
    assert call("train", "--epochs", "1") == 0
    assert call("evaluate", "--map_products", "50", "--users", "100") == 0
    assert (OUTPUTS / "evaluate" / "map.png").stat().st_size > 5000
    metrics = read_json(OUTPUTS / "evaluate" / "metrics.json")
    assert metrics["users"] == 100
    # They are the same ratings, so everything is as it was with descriptions.
    for step in ("clean/ratings.csv", "preprocess/sentences.csv"):
        assert (OUTPUTS / step).read_bytes() == (made.outputs / step).read_bytes()
    name = read_rows(OUTPUTS / "train/vectors/products.csv")[0]["product"]
    assert call("recommend", name, "--top", "2") == 0
    assert re.search(rf"Liked +{name}\n0\.\d{{4}} +B\w+\n", capsys.readouterr().out)


def test_a_csv_of_ratings_gives_the_same(made: Made, scratch: Path) -> None:
    rows = read_rows(made.outputs / "load" / "ratings.csv")
    columns = ("product", "user", "time", "rating")
    lines = ["\t".join(row[name] for name in columns) for row in rows]
    Path("ratings.tsv").write_text("\n".join(lines) + "\n")
    flags = ["--format", "csv", "--delimiter", "tab", "--columns", "asin", "who"]
    flags += ["timestamp", "overall", "--fields", "who=user"]
    assert call("load", "--ratings", "ratings.tsv", *flags) == 0
    loaded = (OUTPUTS / "load" / "ratings.csv").read_bytes()
    assert loaded == (made.outputs / "load" / "ratings.csv").read_bytes()


def test_generate_gives_the_same_shop_again_packed_as_its_name_says(
    made: Made, scratch: Path
) -> None:
    flags = ["--ratings_name", "r.jsonl.zst", "--products_name", "p.jsonl"]
    assert call("generate", *SHOP, *flags) == 0
    folder = OUTPUTS / "generate"
    assert (folder / "r.jsonl.zst").read_bytes()[:4] == b"\x28\xb5\x2f\xfd"
    with gzip.open(made.outputs / "generate" / "products.jsonl.gz") as file:
        assert (folder / "p.jsonl").read_bytes() == file.read()
    ratings = str(folder / "r.jsonl.zst")
    assert call("load", "--ratings", ratings) == 0
    loaded = (OUTPUTS / "load" / "ratings.csv").read_bytes()
    assert loaded == (made.outputs / "load" / "ratings.csv").read_bytes()


def test_the_shop_is_as_asked(made: Made) -> None:
    rows = read_rows(made.outputs / "clean" / "ratings.csv")
    # All but those with a defect.
    assert 11_600 < len(rows) < 12_000
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["product"]] = counts.get(row["product"], 0) + 1
    popular = sorted(counts.values(), reverse=True)
    # A long tail: a tenth of the products has a sixth of the ratings, at least.
    assert sum(popular[:30]) > len(rows) / 6
    assert len({row["user"] for row in rows}) > 590


def _title(made: Made) -> tuple[str, str]:
    """Give a product with a vector and a title of its own."""
    known = {
        row["product"] for row in read_rows(made.outputs / "train/vectors/products.csv")
    }
    rows = read_rows(made.outputs / "clean" / "products.csv")
    row = next(row for row in rows if row["product"] in known)
    return row["product"], row["title"]


def test_recommend_takes_names_titles_and_baskets(
    made: Made, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, title = _title(made)
    assert call("recommend", name) == 0
    by_name = capsys.readouterr().out
    assert call("recommend", title.upper()) == 0
    assert capsys.readouterr().out == by_name
    lines = by_name.splitlines()
    assert lines[0] == f"Liked     {name}  {title}"
    scores = [float(line.split()[0]) for line in lines[1:]]
    assert len(scores) == 10
    assert scores == sorted(scores, reverse=True)
    assert name not in "".join(lines[1:])

    nearest = lines[1].split()[1]
    assert call("recommend", name, nearest, "--top", "1000") == 0
    basket = capsys.readouterr().out.splitlines()
    vectors = read_rows(made.outputs / "train/vectors/products.csv")
    assert len(basket) == len(vectors)
    assert {name, nearest}.isdisjoint(line.split()[1] for line in basket[2:])


def test_an_unknown_product_gets_the_nearest_names(
    made: Made, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, title = _title(made)
    for wrong in (name[:-1] + "?", title[:-1] + "x"):
        assert call("recommend", wrong) == 2
        errors = capsys.readouterr().err
        assert re.fullmatch(r"recommend: error: no vector for a product .*\n", errors)
        assert f"{name} ({title})" in errors
    assert call("recommend", "§§§") == 2
    assert "the nearest names are B" in capsys.readouterr().err


def test_a_file_is_scored_in_batches(
    made: Made, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [r["product"] for r in read_rows(OUTPUTS / "train/vectors/products.csv")]
    sentences = tmp_path / "baskets.csv"
    sentences.write_text(
        f"user,products\nann,{names[0]} {names[5]}\nbob,unheard-of\n"
        f"cat,{names[7]} unheard-of\ndan,{names[9]}\neve,{names[2]}\n"
    )
    contents = []
    for size in ("2", "100"):
        output = tmp_path / size
        flags = ["--csv", str(sentences), "--batch_size", size, "--top", "3"]
        flags += ["--limit", "4", "--output_path", str(output)]
        assert call("recommend", *flags) == 0
        contents.append((output / "recommendations.csv").read_bytes())
        screen = capsys.readouterr().out
        assert "2 products in the baskets have no vector" in screen
        assert "for 3 of 4 users" in screen
    assert contents[0] == contents[1]
    rows = read_rows(tmp_path / "2" / "recommendations.csv")
    assert [row["user"] for row in rows] == ["ann"] * 3 + ["cat"] * 3 + ["dan"] * 3
    assert [row["rank"] for row in rows] == ["1", "2", "3"] * 3

    assert call("recommend", names[0], names[5], "--top", "3") == 0
    shown = [line.split()[:2] for line in capsys.readouterr().out.splitlines()[2:]]
    assert shown == [[row["score"], row["product"]] for row in rows[:3]]


def _cut(name: str) -> Callable[[], None]:
    def cut() -> None:
        path = Path(name)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return cut


def _write(name: str, text: str) -> Callable[[], None]:
    def write() -> None:
        (OUTPUTS / name).write_text(text)

    return write


def _nothing() -> None:
    """Leave everything as it is."""


_REVIEWS = str(OUTPUTS / "generate" / "reviews.jsonl.gz")


@pytest.mark.parametrize(
    ("command", "flags", "damage", "problem"),
    [
        ("generate", ["--users", "0"], _nothing, "--users: '0' is not a whole number"),
        ("generate", ["--ratings", "9000000"], _nothing, "9000000 are too many"),
        ("generate", ["--ratings_name", "a/b"], _nothing, "'a/b' is not a file's name"),
        ("generate", ["--noise", "2"], _nothing, "'2' is not a number from 0 to 1"),
        ("load", ["--ratings", "nowhere"], _nothing, "nowhere does not exist"),
        ("load", ["--ratings", "ftp://x/y"], _nothing, "ftp:// is none of http"),
        ("load", [], _cut(_REVIEWS), "reviews.jsonl.gz is cut short: its gzip data"),
        ("load", ["--max_bad_fraction", "0"], _nothing, "than --max_bad_fraction 0; "),
        ("load", ["--format", "csv"], _nothing, "its first line is no CSV header"),
        ("load", ["--format", "cvs"], _nothing, "did you mean csv?"),
        (
            "load",
            ["--fields", "who=user"],
            _nothing,
            "no record has who for the column",
        ),
        ("load", ["--fields", "who=whom"], _nothing, "'whom' is none of user, product"),
        ("load", ["--delimiter", "::"], _nothing, "'::' is not one character"),
        ("clean", ["--min_value", "6"], _nothing, "--min_value 6 is above --max_value"),
        ("clean", ["--min_value", "4.9", "--max_value", "4.95"], _nothing, "is left"),
        (
            "clean",
            [],
            _write("load/ratings.csv", "user,product,rating,time\na b,p,1,2\n"),
            "load/ratings.csv: line 2: user is 'a b', which is not a text without",
        ),
        ("clean", ["--ratings", "nowhere"], _nothing, "nowhere does not exist"),
        ("preprocess", ["--min_rating", "9"], _nothing, "lower --min_rating"),
        ("preprocess", ["--min_liked", "2"], _nothing, "--min_liked 2 is below 3"),
        ("train", ["--min_count", "9999"], _nothing, "--min_count 9999: 0 products"),
        ("train", ["--sentences", str(OUTPUTS)], _nothing, "item2vec cannot be read"),
        (
            "train",
            [],
            _write("preprocess/sentences.csv", "user,products\na,x y\na,x z\n"),
            "line 2: user is 'a', as in another line",
        ),
        ("evaluate", ["--vectors", "nowhere"], _nothing, "nowhere is no folder of vec"),
        (
            "evaluate",
            [],
            _write("train/vectors/model.json", "{}"),
            "has the format None, expected 'item2vec/1'",
        ),
        (
            "evaluate",
            [],
            _cut(str(OUTPUTS / "train/vectors/vectors.npy")),
            "vectors.npy is damaged",
        ),
        (
            "evaluate",
            [],
            _write("train/vectors/products.csv", "product,count\na,1\n"),
            "x 16 numbers for 1 products",
        ),
        (
            "evaluate",
            [],
            _write("preprocess/held_out.csv", "user,product\nnobody,x\n"),
            "has the user nobody, whom",
        ),
        ("recommend", [], _nothing, "name one product or more, or a file with --csv"),
        ("recommend", ["x", "--csv", "y"], _nothing, "name one product or more"),
        ("recommend", ["--csv", "nowhere"], _nothing, "nowhere does not exist"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    command: str,
    flags: list[str],
    damage: Callable[[], None],
    problem: str,
    made: Made,
    scratch: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(made.outputs, OUTPUTS)
    damage()
    before = _contents(scratch)
    assert call(command, *flags) == 2
    errors = capsys.readouterr().err
    assert re.fullmatch(rf"{command}: error: [^\n]+\n", errors)
    assert problem in errors
    assert _contents(scratch) == before
