"""Jobs as the BatchPredictionJob that the service returns.

https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.batchPredictionJobs
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchkit.emulator.clock import timestamp

if TYPE_CHECKING:
    from batchkit.emulator.jobs import Job
    from batchkit.emulator.vertex.orders import Order

__all__ = ["delete_operation", "prediction_job"]


def prediction_job(job: Job, order: Order, now: int) -> dict[str, Any]:
    """A job at an instant: what is empty or zero is left out."""
    error = {"code": job.error_code, "message": job.error_message} if job.error_code else {}
    fields = {
        "name": order.name,
        **order.body,
        "outputInfo": _output_info(job, order),
        "state": f"JOB_STATE_{job.state_at(now)}",
        "error": error,
        "completionStats": _stats(job, now),
        "createTime": _time(job.created),
        "startTime": _time(job.starts) if job.imported or now > job.starts else "",
        "endTime": _time(job.ended) if job.state else "",
        "updateTime": _time(job.ended or (job.starts if now > job.starts else job.created)),
        "modelVersionId": "1",
    }
    return {name: value for name, value in fields.items() if value}


def delete_operation(order: Order, number: str, now: int) -> dict[str, Any]:
    """The Operation that a delete gives: it is done at once."""
    package = "type.googleapis.com/google.cloud.aiplatform.v1."
    times = {"createTime": _time(now), "updateTime": _time(now)}
    return {
        "name": f"{order.place}/operations/{number}",
        "metadata": {"@type": f"{package}DeleteOperationMetadata", "genericMetadata": times},
        "done": True,
        "response": {"@type": "type.googleapis.com/google.protobuf.Empty"},
    }


def _output_info(job: Job, order: Order) -> dict[str, str]:
    """Where it writes, once it has begun to."""
    if not job.imported:
        return {}
    if order.output_folder:
        return {"gcsOutputDirectory": order.output_folder}
    dataset, _, table = order.output_table.rpartition(".")
    return {"bigqueryOutputDataset": f"bq://{dataset}", "bigqueryOutputTable": table}


def _stats(job: Job, now: int) -> dict[str, str]:
    answered = job.answered(now)
    counts = {
        "successfulCount": job.succeeded if job.state else answered,
        "failedCount": job.failed,
        "incompleteCount": max(0, job.total - answered),
    }
    return {name: str(count) for name, count in counts.items() if count}


def _time(instant: int) -> str:
    """RFC 3339 with six fractional digits."""
    return f"{timestamp(instant)[:-4]}Z"
