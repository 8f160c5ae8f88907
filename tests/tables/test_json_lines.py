from __future__ import annotations

import datetime as dt
import gzip
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchkit import jsonl
from batchkit.errors import TableError
from batchkit.tables.json_lines import json_lines_table, rows_table

if TYPE_CHECKING:
    from pathlib import Path

    from batchkit.tables.stream import TableStream

MANY = 8_192  # rows that are read at once


def whole(stream: TableStream) -> pa.Table:
    return pa.Table.from_batches(list(stream.batches), stream.schema)


def read(path: Path, content: bytes) -> pa.Table:
    path.write_bytes(content)
    return whole(json_lines_table(path))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.jsonl"


def test_there_is_a_column_for_every_field_that_any_line_has(path: Path) -> None:
    table = read(path, b'{"a":1}\n\n{"b":"x","a":null}\n{}\n')
    assert table.to_pydict() == {"a": [1, None, None], "b": [None, "x", None]}


def test_a_field_that_comes_late_is_a_column_from_the_first_row(path: Path) -> None:
    table = read(path, b'{"a":null}\n' * MANY + b'{"a":["x"],"b":1}\n')
    assert table.schema == pa.schema([("a", pa.list_(pa.string())), ("b", pa.int64())])
    assert table.column("b").null_count == MANY


@pytest.mark.parametrize(
    "early, late, kind",
    [
        (1, 2.5, pa.float64()),
        (2.5, 1, pa.float64()),
        (1, 2**64 - 1, pa.uint64()),
        (2**64 - 1, 1, pa.uint64()),
        ([], ["x"], pa.list_(pa.string())),
        ([1], [2.5], pa.list_(pa.float64())),
        ({"a": 1}, {"b": "x"}, pa.struct([("a", pa.int64()), ("b", pa.string())])),
        (None, True, pa.bool_()),
    ],
)
@pytest.mark.parametrize("apart", [1, MANY])
def test_the_type_of_a_field_holds_all_its_values(
    early: Any, late: Any, kind: pa.DataType, apart: int
) -> None:
    table = whole(rows_table([{"v": early}] * apart + [{"v": late}]))
    assert table.schema.field("v").type == kind
    found = table.column("v")[apart].as_py()
    assert found == ({"a": None, "b": "x"} if isinstance(late, dict) else late)


@pytest.mark.parametrize(
    "early, late",
    [
        (1, "x"),
        ("x", 1),
        ([1], 1),
        ({"a": 1}, [1]),
        (-1, 2**64 - 1),
        (1.5, 2**60 + 1),
        ([2**64 - 1], [-1]),
        (True, "yes"),
    ],
)
@pytest.mark.parametrize("apart", [1, MANY])
def test_a_field_that_no_type_holds_is_named(early: Any, late: Any, apart: int) -> None:
    with pytest.raises(TableError, match="field 'v' has values that no one type holds") as caught:
        whole(rows_table([{"v": early}] * apart + [{"v": late}]))
    assert caught.value.column == "v"


@pytest.mark.parametrize(
    "line, said",
    [
        (b'{"a":1', "line 3: not JSON"),
        (b"[1]", "line 3: not an object"),
        (b'"text"', "line 3: not an object"),
        (b'{"a":NaN}', "line 3: not JSON"),
        (b'{"a":"\xff"}', "line 3: not JSON"),
    ],
)
def test_a_line_that_is_no_object_is_named(path: Path, line: bytes, said: str) -> None:
    with pytest.raises(TableError, match=said) as caught:
        read(path, b'{"a":1}\n\n' + line + b"\n")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n \n", b"{}\n"])
def test_a_file_without_a_field_is_refused(path: Path, content: bytes) -> None:
    with pytest.raises(TableError, match="holds no rows"):
        read(path, content)


def test_a_byte_order_mark_is_no_part_of_the_first_line(path: Path) -> None:
    assert read(path, b'\xef\xbb\xbf{"a":1}\n').to_pydict() == {"a": [1]}


def test_lines_end_at_newlines_only(path: Path) -> None:
    table = read(path, '{"a":"x\u2028y\x85z"}\r\n{"a":"w"}'.encode())
    assert table.to_pydict() == {"a": ["x\u2028y\x85z", "w"]}


def test_a_compressed_file_is_read_as_it_is(tmp_path: Path) -> None:
    table = read(tmp_path / "rows.jsonl.gz", gzip.compress(b'{"a":1}\n'))
    assert table.to_pydict() == {"a": [1]}


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b'{"a":1}\n' * 99, mtime=0)[:-9], b"\x1f\x8b\x08" + bytes(40)],
)
def test_a_compressed_file_that_is_damaged_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(TableError, match=r"rows\.jsonl\.gz"):
        read(tmp_path / "rows.jsonl.gz", content)


def test_values_of_other_libraries_are_what_they_stand_for() -> None:
    at = pd.Timestamp("2026-11-23T10:00", tz="Europe/Berlin")
    rows = [
        {
            "n": np.int64(7),
            "share": np.float32(0.5),
            "at": at,
            "day": dt.date(2026, 1, 1),
            "price": Decimal("1.50"),
            "vector": np.array([1.0, 2.0]),
            "raw": b"\xff",
            "no time": pd.NaT,
            "nothing": pd.NA,
        }
    ]
    (row,) = whole(rows_table(rows)).to_pylist()
    assert row == {
        "n": 7,
        "share": 0.5,
        "at": at.to_pydatetime(),
        "day": dt.date(2026, 1, 1),
        "price": Decimal("1.50"),
        "vector": [1.0, 2.0],
        "raw": b"\xff",
        "no time": None,
        "nothing": None,
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), min_size=1), st.text(max_size=5))
def test_whole_numbers_and_names_come_back(
    tmp_path: Path, numbers: list[int | None], name: str
) -> None:
    name = name.encode(errors="replace").decode()
    lines = [jsonl.dumps({name: number}) for number in numbers]
    table = read(tmp_path / "rows.jsonl", b"\n".join(lines))
    assert table.to_pydict() == {name: numbers}
