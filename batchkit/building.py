"""A run directory is built, from wherever an earlier build of the same stopped."""

from __future__ import annotations

import datetime as dt
import functools
import re
import secrets
import shutil
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from batchkit import durable
from batchkit.display.live import shown
from batchkit.draft import Draft
from batchkit.engines import check_done
from batchkit.errors import RunChangedError, RunDirectoryError, SetupError
from batchkit.events import Built, Said
from batchkit.key import BAD_KEYS, NAMED_KEYS, BadKey, bad_keys, bad_keys_error, wire_keys
from batchkit.pushed import build_there
from batchkit.rundir import Run
from batchkit.service.client import cloud_of
from batchkit.staging import finish_build
from batchkit.tables.reach import Reach
from batchkit.tasks import BAD_KEYS_NAME, BUILD_FOLDER, BuildTask, run_build
from batchkit.text import check_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from batchkit.definition import Definition
    from batchkit.draft import Choices
    from batchkit.engines import Engine
    from batchkit.events import Progress
    from batchkit.service.client import Client
    from batchkit.specs.spec import Spec
    from batchkit.tables.opened import TableLike
    from batchkit.tables.pinned import PinnedTable
    from batchkit.tasks import BuildResult

__all__ = ["Order", "build_run"]

_TASK_BYTES = 64_000_000
# What a run directory may hold before its `run.json` is written.
_BEFORE_DEFINED = frozenset({BUILD_FOLDER, "lease.json", "table.arrow"})


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be built, of what, and where; `model` is for a ready request file."""

    table: TableLike
    spec: Spec | None
    model: str | None
    choices: Choices
    into: str | Path | None


def build_run(
    order: Order, engine: Engine, client: Client | None, progress: Progress | None
) -> Run:
    """The run that is ordered, built to the end; nothing is sent."""
    run = Run(_folder(order.into, order.table))
    _check_folder(run.folder)
    pushdown = order.choices.pushdown
    known = _known(run, pushdown=pushdown)
    with Reach(functools.partial(cloud_of, client), run.folder, known) as reach:
        draft = _draft(order, reach)
        with shown(progress) as tell, run.hold():
            _settle(run, draft, tell)
            if not run.is_built:
                durable.sweep(run.folder)
                if pushdown:
                    build_there(run, reach.cloud.warehouse, tell)
                else:
                    _build(run, draft.spec, engine, tell)
    return run


def _known(run: Run, *, pushdown: bool) -> PinnedTable | None:
    """The table that the run holds already, here or in BigQuery as the run is to have it."""
    is_same_kind = run.is_defined and (run.definition.resident is not None) == pushdown
    return run.definition.table if is_same_kind else None


def _draft(order: Order, reach: Reach) -> Draft:
    table, spec, model = order.table, order.spec, order.model
    if spec is not None:
        if model is not None:
            message = "model= goes with spec=None; a spec names its own model"
            raise SetupError(message)
        return Draft.of_table(table, spec, order.choices, reach)
    if model is None or not isinstance(table, str | Path) or "://" in str(table):
        message = "spec=None sends a ready request file: give its path, and model="
        raise SetupError(message)
    return Draft.of_requests(table, model, order.choices)


def _folder(into: str | Path | None, table: TableLike) -> Path:
    if into is not None:
        return Path(into).expanduser()
    stem = _stem(str(table)) if isinstance(table, str | Path) else "table"
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-") or "table"
    return Path("runs") / f"{name}-{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _stem(address: str) -> str:
    """What a run of this table is called: the file's name, or that of a table of BigQuery."""
    name = Path(address).name
    return name.rpartition(".")[2] if address.startswith("bq://") else name.partition(".")[0]


def _check_folder(folder: Path) -> None:
    """Raise RunDirectoryError when the folder holds what is not ours; nothing of it is touched."""
    if (folder / "run.json").exists() or not folder.is_dir():
        return
    foreign = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    foreign = sorted(set(foreign) - _BEFORE_DEFINED)
    if foreign:
        message = f"{folder} holds other files ({foreign[0]}, …): name a new folder with into="
        raise RunDirectoryError(message, folder)


def _settle(run: Run, draft: Draft, tell: Progress) -> None:
    """Make the directory hold the run of this draft.

    One that is built holds that run already, or it is a RunChangedError. One that never got
    built has sent nothing: it goes on when it is the same, and gives way when it is not.
    """
    if run.is_built:
        run.definition.check_same(draft.same_as(run.definition))
        return
    tell(Said(f"run directory: {run.folder}"))
    definition = draft.define(run.folder)
    if run.is_defined and not run.definition.differences(definition):
        return
    for part in (BUILD_FOLDER, "requests", "rows", "outcomes", "sql"):
        shutil.rmtree(run.folder / part, ignore_errors=True)
    run.define(definition)


def _build(run: Run, spec: Spec, engine: Engine, tell: Progress) -> None:
    definition = run.definition
    _check_keys(run, definition)
    tasks = _tasks(run, definition, spec)
    results: dict[int, BuildResult] = {}
    rows = 0
    tell(Built(0, definition.table.rows, run.folder))
    for result in engine.map(run_build, tasks):
        if result.number not in results:
            rows += sum(shard.rows for shard in result.shards)
        results[result.number] = result
        tell(Built(rows, definition.table.rows, run.folder))
    check_done(len(results), len(tasks))
    _check_source(run, definition)
    shards = finish_build(run, tasks, list(results.values()))
    if shards.rejected:
        said = f"{shards.rejected:,} of {shards.rows:,} rows could not become requests"
        tell(Said(f"{said}: see {run.folder / 'rejected.jsonl'}", is_warning=True))


def _check_source(run: Run, definition: Definition) -> None:
    """Raise RunChangedError for a file that was written to while it was read."""
    changes = definition.table.changes(run.folder)
    if changes:
        message = f"{next(iter(changes))} changed while it was read; build again, nothing was sent"
        raise RunChangedError(message, changes)


def _check_keys(run: Run, definition: Definition) -> None:
    """Refuse keys that cannot name rows, or note them for the tasks to reject."""
    if not definition.key:
        return
    found = bad_keys(lambda: _keys(run, definition), run.folder)
    first = next(found, None)
    if first is None:
        return
    found = chain([first], found)
    if definition.on_bad_key == "raise":
        raise _bad_keys_error(found, definition)
    durable.make_folder(run.folder / BUILD_FOLDER)
    with (
        durable.whole_file(run.folder / BUILD_FOLDER / BAD_KEYS_NAME) as file,
        pq.ParquetWriter(file, BAD_KEYS, compression="zstd") as writer,
    ):
        for batch in found:
            writer.write_batch(batch)


def _bad_keys_error(found: Iterator[pa.RecordBatch], definition: Definition) -> Exception:
    count = 0
    named: list[BadKey] = []
    for batch in found:
        count += batch.num_rows
        first = batch.slice(0, NAMED_KEYS - len(named))
        named.extend(BadKey(**bad) for bad in first.to_pylist())
    return bad_keys_error(count, definition.table.rows, definition.key, named)


def _keys(run: Run, definition: Definition) -> Iterator[tuple[int, pa.Array]]:
    row = 0
    columns = definition.table.columns(definition.key)
    for batch in definition.table.batches(run.folder, columns):
        check_utf8(batch)
        yield row, wire_keys(batch.columns)
        row += batch.num_rows


def _tasks(run: Run, definition: Definition, spec: Spec) -> list[BuildTask]:
    """Groups that follow one another, together large enough to fill a shard."""
    enough = max(_TASK_BYTES, definition.limits.shard_bytes)
    bundles = definition.table.bundles(enough)
    return [BuildTask(str(run.folder), i, pieces, spec) for i, pieces in enumerate(bundles)]
