"""Multipart uploads of the XML API: parts in any order, then one object of all.

https://cloud.google.com/storage/docs/multipart-uploads
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import orjson

from batchkit.emulator.locks import Locks
from batchkit.emulator.routes import Route
from batchkit.emulator.storage.checksums import checksums_of, given_for_body
from batchkit.emulator.storage.drafts import Draft, stored_draft
from batchkit.emulator.storage.errors import StorageError, spoken_as_xml
from batchkit.emulator.storage.preconditions import Preconditions, number
from batchkit.emulator.storage.replies import bytes_reply
from batchkit.emulator.storage.settings import editable
from batchkit.emulator.storage.stored_object import checked_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchkit.emulator.exchange import Reply, Request
    from batchkit.emulator.storage.objects import Objects
    from batchkit.emulator.workspace import Workspace

__all__ = ["PartUploads"]

_TABLES = """
CREATE TABLE IF NOT EXISTS storage_part_uploads (id TEXT PRIMARY KEY, draft TEXT);
CREATE TABLE IF NOT EXISTS storage_parts (
    upload TEXT, number INTEGER, blob TEXT, size INTEGER, md5 TEXT, PRIMARY KEY (upload, number)
) WITHOUT ROWID;
"""
_ID_LENGTH = 40
_MOST_PARTS = 10_000
# https://cloud.google.com/storage/quotas#requests
_SMALLEST_PART_BYTES = 5 << 20
_LARGEST_BODY_BYTES = 2 << 20
_PIECE_BYTES = 1 << 20
_XML = ("Content-Type", "application/xml; charset=UTF-8")
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_METADATA = "x-goog-meta-"
_HEADERS = {
    "cache-control": "cacheControl",
    "content-disposition": "contentDisposition",
    "content-encoding": "contentEncoding",
    "content-language": "contentLanguage",
    "content-type": "contentType",
    "x-goog-storage-class": "storageClass",
}


@dataclass(frozen=True, slots=True)
class _Part:
    """One part that has arrived; `md5` is its entity tag."""

    blob: str
    size: int
    md5: str


class PartUploads:
    """The multipart uploads of one emulator."""

    def __init__(self, workspace: Workspace, objects: Objects) -> None:
        self._workspace = workspace
        self._objects = objects
        self._locks = Locks()
        workspace.state.define(_TABLES)

    def routes(self) -> tuple[Route, ...]:
        """What this service answers, in XML."""
        path = "/{bucket:bucket}/{object:rest}"
        calls = (
            ("POST", self._start, "uploads"),
            ("PUT", self._take, "uploadId"),
            ("POST", self._complete, "uploadId"),
            ("DELETE", self._abort, "uploadId"),
        )
        return tuple(
            Route(method, path, spoken_as_xml(handler), None, open=True, when=when)
            for method, handler, when in calls
        )

    def blobs(self) -> Iterator[str]:
        """The blobs of parts that are not yet put together."""
        return (blob for (blob,) in self._workspace.state.rows("SELECT blob FROM storage_parts"))

    def _start(self, request: Request) -> Reply:
        wanted = _draft(request)
        self._objects.check(wanted)
        upload = self._workspace.state.identifier("storage-part-upload", _ID_LENGTH)
        with self._workspace.state.transaction() as database:
            row = [upload, orjson.dumps(wanted)]
            database.execute("INSERT INTO storage_part_uploads VALUES (?, ?)", row)
        self._workspace.effect("upload.started", wanted.uri)
        return _result("InitiateMultipartUploadResult", wanted, UploadId=upload)

    def _take(self, request: Request) -> Reply:
        upload, wanted = self._upload(request)
        part = number(request.query.get("partNumber"), "partNumber")
        if not 1 <= part <= _MOST_PARTS:
            raise StorageError(400, f"Part number must be between 1 and {_MOST_PARTS}.")
        with self._objects.writing() as (blob, stream):
            for piece in request.body.pieces():
                stream.write(piece)
            stream.flush()
            checksums = checksums_of(self._workspace.blobs.path(blob))
            checksums.check(given_for_body(request.headers))
            with self._locks[upload], self._workspace.state.transaction() as database:
                self._upload(request)  # it may have ended meanwhile
                replaced = self._parts(upload).get(part)
                row = [upload, part, blob, checksums.size, checksums.md5]
                database.execute("INSERT OR REPLACE INTO storage_parts VALUES (?,?,?,?,?)", row)
        if replaced:
            self._workspace.blobs.delete(replaced.blob)
        self._workspace.effect("upload.received", wanted.uri)
        headers = (("ETag", f'"{checksums.md5}"'), ("X-Goog-Hash", checksums.header()))
        return bytes_reply(200, headers=headers)

    def _complete(self, request: Request) -> Reply:
        listed = _listed(request.body.read(_LARGEST_BODY_BYTES))
        with self._locks[request.query["uploadId"]]:
            upload, wanted = self._upload(request)
            parts = self._parts(upload)
            _check(listed, parts)
            with self._objects.writing() as (blob, stream):
                for part, _ in listed:
                    with self._workspace.blobs.path(parts[part].blob).open("rb") as contents:
                        shutil.copyfileobj(contents, stream, _PIECE_BYTES)
            wanted = replace(wanted, components=len(listed))
            stored = self._objects.put(wanted, blob, also=lambda _: self._forget(upload))
            self._workspace.blobs.delete(*(part.blob for part in parts.values()))
        self._workspace.effect("object.created", stored.uri)
        place = f"{self._workspace.url}{request.path}"
        checksums = ("X-Goog-Hash", stored.checksums.header())
        fields = {"Location": place, "ETag": f'"{stored.etag}"'}
        return _result("CompleteMultipartUploadResult", wanted, checksums, **fields)

    def _abort(self, request: Request) -> Reply:
        with self._locks[request.query["uploadId"]]:
            upload, wanted = self._upload(request)
            parts = self._parts(upload)
            self._forget(upload)
            self._workspace.blobs.delete(*(part.blob for part in parts.values()))
        self._workspace.effect("upload.cancelled", wanted.uri)
        return bytes_reply(204)

    def _upload(self, request: Request) -> tuple[str, Draft]:
        """The id of a request's upload and what it is to become."""
        upload = request.query["uploadId"]
        query = "SELECT draft FROM storage_part_uploads WHERE id = ?"
        row = self._workspace.state.row(query, upload)
        wanted = stored_draft(orjson.loads(row[0])) if row else None
        if wanted is None or (wanted.bucket, wanted.name) != (request["bucket"], request["object"]):
            text = "The requested upload was not found."
            raise StorageError(404, text, reason="notFound", xml_code="NoSuchUpload")
        return upload, wanted

    def _parts(self, upload: str) -> dict[int, _Part]:
        query = "SELECT number, blob, size, md5 FROM storage_parts WHERE upload = ?"
        return {row[0]: _Part(*row[1:]) for row in self._workspace.state.rows(query, upload)}

    def _forget(self, upload: str) -> None:
        with self._workspace.state.transaction() as database:
            database.execute("DELETE FROM storage_part_uploads WHERE id = ?", [upload])
            database.execute("DELETE FROM storage_parts WHERE upload = ?", [upload])


def _draft(request: Request) -> Draft:
    headers = request.headers
    settings: dict[str, Any] = {
        name: headers[header] for header, name in _HEADERS.items() if header in headers
    }
    metadata = {
        header.removeprefix(_METADATA): value
        for header, value in headers.items()
        if header.startswith(_METADATA)
    }
    return Draft(
        bucket=request["bucket"],
        name=checked_name(request["object"]),
        settings=editable(settings | ({"metadata": metadata} if metadata else {})),
        given={},
        conditions=Preconditions.in_headers(headers),
    )


def _listed(text: bytes) -> list[tuple[int, str]]:
    """Numbers and entity tags of the parts that a completion lists."""
    try:
        root = ET.fromstring(text)  # noqa: S314 - of a client on this machine
        entries = [
            {field.tag.rpartition("}")[2]: (field.text or "").strip() for field in part}
            for part in root
        ]
        return [(int(entry["PartNumber"]), entry["ETag"].strip('"')) for entry in entries]
    except (ET.ParseError, KeyError, ValueError):
        message = "The XML of the request is malformed."
        raise StorageError(
            400, message, xml_code="MalformedCompleteMultipartUploadRequest"
        ) from None


def _check(listed: list[tuple[int, str]], parts: dict[int, _Part]) -> None:
    """StorageError 400 when the listed parts cannot be put together."""
    numbers = [part for part, _ in listed]
    if not numbers or numbers != sorted(set(numbers)):
        text = "The list of parts was not in ascending order."
        raise StorageError(400, text, xml_code="InvalidPartOrder")
    if any(part not in parts or parts[part].md5 != etag for part, etag in listed):
        text = "One or more of the specified parts could not be found."
        raise StorageError(400, text, xml_code="InvalidPart")
    if any(parts[part].size < _SMALLEST_PART_BYTES for part in numbers[:-1]):
        text = "Your proposed upload is smaller than the minimum allowed object size."
        raise StorageError(400, text, xml_code="EntityTooSmall")


def _result(name: str, wanted: Draft, *headers: tuple[str, str], **fields: str) -> Reply:
    fields = {"Bucket": wanted.bucket, "Key": wanted.name, **fields}
    inner = "".join(f"<{field}>{escape(text)}</{field}>" for field, text in fields.items())
    text = f"<?xml version='1.0' encoding='UTF-8'?><{name} xmlns='{_NAMESPACE}'>{inner}</{name}>"
    return bytes_reply(200, text.encode(), (_XML, *headers))
