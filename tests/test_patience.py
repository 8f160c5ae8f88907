from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

import batchkit as bk
from batchkit.emulator import Clock, JobFault, serve
from batchkit.errors import WaitTimeoutError
from batchkit.events import Event, Said
from batchkit.patience import Deadline, Patience, span
from batchkit.service.job import BatchJob, CompletionStats, JobState
from tests.conftest import quick_client

if TYPE_CHECKING:
    from pathlib import Path

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")
HOUR = 3600.0
DAY = 24 * HOUR


def ago(seconds: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds)


def run_of(folder: Path, *took: float) -> bk.Run:
    """A run of one job that is under way, and of others that ended well and took so long."""
    table = [{"text": "x"}] * (1 + len(took))
    run = bk.build(table, SPEC, into=folder, limits={"max_rows": 1})
    for number, attempt in enumerate(run.attempts()):
        created = run.ledger.write(attempt, "created", job=f"batches/j{number}")
        if number:
            times = ago(DAY), ago(DAY - took[number - 1])
            begun, over = (time.isoformat() for time in times)
            ended = {"state": "succeeded", "created": begun, "ended": over, "output": None}
            run.ledger.write(created, "ended", **ended)
    return run


def job(age: float, state: JobState = JobState.PENDING, done: int = 0) -> BatchJob:
    stats = CompletionStats(100, done, 0)
    return BatchJob("batches/j0", state, completion_stats=stats, create_time=ago(age))


def told_of(run: bk.Run, *jobs: BatchJob) -> list[str]:
    """What is said of a job that looks like this, one time after the other."""
    told: list[Event] = []
    patience = Patience(run, told.append, Deadline())
    shard, attempt = next(run.asked())
    for each in jobs:
        patience.see(shard, attempt, each)
    assert patience.late() == []
    return [event.text for event in told if isinstance(event, Said)]


@pytest.mark.parametrize(
    "took, patient, said",
    [
        ((), 23 * HOUR, "jobs are documented to take up to 24 h"),
        ((5.0,), 1700, "the others of this run took up to 5 s"),
        ((5.0, 1.5 * HOUR, 60), 4.4 * HOUR, "the others of this run took up to 90 min"),
        ((20 * HOUR,), 23 * HOUR, "the others of this run took up to 20 h"),
    ],
)
def test_a_job_that_takes_far_longer_than_others_did_is_said_to_have_stalled_once(
    tmp_path: Path, took: tuple[float, ...], patient: float, said: str
) -> None:
    run = run_of(tmp_path / "run", *took)
    late = job(1.1 * patient)
    assert told_of(run, job(patient)) == []
    (text,) = told_of(run, late, late)
    assert f"batches/j0 is pending, without progress for {span(1.1 * patient)}; {said}" in text


def test_a_job_that_makes_progress_has_not_stalled(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", 5.0)
    states = [(JobState.RUNNING, 3), (JobState.RUNNING, 3), (JobState.RUNNING, 9)]
    assert told_of(run, *(job(DAY, state, done) for state, done in states)) == []


def test_a_job_that_has_just_begun_to_run_has_not_stalled(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    running = job(23.5 * HOUR, JobState.RUNNING)
    assert told_of(run, job(23 * HOUR), running, job(30 * HOUR, JobState.RUNNING)) == []


def test_jobs_that_failed_say_nothing_of_how_long_one_takes(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    told: list[Event] = []
    patience = Patience(run, told.append, Deadline())
    shard, attempt = next(run.asked())
    failed = run.ledger.write(attempt, "created", job="batches/j1")
    failed = run.ledger.write(failed, "ended", state="failed", created=None, ended=None)
    patience.see(shard, failed, job(5, JobState.FAILED))
    patience.see(shard, attempt, job(20 * HOUR))
    assert told == []


def test_the_age_of_a_job_is_what_the_service_says_or_else_what_we_noted(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    shard, attempt = next(run.asked())
    patience = Patience(run, lambda _: None, Deadline(60))
    for each, is_late in [
        (job(61), True),
        (job(50), False),
        (BatchJob("batches/j0", JobState.RUNNING), False),
    ]:
        patience.see(shard, attempt, each)
        assert patience.late() == ([(shard, attempt, each)] if is_late else [])
        assert patience.late() == []


def test_waiting_says_that_a_job_has_stalled(tmp_path: Path) -> None:
    told: list[Event] = []
    clock = Clock(dt.datetime.now(dt.UTC) - dt.timedelta(hours=30))
    with serve(clock=clock, faults=[JobFault("stick")]) as emulator:
        client = quick_client(emulator)
        run = bk.build([{"text": "x"}], SPEC, into=tmp_path / "run", target="file")
        bk.submit(run, client=client)
        waiting: dict[str, Any] = {"poll_seconds": 0.01, "timeout": 0.2, "progress": told.append}
        with pytest.raises(WaitTimeoutError):
            bk.wait(run, client=client, **waiting)
        assert emulator.stats()["jobs"] == {"BATCH_STATE_PENDING": 1}
    said = [e.text for e in told if isinstance(e, Said) and "without progress for 30 h" in e.text]
    assert len(said) == 1


@pytest.mark.parametrize(
    "seconds, text",
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (119, "119 s"),
        (121, "2 min"),
        (7_200, "2 h"),
        (2 * DAY, "2 days"),
    ],
)
def test_a_time_in_words_is_of_one_unit(seconds: float, text: str) -> None:
    assert span(seconds) == text
