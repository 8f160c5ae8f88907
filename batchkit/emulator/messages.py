"""The service's messages: Google's field table, what it lacks, and rules beyond types."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from batchkit.emulator.errors import ApiError, Rpc
from batchkit.emulator.protojson import Check, Decoder, Fault, Schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from batchkit.emulator.protojson import Path as FieldPath

__all__ = ["decode_body", "line_decoder", "nested_too_deeply"]

_TABLE = Path(__file__).parent.parent / "facts" / "generativelanguage_v1beta.json"

# Messages and fields that the table of revision 20251218 does not have.
_ADDED_FIELDS: Mapping[str, Mapping[str, Any]] = {
    # https://ai.google.dev/gemini-api/docs/webhooks
    "GenerateContentBatch": {"webhookConfig": "WebhookConfig"},
    "EmbedContentBatch": {"webhookConfig": "WebhookConfig"},
    "WebhookConfig": {"uris": ["string"], "userMetadata": {"map": "any"}},
    "Empty": {},
    # https://ai.google.dev/api/tokens
    "CountTokensRequest": {
        "contents": ["Content"],
        "generateContentRequest": "GenerateContentRequest",
    },
    # https://ai.google.dev/api/embeddings
    "BatchEmbedContentsRequest": {"requests": ["EmbedContentRequest"]},
    # https://ai.google.dev/gemini-api/docs/batch-api#input-file
    "GenerateContentLine": {"key": "string", "request": "GenerateContentRequest"},
    "EmbedContentLine": {"key": "string", "request": "EmbedContentRequest"},
}
# https://protobuf.dev/programming-guides/proto-limits/
_DEEPEST = 100
_DATA = frozenset(
    {
        "text",
        "inlineData",
        "functionCall",
        "functionResponse",
        "fileData",
        "executableCode",
        "codeExecutionResult",
    }
)
# A part may carry nothing but one of these: models return such parts, and clients send them back.
_PART_EXTRAS = frozenset({"thoughtSignature", "thought"})
_ROLES = frozenset({"user", "model", "function"})
_INSTRUCTION_ROLES = _ROLES | {"system"}


@functools.lru_cache
def _types() -> Mapping[str, Any]:
    types: dict[str, Any] = json.loads(_TABLE.read_bytes())["types"]
    for name, fields in _ADDED_FIELDS.items():
        known = types.get(name, {"fields": {}})["fields"]
        types[name] = {"fields": {**known, **fields}}
    return types


@functools.lru_cache
def _decoder(type_name: str, *, lenient: bool) -> Decoder:
    return Schema(_types(), _CHECKS, lenient=lenient).decoder(type_name)


def line_decoder(type_name: str) -> Decoder:
    """The decoder of a line of an input file."""
    return _decoder(type_name, lenient=False)


def decode_body(type_name: str, text: bytes) -> dict[str, Any]:
    """A request body as a message; ApiError 400 naming each field that is refused."""
    try:
        value = orjson.loads(text or b"{}")
    except orjson.JSONDecodeError as error:
        message = f"Invalid JSON payload received. {error}"
        raise ApiError(Rpc.INVALID_ARGUMENT, message) from None
    if not isinstance(value, dict):
        message = 'Invalid JSON payload received. Unknown name "": Root element must be a message.'
        raise ApiError(Rpc.INVALID_ARGUMENT, message)
    if nested_too_deeply(text, value):
        message = "Message too deep. Max recursion depth reached"
        raise ApiError(Rpc.INVALID_ARGUMENT, message)
    faults: list[Fault] = []
    body: dict[str, Any] = _decoder(type_name, lenient=True)(value, None, faults)
    if faults:
        raise _refusal(faults)
    return body


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


def _rule(path: FieldPath, text: str) -> Fault:
    return Fault(path, text, f"* {{place}}: {text}\n")


def _check_part(part: dict[str, Any], path: FieldPath, faults: list[Fault]) -> None:
    data = part.keys() & _DATA
    if len(data) > 1:
        faults.append(_rule(path, f"oneof field 'data' is set more than once: {sorted(data)}"))
    elif not data and not part.keys() & _PART_EXTRAS:
        faults.append(_rule(path, "required oneof field 'data' must have one initialized field"))


def _check_generate(request: dict[str, Any], path: FieldPath, faults: list[Fault]) -> None:
    contents = request.get("contents")
    if not contents:
        faults.append(_rule((path, "contents"), "contents is not specified"))
        return
    for index, content in enumerate(contents):
        place = ((path, "contents"), index)
        if content.get("role", "user") not in _ROLES:
            faults.append(_rule((place, "role"), "Please use a valid role: user, model."))
        if not content.get("parts"):
            faults.append(_rule((place, "parts"), "contents.parts must not be empty."))
    instruction: dict[str, Any] = request.get("systemInstruction", {})
    if instruction.get("role", "system") not in _INSTRUCTION_ROLES:
        place = ((path, "system_instruction"), "role")
        faults.append(_rule(place, "Please use a valid role: user, model."))


def _check_embed(request: dict[str, Any], path: FieldPath, faults: list[Fault]) -> None:
    content: dict[str, Any] = request.get("content", {})
    if not content.get("parts"):
        faults.append(_rule((path, "content"), "content is not specified"))


def _check_source(config: dict[str, Any], path: FieldPath, faults: list[Fault]) -> None:
    if len(config) != 1:
        text = "oneof field 'source' must be set exactly once: file_name or requests"
        faults.append(_rule(path, text))


def _required(field: str) -> Check:
    def check(message: dict[str, Any], path: FieldPath, faults: list[Fault]) -> None:
        if field not in message:
            faults.append(_rule((path, field), f"{field} is not specified"))

    return check


_CHECKS: Mapping[str, Check] = {
    "Part": _check_part,
    "GenerateContentRequest": _check_generate,
    "EmbedContentRequest": _check_embed,
    "InputConfig": _check_source,
    "InputEmbedContentConfig": _check_source,
    "InlinedRequest": _required("request"),
    "InlinedEmbedContentRequest": _required("request"),
    "GenerateContentLine": _required("request"),
    "EmbedContentLine": _required("request"),
    "BatchGenerateContentRequest": _required("batch"),
    "AsyncBatchEmbedContentRequest": _required("batch"),
}
