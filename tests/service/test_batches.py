from __future__ import annotations

import datetime as dt
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from google.genai import types

import batchkit as bk
from batchkit.emulator import Clock, Limits, echo, serve
from batchkit.errors import (
    BatchkitError,
    CapabilityError,
    InvalidRequestError,
    JobNotFinishedError,
    NoOutputError,
    NotFoundError,
    RateLimitedError,
    ServiceFailureError,
    SetupError,
    WaitTimeoutError,
)
from tests.conftest import quick_client
from tests.scripted import Said, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchkit.emulator import Emulator
    from tests.conftest import Service

MODEL = "gemini-3.8-flash"
EMBEDDING = "gemini-embedding-001"
CONTENTS = [{"role": "user", "parts": [{"text": "Hello"}]}]
CREATED = {"name": "batches/b1", "metadata": {"state": "BATCH_STATE_PENDING"}}


@dataclass
class Model:
    """A service that remembers what its model was asked; its jobs run for ten minutes."""

    clock: Clock = field(default_factory=lambda: Clock(dt.datetime(2026, 1, 6, tzinfo=dt.UTC)))
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def __call__(self, kind: Any, model: str, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request)
        return echo(kind, model, request)


@dataclass(frozen=True)
class Slow:
    emulator: Emulator
    client: bk.Gemini
    clock: Clock
    asked: list[dict[str, Any]]

    def ended(self, job: bk.BatchJob) -> bk.BatchJob:
        self.clock.advance(3600)
        return self.client.batches.get(job.name)


@pytest.fixture
def slow() -> Iterator[Slow]:
    model = Model()
    with serve(clock=model.clock, answerer=model, pending_seconds=60, job_seconds=600) as emulator:
        yield Slow(emulator, quick_client(emulator), model.clock, model.asked)


def sent(call: Any) -> dict[str, Any]:
    """The batch in the body of a create."""
    with scripted(Said(body=CREATED)) as server:
        call(server.client().batches)
        (asked,) = server.asked
    body = asked.json()
    assert set(body) == {"batch"}
    return {"path": asked.path, **body["batch"]}


def inline(*items: Any, **options: Any) -> list[dict[str, Any]]:
    """The inlined requests as the service is sent them."""
    batch = sent(lambda batches: batches.create(MODEL, inlined_requests=list(items), **options))
    return batch["inputConfig"]["requests"]["requests"]


def test_a_job_is_created_from_an_uploaded_file(slow: Slow) -> None:
    text = json.dumps({"key": "a", "request": {"contents": CONTENTS}})
    file = slow.client.files.upload(text.encode(), mime_type="application/jsonl")
    job = slow.client.batches.create(MODEL, file_name=file.name, display_name="my job")
    assert job.name.startswith("batches/")
    assert (job.state, job.display_name) == (bk.JobState.PENDING, "my job")
    assert job.model == "models/gemini-3.8-flash"
    assert job.source.file_name == file.name
    assert slow.ended(job).succeeded


def test_the_body_of_a_create_is_the_apis_own() -> None:
    batch = sent(lambda b: b.create("models/m", file_name="files/abc", display_name="d"))
    assert batch == {
        "path": "/v1beta/models/m:batchGenerateContent",
        "displayName": "d",
        "inputConfig": {"fileName": "files/abc"},
    }
    batch = sent(lambda b: b.create_embeddings("m", file_name="files/abc", display_name="d"))
    assert batch["path"] == "/v1beta/models/m:asyncBatchEmbedContent"


@pytest.mark.parametrize(
    "model, path",
    [
        ("gemini-3.8-flash", "/v1beta/models/gemini-3.8-flash:batchGenerateContent"),
        ("models/gemini-3.8-flash", "/v1beta/models/gemini-3.8-flash:batchGenerateContent"),
        ("tunedModels/mine", "/v1beta/tunedModels/mine:batchGenerateContent"),
    ],
)
def test_the_model_is_in_the_address(model: str, path: str) -> None:
    assert sent(lambda b: b.create(model, inlined_requests=["x"]))["path"] == path


@pytest.mark.parametrize("model", ["", "  ", "models/"])
def test_a_job_needs_a_model(service: Service, model: str) -> None:
    with pytest.raises(SetupError, match="no model"):
        service.client.batches.create(model, inlined_requests=["x"])


def test_inlined_requests_come_in_every_form() -> None:
    items = inline(
        "Hello",
        {"contents": CONTENTS},
        {"key": "k1", "request": {"contents": CONTENTS}},
        {"key": 7, "contents": CONTENTS},
        {"request": {"contents": CONTENTS}, "metadata": {"key": "k2", "more": "x"}},
    )
    assert items == [
        {"request": {"contents": CONTENTS}},
        {"request": {"contents": CONTENTS}},
        {"request": {"contents": CONTENTS}, "metadata": {"key": "k1"}},
        {"request": {"contents": CONTENTS}, "metadata": {"key": "7"}},
        {"request": {"contents": CONTENTS}, "metadata": {"key": "k2", "more": "x"}},
    ]


def test_inlined_requests_may_be_any_sequence(service: Service) -> None:
    job = service.client.batches.create(MODEL, inlined_requests=("one", "two", "three"))
    assert job.completion_stats == bk.CompletionStats(3, 0, 0)


def test_one_text_is_no_list_of_texts(service: Service) -> None:
    with pytest.raises(SetupError, match="inlined_requests is a text: give a list"):
        service.client.batches.create(MODEL, inlined_requests="Hello")
    assert service.emulator.stats()["jobs"] == {}


@pytest.mark.parametrize("item", [5, None, ["Hello"], {"key": "a", "request": "Hello"}])
def test_what_is_no_request_is_refused_by_its_place(service: Service, item: Any) -> None:
    with pytest.raises(SetupError, match=r"inlined_requests\[1\] is no request"):
        service.client.batches.create(MODEL, inlined_requests=["Hello", item])
    assert service.emulator.stats()["jobs"] == {}


def test_a_request_that_json_cannot_hold_is_refused(service: Service) -> None:
    request = {"contents": CONTENTS, "generationConfig": {"temperature": float("inf")}}
    with pytest.raises(SetupError, match=r"generationConfig\.temperature: inf is not JSON"):
        service.client.batches.create(MODEL, inlined_requests=[request])


def test_no_inlined_requests_are_refused_by_the_service(service: Service) -> None:
    with pytest.raises(InvalidRequestError):
        service.client.batches.create(MODEL, inlined_requests=[])


def test_a_job_is_created_from_a_path(slow: Slow, tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text(json.dumps({"key": "a", "request": {"contents": CONTENTS}}) + "\n")
    job = slow.client.batches.create(MODEL, path=path)
    (file,) = slow.client.files.list()
    assert job.source.file_name == file.name
    assert (file.mime_type, file.bytes) == ("application/jsonl", path.stat().st_size)
    assert slow.ended(job).succeeded


def test_options_are_merged_into_each_line_of_a_path(slow: Slow, tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    own = {"contents": CONTENTS, "generation_config": {"max_output_tokens": 9}}
    lines = [{"key": "a", "request": own}, {"key": "b", "request": {"contents": CONTENTS}}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    job = slow.client.batches.create(
        MODEL,
        path=str(path),
        generation_config={"maxOutputTokens": 5, "temperature": 0.5},
        system_instruction="Be brief.",
    )
    assert slow.ended(job).completion_stats == bk.CompletionStats(2, 2, 0)
    configs = {r["generationConfig"]["maxOutputTokens"]: r for r in slow.asked}
    assert set(configs) == {9, 5}
    for request in slow.asked:
        assert request["generationConfig"]["temperature"] == 0.5
        assert request["systemInstruction"]["parts"] == [{"text": "Be brief."}]
    assert path.read_text().count("temperature") == 0
    (file,) = [each for each in slow.client.files.list() if each.source == "UPLOADED"]
    assert (file.display_name, file.mime_type) == ("requests.jsonl", "application/jsonl")


def test_options_are_merged_into_inlined_requests_whose_own_win(slow: Slow) -> None:
    job = slow.client.batches.create(
        MODEL,
        inlined_requests=["one", {"contents": CONTENTS, "generationConfig": {"topK": 7}}],
        generation_config={"topK": 3},
        system_instruction={"parts": [{"text": "Be brief."}]},
    )
    assert slow.ended(job).succeeded
    assert sorted(request["generationConfig"]["topK"] for request in slow.asked) == [3, 7]
    assert [r["systemInstruction"]["parts"] for r in slow.asked] == [[{"text": "Be brief."}]] * 2


def test_an_sdks_config_object_is_taken(slow: Slow) -> None:
    config = types.GenerateContentConfig(
        temperature=0.5,
        system_instruction="Be brief.",
        safety_settings=[
            types.SafetySetting(
                category=types.HarmCategory.HARM_CATEGORY_HARASSMENT,
                threshold=types.HarmBlockThreshold.BLOCK_NONE,
            )
        ],
    )
    job = slow.client.batches.create(MODEL, inlined_requests=["one"], generation_config=config)
    assert slow.ended(job).succeeded
    (request,) = slow.asked
    assert request["generationConfig"] == {"temperature": 0.5}
    assert request["systemInstruction"]["parts"] == [{"text": "Be brief."}]
    assert request["safetySettings"] == [
        {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}
    ]


@pytest.mark.parametrize(
    "options", [{"generation_config": {"topK": 1}}, {"system_instruction": "Be brief."}]
)
def test_options_cannot_be_merged_into_an_uploaded_file(
    service: Service, options: dict[str, Any]
) -> None:
    with pytest.raises(CapabilityError) as caught:
        service.client.batches.create(MODEL, file_name="files/abc", **options)
    assert str(caught.value) == (
        "files/abc is uploaded already, so nothing can be merged into its requests: "
        "write generationConfig and systemInstruction into its lines, or give path="
    )
    assert service.emulator.stats()["jobs"] == {}


def test_empty_options_are_no_options() -> None:
    batch = sent(lambda b: b.create("m", file_name="files/abc", generation_config={}))
    assert batch["inputConfig"] == {"fileName": "files/abc"}


@pytest.mark.parametrize("method", ["create", "create_embeddings"])
@pytest.mark.parametrize(
    "option, value",
    [
        ("gcs_uri", ["gs://bucket/in.jsonl"]),
        ("bigquery_uri", "bq://p.d.t"),
        ("destination", "gs://bucket/out"),
    ],
)
def test_what_only_vertex_can_do_is_refused(
    service: Service, method: str, option: str, value: Any
) -> None:
    create = getattr(service.client.batches, method)
    with pytest.raises(CapabilityError) as caught:
        create(MODEL, **{option: value})
    assert str(caught.value) == (
        f"{option}: the Developer API reads and writes uploaded files and inline requests"
    )
    with pytest.raises(CapabilityError):
        create(MODEL, inlined_requests=["x"], **{option: value})
    assert service.emulator.stats()["jobs"] == {}


@pytest.mark.parametrize("method", ["create", "create_embeddings"])
@pytest.mark.parametrize(
    "sources, given",
    [
        ({}, "none"),
        ({"file_name": "files/a", "inlined_requests": ["x"]}, "file_name, inlined_requests"),
        ({"file_name": "files/a", "path": "x.jsonl"}, "file_name, path"),
    ],
)
def test_a_job_has_exactly_one_source(
    service: Service, method: str, sources: dict[str, Any], given: str
) -> None:
    with pytest.raises(SetupError) as caught:
        getattr(service.client.batches, method)(MODEL, **sources)
    assert str(caught.value) == (
        f"give exactly one of file_name, inlined_requests, path; given: {given}"
    )


@pytest.mark.parametrize("priority, text", [(0, "0"), (7, "7"), (-3, "-3"), (2**62, str(2**62))])
def test_a_priority_is_an_int64_and_so_a_text(slow: Slow, priority: int, text: str) -> None:
    batch = sent(lambda b: b.create("m", inlined_requests=["x"], priority=priority))
    assert batch["priority"] == text
    job = slow.client.batches.create(MODEL, inlined_requests=["x"], priority=priority)
    assert job.priority == (priority or None)  # the service leaves zeros out


def test_a_job_has_no_priority_unless_given_one() -> None:
    assert "priority" not in sent(lambda b: b.create("m", inlined_requests=["x"]))


@pytest.mark.parametrize("method", ["create", "create_embeddings"])
@pytest.mark.parametrize(
    "webhook, config",
    [
        ("https://me.example/hook", {"uris": ["https://me.example/hook"]}),
        (
            {"uris": ["https://a.example"], "userMetadata": {"run": "7"}},
            {"uris": ["https://a.example"], "userMetadata": {"run": "7"}},
        ),
    ],
)
def test_a_webhook_goes_with_the_job(
    service: Service, method: str, webhook: Any, config: dict[str, Any]
) -> None:
    options: dict[str, Any] = {"inlined_requests": ["x"], "webhook": webhook}
    batch = sent(lambda batches: getattr(batches, method)("m", **options))
    assert batch["webhookConfig"] == config
    model = MODEL if method == "create" else EMBEDDING
    assert getattr(service.client.batches, method)(model, **options).name


def test_a_job_is_named_even_when_nobody_names_it() -> None:
    names = [sent(lambda b: b.create("m", inlined_requests=["x"]))["displayName"] for _ in range(2)]
    assert all(name.startswith("batchkit-") for name in names)
    assert names[0] != names[1]


def test_texts_are_embedded(slow: Slow) -> None:
    requests: list[Any] = [
        "one",
        {"content": {"parts": [{"text": "two"}]}, "outputDimensionality": 8},
        {"key": "c", "request": {"content": {"parts": [{"text": "three"}]}}},
    ]
    job = slow.client.batches.create_embeddings(
        EMBEDDING, inlined_requests=requests, display_name="vectors", priority=2
    )
    assert (job.display_name, job.priority) == ("vectors", 2)
    responses = list(slow.client.batches.get_responses(slow.ended(job)))
    lengths = [len(r.embedding) for r in responses if r.embedding is not None]
    assert sorted(lengths) == [8, 3072, 3072]
    assert [r.key for r in responses if r.key] == ["c"]


def test_a_file_is_embedded(service: Service, tmp_path: Path) -> None:
    # https://github.com/google-gemini/cookbook/blob/f1e7e3de/quickstarts/Batch_mode.ipynb, cell 40
    path = tmp_path / "in.jsonl"
    path.write_bytes(
        b'{"key": "request_1", "request": {"output_dimensionality": 3, "content": {"parts": '
        b'[{"text": "1"}]}}}\n{"key": "request_2", "request": {"output_dimensionality": 4, '
        b'"content": {"parts": [{"text": "2"}]}}}\n'
    )
    batches = service.client.batches
    name = service.client.files.upload(path).name
    for job in (
        batches.create_embeddings(EMBEDDING, path=path),
        batches.create_embeddings(EMBEDDING, file_name=name),
    ):
        responses = {r.key: r for r in batches.get_responses(job.name)}
        vectors = {key: r.embedding for key, r in responses.items()}
        assert {k: len(v) for k, v in vectors.items() if v is not None} == {
            "request_1": 3,
            "request_2": 4,
        }
        assert [r.prompt_tokens for r in responses.values()] == [1, 1]


def test_a_job_is_got_with_and_without_its_prefix(service: Service) -> None:
    job = service.client.batches.create(MODEL, inlined_requests=["x"])
    assert service.client.batches.get(job.name) == service.client.batches.get(job.id)
    assert service.client.batches.get(job.id).name == job.name


def test_a_job_that_is_not_there_is_not_found(service: Service) -> None:
    batches = service.client.batches
    for call in (batches.get, batches.cancel, batches.delete, batches.wait, batches.get_responses):
        with pytest.raises(NotFoundError, match="404 NOT_FOUND: Requested entity was not found"):
            call("batches/nobody")


def test_jobs_are_listed_in_pages_newest_first(service: Service) -> None:
    batches = service.client.batches
    names = [batches.create(MODEL, inlined_requests=["x"]).name for _ in range(5)][::-1]
    first = batches.list(page_size=2)
    assert ([job.name for job in first], len(first)) == (names[:2], 2)
    assert first.has_more_pages
    second = batches.list(page_size=2, page_token=first.next_page_token)
    last = batches.list(page_size=2, page_token=second.next_page_token)
    assert [job.name for job in (*second, *last)] == names[2:]
    assert not last.has_more_pages
    assert [job.name for job in batches.list()] == names


def test_all_jobs_are_listed() -> None:
    with serve(limits=Limits(concurrent_jobs=200)) as emulator:
        batches = quick_client(emulator).batches
        names = [batches.create(MODEL, inlined_requests=["x"]).name for _ in range(103)][::-1]
        assert [job.name for job in batches.list_all()] == names


@pytest.mark.parametrize("token", ["", None])
def test_a_list_of_jobs_ends_at_an_empty_token(token: str | None) -> None:
    pages = [
        Said(body={"operations": [{"name": "batches/a"}], "nextPageToken": "t"}),
        Said(body={"operations": [{"name": "batches/b"}], "nextPageToken": token}),
    ]
    with scripted(*pages) as server:
        jobs = list(server.client().batches.list_all())
        assert [job.name for job in jobs] == ["batches/a", "batches/b"]
        assert [asked.path for asked in server.asked] == [
            "/v1beta/batches?pageSize=100",
            "/v1beta/batches?pageSize=100&pageToken=t",
        ]


def test_a_page_without_jobs_is_not_the_end_when_it_has_a_token() -> None:
    pages = [Said(body={"nextPageToken": "t"}), Said(body={"operations": [{"name": "batches/b"}]})]
    with scripted(*pages) as server:
        assert [job.name for job in server.client().batches.list_all()] == ["batches/b"]


def test_a_filter_is_refused_as_the_service_has_none(service: Service) -> None:
    with pytest.raises(CapabilityError, match="no filter for batches"):
        service.client.batches.list(filter="state=x")
    with pytest.raises(CapabilityError):
        list(service.client.batches.list_all(filter="state=x"))


def test_a_job_is_cancelled(slow: Slow) -> None:
    job = slow.client.batches.create(MODEL, inlined_requests=["x"])
    slow.client.batches.cancel(job.id)
    cancelled = slow.client.batches.get(job.name)
    assert cancelled.cancelled
    assert cancelled.is_complete
    assert slow.asked == []
    slow.client.batches.cancel(job.name)


def test_a_job_is_deleted(slow: Slow) -> None:
    job = slow.client.batches.create(MODEL, inlined_requests=["x"])
    slow.client.batches.delete(job.name)
    assert slow.client.batches.list().jobs == ()
    with pytest.raises(NotFoundError):
        slow.client.batches.delete(job.name)


def test_waiting_polls_first_and_tells_of_every_poll(slow: Slow) -> None:
    job = slow.client.batches.create(MODEL, inlined_requests=["one", "two"])
    told: list[tuple[bk.JobState, float | None]] = []

    def on_progress(current: bk.BatchJob) -> None:
        told.append((current.state, current.progress))
        slow.clock.advance(180)

    ended = slow.client.batches.wait(job.name, poll_interval=0, on_progress=on_progress)
    assert ended.succeeded
    assert told == [
        (bk.JobState.PENDING, 0.0),
        (bk.JobState.RUNNING, 0.0),
        (bk.JobState.RUNNING, 50.0),
        (bk.JobState.RUNNING, 50.0),
        (bk.JobState.SUCCEEDED, 100.0),
    ]


def test_waiting_for_a_job_that_has_ended_looks_once(service: Service) -> None:
    job = service.client.batches.create(MODEL, inlined_requests=["x"])
    told: list[bk.BatchJob] = []
    ended = service.client.batches.wait(job, on_progress=told.append)
    assert told == [ended]
    assert ended.succeeded


def test_waiting_ends_at_any_end(slow: Slow) -> None:
    job = slow.client.batches.create(MODEL, inlined_requests=["x"])
    slow.client.batches.cancel(job.name)
    assert slow.client.batches.wait(job).cancelled


def test_waiting_has_an_end_and_leaves_the_job_alone(slow: Slow) -> None:
    job = slow.client.batches.create(MODEL, inlined_requests=["x"])
    told: list[bk.BatchJob] = []
    with pytest.raises(WaitTimeoutError) as caught:
        slow.client.batches.wait(job, poll_interval=0.01, timeout=0.05, on_progress=told.append)
    assert str(caught.value) == (
        f"{job.name} is still pending after 0.05 s; it goes on, and was not cancelled"
    )
    assert caught.value.job == told[-1]
    assert len(told) > 1
    assert slow.client.batches.get(job.name).state is bk.JobState.PENDING


def test_waiting_no_time_at_all_looks_once(slow: Slow) -> None:
    job = slow.client.batches.create(MODEL, inlined_requests=["x"])
    told: list[bk.BatchJob] = []
    with pytest.raises(WaitTimeoutError):
        slow.client.batches.wait(job, timeout=0, on_progress=told.append)
    assert len(told) == 1


def test_waiting_does_not_sleep_beyond_its_end(slow: Slow) -> None:
    job = slow.client.batches.create(MODEL, inlined_requests=["x"])
    began = time.monotonic()
    with pytest.raises(WaitTimeoutError):
        slow.client.batches.wait(job, poll_interval=10, timeout=0.1)
    assert time.monotonic() - began < 5


def states(*raw: str) -> list[Said]:
    return [Said(body={"name": "batches/b1", "metadata": {"state": state}}) for state in raw]


def test_waiting_goes_on_over_states_that_are_no_end() -> None:
    raw = ["BATCH_STATE_DREAMING", "JOB_STATE_PAUSED", "JOB_STATE_CANCELLING", "COMPLETED"]
    with scripted(*states(*raw)) as server:
        told: list[str | None] = []
        ended = server.client().batches.wait(
            "b1", poll_interval=0, timeout=None, on_progress=lambda job: told.append(job.raw_state)
        )
        assert ended.succeeded
    assert told == raw


def test_a_failure_between_two_polls_is_waited_out() -> None:
    pending, succeeded = states("BATCH_STATE_PENDING", "BATCH_STATE_SUCCEEDED")
    with scripted(pending, Said(503), Said(0), succeeded) as server:
        assert server.client().batches.wait("b1", poll_interval=0).succeeded
        assert len(server.asked) == 4


def test_inlined_responses_are_got(slow: Slow) -> None:
    requests = [{"key": key, "contents": CONTENTS} for key in ("a", "b", "c")]
    job = slow.client.batches.create(MODEL, inlined_requests=requests)
    responses = list(slow.client.batches.get_responses(slow.ended(job)))
    assert {r.key for r in responses} == {"a", "b", "c"}
    assert {(r.status, r.text) for r in responses} == {("ok", "Echo: Hello")}


def test_responses_in_a_file_are_streamed(slow: Slow, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    lines = [{"key": str(n), "request": {"contents": CONTENTS}} for n in range(50)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    job = slow.ended(slow.client.batches.create(MODEL, path=path))
    assert {r.key for r in slow.client.batches.get_responses(job)} == {str(n) for n in range(50)}
    assert next(slow.client.batches.get_responses(job.id)).status == "ok"


def test_responses_are_got_by_name_and_for_a_job_of_a_list(slow: Slow) -> None:
    """A list leaves inlined responses out."""
    job = slow.client.batches.create(MODEL, inlined_requests=[{"key": "a", "contents": CONTENTS}])
    slow.clock.advance(3600)
    (listed,) = slow.client.batches.list()
    assert listed.succeeded
    for which in (listed, job.name, job.id):
        assert [r.key for r in slow.client.batches.get_responses(which)] == ["a"]


def test_there_are_no_responses_before_the_end(slow: Slow) -> None:
    job = slow.client.batches.create(MODEL, inlined_requests=["x"])
    for which in (job, job.name):
        with pytest.raises(JobNotFinishedError) as caught:
            slow.client.batches.get_responses(which)
        assert str(caught.value) == f"{job.name} is pending: wait for it first"
        assert caught.value.job == job


def test_a_job_that_ended_without_output_says_so(slow: Slow) -> None:
    job = slow.client.batches.create(MODEL, inlined_requests=["x"])
    slow.client.batches.cancel(job.name)
    with pytest.raises(NoOutputError) as caught:
        slow.client.batches.get_responses(job.name)
    assert str(caught.value) == f"{job.name} is cancelled and has no output"
    assert caught.value.job is not None
    assert caught.value.job.cancelled


def test_rows_that_failed_are_responses_too() -> None:
    # The published shapes of an inline job, https://ai.google.dev/gemini-api/docs/batch-api
    items = [
        {"metadata": {"key": "a"}, "error": {"code": 13, "message": "Internal", "details": [{}]}},
        {"metadata": {"key": "b"}, "response": {"promptFeedback": {"blockReason": "SAFETY"}}},
        {"response": {"candidates": [{"content": {}, "finishReason": "MAX_TOKENS"}]}},
        {"metadata": {"key": "d"}},
    ]
    output = {"inlinedResponses": {"inlinedResponses": items}}
    metadata = {"state": "BATCH_STATE_SUCCEEDED", "output": output}
    with scripted(Said(body={"name": "batches/b1", "metadata": metadata})) as server:
        responses = list(server.client().batches.get_responses("b1"))
    assert [(r.key, r.status, r.error_code) for r in responses] == [
        ("a", "error", "INTERNAL"),
        ("b", "blocked", "SAFETY"),
        (None, "truncated", None),
        ("d", "empty", None),
    ]


def test_a_broken_line_of_an_output_file_is_a_malformed_response() -> None:
    done = {"state": "BATCH_STATE_SUCCEEDED", "output": {"responsesFile": "files/batch-b1"}}
    lines = b'{"key": "a", "response": {"candidates": []}}\n\nnot JSON\n{"key":'
    replies = [Said(body={"name": "batches/b1", "metadata": done}), Said(body=lines)]
    with scripted(*replies) as server:
        responses = list(server.client().batches.get_responses("b1"))
    assert [(r.key, r.status) for r in responses] == [
        ("a", "empty"),
        (None, "malformed"),
        (None, "malformed"),
    ]


def test_a_full_service_takes_no_job_and_says_so() -> None:
    with serve(limits=Limits(concurrent_jobs=1), job_seconds=60) as emulator:
        batches = quick_client(emulator).batches
        batches.create(MODEL, inlined_requests=["x"])
        with pytest.raises(RateLimitedError, match="1 concurrent batch jobs"):
            batches.create(MODEL, inlined_requests=["x"])
        assert len(batches.list()) == 1


def test_a_create_whose_reply_was_lost_is_not_repeated() -> None:
    def lose(kind: str, _name: str) -> None:
        if kind == "batch.created":
            raise ConnectionResetError

    with serve(on_effect=lose) as emulator:
        batches = quick_client(emulator).batches
        with pytest.raises(ServiceFailureError, match="no answer from the service"):
            batches.create(MODEL, inlined_requests=["x"], display_name="mine")
        assert [job.display_name for job in batches.list_all()] == ["mine"]


def test_what_the_service_refuses_is_said_in_its_words(service: Service) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        service.client.batches.create(MODEL, inlined_requests=[{"contens": CONTENTS}])
    assert 'Unknown name "contens"' in str(caught.value)
    with pytest.raises(NotFoundError):
        service.client.batches.create("gemini-2.0-flash", inlined_requests=["x"])


def test_a_file_that_is_gone_is_refused(service: Service) -> None:
    with pytest.raises(BatchkitError, match="or it may not exist"):
        service.client.batches.create(MODEL, file_name="files/nobody")


def test_the_guides_way_through_a_job(service: Service, tmp_path: Path) -> None:
    """Upload, create, wait with progress, responses, clean up.

    https://hexdocs.pm/gemini_ex, the Batches guide
    """
    path = tmp_path / "input.jsonl"
    path.write_bytes(
        b'{"contents": [{"parts": [{"text": "Summarize: First document content here"}]}]}\n'
        b'{"contents": [{"parts": [{"text": "Summarize: Second document content here"}]}]}\n'
        b'{"contents": [{"parts": [{"text": "Summarize: Third document content here"}]}]}\n'
    )
    client = service.client
    file = client.files.upload(path, display_name="batch-input")
    job = client.batches.create(MODEL, file_name=file.name, display_name="Document Summaries")
    job = client.batches.wait(job, poll_interval=0.01, timeout=60)
    assert job.succeeded
    assert job.completion_stats == bk.CompletionStats(3, 3, 0)
    texts = {response.text for response in client.batches.get_responses(job)}
    assert texts == {
        f"Echo: Summarize: {which} document content here" for which in ("First", "Second", "Third")
    }
    for each in client.batches.list_all():
        client.batches.delete(each.name)
    client.files.delete(file.name)
    assert list(client.batches.list_all()) == []
