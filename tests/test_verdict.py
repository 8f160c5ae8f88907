from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from batchkit.ledger import Ledger
from batchkit.verdict import DELETED, Verdict, refusal_of, refusals_of, verdict_of

if TYPE_CHECKING:
    from pathlib import Path

    from batchkit.ledger import Attempt

GONE = "the output is gone"


def ended(folder: Path, lost: str | None = None, **content: Any) -> Attempt:
    """An attempt whose job came to this end."""
    ledger = Ledger(folder)
    attempt = ledger.write(ledger.attempt("00004", 2), "created", job="batches/x")
    attempt = ledger.write(attempt, "ended", job="batches/x", **content)
    return ledger.write(attempt, "fetched", lost=lost)


@pytest.mark.parametrize(
    "content, code, said",
    [
        ({"state": "succeeded"}, None, "ended as succeeded, without a line for this key"),
        ({"state": "succeeded", "lost": GONE}, None, f"ended as succeeded, but {GONE}"),
        ({"state": "expired"}, None, "ended as expired, without a line for this key"),
        ({"state": DELETED}, None, "was deleted before its output was fetched"),
        ({"state": "failed"}, None, "failed: no reason given"),
        (
            {"state": "failed", "error": {"reason": "INTERNAL", "message": "oh"}},
            "INTERNAL",
            "failed: oh",
        ),
    ],
)
def test_a_row_that_a_job_left_out_is_missing_and_why(
    tmp_path: Path, content: dict[str, Any], code: str | None, said: str
) -> None:
    attempt = ended(tmp_path, **content)
    assert verdict_of(attempt) == Verdict("missing", code, f"batches/x {said}")
    assert refusal_of(attempt) is None


def test_a_job_that_failed_for_its_requests_refused_all_of_them(tmp_path: Path) -> None:
    error = {"reason": "INVALID_ARGUMENT", "message": "line 3"}
    attempt = ended(tmp_path, state="failed", error=error)
    said = "batches/x was refused as a whole: line 3"
    assert verdict_of(attempt) == Verdict("error", "INVALID_ARGUMENT", said)
    assert refusal_of(attempt) == said


def test_requests_that_no_job_was_made_of_were_refused_by_name(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    attempt = ledger.write(ledger.attempt("00004", 2), "intent", target="file")
    refused = {"status": 400, "reason": "INVALID_ARGUMENT", "message": "no"}
    attempt = ledger.close(ledger.write(attempt, "refused", **refused))
    said = "00004-2 was refused as a whole: no"
    assert verdict_of(attempt) == Verdict("error", "INVALID_ARGUMENT", said)
    assert refusal_of(attempt) == said


def test_a_job_that_runs_has_refused_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert refusal_of(ledger.attempt("00000", 1)) is None
    assert refusal_of(ledger.write(ledger.attempt("00000", 1), "created", job="batches/x")) is None


def test_rows_of_a_shard_that_is_asked_in_parts_are_missing_and_were_not_asked(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path)
    attempt = ledger.write(ledger.attempt("00004", 1), "recut")
    said = "00004 is asked in smaller parts, not whole"
    assert verdict_of(attempt) == Verdict("missing", None, said)
    assert refusal_of(attempt) == said
    assert refusals_of([attempt, ended(tmp_path, state="expired")]) == {1: said}
