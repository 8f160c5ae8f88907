from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import batchkit as bk
from batchkit import jsonl
from batchkit.joined import JoinedRows
from tests.google import answered_lines, google

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Service

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")


def file(path: Path, rows: int, group: int = 7) -> Path:
    table = pa.table({"id": range(rows), "text": [f"t{i}" for i in range(rows)], "n": [1.5] * rows})
    pq.write_table(table, path, row_group_size=group)
    return path


def test_rows_and_answers_stand_side_by_side_whatever_cuts_them(
    tmp_path: Path, service: Service
) -> None:
    path = file(tmp_path / "rows.parquet", 100)
    results = bk.run(
        path,
        SPEC,
        key="id",
        into=tmp_path / "run",
        client=service.client,
        limits={"max_rows": 9},
        target="file",
    )
    rows = JoinedRows(results.run, "table")
    batches = list(rows.batches())
    assert all(batch.num_rows <= 9 for batch in batches)
    table = pa.Table.from_batches(batches, rows.schema)
    assert table.column("id").to_pylist() == list(range(100))
    assert table.column("response").to_pylist() == [f"Echo: Say t{i}" for i in range(100)]


def test_columns_are_the_source_s_and_then_ours_with_the_source_s_metadata(
    tmp_path: Path,
) -> None:
    frame = pd.DataFrame({"text": ["a"]}, index=pd.Index([7], name="id"))
    run = bk.build(frame, SPEC, key="id", into=tmp_path / "run")
    rows = JoinedRows(run, "table")
    assert rows.schema.names[:4] == ["text", "id", "response", "status"]
    assert b"pandas" in (rows.schema.metadata or {})
    assert set(rows.integers) >= {"prompt_tokens", "output_tokens"}


def test_rows_that_were_not_sent_are_pending_and_have_no_provenance(tmp_path: Path) -> None:
    run = bk.build([{"text": "a"}, {"text": "b"}], SPEC, into=tmp_path / "run", provenance=True)
    (batch,) = JoinedRows(run, "table").batches()
    assert batch.column("status").to_pylist() == ["pending", "pending"]
    for name in ("job", "shard", "attempt", "answered_by"):
        assert batch.column(name).null_count == 2


def test_provenance_names_the_job_of_each_row(tmp_path: Path, service: Service) -> None:
    path = file(tmp_path / "rows.parquet", 20)
    results = bk.run(
        path,
        SPEC,
        key="id",
        into=tmp_path / "run",
        client=service.client,
        limits={"max_rows": 6},
        target="file",
        provenance=True,
    )
    table = results.to_arrow()
    jobs = {attempt.shard: attempt.job for attempt in results.run.attempts()}
    assert table.column("job").to_pylist() == [jobs[s] for s in table.column("shard").to_pylist()]
    assert table.column("shard").to_pylist() == [f"{i // 6:05d}" for i in range(20)]
    hashes = table.column("request_hash").to_pylist()
    assert len(set(hashes)) == 20


def test_what_was_carried_is_there_when_the_source_is_gone(
    tmp_path: Path, service: Service
) -> None:
    path = tmp_path / "rows.parquet"
    table = pa.table(
        {
            "id": [1, 2, 3],
            "text": ["a", "b", "c"],
            "a.b": pa.array([[1], None, []]),
            "where": pa.array([{"x": 1}, None, {"x": None}]),
            "kind": pa.array(["k", None, "l"]).dictionary_encode(),
            "left": [1, 2, 3],
        }
    )
    pq.write_table(table, path)
    carry = ["a.b", "where", "kind"]
    results = bk.run(
        path, SPEC, key="id", carry=carry, into=tmp_path / "run", client=service.client
    )
    path.unlink()
    carried = bk.collect(results.run, source="carried").to_arrow()
    assert carried.column_names[:5] == ["id", *carry, "response"]
    for name in ("id", *carry):
        assert carried.schema.field(name).type == table.schema.field(name).type
        assert carried.column(name).to_pylist() == table.column(name).to_pylist()


def test_a_table_in_memory_is_carried_whole(tmp_path: Path, service: Service) -> None:
    frame = pd.DataFrame({"text": ["a"], "other": [1]})
    results = bk.run(frame, SPEC, into=tmp_path / "run", client=service.client)
    again = bk.collect(results.run, source="carried").to_pandas()
    pd.testing.assert_frame_equal(again, results.to_pandas())


def test_the_first_ok_of_several_attempts_is_the_answer(tmp_path: Path, service: Service) -> None:
    run = bk.build([{"id": "a", "text": "x"}], SPEC, key="id", into=tmp_path / "run")
    bk.submit(run, client=service.client)
    once = bk.collect(run, client=service.client).to_arrow()
    second = run.ledger.attempt("00000", 2)
    for path in (run.rows_path("00000"), run.requests_path("00000")):
        shutil.copy(path, path.with_stem("00000-2"))
    second = run.ledger.write(second, "built", first_row=0, requests=1, bytes=0, sha256="")
    for kind in ("intent", "created", "ended", "fetched"):
        second = run.ledger.write(
            second, kind, job="batches/second", account="x", state="succeeded"
        )
    run.responses_path(second).write_bytes(answered_lines(["a"]))
    assert bk.collect(run).to_arrow().equals(once)


def test_the_rows_of_a_shard_are_read_once_for_all_its_windows(
    tmp_path: Path, service: Service
) -> None:
    path = file(tmp_path / "rows.parquet", 20_000, group=5_000)
    results = bk.run(
        path,
        bk.generate("gemini-3.8-flash", "x"),
        key="id",
        into=tmp_path / "run",
        client=service.client,
        provenance=True,
    )
    (shard,) = results.run.shards.shards
    batches = JoinedRows(results.run, "table").batches()
    first = next(batches)
    results.run.rows_path(shard.name).unlink()
    assert first.num_rows + sum(batch.num_rows for batch in batches) == 20_000


def test_long_vectors_come_in_windows_of_a_few_rows(tmp_path: Path) -> None:
    spec = bk.embed("gemini-embedding-001", "x", dimensions=3_072)
    rows = 6_200
    vector = jsonl.dumps({"embedding": {"values": [0.5] * 3_072}})
    with google() as service:
        table = pa.table({"id": range(rows)})
        run = bk.build(table, spec, key="id", into=tmp_path / "run", limits={"max_tokens": 10**9})
        bk.submit(run, client=service.client())
        lines = (b'{"key":"%d","response":%b}\n' % (i, vector) for i in range(rows))
        service.end("batches/j0", output=b"".join(lines))
        results = bk.collect(run, client=service.client())
    sizes = [batch.nbytes for batch in JoinedRows(run, "table").batches()]
    assert sum(sizes) > 70_000_000
    assert max(sizes) < 70_000_000
    assert (results.embeddings() == 0.5).all()
