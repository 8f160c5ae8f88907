"""A resumable upload: in chunks, from where the service has got to, however often the line is cut.

https://ai.google.dev/api/files#method:-media.upload; `query` as in
https://developers.google.com/photos/library/guides/resumable-uploads
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import requests

from batchkit import jsonl
from batchkit.address import is_private
from batchkit.errors import RateLimitedError, ServiceError, ServiceFailureError
from batchkit.failures import connection_error, raise_alone, service_error
from batchkit.reply import held
from batchkit.transport import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batchkit.transport import Transport

__all__ = ["Upload", "send_upload"]

CHUNK_BYTES = 8 * 1024 * 1024
_MOST_FAILURES = 6  # in a row, without the service getting any further
_OPERATION = "upload"


@dataclass(frozen=True, slots=True)
class Upload:
    """What is to be sent: a file that can seek, its size, and what the service should call it."""

    content: IO[bytes]
    bytes: int
    mime_type: str
    display_name: str | None = None
    on_progress: Callable[[int, int], None] | None = None


def send_upload(
    transport: Transport, path: str, upload: Upload, *, chunk_bytes: int = CHUNK_BYTES
) -> dict[str, Any]:
    """Send a file to `path` and return the File resource the service made of it."""
    session = _Session(_start(transport, path, upload), upload)
    offset, failed_at, failures = 0, -1, 0
    while True:
        try:
            if failures:
                offset = session.received()
            sent = session.send_chunk(offset, chunk_bytes)
        except (RateLimitedError, ServiceFailureError) as error:
            failures = failures + 1 if failed_at == offset else 1
            failed_at = offset
            asked = getattr(error, "retry_after", None) or 0.0
            if failures == _MOST_FAILURES or asked > transport.retries.total_seconds:
                raise
            time.sleep(max(asked, transport.retries.first_seconds * 2 ** (failures - 1)))
            continue
        failures = 0
        offset = upload.bytes if sent is not None else offset + chunk_bytes
        if upload.on_progress:
            upload.on_progress(offset, upload.bytes)
        if sent is not None:
            return sent


def _start(transport: Transport, path: str, upload: Upload) -> str:
    """Open a session; its address is a credential and must not be written anywhere."""
    file = {"displayName": upload.display_name} if upload.display_name else {}
    headers = {
        "X-Goog-Upload-Protocol": "resumable",
        "X-Goog-Upload-Command": "start",
        "X-Goog-Upload-Header-Content-Length": str(upload.bytes),
        "X-Goog-Upload-Header-Content-Type": upload.mime_type,
    }
    response = transport.send(Call(_OPERATION, "POST", path, {"file": file}, headers=headers))
    address = response.headers.get("x-goog-upload-url")
    if not address:
        message = "the service opened no upload session"
        raise ServiceFailureError(response.status_code, "BAD_ANSWER", message, (), _OPERATION)
    if not is_private(address):
        message = "the service opened an upload session at an address that is not https"
        raise ServiceError(response.status_code, "BAD_ANSWER", message, (), _OPERATION)
    return address


class _Session:
    """An open upload; no key is sent with it, its address is enough."""

    def __init__(self, address: str, upload: Upload) -> None:
        self._address = address
        self._upload = upload
        self._http = requests.Session()
        self._http.trust_env = address.startswith("https:")  # as in clients.connect
        self._finished: dict[str, Any] | None = None

    def send_chunk(self, offset: int, chunk_bytes: int) -> dict[str, Any] | None:
        """Send one chunk; the File resource after the last, None before."""
        if self._finished is not None:
            return self._finished
        chunk = self._read(offset, chunk_bytes)
        last = offset + len(chunk) >= self._upload.bytes
        headers = {
            "X-Goog-Upload-Command": "upload, finalize" if last else "upload",
            "X-Goog-Upload-Offset": str(offset),
        }
        response = self._post(headers, chunk)
        return _file(response) if last else None

    def _read(self, offset: int, size: int) -> bytes:
        """The bytes from `offset` on; a read may give fewer than it was asked for."""
        self._upload.content.seek(offset)
        pieces: list[bytes] = []
        while size and (piece := self._upload.content.read(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def received(self) -> int:
        """How many bytes the service has; it keeps what arrived before a cut."""
        response = self._post({"X-Goog-Upload-Command": "query"}, b"")
        if response.headers.get("x-goog-upload-status") == "final":
            self._finished = _file(response)
        return int(response.headers.get("x-goog-upload-size-received", 0))

    def _post(self, headers: Mapping[str, str], chunk: bytes) -> requests.Response:
        try:
            response = self._http.post(
                self._address,
                data=chunk,
                headers=dict(headers),
                timeout=(10, 300),
                stream=True,
                allow_redirects=False,
            )
            response = held(response, _OPERATION)
        except requests.RequestException as error:
            raise_alone(connection_error(error, _OPERATION))
        if response.status_code >= requests.codes.multiple_choices:
            raise service_error(response, _OPERATION)
        return response


def _file(response: requests.Response) -> dict[str, Any]:
    """The File resource in a final reply."""
    try:
        content = jsonl.loads(response.content)
    except ValueError:
        content = None
    file = content.get("file") if jsonl.is_object(content) else None
    if jsonl.is_object(file):
        return file
    message = "the upload is finished, but the reply that names the file was lost: list the files"
    raise ServiceError(response.status_code, "REPLY_LOST", message, (), _OPERATION)
