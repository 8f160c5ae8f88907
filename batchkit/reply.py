"""The body of a reply, held in memory up to a bound, however it was compressed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests

from batchkit.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["held", "said_in"]

_BLOCK_BYTES = 1 << 16
# The results of an inline job come in one reply; those of others are streamed to files.
_MOST_BYTES = 1 << 30
_MOST_ERROR_BYTES = 1 << 20
_KEY_HEADERS = ("x-goog-api-key", "authorization")


def held(
    response: requests.Response, operation: str, most_bytes: int = _MOST_BYTES
) -> requests.Response:
    """The response, to be read by its `content`: of one that says no, only the first megabyte.

    Raises ServiceError for a body that is longer, and what requests raises for one that is cut.
    """
    is_error = response.status_code >= requests.codes.multiple_choices
    most_bytes = _MOST_ERROR_BYTES if is_error else most_bytes
    pieces: list[bytes] = []
    size = 0
    for piece in response.iter_content(_BLOCK_BYTES):
        size += len(piece)
        if size > most_bytes:
            response.close()
            if is_error:
                break
            message = f"the answer is longer than {most_bytes:,} bytes"
            raise ServiceError(response.status_code, "TOO_LONG", message, (), operation)
        pieces.append(piece)
    vars(response)["_content"] = b"".join(pieces)  # as requests does when it reads all at once
    return response


def said_in(response: requests.Response) -> bytes:
    """The body, without what the request was let in by, should the service repeat that."""
    content = response.content
    sent: Any = response.request
    headers: Mapping[str, Any] = sent.headers if sent is not None else {}
    for name in _KEY_HEADERS:
        value = headers.get(name) or b""
        key = (value if isinstance(value, bytes) else str(value).encode()).rpartition(b" ")[2]
        if key:
            content = content.replace(key, "…".encode())
    return content
