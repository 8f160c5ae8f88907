from __future__ import annotations

import decimal
from typing import Any

import pyarrow as pa
import pytest

from batchkit.tables.bounds import check_bounds

HUGE = pa.Array.from_buffers(pa.decimal128(38, 0), 1, [None, pa.py_buffer(b"\xff" * 15 + b"\x7f")])
NO_UTF8 = pa.array([b"\xff"]).view(pa.string())


def wild(kind: Any) -> pa.Array:
    """Text whose second offset leads far beyond its bytes, and the third back."""
    offsets = pa.array([0, 1_000_000, 1], pa.int32()).buffers()[1]
    return pa.Array.from_buffers(kind, 2, [None, offsets, pa.py_buffer(b"a")])


@pytest.mark.parametrize(
    "column",
    [
        HUGE,
        NO_UTF8,
        pa.array([{"a": "x", "b": [decimal.Decimal(1)]}, None]),
        pa.array([[("k", "v")]], pa.map_(pa.string(), pa.string())),
        pa.array(["a", None]).dictionary_encode(),
        pa.array([["a"], None], pa.large_list(pa.large_string())),
        pa.StructArray.from_arrays([HUGE, NO_UTF8], ["a", "b"]),
        pa.array([1.5]),
    ],
    ids=lambda column: str(column.type)[:30],
)
def test_what_stays_within_its_buffers_is_taken_whatever_it_holds(column: pa.Array) -> None:
    check_bounds(pa.record_batch([column], names=["x"]))


@pytest.mark.parametrize(
    "column",
    [
        wild(pa.string()),
        wild(pa.binary()),
        pa.StructArray.from_arrays([wild(pa.string())], ["a"]),
        pa.DictionaryArray.from_arrays(pa.array([7]), pa.array(["a"]), safe=False),
    ],
    ids=["text", "bytes", "nested", "indices"],
)
def test_what_leads_beyond_its_buffers_is_refused(column: pa.Array) -> None:
    with pytest.raises(pa.ArrowException):
        check_bounds(pa.record_batch([column], names=["x"]))
