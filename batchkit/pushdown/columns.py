"""Columns of BigQuery as SQL texts, for the types whose text SQL writes as `text.py` does."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from batchkit import jsonl
from batchkit.errors import CapabilityError, TableError
from batchkit.pushdown.literals import column_name, concatenation, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Columns", "json_inside"]

# The REST API's names of types beside those of SQL.
_SQL_TYPES: Mapping[str, str] = MappingProxyType(
    {"INTEGER": "INT64", "BOOLEAN": "BOOL", "FLOAT": "FLOAT64", "RECORD": "STRUCT"}
)
# As the Storage API gives them; the rest has no text in SQL, whatever it is here.
_ARROW_TYPES: Mapping[str, pa.DataType] = MappingProxyType(
    {
        "STRING": pa.string(),
        "INT64": pa.int64(),
        "BOOL": pa.bool_(),
        "DATE": pa.date32(),
        "NUMERIC": pa.decimal128(38, 9),
        "FLOAT64": pa.float64(),
        "TIMESTAMP": pa.timestamp("us", "UTC"),
        "DATETIME": pa.timestamp("us"),
        "TIME": pa.time64("us"),
    }
)
_EXACT = frozenset({"STRING", "INT64", "BOOL", "DATE", "NUMERIC"})
_BARE = frozenset({"INT64", "BOOL"})
_SCALE = 9  # digits after the point of a NUMERIC


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table, as the REST API writes its fields."""

    fields: Sequence[Mapping[str, Any]]

    @property
    def names(self) -> list[str]:
        """Their names, in order."""
        return [field["name"] for field in self.fields]

    @property
    def schema(self) -> pa.Schema:
        """Their Arrow types, as far as a template is held against them."""
        named = [(name, _ARROW_TYPES.get(self.type(name), pa.string())) for name in self.names]
        return pa.schema([pa.field(name, kind) for name, kind in named])

    def type(self, name: str) -> str:
        """The SQL type of a column."""
        field = next(field for field in self.fields if field["name"] == name)
        if field.get("mode") == "REPEATED":
            return "ARRAY"
        return _SQL_TYPES.get(field["type"], field["type"])

    def text(self, name: str) -> str:
        """The text of a column's values; NULL where they are null."""
        kind, column = self._checked(name), f"source.{column_name(name)}"
        if kind == "STRING":
            return column
        if kind != "NUMERIC":
            return f"CAST({column} AS STRING)"
        digits = f"CAST({column} AS STRING)"
        whole = f"{digits} || IF(STRPOS({digits}, '.') = 0, '.', '') || '{'0' * _SCALE}'"
        return f"REGEXP_EXTRACT({whole}, r'^[^.]*[.].{{{_SCALE}}}')"

    def inside(self, name: str) -> str:
        """That text as it stands inside a JSON string."""
        if self._checked(name) != "STRING":
            return self.text(name)  # digits, points, signs and letters
        quoted = self._quoted(name)
        return f"SUBSTR({quoted}, 2, LENGTH({quoted}) - 2)"

    def key(self, names: Sequence[str]) -> str:
        """The wire key: one column as its text, several as a compact JSON array."""
        self._check_key(names)
        if len(names) == 1:
            return self.text(names[0])
        parts = [text("[")]
        for number, name in enumerate(names):
            kind = self._checked(name)
            quoted = self._quoted(name) if kind == "STRING" else self._in_quotes(name, kind)
            parts += [text(","), quoted] if number else [quoted]
        return concatenation([*parts, text("]")])

    def _in_quotes(self, name: str, kind: str) -> str:
        written = self.text(name)
        return written if kind in _BARE else concatenation([text('"'), written, text('"')])

    def _quoted(self, name: str) -> str:
        """A text as JSON; TO_JSON_STRING makes `null` of NULL."""
        column = f"source.{column_name(name)}"
        return f"IF({column} IS NULL, NULL, TO_JSON_STRING({column}))"

    def _check_key(self, names: Sequence[str]) -> None:
        if not names:
            message = (
                "pushdown needs key=: rows of BigQuery have no order, and so no numbers of their "
                "own"
            )
            raise TableError(message)
        unknown = next((name for name in names if name not in self.names), None)
        if unknown is not None:
            message = f"no key column {unknown!r}: the columns are {', '.join(self.names)}"
            raise TableError(message, column=unknown)

    def _checked(self, name: str) -> str:
        kind = self.type(name)
        if kind not in _EXACT:
            message = (
                f"column {name!r} is {kind}, whose text SQL does not write as batchkit does: cast "
                f"it in a query first (CAST({name} AS STRING)), or run without pushdown"
            )
            raise CapabilityError(message)
        return kind


def json_inside(value: str) -> str:
    """A constant as it stands inside a JSON string, as a literal."""
    return text(jsonl.dumps(value)[1:-1].decode())
