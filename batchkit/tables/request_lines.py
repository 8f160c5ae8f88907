"""A ready request file as a table: one row per line, with its key and its request as JSON text."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from batchkit import jsonl
from batchkit.errors import TableError
from batchkit.tables.stream import TableStream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchkit.wire import Kind

__all__ = ["KEY", "REQUEST", "file_kind", "key_and_body", "request_lines_table"]

KEY = "key"
REQUEST = "request"
_SCHEMA = pa.schema([(KEY, pa.large_string()), (REQUEST, pa.large_string())])
_BATCH_ROWS = 8_192
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def request_lines_table(path: Path) -> TableStream:
    """The lines of a request file; a bare line, which carries no key, is keyed `line-<number>`.

    A line that is not JSON keeps its text and is rejected when its request is built.
    """
    _check_form(path)
    return TableStream(f"request file {path}", _SCHEMA, _batches(path))


def file_kind(path: Path) -> Kind:
    """What the first readable request asks for: `content` is embedded, `contents` answered."""
    with path.open("rb") as file:
        for _, line in islice(jsonl.lines(file), 100):
            try:
                body = key_and_body(jsonl.loads(line))[1]
            except ValueError:
                continue
            if jsonl.is_object(body) and "content" in body and "contents" not in body:
                return "embed"
            return "generate"
    message = f"{path} holds no request"
    raise TableError(message)


def key_and_body(item: Any) -> tuple[str | None, Any]:
    """Key and request of one line: `{"key", "request"}`, or a bare request without a key."""
    if not jsonl.is_object(item):
        return None, item
    key = item.get("key")
    if isinstance(key, int) and not isinstance(key, bool):
        key = str(key)
    body = item.get("request", {name: value for name, value in item.items() if name != "key"})
    return (key if isinstance(key, str) else None), body


def _check_form(path: Path) -> None:
    if not path.is_file():
        message = f"{path}: no such file"
        raise TableError(message)
    with path.open("rb") as file:
        start = file.read(4_096)
    if start.startswith(_UTF16):
        message = f"{path} is UTF-16: `batchkit convert` writes it as UTF-8"
        raise TableError(message)
    if start.lstrip().startswith(b"["):
        message = f"{path} is a JSON array: `batchkit convert` writes one request per line"
        raise TableError(message)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with path.open("rb") as file:
        rows = (_row(number, line) for number, line in jsonl.lines(file))
        while batch := list(islice(rows, _BATCH_ROWS)):
            keys, requests = zip(*batch, strict=True)
            columns = [pa.array(keys, pa.large_string()), pa.array(requests, pa.large_string())]
            yield pa.RecordBatch.from_arrays(columns, schema=_SCHEMA)


def _row(number: int, line: bytes) -> tuple[str, str]:
    fallback = f"line-{number}"
    try:
        key, body = key_and_body(jsonl.loads(line))
    except ValueError:
        return fallback, line.decode(errors="replace")
    return key or fallback, jsonl.dumps(body).decode()
