"""JSON in and out of calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import orjson

from batchkit.emulator.exchange import json_reply
from batchkit.emulator.storage.errors import StorageError, invalid
from batchkit.emulator.storage.fields import partial
from batchkit.emulator.storage.replies import bytes_reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchkit.emulator.exchange import Reply, Request

__all__ = ["json_body", "json_object", "no_content", "resource_reply", "section"]

_LARGEST_BYTES = 4 << 20


def json_body(request: Request) -> dict[str, Any]:
    """The body of a request, {} when it is empty; StorageError 400 when it is no object."""
    return json_object(request.body.read(_LARGEST_BYTES))


def json_object(text: bytes) -> dict[str, Any]:
    """A JSON object, {} for no text; StorageError 400 for anything else."""
    try:
        value: Any = orjson.loads(text) if text.strip() else {}
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise StorageError(400, "Parse Error", reason="parseError")
    return cast("dict[str, Any]", value)


def section(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A JSON object inside of another, {} when it is not there; StorageError 400 for a value."""
    value = body.get(name)
    if not isinstance(value, dict | None):
        text = f"Invalid value for: {name}"
        raise invalid(text)
    return cast("dict[str, Any]", value or {})


def resource_reply(request: Request, resource: Mapping[str, Any]) -> Reply:
    """A resource, or what the call wants to see of it."""
    return json_reply(partial(resource, request.query.get("fields", "")))


def no_content() -> Reply:
    """It is done, and there is nothing to say."""
    return bytes_reply(204)
