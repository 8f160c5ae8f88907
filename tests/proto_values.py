"""JSON values drawn from Google's field tables, in every spelling that proto JSON allows."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

FACTS = Path(__file__).parent.parent / "batchkit" / "facts"
TABLES: dict[str, dict[str, Any]] = {
    "gemini": json.loads((FACTS / "generativelanguage_v1beta.json").read_bytes())["types"],
    "vertex": json.loads((FACTS / "aiplatform_v1.json").read_bytes())["types"],
}

TEXT = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)


def _integers(bits: int) -> st.SearchStrategy[Any]:
    numbers = st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return numbers | numbers.map(str) | st.integers(-100, 100).map(float)


def _encoded(content: bytes) -> st.SearchStrategy[str]:
    """Bytes as base64 in either alphabet, padded or not."""
    forms = [base64.b64encode(content).decode(), base64.urlsafe_b64encode(content).decode()]
    return st.sampled_from([form for text in forms for form in (text, text.rstrip("="))])


_FLOATS = st.floats(-1e9, 1e9, allow_nan=False)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "any": JSON,
    "boolean": st.booleans(),
    "byte": st.binary(max_size=9).flatmap(_encoded),
    "date-time": st.sampled_from(["2026-11-23T10:00:00Z", "2026-11-23T10:00:00.5+01:00"]),
    "google-datetime": st.just("2026-11-23T10:00:00.123456789Z"),
    "double": _FLOATS | st.integers(-1000, 1000) | st.sampled_from(["0.5", "-3", "1e3"]),
    "float": _FLOATS | st.integers(-1000, 1000) | st.sampled_from(["0.5", "-3", "1e3"]),
    "google-duration": st.sampled_from(["3s", "0.5s", "-1.000000001s"]),
    "int32": _integers(32),
    "int64": _integers(64),
    "string": TEXT,
}


def snake_case(name: str) -> str:
    return re.sub("[A-Z]", lambda match: f"_{match[0].lower()}", name)


@dataclass(frozen=True)
class Drawing:
    """How values are drawn: for which service, and whether enums come as numbers, too."""

    service: str
    enum_numbers: bool = True

    def values(self, field_type: Any, levels: int = 3) -> st.SearchStrategy[Any]:
        """Values that a parser of the service reads as this type, so many levels deep."""
        if isinstance(field_type, list):
            return st.lists(self.values(field_type[0], levels), max_size=2)
        if isinstance(field_type, dict) and "map" in field_type:
            return st.dictionaries(TEXT, self.values(field_type["map"], levels), max_size=2)
        if isinstance(field_type, dict):
            return self._enum(field_type["enum"])
        if field_type in SCALARS:
            return SCALARS[field_type]
        entry = TABLES[self.service][field_type]
        if "enum" in entry:
            return self._enum(entry["enum"])
        return _messages(self, {} if entry == "object" else entry["fields"], levels)

    def _enum(self, names: list[str]) -> st.SearchStrategy[Any]:
        chosen = st.sampled_from(names)
        return chosen | st.integers(0, 20) if self.enum_numbers else chosen


@st.composite
def _messages(
    draw: st.DrawFn, drawing: Drawing, fields: dict[str, Any], levels: int
) -> dict[str, Any]:
    """A message with some of its fields, each in camelCase or snake_case, some of them null."""
    if levels == 0 or not fields:
        return {}
    names = draw(st.lists(st.sampled_from(sorted(fields)), unique=True, max_size=3))
    message: dict[str, Any] = {}
    for name in names:
        spelled = draw(st.sampled_from([name, snake_case(name)]))
        message[spelled] = draw(st.none() | drawing.values(fields[name], levels - 1))
    return message
