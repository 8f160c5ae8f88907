"""Parts of a JSON object, which may be left out or null."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["items", "part"]


def part(whole: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object inside an object; empty when it is not there."""
    return whole.get(name) or {}


def items(whole: Mapping[str, Any], name: str) -> list[Any]:
    """An array inside an object; empty when it is not there, one item when it is no array."""
    value: Any = whole.get(name)
    if value is None:
        return []
    return cast("list[Any]", value) if isinstance(value, list) else [value]
