"""The shards of a run, each of which is to be a job, as `shards.json` has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchkit import jsonl
from batchkit.damage import reading
from batchkit.errors import RunDirectoryError
from batchkit.shape import Shape, check_shape, is_count, is_plain_name, is_text, listed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Shard", "Shards", "read_shards"]

_SHARD: Shape = {
    "name": is_plain_name,
    "first_row": is_count,
    "rows": is_count,
    "requests": is_count,
    "bytes": is_count,
    "sha256": is_text,
}


@dataclass(frozen=True, slots=True)
class Shard:
    """One request file, which is one job: rows of the table that follow one another.

    `requests` is how many of its rows became requests; `sha256` is that of the file.
    """

    name: str
    first_row: int
    rows: int
    requests: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Shards:
    """What was built: all shards in source order, and how their requests are to travel."""

    target: str
    rejected: int
    shards: tuple[Shard, ...]

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return sum(shard.rows for shard in self.shards)

    @property
    def requests(self) -> int:
        """Requests of all shards."""
        return sum(shard.requests for shard in self.shards)


def read_shards(path: Path) -> Shards:
    """The shards of a run; RunDirectoryError when it is not built to the end, or is damaged."""
    if not path.exists():
        message = f"{path.parent} is not built to the end: run the same build again"
        raise RunDirectoryError(message, path.parent)
    with reading(path):
        content = jsonl.loads(path.read_bytes())
        check_shape(content, {"target": is_text, "rejected": is_count, "shards": listed(_SHARD)})
        shards = tuple(Shard(**shard) for shard in content["shards"])
        _check_order(shards)
        return Shards(content["target"], content["rejected"], shards)


def _check_order(shards: Sequence[Shard]) -> None:
    """Raise ValueError unless the shards are the rows of one table, each row once."""
    first_row = 0
    for shard in shards:
        if shard.first_row != first_row or shard.requests > shard.rows:
            message = f"shard {shard.name} does not follow the one before it"
            raise ValueError(message)
        first_row += shard.rows
    if len({shard.name for shard in shards}) < len(shards):
        message = "two shards have one name"
        raise ValueError(message)
