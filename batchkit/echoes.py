"""Answers that carry only the request they answer, matched to the rows that asked the same."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from batchkit.join import Placement

__all__ = ["Echoes", "Settlement", "line_digest"]


@dataclass(frozen=True, slots=True)
class Settlement:
    """Where the lines go, by line number: to a position, or to a placement without one.

    `conflicts` are positions whose request has more differing answers than rows that asked it.
    """

    joined: Mapping[int, int]
    others: Mapping[int, Placement]
    conflicts: frozenset[int]

    @property
    def counts(self) -> Counter[Placement]:
        """The number of lines by placement."""
        counts: Counter[Placement] = Counter(self.others.values())
        counts["joined"] += len(self.joined)
        return +counts


@dataclass(slots=True)
class Echoes:
    """Lines that wait until all others have found their rows.

    Rows that asked the same are interchangeable: each gets one of their answers, whichever. The
    outcome does not depend on the order of the lines.
    """

    _waiting: dict[str, list[tuple[bytes, int]]] = field(
        default_factory=lambda: defaultdict[str, list[tuple[bytes, int]]](list)
    )

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, request_hash: str, line: bytes, number: int) -> None:
        """Note a line by the hash of the request it echoes; 40 bytes of it are kept."""
        self._waiting[request_hash].append((line_digest(line), number))

    def settle(self, hashes: Sequence[str | None], unanswered: Iterable[int]) -> Settlement:
        """Match the lines to unanswered positions, whose request hashes are in `hashes`."""
        asked: defaultdict[str | None, list[int]] = defaultdict(list)
        for position in unanswered:
            asked[hashes[position]].append(position)
        joined: dict[int, int] = {}
        others: dict[int, Placement] = {}
        conflicts: set[int] = set()
        for request_hash, lines in self._waiting.items():
            positions = asked.get(request_hash, [])
            distinct, repeats = _distinct(lines)
            if not positions:
                others |= dict.fromkeys((*distinct, *repeats), "unknown")
            elif len(distinct) > len(positions):
                conflicts |= set(positions)
                others |= dict.fromkeys((*distinct, *repeats), "conflict")
            else:
                placed = [*distinct, *repeats][: len(positions)]
                joined |= dict(zip(placed, positions, strict=False))
                rest = repeats[len(positions) - len(distinct) :]
                others |= dict.fromkeys(rest, "repeated")
        return Settlement(joined, others, frozenset(conflicts))


def line_digest(line: bytes) -> bytes:
    """What stands for a line where many are compared: equal for equal bytes only."""
    return hashlib.blake2b(line, digest_size=16).digest()


def _distinct(lines: Iterable[tuple[bytes, int]]) -> tuple[list[int], list[int]]:
    """The numbers of lines that differ, and those of byte-equal repeats, in the lines' own order.

    That order is by content, so that it is the same however the lines were shuffled.
    """
    first: list[int] = []
    again: list[int] = []
    seen: bytes | None = None
    for digest, number in sorted(lines):
        (again if digest == seen else first).append(number)
        seen = digest
    return first, again
