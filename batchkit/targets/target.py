"""A target: how the requests of one shard get to a job, and how its output comes back."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from batchkit.errors import CapabilityError
from batchkit.targets.file import create_from_file, stage_file
from batchkit.targets.inline import create_inline, stage_nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from batchkit.limits import Limits
    from batchkit.rundir import Shard
    from batchkit.service.client import Gemini
    from batchkit.service.job import BatchJob
    from batchkit.targets.parcel import Parcel

__all__ = ["Target", "choose_target", "target_named"]

Staged: TypeAlias = "Mapping[str, Any]"

# Fetching inlined responses of large jobs fails now and then
# (github.com/googleapis/python-genai/issues/2519), so only small runs are inlined unasked.
_INLINE_REQUESTS = 1_000


@dataclass(frozen=True, slots=True)
class Target:
    """One way to send a shard, in two durable steps.

    `stage` puts the requests where the service can read them and returns what is to be written
    down (None when there is nothing to put); `create` makes the job of it.
    """

    name: str
    stage: Callable[[Gemini, Parcel], Staged | None]
    create: Callable[[Gemini, Parcel, Staged | None], BatchJob]

    def largest_shard(self, limits: Limits) -> int:
        """Bytes that a shard may have on this way."""
        return limits.max_inline_bytes if self.name == "inline" else limits.max_bytes


_TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "inline": Target("inline", stage_nothing, create_inline),
        "file": Target("file", stage_file, create_from_file),
    }
)


def target_named(name: str) -> Target:
    """The target of this name; CapabilityError when this version has none."""
    if name not in _TARGETS:
        message = f"target {name!r}: this version knows {', '.join(map(repr, _TARGETS))}"
        raise CapabilityError(message)
    return _TARGETS[name]


def choose_target(shards: Sequence[Shard], limits: Limits) -> str:
    """The target when none is asked for: inline for one small shard, else a file."""
    requests = sum(shard.requests for shard in shards)
    size = sum(shard.bytes for shard in shards)
    small = requests <= _INLINE_REQUESTS and size <= limits.max_inline_bytes
    return "inline" if small and len(shards) == 1 else "file"
