"""Uploads in one request: bare contents, or with their metadata.

https://cloud.google.com/storage/docs/json_api/v1/objects/insert
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batchkit.emulator.routes import Route
from batchkit.emulator.storage.bodies import json_object, resource_reply
from batchkit.emulator.storage.checksums import given_for_body
from batchkit.emulator.storage.drafts import draft_of
from batchkit.emulator.storage.errors import StorageError, invalid
from batchkit.emulator.storage.multipart import parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchkit.emulator.exchange import Reply, Request
    from batchkit.emulator.storage.drafts import Draft
    from batchkit.emulator.storage.objects import Objects
    from batchkit.emulator.storage.sessions import Sessions
    from batchkit.emulator.workspace import Workspace

__all__ = ["Uploads"]

_LARGEST_METADATA_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Uploads:
    """The calls that make an object of a request's body, or begin to."""

    workspace: Workspace
    objects: Objects
    sessions: Sessions

    def routes(self) -> tuple[Route, ...]:
        """What this service answers."""
        path = "/upload/storage/v1/b/{bucket}/o"
        return (
            *self.sessions.routes(path),
            Route("POST", path, self._insert, None, open=True),
        )

    def _insert(self, request: Request) -> Reply:
        kinds = {
            "media": self._media,
            "multipart": self._multipart,
            "resumable": self.sessions.start,
        }
        kind = request.query.get("uploadType", "")
        if kind not in kinds:
            raise StorageError(400, f"Invalid uploadType: {kind!r}", reason="badRequest")
        return kinds[kind](request)

    def _media(self, request: Request) -> Reply:
        wanted = draft_of(request, {"contentType": request.headers.get("content-type")})
        wanted = replace(wanted, given=given_for_body(request.headers))
        return self._store(request, wanted, request.body.pieces())

    def _multipart(self, request: Request) -> Reply:
        arriving = parts(request.headers.get("content-type", ""), request.body.pieces())
        metadata = next(arriving, None)
        resource = json_object(metadata.read(_LARGEST_METADATA_BYTES)) if metadata else {}
        media = next(arriving, None)
        if media is None:
            text = "A multipart upload needs two parts: metadata and contents."
            raise invalid(text)
        if resource.get("contentType") is None:
            resource["contentType"] = media.headers.get("content-type")
        return self._store(request, draft_of(request, resource), media.pieces)

    def _store(self, request: Request, wanted: Draft, pieces: Iterator[bytes]) -> Reply:
        self.objects.check(wanted)
        with self.objects.writing() as (blob, stream):
            for piece in pieces:
                stream.write(piece)
        stored = self.objects.put(wanted, blob)
        self.workspace.effect("object.created", stored.uri)
        return resource_reply(request, stored.resource(self.workspace.url))
