"""The columns of a result table: the source's, then ours; settled before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from batchkit.errors import TableError
from batchkit.outcome import response_schema
from batchkit.schema import answer_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchkit.specs.spec import Spec

__all__ = ["ANSWER", "PROVENANCE", "RAW", "ROW", "Layout", "outcome_schema", "result_fields"]

ROW = "row"
ANSWER = "answer"
RAW = "raw"
PROVENANCE: tuple[tuple[str, pa.DataType], ...] = (
    ("job", pa.string()),
    ("shard", pa.string()),
    ("attempt", pa.int32()),
    ("request_hash", pa.string()),
    ("answered_by", pa.string()),
)


@dataclass(frozen=True, slots=True)
class Layout:
    """What the user chose about the result's columns.

    `prefix` goes before the name of each of our columns; `flatten` gives an answer by schema one
    column per field instead of one struct; `provenance` and `raw` add where an answer came from
    and the untouched response body.
    """

    prefix: str = ""
    flatten: bool = True
    provenance: bool = False
    raw: bool = False

    def to_json(self) -> dict[str, Any]:
        """The layout as it stands in `run.json`."""
        return {
            "prefix": self.prefix,
            "flatten": self.flatten,
            "provenance": self.provenance,
            "raw": self.raw,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Layout:
        """What `to_json` wrote."""
        return cls(**content)


def outcome_schema(spec: Spec, layout: Layout) -> pa.Schema:
    """The columns of an outcomes file: the row, the answer in full, and why it is as it is."""
    answered = list(response_schema(spec.answers))
    if spec.answer_schema is not None:
        answered.insert(len(spec.answers), pa.field(ANSWER, answer_type(spec.answer_schema)))
    if layout.raw:
        answered.append(pa.field(RAW, pa.large_string()))
    return pa.schema([pa.field(ROW, pa.int64()), *answered])


def result_fields(source: pa.Schema, spec: Spec, layout: Layout) -> list[pa.Field]:
    """Our columns of the result, in order, named with the prefix.

    Raises TableError when a name is the source's already: a collect never fails for a name.
    """
    fields: list[pa.Field] = []
    for field in outcome_schema(spec, layout):
        if field.name == ANSWER and layout.flatten and isinstance(field.type, pa.StructType):
            fields.extend(field.type)
        elif field.name == "embedding":
            fields.append(field.with_metadata(_dimension(spec)))
        elif field.name not in {ROW, RAW}:
            fields.append(field)
    if layout.provenance:
        fields.extend(pa.field(name, kind) for name, kind in PROVENANCE)
    if layout.raw:
        fields.append(pa.field(RAW, pa.large_string()))
    named = [field.with_name(layout.prefix + field.name) for field in fields]
    _check_names(source.names, [field.name for field in named])
    return named


def _dimension(spec: Spec) -> dict[str, str]:
    dimensions = getattr(spec, "dimensions", None)
    return {"dimension": str(dimensions)} if dimensions else {}


def _check_names(source: Sequence[str], ours: Sequence[str]) -> None:
    clash = next((name for name in ours if name in source), None)
    if clash is not None:
        message = (
            f"the table has a column {clash!r}, which the result needs: "
            f"rename it, or give the result's columns a prefix (prefix='gemini_')"
        )
        raise TableError(message, column=clash)
    twice = next((name for name in ours if ours.count(name) > 1), None)
    if twice is not None:
        message = (
            f"the schema has a field {twice!r}, which is a result column, too: rename the field, "
            "or keep answers in one struct column (flatten=False)"
        )
        raise TableError(message, column=twice)
