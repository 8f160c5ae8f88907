"""Objects in Cloud Storage, by plain HTTP: what loads read and extracts write."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
import uuid
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .refusals import refuse, refuse_missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from starlette.requests import Request

__all__ = ["Objects"]

_SCHEME = "gs://"
_NOT_FOUND = 404
_SECONDS = 300
# What is on this machine is not asked for through a proxy.
_OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class Objects:
    """A Cloud Storage, once it is known where it is, and a folder for copies of what is in it."""

    def __init__(self, folder: Path) -> None:
        self._url = ""
        self._folder = folder
        self._leaving: dict[str, str] = {}

    def routes(self) -> list[Route]:
        """How it is told where Cloud Storage is."""
        return [Route("/_emulator/storage", self._use, methods=["POST"])]

    async def _use(self, request: Request) -> Response:
        self._url = ((await request.json())["url"] or "").rstrip("/")
        return JSONResponse({"url": self._url})

    def fetch(self, uris: Sequence[str]) -> list[Path]:
        """Copies of the objects that these URIs name, one `*` matching any text.

        The caller deletes them. NotFoundError when a URI names none.
        """
        paths: list[Path] = []
        for uri in uris:
            bucket, name = _parts(uri)
            names = list(self._matching(bucket, name)) if "*" in name else [name]
            if not names:
                refuse_missing(f"Uris {uri}")
            paths += [self._copy(bucket, found) for found in names]
        return paths

    def path_for(self, uri: str) -> str:
        """A path to write what is to become this object.

        Something is there when the object exists: an EXPORT DATA that may not overwrite looks.
        """
        bucket, name = _parts(uri)
        self._check_url()
        path = self._folder / f"leaving-{uuid.uuid4().hex}"
        if name in self._matching(bucket, name):
            path.touch()
        self._leaving[str(path)] = uri
        return str(path)

    def send(self, path: str) -> None:
        """Make a path of `path_for` that object."""
        uri = self._leaving.pop(path, None)
        if uri is None:
            return
        bucket, name = _parts(uri)
        query = urlencode({"uploadType": "media", "name": name})
        file = self._folder / path
        with file.open("rb") as content:
            address = f"/upload/storage/v1/b/{bucket}/o?{query}"
            self._opened(address, uri, content, file.stat().st_size).close()
        file.unlink()

    def _matching(self, bucket: str, pattern: str) -> Iterator[str]:
        before, star, after = pattern.partition("*")
        page: dict[str, Any] = {"nextPageToken": ""}
        while "nextPageToken" in page:
            query = urlencode({"prefix": before, "pageToken": page["nextPageToken"]})
            uri = f"{_SCHEME}{bucket}/{pattern}"
            with self._opened(f"/storage/v1/b/{bucket}/o?{query}", uri) as reply:
                page = json.loads(reply.read())
            for item in page.get("items", ()):
                name: str = item["name"]
                ends = name.endswith(after) and len(name) >= len(before) + len(after)
                if name == pattern or (star and ends):
                    yield name

    def _copy(self, bucket: str, name: str) -> Path:
        """A copy under a name of its own, which keeps the end that tells a format."""
        path = self._folder / f"fetched-{uuid.uuid4().hex}"
        address = f"/download/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media"
        with self._opened(address, f"{_SCHEME}{bucket}/{name}") as reply, path.open("wb") as file:
            shutil.copyfileobj(reply, file)
        return path

    def _opened(
        self, address: str, uri: str, content: IO[bytes] | None = None, size: int = 0
    ) -> Any:
        self._check_url()
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        request = urllib.request.Request(  # noqa: S310  # the address that was named
            self._url + address, content, headers if content else {}
        )
        try:
            return _OPEN(request, timeout=_SECONDS)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == _NOT_FOUND:
                refuse_missing(f"URI {uri}")
            refuse(f"{uri}: Cloud Storage says {error.code}")
        except OSError as error:
            refuse(f"{uri}: no Cloud Storage at {self._url}: {error}")

    def _check_url(self) -> None:
        if not self._url:
            message = "gs:// means nothing here: no Cloud Storage emulator was named"
            refuse(message)


def _parts(uri: str) -> tuple[str, str]:
    bucket, slash, name = uri.removeprefix(_SCHEME).partition("/")
    if not (uri.startswith(_SCHEME) and bucket and slash and name) or name.count("*") > 1:
        refuse(f"Invalid source or destination URI: {uri}")
    return bucket, name
