from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

import batchkit as bk
from batchkit.draft import Choices, Draft
from batchkit.layout import Layout
from batchkit.rundir import Run
from batchkit.staging import finish_build
from batchkit.tasks import BuildResult, BuildTask, run_build

if TYPE_CHECKING:
    from pathlib import Path

SPEC = bk.generate("gemini-3.8-flash", "{text}")


def staged(
    folder: Path, rows_per_shard: int = 1, rows_per_task: int = 3
) -> tuple[Run, list[BuildTask], list[BuildResult]]:
    """A run whose tasks have written 5 rows, of which the second is rejected."""
    folder.mkdir()
    rows = pa.table({"text": ["a", None, "b", "c", "d"]})
    pq.write_table(rows, folder / "rows.parquet", row_group_size=rows_per_task)
    choices = Choices((), (), "raise", None, {"max_rows": rows_per_shard}, Layout())
    run = Run(folder / "run")
    run.folder.mkdir()
    run.define(Draft.of_table(folder / "rows.parquet", SPEC, choices).define(run.folder))
    bundles = run.definition.table.bundles(1)
    tasks = [BuildTask(str(run.folder), i, pieces, SPEC) for i, pieces in enumerate(bundles)]
    return run, tasks, [run_build(task) for task in tasks]


def texts(run: Run) -> list[str]:
    """The requests of all shards, in order."""
    return [run.requests_path(shard.name).read_text() for shard in run.shards.shards]


def content(run: Run) -> dict[str, bytes]:
    """Every file that a build leaves, but the definition."""
    return {
        str(path.relative_to(run.folder)): path.read_bytes()
        for path in run.folder.rglob("*")
        if path.is_file() and path.name != "run.json"
    }


def test_shards_are_numbered_in_source_order_whatever_order_tasks_ended_in(tmp_path: Path) -> None:
    run, tasks, results = staged(tmp_path / "here")
    built = finish_build(run, tasks, results[::-1])
    assert [(shard.name, shard.first_row, shard.rows) for shard in built.shards] == [
        ("00000", 0, 2),
        ("00001", 2, 1),
        ("00002", 3, 1),
        ("00003", 4, 1),
    ]
    assert [text[8] for text in texts(run)] == ["0", "2", "3", "4"]
    rows = [pq.read_table(run.rows_path(shard.name)).column("row") for shard in built.shards]
    assert [column.to_pylist() for column in rows] == [[0, 1], [2], [3], [4]]


def test_rejected_rows_are_counted_and_listed_together(tmp_path: Path) -> None:
    run, tasks, results = staged(tmp_path / "here")
    built = finish_build(run, tasks, results)
    assert (built.rejected, built.requests, built.rows) == (1, 4, 5)
    assert (run.folder / "rejected.jsonl").read_bytes().count(b"\n") == 1
    assert run.outcomes_path("00000", 0).exists()
    assert not run.outcomes_path("00001", 0).exists()


def test_a_run_is_built_when_its_shards_are_written_down(tmp_path: Path) -> None:
    run, tasks, results = staged(tmp_path / "here")
    assert not run.is_built
    built = finish_build(run, tasks, results)
    assert run.is_built
    assert Run(run.folder).shards == built
    assert not (run.folder / "build").exists()


def test_the_target_is_chosen_by_what_there_is_to_send(tmp_path: Path) -> None:
    run, tasks, results = staged(tmp_path / "here")
    assert finish_build(run, tasks, results).target == "file"
    run, tasks, results = staged(tmp_path / "there", rows_per_shard=10, rows_per_task=5)
    assert finish_build(run, tasks, results).target == "inline"


def test_moving_files_can_be_repeated_from_any_point(tmp_path: Path) -> None:
    whole, tasks, results = staged(tmp_path / "whole")
    finish_build(whole, tasks, results)
    expected = content(whole)
    moved = sorted(name for name in expected if name.startswith(("requests", "rows", "outcomes")))
    assert len(moved) == 9
    for stopped_after in range(len(moved)):
        run, tasks, results = staged(tmp_path / str(stopped_after))
        for name in moved[:stopped_after]:
            _move(name, run, tasks)
        finish_build(run, tasks, results)
        assert content(run) == expected


def _move(name: str, run: Run, tasks: list[BuildTask]) -> None:
    """Move one file as a build does that is killed after it."""
    stem, suffix = name.split("/")[1].split(".")
    shard, _, attempt = stem.partition("-")
    task, index = divmod(int(shard), 2)
    source = tasks[task].staging / f"{index}{'-0' if attempt else ''}.{suffix}"
    target = run.folder / name
    target.parent.mkdir(exist_ok=True)
    source.rename(target)
