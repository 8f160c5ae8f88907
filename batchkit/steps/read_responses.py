"""Read responses: what the output files of any batch say, without a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from batchkit import jsonl
from batchkit.errors import RowsError
from batchkit.outcome import response_batch, response_schema
from batchkit.wire import decode_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchkit.outcome import Response

__all__ = ["read_responses"]

_ANSWERS = ("response", "embedding")
_BATCH_LINES = 4_096
_BATCH_BYTES = 8_000_000
_FIRST = pa.field("key", pa.string())
_LAST = (
    pa.field("request_hash", pa.string()),
    pa.field("line", pa.int64()),
    pa.field("file", pa.string()),
)


def read_responses(paths: str | Path | Sequence[str | Path]) -> pa.Table:
    """Decode output files of either service, one row per line, in the order of files and lines.

    Columns: `key` (null when the line carries none), `status`, `response`, `embedding`, reasons,
    tokens, `model_version`, `notes`, `request_hash` (of the echoed request, null without an
    echo), `line` (from 1) and `file`. A line that cannot be read is a row of status `malformed`;
    only a file that cannot be opened is an error.
    """
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    schema = pa.schema([_FIRST, *response_schema(_ANSWERS), *_LAST])
    batches = [batch for path in listed for batch in _read(Path(path), schema)]
    columns = list(dict.fromkeys(["key", "status", *schema.names]))
    return pa.Table.from_batches(batches, schema).select(columns)


def _read(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    held: list[tuple[int, Response]] = []
    size = 0
    try:
        with path.open("rb") as file:
            for number, line in jsonl.lines(file):
                held.append((number, decode_line(line)))
                size += len(line)
                if len(held) == _BATCH_LINES or size >= _BATCH_BYTES:
                    yield _batch(held, path, schema)
                    held, size = [], 0
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise RowsError(message) from error
    if held:
        yield _batch(held, path, schema)


def _batch(held: list[tuple[int, Response]], path: Path, schema: pa.Schema) -> pa.RecordBatch:
    responses = [response for _, response in held]
    columns = [
        pa.array([response.key for response in responses], pa.string()),
        *response_batch(responses, _ANSWERS).columns,
        pa.array([response.request_hash for response in responses], pa.string()),
        pa.array([number for number, _ in held], pa.int64()),
        pa.array([str(path)] * len(held), pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
