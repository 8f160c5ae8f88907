from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchkit.outcome_file import OutcomeSorter

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = pa.schema([("row", pa.int64()), ("text", pa.large_string())])
LONG = 20_000_000  # four of them are more than is held in memory


def batch(*rows: tuple[int, str | None]) -> pa.RecordBatch:
    positions, texts = zip(*rows, strict=True) if rows else ((), ())
    arrays = [pa.array(positions, pa.int64()), pa.array(texts, pa.large_string())]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def sizes(tables: list[pa.Table]) -> list[list[int]]:
    return [table.column(0).to_pylist() for table in tables]


def test_batches_of_any_order_come_back_by_position_a_range_at_a_time(tmp_path: Path) -> None:
    with OutcomeSorter(SCHEMA, 5, 2, tmp_path) as sorter:
        sorter.add(batch((4, "e"), (1, "b")))
        sorter.add(batch((3, "d"), (0, None), (2, "c")))
        tables = list(sorter.tables())
    assert sizes(tables) == [[0, 1], [2, 3], [4]]
    texts = pa.concat_tables(tables).column("text").to_pylist()
    assert texts == [None, "b", "c", "d", "e"]
    assert all(table.schema.equals(SCHEMA) for table in tables)
    assert list(tmp_path.iterdir()) == []


def test_of_several_rows_with_one_position_the_last_stays(tmp_path: Path) -> None:
    with OutcomeSorter(SCHEMA, 3, 3, tmp_path) as sorter:
        sorter.add(batch((1, "first"), (0, "a"), (1, "second")))
        sorter.add(batch((1, "third"), (2, "c")))
        (table,) = sorter.tables()
    assert table.column("text").to_pylist() == ["a", "third", "c"]


def test_nothing_added_is_no_table(tmp_path: Path) -> None:
    for positions in (0, 5):
        with OutcomeSorter(SCHEMA, positions, 2, tmp_path) as sorter:
            assert list(sorter.tables()) == []
    with OutcomeSorter(SCHEMA, 5, 2, tmp_path) as sorter:
        sorter.add(batch())
        assert list(sorter.tables()) == []


def test_more_than_is_held_waits_in_scratch_files_that_go_away(tmp_path: Path) -> None:
    with OutcomeSorter(SCHEMA, 8, 2, tmp_path) as sorter:
        for position in (7, 0, 6, 1):
            sorter.add(batch((position, f"{position}" * LONG)))
        assert len(list(tmp_path.glob(".sort-*.tmp/*"))) == 2
        sorter.add(batch((3, "three"), (7, "seven")))
        tables = list(sorter.tables())
    assert sizes(tables) == [[0, 1], [3], [6, 7]]
    texts = pa.concat_tables(tables).column("text").to_pylist()
    assert [text[:2] for text in texts] == ["00", "11", "th", "66", "se"]
    assert [len(text) for text in texts] == [LONG, LONG, 5, LONG, 5]
    assert list(tmp_path.iterdir()) == []


def test_the_batch_that_fills_the_memory_may_be_the_last(tmp_path: Path) -> None:
    with OutcomeSorter(SCHEMA, 4, 2, tmp_path) as sorter:
        sorter.add(batch(*((position, "x" * LONG) for position in (3, 0, 2, 1))))
        assert len(list(tmp_path.glob(".sort-*.tmp/*"))) == 2
        assert sizes(list(sorter.tables())) == [[0, 1], [2, 3]]


def test_scratch_files_go_away_when_the_work_fails(tmp_path: Path) -> None:
    def fill_and_fail() -> None:
        with OutcomeSorter(SCHEMA, 4, 2, tmp_path) as sorter:
            sorter.add(batch(*((position, "x" * LONG) for position in range(4))))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill_and_fail()
    assert list(tmp_path.iterdir()) == []


def test_vectors_and_their_nulls_come_back_exactly(tmp_path: Path) -> None:
    schema = pa.schema([("row", pa.int64()), ("embedding", pa.list_(pa.float32()))])
    draw = np.random.default_rng(0)
    vectors = [None if i % 7 == 0 else draw.random(8, np.float32).tolist() for i in range(100)]
    order = draw.permutation(100).tolist()
    with OutcomeSorter(schema, 100, 16, tmp_path) as sorter:
        for start in range(0, 100, 9):
            rows = order[start : start + 9]
            arrays = [pa.array(rows), pa.array([vectors[i] for i in rows], schema.field(1).type)]
            sorter.add(pa.RecordBatch.from_arrays(arrays, schema=schema))
        tables = list(sorter.tables())
    assert len(tables) == math.ceil(100 / 16)
    assert pa.concat_tables(tables).column("embedding").to_pylist() == vectors


def test_a_shard_of_any_size_has_a_bounded_number_of_ranges(tmp_path: Path) -> None:
    positions = 10_000
    with OutcomeSorter(SCHEMA, positions, 1, tmp_path) as sorter:
        sorter.add(batch(*((position, None) for position in range(positions))))
        tables = list(sorter.tables())
    assert len(tables) <= 512
    assert sum(table.num_rows for table in tables) == positions


def test_memory_holds_one_range_and_64_mb_whatever_comes(tmp_path: Path) -> None:
    rows, dimensions, step = 6_400, 12_500, 200  # 320 MB, in batches of 10 MB
    schema = pa.schema([("row", pa.int64()), ("embedding", pa.list_(pa.float32()))])
    order = np.random.default_rng(0).permutation(rows)
    values = pa.array(np.zeros(step * dimensions, np.float32))
    offsets = pa.array(np.arange(0, (step + 1) * dimensions, dimensions, dtype=np.int32))
    before = pa.total_allocated_bytes()
    held: list[int] = []
    found = 0
    with OutcomeSorter(schema, rows, 400, tmp_path) as sorter:
        for start in range(0, rows, step):
            vectors = pa.ListArray.from_arrays(offsets, pa.concat_arrays([values, values[:0]]))
            arrays = [pa.array(order[start : start + step]), vectors]
            sorter.add(pa.RecordBatch.from_arrays(arrays, schema=schema))
            held.append(pa.total_allocated_bytes() - before)
        for table in sorter.tables():
            found += table.num_rows
            held.append(pa.total_allocated_bytes() - before)
    assert found == rows
    assert max(held) < 64_000_000 + 400 * dimensions * 4 + 20_000_000


@settings(deadline=None)
@given(
    rows=st.lists(st.lists(st.tuples(st.integers(0, 19), st.text(max_size=3)), max_size=6)),
    width=st.integers(1, 25),
)
def test_sorting_is_a_dictionary_by_position(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[tuple[int, str]]], width: int
) -> None:
    scratch = tmp_path_factory.mktemp("sorter")
    with OutcomeSorter(SCHEMA, 20, width, scratch) as sorter:
        for some in rows:
            sorter.add(batch(*some))
        tables = list(sorter.tables())
    expected = dict(row for some in rows for row in some)
    found = [row for table in tables for row in table.to_pylist()]
    assert found == [{"row": n, "text": expected[n]} for n in sorted(expected)]
    assert all(table.num_rows <= width for table in tables)
