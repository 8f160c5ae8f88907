"""A target: how the requests of one shard get to a job, and how its output comes back."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from batchkit.errors import CapabilityError, SetupError
from batchkit.storage import ObjectUri
from batchkit.targets.bigquery import (
    check_dataset,
    check_responses,
    create_from_table,
    stage_table,
)
from batchkit.targets.file import create_from_file, stage_file
from batchkit.targets.gcs import check_bucket, create_from_object, stage_object
from batchkit.targets.inline import create_inline, stage_nothing
from batchkit.warehouse import TableName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from batchkit.fields import Service
    from batchkit.limits import Limits
    from batchkit.rundir import Shard
    from batchkit.service.job import BatchJob
    from batchkit.targets.parcel import Parcel

__all__ = ["Target", "choose_target", "target_named"]

Staged: TypeAlias = "Mapping[str, Any]"

# Fetching inlined responses of large jobs fails now and then
# (github.com/googleapis/python-genai/issues/2519), so only small runs are inlined unasked.
_INLINE_REQUESTS = 1_000


def _unchecked(client: Any, place: Any) -> None:
    """Nothing to look at: the place is the service's own, or new with each job."""


@dataclass(frozen=True, slots=True)
class Target:
    """One way to send a shard, in two durable steps.

    `stage` puts the requests where the service can read them and returns what is to be written
    down (None when there is nothing to put); `create` makes the job of it. Before anything is sent
    `check` raises for an address that jobs cannot use, and `check_parcel` for a parcel whose job
    would write where something is. `is_table` when requests are rows.
    """

    name: str
    service: Service
    stage: Callable[[Any, Parcel], Staged | None]
    create: Callable[[Any, Parcel, Staged | None], BatchJob]
    check: Callable[[Any, str], None] = _unchecked
    check_parcel: Callable[[Any, Parcel], None] = _unchecked
    is_table: bool = False

    def largest_shard(self, limits: Limits) -> int:
        """Bytes that a shard may have on this way."""
        return limits.max_inline_bytes if self.name == "inline" else limits.max_bytes

    def check_output(self, address: str) -> None:
        """Raise when a job of this target cannot write to this address."""
        if self.service != "vertex":
            message = f"output={address!r}: the Developer API keeps a job's output itself"
            raise CapabilityError(message)
        if not address.startswith("gs://"):
            message = f"output={address!r}: give gs://bucket/folder"
            raise SetupError(message)
        ObjectUri.parse(address)


_TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "inline": Target("inline", "gemini", stage_nothing, create_inline),
        "file": Target("file", "gemini", stage_file, create_from_file),
        "gs": Target("gs", "vertex", stage_object, create_from_object, check_bucket),
        "bq": Target(
            "bq",
            "vertex",
            stage_table,
            create_from_table,
            check_dataset,
            check_responses,
            is_table=True,
        ),
    }
)


def target_named(name: str) -> Target:
    """The target of this name or address; CapabilityError when this version has none.

    "inline", "file", "gs://bucket/folder" or "bq://project.dataset".
    """
    scheme, is_address, _ = name.partition("://")
    if scheme not in _TARGETS or bool(is_address) != (scheme in {"gs", "bq"}):
        known = "'inline', 'file', 'gs://bucket/folder', 'bq://project.dataset'"
        message = f"target {name!r}: this version knows {known}"
        raise CapabilityError(message)
    if scheme == "gs":
        ObjectUri.parse(name)
    elif scheme == "bq" and TableName.parse(name).table:
        message = f"target {name!r}: name a dataset, bq://project.dataset; each job has its tables"
        raise SetupError(message)
    return _TARGETS[scheme]


def choose_target(shards: Sequence[Shard], limits: Limits) -> str:
    """The target when none is asked for: inline for one small shard, else a file."""
    requests = sum(shard.requests for shard in shards)
    size = sum(shard.bytes for shard in shards)
    small = requests <= _INLINE_REQUESTS and size <= limits.max_inline_bytes
    return "inline" if small and len(shards) == 1 else "file"
