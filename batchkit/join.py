"""How answers find their rows: by key alone, each row once, and what does not fit is kept."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Join", "Placement"]

Placement: TypeAlias = Literal["joined", "repeated", "conflict", "unknown", "unkeyed"]


class Join:
    """The rows of one shard, waiting for the lines of its response file in whatever order.

    Line order is never used. A byte-equal repeat counts and changes nothing; a differing answer
    to the same key makes a conflict of both. `counts` has the number of lines by placement, the
    same whatever their order. `conflicts` has the positions with differing answers.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._positions = {key: position for position, key in enumerate(keys)}
        self._line_hashes = np.zeros(len(keys), np.int64)
        self.counts: Counter[Placement] = Counter()
        self.conflicts: dict[int, set[int]] = {}  # with the hashes of all lines but the first

    def place(self, key: str | None, line: bytes) -> tuple[Placement, int]:
        """Where a line goes: the row's position in the shard (-1 without one), and as what."""
        placement, position = self._placed(key, line)
        self.counts[placement] += 1
        return placement, position

    def _placed(self, key: str | None, line: bytes) -> tuple[Placement, int]:
        if key is None:
            return "unkeyed", -1
        position = self.position(key)
        if position is None:
            return "unknown", -1
        seen = self._line_hashes[position]
        line_hash = hash(line) or 1  # 0 stands for not seen
        if seen == 0:
            self._line_hashes[position] = line_hash
            return "joined", position
        if seen == line_hash or line_hash in self.conflicts.get(position, ()):
            return "repeated", position
        self.conflicts.setdefault(position, set()).add(line_hash)
        return "conflict", position

    def position(self, key: str | None) -> int | None:
        """The position of a key in the shard, None when it is none of its keys."""
        return None if key is None else self._positions.get(key)

    def unanswered(self) -> list[int]:
        """The positions that no line has named."""
        return np.flatnonzero(self._line_hashes == 0).tolist()
