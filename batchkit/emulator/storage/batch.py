"""Many calls in one request.

https://cloud.google.com/storage/docs/batch
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from batchkit.emulator.exchange import Body, Request
from batchkit.emulator.routes import Route
from batchkit.emulator.storage.errors import invalid
from batchkit.emulator.storage.multipart import parse_headers, parts
from batchkit.emulator.storage.replies import bytes_reply, short_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchkit.emulator.exchange import Reply

__all__ = ["Batch"]

_MOST_CALLS = 100
_LARGEST_CALL_BYTES = 10_000_000
_BOUNDARY = b"batch_of_replies"
_TYPE = ("Content-Type", f"multipart/mixed; boundary={_BOUNDARY.decode()}")


@dataclass(frozen=True, slots=True)
class Batch:
    """The call that carries others; `application` answers those."""

    application: Callable[[Request], Reply]

    def routes(self) -> tuple[Route, ...]:
        """What this service answers."""
        return (Route("POST", "/batch/storage/v1", self._answer, None, open=True),)

    def _answer(self, request: Request) -> Reply:
        content_type = request.headers.get("content-type", "")
        calls: list[tuple[str, bytes]] = []
        for part in parts(content_type, request.body.pieces()):
            calls.append((part.headers.get("content-id", ""), part.read(_LARGEST_CALL_BYTES)))
            if len(calls) > _MOST_CALLS:
                text = f"The batch request has more than {_MOST_CALLS} calls."
                raise invalid(text)
        replies = (_part(name, self._reply(_request(call))) for name, call in calls)
        return bytes_reply(200, b"".join(replies) + b"--" + _BOUNDARY + b"--\r\n", (_TYPE,))

    def _reply(self, request: Request) -> Reply:
        if request.query.get("alt") == "media":
            error = invalid("Contents of objects cannot be part of a batch.")
            return bytes_reply(error.http_status, error.body())
        return self.application(request)


def _request(text: bytes) -> Request:
    """The request that a part of the body is."""
    head, _, body = text.replace(b"\r\n", b"\n").partition(b"\n\n")
    line, _, fields = head.lstrip(b"\n").partition(b"\n")
    words = line.decode("utf-8", "replace").split(" ")
    if len(words) < 2:  # noqa: PLR2004 - a method and an address
        message = f"Not the first line of a request: {line!r}"
        raise invalid(message)
    address = urlsplit(words[1])
    return Request(
        method=words[0],
        path=address.path,
        query=dict(parse_qsl(address.query, keep_blank_values=True)),
        headers=parse_headers(fields),
        body=Body(io.BytesIO(body), len(body)),
        variables={},
    )


def _part(content_id: str, reply: Reply) -> bytes:
    """A reply as a part of the body."""
    body = short_body(reply)
    lines = [
        f"--{_BOUNDARY.decode()}",
        "Content-Type: application/http",
        f"Content-ID: <response-{content_id.strip('<>')}>",
        "",
        f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
        *(f"{name}: {value}" for name, value in reply.headers),
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body + b"\r\n"
