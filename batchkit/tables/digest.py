"""A digest of a table's rows: the same for the same values, however they lie in memory.

Chunks of another size, other bytes below a null, another order of categories and another version
of Arrow change nothing. The digest is taken of each column, so that it can be told which changed.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Digester", "TableDigest"]

_HEX_DIGITS = 16  # it tells two tables apart, and people read it in an error


@dataclass(frozen=True, slots=True)
class TableDigest:
    """The number of rows, and a hash of each column's values."""

    rows: int
    columns: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """The digest as it stands in `run.json`."""
        return {"rows": self.rows, "columns": dict(self.columns)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TableDigest:
        """What `to_json` wrote."""
        return cls(content["rows"], content["columns"])


class Digester:
    """Takes batch after batch of one schema."""

    def __init__(self, schema: pa.Schema) -> None:
        self._rows = 0
        self._columns = {name: _Column() for name in schema.names}

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the rows of a batch."""
        self._rows += batch.num_rows
        for name, values in zip(batch.schema.names, batch.columns, strict=True):
            self._columns[name].add(values)

    def digest(self) -> TableDigest:
        """The digest of all rows so far."""
        return TableDigest(
            self._rows, {name: column.hexdigest() for name, column in self._columns.items()}
        )


class _Column:
    """One hash for each kind of thing a column is made of: which are null, lengths, bytes.

    Each takes something for every row, so that it does not matter where one batch ends.
    """

    def __init__(self) -> None:
        self._hashes: defaultdict[str, Any] = defaultdict(hashlib.sha256)

    def hexdigest(self) -> str:
        parts = sorted((place, found.hexdigest()) for place, found in self._hashes.items())
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:_HEX_DIGITS]

    def add(self, values: pa.Array, place: str = "$") -> None:
        plain = _plain(values)
        self._hashes[f"{place} valid"].update(_flags(plain.is_valid()))
        take = next((take for is_kind, take in _KINDS if is_kind(plain.type)), _Column.add_objects)
        take(self, plain, place)

    def add_nothing(self, _values: pa.Array, _place: str) -> None:
        """Nulls have been counted."""

    def add_flags(self, values: pa.Array, place: str) -> None:
        self._hashes[place].update(_flags(_present(values)))

    def add_fixed(self, values: pa.Array, place: str) -> None:
        there = _present(values)
        width = there.type.bit_width // 8
        data = there.buffers()[1]
        if data is not None and len(there):
            start = there.offset * width
            self._hashes[place].update(data.slice(start, len(there) * width))

    def add_texts(self, values: pa.Array, place: str) -> None:
        there = _present(values)
        self._hashes[f"{place} length"].update(_numbers(pc.binary_length(there)))
        wide = there.cast(pa.large_binary())
        _, bounds, data = wide.buffers()
        if bounds is not None and data is not None and len(wide):
            ends = np.frombuffer(memoryview(bounds), np.int64)[
                wide.offset : wide.offset + len(wide) + 1
            ]
            first, last = int(ends[0]), int(ends[-1])
            self._hashes[place].update(data.slice(first, last - first))

    def add_lists(self, values: pa.Array, place: str) -> None:
        self._hashes[f"{place} length"].update(_numbers(_present(pc.list_value_length(values))))
        self.add(pc.list_flatten(values), f"{place}[]")

    def add_struct(self, values: pa.Array, place: str) -> None:
        for index in range(values.type.num_fields):
            field = values.type.field(index)
            self.add(pc.struct_field(values, [index]), f"{place}.{index} {field.name}")

    def add_objects(self, values: pa.Array, place: str) -> None:
        """What Arrow has no simple form of, by the text of its Python value."""
        for value in values.to_pylist():
            self._hashes[place].update(f"{value!r}\n".encode(errors="surrogatepass"))


def _plain(values: pa.Array) -> pa.Array:
    """The values themselves, without dictionary, run ends or extension type."""
    if isinstance(values, pa.DictionaryArray):
        return _plain(values.dictionary).take(values.indices)
    if isinstance(values, pa.ExtensionArray):
        return _plain(values.storage)
    if isinstance(values, pa.RunEndEncodedArray):
        return _plain(pc.run_end_decode(values))
    if pa.types.is_string_view(values.type):
        return _without_views(values, pa.large_string())
    if pa.types.is_binary_view(values.type):
        return _without_views(values, pa.large_binary())
    return values


def _without_views(values: pa.Array, kind: pa.DataType) -> pa.Array:
    try:
        return values.cast(kind)
    except pa.ArrowNotImplementedError:  # before pyarrow 18
        return pa.array(values.to_pylist(), kind)


def _present(values: pa.Array) -> pa.Array:
    return values.drop_null() if values.null_count else values


def _flags(values: pa.Array) -> bytes:
    return values.to_numpy(zero_copy_only=False).astype(np.uint8).tobytes()


def _numbers(values: pa.Array) -> bytes:
    return values.to_numpy().astype(np.int64).tobytes()


def _is_fixed(kind: pa.DataType) -> bool:
    return any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_integer,
            pa.types.is_floating,
            pa.types.is_decimal,
            pa.types.is_date,
            pa.types.is_time,
            pa.types.is_timestamp,
            pa.types.is_duration,
            pa.types.is_fixed_size_binary,
        )
    )


def _is_text(kind: pa.DataType) -> bool:
    return any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_binary,
            pa.types.is_large_binary,
        )
    )


def _is_list(kind: pa.DataType) -> bool:
    return any(
        is_kind(kind)
        for is_kind in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    )


_KINDS: tuple[
    tuple[Callable[[pa.DataType], bool], Callable[[_Column, pa.Array, str], None]], ...
] = (
    (pa.types.is_null, _Column.add_nothing),
    (pa.types.is_boolean, _Column.add_flags),
    (_is_fixed, _Column.add_fixed),
    (_is_text, _Column.add_texts),
    (_is_list, _Column.add_lists),
    (pa.types.is_struct, _Column.add_struct),
)
