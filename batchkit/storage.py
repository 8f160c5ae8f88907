"""Objects in Cloud Storage: written once and never over another, read at one generation.

https://docs.cloud.google.com/storage/docs/json_api/v1/objects
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import google_crc32c
from google.api_core.exceptions import NotFound, PreconditionFailed

from batchkit.errors import SetupError
from batchkit.failures import google_errors, not_there

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

__all__ = ["ObjectUri", "Objects", "StoredObject", "checksum", "checksum_of_next"]

_URI = re.compile(r"gs://([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(?:/(.*))?", re.DOTALL)
_BLOCK_BYTES = 1 << 20
_GLOB = frozenset("*?[")
_WILDCARD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class ObjectUri:
    """`gs://bucket/name`, or `gs://bucket/prefix` of several objects."""

    bucket: str
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> ObjectUri:
        """The bucket and name in a `gs://` address; SetupError when it is none."""
        found = _URI.fullmatch(text)
        if found is None:
            message = f"{text!r} is no address in Cloud Storage: it looks like gs://bucket/folder"
            raise SetupError(message)
        return cls(found[1], found[2] or "")

    def __str__(self) -> str:
        return f"gs://{self.bucket}/{self.name}"

    def __truediv__(self, name: str) -> ObjectUri:
        base = self.name.rstrip("/")
        return ObjectUri(self.bucket, f"{base}/{name}" if base else name)

    @property
    def is_pattern(self) -> bool:
        """Whether it names objects by `*`, `?` or `[…]`."""
        return bool(_GLOB & set(self.name))


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object at one generation; `crc32c` as the service writes it, in base64."""

    uri: ObjectUri
    generation: int
    bytes: int
    crc32c: str


class Objects:
    """The objects that one account reaches, through Google's own client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def put(
        self,
        path: Path,
        uri: ObjectUri,
        *,
        content_type: str = "application/octet-stream",
        on_progress: Callable[[int, int], None] | None = None,
    ) -> StoredObject:
        """Upload a file as a new object; one that is there already with the same content is fine.

        So an upload whose reply was lost can be repeated. SetupError when the object has other
        content: nothing is ever written over it.
        """
        blob = self._client.bucket(uri.bucket).blob(uri.name)
        size = path.stat().st_size
        with google_errors("storage.put"), path.open("rb") as file:
            source: Any = _Counted(file, size, on_progress) if on_progress else file
            try:
                blob.upload_from_file(
                    source,
                    size=size,
                    content_type=content_type,
                    if_generation_match=0,
                    checksum="crc32c",
                )
            except PreconditionFailed:
                blob.reload()
                if blob.crc32c != checksum(path):
                    message = f"{uri} is there already, with other content: name another place"
                    raise SetupError(message) from None
        return _stored(blob)

    def list(self, prefix: ObjectUri, *, pattern: str | None = None) -> Iterator[StoredObject]:
        """Objects whose names begin with the prefix, by name; `pattern` is a glob for the whole."""
        with google_errors("storage.list"):
            listed = self._client.list_blobs(prefix.bucket, prefix=prefix.name, match_glob=pattern)
            yield from (_stored(blob) for blob in listed)

    def matching(self, addresses: Iterable[str]) -> Iterator[StoredObject]:
        """The objects that addresses name, each by itself or by a pattern; none is an error."""
        for address in addresses:
            uri = ObjectUri.parse(address)
            if uri.is_pattern:
                fixed = ObjectUri(uri.bucket, _WILDCARD.split(uri.name, maxsplit=1)[0])
                found = list(self.list(fixed, pattern=uri.name))
            else:
                found = [each for each in [self.find(uri)] if each]
            if not found:
                message = f"there is no object {uri}, or this account does not see it"
                raise not_there(message, "storage.get")
            yield from found

    def find(self, uri: ObjectUri) -> StoredObject | None:
        """The object as it is now, None when there is none."""
        with google_errors("storage.get"):
            blob = self._client.bucket(uri.bucket).get_blob(uri.name)
        return None if blob is None else _stored(blob)

    def download(
        self,
        stored: StoredObject,
        to: IO[bytes],
        *,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Append the object's content, at its generation, to an open file."""
        sink: Any = _Counted(to, stored.bytes, on_progress) if on_progress else to
        with google_errors("storage.download"):
            self._blob(stored).download_to_file(sink, checksum="crc32c")

    def open(self, stored: StoredObject) -> IO[bytes]:
        """The object's content at its generation, to read and seek in."""
        with google_errors("storage.open"):
            return self._blob(stored).open("rb")

    def delete(self, stored: StoredObject) -> bool:
        """Delete the object while it is this one; False when it is gone, or another took its place.

        Where the bucket keeps versions, it becomes one.
        """
        blob = self._client.bucket(stored.uri.bucket).blob(stored.uri.name)
        with google_errors("storage.delete"):
            try:
                blob.delete(if_generation_match=stored.generation)
            except (NotFound, PreconditionFailed):
                return False
        return True

    def check_folder(self, folder: ObjectUri) -> None:
        """Raise a ServiceError unless objects below a folder can be listed and read.

        By doing so: to look at the bucket itself takes a permission that roles on objects lack
        (github.com/googleapis/google-cloud-python/issues/9065).
        """
        with google_errors("storage.list"):
            found = self._client.list_blobs(folder.bucket, prefix=folder.name, max_results=1)
            try:
                next(iter(found), None)
            except NotFound:
                message = f"there is no bucket gs://{folder.bucket}, or this account sees none"
                raise not_there(message, "storage.list") from None
        self.find(folder / "any")

    def _blob(self, stored: StoredObject) -> Any:
        bucket = self._client.bucket(stored.uri.bucket)
        return bucket.blob(stored.uri.name, generation=stored.generation)


class _Counted:
    """A file whose reads or writes are told, with the bytes in all."""

    def __init__(self, file: IO[bytes], total: int, tell: Callable[[int, int], None]) -> None:
        self._file = file
        self._total = total
        self._tell = tell
        self._done = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self._tell(self._file.tell(), self._total)
        return piece

    def write(self, content: bytes) -> int:
        self._done += self._file.write(content)
        self._tell(self._done, self._total)
        return len(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _stored(blob: Any) -> StoredObject:
    uri = ObjectUri(blob.bucket.name, blob.name)
    return StoredObject(uri, int(blob.generation), int(blob.size), str(blob.crc32c))


def checksum(path: Path) -> str:
    """The CRC32C of a file as the service writes it: four bytes, big-endian, in base64."""
    with path.open("rb") as file:
        return checksum_of_next(file, path.stat().st_size)


def checksum_of_next(file: IO[bytes], size: int) -> str:
    """The CRC32C of the next bytes of an open file, of which there may be fewer."""
    found = 0
    while size and (block := file.read(min(size, _BLOCK_BYTES))):
        found = google_crc32c.extend(found, block)
        size -= len(block)
    return base64.b64encode(found.to_bytes(4, "big")).decode()
