"""What a step tells while it works: values that a display shows and a user's callback may read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from batchkit.service.job import BatchJob

__all__ = ["Built", "Collected", "Event", "Polled", "Progress", "Said", "Sent", "Transferred"]


@dataclass(frozen=True, slots=True)
class Said:
    """Something worth a line of its own; `is_warning` when it asks for attention."""

    text: str
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class Built:
    """Rows that are through the builder, of all rows."""

    rows: int
    total: int
    folder: Path


@dataclass(frozen=True, slots=True)
class Transferred:
    """Bytes of one shard on the line, up or down; the total may be unknown."""

    shard: str
    bytes: int
    total: int | None
    is_upload: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """Shards that have a job, of all shards with requests."""

    shards: int
    total: int


@dataclass(frozen=True, slots=True)
class Polled:
    """A job as it was just seen, for the shard it answers."""

    shard: str
    requests: int
    job: BatchJob


@dataclass(frozen=True, slots=True)
class Collected:
    """Response files that are joined, of all there are."""

    files: int
    total: int


Event: TypeAlias = Said | Built | Transferred | Sent | Polled | Collected
Progress: TypeAlias = Callable[[Event], None]
