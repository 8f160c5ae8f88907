"""CSV tables: types found over the whole file, so that no value changes and no row fails late."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import csv

from batchkit.errors import TableError
from batchkit.tables.csv_types import changed_columns
from batchkit.tables.labels import check_labels
from batchkit.tables.stream import TableStream

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

__all__ = ["CSV_ENDINGS", "csv_table"]

CSV_ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
_BLOCK_BYTES = 8_000_000
_FAILED_COLUMN = re.compile(r"In CSV column #(\d+)")
_DELIMITERS = ",;\t|"
_HEADER_BYTES = 65_536
_QUOTED = re.compile(rb'"(?:[^"]|"")*"')


def csv_table(path: Path, text_columns: Collection[str]) -> TableStream:
    """A CSV file (`.csv`, `.tsv`, also `.gz`) with a header row; `text_columns` are read as text.

    Types are Arrow's guess, kept only where they change no value (`csv_types`). An empty field is
    null, a quoted empty one is empty text. Raises TableError.
    """
    try:
        return _table(path, text_columns)
    except (pa.ArrowInvalid, OSError) as error:
        message = f"{path} is no CSV table: {error}"
        raise TableError(message) from error


def _table(path: Path, text_columns: Collection[str]) -> TableStream:
    delimiter = _delimiter(path)
    names = _names(path, delimiter)
    texts = {name: pa.string() for name in text_columns if name in names}
    while True:
        changed = _changed(path, delimiter, texts)
        if not changed:
            break
        texts |= {name: pa.string() for name in changed}
    reader = _open(path, delimiter, texts)
    return TableStream(f"CSV file {path}", reader.schema, iter(reader))


def _delimiter(path: Path) -> str:
    """The delimiter that the header holds most of, outside quotes; else what the name says."""
    with pa.input_stream(str(path), compression="detect") as file:
        start = file.read(_HEADER_BYTES)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        message = f"{path} is UTF-16; save it as UTF-8"
        raise TableError(message)
    header = _QUOTED.sub(b"", start).partition(b"\n")[0].decode(errors="replace")
    likely = "\t" if ".tsv" in path.suffixes else ","
    if likely == "\t" and likely in header:
        return likely
    return max(likely + _DELIMITERS, key=header.count)


def _names(path: Path, delimiter: str) -> list[str]:
    try:
        names = _open(path, delimiter, {}).schema.names
    except UnicodeDecodeError as error:
        message = f"{path}: the header is not UTF-8; save the file as UTF-8"
        raise TableError(message) from error
    check_labels(names, f"CSV file {path}")
    return names


def _open(path: Path, delimiter: str, types: Mapping[str, pa.DataType]) -> csv.CSVStreamingReader:
    return csv.open_csv(
        pa.input_stream(str(path), compression="detect"),
        csv.ReadOptions(block_size=_BLOCK_BYTES),
        csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        csv.ConvertOptions(
            column_types=types,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _changed(path: Path, delimiter: str, texts: Mapping[str, pa.DataType]) -> list[str]:
    """Read all of it and name the columns that are text in truth."""
    names = _names(path, delimiter)
    plain = dict.fromkeys(names, pa.string())
    try:
        typed = _open(path, delimiter, texts)
        binary = next((f.name for f in typed.schema if pa.types.is_binary(f.type)), None)
        if binary is not None:  # what Arrow calls a column that is not UTF-8
            raise _not_utf8(path, binary)
        return changed_columns(typed, _open(path, delimiter, plain))
    except pa.ArrowInvalid as error:
        found = _FAILED_COLUMN.search(str(error))
        if found is None:
            raise
        column = names[int(found[1])]
        if "conversion error to string" in str(error):
            raise _not_utf8(path, column) from error
        return [column]


def _not_utf8(path: Path, column: str) -> TableError:
    message = f"{path}: column {column!r} is not UTF-8; save the file as UTF-8"
    return TableError(message, column=column)
