"""What makes a request invalid, and where: a request body held against the field tables."""

from __future__ import annotations

import functools
import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from batchkit import jsonl
from batchkit.fields import Service, field_table, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from batchkit.fields import Field

__all__ = ["Problem", "check_body", "field_home"]

# The messages in which a field that stands in the wrong place is looked for.
_HOMES = frozenset(
    {
        "Content",
        "EmbedContentRequestEmbedContentConfig",
        "FunctionCallingConfig",
        "GenerationConfig",
        "GenerationConfigThinkingConfig",
        "ImageConfig",
        "Part",
        "SafetySetting",
        "SpeechConfig",
        "ThinkingConfig",
        "ToolConfig",
    }
)
_SDK_CONFIG = (
    "`config` is google-genai's: its fields belong under generationConfig, and systemInstruction, "
    "tools, toolConfig, safetySettings beside it"
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a request: where (line, key, path), what, and what to do.

    `line` is 1-based and None outside a file; `key` is None when the line carries none; `rule`
    is a stable name to filter by.
    """

    severity: Literal["error", "warning"]
    rule: str
    path: str
    message: str
    remedy: str | None = None
    line: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        where = [f"line {self.line}"] if self.line is not None else []
        if self.key is not None:
            where.append(f"key {self.key!r}")
        place = ", ".join([*where, self.path])
        return f"{place}: {self.message}" + (f"; {self.remedy}" if self.remedy else "")


def check_body(
    body: Any, service: Service, request_type: str, path: str = "$.request"
) -> Iterator[Problem]:
    """Problems of a body of type `request_type` by the service's field table, in its order."""
    yield from _Walk(service, request_type).typed(body, request_type, path)


def _error(rule: str, path: str, message: str, remedy: str | None = None) -> Problem:
    return Problem("error", rule, path, message, remedy)


@dataclass(frozen=True, slots=True)
class _Walk:
    """A descent through a JSON value beside its type; `root` is the type it began with."""

    service: Service
    root: str

    def typed(self, value: Any, field_type: Any, path: str) -> Iterator[Problem]:
        table = field_table(self.service)
        enum = table.enum(field_type)
        if enum is not None:
            yield from _check_enum(value, enum, path)
        elif jsonl.is_list(field_type):
            yield from self.repeated(value, field_type[0], path)
        elif jsonl.is_object(field_type) or field_type == "object" or table.message(field_type):
            yield from self.object(value, field_type, path)
        else:
            yield from _check_scalar(value, field_type, path)

    def repeated(self, value: Any, item_type: Any, path: str) -> Iterator[Problem]:
        if jsonl.is_list(value):
            for index, item in enumerate(value):
                yield from self.typed(item, item_type, f"{path}[{index}]")
        elif item_type == "Part" and jsonl.is_object(value):
            message = "an object where a list is documented; Vertex AI is known to read it"
            yield Problem("warning", "parts-object", path, message, "write [ ] around it")
            yield from self.typed(value, item_type, path)
        else:
            yield _error("wrong-type", path, f"{_kind(value)} instead of a list")

    def object(self, value: Any, field_type: Any, path: str) -> Iterator[Problem]:
        if not jsonl.is_object(value):
            yield _error("wrong-type", path, f"{_kind(value)} instead of an object")
        elif jsonl.is_object(field_type):
            for name, item in value.items():
                yield from self.typed(item, field_type["map"], f"{path}.{name}")
        else:
            yield from self.message(value, field_type, path)

    def message(self, value: Mapping[str, Any], type_name: str, path: str) -> Iterator[Problem]:
        known = field_table(self.service).message(type_name)
        for name, item in value.items() if known is not None else ():
            field = known.get(name) if known else None
            if field is None:
                yield self.unknown(name, type_name, known or {}, path)
            elif item is not None:  # proto JSON reads null as absent
                yield from self.typed(item, field.type, f"{path}.{name}")

    def unknown(self, name: str, type_name: str, known: Mapping[str, Field], path: str) -> Problem:
        place = f"{path}.{name}"
        other: Service = "vertex" if self.service == "gemini" else "gemini"
        if name == "config":
            return _error("sdk-config", place, "unknown field", _SDK_CONFIG)
        home = field_home(name, self.service, self.root)
        if home is not None:
            return _error("misplaced-field", place, "unknown field", f"did you mean {home}?")
        if name in (field_table(other).message(type_name) or {}):
            only = "Vertex AI" if other == "vertex" else "the Developer API"
            remedy = f"it exists on {only} only: leave it out, or send the batch there"
            return _error("other-service", place, "unknown field", remedy)
        near = nearest(name, (field.name for field in known.values()))
        remedy = f"did you mean {near}?" if near else "the service refuses fields it does not know"
        return _error("unknown-field", place, "unknown field", remedy)


def field_home(name: str, service: Service, request_type: str) -> str | None:
    """The path from a request to the nearest message that has this field, None without one."""
    table = field_table(service)
    queue: deque[tuple[str, str]] = deque([(request_type, "")])
    seen = {request_type}
    while queue:
        type_name, prefix = queue.popleft()
        fields = table.message(type_name) or {}
        if name in fields:
            return f"{prefix}{fields[name].name}"
        for spelled, field in fields.items():
            if spelled != field.name:
                continue
            repeated = jsonl.is_list(field.type)
            inner = field.type[0] if repeated else field.type
            if isinstance(inner, str) and inner in _HOMES and inner not in seen:
                seen.add(inner)
                queue.append((inner, f"{prefix}{field.name}{'[]' if repeated else ''}."))
    return None


def _check_enum(value: Any, enum: tuple[str, ...], path: str) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield _error("wrong-type", path, f"{_kind(value)} instead of the name of a value")
    elif value not in enum:
        near = nearest(value, enum)
        remedy = f"did you mean {near}?" if near else f"the values are {', '.join(enum[:8])}"
        yield _error("unknown-value", path, f"unknown value {value!r}", remedy)


def _check_scalar(value: Any, field_type: str, path: str) -> Iterator[Problem]:
    expected = _SCALARS.get(field_type)
    if expected is not None:
        wanted, fits = expected
        if not fits(value):
            yield _error("wrong-type", path, f"{_kind(value)} instead of {wanted}")


def _is_int(value: Any, bits: int) -> bool:
    """Proto JSON reads 1, 1.0 and "1" as the integer 1."""
    if isinstance(value, str) and value.lstrip("-").isdigit() and value.isascii():
        value = int(value)
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return whole and not isinstance(value, bool) and -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


_SCALARS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "string": ("text", _is_text),
    "byte": ("base64 text", _is_text),
    "date-time": ("a timestamp as text", _is_text),
    "google-datetime": ("a timestamp as text", _is_text),
    "google-duration": ("a duration as text", _is_text),
    "boolean": ("true or false", _is_boolean),
    "int32": ("a 32-bit integer", functools.partial(_is_int, bits=32)),
    "int64": ("a 64-bit integer", functools.partial(_is_int, bits=64)),
    "float": ("a number", _is_number),
    "double": ("a number", _is_number),
}


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    return "a list" if isinstance(value, list) else "an object"
