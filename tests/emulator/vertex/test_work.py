from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from batchkit.emulator import Clock, JobFault, Limits, RowFault, echo, serve
from tests.emulator.conftest import START

from .client import BUCKET, VertexClient, generate_line

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3600
LINES = [
    generate_line(f"Hello {number}", labels={"batchkit": f"bk-{number}"}) for number in range(10)
]
KEYS = [f"bk-{number}" for number in range(10)]


def labels(lines: list[dict[str, Any]]) -> list[str]:
    return [line["request"]["labels"]["batchkit"] for line in lines]


def created(client: VertexClient, lines: list[Any] = LINES) -> dict[str, Any]:
    return client.create(client.put("in.jsonl", lines))


def test_a_job_waits_runs_and_succeeds_by_the_clock(slow_here: VertexClient, clock: Clock) -> None:
    job = created(slow_here)
    assert job["state"] == "JOB_STATE_PENDING"
    assert {"completionStats", "outputInfo", "startTime"}.isdisjoint(job)
    clock.advance(59)
    assert slow_here.state(job) == "PENDING"
    clock.advance(1 + 300)
    running = slow_here.get(job)
    assert running["state"] == "JOB_STATE_RUNNING"
    assert running["completionStats"] == {"successfulCount": "5", "incompleteCount": "5"}
    assert running["startTime"] == "2026-01-06T11:10:11.943530Z"
    assert "endTime" not in running
    clock.advance(10 * HOUR)
    done = slow_here.get(job)
    assert done["state"] == "JOB_STATE_SUCCEEDED"
    assert done["completionStats"] == {"successfulCount": "10"}
    assert done["endTime"] == done["updateTime"] == "2026-01-06T11:20:11.943530Z"


def test_every_row_is_answered_once_and_not_in_order(here: VertexClient) -> None:
    found = labels(here.output(here.run(LINES)))
    assert sorted(found) == KEYS
    assert found != KEYS
    assert here.emulator.stats()["requests"] == dict.fromkeys(KEYS, 1)
    assert here.emulator.stats()["jobs"] == {"JOB_STATE_SUCCEEDED": 1}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_order() -> None:
    outputs = [output_of_seed(seed) for seed in (1, 1, 2)]
    assert outputs[0] == outputs[1]
    assert labels(outputs[0]) != labels(outputs[2])


def output_of_seed(seed: int) -> list[dict[str, Any]]:
    with serve(clock=Clock(START), seed=seed, buckets=[BUCKET]) as emulator:
        client = VertexClient(emulator)
        output = client.output(created(client))
        client.session.close()
    return output


def test_a_job_that_is_cancelled_keeps_what_is_answered(
    slow_here: VertexClient, clock: Clock
) -> None:
    job = created(slow_here)
    clock.advance(60 + 200)
    assert slow_here.call("POST", f"{job['name']}:cancel") == {}
    clock.advance(HOUR)
    cancelled = slow_here.get(job)
    assert cancelled["state"] == "JOB_STATE_CANCELLED"
    assert cancelled["error"]["code"] == 1
    assert cancelled["completionStats"] == {"successfulCount": "3", "incompleteCount": "7"}
    assert sorted(labels(slow_here.output(job))) == KEYS[:3]
    assert slow_here.emulator.stats()["requests"] == dict.fromkeys(KEYS[:3], 1)


def test_a_pending_job_that_is_cancelled_costs_nothing(slow_here: VertexClient) -> None:
    job = created(slow_here)
    slow_here.call("POST", f"{job['name']}:cancel", json={})
    cancelled = slow_here.get(job)
    assert cancelled["state"] == "JOB_STATE_CANCELLED"
    assert {"outputInfo", "completionStats"}.isdisjoint(cancelled)
    assert slow_here.emulator.stats()["requests"] == {}


def test_a_job_that_has_ended_is_not_cancelled(here: VertexClient) -> None:
    job = here.run(LINES)
    assert here.call("POST", f"{job['name']}:cancel") == {}
    assert here.state(job) == "SUCCEEDED"


def test_a_job_that_runs_for_a_day_fails_and_keeps_what_is_answered(
    clock: Clock, kept_folder: Path
) -> None:
    with serve(
        clock=clock, folder=kept_folder, buckets=[BUCKET], job_seconds=48 * HOUR
    ) as emulator:
        client = VertexClient(emulator)
        job = created(client)
        clock.advance(24 * HOUR - 1)
        assert client.state(job) == "RUNNING"
        clock.advance(1)
        failed = client.get(job)
        assert failed["state"] == "JOB_STATE_FAILED"
        assert failed["completionStats"] == {"successfulCount": "5", "incompleteCount": "5"}
        assert sorted(labels(client.output(job))) == KEYS[:5]
        client.session.close()


def test_a_job_that_waits_for_three_days_expires_unpaid(clock: Clock, kept_folder: Path) -> None:
    with serve(clock=clock, folder=kept_folder, pending_seconds=100 * HOUR) as emulator:
        client = VertexClient(emulator)
        job = client.create("gs://bucket/missing.jsonl")
        clock.advance(72 * HOUR - 1)
        assert client.state(job) == "PENDING"
        clock.advance(1)
        assert client.state(job) == "EXPIRED"
        assert emulator.stats()["requests"] == {}
        client.session.close()


def test_its_input_may_be_gone_once_a_job_has_begun(slow_here: VertexClient, clock: Clock) -> None:
    job = created(slow_here)
    clock.advance(61)
    assert slow_here.state(job) == "RUNNING"
    slow_here.put("in.jsonl", [b"nonsense"])
    clock.advance(HOUR)
    assert sorted(labels(slow_here.output(job))) == KEYS


def test_an_output_bucket_that_goes_fails_the_job(slow_here: VertexClient, clock: Clock) -> None:
    url = f"{slow_here.emulator.url}/storage/v1/b"
    slow_here.session.post(url, json={"name": "going-bucket"}, timeout=60)
    prefix = {"outputUriPrefix": "gs://going-bucket/out"}
    output = {"predictionsFormat": "jsonl", "gcsDestination": prefix}
    job = slow_here.create(slow_here.put("in.jsonl", LINES), outputConfig=output)
    clock.advance(61)
    assert slow_here.state(job) == "RUNNING"
    slow_here.session.delete(f"{url}/going-bucket", timeout=60)
    clock.advance(HOUR)
    failed = slow_here.get(job)
    assert failed["state"] == "JOB_STATE_FAILED"
    assert "The specified bucket does not exist." in failed["error"]["message"]


def test_each_end_is_told_once(clock: Clock, kept_folder: Path) -> None:
    heard: list[tuple[str, str]] = []
    with serve(
        clock=clock,
        folder=kept_folder,
        buckets=[BUCKET],
        job_seconds=10,
        on_effect=lambda kind, name: heard.append((kind, name)),
    ) as emulator:
        client = VertexClient(emulator)
        done, cancelled = created(client), created(client)
        clock.advance(1)
        client.call("POST", f"{cancelled['name']}:cancel")
        clock.advance(10)
        for _ in range(2):
            client.get(done)
        client.call("DELETE", done["name"])
        client.session.close()
    assert heard == [
        ("batch.created", done["name"]),
        ("batch.created", cancelled["name"]),
        ("batch.cancelled", cancelled["name"]),
        ("batch.processed", done["name"]),
        ("batch.deleted", done["name"]),
    ]


def test_a_job_watched_by_many_is_processed_once(clock: Clock, kept_folder: Path) -> None:
    calls: list[str] = []

    def counting(kind: Any, model: str, request: dict[str, Any]) -> dict[str, Any]:
        calls.append(model)
        return echo(kind, model, request)

    with serve(clock=clock, folder=kept_folder, buckets=[BUCKET], answerer=counting) as emulator:
        client = VertexClient(emulator)
        job = created(client, LINES * 20)
        watchers = [threading.Thread(target=emulator.stats) for _ in range(6)]
        for watcher in watchers:
            watcher.start()
        for watcher in watchers:
            watcher.join()
        assert client.get(job)["completionStats"] == {"successfulCount": "200"}
        client.session.close()
    assert calls == ["gemini-3.5-flash"] * 200


def test_a_job_goes_on_after_a_restart(kept_folder: Path) -> None:
    options: dict[str, Any] = {"folder": kept_folder, "buckets": [BUCKET], "job_seconds": HOUR}
    with serve(clock=Clock(START), **options) as emulator:
        client = VertexClient(emulator)
        job = created(client)
        emulator.clock.advance(1)
        assert client.state(job) == "RUNNING"
        client.session.close()
    with serve(clock=Clock(START), **options) as emulator:
        client = VertexClient(emulator)
        assert client.state(job) == "RUNNING"
        emulator.clock.advance(HOUR)
        assert sorted(labels(client.output(job))) == KEYS
        client.session.close()
    with serve(clock=Clock(START), **options) as emulator:
        client = VertexClient(emulator)
        assert client.state(job) == "SUCCEEDED"
        assert emulator.stats()["requests"] == dict.fromkeys(KEYS, 1)
        client.session.close()


def dying_answerer(kind: Any, model: str, request: dict[str, Any]) -> dict[str, Any]:
    """Kills its process in the middle of a job."""
    if request["labels"]["batchkit"] == "bk-5":
        os.kill(os.getpid(), signal.SIGKILL)
    return echo(kind, model, request)


def serve_until_killed(folder: str, name: str) -> None:
    emulator = serve(clock=Clock(START), folder=folder, job_seconds=HOUR, answerer=dying_answerer)
    emulator.clock.advance(2 * HOUR)
    VertexClient(emulator).call("GET", name)


def running_job(folder: Path) -> str:
    """The name of a job that runs, in a folder that is served no more."""
    with serve(clock=Clock(START), folder=folder, buckets=[BUCKET], job_seconds=HOUR) as emulator:
        client = VertexClient(emulator)
        name = created(client)["name"]
        emulator.clock.advance(1)
        assert client.call("GET", name)["state"] == "JOB_STATE_RUNNING"
        client.session.close()
    return name


def test_a_job_interrupted_by_a_kill_is_paid_once(kept_folder: Path) -> None:
    name = running_job(kept_folder)
    process = multiprocessing.get_context("spawn").Process(
        target=serve_until_killed, args=(str(kept_folder), name)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    with serve(clock=Clock(START), folder=kept_folder) as emulator:
        client = VertexClient(emulator)
        emulator.clock.advance(2 * HOUR)
        assert client.call("GET", name)["state"] == "JOB_STATE_SUCCEEDED"
        assert sorted(labels(client.output({"name": name}))) == KEYS
        assert emulator.stats()["requests"] == dict.fromkeys(KEYS, 1)
        assert len(emulator.storage.list(f"gs://{BUCKET}/out/")) == 1
        client.session.close()
    left = [file.name for file in (kept_folder / "blobs").iterdir()]
    assert len(left) == 2  # the objects in and out, and nothing of the job


def test_limits_of_time_can_be_shrunk(clock: Clock, kept_folder: Path) -> None:
    limits = Limits(vertex_running_seconds=10)
    with serve(
        clock=clock, folder=kept_folder, buckets=[BUCKET], job_seconds=HOUR, limits=limits
    ) as emulator:
        client = VertexClient(emulator)
        job = created(client)
        clock.advance(10)
        assert client.state(job) == "FAILED"
        client.session.close()


@pytest.mark.parametrize(
    "fault, state",
    [
        (JobFault("expire", answered=0.4), "EXPIRED"),
        (JobFault("fail", answered=0.4), "FAILED"),
        (JobFault("cancel", answered=0.4), "CANCELLED"),
    ],
)
def test_a_job_that_ends_early_keeps_what_is_answered(
    here: VertexClient, fault: JobFault, state: str
) -> None:
    here.emulator.inject(fault)
    job = here.run(LINES)
    assert job["state"] == f"JOB_STATE_{state}"
    assert job["completionStats"] == {"successfulCount": "4", "incompleteCount": "6"}
    assert sorted(labels(here.output(job))) == KEYS[:4]
    assert here.emulator.stats()["requests"] == dict.fromkeys(KEYS[:4], 1)


def test_a_job_that_is_stuck_expires_after_three_days_unpaid(
    here: VertexClient, clock: Clock
) -> None:
    here.emulator.inject(JobFault("stick", times=1))
    job = created(here)
    clock.advance(72 * HOUR - 1)
    assert here.state(job) == "PENDING"
    clock.advance(1)
    assert here.state(job) == "EXPIRED"
    assert here.emulator.stats()["requests"] == {}


def test_a_job_that_is_hidden_is_in_no_list(here: VertexClient, clock: Clock) -> None:
    here.emulator.inject(JobFault("hide", seconds=60, times=1))
    job = here.run(LINES)
    query = {"filter": 'displayName="test"'}
    assert here.call("GET", params=query) == {}
    clock.advance(60)
    (found,) = here.call("GET", params=query)["batchPredictionJobs"]
    assert found["name"] == job["name"]


def test_a_nameless_line_has_no_label_and_a_strange_one_another_request(
    here: VertexClient,
) -> None:
    here.emulator.inject(RowFault("unkey", share=0.2), RowFault("stray", share=0.3))
    requests = [line["request"] for line in here.output(here.run(LINES))]
    nameless = [request for request in requests if "labels" not in request]
    known = [line["request"]["contents"] for line in LINES]
    assert len(nameless) == 2
    assert all(request["contents"] in known for request in nameless)
    strange = [request for request in requests if request["contents"] not in known]
    assert [request["labels"] for request in strange] == [{"batchkit": "nobody"}] * 3


def test_faults_befall_embeddings_of_either_kind(here: VertexClient) -> None:
    here.emulator.inject(
        RowFault("garble", share=0.5), RowFault("stray", share=0.25), RowFault("unkey", share=0.25)
    )
    content = {"parts": [{"text": "hello"}]}
    request = {"content": content, "embed_content_config": {"output_dimensionality": 8}}
    lines = [{"key": f"r{i}", "request": request} for i in range(4)]
    found = here.output(here.run(lines, "publishers/google/models/gemini-embedding-001"))
    sizes = [len(line["response"]["embedding"]["values"]) for line in found]
    assert sorted(sizes) == [4, 4, 8, 8]
    assert len([line for line in found if "key" not in line]) == 1
    assert len({line.get("key") for line in found} & {line["key"] for line in lines}) == 2
    legacy = [{"content": text, "outputDimensionality": 8} for text in "abcd"]
    found = here.output(here.run(legacy, "publishers/google/models/text-embedding-005"))
    sizes = [len(line["predictions"][0]["embeddings"]["values"]) for line in found]
    assert sorted(sizes) == [4, 4, 8, 8]
    assert sum(line["instance"]["content"] not in "abcd" for line in found) == 1
