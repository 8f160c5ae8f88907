"""The storage service of one emulator, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchkit.emulator.routes import Route, Router
from batchkit.emulator.storage.access import Access
from batchkit.emulator.storage.batch import Batch
from batchkit.emulator.storage.buckets import Buckets
from batchkit.emulator.storage.compositions import Compositions
from batchkit.emulator.storage.copies import Copies
from batchkit.emulator.storage.downloads import Downloads
from batchkit.emulator.storage.errors import StorageError
from batchkit.emulator.storage.listing import Listing
from batchkit.emulator.storage.metadata import Metadata
from batchkit.emulator.storage.objects import Objects
from batchkit.emulator.storage.parts import PartUploads
from batchkit.emulator.storage.sessions import Sessions
from batchkit.emulator.storage.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from batchkit.emulator.exchange import Reply, Request
    from batchkit.emulator.workspace import Workspace

__all__ = ["Storage"]

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_AREAS = ("storage", "upload/storage", "download/storage", "batch/storage")


class Storage:
    """Cloud Storage: buckets and objects.

    `access` is for the emulator's other services.
    """

    def __init__(self, workspace: Workspace, buckets: Iterable[str]) -> None:
        """`buckets` are made where they do not exist."""
        self._workspace = workspace
        self._buckets = Buckets(workspace)
        self._objects = Objects(workspace, self._buckets)
        self._sessions = Sessions(workspace, self._objects)
        self._part_uploads = PartUploads(workspace, self._objects)
        self.access: Access = Access(self._buckets, self._objects)
        for name in buckets:
            if not self._buckets.exists(name):
                self._buckets.make({"name": name})

    def routes(self) -> tuple[Route, ...]:
        """What this service answers; no call needs a key. The XML API takes what nobody else does.

        To be asked last, therefore.
        """
        workspace, buckets, objects = self._workspace, self._buckets, self._objects
        downloads = Downloads(objects)
        calls = (
            *downloads.routes(),
            *Metadata(workspace, objects).routes(),
            *Listing(workspace, buckets, objects).routes(),
            *buckets.routes(),
            *Copies(workspace, buckets, objects).routes(),
            *Compositions(workspace, objects).routes(),
        )
        return (
            *calls,
            *Uploads(workspace, objects, self._sessions).routes(),
            *Batch(Router((*calls, *_nothing_else()), "")).routes(),
            *_nothing_else(),
            *self._part_uploads.routes(),
            *downloads.xml_routes(),
        )

    def blobs(self) -> Iterator[str]:
        """The blobs in which objects live, or what will be one."""
        yield from self._objects.blobs()
        yield from self._sessions.blobs()
        yield from self._part_uploads.blobs()

    def stats(self) -> dict[str, int]:
        """How many buckets and objects there are, and the objects' bytes."""
        objects, size = self._objects.totals()
        return {"buckets": self._buckets.count(), "objects": objects, "object_bytes": size}


def _nothing_else() -> Iterator[Route]:
    """Any other path of the JSON API is not found."""
    for area in _AREAS:
        for method in _METHODS:
            yield Route(method, f"/{area}/v1/{{path:rest}}", _not_found, None, open=True)


def _not_found(_: Request) -> Reply:
    raise StorageError(404, "Not Found", reason="notFound")
