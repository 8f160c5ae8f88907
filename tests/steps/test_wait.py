from __future__ import annotations

import datetime as dt
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.emulator import CallFault, Clock, JobFault, Limits, serve
from batchkit.errors import RunHeldError, WaitTimeoutError
from batchkit.events import Event, Polled, Said
from tests.conftest import Service, quick_client

if TYPE_CHECKING:
    from pathlib import Path

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")
NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


def sent(folder: Path, client: bk.Gemini, rows: int = 4, *, settle_seconds: float = 60) -> bk.Run:
    table = [{"id": f"k{i}", "text": "hello"} for i in range(rows)]
    run = bk.build(table, SPEC, key="id", into=folder, limits={"max_rows": 2}, target="file")
    bk.submit(run, client=client, settle_seconds=settle_seconds)
    return run


def states(run: bk.Run) -> list[str]:
    return [attempt.facts[-1].kind for attempt in run.attempts()]


def test_it_returns_when_all_jobs_have_ended_with_their_outputs_on_disk(
    tmp_path: Path, service: Service
) -> None:
    run = sent(tmp_path / "run", service.client)
    bk.wait(run, client=service.client, poll_seconds=0.01)
    assert states(run) == ["fetched", "fetched"]
    for attempt in run.attempts():
        assert run.responses_path(attempt).read_bytes().count(b"\n") == 2


def test_a_timeout_raises_and_the_jobs_go_on(tmp_path: Path) -> None:
    with serve(clock=Clock(NOW), job_seconds=60) as emulator:
        client = quick_client(emulator)
        run = sent(tmp_path / "run", client)
        emulator.clock.advance(1)
        with pytest.raises(WaitTimeoutError, match="go on, and were not cancelled"):
            bk.wait(run, client=client, poll_seconds=0.01, timeout=0.05)
        assert emulator.stats()["jobs"] == {"BATCH_STATE_RUNNING": 2}
        emulator.clock.advance(61)
        bk.wait(run, client=client, poll_seconds=0.01)
    assert states(run) == ["fetched", "fetched"]


def test_every_job_is_told_on_every_poll(tmp_path: Path) -> None:
    told: list[Event] = []
    with serve(clock=Clock(NOW), job_seconds=60) as emulator:
        client = quick_client(emulator)
        run = sent(tmp_path / "run", client)
        emulator.clock.advance(1)
        with pytest.raises(WaitTimeoutError):
            bk.wait(run, client=client, poll_seconds=0.01, timeout=0.1, progress=told.append)
        emulator.clock.advance(61)
        bk.wait(run, client=client, progress=told.append)
    seen = [(event.shard, str(event.job.state)) for event in told if isinstance(event, Polled)]
    assert seen[:2] == [("00000", "running"), ("00001", "running")]
    assert seen[-2:] == [("00000", "succeeded"), ("00001", "succeeded")]


def test_a_network_that_fails_between_polls_is_waited_out(tmp_path: Path) -> None:
    told: list[Event] = []
    with serve(folder=tmp_path / "service", job_seconds=0) as emulator:
        port = int(emulator.url.rpartition(":")[2])
        impatient = bk.Retries(first_seconds=0.01, longest_seconds=0.01, total_seconds=0.05)
        client = bk.Gemini(emulator.api_key, base_url=emulator.url, retries=impatient)
        run = sent(tmp_path / "run", client)
    waiting = threading.Thread(
        target=bk.wait,
        args=(run,),
        kwargs={"client": client, "poll_seconds": 0.05, "progress": told.append},
    )
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    with serve(port, folder=tmp_path / "service"):
        waiting.join(30)
    assert not waiting.is_alive()
    assert any(isinstance(event, Said) and "no answer" in event.text for event in told)
    assert states(run) == ["fetched", "fetched"]


@pytest.mark.parametrize("code", [429, 503])
def test_a_list_that_is_refused_while_shards_are_held_is_waited_out(
    tmp_path: Path, code: int
) -> None:
    impatient = bk.Retries(first_seconds=0.01, longest_seconds=0.01, total_seconds=0.02)
    told: list[Event] = []
    with serve(limits=Limits(concurrent_jobs=1), job_seconds=0.2) as emulator:
        client = bk.Gemini(emulator.api_key, base_url=emulator.url, retries=impatient)
        run = sent(tmp_path / "run", client, rows=6)
        assert [each.stage for each in run.attempts()] == ["running", "unsent", "unsent"]
        emulator.inject(CallFault("refuse", on="list", code=code, times=30))
        bk.wait(run, client=client, poll_seconds=0.05, progress=told.append)
        assert emulator.stats()["faults"] == {"refuse": 30}
        assert emulator.stats()["requests"] == {f"k{i}": 1 for i in range(6)}
    assert any("looking again later" in event.text for event in told if isinstance(event, Said))


def test_a_run_that_another_driver_holds_is_refused_with_its_name(
    tmp_path: Path, service: Service
) -> None:
    run = sent(tmp_path / "run", service.client)
    with run.hold(), pytest.raises(RunHeldError) as caught:
        bk.wait(bk.open_run(run.folder), client=service.client)
    assert caught.value.holder.endswith(f"pid {os.getpid()}")


def hold_until(run: bk.Run, done: threading.Event) -> None:
    """Hold the run as soon as it is free, until that is no longer wanted."""
    while not done.is_set():
        try:
            with bk.open_run(run.folder).hold():
                done.wait(30)
        except RunHeldError:
            time.sleep(0.001)


def test_another_driver_between_two_polls_is_waited_out(tmp_path: Path) -> None:
    told: list[Event] = []
    done = threading.Event()
    with serve(clock=Clock(NOW), job_seconds=60) as emulator:
        client = quick_client(emulator)
        run = sent(tmp_path / "run", client)
        other = threading.Thread(target=hold_until, args=(run, done))

        def listen(event: Event) -> None:
            told.append(event)
            if isinstance(event, Polled) and not other.ident:
                other.start()
            if isinstance(event, Said) and "holds the run" in event.text:
                emulator.clock.advance(61)
                done.set()

        bk.wait(run, client=client, poll_seconds=0.05, progress=listen)
        other.join(30)
    assert states(run) == ["fetched", "fetched"]
    assert any(isinstance(event, Said) and str(os.getpid()) in event.text for event in told)


def test_with_until_any_it_returns_when_one_more_has_ended(tmp_path: Path) -> None:
    with serve(clock=Clock(NOW), job_seconds=60) as emulator:
        client = quick_client(emulator)
        table = [{"text": "x"}] * 2
        run = bk.build(table, SPEC, into=tmp_path / "run", limits={"max_rows": 1}, target="file")
        bk.submit(run, client=client)
        emulator.clock.advance(61)
        bk.wait(run, client=client, until="any", poll_seconds=0.01)
    assert "fetched" in states(run)


def test_a_job_that_was_deleted_ends_without_output(tmp_path: Path) -> None:
    with serve(clock=Clock(NOW), job_seconds=60) as emulator:
        client = quick_client(emulator)
        run = sent(tmp_path / "run", client, rows=2)
        client.batches.delete(run.attempts()[0].job or "")
        bk.wait(run, client=client, poll_seconds=0.01)
    ended = run.attempts()[0].last("ended")
    assert ended is not None
    assert ended.content["state"] == "deleted"
    assert bk.collect(run).tally()["missing"] == 2


def test_a_job_that_no_list_showed_in_time_is_named_beside_the_other(tmp_path: Path) -> None:
    told: list[Event] = []
    with serve(job_seconds=0.8) as emulator:
        client = quick_client(emulator)
        emulator.inject(CallFault("lose", on="create"), JobFault("hide", seconds=0.4))
        run = sent(tmp_path / "run", client, rows=2, settle_seconds=0.05)
        bk.wait(run, client=client, poll_seconds=0.05, progress=told.append)
        assert bk.collect(run, client=client).tally()["ok"] == 2
        assert set(emulator.stats()["requests"].values()) == {2}  # which is what is to be said
        named = {job.name for job in client.batches.list_all()}
    assert run.twins() == {"00000-1": tuple(named - {run.attempts()[0].job})}
    assert any("was sent twice" in event.text for event in told if isinstance(event, Said))
    audit = jsonl.loads((run.folder / "audit.json").read_bytes())
    assert audit["ambiguous"] == {"00000-1": list(run.twins()["00000-1"])}


def test_nothing_sent_is_nothing_to_wait_for(tmp_path: Path, service: Service) -> None:
    run = bk.build([{"text": "x"}], SPEC, into=tmp_path / "run")
    assert bk.wait(run, client=service.client) is run
