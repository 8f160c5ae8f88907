from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.errors import (
    CapabilityError,
    NotAuthorisedError,
    NotFoundError,
    SetupError,
    TableError,
)
from batchkit.warehouse import TableName
from tests.cloud import BUCKET, Effects, GoogleCloud
from tests.driver import FORKS
from tests.loader import load
from tests.scripted import Asked, Said, passed_on, scripted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.warehouse import Warehouse

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")
ROWS = pa.table({"id": [1, 2], "text": ["a", "b"]})


def collected(folder: Path, table: Any = ROWS, **options: Any) -> bk.Results:
    """A run that was never sent: each of its rows is pending."""
    return bk.collect(bk.build(table, SPEC, into=folder, target="inline", **options))


def left_over(results: bk.Results) -> list[str]:
    return [path.name for path in results.run.folder.rglob("*.tmp")]


def load_jobs(bigquery: Warehouse, results: bk.Results) -> int:
    prefix = f"batchkit-{results.run.definition.id}"
    return sum(job.job_id.startswith(prefix) for job in bigquery.client.list_jobs())


@pytest.mark.parametrize(
    "method, name, read",
    [
        ("to_parquet", "out/a.parquet", lambda file: pq.read_table(file).to_pylist()),
        (
            "to_jsonl",
            "a.jsonl",
            lambda file: [jsonl.loads(line) for line in file.read_bytes().split(b"\n")[:-1]],
        ),
        ("to_csv", "a.csv", lambda file: file.read_text().split("\n")),
    ],
)
def test_a_result_becomes_an_object_with_what_a_file_would_have(  # noqa: PLR0917  # fixtures and cases
    gs: GoogleCloud, tmp_path: Path, method: str, name: str, read: Callable[[Path], Any]
) -> None:
    results = collected(tmp_path / "run")
    address = f"gs://{BUCKET}/{name}"
    assert getattr(results, method)(address, client=gs.client) == address
    there, here = tmp_path / "there", getattr(results, method)(tmp_path / name)
    there.write_bytes(gs.content(name))
    assert read(there) == read(here)
    assert left_over(results) == []


def test_a_folder_takes_parts_that_are_one_table(gs: GoogleCloud, tmp_path: Path) -> None:
    results = collected(tmp_path / "run")
    for _ in range(2):
        results.to_parquet(f"gs://{BUCKET}/out/", client=gs.client)
    assert gs.names() == ["out/part-00000.parquet"]
    again = bk.build(f"gs://{BUCKET}/out", SPEC, prefix="b_", into=tmp_path / "b", client=gs.client)
    assert again.shards.rows == 2


@pytest.mark.parametrize("name", ["out.parquet", "out"])
def test_an_upload_whose_reply_is_lost_ends_with_one_object(
    gs: GoogleCloud, tmp_path: Path, name: str
) -> None:
    gs.effects.lost.append("object.created")
    collected(tmp_path / "run").to_parquet(f"gs://{BUCKET}/{name}", client=gs.client)
    assert gs.effects.lost == []
    assert [kind for kind, _ in gs.effects.heard].count("object.created") == 1
    assert len(gs.names()) == 1


@pytest.mark.parametrize("name, there", [("a.parquet", "a.parquet"), ("out", "out/foreign.txt")])
def test_objects_that_are_there_are_refused_and_stay(
    gs: GoogleCloud, tmp_path: Path, name: str, there: str
) -> None:
    gs.put(there, b"precious")
    with pytest.raises(SetupError, match=f"{there} is there already, with other content"):
        collected(tmp_path / "run").to_parquet(f"gs://{BUCKET}/{name}", client=gs.client)
    assert gs.names() == [there]
    assert gs.content(there) == b"precious"


def test_places_that_take_no_files_are_said(gs: GoogleCloud, tmp_path: Path) -> None:
    results = collected(tmp_path / "run")
    with pytest.raises(NotFoundError):
        results.to_csv("gs://no-such-bucket/a.csv", client=gs.client)
    with pytest.raises(SetupError, match="name an object or a folder"):
        results.to_parquet(f"gs://{BUCKET}", client=gs.client)
    with pytest.raises(CapabilityError, match="this machine and to gs://"):
        results.to_parquet("s3://bucket/a.parquet")


def test_a_result_becomes_a_table_with_each_row_once(
    bq: GoogleCloud, bigquery: Warehouse, tmp_path: Path
) -> None:
    results = collected(tmp_path / "run")
    address = f"bq://{bigquery.table()}"
    for _ in range(3):
        assert results.to_bigquery(address, client=bq.client) == address
    assert [(row["id"], row["status"]) for row in bigquery.rows()] == [
        (1, "pending"),
        (2, "pending"),
    ]
    assert load_jobs(bigquery, results) == 1
    assert left_over(results) == []


def test_every_kind_of_column_arrives(bq: GoogleCloud, bigquery: Warehouse, tmp_path: Path) -> None:
    table = ROWS.append_column("vector", pa.array([[0.5], None], pa.list_(pa.float32())))
    table = table.append_column("large", pa.array([2**64 - 1, None], pa.uint64()))
    table = table.append_column("pair", pa.array([{"a": 1, "b": ["x"]}, None]))
    table = table.append_column(
        "map", pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int8()))
    )
    table = table.append_column("kind", pa.array(["x", None]).dictionary_encode())
    table = table.append_column("day", pa.array([0, None], pa.date32()))
    results = collected(tmp_path / "run", table)
    results.to_bigquery(
        f"bq://{bigquery.table()}", partition_by="day", cluster_by="kind", client=bq.client
    )
    first, second = sorted(bigquery.rows(), key=lambda row: row["id"])
    assert first["vector"] == [0.5]
    assert int(first["large"]) == 2**64 - 1
    assert first["pair"] == {"a": 1, "b": ["x"]}
    assert first["map"] == [{"key": "k", "value": 1}]
    assert (first["kind"], first["day"].year) == ("x", 1970)
    assert (second["vector"], second["large"], second["kind"]) == ([], None, None)


def test_more_answers_are_another_load(
    bq: GoogleCloud, bigquery: Warehouse, tmp_path: Path
) -> None:
    results = collected(tmp_path / "run")
    address = f"bq://{bigquery.table()}"
    results.to_bigquery(address, client=bq.client)
    other = collected(tmp_path / "other")
    with pytest.raises(SetupError, match="is there already: name another, or give if_exists"):
        other.to_bigquery(address, client=bq.client)
    for _ in range(2):
        other.to_bigquery(address, if_exists="append", client=bq.client)
    assert len(bigquery.rows()) == 4
    other.to_bigquery(address, if_exists="replace", client=bq.client)
    assert len(bigquery.rows()) == 2


@pytest.mark.parametrize(
    "column, options, said",
    [
        (pa.array([[[1]], []]), {}, "column 'x' is .*no arrays of arrays"),
        (pa.array([1, 2], pa.duration("s")), {}, "column 'x' is duration.*cast it first"),
        (pa.array([1, 2], pa.timestamp("ns")), {}, "column 'x' has a value.*would lose data"),
        (pa.array([1, 2]), {"partition_by": "x"}, "'x', which is INT64: it takes a date"),
        (pa.array([1, 2]), {"partition_by": "y"}, "partition_by names 'y'; the columns are id"),
        (pa.array([0.5, 2]), {"cluster_by": ["x"]}, "FLOAT64: BigQuery cannot sort by it"),
        (pa.array([[1], [2]]), {"cluster_by": ["x"]}, "an array: BigQuery cannot sort by it"),
    ],
)
def test_what_bigquery_cannot_hold_is_said_before_any_job(  # noqa: PLR0917  # as above
    bq: GoogleCloud,
    bigquery: Warehouse,
    tmp_path: Path,
    column: pa.Array,
    options: dict[str, Any],
    said: str,
) -> None:
    results = collected(tmp_path / "run", ROWS.append_column("x", column))
    with pytest.raises(TableError, match=said):
        results.to_bigquery(f"bq://{bigquery.table()}", client=bq.client, **options)
    assert load_jobs(bigquery, results) == 0
    assert bq.cloud.warehouse.find(TableName.parse(f"bq://{bigquery.table()}")) is None


@pytest.mark.parametrize(
    "table, options, kind, said",
    [
        ("bq://{dataset}", {}, SetupError, "is a dataset: name a table in it"),
        ("bq://{project}.no_dataset.t", {}, NotFoundError, "no_dataset"),
        ("gs://bucket/t", {}, SetupError, "is no BigQuery name"),
        ("bq://{dataset}.t", {"if_exists": "maybe"}, SetupError, "'fail', 'replace' or 'append'"),
        ("bq://{dataset}.t", {"cluster_by": list("abcde")}, SetupError, "BigQuery takes four"),
    ],
)
def test_a_place_or_an_option_that_is_wrong_is_said_before_any_job(  # noqa: PLR0913, PLR0917  # as above
    bq: GoogleCloud,
    bigquery: Warehouse,
    tmp_path: Path,
    table: str,
    options: dict[str, Any],
    kind: type[Exception],
    said: str,
) -> None:
    results = collected(tmp_path / "run")
    address = table.format(dataset=bigquery.dataset, project=bigquery.project)
    with pytest.raises(kind, match=said):
        results.to_bigquery(address, client=bq.client, **options)
    assert load_jobs(bigquery, results) == 0


def test_a_missing_permission_is_said_before_any_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "Access Denied: User does not have bigquery.datasets.get access for dataset p:d."
    error = {"code": 403, "message": said, "errors": [{"reason": "accessDenied", "message": said}]}
    with scripted(Said(403, {"error": error})) as server:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", server.url)
        client = GoogleCloud(server.url, Effects()).client
        with pytest.raises(NotAuthorisedError, match=r"bigquery\.datasets\.get access"):
            collected(tmp_path / "run").to_bigquery("bq://p.d.t", client=client)
        assert [asked.method for asked in server.asked] == ["GET"]


def test_a_load_that_is_killed_once_its_job_is_made_ends_with_each_row_once(
    bigquery: Warehouse, tmp_path: Path
) -> None:
    results = collected(tmp_path / "run")
    victims: list[int] = []
    made: list[str] = []

    def answer(asked: Asked) -> Said:
        """What BigQuery answers; who asked for the first job does not live to hear it."""
        reply = passed_on(asked, bigquery.server.rest_url)
        if asked.path.startswith("/upload/"):
            made.append(jsonl.loads(reply.content)["jobReference"]["jobId"])
            if victims:
                os.kill(victims.pop(), signal.SIGKILL)
        return reply

    with scripted(answer) as server:
        environment = {**bigquery.server.environment, "BIGQUERY_EMULATOR_HOST": server.url}
        arguments = (str(results.run.folder), f"bq://{bigquery.table()}", environment)
        for ends_by in (-signal.SIGKILL, 0):
            process = FORKS.Process(target=load, args=arguments)
            process.start()
            if not made:
                victims.append(process.pid or 0)
            process.join(60)
            assert process.exitcode == ends_by
    assert [row["id"] for row in bigquery.rows()] == [1, 2]
    assert len(made) == 1
    assert load_jobs(bigquery, results) == 1
    assert left_over(results) == []
