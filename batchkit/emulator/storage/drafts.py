"""What an upload is to become."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchkit.emulator.storage.checksums import given_in_header, given_in_resource
from batchkit.emulator.storage.preconditions import Preconditions
from batchkit.emulator.storage.settings import editable
from batchkit.emulator.storage.stored_object import checked_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchkit.emulator.exchange import Request

__all__ = ["Draft", "draft_of", "stored_draft"]

_DEFAULT_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Draft:
    """An object to be: its place, what the client sets, and what must hold when it comes to be.

    `given` are the checksums the client says its contents have; `components` is how many objects
    it was put together from, 0 for one that was uploaded whole.
    """

    bucket: str
    name: str
    settings: Mapping[str, Any]
    given: Mapping[str, str]
    conditions: Preconditions
    components: int = 0

    @property
    def uri(self) -> str:
        """The object's gs:// URI."""
        return f"gs://{self.bucket}/{self.name}"


def draft_of(request: Request, resource: Mapping[str, Any], components: int = 0) -> Draft:
    """What a request and the resource in it speak of."""
    query = request.query
    settings = {name: value for name, value in editable(resource).items() if value is not None}
    if query.get("contentEncoding"):
        settings["contentEncoding"] = query["contentEncoding"]
    return Draft(
        bucket=request["bucket"],
        name=checked_name(query.get("name") or resource.get("name")),
        settings={"contentType": _DEFAULT_TYPE, **settings},
        given=given_in_resource(resource) | given_in_header(request.headers),
        conditions=Preconditions.in_query(query),
        components=components,
    )


def stored_draft(value: Mapping[str, Any]) -> Draft:
    """A draft that was written as JSON."""
    fields: dict[str, Any] = {**value, "conditions": Preconditions(**value["conditions"])}
    return Draft(**fields)
