from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from batchkit.errors import TableError
from batchkit.tables.labels import check_labels
from batchkit.tables.opened import open_table


def test_texts_that_stand_once_are_names() -> None:
    check_labels(["id", "", "Id", "ü ß", "a.b"], "table")


@pytest.mark.parametrize(
    "labels, said, column",
    [
        (["a", "b", "a"], "two columns named 'a', 0 and 2; rename one", "a"),
        (["a", 7], "a column named 7, which is no text", "7"),
        (["a", ("b", "c")], "a column named ('b', 'c'), which is no text", "('b', 'c')"),
        ([None], "a column named None, which is no text", "None"),
    ],
)
def test_all_other_labels_are_refused_with_the_column(
    labels: list[Any], said: str, column: str
) -> None:
    with pytest.raises(TableError) as caught:
        check_labels(labels, "pandas DataFrame")
    assert said in str(caught.value)
    assert str(caught.value).startswith("the pandas DataFrame has ")
    assert caught.value.column == column


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame([[1, 2]], columns=[0, 1]),
        pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")])),
        pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]),
        [{1: "a"}],
    ],
    ids=["twice", "numbers", "levels", "arrow", "rows"],
)
def test_a_table_is_refused_for_them_when_it_is_opened(table: Any) -> None:
    with pytest.raises(TableError, match=r"rename one|name columns by text"):
        open_table(table)
