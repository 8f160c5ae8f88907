"""Values as text: what a `{column}` in a prompt and a key become, by Arrow type.

text as it is · integers in decimal · floats in the fewest digits that read back as the same
number (3.0 is `3`) · decimals in plain digits at the column's scale · `true`/`false` · dates, times
and timestamps in ISO 8601, with the column's own zone and without trailing zeros · lists, structs
and maps as compact JSON (a map as a list of pairs) · dictionaries as their values. NaN counts as
null.
"""

from __future__ import annotations

import datetime as dt
import decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from batchkit import jsonl

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["format_column", "text_column", "why_no_format", "why_no_text", "without_nan"]

_TEXT = pa.large_string()


def why_no_text(kind: pa.DataType) -> str | None:
    """Why values of this type have no text form, with what to do; None when they have one."""
    plain = _plain_type(kind)
    if pa.types.is_nested(plain):
        inner = (plain.field(index).type for index in range(plain.num_fields))
        return next((why for each in inner if (why := why_no_text(each))), None)
    if _is_bytes(plain) and not _is_uuid(kind):
        return "bytes have no text form: decode them first"
    if pa.types.is_duration(plain):
        return "a duration has no text form: turn it into a number first"
    known = _is_uuid(kind) or any(is_kind(plain) for is_kind in _TEXTUAL)
    return None if known else f"{kind} has no text form: cast it first"


def why_no_format(kind: pa.DataType, specification: str) -> str | None:
    """Why a format specification such as `.2f` does not fit the type; None when it does."""
    plain = _plain_type(kind)
    sample = next((value for is_kind, value in _SAMPLES if is_kind(plain)), None)
    if sample is None:
        return f"{kind} takes no format specification"
    try:
        format(sample, specification)
    except (ValueError, TypeError) as error:
        return f"{kind} cannot be formatted with {specification!r}: {error}"
    return None


def text_column(column: pa.Array) -> pa.Array:
    """The text of each value as large_string; null stays null and NaN becomes null.

    Raises ArrowInvalid for text that is not UTF-8. `why_no_text` says beforehand which types fit.
    """
    if isinstance(column, pa.DictionaryArray):
        return text_column(column.dictionary).take(column.indices)
    if _is_uuid(column.type):
        texts = (None if value is None else str(value) for value in column.to_pylist())
        return pa.array(texts, _TEXT)
    plain = column.storage if isinstance(column, pa.ExtensionArray) else column
    convert = next((turn for is_kind, turn in _CONVERSIONS if is_kind(plain.type)), None)
    return convert(plain) if convert else plain.cast(_TEXT)


def format_column(column: pa.Array, specification: str) -> pa.Array:
    """The values formatted as Python's `format` does, as large_string; null and NaN give null."""
    if isinstance(column, pa.DictionaryArray):
        return format_column(column.dictionary, specification).take(column.indices)
    plain = column.storage if isinstance(column, pa.ExtensionArray) else column
    if pa.types.is_floating(plain.type):
        plain = without_nan(plain)
    if pa.types.is_timestamp(plain.type):  # nanoseconds have no Python type of their own
        plain = plain.cast(pa.timestamp("us", plain.type.tz), safe=False)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
    texts = (None if value is None else format(value, specification) for value in plain.to_pylist())
    return pa.array(texts, _TEXT)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type below dictionaries and extension types."""
    if isinstance(kind, pa.DictionaryType):
        return _plain_type(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return _plain_type(kind.storage_type)
    return kind


def _numbers(column: pa.Array) -> pa.Array:
    return without_nan(column).cast(_TEXT)


def without_nan(column: pa.Array) -> pa.Array:
    """A column of floats with null for NaN."""
    wide = column.cast(pa.float32()) if pa.types.is_float16(column.type) else column
    return pc.if_else(pc.is_nan(wide), pa.scalar(None, wide.type), wide)


def _timestamps(column: pa.Array) -> pa.Array:
    """ISO 8601: `2026-11-23T10:00:00.5+01:00`, without an offset where the column has no zone."""
    zoned = isinstance(column.type, pa.TimestampType) and column.type.tz is not None
    text = pc.strftime(column, "%Y-%m-%dT%H:%M:%S" + ("%z" if zoned else "")).cast(_TEXT)
    if zoned:
        text = pc.replace_substring_regex(text, r"([+-]\d\d)(\d\d)$", r"\1:\2")
    return _without_trailing_zeros(text)


def _without_trailing_zeros(text: pa.Array) -> pa.Array:
    text = pc.replace_substring_regex(text, r"(\.\d*?)0+([+-]\d\d:\d\d)?$", r"\1\2")
    return pc.replace_substring_regex(text, r"\.([+-]\d\d:\d\d)?$", r"\1")


def _decimals(column: pa.Array) -> pa.Array:
    text = column.cast(_TEXT)
    if not pc.any(pc.match_substring(text, "E")).as_py():
        return text
    values = (None if value is None else format(value, "f") for value in column.to_pylist())
    return pa.array(values, _TEXT)


def _times(column: pa.Array) -> pa.Array:
    return _without_trailing_zeros(column.cast(_TEXT))


def _strings(column: pa.Array) -> pa.Array:
    column.validate(full=True)
    return column.cast(_TEXT)


def _json_texts(column: pa.Array) -> pa.Array:
    texts = (
        None if value is None else jsonl.dumps_foreign(value).decode()
        for value in column.to_pylist()
    )
    return pa.array(texts, _TEXT)


def _is_string(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in _STRINGS)


def _is_bytes(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in _BYTES)


def _is_uuid(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.uuid"


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
    pa.types.is_timestamp,
)
_CONVERSIONS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], pa.Array]], ...] = (
    (_is_string, _strings),
    (pa.types.is_floating, _numbers),
    (pa.types.is_timestamp, _timestamps),
    (pa.types.is_time, _times),
    (pa.types.is_decimal, _decimals),
    (pa.types.is_nested, _json_texts),
)
# One value of each type that `format` knows, to try a specification before any row is read.
_SAMPLES: tuple[tuple[Callable[[pa.DataType], bool], Any], ...] = (
    (_is_string, "x"),
    (pa.types.is_boolean, True),
    (pa.types.is_integer, 1),
    (pa.types.is_floating, 1.5),
    (pa.types.is_decimal, decimal.Decimal("1.5")),
    (pa.types.is_date, dt.date(2026, 1, 2)),
    (pa.types.is_time, dt.time(3, 4, 5)),
    (pa.types.is_timestamp, dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
)
