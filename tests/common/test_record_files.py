"""Records from JSON lines and CSV files, as tables of chosen columns."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UserError
from common.record_files import Field, Reading, parse_fields, write_table_of

_FIELDS = (
    Field("user", "identifier", ("reviewerID", "user_id")),
    Field("rating", "number", ("overall",)),
    Field("time", "whole", ("unixReviewTime",), required=False),
    Field("colour", "text", ("style.colour", "colours.0"), required=False),
)


def _convert(
    folder: Path, content: bytes, **settings: Any
) -> tuple[Reading, list[dict[str, str]]]:
    source, target = folder / "source", folder / "table.csv"
    source.write_bytes(content)
    reading = write_table_of(
        str(source), target, settings.pop("fields", _FIELDS), **settings
    )
    with target.open(newline="", encoding="utf-8") as file:
        return reading, list(csv.DictReader(file))


def _lines(*records: object) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def test_fields_are_found_by_name_by_path_and_by_their_second_name(
    tmp_path: Path,
) -> None:
    content = _lines(
        {"reviewerID": "A1", "overall": 5, "style": {"colour": " deep \n red "}},
        {"user_id": "B 2", "overall": "4.5", "unixReviewTime": 10.0, "colours": ["x"]},
        {"reviewerID": 3, "overall": None, "style.colour": "blue", "style": 1},
        {"reviewerID": "", "user_id": "D", "overall": "", "colours": []},
    )
    reading, rows = _convert(tmp_path, content)
    assert [tuple(row.values()) for row in rows] == [
        ("A1", "5.0", "", "deep red"),
        ("B_2", "4.5", "10", "x"),
        ("3", "", "", "blue"),
        ("D", "", "", ""),
    ]
    assert reading.filled == {"user": 4, "rating": 2, "time": 1, "colour": 3}
    assert (reading.lines, reading.rows, reading.malformed) == (4, 4, 0)
    assert reading.packed_bytes == len(content)


_NAMES = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=8
)
_RECORDS = st.lists(
    st.tuples(_NAMES, st.floats(-1e9, 1e9), st.integers(-(2**63), 2**63 - 1), _NAMES)
)


@settings(deadline=None)
@given(records=_RECORDS, form=st.sampled_from(["jsonl", "csv"]))
def test_any_record_comes_through(
    records: list[tuple[str, float, int, str]],
    form: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    # The first has every field, so that there is something to find.
    records = [("A", 1.0, 1, "red"), *records]
    folder = tmp_path_factory.getbasetemp()
    names = ("reviewerID", "overall", "unixReviewTime", "style.colour")
    if form == "csv":
        with (folder / "given").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([names, *records])
        content = (folder / "given").read_bytes()
    else:
        content = _lines(*(dict(zip(names, record)) for record in records))
    _, rows = _convert(folder, content, form=form)
    for record, row in zip(records, rows, strict=True):
        assert row["user"] == "_".join(record[0].split())
        assert float(row["rating"]) == record[1]
        assert int(row["time"]) == record[2]
        assert row["colour"] == " ".join(record[3].split())


_BAD_LINES = [
    b'{"reviewerID": "A", "overall": 5',
    b"[1, 2]",
    b"null",
    b"<html>",
    b'{"reviewerID": "\xff", "overall": 1}',
    b'{"reviewerID": "\\ud800", "overall": 1}',
    b'{"reviewerID": "a\\u0000b", "overall": 1}',
    b'{"reviewerID": "A", "overall": "good"}',
    b'{"reviewerID": "A", "overall": true}',
    b'{"reviewerID": "A", "overall": NaN}',
    b'{"reviewerID": "A", "overall": "inf"}',
    b'{"reviewerID": "A", "unixReviewTime": 1.5}',
    b'{"reviewerID": "A", "unixReviewTime": 99999999999999999999}',
]


@pytest.mark.parametrize("bad", _BAD_LINES)
def test_a_bad_line_is_counted_and_shown(bad: bytes, tmp_path: Path) -> None:
    good = _lines({"reviewerID": "A", "overall": 5})
    content = b"\xef\xbb\xbf" + good + b"\r\n\n" + bad + b"\n" + good.strip()
    reading, rows = _convert(tmp_path, content, max_bad_fraction=0.4)
    assert [row["user"] for row in rows] == ["A", "A"]
    assert (reading.lines, reading.malformed) == (3, 1)
    (sample,) = reading.samples
    assert sample.line == 4
    assert sample.problem
    assert sample.text == bad.decode("utf-8", "replace")

    with pytest.raises(UserError, match=r"1 of 3 lines \(33.33%\) .* line 4: [^\n]+$"):
        _convert(tmp_path, content, max_bad_fraction=0.3)


def test_bad_rows_of_a_csv_are_counted_and_shown(tmp_path: Path) -> None:
    content = (
        b'reviewerID,overall,text\nA,5,"two\nlines"\nB,4\nC,x,\n\xff,1,\n'
        b'D,"3"4,\nE,2,\xc3\xa9\n'
    )
    reading, rows = _convert(tmp_path, content, form="csv", max_bad_fraction=0.7)
    assert [(row["user"], row["rating"]) for row in rows] == [
        ("A", "5.0"),
        ("E", "2.0"),
    ]
    assert (reading.lines, reading.malformed) == (6, 4)
    assert [sample.line for sample in reading.samples] == [4, 5, 6, 7]


def test_a_csv_may_have_no_header_and_other_delimiters(tmp_path: Path) -> None:
    header = ["user_id", "item", "overall", "unixReviewTime"]
    content = b"A\tx\t5\t7\n\nB\ty\t1\t\n"
    _, rows = _convert(tmp_path, content, form="csv", delimiter="\t", header=header)
    assert [tuple(row.values()) for row in rows] == [
        ("A", "5.0", "7", ""),
        ("B", "1.0", "", ""),
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "holds no records"),
        (b"\n \n", "holds no records"),
        (b'{"stars": 1, "who": "A"}\n', "no record has reviewerID nor user_id .*"),
        (b'{"reviewerID": "A", "stars": 1}\n', "there are reviewerID, stars"),
        (b"not json\n" * 5000, "1,000 of 1,000 lines .* --format says what they are"),
        (b"x" * (18 << 20), "line 1 is longer than 16 MiB"),
    ],
)
def test_what_holds_no_records_is_refused(
    content: bytes, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=problem):
        _convert(tmp_path, content)


def test_fields_can_be_chosen(tmp_path: Path) -> None:
    fields = parse_fields(["a.b|c=user", "x=y=rating"], _FIELDS)
    assert [field.column for field in fields] == [field.column for field in _FIELDS]
    content = _lines({"a": {"b": "A"}, "x=y": 1}, {"c": "C"})
    _, rows = _convert(tmp_path, content, fields=fields)
    assert [row["user"] for row in rows] == ["A", "C"]
    assert rows[0]["rating"] == "1.0"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("user", "--fields user is not FIELD=COLUMN"),
        ("=user", "--fields =user is not FIELD=COLUMN"),
        ("a||b=user", "is not FIELD=COLUMN"),
        ("a=person", "'person' is none of user, rating, time, colour"),
    ],
)
def test_fields_that_are_none_are_refused(text: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        parse_fields([text], _FIELDS)
