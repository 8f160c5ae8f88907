"""Preconditions: what a call wants to be true of the generation it finds.

https://cloud.google.com/storage/docs/request-preconditions
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batchkit.emulator.storage.errors import condition_not_met, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Preconditions", "number"]

_NUMBER = re.compile(r"[0-9]{1,18}")
# Query parameter without its prefix, and the XML API's header.
_NAMES = {
    "GenerationMatch": "x-goog-if-generation-match",
    "GenerationNotMatch": "x-goog-if-generation-not-match",
    "MetagenerationMatch": "x-goog-if-metageneration-match",
    "MetagenerationNotMatch": "x-goog-if-metageneration-not-match",
}


def _none() -> dict[str, int]:
    return {}


@dataclass(frozen=True, slots=True)
class Preconditions:
    """The numbers by name: GenerationMatch, GenerationNotMatch and the two of metagenerations."""

    numbers: Mapping[str, int] = field(default_factory=_none)

    @classmethod
    def in_query(cls, query: Mapping[str, Any], prefix: str = "if") -> Preconditions:
        """Those of a query, or of any mapping with such names; empty values are none."""
        return cls(
            {
                name: number(query[prefix + name], prefix + name)
                for name in _NAMES
                if query.get(prefix + name, "") != ""
            }
        )

    @classmethod
    def in_headers(cls, headers: Mapping[str, str]) -> Preconditions:
        """Those of a call to the XML API."""
        return cls(
            {
                name: number(headers[header], header)
                for name, header in _NAMES.items()
                if header in headers
            }
        )

    def check(self, generation: int, metageneration: int, *, reading: bool = False) -> None:
        """StorageError when one does not hold; both numbers are 0 when nothing is there.

        A read that was to see something new is answered with 304, everything else with 412.
        """
        for name, wanted in self.numbers.items():
            found = generation if name.startswith("Generation") else metageneration
            if name.endswith("NotMatch"):
                if found == wanted:
                    raise condition_not_met(304 if reading else 412)
            elif found != wanted:
                raise condition_not_met()


def number(value: Any, name: str) -> int:
    """A number of a query or a body; StorageError 400 when it is none."""
    if not _NUMBER.fullmatch(str(value)):
        text = f'Invalid value "{value}". {name} must be an unsigned number.'
        raise invalid(text)
    return int(value)
