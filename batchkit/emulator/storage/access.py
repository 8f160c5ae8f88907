"""Objects by their gs:// URIs, for the emulator's other services."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from batchkit.emulator.storage.drafts import Draft
from batchkit.emulator.storage.errors import invalid
from batchkit.emulator.storage.pages import after, after_prefix
from batchkit.emulator.storage.preconditions import Preconditions
from batchkit.emulator.storage.stored_object import checked_name

if TYPE_CHECKING:
    from collections.abc import Generator

    from batchkit.emulator.storage.buckets import Buckets
    from batchkit.emulator.storage.objects import Objects

__all__ = ["Access"]

_URI = re.compile(r"gs://([^/]+)(?:/(.*))?", re.DOTALL)
_ROWS_PER_QUERY = 1000


@dataclass(frozen=True, slots=True)
class Access:
    """What a service of the same emulator reads and writes; every method raises ApiError.

    Nobody waits for a reply to these calls, so `on_effect` does not hear of them.
    """

    buckets: Buckets
    objects: Objects

    def location(self, bucket: str) -> str:
        """Where a bucket is, as in `US` or `EUROPE-WEST4`."""
        return self.buckets.get(bucket).location

    def list(self, prefix_uri: str) -> list[str]:
        """The URIs of all objects whose URIs begin with this one, in the order of their names."""
        bucket, prefix = _parts(prefix_uri)
        self.buckets.get(bucket)
        uris: list[str] = []
        place, stop = prefix, after_prefix(prefix) if prefix else None
        while found := self.objects.following(bucket, place, stop, _ROWS_PER_QUERY):
            uris += [stored.uri for stored in found]
            place = after(found[-1].name)
        return uris

    def open(self, uri: str) -> IO[bytes]:
        """The contents of an object, readable to the end whatever happens to it."""
        return self.objects.opened(*_parts(uri))[1]

    @contextlib.contextmanager
    def create(
        self, uri: str, *, content_type: str = "application/octet-stream"
    ) -> Generator[IO[bytes]]:
        """A stream whose contents are an object once the block has ended without an error.

        An object of that name is replaced. The bucket must exist before the block begins.
        """
        bucket, name = _parts(uri)
        settings = {"contentType": content_type}
        wanted = Draft(bucket, checked_name(name), settings, {}, Preconditions())
        self.objects.check(wanted)
        with self.objects.writing() as (blob, stream):
            yield stream
        self.objects.put(wanted, blob)


def _parts(uri: str) -> tuple[str, str]:
    match = _URI.fullmatch(uri)
    if match is None:
        text = f"Not a Cloud Storage URI: {uri}"
        raise invalid(text)
    return match[1], match[2] or ""
