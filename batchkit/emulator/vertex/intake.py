"""Reading a job's objects: each line is a row, and one that cannot be read fails the job.

What a request says is looked at when the row's turn comes: a bad one fails its row alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from batchkit.emulator.errors import ApiError, Rpc
from batchkit.emulator.life import WorkError
from batchkit.emulator.models import is_legacy
from batchkit.emulator.rows import Row, Rows, RowsWriter
from batchkit.emulator.storage.globs import glob

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from batchkit.emulator.limits import Limits
    from batchkit.emulator.models import Model
    from batchkit.emulator.storage import Access
    from batchkit.emulator.vertex.quirks import Quirks

__all__ = ["check_count", "import_objects", "read_row"]

_DOCS_FIELDS = frozenset({"embed_content_config", "embedContentConfig"})
_INLINE_FIELDS = frozenset(
    {
        "autoTruncate",
        "auto_truncate",
        "outputDimensionality",
        "output_dimensionality",
        "taskType",
        "task_type",
        "title",
    }
)
_REFUSED = {"docs": _INLINE_FIELDS, "inline": _DOCS_FIELDS, "both": frozenset[str]()}


def import_objects(
    access: Access, uris: list[str], rows: Rows, *, model: Model, limits: Limits, quirks: Quirks
) -> int:
    """Write the lines of objects as rows, and return how many; WorkError names what is refused."""
    count = 0
    with RowsWriter(rows) as writer:
        for uri in _objects(access, uris):
            for place, value in _lines(access, uri, limits):
                writer.add(read_row(value, model, quirks, place))
                count += 1
                check_count(count, model, limits)
    if not count:
        raise WorkError(Rpc.INVALID_ARGUMENT, f"There are no requests in {', '.join(uris)}.")
    return count


def check_count(count: int, model: Model, limits: Limits) -> None:
    """WorkError for more rows than a job of this model may have."""
    most = limits.vertex_rows
    if model.kind == "embed":
        legacy = is_legacy(model.name)
        most = limits.vertex_legacy_rows if legacy else limits.vertex_embedding_rows
    if count > most:
        text = f"The number of requests exceeds the limit of {most} for {model.name}."
        raise WorkError(Rpc.INVALID_ARGUMENT, text)


def read_row(value: Any, model: Model, quirks: Quirks, place: str) -> Row:
    """A line's row; WorkError, with the place where it stands, for what has none."""
    name = "content" if is_legacy(model.name) else "request"
    if value.__class__ is not dict or name not in value:
        raise _broken(place, f"a JSON object with the field {name} is expected")
    line: dict[str, Any] = value
    tag = {"key": line["key"]} if isinstance(line.get("key"), str) else {}
    if is_legacy(model.name):
        return Row(line, tag)
    request: dict[str, Any] = line["request"]
    if request.__class__ is not dict:
        raise _broken(place, "request must be a JSON object")
    if model.kind == "embed":
        for field in request:
            if field in _REFUSED[quirks.embed_config]:
                raise _broken(place, f"no such field: '{field}'")
    return Row(request, tag)


def _objects(access: Access, uris: list[str]) -> Iterator[str]:
    for uri in uris:
        fixed, star, _ = uri.partition("*")
        if not star:
            yield uri
            continue
        pattern = glob(uri)
        found = [each for each in _asked(uri, access.list, fixed) if pattern.fullmatch(each)]
        if not found:
            raise WorkError(Rpc.NOT_FOUND, f"No objects match {uri}.")
        yield from found


def _lines(access: Access, uri: str, limits: Limits) -> Iterator[tuple[str, Any]]:
    """The place and the value of each line that is not blank."""
    stream: IO[bytes]
    with _asked(uri, access.open, uri) as stream:
        if stream.seek(0, 2) > limits.vertex_object_bytes:
            text = f"{uri} is larger than the limit of {limits.vertex_object_bytes} bytes."
            raise WorkError(Rpc.INVALID_ARGUMENT, text)
        stream.seek(0)
        number = 0
        while line := stream.readline(limits.line_bytes):
            number += 1
            place = f"{uri}, line {number}"
            if len(line) == limits.line_bytes and not line.endswith(b"\n"):
                raise _broken(place, f"longer than {limits.line_bytes} bytes")
            if line.isspace():
                continue
            try:
                value = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise _broken(place, f"invalid JSON: {error.msg}") from None
            yield place, value


def _asked(uri: str, ask: Any, *arguments: str) -> Any:
    try:
        return ask(*arguments)
    except ApiError as error:
        code = Rpc.NOT_FOUND if error.http_status == 404 else Rpc.INVALID_ARGUMENT  # noqa: PLR2004  # HTTP
        raise WorkError(code, f"Failed to read {uri}: {error.message}") from error


def _broken(place: str, reason: str) -> WorkError:
    return WorkError(Rpc.INVALID_ARGUMENT, f"Failed to import data from {place}: {reason}.")
