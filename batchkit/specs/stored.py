"""The shape of specs as `run.json` has them, which somebody may have edited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchkit import jsonl
from batchkit.shape import Shape, check_shape, is_count, is_flag, is_text, listed, optional

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_stored_schema", "check_stored_spec"]


def _is_prompt(value: Any) -> bool:
    return is_text(value) or (
        jsonl.is_object(value) and all(map(is_text, map(value.get, ("function", "version"))))
    )


_SHAPES: Mapping[str, Shape] = {
    "generate": {"model": is_text, "prompt": _is_prompt, "body": {}},
    "embed": {
        "model": is_text,
        "text": _is_prompt,
        "title": optional(is_text),
        "task_type": optional(is_text),
        "dimensions": optional(is_count),
        "normalize": is_flag,
        "config_style": is_text,
    },
    "ready": {"model": is_text, "of": lambda value: value in {"generate", "embed"}},
}
# What is read of a responseSchema where answers are held against it.
_SCHEMA: Shape = {
    "type": optional(is_text),
    "enum": optional(jsonl.is_list),
    "required": optional(listed(is_text)),
    "propertyOrdering": optional(listed(is_text)),
    "properties": optional({}),
    "items": optional({}),
    "anyOf": optional(listed({})),
}


def check_stored_spec(content: Any) -> None:
    """Raise ValueError, naming the path, for what no spec was written down as."""
    check_shape(content, {"kind": lambda kind: is_text(kind) and kind in _SHAPES}, "$.spec")
    check_shape(content, _SHAPES[content["kind"]], "$.spec")


def check_stored_schema(schema: Any, path: str = "$.schema") -> None:
    """The same for the responseSchema of answers, however deep."""
    check_shape(schema, _SCHEMA, path)
    properties: dict[str, Any] = schema.get("properties") or {}
    for name, inner in properties.items():
        check_stored_schema(inner, f"{path}.{name}")
    if schema.get("items"):
        check_stored_schema(schema["items"], f"{path}[]")
    for inner in schema.get("anyOf") or ():
        check_stored_schema(inner, f"{path}|")
