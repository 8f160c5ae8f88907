"""The lines of both services: how a request is framed, and what a response line says."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from batchkit import jsonl
from batchkit.answer import decode_answer
from batchkit.canonical import request_hash
from batchkit.fields import Service, field_table
from batchkit.outcome import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DIALECTS", "Dialect", "Kind", "decode_item", "decode_line", "dialect_for", "rpc_reason"]

Kind: TypeAlias = Literal["generate", "embed"]

# fmt: off
# google.rpc.Code, https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
_RPC_REASONS = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
    "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",
    "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)
_HTTP_REASONS: Mapping[int, str] = MappingProxyType({
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED", 409: "ABORTED", 412: "FAILED_PRECONDITION", 413: "TOO_LARGE",
    416: "OUT_OF_RANGE", 429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 500: "INTERNAL",
    501: "UNIMPLEMENTED", 502: "UNAVAILABLE", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
})
# fmt: on
# "Bad Request: {"error": {…}}", the status column of Vertex rows
# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-cloud-storage
_STATUS = re.compile(r"^[^:{]*:\s*(\{.*\})\s*$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One format of request lines: which service reads it, for which kind of request.

    `request_type` is the request's message in the service's field table, `keyed` whether a line
    may carry a key, `wrapped` whether the request stands under `request`.
    """

    name: str
    service: Service
    kind: Kind
    request_type: str
    keyed: bool = True
    wrapped: bool = True

    @property
    def frame(self) -> tuple[bytes, bytes, bytes]:
        """What stands before the key's text, between it and the request, and after the request."""
        return b'{"key":"', b'","request":', b"}\n"

    def line(self, key: str, body: bytes) -> bytes:
        """One request line with its newline; `body` is the request as JSON text."""
        before, between, after = self.frame
        return b"".join([before, jsonl.dumps(key)[1:-1], between, body, after])


# Keyed lines: https://ai.google.dev/gemini-api/docs/batch-api, https://docs.cloud.google.com/
# gemini-enterprise-agent-platform/models/embeddings/batch-prediction-genai-embeddings
DIALECTS: tuple[Dialect, ...] = (
    Dialect("gemini-generate", "gemini", "generate", "GenerateContentRequest"),
    Dialect("gemini-embed", "gemini", "embed", "EmbedContentRequest"),
    Dialect("vertex-generate", "vertex", "generate", "GenerateContentRequest", keyed=False),
    Dialect("vertex-embed", "vertex", "embed", "EmbedContentRequest"),
    Dialect("vertex-embed-legacy", "vertex", "embed", "LegacyInstance", keyed=False, wrapped=False),
)


def dialect_for(service: Service, kind: Kind) -> Dialect:
    """The format in which this service reads this kind of request."""
    return next(d for d in DIALECTS if (d.service, d.kind) == (service, kind))


def rpc_reason(code: object) -> str:
    """The name of a google.rpc or HTTP code; `CODE_n` when it is neither."""
    if isinstance(code, int) and 0 <= code < len(_RPC_REASONS):
        return _RPC_REASONS[code]
    if isinstance(code, int) and code in _HTTP_REASONS:
        return _HTTP_REASONS[code]
    return "UNKNOWN" if code is None else f"CODE_{code}"


def decode_line(line: bytes, *, keep_body: bool = False) -> Response:
    """What one line of any output file says; a line that cannot be read is `malformed`, no error.

    `keep_body` keeps the untouched response object as JSON text.
    """
    try:
        item = jsonl.loads_lenient(line)
    except ValueError as error:
        return Response(None, "malformed", error_message=f"not JSON: {error}")
    return decode_item(item, keep_body=keep_body)


def decode_item(item: Any, *, keep_body: bool = False) -> Response:
    """What one line of an output file, or one inlined response, says once it is read."""
    if not jsonl.is_object(item):
        return Response(None, "malformed", error_message="the line is not a JSON object")
    response = _decoded(item)
    echo = item.get("request")
    return replace(
        response,
        key=_key(item),
        request_hash=_echo_hash(echo) if jsonl.is_object(echo) else None,
        body=_body(item) if keep_body else None,
    )


def _decoded(item: dict[str, Any]) -> Response:
    error = item.get("error")
    if error is not None:
        return _error(error)
    status = item.get("status")
    if isinstance(status, str) and status:
        return _status_error(status)
    if "predictions" in item or "instance" in item:
        return _legacy(item)
    if "response" in item or "key" in item or "metadata" in item or "request" in item:
        return decode_answer(item.get("response"))
    return decode_answer(item)


def _key(item: dict[str, Any]) -> str | None:
    for holder in (item, item.get("metadata"), item.get("instance")):
        key = holder.get("key") if jsonl.is_object(holder) else None
        if isinstance(key, str):
            return key
        if isinstance(key, int) and not isinstance(key, bool):
            return str(key)
    return None


def _body(item: dict[str, Any]) -> str | None:
    body = item.get("response", item.get("predictions"))
    return None if body is None else jsonl.dumps(body).decode()


def _echo_hash(echo: dict[str, Any]) -> str:
    kind = "EmbedContentRequest" if "content" in echo else "GenerateContentRequest"
    return request_hash(echo, field_table("vertex"), kind)


def _error(error: Any) -> Response:
    if not jsonl.is_object(error):
        return Response(None, "error", error_code="UNKNOWN", error_message=str(error))
    inner = error.get("error")
    if jsonl.is_object(inner):
        return _error(inner)
    reason = error.get("status") or rpc_reason(error.get("code"))
    message = error.get("message")
    return Response(
        None, "error", error_code=str(reason), error_message=str(message) if message else None
    )


def _status_error(status: str) -> Response:
    matched = _STATUS.match(status)
    if matched:
        try:
            return _error(jsonl.loads(matched[1]))
        except ValueError:
            pass
    return Response(None, "error", error_code="UNKNOWN", error_message=status)


def _legacy(item: dict[str, Any]) -> Response:
    """A row of text-embedding models: `{"instance", "predictions": [{"embeddings"}]}`."""
    predictions = item.get("predictions")
    first = predictions[0] if jsonl.is_list(predictions) and predictions else None
    embeddings = first.get("embeddings") if jsonl.is_object(first) else None
    if not jsonl.is_object(embeddings):
        return Response(None, "empty", error_message="the row has no prediction")
    statistics = embeddings.get("statistics")
    counts = statistics if jsonl.is_object(statistics) else {}
    return decode_answer(
        {
            "embedding": {"values": embeddings.get("values")},
            "tokenCount": counts.get("token_count"),
            "truncated": counts.get("truncated"),
        }
    )
