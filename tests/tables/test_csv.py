from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import batchkit as bk
from batchkit.errors import TableError
from batchkit.tables.csv import csv_table

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Service

SPEC = bk.generate("gemini-3.8-flash", "{text}")


def read(path: Path, content: str | bytes, text_columns: tuple[str, ...] = ()) -> pa.Table:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    stream = csv_table(path, text_columns)
    return pa.Table.from_batches(list(stream.batches), stream.schema)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.csv"


def test_an_empty_field_is_null_and_a_quoted_empty_one_is_text(path: Path) -> None:
    table = read(path, 'n,text\n1,a\n,""\n3,\n')
    assert table.to_pydict() == {"n": [1, None, 3], "text": ["a", "", None]}


def test_quotes_keep_delimiters_newlines_and_quotes(path: Path) -> None:
    table = read(path, 'text,n\n"a,b\nc ""d""",1\n5" pipe,2\n')
    assert table.column("text").to_pylist() == ['a,b\nc "d"', '5" pipe']


@pytest.mark.parametrize("header", [b"id,text", b'"id","text"'])
def test_a_byte_order_mark_is_no_part_of_the_first_name(path: Path, header: bytes) -> None:
    table = read(path, b"\xef\xbb\xbf" + header + b"\r\n1,a\r\n")
    assert table.to_pydict() == {"id": [1], "text": ["a"]}


@pytest.mark.parametrize(
    "name, header, values",
    [
        ("rows.csv", "a,b", "1,2"),
        ("rows.csv", "a;b", "1;2"),
        ("rows.csv", "a|b", "1|2"),
        ("rows.csv", '"a, first";b', "1;2"),
        ("rows.csv", '"a\nfirst, only";b', "1;2"),
        ("rows.tsv", "a, or so\tb", "1\t2"),
        ("rows.tsv", "a,b", "1,2"),
    ],
)
def test_the_delimiter_is_the_one_the_header_holds_most_of(
    tmp_path: Path, name: str, header: str, values: str
) -> None:
    table = read(tmp_path / name, f"{header}\n{values}\n")
    assert [column.to_pylist() for column in table.columns] == [[1], [2]]


def test_a_column_of_one_name_needs_no_delimiter(path: Path) -> None:
    assert read(path, "text\na;b\nc\n").to_pydict() == {"text": ["a;b", "c"]}


def test_leading_zeros_survive_in_keys_and_elsewhere(tmp_path: Path, service: Service) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,zip,text\n007,01234,a\n7,99999,b\n")
    results = bk.run(path, SPEC, key="id", into=tmp_path / "run", client=service.client)
    assert set(service.paid()) == {"007", "7"}
    rows = results.to_arrow().select(["id", "zip"]).to_pylist()
    assert rows == [{"id": "007", "zip": "01234"}, {"id": "7", "zip": "99999"}]


def test_a_column_is_read_as_text_when_asked_to(path: Path) -> None:
    table = read(path, "id,n\n1,1\n1.0,2\n", ("id", "not there"))
    assert table.to_pydict() == {"id": ["1", "1.0"], "n": [1, 2]}


def test_a_value_that_does_not_fit_makes_the_column_text_however_late_it_comes(
    path: Path,
) -> None:
    count = 900_000  # more than what Arrow reads to guess by
    lines = "".join(f"{i},\n" for i in range(count))
    table = read(path, f"n,late\n{lines}x,007\n")
    assert table.schema.types == [pa.string(), pa.string()]
    assert table.column("n")[count].as_py() == "x"
    assert table.column("late").to_pylist() == [*[None] * count, "007"]


@pytest.mark.parametrize(
    "content, said",
    [
        ("id,caf\xe9\n1,x\n".encode("latin-1"), "the header is not UTF-8; save the file as UTF-8"),
        ("id,text\n1,caf\xe9\n".encode("latin-1"), "column 'text' is not UTF-8"),
        ("id,text\ncaf\xe9,x\n".encode("latin-1"), "column 'id' is not UTF-8"),
        ("id,text\n1,a\n".encode("utf-16"), "is UTF-16; save it as UTF-8"),
        ("a,a\n1,2\n", "two columns named 'a', 0 and 1; rename one"),
        ("a,b\n1,2,3\n", "Expected 2 columns, got 3"),
        ("", "Empty CSV file"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(
    path: Path, content: bytes | str, said: str
) -> None:
    with pytest.raises(TableError, match=said) as caught:
        read(path, content, ("id",))
    assert str(path) in str(caught.value)


def test_text_that_is_not_utf8_is_found_however_late_it_comes(path: Path) -> None:
    good = b"1,some words that make a line long enough\n" * 300_000
    with pytest.raises(TableError, match="column 'text' is not UTF-8"):
        read(path, b"id,text\n" + good + b"2,caf\xe9\n")


def test_a_compressed_file_is_read_as_it_is(tmp_path: Path) -> None:
    table = read(tmp_path / "rows.csv.gz", gzip.compress(b"a,b\n1,x\n"))
    assert table.to_pydict() == {"a": [1], "b": ["x"]}


@pytest.mark.parametrize(
    "content", [b"no gzip", gzip.compress(b"a,b\n" + b"1,2\n" * 9_999, mtime=0)[:-20]]
)
def test_a_compressed_file_that_is_damaged_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(TableError, match=r"rows\.csv\.gz is no CSV table"):
        read(tmp_path / "rows.csv.gz", content)


def test_a_header_alone_is_a_table_without_rows(path: Path) -> None:
    table = read(path, "a,b\n")
    assert (table.column_names, table.num_rows) == (["a", "b"], 0)


def test_what_pandas_writes_is_read_back(path: Path) -> None:
    frame = pd.DataFrame(
        {
            "n": [1, -(2**63), 2**63 - 1],
            "share": [0.1, 1e-300, 2.0],
            "flag": [True, False, True],
            "day": [dt.date(2026, 1, 1), dt.date(2026, 1, 2), dt.date(2026, 12, 31)],
            "at": pd.to_datetime(["2026-01-01 10:00:00.5", "2026-01-01 11:00:00.25", None]),
            "text": ["a", 'q"', "ü\n"],
        }
    )
    frame.to_csv(path, index=False)
    back = read(path, path.read_bytes()).to_pandas()
    expected = frame.assign(at=frame["at"].astype("datetime64[ns]"))
    pd.testing.assert_frame_equal(back, expected, check_dtype=False)


FIELDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(FIELDS, FIELDS), min_size=1, max_size=8))
def test_any_text_that_is_quoted_comes_back(tmp_path: Path, rows: list[tuple[Any, Any]]) -> None:
    file = io.StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("a", "b"), *rows])
    table = read(tmp_path / "rows.csv", file.getvalue(), ("a", "b"))
    assert [tuple(row.values()) for row in table.to_pylist()] == rows
