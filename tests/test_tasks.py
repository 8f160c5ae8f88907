from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.tables.pinned import PinnedFile
from batchkit.tasks import BuildTask, CollectTask, run_build
from batchkit.verdict import Verdict

SPECS = [
    bk.generate("gemini-3.8-flash", "Say {text}", system="Be brief", config={"topK": 3}),
    bk.embed("gemini-embedding-001", "{text}", title="{title??}", dimensions=8),
]


@pytest.mark.parametrize("spec", SPECS, ids=["generate", "embed"])
def test_a_build_task_survives_json_and_pickle(spec: bk.Spec) -> None:
    file = PinnedFile("/data/y=1/a.parquet", "parquet", 10, 5, (3, 4), (("y", "1"), ("z", None)))
    task = BuildTask("runs/x", 2, (file.piece(0, 1, 0), file.piece(1, 2, 3)), spec)
    assert BuildTask.from_json(jsonl.loads(jsonl.dumps(task.to_json()))) == task
    assert pickle.loads(pickle.dumps(task)) == task  # noqa: S301


def test_a_collect_task_survives_json_and_pickle() -> None:
    task = CollectTask("runs/x", "00003", 1, Verdict("missing", "CODE", "why"))
    assert CollectTask.from_json(jsonl.loads(jsonl.dumps(task.to_json()))) == task
    assert pickle.loads(pickle.dumps(task)) == task  # noqa: S301


def test_a_task_that_ran_before_is_read_and_not_run_again(tmp_path: Path) -> None:
    seen: list[BuildTask] = []

    class Watching:
        def map(self, function, tasks):  # noqa: ANN001, ANN202
            for task in tasks:
                seen.append(task)
                first = function(task)
                files = {p: p.stat().st_mtime_ns for p in Path(task.staging).iterdir()}
                assert function(task) == first
                assert {p: p.stat().st_mtime_ns for p in Path(task.staging).iterdir()} == files
                yield first

    bk.build([{"text": "x"}], SPECS[0], into=tmp_path / "run", engine=Watching())
    assert len(seen) == 1
    assert run_build.__module__ == "batchkit.tasks"  # importable where a worker runs it


def test_what_another_cut_of_the_table_wrote_is_not_taken(tmp_path: Path) -> None:
    class Interrupted:
        def map(self, function: Any, tasks: Any) -> Any:
            (task,) = tasks
            function(task)
            marker = task.staging / "done.json"
            marker.write_bytes(marker.read_bytes().replace(b'"rows": 2', b'"rows": 1', 1))
            return [function(task)]

    rows = [{"text": "x"}, {"text": "y"}]
    run = bk.build(rows, SPECS[0], into=tmp_path / "run", engine=Interrupted())
    assert (run.shards.rows, run.shards.requests) == (2, 2)
