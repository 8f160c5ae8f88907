"""A line that is not JSON: where it is broken, whose line it is, and what to do."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from batchkit import jsonl
from batchkit.validity import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["broken_line"]

_TEXT = rb'"(?:[^"\\]++|\\.)*+"'
_KEY_AT_START = re.compile(rb'\s*+\{\s*+"key"\s*+:\s*+(' + _TEXT + rb")")
_KEY_AT_END = re.compile(rb'[}\]"]\s*+,\s*+"key"\s*+:\s*+(' + _TEXT + rb")\s*+\}\s*+$")
# Where the parser stopped; it counts lines within the line.
_PLACE = re.compile(r": line \d+ column (\d+) \(char \d+\)$")
# Numbers that others write and JSON has not, by the names under which they stand in the line.
_SPELLED: Mapping[str, str] = MappingProxyType(
    {
        "nan is not JSON": "NaN is not JSON",
        "inf is not JSON": "Infinity is not JSON",
        "-inf is not JSON": "-Infinity is not JSON",
    }
)


def broken_line(line: bytes) -> Problem:
    """What keeps a line from being JSON, with its key where that can be made out."""
    key = _key(line)
    try:
        line.decode()
    except UnicodeDecodeError as error:
        message = f"byte {error.start + 1} of the line, 0x{line[error.start]:02x}, is not UTF-8"
        return Problem("error", "not-utf8", "$", message, "save the file as UTF-8", key=key)
    path, reason = jsonl.fault(line)
    said = _PLACE.sub(r", at character \1", _SPELLED.get(reason, reason))
    return Problem("error", "not-json", path, said, _remedy(reason), key=key)


def _remedy(reason: str) -> str:
    if "ends in the middle" in reason:
        return "write the line again, whole"
    if "surrogate" in reason:
        return "write the whole character, or leave it out"
    if "is not JSON" in reason:
        return "leave the field out, or write a number"
    return "write one JSON object per line"


def _key(line: bytes) -> str | None:
    found = _KEY_AT_START.match(line) or _KEY_AT_END.search(line)
    try:
        return str(jsonl.loads(found[1])) if found else None
    except ValueError:
        return None
