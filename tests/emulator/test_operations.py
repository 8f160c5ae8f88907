from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchkit.emulator.operations import operation

from .test_jobs import PLANNED, SECOND

if TYPE_CHECKING:
    from batchkit.emulator.jobs import EndState, Job

PACKAGE = "type.googleapis.com/google.ai.generativelanguage.v1main."
DONE = replace(
    PLANNED, imported=True, state="SUCCEEDED", ended=30 * SECOND, succeeded=7, priority=-2
)


def stats(job: Job, at: int) -> dict[str, str]:
    return operation(job, at)["metadata"].get("batchStats", {})


@settings(deadline=None)
@given(at=st.integers(0, 60 * SECOND), total=st.integers(0, 1000))
def test_counters_are_texts_without_zeros_and_add_up_to_the_total(at: int, total: int) -> None:
    counts = stats(replace(PLANNED, total=total), at)
    assert all(isinstance(count, str) and count != "0" for count in counts.values())
    parts = sum(int(count) for name, count in counts.items() if name != "requestCount")
    assert parts == int(counts.get("requestCount", 0)) == total


@pytest.mark.parametrize(
    "at, state, updated", [(0, "PENDING", 0), (10, "PENDING", 0), (11, "RUNNING", 10)]
)
def test_a_job_that_has_not_ended_has_neither_done_nor_an_end(
    at: int, state: str, updated: int
) -> None:
    job = operation(PLANNED, at * SECOND)
    assert set(job) == {"name", "metadata"}
    assert job["name"] == job["metadata"]["name"] == "batches/one"
    assert job["metadata"]["state"] == f"BATCH_STATE_{state}"
    assert job["metadata"]["updateTime"] == f"1970-01-01T00:00:{updated:02d}.000000000Z"
    assert not {"endTime", "output", "displayName", "priority"} & job["metadata"].keys()


@pytest.mark.parametrize(
    "kind, message", [("generate", "GenerateContentBatch"), ("embed", "EmbedContentBatch")]
)
def test_a_job_by_file_names_its_output_in_both_places(kind: Any, message: str) -> None:
    job = operation(replace(DONE, kind=kind), 99 * SECOND)
    output = {"responsesFile": "files/batch-one"}
    assert job["done"] is True
    assert job["response"] == {"@type": f"{PACKAGE}{message}Output", **output}
    assert job["metadata"]["@type"] == PACKAGE + message
    assert job["metadata"]["output"] == output
    assert job["metadata"]["priority"] == "-2"
    assert job["metadata"]["endTime"] == "1970-01-01T00:00:30.000000000Z"


def test_a_job_of_inline_requests_shows_them_only_when_they_are_given() -> None:
    job = replace(DONE, file_name="")
    listed = operation(job, 0)
    assert listed["response"] == {"@type": f"{PACKAGE}GenerateContentBatchOutput"}
    assert not {"output", "inputConfig"} & listed["metadata"].keys()
    got = orjson.loads(orjson.dumps(operation(job, 0, orjson.Fragment(b"[1]"))))
    assert got["response"]["inlinedResponses"] == {"inlinedResponses": [1]}
    assert got["metadata"]["output"]["inlinedResponses"] == {"inlinedResponses": [1]}


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "EXPIRED"])
def test_a_job_that_ended_otherwise_has_an_error_and_no_output(state: EndState) -> None:
    ended = replace(DONE, state=state, error_code=3, error_message="why", succeeded=0)
    job = operation(ended, 0, orjson.Fragment(b"[1]"))
    assert job["done"] is True
    assert job["error"] == {"code": 3, "message": "why"}
    assert "response" not in job
    assert "output" not in job["metadata"]
    assert job["metadata"]["state"] == f"BATCH_STATE_{state}"
    assert stats(ended, 0) == {"requestCount": "7", "pendingRequestCount": "7"}


def test_a_tuned_model_keeps_the_name_it_has() -> None:
    assert operation(PLANNED, 0)["metadata"]["model"] == "models/gemini-3.8-flash"
    tuned = replace(PLANNED, model="tunedModels/mine")
    assert operation(tuned, 0)["metadata"]["model"] == "tunedModels/mine"
