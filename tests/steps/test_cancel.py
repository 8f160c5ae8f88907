from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

import batchkit as bk
from batchkit.emulator import Clock, Limits, serve
from batchkit.errors import AccountChangedError, ServiceFailureError
from tests.conftest import quick_client, quick_vertex
from tests.scripted import Asked, Said, passed_on, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchkit.emulator import Emulator

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")
ROWS = [{"id": f"k{i}", "text": "hello"} for i in range(6)]


@pytest.fixture
def slow() -> Iterator[Emulator]:
    """A service whose jobs run for a minute, by a clock that a test moves."""
    with serve(clock=Clock(dt.datetime.now(dt.UTC)), job_seconds=60) as emulator:
        yield emulator


def sent(folder: Path, client: Any, target: str = "inline") -> bk.Run:
    """Six rows in three jobs."""
    run = bk.build(ROWS, SPEC, key="id", into=folder, target=target, limits={"max_rows": 2})
    bk.submit(run, client=client, settle_seconds=0)
    return run


def states(client: Any) -> list[str]:
    return sorted(str(job.state) for job in client.batches.list_all())


def jobs_of(run: bk.Run) -> list[str]:
    return sorted(str(attempt.job) for attempt in run.attempts())


def test_a_dry_run_names_the_jobs_and_stops_none(tmp_path: Path, slow: Emulator) -> None:
    client = quick_client(slow)
    run = sent(tmp_path / "run", client)
    found = bk.cancel(run, client=client)
    assert found.dry_run
    assert sorted(job.name for job in found.jobs) == jobs_of(run)
    assert not any(job.is_complete for job in client.batches.list_all())


@pytest.mark.parametrize("target", ["inline", "file"])
def test_the_jobs_of_the_run_are_stopped_and_no_other(
    tmp_path: Path, slow: Emulator, target: str
) -> None:
    client = quick_client(slow)
    other = sent(tmp_path / "other", client, target)
    run = sent(tmp_path / "run", client, target)
    bk.cancel(run, dry_run=False, client=client)
    stopped = [job.name for job in client.batches.list_all() if job.cancelled]
    assert sorted(stopped) == jobs_of(run)
    assert bk.cancel(other, client=client).jobs != ()
    bk.wait(run, client=client, poll_seconds=0.01)
    tally = bk.collect(run, client=client).tally()
    assert (tally["missing"], tally["pending"]) == (6, 0)


def test_on_vertex_what_a_job_had_done_counts_and_the_rest_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(dt.datetime.now(dt.UTC))
    with serve(buckets=["a-bucket"], clock=clock, job_seconds=60) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        client = quick_vertex()
        run = sent(tmp_path / "run", client, "gs://a-bucket/p")
        clock.advance(45)
        bk.cancel(run, dry_run=False, client=client)
        assert states(client) == ["cancelled"] * 3
        bk.wait(run, client=client, poll_seconds=0.01)
        tally = bk.collect(run, client=client).tally()
    assert (tally["ok"], tally["missing"]) == (3, 3)


def test_jobs_that_have_ended_or_are_gone_are_left_alone(tmp_path: Path, slow: Emulator) -> None:
    client = quick_client(slow)
    run = sent(tmp_path / "run", client)
    first, *_ = jobs_of(run)
    client.batches.delete(first)
    assert len(bk.cancel(run, client=client).jobs) == 2
    slow.clock.advance(61)
    assert bk.cancel(run, dry_run=False, client=client).jobs == ()
    assert states(client) == ["succeeded"] * 2


def test_a_second_cancel_finds_nothing(tmp_path: Path, slow: Emulator) -> None:
    client = quick_client(slow)
    run = sent(tmp_path / "run", client)
    assert len(bk.cancel(run, dry_run=False, client=client).jobs) == 3
    assert bk.cancel(run, dry_run=False, client=client).jobs == ()


def test_shards_without_a_job_stay_as_they_are_until_another_submit(tmp_path: Path) -> None:
    with serve(limits=Limits(concurrent_jobs=1), job_seconds=60) as emulator:
        client = quick_client(emulator)
        run = sent(tmp_path / "run", client)
        stopped = bk.cancel(run, dry_run=False, client=client)
        assert (len(stopped.jobs), stopped.unsent) == (1, 2)
        assert [attempt.stage for attempt in run.attempts()] == ["running", "unsent", "unsent"]
        bk.wait(run, client=client, poll_seconds=0.01)
        tally = bk.collect(run, client=client).tally()
        assert (tally["missing"], tally["pending"]) == (2, 4)
        assert states(client) == ["cancelled"]
        bk.submit(run, client=client)
        assert len(states(client)) == 2


def test_a_job_whose_create_was_not_answered_is_found_by_its_name(
    tmp_path: Path, slow: Emulator
) -> None:
    run = bk.build(ROWS, SPEC, key="id", into=tmp_path / "run", target="inline")
    asked: list[str] = []

    def answer(request: Asked) -> Said:
        """Every create takes effect, and its reply never comes; the list is empty."""
        if request.method == "GET":
            return Said()
        asked.append(request.path)
        said = passed_on(request, slow.url) if len(asked) == 1 else Said(503)
        return Said(503) if said.status == 200 else said

    with scripted(answer) as server:
        unheard = bk.Gemini(slow.api_key, base_url=server.url)
        with pytest.raises(ServiceFailureError):
            bk.submit(run, client=unheard, settle_seconds=0)
    client = quick_client(slow)
    assert [attempt.stage for attempt in run.attempts()] == ["sending"]
    assert len(bk.cancel(run, client=client).jobs) == 1
    assert [attempt.stage for attempt in run.attempts()] == ["sending"]
    assert len(bk.cancel(run, dry_run=False, client=client).jobs) == 1
    assert states(client) == ["cancelled"]
    bk.wait(run, client=client, poll_seconds=0.01)
    assert bk.collect(run).tally()["missing"] == 6


def test_another_account_cannot_cancel(tmp_path: Path, slow: Emulator) -> None:
    run = sent(tmp_path / "run", quick_client(slow))
    other = bk.Gemini("another-key", base_url=slow.url)
    with pytest.raises(AccountChangedError, match="another API key"):
        bk.cancel(run, client=other)


def test_a_job_that_ends_while_it_is_asked_to_stop_is_no_error(
    tmp_path: Path, slow: Emulator
) -> None:
    run = sent(tmp_path / "run", quick_client(slow))

    def answer(request: Asked) -> Said:
        """The service refuses to stop what has ended a moment ago."""
        if request.path.endswith(":cancel"):
            slow.clock.advance(61)
            error = {"code": 400, "status": "FAILED_PRECONDITION", "message": "it has ended"}
            return Said(400, {"error": error})
        return passed_on(request, slow.url)

    with scripted(answer) as server:
        client = bk.Gemini(slow.api_key, base_url=server.url)
        assert bk.cancel(run, dry_run=False, client=client).jobs == ()


def test_a_refusal_to_stop_a_job_that_runs_is_raised(tmp_path: Path, slow: Emulator) -> None:
    run = sent(tmp_path / "run", quick_client(slow))

    def answer(request: Asked) -> Said:
        if request.path.endswith(":cancel"):
            error = {"code": 400, "status": "INVALID_ARGUMENT", "message": "no"}
            return Said(400, {"error": error})
        return passed_on(request, slow.url)

    with scripted(answer) as server, pytest.raises(bk.errors.InvalidRequestError):
        bk.cancel(run, dry_run=False, client=bk.Gemini(slow.api_key, base_url=server.url))
