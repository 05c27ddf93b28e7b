"""Tables as CSV files whose columns are declared once and checked at every border.

The declaration is pandera's. Texts are read as categories, so a column of identifiers
takes four bytes a row. An empty cell is the only way to say that a value is missing:
"NA" and "null" are texts like others. The same table is written as the same bytes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandas.api.types import union_categoricals
from pandera.errors import SchemaError

from common.errors import UserError

_ROWS_AT_ONCE = 1_000_000


def matches(pattern: str, description: str) -> pa.Check:
    """Make a check that a column's texts, which are categories, are of some form.

    Each text is looked at once, however often it occurs.

    Args:
        pattern: The regular expression that the whole text has to match.
        description: What to call it in a message, such as "one word".
    """
    compiled = re.compile(pattern)

    def check(column: pd.Series[Any]) -> pd.Series[bool]:
        texts = column.cat.categories
        is_good = np.asarray([bool(compiled.fullmatch(text)) for text in texts], bool)
        return pd.Series(is_good[column.cat.codes], index=column.index)

    return pa.Check(check, error=description)


def read_table(
    path: Path, schema: pa.DataFrameSchema, rows: int = _ROWS_AT_ONCE
) -> pd.DataFrame:
    """Read a CSV and check it.

    Args:
        path: The file.
        schema: What must be in it: these columns, in this order.
        rows: How many are parsed at a time; the parser holds the text of all of them.

    Returns:
        The table, with the schema's types. The categories of each text are sorted.

    Raises:
        UserError: The file is missing or is no such table; the message names a line
            that is wrong.
    """
    parts = list(read_parts(path, schema, rows))
    if len(parts) == 1:
        return parts[0]
    columns: dict[str, Any] = {}
    for name in schema.columns:
        pieces = [part.pop(name) for part in parts]
        columns[name] = (
            union_categoricals(pieces, sort_categories=True)
            if isinstance(pieces[0].dtype, pd.CategoricalDtype)
            else pd.concat(pieces, ignore_index=True)
        )
    return pd.DataFrame(columns, copy=False)


def read_parts(
    path: Path, schema: pa.DataFrameSchema, rows: int = _ROWS_AT_ONCE
) -> Iterator[pd.DataFrame]:
    """Read a CSV some rows at a time, checking them.

    Args:
        path: The file.
        schema: What must be in it.
        rows: How many at a time.

    Yields:
        The rows, numbered through; once if there are none.

    Raises:
        UserError: As :func:`read_table`.
    """
    _check_header(path, schema)
    types = {name: str(column.dtype) for name, column in schema.columns.items()}
    try:
        with pd.read_csv(
            path,
            dtype=types,
            keep_default_na=False,
            na_values=[""],
            chunksize=rows,
            low_memory=False,
        ) as parts:
            for part in parts:
                if not isinstance(part.index, pd.RangeIndex):
                    # pandas takes the first value for a row's name then.
                    raise ValueError("its rows are longer than its header")
                yield _checked(path, part, schema)
    except (ValueError, OverflowError) as error:
        # The parser's, among others: a number that is none, a row that is too long.
        raise UserError(f"{path} is no table of {schema.name}: {error}") from None


def write_table(path: Path, table: pd.DataFrame, schema: pa.DataFrameSchema) -> None:
    """Check a table and write it as a CSV.

    Args:
        path: The file to write.
        table: What to write.
        schema: What must be in it.

    Raises:
        UserError: It is no such table.
    """
    _checked(path, table, schema).to_csv(
        path, index=False, lineterminator="\n", chunksize=_ROWS_AT_ONCE // 10
    )


def check_table(path: Path, schema: pa.DataFrameSchema) -> int:
    """Check a CSV of any size and count its rows.

    Raises:
        UserError: As :func:`read_table`.
    """
    return sum(len(part) for part in read_parts(path, schema))


def _check_header(path: Path, schema: pa.DataFrameSchema) -> None:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            found = next(csv.reader(file), [])
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error):
        raise UserError(f"{path} is no CSV in UTF-8") from None
    expected = list(schema.columns)
    if found != expected:
        raise UserError(
            f"{path} is no table of {schema.name}: it has the columns "
            f"{', '.join(found) or 'of an empty file'}, expected {', '.join(expected)}"
        )


def _checked(
    path: Path, table: pd.DataFrame, schema: pa.DataFrameSchema
) -> pd.DataFrame:
    try:
        return schema.validate(table)
    except SchemaError as error:
        raise UserError(f"{path}: {_problem(error)}") from None


def _problem(error: SchemaError) -> str:
    """Say in one line what pandera has found, with a line of the file as an example."""
    cases = error.failure_cases
    column = getattr(error.schema, "name", None)
    if not isinstance(cases, pd.DataFrame) or "index" not in cases or cases.empty:
        return f"the column {column}: {str(error).splitlines()[0]}"
    index, value = cases["index"].iloc[0], cases["failure_case"].iloc[0]
    if pd.isna(index):
        return f"the column {column} is {value}, not {error.check}"
    if pd.isna(value):
        return f"line {int(index) + 2:,}: {column} is missing"
    if isinstance(value, np.generic):
        value = value.item()
    if error.check == "field_uniqueness":
        return f"line {int(index) + 2:,}: {column} is {value!r}, as in another line"
    rule = getattr(error.check, "error", None) or str(error.check)
    return f"line {int(index) + 2:,}: {column} is {value!r}, which is not {rule}"
