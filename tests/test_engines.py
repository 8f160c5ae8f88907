from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.engines import engine_named
from batchkit.errors import SetupError
from batchkit.tasks import BuildTask, CollectTask, run_build, run_collect
from tests.driver import FORKS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Service


def test_the_local_engine_runs_tasks_one_after_the_other() -> None:
    seen: list[int] = []

    def work(task: int) -> int:
        seen.append(task)
        return task * 10

    results = engine_named("local").map(work, [1, 2, 3])
    assert seen == []
    assert list(results) == [10, 20, 30]
    assert seen == [1, 2, 3]


def test_an_object_with_map_is_an_engine() -> None:
    class Mine:
        def map(self, function, tasks):  # noqa: ANN001, ANN202
            return [function(task) for task in tasks]

    mine = Mine()
    assert engine_named(mine) is mine


@pytest.mark.parametrize("engine", ["spark", None, 3, "map"])
def test_anything_else_is_refused_with_what_may_be_given(engine: object) -> None:
    with pytest.raises(SetupError, match="give 'local', or an object with map"):
        engine_named(engine)


def by_json(kind: str, task: str) -> None:
    """What a worker on another machine does: a task comes as JSON, and its files are its result."""
    content = jsonl.loads(task)
    if kind == "run_build":
        run_build(BuildTask.from_json(content))
    else:
        run_collect(CollectTask.from_json(content))


class Elsewhere:
    """Each task in a process of its own, as JSON, the last first, and then all of them again."""

    def map(self, function: Any, tasks: Any) -> Any:
        for task in reversed(tasks):
            text = jsonl.dumps(task.to_json()).decode()
            process = FORKS.Process(target=by_json, args=(function.__name__, text))
            process.start()
            process.join(60)
            assert process.exitcode == 0
        yield from map(function, [*reversed(tasks), *tasks])


class AtOnce:
    """Each task twice at the same time, in threads."""

    def map(self, function: Any, tasks: Any) -> Any:
        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(function, [task for task in tasks for _ in range(2)]))


@pytest.mark.parametrize("engine", [Elsewhere(), AtOnce()], ids=["elsewhere", "at once"])
def test_tasks_may_run_anywhere_in_any_order_and_more_than_once(
    tmp_path: Path, service: Service, engine: Any
) -> None:
    texts = [None if i % 9 == 0 else f"row {i}" for i in range(30)]
    table = pa.table({"id": range(30), "text": pa.array(texts)})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=10)
    results: list[pa.Table] = []
    for name, way in (("here", "local"), ("there", engine)):
        found = bk.run(
            tmp_path / "rows.parquet",
            bk.generate("gemini-3.8-flash", "Say {text}"),
            key="id",
            into=tmp_path / name,
            limits={"max_rows": 7},
            client=service.client,
            engine=way,
        )
        results.append(found.to_arrow())
        assert found.run.shards.rejected == 4
        assert (found.run.folder / "rejected.jsonl").read_bytes().count(b"\n") == 4
    assert results[0].equals(results[1])
    assert results[0].column("status").to_pylist().count("ok") == 26
    assert set(service.paid().values()) == {2}  # once for each of the two runs


class Forgetful:
    """An engine that leaves out the last task."""

    def map(self, function: Any, tasks: Any) -> Any:
        return [function(task) for task in tasks[:-1]]


def test_an_engine_that_leaves_out_tasks_is_refused(tmp_path: Path, service: Service) -> None:
    spec = bk.generate("gemini-3.8-flash", "Say {text}")
    with pytest.raises(SetupError, match="the engine gave 0 results for 1 tasks"):
        bk.build([{"text": "a"}], spec, into=tmp_path / "run", engine=Forgetful())
    run = bk.build([{"text": "a"}], spec, into=tmp_path / "run")
    bk.submit(run, client=service.client)
    with pytest.raises(SetupError, match="the engine gave 0 results for 1 tasks"):
        bk.collect(run, client=service.client, engine=Forgetful())
    assert bk.collect(run).tally()["ok"] == 1


class Failing:
    """An engine whose workers go away."""

    def map(self, function: Any, tasks: Any) -> Any:
        message = f"the cluster is gone: {function.__name__} of {len(tasks)} tasks"
        raise RuntimeError(message)


def test_an_engine_that_fails_leaves_a_run_that_goes_on(tmp_path: Path, service: Service) -> None:
    spec = bk.generate("gemini-3.8-flash", "Say {text}")
    with pytest.raises(RuntimeError, match="the cluster is gone"):
        bk.build([{"text": "a"}], spec, into=tmp_path / "run", engine=Failing())
    run = bk.build([{"text": "a"}], spec, into=tmp_path / "run")
    bk.submit(run, client=service.client)
    with pytest.raises(RuntimeError, match="the cluster is gone"):
        bk.collect(run, client=service.client, engine=Failing())
    assert bk.collect(run).tally()["ok"] == 1
