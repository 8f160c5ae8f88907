from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from batchkit.emulator import Clock, JobFault, Limits, RowFault, serve

from .client import Client, generate_line
from .conftest import START

if TYPE_CHECKING:
    from pathlib import Path

    from batchkit.emulator import Emulator

LINES = [generate_line(f"r{i}") for i in range(10)]
HOUR = 3600


def test_a_job_that_is_hidden_is_there_but_in_no_list(emulator: Emulator, client: Client) -> None:
    emulator.inject(JobFault("hide", seconds=60, times=1))
    hidden, seen = client.create_from_lines(LINES), client.create_from_lines(LINES)
    assert client.state(hidden) == "SUCCEEDED"

    def listed() -> list[str]:
        return [each["name"] for each in client.call("GET", "batches")["operations"]]

    assert listed() == [seen["name"]]
    emulator.clock.advance(60)
    assert listed() == [seen["name"], hidden["name"]]


def test_a_job_that_is_stuck_waits_until_it_expires(emulator: Emulator, client: Client) -> None:
    emulator.inject(JobFault("stick", times=1))
    stuck, other = client.create_from_lines(LINES), client.create_from_lines(LINES)
    emulator.clock.advance(48 * HOUR - 1)
    assert (client.state(stuck), client.state(other)) == ("PENDING", "SUCCEEDED")
    emulator.clock.advance(1)
    assert client.state(stuck) == "EXPIRED"
    assert sum(emulator.stats()["requests"].values()) == len(LINES)


@pytest.mark.parametrize(
    "fault, end",
    [
        (JobFault("expire", answered=0.4), ("EXPIRED", 4)),
        (JobFault("fail", answered=0.4), ("FAILED", 13)),
        (JobFault("fail", answered=0.4, code=3), ("FAILED", 3)),
        (JobFault("cancel", answered=0.4), ("CANCELLED", 1)),
    ],
)
def test_a_job_that_ends_early_has_answered_a_share_and_shows_nothing(
    emulator: Emulator, client: Client, fault: JobFault, end: tuple[str, int]
) -> None:
    emulator.inject(fault)
    job = client.get(client.create_from_lines(LINES))
    state = job["metadata"]["state"].removeprefix("BATCH_STATE_")
    assert (state, job["error"]["code"]) == end
    assert "response" not in job
    assert emulator.stats()["requests"] == {f"r{i}": 1 for i in range(4)}
    assert emulator.stats()["faults"] == {fault.kind: 1}


def test_a_job_that_ends_early_ends_when_it_would_have_succeeded(
    slow: Emulator, slow_client: Client
) -> None:
    slow.inject(JobFault("expire"))
    job = slow_client.create_from_lines(LINES)
    slow.clock.advance(659)
    assert slow_client.state(job) == "RUNNING"
    slow.clock.advance(1)
    assert slow_client.state(job) == "EXPIRED"


def test_each_job_has_one_end_and_all_that_befalls_rows(emulator: Emulator, client: Client) -> None:
    emulator.inject(JobFault("fail", times=1), JobFault("expire", times=1), RowFault("drop"))
    states = [client.state(client.create_from_lines(LINES)) for _ in range(3)]
    assert states == ["FAILED", "EXPIRED", "SUCCEEDED"]
    assert emulator.stats()["faults"] == {"fail": 1, "expire": 1, "drop": 10}


def test_a_create_that_is_refused_uses_no_fault_up(clock: Clock) -> None:
    faults = [JobFault("fail", times=1)]
    with serve(clock=clock, limits=Limits(concurrent_jobs=0), faults=faults) as emulator:
        client = Client(emulator)
        with pytest.raises(AssertionError, match="concurrent batch jobs"):
            client.create_from_lines(LINES)
        assert emulator.stats()["faults"] == {}


def test_what_has_befallen_a_job_stays_after_the_rest_has_healed(
    slow: Emulator, slow_client: Client
) -> None:
    slow.inject(RowFault("drop", share=0.5))
    befallen = slow_client.create_from_lines(LINES)
    slow.heal()
    healthy = slow_client.create_from_lines(LINES)
    slow.clock.advance(HOUR)
    assert [len(slow_client.output(job)) for job in (befallen, healthy)] == [5, 10]


def test_what_has_befallen_a_job_stays_after_a_restart(tmp_path: Path) -> None:
    faults = [JobFault("expire", answered=0.3, times=1)]
    clock = Clock(START)
    with serve(folder=tmp_path, clock=clock, job_seconds=HOUR, faults=faults) as emulator:
        job = Client(emulator).create_from_lines(LINES)
    clock.advance(HOUR)
    with serve(folder=tmp_path, clock=clock, job_seconds=HOUR) as emulator:
        assert Client(emulator).state(job) == "EXPIRED"
        assert len(emulator.stats()["requests"]) == 3


def test_the_same_seed_befalls_the_same_rows() -> None:
    def missing(seed: int) -> set[Any]:
        with serve(clock=Clock(START), seed=seed, faults=[RowFault("drop", share=0.3)]) as emulator:
            client = Client(emulator)
            lines = [client.output(client.create_from_lines(LINES)) for _ in range(2)]
        keys = {f"r{i}" for i in range(10)}
        first, second = ({*keys} - {line["key"] for line in each} for each in lines)
        assert first != second  # another job, other rows
        return first

    assert missing(1) == missing(1) != missing(2)
