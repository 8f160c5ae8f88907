"""The few calls of Cloud Storage that loads and extracts make, over a dictionary."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Generator

_PAGE = 2


class ObjectStore(ThreadingHTTPServer):
    """Buckets of objects: `objects["bucket/name"]` is a content."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.objects: dict[str, bytes] = {}


class _Handler(BaseHTTPRequestHandler):
    server: ObjectStore

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        bucket, _, name = parts.path.partition("/b/")[2].partition("/o")
        key = f"{bucket}/{unquote(name.removeprefix('/'))}"
        if parts.path.startswith("/download/"):
            content = self.server.objects.get(key)
            self._reply(404 if content is None else 200, content or b"")
            return
        prefix = f"{bucket}/{query.get('prefix', '')}"
        names = sorted(
            key.partition("/")[2] for key in self.server.objects if key.startswith(prefix)
        )
        start = int(query.get("pageToken", 0))
        listed = {"items": [{"name": name} for name in names[start : start + _PAGE]]}
        more = {"nextPageToken": str(start + _PAGE)} if len(names) > start + _PAGE else {}
        self._reply(200, json.dumps(listed | more).encode())

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        bucket = parts.path.partition("/b/")[2].removesuffix("/o")
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.objects[f"{bucket}/{parse_qs(parts.query)['name'][0]}"] = content
        self._reply(200, b"{}")

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""

    def _reply(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextlib.contextmanager
def serving() -> Generator[ObjectStore]:
    """A store that answers while the block runs."""
    with ObjectStore() as store:
        thread = threading.Thread(target=store.serve_forever, args=[0.01])
        thread.start()
        yield store
        store.shutdown()
        thread.join()
