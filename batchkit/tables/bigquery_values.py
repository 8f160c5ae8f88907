"""Values on their way into BigQuery: as the types that it holds, and nothing lost on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchkit.errors import TableError
from batchkit.iso import within_calendar
from batchkit.text import plain_type, text_column

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["loadable_batch"]


def loadable_batch(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The rows as `loadable_schema` has them; TableError names a column that would lose something.

    A list that is null becomes an empty one, since BigQuery has no null arrays.
    """
    columns: list[pa.Array] = []
    for field, column in zip(schema, batch.columns, strict=True):
        try:
            columns.append(_values(column, field.type))
        except (pa.ArrowInvalid, _Unloadable) as error:
            message = f"column {field.name!r} has a value that BigQuery cannot hold: {error}"
            raise TableError(message, field.name) from error
    return pa.RecordBatch.from_arrays(columns, schema=schema)


class _Unloadable(Exception):  # noqa: N818  # it never leaves this module
    """What is wrong with a value."""


def _values(column: pa.Array, kind: pa.DataType) -> pa.Array:
    plain = _plain(column)
    if pa.types.is_null(plain.type):
        return pa.nulls(len(plain), kind)
    take = next((take for is_kind, take in _KINDS if is_kind(kind)), _scalars)
    return take(plain, kind)


def _scalars(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())  # older Arrows go no other way
    return column.cast(kind)


def _dates(column: pa.Array, kind: pa.DataType) -> pa.Array:
    found = column.cast(kind)
    if within_calendar(found).null_count > found.null_count:
        message = "a date outside the years 1 to 9999"
        raise _Unloadable(message)
    return found


def _structs(column: Any, kind: pa.DataType) -> pa.Array:
    fields = [kind.field(index) for index in range(kind.num_fields)]
    children = [
        _values(child, field.type) for child, field in zip(column.flatten(), fields, strict=True)
    ]
    return pa.StructArray.from_arrays(children, fields=fields, mask=column.is_null())


def _lists(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_map(column.type):
        column = column.cast(pa.list_(column.type.field(0)))
    items = pc.list_flatten(column)
    if items.null_count:
        message = "a null inside a list"
        raise _Unloadable(message)
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), _values(items, kind.field(0).type), kind)


def _plain(column: pa.Array) -> pa.Array:
    """The values themselves, without dictionary, run ends or extension type."""
    if isinstance(column, pa.DictionaryArray):
        return _plain(column.dictionary).take(column.indices)
    if isinstance(column, pa.RunEndEncodedArray):
        return _plain(pc.run_end_decode(column))
    if isinstance(column, pa.ExtensionArray):
        kind = plain_type(column.type)
        if pa.types.is_string(kind) and not pa.types.is_string(column.storage.type):  # a UUID
            return text_column(column)
        return _plain(column.storage if kind == column.storage.type else column.storage.cast(kind))
    # Older Arrows cast no views.
    return text_column(column) if pa.types.is_string_view(column.type) else column


_KINDS: tuple[
    tuple[Callable[[pa.DataType], bool], Callable[[pa.Array, pa.DataType], pa.Array]], ...
] = (
    (pa.types.is_struct, _structs),
    (pa.types.is_list, _lists),
    (pa.types.is_date, _dates),
    (pa.types.is_timestamp, _dates),
)
