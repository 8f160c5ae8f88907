"""Values by a format specification: what `{price:.2f}` in a prompt becomes, by Arrow type."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from batchkit.text import plain_type, python_values

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["format_column", "why_no_format"]


def why_no_format(kind: pa.DataType, specification: str) -> str | None:
    """Why a format specification such as `.2f` does not fit the type; None when it does."""
    plain = plain_type(kind)
    if pa.types.is_null(plain):
        return None
    samples = next((values for is_kind, values in _SAMPLES if is_kind(plain)), None)
    if samples is None:
        return f"{kind} takes no format specification"
    if isinstance(samples[0], dt.date | dt.time) and "%" not in specification:
        return f"{kind} is formatted with directives such as %Y, not with {specification!r}"
    try:
        for sample in samples:
            format(sample, specification).encode()
    except (ValueError, TypeError, OverflowError) as error:
        return f"{kind} cannot be formatted with {specification!r}: {error}"
    return None


def format_column(column: pa.Array, specification: str) -> pa.Array:
    """The values formatted as Python's `format` does, as large_string; null and NaN give null."""
    values = python_values(column)
    texts = (None if value is None else format(value, specification) for value in values)
    return pa.array(texts, pa.large_string())


# Values of each type that `format` knows, to try a specification before any row is read.
_SAMPLES: tuple[tuple[Callable[[pa.DataType], bool], tuple[Any, ...]], ...] = (
    (pa.types.is_string, ("x",)),
    (pa.types.is_large_string, ("x",)),
    (pa.types.is_string_view, ("x",)),
    (pa.types.is_boolean, (True, False)),
    (pa.types.is_integer, (1, -1, 0xD800)),
    (pa.types.is_floating, (1.5, float("inf"))),
    (pa.types.is_decimal, (decimal.Decimal("1.5"),)),
    (pa.types.is_date, (dt.date(2026, 1, 2),)),
    (pa.types.is_time, (dt.time(3, 4, 5),)),
    (pa.types.is_timestamp, (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),)),
)
