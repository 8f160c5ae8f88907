"""Whole runs whose rows stay in BigQuery, held against the same runs row by row."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.errors import (
    BadKeysError,
    CapabilityError,
    RunChangedError,
    SetupError,
    TableError,
    TemplateError,
)
from tests.driver import FORKS
from tests.loader import push
from tests.scripted import Asked, Said, passed_on, scripted
from tests.test_readme import ROOT, blocks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import VertexService
    from tests.warehouse import Warehouse

# Of Google's library for BigQuery, which calls another of Google's libraries.
pytestmark = pytest.mark.filterwarnings("ignore:Retrieving Arrow:PendingDeprecationWarning")

MODEL = "gemini-3.8-flash"
SPEC = bk.generate(MODEL, "Say {text}", system="Be brief.", config={"temperature": 0.5})
TEXTS = [
    'quotes " and \\ backslashes',
    "line\nbreak and \ttab",
    "U+2028 \u2028 and NEL \x85",
    None,
    "emoji 😀 and 東京",
    "{braces} and %s",
    "same text",
    "same text",
]
ROWS = [{"id": f"r{i}", "n": 2**53 + i, "text": text} for i, text in enumerate(TEXTS)]


class Place:
    """A dataset where Vertex AI can read, and a client that speaks to both."""

    def __init__(self, vertex: VertexService, bigquery: Warehouse) -> None:
        self.client = vertex.client
        self.vertex = vertex
        self.bigquery = bigquery
        self.dataset = bigquery.new_dataset("us-central1")
        self.target = f"bq://{self.dataset}"

    def put(self, rows: list[dict[str, Any]], name: str = "source") -> str:
        from google.cloud.bigquery import LoadJobConfig  # noqa: PLC0415  # slow to load

        config = LoadJobConfig(autodetect=True, write_disposition="WRITE_TRUNCATE")
        path = f"{self.dataset}.{name}"
        self.bigquery.client.load_table_from_json(rows, path, job_config=config).result()
        return f"bq://{path}"

    def rows(self, address: str) -> list[dict[str, Any]]:
        found: Any = self.bigquery.client.list_rows(address.removeprefix("bq://"))
        return [dict(row) for row in found]

    def run(self, table: Any, into: Path, **options: Any) -> bk.Results:
        given = {"key": "id", "target": self.target, "client": self.client, "pushdown": True}
        return bk.run(table, SPEC, into=into, poll_seconds=0.01, **{**given, **options})

    def build(self, table: Any, into: Path, **options: Any) -> bk.Run:
        given = {"key": "id", "target": self.target, "client": self.client, "pushdown": True}
        return bk.build(table, options.pop("spec", SPEC), into=into, **{**given, **options})

    def jobs(self) -> int:
        return len(list(self.client.batches.list_all()))

    def queries(self, prefix: str = "batchkit-") -> list[str]:
        listed: Any = self.bigquery.client.list_jobs(all_users=True)
        return sorted(job.job_id for job in listed if job.job_id.startswith(prefix))


@pytest.fixture
def place(vertex: VertexService, bigquery: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Vertex AI and BigQuery, each knowing the other, in the environment."""
    vertex.emulator.use_bigquery(bigquery.server)
    for name, value in bigquery.server.environment.items():
        monkeypatch.setenv(name, value)
    return Place(vertex, bigquery)


def files_of(run: Path) -> set[str]:
    return {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}


def test_the_result_is_that_of_the_run_row_by_row(place: Place, tmp_path: Path) -> None:
    source = place.put(ROWS)
    there = place.run(source, tmp_path / "there", limits={"max_rows": 3})
    here = place.run(source, tmp_path / "here", pushdown=False)
    assert there.schema.equals(here.schema)
    one, other = (
        pd.DataFrame(results.to_arrow().to_pylist()).sort_values("id", ignore_index=True)
        for results in (there, here)
    )
    # A row without an answer has no notes: an empty list there, a null here.
    one["notes"] = one["notes"].map(list)
    other["notes"] = other["notes"].map(lambda notes: notes or [])
    pd.testing.assert_frame_equal(one, other)
    assert there.tally() == here.tally()
    assert there.tally()["ok"] == len(ROWS) - 1
    audits = [
        jsonl.loads((tmp_path / name / "audit.json").read_bytes()) for name in ("there", "here")
    ]
    assert audits[0] == {**audits[1], "jobs": 3}
    assert place.jobs() == 4


@pytest.mark.parametrize("flatten", [True, False])
def test_answers_by_schema_bodies_and_provenance_are_those_of_the_run_row_by_row(
    place: Place, tmp_path: Path, *, flatten: bool
) -> None:
    properties = {
        "mood": {"type": "STRING", "enum": ["glad", "sad"]},
        "words": {"type": "INTEGER"},
        "score": {"type": "NUMBER", "nullable": True},
        "sure": {"type": "BOOLEAN"},
    }
    schema = {"type": "OBJECT", "properties": properties, "required": ["mood", "words"]}
    spec = bk.generate(MODEL, "Rate {text}", schema=schema)
    options: dict[str, Any] = {"flatten": flatten, "raw": True, "provenance": True, "key": "id"}
    options |= {"target": place.target, "client": place.client, "poll_seconds": 0.01}
    source = place.put(ROWS)
    there = bk.run(source, spec, into=tmp_path / "there", pushdown=True, **options)
    here = bk.run(source, spec, into=tmp_path / "here", **options)
    assert there.schema.equals(here.schema)
    one, other = (
        sorted(results.to_arrow().to_pylist(), key=lambda row: row["id"])
        for results in (there, here)
    )
    for row, same in zip(one, other, strict=True):
        # Each run has its own jobs, and only Python hashes a request.
        assert (row.pop("job") is None) == (same.pop("job") is None)
        assert row.pop("request_hash") is None
        del same["request_hash"]
        raw, as_raw = row.pop("raw"), same.pop("raw")
        assert raw == as_raw or jsonl.loads(raw) == jsonl.loads(as_raw)
        assert row.pop("notes") == (same.pop("notes") or [])
        assert row == same
    assert there.tally() == here.tally()
    assert there.tally()["ok"] == len(ROWS) - 1
    assert [row["job"] for row in there.to_arrow().to_pylist()].count(None) == 1


def test_no_row_comes_here(place: Place, tmp_path: Path) -> None:
    results = place.run(place.put(ROWS), tmp_path / "run")
    written = b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*.*"))
    assert b"backslashes" not in written
    assert b"Echo" not in written
    address = results.to_bigquery()
    assert address.startswith(f"{place.target}.batchkit_")
    assert sorted(row["id"] for row in place.rows(address)) == [row["id"] for row in ROWS]
    assert files_of(tmp_path / "run") >= {
        "run.json",
        "shards.json",
        "audit.json",
        "requests/00000.sql",
        "sql/rows.sql",
        "sql/result.sql",
        "sql/balance.sql",
    }


def test_the_same_run_again_does_nothing_twice(place: Place, tmp_path: Path) -> None:
    source = place.put(ROWS)
    place.run(source, tmp_path / "run").to_bigquery(f"{place.target}.out")
    paid, queries = place.vertex.paid(), place.queries()
    place.run(source, tmp_path / "run").to_bigquery(f"{place.target}.out")
    assert place.vertex.paid() == paid
    assert set(paid.values()) == {1}
    assert place.queries() == queries
    assert len(place.rows(f"{place.target}.out")) == len(ROWS)


def test_collecting_before_the_jobs_end_leaves_rows_pending(place: Place, tmp_path: Path) -> None:
    run = place.build(place.put(ROWS), tmp_path / "run", limits={"max_rows": 4})
    assert run.tally()["pending"] == len(ROWS) - 1
    early = bk.collect(run, client=place.client)
    assert (early.tally()["pending"], early.tally()["rejected"]) == (len(ROWS) - 1, 1)
    assert {row["status"] for row in early.to_arrow().to_pylist()} == {"pending", "rejected"}
    bk.submit(run, client=place.client)
    bk.wait(run, client=place.client, poll_seconds=0.01)
    assert bk.collect(run, client=place.client).tally()["ok"] == len(ROWS) - 1


def test_a_build_that_was_stopped_after_its_table_was_filled_goes_on(
    place: Place, tmp_path: Path
) -> None:
    source = place.put(ROWS)
    run = place.build(source, tmp_path / "run")
    (tmp_path / "run" / "shards.json").unlink()
    queries = place.queries()
    again = place.build(source, tmp_path / "run")
    assert again.definition.id == run.definition.id
    assert place.queries() == queries
    assert again.shards.rows == len(ROWS)


def test_bad_keys_are_named_or_rejected(place: Place, tmp_path: Path) -> None:
    rows = [{"id": key, "text": "x"} for key in ("a", None, "b", "a", "")]
    source = place.put(rows)
    with pytest.raises(BadKeysError, match="3 of 5 rows have no key of their own in id") as raised:
        place.build(source, tmp_path / "run")
    assert {bad.reason for bad in raised.value.bad_keys} >= {"the key is null"}
    assert place.jobs() == 0
    results = place.run(source, tmp_path / "other", on_bad_key="reject")
    assert {status: n for status, n in results.tally().items() if n} == {"ok": 2, "rejected": 3}


def test_a_query_is_a_table_too(place: Place, tmp_path: Path) -> None:
    place.put(ROWS)
    sql = f"SELECT id, UPPER(text) AS text FROM `{place.dataset}.source` WHERE text > '' -- all;\n;"  # noqa: S608
    found = place.run(bk.query(sql), tmp_path / "run").to_arrow().to_pylist()
    assert len(found) == len(ROWS) - 1
    assert found[-1]["response"] == "Echo: Say SAME TEXT"


def test_a_table_that_changed_is_another_run(place: Place, tmp_path: Path) -> None:
    source = place.put(ROWS)
    place.build(source, tmp_path / "run")
    place.put(ROWS[:2])
    with pytest.raises(RunChangedError, match="rows"):
        place.build(source, tmp_path / "run")
    with pytest.raises(RunChangedError, match="pushdown"):
        place.build(source, tmp_path / "run", pushdown=False)


def test_what_sql_cannot_do_is_refused_before_anything_is_made(
    place: Place, tmp_path: Path
) -> None:
    source = place.put(ROWS)
    frame = pd.DataFrame({"id": ["a"], "text": ["b"]})
    schema = {"type": "ARRAY", "items": {"type": "STRING"}}
    refused: list[tuple[type[Exception], str, Any, dict[str, Any]]] = [
        (CapabilityError, "tables that are in BigQuery", frame, {}),
        (SetupError, "needs target='bq://", source, {"target": None}),
        (SetupError, "needs target='bq://", source, {"target": "gs://b/p"}),
        (CapabilityError, "gs://b/p", source, {"output": "gs://b/p"}),
        (TableError, "pushdown needs key=", source, {"key": None}),
        (TableError, "no key column 'no'", source, {"key": "no"}),
        (TemplateError, "nope", source, {"spec": bk.generate(MODEL, "{nope}")}),
        (CapabilityError, "schema=", source, {"spec": bk.generate(MODEL, "{text}", schema=schema)}),
        (TableError, "there is no table", f"{place.target}.no", {}),
        (CapabilityError, "embed", source, {"spec": bk.embed("text-embedding-005", "{text}")}),
    ]
    for kind, said, table, options in refused:
        with pytest.raises(kind, match=said):
            place.build(table, tmp_path / "run", **options)
    assert place.queries(f"batchkit-{place.dataset}") == []
    assert not (tmp_path / "run").exists()


def test_a_dataset_in_another_region_is_refused(place: Place, tmp_path: Path) -> None:
    target = f"bq://{place.bigquery.new_dataset('europe-west4')}"
    with pytest.raises(SetupError, match="SQL does not reach across; name a dataset in us-cent"):
        place.build(place.put(ROWS), tmp_path / "run", target=target)


def test_results_come_here_when_they_are_asked_for(place: Place, tmp_path: Path) -> None:
    results = place.run(place.put(ROWS), tmp_path / "run", prefix="g_")
    written = pq.read_table(results.to_parquet(tmp_path / "out.parquet"))
    assert written.column_names[:4] == ["id", "n", "text", "g_response"]
    assert written.column("id").to_pylist() == [row["id"] for row in ROWS]
    assert written.column("n").to_pylist() == [row["n"] for row in ROWS]
    assert len(results.to_pandas()) == len(ROWS)


def test_the_sql_can_be_read_before_it_is_run(place: Place) -> None:
    source = place.put(ROWS)
    shown = bk.pushdown_sql(source, SPEC, key="id", target=place.target, client=place.client)
    assert list(shown) == ["rows", "bad_keys", "blocks", "requests", "result", "balance"]
    assert f"FROM `{place.dataset}.source`" in shown["rows"]
    for statement in list(shown.values())[1:]:
        assert f"`{place.dataset}.batchkit_run_rows`" in statement
    assert place.jobs() == 0
    assert len(list(place.bigquery.client.list_tables(place.dataset))) == 1


def test_what_is_shown_is_what_is_run(place: Place, tmp_path: Path) -> None:
    source = place.put(ROWS)
    shown = bk.pushdown_sql(source, SPEC, key="id", target=place.target, client=place.client)
    run = place.build(source, tmp_path / "run")
    assert (run.folder / "sql" / "rows.sql").read_text() == shown["rows"]
    asked = (run.folder / "requests" / "00000.sql").read_text()
    named = asked.replace(run.definition.id.replace("-", "_"), "run")
    assert named == shown["requests"].replace("50000", str(len(ROWS)))


@pytest.mark.parametrize("nth", [1, 2, 3], ids=["rows", "requests", "result"])
def test_killed_before_the_reply_to_a_job_that_writes_a_table(
    place: Place, tmp_path: Path, nth: int
) -> None:
    source = place.put(ROWS)
    victims: list[int] = []
    made: list[str] = []

    def answer(asked: Asked) -> Said:
        """What BigQuery answers; who asked for the nth job does not live to hear it."""
        reply = passed_on(asked, place.bigquery.server.rest_url)
        if asked.method == "POST" and b'"jobId": "batchkit-' in asked.body:
            made.append(asked.json()["jobReference"]["jobId"])
            if len(made) == nth and victims:
                os.kill(victims.pop(), signal.SIGKILL)
        return reply

    with scripted(answer) as server:
        environment = {
            **place.vertex.emulator.environment,
            **place.bigquery.server.environment,
            "BIGQUERY_EMULATOR_HOST": server.url,
        }
        arguments = (str(tmp_path / "run"), source, place.target, environment)
        for ends_by in (-signal.SIGKILL, 0):
            process = FORKS.Process(target=push, args=arguments)
            process.start()
            if not made:
                victims.append(process.pid or 0)
            process.join(60)
            assert process.exitcode == ends_by
    assert sorted(row["id"] for row in place.rows(f"{place.target}.out")) == [
        row["id"] for row in ROWS
    ]
    assert (len(made), len(set(made))) == (3, 3)
    assert place.jobs() == 1
    assert set(place.vertex.paid().values()) == {1}


def test_rows_that_stay_there_are_not_asked_again_and_that_is_said_before_they_are_asked(
    place: Place, tmp_path: Path
) -> None:
    run = place.build(place.put(ROWS), tmp_path / "run")
    with pytest.raises(CapabilityError, match="has its rows in BigQuery"):
        bk.retry(run, client=place.client)
    with pytest.raises(CapabilityError, match="retries=1"):
        place.run(place.put(ROWS), tmp_path / "other", retries=1)
    assert not (tmp_path / "other").exists()
    assert place.jobs() == 0


def test_the_python_that_its_page_shows_runs(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = blocks(ROOT / "docs" / "pushdown.md", "python")
    place.put([{"review_id": f"r{n}", "text": text} for n, text in enumerate(TEXTS)], "reviews")
    for shown in ("bq://project.shop", "bq://project.work"):
        code = code.replace(shown, place.target)
    monkeypatch.chdir(tmp_path)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr.decode()
    assert len(place.rows(f"{place.target}.judged")) == len(TEXTS)
