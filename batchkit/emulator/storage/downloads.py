"""Contents of objects: whole, in ranges, or decompressed on the way.

https://cloud.google.com/storage/docs/json_api/v1/objects/get
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from batchkit.emulator.routes import Route
from batchkit.emulator.storage.errors import spoken_as_text, spoken_as_xml
from batchkit.emulator.storage.preconditions import Preconditions
from batchkit.emulator.storage.ranges import requested_range
from batchkit.emulator.storage.replies import contents_reply, stream_reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchkit.emulator.exchange import Reply, Request
    from batchkit.emulator.storage.objects import Objects
    from batchkit.emulator.storage.replies import Headers
    from batchkit.emulator.storage.stored_object import StoredObject

__all__ = ["Downloads"]

_PIECE_BYTES = 1 << 18
_GZIP_MAGIC = b"\x1f\x8b"
# Settings that travel as headers.
_HEADERS = {
    "cacheControl": "Cache-Control",
    "contentDisposition": "Content-Disposition",
    "contentLanguage": "Content-Language",
}


@dataclass(frozen=True, slots=True)
class Downloads:
    """The calls that send an object's contents."""

    objects: Objects

    def routes(self) -> tuple[Route, ...]:
        """What this service answers in the JSON API; refusals are bare text."""
        path = "storage/v1/b/{bucket}/o/{object:segment}"
        media = spoken_as_text(self._by_query)
        return (
            Route("GET", f"/download/{path}", media, None, open=True),
            Route("GET", f"/{path}", media, None, open=True, when="alt=media"),
        )

    def xml_routes(self) -> tuple[Route, ...]:
        """What this service answers in the XML API."""
        path = "/{bucket:bucket}/{object:rest}"
        return (Route("GET", path, spoken_as_xml(self._by_headers), None, open=True),)

    def _by_query(self, request: Request) -> Reply:
        return self._send(request, Preconditions.in_query(request.query))

    def _by_headers(self, request: Request) -> Reply:
        return self._send(request, Preconditions.in_headers(request.headers))

    def _send(self, request: Request, conditions: Preconditions) -> Reply:
        generation = request.query.get("generation", "")
        found, contents = self.objects.opened(request["bucket"], request["object"], generation)
        try:
            conditions.check(found.generation, found.metageneration, reading=True)
            if _is_to_be_decompressed(found, request) and _is_gzip(contents):
                return _decompressed(found, contents)
            return _stored(found, contents, request)
        except BaseException:
            contents.close()
            raise


def _stored(found: StoredObject, contents: IO[bytes], request: Request) -> Reply:
    """Contents as they are stored, or a range of them."""
    headers = [*_headers(found), ("Accept-Ranges", "bytes")]
    if encoding := found.settings.get("contentEncoding"):
        headers.append(("Content-Encoding", _latin(encoding)))
    span = requested_range(request.headers.get("range", ""), found.size)
    if span is None:
        return contents_reply(200, contents, (0, found.size), tuple(headers))
    start, stop = span
    headers.append(("Content-Range", f"bytes {start}-{stop - 1}/{found.size}"))
    return contents_reply(206, contents, span, tuple(headers))


def _is_to_be_decompressed(found: StoredObject, request: Request) -> bool:
    """Whether the client does not take what is stored; a range is then not heeded.

    https://cloud.google.com/storage/docs/transcoding
    """
    return (
        found.settings.get("contentEncoding") == "gzip"
        and "gzip" not in request.headers.get("accept-encoding", "")
        and "no-transform" not in found.settings.get("cacheControl", "")
    )


def _is_gzip(contents: IO[bytes]) -> bool:
    magic = contents.read(len(_GZIP_MAGIC))
    contents.seek(0)
    return magic == _GZIP_MAGIC


def _decompressed(found: StoredObject, contents: IO[bytes]) -> Reply:
    done = (
        ("X-GUploader-Response-Body-Transformations", "gunzipped"),
        ("Warning", "214 UploadServer gunzipped"),
    )
    return stream_reply(_text(contents), contents, (*_headers(found), *done))


def _text(contents: IO[bytes]) -> Iterator[bytes]:
    with gzip.open(contents) as text:
        while piece := text.read(_PIECE_BYTES):
            yield piece


def _headers(found: StoredObject) -> Headers:
    settings = found.settings
    encoding = settings.get("contentEncoding") or "identity"
    return (
        ("Content-Type", _latin(settings.get("contentType") or "application/octet-stream")),
        ("ETag", found.etag),
        ("X-Goog-Generation", str(found.generation)),
        ("X-Goog-Metageneration", str(found.metageneration)),
        ("X-Goog-Hash", found.checksums.header()),
        ("X-Goog-Storage-Class", settings["storageClass"]),
        ("X-Goog-Stored-Content-Encoding", _latin(encoding)),
        ("X-Goog-Stored-Content-Length", str(found.size)),
        *((header, _latin(settings[n])) for n, header in _HEADERS.items() if n in settings),
    )


def _latin(text: str) -> str:
    """The bytes of a text as http.server wants them."""
    return text.encode().decode("latin-1")
