"""The files service: resources, lists, deletion, expiry and downloads.

https://ai.google.dev/api/files
"""

from __future__ import annotations

import base64
import re
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

from batchkit.emulator.clock import timestamp
from batchkit.emulator.errors import ApiError, Rpc
from batchkit.emulator.exchange import FileSlice, Reply, Request, json_reply
from batchkit.emulator.paging import PAGE_PARAMETERS, page_token, requested_page
from batchkit.emulator.routes import Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batchkit.emulator.workspace import Workspace

__all__ = ["Files", "StoredFile"]

_TABLES = """
CREATE TABLE IF NOT EXISTS files (
    id TEXT PRIMARY KEY, display_name TEXT, mime_type TEXT, size INTEGER, sha256 TEXT,
    created INTEGER, expires INTEGER, source TEXT, blob TEXT
);
"""
_ID_LENGTH = 12
_ID = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_URI = re.compile(r"https?://[^/?#]*/v1(?:beta)?/files/([^/:?#]+)(?:[?#].*)?")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_DEFAULT_PAGE, _LARGEST_PAGE = 10, 100


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file; times in nanoseconds since 1970, `sha256` in hex, `source` as in the API."""

    id: str
    display_name: str
    mime_type: str
    size: int
    sha256: str
    created: int
    expires: int
    source: str
    blob: str

    def resource(self, url: str) -> dict[str, Any]:
        """The File message; `sha256Hash` is base64 of the digest's hex text, as captured.

        https://github.com/google-gemini/cookbook/blob/main/quickstarts/Batch_mode.ipynb
        """
        uri = f"{url}/v1beta/files/{self.id}"
        download = {"downloadUri": f"{uri}:download?alt=media"} if self.downloadable else {}
        named = {"displayName": self.display_name} if self.display_name else {}
        return {
            "name": f"files/{self.id}",
            **named,
            "mimeType": self.mime_type,
            "sizeBytes": str(self.size),
            "createTime": timestamp(self.created),
            "updateTime": timestamp(self.created),
            "expirationTime": timestamp(self.expires),
            "sha256Hash": base64.b64encode(self.sha256.encode()).decode(),
            "uri": uri,
            **download,
            "state": "ACTIVE",
            "source": self.source,
        }

    @property
    def downloadable(self) -> bool:
        """Only what the service wrote can be downloaded.

        https://googleapis.github.io/python-genai/genai.html#genai.files.Files.download
        """
        return self.source == "GENERATED"


class Files:
    """The files of one emulator. A file that expired is as one that never was."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        workspace.state.define(_TABLES)

    def routes(self, settle: Callable[[], None]) -> tuple[Route, ...]:
        """What this service answers; `settle` finishes due jobs, whose output are files, too."""

        def settled(handler: Callable[[Request], Reply]) -> Callable[[Request], Reply]:
            def handle(request: Request) -> Reply:
                settle()
                return handler(request)

            return handle

        download = settled(self._download)
        return (
            Route("GET", "/download/{version}/files/{file}:download", download),
            Route("GET", "/{version}/files/{file}:download", download),
            Route("GET", "/{version}/files/{file}", self._get),
            Route("DELETE", "/{version}/files/{file}", self._delete),
            Route("GET", "/{version}/files", settled(self._list), PAGE_PARAMETERS),
        )

    def find(self, file_id: str) -> StoredFile:
        """A file that has not expired; ApiError 403 when there is none."""
        file = self._live(file_id)
        if file is None:
            text = f"You do not have permission to access the File {file_id} or it may not exist."
            raise ApiError(Rpc.PERMISSION_DENIED, text)
        return file

    def find_uri(self, uri: str) -> None:
        """ApiError 403 for a `fileUri` into this service whose file is gone; others pass unseen."""
        match = _URI.fullmatch(uri)
        if match:
            self.find(match[1])

    def add(self, file: StoredFile) -> None:
        """Keep a file whose blob is written; ApiError 409 when its id is taken."""
        with self._workspace.state.transaction() as database:
            self.purge()
            if self._live(file.id):
                raise ApiError(Rpc.ALREADY_EXISTS, f"File {file.id} already exists")
            database.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(file))

    def new_id(self) -> str:
        """An id nobody has."""
        while True:
            candidate = self._workspace.state.identifier("file", _ID_LENGTH)
            if self._live(candidate) is None:
                return candidate

    def check_id(self, file_id: str, request_type: str) -> None:
        """ApiError 400 for an id that cannot be: too long, or of other characters."""
        longest = self._workspace.limits.file_id_characters
        if len(file_id) > longest:
            problem = f"File ID (name excluding 'files/') cannot be more than {longest} characters."
        elif not _ID.fullmatch(file_id):
            problem = "File ID must be lower-case letters, digits and dashes, not beginning or "
            problem += "ending with a dash."
        else:
            return
        raise ApiError(Rpc.INVALID_ARGUMENT, f"* {request_type}.name: {problem}\n")

    def check_new_id(self, file_id: str) -> None:
        """ApiError for an id that a new file cannot have: impossible (400) or taken (409)."""
        self.check_id(file_id, "CreateFileRequest.file")
        if self._live(file_id):
            raise ApiError(Rpc.ALREADY_EXISTS, f"File {file_id} already exists")

    def stored_bytes(self) -> int:
        """The size of all files that have not expired."""
        query = "SELECT coalesce(sum(size), 0) FROM files WHERE expires > ?"
        return self._workspace.state.value(query, self._now())

    def count(self) -> int:
        """How many files have not expired."""
        query = "SELECT count(*) FROM files WHERE expires > ?"
        return self._workspace.state.value(query, self._now())

    def blobs(self) -> Iterator[str]:
        """The blobs in which files live."""
        return (row[0] for row in self._workspace.state.rows("SELECT blob FROM files"))

    def purge(self) -> None:
        """Drop what expired, rows and blobs."""
        with self._workspace.state.transaction() as database:
            gone = database.execute(
                "DELETE FROM files WHERE expires <= ? RETURNING blob", [self._now()]
            ).fetchall()
        self._workspace.blobs.delete(*(blob for (blob,) in gone))

    def _now(self) -> int:
        return self._workspace.clock.nanoseconds()

    def _live(self, file_id: str) -> StoredFile | None:
        query = "SELECT * FROM files WHERE id = ? AND expires > ?"
        row = self._workspace.state.row(query, file_id, self._now())
        return StoredFile(*row) if row else None

    def _get(self, request: Request) -> Reply:
        # Also a job's output file is refused for its long id, although it can be downloaded.
        # https://github.com/googleapis/python-genai/issues/1613
        self.check_id(request["file"], "GetFileRequest")
        return json_reply(self.find(request["file"]).resource(self._workspace.url))

    def _list(self, request: Request) -> Reply:
        page = requested_page(request.query, default=_DEFAULT_PAGE, largest=_LARGEST_PAGE)
        query = (
            "SELECT rowid, * FROM files WHERE rowid < ? AND expires > ? ORDER BY rowid DESC LIMIT ?"
        )
        rows = self._workspace.state.rows(query, page.before, self._now(), page.size + 1)
        listed = rows[: page.size]
        files = [StoredFile(*row[1:]).resource(self._workspace.url) for row in listed]
        token = {"nextPageToken": page_token(listed[-1][0])} if len(rows) > page.size else {}
        return json_reply({**({"files": files} if files else {}), **token})

    def _delete(self, request: Request) -> Reply:
        self.check_id(request["file"], "DeleteFileRequest")
        file = self.find(request["file"])
        with self._workspace.state.transaction() as database:
            database.execute("DELETE FROM files WHERE id = ?", [file.id])
        self._workspace.blobs.delete(file.blob)
        self._workspace.effect("file.deleted", f"files/{file.id}")
        return json_reply({})

    def _download(self, request: Request) -> Reply:
        file = self.find(request["file"])
        if not file.downloadable:
            text = f"File {file.id} cannot be downloaded: only generated files can be."
            raise ApiError(Rpc.INVALID_ARGUMENT, text)
        path = self._workspace.blobs.path(file.blob)
        wanted = _requested_bytes(request.headers.get("range", ""), file.size)
        headers = (("Content-Type", file.mime_type), ("Accept-Ranges", "bytes"))
        if wanted is None:
            return Reply(200, (FileSlice(path, 0, file.size),), headers)
        start, stop = wanted
        place = ("Content-Range", f"bytes {start}-{stop - 1}/{file.size}")
        return Reply(206, (FileSlice(path, start, stop),), (*headers, place))


def _requested_bytes(header: str, size: int) -> tuple[int, int] | None:
    """Start and stop of a `Range` header, None for the whole (RFC 9110, section 14.2)."""
    match = _RANGE.fullmatch(header)
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    if start >= stop:
        raise ApiError(416, f"Requested range not satisfiable: {header} of {size} bytes")
    return start, stop
