"""The balance of a run: every row in one status, every line in one place, every request counted."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING

from batchkit import durable, jsonl
from batchkit.damage import COLLECT_AGAIN, reading
from batchkit.pushed import balance
from batchkit.rundir import AUDIT
from batchkit.service.client import cloud_of
from batchkit.shape import check_shape, is_tally
from batchkit.verdict import refusal_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchkit.rundir import Run
    from batchkit.service.client import Client

__all__ = ["strike_balance"]


def strike_balance(run: Run, client: Client | None) -> None:
    """Write `audit.json` and `quarantine.jsonl`; rows that do not add up are an error of ours.

    The client is for rows that stay in BigQuery, which are counted there.
    """
    if run.definition.resident is not None:
        counted = balance(run, cloud_of(client).warehouse)
        spent = [counted.spent] if counted.spent["requests"] else []
        _write_audit(run, counted.statuses, counted.lines, spent)
        return
    _write_audit(run, run.tally(), _lines(run), _spent(run))
    _gather_quarantine(run)


def _write_audit(
    run: Run,
    statuses: Mapping[str, int],
    lines: Mapping[str, int],
    spent: Sequence[Mapping[str, int]],
) -> None:
    rows = run.shards.rows
    if sum(statuses.values()) != rows:
        message = f"{sum(statuses.values())} outcomes for {rows} rows"
        raise AssertionError(message)
    asked = list(run.asked())
    audit = {
        "rows": rows,
        "statuses": statuses,
        "requests": run.shards.requests,
        "jobs": sum(1 for _, attempt in asked if attempt.job),
        "repeats": sum(shard.requests for shard, a in asked if a.number > 1 and a.job),
        "attempts": list(spent),
        "ambiguous": run.twins(),
        "lines": dict(lines),
        "is_complete": statuses["pending"] == 0,
    }
    durable.write_whole(run.folder / AUDIT, jsonl.dumps_readable(audit))


def _lines(run: Run) -> Counter[str]:
    """Response lines by placement, over all response files."""
    lines: Counter[str] = Counter()
    for marker in sorted((run.folder / "outcomes").glob("*-*.json")):
        with reading(marker, COLLECT_AGAIN):
            content = jsonl.loads(marker.read_bytes())
            check_shape(content, {"lines": is_tally})
            lines.update(content["lines"])
    return lines


def _spent(run: Run) -> list[dict[str, int]]:
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
