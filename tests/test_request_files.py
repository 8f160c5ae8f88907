from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batchkit as bk
from batchkit.key import BAD_KEYS
from batchkit.layout import Layout, outcome_schema
from batchkit.limits import Limits
from batchkit.lines import EncodedBatch, LineEncoder, rows_schema
from batchkit.request_files import RequestFiles, WrittenShard
from batchkit.wire import dialect_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DIALECT = dialect_for("gemini", "generate")
SPEC = bk.generate("gemini-3.8-flash", "{text}")
SCHEMA = pa.schema([("text", pa.string())])
LIMITS = Limits(max_bytes=10**9, max_rows=10**9, max_tokens=10**9, max_inline_bytes=10**9)
# A line of a one-digit key has this many bytes more than its text.
FRAME = len('{"key":"0","request":{"contents":[{"role":"user","parts":[{"text":""}]}]}}\n')


def encoded(texts: Sequence[str | None], first_row: int = 0) -> EncodedBatch:
    made = LineEncoder(SPEC.bind(SCHEMA, DIALECT), DIALECT, (), (), SCHEMA, 10**9)
    batch = pa.record_batch([pa.array(texts, pa.string())], schema=SCHEMA)
    return made.encode(batch, first_row, pa.Table.from_batches([], BAD_KEYS))


def written(
    folder: Path, batches: Sequence[Sequence[str | None]], limits: Limits = LIMITS
) -> list[WrittenShard]:
    row = 0
    folder.mkdir(exist_ok=True)
    with files(folder, limits) as open_files:
        for batch in batches:
            open_files.add(encoded(batch, row))
            row += len(batch)
    return open_files.shards


def files(folder: Path, limits: Limits = LIMITS) -> RequestFiles:
    return RequestFiles(folder, limits, rows_schema(SCHEMA, ()), outcome_schema(SPEC, Layout()))


def test_batches_go_into_one_shard_until_a_limit_is_reached(tmp_path: Path) -> None:
    shards = written(tmp_path, [["a"], ["b", "c"]])
    text = b"".join((line or "").encode() for line in encoded(["a", "b", "c"]).lines.to_pylist())
    assert (tmp_path / "0.jsonl").read_bytes() == text
    digest = hashlib.sha256(text).hexdigest()
    assert shards == [WrittenShard(0, 3, 3, 0, len(text), digest)]
    assert pq.read_table(tmp_path / "0.parquet").column("row").to_pylist() == [0, 1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.jsonl", "0.parquet"]


def test_a_shard_is_cut_by_rows_across_batches(tmp_path: Path) -> None:
    shards = written(tmp_path, [["x"] * 3, ["x"] * 4], replace(LIMITS, max_rows=2))
    assert [(shard.first_row, shard.rows) for shard in shards] == [(0, 2), (2, 2), (4, 2), (6, 1)]


def test_a_shard_is_cut_by_bytes_to_the_last_one(tmp_path: Path) -> None:
    room = 2 * (FRAME + 1)
    exact = written(tmp_path / "a", [["x"] * 4], replace(LIMITS, max_bytes=room))
    short = written(tmp_path / "b", [["x"] * 4], replace(LIMITS, max_bytes=room - 1))
    assert [shard.bytes for shard in exact] == [room, room]
    assert [shard.requests for shard in short] == [1, 1, 1, 1]


def test_a_shard_is_cut_by_estimated_tokens(tmp_path: Path) -> None:
    limits = replace(LIMITS, max_tokens=FRAME + 1, bytes_per_token=2.0)
    assert [shard.requests for shard in written(tmp_path, [["x"] * 4], limits)] == [2, 2]


def test_a_request_larger_than_a_shard_should_be_is_a_shard_of_its_own(tmp_path: Path) -> None:
    limits = replace(LIMITS, max_tokens=FRAME, bytes_per_token=2.0)
    shards = written(tmp_path, [["x", "y" * 5_000, "z"]], limits)
    assert [shard.requests for shard in shards] == [1, 1, 1]


def test_rows_before_a_large_request_are_no_shard_without_requests(tmp_path: Path) -> None:
    limits = replace(LIMITS, max_tokens=FRAME, bytes_per_token=2.0)
    shards = written(tmp_path, [[None, "y" * 5_000, "z"]], limits)
    assert [(shard.rows, shard.requests) for shard in shards] == [(2, 1), (1, 1)]


def test_rejected_rows_stay_in_their_place_and_count_against_no_limit(tmp_path: Path) -> None:
    texts = ["a", None, "b", None, "c"]
    shards = written(tmp_path, [texts[:2], texts[2:]], replace(LIMITS, max_rows=2))
    assert [(shard.rows, shard.requests, shard.rejected) for shard in shards] == [
        (4, 2, 2),
        (1, 1, 0),
    ]
    outcomes = pq.read_table(tmp_path / "0-0.parquet")
    assert outcomes.schema.equals(outcome_schema(SPEC, Layout()))
    assert outcomes.column("row").to_pylist() == [1, 3]
    assert outcomes.column("status").to_pylist() == ["rejected"] * 2
    assert outcomes.column("error_code").to_pylist() == ["REJECTED"] * 2
    assert (
        outcomes.column("error_message").to_pylist()
        == ["$.request.contents[0].parts[0].text: column 'text' is null: give a default, {text??…}"]
        * 2
    )
    assert not (tmp_path / "1-0.parquet").exists()


def test_a_batch_that_is_cut_gives_each_shard_its_own_rejected_rows(tmp_path: Path) -> None:
    written(tmp_path, [[None, "a", "b", None, "c", None]], replace(LIMITS, max_rows=1))
    rows = [
        pq.read_table(tmp_path / f"{number}-0.parquet").column("row").to_pylist()
        for number in (0, 1, 2)
    ]
    assert rows == [[0], [3], [5]]


def test_rows_that_are_all_rejected_are_one_shard_without_requests(tmp_path: Path) -> None:
    shards = written(tmp_path, [[None, None], [None]])
    assert [(shard.rows, shard.requests, shard.bytes) for shard in shards] == [(3, 0, 0)]
    assert (tmp_path / "0.jsonl").read_bytes() == b""
    assert pq.read_table(tmp_path / "0-0.parquet").num_rows == 3


def test_no_rows_make_no_shard(tmp_path: Path) -> None:
    assert written(tmp_path, [[], []]) == []
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_shards_before_it_and_nothing_of_its_own(tmp_path: Path) -> None:
    def fails() -> None:
        with files(tmp_path, replace(LIMITS, max_rows=2)) as open_files:
            open_files.add(encoded(["a", "b", "c", None]))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.jsonl", "0.parquet"]


def test_the_same_rows_in_other_batches_give_the_same_bytes(tmp_path: Path) -> None:
    texts = [None if i % 7 == 0 else "x" * i for i in range(40)]
    limits = replace(LIMITS, max_rows=6, max_bytes=900)
    whole = written(tmp_path / "a", [texts], limits)
    pieces = written(
        tmp_path / "b", [texts[start : start + 3] for start in range(0, 40, 3)], limits
    )
    assert whole == pieces
