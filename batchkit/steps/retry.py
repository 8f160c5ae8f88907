"""Retry: the rows that failed by no fault of their own are built to be asked again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchkit.balance import strike_balance
from batchkit.claims import Terms, claims_of
from batchkit.display.live import shown
from batchkit.errors import CapabilityError, SetupError
from batchkit.events import Said
from batchkit.harvest import harvest
from batchkit.repeats import Repeats, sweep_unbuilt
from batchkit.rundir import opened

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from batchkit.claims import Reason
    from batchkit.engines import Engine
    from batchkit.events import Progress
    from batchkit.limits import Limits
    from batchkit.rundir import Run
    from batchkit.service.client import Client

__all__ = ["Retried", "retry"]


@dataclass(frozen=True, slots=True)
class Retried:
    """What a retry has built, to be submitted: rows to be asked again, by the status they had.

    `shards` is in how many request files they are. `left` counts the rows that failed and stay as
    they are: "final" (asking again would not help), "exhausted" (asked `max_attempts` times),
    "refused" (with their whole job: bisect it).
    """

    asked: Mapping[str, int]
    shards: int
    left: Mapping[Reason, int]

    @property
    def rows(self) -> int:
        """How many rows are to be asked again."""
        return sum(self.asked.values())


def retry(  # noqa: PLR0913  # the options of a verb
    run: Run | str | Path,
    *,
    max_attempts: int = 3,
    max_output_tokens: int | None = None,
    bisect: bool = False,
    recut: bool = False,
    limits: Mapping[str, float] | None = None,
    client: Client | None = None,
    engine: str | Engine = "local",
    progress: Progress | None = None,
) -> Retried:
    """Build shards of exactly the rows that deserve to be asked again; `submit` sends them.

    What has come back is collected first. Asked again are rows that are `empty`, `malformed`,
    `missing`, or an `error` of a transient kind, until they were asked `max_attempts` times in all;
    with `max_output_tokens`, also those that were truncated under a lower limit. Their requests
    are the lines they were built as. A row whose answer is awaited is not asked, so that repeating
    the call before it came changes nothing. What a job that was stopped left unanswered goes into
    shards of half its size at most. `bisect=True` cuts each job that was refused as a
    whole in halves; submitted and retried again and again, the rows to blame end alone, as
    `error`. `recut=True` does so with shards that have no job and are too large to get one: those
    of more than `max_enqueued_tokens`, and those as large as one for which there was no room (429),
    although no job of this run is under way. `limits` changes what a shard may hold:
    `{"max_rows": 1000}`.

    No client is needed unless jobs run.
    """
    run = opened(run)
    if run.definition.resident is not None:
        message = f"{run.folder} has its rows in BigQuery (pushdown), where none is asked again yet"
        raise CapabilityError(message)
    terms = _terms(max_attempts, max_output_tokens, bisect=bisect)
    cut = run.definition.limits.changed(limits or {})
    with shown(progress) as tell, run.hold():
        if bisect:
            _close_refused(run)
        if recut:
            cut = _recut(run, cut)
        harvest(run, client, engine, tell)
        sweep_unbuilt(run)
        retried = _built(run, terms, cut)
        strike_balance(run, client)
        tell(Said(_in_words(retried)))
    return retried


def _in_words(retried: Retried) -> str:
    if not retried.rows:
        return "no row is to be asked again"
    rows = "1 row is" if retried.rows == 1 else f"{retried.rows:,} rows are"
    shards = "1 shard" if retried.shards == 1 else f"{retried.shards:,} shards"
    return f"{rows} to be asked again, in {shards}"


def _terms(max_attempts: int, max_output_tokens: int | None, *, bisect: bool) -> Terms:
    if max_attempts < 1:
        message = f"max_attempts={max_attempts}: a row is asked once at least"
        raise SetupError(message)
    if max_output_tokens is not None and max_output_tokens < 1:
        message = f"max_output_tokens={max_output_tokens} is no limit to answer in"
        raise SetupError(message)
    return Terms(max_attempts, max_output_tokens, bisect)


def _close_refused(run: Run) -> None:
    """What the service refused to make a job of becomes rows in error, which can be bisected."""
    for attempt in run.attempts():
        if attempt.is_refused:
            run.ledger.close(attempt)


def _recut(run: Run, limits: Limits) -> Limits:
    """Shards that are too large to be taken get no job as they are; what their parts may hold."""
    asked = list(run.asked())
    is_alone = not any(each.stage == "running" or each.may_have_job for _, each in asked)
    tokens = {each.name: limits.tokens_of(shard.bytes) for shard, each in asked}
    refused = [tokens[each.name] for _, each in asked if is_alone and each.lacked_room]
    too_much = min([*refused, limits.max_enqueued_tokens + 1])
    for shard, attempt in asked:
        is_too_large = tokens[attempt.name] >= too_much and shard.requests > 1
        if attempt.stage == "unsent" and is_too_large:
            run.ledger.write(attempt, "recut")
    return limits.changed({"max_tokens": min(limits.max_tokens, limits.max_enqueued_tokens)})


def _built(run: Run, terms: Terms, limits: Limits) -> Retried:
    asked: Counter[str] = Counter()
    left: Counter[Reason] = Counter()
    shards = 0
    for shard in run.shards.shards:
        claims = claims_of(run, shard, terms)
        left += claims.left
        for claim in claims.claims:
            claimed = Counter(claim.statuses.values())
            for attempt in Repeats(run, shard, claim, limits).build():
                shards += 1
                asked.update(attempt.facts[-1].content["statuses"])
                claimed.subtract(attempt.facts[-1].content["statuses"])
            left["final"] += claimed.total()  # those that had the raised limit already
    return Retried(dict(asked), shards, dict(+left))
