"""Whether Arrow data that others may have written stays within its buffers."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["check_bounds"]


def check_bounds(batch: pa.RecordBatch) -> None:
    """Raise ArrowInvalid for offsets or indices that lead beyond a buffer into other memory.

    What texts and decimals hold is not judged: DuckDB's widest integers are decimals of too many
    digits, and text that is not UTF-8 is told by its column elsewhere.
    """
    columns: Sequence[Any] = batch.columns
    for column in columns:
        plain = column.storage if isinstance(column, pa.ExtensionArray) else column
        kind = _plain(plain.type)
        if kind != plain.type:
            with suppress(pa.ArrowException, TypeError):  # which older Arrows cannot view so
                plain = plain.view(kind)
        plain.validate(full=True)


def _plain(kind: Any) -> pa.DataType:
    """The type of the same layout whose values are bytes."""
    turn = next((turn for is_kind, turn in _TURNS if is_kind(kind)), None)
    return kind if turn is None else turn(kind)


def _field(kind: Any, index: int = 0) -> pa.Field:
    field = kind.field(index)
    return field.with_type(_plain(field.type))


def _struct(kind: Any) -> pa.DataType:
    return pa.struct([_field(kind, index) for index in range(kind.num_fields)])


_TURNS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any], pa.DataType]], ...] = (
    (pa.types.is_string, lambda _: pa.binary()),
    (pa.types.is_large_string, lambda _: pa.large_binary()),
    (pa.types.is_decimal, lambda kind: pa.binary(kind.byte_width)),
    (pa.types.is_dictionary, lambda kind: pa.dictionary(kind.index_type, _plain(kind.value_type))),
    (pa.types.is_struct, _struct),
    (pa.types.is_map, lambda kind: pa.map_(_plain(kind.key_type), _plain(kind.item_type))),
    (pa.types.is_fixed_size_list, lambda kind: pa.list_(_field(kind), kind.list_size)),
    (pa.types.is_list, lambda kind: pa.list_(_field(kind))),
    (pa.types.is_large_list, lambda kind: pa.large_list(_field(kind))),
)
