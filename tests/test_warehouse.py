from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchkit.errors import (
    BatchkitError,
    InvalidRequestError,
    NotAuthorisedError,
    NotFoundError,
    SetupError,
)
from batchkit.warehouse import TableName, TableOptions, Warehouse
from tests.cloud import Effects, GoogleCloud
from tests.scripted import Said, scripted

if TYPE_CHECKING:
    from pathlib import Path

    import tests.warehouse

pytestmark = pytest.mark.filterwarnings("ignore:Retrieving Arrow:PendingDeprecationWarning")

FIELDS = ({"name": "id", "type": "INTEGER"}, {"name": "text", "type": "STRING"})
REPLACE = TableOptions("replace")
ROWS = [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


def name_in(bigquery: tests.warehouse.Warehouse, table: str = "rows") -> TableName:
    return TableName.parse(f"bq://{bigquery.table(table)}")


def jobs(bigquery: tests.warehouse.Warehouse, prefix: str) -> int:
    return sum(job.job_id.startswith(prefix) for job in bigquery.client.list_jobs())


@pytest.mark.parametrize(
    "text, parts",
    [
        ("bq://p.d.t", ("p", "d", "t")),
        ("bq://p.d", ("p", "d", "")),
        ("bq://example.com:p-1.d_2.täble-3", ("example.com:p-1", "d_2", "täble-3")),
    ],
)
def test_an_address_is_project_dataset_and_table(text: str, parts: tuple[str, ...]) -> None:
    name = TableName.parse(text)
    assert (name.project, name.dataset, name.table) == parts
    assert str(name) == text


@pytest.mark.parametrize("text", ["bq://p", "p.d.t", "bq://p.d.t`; DROP", "bq://p.d-1.t", "bq://"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SetupError, match="no BigQuery name"):
        TableName.parse(text)


@pytest.mark.parametrize("by_storage_api", [True, False])
def test_rows_come_by_the_storage_api_and_by_rest(
    bigquery: tests.warehouse.Warehouse, *, by_storage_api: bool
) -> None:
    bigquery.load(ROWS)
    reader = bigquery.reader if by_storage_api else None
    warehouse = Warehouse(bigquery.client, reader)
    found = warehouse.read(name_in(bigquery))
    assert found.rows == 2
    assert sorted_rows(found.batches) == ROWS
    asked = warehouse.query_rows(f"SELECT text FROM {bigquery.sql()} WHERE id > 1")  # noqa: S608
    assert sorted_rows(asked.batches) == [{"text": "b"}]
    assert sorted_rows(warehouse.read(name_in(bigquery), ["text"]).batches) == [
        {"text": "a"},
        {"text": "b"},
    ]


def sorted_rows(batches: Any) -> list[dict[str, Any]]:
    rows = [row for batch in batches for row in batch.to_pylist()]
    return sorted(rows, key=lambda row: str(list(row.values())))


def test_a_table_without_rows_has_no_batches_with_rows(
    bq: GoogleCloud, bigquery: tests.warehouse.Warehouse
) -> None:
    bigquery.ask(f"CREATE TABLE {bigquery.sql()} (id INT64)")
    assert sorted_rows(bq.cloud.warehouse.read(name_in(bigquery)).batches) == []


def test_a_view_is_read_by_a_query(bq: GoogleCloud, bigquery: tests.warehouse.Warehouse) -> None:
    bigquery.load(ROWS)
    bigquery.ask(f"CREATE VIEW {bigquery.sql('seen')} AS SELECT id FROM {bigquery.sql()}")  # noqa: S608
    info = bq.cloud.warehouse.find(name_in(bigquery, "seen"))
    assert info is not None
    assert info.rows is None
    rows = bq.cloud.warehouse.read(name_in(bigquery, "seen"))
    assert sorted_rows(rows.batches) == [{"id": 1}, {"id": 2}]


def test_what_is_not_there_is_named(bq: GoogleCloud, bigquery: tests.warehouse.Warehouse) -> None:
    assert bq.cloud.warehouse.find(name_in(bigquery, "no")) is None
    with pytest.raises(NotFoundError, match=r"there is no table bq://.*\.no"):
        bq.cloud.warehouse.read(name_in(bigquery, "no"))
    with pytest.raises(NotFoundError):
        bq.cloud.warehouse.location(TableName(bigquery.project, "no"))
    assert bq.cloud.warehouse.location(name_in(bigquery)) == "us"


def test_the_fields_of_a_query_are_known_before_it_runs(
    bq: GoogleCloud, bigquery: tests.warehouse.Warehouse
) -> None:
    fields = bq.cloud.warehouse.query_fields("SELECT 1 AS x, 'a' AS y")
    assert [(field["name"], field["type"]) for field in fields] == [
        ("x", "INTEGER"),
        ("y", "STRING"),
    ]
    with pytest.raises(BatchkitError, match=r"bigquery\.query"):
        bq.cloud.warehouse.query_fields(f"SELECT x FROM {bigquery.sql('no')}")  # noqa: S608


def test_a_load_of_one_id_runs_once(
    bq: GoogleCloud, bigquery: tests.warehouse.Warehouse, file: Path
) -> None:
    for _ in range(3):
        loaded = bq.cloud.warehouse.load(file, name_in(bigquery), "once", fields=FIELDS)
        assert loaded == 2
    assert bigquery.rows() == ROWS


def test_a_load_that_fails_is_said_once_and_tried_anew_the_next_time(
    bq: GoogleCloud, bigquery: tests.warehouse.Warehouse, tmp_path: Path, file: Path
) -> None:
    (tmp_path / "broken").write_bytes(b"no Parquet")
    prefix = f"failing_{bigquery.dataset.rpartition('.')[2]}"
    with pytest.raises(InvalidRequestError):
        bq.cloud.warehouse.load(tmp_path / "broken", name_in(bigquery), prefix, fields=FIELDS)
    assert jobs(bigquery, prefix) == 1
    bq.cloud.warehouse.load(file, name_in(bigquery), prefix, fields=FIELDS)
    assert bigquery.rows() == ROWS


def test_a_table_that_exists_is_refused_before_any_job(
    bq: GoogleCloud, bigquery: tests.warehouse.Warehouse, file: Path
) -> None:
    bigquery.ask(f"CREATE TABLE {bigquery.sql()} (id INT64)")
    before = jobs(bigquery, "")
    with pytest.raises(SetupError, match=r"rows is there already: name another, or give if_exist"):
        bq.cloud.warehouse.load(file, name_in(bigquery), "exists", fields=FIELDS)
    assert jobs(bigquery, "") == before


def test_a_load_whose_table_was_dropped_since_is_done_anew(
    bq: GoogleCloud, bigquery: tests.warehouse.Warehouse, file: Path
) -> None:
    name = name_in(bigquery)
    for _ in range(2):
        bq.cloud.warehouse.load(file, name, "dropped", fields=FIELDS)
        assert bigquery.rows() == ROWS
        bq.cloud.warehouse.drop(name)


def test_a_replacement_that_was_replaced_since_is_done_anew(
    bq: GoogleCloud, bigquery: tests.warehouse.Warehouse, file: Path
) -> None:
    name = name_in(bigquery)
    for _ in range(2):
        bq.cloud.warehouse.load(file, name, "again", fields=FIELDS, options=REPLACE)
        assert bigquery.rows() == ROWS
        bigquery.load([{"id": 9, "text": "other"}], write_disposition="WRITE_TRUNCATE")


def test_partitions_and_clusters_are_those_that_were_asked_for(
    bq: GoogleCloud, bigquery: tests.warehouse.Warehouse, tmp_path: Path
) -> None:
    path = tmp_path / "days.parquet"
    pq.write_table(pa.table({"day": pa.array([0], pa.date32()), "text": ["a"]}), path)
    fields = ({"name": "day", "type": "DATE"}, {"name": "text", "type": "STRING"})
    options = TableOptions(partition_by="day", cluster_by=("text",))
    bq.cloud.warehouse.load(path, name_in(bigquery), "days", fields=fields, options=options)
    table = bigquery.client.get_table(bigquery.table())
    assert table.time_partitioning.field == "day"
    assert table.clustering_fields == ["text"]


def test_a_query_of_one_id_fills_a_table_once(
    bq: GoogleCloud, bigquery: tests.warehouse.Warehouse
) -> None:
    bigquery.load(ROWS)
    sql = f"SELECT id FROM {bigquery.sql()}"  # noqa: S608
    append = TableOptions("append")
    for _ in range(2):
        bq.cloud.warehouse.fill(sql, name_in(bigquery, "to"), "fill", options=append)
    assert sorted(row["id"] for row in bigquery.rows("to")) == [1, 2]
    assert bq.cloud.warehouse.fill(sql, name_in(bigquery, "to"), "more", options=append) == 4
    with pytest.raises(SetupError, match="is there already"):
        bq.cloud.warehouse.fill(sql, name_in(bigquery, "to"), "third")


def test_a_table_that_was_filled_and_dropped_is_filled_anew(
    bq: GoogleCloud, bigquery: tests.warehouse.Warehouse
) -> None:
    name = name_in(bigquery, "to")
    for _ in range(2):
        assert bq.cloud.warehouse.fill("SELECT 1 AS x", name, "anew") == 1
        bq.cloud.warehouse.drop(name)


def test_a_missing_permission_is_said_in_the_words_of_the_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = "Access Denied: Table p:d.t: User does not have permission bigquery.tables.get"
    error = {"code": 403, "message": said, "errors": [{"reason": "accessDenied", "message": said}]}
    with scripted(Said(403, {"error": error})) as server:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", server.url)
        warehouse = GoogleCloud(server.url, Effects()).cloud.warehouse
        with pytest.raises(NotAuthorisedError, match=r"permission bigquery\.tables\.get"):
            warehouse.find(TableName("p", "d", "t"))
        assert len(server.asked) == 1
