"""Which rows of a shard are to be asked again: those that failed by no fault of their own."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from batchkit.verdict import refusals_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from batchkit.ledger import Attempt
    from batchkit.rundir import Run, Shard

__all__ = ["Claim", "Claims", "Reason", "Terms", "claims_of", "times_asked"]

# Why a row that is not ok stays as it is: asking again would not help, it was asked as often as
# it may be, or it was refused with all others of its job, and nobody asked to bisect.
Reason: TypeAlias = Literal["final", "exhausted", "refused"]

# Which rows are asked again together; some of these by the attempt that failed.
_Kind: TypeAlias = Literal["again", "recut", "refused", "stopped", "truncated"]
_BY_ATTEMPT = frozenset({"recut", "refused", "stopped"})
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
    as a whole in halves, until the rows that are to blame stand alone. With `of`, only rows are
    asked again that these attempts, by number, left without an answer.
    """

    max_attempts: int
    max_output_tokens: int | None = None
    bisect: bool = False
    of: Container[int] | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """Rows that are to be asked again together, with the status of each by its number.

    `source` is the attempt whose request file has their lines. With `in_halves`, those of the
    source's first half and of its second do not go together. `max_output_tokens` is the limit
    that they are asked with, None to ask the same; `max_requests` is how many of them go together
    at most, None for as many as the run's limits say.
    """

    source: Attempt
    statuses: Mapping[int, str]
    in_halves: bool = False
    max_output_tokens: int | None = None
    max_requests: int | None = None


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
    refusals = refusals_of(attempts.values())
    outcomes = run.outcomes(shard)
    times = outcomes.times_asked(refusals)
    statuses: defaultdict[tuple[_Kind, int], dict[int, str]] = defaultdict(dict)
    left: Counter[Reason] = Counter()
    for failure in outcomes.failures().to_pylist():
        if terms.of is not None and not _is_unanswered(failure, terms.of):
            continue
        row, attempt = failure["row"], attempts.get(failure["attempt"])
        kind = _kind(failure, attempt, refusals)
        if kind == "recut":
            reason = None
        elif kind == "refused" and attempt is not None:
            reason = _why_not_halved(run.asked_by(shard, attempt).requests, terms)
        else:
            reason = _why_not_again(failure, attempt, int(times[row - shard.first_row]), terms)
        if reason is None:
            number = failure["attempt"] if kind in _BY_ATTEMPT else 1
            statuses[kind, number][row] = failure["status"]
        else:
            left[reason] += 1
    asked = {number: run.asked_by(shard, attempt).requests for number, attempt in attempts.items()}
    return Claims(tuple(_claims(statuses, attempts, asked, terms)), left)


def _is_unanswered(failure: Mapping[str, Any], of: Container[int]) -> bool:
    """Whether one of these attempts was stopped before it had this row's answer."""
    is_cut_off = failure["status"] == "missing" or failure["error_code"] == "CANCELLED"
    return is_cut_off and failure["attempt"] in of


def _kind(
    failure: Mapping[str, Any], attempt: Attempt | None, refusals: Mapping[int, str]
) -> _Kind:
    """With which others a row is asked again, if it is."""
    if attempt is not None and failure["error_message"] == refusals.get(attempt.number, ""):
        return "recut" if attempt.last("recut") else "refused"
    if failure["status"] == "truncated":
        return "truncated"
    is_cut_off = attempt is not None and attempt.was_stopped and failure["status"] == "missing"
    return "stopped" if is_cut_off else "again"


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
    statuses: Mapping[tuple[_Kind, int], dict[int, str]],
    attempts: Mapping[int, Attempt],
    asked: Mapping[int, int],
    terms: Terms,
) -> Iterator[Claim]:
    """The claims, by rows that are asked again together; `asked` is what each attempt asked."""
    for (kind, number), rows in sorted(statuses.items()):
        source = attempts[number]
        most = _fewer(len(rows), asked[number])
        if kind == "refused":
            yield Claim(source, rows, in_halves=True, max_output_tokens=source.max_output_tokens)
        elif kind == "recut":
            limit = source.max_output_tokens
            yield Claim(source, rows, max_output_tokens=limit, max_requests=most)
        elif kind == "stopped":
            yield Claim(attempts[1], rows, max_requests=most)
        else:
            limit = terms.max_output_tokens if kind == "truncated" else None
            yield Claim(source, rows, max_output_tokens=limit)


def _fewer(rows: int, asked: int) -> int:
    """How many rows go together where that many were too much: equal parts, a half at most."""
    parts = math.ceil(rows / math.ceil(asked / 2))
    return math.ceil(rows / parts)


def times_asked(run: Run, shard: Shard) -> NDArray[np.int64]:
    """How often each row of a shard was asked so far, and an answer or its end has come."""
    attempts = run.ledger.attempts(shard.name)
    return run.outcomes(shard).times_asked(refusals_of(attempts))
