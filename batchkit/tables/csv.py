"""CSV tables: types found over the whole file, so that no value changes and no row fails late."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from batchkit.errors import TableError
from batchkit.tables.stream import TableStream

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

__all__ = ["csv_table"]

_BLOCK_BYTES = 8_000_000
_FAILED_COLUMN = re.compile(r"In CSV column #(\d+)")
_DELIMITERS = ",;\t|"


def csv_table(path: Path, text_columns: Collection[str]) -> TableStream:
    """A CSV file (`.csv`, `.tsv`, also `.gz`) with a header row; `text_columns` are read as text.

    Types are Arrow's guess, kept only where they lose nothing: a column with `007` or a late word
    is text. An empty field is null, a quoted empty one is empty text. Raises TableError.
    """
    delimiter = _delimiter(path)
    names = _open(path, delimiter, {}).schema.names
    texts = {name: pa.string() for name in text_columns if name in names}
    while True:
        try:
            changed = _changed_integers(path, delimiter, texts)
        except pa.ArrowInvalid as error:
            changed = [_failed_column(path, names, error)]
        if not changed:
            break
        texts |= {name: pa.string() for name in changed}
    reader = _open(path, delimiter, texts)
    for field in reader.schema:
        if pa.types.is_binary(field.type):  # what Arrow calls a column that is not UTF-8
            message = f"{path}: column {field.name!r} is not UTF-8; save the file as UTF-8"
            raise TableError(message, column=field.name)
    return TableStream(f"CSV file {path}", reader.schema, iter(reader))


def _delimiter(path: Path) -> str:
    """The delimiter that the header holds most of; a comma when it holds none."""
    with pa.input_stream(str(path), compression="detect") as file:
        start = file.read(65_536)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        message = f"{path} is UTF-16; save it as UTF-8"
        raise TableError(message)
    header = start.partition(b"\n")[0].decode(errors="replace")
    return max(_DELIMITERS, key=header.count)


def _open(path: Path, delimiter: str, types: Mapping[str, pa.DataType]) -> csv.CSVStreamingReader:
    try:
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
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> TableError:
    return TableError(f"{path} is no CSV table: {error}")


def _failed_column(path: Path, names: list[str], error: pa.ArrowInvalid) -> str:
    """The column whose later values do not fit the guess; any other error is the file's."""
    found = _FAILED_COLUMN.search(str(error))
    if found is None or "conversion error to string" in str(error):
        raise _unreadable(path, error) from error
    return names[int(found[1])]


def _changed_integers(path: Path, delimiter: str, texts: Mapping[str, pa.DataType]) -> list[str]:
    """Read all of it and name the integer columns that would not be written back as they stand."""
    reader = _open(path, delimiter, texts)
    integers = [field.name for field in reader.schema if pa.types.is_integer(field.type)]
    as_text = {**texts, **dict.fromkeys(integers, pa.string())}
    changed: dict[str, None] = {}
    for typed, plain in zip(reader, _open(path, delimiter, as_text), strict=True):
        for name in integers:
            same = pc.equal(typed.column(name).cast(pa.string()), plain.column(name))
            if pc.all(same).as_py() is False:
                changed[name] = None
    return list(changed)
