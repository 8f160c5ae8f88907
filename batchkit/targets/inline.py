"""Requests inside the call that creates the job: for small runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchkit import jsonl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchkit.service.client import Gemini
    from batchkit.service.job import BatchJob
    from batchkit.targets.parcel import Parcel

__all__ = ["create_inline", "stage_nothing"]


def stage_nothing(client: Gemini, parcel: Parcel) -> None:  # the seam's form
    """Inline requests travel with the call that creates the job."""


def create_inline(client: Gemini, parcel: Parcel, staged: Mapping[str, Any] | None) -> BatchJob:  # noqa: ARG001  # the seam's form
    """Create the job with its requests; the key of each travels in its metadata."""
    requests = list(_items(parcel))
    create = (
        client.batches.create if parcel.kind == "generate" else client.batches.create_embeddings
    )
    return create(parcel.model, inlined_requests=requests, display_name=parcel.display_name)


def _items(parcel: Parcel) -> Iterator[dict[str, Any]]:
    with parcel.path.open("rb") as file:
        for _, line in jsonl.lines(file):
            yield jsonl.loads(line)
