"""What the batch service takes at once: so many jobs, and so many tokens of a model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import orjson

from batchkit.emulator.errors import ApiError, Rpc
from batchkit.emulator.tokens import content_tokens, request_tokens

if TYPE_CHECKING:
    from pathlib import Path

    from batchkit.emulator.jobs import Job, Jobs
    from batchkit.emulator.limits import Limits
    from batchkit.emulator.state import State

__all__ = ["Quota", "file_tokens", "tokens_of"]

_TABLES = "CREATE TABLE IF NOT EXISTS enqueued (id TEXT PRIMARY KEY, tokens INTEGER NOT NULL);"
_SUM = """
SELECT coalesce(sum(tokens), 0) FROM enqueued JOIN jobs USING (id)
WHERE model = ?1 AND state = '' AND due > ?2 AND expires > ?2
"""


@dataclass(frozen=True, slots=True)
class Quota:
    """The room for jobs of one emulator's Developer API."""

    state: State
    jobs: Jobs
    limits: Limits

    def __post_init__(self) -> None:
        self.state.define(_TABLES)

    @property
    def counts_tokens(self) -> bool:
        """Whether tokens matter."""
        return self.limits.enqueued_tokens < math.inf

    def take(self, job: Job, tokens: int) -> None:
        """Take room for a job, in the transaction that keeps it; ApiError 429 when there is none.

        The jobs that have not ended count, whether they wait or run.
        """
        most, most_tokens = self.limits.concurrent_jobs, self.limits.enqueued_tokens
        if self.jobs.alive(job.created) >= most:
            _exhausted(f"{most} concurrent batch jobs")
        if not self.counts_tokens:
            return
        enqueued: int = self.state.value(_SUM, job.model, job.created)
        if enqueued + tokens > most_tokens:
            _exhausted(f"{most_tokens:g} enqueued batch tokens for {job.model}")
        with self.state.transaction() as database:
            database.execute("INSERT INTO enqueued VALUES (?, ?)", [job.id, tokens])


def tokens_of(request: dict[str, Any]) -> int:
    """The tokens of a request of either kind."""
    return request_tokens(request) + content_tokens(request.get("content", {}))


def file_tokens(path: Path, max_line_bytes: int) -> int:
    """The tokens of the requests in a file; a line that cannot be read counts nothing."""
    count = 0
    with path.open("rb") as stream:
        while line := stream.readline(max_line_bytes):
            try:
                value = orjson.loads(line)
                count += tokens_of(value.get("request", value))
            except (ValueError, TypeError, AttributeError):
                continue
    return count


def _exhausted(limit: str) -> NoReturn:
    text = (
        "You exceeded your current quota, please check your plan and billing details. "
        f"Limit: {limit}."
    )
    raise ApiError(Rpc.RESOURCE_EXHAUSTED, text)
