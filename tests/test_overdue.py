from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.emulator import Clock, Emulator, JobFault, serve
from batchkit.errors import SetupError, WaitTimeoutError
from batchkit.events import Event, Said, Sent
from tests.conftest import quick_client, quick_vertex
from tests.google import Google, answered_lines, google, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from batchkit.ledger import Attempt, Fact

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")
ROWS = 10
TABLE = [{"id": f"k{i}", "text": f"text {i}"} for i in range(ROWS)]
GS = "gs://emulator-bucket/here"
RESPLIT: dict[str, Any] = {"deadline": 0.3, "on_deadline": "cancel_and_resplit"}


def built(folder: Path, **options: Any) -> bk.Run:
    return bk.build(TABLE, SPEC, key="id", into=folder, **{"target": "file", **options})


def client_of(emulator: Emulator, target: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of the service that a target belongs to."""
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    return quick_vertex() if target == GS else quick_client(emulator)


def requests(run: bk.Run) -> list[int]:
    """How many requests each attempt has."""
    return [shard.requests for shard, _ in run.asked()]


def facts(run: bk.Run, attempt: int = 0) -> list[str]:
    return [fact.kind for fact in run.attempts()[attempt].facts]


def said(told: list[Event], part: str) -> list[str]:
    return [event.text for event in told if isinstance(event, Said) and part in event.text]


@pytest.mark.parametrize("target", ["file", "inline", GS])
def test_a_job_that_is_stuck_is_cancelled_at_its_deadline_and_its_rows_asked_in_smaller_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    told: list[Event] = []
    with serve(faults=[JobFault("stick", times=1)], buckets=["emulator-bucket"]) as emulator:
        client = client_of(emulator, target, monkeypatch)
        run = built(tmp_path / "run", target=target)
        bk.submit(run, client=client)
        bk.wait(run, client=client, poll_seconds=0.05, progress=told.append, **RESPLIT)
        results = bk.collect(run, client=client)
        assert [*emulator.stats()["requests"].values()] == [1] * ROWS
        jobs = emulator.stats()["jobs"]
    assert {state.partition("STATE_")[2]: n for state, n in jobs.items()} == {
        "CANCELLED": 1,
        "SUCCEEDED": 2,
    }
    assert results.tally()["ok"] == ROWS
    assert requests(run) == [ROWS, 5, 5]
    assert facts(run)[-3:] == ["overdue", "ended", "fetched"]
    assert len(said(told, "is asked to stop")) == len(said(told, "in 2 smaller jobs")) == 1


def test_a_whole_run_ends_with_every_row_answered_though_a_job_is_stuck(tmp_path: Path) -> None:
    with serve(faults=[JobFault("stick", times=1)]) as emulator:
        options: dict[str, Any] = {"client": quick_client(emulator), "poll_seconds": 0.05}
        into = tmp_path / "run"
        run = bk.run(TABLE, SPEC, key="id", into=into, retries=1, **RESPLIT, **options)
        again = bk.run(TABLE, SPEC, key="id", into=into, retries=1, **RESPLIT, **options)
        assert set(emulator.stats()["requests"].values()) == {1}
    assert run.tally()["ok"] == again.tally()["ok"] == ROWS


@pytest.mark.parametrize("answered", [0.0, 0.4, 0.9])
@pytest.mark.parametrize("target", ["file", GS])
def test_a_whole_run_ends_with_every_row_answered_though_a_job_expires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, answered: float
) -> None:
    faults = [JobFault("expire", answered=answered, times=1)]
    with serve(faults=faults, buckets=["emulator-bucket"]) as emulator:
        client = client_of(emulator, target, monkeypatch)
        options: dict[str, Any] = {"client": client, "poll_seconds": 0.05, "target": target}
        results = bk.run(TABLE, SPEC, key="id", into=tmp_path / "run", retries=1, **options)
        paid = emulator.stats()["requests"]
    assert results.tally()["ok"] == ROWS
    kept = 0 if target == "file" else round(ROWS * answered)  # the Developer API gives nothing
    missing = ROWS - kept
    assert sum(paid.values()) == round(ROWS * answered) + missing
    assert sum(requests(results.run)[1:]) == missing
    assert max(requests(results.run)[1:]) <= ROWS / 2
    again = jsonl.loads((results.run.folder / "audit.json").read_bytes())["attempts"]
    assert [each["requests"] for each in again] == [ROWS, missing]


def test_what_a_cancelled_job_answered_counts_and_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()

    def tell(event: Event) -> None:
        if isinstance(event, Sent) and event.shards > 1:
            clock.advance(2_000)  # what was asked again is answered

    with serve(clock=clock, job_seconds=1_000, buckets=["emulator-bucket"]) as emulator:
        client = client_of(emulator, GS, monkeypatch)
        run = built(tmp_path / "run", target=GS)
        bk.submit(run, client=client)
        clock.advance(420)
        bk.wait(run, client=client, poll_seconds=0.05, progress=tell, **RESPLIT)
        assert bk.collect(run, client=client).tally()["ok"] == ROWS
        assert set(emulator.stats()["requests"].values()) == {1}
    assert requests(run) == [ROWS, 3, 3]


def test_by_default_a_late_job_is_named_once_and_goes_on(tmp_path: Path) -> None:
    told: list[Event] = []
    with serve(faults=[JobFault("stick")]) as emulator:
        client = quick_client(emulator)
        run = built(tmp_path / "run")
        bk.submit(run, client=client)
        waiting: dict[str, Any] = {"poll_seconds": 0.02, "progress": told.append}
        with pytest.raises(WaitTimeoutError):
            bk.wait(run, client=client, timeout=0.7, deadline=0.2, **waiting)
        assert emulator.stats()["jobs"] == {"BATCH_STATE_PENDING": 1}
    (late,) = said(told, "past its deadline")
    assert late.endswith("is pending past its deadline of 0 s; it goes on")
    assert facts(run)[-1] == "created"


def test_jobs_that_are_always_stuck_are_cancelled_no_more_than_rows_may_be_asked(
    tmp_path: Path,
) -> None:
    told: list[Event] = []
    with serve(faults=[JobFault("stick")]) as emulator:
        client = quick_client(emulator)
        run = built(tmp_path / "run")
        bk.submit(run, client=client)
        waiting: dict[str, Any] = {"poll_seconds": 0.05, "progress": told.append}
        with pytest.raises(WaitTimeoutError):
            bk.wait(run, client=client, timeout=4, max_attempts=3, **waiting, **RESPLIT)
        jobs = emulator.stats()["jobs"]
    assert requests(run) == [ROWS, 5, 5, 3, 2, 3, 2]
    assert jobs == {"BATCH_STATE_CANCELLED": 3, "BATCH_STATE_PENDING": 4}
    assert len(said(told, "it goes on: rows of it were asked 3 times")) == 4
    assert bk.open_run(run.folder).tally()["pending"] == ROWS


class _Killed(BaseException):
    """What ends a driver here, as nothing catches it."""


class _Killer:
    def __init__(self, die_at: int) -> None:
        self._left = die_at

    def __call__(self, _: Attempt, __: Fact) -> None:
        self._left -= 1
        if self._left == 0:
            raise _Killed


def killed(folder: Path, emulator: Emulator, die_at: int) -> bool:
    """Wait in a driver that ends after so many facts; whether it came to that."""
    run = bk.Run(folder, observe=[_Killer(die_at)])
    try:
        bk.wait(run, client=quick_client(emulator), poll_seconds=0.05, **RESPLIT)
    except _Killed:
        return True
    return False


def test_a_driver_that_is_killed_anywhere_is_followed_by_one_that_goes_on(tmp_path: Path) -> None:
    whole = built(tmp_path / "whole")
    for die_at in range(1, 40):
        with serve(faults=[JobFault("stick", times=1)]) as emulator:
            client = quick_client(emulator)
            run = bk.open_run(shutil.copytree(whole.folder, tmp_path / f"run-{die_at}"))
            bk.submit(run, client=client)
            was_killed = killed(run.folder, emulator, die_at)
            options: dict[str, Any] = {"settle_seconds": 0.05, **RESPLIT}
            bk.wait(run, client=client, poll_seconds=0.05, **options)
            assert bk.collect(run, client=client).tally()["ok"] == ROWS
            assert emulator.stats()["requests"] == {f"k{i}": 1 for i in range(ROWS)}
            assert sum(requests(run)) == 2 * ROWS
        if not was_killed:
            break
    assert die_at > 12  # overdue, ended, fetched, and of two jobs built, intent and so on


def test_what_waits_to_be_asked_again_is_withdrawn_when_the_run_is_cancelled(
    tmp_path: Path,
) -> None:
    def die(attempt: Attempt, fact: Fact) -> None:
        if (attempt.number, fact.kind) == (3, "built"):
            raise _Killed

    with serve(faults=[JobFault("stick", times=1)]) as emulator:
        client = quick_client(emulator)
        run = built(tmp_path / "run")
        bk.submit(run, client=client)
        with pytest.raises(_Killed):
            bk.wait(bk.Run(run.folder, [die]), client=client, poll_seconds=0.05, **RESPLIT)
        bk.cancel(run, client=client, dry_run=False)
        bk.wait(run, client=client, poll_seconds=0.05, **RESPLIT)
        assert emulator.stats()["jobs"] == {"BATCH_STATE_CANCELLED": 1}
        assert bk.submit(run, client=client).is_complete
        bk.wait(run, client=client, poll_seconds=0.05)
        assert bk.collect(run, client=client).tally()["ok"] == ROWS


def sent(folder: Path, service: Google) -> bk.Run:
    run = bk.build([{"id": "k0", "text": "x"}] * 1, SPEC, key="id", into=folder, target="file")
    bk.submit(run, client=service.client())
    return run


def test_a_job_that_ends_while_it_is_cancelled_has_its_answers_taken(tmp_path: Path) -> None:
    with google() as service:
        run = sent(tmp_path / "run", service)
        service.answers["POST /v1beta/batches/"] = [refusal(400, "it has ended", "FAILED")]

        def tell(event: Event) -> None:
            if isinstance(event, Said) and "asked to stop" in event.text:
                service.end("batches/j0", output=answered_lines(["k0"]))

        bk.wait(run, client=service.client(), poll_seconds=0.05, progress=tell, **RESPLIT)
        assert len(service.asked("POST", ":cancel")) == 1
        assert bk.collect(run).tally()["ok"] == 1
    assert facts(run)[-3:] == ["overdue", "ended", "fetched"]
    assert len(run.attempts()) == 1


def test_a_cancel_that_the_service_failed_at_is_asked_for_again(tmp_path: Path) -> None:
    told: list[Event] = []
    with google() as service:
        run = sent(tmp_path / "run", service)
        busy = [refusal(429, "slowly", "RESOURCE_EXHAUSTED")]
        service.answers["POST /v1beta/batches/"] = busy * 500

        def tell(event: Event) -> None:
            told.append(event)
            if isinstance(event, Said) and "slowly" in event.text:
                busy_for_ever = service.answers["POST /v1beta/batches/"]
                busy_for_ever.clear()
            if isinstance(event, Said) and "asked to stop" in event.text:
                service.end("batches/j0", output=answered_lines(["k0"]))

        bk.wait(run, client=service.client(), poll_seconds=0.05, progress=tell, **RESPLIT)
        assert bk.collect(run).tally()["ok"] == 1
    assert len(said(told, "slowly")) == len(said(told, "asked to stop")) == 1
    assert facts(run).count("overdue") == 1


def test_a_job_whose_requests_have_a_raised_limit_is_not_cancelled(tmp_path: Path) -> None:
    spec = bk.generate("gemini-3.8-flash", "Say {text}", config={"maxOutputTokens": 2})
    table = [{"id": "k0", "text": "x " * 20}]
    told: list[Event] = []
    with serve() as emulator:
        client = quick_client(emulator)
        options: dict[str, Any] = {"client": client, "poll_seconds": 0.05}
        run = bk.run(table, spec, key="id", into=tmp_path / "run", target="file", **options).run
        emulator.inject(JobFault("stick"))
        assert bk.retry(run, max_output_tokens=900, client=client).rows == 1
        bk.submit(run, client=client)
        with pytest.raises(WaitTimeoutError):
            bk.wait(run, timeout=1, progress=told.append, max_attempts=9, **options, **RESPLIT)
        assert emulator.stats()["jobs"]["BATCH_STATE_PENDING"] == 1
    assert len(said(told, "or with a raised limit")) == 1


@pytest.mark.parametrize(
    "options, message",
    [
        ({"deadline": 0.0}, "no job has ended by then"),
        ({"on_deadline": "cancel_and_resplit"}, "needs a deadline="),
        ({"deadline": 5.0, "on_deadline": "cancel"}, "'keep' or 'cancel_and_resplit'"),
        ({**RESPLIT, "max_attempts": 1}, "may be asked once"),
    ],
)
def test_a_deadline_that_means_nothing_is_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SetupError, match=message):
        bk.wait(built(tmp_path / "run"), **options)


def test_a_run_that_may_ask_no_row_again_is_not_resplit(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="may be asked once"):
        bk.run(TABLE, SPEC, key="id", into=tmp_path / "run", **RESPLIT)
    assert not (tmp_path / "run").exists()
