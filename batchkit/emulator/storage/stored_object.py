"""One object as it is stored, and the names it can have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from batchkit.emulator.storage.checksums import Checksums
from batchkit.emulator.storage.errors import StorageError, invalid
from batchkit.emulator.storage.stamps import entity_tag, moment

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = ["StoredObject", "checked_name"]

_LONGEST_NAME_BYTES = 1024


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One live object; times in nanoseconds since 1970, `blob` where its contents lie.

    `components` is how many objects it was put together from, 0 for one that was uploaded whole.
    """

    bucket: str
    name: str
    generation: int
    metageneration: int
    size: int
    crc32c: str
    md5: str
    components: int
    created: int
    updated: int
    blob: str
    settings: Mapping[str, Any]

    @property
    def uri(self) -> str:
        """The object's gs:// URI."""
        return f"gs://{self.bucket}/{self.name}"

    @property
    def checksums(self) -> Checksums:
        """Those of its contents; `md5` is empty when it was put together from others."""
        return Checksums(self.size, self.crc32c, self.md5)

    @property
    def storage_class(self) -> str:
        """The class it is stored in."""
        return self.settings["storageClass"]

    @property
    def etag(self) -> str:
        """Its entity tag."""
        return entity_tag(self.generation, self.metageneration)

    def resource(self, url: str) -> dict[str, Any]:
        """The Object resource.

        https://cloud.google.com/storage/docs/json_api/v1/objects#resource-representations
        """
        path = f"/storage/v1/b/{self.bucket}/o/{quote(self.name, safe='')}"
        created = moment(self.created)
        md5 = {"md5Hash": self.md5} if self.md5 else {}
        components = {"componentCount": self.components} if self.components else {}
        return {
            "kind": "storage#object",
            "id": f"{self.bucket}/{self.name}/{self.generation}",
            "selfLink": f"{url}{path}",
            "mediaLink": f"{url}/download{path}?generation={self.generation}&alt=media",
            "name": self.name,
            "bucket": self.bucket,
            "generation": str(self.generation),
            "metageneration": str(self.metageneration),
            "size": str(self.size),
            **md5,
            "crc32c": self.crc32c,
            **components,
            "etag": self.etag,
            "timeCreated": created,
            "updated": moment(self.updated),
            "timeStorageClassUpdated": created,
            "timeFinalized": created,
            **self.settings,
        }


def checked_name(name: Any) -> str:
    """A name an object can have; StorageError 400 for any other.

    https://cloud.google.com/storage/docs/objects#naming
    """
    if not name or not isinstance(name, str):
        raise StorageError(400, "Required object name is missing.", reason="required")
    size = len(name.encode("utf-8", "surrogatepass"))
    well_known = name.startswith(".well-known/acme-challenge/")
    if size > _LONGEST_NAME_BYTES or name in {".", ".."} or well_known or set(name) & {"\r", "\n"}:
        text = f"Invalid object name: {name[:_LONGEST_NAME_BYTES]!r}"
        raise invalid(text)
    return name
