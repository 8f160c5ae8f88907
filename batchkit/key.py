"""How rows are named: keys as text on the line, each of them once in the whole table."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchkit.encode import join
from batchkit.errors import BadKeysError, TableError
from batchkit.fields import nearest
from batchkit.text import json_texts, plain_type, text_column, why_no_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

__all__ = [
    "BAD_KEYS",
    "NAMED_KEYS",
    "BadKey",
    "bad_keys",
    "bad_keys_error",
    "check_key_columns",
    "key_names",
    "row_keys",
    "wire_keys",
]

NAMED_KEYS = 20  # of bad ones, in an error

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


def key_names(key: str | Sequence[str] | None) -> tuple[str, ...]:
    """The columns that a user's `key` names; none for row numbers."""
    return (key,) if isinstance(key, str) else tuple(key or ())


def bad_keys_error(
    count: int, rows: int, names: Sequence[str], named: Sequence[BadKey]
) -> BadKeysError:
    """The error for so many rows without a key of their own, the first of which are named."""
    message = (
        f"{count:,} of {rows:,} rows have no key of their own in "
        f"{', '.join(names)}; nothing was sent. Mend the rows, choose another key, or "
        "reject them (on_bad_key='reject'). The first of them:"
    )
    return BadKeysError(message, named)


def check_key_columns(schema: pa.Schema, names: Sequence[str]) -> None:
    """Raise TableError when a key column is missing or its type cannot name rows.

    Floats are refused because 1.0 and 1 would be two names for one row.
    """
    for name in names:
        if name not in schema.names:
            near, columns = nearest(name, schema.names), ", ".join(schema.names)
            hint = f"did you mean {near!r}?" if near else f"the columns are {columns}"
            message = f"no key column {name!r}: {hint}"
            raise TableError(message, column=name)
        kind = schema.field(name).type
        why = why_no_text(kind)
        if pa.types.is_floating(plain_type(kind)):
            why = "floats are no keys: cast the column to integers or text first"
        elif pa.types.is_nested(plain_type(kind)):
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
    segments: list[bytes | pa.Array] = []
    for column in columns:
        segments += [b"," if segments else b"[", json_texts(column)]
    return join([*segments, b"]"])


def bad_keys(read: Callable[[], Iterator[Keys]], scratch: Path) -> Iterator[pa.RecordBatch]:
    """The rows whose keys cannot name them, in row order: batches of `BAD_KEYS`, none empty.

    `read` gives (first row, keys) batch by batch; it is called a second time when a key is
    unusable or seems to repeat. Memory is bounded by the batches, but for 24 bytes for each row
    whose key repeats; 16 bytes for every row go to a folder in `scratch` that is removed again.
    """
    repeats, all_usable = _hashed(read(), scratch)
    if all_usable and repeats.count == 0:
        return
    for first_row, texts in read():
        reasons = _unusable(texts) | repeats.find(first_row, texts)
        if reasons:
            offsets = sorted(reasons)
            keys = texts.take(pa.array(offsets, pa.int64()))
            columns = [
                pa.array([first_row + offset for offset in offsets], pa.int64()),
                keys,
                pa.array([reasons[offset] for offset in offsets], pa.large_string()),
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=BAD_KEYS)


def _hashed(keys: Iterator[Keys], scratch: Path) -> tuple[_Repeats, bool]:
    """The rows that may repeat a key, and whether all keys are usable by themselves."""
    all_usable = True
    with tempfile.TemporaryDirectory(dir=scratch, prefix=".keys-", suffix=".tmp") as folder:
        hashes = _Hashes(Path(folder))
        for first_row, texts in keys:
            usable = ~np.logical_or.reduce([mask for mask, _ in _faults(texts)])
            all_usable &= bool(usable.all())
            rows = np.arange(first_row, first_row + len(texts))
            hashes.add(texts.filter(pa.array(usable)), rows[usable])
        return _Repeats(*hashes.shared()), all_usable


def _faults(texts: pa.Array) -> list[tuple[NDArray[np.bool_], str]]:
    """What may be wrong with a key by itself: where it is, and how to say it."""
    masks = [
        (texts.is_null(), "the key is null"),
        (pc.match_substring(texts, "\x00"), "the key holds a NUL character"),
        (pc.equal(pc.binary_length(texts), 0), "the key is empty text"),
    ]
    return [
        (pc.fill_null(mask, fill_value=False).to_numpy(zero_copy_only=False), reason)
        for mask, reason in masks
    ]


def _unusable(texts: pa.Array) -> dict[int, str]:
    """The reason for each key that is unusable by itself, by its place in the batch."""
    return {
        offset: reason
        for mask, reason in _faults(texts)
        for offset in np.flatnonzero(mask).tolist()
    }


class _Repeats:
    """Tells which of the rows that share a hash repeat the key of an earlier row.

    `rows` are those rows in order, `firsts` the first row with the hash of each. A second hash,
    taken as the rows come by, tells keys apart that have the first in common.
    """

    def __init__(self, rows: NDArray[np.int64], firsts: NDArray[np.int64]) -> None:
        self.count = len(rows)
        self._rows = rows
        self._firsts: NDArray[np.intp] = np.searchsorted(rows, firsts)
        self._hashes = np.zeros(len(rows), np.int64)

    def find(self, first_row: int, texts: pa.Array) -> dict[int, str]:
        """The reason for each key that repeats another, by its place in the batch."""
        bounds = [first_row, first_row + len(texts)]
        places: list[int] = np.searchsorted(self._rows, bounds).tolist()
        here: NDArray[np.int64] = np.arange(*places, dtype=np.int64)
        if not here.size:
            return {}
        names: list[str] = texts.take(pa.array(self._rows[here] - first_row)).to_pylist()
        second = (hash(f"\x00{name}") for name in names)
        self._hashes[here] = np.fromiter(second, np.int64, len(names))
        firsts = self._firsts[here]
        again = np.flatnonzero((self._hashes[firsts] == self._hashes[here]) & (firsts != here))
        offsets: list[int] = (self._rows[here[again]] - first_row).tolist()
        owners: list[int] = self._rows[firsts[again]].tolist()
        return {
            offset: f"repeats the key of row {owner}"
            for offset, owner in zip(offsets, owners, strict=True)
        }


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

    def shared(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows whose hash another row has, too, in row order, and the first row with it."""
        if self._spilled:
            self._spill()
            parts = (np.fromfile(path, _PAIR) for path in sorted(self._folder.iterdir()))
        else:
            parts = iter([np.concatenate(self._held)] if self._held else [])
        shared = [_rows_sharing(pairs) for pairs in parts]
        rows = np.concatenate([rows for rows, _ in shared] or [np.empty(0, np.int64)])
        firsts = np.concatenate([firsts for _, firsts in shared] or [np.empty(0, np.int64)])
        order = np.argsort(rows)
        return rows[order], firsts[order]

    def _spill(self) -> None:
        pairs = np.concatenate(self._held) if self._held else np.empty(0, _PAIR)
        partitions = pairs["hash"] % _PARTITIONS
        for partition in range(_PARTITIONS):
            with (self._folder / f"{partition:02d}").open("ab") as file:
                pairs[partitions == partition].tofile(file)
        self._held, self._count, self._spilled = [], 0, True


def _rows_sharing(pairs: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that share their hash, and the first row that has it; rows come in order."""
    ordered = pairs[np.argsort(pairs["hash"], kind="stable")]
    begins = np.ones(len(ordered), np.bool_)
    begins[1:] = ordered["hash"][1:] != ordered["hash"][:-1]
    first = np.maximum.accumulate(np.where(begins, np.arange(len(ordered)), 0))
    shared = ~begins
    shared[:-1] |= ~begins[1:]
    return ordered["row"][shared], ordered["row"][first][shared]
