"""What row faults make of a job's output: which rows they befall, their answers, their lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from batchkit.emulator.answering import dumps_answer
from batchkit.emulator.disorder import seeded_order
from batchkit.emulator.errors import AnswerError
from batchkit.emulator.rows import LABEL, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from batchkit.emulator.faults import RowFault
    from batchkit.emulator.rows import Rows

    Change = Callable[[Any], Any]

__all__ = ["Blemishes", "befallen", "broken_line", "spoilt", "versions"]

Blemishes: TypeAlias = "Mapping[int, RowFault]"

_BLOCKED = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
_STRANGER = "nobody asked this"
_MESSAGES = {
    8: "Resource has been exhausted (e.g. check quota).",
    9: "Service agents are being provisioned.",
    13: "Internal error encountered.",
    14: "The service is currently unavailable.",
}


def befallen(faults: Sequence[RowFault], rows: Rows, seed: str) -> dict[int, RowFault]:
    """The fault of each row that has one, by its number: the faults divide the rows up."""
    found: dict[int, RowFault] = {}
    if not faults:
        return found
    order: list[int] = seeded_order(f"{seed}/faults", len(rows)).tolist()
    for fault in faults:
        there = _rows_with(rows, fault.where) if fault.where else None
        candidates = [number for number in order if there is None or number in there]
        wanted = round(fault.share * len(candidates))
        free = [number for number in candidates if number not in found]
        found |= dict.fromkeys(free[:wanted], fault)
    return found


def spoilt(fault: RowFault | None, response: dict[str, Any]) -> dict[str, Any]:
    """An answer as its fault makes it; AnswerError when that is an error."""
    kind = fault.kind if fault else ""
    if fault and kind == "error":
        raise AnswerError(fault.code, fault.message or _MESSAGES.get(fault.code, "Failed."))
    if kind == "empty":
        return {}
    if kind == "garble":
        return _halved(response)
    if "candidates" in response and kind == "block":
        usage: dict[str, Any] = response.get("usageMetadata", {})
        prompt = {name: value for name, value in usage.items() if name == "promptTokenCount"}
        return {**_BLOCKED, "usageMetadata": prompt}
    if "candidates" in response and kind == "truncate":
        cut: list[dict[str, Any]] = _halved(response)["candidates"]
        return {**response, "candidates": [{**each, "finishReason": "MAX_TOKENS"} for each in cut]}
    return response


def versions(
    fault: RowFault | None, row: Row, *, breaks_lines: bool = True
) -> list[tuple[Row, Change]]:
    """The lines of a row: whose they say they are, and what becomes of the response in each.

    With `breaks_lines` a fault that breaks one is left to `broken_line`.
    """
    kind = fault.kind if fault else ""
    if kind == "drop":
        return []
    if kind == "repeat":
        return [(row, _same), (row, _same)]
    if kind == "contradict":
        return [(row, _same), (row, _contrary)]
    if kind == "unkey":
        return [(_nameless(row), _same)]
    if kind == "stray":
        return [(_strange(row), _same)]
    is_broken = kind == "break" and not breaks_lines
    return [(row, _half_text if is_broken else _same)]


def broken_line(fault: RowFault | None, text: bytes) -> bytes:
    """A line's bytes, half of them where its fault breaks it."""
    return text[: len(text) // 2] if fault and fault.kind == "break" else text


def _rows_with(rows: Rows, text: str) -> set[int]:
    return {number for number, row in enumerate(rows.read_all()) if _says(row.request, text)}


def _says(value: Any, text: str) -> bool:
    """Whether a text occurs in a text anywhere in a JSON value."""
    if isinstance(value, str):
        return text in value
    if isinstance(value, dict):
        return any(_says(each, text) for each in cast("dict[str, Any]", value).values())
    return isinstance(value, list) and any(_says(each, text) for each in cast("list[Any]", value))


def _same(response: Any) -> Any:
    return response


def _half_text(response: Any) -> Any:
    text = dumps_answer(response).decode()
    return text[: len(text) // 2]


def _contrary(response: Any) -> Any:
    """Another answer of the same form."""
    return _mapped(response, lambda text: f"{text} Or not.", lambda values: np.array(values[::-1]))


def _halved(response: dict[str, Any]) -> dict[str, Any]:
    def half(value: Any) -> Any:
        return value[: len(value) // 2]

    return _mapped(response, half, half)


def _mapped(response: dict[str, Any], of_text: Change, of_vector: Change) -> dict[str, Any]:
    """A response with other texts, or another vector."""
    candidates: list[dict[str, Any]] = response.get("candidates", [])
    if candidates:
        return {**response, "candidates": [_other_texts(each, of_text) for each in candidates]}
    for name in ("embedding", "embeddings"):  # the second is of the older models
        if name in response:
            vector: dict[str, Any] = response[name]
            return {**response, name: {**vector, "values": of_vector(vector["values"])}}
    return response


def _other_texts(candidate: dict[str, Any], of_text: Change) -> dict[str, Any]:
    content: dict[str, Any] = candidate.get("content", {})
    parts = [
        {**part, "text": of_text(part["text"])} if "text" in part else part
        for part in content.get("parts", [])
    ]
    return {**candidate, "content": {**content, "parts": parts}} if parts else candidate


def _nameless(row: Row) -> Row:
    request = {name: value for name, value in row.request.items() if name != "labels"}
    return Row(request, {})


def _strange(row: Row) -> Row:
    """A row that nobody has asked for."""
    tag: dict[str, Any] = row.tag
    if "metadata" in tag:
        tag = {"metadata": {**tag["metadata"], "key": _STRANGER}}
    elif "key" in tag:
        tag = {"key": _STRANGER}
    request = dict(row.request)
    if "labels" in request:
        request["labels"] = {**request["labels"], LABEL: "nobody"}
    content = {"role": "user", "parts": [{"text": _STRANGER}]}
    if "contents" in request:
        request["contents"] = [content]
    elif "content" in request:
        is_text = isinstance(request["content"], str)
        request["content"] = _STRANGER if is_text else content
    return Row(request, tag)
