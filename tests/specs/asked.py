"""What a spec asks of the rows of one batch: their bodies, and the rows that have none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from batchkit.encode import join
from batchkit.wire import dialect_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    import batchkit as bk


def asked(spec: bk.Spec, columns: Mapping[str, Any] | pa.RecordBatch) -> list[Any]:
    """The body of each row as JSON values; of a rejected row, a tuple of path and reason."""
    batch = columns if isinstance(columns, pa.RecordBatch) else pa.record_batch(columns)
    bodies = spec.bind(batch.schema, dialect_for("gemini", spec.kind)).bodies(batch)
    rejected = {row["row"]: (row["path"], row["reason"]) for row in bodies.rejected.to_pylist()}
    texts = join(bodies.segments).to_pylist()
    assert [text is None for text in texts] == [row in rejected for row in range(batch.num_rows)]
    return [
        rejected[row] if text is None else json.loads(text, parse_constant=_refuse)
        for row, text in enumerate(texts)
    ]


def _refuse(name: str) -> None:
    message = f"{name} is not JSON"
    raise AssertionError(message)
