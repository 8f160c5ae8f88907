"""The rows of a shard that have a request: what their answers are held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchkit import jsonl
from batchkit.damage import damaged, reading
from batchkit.label import row_labels
from batchkit.soundness import (
    check_columns,
    check_no_nulls,
    check_numbers,
    check_size_of_rows,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from batchkit.definition import Definition
    from batchkit.wire import Dialect

__all__ = ["Asked"]

_MOST_ROWS = 2**62
_COLUMNS = pa.schema(
    [("row", pa.int64()), ("wire_key", pa.large_string()), ("request_of", pa.int64())]
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Their numbers in the table, and their keys.

    `labels` name the keys on lines that carry none; `requests` are what was asked, one line each.
    """

    rows: NDArray[np.int64]
    keys: list[str]
    labels: Mapping[str, str]
    requests: Path
    dialect: Dialect

    @classmethod
    def read(cls, folder: Path, shard: str, definition: Definition) -> Asked:
        """Those of one shard of a run directory."""
        path = folder / "rows" / f"{shard}.parquet"
        with reading(path):
            check_size_of_rows(path, pq.read_metadata(path))
            table = pq.read_table(path, columns=["row", "wire_key", "request_of"])
            check_columns(table.schema, _COLUMNS)
            check_numbers(table.column("row"), 0, _MOST_ROWS)
            table = table.filter(pc.equal(table.column("row"), table.column("request_of")))
            check_no_nulls(table.column("wire_key"))
        rows, keys = table.column("row").to_numpy(), table.column("wire_key").to_pylist()
        labels: dict[str, str] = {}
        if definition.dialect.labelled:
            labels = dict(zip(row_labels(definition.tag, rows).to_pylist(), keys, strict=True))
        return cls(rows, keys, labels, folder / "requests" / f"{shard}.jsonl", definition.dialect)

    def hashes(self) -> list[str | None]:
        """The hash of each request, to hold echoes against: it costs as much as building did."""
        with reading(self.requests), self.requests.open("rb") as file:
            found = [self.dialect.hash(line) for _, line in jsonl.lines(file)]
        if len(found) != len(self.keys):
            raise damaged(self.requests, f"{len(found):,} requests for {len(self.keys):,} rows")
        return found
