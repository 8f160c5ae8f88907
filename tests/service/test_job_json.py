from __future__ import annotations

import datetime as dt
import logging
from typing import Any

import pytest

from batchkit.service.job import CompletionStats, JobFailure, JobPlace, JobState
from batchkit.service.job_json import read_integer, read_job, read_job_list, read_time

# Captured on 2026-01-06 by the author of a Delphi wrapper of Gemini, "Batch" guide: what create
# answered, and get when the job had ended
CREATED: dict[str, Any] = {
    "name": "batches/leg9wy9p5df66syjxke2eq4xfjqcwp47ejv3",
    "metadata": {
        "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
        "model": "models/gemini-2.5-flash",
        "displayName": "my batch name",
        "inputConfig": {"fileName": "files/frh6ua11nk3o"},
        "createTime": "2026-01-06T11:09:11.943530657Z",
        "updateTime": "2026-01-06T11:09:11.943530657Z",
        "batchStats": {"requestCount": "2", "pendingRequestCount": "2"},
        "state": "BATCH_STATE_PENDING",
        "name": "batches/leg9wy9p5df66syjxke2eq4xfjqcwp47ejv3",
    },
}
SUCCEEDED: dict[str, Any] = {
    "name": "batches/leg9wy9p5df66syjxke2eq4xfjqcwp47ejv3",
    "metadata": {
        "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
        "model": "models/gemini-2.5-flash",
        "displayName": "my batch name",
        "inputConfig": {"fileName": "files/frh6ua11nk3o"},
        "output": {"responsesFile": "files/batch-leg9wy9p5df66syjxke2eq4xfjqcwp47ejv3"},
        "createTime": "2026-01-06T11:09:11.943530657Z",
        "endTime": "2026-01-06T11:10:19.736868930Z",
        "updateTime": "2026-01-06T11:10:19.736868797Z",
        "batchStats": {"requestCount": "2", "successfulRequestCount": "2"},
        "state": "BATCH_STATE_SUCCEEDED",
        "name": "batches/leg9wy9p5df66syjxke2eq4xfjqcwp47ejv3",
    },
    "done": True,
    "response": {
        "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatchOutput",  # noqa: E501  # as published
        "responsesFile": "files/batch-leg9wy9p5df66syjxke2eq4xfjqcwp47ejv3",
    },
}
# https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.batchPredictionJobs
VERTEX: dict[str, Any] = {
    "name": "projects/p/locations/us-central1/batchPredictionJobs/77",
    "displayName": "d",
    "model": "publishers/google/models/gemini-3.5-flash",
    "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["gs://b/1", "gs://b/2"]}},
    "outputConfig": {"gcsDestination": {"outputUriPrefix": "gs://b/out"}},
    "outputInfo": {"gcsOutputDirectory": "gs://b/out/prediction-model-1"},
    "state": "JOB_STATE_PARTIALLY_SUCCEEDED",
    "completionStats": {"successfulCount": "7", "failedCount": "1", "incompleteCount": "-1"},
    "startTime": "2026-01-06T11:10:00Z",
}
FILE = {"responsesFile": "files/batch-b1"}
INLINE = {"inlinedResponses": {"inlinedResponses": [{"metadata": {"key": "a"}, "response": {}}]}}


def operation(**metadata: Any) -> dict[str, Any]:
    return {"name": "batches/b1", "metadata": metadata}


def test_the_published_answer_to_create_is_read() -> None:
    job = read_job(CREATED)
    assert job.name == "batches/leg9wy9p5df66syjxke2eq4xfjqcwp47ejv3"
    assert job.id == "leg9wy9p5df66syjxke2eq4xfjqcwp47ejv3"
    assert (job.state, job.raw_state) == (JobState.PENDING, "BATCH_STATE_PENDING")
    assert (job.display_name, job.model) == ("my batch name", "models/gemini-2.5-flash")
    assert job.completion_stats == CompletionStats(2, 0, 0)
    assert job.progress == 0.0
    assert job.source == JobPlace(file_name="files/frh6ua11nk3o")
    assert job.destination == JobPlace()
    assert job.create_time == dt.datetime(2026, 1, 6, 11, 9, 11, 943530, tzinfo=dt.UTC)
    assert job.update_time == job.create_time
    assert job.start_time is job.end_time is job.error is job.priority is None
    assert job.content == CREATED
    assert job.is_running
    assert not job.is_complete


def test_the_published_end_of_the_job_is_read() -> None:
    job = read_job(SUCCEEDED)
    assert job.state is JobState.SUCCEEDED
    assert job.completion_stats == CompletionStats(2, 2, 0)
    assert job.progress == 100.0
    assert job.destination.file_name == "files/batch-leg9wy9p5df66syjxke2eq4xfjqcwp47ejv3"
    assert job.end_time == dt.datetime(2026, 1, 6, 11, 10, 19, 736868, tzinfo=dt.UTC)
    assert job.succeeded
    assert job.is_complete


def test_a_job_of_vertex_is_read() -> None:
    job = read_job(VERTEX)
    assert job.id == "77"
    assert job.state is JobState.PARTIALLY_SUCCEEDED
    assert job.completion_stats == CompletionStats(8, 7, 1)
    assert job.source == JobPlace(gcs_uris=("gs://b/1", "gs://b/2"))
    assert job.destination == JobPlace(gcs_uris=("gs://b/out/prediction-model-1",))
    assert job.start_time == dt.datetime(2026, 1, 6, 11, 10, tzinfo=dt.UTC)


def test_a_batch_that_is_not_wrapped_in_an_operation_is_read() -> None:
    job = read_job(SUCCEEDED["metadata"])
    assert job.name == SUCCEEDED["name"]
    assert job.state is JobState.SUCCEEDED
    assert job.destination.file_name == "files/batch-leg9wy9p5df66syjxke2eq4xfjqcwp47ejv3"


@pytest.mark.parametrize(
    "content",
    [
        {"response": FILE, "metadata": {}},
        {"response": {"output": FILE}, "metadata": {}},
        {"metadata": {"output": FILE}},
        {"response": FILE, "metadata": {"output": {"responsesFile": "files/older"}}},
        {"response": {"@type": "x"}, "metadata": {"output": FILE}},
        {"response": None, "metadata": {"output": FILE}},
    ],
)
def test_an_output_file_is_found_wherever_it_stands(content: dict[str, Any]) -> None:
    assert read_job(content).destination == JobPlace(file_name="files/batch-b1")


@pytest.mark.parametrize(
    "content",
    [
        {"response": INLINE, "metadata": {}},
        {"response": {"output": INLINE}, "metadata": {}},
        {"metadata": {"output": INLINE}},
        {"metadata": {"output": INLINE["inlinedResponses"]}},
    ],
)
def test_inlined_responses_are_found_wherever_they_stand(content: dict[str, Any]) -> None:
    assert read_job(content).destination.inlined == ({"metadata": {"key": "a"}, "response": {}},)


def test_no_inlined_responses_and_none_given_are_not_the_same() -> None:
    empty = {"inlinedResponses": {"inlinedResponses": []}}
    assert read_job({"metadata": {"output": empty}}).destination.inlined == ()
    assert read_job({"metadata": {"output": {}}}).destination.inlined is None


@pytest.mark.parametrize(
    "config, place",
    [
        ({"bigquerySource": {"inputUri": "bq://p.d.t"}}, JobPlace(bigquery_uri="bq://p.d.t")),
        ({"gcsSource": {"uris": ["gs://b/in"]}}, JobPlace(gcs_uris=("gs://b/in",))),
        ({"fileName": "files/x"}, JobPlace(file_name="files/x")),
        ({"requests": {"requests": [{"request": {}}]}}, JobPlace()),
        (None, JobPlace()),
        ("text", JobPlace()),
    ],
)
def test_each_source_is_named(config: Any, place: JobPlace) -> None:
    assert read_job(operation(inputConfig=config)).source == place


@pytest.mark.parametrize(
    "content, place",
    [
        (
            {"outputInfo": {"bigqueryOutputDataset": "bq://p.d", "bigqueryOutputTable": "t"}},
            JobPlace(bigquery_uri="bq://p.d.t"),
        ),
        ({"outputInfo": {"bigqueryOutputDataset": "bq://p.d"}}, JobPlace(bigquery_uri="bq://p.d")),
        (
            {"outputConfig": {"bigqueryDestination": {"outputUri": "bq://p.d.t"}}},
            JobPlace(bigquery_uri="bq://p.d.t"),
        ),
        (
            {"outputConfig": {"gcsDestination": {"outputUriPrefix": "gs://b/out"}}},
            JobPlace(gcs_uris=("gs://b/out",)),
        ),
    ],
)
def test_each_destination_of_vertex_is_named(content: dict[str, Any], place: JobPlace) -> None:
    assert read_job(content).destination == place


@pytest.mark.parametrize(
    "stats, expected",
    [
        ({"requestCount": "10", "pendingRequestCount": "10"}, CompletionStats(10, 0, 0)),
        ({"requestCount": "9", "failedRequestCount": "9"}, CompletionStats(9, 0, 9)),
        (
            {"requestCount": 10, "successfulRequestCount": 6, "failedRequestCount": 1},
            CompletionStats(10, 6, 1),
        ),
        ({}, CompletionStats(0, 0, 0)),
        (None, None),
    ],
)
def test_counters_come_as_text_and_zeros_are_left_out(
    stats: dict[str, Any] | None, expected: CompletionStats | None
) -> None:
    assert read_job(operation(batchStats=stats)).completion_stats == expected


@pytest.mark.parametrize(
    "stats, expected",
    [
        ({"successfulCount": "3", "incompleteCount": "5"}, CompletionStats(8, 3, 0)),
        (
            {"totalCount": "9", "successCount": "4", "failureCount": "2"},
            CompletionStats(9, 4, 2),
        ),
        ({"incompleteCount": "-1"}, CompletionStats(0, 0, 0)),
    ],
)
def test_counters_of_vertex_and_of_the_guide_are_read(
    stats: dict[str, str], expected: CompletionStats
) -> None:
    assert read_job({"completionStats": stats}).completion_stats == expected


def test_an_error_keeps_its_details_as_objects() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{}]}]
    error = {"code": 3, "message": "Failed to import data", "details": details}
    job = read_job({"name": "batches/b1", "metadata": {}, "done": True, "error": error})
    assert job.error == JobFailure(3, "INVALID_ARGUMENT", "Failed to import data", details)
    assert str(job.error) == "INVALID_ARGUMENT: Failed to import data"


@pytest.mark.parametrize(
    "error, expected",
    [
        ({"code": 13}, JobFailure(13, "INTERNAL", "")),
        ({"code": 404, "message": "gone"}, JobFailure(404, "NOT_FOUND", "gone")),
        ({"code": 77, "message": "odd"}, JobFailure(77, "CODE_77", "odd")),
        ({"status": "ABORTED", "message": "x"}, JobFailure(None, "ABORTED", "x")),
        ({"message": "only this"}, JobFailure(None, "UNKNOWN", "only this")),
        ("text", None),
        (None, None),
    ],
)
def test_an_error_is_named_by_its_code(error: Any, expected: JobFailure | None) -> None:
    assert read_job({"metadata": {}, "error": error}).error == expected
    assert read_job({"state": "JOB_STATE_FAILED", "error": error}).error == expected


@pytest.mark.parametrize(
    "content, state",
    [
        ({"metadata": {}}, JobState.RUNNING),
        ({"metadata": {}, "done": False}, JobState.RUNNING),
        ({"metadata": {}, "done": True, "response": FILE}, JobState.SUCCEEDED),
        ({"metadata": {}, "done": True, "error": {"code": 13}}, JobState.FAILED),
        ({"done": True}, JobState.SUCCEEDED),
        ({}, JobState.UNSPECIFIED),
    ],
)
def test_an_operation_without_a_state_goes_by_done_and_error(
    content: dict[str, Any], state: JobState
) -> None:
    assert read_job(content).state is state


def test_a_new_state_is_kept_warned_about_and_no_end(caplog: pytest.LogCaptureFixture) -> None:
    job = read_job(operation(state="BATCH_STATE_DREAMING"))
    assert (job.state, job.raw_state) == (JobState.UNSPECIFIED, "BATCH_STATE_DREAMING")
    assert not job.is_complete
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("batchkit", logging.WARNING)
    assert record.getMessage() == (
        "batches/b1 has the state BATCH_STATE_DREAMING, which is new to batchkit: polling on"
    )


def test_a_known_state_is_no_cause_to_warn(caplog: pytest.LogCaptureFixture) -> None:
    for raw in ("BATCH_STATE_PENDING", "JOB_STATE_PAUSED", "COMPLETED"):
        read_job(operation(state=raw))
    assert caplog.records == []


@pytest.mark.parametrize(
    "name", ["operations", "batchPredictionJobs", "batchJobs", "batches"], ids=str
)
def test_jobs_are_listed_under_any_name(name: str) -> None:
    page = read_job_list({name: [CREATED, SUCCEEDED], "nextPageToken": "t"})
    assert [job.state for job in page] == [JobState.PENDING, JobState.SUCCEEDED]
    assert page.next_page_token == "t"  # noqa: S105  # a token of pages


@pytest.mark.parametrize("content", [{}, {"operations": []}, {"operations": [], "batches": []}])
def test_an_empty_list_has_no_jobs_and_no_more_pages(content: dict[str, Any]) -> None:
    for token in ({}, {"nextPageToken": ""}, {"nextPageToken": None}):
        page = read_job_list(content | token)
        assert page.jobs == ()
        assert page.next_page_token is None
        assert not page.has_more_pages


@pytest.mark.parametrize(
    "value, expected",
    [("12", 12), ("-3", -3), (7, 7), (None, None), ("x", None), ("", None), ([1], None)],
)
def test_integers_come_as_numbers_or_as_text(value: Any, expected: int | None) -> None:
    assert read_integer(value) == expected


def test_a_priority_is_a_number() -> None:
    assert read_job(operation(priority="-5")).priority == -5
    assert read_job(operation()).priority is None


@pytest.mark.parametrize(
    "text, microsecond",
    [
        ("2026-01-06T11:09:11.943530657Z", 943530),
        ("2026-01-06T11:09:11.943530Z", 943530),
        ("2026-01-06T11:09:11.943Z", 943000),
        ("2026-01-06T11:09:11Z", 0),
        ("2026-01-06T12:09:11.000000001+01:00", 0),
    ],
)
def test_a_time_may_have_nine_digits(text: str, microsecond: int) -> None:
    assert read_time(text) == dt.datetime(2026, 1, 6, 11, 9, 11, microsecond, tzinfo=dt.UTC)


@pytest.mark.parametrize("value", [None, "", "yesterday", 1767697751, "2026-13-45T00:00:00Z"])
def test_what_is_no_time_is_none(value: Any) -> None:
    assert read_time(value) is None


ODD_FIELDS = (
    "state",
    "displayName",
    "model",
    "batchStats",
    "completionStats",
    "error",
    "priority",
    "createTime",
    "output",
    "outputInfo",
    "inputConfig",
    "labels",
    "partialFailures",
)


@pytest.mark.parametrize("odd", [5, [], {}, True, "x", None, [None], {"a": {}}, 1e308], ids=str)
def test_a_job_whose_fields_are_of_other_types_is_read_without_them(odd: Any) -> None:
    fields = dict.fromkeys(ODD_FIELDS, odd)
    job = read_job({"name": odd, "metadata": fields, **fields})
    assert not job.is_complete
    assert isinstance(job.name, str)
    assert read_job_list({"operations": odd, "nextPageToken": odd}).jobs == ()


def test_a_secret_in_what_is_said_of_a_job_is_left_out() -> None:
    said = "no access to https://h/o?X-Goog-Signature=abc123"
    error = {"code": 7, "message": said, "details": [{"a": said}]}
    assert "abc123" not in repr(read_job({"name": "batches/a", "error": error}))
