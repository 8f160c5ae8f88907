from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import batchkit as bk
from batchkit import jsonl
from batchkit.errors import RunChangedError, TableError
from batchkit.tables.opened import open_table
from batchkit.tables.pinned import Piece, PinnedFile, PinnedTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.conftest import Service

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "rows.parquet"
    columns = {"id": range(6), "text": list("abcdef"), "extra": [i / 2 for i in range(6)]}
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def pinned(path: Path) -> PinnedTable:
    table = open_table(path)
    assert isinstance(table, PinnedTable)
    return table


def column(batches: Iterable[pa.RecordBatch], name: str) -> list[Any]:
    return [value for batch in batches for value in batch.column(name).to_pylist()]


def test_it_is_the_same_after_a_trip_through_json(path: Path) -> None:
    table = pinned(path)
    again = PinnedTable.from_json(jsonl.loads(jsonl.dumps(table.to_json())))
    assert again == table
    assert again.schema.equals(table.schema, check_metadata=True)


def test_columns_are_given_in_the_order_asked_for(path: Path) -> None:
    table = pinned(path)
    batches = list(table.batches(Path(), table.columns(["text", "id"])))
    assert batches[0].schema.names == ["text", "id"]
    assert column(batches, "text") == list("abcdef")


def test_a_piece_is_some_groups_of_a_file_with_the_numbers_of_its_rows(path: Path) -> None:
    table = pinned(path)
    piece = table.files[0].piece(1, 3, first_row=2)
    assert (piece.first_row, piece.rows) == (2, 4)
    assert Piece.from_json(jsonl.loads(jsonl.dumps(piece.to_json()))) == piece
    assert column(piece.batches(Path(), table.columns(["text"])), "text") == list("cdef")


@given(
    files=st.lists(st.lists(st.integers(0, 5), max_size=5), max_size=4),
    enough=st.floats(0.1, 30),
)
def test_bundles_follow_one_another_and_leave_out_no_row(
    files: list[list[int]], enough: float
) -> None:
    table = PinnedTable(
        "rows",
        pa.schema([("n", pa.int64())]),
        tuple(
            PinnedFile(f"{i}", "arrow", sum(groups), None, tuple(groups))
            for i, groups in enumerate(files)
        ),
    )
    bundles = list(table.bundles(enough))
    pieces = [piece for bundle in bundles for piece in bundle]
    row = 0
    for piece in pieces:
        assert piece.first_row == row
        row += piece.rows
    assert row == table.rows
    groups = [(piece.path, group) for piece in pieces for group in range(piece.start, piece.stop)]
    assert groups == [
        (f"{i}", group) for i, found in enumerate(files) for group in range(len(found))
    ]
    assert all(sum(piece.rows for piece in bundle) >= enough for bundle in bundles[:-1])


def test_a_bundle_has_one_piece_for_groups_of_one_file(path: Path) -> None:
    (bundle,) = pinned(path).bundles(10**9)
    assert [(piece.start, piece.stop) for piece in bundle] == [(0, 3)]


def rewrite(path: Path) -> None:
    pq.write_table(pa.table({"id": range(6), "text": ["z"] * 6, "extra": [0.0] * 6}), path)


def touch(path: Path) -> None:
    os.utime(path, ns=(0, 0))


def test_a_file_as_it_was_has_not_changed(path: Path, tmp_path: Path) -> None:
    table = pinned(path)
    table.check_unchanged(tmp_path)
    assert table.changes(tmp_path) == {}


@pytest.mark.parametrize("change", [rewrite, touch, Path.unlink])
def test_a_file_that_changed_is_named_with_what_it_was(path: Path, change: Any) -> None:
    table = pinned(path)
    before = (path.stat().st_size, path.stat().st_mtime_ns)
    change(path)
    with pytest.raises(RunChangedError) as caught:
        table.check_unchanged(Path())
    assert str(caught.value).startswith(f"{path} is gone or changed since the run was built")
    assert caught.value.changes[str(path)][0] == before


@pytest.mark.parametrize("change", [rewrite, Path.unlink])
def test_a_source_that_changes_after_the_collect_gives_no_result_either(
    path: Path, tmp_path: Path, service: Service, change: Any
) -> None:
    results = bk.run(
        path, SPEC, key="id", carry=["extra"], into=tmp_path / "run", client=service.client
    )
    before = results.to_arrow()
    change(path)
    with pytest.raises(RunChangedError, match=r"rows\.parquet is gone or changed"):
        results.to_parquet(tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()
    again = bk.collect(tmp_path / "run", source="carried").to_arrow()
    names = ["id", "extra", "response"]
    assert again.select(names).equals(before.select(names))


def test_a_source_that_changes_while_it_is_written_out_gives_no_result(
    path: Path, tmp_path: Path, service: Service
) -> None:
    results = bk.run(path, SPEC, key="id", into=tmp_path / "run", client=service.client)
    batches = results.reader()
    batches.read_next_batch()
    touch(path)
    with pytest.raises(RunChangedError, match=r"rows\.parquet is gone or changed"):
        batches.read_all()


class ChangingTheSource:
    """An engine during whose work somebody writes to the table."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def map(self, function: Any, tasks: Any) -> Any:
        results = [function(task) for task in tasks]
        rewrite(self._path)
        return results


def test_a_source_that_changes_while_it_is_built_sends_nothing_and_can_be_built_again(
    path: Path, tmp_path: Path
) -> None:
    engine = ChangingTheSource(path)
    with pytest.raises(RunChangedError, match="changed while it was read; build again"):
        bk.build(path, SPEC, key="id", into=tmp_path / "run", engine=engine)
    assert not bk.open_run(tmp_path / "run").is_built
    run = bk.build(path, SPEC, key="id", into=tmp_path / "run")
    assert run.requests_path("00000").read_bytes().count(b"Say z") == 6


def test_a_file_that_cannot_be_read_any_more_is_named(path: Path) -> None:
    table = pinned(path)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(TableError, match=r"rows\.parquet cannot be read"):
        list(table.batches(Path(), table.schema))
