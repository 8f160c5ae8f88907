"""Proto JSON: a JSON value read as a message of the field table, and everything wrong with it.

A message type compiles once into a decoder. A decoder returns the message with its fields under
their camelCase names, defaults and nulls dropped, and adds what it had to refuse to a list of
faults. https://protobuf.dev/programming-guides/json/
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["Check", "Decoder", "Fault", "Schema", "snake_case"]

# A path is None at the root, else (path of the parent, field name or list index).
Path: TypeAlias = "tuple[Path, str | int] | None"
Decoder: TypeAlias = Callable[[Any, Path, "list[Fault]"], Any]
Check: TypeAlias = "Callable[[dict[str, Any], Path, list[Fault]], None]"
FieldType: TypeAlias = Any
# A field's camelCase name, its snake_case name, and how its value is read.
_Field: TypeAlias = tuple[str, str, Decoder]

_AT = " at '{place}'"
_NO_LIST = "Proto field is not repeating, cannot start list."
_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_DURATION = re.compile(r"-?\d+(\.\d{1,9})?s")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing refused: `reason` in the words of a file import, and the HTTP parser's sentence.

    The sentence has ` at '{place}'` or `{place}` where the HTTP parser names the place.
    """

    path: Path
    reason: str
    sentence: str

    @property
    def place(self) -> str:
        """The path as Google writes it (`batch.input_config.requests[0]`), empty at the root."""
        segments: list[str] = []
        path = self.path
        while path is not None:
            path, segment = path
            segments.append(f"[{segment}]" if isinstance(segment, int) else f".{segment}")
        return "".join(reversed(segments)).lstrip(".")

    @property
    def description(self) -> str:
        """The HTTP parser's sentence with its place."""
        placed = self.sentence if self.place else self.sentence.replace(_AT, "")
        return placed.replace("{place}", self.place)


@dataclass(frozen=True, slots=True)
class Schema:
    """The types to read by, and how exact the reader is.

    A `lenient` reader is the service's HTTP parser: it takes one value where a list is meant
    (Google's own curl samples write `"parts": {"text": …}`) and an enum in lower case. The file
    import is not known to do either, so there a reader is not lenient. `checks` are called with a
    decoded message of the type they stand under. `package` is what type names begin with.
    """

    types: Mapping[str, Any]
    checks: Mapping[str, Check]
    package: str
    lenient: bool = False

    def decoder(self, type_name: str) -> Decoder:
        """The decoder of a message type."""
        return _Compiler(self, {}).type(type_name)


@dataclass(frozen=True, slots=True)
class _Compiler:
    schema: Schema
    messages: dict[str, Decoder]

    def type(self, field_type: FieldType) -> Decoder:
        if field_type.__class__ is list:
            return self.repeated(field_type[0])
        if field_type.__class__ is not dict:
            return _SCALARS.get(field_type) or self.named(field_type)
        if "enum" in field_type:
            return _enum(field_type["enum"], "enum", lenient=self.schema.lenient)
        return self.map(field_type["map"])

    def named(self, name: str) -> Decoder:
        entry = self.schema.types[name]
        if entry == "object":
            return self.message(name, {})
        if "enum" in entry:
            return _enum(entry["enum"], self.schema.package + name, lenient=self.schema.lenient)
        return self.message(name, entry["fields"])

    def message(self, name: str, fields: Mapping[str, FieldType]) -> Decoder:
        if name in self.messages:
            return self.messages[name]
        known: dict[str, _Field] = {}
        self.messages[name] = _message(
            self.schema.package + name, known, self.schema.checks.get(name)
        )
        # Only now the fields: a message may contain itself, as Schema does.
        for field, field_type in fields.items():
            entry = (field, snake_case(field), self.type(field_type))
            known[entry[0]] = known[entry[1]] = entry
        return self.messages[name]

    def map(self, value_type: FieldType) -> Decoder:
        decode_value = self.type(value_type)

        def decode(value: Any, path: Path, faults: list[Fault]) -> Any:
            if value.__class__ is not dict:
                return _refuse(value, path, faults, "map")
            entries: dict[str, Any] = value
            return {
                name: decode_value(item, (path, name), faults) for name, item in entries.items()
            }

        return decode

    def repeated(self, item_type: FieldType) -> Decoder:
        decode_item = self.type(item_type)
        lenient = self.schema.lenient

        def decode(value: Any, path: Path, faults: list[Fault]) -> Any:
            if value.__class__ is not list:
                if lenient:
                    return [decode_item(value, path, faults)]
                reason = f"expected '[', got {_kind(value)}"
                faults.append(Fault(path, reason, f"Invalid value{_AT}, {_quoted(value)}"))
                return []
            items: list[Any] = value
            return [decode_item(item, (path, index), faults) for index, item in enumerate(items)]

        return decode


def _message(type_url: str, known: Mapping[str, _Field], check: Check | None) -> Decoder:
    def decode(value: Any, path: Path, faults: list[Fault]) -> dict[str, Any]:
        if value.__class__ is not dict:
            return _refuse(value, path, faults, type_url) or {}
        entries: dict[str, Any] = value
        decoded: dict[str, Any] = {}
        for field, item in entries.items():
            found = known.get(field)
            if found is None:
                faults.append(_unknown(field, path))
            elif item is not None:  # a null is the field's default
                decoded[found[0]] = found[2](item, (path, found[1]), faults)
        if check is not None:
            check(decoded, path, faults)
        return decoded

    return decode


def _enum(values: list[str], type_url: str, *, lenient: bool) -> Decoder:
    names = {value: value for value in values}
    if lenient:
        names |= {value.lower(): value for value in values}

    def decode(value: Any, path: Path, faults: list[Fault]) -> Any:
        if isinstance(value, str) and value in names:
            return names[value]
        return _refuse(value, path, faults, type_url)

    return decode


def _text(value: Any, path: Path, faults: list[Fault]) -> Any:
    return value if value.__class__ is str else _refuse(value, path, faults, "TYPE_STRING")


def _boolean(value: Any, path: Path, faults: list[Fault]) -> Any:
    return value if value.__class__ is bool else _refuse(value, path, faults, "TYPE_BOOL")


def _bytes(value: Any, path: Path, faults: list[Fault]) -> Any:
    """Base64 in either alphabet, padded or not."""
    if isinstance(value, str):
        standard = value.rstrip("=").translate(str.maketrans("-_", "+/"))
        try:
            base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
        except (binascii.Error, ValueError):
            pass
        else:
            return value
    return _refuse(value, path, faults, "TYPE_BYTES")


def _matching(pattern: re.Pattern[str], type_url: str) -> Decoder:
    def decode(value: Any, path: Path, faults: list[Fault]) -> Any:
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        return _refuse(value, path, faults, type_url)

    return decode


def _integer(bits: int) -> Decoder:
    """1, 1.0 and "1" are the integer 1."""
    low, high, name = -(1 << bits - 1), (1 << bits - 1) - 1, f"TYPE_INT{bits}"

    def decode(value: Any, path: Path, faults: list[Fault]) -> Any:
        number = _whole(value)
        if number is not None and low <= number <= high:
            return number
        return _refuse(value, path, faults, name)

    return decode


def _whole(value: Any) -> int | None:
    if value.__class__ is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    return None


def _number(name: str) -> Decoder:
    def decode(value: Any, path: Path, faults: list[Fault]) -> Any:
        number: Any = value
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                number = float(value)
        if number.__class__ in {int, float} and math.isfinite(number):
            return number
        return _refuse(value, path, faults, name)

    return decode


def _anything(value: Any, _path: Path, _faults: list[Fault]) -> Any:
    return value


_SCALARS: Mapping[str, Decoder] = {
    "any": _anything,
    "string": _text,
    "boolean": _boolean,
    "byte": _bytes,
    "int32": _integer(32),
    "int64": _integer(64),
    "float": _number("TYPE_FLOAT"),
    "double": _number("TYPE_DOUBLE"),
    "google-datetime": _matching(_TIMESTAMP, "type.googleapis.com/google.protobuf.Timestamp"),
    "date-time": _matching(_TIMESTAMP, "type.googleapis.com/google.protobuf.Timestamp"),
    "google-duration": _matching(_DURATION, "type.googleapis.com/google.protobuf.Duration"),
}


def snake_case(name: str) -> str:
    """A field's name in the .proto file, from its JSON name."""
    return _WORD_START.sub("_", name).lower()


def _unknown(field: str, path: Path) -> Fault:
    sentence = f'Invalid JSON payload received. Unknown name "{field}"{_AT}: Cannot find field.'
    return Fault(path, f"no such field: '{field}'", sentence)


def _refuse(value: Any, path: Path, faults: list[Fault], expected: str) -> Any:
    if isinstance(value, list) and path is not None:
        parent, field = path
        sentence = f'Invalid JSON payload received. Unknown name "{field}"{_AT}: {_NO_LIST}'
        faults.append(Fault(parent, f"'{field}' is no list", sentence))
        return None
    reason = f"invalid value {_quoted(value)} for {expected}"
    faults.append(Fault(path, reason, f"Invalid value{_AT} ({expected}), {_quoted(value)}"))
    return None


def _kind(value: Any) -> str:
    return "'{'" if isinstance(value, dict) else _quoted(value)


def _quoted(value: Any) -> str:
    if isinstance(value, dict | list):
        return "{…}" if isinstance(value, dict) else "[…]"
    return f'"{value[:80]}"' if isinstance(value, str) else str(value).lower()
