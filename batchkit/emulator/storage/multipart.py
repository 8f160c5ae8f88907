"""Multipart bodies, read part by part as they arrive.

RFC 2046, section 5.1. Lines end as the first one does: gcsfs and Python's email package, which
the official client uses for batches, end them without a carriage return.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchkit.emulator.storage.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Part", "parse_headers", "parts"]

_BOUNDARY = re.compile(r'boundary=(?:"([^"]+)"|([^\s;]+))', re.IGNORECASE)
_LONGEST_HEAD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """One part; its content is read once, and before the next part."""

    headers: Mapping[str, str]
    pieces: Iterator[bytes]

    def read(self, max_bytes: int) -> bytes:
        """The content; StorageError 400 when it is longer than `max_bytes`."""
        content = bytearray()
        for piece in self.pieces:
            content += piece
            if len(content) > max_bytes:
                text = f"A part of the body is larger than {max_bytes} bytes."
                raise invalid(text)
        return bytes(content)


def parts(content_type: str, pieces: Iterator[bytes]) -> Iterator[Part]:
    """The parts of a body; StorageError 400 when it is not what its type says."""
    boundary = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/") or boundary is None:
        text = f"A multipart body with a boundary is expected, not {content_type!r}."
        raise invalid(text)
    window = _Window(pieces)
    delimiter = b"--" + (boundary[1] or boundary[2]).encode()
    newline = window.skip_to_first(delimiter)
    while not window.take(b"--"):
        window.take(newline)
        head = b"" if window.take(newline) else window.head(newline)
        rest = window.content(newline + delimiter, newline)
        yield Part(parse_headers(head), rest)
        for _ in rest:
            pass


def parse_headers(head: bytes) -> dict[str, str]:
    """Header lines by lower-case name."""
    headers: dict[str, str] = {}
    for line in head.split(b"\n"):
        name, separator, value = line.decode("utf-8", "replace").partition(":")
        if separator:
            headers[name.strip().lower()] = value.strip()
    return headers


class _Window:
    """The part of a body that has arrived and is not yet consumed."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._seen = b""

    def take(self, text: bytes) -> bool:
        """Consume a text if it comes next."""
        self._reach(len(text))
        found = self._seen.startswith(text)
        if found:
            self._seen = self._seen[len(text) :]
        return found

    def skip_to_first(self, delimiter: bytes) -> bytes:
        """Consume up to and with the first delimiter line's text; returns how its line ends."""
        while (at := self._seen.find(delimiter)) < 0 or b"\n" not in self._seen[at:]:
            self._more()
        self._seen = self._seen[at + len(delimiter) :]
        return b"\r\n" if self._seen.startswith(b"\r\n") else b"\n"

    def head(self, newline: bytes) -> bytes:
        """Consume the header lines and the empty line after them."""
        end = newline * 2
        while (at := self._seen.find(end)) < 0:
            self._more()
        head, self._seen = self._seen[:at], self._seen[at + len(end) :]
        return head

    def content(self, delimiter: bytes, newline: bytes) -> Iterator[bytes]:
        """Consume up to and with the next delimiter, and give what stands before it."""
        after = max(len(newline), 2)
        while True:
            at = self._seen.find(delimiter)
            if at < 0:
                kept = len(self._seen) - len(delimiter) + 1
                if kept > 0:
                    yield self._seen[:kept]
                    self._seen = self._seen[kept:]
                self._more()
                continue
            end = at + len(delimiter)
            self._reach(end + after)
            if self._seen.startswith((b"--", newline), end):
                yield self._seen[:at]
                self._seen = self._seen[end:]
                return
            yield self._seen[:end]  # it only began like one
            self._seen = self._seen[end:]

    def _reach(self, size: int) -> None:
        """Have so many bytes, if there are that many."""
        while len(self._seen) < size:
            piece = next(self._pieces, b"")
            if not piece:
                return
            self._seen += piece

    def _more(self) -> None:
        piece = next(self._pieces, b"")
        if not piece:
            text = "Missing end boundary in multipart body."
            raise invalid(text)
        if len(self._seen) > _LONGEST_HEAD_BYTES:
            text = "The headers of a part of the body are too long."
            raise invalid(text)
        self._seen += piece
