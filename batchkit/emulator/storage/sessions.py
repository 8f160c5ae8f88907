"""Resumable uploads: sessions whose contents come in any number of requests.

https://cloud.google.com/storage/docs/performing-resumable-uploads; what a session says to chunks
that are too small https://github.com/googleapis/google-cloud-node/issues/1044, and to gaps
https://github.com/Byron/google-apis-rs/issues/438
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import orjson

from batchkit.emulator.clock import nanoseconds
from batchkit.emulator.locks import Locks
from batchkit.emulator.routes import Route
from batchkit.emulator.storage.bodies import json_body, resource_reply
from batchkit.emulator.storage.checksums import given_in_header
from batchkit.emulator.storage.drafts import Draft, draft_of, stored_draft
from batchkit.emulator.storage.errors import StorageError, invalid
from batchkit.emulator.storage.preconditions import number
from batchkit.emulator.storage.ranges import content_range
from batchkit.emulator.storage.replies import bytes_reply
from batchkit.emulator.storage.stored_object import StoredObject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchkit.emulator.exchange import Reply, Request
    from batchkit.emulator.storage.objects import Objects
    from batchkit.emulator.storage.ranges import ContentRange
    from batchkit.emulator.workspace import Workspace

__all__ = ["Sessions"]

_TABLES = """
CREATE TABLE IF NOT EXISTS storage_sessions (
    id TEXT PRIMARY KEY, draft TEXT, declared INTEGER, created INTEGER, blob TEXT, result TEXT
);
CREATE INDEX IF NOT EXISTS storage_sessions_by_age ON storage_sessions (created);
"""
_ID_LENGTH = 40
_WEEK = nanoseconds(7 * 24 * 3600)
# What is kept of an upload before its end is a multiple of this.
_QUANTUM_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class _Session:
    """An upload that has begun.

    `declared` is the size the client gave, None when it gave none. `blob` is empty once the
    upload has ended, and `stored` what it became.
    """

    id: str
    draft: Draft
    declared: int | None
    created: int
    blob: str
    stored: StoredObject | None


class Sessions:
    """The resumable uploads of one emulator."""

    def __init__(self, workspace: Workspace, objects: Objects) -> None:
        self._workspace = workspace
        self._objects = objects
        self._locks = Locks()
        workspace.state.define(_TABLES)

    def routes(self, path: str) -> tuple[Route, ...]:
        """What this service answers below the path of uploads."""
        return (
            Route("PUT", path, self._proceed, None, open=True, when="upload_id"),
            Route("POST", path, self._proceed, None, open=True, when="upload_id"),
            Route("DELETE", path, self._cancel, None, open=True, when="upload_id"),
        )

    def blobs(self) -> Iterator[str]:
        """The blobs of sessions that can still go on."""
        self._purge()
        query = "SELECT blob FROM storage_sessions WHERE blob != ''"
        return (blob for (blob,) in self._workspace.state.rows(query))

    def start(self, request: Request) -> Reply:
        """Begin an upload, and tell the URL of its session."""
        resource = json_body(request)
        if resource.get("contentType") is None:
            resource["contentType"] = request.headers.get("x-upload-content-type")
        wanted = draft_of(request, resource)
        self._objects.check(wanted)
        declared = request.headers.get("x-upload-content-length", "")
        self._purge()
        session = _Session(
            id=self._workspace.state.identifier("storage-session", _ID_LENGTH),
            draft=wanted,
            declared=number(declared, "X-Upload-Content-Length") if declared else None,
            created=self._workspace.clock.nanoseconds(),
            blob=self._objects.new_blob(),
            stored=None,
        )
        self._workspace.blobs.write(session.blob).close()
        self._keep(session)
        self._workspace.effect("upload.started", wanted.uri)
        url = f"{self._workspace.url}{request.path}?uploadType=resumable&upload_id={session.id}"
        return bytes_reply(200, headers=(("Location", url), ("X-GUploader-UploadID", session.id)))

    def _proceed(self, request: Request) -> Reply:
        # One request of a session at a time: a query waits until a cut chunk has ended.
        with self._locks[request.query["upload_id"]]:
            session = self._session(request)
            if session.stored:
                return resource_reply(request, session.stored.resource(self._workspace.url))
            sent = content_range(request.headers.get("content-range"))
            received = self._received(session)
            if sent.start is not None and sent.start > received:
                return _gap(sent.start, received)
            ended = sent.start is None and sent.total == received
            if sent.start is not None:
                ended = self._take(request, session, sent, received)
            return self._finish(request, session) if ended else self._status(session)

    def _session(self, request: Request) -> _Session:
        query = "SELECT * FROM storage_sessions WHERE id = ?"
        row = self._workspace.state.row(query, request.query["upload_id"])
        now = self._workspace.clock.nanoseconds()
        if row is None or row[3] + _WEEK <= now:
            raise StorageError(404, "Upload session not found.", reason="notFound")
        draft, declared, created, blob, stored = row[1:]
        return _Session(
            id=row[0],
            draft=stored_draft(orjson.loads(draft)),
            declared=declared,
            created=created,
            blob=blob,
            stored=StoredObject(**orjson.loads(stored)) if stored else None,
        )

    def _received(self, session: _Session) -> int:
        size = self._workspace.blobs.size(session.blob)
        return size // _QUANTUM_BYTES * _QUANTUM_BYTES

    def _status(self, session: _Session) -> Reply:
        received = self._received(session)
        headers = (("Range", f"bytes=0-{received - 1}"),) if received else ()
        return bytes_reply(308, headers=headers)

    def _take(self, request: Request, session: _Session, sent: ContentRange, received: int) -> bool:
        """Keep what a request carries and is not here yet; returns whether it was the last."""
        start = stop = sent.start or 0
        with self._workspace.blobs.append(session.blob) as stream:
            stream.truncate(received)
            for piece in request.body.pieces():
                # What has been received is not received again, even if it is another text.
                stream.write(piece[max(0, received - stop) :])
                stop += len(piece)
            is_whole = "content-range" not in request.headers
            is_last = is_whole or stop == sent.total
            try:
                _check_size(sent, start, stop, is_last=is_last)
                _check_total(session, stop if is_whole else sent.total, received)
            except StorageError:
                stream.truncate(received)
                raise
        self._workspace.effect("upload.received", session.draft.uri)
        return is_last

    def _finish(self, request: Request, session: _Session) -> Reply:
        given = {**session.draft.given, **given_in_header(request.headers)}

        def ended(stored: StoredObject) -> None:
            self._keep(replace(session, blob="", stored=stored))

        try:
            wanted = replace(session.draft, given=given)
            stored = self._objects.put(wanted, session.blob, also=ended)
        except StorageError:
            self._drop(session)
            raise
        self._workspace.effect("object.created", stored.uri)
        return resource_reply(request, stored.resource(self._workspace.url))

    def _cancel(self, request: Request) -> Reply:
        with self._locks[request.query["upload_id"]]:
            session = self._session(request)
            self._drop(session)
            self._workspace.blobs.delete(*filter(None, [session.blob]))
        self._workspace.effect("upload.cancelled", session.draft.uri)
        return bytes_reply(499)

    def _keep(self, session: _Session) -> None:
        with self._workspace.state.transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO storage_sessions VALUES (?, ?, ?, ?, ?, ?)",
                [
                    session.id,
                    orjson.dumps(session.draft),
                    session.declared,
                    session.created,
                    session.blob,
                    orjson.dumps(session.stored) if session.stored else "",
                ],
            )

    def _drop(self, session: _Session) -> None:
        with self._workspace.state.transaction() as database:
            database.execute("DELETE FROM storage_sessions WHERE id = ?", [session.id])

    def _purge(self) -> None:
        """Drop the sessions that are too old to go on."""
        oldest = self._workspace.clock.nanoseconds() - _WEEK
        with self._workspace.state.transaction() as database:
            query = "DELETE FROM storage_sessions WHERE created <= ? RETURNING blob"
            gone = database.execute(query, [oldest]).fetchall()
        self._workspace.blobs.delete(*(blob for (blob,) in gone if blob))


def _check_size(sent: ContentRange, start: int, stop: int, *, is_last: bool) -> None:
    """StorageError 400 when a body is not as long as it must be."""
    size = stop - start
    if sent.stop not in {None, stop}:
        text = (
            f"Invalid request.  There were {size} byte(s) in the request body.  There should have "
            f"been {(sent.stop or 0) - start} byte(s) (starting at offset {start} and ending at "
            f"offset {(sent.stop or 0) - 1}) according to the Content-Range header."
        )
        raise invalid(text)
    if sent.total is not None and stop > sent.total:
        text = f"Invalid request.  The upload ends at {sent.total}, not at {stop} byte(s)."
        raise invalid(text)
    if size < _QUANTUM_BYTES and not is_last:
        text = (
            "Invalid request.  The number of bytes uploaded is required to be equal or greater "
            f"than {_QUANTUM_BYTES}, except for the final request (it's recommended to be the "
            f"exact multiple of {_QUANTUM_BYTES}).  The received request contained {size} bytes, "
            "which does not meet this requirement."
        )
        raise invalid(text)


def _check_total(session: _Session, total: int | None, received: int) -> None:
    """StorageError 400 when an upload is of another size than it was to be."""
    if total is not None and (session.declared not in {None, total} or total < received):
        text = f"Invalid request.  The size of the upload cannot be {total} byte(s)."
        raise invalid(text)


def _gap(start: int, received: int) -> Reply:
    """Bytes are missing: the one refusal in plain text, and with a status for trying again."""
    text = (
        f"Invalid request.  According to the Content-Range header, the upload offset is {start} "
        f"byte(s), which exceeds already uploaded size of {received} byte(s)."
    )
    return bytes_reply(503, text.encode(), (("Content-Type", "text/plain; charset=utf-8"),))
