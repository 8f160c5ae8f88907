"""Requests as objects in Cloud Storage, for Vertex AI: one object and one output folder per job.

https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-cloud-storage
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchkit.storage import ObjectUri

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchkit.service.client import Vertex
    from batchkit.service.job import BatchJob
    from batchkit.targets.parcel import Parcel

__all__ = [
    "check_bucket",
    "create_from_object",
    "output_folder",
    "request_object",
    "response_folder",
    "stage_object",
]

_CONTENT_TYPE = "application/jsonl"


def check_bucket(client: Vertex, address: str) -> None:
    """Raise a ServiceError when the bucket is not there, or this account may not read objects.

    Whether it may write them shows with the first upload, which is before any job.
    """
    client.cloud.objects.check_folder(ObjectUri.parse(address))


def stage_object(client: Vertex, parcel: Parcel) -> dict[str, Any]:
    """Upload the request file as a new object below the run's own prefix.

    One that an interrupted driver left there has the same name and content, and is taken.
    """
    uri = request_object(parcel.target, parcel.run_id, parcel.name)
    stored = client.cloud.objects.put(
        parcel.path, uri, content_type=_CONTENT_TYPE, on_progress=parcel.on_progress
    )
    return {"object": str(stored.uri), "generation": stored.generation, "bytes": stored.bytes}


def create_from_object(
    client: Vertex, parcel: Parcel, staged: Mapping[str, Any] | None
) -> BatchJob:
    """Create the job that reads the object and writes below a prefix of its own."""
    create = (
        client.batches.create if parcel.kind == "generate" else client.batches.create_embeddings
    )
    return create(
        parcel.model,
        gcs_uri=(staged or {})["object"],
        destination=str(output_folder(parcel.output or parcel.target, parcel)),
        display_name=parcel.display_name,
    )


def output_folder(address: str, parcel: Parcel) -> ObjectUri:
    """Where one job writes: no other job's output lies below it."""
    return response_folder(address, parcel.run_id, parcel.name)


def request_object(address: str, run_id: str, attempt: str) -> ObjectUri:
    """The object that an attempt of a run reads, below the address that the user named."""
    return ObjectUri.parse(address) / run_id / "requests" / f"{attempt}.jsonl"


def response_folder(address: str, run_id: str, attempt: str) -> ObjectUri:
    """The folder that an attempt of a run writes to, as the prefix of a job's output."""
    return ObjectUri.parse(address) / run_id / "responses" / attempt
