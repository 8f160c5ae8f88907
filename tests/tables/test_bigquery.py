from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.errors import BatchkitError, RunChangedError, TableError
from batchkit.tables.bigquery import bigquery_table
from batchkit.tables.reach import Reach
from batchkit.tables.stream import TableStream
from tests.cloud import PROJECT, GoogleCloud

if TYPE_CHECKING:
    from pathlib import Path

    from tests.warehouse import Warehouse

pytestmark = pytest.mark.filterwarnings("ignore:Retrieving Arrow:PendingDeprecationWarning")

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")
ROWS = [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}]
# A value of each type, as SQL, as Python has it, and as it stands in a prompt.
VALUES: dict[str, tuple[str, pa.DataType, Any, str]] = {
    "string": ("'a\"ü'", pa.string(), 'a"ü', 'a"ü'),
    "integer": ("-7", pa.int64(), -7, "-7"),
    "number": ("0.5", pa.float64(), 0.5, "0.5"),
    "flag": ("TRUE", pa.bool_(), True, "true"),
    "numeric": ("NUMERIC '1.5'", pa.decimal128(38, 9), Decimal("1.5"), "1.500000000"),
    "day": ("DATE '2026-01-02'", pa.date32(), dt.date(2026, 1, 2), "2026-01-02"),
    "clock": ("TIME '03:04:05.5'", pa.time64("us"), dt.time(3, 4, 5, 500_000), "03:04:05.5"),
    "local": (
        "DATETIME '2026-01-02 03:04:05'",
        pa.timestamp("us"),
        dt.datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001  # which has none
        "2026-01-02T03:04:05",
    ),
    "moment": (
        "TIMESTAMP '2026-01-02 03:04:05+00'",
        pa.timestamp("us", tz="UTC"),
        dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
        "2026-01-02T03:04:05+00:00",
    ),
    "json": ("JSON '{\"a\":1}'", pa.string(), '{"a":1}', '{"a":1}'),
    "list": ("[1, 2]", pa.list_(pa.int64()), [1, 2], "[1,2]"),
    "pair": (
        "STRUCT(1 AS x, 'y' AS y)",
        pa.struct([("x", pa.int64()), ("y", pa.string())]),
        {"x": 1, "y": "y"},
        '{"x":1,"y":"y"}',
    ),
}


def build(bq: GoogleCloud, table: Any, folder: Path, spec: Any = SPEC, **options: Any) -> bk.Run:
    return bk.build(table, spec, into=folder, client=bq.client, target="inline", **options)


def values(run: bk.Run) -> pa.Table:
    return bk.collect(run).to_arrow()


@pytest.mark.parametrize("by_storage_api", [True, False])
def test_each_type_has_one_arrow_type_and_one_text_whichever_way_it_comes(
    bq: GoogleCloud,
    bigquery: Warehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    by_storage_api: bool,
) -> None:
    if not by_storage_api:
        monkeypatch.delenv("BIGQUERY_STORAGE_EMULATOR_HOST")
    columns = ", ".join(f"{value[0]} AS `{name}`" for name, value in VALUES.items())
    bigquery.ask(f"CREATE TABLE {bigquery.sql()} AS SELECT {columns}")
    spec = bk.generate("gemini-3.8-flash", "|".join(f"{{{name}}}" for name in VALUES))
    run = build(bq, f"bq://{bigquery.table()}", tmp_path / "run", spec)
    table = values(run)
    for name, (_, kind, value, _) in VALUES.items():
        found = table.column(name)
        assert (name, found.type, found.to_pylist()) == (name, kind, [value])
    line = run.requests_path("00000").read_text(encoding="utf-8")
    prompt = jsonl.loads(line)["request"]["contents"][0]["parts"][0]["text"]
    assert prompt == "|".join(text for *_, text in VALUES.values())


def test_a_table_is_read_once_and_known_again_by_its_last_change(
    bq: GoogleCloud, bigquery: Warehouse, tmp_path: Path
) -> None:
    bigquery.load(ROWS)
    address = f"bq://{bigquery.table()}"
    first = build(bq, address, tmp_path / "run", key="id")
    assert build(bq, address, tmp_path / "run", key="id").definition == first.definition
    assert values(first).select(["id", "text"]).to_pylist() == ROWS
    bigquery.load([{"id": 3, "text": "c"}])
    with pytest.raises(RunChangedError, match=rf"source {address} rows: the run has 2, now 3"):
        build(bq, address, tmp_path / "run", key="id")


def test_a_table_that_changes_while_it_is_read_is_refused(
    bq: GoogleCloud, bigquery: Warehouse, tmp_path: Path
) -> None:
    bigquery.load(ROWS)
    with Reach(lambda: bq.cloud, tmp_path) as reach:
        stream = bigquery_table(f"bq://{bigquery.table()}", reach)
        assert isinstance(stream, TableStream)
        next(stream.batches)
        bigquery.load([{"id": 3, "text": "c"}])
        with pytest.raises(RunChangedError, match="rows changed while it was read; build again"):
            list(stream.batches)


def test_a_view_is_a_table(bq: GoogleCloud, bigquery: Warehouse, tmp_path: Path) -> None:
    bigquery.load(ROWS)
    bigquery.ask(f"CREATE VIEW {bigquery.sql('seen')} AS SELECT text FROM {bigquery.sql()}")  # noqa: S608
    run = build(bq, f"bq://{bigquery.table('seen')}", tmp_path / "run")
    assert sorted(values(run).column("text").to_pylist()) == ["a", "b"]


def test_a_table_without_rows_is_a_run_of_none(
    bq: GoogleCloud, bigquery: Warehouse, tmp_path: Path
) -> None:
    bigquery.ask(f"CREATE TABLE {bigquery.sql()} (text STRING, more ARRAY<INT64>)")
    run = build(bq, f"bq://{bigquery.table()}", tmp_path / "run")
    assert len(bk.collect(run)) == 0
    assert values(run).schema.field("more").type == pa.list_(pa.int64())


def test_a_query_is_run_once_and_known_again_by_its_text(
    bq: GoogleCloud, bigquery: Warehouse, tmp_path: Path
) -> None:
    bigquery.load(ROWS)
    asked = bk.query(f"SELECT id, UPPER(text) AS text FROM {bigquery.sql()}")  # noqa: S608
    assert asked == bk.Query(asked.sql)
    run = build(bq, asked, tmp_path / "run", key="id")
    bigquery.client.delete_table(bigquery.table())
    assert build(bq, asked, tmp_path / "run", key="id").definition == run.definition
    assert sorted(values(run).column("text").to_pylist()) == ["A", "B"]
    other = bk.query("SELECT 1 AS id, 'a' AS text")
    with pytest.raises(RunChangedError, match="source query: the run has"):
        build(bq, other, tmp_path / "run", key="id")


def test_what_is_not_there_is_named_and_leaves_no_directory(
    bq: GoogleCloud, bigquery: Warehouse, tmp_path: Path
) -> None:
    with pytest.raises(TableError, match=r"there is no table bq://.*\.no, or this account"):
        build(bq, f"bq://{bigquery.table('no')}", tmp_path / "run")
    with pytest.raises(TableError, match="there is no table"):
        build(bq, f"bq://{PROJECT}.no_dataset.t", tmp_path / "run")
    with pytest.raises(TableError, match="is a dataset: name a table in it"):
        build(bq, f"bq://{bigquery.dataset}", tmp_path / "run")
    with pytest.raises(BatchkitError, match=r"bigquery\.query"):
        build(bq, bk.query(f"SELECT text FROM {bigquery.sql('no')}"), tmp_path / "run")  # noqa: S608
    assert not (tmp_path / "run").exists()
