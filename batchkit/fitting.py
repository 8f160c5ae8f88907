"""A response held against what was asked: the kind of answer, the vector's length, the schema."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from batchkit import jsonl
from batchkit.schema import answer_value, mismatch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from batchkit.outcome import Response
    from batchkit.specs.spec import Spec

__all__ = ["fitted"]

# Models whose vectors may be cut short, because their first values say the most:
# https://ai.google.dev/gemini-api/docs/embeddings#control-embedding-size
_SHORTENABLE = ("gemini-embedding-", "text-embedding-00", "text-multilingual-embedding-002")


def fitted(response: Response, spec: Spec) -> tuple[Response, Any]:
    """The response held against what was asked, and its answer by schema."""
    if response.status not in {"ok", "truncated"}:
        return response, None
    reason = _other_than_asked(response, spec)
    if reason:
        return replace(response, status="malformed", embedding=None, error_message=reason), None
    if response.embedding is not None:
        return _with_vector(response, response.embedding, spec), None
    schema = spec.answer_schema
    if schema is None or response.status != "ok" or response.text is None:
        return response, None
    return _by_schema(response, response.text, schema)


def _other_than_asked(response: Response, spec: Spec) -> str | None:
    """Why an answer is not of the kind that was asked for, or its vector not of the length."""
    vector = response.embedding
    if vector is None and "embedding" in spec.answers:
        return "the answer is no vector, and one was asked for"
    if vector is not None and "embedding" not in spec.answers:
        return "the answer is a vector, and none was asked for"
    wanted = getattr(spec, "dimensions", None)
    if not wanted or vector is None or len(vector) == wanted:
        return None
    if len(vector) > wanted and spec.model.startswith(_SHORTENABLE):
        return None
    return f"the vector has {len(vector)} values, {wanted} were asked for"


def _with_vector(response: Response, vector: NDArray[np.float32], spec: Spec) -> Response:
    """The vector as it was asked for, with a note of what was done to it here."""
    wanted: int = getattr(spec, "dimensions", None) or len(vector)
    is_long = len(vector) > wanted
    if not is_long and not getattr(spec, "normalize", False):
        return response
    length = float(np.linalg.norm(vector[:wanted]))
    if is_long:
        note = f"shortened from {len(vector)} to {wanted} values and normalised"
    else:
        note = "normalised"
    unit = (vector[:wanted] / length).astype(np.float32) if length else vector[:wanted]
    return replace(response, embedding=unit, notes=(*response.notes, note))


def _by_schema(response: Response, text: str, schema: Mapping[str, Any]) -> tuple[Response, Any]:
    try:
        value = jsonl.loads_lenient(text.encode())
    except (ValueError, RecursionError) as error:
        reason = f"the answer is not JSON: {error}"
        return replace(response, status="malformed", error_message=reason), None
    reason = mismatch(value, schema)
    if reason:
        said = f"the answer does not fit the schema: {reason}"
        return replace(response, status="malformed", error_message=said), None
    return response, answer_value(value, schema)
