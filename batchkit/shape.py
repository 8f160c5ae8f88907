"""The shape of JSON that others may have edited: which fields there are, and of which types."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, TypeAlias

from batchkit import jsonl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "check_shape",
    "is_count",
    "is_flag",
    "is_number",
    "is_plain_name",
    "is_tally",
    "is_text",
    "listed",
    "optional",
]

# What a value must be: a function that says so, or an object with these fields, and maybe others.
Shape: TypeAlias = "Callable[[Any], bool] | Mapping[str, Shape]"

_MAY_BE_ABSENT = "may_be_absent"
_LARGEST = 2**63
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_SHOWN = 60


def check_shape(value: Any, shape: Shape, path: str = "$") -> None:
    """Raise ValueError, naming the path, for a value that has another shape."""
    if callable(shape):
        if not shape(value):
            message = f"{path} is {_short(value)}"
            raise ValueError(message)
        return
    if not jsonl.is_object(value):
        message = f"{path} is no object"
        raise ValueError(message)
    for name, inner in shape.items():
        if name not in value and not hasattr(inner, _MAY_BE_ABSENT):
            message = f"{path}.{name} is missing"
            raise ValueError(message)
        check_shape(value.get(name), inner, f"{path}.{name}")


def listed(shape: Shape) -> Callable[[Any], bool]:
    """A list of values of one shape."""

    def is_listed(value: Any) -> bool:
        return jsonl.is_list(value) and all(_has(item, shape) for item in value)

    return is_listed


def optional(shape: Shape) -> Callable[[Any], bool]:
    """A value of this shape, or null, or none at all."""

    def is_optional(value: Any) -> bool:
        return value is None or _has(value, shape)

    setattr(is_optional, _MAY_BE_ABSENT, True)
    return is_optional


def is_text(value: Any) -> bool:
    """Whether a value is text."""
    return isinstance(value, str)


def is_flag(value: Any) -> bool:
    """Whether a value is true or false."""
    return isinstance(value, bool)


def is_tally(value: Any) -> bool:
    """Whether a value says how many there are of each kind."""
    return jsonl.is_object(value) and all(map(is_count, value.values()))


def is_count(value: Any) -> bool:
    """Whether a value is a whole number from 0 that fits 64 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    is_numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return is_numeric and math.isfinite(value)


def is_plain_name(value: Any) -> bool:
    """Whether a value may stand in a file's name: it leads nowhere else."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _has(value: Any, shape: Shape) -> bool:
    try:
        check_shape(value, shape)
    except ValueError:
        return False
    return True


def _short(value: Any) -> str:
    if jsonl.is_object(value) or jsonl.is_list(value):
        return "an object" if jsonl.is_object(value) else "a list that is not as written"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
