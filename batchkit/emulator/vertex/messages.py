"""Vertex AI's messages: Google's field table, and rules beyond types."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchkit.emulator.errors import AnswerError, Rpc
from batchkit.emulator.fieldtable import FieldTable
from batchkit.emulator.messages import check_embed, check_part, required, rule
from batchkit.emulator.protojson import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchkit.emulator.models import Kind
    from batchkit.emulator.protojson import Check
    from batchkit.emulator.protojson import Path as FieldPath

__all__ = ["decode_job", "decode_nothing", "decode_request"]

_TABLE = Path(__file__).parent.parent.parent / "facts" / "aiplatform_v1.json"
_PACKAGE = "type.googleapis.com/google.cloud.aiplatform.v1."
_REQUESTS: Mapping[Kind, str] = {
    "generate": "GenerateContentRequest",
    "embed": "EmbedContentRequest",
}
# Unlike the Developer API, this service wants one: the failure in
# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-cloud-storage
_ROLES = frozenset({"user", "model"})
_ROLE = "Please use a valid role: user, model."


def decode_job(text: bytes) -> dict[str, Any]:
    """The body of a create; ApiError 400 naming each field that is refused."""
    return _MESSAGES.decode_body("BatchPredictionJob", text)


def decode_nothing(text: bytes) -> None:
    """A body without any field; ApiError 400 for another."""
    _MESSAGES.decode_body("Empty", text)


def decode_request(kind: Kind, request: dict[str, Any]) -> dict[str, Any]:
    """A row's request as a message; AnswerError for one that the model does not get to see."""
    faults: list[Fault] = []
    message = _MESSAGES.decoder(_REQUESTS[kind], lenient=True)(request, None, faults)
    if faults:
        text = "\n".join(fault.description.strip() for fault in faults)
        raise AnswerError(Rpc.INVALID_ARGUMENT, text)
    return message


def _check_generate(request: dict[str, Any], path: FieldPath, faults: list[Fault]) -> None:
    contents: list[dict[str, Any]] = request.get("contents", [])
    if not contents:
        faults.append(rule((path, "contents"), "contents is not specified"))
    for index, content in enumerate(contents):
        place = ((path, "contents"), index)
        if content.get("role") not in _ROLES:
            faults.append(Fault((place, "role"), _ROLE, _ROLE))
        if not content.get("parts"):
            faults.append(rule((place, "parts"), "contents.parts must not be empty."))


def _check_exactly(*fields: str) -> Check:
    def check(message: dict[str, Any], path: FieldPath, faults: list[Fault]) -> None:
        given = [name for name in fields if name in message]
        if len(given) != 1:
            text = f"exactly one of {', '.join(fields)} must be set"
            faults.append(rule(path, text))

    return check


def _check_all(*checks: Check) -> Check:
    def check(message: dict[str, Any], path: FieldPath, faults: list[Fault]) -> None:
        for each in checks:
            each(message, path, faults)

    return check


_CHECKS: Mapping[str, Check] = {
    "Part": check_part,
    "GenerateContentRequest": _check_generate,
    "EmbedContentRequest": check_embed,
    "BatchPredictionJob": _check_all(
        required("displayName"),
        required("model"),
        required("inputConfig"),
        required("outputConfig"),
    ),
    "BatchPredictionJobInputConfig": _check_all(
        required("instancesFormat"),
        _check_exactly("gcsSource", "bigquerySource", "vertexMultimodalDatasetSource"),
    ),
    "BatchPredictionJobOutputConfig": _check_all(
        required("predictionsFormat"),
        _check_exactly(
            "gcsDestination", "bigqueryDestination", "vertexMultimodalDatasetDestination"
        ),
    ),
    "GcsSource": required("uris"),
    "BigQuerySource": required("inputUri"),
    "GcsDestination": required("outputUriPrefix"),
    "BigQueryDestination": required("outputUri"),
}
_MESSAGES = FieldTable(_TABLE, _PACKAGE, {"Empty": {}}, _CHECKS)
