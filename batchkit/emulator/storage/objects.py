"""Objects: what is stored under which name, and how one generation replaces another."""

from __future__ import annotations

import contextlib
from dataclasses import astuple, replace
from typing import IO, TYPE_CHECKING, Any

import orjson

from batchkit.emulator.storage.checksums import checksums_of
from batchkit.emulator.storage.errors import no_object
from batchkit.emulator.storage.stored_object import StoredObject

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from batchkit.emulator.storage.buckets import Buckets
    from batchkit.emulator.storage.checksums import Checksums
    from batchkit.emulator.storage.drafts import Draft
    from batchkit.emulator.workspace import Workspace

__all__ = ["Objects"]

_TABLES = """
CREATE TABLE IF NOT EXISTS storage_objects (
    bucket TEXT, name TEXT, generation INTEGER, metageneration INTEGER, size INTEGER, crc32c TEXT,
    md5 TEXT, components INTEGER, created INTEGER, updated INTEGER, blob TEXT, settings TEXT,
    PRIMARY KEY (bucket, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS storage_generations (latest INTEGER NOT NULL);
INSERT INTO storage_generations
    SELECT 0 WHERE NOT EXISTS (SELECT * FROM storage_generations);
"""
_KEEP = "INSERT OR REPLACE INTO storage_objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_IN_ORDER = "SELECT * FROM storage_objects WHERE bucket = ? AND name >= ?"
_BLOB_ID_LENGTH = 24


class Objects:
    """The live objects of one emulator: a replaced or deleted generation is gone."""

    def __init__(self, workspace: Workspace, buckets: Buckets) -> None:
        self._workspace = workspace
        self._buckets = buckets
        workspace.state.define(_TABLES)

    def find(self, bucket: str, name: str) -> StoredObject | None:
        """An object, None when there is none; StorageError 404 when there is no such bucket."""
        query = "SELECT * FROM storage_objects WHERE bucket = ? AND name = ?"
        row = self._workspace.state.row(query, bucket, name)
        if row is None:
            self._buckets.get(bucket)
            return None
        return _stored(row)

    def get(self, bucket: str, name: str, generation: str = "") -> StoredObject:
        """An object; StorageError 404 when there is none, or it is of another generation."""
        found = self.find(bucket, name)
        if found is None or generation not in {"", str(found.generation)}:
            raise no_object(bucket, name)
        return found

    def opened(
        self, bucket: str, name: str, generation: str = ""
    ) -> tuple[StoredObject, IO[bytes]]:
        """An object and its contents, which can be read to the end whatever happens to it."""
        missing = ""
        while True:
            found = self.get(bucket, name, generation)
            try:
                return found, self._workspace.blobs.path(found.blob).open("rb")
            except FileNotFoundError:
                if found.blob == missing:
                    raise
                missing = found.blob  # the object was replaced in between, or deleted

    def check(self, draft: Draft) -> None:
        """StorageError when a draft could not be put now."""
        current = self.find(draft.bucket, draft.name)
        draft.conditions.check(*_numbers(current))

    @contextlib.contextmanager
    def writing(self) -> Generator[tuple[str, IO[bytes]]]:
        """A new blob and its stream; the blob is deleted when the block fails."""
        blob = self.new_blob()
        try:
            with self._workspace.blobs.write(blob) as stream:
                yield blob, stream
        except BaseException:
            self._workspace.blobs.delete(blob)
            raise

    def new_blob(self) -> str:
        """A name that no blob has."""
        return f"object-{self._workspace.state.identifier('object', _BLOB_ID_LENGTH)}"

    def put(
        self,
        draft: Draft,
        blob: str,
        *,
        checksums: Checksums | None = None,
        also: Callable[[StoredObject], None] | None = None,
    ) -> StoredObject:
        """Make a draft an object whose contents are a blob's, in place of what was there.

        `checksums` are the contents' where they are known. `also` is done in the same transaction.
        StorageError 400 when the client gave other checksums, 412 when a condition does not hold;
        when anything fails the blob is deleted.
        """
        try:
            found = checksums or checksums_of(self._workspace.blobs.path(blob))
            found.check(draft.given)
            with self._workspace.state.transaction():
                bucket = self._buckets.get(draft.bucket)
                current = self.find(draft.bucket, draft.name)
                draft.conditions.check(*_numbers(current))
                settings = {"storageClass": bucket.storage_class, **draft.settings}
                stored = self._new(replace(draft, settings=settings), blob, found)
                self.keep(stored)
                if also:
                    also(stored)
        except BaseException:
            self._workspace.blobs.delete(blob)
            raise
        if current is not None:
            self._workspace.blobs.delete(current.blob)
        return stored

    def keep(self, stored: StoredObject) -> None:
        """Write an object's row, new or changed."""
        row = [*astuple(stored)[:-1], orjson.dumps(stored.settings)]
        with self._workspace.state.transaction() as database:
            database.execute(_KEEP, row)

    def drop(self, stored: StoredObject) -> None:
        """Delete an object's row; its blob is to be deleted once that is committed."""
        with self._workspace.state.transaction() as database:
            query = "DELETE FROM storage_objects WHERE bucket = ? AND name = ?"
            database.execute(query, [stored.bucket, stored.name])

    def following(self, bucket: str, start: str, stop: str | None, most: int) -> list[StoredObject]:
        """Objects in the order of their names, from `start` on and before `stop`."""
        end, ends = ("", ()) if stop is None else (" AND name < ?", (stop,))
        query = f"{_IN_ORDER}{end} ORDER BY name LIMIT ?"
        rows = self._workspace.state.rows(query, bucket, start, *ends, most)
        return [_stored(row) for row in rows]

    def totals(self) -> tuple[int, int]:
        """How many objects there are, and their bytes."""
        query = "SELECT count(*), coalesce(sum(size), 0) FROM storage_objects"
        return self._workspace.state.rows(query)[0]

    def blobs(self) -> Iterator[str]:
        """The blobs in which objects live."""
        return (row[0] for row in self._workspace.state.rows("SELECT blob FROM storage_objects"))

    def _new(self, draft: Draft, blob: str, checksums: Checksums) -> StoredObject:
        now = self._workspace.clock.nanoseconds()
        with self._workspace.state.transaction() as database:
            # Microseconds since 1970, or the next number while those do not grow.
            generation: int = database.execute(
                "UPDATE storage_generations SET latest = max(latest + 1, ?) RETURNING latest",
                [now // 1000],
            ).fetchone()[0]
        return StoredObject(
            bucket=draft.bucket,
            name=draft.name,
            generation=generation,
            metageneration=1,
            size=checksums.size,
            crc32c=checksums.crc32c,
            md5="" if draft.components else checksums.md5,
            components=draft.components,
            created=now,
            updated=now,
            blob=blob,
            settings=draft.settings,
        )


def _numbers(stored: StoredObject | None) -> tuple[int, int]:
    return (stored.generation, stored.metageneration) if stored else (0, 0)


def _stored(row: tuple[Any, ...]) -> StoredObject:
    return StoredObject(*row[:-1], settings=orjson.loads(row[-1]))
