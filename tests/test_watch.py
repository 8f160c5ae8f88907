from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from google.cloud import storage as google_storage

import batchkit as bk
from batchkit import jsonl
from batchkit.emulator import JobFault
from batchkit.errors import InvalidRequestError, NotAuthorisedError
from batchkit.events import Event, Polled, Said
from batchkit.watch import Watch
from tests.google import Google, answered_lines, google, refusal, unanswered

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import VertexService
    from tests.scripted import Said as Reply

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")
MAY_NOT_EXIST = "You do not have permission to access the File x or it may not exist."
DOWNLOAD = "GET /download/v1beta/"


def sent(folder: Path, service: Google, shards: int = 1) -> bk.Run:
    table = [{"id": f"k{i}", "text": "hello"} for i in range(shards)]
    limits = {"max_rows": 1}
    run = bk.build(table, SPEC, key="id", into=folder, target="inline", limits=limits)
    bk.submit(run, client=service.client())
    return run


def watch(run: bk.Run, service: Google, told: list[Event] | None = None, settle: float = 0) -> int:
    """One look at all jobs; how many are still to come."""
    told = [] if told is None else told
    return Watch(run, service.client(), told.append, settle).advance()


def facts(run: bk.Run, shard: int = 0) -> list[str]:
    return [fact.kind for fact in run.attempts()[shard].facts]


def row(run: bk.Run) -> dict[str, Any]:
    return bk.collect(run).to_arrow().to_pylist()[0]


def test_a_job_that_goes_on_leaves_no_fact(tmp_path: Path) -> None:
    told: list[Event] = []
    with google() as service:
        run = sent(tmp_path / "run", service)
        for state in ("PENDING", "RUNNING", "PAUSED", "CANCELLING"):
            service.jobs["batches/j0"]["metadata"]["state"] = f"JOB_STATE_{state}"
            assert watch(run, service, told) == 1
    assert facts(run) == ["intent", "created"]
    seen = [str(event.job.state) for event in told if isinstance(event, Polled)]
    assert seen == ["pending", "running", "paused", "cancelling"]


def test_a_state_that_nobody_knows_is_polled_on_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with google() as service:
        run = sent(tmp_path / "run", service)
        service.end("batches/j0", "PONDERING")
        assert watch(run, service) == 1
        assert "BATCH_STATE_PONDERING, which is new to batchkit: polling on" in caplog.text
        service.end("batches/j0", output=answered_lines(["k0"]))
        assert watch(run, service) == 0
    assert row(run)["status"] == "ok"


def test_the_output_of_a_job_is_on_disk_as_it_came(tmp_path: Path) -> None:
    content = answered_lines(["k0"]) + b"\n not even JSON \xff\n"
    with google() as service:
        run = sent(tmp_path / "run", service)
        service.end("batches/j0", output=content)
        assert watch(run, service) == 0
    assert facts(run) == ["intent", "created", "ended", "fetched"]
    assert run.responses_path(run.attempts()[0]).read_bytes() == content


@pytest.mark.parametrize(
    "state, said",
    [
        ("CANCELLED", "batches/j0 ended as cancelled, without a line for this key"),
        ("EXPIRED", "batches/j0 ended as expired, without a line for this key"),
        ("FAILED", "batches/j0 failed: no reason given"),
    ],
)
def test_a_job_that_ends_without_output_leaves_its_rows_missing(
    tmp_path: Path, state: str, said: str
) -> None:
    with google() as service:
        run = sent(tmp_path / "run", service)
        service.end("batches/j0", state)
        assert watch(run, service, settle=60) == 0
    assert (row(run)["status"], row(run)["error_message"]) == ("missing", said)


@pytest.mark.parametrize("state", ["CANCELLED", "EXPIRED"])
def test_what_a_job_answered_before_its_end_is_kept(tmp_path: Path, state: str) -> None:
    with google() as service:
        run = sent(tmp_path / "run", service)
        service.end("batches/j0", state, output=answered_lines(["k0"]))
        watch(run, service)
    assert row(run)["status"] == "ok"


@pytest.mark.parametrize(
    "code, status, error_code",
    [(3, "error", "INVALID_ARGUMENT"), (13, "missing", "INTERNAL"), (8, "missing", None)],
)
def test_a_job_that_fails_as_a_whole_says_why_in_every_row(
    tmp_path: Path, code: int, status: str, error_code: str | None
) -> None:
    with google() as service:
        run = sent(tmp_path / "run", service)
        service.end("batches/j0", "FAILED")
        service.jobs["batches/j0"]["error"] = {
            "code": code,
            "message": "the model is tired",
            "details": [{"any": "thing"}],
        }
        watch(run, service)
    found = row(run)
    assert found["status"] == status
    assert error_code in (None, found["error_code"])
    assert "the model is tired" in found["error_message"]


def test_a_job_that_is_gone_counts_as_deleted(tmp_path: Path) -> None:
    with google() as service:
        run = sent(tmp_path / "run", service)
        service.jobs.clear()
        assert watch(run, service) == 0
    assert facts(run) == ["intent", "created", "ended", "fetched"]
    assert row(run)["error_message"] == "batches/j0 was deleted before its output was fetched"


@pytest.mark.parametrize(
    "reply", [refusal(404, "no such file"), refusal(403, MAY_NOT_EXIST)], ids=["404", "403"]
)
def test_an_output_that_is_not_there_yet_is_waited_for(tmp_path: Path, reply: Reply) -> None:
    told: list[Event] = []
    with google() as service:
        run = sent(tmp_path / "run", service)
        service.end("batches/j0", output=answered_lines(["k0"]))
        service.answers = {DOWNLOAD: [reply], "GET /v1beta/files/": [reply]}
        assert watch(run, service, told, settle=60) == 1
        assert facts(run)[-1] == "ended"
        assert bk.collect(run, client=service.client()).tally()["ok"] == 1
    said = [event.text for event in told if isinstance(event, Said)]
    assert len(said) == 1
    assert "the output is gone" in said[0]
    assert "looking again" in said[0]


@pytest.mark.parametrize(
    "reply", [refusal(404, "no such file"), refusal(403, MAY_NOT_EXIST)], ids=["404", "403"]
)
def test_an_output_that_stays_away_is_lost_and_every_row_says_so(
    tmp_path: Path, reply: Reply
) -> None:
    with google() as service:
        run = sent(tmp_path / "run", service)
        service.end("batches/j0", output=answered_lines(["k0"]))
        service.answers = {DOWNLOAD: [reply], "GET /v1beta/files/": [reply]}
        assert watch(run, service) == 0
    found = row(run)
    assert found["status"] == "missing"
    assert found["error_message"].startswith(
        "batches/j0 ended as succeeded, but the output is gone"
    )


def test_a_success_that_names_no_output_is_asked_for_it_again(tmp_path: Path) -> None:
    with google() as service:
        run = sent(tmp_path / "run", service)
        service.end("batches/j0")
        assert watch(run, service, settle=60) == 1
        service.end("batches/j0", output=answered_lines(["k0"]))
        assert watch(run, service, settle=60) == 0
    assert row(run)["status"] == "ok"


def test_answers_of_a_job_that_was_stopped_are_waited_for(
    tmp_path: Path, vertex: VertexService
) -> None:
    """The bucket's list may not show yet what the job says that it has written."""
    vertex.emulator.inject(JobFault("cancel", answered=0.5))
    table = [{"id": "a", "text": "hello"}, {"id": "b", "text": "you"}]
    run = bk.build(table, SPEC, key="id", into=tmp_path / "run", target=vertex.uri("runs"))
    bk.submit(run, client=vertex.client)
    (job,) = vertex.client.batches.list_all()  # it has ended by now, and has written
    (uri,) = vertex.emulator.storage.list(job.destination.gcs_uris[0])
    with vertex.emulator.storage.open(uri) as stream:
        content = stream.read()
    storage = google_storage.Client()
    storage.bucket(vertex.bucket).blob(uri.removeprefix(vertex.uri(""))).delete()
    storage.close()
    assert Watch(run, vertex.client, lambda _: None, 60).advance() == 1
    with vertex.emulator.storage.create(uri, content_type="application/jsonl") as stream:
        stream.write(content)
    assert Watch(run, vertex.client, lambda _: None, 60).advance() == 0
    assert bk.collect(run).tally()["ok"] == 1


def test_an_output_that_may_not_be_read_is_an_error_and_not_a_loss(tmp_path: Path) -> None:
    with google() as service:
        run = sent(tmp_path / "run", service)
        service.end("batches/j0", output=answered_lines(["k0"]))
        service.answers = {DOWNLOAD: [refusal(403, "billing is disabled")]}
        with pytest.raises(NotAuthorisedError, match="billing is disabled"):
            watch(run, service)
        assert facts(run)[-1] == "ended"
        assert watch(run, service) == 0
    assert row(run)["status"] == "ok"


def test_a_job_that_is_deleted_after_its_end_is_lost(tmp_path: Path) -> None:
    with google() as service:
        run = sent(tmp_path / "run", service)
        service.end("batches/j0")
        assert watch(run, service, settle=60) == 1
        service.jobs.clear()
        assert watch(run, service) == 0
    assert "ended as succeeded, but the output is gone" in row(run)["error_message"]


def test_what_is_wrong_with_one_job_does_not_keep_the_others(tmp_path: Path) -> None:
    with google() as service:
        run = sent(tmp_path / "run", service, shards=3)
        for number in range(3):
            service.end(f"batches/j{number}", output=answered_lines([f"k{number}"]))
        service.answers["GET /v1beta/batches/j0"] = [refusal(400, "not this one")]
        with pytest.raises(InvalidRequestError, match="not this one"):
            watch(run, service)
        assert [attempt.stage for attempt in run.attempts()] == ["running", "fetched", "fetched"]


def test_a_job_that_fails_to_answer_is_still_to_come_and_the_others_are_asked(
    tmp_path: Path,
) -> None:
    told: list[Event] = []
    with google() as service:
        run = sent(tmp_path / "run", service, shards=2)
        service.end("batches/j1", output=answered_lines(["k1"]))
        service.answers["GET /v1beta/batches/j0"] = [refusal(503, "not now")] * 1_000
        assert watch(run, service, told) == 1
    assert [attempt.stage for attempt in run.attempts()] == ["running", "fetched"]
    assert any(isinstance(event, Said) and event.is_warning for event in told)


@pytest.mark.parametrize("reply", [unanswered(), refusal(429, "slowly")], ids=["none", "429"])
def test_a_service_that_answers_nobody_is_asked_for_one_job_only(
    tmp_path: Path, reply: Reply
) -> None:
    with google() as service:
        run = sent(tmp_path / "run", service, shards=5)
        service.answers["GET /v1beta/batches/"] = [reply] * 1_000
        assert watch(run, service) == 5
        assert {asked.path for asked in service.asked("GET", "/batches/j")} == {
            "/v1beta/batches/j0"
        }


def test_inlined_responses_are_kept_one_to_a_line(tmp_path: Path) -> None:
    with google() as service:
        run = sent(tmp_path / "run", service)
        response = jsonl.loads(answered_lines(["k0"]))["response"]
        item = {"response": response, "metadata": {"key": "k0"}}
        service.end("batches/j0")
        output = {"inlinedResponses": {"inlinedResponses": [item]}}
        service.jobs["batches/j0"]["response"] = output
        assert watch(run, service) == 0
    assert jsonl.loads(run.responses_path(run.attempts()[0]).read_bytes()) == item
    assert row(run)["response"] == "hello"


def test_every_look_is_told(tmp_path: Path) -> None:
    told: list[Event] = []
    with google() as service:
        run = sent(tmp_path / "run", service, shards=2)
        watch(run, service, told)
        service.end("batches/j0", output=answered_lines(["k0"]))
        watch(run, service, told)
    seen = [(event.shard, str(event.job.state)) for event in told if isinstance(event, Polled)]
    assert seen == [
        ("00000", "pending"),
        ("00001", "pending"),
        ("00000", "succeeded"),
        ("00001", "pending"),
    ]
