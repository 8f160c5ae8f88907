from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from batchkit.emulator.blobs import Blobs
from batchkit.emulator.rows import Row, Rows, RowsWriter

if TYPE_CHECKING:
    from pathlib import Path

MANY = 10_000  # more than two pages


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    rows = Rows(Blobs(tmp_path), "job")
    with RowsWriter(rows) as writer:
        for number in range(MANY):
            writer.add(Row({"n": number}, {"key": f"k\n{number}"}))
    return rows


def test_rows_are_read_in_any_order(rows: Rows) -> None:
    order = np.array([MANY - 1, 0, 5000, 5000], dtype=np.int64)
    read = list(rows.read(order))
    assert [row.request["n"] for row in read] == order.tolist()
    assert read[0].tag == {"key": f"k\n{MANY - 1}"}
    assert len(rows) == MANY


@pytest.mark.parametrize("count", [0, 1, 4096, 4097, MANY])
def test_the_first_keys_are_read_in_the_order_of_the_input(rows: Rows, count: int) -> None:
    assert list(rows.wire_keys(count)) == [f"k\n{number}" for number in range(count)]


def test_a_second_writer_starts_anew(rows: Rows) -> None:
    with RowsWriter(rows) as writer:
        writer.add(Row({}, {}))
    assert len(rows) == 1
    assert list(rows.wire_keys(5)) == [""]


@pytest.mark.parametrize(
    "tag, key",
    [
        ({"key": "a"}, "a"),
        ({}, ""),
        ({"metadata": {"key": "a"}}, "a"),
        ({"metadata": {"key": 5}}, ""),
        ({"metadata": {}}, ""),
    ],
)
def test_the_wire_key_is_the_lines_or_the_metadatas(tag: dict[str, object], key: str) -> None:
    assert Row({}, tag).wire_key == key


@pytest.mark.parametrize(
    "request_body, tag, key",
    [
        ({"labels": {"batchkit": "bk-1"}}, {}, "bk-1"),
        ({"labels": {"batchkit": "bk-1"}}, {"key": "a"}, "a"),
        ({"labels": {"other": "x"}}, {}, ""),
        ({"labels": "x"}, {}, ""),
        ({"labels": {"batchkit": 1}}, {}, ""),
        ({}, {"metadata": {"key": "a"}}, "a"),
    ],
)
def test_a_row_without_a_key_is_known_by_its_label(
    request_body: dict[str, Any], tag: dict[str, Any], key: str
) -> None:
    assert Row(request_body, tag).wire_key == key
