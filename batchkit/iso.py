"""Dates, times and timestamps as ISO 8601 text, a column at a time.

A value outside the years 1 to 9999, which ISO 8601 does not write in four digits, has no text.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["date_texts", "time_texts", "timestamp_texts", "why_no_zone", "within_calendar"]

_TEXT = pa.large_string()
_NOTHING = pa.scalar("", _TEXT)
_PER_SECOND: Mapping[str, int] = MappingProxyType(
    {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
)
_DAY_SECONDS = 86_400
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # 0001-01-01 and 9999-12-31, counted from 1970-01-01
_FIXED_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")
_INT64 = 2**63


def why_no_zone(kind: pa.TimestampType) -> str | None:
    """Why the type's zone cannot be applied on this machine, None when it can."""
    if kind.tz is None or _FIXED_OFFSET.fullmatch(kind.tz):
        return None
    try:
        pc.local_timestamp(pa.nulls(1, kind))
    except pa.ArrowInvalid:
        return f"this machine knows no zone {kind.tz!r}: convert the column to UTC first"
    return None


def date_texts(column: pa.Array) -> pa.Array:
    """`2026-11-23`, as large_string."""
    return within_calendar(column).cast(_TEXT)


def time_texts(column: pa.Array) -> pa.Array:
    """`03:04:05.5`, without trailing zeros, as large_string."""
    return _without_trailing_zeros(column.cast(_TEXT))


def timestamp_texts(column: pa.Array) -> pa.Array:
    """`2026-11-23T10:00:00.5+01:00`, without an offset where the column has no zone."""
    local, offsets = _local(column)
    text = pc.strftime(within_calendar(local), "%Y-%m-%dT%H:%M:%S").cast(_TEXT)
    text = _without_trailing_zeros(text)
    return text if offsets is None else pc.binary_join_element_wise(text, offsets, _NOTHING)


def within_calendar(column: pa.Array) -> pa.Array:
    """The column with null for what lies outside the years 1 to 9999."""
    per_day = _per_day(column.type)
    first, past = _FIRST_DAY * per_day, (_LAST_DAY + 1) * per_day
    if first < -_INT64:  # nanoseconds in 64 bits never leave the calendar
        return column
    numbers = _numbers(column)
    inside = pc.and_(pc.greater_equal(numbers, first), pc.less(numbers, past))
    if pc.all(inside, min_count=0).as_py():
        return column
    return pc.if_else(inside, column, pa.scalar(None, column.type))


def _per_day(kind: pa.DataType) -> int:
    """How many of a type's units a day has."""
    if isinstance(kind, pa.TimestampType):
        return _DAY_SECONDS * _PER_SECOND[kind.unit]
    return 1 if kind == pa.date32() else _DAY_SECONDS * _PER_SECOND["ms"]


def _numbers(column: pa.Array) -> pa.Array:
    """The integers that stand for dates or timestamps."""
    narrow = column.cast(pa.int32()) if column.type == pa.date32() else column
    return narrow.cast(pa.int64())


def _local(column: pa.Array) -> tuple[pa.Array, pa.Array | pa.Scalar | None]:
    """What the clocks of the column's zone showed, and how far they were from UTC, as text."""
    kind = column.type
    if not isinstance(kind, pa.TimestampType) or kind.tz is None:
        return column, None
    fixed = _FIXED_OFFSET.fullmatch(kind.tz)  # older Arrows have no zones of this kind
    if fixed:
        seconds = int(f"{fixed[1]}1") * (int(fixed[2]) * 3600 + int(fixed[3]) * 60)
        shift = pa.scalar(seconds * _PER_SECOND[kind.unit], pa.int64())
        local = pc.add(_numbers(column), shift).cast(pa.timestamp(kind.unit))
        return local, pa.scalar(_offset_text(seconds), _TEXT)
    local = pc.local_timestamp(column)
    offsets = pc.subtract(_numbers(local), _numbers(column)).dictionary_encode()
    texts = [
        _offset_text(offset // _PER_SECOND[kind.unit]) for offset in offsets.dictionary.to_pylist()
    ]
    return local, pa.array(texts, _TEXT).take(offsets.indices)


def _offset_text(seconds: int) -> str:
    """`+01:00`; with seconds, `+00:53:28`, for the local times of before there were zones."""
    minutes, rest = divmod(abs(seconds), 60)
    sign = "-" if seconds < 0 else "+"
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}" + (f":{rest:02d}" if rest else "")


def _without_trailing_zeros(text: pa.Array) -> pa.Array:
    text = pc.replace_substring_regex(text, r"(\.\d*?)0+$", r"\1")
    return pc.replace_substring_regex(text, r"\.$", "")
