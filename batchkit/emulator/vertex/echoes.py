"""Requests as they come back in output lines, in the manner of one year or another.

2025 and later: sorted, as they were sent. 2024, by the samples in
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-cloud-storage
and https://github.com/GoogleCloudPlatform/generative-ai: the parts of a request all have the same
fields, null where they have no value, and the service's own names are in snake_case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import orjson

from batchkit.emulator.protojson import snake_case

if TYPE_CHECKING:
    from batchkit.emulator.vertex.quirks import Quirks

__all__ = ["echo_line"]

_CONTENTS = ("contents", "systemInstruction", "system_instruction")
_KINDS = ("file_data", "text")


def echo_line(quirks: Quirks, request: Any, rest: dict[str, Any]) -> dict[str, Any]:
    """An output line: the request's echo among the `rest`, which has no such field."""
    if quirks.echo == "2024":
        first = {name: rest[name] for name in ("status", "processed_time") if name in rest}
        return {**first, "request": _uniform(request), **rest}
    text = orjson.dumps(request, option=orjson.OPT_SORT_KEYS)
    return {"request": orjson.Fragment(text), **rest}


def _uniform(request: dict[str, Any]) -> dict[str, Any]:
    return {
        snake_case(name): _contents(value) if name in _CONTENTS else value
        for name, value in request.items()
    }


def _contents(value: Any) -> Any:
    if isinstance(value, list):
        return [_contents(each) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    content = cast("dict[str, Any]", value)
    return {**content, "parts": _parts(content["parts"])} if "parts" in content else content


def _parts(value: Any) -> Any:
    """A single part as an object, several with the same fields."""
    if not isinstance(value, list):
        return value
    parts = [_named(part) for part in cast("list[Any]", value)]
    if not all(isinstance(part, dict) for part in parts):
        return parts
    names = dict.fromkeys((*_KINDS, *(name for part in parts for name in part)))
    same = [{name: part.get(name) for name in names} for part in parts]
    return same[0] if len(same) == 1 else same


def _named(part: Any) -> Any:
    """A part in snake_case, with the fields of its data: but nothing that is the user's."""
    if not isinstance(part, dict):
        return part
    named = {snake_case(name): value for name, value in cast("dict[str, Any]", part).items()}
    for name in ("file_data", "inline_data"):
        data = named.get(name)
        if isinstance(data, dict):
            entries = cast("dict[str, Any]", data).items()
            named[name] = {snake_case(field): value for field, value in entries}
    return named
