from __future__ import annotations

import csv
import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.errors import CapabilityError, SetupError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Service

SPEC = bk.generate("gemini-3.8-flash", "Say {text??nothing}")


def hostile_frame() -> pd.DataFrame:
    """Everything that is known to get lost or changed on the way through JSON."""
    texts = [
        'quote " and \\ backslash',
        None,
        "emoji 👩‍👩‍👧 and ZWJ",
        "line\u2028separator\u2029paragraph\x85next",
        "NUL \x00 and \x1f control",
        "new\nline\r\ntab\t",
        '"',
        "\\",
        "",
        "日本語 العربية עברית",
    ]
    count = len(texts)
    when = pd.date_range("2026-03-29T00:30", periods=count, freq="h", tz="Europe/Berlin")
    return pd.DataFrame(
        {
            "text": texts,
            "big": np.array([2**63 - 1, -(2**63), *range(count - 2)], np.int64),
            "unsigned": np.array([2**64 - 1, *range(count - 1)], np.uint64),
            "maybe": pd.array([1, None, *range(count - 2)], dtype="Int64"),
            "share": [0.1, float("nan"), float("inf"), -0.0, 1e-300, 5e-324, 1.5, 2.5, 3.5, 4.5],
            "price": [Decimal(f"{i}.10") for i in range(count)],
            "at": when,
            "naive": when.tz_localize(None),
            "day": [dt.date(2026, 1, i + 1) for i in range(count)],
            "flag": [i % 2 == 0 for i in range(count)],
            "kind": pd.Categorical(list("abcabcabca"), categories=list("cba"), ordered=True),
            "tags": [["x", None], [], *[["y"]] * (count - 2)],
            "where": [{"city": "Köln", "lat": 50.9}] * count,
            "raw": [b"\x00\xff"] * count,
        },
        index=pd.Index([f"k{i}" for i in range(count)], name="id"),
    )


def test_a_hostile_frame_comes_back_exactly_with_its_index_and_dtypes(
    tmp_path: Path, service: Service
) -> None:
    frame = hostile_frame()
    results = bk.run(frame, SPEC, key="id", into=tmp_path / "run", client=service.client)
    assert results.tally()["ok"] == len(frame)
    back = results.to_pandas()[list(frame.columns)]
    # Arrow, not we, turns lists into arrays; everything else is compared as it is.
    back["tags"] = [list(tags) for tags in back["tags"]]
    pd.testing.assert_frame_equal(back, frame)


def test_a_hostile_frame_can_be_written_in_every_way(tmp_path: Path, service: Service) -> None:
    frame = hostile_frame()
    results = bk.run(frame, SPEC, key="id", into=tmp_path / "run", client=service.client)
    whole = results.to_arrow()
    written = pq.read_table(results.to_parquet(tmp_path / "out.parquet"))
    pd.testing.assert_frame_equal(written.to_pandas(), whole.to_pandas())
    assert results.to_polars().height == len(frame)
    lines = results.to_jsonl(tmp_path / "out.jsonl").read_bytes().split(b"\n")[:-1]
    assert [jsonl.loads(line)["text"] for line in lines] == whole.column("text").to_pylist()
    with results.to_csv(tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(line.replace("\0", "") for line in file))
    assert [int(row["big"]) for row in rows] == frame["big"].tolist()
    assert [row["raw"] for row in rows] == ["AP8="] * len(frame)
    assert duckdb.sql("select sum(length(text)) from results").fetchall()[0][0] > 0


def test_the_requests_hold_the_texts_exactly(tmp_path: Path, service: Service) -> None:
    frame = hostile_frame()
    run = bk.build(frame, SPEC, key="id", into=tmp_path / "run")
    lines = run.requests_path("00000").read_bytes().split(b"\n")[:-1]
    prompts = [jsonl.loads(line)["request"]["contents"][0]["parts"][0]["text"] for line in lines]
    expected = ["Say " + text for text in frame["text"].fillna("nothing")]
    assert prompts == expected
    assert service.client.batches  # the service takes them, too
    assert bk.check(run.requests_path("00000")).ok


def done(tmp_path: Path, service: Service, table: Any, **options: Any) -> bk.Results:
    return bk.run(table, SPEC, into=tmp_path / "run", client=service.client, **options)


@pytest.mark.parametrize(
    "table",
    [
        pl.DataFrame({"text": ["a", "b"], "n": [1, 2]}),
        pa.table({"text": ["a", "b"], "n": [1, 2]}),
        duckdb.sql("select * from (values ('a', 1), ('b', 2)) t(text, n)"),
        [{"text": "a", "n": 1}, {"text": "b", "n": 2}],
    ],
    ids=["polars", "arrow", "duckdb", "rows"],
)
def test_any_table_goes_in_and_any_comes_out(tmp_path: Path, service: Service, table: Any) -> None:
    results = done(tmp_path, service, table)
    expected = [{"text": "a", "n": 1}, {"text": "b", "n": 2}]
    assert results.to_arrow().select(["text", "n"]).to_pylist() == expected
    assert results.to_polars().select("text", "n").to_dicts() == expected
    assert pl.from_arrow(pa.table(results)).height == 2
    assert duckdb.sql("select count(*) from results").fetchall() == [(2,)]


def test_polars_categories_that_differ_by_chunk_come_back_as_they_were(
    tmp_path: Path, service: Service
) -> None:
    one = pl.DataFrame({"text": ["a", "b"]}, schema={"text": pl.Categorical})
    two = pl.DataFrame({"text": ["z", "a"]}, schema={"text": pl.Categorical})
    table = pl.concat([one, two], rechunk=False)
    assert done(tmp_path, service, table).to_polars()["text"].to_list() == ["a", "b", "z", "a"]


def test_token_counts_are_whole_numbers_even_where_rows_have_none(
    tmp_path: Path, service: Service
) -> None:
    spec = bk.generate("gemini-3.8-flash", "{text}")
    table = pd.DataFrame({"text": ["a", None]})
    results = bk.run(table, spec, into=tmp_path / "run", client=service.client)
    assert results.to_pandas()["prompt_tokens"].dtype == pd.Int64Dtype()


def test_parquet_is_one_file_or_a_new_folder_by_the_path(tmp_path: Path, service: Service) -> None:
    results = done(tmp_path, service, [{"text": "a"}, {"text": "b"}])
    file = results.to_parquet(tmp_path / "deep" / "out.parquet")
    folder = results.to_parquet(tmp_path / "out")
    assert pq.read_table(file).equals(pq.read_table(folder))
    assert [path.name for path in folder.iterdir()] == ["part-00000.parquet"]
    with pytest.raises(SetupError, match="holds files already"):
        results.to_parquet(folder)
    own = results.to_parquet()
    assert own == results.run.folder / "results"
    assert results.to_parquet() == own  # the run's own folder is written anew


def test_jsonl_and_csv_hold_every_row(tmp_path: Path, service: Service) -> None:
    frame = pd.DataFrame(
        {"text": ["a,b\n", 'q"'], "tags": [["x"], []], "price": [Decimal("1.5")] * 2}
    )
    results = done(tmp_path, service, frame)
    lines = results.to_jsonl(tmp_path / "out.jsonl").read_bytes().split(b"\n")[:-1]
    first = jsonl.loads(lines[0])
    assert (first["text"], first["tags"], first["price"]) == ("a,b\n", ["x"], "1.5")
    with results.to_csv(tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["text"], row["tags"], row["price"]) for row in rows] == [
        ("a,b\n", '["x"]', "1.5"),
        ('q"', "[]", "1.5"),
    ]


def test_vectors_come_as_lists_and_as_one_array(tmp_path: Path, service: Service) -> None:
    spec = bk.embed("gemini-embedding-001", "{text}", dimensions=16)
    table = pd.DataFrame({"text": ["one", None, "three"]})
    results = bk.run(table, spec, into=tmp_path / "run", client=service.client)
    vectors = results.embeddings()
    assert vectors.shape == (3, 16)
    assert vectors.dtype == np.float32
    assert np.isnan(vectors[1]).all()
    field = results.schema.field("embedding")
    assert field.type == pa.list_(pa.float32())
    assert field.metadata == {b"dimension": b"16"}
    listed = results.to_arrow().column("embedding").to_pylist()
    assert listed[1] is None
    assert np.array_equal(np.array(listed[0], np.float32), vectors[0])
    written = pq.read_table(results.to_parquet(tmp_path / "v.parquet"))
    assert written.column("embedding").to_pylist() == listed
    text = jsonl.loads(results.to_jsonl(tmp_path / "v.jsonl").read_bytes().split(b"\n")[0])
    assert np.array_equal(np.array(text["embedding"], np.float32), vectors[0])


def test_vectors_that_are_all_missing_are_an_array_without_width(
    tmp_path: Path, service: Service
) -> None:
    spec = bk.embed("gemini-embedding-001", "{text}")
    table = pa.table({"text": pa.nulls(2, pa.string())})
    results = bk.run(table, spec, into=tmp_path / "run", client=service.client)
    assert results.embeddings().shape == (2, 0)


def test_half_an_emoji_in_an_answer_does_not_cost_the_row(tmp_path: Path, service: Service) -> None:
    run = bk.build([{"text": "a"}], SPEC, into=tmp_path / "run", target="file")
    bk.submit(run, client=service.client)
    bk.wait(run, client=service.client)
    path = run.responses_path(run.attempts()[0])
    path.write_bytes(path.read_bytes().replace(b"Echo: Say a", b"Echo \\ud83d"))
    assert bk.collect(run).to_arrow().column("response").to_pylist() == ["Echo \ufffd"]


def test_a_run_that_generates_has_no_vectors(tmp_path: Path, service: Service) -> None:
    with pytest.raises(CapabilityError, match="it has no embeddings"):
        done(tmp_path, service, [{"text": "a"}]).embeddings()


def test_provenance_and_the_raw_answer_can_be_kept(tmp_path: Path, service: Service) -> None:
    spec = bk.generate("gemini-3.8-flash", "{text}")
    table = [{"text": "a"}, {"text": None}]
    results = bk.run(
        table, spec, into=tmp_path / "run", client=service.client, provenance=True, raw=True
    )
    sent, rejected = results.to_arrow().to_pylist()
    (job,) = service.client.batches.list_all()
    assert (sent["job"], sent["shard"], sent["attempt"]) == (job.name, "00000", 1)
    assert sent["answered_by"] == "job"
    assert len(sent["request_hash"]) == 64
    assert jsonl.loads(sent["raw"])["candidates"][0]["finishReason"] == "STOP"
    assert [rejected[name] for name in ("job", "shard", "attempt", "raw")] == [None] * 4


def test_a_prefix_goes_before_our_names_only(tmp_path: Path, service: Service) -> None:
    results = done(tmp_path, service, [{"text": "a", "status": "new"}], prefix="g_")
    row = results.to_arrow().to_pylist()[0]
    assert (row["status"], row["g_status"], row["g_response"]) == ("new", "ok", "Echo: Say a")


def test_an_answer_by_schema_stays_one_struct_when_asked_to(
    tmp_path: Path, service: Service
) -> None:
    properties = {"score": {"type": "integer"}}
    schema = {"type": "object", "properties": properties, "required": ["score"]}
    spec = bk.generate("gemini-3.8-flash", "{text}", schema=schema)
    results = bk.run(
        [{"text": "a"}], spec, into=tmp_path / "run", client=service.client, flatten=False
    )
    answer = results.to_arrow().column("answer")
    assert answer.type == pa.struct([("score", pa.int64())])
    assert isinstance(answer.to_pylist()[0]["score"], int)


def test_it_prints_its_tally_and_shows_its_first_rows(tmp_path: Path, service: Service) -> None:
    results = done(tmp_path, service, [{"text": "<b>"}])
    assert repr(results).endswith("run': 1 rows, 1 ok)")
    html = results._repr_html_()
    assert "<td>ok</td>" in html
    assert "&lt;b&gt;" in html
    assert "<b>" not in html


def test_rows_keep_their_order_over_many_shards_and_windows(
    tmp_path: Path, service: Service
) -> None:
    rows = 40_000
    table = pa.table({"id": pa.array(range(rows)), "text": [f"row {i}" for i in range(rows)]})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=9_999)
    results = bk.run(
        tmp_path / "rows.parquet",
        SPEC,
        key="id",
        into=tmp_path / "run",
        client=service.client,
        limits={"max_rows": 17_001},
    )
    assert len(results.run.shards.shards) == 3
    back = results.to_arrow()
    assert back.column("id").equals(table.column("id"))
    assert back.column("response").to_pylist() == [f"Echo: Say row {i}" for i in range(rows)]
