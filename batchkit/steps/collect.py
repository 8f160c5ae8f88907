"""Collect: responses become outcomes, outcomes the result table, and the balance is struck."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from batchkit.balance import strike_balance
from batchkit.display.live import shown
from batchkit.harvest import harvest
from batchkit.results import Results
from batchkit.rundir import opened

if TYPE_CHECKING:
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
        harvest(run, client, engine, tell)
        if run.definition.resident is None:
            results = Results(run, source)
        else:
            results = Results(run, client=client)
        strike_balance(run, client)
    return results
