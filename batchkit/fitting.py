"""A response held against what was asked: the kind of answer, the vector's length, the schema."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batchkit import jsonl
from batchkit.schema import answer_value, mismatch

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from batchkit.outcome import Response
    from batchkit.specs.spec import Spec

__all__ = ["fitted"]


def fitted(response: Response, spec: Spec) -> tuple[Response, Any]:
    """The response held against what was asked, and its answer by schema."""
    if response.status not in {"ok", "truncated"}:
        return response, None
    reason = _other_than_asked(response.embedding, spec)
    if reason:
        return replace(response, status="malformed", embedding=None, error_message=reason), None
    schema = spec.answer_schema
    if schema is None or response.status != "ok" or response.text is None:
        return response, None
    return _by_schema(response, response.text, schema)


def _other_than_asked(vector: NDArray[np.float32] | None, spec: Spec) -> str | None:
    """Why an answer is not of the kind that was asked for, or its vector not of the length."""
    if vector is None and "embedding" in spec.answers:
        return "the answer is no vector, and one was asked for"
    if vector is not None and "embedding" not in spec.answers:
        return "the answer is a vector, and none was asked for"
    wanted = getattr(spec, "dimensions", None)
    if wanted and vector is not None and len(vector) != wanted:
        return f"the vector has {len(vector)} values, {wanted} were asked for"
    return None


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
