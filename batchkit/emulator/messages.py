"""The service's messages: Google's field table, what it lacks, and rules beyond types."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchkit.emulator.fieldtable import FieldTable
from batchkit.emulator.protojson import Check, Decoder, Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchkit.emulator.protojson import Path as FieldPath

__all__ = ["check_embed", "check_part", "decode_body", "line_decoder", "required", "rule"]

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


def line_decoder(type_name: str) -> Decoder:
    """The decoder of a line of an input file."""
    return _MESSAGES.decoder(type_name, lenient=False)


def decode_body(type_name: str, text: bytes) -> dict[str, Any]:
    """A request body as a message; ApiError 400 naming each field that is refused."""
    return _MESSAGES.decode_body(type_name, text)


def rule(path: FieldPath, text: str) -> Fault:
    """A rule beyond types that a message breaks."""
    return Fault(path, text, f"* {{place}}: {text}\n")


def check_part(part: dict[str, Any], path: FieldPath, faults: list[Fault]) -> None:
    """A part is one kind of data."""
    data = part.keys() & _DATA
    if len(data) > 1:
        faults.append(rule(path, f"oneof field 'data' is set more than once: {sorted(data)}"))
    elif not data and not part.keys() & _PART_EXTRAS:
        faults.append(rule(path, "required oneof field 'data' must have one initialized field"))


def _check_generate(request: dict[str, Any], path: FieldPath, faults: list[Fault]) -> None:
    contents = request.get("contents")
    if not contents:
        faults.append(rule((path, "contents"), "contents is not specified"))
        return
    for index, content in enumerate(contents):
        place = ((path, "contents"), index)
        if not content:
            continue  # it was not an object, and is refused as that
        if content.get("role", "user") not in _ROLES:
            faults.append(rule((place, "role"), "Please use a valid role: user, model."))
        if not content.get("parts"):
            faults.append(rule((place, "parts"), "contents.parts must not be empty."))
    instruction: dict[str, Any] = request.get("systemInstruction", {})
    if instruction.get("role", "system") not in _INSTRUCTION_ROLES:
        place = ((path, "system_instruction"), "role")
        faults.append(rule(place, "Please use a valid role: user, model."))


def check_embed(request: dict[str, Any], path: FieldPath, faults: list[Fault]) -> None:
    """What is to be embedded has a part."""
    content: dict[str, Any] = request.get("content", {})
    if not content.get("parts"):
        faults.append(rule((path, "content"), "content is not specified"))


def _check_source(config: dict[str, Any], path: FieldPath, faults: list[Fault]) -> None:
    if len(config) != 1:
        text = "oneof field 'source' must be set exactly once: file_name or requests"
        faults.append(rule(path, text))


def required(field: str) -> Check:
    """The check that a message has a field."""

    def check(message: dict[str, Any], path: FieldPath, faults: list[Fault]) -> None:
        if field not in message:
            faults.append(rule((path, field), f"{field} is not specified"))

    return check


_CHECKS: Mapping[str, Check] = {
    "Part": check_part,
    "GenerateContentRequest": _check_generate,
    "EmbedContentRequest": check_embed,
    "InputConfig": _check_source,
    "InputEmbedContentConfig": _check_source,
    "InlinedRequest": required("request"),
    "InlinedEmbedContentRequest": required("request"),
    "GenerateContentLine": required("request"),
    "EmbedContentLine": required("request"),
    "BatchGenerateContentRequest": required("batch"),
    "AsyncBatchEmbedContentRequest": required("batch"),
}
_MESSAGES = FieldTable(
    _TABLE, "type.googleapis.com/google.ai.generativelanguage.v1beta.", _ADDED_FIELDS, _CHECKS
)
