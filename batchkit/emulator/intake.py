"""Reading a job's input: each line of a file is a request, and a broken one fails the job.

https://ai.google.dev/gemini-api/docs/batch-api#input-file
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from batchkit.emulator.fieldtable import nested_too_deeply
from batchkit.emulator.messages import line_decoder
from batchkit.emulator.rows import Row, Rows, RowsWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchkit.emulator.jobs import Job
    from batchkit.emulator.protojson import Fault

__all__ = ["BrokenLineError", "count_requests", "import_file"]

_KEYED_TYPES = {"generate": "GenerateContentLine", "embed": "EmbedContentLine"}
_BARE_TYPES = {"generate": "GenerateContentRequest", "embed": "EmbedContentRequest"}


@dataclass(eq=False)
class BrokenLineError(Exception):
    """A line that is no request: its number from 1, and why."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


def count_requests(path: Path, max_line_bytes: int) -> int:
    """How many lines of a file are not blank; the rest of a line too long counts as more."""
    with path.open("rb") as stream:
        return sum(
            not line.isspace() for line in iter(lambda: stream.readline(max_line_bytes), b"")
        )


def import_file(job: Job, path: Path, rows: Rows, max_line_bytes: int) -> None:
    """Write the requests of a job's file as rows; BrokenLineError for the first that is refused.

    A line is `{"key": …, "request": …}` or a bare request. No other model than the job's may be
    named in it.
    """
    keyed, bare = line_decoder(_KEYED_TYPES[job.kind]), line_decoder(_BARE_TYPES[job.kind])
    faults: list[Fault] = []
    with RowsWriter(rows) as writer:
        for number, line in _lines(path, max_line_bytes):
            value = _parsed(number, line)
            is_keyed = "request" in value or "key" in value
            tag: dict[str, Any] = (keyed if is_keyed else bare)(value, None, faults)
            if faults:
                raise BrokenLineError(number, _reason(faults[0]))
            row = Row(tag.pop("request"), tag) if is_keyed else Row(tag, {})
            if row.request.get("model", job.model).removeprefix("models/") != job.model:
                reason = f"the job's model is {job.model}, not {row.request['model']}"
                raise BrokenLineError(number, reason)
            writer.add(row)
    if not len(rows):
        raise BrokenLineError(1, "the file has no requests")


def _lines(path: Path, max_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each line that is not blank."""
    with path.open("rb") as stream:
        number = 0
        while line := stream.readline(max_bytes):
            number += 1
            if len(line) == max_bytes and not line.endswith(b"\n"):
                raise BrokenLineError(number, f"longer than {max_bytes} bytes")
            if not line.isspace():
                yield number, line


def _parsed(number: int, line: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BrokenLineError(number, f"invalid JSON: {error.msg}") from None
    if value.__class__ is not dict:
        raise BrokenLineError(number, "a JSON object is expected")
    if nested_too_deeply(line, value):
        raise BrokenLineError(number, "nested too deeply")
    return value


def _reason(fault: Fault) -> str:
    return f"{fault.reason} at '{fault.place}'" if fault.place else fault.reason
