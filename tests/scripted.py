"""A server that says what a test tells it to, for replies that the emulator does not give."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import requests

import batchkit as bk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["API_KEY", "Asked", "Said", "Scripted", "forbidding", "in_turn", "passed_on", "scripted"]

API_KEY = "secret-key-of-a-test"
NO_REPLY = 0


@dataclass(frozen=True)
class Asked:
    """One request; the names of `headers` are in lower case, `path` has its query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Said:
    """One reply; with `sent_bytes` the connection is cut after so many bytes of the body.

    Status 0 is no reply at all. A `chunked` body has no Content-Length.
    """

    status: int = 200
    body: Any = field(default_factory=dict[str, Any])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    sent_bytes: int | None = None
    pause_seconds: float = 0.0
    chunked: bool = False

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Scripted:
    """The running server: its address, what it was asked so far, and a client of it."""

    url: str
    asked: list[Asked]

    def client(self, **options: Any) -> bk.Gemini:
        retries = bk.Retries(first_seconds=0.01, longest_seconds=0.02, total_seconds=1)
        return bk.Gemini(API_KEY, **{"base_url": self.url, "retries": retries} | options)


def in_turn(*script: Said) -> Callable[[Asked], Said]:
    """The replies one after the other, the last of them again and again."""
    left = list(script)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def passed_on(asked: Asked, url: str) -> Said:
    """What the server at another address answers."""
    headers = {k: v for k, v in asked.headers.items() if k not in {"host", "accept-encoding"}}
    address = url + asked.path
    reply = requests.request(asked.method, address, data=asked.body, headers=headers, timeout=60)
    kind = reply.headers.get("Content-Type", "")
    return Said(reply.status_code, reply.content, {"Content-Type": kind})


def forbidding(call: str, denied: str, reason: str, url: str) -> Callable[[Asked], Said]:
    """What the server at another address answers to an account that may do all but one thing.

    `call` is a pattern of method and path.
    """

    def answer(asked: Asked) -> Said:
        if re.fullmatch(call, f"{asked.method} {asked.path}"):
            error = {"message": denied, "domain": "global", "reason": reason}
            return Said(403, {"error": {"code": 403, "message": denied, "errors": [error]}})
        return passed_on(asked, url)

    return answer


@contextlib.contextmanager
def scripted(answer: Callable[[Asked], Said] | Said, *more: Said) -> Iterator[Scripted]:
    """A server that answers by a function, or with replies in turn."""
    said = in_turn(answer, *more) if isinstance(answer, Said) else answer
    asked: list[Asked] = []

    class Handler(_Handler):
        def reply_to(self, request: Asked) -> Said:
            asked.append(request)
            return said(request)

    with _Listener(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield Scripted(f"http://127.0.0.1:{listener.server_port}", asked)
        finally:
            listener.shutdown()
            thread.join()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    timeout = 20

    def reply_to(self, request: Asked) -> Said:
        raise NotImplementedError

    def answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        said = self.reply_to(Asked(self.command, self.path, headers, body))
        time.sleep(said.pause_seconds)
        if said.status != NO_REPLY:
            self._send(said)
        if said.status == NO_REPLY or said.sent_bytes is not None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815  # the names http.server calls

    def _send(self, said: Said) -> None:
        self.send_response(said.status)
        for name, value in said.headers.items():
            self.send_header(name, value)
        content = said.content[: said.sent_bytes]
        if said.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            end = b"0\r\n\r\n" if said.sent_bytes is None else b""
            content = b"%x\r\n%b\r\n%b" % (len(content), content, end)
        else:
            self.send_header("Content-Length", str(len(said.content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name there
        """Say nothing."""
