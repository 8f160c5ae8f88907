"""CRC32C and MD5 of contents, as Cloud Storage writes and compares them.

https://cloud.google.com/storage/docs/data-validation
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import google_crc32c

from batchkit.emulator.storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Checksums", "checksums_of", "given_for_body", "given_in_header", "given_in_resource"]

_PIECE_BYTES = 1 << 20
# The names in a resource, in the X-Goog-Hash header, and in messages.
_CRC32C, _MD5 = "crc32c", "md5"
_SPOKEN = {_CRC32C: "CRC32C", _MD5: "MD5 hash"}


@dataclass(frozen=True, slots=True)
class Checksums:
    """Size and checksums, in base64; `md5` is empty where the service knows none."""

    size: int
    crc32c: str
    md5: str

    def check(self, given: Mapping[str, str]) -> None:
        """StorageError 400 when contents are not what the client said they would be."""
        own = {_CRC32C: self.crc32c, _MD5: self.md5}
        for name, value in given.items():
            if own[name] != value:
                spoken = _SPOKEN[name]
                text = f'Provided {spoken} "{value}" doesn\'t match calculated {spoken} '
                raise StorageError(400, f'{text}"{own[name]}".', xml_code="BadDigest")

    def header(self) -> str:
        """The value of X-Goog-Hash."""
        md5 = f",{_MD5}={self.md5}" if self.md5 else ""
        return f"{_CRC32C}={self.crc32c}{md5}"


def checksums_of(path: Path) -> Checksums:
    """The checksums of a file, read once."""
    size, crc, md5 = 0, 0, hashlib.md5(usedforsecurity=False)
    with path.open("rb", buffering=0) as stream:
        while piece := stream.read(_PIECE_BYTES):
            size += len(piece)
            crc = google_crc32c.extend(crc, piece)
            md5.update(piece)
    return Checksums(size, _base64(crc.to_bytes(4, "big")), _base64(md5.digest()))


def given_in_resource(resource: Mapping[str, Any]) -> dict[str, str]:
    """The checksums a client put into the resource of an object to be."""
    given = {_CRC32C: resource.get("crc32c"), _MD5: resource.get("md5Hash")}
    return {name: str(value) for name, value in given.items() if value}


def given_in_header(headers: Mapping[str, str]) -> dict[str, str]:
    """The checksums of X-Goog-Hash, which are those of the whole object."""
    entries = (entry.strip().partition("=") for entry in headers.get("x-goog-hash", "").split(","))
    return {name: value for name, _, value in entries if name in _SPOKEN}


def given_for_body(headers: Mapping[str, str]) -> dict[str, str]:
    """The checksums of a request that carries contents and nothing else: Content-MD5, too."""
    md5 = {_MD5: headers["content-md5"]} if "content-md5" in headers else {}
    return md5 | given_in_header(headers)


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
