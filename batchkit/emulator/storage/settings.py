"""What a client may set on an object, and how a call changes it.

https://cloud.google.com/storage/docs/metadata#editable
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from batchkit.emulator.storage.errors import StorageError, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["checked_class", "editable", "merged", "patched"]

_CLASSES = {"STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE", "MULTI_REGIONAL", "REGIONAL"}

_KINDS: dict[str, type] = {
    "cacheControl": str,
    "contentDisposition": str,
    "contentEncoding": str,
    "contentLanguage": str,
    "contentType": str,
    "customTime": str,
    "metadata": dict,
    "storageClass": str,
}
# What the emulator would have to heed, and does not.
_BEYOND = ("eventBasedHold", "retention", "temporaryHold")


def editable(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Of an object's resource, what a client may set: nulls too, for they unset.

    StorageError 400 for a value of another type.
    """
    for name in _BEYOND:
        if resource.get(name):
            text = f"The emulator has no objects with {name}."
            raise StorageError(501, text, reason="notImplemented", xml_code="NotImplemented")
    found = {name: resource[name] for name in _KINDS if name in resource}
    if found.get("storageClass"):
        checked_class(found["storageClass"])
    for name, value in found.items():
        if not (value is None or isinstance(value, _KINDS[name])) or _breaks_line(value):
            text = f"Invalid value for: {name}"
            raise invalid(text)
    metadata: dict[str, Any] = found.get("metadata") or {}
    for name, value in metadata.items():
        if not isinstance(value, str | None):
            text = f"Invalid value for: metadata.{name}"
            raise invalid(text)
    return found


def checked_class(value: Any) -> str:
    """A storage class; StorageError 400 when it is none.

    https://cloud.google.com/storage/docs/storage-classes
    """
    if not isinstance(value, str) or value not in _CLASSES:
        text = f"Invalid storage class: {value}"
        raise invalid(text)
    return value


def _breaks_line(value: Any) -> bool:
    """Whether it is a text that cannot be a header."""
    return isinstance(value, str) and not {"\r", "\n", "\0"}.isdisjoint(value)


def patched(settings: Mapping[str, Any], resource: Mapping[str, Any]) -> dict[str, Any]:
    """Settings after a PATCH: what it does not name stays, also inside of `metadata`."""
    return merged(settings, {n: v for n, v in editable(resource).items() if n != "storageClass"})


def merged(old: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON merge patch (RFC 7396): a null removes, objects are merged, all else replaces."""
    result = dict(old)
    for name, value in changes.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            result[name] = merged(result.get(name) or {}, cast("dict[str, Any]", value))
        else:
            result[name] = value
    return result
