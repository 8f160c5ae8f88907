"""Built shards on their way from the folders of their tasks to their places in the run."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from batchkit import durable
from batchkit.rundir import Run, Shard, Shards
from batchkit.targets.target import choose_target
from batchkit.tasks import BUILD_FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from batchkit.tasks import BuildResult, BuildTask

__all__ = ["finish_build"]


def finish_build(run: Run, tasks: Sequence[BuildTask], results: Sequence[BuildResult]) -> Shards:
    """Number the shards in source order, move their files, and write `shards.json` last.

    Safe to repeat from any point: a file that is not in its task's folder was moved before.
    """
    by_task = {result.number: result for result in results}
    shards: list[Shard] = []
    for task in tasks:
        for index, written in enumerate(by_task[task.number].shards):
            name = f"{len(shards):05d}"
            _move(task.staging / f"{index}.jsonl", run.requests_path(name))
            _move(task.staging / f"{index}.parquet", run.rows_path(name))
            if written.rejected:
                _move(task.staging / f"{index}-0.parquet", run.outcomes_path(name, 0))
            shards.append(
                Shard(
                    name,
                    written.first_row,
                    written.rows,
                    written.requests,
                    written.bytes,
                    written.sha256,
                )
            )
    for folder in ("requests", "rows", "outcomes"):
        if (run.folder / folder).is_dir():
            durable.sync_folder(run.folder / folder)
    _concatenate([task.staging / "rejected.jsonl" for task in tasks], run.folder / "rejected.jsonl")
    definition = run.definition
    target = definition.target or choose_target(shards, definition.limits)
    rejected = sum(written.rejected for result in results for written in result.shards)
    built = Shards(target, rejected, tuple(shards))
    run.finish_build(built)
    shutil.rmtree(run.folder / BUILD_FOLDER, ignore_errors=True)
    return built


def _move(source: Path, target: Path) -> None:
    durable.make_folder(target.parent)
    if source.exists():
        source.replace(target)


def _concatenate(sources: Sequence[Path], target: Path) -> None:
    with durable.whole_file(target) as whole:
        for source in sources:
            with source.open("rb") as part:
                shutil.copyfileobj(part, whole)
