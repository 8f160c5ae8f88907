"""The HTTP server: sockets, keep-alive, bodies and replies; it knows no API."""

from __future__ import annotations

import contextlib
import functools
import re
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from batchkit.emulator.errors import ApiError, Rpc
from batchkit.emulator.exchange import Body, FileSlice, OpenSlice, Reply, Request, Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    Application = Callable[[Request], Reply]

__all__ = ["Server"]

_IDLE_SECONDS = 600.0
_CLOSE_SECONDS = 10.0
_LENGTH = re.compile(r"[0-9]{1,18}")


class Server:
    """Serves an application on a local port, each connection in a daemon thread of its own.

    The port is bound at once, requests are answered from `start` on. An application that raises
    ConnectionError closes the connection without a reply.
    """

    def __init__(self, host: str, port: int) -> None:
        self._listener = _Listener((host, port), BaseHTTPRequestHandler)
        self._thread = threading.Thread(
            target=self._listener.serve_forever, name="batchkit-emulator", daemon=True
        )

    @property
    def url(self) -> str:
        """`http://host:port`."""
        host, port = self._listener.server_address[:2]
        return f"http://{host!s}:{port}"

    def start(self, application: Application) -> None:
        """Begin to answer."""
        self._listener.RequestHandlerClass = functools.partial(_Handler, application)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, cut the open connections and wait for their threads."""
        with contextlib.suppress(OSError):
            self._listener.socket.shutdown(socket.SHUT_RDWR)  # wakes the accepting thread
        if self._thread.is_alive():
            self._listener.shutdown()
        self._listener.server_close()
        self._listener.cut_connections()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changed:
            self._open.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._changed:
                self._open.discard(request)
                self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error worth a traceback; everything else was answered."""

    def cut_connections(self) -> None:
        with self._changed:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, timeout=_CLOSE_SECONDS)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    timeout = _IDLE_SECONDS

    def __init__(self, application: Application, *connection: Any) -> None:
        self._application = application
        super().__init__(*connection)  # answers until the connection is closed

    def answer(self) -> None:
        """Answer one request and leave the connection at the start of the next, or closed."""
        try:
            request = self._request()
            with contextlib.closing(self._application(request)) as reply:
                request.body.drain()
                self._send(reply)
        except ApiError as error:
            self._refuse(error)
        except FileNotFoundError:  # it was deleted since the application answered
            self._refuse(ApiError(Rpc.NOT_FOUND, "Requested entity was not found."))
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    # The names by which http.server calls a method.
    do_GET = do_HEAD = do_POST = answer  # noqa: N815
    do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer  # noqa: N815

    def _request(self) -> Request:
        try:
            address = urlsplit(self.path)
        except ValueError:
            raise ApiError(Rpc.INVALID_ARGUMENT, "The URL of the request is malformed.") from None
        return Request(
            method="GET" if self.command == "HEAD" else self.command,
            path=address.path,
            query=dict(parse_qsl(address.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=Body(self.rfile, self._length()),
            variables={},
        )

    def _length(self) -> int | None:
        encoding = self.headers.get("Transfer-Encoding", "identity").lower()
        if encoding == "chunked":
            return None
        text = self.headers.get("Content-Length", "0")
        if encoding != "identity" or not _LENGTH.fullmatch(text):
            raise ApiError(Rpc.INVALID_ARGUMENT, "The length of the request body is not known.")
        return int(text)

    def _send(self, reply: Reply) -> None:
        with contextlib.ExitStack() as files:
            # Before the head is sent: a file that is gone is not found.
            pieces = [_opened(piece, files) for piece in reply.pieces]
            self._send_head(reply, pieces)
            if reply.is_cut:
                pieces = _first_half(pieces)
            for piece in pieces if self.command != "HEAD" else ():
                self._send_piece(piece)
            self.wfile.flush()
        if reply.is_cut:
            message = "a reply was to be cut"
            raise ConnectionAbortedError(message)

    def _send_head(self, reply: Reply, pieces: list[bytes | OpenSlice | Stream]) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        lengths = [len(piece) for piece in pieces if not isinstance(piece, Stream)]
        if len(lengths) == len(pieces):
            self.send_header("Content-Length", str(sum(lengths)))
        else:
            self.send_header("Transfer-Encoding", "chunked")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _send_piece(self, piece: bytes | OpenSlice | Stream) -> None:
        if isinstance(piece, bytes):
            self.wfile.write(piece)
        elif isinstance(piece, Stream):
            for chunk in filter(None, piece.pieces):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            self.wfile.write(b"0\r\n\r\n")
        elif len(piece):
            self.wfile.flush()
            self.connection.sendfile(piece.file, piece.start, len(piece))

    def _refuse(self, error: ApiError) -> None:
        """Answer a request whose body's end is not known: the connection cannot go on."""
        self.close_connection = True
        self._send(Reply(error.http_status, (error.body(),)))

    def handle_expect_100(self) -> bool:
        """Ask for the body; the buffer must be flushed, or the client waits for it in vain."""
        proceed = super().handle_expect_100()
        self.wfile.flush()
        return proceed

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the HTTP parser refuses, in Google's form instead of HTML."""
        self.close_connection = True
        text = message or explain or HTTPStatus(code).phrase
        self._send(Reply(code, (ApiError(code, text).body(),)))

    def version_string(self) -> str:
        """The `Server` header."""
        return "batchkit-emulator"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Say nothing: the emulator's user reads its own output."""


def _first_half(pieces: list[bytes | OpenSlice | Stream]) -> list[bytes | OpenSlice | Stream]:
    """The first half of a body; of a stream, whose length nobody knows, nothing."""
    sized = [piece for piece in pieces if not isinstance(piece, Stream)]
    left = sum(map(len, sized)) // 2
    half: list[bytes | OpenSlice | Stream] = []
    for piece in sized:
        if isinstance(piece, bytes):
            half.append(piece[:left])
        else:
            half.append(OpenSlice(piece.file, piece.start, min(piece.stop, piece.start + left)))
        left -= min(left, len(piece))
    return half


def _opened(
    piece: bytes | FileSlice | OpenSlice | Stream, files: contextlib.ExitStack
) -> bytes | OpenSlice | Stream:
    if not isinstance(piece, FileSlice):
        return piece
    return OpenSlice(files.enter_context(piece.path.open("rb")), piece.start, piece.stop)
