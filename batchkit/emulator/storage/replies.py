"""Replies that are not JSON: short texts, contents of objects, and what is made from contents."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from batchkit.emulator.exchange import OpenSlice, Reply, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Headers", "bytes_reply", "contents_reply", "short_body", "stream_reply"]

Headers = tuple[tuple[str, str], ...]


def bytes_reply(status: int, body: bytes = b"", headers: Headers = ()) -> Reply:
    """A short body, or none."""
    return Reply(status, (body,), headers)


def contents_reply(
    status: int, contents: IO[bytes], span: tuple[int, int], headers: Headers
) -> Reply:
    """Bytes from the first of a span up to its second; the reply owns the open file."""
    return Reply(status, (OpenSlice(contents, *span),), headers)


def stream_reply(pieces: Iterator[bytes], contents: IO[bytes], headers: Headers) -> Reply:
    """A body of unknown length, made from an open file, which the reply owns."""
    return Reply(200, (Stream(pieces, contents.close),), headers)


def short_body(reply: Reply) -> bytes:
    """The body of a reply that is no object's contents."""
    return b"".join(piece for piece in reply.pieces if isinstance(piece, bytes))
