"""What became of a row: its status, the answer as columns, and the map from finish reasons."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "FINISH_STATUSES",
    "STATUSES",
    "Response",
    "Status",
    "finish_status",
    "response_batch",
    "response_schema",
]

Status: TypeAlias = Literal[
    "ok",
    "truncated",
    "blocked",
    "empty",
    "malformed",
    "error",
    "missing",
    "rejected",
    "pending",
]
STATUSES: tuple[Status, ...] = get_args(Status)

# Every finishReason of both field tables; a test holds the map to them.
# https://ai.google.dev/api/generate-content#FinishReason
FINISH_STATUSES: Mapping[str, Status] = MappingProxyType(
    {
        "STOP": "ok",
        "MAX_TOKENS": "truncated",
        "SAFETY": "blocked",
        "RECITATION": "blocked",
        "LANGUAGE": "blocked",
        "BLOCKLIST": "blocked",
        "PROHIBITED_CONTENT": "blocked",
        "SPII": "blocked",
        "MODEL_ARMOR": "blocked",
        "IMAGE_SAFETY": "blocked",
        "IMAGE_PROHIBITED_CONTENT": "blocked",
        "IMAGE_RECITATION": "blocked",
        "NO_IMAGE": "empty",
        "MALFORMED_FUNCTION_CALL": "malformed",
        "MALFORMED_RESPONSE": "malformed",
        "CONTINUATION": "truncated",
        "OTHER": "error",
        "IMAGE_OTHER": "error",
        "UNEXPECTED_TOOL_CALL": "error",
        "TOO_MANY_TOOL_CALLS": "error",
        "MISSING_THOUGHT_SIGNATURE": "error",
        "FINISH_REASON_UNSPECIFIED": "error",
    }
)


def finish_status(reason: str) -> Status:
    """The status a finish reason means; one that is not known is an `error`, never an answer."""
    return FINISH_STATUSES.get(reason, "error")


@dataclass(frozen=True, slots=True)
class Response:
    """One answer, decoded: what a line of an output file, or an inlined response, says.

    `text` leaves thoughts out and is None when the answer holds only function calls or media;
    `embedding` is a float32 vector. Token counts are None where the service gave none.
    `request_hash` is that of the echoed request, None without an echo, and `label` our label in
    it; `body` the untouched response object where it was asked for.
    """

    key: str | None
    status: Status
    text: str | None = None
    embedding: NDArray[np.float32] | None = None
    finish_reason: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    thoughts_tokens: int | None = None
    cached_tokens: int | None = None
    total_tokens: int | None = None
    model_version: str | None = None
    notes: tuple[str, ...] = ()
    request_hash: str | None = None
    label: str | None = None
    body: str | None = None


_TOKENS = ("prompt", "output", "thoughts", "cached", "total")
_DETAILS: tuple[tuple[str, pa.DataType], ...] = (
    ("status", pa.string()),
    ("finish_reason", pa.string()),
    ("error_code", pa.string()),
    ("error_message", pa.string()),
    *((f"{name}_tokens", pa.int64()) for name in _TOKENS),
    ("model_version", pa.string()),
    ("notes", pa.list_(pa.string())),
)
_ANSWERS: Mapping[str, tuple[str, pa.DataType]] = MappingProxyType(
    {
        "response": ("text", pa.large_string()),
        "embedding": ("embedding", pa.list_(pa.float32())),
    }
)


def response_schema(answers: Sequence[str]) -> pa.Schema:
    """The columns an answer takes: the named answer columns, then status, reasons and tokens."""
    named = [(name, _ANSWERS[name][1]) for name in answers]
    return pa.schema([pa.field(name, kind) for name, kind in (*named, *_DETAILS)])


def response_batch(responses: Sequence[Response], answers: Sequence[str]) -> pa.RecordBatch:
    """The responses as one batch of `response_schema(answers)`, in the order given."""
    schema = response_schema(answers)
    columns = [_column(responses, field) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _column(responses: Sequence[Response], field: pa.Field) -> pa.Array:
    if field.name == "embedding":
        return _embeddings([response.embedding for response in responses])
    attribute = _ANSWERS[field.name][0] if field.name in _ANSWERS else field.name
    return pa.array([getattr(response, attribute) for response in responses], field.type)


def _embeddings(vectors: Sequence[NDArray[np.float32] | None]) -> pa.Array:
    """Vectors as list<float32> without a Python float in between."""
    lengths = np.fromiter(
        (0 if vector is None else len(vector) for vector in vectors), np.int32, len(vectors)
    )
    offsets = np.zeros(len(vectors) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    present = [vector for vector in vectors if vector is not None]
    values = np.concatenate(present) if present else np.empty(0, np.float32)
    missing = np.fromiter((vector is None for vector in vectors), np.bool_, len(vectors))
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(values, pa.float32()), mask=pa.array(missing)
    )
