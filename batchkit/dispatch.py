"""Gets jobs for what is to be asked, in order, as far as the service takes them now."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchkit.capacity import Capacity
from batchkit.errors import InvalidRequestError, RateLimitedError
from batchkit.events import Said, Sent
from batchkit.service.client import Gemini
from batchkit.targets.file import tell_room
from batchkit.targets.target import target_named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchkit.courier import Courier, JobsByName
    from batchkit.ledger import Attempt
    from batchkit.rundir import Run, Shard

__all__ = ["Dispatch", "Submission", "held", "is_held", "way_of"]

_OPEN = frozenset({"unsent", "sending"})
_HELD = 429


@dataclass(frozen=True, slots=True)
class Submission:
    """How many shards have a job now, of how many; `held` says why the others have none yet."""

    sent: int
    total: int
    held: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every shard has its job."""
        return self.sent == self.total


def held(run: Run) -> int:
    """How many attempts wait for room, having been submitted; 0 when none was held back."""
    unsent = [attempt for attempt in run.attempts() if attempt.stage in _OPEN]
    return len(unsent) if any(map(is_held, unsent)) else 0


def way_of(run: Run) -> str:
    """How the run was last submitted, or else is to be."""
    intents = [attempt.last("intent") for attempt in run.attempts()]
    last = max((intent for intent in intents if intent), key=lambda fact: fact.at, default=None)
    return last.content["target"] if last else run.shards.target


class Dispatch:
    """One driver's submitting; it remembers between rounds what the service refused."""

    def __init__(self, courier: Courier, way: str) -> None:
        limits = courier.run.definition.limits
        self._courier = courier
        self._way = way
        self._capacity = Capacity(limits.max_jobs, limits.max_enqueued_tokens)
        self._said: str | None = None
        self._has_told_room = False

    def send(self) -> Submission:
        """Create a job for each attempt that has none and fits; the run must be held.

        Raises a ServiceError for a refusal that is not for want of room; nothing is lost.
        """
        run, tell = self._courier.run, self._courier.tell
        asked = [(s, attempt) for s, attempt in run.asked() if not attempt.last("closed")]
        self._capacity.see(
            {attempt.name: self._tokens(s) for s, attempt in asked if attempt.stage == "running"}
        )
        sent, total = 0, len(asked)
        tell(Sent(0, total))
        jobs: JobsByName | None = None
        for shard, attempt in asked:
            if attempt.stage in _OPEN:
                if why := self._why_not(shard, attempt):
                    return self._held(sent, total, why)
                jobs = self._jobs(asked) if jobs is None else jobs
                try:
                    self._courier.send(shard, attempt, self._way, jobs)
                except RateLimitedError as error:
                    self._capacity.refused(self._tokens(shard), error.retry_after)
                    return self._held(sent, total, error.message)
                except InvalidRequestError as error:
                    self._close_half(shard, attempt, error)
                    total -= 1
                    continue
                self._capacity.took(attempt.name, self._tokens(shard))
            sent += 1
            tell(Sent(sent, total))
        return Submission(sent, total)

    def _tokens(self, shard: Shard) -> int:
        return math.ceil(shard.bytes / self._courier.run.definition.limits.bytes_per_token)

    def _why_not(self, shard: Shard, attempt: Attempt) -> str | None:
        """Why an attempt is held back without asking; that becomes a fact, once."""
        if attempt.may_have_job:
            return None
        why = self._capacity.why_not(self._tokens(shard))
        if why is not None and not is_held(attempt):
            self._courier.run.ledger.write(attempt, "held", why=why)
        return why

    def _held(self, sent: int, total: int, why: str) -> Submission:
        if why != self._said:  # each time once
            self._said = why
            said = f"{sent} of {total} shards have a job; the service takes no more now: {why}"
            self._courier.tell(Said(said, is_warning=True))
        return Submission(sent, total, why)

    def _jobs(self, asked: Sequence[tuple[Shard, Attempt]]) -> JobsByName:
        """The jobs there are before any is created.

        Raises before anything is sent when what is to be created has no place.
        """
        courier = self._courier
        for place in filter(None, (self._way, courier.run.definition.output)):
            target_named(place).check(courier.client, place)
        jobs = courier.jobs()
        for shard, attempt in asked:
            if attempt.stage in _OPEN:
                courier.check(shard, attempt, self._way, jobs)
        self._tell_room(sum(shard.bytes for shard, each in asked if each.stage in _OPEN))
        return jobs

    def _tell_room(self, adding: int) -> None:
        """Say once how much room uploads have left, where that is little."""
        client = self._courier.client
        if self._way == "file" and isinstance(client, Gemini) and not self._has_told_room:
            self._has_told_room = True
            tell_room(client, adding, self._courier.tell)

    def _close_half(self, shard: Shard, attempt: Attempt, error: InvalidRequestError) -> None:
        """Settle a part of a job that is bisected; a whole job's refusal is raised."""
        ledger = self._courier.run.ledger
        refused = ledger.attempt(attempt.shard, attempt.number)
        if not (refused.is_half and refused.is_refused):
            raise error
        ledger.close(refused)
        said = f"shard {shard.name} is refused: {error.message}"
        self._courier.tell(Said(said, is_warning=True))


def is_held(attempt: Attempt) -> bool:
    """Whether the service had no room for it when it was last tried."""
    last = attempt.facts[-1] if attempt.facts else None
    if last is None or last.kind not in {"held", "refused"}:
        return False
    return last.kind == "held" or last.content["status"] == _HELD
