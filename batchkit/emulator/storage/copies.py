"""Objects made of one other: copied, rewritten, moved.

https://cloud.google.com/storage/docs/json_api/v1/objects/rewrite
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchkit.emulator.routes import Route
from batchkit.emulator.storage.bodies import json_body, resource_reply
from batchkit.emulator.storage.drafts import Draft
from batchkit.emulator.storage.errors import condition_not_met, invalid
from batchkit.emulator.storage.preconditions import Preconditions, number
from batchkit.emulator.storage.settings import editable
from batchkit.emulator.storage.stored_object import checked_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batchkit.emulator.exchange import Reply, Request
    from batchkit.emulator.storage.buckets import Buckets
    from batchkit.emulator.storage.checksums import Checksums
    from batchkit.emulator.storage.objects import Objects
    from batchkit.emulator.storage.stored_object import StoredObject
    from batchkit.emulator.workspace import Workspace

__all__ = ["Copies"]

_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Copies:
    """The calls that make an object of another one's contents; no byte is copied for it."""

    workspace: Workspace
    buckets: Buckets
    objects: Objects

    def routes(self) -> tuple[Route, ...]:
        """What this service answers."""
        path = "/storage/v1/b/{bucket}/o/{object:segment}"
        place = "b/{to_bucket}/o/{to_object:segment}"
        moved = f"{path}/moveTo/o/{{to_object:segment}}"
        return (
            Route("POST", f"{path}/rewriteTo/{place}", self._rewrite, None, open=True),
            Route("POST", f"{path}/copyTo/{place}", self._copy, None, open=True),
            Route("POST", moved, self._move, None, open=True),
        )

    def _copy(self, request: Request) -> Reply:
        resource = json_body(request)
        with self.workspace.state.transaction():
            source, wanted = self._planned(request, resource)
            blob = self._linked(source)
        stored = self._made(wanted, blob, source.checksums)
        return resource_reply(request, stored.resource(self.workspace.url))

    def _move(self, request: Request) -> Reply:
        with self.workspace.state.transaction():
            source, wanted = self._planned(request, {})
            blob = self._linked(source)

        def gone(_: StoredObject) -> None:
            if self.objects.get(source.bucket, source.name) != source:
                raise condition_not_met()
            self.objects.drop(source)

        stored = self._made(wanted, blob, source.checksums, also=gone)
        self.workspace.blobs.delete(source.blob)
        self.workspace.effect("object.deleted", source.uri)
        return resource_reply(request, stored.resource(self.workspace.url))

    def _rewrite(self, request: Request) -> Reply:
        resource = json_body(request)
        with self.workspace.state.transaction():
            source, wanted = self._planned(request, resource)
            self.objects.check(wanted)
            done = self._rewritten(request.query, source, wanted)
            blob = self._linked(source) if done == source.size else ""
        progress: dict[str, Any] = {
            "kind": "storage#rewriteResponse",
            "totalBytesRewritten": str(done),
            "objectSize": str(source.size),
            "done": done == source.size,
        }
        if blob:
            stored = self._made(wanted, blob, source.checksums)
            progress["resource"] = stored.resource(self.workspace.url)
        else:
            progress["rewriteToken"] = f"{source.generation}-{done}"
        return resource_reply(request, progress)

    def _rewritten(self, query: Mapping[str, str], source: StoredObject, wanted: Draft) -> int:
        """How many bytes are rewritten after this call.

        All of them where location and class stay: only what has to be moved is done in parts.
        """
        most = number(query.get("maxBytesRewrittenPerCall") or 0, "maxBytesRewrittenPerCall")
        if most % _MEBIBYTE:
            text = "maxBytesRewrittenPerCall must be an integral multiple of 1 MiB (1048576)."
            raise invalid(text)
        token = query.get("rewriteToken", "")
        generation, _, before = token.partition("-")
        if token and (generation != str(source.generation) or not before.isdecimal()):
            text = "Invalid rewrite token."
            raise invalid(text)
        here, there = self.buckets.get(source.bucket), self.buckets.get(wanted.bucket)
        storage_class = wanted.settings.get("storageClass", there.storage_class)
        stays = here.location == there.location and storage_class == source.storage_class
        return source.size if stays or not most else min(source.size, int(before or 0) + most)

    def _planned(self, request: Request, resource: Mapping[str, Any]) -> tuple[StoredObject, Draft]:
        """The source of a request, and what it is to become."""
        source = self._source(request)
        given = {name: value for name, value in editable(resource).items() if value is not None}
        return source, Draft(
            bucket=request.variables.get("to_bucket", source.bucket),
            name=checked_name(request["to_object"]),
            # Who sets anything sets everything: only without a word is all of it taken over.
            settings=given or source.settings,
            given={},
            conditions=Preconditions.in_query(request.query),
            components=source.components,
        )

    def _source(self, request: Request) -> StoredObject:
        query = request.query
        generation = query.get("sourceGeneration", "")
        source = self.objects.get(request["bucket"], request["object"], generation)
        conditions = Preconditions.in_query(query, "ifSource")
        conditions.check(source.generation, source.metageneration)
        return source

    def _linked(self, source: StoredObject) -> str:
        """A blob of the same contents; in the transaction in which the source was found."""
        blob = self.objects.new_blob()
        self.workspace.blobs.link(source.blob, blob)
        return blob

    def _made(
        self,
        wanted: Draft,
        blob: str,
        checksums: Checksums,
        also: Callable[[StoredObject], None] | None = None,
    ) -> StoredObject:
        stored = self.objects.put(wanted, blob, checksums=checksums, also=also)
        self.workspace.effect("object.created", stored.uri)
        return stored
