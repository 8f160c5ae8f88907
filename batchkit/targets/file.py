"""Requests in an uploaded file: for runs of any size."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from batchkit.errors import ServiceError
from batchkit.events import Said
from batchkit.limits import service_limit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchkit.events import Progress
    from batchkit.service.client import Gemini
    from batchkit.service.files import File
    from batchkit.service.job import BatchJob
    from batchkit.targets.parcel import Parcel

__all__ = ["SPARE_SECONDS", "create_from_file", "stage_file", "tell_room"]

SPARE_SECONDS = 3600  # an upload that expires sooner is not relied on
_WORTH_SAYING = 0.1  # the share of the room from which on it is told how much is used
_GIGABYTE = 1e9
_MIME_TYPE = "application/jsonl"


def stage_file(client: Gemini, parcel: Parcel) -> dict[str, Any]:
    """Upload the request file, or take the upload that an interrupted driver left behind."""
    file = _left_behind(client, parcel) if parcel.may_exist else None
    file = file or _uploaded(client, parcel)
    expires = file.expiration_time.timestamp() if file.expiration_time else None
    return {"file": file.name, "bytes": file.bytes, "expires": expires}


def _uploaded(client: Gemini, parcel: Parcel) -> File:
    try:
        return client.files.upload(
            parcel.path,
            display_name=parcel.display_name,
            mime_type=_MIME_TYPE,
            on_progress=parcel.on_progress,
        )
    except ServiceError as error:
        file = _left_behind(client, parcel) if error.reason == "REPLY_LOST" else None
        if file is None:
            raise
        return file


def _left_behind(client: Gemini, parcel: Parcel) -> File | None:
    return next(
        (
            file
            for file in client.files.list_all()
            if file.display_name == parcel.display_name
            and file.sha256 == parcel.sha256
            and file.is_active
            and _lives_on(file)
        ),
        None,
    )


def _lives_on(file: File) -> bool:
    end = file.expiration_time
    return end is None or end.timestamp() > time.time() + SPARE_SECONDS


def create_from_file(client: Gemini, parcel: Parcel, staged: Mapping[str, Any] | None) -> BatchJob:
    """Create the job that reads the uploaded file."""
    name = (staged or {})["file"]
    create = (
        client.batches.create if parcel.kind == "generate" else client.batches.create_embeddings
    )
    return create(parcel.model, file_name=name, display_name=parcel.display_name)


def tell_room(client: Gemini, adding: int, tell: Progress) -> None:
    """Say how much of the room for files is used, before `adding` bytes, unless it is little.

    Where that takes too long to find out, or cannot be, nothing is said.
    """
    most = service_limit("gemini", "max_storage_bytes")
    with contextlib.suppress(ServiceError):
        used = client.files.used_bytes()
        if used is None or used + adding < most * _WORTH_SAYING:
            return
        said = (
            f"uploaded files take {used / _GIGABYTE:.1f} of {most / _GIGABYTE:g} GB, and these "
            f"requests {adding / _GIGABYTE:.1f} GB"
        )
        is_too_much = used + adding > most
        remedy = ": `batchkit clean RUN` makes room" if is_too_much else ""
        tell(Said(said + remedy, is_warning=is_too_much))
