"""Collect: responses become outcomes, outcomes the result table, and the balance is struck."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

from batchkit import durable, jsonl
from batchkit.collecting import Verdict
from batchkit.display.live import shown
from batchkit.engines import check_done, engine_named
from batchkit.events import Collected
from batchkit.results import Results
from batchkit.rundir import opened
from batchkit.service.client import Gemini
from batchkit.tasks import CollectTask, run_collect
from batchkit.watch import DELETED, Watch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from batchkit.engines import Engine
    from batchkit.events import Progress
    from batchkit.ledger import Attempt
    from batchkit.rundir import Run

__all__ = ["collect"]


# Reasons for which a job fails because of its requests, not because of the service.
_REFUSED = frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE", "UNIMPLEMENTED"})


def collect(
    run: Run | str | Path,
    *,
    client: Gemini | None = None,
    engine: str | Engine = "local",
    source: Literal["table", "carried"] = "table",
    progress: Progress | None = None,
) -> Results:
    """Join every response there is onto the rows that asked, and return the result table.

    Every row gets exactly one status; rows whose jobs have not ended are `pending`, and a later
    collect fills them in. Jobs are looked at once, and outputs fetched, where that was not done
    before; without such a job no client is needed. `audit.json` gets the balance. With
    `source="carried"` the result has only the columns that travelled with the run, for a table
    whose files are gone or changed.
    """
    run = opened(run)
    with shown(progress) as tell, run.hold():
        durable.sweep(run.folder)
        if any(attempt.stage in {"running", "ended"} for attempt in run.attempts()):
            watch = Watch(run, client or Gemini(), tell)
            run.check_account(watch.client.account)
            watch.advance()
        tasks = _tasks(run)
        durable.make_folder(run.folder / "outcomes")
        for done, _ in enumerate(engine_named(engine).map(run_collect, tasks), start=1):
            tell(Collected(min(done, len(tasks)), len(tasks)))
        check_done(sum(task.marker.exists() for task in tasks), len(tasks))
        results = Results(run, source)
        _strike_balance(run, results)
    return results


def _tasks(run: Run) -> list[CollectTask]:
    return [
        CollectTask(str(run.folder), shard.name, attempt.number, _verdict(attempt))
        for shard in run.shards.shards
        for attempt in run.ledger.attempts(shard.name)
        if attempt.stage == "fetched"
    ]


def _verdict(attempt: Attempt) -> Verdict:
    """What it means for a row that its job ended and no line carries its key."""
    ended = attempt.last("ended")
    content: Mapping[str, Any] = ended.content if ended else {}
    job, state, error = attempt.job, content.get("state"), content.get("error")
    if state == "failed" and error and error["reason"] in _REFUSED:
        return Verdict(
            "error", error["reason"], f"{job} was refused as a whole: {error['message']}"
        )
    said = {
        "failed": f"{job} failed: {error['message'] if error else 'no reason given'}",
        DELETED: f"{job} was deleted before its output was fetched",
    }
    fetched = attempt.last("fetched")
    lost = fetched.content.get("lost") if fetched else None
    how = f"but {lost}" if lost else "without a line for this key"
    ended_as = said.get(str(state), f"{job} ended as {state}, {how}")
    return Verdict("missing", error["reason"] if error else None, ended_as)


def _strike_balance(run: Run, results: Results) -> None:
    """Write `audit.json` and `quarantine.jsonl`; rows that do not add up are an error of ours."""
    counts = results.tally()
    rows = run.shards.rows
    if sum(counts.values()) != rows:
        message = f"{sum(counts.values())} outcomes for {rows} rows"
        raise AssertionError(message)
    markers = sorted((run.folder / "outcomes").glob("*-*.json"))
    lines: Counter[str] = Counter()
    for marker in markers:
        lines.update(jsonl.loads(marker.read_bytes())["lines"])
    audit = {
        "rows": rows,
        "statuses": counts,
        "requests": run.shards.requests,
        "jobs": sum(1 for attempt in run.attempts() if attempt.job),
        "lines": dict(lines),
        "is_complete": counts["pending"] == 0,
    }
    durable.write_whole(run.folder / "audit.json", jsonl.dumps_readable(audit))
    _gather_quarantine(run)


def _gather_quarantine(run: Run) -> None:
    aside = sorted((run.folder / "outcomes").glob("*.quarantine.jsonl"))
    kept = [path for path in aside if path.stat().st_size]
    if kept:
        with durable.whole_file(run.folder / "quarantine.jsonl") as whole:
            for path in kept:
                with path.open("rb") as part:
                    shutil.copyfileobj(part, whole)
