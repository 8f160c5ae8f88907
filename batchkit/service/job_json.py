"""Jobs read from the JSON of either service, which says the same thing in several places."""

from __future__ import annotations

import datetime as dt
import logging
import re
from typing import TYPE_CHECKING, Any

from batchkit import jsonl
from batchkit.secret import without_secrets
from batchkit.service.job import (
    BatchJob,
    CompletionStats,
    JobFailure,
    JobList,
    JobPlace,
    JobState,
)
from batchkit.wire import rpc_reason

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["read_integer", "read_job", "read_job_list", "read_time"]

_LOG = logging.getLogger("batchkit")
_SHOWN = 100
_LISTS = ("operations", "batchPredictionJobs", "batchJobs", "batches")


def read_job(content: Mapping[str, Any]) -> BatchJob:
    """The job in an Operation, a batch resource or a batchPredictionJob."""
    metadata = content.get("metadata")
    resource: Mapping[str, Any] = metadata if jsonl.is_object(metadata) else content
    error = content.get("error") or resource.get("error")
    raw = _text(resource.get("state")) or _state_of(content)
    state = JobState.parse(raw)
    name = _text(content.get("name")) or _text(resource.get("name")) or ""
    if state is JobState.UNSPECIFIED and raw:
        _LOG.warning(
            "%s has the state %s, which is new to batchkit: polling on", name, raw[:_SHOWN]
        )
    return BatchJob(
        name=name,
        state=state,
        raw_state=raw,
        display_name=_text(resource.get("displayName")),
        model=_text(resource.get("model")),
        completion_stats=_stats(resource),
        error=_failure(error) if jsonl.is_object(error) else None,
        source=_place(resource.get("inputConfig")),
        destination=_destination(content, resource),
        priority=read_integer(resource.get("priority")),
        create_time=read_time(resource.get("createTime")),
        start_time=read_time(resource.get("startTime")),
        end_time=read_time(resource.get("endTime")),
        update_time=read_time(resource.get("updateTime")),
        partial_failures=tuple(
            _failure(each) for each in _objects(resource.get("partialFailures"))
        ),
        labels={name: str(value) for name, value in _inner(resource, "labels").items()},
        content=content,
    )


def read_job_list(content: Mapping[str, Any]) -> JobList:
    """A page of jobs, under whichever name the service lists them."""
    named = (found for name in _LISTS if (found := _objects(content.get(name))))
    jobs = tuple(read_job(item) for item in next(named, ()))
    return JobList(jobs, _text(content.get("nextPageToken")) or None)


def _state_of(content: Mapping[str, Any]) -> str | None:
    """The state of an Operation that names none."""
    if not content.get("done"):
        return "JOB_STATE_RUNNING" if "metadata" in content else None
    return "JOB_STATE_FAILED" if content.get("error") else "JOB_STATE_SUCCEEDED"


def _stats(resource: Mapping[str, Any]) -> CompletionStats | None:
    """Counts come as text, and a zero is left out."""
    batch = resource.get("batchStats")
    if jsonl.is_object(batch):
        return CompletionStats(
            read_integer(batch.get("requestCount")) or 0,
            read_integer(batch.get("successfulRequestCount")) or 0,
            read_integer(batch.get("failedRequestCount")) or 0,
        )
    stats = resource.get("completionStats")
    if not jsonl.is_object(stats):
        return None
    success = read_integer(stats.get("successfulCount", stats.get("successCount"))) or 0
    failure = read_integer(stats.get("failedCount", stats.get("failureCount"))) or 0
    incomplete = max(0, read_integer(stats.get("incompleteCount")) or 0)  # -1 means unknown
    total = read_integer(stats.get("totalCount")) or success + failure + incomplete
    return CompletionStats(total, success, failure)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if jsonl.is_object(each)] if jsonl.is_list(value) else []


def _failure(error: Mapping[str, Any]) -> JobFailure:
    code = read_integer(error.get("code"))
    reason = error.get("status") or rpc_reason(code)
    message, details = without_secrets(str(error.get("message", ""))), error.get("details")
    known = without_secrets(details) if jsonl.is_list(details) else ()
    return JobFailure(code, str(reason), message, known)


def _destination(content: Mapping[str, Any], resource: Mapping[str, Any]) -> JobPlace:
    """Output stands under `response`, `response.output`, `metadata.output`, or several of them."""
    response = content.get("response")
    nested = response.get("output") if jsonl.is_object(response) else None
    for output in (response, nested, resource.get("output"), resource.get("outputInfo")):
        place = _place(output)
        if place != JobPlace():
            return place
    return _place(resource.get("outputConfig"))


def _place(config: Any) -> JobPlace:
    if not jsonl.is_object(config):
        return JobPlace()
    flat = {**config, **_inner(config, "gcsSource"), **_inner(config, "bigquerySource")}
    flat |= {**_inner(config, "gcsDestination"), **_inner(config, "bigqueryDestination")}
    listed = flat.get("uris")
    single = [flat.get("gcsOutputDirectory") or flat.get("outputUriPrefix")]
    uris = listed if jsonl.is_list(listed) and listed else single
    inlined = flat.get("inlinedResponses")
    items = inlined.get("inlinedResponses") if jsonl.is_object(inlined) else inlined
    return JobPlace(
        file_name=_text(flat.get("responsesFile")) or _text(flat.get("fileName")),
        inlined=tuple(items) if jsonl.is_list(items) else None,
        gcs_uris=tuple(uri for uri in map(_text, uris) if uri),
        bigquery_uri=_text(flat.get("inputUri"))
        or _text(flat.get("outputUri"))
        or _output_table(flat),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _inner(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = config.get(name)
    return value if jsonl.is_object(value) else {}


def _output_table(info: Mapping[str, Any]) -> str | None:
    dataset = _text(info.get("bigqueryOutputDataset"))
    table = _text(info.get("bigqueryOutputTable"))
    return f"{dataset}.{table}" if dataset and table else dataset


def read_integer(value: Any) -> int | None:
    """A number that proto JSON may write as text; None for anything else."""
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def read_time(value: Any) -> dt.datetime | None:
    """A timestamp whose fraction may have nine digits; Python keeps six."""
    if not isinstance(value, str):
        return None
    short = re.sub(r"(\.\d{6})\d+", r"\1", value.replace("Z", "+00:00"))
    try:
        return dt.datetime.fromisoformat(short)
    except ValueError:
        return None
