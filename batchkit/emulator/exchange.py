"""One HTTP request and its reply, as values; the body is a stream that is read once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol

import orjson

from batchkit.emulator.errors import ApiError, Rpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

__all__ = ["Body", "FileSlice", "OpenSlice", "Reply", "Request", "Stream", "json_reply"]

_PIECE_BYTES = 1 << 18
_CHUNK_LINE_BYTES = 1 << 10
_CHUNK_LENGTH = re.compile(rb"[0-9a-fA-F]{1,15}")
_JSON = ("Content-Type", "application/json; charset=UTF-8")


class _Source(Protocol):
    """Where a body comes from: a connection, or the beginning of one."""

    def read1(self, size: int, /) -> bytes:
        """Up to so many bytes, as they arrive."""
        ...

    def readline(self, size: int, /) -> bytes:
        """Up to so many bytes of a line."""
        ...


class Body:
    """A request's body on the wire, of a known length or in chunks.

    Every method raises ConnectionError when the client is gone before the body's end.
    """

    def __init__(self, stream: _Source, length: int | None) -> None:
        """`length` is None when the body comes in chunks (RFC 9112, section 7.1)."""
        self._stream = stream
        self._length = length
        self._pieces = self._chunked() if length is None else self._sized(length)

    def pieces(self) -> Iterator[bytes]:
        """What is left of the body, each piece as soon as it arrives."""
        return self._pieces

    def read(self, max_bytes: int) -> bytes:
        """What is left of the body; ApiError 400 when it is longer than `max_bytes`."""
        parts: list[bytes] = []
        size = 0
        for piece in self._pieces:
            size += len(piece)
            if size > max_bytes:
                message = f"Request payload size exceeds the limit: {max_bytes} bytes."
                raise ApiError(Rpc.INVALID_ARGUMENT, message)
            parts.append(piece)
        return b"".join(parts)

    def broken(self) -> Body:
        """This body, not begun yet, as it is when the connection is cut in the middle of it.

        Of one in chunks, or an empty one, nothing comes.
        """
        return Body(_Ending(self._stream, (self._length or 0) // 2), self._length or None)

    def drain(self) -> None:
        """Read and drop what is left, so that the next request starts where it should."""
        for _ in self._pieces:
            pass

    def _sized(self, length: int) -> Iterator[bytes]:
        while length:
            piece = self._stream.read1(min(length, _PIECE_BYTES))
            if not piece:
                message = f"the connection was cut {length} bytes before the end of the body"
                raise ConnectionAbortedError(message)
            length -= len(piece)
            yield piece

    def _chunked(self) -> Iterator[bytes]:
        while length := self._chunk_length():
            yield from self._sized(length)
            self._line()
        while self._line().strip():
            pass  # trailer fields

    def _chunk_length(self) -> int:
        text = self._line().partition(b";")[0].strip()
        if not _CHUNK_LENGTH.fullmatch(text):
            message = "malformed chunked transfer encoding"
            raise ConnectionAbortedError(message)
        return int(text, 16)

    def _line(self) -> bytes:
        line = self._stream.readline(_CHUNK_LINE_BYTES)
        if not line.endswith(b"\n"):
            message = "the connection was cut inside a chunked body"
            raise ConnectionAbortedError(message)
        return line


class _Ending:
    """The first bytes of a stream, and then its end."""

    def __init__(self, stream: _Source, size: int) -> None:
        self._stream = stream
        self._left = size

    def read1(self, size: int, /) -> bytes:
        """Up to so many bytes, as they arrive."""
        piece = self._stream.read1(min(size, self._left)) if self._left else b""
        self._left -= len(piece)
        return piece

    def readline(self, _: int, /) -> bytes:
        """No line comes any more."""
        return b""


@dataclass(frozen=True, slots=True)
class Request:
    """A request; `headers` are by lower-case name, `variables` are those of the route's path."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Body
    variables: Mapping[str, str]

    def __getitem__(self, variable: str) -> str:
        return self.variables[variable]


@dataclass(frozen=True, slots=True)
class FileSlice:
    """Bytes `start` up to `stop` of a file."""

    path: Path
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class OpenSlice:
    """Bytes `start` up to `stop` of an open file: they are sent whatever becomes of its name."""

    file: IO[bytes]
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def close(self) -> None:
        """Close the file."""
        self.file.close()


@dataclass(frozen=True, slots=True)
class Stream:
    """A whole body whose length nobody knows before its end; `close` frees what it comes from."""

    pieces: Iterator[bytes]
    close: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply: the pieces of its body are bytes, and slices of files that are never loaded.

    Or its body is one stream. Whoever gets a reply closes it. One that `is_cut` ends in the middle
    of its body, and its connection with it.
    """

    status: int
    pieces: tuple[bytes | FileSlice | OpenSlice | Stream, ...]
    headers: tuple[tuple[str, str], ...] = (_JSON,)
    is_cut: bool = False

    def close(self) -> None:
        """Close what is open for the body."""
        for piece in self.pieces:
            if isinstance(piece, OpenSlice | Stream):
                piece.close()


def json_reply(value: Any, *headers: tuple[str, str]) -> Reply:
    """A successful reply with a JSON body."""
    return Reply(200, (orjson.dumps(value),), (_JSON, *headers))
