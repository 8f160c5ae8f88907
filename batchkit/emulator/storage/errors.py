"""How Cloud Storage refuses: an envelope of its own, plain text for contents, XML for the XML API.

https://cloud.google.com/storage/docs/json_api/v1/status-codes
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import orjson

from batchkit.emulator.errors import ApiError
from batchkit.emulator.storage.replies import bytes_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchkit.emulator.exchange import Reply, Request

    Handler = Callable[[Request], Reply]

__all__ = [
    "StorageError",
    "condition_not_met",
    "conflict",
    "invalid",
    "no_bucket",
    "no_object",
    "spoken_as_text",
    "spoken_as_xml",
]

_TEXT = ("Content-Type", "text/html; charset=UTF-8")
_XML = ("Content-Type", "application/xml; charset=UTF-8")


@dataclass(eq=False)
class StorageError(ApiError):
    """This call is refused; `code` is an HTTP status, `reason` the word for it in each API.

    `headers` belong to the reply whatever its form. A 304 has no body.
    """

    reason: str = "invalid"
    xml_code: str = "InvalidArgument"
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def http_status(self) -> int:
        """The status line's number."""
        return self.code

    def body(self) -> bytes:
        """The JSON API's envelope."""
        if self.code == 304:  # noqa: PLR2004 - Not Modified
            return b""
        entry: dict[str, Any] = {
            "message": self.message,
            "domain": "global",
            "reason": self.reason,
        }
        if self.reason == "conditionNotMet":
            entry |= {"locationType": "header", "location": "If-Match"}
        error = {"code": self.code, "message": self.message, "errors": [entry]}
        return orjson.dumps({"error": error})

    def text(self) -> Reply:
        """The bare message, as calls that transfer contents are answered."""
        body = self.message.encode() if self.body() else b""
        return bytes_reply(self.code, body, (_TEXT, *self.headers))

    def xml(self) -> Reply:
        """The XML API's envelope."""
        text = f"<Code>{self.xml_code}</Code><Message>{escape(self.message)}</Message>"
        body = f"<?xml version='1.0' encoding='UTF-8'?><Error>{text}</Error>".encode()
        return bytes_reply(self.code, body if self.body() else b"", (_XML, *self.headers))


def invalid(text: str) -> StorageError:
    """An argument that cannot be."""
    return StorageError(400, text)


def no_bucket() -> StorageError:
    """There is no such bucket."""
    text = "The specified bucket does not exist."
    return StorageError(404, text, reason="notFound", xml_code="NoSuchBucket")


def no_object(bucket: str, name: str) -> StorageError:
    """There is no such object, or not of the generation asked for."""
    text = f"No such object: {bucket}/{name}"
    return StorageError(404, text, reason="notFound", xml_code="NoSuchKey")


def conflict(text: str, xml_code: str) -> StorageError:
    """It is there already, or something is in the way."""
    return StorageError(409, text, reason="conflict", xml_code=xml_code)


def condition_not_met(status: int = 412) -> StorageError:
    """A precondition does not hold: 412, or 304 for a read that was to see something new."""
    text = "At least one of the pre-conditions you specified did not hold."
    return StorageError(status, text, reason="conditionNotMet", xml_code="PreconditionFailed")


def spoken_as_text(handler: Handler) -> Handler:
    """The handler, with its refusals in plain text."""

    def handle(request: Request) -> Reply:
        try:
            return handler(request)
        except StorageError as error:
            return error.text()

    return handle


def spoken_as_xml(handler: Handler) -> Handler:
    """The handler, with its refusals in XML."""

    def handle(request: Request) -> Reply:
        try:
            return handler(request)
        except StorageError as error:
            return error.xml()

    return handle
