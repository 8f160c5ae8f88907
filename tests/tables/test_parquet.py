from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batchkit as bk
from batchkit.errors import TableError
from batchkit.tables.opened import open_table
from batchkit.tables.pinned import PinnedTable

if TYPE_CHECKING:
    from tests.conftest import Service


def written(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, **options)
    return path


def pinned(path: Path | str) -> PinnedTable:
    table = open_table(path)
    assert isinstance(table, PinnedTable)
    return table


def rows(path: Path | str) -> list[dict[str, Any]]:
    table = pinned(path)
    return pa.Table.from_batches(table.batches(Path(), table.schema), table.schema).to_pylist()


def test_only_the_footer_is_read_to_open_a_file(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.parquet", {"text": ["x" * 50] * 10}, row_group_size=3)
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(400) + content[404:])
    table = pinned(path)
    assert table.files[0].group_rows == (3, 3, 3, 1)
    assert table.rows == 10
    with pytest.raises(TableError, match=r"rows\.parquet cannot be read"):
        list(table.batches(Path(), table.schema))


def test_rows_with_long_texts_come_in_batches_of_a_few(tmp_path: Path) -> None:
    texts = [f"{i:07d}" * 20_000 for i in range(1_000)]
    path = written(tmp_path / "rows.parquet", {"text": texts}, use_dictionary=False)
    batches = list(pinned(path).batches(Path(), pa.schema([("text", pa.string())])))
    assert max(batch.nbytes for batch in batches) < 50_000_000
    assert sum(batch.num_rows for batch in batches) == 1_000


def test_memory_holds_a_batch_and_not_the_row_group(tmp_path: Path) -> None:
    texts = [os.urandom(600).hex() for _ in range(60_000)]
    path = written(tmp_path / "rows.parquet", {"text": texts}, use_dictionary=False)
    table = pinned(path)
    assert len(table.files[0].group_rows) == 1
    before = pa.total_allocated_bytes()
    held = [
        pa.total_allocated_bytes() - before for _ in table.batches(Path(), table.columns(["text"]))
    ]
    assert max(held) < 50_000_000 < path.stat().st_size


def test_a_folder_and_a_pattern_are_their_files_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b", "a", "deep/c"):
        written(tmp_path / f"{name}.parquet", {"from": [name]})
    assert [row["from"] for row in rows(tmp_path)] == ["a", "b", "deep/c"]
    assert [row["from"] for row in rows(tmp_path / "*.parquet")] == ["a", "b"]
    assert [row["from"] for row in rows(str(tmp_path / "**" / "*.parquet"))] == ["a", "b", "deep/c"]


def test_hidden_files_and_those_of_other_kinds_beside_are_left_alone(tmp_path: Path) -> None:
    written(tmp_path / "data" / "a.parquet", {"n": [1]})
    written(tmp_path / "data" / ".b.parquet", {"other": [2]})
    written(tmp_path / "data" / "_temporary" / "c.parquet", {"other": [3]})
    (tmp_path / "data" / "README.md").write_text("about")
    (tmp_path / "data" / "_SUCCESS").touch()
    assert rows(tmp_path / "data") == [{"n": 1}]
    assert rows(tmp_path / "data" / "[.a_]*") == [{"n": 1}]


def test_a_name_with_brackets_is_that_file_when_there_is_one(tmp_path: Path) -> None:
    path = written(tmp_path / "run[1].parquet", {"n": [1]})
    assert rows(path) == [{"n": 1}]


def test_files_without_rows_change_nothing(tmp_path: Path) -> None:
    written(tmp_path / "a.parquet", {"n": pa.array([], pa.int64())})
    written(tmp_path / "b.parquet", {"n": [1, 2]})
    written(tmp_path / "c.parquet", {"n": pa.array([], pa.int64())})
    assert rows(tmp_path) == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more", b"n\n1\n"])
def test_what_is_no_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    written(tmp_path / "a.parquet", {"n": [1]})
    (tmp_path / "b.parquet").write_bytes(content)
    with pytest.raises(TableError, match=r"b\.parquet is no Parquet file"):
        open_table(tmp_path)


@pytest.mark.parametrize("name", ["", "*.parquet", "nothing.parquet"])
def test_where_no_file_is_that_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(TableError, match=r"no Parquet file there|no such file"):
        open_table(tmp_path / name)


def test_columns_are_known_by_name_whatever_their_order(tmp_path: Path) -> None:
    written(tmp_path / "a.parquet", {"n": [1], "text": ["one"]})
    written(tmp_path / "b.parquet", {"text": ["two"], "n": [2]})
    assert rows(tmp_path) == [{"n": 1, "text": "one"}, {"n": 2, "text": "two"}]


def test_a_column_that_is_empty_in_one_file_takes_its_type_from_the_others(tmp_path: Path) -> None:
    for name, text in (("a", None), ("b", "two"), ("c", None)):
        pd.DataFrame({"n": [1], "text": [text]}).to_parquet(tmp_path / f"{name}.parquet")
    assert [row["text"] for row in rows(tmp_path)] == [None, "two", None]


def test_a_column_may_be_null_where_it_may_be_in_any_file(tmp_path: Path) -> None:
    strict = pa.schema([pa.field("n", pa.int64(), nullable=False)])
    pq.write_table(pa.table({"n": [1]}, schema=strict), tmp_path / "a.parquet")
    written(tmp_path / "b.parquet", {"n": pa.array([None], pa.int64())})
    assert rows(tmp_path) == [{"n": 1}, {"n": None}]


@pytest.mark.parametrize(
    "other, said",
    [
        ({"n": [1], "extra": ["x"]}, "extra"),
        ({"m": [1]}, "m; n"),
        ({"n": ["1"]}, "n, string instead of int64"),
        ({"n": pa.array([1], pa.int32())}, "n, int32 instead of int64"),
    ],
)
def test_files_with_other_columns_are_refused_with_the_difference(
    tmp_path: Path, other: dict[str, Any], said: str
) -> None:
    written(tmp_path / "a.parquet", {"n": [1]})
    written(tmp_path / "b.parquet", other)
    with pytest.raises(TableError) as caught:
        open_table(tmp_path)
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    assert str(caught.value) == f"{second}: its columns differ from those of {first}: {said}"


def test_folders_named_by_a_value_are_columns_of_text(tmp_path: Path) -> None:
    written(tmp_path / "year=2025" / "month=01" / "a.parquet", {"n": [1, 2]})
    written(tmp_path / "year=2026" / "month=11" / "b.parquet", {"n": [3]})
    assert rows(tmp_path) == [
        {"n": 1, "year": "2025", "month": "01"},
        {"n": 2, "year": "2025", "month": "01"},
        {"n": 3, "year": "2026", "month": "11"},
    ]
    assert rows(tmp_path / "year=2026" / "*" / "*.parquet") == [{"n": 3, "month": "11"}]
    assert rows(tmp_path / "year=2026" / "month=11" / "b.parquet") == [{"n": 3}]


def test_folders_written_by_pyarrow_give_the_values_back(tmp_path: Path) -> None:
    kinds = ["a/b c", "ü=1", None]
    table = pa.table({"n": [1, 2, 3], "kind": kinds})
    pq.write_to_dataset(table, tmp_path / "data", partition_cols=["kind"])
    found = {row["n"]: row["kind"] for row in rows(tmp_path / "data")}
    assert found == dict(zip([1, 2, 3], kinds, strict=True))


def test_a_column_in_the_file_goes_before_one_in_the_name_of_its_folder(tmp_path: Path) -> None:
    written(tmp_path / "year=2025" / "a.parquet", {"year": [1999]})
    assert rows(tmp_path) == [{"year": 1999}]


def test_folders_that_name_other_columns_are_refused(tmp_path: Path) -> None:
    written(tmp_path / "year=2025" / "a.parquet", {"n": [1]})
    written(tmp_path / "b.parquet", {"n": [2]})
    with pytest.raises(TableError, match=r"its columns differ from those of .*: year"):
        open_table(tmp_path)


def test_values_of_folders_are_in_prompts_keys_and_results(
    tmp_path: Path, service: Service
) -> None:
    written(tmp_path / "data" / "lang=de" / "a.parquet", {"id": [1]})
    written(tmp_path / "data" / "lang=fr" / "a.parquet", {"id": [1]})
    spec = bk.generate("gemini-3.8-flash", "Say {lang}")
    results = bk.run(
        tmp_path / "data", spec, key=["lang", "id"], into=tmp_path / "run", client=service.client
    )
    assert results.to_arrow().select(["id", "lang", "response"]).to_pylist() == [
        {"id": 1, "lang": "de", "response": "Echo: Say de"},
        {"id": 1, "lang": "fr", "response": "Echo: Say fr"},
    ]
    assert set(service.paid()) == {'["de",1]', '["fr",1]'}


def test_types_of_every_width_come_back_as_they_are(tmp_path: Path) -> None:
    table = pa.table(
        {
            "category": pa.array(["x", None, "y"]).dictionary_encode(),
            "large": pa.array(["a", "b", None], pa.large_string()),
            "list": pa.array([[1], None, []], pa.large_list(pa.int8())),
            "fixed": pa.array([b"ab", b"cd", None], pa.binary(2)),
            "small": pa.array([1, None, 3], pa.int8()),
            "exact": pa.array([1, None, 3], pa.decimal128(30, 4)),
            "at": pa.array([1, None, 3], pa.timestamp("ns", "Europe/Berlin")),
            "nested": pa.array([{"a": [{"b": 1}]}, None, {"a": None}]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    opened = pinned(tmp_path / "a.parquet")
    back = pa.Table.from_batches(opened.batches(Path(), opened.schema), opened.schema)
    assert back.schema == table.schema
    assert back.to_pylist() == table.to_pylist()


def test_a_table_of_thousands_of_row_groups_is_built_in_one_pass(tmp_path: Path) -> None:
    groups = 4_000
    path = written(tmp_path / "rows.parquet", {"text": ["x"] * groups}, row_group_size=1)
    run = bk.build(path, bk.generate("gemini-3.8-flash", "{text}"), into=tmp_path / "run")
    assert (run.shards.rows, run.shards.requests) == (groups, groups)


def test_a_home_folder_may_be_written_with_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    written(tmp_path / "rows.parquet", {"n": [1]})
    assert rows("~/rows.parquet") == [{"n": 1}]
