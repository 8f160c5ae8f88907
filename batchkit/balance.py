"""The balance of a run: every row in one status, every line in one place, every request counted."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

from batchkit import durable, jsonl
from batchkit.verdict import refusal_of

if TYPE_CHECKING:
    from batchkit.rundir import Run

__all__ = ["strike_balance"]


def strike_balance(run: Run) -> None:
    """Write `audit.json` and `quarantine.jsonl`; rows that do not add up are an error of ours."""
    counts = run.tally()
    rows = run.shards.rows
    if sum(counts.values()) != rows:
        message = f"{sum(counts.values())} outcomes for {rows} rows"
        raise AssertionError(message)
    markers = sorted((run.folder / "outcomes").glob("*-*.json"))
    lines: Counter[str] = Counter()
    for marker in markers:
        lines.update(jsonl.loads(marker.read_bytes())["lines"])
    asked = list(run.asked())
    audit = {
        "rows": rows,
        "statuses": counts,
        "requests": run.shards.requests,
        "jobs": sum(1 for _, attempt in asked if attempt.job),
        "repeats": sum(shard.requests for shard, a in asked if a.number > 1 and a.job),
        "attempts": _spent(run),
        "lines": dict(lines),
        "is_complete": counts["pending"] == 0,
    }
    durable.write_whole(run.folder / "audit.json", jsonl.dumps_readable(audit))
    _gather_quarantine(run)


def _spent(run: Run) -> list[dict[str, Any]]:
    """What each time of asking came to, over all shards: requests, how many `ok`, tokens."""
    spent: list[Counter[str]] = []
    for shard in run.shards.shards:
        attempts = run.ledger.attempts(shard.name)
        refusals = {a.number: said for a in attempts if (said := refusal_of(a)) is not None}
        for index, counts in enumerate(run.outcomes(shard).spent(refusals)):
            if index == len(spent):
                spent.append(Counter())
            spent[index].update(counts)
    return [dict(counts) for counts in spent]


def _gather_quarantine(run: Run) -> None:
    aside = sorted((run.folder / "outcomes").glob("*.quarantine.jsonl"))
    kept = [path for path in aside if path.stat().st_size]
    if kept:
        with durable.whole_file(run.folder / "quarantine.jsonl") as whole:
            for path in kept:
                with path.open("rb") as part:
                    shutil.copyfileobj(part, whole)
