from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from batchkit.formats import format_column, why_no_format

NAN = float("nan")


def of(value: Any, kind: pa.DataType) -> pa.Array:
    return pa.array([value, None], kind)


@pytest.mark.parametrize(
    "kind, value, specification, text",
    [
        (pa.float64(), 3.14159, ".2f", "3.14"),
        (pa.float32(), 0.5, ".1%", "50.0%"),
        (pa.int64(), 2**63 - 1, ",", "9,223,372,036,854,775,807"),
        (pa.int64(), 7, "03d", "007"),
        (pa.uint64(), 255, "x", "ff"),
        (pa.decimal128(38, 4), Decimal("2.5050"), ".2f", "2.50"),
        (pa.string(), "ab", ">4", "  ab"),
        (pa.string_view(), "abcdef", ".3", "abc"),
        (pa.bool_(), True, "d", "1"),
        (pa.date32(), dt.date(2026, 1, 2), "%d.%m.%Y", "02.01.2026"),
        (pa.time64("ns"), dt.time(3, 4, 5), "%H:%M", "03:04"),
        (pa.timestamp("ns", "Europe/Berlin"), 0, "%H:%M %z", "01:00 +0100"),
        (pa.timestamp("ns", "+05:30"), 0, "%H:%M %z", "05:30 +0530"),
        (pa.timestamp("ns"), -1, "%H:%M:%S.%f", "23:59:59.999999"),
        (pa.dictionary(pa.int8(), pa.string()), "a", ">2", " a"),
    ],
    ids=str,
)
def test_a_specification_formats_as_python_does(
    kind: pa.DataType, value: Any, specification: str, text: str
) -> None:
    assert why_no_format(kind, specification) is None
    assert format_column(of(value, kind), specification).to_pylist() == [text, None]


@pytest.mark.parametrize(
    "kind, specification, why",
    [
        (pa.string(), ".2f", "string cannot be formatted with '.2f'"),
        (pa.int64(), "c", "int64 cannot be formatted with 'c'"),
        (pa.int64(), "s", "int64 cannot be formatted with 's'"),
        (pa.float64(), "d", "double cannot be formatted with 'd'"),
        (pa.list_(pa.int64()), ".2f", "list<item: int64> takes no format specification"),
        (pa.date32(), ".2f", "date32[day] is formatted with directives such as %Y, not with '.2f'"),
        (pa.timestamp("us"), ">20", "timestamp[us] is formatted with directives such as %Y"),
    ],
    ids=str,
)
def test_a_specification_that_does_not_fit_the_type_is_refused_before_any_row(
    kind: pa.DataType, specification: str, why: str
) -> None:
    assert (why_no_format(kind, specification) or "").startswith(why)


def test_a_column_of_nulls_takes_any_specification() -> None:
    assert why_no_format(pa.null(), ".2f") is None
    assert format_column(pa.nulls(1), ".2f").to_pylist() == [None]


def test_what_counts_as_null_is_not_formatted() -> None:
    assert format_column(pa.array([NAN, 1.0]), ".1f").to_pylist() == [None, "1.0"]
    beyond = pa.array([2**31 - 1, 0], pa.date32())
    assert format_column(beyond, "%Y").to_pylist() == [None, "1970"]
