"""The response object of either service, decoded: text without thoughts, or a vector, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from batchkit import jsonl
from batchkit.outcome import Response, finish_status

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["decode_answer"]

# A part that is an answer although it holds no text.
_MEDIA = (
    "functionCall",
    "inlineData",
    "fileData",
    "executableCode",
    "codeExecutionResult",
    "functionResponse",
)


def decode_answer(answer: Any) -> Response:
    """What a GenerateContentResponse or EmbedContentResponse says; None means no answer came."""
    if answer is None:
        return Response(None, "empty", error_message="the line has neither response nor error")
    if not jsonl.is_object(answer):
        return _malformed("the response is not an object")
    decoded = _embedding(answer) if "embedding" in answer else _generated(answer)
    return _with_usage(decoded, answer)


def _malformed(reason: str) -> Response:
    return Response(None, "malformed", error_message=reason)


def _embedding(answer: dict[str, Any]) -> Response:
    embedding = answer["embedding"]
    values = embedding.get("values") if jsonl.is_object(embedding) else None
    if values is None:
        return Response(None, "empty", error_message="the embedding has no values")
    try:
        vector: NDArray[np.float32] = np.array(values, dtype=np.float32)
    except (TypeError, ValueError):
        return _malformed("the embedding is not a list of numbers")
    if vector.ndim != 1 or vector.size == 0 or not np.isfinite(vector).all():
        return _malformed("the embedding is not a list of finite numbers")
    notes = ("text was longer than the model reads",) if answer.get("truncated") is True else ()
    return Response(None, "ok", embedding=vector, notes=notes)


def _generated(answer: dict[str, Any]) -> Response:
    candidates = answer.get("candidates")
    if not candidates:
        return _without_candidate(answer.get("promptFeedback"))
    if not jsonl.is_list(candidates) or not all(jsonl.is_object(c) for c in candidates):
        return _malformed("candidates are not a list of objects")
    notes = (f"candidates: {len(candidates)}",) if len(candidates) > 1 else ()
    first = min(candidates, key=_index)
    return _candidate(first, notes)


def _index(candidate: dict[str, Any]) -> int:
    index = candidate.get("index")
    return index if isinstance(index, int) else 0


def _without_candidate(feedback: Any) -> Response:
    reason = feedback.get("blockReason") if jsonl.is_object(feedback) else None
    if not reason:
        return Response(None, "empty", error_message="the response has no candidate")
    said = feedback.get("blockReasonMessage") or "the prompt was blocked"
    return Response(None, "blocked", error_code=str(reason), error_message=str(said))


def _candidate(candidate: dict[str, Any], notes: tuple[str, ...]) -> Response:
    text, usable = _parts(candidate.get("content"))
    reason = candidate.get("finishReason")
    message = candidate.get("finishMessage")
    response = Response(
        None,
        "ok",
        text=text,
        finish_reason=str(reason) if reason else None,
        error_message=str(message) if message else None,
        notes=notes,
    )
    if reason is None:
        if not usable:
            return replace(response, status="empty")
        return replace(response, notes=(*notes, "the service gave no finish reason"))
    status = finish_status(str(reason))
    if status == "ok" and not usable:
        return replace(response, status="empty")
    if status in {"error", "blocked", "malformed"}:
        said = response.error_message or f"the model stopped: {reason}"
        return replace(response, status=status, error_code=str(reason), error_message=said)
    return replace(response, status=status)


def _parts(content: Any) -> tuple[str | None, bool]:
    """The text without thoughts, and whether any part is an answer."""
    parts = content.get("parts") if jsonl.is_object(content) else None
    listed = parts if jsonl.is_list(parts) else [parts]
    objects = [part for part in listed if jsonl.is_object(part) and part.get("thought") is not True]
    texts = [part["text"] for part in objects if isinstance(part.get("text"), str)]
    text = "".join(texts) or None
    usable = text is not None or any(name in part for part in objects for name in _MEDIA)
    return text, usable


def _with_usage(response: Response, answer: dict[str, Any]) -> Response:
    usage = answer.get("usageMetadata")
    counts = usage if jsonl.is_object(usage) else {}
    version = answer.get("modelVersion")
    prompt = _count(counts.get("promptTokenCount", answer.get("tokenCount")))
    return replace(
        response,
        prompt_tokens=prompt,
        output_tokens=_count(counts.get("candidatesTokenCount")),
        thoughts_tokens=_count(counts.get("thoughtsTokenCount")),
        cached_tokens=_count(counts.get("cachedContentTokenCount")),
        total_tokens=_count(counts.get("totalTokenCount", answer.get("tokenCount"))),
        model_version=version if isinstance(version, str) else None,
    )


def _count(value: Any) -> int | None:
    """A token count, which comes as a number or, int64 in proto JSON, as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return None
