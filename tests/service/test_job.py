from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from batchkit.service.job import BatchJob, CompletionStats, JobFailure, JobList, JobPlace, JobState

# https://ai.google.dev/api/batch-api#BatchState
BATCH_STATES = {
    "BATCH_STATE_UNSPECIFIED": "unspecified",
    "BATCH_STATE_PENDING": "pending",
    "BATCH_STATE_RUNNING": "running",
    "BATCH_STATE_SUCCEEDED": "succeeded",
    "BATCH_STATE_FAILED": "failed",
    "BATCH_STATE_CANCELLED": "cancelled",
    "BATCH_STATE_EXPIRED": "expired",
}
# https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/JobState
JOB_STATES = {
    "JOB_STATE_UNSPECIFIED": "unspecified",
    "JOB_STATE_QUEUED": "queued",
    "JOB_STATE_PENDING": "pending",
    "JOB_STATE_RUNNING": "running",
    "JOB_STATE_SUCCEEDED": "succeeded",
    "JOB_STATE_FAILED": "failed",
    "JOB_STATE_CANCELLING": "cancelling",
    "JOB_STATE_CANCELLED": "cancelled",
    "JOB_STATE_PAUSED": "paused",
    "JOB_STATE_EXPIRED": "expired",
    "JOB_STATE_UPDATING": "updating",
    "JOB_STATE_PARTIALLY_SUCCEEDED": "partially_succeeded",
}
# https://github.com/nshkrdotcom/gemini_ex, types/batch.ex: parse_state
OTHER_NAMES = {
    "ACTIVE": "running",
    "COMPLETED": "succeeded",
    "FAILED": "failed",
    "BATCH_STATE_ACTIVE": "running",
    "JOB_STATE_COMPLETED": "succeeded",
}
TERMINAL = {"succeeded", "failed", "cancelled", "expired", "partially_succeeded"}
RUNNING = {"queued", "pending", "running"}


def job_in(state: JobState) -> BatchJob:
    return BatchJob("batches/b1", state)


@pytest.mark.parametrize("raw, name", [*(BATCH_STATES | JOB_STATES | OTHER_NAMES).items()])
def test_every_state_of_both_services_is_known(raw: str, name: str) -> None:
    assert JobState.parse(raw) == name
    assert JobState.parse(raw) is JobState(name)


@pytest.mark.parametrize("raw", ["BATCH_STATE_DREAMING", "succeeded?", "JOB_STATE_", "", None])
def test_a_state_that_is_new_is_unspecified_and_no_end(raw: str | None) -> None:
    state = JobState.parse(raw)
    assert state is JobState.UNSPECIFIED
    assert not state.is_terminal
    assert not state.is_running


@pytest.mark.parametrize("state", JobState)
def test_five_states_are_an_end_and_paused_is_none_of_them(state: JobState) -> None:
    assert state.is_terminal == (state.value in TERMINAL)
    assert job_in(state).is_complete == (state.value in TERMINAL)


@pytest.mark.parametrize("state", JobState)
def test_three_states_are_running(state: JobState) -> None:
    assert state.is_running == (state.value in RUNNING)
    assert job_in(state).is_running == (state.value in RUNNING)


@pytest.mark.parametrize("state", JobState)
def test_success_failure_and_cancellation_are_one_state_each(state: JobState) -> None:
    job = job_in(state)
    assert job.succeeded == (state.value == "succeeded")
    assert job.failed == (state.value == "failed")
    assert job.cancelled == (state.value == "cancelled")


@pytest.mark.parametrize(
    "name, expected",
    [
        ("batches/abc123", "abc123"),
        ("projects/p/locations/l/batchPredictionJobs/77", "77"),
        ("abc123", "abc123"),
    ],
)
def test_the_id_is_the_last_part_of_the_name(name: str, expected: str) -> None:
    assert BatchJob(name, JobState.PENDING).id == expected


@pytest.mark.parametrize(
    "total, success, failure, percent",
    [
        (200, 150, 1, 75.5),
        (4, 0, 0, 0.0),
        (4, 3, 1, 100.0),
        (3, 0, 1, 100 / 3),
        (0, 0, 0, None),
    ],
)
def test_progress_is_in_percent(
    total: int, success: int, failure: int, percent: float | None
) -> None:
    stats = CompletionStats(total, success, failure)
    job = BatchJob("batches/b1", JobState.RUNNING, completion_stats=stats)
    assert job.progress == percent
    assert stats.done_count == success + failure


def test_without_counts_there_is_no_progress() -> None:
    assert job_in(JobState.RUNNING).progress is None


def test_a_failure_reads_as_its_reason_and_message() -> None:
    failure = JobFailure(3, "INVALID_ARGUMENT", "Failed to import data.")
    assert str(failure) == "INVALID_ARGUMENT: Failed to import data."


def test_a_page_of_jobs_can_be_counted_and_gone_through() -> None:
    first, second = job_in(JobState.PENDING), job_in(JobState.FAILED)
    page = JobList((first, second), "token")
    assert len(page) == 2
    assert list(page) == [first, second]


@pytest.mark.parametrize("token, more", [("t", True), ("", False), (None, False)])
def test_a_page_has_more_behind_it_when_it_has_a_token(token: str | None, *, more: bool) -> None:
    assert JobList((), token).has_more_pages is more


def test_a_job_does_not_change_and_does_not_show_its_whole_content() -> None:
    job = BatchJob("batches/b1", JobState.PENDING, content={"name": "batches/b1", "much": "more"})
    with pytest.raises(FrozenInstanceError):
        job.state = JobState.FAILED  # pyright: ignore[reportAttributeAccessIssue]
    assert "much" not in repr(job)
    assert job == job_in(JobState.PENDING)
    assert job.source == job.destination == JobPlace()
