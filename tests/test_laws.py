"""Laws that hold for whatever is in a table, found out by hypothesis."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import batchkit as bk
from batchkit import jsonl
from batchkit.emulator import serve
from batchkit.key import BAD_KEYS, bad_keys, wire_keys
from batchkit.layout import Layout, outcome_schema
from batchkit.limits import Limits
from batchkit.lines import EncodedBatch, LineEncoder, rows_schema
from batchkit.request_files import RequestFiles
from batchkit.wire import DIALECTS, Dialect, decode_line
from tests.conftest import quick_client

if TYPE_CHECKING:
    from collections.abc import Sequence

SPECS = {
    "generate": bk.generate("gemini-3.8-flash", 'Say "{text}"\n', system="\\ \u2028"),
    "embed": bk.embed("gemini-embedding-001", "{text}", title="{title}"),
}
SENT = [dialect for dialect in DIALECTS if dialect.service == "gemini"]
SCHEMA = pa.schema([("key", pa.string()), ("text", pa.string()), ("title", pa.string())])
NO_BAD_KEYS = pa.Table.from_batches([], BAD_KEYS)
ROWS = st.lists(
    st.tuples(st.text(min_size=1), st.none() | st.text(min_size=1), st.none() | st.text()),
    max_size=12,
)


def encoded(
    dialect: Dialect, rows: Sequence[tuple[str | None, ...]], first_row: int = 0
) -> EncodedBatch:
    bound = SPECS[dialect.kind].bind(SCHEMA, dialect)
    made = LineEncoder(bound, dialect, ("key",), (), SCHEMA, 10**9)
    columns = [pa.array(list(values), pa.string()) for values in zip(*rows, strict=True)]
    empty = pa.RecordBatch.from_pylist([], schema=SCHEMA)
    batch = pa.RecordBatch.from_arrays(columns, schema=SCHEMA) if rows else empty
    return made.encode(batch, first_row, NO_BAD_KEYS)


def by_name(dialect: Dialect) -> str:
    return dialect.name


@pytest.mark.parametrize("dialect", SENT, ids=by_name)
@given(rows=ROWS)
def test_any_text_is_one_line_and_comes_back_from_it(
    dialect: Dialect, rows: list[tuple[str | None, ...]]
) -> None:
    lines = encoded(dialect, rows).lines.to_pylist()
    assert len(lines) == len(rows)
    for line, (key, text, title) in zip(lines, rows, strict=True):
        assert (line is None) == (text is None)
        if line is not None:
            assert line.endswith("\n")
            assert "\n" not in line[:-1]
            read = json.loads(line)
            assert read["key"] == key
            assert said(read["request"]) == (text, title if dialect.kind == "embed" else None)


def said(request: dict[str, Any]) -> tuple[str, str | None]:
    """Text and title that a request of one of our specs holds."""
    if "contents" in request:
        prompt: str = request["contents"][0]["parts"][0]["text"]
        return prompt.removeprefix('Say "').removesuffix('"\n'), request.get("title")
    return request["content"]["parts"][0]["text"], request.get("title")


@pytest.mark.parametrize("dialect", SENT, ids=by_name)
@given(rows=ROWS)
def test_lines_of_a_column_are_those_of_one_after_the_other(
    dialect: Dialect, rows: list[tuple[str | None, ...]]
) -> None:
    together = encoded(dialect, rows).lines.to_pylist()
    alone = [encoded(dialect, [row]).lines.to_pylist()[0] for row in rows]
    assert together == alone
    for line, (key, *_) in zip(together, rows, strict=True):
        if line is not None:
            body = jsonl.dumps(json.loads(line)["request"])
            inside = jsonl.dumps(key or "")[1:-1]
            assert b"".join(dialect.framed(inside, [body])).decode() == line


@given(key=st.text(min_size=1), text=st.text(min_size=1))
def test_what_the_service_answers_comes_back_as_it_said_it(key: str, text: str) -> None:
    candidate = {"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}
    response = decode_line(jsonl.dumps({"key": key, "response": {"candidates": [candidate]}}))
    assert (response.key, response.status, response.text) == (key, "ok", text)


TEXTS = st.lists(st.none() | st.text(max_size=30), max_size=25)
LIMITS = st.builds(
    Limits,
    max_bytes=st.integers(1, 1_000),
    max_rows=st.integers(1, 8),
    max_tokens=st.integers(1, 500),
    max_inline_bytes=st.just(1),
    bytes_per_token=st.floats(1.0, 4.0),
)


@given(texts=TEXTS, limits=LIMITS, cuts=st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_shards_are_the_lines_in_order_and_as_full_as_the_limits_allow(
    texts: list[str | None], limits: Limits, cuts: list[int]
) -> None:
    dialect = SENT[0]
    rows = [(f"k{i}", text, None) for i, text in enumerate(texts)]
    lines: list[bytes] = [
        line.encode() for line in encoded(dialect, rows).lines.to_pylist() if line is not None
    ]
    schemas = rows_schema(SCHEMA, ()), outcome_schema(SPECS["generate"], Layout())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with RequestFiles(folder, limits, *schemas) as files:
            for start, batch in batches(rows, cuts):
                files.add(encoded(dialect, batch, start))
        shards = files.shards
        contents = [(folder / f"{i}.jsonl").read_bytes() for i in range(len(shards))]
        tables = [pq.read_table(folder / f"{i}.parquet") for i in range(len(shards))]
    assert b"".join(contents) == b"".join(lines)
    numbers = [row for table in tables for row in table.column("row").to_pylist()]
    assert numbers == list(range(len(texts)))
    cut = [[line + b"\n" for line in content.split(b"\n")[:-1]] for content in contents]
    for shard, own in zip(shards, cut, strict=True):
        assert (shard.requests, shard.rejected) == (len(own), shard.rows - len(own))
        assert shard.bytes == sum(map(len, own))
        assert shard.requests <= limits.max_rows
        assert shard.bytes <= limits.shard_bytes or shard.requests == 1
    for own, following in itertools.pairwise(cut):
        full = len(own) == limits.max_rows
        assert full or sum(map(len, own)) + len(following[0]) > limits.shard_bytes


def batches(
    rows: list[tuple[str | None, ...]], cuts: list[int]
) -> list[tuple[int, list[tuple[str | None, ...]]]]:
    """The rows in batches of these sizes, again and again, each with its first row."""
    found: list[tuple[int, list[tuple[str | None, ...]]]] = []
    start = 0
    for size in itertools.cycle(cuts):
        if start >= len(rows):
            return found
        found.append((start, rows[start : start + size]))
        start += size
    return found


MOMENTS = st.datetimes(dt.datetime(1800, 1, 1), dt.datetime(2200, 1, 1))  # noqa: DTZ001  # made UTC below
KEY_VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): st.text(),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.bool_(): st.booleans(),
    pa.date32(): st.dates(),
    pa.time64("us"): st.times(),
    pa.timestamp("us"): MOMENTS,
    pa.timestamp("us", "Europe/Berlin"): MOMENTS.map(lambda moment: moment.replace(tzinfo=dt.UTC)),
    pa.timestamp("us", "+05:30"): MOMENTS.map(lambda moment: moment.replace(tzinfo=dt.UTC)),
    pa.decimal128(20, 6): st.decimals(-(10**9), 10**9, places=6).map(Decimal),
    pa.dictionary(pa.int32(), pa.string()): st.text(),
}


@pytest.mark.parametrize("kind", KEY_VALUES, ids=str)
@given(data=st.data())
def test_rows_that_differ_have_keys_that_differ(kind: pa.DataType, data: st.DataObject) -> None:
    values = data.draw(st.lists(KEY_VALUES[kind], max_size=20))
    keys = wire_keys([_column(values, kind)]).to_pylist()
    assert len(set(keys)) == len(set(values)) == len(set(zip(values, keys, strict=True)))


@given(data=st.data(), kinds=st.lists(st.sampled_from([*KEY_VALUES]), min_size=2, max_size=3))
def test_several_columns_make_keys_that_differ_where_any_value_does(
    data: st.DataObject, kinds: list[pa.DataType]
) -> None:
    rows = data.draw(st.lists(st.tuples(*(KEY_VALUES[kind] for kind in kinds)), max_size=12))
    columns = [_column([row[index] for row in rows], kind) for index, kind in enumerate(kinds)]
    keys = wire_keys(columns).to_pylist()
    assert len(set(keys)) == len(set(rows))
    assert all(len(json.loads(key)) == len(kinds) for key in keys)


@given(st.lists(st.text(alphabet='",[]\\ab', max_size=4), min_size=2, max_size=2, unique=True))
def test_a_text_cannot_be_made_to_look_like_two(pair: list[str]) -> None:
    one, other = pair
    left = wire_keys([pa.array([one]), pa.array([other])]).to_pylist()
    right = wire_keys([pa.array([other]), pa.array([one])]).to_pylist()
    assert left != right
    assert json.loads(left[0]) == [one, other]


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if isinstance(kind, pa.DictionaryType):
        return pa.array(values, kind.value_type).dictionary_encode()
    return pa.array(values, kind)


KEYS = st.none() | st.sampled_from(["", "a", "b", "c", "nul\0"]) | st.text(max_size=2)


@given(keys=st.lists(KEYS, max_size=30), cuts=st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_the_keys_that_are_left_name_each_row_once(keys: list[str | None], cuts: list[int]) -> None:
    rows: list[tuple[str | None, ...]] = [(key,) for key in keys]
    parts = [
        (start, pa.array([key for (key,) in part], pa.large_string()))
        for start, part in batches(rows, cuts)
    ]
    with tempfile.TemporaryDirectory() as folder:
        found = pa.Table.from_batches(bad_keys(lambda: iter(parts), Path(folder)), BAD_KEYS)
    bad: list[int] = found.column("row").to_pylist()
    assert bad == sorted(set(bad))
    good = [key for row, key in enumerate(keys) if row not in set(bad)]
    assert len(set(good)) == len(good)
    assert set(good) == {key for key in keys if key and "\0" not in key}
    assert all(key and "\0" not in key for key in good)


TABLES = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(0, 6) | st.none(),
            "text": st.none() | st.text('ab"\\é🙂', min_size=1, max_size=8),
            "big": st.integers(-(2**63), 2**63 - 1),
        }
    ),
    max_size=12,
)


@settings(max_examples=12)
@given(rows=TABLES, max_rows=st.integers(1, 5))
def test_rows_come_out_as_they_went_in_and_in_order(
    rows: list[dict[str, Any]], max_rows: int
) -> None:
    schema = pa.schema([("id", pa.int64()), ("text", pa.string()), ("big", pa.int64())])
    table = pa.Table.from_pylist(rows, schema=schema)
    with serve() as emulator, tempfile.TemporaryDirectory() as folder:
        results = bk.run(
            table,
            bk.generate("gemini-3.8-flash", "{text}"),
            key="id",
            on_bad_key="reject",
            into=Path(folder) / "run",
            limits={"max_rows": max_rows},
            client=quick_client(emulator),
            poll_seconds=0.01,
            progress=lambda _: None,
        )
        joined = results.to_arrow()
        paid = emulator.stats()["requests"]
        tally = results.tally()
    assert joined.select(schema.names).equals(table)
    firsts = {row["id"]: number for number, row in reversed(list(enumerate(rows)))}
    for number, (row, answer) in enumerate(zip(rows, joined.to_pylist(), strict=True)):
        sent = row["id"] is not None and firsts[row["id"]] == number and row["text"] is not None
        assert answer["status"] == ("ok" if sent else "rejected")
        assert answer["response"] == (f"Echo: {row['text']}" if sent else None)
    assert sum(paid.values()) == len(paid) == tally["ok"]
    assert sum(tally.values()) == len(rows)


def test_a_build_gives_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    code = "import sys; from tests.test_laws import some_build; print(some_build(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(tmp_path / "there")]
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    there = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)  # noqa: S603
    assert there.stdout.strip() == some_build(str(tmp_path / "here"))


def some_build(folder: str) -> str:
    """The hashes of the request files of a build that has a bit of everything."""
    rows = [{"id": f"{i}", "tags": ["b", "a"], "kind": f"{i % 3}", "n": i / 7} for i in range(50)]
    schema = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "number"}}}
    spec = bk.generate("gemini-3.8-flash", "{tags} {kind} {n}", schema=schema, config={"topK": 1})
    run = bk.build(rows, spec, key=["id", "kind"], into=folder, limits={"max_rows": 9})
    return " ".join(shard.sha256 for shard in run.shards.shards)
