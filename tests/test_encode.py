from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchkit.encode import content, escape, join, join_lists, line_ends

TEXT = pa.large_string()


def texts(values: list[str | None]) -> pa.Array:
    return pa.array(values, TEXT)


@pytest.mark.parametrize(
    "text, written",
    [
        ("plain", "plain"),
        ("", ""),
        ('"', '\\"'),
        ("\\", "\\\\"),
        ("\n\r\t\b\f", "\\n\\r\\t\\b\\f"),
        ("\0\x1f", "\\u0000\\u001f"),
        ("\x7f\u2028\u2029 é 🙂", "\x7f\u2028\u2029 é 🙂"),
    ],
)
def test_only_what_json_must_escape_is_escaped(text: str, written: str) -> None:
    assert escape(texts([text])).to_pylist() == [written]


def test_a_null_stays_null_among_texts_that_need_escaping() -> None:
    assert escape(texts([None, 'a"', None, "b"])).to_pylist() == [None, 'a\\"', None, "b"]


def test_a_column_without_special_characters_is_returned_as_it_is() -> None:
    column = texts(["one", None, "two"])
    assert escape(column) is column


@given(st.lists(st.none() | st.text()), st.integers(0, 3))
def test_escaped_text_reads_back_from_a_slice_of_any_column(
    values: list[str | None], start: int
) -> None:
    written = escape(texts(values).slice(start)).to_pylist()
    read = [None if text is None else json.loads(f'"{text}"') for text in written]
    assert read == values[start:]


def test_segments_stand_side_by_side_and_a_null_makes_the_row_null() -> None:
    lines = join([b"<", texts(["a", None, "c"]), b"|", pa.array(["x", "y", "z"]), b">"])
    assert lines.type == TEXT
    assert lines.to_pylist() == ["<a|x>", None, "<c|z>"]


def test_a_column_of_nothing_but_constants_has_no_rows_to_take() -> None:
    assert join([b"a", texts([]), b"b"]).to_pylist() == []


@given(st.lists(st.lists(st.text(max_size=4), max_size=4), max_size=8))
def test_items_of_each_list_are_joined_with_commas(lists: list[list[str]]) -> None:
    items = texts([item for one in lists for item in one])
    lengths = np.array([len(one) for one in lists], np.int64)
    joined = join_lists(items, lengths)
    joined.validate(full=True)
    assert joined.to_pylist() == [",".join(one) for one in lists]


def test_items_from_the_middle_of_a_column_are_joined() -> None:
    items = texts(["x", "a", "b", "c"]).slice(1)
    assert join_lists(items, np.array([2, 0, 1])).to_pylist() == ["a,b", "", "c"]


@given(st.lists(st.none() | st.text(), max_size=8), st.integers(0, 8), st.integers(0, 8))
def test_the_content_of_lines_is_their_bytes_and_ends_where_each_ends(
    values: list[str | None], start: int, length: int
) -> None:
    lines = join([texts(values), b"\n"]).slice(start, length)
    written = [b"" if line is None else line.encode() for line in lines.to_pylist()]
    assert bytes(content(lines)) == b"".join(written)
    assert line_ends(lines).tolist() == np.cumsum([len(line) for line in written]).tolist()


def test_no_lines_have_no_content() -> None:
    lines = pa.nulls(0, TEXT)
    assert bytes(content(lines)) == b""
    assert line_ends(lines).tolist() == []
