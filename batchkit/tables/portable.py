"""Columns as every Arrow, Parquet file and DataFrame knows them: no views, no lists of fixed size.

A null in a list of fixed size, written to Parquet, cannot be read by pyarrow before 26.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["is_portable", "portable", "portable_reader"]


def is_portable(kind: pa.DataType) -> bool:
    """Whether a type has none of that in it."""
    return _portable(kind).equals(kind)


@overload
def portable(column: pa.Array) -> pa.Array: ...
@overload
def portable(column: pa.ChunkedArray) -> pa.ChunkedArray: ...
def portable(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The same values in a portable type."""
    kind = _portable(column.type)
    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([portable(chunk) for chunk in column.chunks], kind)
    if isinstance(column, pa.DictionaryArray):
        values = portable(column.dictionary)
        ordered = column.type.ordered
        return pa.DictionaryArray.from_arrays(column.indices, values, ordered=ordered)
    try:
        return column.cast(kind)
    except pa.ArrowNotImplementedError:  # views, before pyarrow 18
        return pa.array(column.to_pylist(), kind)


def portable_reader(rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """The same rows in portable types; the reader itself when all are."""
    fields = [field.with_type(_portable(field.type)) for field in rows.schema]
    schema = pa.schema(fields, rows.schema.metadata)
    if schema.equals(rows.schema):
        return rows
    return pa.RecordBatchReader.from_batches(schema, _batches(rows, schema))


def _batches(rows: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in rows:
        columns = [
            column if column.type.equals(field.type) else portable(column)
            for field, column in zip(schema, batch.columns, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _portable(kind: pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.DictionaryType):
        return pa.dictionary(kind.index_type, _portable(kind.value_type), ordered=kind.ordered)
    build = next((build for is_kind, build in _NESTED if is_kind(kind)), None)
    if build:
        fields = [kind.field(index) for index in range(kind.num_fields)]
        return build([field.with_type(_portable(field.type)) for field in fields])
    return next((plain for is_view, plain in _VIEWS if is_view(kind)), kind)


def _large_list(fields: list[pa.Field]) -> pa.DataType:
    return pa.large_list(fields[0])


def _list(fields: list[pa.Field]) -> pa.DataType:
    return pa.list_(fields[0])


_VIEWS = (
    (pa.types.is_string_view, pa.large_string()),
    (pa.types.is_binary_view, pa.large_binary()),
)
_NESTED: tuple[tuple[Callable[[pa.DataType], bool], Callable[..., pa.DataType]], ...] = (
    (pa.types.is_large_list, _large_list),
    (pa.types.is_list, _list),
    (pa.types.is_fixed_size_list, _list),
    (pa.types.is_struct, pa.struct),
)
