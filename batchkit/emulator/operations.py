"""Jobs as the operations that the API returns.

Shapes as captured on 2026-01-06 and in https://ai.google.dev/api/batch-api.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchkit.emulator.clock import timestamp

if TYPE_CHECKING:
    from batchkit.emulator.jobs import Job

__all__ = ["operation"]

_PACKAGE = "type.googleapis.com/google.ai.generativelanguage.v1main."
_MESSAGES = {"generate": "GenerateContentBatch", "embed": "EmbedContentBatch"}


def operation(job: Job, now: int, inlined_responses: Any = None) -> dict[str, Any]:
    """The Operation message of a job at an instant.

    `inlined_responses` is the JSON list of a job whose requests came inline; without it (lists
    leave it out) such a job shows no output.
    """
    message = _PACKAGE + _MESSAGES[job.kind]
    output = _output(job, inlined_responses)
    result: dict[str, Any] = {"name": f"batches/{job.id}"}
    result["metadata"] = {"@type": message, **_metadata(job, now, output)}
    if job.state == "SUCCEEDED":
        result |= {"done": True, "response": {"@type": f"{message}Output", **output}}
    elif job.state:
        result |= {"done": True, "error": {"code": job.error_code, "message": job.error_message}}
    return result


def _output(job: Job, inlined_responses: Any) -> dict[str, Any]:
    if job.state != "SUCCEEDED":
        return {}
    if job.file_name:
        return {"responsesFile": f"files/{job.output_file}"}
    if inlined_responses is None:
        return {}
    return {"inlinedResponses": {"inlinedResponses": inlined_responses}}


def _metadata(job: Job, now: int, output: dict[str, Any]) -> dict[str, Any]:
    """The batch message: what is empty or zero is left out."""
    fields = {
        "model": job.model if "/" in job.model else f"models/{job.model}",
        "displayName": job.display_name,
        "inputConfig": {"fileName": job.file_name} if job.file_name else {},
        "output": output,
        "createTime": timestamp(job.created),
        "endTime": timestamp(job.ended) if job.state else "",
        "updateTime": timestamp(_updated(job, now)),
        "batchStats": _stats(job, now),
        "state": f"BATCH_STATE_{job.state_at(now)}",
        "priority": str(job.priority) if job.priority else "",
        "name": f"batches/{job.id}",
    }
    return {name: value for name, value in fields.items() if value}


def _updated(job: Job, now: int) -> int:
    if job.state:
        return job.ended
    return job.starts if now > job.starts else job.created


def _stats(job: Job, now: int) -> dict[str, str]:
    answered = job.answered(now)
    counts = {
        "requestCount": job.total,
        "successfulRequestCount": answered - job.failed,
        "failedRequestCount": job.failed,
        "pendingRequestCount": job.total - answered,
    }
    return {name: str(count) for name, count in counts.items() if count}
