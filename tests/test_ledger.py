from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchkit.errors import RunDirectoryError, RunHeldError
from batchkit.ledger import Attempt, Fact, Ledger

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


def test_an_attempt_without_facts_is_unsent(ledger: Ledger) -> None:
    assert ledger.attempt("00000", 1).stage == "unsent"


def test_facts_add_up_to_a_stage_and_are_files_in_the_order_of_events(
    ledger: Ledger, tmp_path: Path
) -> None:
    attempt = ledger.attempt("00000", 1)
    stages: list[str] = []
    for kind in ("intent", "uploaded", "created", "ended", "fetched"):
        attempt = ledger.write(attempt, kind, job="batches/x")
        stages.append(attempt.stage)
    assert stages == ["sending", "sending", "running", "ended", "fetched"]
    assert sorted(path.name for path in (tmp_path / "00000-1").iterdir()) == [
        "01-intent.json",
        "02-uploaded.json",
        "03-created.json",
        "04-ended.json",
        "05-fetched.json",
    ]
    assert ledger.attempt("00000", 1) == attempt
    assert attempt.job == "batches/x"


def test_a_refusal_makes_the_attempt_unsent_again(ledger: Ledger) -> None:
    attempt = ledger.write(ledger.attempt("00000", 1), "intent", target="inline")
    assert attempt.may_have_job
    attempt = ledger.write(attempt, "refused", status=429)
    assert attempt.stage == "unsent"
    assert not attempt.may_have_job


def test_a_file_that_is_not_uploaded_yet_cannot_have_a_job(ledger: Ledger) -> None:
    attempt = ledger.write(ledger.attempt("00000", 1), "intent", target="file")
    assert not attempt.may_have_job
    assert ledger.write(attempt, "uploaded", file="files/x").may_have_job


def test_two_drivers_cannot_write_the_same_fact(ledger: Ledger) -> None:
    attempt = ledger.attempt("00000", 1)
    ledger.write(attempt, "intent", driver="one")
    with pytest.raises(RunHeldError, match="another driver has written facts about shard 00000-1"):
        ledger.write(attempt, "intent", driver="two")
    with pytest.raises(RunHeldError):
        ledger.write(attempt, "refused", driver="two")
    assert ledger.attempt("00000", 1).facts[0].content == {"driver": "one"}


def test_observers_are_told_when_the_fact_is_on_disk(tmp_path: Path) -> None:
    seen: list[tuple[str, str, bool]] = []

    def observe(attempt: Attempt, fact: Fact) -> None:
        there = (tmp_path / attempt.name / fact.name).exists()
        seen.append((attempt.name, fact.kind, there))

    watched = Ledger(tmp_path, [observe])
    watched.write(watched.attempt("00007", 1), "intent")
    assert seen == [("00007-1", "intent", True)]


def test_facts_sort_by_number_beyond_ninety_nine(ledger: Ledger) -> None:
    attempt = ledger.attempt("00000", 1)
    for _ in range(60):
        attempt = ledger.write(attempt, "intent")
        attempt = ledger.write(attempt, "refused")
    again = ledger.attempt("00000", 1)
    assert [fact.number for fact in again.facts] == list(range(1, 121))


def test_attempts_are_those_with_a_folder_and_there_is_always_a_first(ledger: Ledger) -> None:
    assert [attempt.number for attempt in ledger.attempts("00000")] == [1]
    ledger.write(ledger.attempt("00000", 1), "intent")
    ledger.write(ledger.attempt("00000", 2), "intent")
    assert [attempt.number for attempt in ledger.attempts("00000")] == [1, 2]


def test_a_folder_that_a_killed_driver_left_empty_is_no_attempt(
    ledger: Ledger, tmp_path: Path
) -> None:
    ledger.write(ledger.attempt("00000", 1), "intent")
    (tmp_path / "00000-2").mkdir()
    (attempt,) = ledger.attempts("00000")
    assert attempt.number == 1
    ledger.write(ledger.attempt("00000", 2), "built")
    assert [attempt.stage for attempt in ledger.attempts("00000")] == ["sending", "unsent"]


def test_the_first_attempt_asks_what_was_built_and_each_other_one_has_files_of_its_own(
    ledger: Ledger,
) -> None:
    assert ledger.attempt("00003", 1).asked_name == "00003"
    assert ledger.attempt("00003", 2).asked_name == "00003-2"


@pytest.mark.parametrize(
    "status, reason, is_refused",
    [
        (400, "INVALID_ARGUMENT", True),
        (400, "FAILED_PRECONDITION", False),
        (400, "API_KEY_INVALID", False),
        (429, "RESOURCE_EXHAUSTED", False),
    ],
)
def test_an_attempt_is_refused_by_its_requests_not_by_account_or_quota(
    ledger: Ledger, status: int, reason: str, *, is_refused: bool
) -> None:
    attempt = ledger.write(ledger.attempt("00000", 1), "intent", target="inline")
    assert not attempt.is_refused
    said = {"status": status, "reason": reason, "message": "no"}
    attempt = ledger.write(attempt, "refused", **said)
    assert attempt.is_refused == is_refused
    if is_refused:
        closed = ledger.close(attempt)
        assert (closed.stage, closed.job) == ("fetched", None)
        assert not closed.is_refused


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"at":1}', '{"kind":"guess","at":1}', '{"kind":"created","at":1}']
)
def test_a_damaged_fact_is_an_error_that_names_the_file(
    ledger: Ledger, tmp_path: Path, content: str
) -> None:
    ledger.write(ledger.attempt("00000", 1), "intent")
    (tmp_path / "00000-1" / "02-created.json").write_text(content)
    with pytest.raises(RunDirectoryError, match=r"02-created\.json is damaged"):
        ledger.attempt("00000", 1)
