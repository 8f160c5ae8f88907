from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from batchkit.tables.objects import Altered, ObjectForm, object_form, restored_objects

NAN = float("nan")


def values_of(*values: Any) -> Any:
    column = np.empty(len(values), object)
    column[:] = values
    return column


def arrow(values: Any) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, from_pandas=True)])


@pytest.mark.parametrize(
    "values, form",
    [
        (values_of("a", None), ObjectForm("python", "NoneType")),
        (values_of("a", NAN), ObjectForm("python", "float")),
        (values_of("a", pd.NA), ObjectForm("python", "NAType")),
        (values_of(pd.Timestamp("2026-01-01"), pd.NaT), ObjectForm("pandas", "NaTType")),
        (values_of(Decimal("1.5"), Decimal("NaN")), ObjectForm("python", "Decimal")),
        (values_of(pd.Timestamp("2026-01-01", tz="UTC"), None), ObjectForm("pandas", "NoneType")),
        (values_of(dt.datetime(2026, 1, 1, tzinfo=dt.UTC), None), ObjectForm("python", "NoneType")),
        (values_of(dt.timedelta(1), None), ObjectForm("python", "NoneType")),
        (values_of(pd.Timedelta(1, "s"), None), ObjectForm("pandas", "NoneType")),
        (values_of("a", "b"), ObjectForm("python", "NoneType")),
        (values_of([[1], [2]], None), ObjectForm("python", "NoneType")),
        (values_of({"a": [1]}, None), ObjectForm("python", "NoneType")),
        (values_of((1, 2), ()), ObjectForm("tuples", "NoneType")),
        (values_of(np.array([1.5]), np.array([NAN])), ObjectForm("pandas", "NoneType")),
        (
            values_of(values_of(np.array([1]), np.array([], np.int64)), None),
            ObjectForm("pandas", "NoneType"),
        ),
        (values_of(), ObjectForm("python", "NoneType")),
    ],
    ids=repr,
)
def test_objects_come_back_in_the_form_that_is_found(values: Any, form: ObjectForm) -> None:
    column = arrow(values) if len(values) != 2 or form.shape != "pandas" else arrow(list(values))
    assert object_form(values, column) == form
    back = restored_objects(column, form)
    assert list(map(type, back)) == list(map(type, values))
    pd.testing.assert_series_equal(pd.Series(back, dtype=object), pd.Series(values, dtype=object))


@pytest.mark.parametrize(
    "values, altered",
    [
        (values_of({1}, {2}), Altered(0, {1}, [1])),
        (values_of(b"a", "x"), Altered(1, "x", b"x")),
        (values_of([1], (1,)), Altered(1, (1,), [1])),
        (values_of([(1,)], [(2,)]), Altered(0, [(1,)], [[1]])),
        (values_of({"a": 1}, {"b": 1}), Altered(0, {"a": 1}, {"a": 1, "b": None})),
        (values_of([{"a": 1}], [{"b": 1}]), Altered(0, [{"a": 1}], [{"a": 1, "b": None}])),
    ],
    ids=repr,
)
def test_the_first_value_that_arrow_alters_is_named(values: Any, altered: Altered) -> None:
    assert object_form(values, arrow(values)) == altered


def test_moments_of_two_zones_are_not_one_and_the_same() -> None:
    one = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    other = one.astimezone(dt.timezone(dt.timedelta(hours=1)))
    found = object_form(values_of(one, other), arrow([one, other]))
    assert isinstance(found, Altered)
    assert (found.row, found.given) == (1, other)


@pytest.mark.parametrize("row", [0, 15, 16, 80, 70_000])
def test_a_value_is_found_wherever_it_stands(row: int) -> None:
    values = np.full(80_000, b"x", object)
    values[row] = "x"
    assert object_form(values, arrow(values)) == Altered(row, "x", b"x")


def test_nulls_of_several_kinds_come_back_as_the_first_of_them() -> None:
    values = values_of("a", NAN, None, pd.NA)
    form = object_form(values, arrow(values))
    assert form == ObjectForm("python", "float")
    assert str(restored_objects(arrow(values), form).tolist()) == "['a', nan, nan, nan]"


def test_columns_in_chunks_are_restored_whole() -> None:
    chunks = [pa.array([[1], None]), pa.array([], pa.list_(pa.int64())), pa.array([[2, 3]])]
    column = pa.chunked_array(chunks)
    back = restored_objects(column, ObjectForm("tuples", "NoneType"))
    assert back.tolist() == [(1,), None, (2, 3)]
