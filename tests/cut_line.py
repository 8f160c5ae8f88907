"""A line to a service that is cut when it has carried so many bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CutLine", "cut_line"]

_PIECE_BYTES = 1 << 16


class CutLine:
    """Carries connections to a service on this machine, at an address of its own.

    A connection is cut when all of them have carried the first of `up` bytes to the service or the
    first of `down` bytes from it, then at the second, and so on. `cuts` counts them. Addresses of
    the service in its replies become those of the line.
    """

    def __init__(self, service_url: str, *, up: list[int], down: list[int]) -> None:
        self._service = urlsplit(service_url).netloc
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._netloc = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = f"http://{self._netloc}"
        self.cuts = 0
        self._left = {"up": list(up), "down": list(down)}
        self._carried = {"up": 0, "down": 0}
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for each in (self._listener, *self._open):
            _shut(each)
            each.close()

    def _accept(self) -> None:
        host, port = self._service.split(":")
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection((host, int(port)))
            self._open += [near, far]
            for way, source, sink in (("up", near, far), ("down", far, near)):
                thread = threading.Thread(target=self._carry, args=(way, source, sink), daemon=True)
                thread.start()

    def _carry(self, way: str, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE_BYTES):
                allowed, is_cut = self._allowed(way, piece)
                sink.sendall(self._translated(way, allowed))
                if is_cut:
                    break
        _shut(source)
        _shut(sink)
        source.close()  # resets it: a sender does not wait for room in a buffer that nobody reads
        sink.close()

    def _allowed(self, way: str, piece: bytes) -> tuple[bytes, bool]:
        """What of a piece goes through, and whether the line is cut behind it."""
        with self._lock:
            left = self._left[way]
            room = left[0] - self._carried[way] if left else len(piece) + 1
            is_cut = room <= len(piece)
            if is_cut:
                left.pop(0)
                self.cuts += 1
            allowed = piece[:room]
            self._carried[way] += len(allowed)
            return allowed, is_cut

    def _translated(self, way: str, piece: bytes) -> bytes:
        if way == "up":
            return piece
        return piece.replace(self._service.encode(), self._netloc.encode())


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def cut_line(
    service_url: str, *, up: list[int] | None = None, down: list[int] | None = None
) -> Iterator[CutLine]:
    """A line to the service for as long as the block lasts."""
    line = CutLine(service_url, up=up or [], down=down or [])
    try:
        yield line
    finally:
        line.close()
