from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from google.api_core.exceptions import NotFound
from google.cloud.bigquery_storage import DataFormat, ReadSession

from .test_loads import load_parquet

if TYPE_CHECKING:
    from tests.warehouse import Warehouse

# What it recommends in its place is another library, which has the same warning to come.
pytestmark = pytest.mark.filterwarnings("ignore:Retrieving Arrow:PendingDeprecationWarning")


def test_wide_rows_come_in_messages_that_a_plain_client_takes(bigquery: Warehouse) -> None:
    vectors = np.arange(2_000 * 768, dtype=np.float64).reshape(2_000, 768)
    flat = pa.array(vectors.ravel())
    lists = pa.ListArray.from_arrays(np.arange(0, len(flat) + 1, 768, dtype=np.int32), flat)
    load_parquet(bigquery, pa.table({"n": np.arange(2_000), "v": lists}))
    listed = bigquery.client.list_rows(bigquery.client.get_table(bigquery.table()))
    found = listed.to_arrow(bqstorage_client=bigquery.reader).sort_by("n")
    assert found["n"].to_pylist() == list(range(2_000))
    got = found["v"].combine_chunks().flatten().to_numpy().reshape(2_000, 768)
    assert np.array_equal(got, vectors)


def test_one_long_row_among_short_ones_makes_one_long_message(bigquery: Warehouse) -> None:
    texts = ["short"] * 500 + ["x" * 3_500_000] + ["short"] * 500
    load_parquet(bigquery, pa.table({"s": texts}))
    listed = bigquery.client.list_rows(bigquery.client.get_table(bigquery.table()))
    found = listed.to_arrow(bqstorage_client=bigquery.reader)
    assert found["s"].to_pylist() == texts


def test_rows_without_a_table_are_read(bigquery: Warehouse) -> None:
    rows = bigquery.client.query(
        "SELECT n, [n, n + 1] AS v FROM UNNEST(GENERATE_ARRAY(1, 3)) AS n ORDER BY n"
    ).result()
    found = rows.to_arrow(bqstorage_client=bigquery.reader)
    assert found.to_pylist() == [{"n": n, "v": [n, n + 1]} for n in (1, 2, 3)]


def test_an_array_that_is_null_is_read_as_empty(bigquery: Warehouse) -> None:
    bigquery.ask(f"CREATE TABLE {bigquery.sql()} AS SELECT CAST(NULL AS ARRAY<INT64>) AS v")
    listed = bigquery.client.list_rows(bigquery.client.get_table(bigquery.table()))
    assert listed.to_arrow(bqstorage_client=bigquery.reader).to_pylist() == [{"v": []}]
    assert bigquery.rows() == [{"v": []}]


def test_rows_and_columns_are_chosen(bigquery: Warehouse) -> None:
    load_parquet(bigquery, pa.table({"n": [1, 2, 3], "s": ["a", "b", "c"]}))
    project, dataset = bigquery.dataset.split(".")
    session = bigquery.reader.create_read_session(
        parent=f"projects/{project}",
        read_session=ReadSession(
            table=f"projects/{project}/datasets/{dataset}/tables/rows",
            data_format=DataFormat.ARROW,
            read_options={"selected_fields": ["s"], "row_restriction": "n > 1"},
        ),
        max_stream_count=1,
    )
    reader = bigquery.reader.read_rows(session.streams[0].name)
    assert reader.to_arrow(session).to_pylist() == [{"s": "b"}, {"s": "c"}]


def test_a_table_that_is_not_there_is_not_read(bigquery: Warehouse) -> None:
    project, dataset = bigquery.dataset.split(".")
    session = ReadSession(
        table=f"projects/{project}/datasets/{dataset}/tables/absent", data_format=DataFormat.ARROW
    )
    with pytest.raises(NotFound):
        bigquery.reader.create_read_session(
            parent=f"projects/{project}", read_session=session, max_stream_count=1
        )
