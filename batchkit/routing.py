"""Answers of a lost run on their way to shards that are cut otherwise than its jobs were.

A line goes by its key, our label or the request it echoes, as when it is collected; which of
the shard's rows it answers, and whether two lines contradict each other, is found out then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from batchkit import jsonl
from batchkit.asked import Asked
from batchkit.echoes import Echoes
from batchkit.label import labelled_row
from batchkit.wire import decode_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from batchkit.outcome import Response
    from batchkit.rundir import Run, Shard

__all__ = ["Routed", "Routing"]

_NOBODY = -1
_SAMPLE = 1_000  # lines of an output whose echoes are held against what their rows ask
_HASH_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Routed:
    """One output: `rows` has for each of its lines the row it answers, -1 for none.

    Rows are counted over all that have a request.
    """

    path: Path
    rows: NDArray[np.int64]

    @property
    def unknown(self) -> int:
        """How many lines answer no row."""
        return int((self.rows == _NOBODY).sum())


class Routing:
    """The rows of a run that wait for answers; outputs are taken in the order of attempts.

    A row's answers are those of one output: the first that is `ok`, else the last. `differing`
    counts echoes of a request that is not the row's, of `sampled` ones.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.sampled: int = 0
        self.differing: int = 0
        self.routed: list[Routed] = []
        self._shards = [shard for shard in run.shards.shards if shard.requests]
        rows, keys = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for shard in self._shards:
            asked = Asked.read(run.folder, shard.name, run.definition)
            rows.append(asked.rows)
            keys.append(np.fromiter(map(hash, asked.keys), np.int64, len(asked.keys)))
        self._rows = np.concatenate(rows)
        self._keys = _Lookup(np.concatenate(keys))
        self._stops = np.cumsum([len(each) for each in rows[1:]])
        self._hashes: _Lookup | None = None
        self._winner = np.full(len(self._rows), _NOBODY, np.int32)
        self._is_ok = np.zeros(len(self._rows), np.bool_)

    def take(self, path: Path) -> None:
        """Find out which rows the next output answers."""
        reading = _Reading()
        with path.open("rb") as file:
            for _, line in jsonl.lines(file):
                self._read(line, reading)
        rows = np.array(reading.rows, np.int64)
        self._settle(reading, rows)
        named = rows != _NOBODY
        there, oks = rows[named], np.array(reading.oks, np.bool_)[named]
        is_open = ~self._is_ok[there]
        self._winner[there[is_open]] = len(self.routed)
        self._is_ok[there[oks]] = True
        self.routed.append(Routed(path, rows))

    def lines(self) -> Iterator[tuple[Shard | None, int, tuple[int, bytes]]]:
        """Each numbered line with the shard it belongs to, and the number of its output.

        No shard has one whose row has a better answer. What answers no row goes to the first
        shard, where it is set aside with the reason.
        """
        for output, routed in enumerate(self.routed):
            shards = np.searchsorted(self._stops, routed.rows, side="right")
            with routed.path.open("rb") as file:
                for index, numbered in enumerate(jsonl.lines(file)):
                    row = routed.rows[index]
                    is_outdone = row != _NOBODY and self._winner[row] != output
                    shard = self._shards[shards[index] if row != _NOBODY else 0]
                    yield None if is_outdone else shard, output, numbered

    def _read(self, line: bytes, reading: _Reading) -> None:
        is_sampled = len(reading.rows) < _SAMPLE
        response = decode_line(line, hash_echo="always" if is_sampled else "unnamed")
        row = self._named(response)
        if row == _NOBODY and response.key is None:
            again = response.request_hash is None and response.label is not None
            echo = (decode_line(line) if again else response).request_hash
            if echo is not None:
                reading.echoes.add(echo, line, len(reading.rows))
                reading.waiting[len(reading.rows)] = echo
        elif row != _NOBODY and is_sampled and response.request_hash is not None:
            self.sampled += 1
            self.differing += self._hash_of(row) != _number(response.request_hash)
        reading.rows.append(row)
        reading.oks.append(response.status == "ok")

    def _named(self, response: Response) -> int:
        """The row that the line's key names, or our label in its echo."""
        if response.key is not None:
            found = self._keys.positions(hash(response.key))
            return int(found[0]) if len(found) else _NOBODY
        tag = self.run.definition.tag
        row = labelled_row(response.label, tag) if response.label is not None else None
        if row is None:
            return _NOBODY
        index = int(np.searchsorted(self._rows, row))
        return index if index < len(self._rows) and self._rows[index] == row else _NOBODY

    def _settle(self, reading: _Reading, rows: NDArray[np.int64]) -> None:
        """Give lines that only echo their request to rows that asked the same."""
        if not reading.waiting:
            return
        is_named = np.zeros(len(self._rows), np.bool_)
        is_named[rows[rows != _NOBODY]] = True
        asking: dict[str, list[int]] = {}
        for echo in dict.fromkeys(reading.waiting.values()):
            found = self._requests().positions(_number(echo))
            asking[echo] = [row for row in found.tolist() if not is_named[row]]
        hashes = [echo for echo, asked in asking.items() for _ in asked]
        open_rows = [row for asked in asking.values() for row in asked]
        joined = reading.echoes.settle(hashes, range(len(hashes))).joined
        for number, echo in reading.waiting.items():
            if number in joined:
                rows[number] = open_rows[joined[number]]
            elif asking[echo]:
                rows[number] = asking[echo][0]  # a repeat, or a contradiction: to be found there

    def _requests(self) -> _Lookup:
        """What all rows ask, hashed once: it costs as much as building did."""
        if self._hashes is None:
            folder, definition = self.run.folder, self.run.definition
            shards = (Asked.read(folder, shard.name, definition) for shard in self._shards)
            found = [_number(each or "") for asked in shards for each in asked.hashes()]
            self._hashes = _Lookup(np.array(found, np.int64))
        return self._hashes

    def _hash_of(self, row: int) -> int:
        return int(self._requests().values[row])


@dataclass(slots=True)
class _Reading:
    """What is known of the lines of one output so far; those in `waiting` have only their echo."""

    rows: list[int] = field(default_factory=list[int])
    oks: list[bool] = field(default_factory=list[bool])
    echoes: Echoes = field(default_factory=Echoes)
    waiting: dict[int, str] = field(default_factory=dict[int, str])


class _Lookup:
    """Where numbers stand in an array, in memory that is small beside a dictionary's."""

    def __init__(self, values: NDArray[np.int64]) -> None:
        self.values = values
        self._order = np.argsort(values, kind="stable")
        self._sorted = values[self._order]

    def positions(self, value: int) -> NDArray[np.int64]:
        """All positions of a number, in order."""
        start, stop = np.searchsorted(self._sorted, [value, value + 1])
        return self._order[start:stop]


def _number(request_hash: str) -> int:
    """The first 63 bits of a hash in hex: enough to find a line's shard by."""
    return int(request_hash[:_HASH_DIGITS] or "0", 16) >> 1
