"""The response object of either service, decoded: text without thoughts, or a vector, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from batchkit import jsonl
from batchkit.outcome import Response, finish_status

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MEDIA", "decode_answer"]

# A part that is an answer although it holds no text.
MEDIA = (
    "functionCall",
    "inlineData",
    "fileData",
    "executableCode",
    "codeExecutionResult",
    "functionResponse",
    "audioTranscription",
)
_DIGITS = 19  # of the largest int64


def decode_answer(answer: Any) -> Response:
    """What a GenerateContentResponse or EmbedContentResponse says; None means no answer came."""
    if answer is None:
        return Response(None, "empty", error_message="the line has neither response nor error")
    if not jsonl.is_object(answer):
        return _malformed("the response is not an object")
    embedding = answer.get("embedding")
    decoded = _generated(answer) if embedding is None else _embedding(embedding)
    if embedding is not None and answer.get("truncated") is True:
        decoded = replace(decoded, notes=("text was longer than the model reads",))
    return _with_usage(decoded, answer)


def _malformed(reason: str) -> Response:
    return Response(None, "malformed", error_message=reason)


def _embedding(embedding: Any) -> Response:
    values = embedding.get("values") if jsonl.is_object(embedding) else None
    if values is None or values == []:
        return Response(None, "empty", error_message="the embedding has no values")
    try:
        numbers = np.array(values)
    except ValueError:  # lists of several lengths
        return _malformed("the embedding is not a list of numbers")
    if numbers.ndim != 1 or numbers.dtype.kind not in "fiu":
        return _malformed("the embedding is not a list of numbers")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        vector: NDArray[np.float32] = numbers.astype(np.float32)
    if not np.isfinite(vector).all():
        return _malformed("the embedding is not a list of finite numbers")
    return Response(None, "ok", embedding=vector)


def _generated(answer: dict[str, Any]) -> Response:
    candidates: Any = answer.get("candidates") or []
    if not jsonl.is_list(candidates) or not all(jsonl.is_object(c) for c in candidates):
        return _malformed("candidates are not a list of objects")
    if not candidates:
        said = Response(None, "empty", error_message="the response has no candidate")
        return _unless_blocked(said, answer.get("promptFeedback"))
    notes = (f"candidates: {len(candidates)}",) if len(candidates) > 1 else ()
    said = _candidate(min(candidates, key=_index), notes)
    return said if said.status != "empty" else _unless_blocked(said, answer.get("promptFeedback"))


def _index(candidate: dict[str, Any]) -> int:
    index = candidate.get("index")
    return index if isinstance(index, int) else 0


def _unless_blocked(response: Response, feedback: Any) -> Response:
    """Nothing was answered because the prompt was blocked, if that is what the feedback says."""
    reason = feedback.get("blockReason") if jsonl.is_object(feedback) else None
    if not reason:
        return response
    said = feedback.get("blockReasonMessage") or "the prompt was blocked"
    return replace(response, status="blocked", error_code=str(reason), error_message=str(said))


def _candidate(candidate: dict[str, Any], notes: tuple[str, ...]) -> Response:
    text, usable = _parts(candidate.get("content"))
    reason, message = candidate.get("finishReason"), candidate.get("finishMessage")
    response = Response(
        None,
        finish_status(str(reason)) if reason else "ok",
        text=text,
        finish_reason=str(reason) if reason else None,
        error_message=str(message) if message else None,
        notes=notes if reason or not usable else (*notes, "the service gave no finish reason"),
    )
    if response.status == "ok" and not usable:
        said = response.error_message or "the candidate has no usable part"
        return replace(response, status="empty", error_message=said)
    if response.status in {"error", "blocked", "malformed"}:
        said = response.error_message or f"the model stopped: {reason}"
        return replace(response, error_code=str(reason), error_message=said)
    return response


def _parts(content: Any) -> tuple[str | None, bool]:
    """The text without thoughts, and whether any part is an answer."""
    parts = content.get("parts") if jsonl.is_object(content) else None
    listed = parts if jsonl.is_list(parts) else [parts]
    objects = [part for part in listed if jsonl.is_object(part) and part.get("thought") is not True]
    texts = [part["text"] for part in objects if isinstance(part.get("text"), str)]
    text = "".join(texts) or None
    # A service may pad a part with nulls for the fields it has not.
    usable = text is not None or any(
        part.get(name) is not None for part in objects for name in MEDIA
    )
    return text, usable


def _with_usage(response: Response, answer: dict[str, Any]) -> Response:
    usage = answer.get("usageMetadata")
    counts = usage if jsonl.is_object(usage) else {}
    version = answer.get("modelVersion")
    tokens = _count(answer.get("tokenCount"))  # of the text embedded
    prompt, total = _count(counts.get("promptTokenCount")), _count(counts.get("totalTokenCount"))
    return replace(
        response,
        prompt_tokens=tokens if prompt is None else prompt,
        output_tokens=_count(counts.get("candidatesTokenCount")),
        thoughts_tokens=_count(counts.get("thoughtsTokenCount")),
        cached_tokens=_count(counts.get("cachedContentTokenCount")),
        total_tokens=tokens if total is None else total,
        model_version=version if isinstance(version, str) else None,
    )


def _count(value: Any) -> int | None:
    """A token count, which comes as a number or, int64 in proto JSON, as text."""
    is_digits = isinstance(value, str) and value.isascii() and value.isdigit()
    number: Any = int(value) if is_digits and len(value) <= _DIGITS else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        return None
    return int(number) if 0 <= number < 2**63 and number == int(number) else None
