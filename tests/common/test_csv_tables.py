"""Tables that are checked where they are read and written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pandera.pandas as pa
import pytest

from common.csv_tables import (
    check_table,
    matches,
    read_parts,
    read_table,
    write_table,
)
from common.errors import UserError

_SCHEMA = pa.DataFrameSchema(
    {
        "name": pa.Column("category", matches(r"\S+", "one word")),
        "count": pa.Column("int64", pa.Check.ge(1, error="1 or more")),
        "share": pa.Column("float64", nullable=True),
    },
    name="things",
    strict=True,
    ordered=True,
)


def _table(rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "name": pd.Categorical([f"n{number % 7}" for number in range(rows)]),
            "count": range(1, rows + 1),
            "share": [None if number % 3 else number / 8 for number in range(rows)],
        }
    )


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    table = _table(20)
    table["name"] = table["name"].cat.rename_categories({"n1": "NA", "n2": 'a,"b"'})
    write_table(path, table, _SCHEMA)
    assert path.read_text().startswith('name,count,share\nn0,1,0.0\nNA,2,\n"a,""b""",3')
    assert (
        read_table(path, _SCHEMA)
        .astype({"name": "str"})
        .equals(table.astype({"name": "str"}))
    )
    assert check_table(path, _SCHEMA) == 20


def test_parts_have_the_rows_of_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_table(path, _table(20), _SCHEMA)
    parts = list(read_parts(path, _SCHEMA, 6))
    assert [len(part) for part in parts] == [6, 6, 6, 2]
    joined = pd.concat([part.astype({"name": "str"}) for part in parts])
    assert joined.equals(read_table(path, _SCHEMA).astype({"name": "str"}))


def test_a_table_of_several_parts_has_all_names_as_categories(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    names = [f"m{9 - number}" for number in range(10)] + ["a"] * 5
    path.write_text("name,count,share\n" + "".join(f"{name},1,\n" for name in names))
    table = read_table(path, _SCHEMA, rows=4)
    assert table["name"].tolist() == names
    assert table["name"].cat.categories.tolist() == sorted(set(names))
    assert table.index.tolist() == list(range(15))
    assert read_table(path, _SCHEMA).equals(table)


def test_a_table_may_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("name,count,share\n")
    table = read_table(path, _SCHEMA)
    assert list(table.columns) == ["name", "count", "share"]
    assert table.empty


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "name,count\na,1\n",
            "it has the columns name, count, expected name, count, sh",
        ),
        ("", "it has the columns of an empty file, expected name"),
        ("count,name,share\n1,a,\n", "columns count, name, share, expected"),
        ("name,count,share\na,1,\nb c,2,\n", "line 3: name is 'b c', which is not one"),
        (
            "name,count,share\na,1,\na,0,\n",
            "line 3: count is 0, which is not 1 or more",
        ),
        ("name,count,share\n,1,\n,2,\n", "line 2: name is missing"),
        ("name,count,share\na,x,\n", "no table of things: .*'x'"),
        ("name,count,share\na,1,2,3\n", "no table of things"),
        ("name,count,share\na,,\n", "no table of things"),
    ],
)
def test_what_is_no_such_table_is_refused_in_one_line(
    text: str, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=problem) as caught:
        read_table(path, _SCHEMA)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value).strip()


def test_nothing_wrong_is_written(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with pytest.raises(UserError, match="line 2: count is -1"):
        write_table(path, _table(3).assign(count=[-1, 1, 1]), _SCHEMA)
    assert not path.exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere.csv does not exist"):
        read_table(tmp_path / "nowhere.csv", _SCHEMA)
