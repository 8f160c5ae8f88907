"""What becomes of rows that no answer names, by how their job ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchkit.ledger import Attempt
    from batchkit.outcome import Status

__all__ = ["DELETED", "Verdict", "refusal_of", "verdict_of"]

# The state of a job that the service no longer knows; none of its own.
DELETED = "deleted"
# Reasons for which a job fails because of its requests, not because of the service.
_REFUSED = frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE", "UNIMPLEMENTED"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the rows that no line answers, by how their job ended."""

    status: Status
    error_code: str | None = None
    error_message: str | None = None


def verdict_of(attempt: Attempt) -> Verdict:
    """What it means for a row that its job ended and no line carries its key."""
    closed = attempt.last("closed")
    if closed is not None:
        said = f"{attempt.asked_name} was refused as a whole: {closed.content['message']}"
        return Verdict("error", closed.content["reason"], said)
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
    if fetched and fetched.content.get("salvaged") is not None:
        return Verdict("missing", None, "none of the answers that were salvaged is this row's")
    lost = fetched.content.get("lost") if fetched else None
    how = f"but {lost}" if lost else "without a line for this key"
    ended_as = said.get(str(state), f"{job} ended as {state}, {how}")
    return Verdict("missing", error["reason"] if error else None, ended_as)


def refusal_of(attempt: Attempt) -> str | None:
    """The error message of rows that were refused with all others of their attempt, if any were."""
    verdict = verdict_of(attempt)
    return verdict.error_message if verdict.status == "error" else None
