"""Collect: responses become outcomes, outcomes the result table, and the balance is struck."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING, Literal

from batchkit import durable, jsonl
from batchkit.damage import COLLECT_AGAIN, reading
from batchkit.display.live import shown
from batchkit.engines import check_done, engine_named
from batchkit.events import Collected
from batchkit.pushed import balance
from batchkit.results import Results
from batchkit.rundir import AUDIT, opened
from batchkit.service.client import client_for, cloud_of
from batchkit.tasks import CollectTask, run_collect
from batchkit.verdict import verdict_of
from batchkit.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from batchkit.engines import Engine
    from batchkit.events import Progress
    from batchkit.rundir import Run
    from batchkit.service.client import Client

__all__ = ["collect"]


def collect(
    run: Run | str | Path,
    *,
    client: Client | None = None,
    engine: str | Engine = "local",
    source: Literal["table", "carried"] = "table",
    progress: Progress | None = None,
) -> Results:
    """Join every response there is onto the rows that asked, and return the result table.

    Every row gets exactly one status; rows whose jobs have not ended are `pending`, and a later
    collect fills them in. Jobs are looked at once, and outputs fetched, where that was not done
    before; without such a job no client is needed. `audit.json` gets the balance. With
    `source="carried"` the result has only the columns that travelled with the run, for a table
    whose files are gone or changed. Rows that stay in BigQuery are joined and counted there.
    """
    run = opened(run)
    with shown(progress) as tell, run.hold():
        durable.sweep(run.folder)
        if any(attempt.stage in {"running", "ended"} for attempt in run.attempts()):
            used = client_for(run.definition.dialect.service, client)
            watch = Watch(run, used, tell)
            run.check_account(watch.client.account)
            watch.advance()
        if run.definition.resident is not None:
            statuses, lines = balance(run, cloud_of(client).warehouse)
            _strike_balance(run, statuses, lines)
            return Results(run, client=client)
        _join(run, engine_named(engine), tell)
        results = Results(run, source)
        _strike_balance(run, results.tally(), _lines(run))
        _gather_quarantine(run)
    return results


def _join(run: Run, engine: Engine, tell: Progress) -> None:
    """Every response file becomes outcomes."""
    tasks = _tasks(run)
    durable.make_folder(run.folder / "outcomes")
    for done, _ in enumerate(engine.map(run_collect, tasks), start=1):
        tell(Collected(min(done, len(tasks)), len(tasks)))
    check_done(sum(task.marker.exists() for task in tasks), len(tasks))


def _tasks(run: Run) -> list[CollectTask]:
    return [
        CollectTask(
            str(run.folder),
            shard.name,
            attempt.number,
            verdict_of(attempt),
            fetched.content.get("bytes"),
        )
        for shard in run.shards.shards
        for attempt in run.ledger.attempts(shard.name)
        if (fetched := attempt.last("fetched"))
    ]


def _lines(run: Run) -> Counter[str]:
    """Response lines by placement, over all response files."""
    lines: Counter[str] = Counter()
    for marker in sorted((run.folder / "outcomes").glob("*-*.json")):
        with reading(marker, COLLECT_AGAIN):
            lines.update(jsonl.loads(marker.read_bytes())["lines"])
    return lines


def _strike_balance(run: Run, statuses: Mapping[str, int], lines: Mapping[str, int]) -> None:
    """Write `audit.json`; rows that do not add up are an error of ours."""
    rows = run.shards.rows
    if sum(statuses.values()) != rows:
        message = f"{sum(statuses.values())} outcomes for {rows} rows"
        raise AssertionError(message)
    audit = {
        "rows": rows,
        "statuses": statuses,
        "requests": run.shards.requests,
        "jobs": sum(1 for attempt in run.attempts() if attempt.job),
        "lines": dict(lines),
        "is_complete": statuses["pending"] == 0,
    }
    durable.write_whole(run.folder / AUDIT, jsonl.dumps_readable(audit))


def _gather_quarantine(run: Run) -> None:
    """Write `quarantine.jsonl`: the lines that fit no row, if there are any."""
    aside = sorted((run.folder / "outcomes").glob("*.quarantine.jsonl"))
    kept = [path for path in aside if path.stat().st_size]
    quarantine = run.folder / "quarantine.jsonl"
    if not kept:
        quarantine.unlink(missing_ok=True)
        return
    with durable.whole_file(quarantine) as whole:
        for path in kept:
            with path.open("rb") as part:
                shutil.copyfileobj(part, whole)
