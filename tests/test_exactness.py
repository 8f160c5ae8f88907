"""What goes in comes out exactly, or is refused with one clear error before anything is sent."""

from __future__ import annotations

import datetime as dt
import json
import uuid
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
from batchkit.errors import TableError, TemplateError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Service

HOSTILE = "emoji 👩‍👩‍👧 \u2028\u2029\x85 NUL \0 \x1f quote \" ' backslash \\ new\r\nline é e\u0301"
NAN = float("nan")
BERLIN = "Europe/Berlin"
FLAGS = [True, None, False]
MOMENTS = ["1901-01-01T00:00:00", "2026-03-29T00:30:00", None]


def arrow_series(values: list[Any], kind: pa.DataType) -> pd.Series[Any]:
    return pd.Series(values, dtype=pd.ArrowDtype(kind))


def objects(*values: Any) -> pd.Series[Any]:
    column = np.empty(len(values), object)
    column[:] = values
    return pd.Series(column, dtype=object)


# Three rows of each; what a template makes of the first of them, None where it has no text.
COLUMNS: dict[str, tuple[Any, str | None]] = {
    "text": ([HOSTILE, "", None], HOSTILE),
    "text object": (objects(HOSTILE, "\\", None), HOSTILE),
    "text nan": (objects(HOSTILE, '"', NAN), HOSTILE),
    "text na": (objects(HOSTILE, "x", pd.NA), HOSTILE),
    "string": (pd.array([HOSTILE, "x", None], dtype="string"), HOSTILE),
    "string python": (pd.array([HOSTILE, "x", None], dtype="string[python]"), HOSTILE),
    "string pyarrow": (pd.array([HOSTILE, "x", None], dtype="string[pyarrow]"), HOSTILE),
    "string arrow": (arrow_series([HOSTILE, "x", None], pa.string()), HOSTILE),
    "int64": (np.array([2**63 - 1, -(2**63), 0]), "9223372036854775807"),
    "uint64": (np.array([2**64 - 1, 0, 1], np.uint64), "18446744073709551615"),
    "int8": (np.array([-128, 127, 0], np.int8), "-128"),
    "nullable": (pd.array([2**63 - 1, None, 1], dtype="Int64"), "9223372036854775807"),
    "nullable float": (pd.array([0.1, None, 1.5], dtype="Float64"), "0.1"),
    "nullable flag": (pd.array([True, None, False], dtype="boolean"), "true"),
    "integer objects": (objects(2**63 - 1, None, 3), "9223372036854775807"),
    "float64": ([0.1, NAN, -0.0], "0.1"),
    "float32": (np.array([0.1, np.inf, NAN], np.float32), "0.1"),
    "float16": (np.array([0.5, -np.inf, NAN], np.float16), "0.5"),
    "flag": ([True, False, True], "true"),
    "flag objects": (objects(*FLAGS), "true"),
    "decimal": (objects(Decimal("12.50"), Decimal("1E-9"), None), "12.500000000"),
    "decimal arrow": (
        arrow_series([Decimal("1.50"), None, Decimal(0)], pa.decimal128(20, 2)),
        "1.50",
    ),
    "naive": (pd.to_datetime(MOMENTS), "1901-01-01T00:00:00"),
    "zoned": (
        pd.Series(pd.to_datetime(MOMENTS, utc=True).tz_convert(BERLIN)),
        "1901-01-01T01:00:00+01:00",
    ),
    "nanoseconds": (
        pd.Series([1, -1, pd.NaT], dtype="datetime64[ns]"),
        "1970-01-01T00:00:00.000000001",
    ),
    "seconds": (pd.Series([1, -1, pd.NaT], dtype="datetime64[s]"), "1970-01-01T00:00:01"),
    "duration": (pd.to_timedelta([1, 2, None], unit="s"), None),
    "period": (pd.period_range("2026-01", periods=3, freq="M"), "672"),
    "interval": (pd.interval_range(0, 3), '{"left":0,"right":1}'),
    "category": (pd.Categorical(["b", None, "a"], ["c", "b", "a"], ordered=True), "b"),
    "category of numbers": (pd.Categorical([2, 1, 2]), "2"),
    "day": (objects(dt.date(1, 1, 1), None, dt.date(9999, 12, 31)), "0001-01-01"),
    "time": (objects(dt.time(1, 2, 3, 4), None, dt.time(0)), "01:02:03.000004"),
    "moment objects": (
        objects(pd.Timestamp("2026-01-01", tz=BERLIN), None, pd.Timestamp(0, tz=BERLIN)),
        "2026-01-01T00:00:00+01:00",
    ),
    "timedelta objects": (objects(dt.timedelta(1), None, dt.timedelta(0)), None),
    "lists": (objects([HOSTILE, None], [], None), json.dumps([HOSTILE, None])),
    "lists of integers": (objects([2**63 - 1, None], [1], None), "[9223372036854775807,null]"),
    "lists of lists": (objects([[1], []], [None], None), "[[1],[]]"),
    "tuples": (objects((1, 2), (3,), None), "[1,2]"),
    "arrays": (objects(np.array([1.5, 2]), np.array([]), None), "[1.5,2]"),
    "dicts": (
        objects({"a": 2**63 - 1, "b": None}, {"a": 1, "b": "x"}, None),
        '{"a":9223372036854775807,"b":null}',
    ),
    "lists of dicts": (objects([{"a": 1}], [{"a": None}], []), '[{"a":1}]'),
    "bytes": (objects(b"\xff\0", b"", None), None),
    "list arrow": (arrow_series([[1], None, []], pa.list_(pa.int64())), "[1]"),
    "map arrow": (
        arrow_series([[("a", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        '[["a",1]]',
    ),
    "struct arrow": (
        arrow_series([{"a": 1}, None, {"a": 2}], pa.struct([("a", pa.int8())])),
        '{"a":1}',
    ),
    "dictionary arrow": (
        arrow_series(["a", None, "b"], pa.dictionary(pa.int8(), pa.string())),
        "a",
    ),
    "nothing": (objects(None, None, None), None),
    'odd {name} "\u2028': ([1, 2, 3], None),
}
WITH_TEXT = [name for name, (_, text) in COLUMNS.items() if text is not None]


def frame_of_everything(index: Any = None) -> pd.DataFrame:
    frame = pd.DataFrame({name: values for name, (values, _) in COLUMNS.items()})
    frame.index = pd.RangeIndex(3) if index is None else index
    return frame


def run(table: Any, folder: Path, service: Service, **options: Any) -> bk.Results:
    spec = options.pop("spec", bk.generate("gemini-3.8-flash", "hello"))
    return bk.run(table, spec, into=folder, client=service.client, poll_seconds=0.01, **options)


def prompts(results: bk.Results) -> list[str]:
    """The prompts of all requests, read by a JSON reader that takes no NaN."""
    lines: list[bytes] = []
    for shard in results.run.shards.shards:
        lines += results.run.requests_path(shard.name).read_bytes().split(b"\n")[:-1]
    requests = [json.loads(line, parse_constant=_refuse) for line in lines]
    return [request["request"]["contents"][0]["parts"][0]["text"] for request in requests]


def _refuse(name: str) -> None:
    message = f"{name} is not JSON"
    raise AssertionError(message)


def test_a_frame_of_every_dtype_comes_back_as_it_was(tmp_path: Path, service: Service) -> None:
    frame = frame_of_everything()
    results = run(frame, tmp_path / "run", service)
    assert results.tally()["ok"] == 3
    back = results.to_pandas()
    assert list(back.columns[: len(frame.columns)]) == list(frame.columns)
    for name in frame.columns:
        pd.testing.assert_series_equal(back[name], frame[name])
        assert list(map(type, back[name])) == list(map(type, frame[name]))


def test_a_result_in_parquet_is_one_that_pandas_reads(tmp_path: Path, service: Service) -> None:
    frame = frame_of_everything(pd.Index(["x", "y", "z"], name="id"))
    path = run(frame, tmp_path / "run", service).to_parquet(tmp_path / "out.parquet")
    back = pd.read_parquet(path)
    assert back.index.tolist() == ["x", "y", "z"]
    assert list(back.columns[: len(frame.columns)]) == list(frame.columns)
    assert back["text"].tolist()[0] == HOSTILE
    assert back["status"].tolist() == ["ok"] * 3


@pytest.mark.parametrize("start", range(0, len(WITH_TEXT), 8))
def test_each_value_reads_in_the_prompt_as_the_documentation_says(
    tmp_path: Path, service: Service, start: int
) -> None:
    names = WITH_TEXT[start : start + 8]
    template = "\n---\n".join(f"{{{name}??-}}" for name in names)
    spec = bk.generate("gemini-3.8-flash", template)
    results = run(frame_of_everything()[names], tmp_path / "run", service, spec=spec)
    said = prompts(results)[0].split("\n---\n")
    expected = {name: COLUMNS[name][1] for name in names}
    assert {name: _json_or_text(text) for name, text in zip(names, said, strict=True)} == {
        name: _json_or_text(str(text)) for name, text in expected.items()
    }


def _json_or_text(text: str) -> Any:
    """A nested value as it reads, however its characters are escaped; all else as it stands."""
    return json.loads(text) if text[:1] in "[{" else text


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(10, 16, 2),
        pd.RangeIndex(3, name="n"),
        pd.Index([5, 7, 5], name="id"),
        pd.Index(["x", "y", "z"]),
        pd.Index(["x", None, 1.5], dtype=object, name="mixed")[:2].repeat([1, 2]),
        pd.Index([dt.date(2026, 1, day) for day in (1, 2, 3)], name="day"),
        pd.Index([2**63 - 1, 0, 1], dtype="uint64", name="id"),
        pd.CategoricalIndex(["a", "b", "a"], name="kind"),
        pd.date_range("2026-01-01", periods=3, freq="D", tz=BERLIN, name="at"),
        pd.period_range("2026-01", periods=3, freq="M", name="month"),
        pd.timedelta_range("1h", periods=3, freq="h"),
        pd.IntervalIndex.from_breaks([0, 1, 2, 3], name="bin"),
        pd.Index(["a", "b", "c"], name="text"),
        pd.MultiIndex.from_tuples([(1, "x"), (1, "y"), (2, "x")], names=["p", "q"]),
        pd.MultiIndex.from_tuples([(dt.date(2026, 1, 1), 1), (dt.date(2026, 1, 2), 1), (None, 2)]),
    ],
    ids=[
        *("range", "named range", "repeated", "text", "mixed objects", "dates", "unsigned"),
        *(
            "categories",
            "moments",
            "periods",
            "durations",
            "intervals",
            "named as a column",
            "levels",
            "levels of objects",
        ),
    ],
)
def test_the_index_comes_back_as_it_was(tmp_path: Path, service: Service, index: Any) -> None:
    frame = pd.DataFrame({"text": ["a", "b", "c"]}, index=index)
    back = run(frame, tmp_path / "run", service).to_pandas()
    pd.testing.assert_frame_equal(back[["text"]], frame)


def test_the_frame_comes_back_in_order_over_many_shards(tmp_path: Path, service: Service) -> None:
    frame = pd.concat([frame_of_everything()] * 4)
    frame.index = pd.MultiIndex.from_product([["a", "b"], range(6)], names=["p", None])
    results = run(frame, tmp_path / "run", service, limits={"max_rows": 5}, target="file")
    assert len(results.run.shards.shards) == 3
    pd.testing.assert_frame_equal(results.to_pandas()[list(frame.columns)], frame)


REFUSED: dict[str, tuple[Any, str]] = {
    "sets": (objects({1, 2}, {3}), r"row 0 has \{1, 2\}, of which Arrow makes \[1, 2\]"),
    "mixed types": (objects(1, "a"), "cannot become Arrow: .*'a' with type str"),
    "bytes and texts": (objects(b"a", "x"), "row 1 has 'x', of which Arrow makes b'x'"),
    "flags and numbers": (objects(*FLAGS[:1], 2), "cannot become Arrow"),
    "lists of mixed types": (objects([1, "a"], []), "cannot become Arrow"),
    "dicts of other keys": (
        objects({"a": 1}, {"b": 2}),
        "row 0 has {'a': 1}, of which Arrow makes",
    ),
    "dicts with numbers as keys": (objects({1: 1}, {}), "cannot become Arrow"),
    "two zones": (
        objects(pd.Timestamp("2026-01-01", tz="UTC"), pd.Timestamp("2026-01-01", tz=BERLIN)),
        "row 1 has Timestamp.*Europe/Berlin",
    ),
    "numbers beyond 64 bits": (objects(2**70, 1), "cannot become Arrow"),
    "numbers that a float cannot hold": (
        objects(2**53 + 1, 0.5),
        "would not come back|cannot become",
    ),
    "half an emoji": (objects("\ud83d", "x"), "cannot become Arrow: .*surrogates not allowed"),
    "complex numbers": ([1 + 2j, 0], "cannot become Arrow"),
    "categories of intervals": (
        pd.cut(pd.Series([1.0, 2.0]), 2),
        r"cannot be kept \(categories of pandas.interval\); make them text",
    ),
    "sparse": (pd.arrays.SparseArray([0, 1]), "is sparse.*to_dense"),
    "anything": (objects(object(), None), "cannot become Arrow"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_column_that_cannot_come_back_is_refused_by_name(tmp_path: Path, name: str) -> None:
    values, said = REFUSED[name]
    frame = pd.DataFrame({"good": ["x", "y"], name: values})
    with pytest.raises(TableError, match=said) as caught:
        bk.build(frame, bk.generate("m", "{good}"), into=tmp_path / "run")
    assert f"column '{name}' of the pandas DataFrame" in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "frame, said",
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns named 'a', 0 and 1; rename one"),
        (pd.DataFrame([[1, 2]]), "a column named 0, which is no text"),
        (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])), "named .'a', 'b'."),
        (pd.DataFrame({"a": [1]}, index=pd.Index([1], name=3)), "index has a column named 3"),
        (
            pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(1, 2)], names=["i", "i"])),
            "two columns named 'i'",
        ),
        (pd.DataFrame({"status": ["new"]}), r"a column 'status'.*prefix='gemini_'"),
        (
            pd.DataFrame({"a": [1]}, index=pd.Index([1], name="status")),
            r"a column 'status'.*prefix='gemini_'",
        ),
    ],
    ids=["twice", "number", "levels", "index number", "index twice", "status", "index status"],
)
def test_names_that_cannot_be_columns_are_refused(
    tmp_path: Path, frame: pd.DataFrame, said: str
) -> None:
    with pytest.raises(TableError, match=said):
        bk.build(frame, bk.generate("m", "x"), into=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("column", ["duration", "bytes", "timedelta objects"])
def test_what_has_no_text_may_travel_but_not_be_asked_about(tmp_path: Path, column: str) -> None:
    with pytest.raises(TemplateError, match=f"column '{column}' in .*no text form"):
        bk.build(frame_of_everything(), bk.generate("m", f"{{{column}}}"), into=tmp_path / "run")


POLARS = pl.DataFrame(
    {
        "text": [HOSTILE, None],
        "u64": pl.Series([2**64 - 1, None], dtype=pl.UInt64),
        "f32": pl.Series([0.1, float("inf")], dtype=pl.Float32),
        "decimal": pl.Series([Decimal("1.50"), None], dtype=pl.Decimal(38, 10)),
        "day": [dt.date(1, 1, 1), None],
        "time": [dt.time(1, 2, 3, 4), None],
        "at": pl.Series([dt.datetime(1960, 1, 1), None], dtype=pl.Datetime("ns", BERLIN)),  # noqa: DTZ001
        "naive": pl.Series([dt.datetime(1960, 1, 1), None], dtype=pl.Datetime("ms")),  # noqa: DTZ001
        "duration": [dt.timedelta(1), None],
        "category": pl.Series(["b", None], dtype=pl.Categorical),
        "enum": pl.Series(["a", None], dtype=pl.Enum(["b", "a"])),
        "list": [[HOSTILE, None], None],
        "array": pl.Series([[1, 2], None], dtype=pl.Array(pl.Int8, 2)),
        "struct": [{"a": 1, "b": [1.5]}, None],
        "categories": pl.Series([["a"], None], dtype=pl.List(pl.Categorical)),
        "bytes": [b"\xff", None],
        "nothing": [None, None],
    }
)


def test_a_polars_frame_comes_back_as_it_was(tmp_path: Path, service: Service) -> None:
    results = run(POLARS, tmp_path / "run", service)
    back = results.to_polars().select(POLARS.columns)
    assert back.equals(POLARS)
    assert back.schema["list"] == POLARS.schema["list"]
    assert back.schema["category"] == POLARS.schema["category"]


def test_a_polars_frame_can_be_taken_on_in_any_form(tmp_path: Path, service: Service) -> None:
    known = POLARS.drop("categories")  # which older Arrows cannot write to Parquet
    results = run(known, tmp_path / "run", service)
    frame = results.to_pandas()
    assert frame["text"].tolist()[0] == HOSTILE
    assert frame["category"].tolist()[0] == "b"
    assert frame["u64"].tolist()[0] == 2**64 - 1
    table = pq.read_table(results.to_parquet(tmp_path / "out.parquet"))
    assert table.column("category").to_pylist() == ["b", None]
    assert table.column("text").to_pylist() == [HOSTILE, None]
    assert results.to_csv(tmp_path / "out.csv").stat().st_size
    lines = results.to_jsonl(tmp_path / "out.jsonl").read_bytes().split(b"\n")
    assert json.loads(lines[0], parse_constant=_refuse)["text"] == HOSTILE


@pytest.mark.parametrize(
    "column, text",
    [
        ("u64", "18446744073709551615"),
        ("f32", "0.1"),
        ("decimal", "1.5000000000"),
        ("at", "1960-01-01T01:00:00+01:00"),
        ("enum", "a"),
        ("array", "[1,2]"),
        ("struct", '{"a":1,"b":[1.5]}'),
        ("categories", '["a"]'),
    ],
)
def test_values_of_polars_read_as_the_documentation_says(
    tmp_path: Path, column: str, text: str
) -> None:
    spec = bk.generate("gemini-3.8-flash", f"{{{column}??-}}")
    made = bk.build(POLARS, spec, into=tmp_path / "run")
    assert prompts_of(made)[0] == text


def prompts_of(made: bk.Run) -> list[str]:
    return prompts(bk.Results(made))


def test_a_polars_type_that_arrow_lacks_is_refused(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [object()]}, schema={"a": pl.Object})
    with pytest.raises(TableError, match="column 'a' of the polars DataFrame holds Python objects"):
        bk.build(frame, bk.generate("m", "x"), into=tmp_path / "run")


DUCKDB = """
    select 'a "quoted" ' || chr(8232) as text,
    170141183460469231731687303715884105727::hugeint as huge,
    18446744073709551615::ubigint as ubig,
    1.50::decimal(38, 10) as decimal,
    timestamp_ns '1960-01-01 00:00:00.123456789' as ns,
    timestamptz '1960-01-01 00:00:00+02' as at,
    date '1960-01-01' as day,
    time '01:02:03.5' as time,
    [1, 2, null] as list,
    [1, 2]::int[2] as pair,
    {'a': 1, 'b': 'x'} as struct,
    map {'a': 1} as map,
    'a'::enum('b', 'a') as enum,
    true as flag,
    null as nothing,
    'infinity'::double as infinite,
    '\\xAA'::blob as bytes,
    interval 1 day as span
"""
# Columns of which the text is the same on every machine.
DUCKDB_TEXTS = {
    "huge": "170141183460469231731687303715884105727",
    "ubig": "18446744073709551615",
    "decimal": "1.5000000000",
    "ns": "1960-01-01T00:00:00.123456789",
    "day": "1960-01-01",
    "time": "01:02:03.5",
    "list": "[1,2,null]",
    "pair": "[1,2]",
    "struct": '{"a":1,"b":"x"}',
    "map": '[["a",1]]',
    "enum": "a",
    "flag": "true",
    "infinite": "inf",
}


def test_a_duckdb_relation_comes_back_as_it_was(tmp_path: Path, service: Service) -> None:
    expected = pa.RecordBatchReader.from_stream(duckdb.sql(DUCKDB)).read_all()
    results = run(duckdb.sql(DUCKDB), tmp_path / "run", service)
    assert results.to_arrow().select(expected.schema.names).equals(expected)


def test_values_of_duckdb_read_as_the_documentation_says(tmp_path: Path) -> None:
    spec = bk.generate("gemini-3.8-flash", "|".join(f"{{{name}}}" for name in DUCKDB_TEXTS))
    made = bk.build(duckdb.sql(DUCKDB), spec, into=tmp_path / "run")
    assert prompts_of(made) == ["|".join(DUCKDB_TEXTS.values())]


def test_a_date_that_has_no_text_rejects_its_row_and_still_comes_back(
    tmp_path: Path, service: Service
) -> None:
    table = pa.table({"day": pa.array([2**31 - 1, 0], pa.date32())})
    results = run(table, tmp_path / "run", service, spec=bk.generate("gemini-3.8-flash", "{day}"))
    assert results.tally()["rejected"] == 1
    assert results.to_arrow().select(["day"]).equals(table)
    assert "years 1 to 9999" in results.to_arrow().column("error_message").to_pylist()[0]
    assert results.to_pandas()["status"].tolist() == ["rejected", "ok"]


ARROW = pa.table(
    {
        "view": pa.array([HOSTILE, None], pa.string_view()),
        "large": pa.array([[HOSTILE], None], pa.large_list(pa.large_string())),
        "fixed": pa.array([[1, None], None], pa.list_(pa.int64(), 2)),
        "null": pa.nulls(2),
        "day": pa.array([dt.date(1, 1, 1), None], pa.date64()),
        "time": pa.array([1, None], pa.time32("ms")),
        "half": pa.array(np.array([0.5, -0.0], np.float16)),
        "decimal": pa.array([Decimal(10**50), None], pa.decimal256(60, 2)),
        "bytes": pa.array([b"ab", None], pa.binary(2)),
        "map": pa.array([[("a", None)], None], pa.map_(pa.string(), pa.date32())),
        "dictionary": pa.DictionaryArray.from_arrays(
            pa.array([1, None], pa.int8()), pa.array(["unused", "b"])
        ),
        "extension": pa.ExtensionArray.from_storage(
            pa.fixed_shape_tensor(pa.int32(), [2]),
            pa.array([[1, 2], None], pa.list_(pa.int32(), 2)),
        ),
        "integers": pa.array([2**63 - 1, None]),
    },
)


def test_an_arrow_table_comes_back_as_it_was(tmp_path: Path, service: Service) -> None:
    metadata = {b"mine": b"kept"}
    table = ARROW.replace_schema_metadata(metadata)
    results = run(table, tmp_path / "run", service)
    back = results.to_arrow().select(table.schema.names)
    assert back.equals(table)
    assert back.schema.equals(table.schema, check_metadata=True)


def test_integers_with_nulls_stay_whole_in_pandas(tmp_path: Path, service: Service) -> None:
    lists = pa.array([[1, None], None], pa.list_(pa.int64()))
    table = ARROW.select(["integers"]).append_column("lists", lists)
    pq.write_table(table, tmp_path / "rows.parquet")
    frame = run(tmp_path / "rows.parquet", tmp_path / "run", service).to_pandas()
    assert frame["integers"].tolist()[0] == 2**63 - 1
    assert str(frame["integers"].dtype) == "Int64"
    assert list(frame["lists"][0]) == [1, None]


def test_text_that_is_not_utf8_is_refused_with_its_column(tmp_path: Path) -> None:
    offsets = pa.array([0, 1], pa.int32()).buffers()[1]
    column = pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(b"\xff")])
    with pytest.raises(TableError, match="column 'text' holds text that is not UTF-8"):
        bk.build(pa.table({"text": column}), bk.generate("m", "{text}"), into=tmp_path / "run")


def test_a_list_of_dicts_keeps_its_values(tmp_path: Path, service: Service) -> None:
    rows = [{"a": HOSTILE, "n": 2**63 - 1}, {"a": None, "n": -(2**63), "id": str(uuid.UUID(int=1))}]
    back = run(rows, tmp_path / "run", service).to_arrow().select(["a", "n", "id"]).to_pylist()
    assert back == [{**rows[0], "id": None}, rows[1]]
