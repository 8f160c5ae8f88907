"""Which rows of a shard are to be asked again: those that failed by no fault of their own."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from batchkit.verdict import refusal_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchkit.ledger import Attempt
    from batchkit.rundir import Run, Shard

__all__ = ["Claim", "Claims", "Reason", "Terms", "claims_of"]

# Why a row that is not ok stays as it is: asking again would not help, it was asked as often as
# it may be, or it was refused with all others of its job, and nobody asked to bisect.
Reason: TypeAlias = Literal["final", "exhausted", "refused"]

_AGAIN = frozenset({"empty", "malformed", "missing"})
# Errors that say nothing against the request; CONFLICT is ours: the service gave two answers.
# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
_TRANSIENT = frozenset(
    {
        "ABORTED",
        "CANCELLED",
        "CONFLICT",
        "DEADLINE_EXCEEDED",
        "INTERNAL",
        "RESOURCE_EXHAUSTED",
        "UNAVAILABLE",
        "UNKNOWN",
    }
)
# "Service agents are being provisioned", with FAILED_PRECONDITION: some minutes later they are.
# https://github.com/GoogleCloudPlatform/generative-ai/issues/1308
_PROVISIONING = "being provisioned"


@dataclass(frozen=True, slots=True)
class Terms:
    """How often a row may be asked in all, and what is asked again on request only.

    `max_output_tokens` is the raised limit for truncated rows. `bisect` cuts jobs that were refused
    as a whole in halves, until the rows that are to blame stand alone.
    """

    max_attempts: int
    max_output_tokens: int | None
    bisect: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """Rows that are to be asked again together, with the status of each by its number.

    `source` is the attempt whose request file has their lines. With `in_halves`, those of the
    source's first half and of its second do not go together. `max_output_tokens` is the limit
    that they are asked with, None to ask the same.
    """

    source: Attempt
    statuses: Mapping[int, str]
    in_halves: bool = False
    max_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of one shard, and how many of its failed rows have none, by reason."""

    claims: tuple[Claim, ...]
    left: Counter[Reason]


def claims_of(run: Run, shard: Shard, terms: Terms) -> Claims:
    """The rows of a shard that failed and may be asked again; one whose answer is awaited is not.

    What has come back must have been made outcomes before.
    """
    attempts = {attempt.number: attempt for attempt in run.ledger.attempts(shard.name)}
    refusals = {n: said for n, a in attempts.items() if (said := refusal_of(a)) is not None}
    outcomes = run.outcomes(shard)
    times = outcomes.times_asked(refusals)
    statuses: defaultdict[tuple[str, int], dict[int, str]] = defaultdict(dict)
    left: Counter[Reason] = Counter()
    for failure in outcomes.failures().to_pylist():
        row, number, status = failure["row"], failure["attempt"], failure["status"]
        attempt = attempts.get(number)
        if attempt is not None and failure["error_message"] == refusals.get(number, ""):
            reason = _why_not_halved(run.asked_by(shard, attempt).requests, terms)
            kind = "refused", number
        else:
            reason = _why_not_again(failure, attempt, int(times[row - shard.first_row]), terms)
            kind = "truncated" if status == "truncated" else "again", 1
        if reason is None:
            statuses[kind][row] = status
        else:
            left[reason] += 1
    return Claims(tuple(_claims(statuses, attempts, terms)), left)


def _why_not_halved(requests: int, terms: Terms) -> Reason | None:
    """Why a row that was refused with its whole job stays refused; a single one is to blame."""
    if requests == 1:
        return "final"
    return None if terms.bisect else "refused"


def _why_not_again(
    failure: Mapping[str, Any], attempt: Attempt | None, times: int, terms: Terms
) -> Reason | None:
    if failure["status"] == "truncated":
        before = attempt.max_output_tokens if attempt else None
        is_owed = (terms.max_output_tokens or 0) > (before or 0)
    elif failure["status"] == "error":
        is_provisioning = _PROVISIONING in (failure["error_message"] or "")
        is_owed = is_provisioning or failure["error_code"] in _TRANSIENT
    else:
        is_owed = failure["status"] in _AGAIN
    if not is_owed:
        return "final"
    return "exhausted" if times >= terms.max_attempts else None


def _claims(
    statuses: Mapping[tuple[str, int], dict[int, str]],
    attempts: Mapping[int, Attempt],
    terms: Terms,
) -> Iterator[Claim]:
    for (kind, number), rows in sorted(statuses.items()):
        source = attempts[number]
        if kind == "refused":
            yield Claim(source, rows, in_halves=True, max_output_tokens=source.max_output_tokens)
        else:
            limit = terms.max_output_tokens if kind == "truncated" else None
            yield Claim(source, rows, max_output_tokens=limit)
