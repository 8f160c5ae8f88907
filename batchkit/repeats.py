"""Requests that are asked again: lines of a request file of the run, in files of their own.

The files come first and the fact `built` last, so that a driver that is killed in between has
changed nothing: the next one builds the same under the same names.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchkit import durable, jsonl
from batchkit.damage import damaged, reading
from batchkit.ledger import Attempt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from batchkit.claims import Claim
    from batchkit.limits import Limits
    from batchkit.rundir import Run, Shard

__all__ = ["Repeats", "sweep_unbuilt"]

_COLUMNS = ["row", "wire_key", "request_of", "request_hash"]


@dataclass(frozen=True, slots=True)
class Repeats:
    """The attempts that a claim to rows of one shard becomes, cut by `limits`.

    With `is_awaited`, `wait` submits them: that they are built means that they are to be sent.
    """

    run: Run
    shard: Shard
    claim: Claim
    limits: Limits
    is_awaited: bool = False

    def build(self) -> Iterator[Attempt]:
        """Write each attempt's requests and rows, and the fact that it is built.

        Rows that have the raised limit already are left out.
        """
        rows = self._source_rows()
        numbers: NDArray[np.int64] = rows.column("row").to_numpy()
        self._check_source()
        sizes = {index: len(line) for index, line in self._lines(numbers)}
        pieces = self._halves(list(sizes), rows.num_rows) if self.claim.in_halves else None
        lines = self._lines(numbers)
        for piece in self._cut(sizes) if pieces is None else pieces:
            yield self._written(rows.take(pa.array(piece)), islice(lines, len(piece)))

    def _source_rows(self) -> pa.Table:
        """The rows of the source that have a request, in the order of its lines."""
        path = self.run.rows_path(self.claim.source.asked_name)
        with reading(path):
            table = pq.read_table(path, columns=_COLUMNS)
        return table.filter(pc.equal(table.column("row"), table.column("request_of")))

    def _check_source(self) -> None:
        """Raise RunDirectoryError for requests that are not those which were built."""
        path = self.run.requests_path(self.claim.source.asked_name)
        with reading(path), path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != self.run.asked_by(self.shard, self.claim.source).sha256:
            raise damaged(path, "its requests are not those that were built")

    def _lines(self, numbers: NDArray[np.int64]) -> Iterator[tuple[int, bytes]]:
        """The lines to ask again, as they are to be sent, with their places among the source's."""
        statuses, limit = self.claim.statuses, self.claim.max_output_tokens
        path = self.run.requests_path(self.claim.source.asked_name)
        with path.open("rb") as file:
            for index, (number, line) in enumerate(zip(numbers.tolist(), file, strict=True)):
                if number not in statuses:
                    continue
                if statuses[number] == "truncated" and limit is not None:
                    raised = _raised(line, limit)
                    if raised is not None:
                        yield index, raised
                else:
                    yield index, line

    def _halves(self, places: Sequence[int], of: int) -> list[list[int]]:
        """The places in the source's first half, and those in its second."""
        first = [place for place in places if place < of // 2]
        rest = [place for place in places if place >= of // 2]
        return [half for half in (first, rest) if half]

    def _cut(self, sizes: dict[int, int]) -> Iterator[list[int]]:
        """Places in order, each piece as large as the limits allow."""
        piece: list[int] = []
        total = 0
        most = min(self.limits.max_rows, self.claim.max_requests or self.limits.max_rows)
        for place, size in sizes.items():
            is_full = total + size > self.limits.shard_bytes or len(piece) == most
            if piece and is_full:
                yield piece
                piece, total = [], 0
            piece.append(place)
            total += size
        if piece:
            yield piece

    def _written(self, rows: pa.Table, lines: Iterator[tuple[int, bytes]]) -> Attempt:
        run, claim = self.run, self.claim
        attempt = Attempt(self.shard.name, len(run.ledger.attempts(self.shard.name)) + 1)
        digest, size, hashes = hashlib.sha256(), 0, list[str | None]()
        hashed = rows.column("request_hash").null_count < rows.num_rows
        with durable.whole_file(run.requests_path(attempt.asked_name)) as file:
            for _, line in lines:
                file.write(line)
                digest.update(line)
                size += len(line)
                hashes.append(run.definition.dialect.hash(line) if hashed else None)
        column = pa.array(hashes, pa.string())
        rows = rows.set_column(_COLUMNS.index("request_hash"), "request_hash", column)
        with durable.whole_file(run.rows_path(attempt.asked_name)) as file:
            pq.write_table(rows, file, compression="zstd")
        numbers = rows.column("row").to_pylist()
        return run.ledger.write(
            attempt,
            "built",
            first_row=numbers[0],
            requests=len(numbers),
            bytes=size,
            sha256=digest.hexdigest(),
            statuses=Counter(claim.statuses[number] for number in numbers),
            half_of=claim.source.name if claim.in_halves else None,
            max_output_tokens=claim.max_output_tokens,
            is_awaited=self.is_awaited,
        )


def _raised(line: bytes, limit: int) -> bytes | None:
    """The line with this limit of output tokens; None when its own is as high already."""
    item = jsonl.loads(line)
    request: dict[str, Any] = item["request"]
    place = "generation_config" if "generation_config" in request else "generationConfig"
    config: dict[str, Any] = request.get(place) or {}
    name = "max_output_tokens" if "max_output_tokens" in config else "maxOutputTokens"
    before = config.get(name)
    if isinstance(before, int | float) and before >= limit:
        return None
    request[place] = {**config, name: limit}
    return jsonl.dumps(item) + b"\n"


def sweep_unbuilt(run: Run) -> None:
    """Remove the request and rows files of attempts whose driver was killed before the fact."""
    built = {attempt.asked_name for attempt in run.attempts()}
    for folder in (run.requests_path("").parent, run.rows_path("").parent):
        for path in folder.glob("[0-9]*-[0-9]*"):
            if path.stem not in built:
                path.unlink()
