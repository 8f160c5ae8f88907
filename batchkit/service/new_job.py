"""A job before it exists: what a create asks for."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batchkit.errors import SetupError
from batchkit.service.job import JobPlace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchkit.wire import Kind

__all__ = ["NewJob", "new_name", "place_named"]


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a create asks for; each service takes some of it and refuses the rest.

    `priority`, `webhook` are the Developer API's; `destination`, `labels` are Vertex AI's.
    """

    kind: Kind
    model: str
    source: JobPlace
    display_name: str
    destination: JobPlace = field(default_factory=JobPlace)
    priority: int | None = None
    webhook: Mapping[str, Any] | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


def new_name() -> str:
    """A display name for a job that is given none: there always is one."""
    return f"batchkit-{secrets.token_hex(6)}"


def place_named(uri: str | None) -> JobPlace:
    """The place that a `gs://` or `bq://` address names; none for None."""
    if uri is None:
        return JobPlace()
    if uri.startswith("gs://"):
        return JobPlace(gcs_uris=(uri,))
    if uri.startswith("bq://"):
        return JobPlace(bigquery_uri=uri)
    message = f"destination {uri!r}: give gs://bucket/folder, or bq://project.dataset.table"
    raise SetupError(message)
