"""Objects' resources: shown, changed and deleted.

https://cloud.google.com/storage/docs/json_api/v1/objects
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from batchkit.emulator.routes import Route
from batchkit.emulator.storage.bodies import json_body, no_content, resource_reply
from batchkit.emulator.storage.preconditions import Preconditions
from batchkit.emulator.storage.settings import editable, patched

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batchkit.emulator.exchange import Reply, Request
    from batchkit.emulator.storage.objects import Objects
    from batchkit.emulator.storage.stored_object import StoredObject
    from batchkit.emulator.workspace import Workspace

    Settings = Mapping[str, Any]

__all__ = ["Metadata"]


@dataclass(frozen=True, slots=True)
class Metadata:
    """The calls on what is said about an object, not on its contents."""

    workspace: Workspace
    objects: Objects

    def routes(self) -> tuple[Route, ...]:
        """What this service answers."""
        path = "/storage/v1/b/{bucket}/o/{object:segment}"
        return (
            Route("GET", path, self._get, None, open=True),
            Route("PATCH", path, self._patch, None, open=True),
            Route("PUT", path, self._update, None, open=True),
            Route("DELETE", path, self.delete, None, open=True),
        )

    def delete(self, request: Request) -> Reply:
        """Delete the object of a request."""
        with self.workspace.state.transaction():
            found = self._found(request)
            self.objects.drop(found)
        self.workspace.blobs.delete(found.blob)
        self.workspace.effect("object.deleted", found.uri)
        return no_content()

    def _get(self, request: Request) -> Reply:
        found = self._found(request, reading=True)
        return resource_reply(request, found.resource(self.workspace.url))

    def _found(self, request: Request, *, reading: bool = False) -> StoredObject:
        """The object of a request, if it is as the request wants it."""
        query = request.query
        found = self.objects.get(request["bucket"], request["object"], query.get("generation", ""))
        conditions = Preconditions.in_query(query)
        conditions.check(found.generation, found.metageneration, reading=reading)
        return found

    def _patch(self, request: Request) -> Reply:
        return self._change(request, patched)

    def _update(self, request: Request) -> Reply:
        return self._change(request, _replaced)

    def _change(self, request: Request, change: Callable[[Settings, Settings], Settings]) -> Reply:
        resource = json_body(request)
        with self.workspace.state.transaction():
            found = self._found(request)
            changed = replace(
                found,
                settings=change(found.settings, resource),
                metageneration=found.metageneration + 1,
                updated=self.workspace.clock.nanoseconds(),
            )
            self.objects.keep(changed)
        self.workspace.effect("object.updated", found.uri)
        return resource_reply(request, changed.resource(self.workspace.url))


def _replaced(settings: Settings, resource: Settings) -> Settings:
    return patched({"storageClass": settings["storageClass"]}, editable(resource))
