"""Objects put together from others, one after the other.

https://cloud.google.com/storage/docs/json_api/v1/objects/compose
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

from batchkit.emulator.routes import Route
from batchkit.emulator.storage.bodies import json_body, resource_reply, section
from batchkit.emulator.storage.drafts import draft_of
from batchkit.emulator.storage.errors import invalid
from batchkit.emulator.storage.preconditions import Preconditions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchkit.emulator.exchange import Reply, Request
    from batchkit.emulator.storage.objects import Objects
    from batchkit.emulator.storage.stored_object import StoredObject
    from batchkit.emulator.workspace import Workspace

__all__ = ["Compositions"]

_MOST_SOURCES = 32
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Compositions:
    """The call that composes."""

    workspace: Workspace
    objects: Objects

    def routes(self) -> tuple[Route, ...]:
        """What this service answers."""
        path = "/storage/v1/b/{bucket}/o/{object:segment}/compose"
        return (Route("POST", path, self._compose, None, open=True),)

    def _compose(self, request: Request) -> Reply:
        body = json_body(request)
        sources = _sources(body)
        with contextlib.ExitStack() as files:
            found = [self._source(request["bucket"], source, files) for source in sources]
            components = sum(stored.components or 1 for stored, _ in found)
            resource = {**section(body, "destination"), "name": request["object"]}
            wanted = draft_of(request, resource, components)
            self.objects.check(wanted)
            with self.objects.writing() as (blob, stream):
                for _, contents in found:
                    shutil.copyfileobj(contents, stream, _PIECE_BYTES)
        stored = self.objects.put(wanted, blob)
        self.workspace.effect("object.created", stored.uri)
        return resource_reply(request, stored.resource(self.workspace.url))

    def _source(
        self, bucket: str, source: dict[str, Any], files: contextlib.ExitStack
    ) -> tuple[StoredObject, IO[bytes]]:
        generation = str(source.get("generation") or "")
        stored, contents = self.objects.opened(bucket, str(source.get("name")), generation)
        files.enter_context(contents)
        conditions = Preconditions.in_query(section(source, "objectPreconditions"))
        conditions.check(stored.generation, stored.metageneration)
        return stored, contents


def _sources(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    sources: Any = body.get("sourceObjects") or []
    if not isinstance(sources, list) or not sources:
        text = "You must provide at least one source component."
        raise invalid(text)
    entries = cast("list[Any]", sources)
    if len(entries) > _MOST_SOURCES:
        text = f"The number of source components provided ({len(entries)}) exceeds the maximum "
        text += f"({_MOST_SOURCES})"
        raise invalid(text)
    return [section({"sourceObjects": entry}, "sourceObjects") for entry in entries]
