"""Requests written for something else, or a little wrong, put into the form the service reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchkit import jsonl
from batchkit.fields import field_table
from batchkit.request_check import detect_dialect
from batchkit.rules import SDK_ROLES
from batchkit.specs.rest import split_sdk_config
from batchkit.tables.request_lines import key_and_body
from batchkit.validity import field_home

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchkit.wire import Dialect

__all__ = ["mended"]

_LINE_FIELDS = frozenset({"key", "custom_id", "request", "metadata"})


def mended(item: Any, fallback_key: str) -> Any:
    """A line as `{"key", "request"}`, with every field where it belongs as far as that is known."""
    if not jsonl.is_object(item):
        return item
    key, body = key_and_body(item)
    named = key or item.get("custom_id") or fallback_key
    if not jsonl.is_object(body):
        return {"key": str(named), "request": body}
    request = {name: value for name, value in body.items() if name != "custom_id"}
    if "request" in item:  # what stands beside the request belongs into it
        beside = {name: value for name, value in item.items() if name not in _LINE_FIELDS}
        request = {**beside, **request}
    return {"key": str(named), "request": _mended_request(request, detect_dialect(item))}


def _mended_request(request: dict[str, Any], dialect: Dialect) -> dict[str, Any]:
    config = request.pop("config", None)
    if jsonl.is_object(config):
        kept, beside = split_sdk_config(config)
        request = {**beside, **request}
        if kept:
            request["generationConfig"] = {**kept, **_generation_config(request)}
    fields = field_table(dialect.service).message(dialect.request_type) or {}
    for name in [name for name in request if name not in fields]:
        home = field_home(name, dialect.service, dialect.request_type)
        if home and "[]" not in home:
            _move(request, name, home.split("."))
    for content in request.get("contents") or ():
        if jsonl.is_object(content) and str(content.get("role")).lower() in SDK_ROLES:
            content["role"] = SDK_ROLES[content["role"].lower()]
    return request


def _generation_config(request: dict[str, Any]) -> Mapping[str, Any]:
    """The request's own generation config, taken out under either spelling."""
    return request.pop("generationConfig", None) or request.pop("generation_config", None) or {}


def _move(request: dict[str, Any], name: str, home: list[str]) -> None:
    """Move a field to its home, unless something else stands in the way."""
    if home[0] == "generationConfig":
        request["generationConfig"] = dict(_generation_config(request))
    place: Any = request
    for step in home[:-1]:
        place = place.setdefault(step, {})
        if not jsonl.is_object(place):
            return
    if home[-1] not in place:
        place[home[-1]] = request.pop(name)
