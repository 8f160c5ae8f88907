"""The field tables of the two services: every message, its fields, their types and enums."""

from __future__ import annotations

import difflib
import functools
import importlib.resources
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from batchkit import jsonl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Field", "FieldTable", "Service", "field_table", "nearest"]

Service: TypeAlias = Literal["gemini", "vertex"]

_FILES: Mapping[Service, str] = MappingProxyType(
    {"gemini": "generativelanguage_v1beta.json", "vertex": "aiplatform_v1.json"}
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message: its camelCase name and its type as the table writes it.

    A type is the name of a message, enum or scalar, `[type]`, `{"map": type}` or
    `{"enum": [value]}`.
    """

    name: str
    type: Any


@dataclass(frozen=True)
class FieldTable:
    """The messages of one service at one revision of its public description."""

    service: Service
    revision: str
    types: Mapping[str, Any]

    @functools.cached_property
    def _messages(self) -> dict[str, dict[str, Field]]:
        return {
            name: _both_spellings(entry["fields"])
            for name, entry in self.types.items()
            if jsonl.is_object(entry) and "fields" in entry
        }

    def message(self, name: object) -> Mapping[str, Field] | None:
        """The fields of a message by camelCase and by snake_case name; None if it has no fields."""
        return self._messages.get(name) if isinstance(name, str) else None

    def enum(self, field_type: Any) -> tuple[str, ...] | None:
        """The values of an enum type, or None when it is not one."""
        entry = self.types.get(field_type) if isinstance(field_type, str) else field_type
        if jsonl.is_object(entry) and "enum" in entry:
            return tuple(entry["enum"])
        return None

    def owners(self, field: str) -> list[str]:
        """The messages that have a field of this name, in the table's order."""
        return [name for name, fields in self._messages.items() if field in fields]


def _both_spellings(fields: Mapping[str, Any]) -> dict[str, Field]:
    spelled: dict[str, Field] = {}
    for name, field_type in fields.items():
        field = Field(name, field_type)
        spelled[name] = field
        spelled.setdefault(_snake(name), field)
    return spelled


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


@functools.cache
def field_table(service: Service) -> FieldTable:
    """The table of a service, read from the package's facts."""
    text = importlib.resources.files("batchkit").joinpath("facts", _FILES[service]).read_bytes()
    content = jsonl.loads(text)
    return FieldTable(service, content["revision"], content["types"])


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that was most likely meant, or None when none is near."""
    by_plain = {_plain(candidate): candidate for candidate in candidates}
    found = difflib.get_close_matches(_plain(name), by_plain, n=1, cutoff=0.6)
    return by_plain[found[0]] if found else None


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
