"""Resumable uploads: sessions, chunks at offsets, and the file a finished session becomes.

https://ai.google.dev/gemini-api/docs/files and, for `query`,
https://developers.google.com/photos/library/guides/resumable-uploads
"""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

from batchkit.emulator.clock import nanoseconds
from batchkit.emulator.errors import ApiError, Rpc
from batchkit.emulator.exchange import Reply, Request, json_reply
from batchkit.emulator.files import Files, StoredFile
from batchkit.emulator.locks import Locks
from batchkit.emulator.messages import decode_body
from batchkit.emulator.routes import Route

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchkit.emulator.workspace import Workspace

__all__ = ["Uploads"]

_TABLES = """
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, file_id TEXT, display_name TEXT, mime_type TEXT, declared_size INTEGER,
    status TEXT
);
"""
_SIZE = re.compile(r"[0-9]{1,18}")
_SESSION_ID_LENGTH = 40
_PARAMETERS = frozenset({"upload_id"})


@dataclass(frozen=True, slots=True)
class _Session:
    """An upload that has begun; `status` is active, final or cancelled as in the API.

    `file_id` is empty until it is known; `declared_size` is None when the client gave none.
    """

    id: str
    file_id: str
    display_name: str
    mime_type: str
    declared_size: int | None
    status: str

    @property
    def blob(self) -> str:
        return f"upload-{self.id}"


class Uploads:
    """The upload sessions of one emulator."""

    def __init__(self, workspace: Workspace, files: Files) -> None:
        self._workspace = workspace
        self._files = files
        self._locks = Locks()
        workspace.state.define(_TABLES)

    def routes(self) -> tuple[Route, ...]:
        """What this service answers; a session's URL is open, for its id is the credential."""
        path = "/upload/{version}/files"
        return (
            Route("POST", path, self._proceed, _PARAMETERS, open=True, when="upload_id"),
            Route("POST", path, self._start),
        )

    def blobs(self) -> Iterator[str]:
        """The blobs of sessions that can still go on."""
        query = "SELECT * FROM uploads WHERE status = 'active'"
        return (_Session(*row).blob for row in self._workspace.state.rows(query))

    def _start(self, request: Request) -> Reply:
        headers = request.headers
        if headers.get("x-goog-upload-protocol") != "resumable":
            raise ApiError(Rpc.INVALID_ARGUMENT, "X-Goog-Upload-Protocol must be 'resumable'.")
        if headers.get("x-goog-upload-command") != "start":
            raise ApiError(Rpc.INVALID_ARGUMENT, "X-Goog-Upload-Command must be 'start'.")
        text = request.body.read(self._workspace.limits.inline_bytes)
        file: dict[str, Any] = decode_body("CreateFileRequest", text).get("file", {})
        session = self._new_session(file, headers)
        with self._workspace.state.transaction() as database:
            database.execute("INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?)", astuple(session))
        self._workspace.effect("upload.started", session.id)
        query = f"upload_id={session.id}&upload_protocol=resumable"
        url = f"{self._workspace.url}{request.path}?{query}"
        return json_reply({}, ("X-Goog-Upload-URL", url), ("X-Goog-Upload-Status", "active"))

    def _new_session(self, file: Mapping[str, Any], headers: Mapping[str, str]) -> _Session:
        limits = self._workspace.limits
        display_name: str = file.get("displayName", "")
        if len(display_name) > limits.display_name_characters:
            longest = limits.display_name_characters
            text = f"* File.display_name: cannot be more than {longest} characters.\n"
            raise ApiError(Rpc.INVALID_ARGUMENT, text)
        file_id = str(file.get("name", "")).removeprefix("files/")
        if file_id:
            self._files.check_new_id(file_id)
        mime_type = headers.get("x-goog-upload-header-content-type") or file.get("mimeType")
        declared = headers.get("x-goog-upload-header-content-length") or file.get("sizeBytes")
        return _Session(
            id=self._workspace.state.identifier("upload", _SESSION_ID_LENGTH),
            file_id=file_id,
            display_name=display_name,
            mime_type=mime_type or "application/octet-stream",
            declared_size=None if declared is None else self._fitting_size(declared),
            status="active",
        )

    def _fitting_size(self, declared: str | int) -> int:
        if not _SIZE.fullmatch(str(declared)):
            raise ApiError(Rpc.INVALID_ARGUMENT, f"Invalid size of an upload: {declared}")
        size = int(declared)
        limits = self._workspace.limits
        if size > limits.file_bytes:
            text = f"File size exceeds the limit: {limits.file_bytes} bytes."
            raise ApiError(Rpc.INVALID_ARGUMENT, text)
        if self._files.stored_bytes() + size > limits.storage_bytes:
            raise _full(limits.storage_bytes)
        return size

    def _proceed(self, request: Request) -> Reply:
        # One request of a session at a time: a query waits until a cut chunk has ended.
        with self._locks[request.query["upload_id"]]:
            session = self._session(request.query["upload_id"])
            header = request.headers.get("x-goog-upload-command", "")
            commands = [command.strip() for command in header.split(",")]
            if commands == ["query"]:
                return self._status(session)
            if session.status != "active":
                raise ApiError(Rpc.INVALID_ARGUMENT, "Upload has already been terminated.")
            if commands == ["cancel"]:
                return self._cancel(session)
            if not commands or set(commands) - {"upload", "finalize"}:
                raise ApiError(Rpc.INVALID_ARGUMENT, f"Invalid X-Goog-Upload-Command: {header}")
            if "upload" in commands:
                self._append(session, request)
            return self._finalize(session) if "finalize" in commands else self._status(session)

    def _session(self, upload_id: str) -> _Session:
        row = self._workspace.state.row("SELECT * FROM uploads WHERE id = ?", upload_id)
        if row is None:
            raise ApiError(Rpc.NOT_FOUND, "Upload session not found.")
        return _Session(*row)

    def _status(self, session: _Session) -> Reply:
        headers = [("X-Goog-Upload-Status", session.status)]
        if session.status == "active":
            received = self._workspace.blobs.size(session.blob)
            headers.append(("X-Goog-Upload-Size-Received", str(received)))
            return json_reply({}, *headers)
        body = self._file_body(session.file_id) if session.status == "final" else {}
        return json_reply(body, *headers)

    def _append(self, session: _Session, request: Request) -> None:
        received = self._workspace.blobs.size(session.blob)
        offset = request.headers.get("x-goog-upload-offset", "0")
        if offset != str(received):
            text = f"Invalid upload offset {offset}: {received} bytes were received."
            raise ApiError(Rpc.INVALID_ARGUMENT, text)
        largest = self._workspace.limits.file_bytes
        if session.declared_size is not None:
            largest = session.declared_size
        with self._workspace.blobs.append(session.blob) as stream:
            for piece in request.body.pieces():
                received += len(piece)
                if received > largest:
                    text = f"The upload is larger than {largest} bytes."
                    raise ApiError(Rpc.INVALID_ARGUMENT, text)
                stream.write(piece)
        self._workspace.effect("upload.received", session.id)

    def _finalize(self, session: _Session) -> Reply:
        received = self._workspace.blobs.size(session.blob)
        if session.declared_size not in {None, received}:
            text = f"The upload ends after {received} of {session.declared_size} bytes."
            raise ApiError(Rpc.INVALID_ARGUMENT, text)
        self._fitting_size(received)
        file = self._stored(session, received)
        with self._workspace.state.transaction() as database:
            self._files.add(file)
            change = "UPDATE uploads SET status = 'final', file_id = ? WHERE id = ?"
            database.execute(change, [file.id, session.id])
        self._workspace.effect("file.created", f"files/{file.id}")
        return json_reply(self._file_body(file.id), ("X-Goog-Upload-Status", "final"))

    def _stored(self, session: _Session, size: int) -> StoredFile:
        blobs = self._workspace.blobs
        blobs.append(session.blob).close()  # an upload without a byte has no blob yet
        now = self._workspace.clock.nanoseconds()
        return StoredFile(
            id=session.file_id or self._files.new_id(),
            display_name=session.display_name,
            mime_type=session.mime_type,
            size=size,
            sha256=blobs.sha256(session.blob),
            created=now,
            expires=now + nanoseconds(self._workspace.limits.file_seconds),
            source="UPLOADED",
            blob=session.blob,
        )

    def _file_body(self, file_id: str) -> dict[str, Any]:
        return {"file": self._files.find(file_id).resource(self._workspace.url)}

    def _cancel(self, session: _Session) -> Reply:
        with self._workspace.state.transaction() as database:
            change = "UPDATE uploads SET status = 'cancelled' WHERE id = ?"
            database.execute(change, [session.id])
        self._workspace.blobs.delete(session.blob)
        self._workspace.effect("upload.cancelled", session.id)
        return json_reply({}, ("X-Goog-Upload-Status", "cancelled"))


def _full(most: int) -> ApiError:
    """The refusal of a project whose files take all the room, as captured.

    https://github.com/alphaXiv/feedback/issues/16
    """
    metric = "generativelanguage.googleapis.com/file_storage_bytes"
    text = (
        "You exceeded your current quota, please check your plan and billing details.\n"
        f"* Quota exceeded for metric: {metric}, limit: {most}"
    )
    violation = {
        "quotaMetric": metric,
        "quotaId": "FileStorageBytesPerProject",
        "quotaValue": str(most),
    }
    failure = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}
    return ApiError(Rpc.RESOURCE_EXHAUSTED, text, (failure,))
