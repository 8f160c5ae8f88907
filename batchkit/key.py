"""How rows are named: keys as text on the line, each of them once in the whole table."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchkit import jsonl
from batchkit.errors import TableError
from batchkit.text import text_column, why_no_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["BAD_KEYS", "BadKey", "bad_keys", "check_key_columns", "row_keys", "wire_keys"]

BAD_KEYS = pa.schema(
    [("row", pa.int64()), ("key", pa.large_string()), ("reason", pa.large_string())]
)
_PAIR = np.dtype([("hash", np.int64), ("row", np.int64)])
_PARTITIONS = 64
_HELD_PAIRS = 4_000_000

Keys: TypeAlias = "tuple[int, pa.Array]"


@dataclass(frozen=True, slots=True)
class BadKey:
    """A row whose key cannot name it: number from 0, the key as far as there is one, and why."""

    row: int
    key: str | None
    reason: str

    def __str__(self) -> str:
        return f"row {self.row}, key {self.key!r}: {self.reason}"


def check_key_columns(schema: pa.Schema, names: Sequence[str]) -> None:
    """Raise TableError when a key column is missing or its type cannot name rows.

    Floats are refused because 1.0 and 1 would be two names for one row.
    """
    for name in names:
        if name not in schema.names:
            message = f"no key column {name!r}: the columns are {', '.join(schema.names)}"
            raise TableError(message, column=name)
        kind = schema.field(name).type
        why = why_no_text(kind)
        if pa.types.is_floating(kind):
            why = "floats are no keys: cast the column to integers or text first"
        elif pa.types.is_nested(kind):
            why = "nested values are no keys: name one or several plain columns"
        if why:
            message = f"key column {name!r} is {kind}: {why}"
            raise TableError(message, column=name)


def row_keys(first_row: int, count: int) -> pa.Array:
    """The keys of a table without a key column: row numbers in decimal."""
    return pa.array(np.arange(first_row, first_row + count)).cast(pa.large_string())


def wire_keys(columns: Sequence[pa.Array]) -> pa.Array:
    """Keys as text, injective: one column as its text, several as a compact JSON array.

    Null where any part of a key is null.
    """
    if len(columns) == 1:
        return text_column(columns[0])
    valid = columns[0].is_valid()
    for column in columns[1:]:
        valid = pc.and_(valid, column.is_valid())
    parts = zip(*(_json_parts(column) for column in columns), strict=True)
    texts = (
        jsonl.dumps(list(values)).decode() if whole else None
        for whole, values in zip(valid.to_pylist(), parts, strict=True)
    )
    return pa.array(texts, pa.large_string())


def _json_parts(column: pa.Array) -> list[Any]:
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        return column.to_pylist()
    return text_column(column).to_pylist()


def bad_keys(read: Callable[[], Iterator[Keys]], scratch: Path) -> pa.Table:
    """The rows whose keys cannot name them, in row order: a table of `BAD_KEYS`.

    `read` gives (first row, keys) batch by batch and is called a second time when keys seem to
    repeat. Memory is bounded by the batches, not by the table: 16 bytes a row go to a folder in
    `scratch` that is removed afterwards.
    """
    with tempfile.TemporaryDirectory(dir=scratch, prefix=".keys-", suffix=".tmp") as folder:
        hashes = _Hashes(Path(folder))
        found = [batch for keys in read() for batch in _unusable(keys, hashes)]
        suspects = hashes.shared()
    if suspects.size:
        found.extend(_repeated(read(), suspects))
    return pa.Table.from_batches(found, BAD_KEYS).sort_by("row")


def _unusable(keys: Keys, hashes: _Hashes) -> Iterator[pa.RecordBatch]:
    """Note the hashes of the usable keys and yield the others with their reasons."""
    first_row, texts = keys
    rows = np.arange(first_row, first_row + len(texts))
    holds_nul = pc.fill_null(pc.match_substring(texts, "\x00"), fill_value=False)
    is_empty = pc.fill_null(pc.equal(pc.binary_length(texts), 0), fill_value=False)
    usable = np.ones(len(texts), np.bool_)
    for mask, reason in (
        (texts.is_null(), "the key is null"),
        (holds_nul, "the key holds a NUL character"),
        (is_empty, "the key is empty text"),
    ):
        marked = mask.to_numpy(zero_copy_only=False)
        if marked.any():
            usable &= ~marked
            yield _reasons(rows[marked], texts.filter(mask).to_pylist(), [reason] * marked.sum())
    hashes.add(texts.filter(pa.array(usable)), rows[usable])


def _repeated(keys: Iterator[Keys], suspects: NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
    """Compare the keys that share a hash; the first row of a key keeps it."""
    owner: dict[str, int] = {}
    for first_row, texts in keys:
        start, stop = np.searchsorted(suspects, [first_row, first_row + len(texts)])
        rows = suspects[start:stop]
        names: list[str] = texts.take(pa.array(rows - first_row)).to_pylist()
        again = [
            (row, name, f"repeats the key of row {first}")
            for row, name in zip(rows.tolist(), names, strict=True)
            if (first := owner.setdefault(name, row)) != row
        ]
        if again:
            numbers, repeats, reasons = zip(*again, strict=True)
            yield _reasons(np.array(numbers), repeats, reasons)


def _reasons(
    rows: NDArray[np.int64], keys: Sequence[str | None], reasons: Sequence[str]
) -> pa.RecordBatch:
    columns = [pa.array(rows), pa.array(keys, pa.large_string())]
    return pa.RecordBatch.from_arrays(
        [*columns, pa.array(reasons, pa.large_string())], schema=BAD_KEYS
    )


class _Hashes:
    """64-bit hashes of all keys with their rows, partitioned on disk when there are many."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: list[NDArray[Any]] = []
        self._count = 0
        self._spilled = False

    def add(self, keys: pa.Array, rows: NDArray[np.int64]) -> None:
        pairs = np.empty(len(rows), _PAIR)
        pairs["hash"] = np.fromiter(map(hash, keys.to_pylist()), np.int64, len(rows))
        pairs["row"] = rows
        self._held.append(pairs)
        self._count += len(rows)
        if self._count > _HELD_PAIRS:
            self._spill()

    def shared(self) -> NDArray[np.int64]:
        """The rows whose hash another row has, too, in row order."""
        if self._spilled:
            self._spill()
            parts = (np.fromfile(path, _PAIR) for path in sorted(self._folder.iterdir()))
        else:
            parts = iter([np.concatenate(self._held)] if self._held else [])
        shared = [_rows_sharing(pairs) for pairs in parts]
        return np.sort(np.concatenate(shared)) if shared else np.empty(0, np.int64)

    def _spill(self) -> None:
        pairs = np.concatenate(self._held) if self._held else np.empty(0, _PAIR)
        partitions = pairs["hash"] % _PARTITIONS
        for partition in range(_PARTITIONS):
            with (self._folder / f"{partition:02d}").open("ab") as file:
                pairs[partitions == partition].tofile(file)
        self._held, self._count, self._spilled = [], 0, True


def _rows_sharing(pairs: NDArray[Any]) -> NDArray[np.int64]:
    ordered = pairs[np.argsort(pairs["hash"], kind="stable")]
    same = ordered["hash"][1:] == ordered["hash"][:-1]
    shared = np.zeros(len(ordered), np.bool_)
    shared[1:] |= same
    shared[:-1] |= same
    return ordered["row"][shared]
