"""The lines of both services: how a request is framed, and what a response line says."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from batchkit import jsonl
from batchkit.answer import decode_answer
from batchkit.canonical import request_hash
from batchkit.fields import Service, field_table
from batchkit.label import label_of
from batchkit.outcome import Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "CODES",
    "DIALECTS",
    "RPC_REASONS",
    "Dialect",
    "Kind",
    "decode_item",
    "decode_line",
    "dialect_for",
    "rpc_reason",
]

Kind: TypeAlias = Literal["generate", "embed"]
T = TypeVar("T")
HashEcho: TypeAlias = Literal["always", "unnamed"]

# fmt: off
# google.rpc.Code, https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
RPC_REASONS = (
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
CODES = MappingProxyType({str(n): n for n in (*range(len(RPC_REASONS)), *_HTTP_REASONS)})
_EXACT_INTEGER = 2**53
_TOO_DEEP = "the line is nested too deep to be read"
# "Bad Request: {"error": {…}}", the status column of Vertex rows
# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-cloud-storage
_STATUS = re.compile(r"^(?:[^:{]*:)?\s*(\{.*\})\s*$", re.DOTALL)
# What a line says of its answer, so that a line that has one of these and no `response` is one.
_ANSWER = frozenset({"candidates", "promptFeedback", "embedding", "usageMetadata"})
_FRAME = frozenset({"request", "response", "instance", "predictions"})


@dataclass(frozen=True, slots=True)
class Dialect:
    """One format of request lines: which service reads it, for which kind of request.

    `request_type` is the request's message in the service's field table. `keyed` says whether a
    line carries a key, `labelled` whether its request carries our label instead, `wrapped` whether
    the request stands under `request`, `echoes` whether the service sends it back.
    """

    name: str
    service: Service
    kind: Kind
    request_type: str
    keyed: bool = True
    labelled: bool = False
    wrapped: bool = True
    echoes: bool = False

    def framed(self, keys: T, body: Sequence[T | bytes]) -> list[T | bytes]:
        """The segments of a line with its newline; `keys` are the insides of JSON strings."""
        key = [b'{"key":"', keys, b'","request":'] if self.keyed else [b'{"request":']
        return [*key, *body, b"}\n"] if self.wrapped else [*body, b"\n"]

    def hash(self, line: bytes) -> str | None:
        """The hash of the request on a line of ours, which that of its echo equals."""
        item = jsonl.loads(line)
        request = item["request"] if self.wrapped else item
        return request_hash(request, field_table(self.service), self.request_type)


# Keyed lines: https://ai.google.dev/gemini-api/docs/batch-api, https://docs.cloud.google.com/
# gemini-enterprise-agent-platform/models/embeddings/batch-prediction-genai-embeddings
_GEMINI_GENERATE = Dialect("gemini-generate", "gemini", "generate", "GenerateContentRequest")
_GEMINI_EMBED = Dialect("gemini-embed", "gemini", "embed", "EmbedContentRequest")
_VERTEX_GENERATE = Dialect(
    "vertex-generate",
    "vertex",
    "generate",
    "GenerateContentRequest",
    keyed=False,
    labelled=True,
    echoes=True,
)
# The rows of a request table, whose other columns come back with the answers.
_VERTEX_TABLE = Dialect(
    "vertex-generate-table", "vertex", "generate", "GenerateContentRequest", echoes=True
)
_VERTEX_EMBED = Dialect("vertex-embed", "vertex", "embed", "EmbedContentRequest", echoes=True)
_VERTEX_LEGACY = Dialect(
    "vertex-embed-legacy",
    "vertex",
    "embed",
    "LegacyInstance",
    keyed=False,
    wrapped=False,
    echoes=True,
)
DIALECTS: tuple[Dialect, ...] = (
    _GEMINI_GENERATE,
    _GEMINI_EMBED,
    _VERTEX_GENERATE,
    _VERTEX_TABLE,
    _VERTEX_EMBED,
    _VERTEX_LEGACY,
)
_LEGACY_MODELS = ("text-embedding-", "text-multilingual-embedding-", "textembedding-gecko")


def dialect_for(service: Service, kind: Kind, model: str = "", *, table: bool = False) -> Dialect:
    """The format in which this service reads this kind of request, as lines or as a table."""
    if service == "gemini":
        return _GEMINI_GENERATE if kind == "generate" else _GEMINI_EMBED
    if kind == "generate":
        return _VERTEX_TABLE if table else _VERTEX_GENERATE
    return _VERTEX_LEGACY if model.startswith(_LEGACY_MODELS) else _VERTEX_EMBED


def rpc_reason(code: object) -> str:
    """The name of a google.rpc or HTTP code; `CODE_n` when it is neither."""
    if isinstance(code, str) and code in CODES:
        code = CODES[code]
    if isinstance(code, int) and 0 <= code < len(RPC_REASONS):
        return RPC_REASONS[code]
    if isinstance(code, int) and code in _HTTP_REASONS:
        return _HTTP_REASONS[code]
    return "UNKNOWN" if code is None else f"CODE_{code}"


def decode_line(
    line: bytes, *, keep_body: bool = False, hash_echo: HashEcho = "always"
) -> Response:
    """What one line of any output file says; a line that cannot be read is `malformed`, no error.

    `keep_body` keeps the untouched response object as JSON text. A hash costs as much as all the
    rest: with `hash_echo="unnamed"` only a line without key and label gets one.
    """
    try:
        item = jsonl.loads_lenient(line)
    except ValueError as error:
        return Response(None, "malformed", error_message=f"not JSON: {error}")
    except RecursionError:
        return Response(None, "malformed", error_message=_TOO_DEEP)
    return decode_item(item, keep_body=keep_body, hash_echo=hash_echo)


def decode_item(item: Any, *, keep_body: bool = False, hash_echo: HashEcho = "always") -> Response:
    """What one line of an output file, or one inlined response, says once it is read."""
    if not jsonl.is_object(item):
        return Response(None, "malformed", error_message="the line is not a JSON object")
    answer = _answer(item)
    try:
        response = _failure(item, answer) or _decoded(item, answer)
    except RecursionError:  # the parser reads deeper than Python can print
        response = Response(None, "malformed", error_message=_TOO_DEEP)
    key, echo = _key(item), _opened(item.get("request"))
    label = label_of(echo) if jsonl.is_object(echo) else None
    is_hashed = hash_echo == "always" or (key is None and label is None)
    return replace(
        response,
        key=key,
        request_hash=_echo_hash(echo, item) if is_hashed else None,
        label=label,
        body=_body(answer) if keep_body else None,
    )


def _answer(item: dict[str, Any]) -> Any:
    """The object that answers, whatever it stands under; the line itself when it stands bare."""
    for name in ("response", "predictions"):
        if item.get(name) is not None:
            return _opened(item[name])
    return None if _ANSWER.isdisjoint(item) else item


def _opened(value: Any) -> Any:
    """The value that a text column of BigQuery holds as JSON; what is no such text as it is."""
    if not isinstance(value, str):
        return value
    try:
        return jsonl.loads(value)
    except ValueError:
        return value


def _decoded(item: dict[str, Any], answer: Any) -> Response:
    is_legacy = item.get("response") is None and item.get("predictions") is not None
    return decode_answer(_prediction(answer) if is_legacy else answer)


def _key(item: dict[str, Any]) -> str | None:
    for holder in (item, item.get("metadata"), item.get("instance")):
        key = holder.get("key") if jsonl.is_object(holder) else None
        if isinstance(key, str):
            return key
        # The metadata of an inlined request is a Struct, whose numbers are all doubles.
        if isinstance(key, float) and key.is_integer() and abs(key) < _EXACT_INTEGER:
            key = int(key)
        if isinstance(key, int) and not isinstance(key, bool):
            return str(key)
    return None


def _body(answer: Any) -> str | None:
    try:
        return None if answer is None else jsonl.dumps(answer).decode()
    except TypeError:  # nested deeper than JSON is written
        return None


def _echo_hash(echo: Any, item: dict[str, Any]) -> str | None:
    """Hash of the echoed request, or of what a text-embedding row echoes: an instance, or a text.

    The text is a column of its table.
    """
    text = item.get("content")
    instance = {"content": text} if isinstance(text, str) else item.get("instance")
    embeds = jsonl.is_object(echo) and echo.get("content") is not None
    kind = "EmbedContentRequest" if embeds else "GenerateContentRequest"
    if not jsonl.is_object(echo):
        echo, kind = instance, _VERTEX_LEGACY.request_type
    try:
        return request_hash(echo, field_table("vertex"), kind) if jsonl.is_object(echo) else None
    except (TypeError, RecursionError):  # nested deeper than any request of ours
        return None


def _failure(item: dict[str, Any], answer: Any) -> Response | None:
    """What went wrong, as `error`, as the `status` of a Vertex row, or as a bare google.rpc.Status.

    An empty status is that of a row that went well, and so is an empty error beside an answer.
    """
    error, status = item.get("error"), item.get("status")
    if "code" in item and _FRAME.isdisjoint(item) and answer is None and not error:
        return _error(item)
    if error or (jsonl.is_object(error) and answer is None):
        return _error(error)
    if jsonl.is_object(status):
        return _error(status) if status.get("code") or status.get("error") else None
    return _error_text(status) if isinstance(status, str) and status else None


def _error(error: Any) -> Response:
    """An error object, however often wrapped, or the text of one."""
    while jsonl.is_object(error) and error.get("error"):
        error = error["error"]
    if not jsonl.is_object(error):
        return _error_text(str(error))
    reason = error.get("status") or rpc_reason(error.get("code") or None)
    message = error.get("message") or (str(error) if error and reason == "UNKNOWN" else None)
    return Response(
        None, "error", error_code=str(reason), error_message=str(message) if message else None
    )


def _error_text(text: str) -> Response:
    """`Bad Request: {"error": {…}}`, or a reason, or whatever it says."""
    matched = _STATUS.match(text)
    said = _opened(matched[1]) if matched else None
    if jsonl.is_object(said):
        response = _error(said)
        return replace(response, error_message=response.error_message or text)
    reason = text.partition(":")[0].strip()
    code = reason if reason in RPC_REASONS[1:] else "UNKNOWN"
    return Response(None, "error", error_code=code, error_message=text)


def _prediction(predictions: Any) -> Any:
    """The first of a text-embedding row, `[{"embeddings": {…}}]`, in the form of today's models."""
    first = predictions[0] if jsonl.is_list(predictions) and predictions else None
    embeddings = first.get("embeddings") if jsonl.is_object(first) else None
    if not jsonl.is_object(embeddings):
        return None
    statistics = embeddings.get("statistics")
    counts = statistics if jsonl.is_object(statistics) else {}
    return {
        "embedding": {"values": embeddings.get("values")},
        "tokenCount": counts.get("token_count"),
        "truncated": counts.get("truncated"),
    }
