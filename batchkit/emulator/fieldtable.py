"""A service's messages by Google's field table, and request bodies read as one of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from batchkit.emulator.errors import ApiError, Rpc
from batchkit.emulator.protojson import Check, Decoder, Fault, Schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["FieldTable", "nested_too_deeply"]

# https://protobuf.dev/programming-guides/proto-limits/
_DEEPEST = 100


def _no_decoders() -> dict[tuple[str, bool], Decoder]:
    return {}


@dataclass(frozen=True, slots=True)
class FieldTable:
    """The messages of a service: its table, what the table lacks, and rules beyond types.

    `package` is what the names of its types begin with in refusals.
    """

    path: Path
    package: str
    added: Mapping[str, Mapping[str, Any]]
    checks: Mapping[str, Check]
    _types: dict[str, Any] = field(default_factory=dict[str, Any])
    _decoders: dict[tuple[str, bool], Decoder] = field(default_factory=_no_decoders)

    def decoder(self, type_name: str, *, lenient: bool) -> Decoder:
        """The decoder of a message type, compiled once."""
        if (type_name, lenient) not in self._decoders:
            schema = Schema(self._loaded(), self.checks, self.package, lenient=lenient)
            self._decoders[type_name, lenient] = schema.decoder(type_name)
        return self._decoders[type_name, lenient]

    def decode_body(self, type_name: str, text: bytes) -> dict[str, Any]:
        """A request body as a message; ApiError 400 naming each field that is refused."""
        try:
            value = orjson.loads(text or b"{}")
        except orjson.JSONDecodeError as error:
            message = f"Invalid JSON payload received. {error}"
            raise ApiError(Rpc.INVALID_ARGUMENT, message) from None
        if not isinstance(value, dict):
            message = (
                'Invalid JSON payload received. Unknown name "": Root element must be a message.'
            )
            raise ApiError(Rpc.INVALID_ARGUMENT, message)
        if nested_too_deeply(text, value):
            message = "Message too deep. Max recursion depth reached"
            raise ApiError(Rpc.INVALID_ARGUMENT, message)
        faults: list[Fault] = []
        body: dict[str, Any] = self.decoder(type_name, lenient=True)(value, None, faults)
        if faults:
            raise _refusal(faults)
        return body

    def _loaded(self) -> Mapping[str, Any]:
        if not self._types:
            types: dict[str, Any] = json.loads(self.path.read_bytes())["types"]
            for name, fields in self.added.items():
                known = types.get(name, {"fields": {}})["fields"]
                types[name] = {"fields": {**known, **fields}}
            self._types.update(types)
        return self._types


def nested_too_deeply(text: bytes, value: Any) -> bool:
    """Whether the JSON value of a text has more levels than protobuf reads."""
    brackets = text.count(b"{") + text.count(b"[")
    return brackets > _DEEPEST and _deeper(value, _DEEPEST)


def _deeper(value: Any, levels: int) -> bool:
    if value.__class__ is dict:
        items: Iterable[Any] = value.values()
    elif value.__class__ is list:
        items = value
    else:
        return False
    return levels == 0 or any(_deeper(item, levels - 1) for item in items)


def _refusal(faults: list[Fault]) -> ApiError:
    violations = [
        {**({"field": fault.place} if fault.place else {}), "description": fault.description}
        for fault in faults
    ]
    message = "\n".join(violation["description"] for violation in violations)
    detail = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}
    return ApiError(Rpc.INVALID_ARGUMENT, message, [detail])
