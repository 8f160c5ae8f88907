from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

from batchkit.emulator import AnswerError, Clock, Limits, echo, serve

from .client import Client, generate_line

if TYPE_CHECKING:
    from batchkit.emulator import Emulator

LINES = [generate_line(str(number)) for number in range(10)]
HOUR = 3600


def counts(client: Client, operation: dict[str, Any]) -> dict[str, str]:
    return client.get(operation)["metadata"]["batchStats"]


def test_a_job_waits_runs_and_succeeds_by_the_clock(slow_client: Client, clock: Clock) -> None:
    job = slow_client.create_from_lines(LINES)
    assert slow_client.state(job) == "PENDING"
    clock.advance(59)
    assert slow_client.state(job) == "PENDING"
    clock.advance(61)
    assert slow_client.state(job) == "RUNNING"
    assert "done" not in slow_client.get(job)
    clock.advance(539)
    assert slow_client.state(job) == "RUNNING"
    clock.advance(1)
    assert slow_client.state(job) == "SUCCEEDED"


def test_counters_advance_with_the_time(slow_client: Client, clock: Clock) -> None:
    job = slow_client.create_from_lines(LINES)
    assert counts(slow_client, job) == {"requestCount": "10", "pendingRequestCount": "10"}
    clock.advance(60 + 300)
    assert counts(slow_client, job) == {
        "requestCount": "10",
        "successfulRequestCount": "5",
        "pendingRequestCount": "5",
    }
    clock.advance(300)
    assert counts(slow_client, job) == {"requestCount": "10", "successfulRequestCount": "10"}


def test_a_job_that_was_never_watched_ended_in_time(slow_client: Client, clock: Clock) -> None:
    job = slow_client.create_from_lines(LINES)
    clock.advance(10 * HOUR)
    metadata = slow_client.get(job)["metadata"]
    assert metadata["createTime"] == "2026-01-06T11:09:11.943530000Z"
    assert metadata["endTime"] == "2026-01-06T11:20:11.943530000Z"
    assert metadata["updateTime"] == metadata["endTime"]


def test_whoever_looks_sees_a_due_job_finished(slow: Emulator, clock: Clock) -> None:
    client = Client(slow)
    job = client.create_from_lines(LINES)
    output = f"files/batch-{job['name'].removeprefix('batches/')}"
    clock.advance(HOUR)
    reply = client.send("GET", f"/v1beta/{output}:download?alt=media")
    assert reply.status_code == 200
    job = client.create_from_lines(LINES)
    clock.advance(HOUR)
    assert client.call("GET", "files")["files"][0]["source"] == "GENERATED"
    client.create_from_lines(LINES)
    clock.advance(HOUR)
    assert all(each["done"] for each in client.call("GET", "batches")["operations"])
    client.create_from_lines(LINES)
    clock.advance(HOUR)
    assert slow.stats()["jobs"] == {"BATCH_STATE_SUCCEEDED": 4}
    client.session.close()


def test_a_bad_file_fails_as_soon_as_the_job_starts(slow_client: Client, clock: Clock) -> None:
    job = slow_client.create_from_lines([{"nonsense": 1}])
    assert slow_client.state(job) == "PENDING"
    clock.advance(61)
    operation = slow_client.get(job)
    assert operation["metadata"]["state"] == "BATCH_STATE_FAILED"
    assert operation["metadata"]["endTime"] == "2026-01-06T11:10:11.943530000Z"


def test_a_pending_job_that_is_cancelled_costs_nothing(slow: Emulator, slow_client: Client) -> None:
    job = slow_client.create_from_lines(LINES)
    assert slow_client.call("POST", f"{job['name']}:cancel") == {}
    operation = slow_client.get(job)
    assert operation["metadata"]["state"] == "BATCH_STATE_CANCELLED"
    assert operation["done"] is True
    assert operation["error"]["code"] == 1
    assert "response" not in operation
    assert slow.stats()["requests"] == {}


def test_a_running_job_that_is_cancelled_stops_where_it_is(
    slow: Emulator, slow_client: Client, clock: Clock
) -> None:
    job = slow_client.create_from_lines(LINES)
    clock.advance(60 + 200)
    slow_client.call("POST", f"{job['name']}:cancel")
    clock.advance(HOUR)
    operation = slow_client.get(job)
    assert operation["metadata"]["state"] == "BATCH_STATE_CANCELLED"
    assert operation["metadata"]["batchStats"] == {
        "requestCount": "10",
        "successfulRequestCount": "3",
        "pendingRequestCount": "7",
    }
    assert "output" not in operation["metadata"]
    assert slow.stats()["requests"] == {"0": 1, "1": 1, "2": 1}


def test_cancelling_what_has_ended_changes_nothing(client: Client) -> None:
    job = client.create_from_lines(LINES)
    assert client.call("POST", f"{job['name']}:cancel") == {}
    assert client.state(job) == "SUCCEEDED"
    assert client.call("POST", f"{job['name']}:cancel", json={}) == {}


def test_deleting_a_running_job_stops_it(slow: Emulator, slow_client: Client, clock: Clock) -> None:
    job = slow_client.create_from_lines(LINES)
    clock.advance(60 + 60)
    slow_client.call("DELETE", job["name"])
    clock.advance(HOUR)
    stats = slow.stats()
    assert stats["jobs"] == {}
    assert stats["requests"] == {"0": 1}
    assert stats["files"] == 1


def test_a_job_not_finished_in_48_hours_expires_with_nothing(clock: Clock) -> None:
    with serve(clock=clock, job_seconds=96 * HOUR) as emulator:
        client = Client(emulator)
        job = client.create_from_lines(LINES)
        clock.advance(48 * HOUR - 1)
        assert client.state(job) == "RUNNING"
        clock.advance(1)
        operation = client.get(job)
        assert operation["metadata"]["state"] == "BATCH_STATE_EXPIRED"
        assert operation["done"] is True
        assert "response" not in operation
        assert "output" not in operation["metadata"]
        assert len(emulator.stats()["requests"]) == 5
        client.session.close()


def test_a_job_stuck_pending_expires_unpaid(clock: Clock) -> None:
    limits = Limits(job_seconds=100)
    with serve(clock=clock, pending_seconds=1000, limits=limits) as emulator:
        client = Client(emulator)
        job = client.create_from_lines([{"nonsense": 1}])
        clock.advance(2000)
        assert client.state(job) == "EXPIRED"
        assert emulator.stats()["requests"] == {}
        client.session.close()


def test_each_end_is_told_once(clock: Clock) -> None:
    heard: list[str] = []
    with serve(
        clock=clock, job_seconds=10, on_effect=lambda kind, _: heard.append(kind)
    ) as emulator:
        client = Client(emulator)
        done, cancelled, failed = (
            client.create_from_lines(lines) for lines in (LINES, LINES, [{"x": 1}])
        )
        clock.advance(1)
        client.call("POST", f"{cancelled['name']}:cancel")
        clock.advance(10)
        for _ in range(2):
            client.get(done)
            client.get(failed)
        client.call("DELETE", done["name"])
        client.session.close()
    assert [kind for kind in heard if kind.startswith("batch")] == [
        "batch.created",
        "batch.created",
        "batch.created",
        "batch.cancelled",
        "batch.processed",
        "batch.processed",
        "batch.deleted",
    ]


def test_a_job_watched_by_many_is_processed_once(clock: Clock) -> None:
    calls: list[str] = []

    def counting(kind: Any, model: str, request: dict[str, Any]) -> dict[str, Any]:
        calls.append(model)
        return echo(kind, model, request)

    with serve(clock=clock, answerer=counting) as emulator:
        client = Client(emulator)
        job = client.create_from_lines(LINES * 20)
        watchers = [threading.Thread(target=emulator.stats) for _ in range(6)]
        for watcher in watchers:
            watcher.start()
        for watcher in watchers:
            watcher.join()
        assert client.state(job) == "SUCCEEDED"
        assert emulator.stats()["requests"] == {str(number): 20 for number in range(10)}
        client.session.close()
    assert len(calls) == 200


def test_rows_that_fail_do_not_fail_the_job(clock: Clock) -> None:
    def picky(kind: Any, model: str, request: dict[str, Any]) -> dict[str, Any]:
        text = request["contents"][0]["parts"][0]["text"]
        if text == "bad":
            raise AnswerError(13, "Internal error encountered.")
        if text == "busy":
            raise AnswerError(8, "Busy.", [{"reason": "quota"}])
        return echo(kind, model, request)

    with serve(clock=clock, answerer=picky) as emulator:
        client = Client(emulator)
        texts = ["good", "bad", "busy", "good"]
        job = client.create_from_lines(
            [generate_line(str(number), text) for number, text in enumerate(texts)]
        )
        lines = {line["key"]: line for line in client.output(job)}
        assert lines["1"] == {
            "key": "1",
            "error": {"code": 13, "message": "Internal error encountered."},
        }
        assert lines["2"]["error"] == {
            "code": 8,
            "message": "Busy.",
            "details": [{"reason": "quota"}],
        }
        assert client.get(job)["metadata"]["batchStats"] == {
            "requestCount": "4",
            "successfulRequestCount": "2",
            "failedRequestCount": "2",
        }
        assert emulator.stats()["requests"] == {"0": 1, "1": 1, "2": 1, "3": 1}
        client.session.close()


def test_a_job_deleted_while_others_are_seen_to_is_in_nobodys_way(clock: Clock) -> None:
    """Of two due jobs the second goes while the first is answered."""
    names: list[str] = []

    def deleting(kind: Any, model: str, request: dict[str, Any]) -> dict[str, Any]:
        if len(names) == 2:
            other = Client(emulator)
            other.call("DELETE", names.pop())
            other.session.close()
        return echo(kind, model, request)

    with serve(clock=clock, answerer=deleting, job_seconds=10) as emulator:
        client = Client(emulator)
        jobs = [client.create_from_lines([generate_line(key)]) for key in "ab"]
        names += [job["name"] for job in jobs]
        clock.advance(10)
        (listed,) = client.call("GET", "batches")["operations"]
        assert listed["name"] == jobs[0]["name"]
        client.session.close()


def test_a_job_can_be_made_to_wait_or_run_for_ever(clock: Clock) -> None:
    for options in ({"pending_seconds": math.inf}, {"job_seconds": math.inf}):
        with serve(clock=clock, limits=Limits(job_seconds=math.inf), **options) as emulator:
            client = Client(emulator)
            job = client.create_from_lines(LINES)
            clock.advance(1000 * 24 * HOUR)
            assert client.state(job) == ("PENDING" if "pending_seconds" in options else "RUNNING")
            client.session.close()
