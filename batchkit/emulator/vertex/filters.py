"""Filters of a list of jobs.

https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.batchPredictionJobs/list
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from batchkit.emulator.errors import ApiError, Rpc

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Filter", "parse_filter"]

Filter: TypeAlias = Callable[["Mapping[str, Any]"], bool]

_TERM = re.compile(
    r'\s*(?P<field>\w+(?:\.[\w-]+)?)\s*(?P<operator>=|!=|:)\s*(?:"(?P<text>(?:[^"\\]|\\.)*)"'
    r"|(?P<bare>[^\s\"]+))\s*(?P<and>AND\s|$)"
)
_FIELDS = {
    "display_name": "displayName",
    "displayName": "displayName",
    "state": "state",
    "model_display_name": "model",
}


def parse_filter(text: str) -> Filter:
    """Whether a job is meant, by terms joined with AND; ApiError 400 for what is none.

    A term is `state="…"`, `display_name="…"`, with `!=` too, `display_name:"begins so*"`,
    `labels.name="…"` or `labels.name:*`.
    """
    terms: list[Filter] = []
    place = 0
    while place < len(text):
        found = _TERM.match(text, place)
        if found is None:
            raise _refused(text)
        terms.append(_term(found, text))
        place = found.end()
        if found["and"] and place == len(text):
            raise _refused(text)
    return lambda job: all(term(job) for term in terms)


def _term(found: re.Match[str], text: str) -> Filter:
    field, operator = found["field"], found["operator"]
    value = re.sub(r"\\(.)", r"\1", found["text"]) if found["bare"] is None else found["bare"]
    parent, _, label = field.partition(".")
    if parent == "labels" and label:
        return lambda job: _holds(job.get("labels", {}).get(label), operator, value)
    if field not in _FIELDS:
        raise _refused(text)
    return lambda job: _holds(job.get(_FIELDS[field]), operator, value)


def _holds(found: str | None, operator: str, value: str) -> bool:
    if operator == "!=":
        return found != value
    if operator == "=" or not value.endswith("*"):
        return found == value
    return found is not None and found.startswith(value[:-1])


def _refused(text: str) -> ApiError:
    return ApiError(Rpc.INVALID_ARGUMENT, f"Invalid filter: {text}")
