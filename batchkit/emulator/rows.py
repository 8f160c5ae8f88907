"""A job's imported requests on disk: read at random, in memory one at a time."""

from __future__ import annotations

import itertools
import os
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    import numpy.typing as npt

    from batchkit.emulator.blobs import Blobs

__all__ = ["LABEL", "Row", "Rows", "RowsWriter"]

_ROWS_PER_PAGE = 4096
LABEL = "batchkit"


@dataclass(frozen=True, slots=True)
class Row:
    """One request and the tag that its response carries: its key or its metadata."""

    request: dict[str, Any]
    tag: dict[str, Any]

    @property
    def wire_key(self) -> str:
        """The key by which the client knows the row; empty when it gave none.

        Where no key is documented the client gives a label instead.
        """
        key = self.tag.get("metadata", self.tag).get("key")
        if key is None:
            labels: Any = self.request.get("labels")
            key = labels.get(LABEL) if labels.__class__ is dict else None
        return key if isinstance(key, str) else ""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of the job called `name`, in three blobs: rows, their offsets, their wire keys."""

    blobs: Blobs
    name: str

    @property
    def blob_names(self) -> tuple[str, str, str]:
        """The rows, the byte offset of each row and of the end, and the keys by pages."""
        return (f"{self.name}.rows", f"{self.name}.offsets", f"{self.name}.keys")

    def read(self, order: npt.NDArray[np.int64]) -> Iterator[Row]:
        """The rows with these numbers, in this order."""
        offsets = self._offsets()
        with self.blobs.path(self.blob_names[0]).open("rb") as stream:
            descriptor = stream.fileno()
            for first in range(0, len(order), _ROWS_PER_PAGE):
                page = order[first : first + _ROWS_PER_PAGE]
                starts, stops = offsets[page].tolist(), offsets[page + 1].tolist()
                for start, stop in zip(starts, stops, strict=True):
                    row = orjson.loads(os.pread(descriptor, stop - start, start))
                    yield Row(row["request"], row["tag"])

    def read_all(self) -> Iterator[Row]:
        """All rows, in the order of the input."""
        return self.read(np.arange(len(self), dtype=np.int64))

    def wire_keys(self, count: int) -> Iterator[str]:
        """The keys of the first `count` rows, in the order of the input."""
        with self.blobs.path(self.blob_names[2]).open("rb") as stream:
            pages = (orjson.loads(line) for line in stream)
            yield from itertools.islice(itertools.chain.from_iterable(pages), count)

    def __len__(self) -> int:
        return self.blobs.size(self.blob_names[1]) // 8 - 1

    def _offsets(self) -> npt.NDArray[np.int64]:
        return np.fromfile(self.blobs.path(self.blob_names[1]), dtype=np.int64)


class RowsWriter:
    """Writes the rows of a job, from the first; a second writer starts anew."""

    def __init__(self, rows: Rows) -> None:
        self._rows, self._offsets, self._keys = map(rows.blobs.write, rows.blob_names)
        self._written = 0
        self._offset_page = array("q", [0])
        self._key_page: list[str] = []

    def add(self, row: Row) -> None:
        """Write one more row."""
        self._written += self._rows.write(
            orjson.dumps({"request": row.request, "tag": row.tag}, option=orjson.OPT_APPEND_NEWLINE)
        )
        self._offset_page.append(self._written)
        self._key_page.append(row.wire_key)
        if len(self._key_page) == _ROWS_PER_PAGE:
            self._end_page()

    def _end_page(self) -> None:
        self._offsets.write(self._offset_page.tobytes())
        self._keys.write(orjson.dumps(self._key_page, option=orjson.OPT_APPEND_NEWLINE))
        del self._offset_page[:]
        self._key_page.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_page()
        for stream in (self._rows, self._offsets, self._keys):
            stream.close()
