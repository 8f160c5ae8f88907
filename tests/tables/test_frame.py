from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchkit.errors import CapabilityError, TableError
from batchkit.tables.frame import arrow_of_frame, frame_of_arrow, is_frame


def there_and_back(frame: pd.DataFrame) -> Any:
    """As a run does it: with columns of ours beside the frame's own."""
    table = arrow_of_frame(frame)
    ours = pa.array(["x"] * len(table), pa.string())
    return frame_of_arrow(table.append_column("response", ours))


def test_a_frame_is_known_and_nothing_else_is_one() -> None:
    assert is_frame(pd.DataFrame())
    assert not is_frame(pd.Series([1]))
    assert not is_frame(pl.DataFrame())
    assert not is_frame(pa.table({}))


@pytest.mark.parametrize(
    "columns",
    [
        pd.Index(["a", "b"], name="named"),
        pd.CategoricalIndex(["a", "b"]),
        pd.Index(["a", "b"], dtype=object),
    ],
    ids=["named", "categorical", "objects"],
)
def test_our_columns_come_beside_labels_of_any_kind(columns: Any) -> None:
    back = there_and_back(pd.DataFrame([[1, 2]], columns=columns))
    assert list(back.columns) == ["a", "b", "response"]
    assert back.columns.name == columns.name
    assert back["b"].tolist() == [2]


def test_a_frame_without_columns_has_its_index() -> None:
    back = there_and_back(pd.DataFrame(index=pd.Index([5, 7], name="id")))
    assert back["response"].to_dict() == {5: "x", 7: "x"}


def test_a_frame_without_rows_has_its_dtypes() -> None:
    frame = pd.DataFrame(
        {"a": pd.Series([], dtype=object), "b": pd.Series([], dtype="Int64"), "c": []}
    )
    pd.testing.assert_frame_equal(there_and_back(frame)[["a", "b", "c"]], frame)


def test_the_attributes_of_a_frame_are_no_obstacle() -> None:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs = {"unit": float("nan")}
    assert there_and_back(frame)["a"].tolist() == [1]


def test_the_frequency_of_an_index_comes_back() -> None:
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.timedelta_range("1h", periods=2, freq="h"))
    assert there_and_back(frame).index.freq == frame.index.freq  # pyright: ignore[reportAttributeAccessIssue]


def test_a_level_of_objects_is_refused_by_its_place() -> None:
    index = pd.MultiIndex.from_arrays([[1, 2], np.array([b"a", "x"], object)])
    with pytest.raises(TableError, match=r"^index level 1 of the pandas DataFrame would not come"):
        arrow_of_frame(pd.DataFrame({"a": [1, 2]}, index=index))


def test_a_long_value_does_not_drown_what_is_wrong_with_it() -> None:
    values = np.array([b"a", "x" * 10_000], object)
    with pytest.raises(TableError, match="row 1 has 'xxx") as caught:
        arrow_of_frame(pd.DataFrame({"a": values}))
    assert len(str(caught.value)) < 400
    assert caught.value.column == "a"


def test_a_file_that_pandas_wrote_is_the_frame_again(tmp_path: Any) -> None:
    frame = pd.DataFrame(
        {"n": pd.array([1, None], dtype="Int64"), "kind": pd.Categorical(["b", "a"])},
        index=pd.Index(["x", "y"], name="id"),
    )
    frame.to_parquet(tmp_path / "rows.parquet")
    back = frame_of_arrow(pq.read_table(tmp_path / "rows.parquet"))
    pd.testing.assert_frame_equal(back, frame)


@pytest.mark.parametrize(
    "kind, dtype", [(pa.int64(), "Int64"), (pa.uint64(), "UInt64"), (pa.int8(), "Int8")], ids=str
)
def test_whole_numbers_with_nulls_stay_whole(kind: pa.DataType, dtype: str) -> None:
    largest = 2 ** (kind.bit_width - 1) - 1
    frame = frame_of_arrow(pa.table({"n": pa.array([largest, None], kind)}))
    assert str(frame["n"].dtype) == dtype
    assert frame["n"][0] == largest
    assert str(frame_of_arrow(pa.table({"n": pa.array([1], kind)}))["n"].dtype) == dtype.lower()


def test_dates_that_python_has_not_are_kept() -> None:
    table = pa.table({"day": pa.array([2**31 - 1, 0, None], pa.date32())})
    frame = frame_of_arrow(table)
    assert pa.array(frame["day"]).equals(table.column("day").combine_chunks())
    ordinary = frame_of_arrow(pa.table({"day": pa.array([0, None], pa.date32())}))
    assert ordinary["day"].tolist() == [dt.date(1970, 1, 1), None]


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["b", "a", "c"])], ids=str)
def test_categories_of_polars_are_categories(kind: Any) -> None:
    source = pl.DataFrame({"kind": pl.Series(["a", None, "b", "a"], dtype=kind)})
    table = pa.RecordBatchReader.from_stream(source).read_all()
    frame = frame_of_arrow(pa.concat_tables([table, table]))
    assert frame["kind"].tolist()[:3] == ["a", np.nan, "b"] or frame["kind"].isna()[1]
    assert frame["kind"].dropna().tolist() == ["a", "b", "a"] * 2
    assert str(frame["kind"].dtype) == "category"


def test_texts_and_lists_of_polars_are_there() -> None:
    source = pl.DataFrame({"text": ["a", None], "list": [["x"], None], "n": [[1, None], None]})
    frame = frame_of_arrow(pa.RecordBatchReader.from_stream(source).read_all())
    assert frame["text"].tolist()[0] == "a"
    assert list(frame["list"][0]) == ["x"]
    assert list(frame["n"][0]) == [1, None]


def test_what_pandas_cannot_hold_is_said() -> None:
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([Decimal(1)])])
    with pytest.raises(CapabilityError, match=r"pandas cannot hold this table .*to_arrow"):
        frame_of_arrow(pa.table({"u": union}))


def test_arrow_dtypes_that_pandas_wrote_and_cannot_read_come_back(tmp_path: Any) -> None:
    """https://github.com/pandas-dev/pandas/issues/53011"""
    kind = pd.ArrowDtype(pa.list_(pa.int64()))
    frame = pd.DataFrame({"list": pd.Series([[1], None], dtype=kind)})
    frame.to_parquet(tmp_path / "rows.parquet")
    back = frame_of_arrow(pq.read_table(tmp_path / "rows.parquet"))
    pd.testing.assert_frame_equal(back, frame)
