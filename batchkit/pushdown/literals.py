"""Texts, names and JSON paths, as GoogleSQL writes them.

https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/lexical
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from batchkit.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["column_name", "concatenation", "indented", "mapping", "member", "pattern", "text"]

_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r"}
_UNQUOTABLE = re.compile(r"[`\\\x00-\x1f]")


def text(value: str) -> str:
    """A STRING literal."""
    if "\0" in value:
        message = "SQL text cannot hold a NUL character"
        raise ValueError(message)
    return "'" + "".join(_ESCAPES.get(character, character) for character in value) + "'"


def pattern(regex: str) -> str:
    """A raw STRING literal, for a regular expression without single quotes."""
    return f"r'{regex}'"


def column_name(name: str) -> str:
    """A column's name in backticks; TableError for one that no column of BigQuery has."""
    if not name or _UNQUOTABLE.search(name):
        message = f"{name!r} is no name of a column in BigQuery"
        raise TableError(message, column=name)
    return f"`{name}`"


def member(json: str, path: str) -> str:
    """What stands at a path of a JSON text, as JSON text; NULL where there is none or a null."""
    return f"NULLIF(JSON_QUERY({json}, '$.{path}'), 'null')"


def concatenation(parts: Iterable[str]) -> str:
    """Expressions side by side; NULL when one of them is."""
    return " || ".join(parts)


def mapping(value: str, results: Mapping[str, str], otherwise: str) -> str:
    """A text turned into another by a table; `value` and `otherwise` are SQL."""
    cases = "\n".join(f"  WHEN {text(one)} THEN {text(other)}" for one, other in results.items())
    return f"CASE {value}\n{cases}\n  ELSE {otherwise}\nEND"


def indented(sql: str, spaces: int = 2) -> str:
    """SQL moved to the right; a literal of ours has no line break that this could change."""
    return sql.replace("\n", "\n" + " " * spaces)
