"""Turn files of records, JSON lines or CSV, into a CSV of chosen columns, as a stream.

The file may lie anywhere and be packed as :mod:`common.byte_streams` says. One batch of
rows is in memory at a time. Lines that are no record are counted, sampled in a report,
and refused when there are too many of them.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from common.byte_streams import ByteStream, open_stream, unpacked
from common.errors import UserError
from common.work_progress import shown_progress

FORMS = ("jsonl", "csv")
KINDS = ("identifier", "text", "number", "whole")

_BATCH = 5_000
_LONGEST_LINE = 1 << 24
_SAMPLES, _SAMPLE_LENGTH = 10, 120
# This many lines without a single record are enough to know that the form is wrong.
_HOPELESS = 1_000
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

FIELDS_HELP = (
    "which field becomes which column, as FIELD=COLUMN; a field of a field is "
    "style.colour=colour, the first of a list categories.0=category, and a|b=column "
    "takes a, or b where there is no a; columns that are not named keep their default"
)

_Row = list[Any]
_Value = Callable[[Any], Any]


@dataclass(frozen=True)
class Field:
    """A column to make.

    Attributes:
        column: Its name.
        kind: One of KINDS: "identifier" is a text without white space (each run of it
            becomes a "_"), "text" has single spaces only, "number" is finite, "whole"
            fits 64 bits.
        paths: Where its value is, in the order to look; dots lead into objects and
            lists of JSON, and are part of a name in a CSV.
        required: Whether some record must have it.
    """

    column: str
    kind: str
    paths: tuple[str, ...]
    required: bool = True


@dataclass(frozen=True)
class Sample:
    """A line that is no record: its number from 1, what is wrong, how it begins."""

    line: int
    problem: str
    text: str


@dataclass
class Reading:
    """What became of a file's lines.

    Attributes:
        source: Where it was read from.
        form: One of FORMS.
        compression: "gzip", "zstd" or "none".
        packed_bytes: How many bytes were read.
        lines: Lines (records of a CSV) that are not blank.
        rows: Those that became rows.
        malformed: The others.
        filled: How many rows have a value, by column.
        samples: The first few of the others.
    """

    source: str
    form: str
    compression: str = "none"
    packed_bytes: int = 0
    lines: int = 0
    rows: int = 0
    malformed: int = 0
    filled: dict[str, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return asdict(self)


def parse_fields(texts: Sequence[str], defaults: Sequence[Field]) -> list[Field]:
    """Put what a user wrote for --fields in place of defaults.

    Args:
        texts: Each PATH[|PATH...]=COLUMN.
        defaults: A field for each column that there is.

    Returns:
        A field for each of the defaults, in their order.

    Raises:
        UserError: A text is of another form, or names a column that there is not.
    """
    fields = {one.column: one for one in defaults}
    for text in texts:
        paths, equals, column = text.rpartition("=")
        if not equals or not all(paths.split("|")):
            raise UserError(f"--fields {text} is not FIELD=COLUMN, as in asin=product")
        if column not in fields:
            raise UserError(
                f"--fields {text}: {column!r} is none of {', '.join(fields)}"
            )
        old = fields[column]
        fields[column] = Field(
            column, old.kind, tuple(paths.split("|")), required=old.required
        )
    return list(fields.values())


def write_table_of(
    source: str,
    target: Path,
    fields: Sequence[Field],
    *,
    form: str = "jsonl",
    delimiter: str = ",",
    header: Sequence[str] = (),
    max_bad_fraction: float = 0.01,
    title: str = "reading",
) -> Reading:
    """Read records from anywhere and write their chosen fields as a CSV.

    Values that are missing stay empty. A value that is not of its column's kind makes
    its line malformed.

    Args:
        source: A path or an address.
        target: The CSV to write, with a header line.
        fields: Its columns.
        form: "jsonl", an object in each line; or "csv".
        delimiter: What separates a CSV's values.
        header: The names of a CSV's columns, if its first line does not have them.
        max_bad_fraction: The share of malformed lines to put up with, from 0 to 1.
        title: What to call it while it is shown how far it is.

    Returns:
        What became of the lines.

    Raises:
        UserError: The source cannot be read or is damaged, too many lines are
            malformed, there is no record, or none has a required field.
        RunError: The source stops arriving.
    """
    reading = Reading(source, form, filled={one.column: 0 for one in fields})
    with (
        open_stream(source) as stream,
        shown_progress(title, stream.size, "B") as advance,
        target.open("w", newline="", encoding="utf-8") as file,
    ):
        reading.source = stream.name

        def count(size: int) -> None:
            reading.packed_bytes += size
            advance(size)

        reading.compression, pieces = unpacked(stream, count)
        seen: dict[str, None] = {}
        lines = _lines(stream.name, pieces)
        if form == "csv":
            rows = _csv_rows(lines, fields, reading, seen, delimiter, header)
        else:
            rows = _json_rows(lines, fields, reading, seen)
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([one.column for one in fields])
        for batch in _batches(rows):
            writer.writerows(batch)
            for one, values in zip(fields, zip(*batch, strict=True), strict=True):
                reading.filled[one.column] += len(values) - values.count("")
    _check(reading, fields, seen, max_bad_fraction, stream)
    return reading


def _check(
    reading: Reading,
    fields: Sequence[Field],
    seen: Mapping[str, None],
    max_bad_fraction: float,
    stream: ByteStream,
) -> None:
    if reading.malformed > max_bad_fraction * reading.lines:
        raise _too_many(reading, f"more than --max_bad_fraction {max_bad_fraction:g}")
    if not reading.rows:
        raise UserError(f"{stream.name} holds no records")
    for one in fields:
        if one.required and not reading.filled[one.column]:
            looked = " nor ".join(one.paths)
            raise UserError(
                f"{stream.name}: no record has {looked} for the column {one.column}; "
                f"there are {', '.join(seen)} (--fields FIELD={one.column})"
            )


def _too_many(reading: Reading, limit: str) -> UserError:
    share = reading.malformed / reading.lines
    first = reading.samples[0]
    return UserError(
        f"{reading.source}: {reading.malformed:,} of {reading.lines:,} lines "
        f"({share:.2%}) are malformed, {limit}; the first is line {first.line:,}: "
        f"{first.problem}"
    )


def _lines(name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Split into lines, without their ends."""
    rest, number, is_first = b"", 0, True
    for piece in pieces:
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        if is_first and (lines or len(rest) >= len(_BYTE_ORDER_MARK)):
            is_first = False
            if lines:
                lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
            else:
                rest = rest.removeprefix(_BYTE_ORDER_MARK)
        number += len(lines)
        if len(rest) > _LONGEST_LINE:
            size = f"{_LONGEST_LINE >> 20} MiB"
            raise UserError(
                f"{name}: line {number + 1:,} is longer than {size}: these are no lines"
            )
        yield from lines
    if rest:
        yield rest


def _batches(rows: Iterator[_Row]) -> Iterator[list[_Row]]:
    batch: list[_Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _json_rows(
    lines: Iterator[bytes],
    fields: Sequence[Field],
    reading: Reading,
    seen: dict[str, None],
) -> Iterator[_Row]:
    import orjson

    loads = orjson.loads
    makers = [(_getter(one.paths), _VALUES[one.kind]) for one in fields]
    for number, line in enumerate(lines, start=1):
        if not line or line.isspace():
            continue
        reading.lines += 1
        try:
            record = loads(line)
            if not isinstance(record, dict):
                raise ValueError("it is no JSON object")
            row = [value(get(record)) for get, value in makers]
        except ValueError as error:
            text = line[:_SAMPLE_LENGTH].decode("utf-8", "replace")
            _note(reading, number, str(error), text)
            continue
        reading.rows += 1
        if reading.rows <= _HOPELESS:
            seen.update(dict.fromkeys(record))
        yield row


def _csv_rows(
    lines: Iterator[bytes],
    fields: Sequence[Field],
    reading: Reading,
    seen: dict[str, None],
    delimiter: str,
    header: Sequence[str],
) -> Iterator[_Row]:
    # Bytes that are no UTF-8 become lone surrogates, which are refused value by value.
    texts = (line.decode("utf-8", "surrogateescape") + "\n" for line in lines)
    reader = csv.reader(texts, delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in header or next(reader, [])]
    except csv.Error as error:
        raise UserError(
            f"{reading.source}: its first line is no CSV header: {error}"
        ) from None
    seen.update(dict.fromkeys(names))
    makers = [
        (
            next((names.index(path) for path in one.paths if path in names), None),
            _VALUES[one.kind],
        )
        for one in fields
    ]
    while True:
        record: list[str] = []
        try:
            record = next(reader)
            if not record:
                continue
            reading.lines += 1
            if len(record) != len(names):
                raise ValueError(f"it has {len(record)} values, not {len(names)}")
            row = [
                "" if index is None else value(record[index]) for index, value in makers
            ]
        except StopIteration:
            return
        except csv.Error as error:
            reading.lines += 1
            _note(reading, reader.line_num, str(error), "")
            continue
        except ValueError as error:
            text = delimiter.join(record)[:_SAMPLE_LENGTH]
            shown = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            _note(reading, reader.line_num, str(error), shown)
            continue
        reading.rows += 1
        yield row


def _note(reading: Reading, number: int, problem: str, text: str) -> None:
    reading.malformed += 1
    if len(reading.samples) < _SAMPLES:
        reading.samples.append(Sample(number, problem, text))
    if reading.malformed == _HOPELESS and not reading.rows:
        raise _too_many(reading, "and none is a record; --format says what they are")


def _getter(paths: Sequence[str]) -> Callable[[dict[str, Any]], Any]:
    """Make what finds the first value there is."""
    first = paths[0]
    routes = [(path, path.split(".")) for path in paths]

    def get(record: dict[str, Any]) -> Any:
        found = record.get(first)
        # Nearly always; what follows takes several times as long.
        if found is not None and found != "":
            return found
        for path, route in routes:
            # A name may have dots of its own.
            found = record[path] if path in record else _follow(record, route)
            if found is not None and found != "":
                return found
        return None

    return get


def _follow(value: Any, route: Sequence[str]) -> Any:
    for name in route:
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal():
            value = value[int(name)] if int(name) < len(value) else None
        else:
            return None
    return value


def _identifier(value: Any) -> str:
    # Each kind begins with what most values are: a file has millions of them.
    if type(value) is str and value.isascii() and value.isalnum():
        return value
    words = _plain(value).split()
    return words[0] if len(words) == 1 else "_".join(words)


def _text(value: Any) -> str:
    return " ".join(_plain(value).split())


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        import orjson

        return orjson.dumps(value).decode()
    if "\0" in value:
        raise ValueError("a value holds a zero character")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("a value is not UTF-8 text") from None
    return value


def _number(value: Any) -> float | str:
    if type(value) is float and math.isfinite(value):
        return value
    if value is None or value == "":
        return ""
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            return number
    raise ValueError(f"{_shown(value)} is no number")


def _whole(value: Any) -> int | str:
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    if value is None or value == "":
        return ""
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = int(value)
        except (ValueError, OverflowError):
            number = -(2**64)
        is_whole = not isinstance(value, float) or value == number
        if is_whole and -(2**63) <= number < 2**63:
            return number
    raise ValueError(f"{_shown(value)} is no whole number")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


_VALUES: Mapping[str, _Value] = {
    "identifier": _identifier,
    "text": _text,
    "number": _number,
    "whole": _whole,
}
