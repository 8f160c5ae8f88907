"""A ready request file as a table: one row per line, with its key and its request as JSON text."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from batchkit import jsonl
from batchkit.errors import TableError
from batchkit.tables.request_form import read_form
from batchkit.tables.stream import TableStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from batchkit.wire import Kind

__all__ = ["KEY", "REQUEST", "file_kind", "free_prefix", "key_and_body", "request_lines_table"]

KEY = "key"
REQUEST = "request"
_SCHEMA = pa.schema([(KEY, pa.large_string()), (REQUEST, pa.large_string())])
_BATCH_ROWS = 8_192
_BATCH_BYTES = 16_000_000
_NUMBERED = re.compile(r"line([0-9]{0,9})-")


def request_lines_table(path: Path) -> TableStream:
    """The lines of a request file; a bare line, which carries no key, is keyed `line-<number>`.

    A line that is more or less than a key and a request keeps its text, and is rejected when its
    request is built. TableError for a file that is no lines in UTF-8.
    """
    _check_form(path)
    return TableStream(f"request file {path}", _SCHEMA, _batches(path))


def file_kind(path: Path) -> Kind:
    """What the first readable request asks for: `content` is embedded, `contents` answered."""
    _check_form(path)
    for _, item in _items(path):
        if jsonl.is_object(item):
            body = key_and_body(item)[1]
            embeds = jsonl.is_object(body) and "content" in body and "contents" not in body
            return "embed" if embeds else "generate"
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


def free_prefix(keys: Iterable[str | None]) -> str:
    """What the keys of lines without one begin with: `line-`, or `line2-` if others begin so."""
    found = (_NUMBERED.match(key) for key in keys if key)
    taken = {match[1] for match in found if match}
    number = next(n for n in range(1, len(taken) + 2) if (str(n) if n > 1 else "") not in taken)
    return f"line{number if number > 1 else ''}-"


def _check_form(path: Path) -> None:
    fault = read_form(path).fault
    if fault is not None:
        message = f"{path}: {fault[1]}; {fault[2]}"
        raise TableError(message)


def _items(path: Path) -> Iterator[tuple[int, Any]]:
    """Number and value of each line that is JSON."""
    with path.open("rb") as file:
        for number, line in jsonl.lines(file):
            try:
                yield number, jsonl.loads(line)
            except ValueError:
                continue


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    prefix = _Prefix(path)
    with path.open("rb") as file:
        rows = (_row(number, line, prefix) for number, line in jsonl.lines(file))
        while batch := _taken(rows):
            keys, requests = zip(*batch, strict=True)
            columns = [pa.array(keys, pa.large_string()), pa.array(requests, pa.large_string())]
            yield pa.RecordBatch.from_arrays(columns, schema=_SCHEMA)


def _taken(rows: Iterator[tuple[str, str]]) -> list[tuple[str, str]]:
    """The next rows, few enough to be held."""
    taken: list[tuple[str, str]] = []
    size = 0
    for row in islice(rows, _BATCH_ROWS):
        taken.append(row)
        size += len(row[1])
        if size >= _BATCH_BYTES:
            break
    return taken


class _Prefix:
    """What keys given here begin with; the file is read for it when the first is needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._prefix: str | None = None

    def key(self, number: int) -> str:
        if self._prefix is None:
            keys = (key_and_body(item)[0] for _, item in _items(self._path))
            self._prefix = free_prefix(keys)
        return f"{self._prefix}{number}"


def _row(number: int, line: bytes, prefix: _Prefix) -> tuple[str, str]:
    try:
        item = jsonl.loads(line)
    except ValueError:
        # An escape that JSON has not keeps the text from becoming JSON by being made readable.
        return prefix.key(number), line.decode(errors="backslashreplace")
    key, body = key_and_body(item)
    return key or prefix.key(number), jsonl.dumps(body if _is_clean(item) else item).decode()


def _is_clean(item: Any) -> bool:
    """Whether nothing is lost when the line is taken as key and request."""
    if not jsonl.is_object(item):
        return True
    key = item.get("key")
    named = key is None or (isinstance(key, str | int) and not isinstance(key, bool))
    if "request" not in item:
        return named
    return named and jsonl.is_object(item["request"]) and item.keys() <= {"key", "request"}
