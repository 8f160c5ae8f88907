"""Tables written to files: Parquet, JSONL, CSV; whole or not at all, a window at a time."""

from __future__ import annotations

import shutil
from itertools import chain, count, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from batchkit import durable, jsonl
from batchkit.durable import SHARED_MODE, whole_file
from batchkit.errors import SetupError
from batchkit.tables.formulas import formula_free, without_formulas
from batchkit.tables.portable import portable_reader
from batchkit.tables.stream import batch_bytes
from batchkit.text import text_column, why_no_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["write_csv", "write_jsonl", "write_parquet"]

_GROUP_ROWS = 131_072
_GROUP_BYTES = 64_000_000
_GROUPS_PER_FILE = 8


def write_parquet(
    rows: pa.RecordBatchReader, path: str | Path, *, may_replace: bool, is_private: bool = False
) -> Path:
    """Write one file when the path ends in `.parquet`, else a folder of files; returns the path.

    Others may read them as the umask says; a private folder nobody but its owner.

    A file is replaced; a folder that holds anything is a SetupError unless it `may_replace`, and so
    is a folder where a file stands, or a type that Parquet does not know.
    """
    target = Path(path).expanduser()
    is_file = target.suffix == ".parquet" and not target.is_dir()
    if not is_file:
        _check_free(target, may_replace=may_replace)
    durable.make_folder(target.parent, durable.SHARED_FOLDER_MODE)
    rows = portable_reader(rows)
    try:
        if is_file:
            with whole_file(target, SHARED_MODE) as file:
                _write_groups(file, rows.schema, _groups(rows))
        else:
            _write_folder(rows, target, is_private=is_private)
    except pa.ArrowNotImplementedError as error:
        message = f"{target}: Parquet cannot hold this table ({error}); write JSONL or CSV instead"
        raise SetupError(message) from error
    return target


def _check_free(target: Path, *, may_replace: bool) -> None:
    if target.exists() and not target.is_dir():
        message = f"{target} is a file: name a new folder, or a file that ends in .parquet"
        raise SetupError(message)
    if target.is_dir() and any(target.iterdir()) and not may_replace:
        message = (
            f"{target} holds files already: name a new folder, or a file that ends in .parquet"
        )
        raise SetupError(message)


def _write_folder(rows: pa.RecordBatchReader, target: Path, *, is_private: bool) -> None:
    """Write the files beside the target, and put them there when all are whole."""
    work = target.with_name(durable.temporary_name(target.name))
    whole = work / "whole"
    try:
        durable.make_folder(work)
        durable.make_folder(whole, *(() if is_private else (durable.SHARED_FOLDER_MODE,)))
        _write_parts(rows, whole, *(() if is_private else (SHARED_MODE,)))
        if target.exists():
            target.rename(work / "before")
        whole.rename(target)
        durable.sync_folder(target.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _write_parts(rows: pa.RecordBatchReader, folder: Path, *mode: int) -> None:
    """Files of several row groups each; one without rows when there are none."""
    groups = _groups(rows)
    for number in count():
        first = list(islice(groups, 1))
        if number and not first:
            return
        with whole_file(folder / f"part-{number:05d}.parquet", *mode) as file:
            _write_groups(file, rows.schema, chain(first, islice(groups, _GROUPS_PER_FILE - 1)))


def _write_groups(file: IO[bytes], schema: pa.Schema, groups: Iterable[pa.Table]) -> None:
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for group in groups:
            writer.write_table(group)


def _groups(rows: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Windows put together to row groups, bounded in rows and bytes."""
    held: list[pa.RecordBatch] = []
    held_rows = held_bytes = 0
    for batch in rows:
        held.append(batch)
        held_rows += batch.num_rows
        held_bytes += batch_bytes(batch)
        if held_rows >= _GROUP_ROWS or held_bytes >= _GROUP_BYTES:
            yield pa.Table.from_batches(held)
            held, held_rows, held_bytes = [], 0, 0
    if held:
        yield pa.Table.from_batches(held)


def write_jsonl(rows: pa.RecordBatchReader, path: str | Path) -> Path:
    """Write one JSON object per row, in the order of the columns."""
    target = Path(path).expanduser()
    durable.make_folder(target.parent, durable.SHARED_FOLDER_MODE)
    names = rows.schema.names
    with whole_file(target, SHARED_MODE) as file:
        for batch in rows:
            columns = [_json_values(column) for column in batch.columns]
            for values in zip(*columns, strict=True):
                file.write(jsonl.dumps_foreign(dict(zip(names, values, strict=True))) + b"\n")
    return target


def _json_values(column: pa.Array) -> list[Any]:
    """Python values; vectors as float32 arrays, which print in their own few digits.

    Dates and times as their text: Python's own know no nanoseconds, and not every year.
    """
    if any(is_kind(column.type) for is_kind in _TEMPORAL) and why_no_text(column.type) is None:
        return text_column(column).to_pylist()
    if isinstance(column, pa.ListArray) and column.values.type == pa.float32():
        values = column.values.to_numpy(zero_copy_only=False)
        bounds = column.offsets.to_numpy()
        spans = zip(column.is_valid().to_pylist(), bounds[:-1], bounds[1:], strict=True)
        return [values[start:stop] if valid else None for valid, start, stop in spans]
    return column.to_pylist()


def write_csv(
    rows: pa.RecordBatchReader, path: str | Path, *, escape_formulas: bool = False
) -> Path:
    """Write CSV with a header; what is no number, text, date or flag is written as its text.

    What has no text is written as in JSONL: bytes in base64. With `escape_formulas` an apostrophe
    goes before each text, and name of a column, that a spreadsheet would take for a formula.
    """
    target = Path(path).expanduser()
    durable.make_folder(target.parent, durable.SHARED_FOLDER_MODE)
    plain = pa.schema([_csv_field(field) for field in rows.schema])
    written = without_formulas(plain.names) if escape_formulas else plain.names
    headed = pa.schema([f.with_name(name) for f, name in zip(plain, written, strict=True)])
    with whole_file(target, SHARED_MODE) as file, csv.CSVWriter(file, headed) as writer:
        for batch in rows:
            columns = [
                column if field.type == column.type else _csv_texts(column)
                for field, column in zip(plain, batch.columns, strict=True)
            ]
            if escape_formulas:
                columns = [formula_free(column) for column in columns]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=headed))
    return target


def _csv_texts(column: pa.Array) -> pa.Array:
    if why_no_text(column.type) is None:
        return text_column(column)
    values = (None if value is None else _bare(value) for value in column.to_pylist())
    return pa.array(values, pa.large_string())


def _bare(value: Any) -> str:
    """The JSON of a value; that of a text without its quotes."""
    text = jsonl.dumps_foreign(value)
    plain = jsonl.loads(text)
    return plain if isinstance(plain, str) else text.decode()


def _csv_field(field: pa.Field) -> pa.Field:
    is_plain = any(is_kind(field.type) for is_kind in _CSV_TYPES)
    return field if is_plain else field.with_type(pa.large_string())


_TEMPORAL = (pa.types.is_date, pa.types.is_time, pa.types.is_timestamp)
_CSV_TYPES = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_date,
    pa.types.is_null,
)
