"""The Files API: uploads that survive a cut connection, downloads that go to disk."""

from __future__ import annotations

import base64
import contextlib
import io
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from batchkit import jsonl
from batchkit.clients import connect
from batchkit.durable import whole_file
from batchkit.errors import (
    InvalidRequestError,
    NotAuthorisedError,
    NotFoundError,
    WaitTimeoutError,
)
from batchkit.service.download import Download
from batchkit.service.job_json import read_integer, read_time
from batchkit.service.upload import Upload, send_upload
from batchkit.transport import Call

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Mapping

    from batchkit.clients import Connection

__all__ = ["File", "FileList", "Files"]

_MIME_TYPES = {
    ".jsonl": "application/jsonl",
    ".ndjson": "application/jsonl",
    ".json": "application/json",
}
_DEFAULT_MIME_TYPE = "application/octet-stream"
_DIGEST_BYTES = 32
# `files/<id>`, a bare id, or the address of a file or of its content.
_NAME = re.compile(r"(?:(?:https?://[^?#]*/)?files/)?([A-Za-z0-9_-]+)(?::download)?(?:\?[^#]*)?")


@dataclass(frozen=True, slots=True)
class File:
    """One file of the service; `sha256` in hex, times in UTC, `content` the whole resource.

    Files live 48 hours. https://ai.google.dev/api/files#File
    """

    name: str
    display_name: str | None = None
    mime_type: str | None = None
    bytes: int | None = None
    state: str | None = None
    sha256: str | None = None
    uri: str | None = None
    source: str | None = None
    create_time: dt.datetime | None = None
    expiration_time: dt.datetime | None = None
    content: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False, compare=False)

    @property
    def is_active(self) -> bool:
        """Whether it can be used."""
        return self.state == "ACTIVE"


@dataclass(frozen=True, slots=True)
class FileList:
    """One page of files; `next_page_token` is None on the last."""

    files: tuple[File, ...]
    next_page_token: str | None = None

    @property
    def has_more_pages(self) -> bool:
        """Whether there is a next page."""
        return bool(self.next_page_token)

    def __iter__(self) -> Iterator[File]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


class Files:
    """The files of one project on the Developer API; of the environment's without a connection."""

    def __init__(self, connection: Connection | None = None) -> None:
        used = connection or connect()
        self._transport = used.transport
        self._version = used.api_version

    def upload(
        self,
        source: str | Path | bytes | IO[bytes],
        *,
        display_name: str | None = None,
        mime_type: str | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> File:
        """Upload a path, bytes or an open file, in chunks of 8 MiB; a cut line is taken up again.

        Without `mime_type` the name's ending decides. `on_progress` gets bytes sent and in all.
        """
        with contextlib.ExitStack() as stack:
            if isinstance(source, str | Path):
                content: IO[bytes] = stack.enter_context(Path(source).open("rb"))
                mime_type = mime_type or _MIME_TYPES.get(Path(source).suffix.lower())
            else:
                content = io.BytesIO(source) if isinstance(source, bytes) else source
            size = content.seek(0, io.SEEK_END)
            kind = mime_type or _DEFAULT_MIME_TYPE
            upload = Upload(content, size, kind, display_name, on_progress)
            path = f"/upload/{self._version}/files"
            return _read_file(send_upload(self._transport, path, upload))

    def get(self, name: str) -> File:
        """One file; the output of a job cannot be asked for by `get`, only downloaded."""
        call = Call("files.get", "GET", self._path(name))
        return _read_file(self._transport.json(call))

    def list(self, *, page_size: int | None = None, page_token: str | None = None) -> FileList:
        """One page of the project's files."""
        given = {"pageSize": page_size, "pageToken": page_token}
        params = {name: value for name, value in given.items() if value is not None}
        call = Call("files.list", "GET", f"/{self._version}/files", params=params)
        content = self._transport.json(call)
        listed = content.get("files")
        items = listed if jsonl.is_list(listed) else []
        files = tuple(_read_file(item) for item in items if jsonl.is_object(item))
        return FileList(files, _text(content, "nextPageToken") or None)

    def list_all(self) -> Iterator[File]:
        """All files, page after page."""
        page = self.list(page_size=100)
        yield from page
        while page.has_more_pages:
            page = self.list(page_size=100, page_token=page.next_page_token)
            yield from page

    def used_bytes(self, *, most_pages: int = 10) -> int | None:
        """Bytes of all files, of the 20 GB that a project has; None when there are more pages."""
        page = self.list(page_size=100)
        used = sum(file.bytes or 0 for file in page)
        for _ in range(most_pages - 1):
            if not page.has_more_pages:
                break
            page = self.list(page_size=100, page_token=page.next_page_token)
            used += sum(file.bytes or 0 for file in page)
        return None if page.has_more_pages else used

    def delete(self, name: str) -> None:
        """Delete a file; one that is gone already is no error."""
        try:
            self._transport.json(Call("files.delete", "DELETE", self._path(name)))
        except (NotFoundError, NotAuthorisedError) as error:
            # A file that is gone answers 403, "… permission to access … or it may not exist".
            if not isinstance(error, NotFoundError) and "may not exist" not in error.message:
                raise

    def wait(self, name: str, *, poll_seconds: float = 2.0, timeout: float = 300.0) -> File:
        """The file once it is ready to use; WaitTimeoutError when it is not ready in time."""
        deadline = time.monotonic() + timeout
        while True:
            file = self.get(name)
            if file.state == "FAILED":
                message = f"{file.name} could not be processed"
                raise InvalidRequestError(400, "FILE_FAILED", message, (), "files.wait")
            if file.is_active:
                return file
            if time.monotonic() >= deadline:
                message = f"{file.name} is still {file.state} after {timeout:g} s"
                raise WaitTimeoutError(message)
            time.sleep(poll_seconds)

    def download(
        self,
        name: str,
        to: str | Path,
        *,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> Path:
        """Stream a file to disk, taking up where a cut left off; the path when it is whole.

        `name` may be `files/…`, the bare id, or the file's address. `on_progress` gets bytes
        received and in all.
        """
        path = Path(to)
        with whole_file(path) as file:
            Download(self._transport, self._addresses(name), on_progress).run(file)
        return path

    def _path(self, name: str) -> str:
        return f"/{self._version}/files/{_file_id(name)}"

    def _addresses(self, name: str) -> list[str]:
        """Both forms in use: the documentation's, and the one of Google's SDK."""
        form = f"{self._version}/files/{_file_id(name)}:download"
        return [f"/download/{form}", f"/{form}"]


def _file_id(name: str) -> str:
    """The id in `files/<id>`, a bare id or an address; its characters are checked."""
    found = _NAME.fullmatch(name)
    if found is None:
        message = f"{name!r} is no file name: it looks like files/abc123"
        raise InvalidRequestError(400, "INVALID_ARGUMENT", message, (), "files")
    return found[1]


def _read_file(content: Mapping[str, Any]) -> File:
    inner = content.get("file")
    resource = inner if jsonl.is_object(inner) else content
    return File(
        name=_text(resource, "name") or "",
        display_name=_text(resource, "displayName"),
        mime_type=_text(resource, "mimeType"),
        bytes=read_integer(resource.get("sizeBytes")),
        state=_text(resource, "state"),
        sha256=_sha256(resource.get("sha256Hash")),
        uri=_text(resource, "uri"),
        source=_text(resource, "source"),
        create_time=read_time(resource.get("createTime")),
        expiration_time=read_time(resource.get("expirationTime")),
        content=resource,
    )


def _text(resource: Mapping[str, Any], name: str) -> str | None:
    value = resource.get(name)
    return value if isinstance(value, str) else None


def _sha256(encoded: Any) -> str | None:
    """The service sends base64 of the digest in hex; the schema says of its bytes."""
    try:
        plain = base64.b64decode(encoded or "", validate=True)
    except (TypeError, ValueError):
        return None
    return plain.hex() if len(plain) == _DIGEST_BYTES else plain.decode(errors="replace") or None
