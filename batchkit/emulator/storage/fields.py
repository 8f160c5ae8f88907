"""Partial responses: of a resource, what `fields` asks for.

https://cloud.google.com/storage/docs/json_api#partial-response
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from batchkit.emulator.storage.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchkit.emulator.storage.errors import StorageError

__all__ = ["partial"]

_NAME = re.compile(r"[\w.-]+|\*")

# What is selected below each name; below a name that is selected whole, nothing.
Selection = dict[str, Any]


def partial(resource: Any, fields: str) -> Any:
    """What `fields` selects, as in `kind,items(name,owner/entity)`; all of it when it is empty.

    A name that the resource does not have selects nothing. StorageError 400 for broken syntax.
    """
    return _selected(resource, _selection(fields)) if fields else resource


def _selection(fields: str) -> Selection:
    selection: Selection = {}
    for entry in _entries(fields):
        path, parenthesis, inner = entry.partition("(")
        if parenthesis and not inner.endswith(")"):
            raise _broken(entry)
        below = selection
        for name in path.split("/"):
            if not _NAME.fullmatch(name):
                raise _broken(entry)
            below = below.setdefault(name, {})
        if parenthesis:
            below |= _selection(inner[:-1])
    return selection


def _entries(fields: str) -> Iterator[str]:
    """What commas separate, but for those in parentheses."""
    start = depth = 0
    for at, character in enumerate(fields):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            yield fields[start:at]
            start = at + 1
    yield fields[start:]


def _selected(value: Any, selection: Selection) -> Any:
    if not selection or "*" in selection:
        return value
    if isinstance(value, list):
        return [_selected(entry, selection) for entry in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    return {n: _selected(value[n], below) for n, below in selection.items() if n in value}


def _broken(entry: str) -> StorageError:
    return invalid(f"Invalid field selection {entry}")
