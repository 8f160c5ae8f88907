"""Values as text: what a `{column}` in a prompt and a key become, by Arrow type.

text as it is · integers in decimal · floats in the fewest digits that read back as the same
number (3.0 is `3`) · decimals in plain digits at the column's scale · `true`/`false` · dates, times
and timestamps in ISO 8601, with the column's own zone and without trailing zeros · lists, structs
and maps as compact JSON of such texts (a map as a list of pairs) · dictionaries as their values.
NaN counts as null, and so does a date outside the years 1 to 9999.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchkit import jsonl
from batchkit.encode import escape, join, join_lists
from batchkit.errors import TableError
from batchkit.iso import date_texts, time_texts, timestamp_texts, why_no_zone, within_calendar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "check_utf8",
    "json_texts",
    "plain_type",
    "python_values",
    "text_column",
    "why_no_text",
    "why_null",
]

_TEXT = pa.large_string()


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type of the values below dictionaries, run-end encoding and extension types."""
    if _is_uuid(kind):
        return pa.string()
    if _is_bool8(kind):
        return pa.bool_()
    if isinstance(kind, pa.DictionaryType | pa.RunEndEncodedType):
        return plain_type(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    return kind


def why_no_text(kind: pa.DataType) -> str | None:
    """Why values of this type have no text form, with what to do; None when they have one."""
    plain = plain_type(kind)
    if pa.types.is_nested(plain) and not pa.types.is_union(plain):
        inner = (plain.field(index).type for index in range(plain.num_fields))
        return next((why for each in inner if (why := why_no_text(each))), None)
    if _is_bytes(plain):
        return "bytes have no text form: decode them first"
    if pa.types.is_duration(plain):
        return "a duration has no text form: turn it into a number first"
    if isinstance(plain, pa.TimestampType):
        return why_no_zone(plain)
    known = any(is_kind(plain) for is_kind in _TEXTUAL)
    return None if known else f"{kind} has no text form: cast it first"


def text_column(column: pa.Array) -> pa.Array:
    """The text of each value as large_string; null stays null and NaN becomes null.

    `why_no_text` says beforehand which types have one, `check_utf8` whether their text is text.
    """
    if isinstance(column, pa.DictionaryArray):
        return _by_value(column, text_column)
    plain = _stored(column)
    convert = next((turn for is_kind, turn in _CONVERSIONS if is_kind(plain.type)), None)
    return convert(plain) if convert else plain.cast(_TEXT)


def json_texts(column: pa.Array) -> pa.Array:
    """As `text_column`, as JSON: numbers and booleans bare, the rest and infinities in quotes."""
    texts = text_column(column)
    kind = plain_type(column.type)
    quoted = join([b'"', escape(texts), b'"'])
    if pa.types.is_floating(kind):
        return pc.if_else(pc.match_substring(texts, "inf"), quoted, texts)
    is_bare = pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    return texts if is_bare else quoted


def python_values(column: pa.Array) -> list[Any]:
    """The values as Python's own; None for null, NaN and a date outside the years 1 to 9999."""
    if isinstance(column, pa.DictionaryArray):
        return python_values(_decoded(column))
    return _without_strays(_stored(column)).to_pylist()


def check_utf8(batch: pa.RecordBatch) -> None:
    """Raise TableError, naming the column, for text that is not UTF-8."""
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if _holds_text(field.type):
            try:
                whole = _decoded(column) if isinstance(column, pa.DictionaryArray) else column
                whole.validate(full=True)
            except pa.ArrowInvalid as error:
                message = f"column {field.name!r} holds text that is not UTF-8 ({error}): mend it"
                raise TableError(message, column=field.name) from None


def why_null(kind: pa.DataType) -> str:
    """What a value that is not null is when it has no text."""
    plain = plain_type(kind)
    if pa.types.is_floating(plain):
        return "NaN"
    is_dated = pa.types.is_date(plain) or pa.types.is_timestamp(plain)
    return "outside the years 1 to 9999" if is_dated else "null"


def _without_strays(column: pa.Array) -> pa.Array:
    """The column with null for what counts as null: NaN and dates off the calendar."""
    if pa.types.is_floating(column.type):
        wide = column.cast(pa.float32()) if pa.types.is_float16(column.type) else column
        return pc.if_else(pc.is_nan(wide), pa.scalar(None, wide.type), wide)
    is_dated = pa.types.is_date(column.type) or pa.types.is_timestamp(column.type)
    return within_calendar(column) if is_dated else column


def _by_value(column: pa.DictionaryArray, turn: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """What `turn` makes of each value; a dictionary larger than the column is not gone through."""
    values, indices = column.dictionary, column.indices
    is_small = len(values) <= len(indices)
    return turn(values).take(indices) if is_small else turn(_decoded(column))


def _decoded(column: pa.DictionaryArray) -> pa.Array:
    """A dictionary column as the values themselves."""
    values = column.dictionary
    has_take = not pa.types.is_string_view(values.type)
    return (values if has_take else _strings(values)).take(column.indices)


def _stored(column: pa.Array) -> pa.Array:
    """The values themselves of run-end encoded and extension arrays."""
    if isinstance(column, pa.RunEndEncodedArray):
        return _stored(pc.run_end_decode(column))
    if _is_uuid(column.type):
        texts = (None if value is None else str(value) for value in column.to_pylist())
        return pa.array(texts, _TEXT)
    if isinstance(column, pa.ExtensionArray):
        return column.storage.cast(pa.bool_()) if _is_bool8(column.type) else column.storage
    return column


def _floats(column: pa.Array) -> pa.Array:
    return _without_strays(column).cast(_TEXT)


def _decimals(column: pa.Array) -> pa.Array:
    text = column.cast(_TEXT)
    if not pc.any(pc.match_substring(text, "E")).as_py():
        return text
    values = (None if value is None else format(value, "f") for value in column.to_pylist())
    return pa.array(values, _TEXT)


def _strings(column: pa.Array) -> pa.Array:
    try:
        return column.cast(_TEXT)
    except pa.ArrowNotImplementedError:  # views, before pyarrow 18
        return pa.array(column.to_pylist(), _TEXT)


def _nested(column: pa.Array) -> pa.Array:
    return pc.if_else(column.is_valid(), _json(column), pa.scalar(None, _TEXT))


def _json(column: pa.Array) -> pa.Array:
    """Each value as JSON text (large_string), null as `null`."""
    plain = _stored(column)
    kind = plain.type
    if isinstance(plain, pa.StructArray):
        texts = _json_objects(plain)
    elif pa.types.is_map(kind):
        texts = _json_lists(plain, _json_pairs)
    elif pa.types.is_nested(kind):
        texts = _json_lists(plain, _json)
    else:
        texts = json_texts(plain)
    return pc.fill_null(pc.if_else(plain.is_valid(), texts, pa.scalar(None, _TEXT)), "null")


def _json_objects(column: pa.StructArray) -> pa.Array:
    segments: list[bytes | pa.Array] = []
    for index, values in enumerate(column.flatten()):
        name = jsonl.dumps(column.type.field(index).name)
        segments += [b"," if index else b"{", name, b":", _json(values)]
    return join([*segments, b"}"]) if segments else pa.repeat(pa.scalar("{}", _TEXT), len(column))


def _json_lists(column: pa.Array, write: Callable[[Any], pa.Array]) -> pa.Array:
    """JSON lists of what `write` makes of all items at once."""
    if pa.types.is_map(column.type):
        column = column.cast(pa.list_(column.type.field(0)))
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
    items = write(pc.list_flatten(column))
    return join([b"[", join_lists(items, lengths), b"]"])


def _json_pairs(entries: pa.StructArray) -> pa.Array:
    """The entries of maps as lists of key and value."""
    keys, values = entries.flatten()
    return join([b"[", _json(keys), b",", _json(values), b"]"])


def _holds_text(kind: pa.DataType) -> bool:
    plain = plain_type(kind)
    if pa.types.is_nested(plain):
        return any(_holds_text(plain.field(index).type) for index in range(plain.num_fields))
    return _is_string(plain)


def _is_string(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in _STRINGS)


def _is_bytes(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in _BYTES)


def _is_uuid(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.uuid"


def _is_bool8(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.bool8"


_STRINGS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_BYTES = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
    pa.types.is_binary_view,
)
_TEXTUAL = (
    *_STRINGS,
    pa.types.is_null,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_date,
    pa.types.is_time,
)
_CONVERSIONS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], pa.Array]], ...] = (
    (_is_string, _strings),
    (pa.types.is_floating, _floats),
    (pa.types.is_timestamp, timestamp_texts),
    (pa.types.is_date, date_texts),
    (pa.types.is_time, time_texts),
    (pa.types.is_decimal, _decimals),
    (pa.types.is_nested, _nested),
)
