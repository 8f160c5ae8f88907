"""Buckets: made, found, listed, changed and deleted.

https://cloud.google.com/storage/docs/json_api/v1/buckets
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from batchkit.emulator.routes import Route
from batchkit.emulator.storage.bodies import json_body, no_content, resource_reply, section
from batchkit.emulator.storage.errors import StorageError, conflict, invalid, no_bucket
from batchkit.emulator.storage.locations import location_type
from batchkit.emulator.storage.pages import after, page_size, page_start, page_token
from batchkit.emulator.storage.preconditions import Preconditions
from batchkit.emulator.storage.settings import checked_class, merged
from batchkit.emulator.storage.stamps import entity_tag, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batchkit.emulator.exchange import Reply, Request
    from batchkit.emulator.workspace import Workspace

__all__ = ["Bucket", "Buckets"]

_TABLES = """
CREATE TABLE IF NOT EXISTS storage_buckets (
    name TEXT PRIMARY KEY, location TEXT, created INTEGER, updated INTEGER,
    metageneration INTEGER, settings TEXT
) WITHOUT ROWID;
"""
# https://cloud.google.com/storage/docs/buckets#naming
_NAME = re.compile(r"(?!goog)[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_LONGEST_LABEL = 63
# What a client cannot set, or cannot change.
_FIXED = {
    *("id", "kind", "name", "location", "locationType", "selfLink", "etag", "metageneration"),
    *("generation", "timeCreated", "updated", "projectNumber", "projectTeam", "owner", "acl"),
    "defaultObjectAcl",
}
# What the emulator would have to heed, and does not.
_BEYOND = ("versioning", "hierarchicalNamespace")


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket; times in nanoseconds since 1970, `settings` what a client may set."""

    name: str
    location: str
    created: int
    updated: int
    metageneration: int
    settings: Mapping[str, Any]

    @property
    def storage_class(self) -> str:
        """The class of objects that name none."""
        return self.settings["storageClass"]

    def resource(self, url: str) -> dict[str, Any]:
        """The Bucket resource."""
        return {
            "kind": "storage#bucket",
            "selfLink": f"{url}/storage/v1/b/{self.name}",
            "id": self.name,
            "name": self.name,
            "projectNumber": "1",
            "generation": str(self.created // 1000),
            "metageneration": str(self.metageneration),
            "location": self.location,
            "locationType": location_type(self.location),
            "etag": entity_tag(self.metageneration),
            "timeCreated": moment(self.created),
            "updated": moment(self.updated),
            **self.settings,
        }


class Buckets:
    """The buckets of one emulator."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        workspace.state.define(_TABLES)

    def routes(self) -> tuple[Route, ...]:
        """What this service answers."""
        path = "/storage/v1/b"
        one = f"{path}/{{bucket}}"
        return (
            Route("POST", path, self._insert, None, open=True),
            Route("GET", path, self._list, None, open=True),
            Route("GET", one, self._get, None, open=True),
            Route("PATCH", one, self._patch, None, open=True),
            Route("PUT", one, self._update, None, open=True),
            Route("DELETE", one, self._delete, None, open=True),
            Route("GET", f"{one}/storageLayout", self._layout, None, open=True),
        )

    def get(self, name: str) -> Bucket:
        """A bucket; StorageError 404 when there is none."""
        query = "SELECT * FROM storage_buckets WHERE name = ?"
        row = self._workspace.state.row(query, name)
        if row is None:
            raise no_bucket()
        return _bucket(row)

    def make(self, resource: Mapping[str, Any]) -> Bucket:
        """A new bucket; StorageError 409 when the name is taken, 400 when it cannot be."""
        name = str(resource.get("name", ""))
        if not _NAME.fullmatch(name) or any(len(s) > _LONGEST_LABEL for s in name.split(".")):
            text = f"Invalid bucket name: '{name}'"
            raise invalid(text)
        location = str(resource.get("location") or "US").upper()
        location_type(location)
        now = self._workspace.clock.nanoseconds()
        settings = _checked({"storageClass": "STANDARD"}, resource)
        bucket = Bucket(name, location, now, now, 1, settings)
        with self._workspace.state.transaction():
            if self.exists(name):
                text = (
                    "Your previous request to create the named bucket succeeded and you already "
                    "own it."
                )
                raise conflict(text, "BucketAlreadyOwnedByYou")
            self._keep(bucket)
        return bucket

    def exists(self, name: str) -> bool:
        """Whether there is a bucket of this name."""
        query = "SELECT count(*) FROM storage_buckets WHERE name = ?"
        return bool(self._workspace.state.value(query, name))

    def count(self) -> int:
        """How many there are."""
        return self._workspace.state.value("SELECT count(*) FROM storage_buckets")

    def _keep(self, bucket: Bucket) -> None:
        row = (
            bucket.name,
            bucket.location,
            bucket.created,
            bucket.updated,
            bucket.metageneration,
            orjson.dumps(bucket.settings),
        )
        with self._workspace.state.transaction() as database:
            database.execute("INSERT OR REPLACE INTO storage_buckets VALUES (?,?,?,?,?,?)", row)

    def _insert(self, request: Request) -> Reply:
        bucket = self.make(json_body(request))
        self._workspace.effect("bucket.created", f"gs://{bucket.name}")
        return resource_reply(request, bucket.resource(self._workspace.url))

    def _list(self, request: Request) -> Reply:
        size, prefix = page_size(request.query), request.query.get("prefix", "")
        query = (
            "SELECT * FROM storage_buckets WHERE name >= ? AND substr(name, 1, ?) = ? "
            "ORDER BY name LIMIT ?"
        )
        start = max(page_start(request.query), prefix)
        rows = self._workspace.state.rows(query, start, len(prefix), prefix, size + 1)
        buckets = [_bucket(row) for row in rows[:size]]
        resource: dict[str, Any] = {"kind": "storage#buckets"}
        if buckets:
            resource["items"] = [bucket.resource(self._workspace.url) for bucket in buckets]
        if len(rows) > size:
            resource["nextPageToken"] = page_token(after(buckets[-1].name))
        return resource_reply(request, resource)

    def _get(self, request: Request) -> Reply:
        bucket = self._found(request, reading=True)
        return resource_reply(request, bucket.resource(self._workspace.url))

    def _found(self, request: Request, *, reading: bool = False) -> Bucket:
        """The bucket of a request, if it is as the request wants it."""
        bucket = self.get(request["bucket"])
        conditions = Preconditions.in_query(request.query)
        conditions.check(bucket.created // 1000, bucket.metageneration, reading=reading)
        return bucket

    def _patch(self, request: Request) -> Reply:
        return self._change(request, lambda bucket: bucket.settings)

    def _update(self, request: Request) -> Reply:
        return self._change(request, lambda bucket: {"storageClass": bucket.storage_class})

    def _change(self, request: Request, kept: Callable[[Bucket], Mapping[str, Any]]) -> Reply:
        """Change a bucket by the body of a request; `kept` is what stays when that is silent."""
        changes = json_body(request)
        with self._workspace.state.transaction():
            bucket = self._found(request)
            changed = replace(
                bucket,
                settings=_checked(kept(bucket), changes),
                metageneration=bucket.metageneration + 1,
                updated=self._workspace.clock.nanoseconds(),
            )
            self._keep(changed)
        self._workspace.effect("bucket.updated", f"gs://{bucket.name}")
        return resource_reply(request, changed.resource(self._workspace.url))

    def _delete(self, request: Request) -> Reply:
        with self._workspace.state.transaction() as database:
            bucket = self._found(request)
            query = "SELECT count(*) FROM (SELECT 1 FROM storage_objects WHERE bucket = ? LIMIT 1)"
            if self._workspace.state.value(query, bucket.name):
                text = "The bucket you tried to delete is not empty."
                raise conflict(text, "BucketNotEmpty")
            database.execute("DELETE FROM storage_buckets WHERE name = ?", [bucket.name])
        self._workspace.effect("bucket.deleted", f"gs://{bucket.name}")
        return no_content()

    def _layout(self, request: Request) -> Reply:
        bucket = self.get(request["bucket"])
        layout = {
            "kind": "storage#storageLayout",
            "bucket": bucket.name,
            "location": bucket.location,
            "locationType": location_type(bucket.location),
            "hierarchicalNamespace": {"enabled": False},
        }
        return resource_reply(request, layout)


def _bucket(row: tuple[Any, ...]) -> Bucket:
    return Bucket(*row[:-1], settings=orjson.loads(row[-1]))


def _checked(settings: Mapping[str, Any], resource: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with what a resource changes of them; StorageError for what cannot be."""
    changes = {name: value for name, value in resource.items() if name not in _FIXED}
    result = merged(settings, changes)
    checked_class(result.get("storageClass"))
    for name in _BEYOND:
        if section(result, name).get("enabled"):
            text = f"The emulator has no buckets with {name}."
            raise StorageError(501, text, reason="notImplemented", xml_code="NotImplemented")
    return result
