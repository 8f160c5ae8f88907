"""A spec bound to a table: record batches in, request bodies out, and the rows that have none."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchkit import jsonl
from batchkit.canonical import LABEL
from batchkit.encode import escape, join
from batchkit.label import LABEL_COLUMN
from batchkit.specs.template import Hole
from batchkit.text import python_values, why_null

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from batchkit.validity import Problem

__all__ = [
    "REJECTED",
    "Bodies",
    "BoundSpec",
    "OptionalField",
    "RowBodies",
    "Skeleton",
    "TextSlot",
    "with_label",
]

REJECTED = pa.schema([("row", pa.int64()), ("path", pa.string()), ("reason", pa.string())])
_TEXT = pa.large_string()


@dataclass(frozen=True, slots=True)
class Bodies:
    """The bodies of one batch, as segments that stand side by side in each row (`encode.join`).

    A row without a body is null in one of the segments; `rejected` (schema `REJECTED`) then gives
    its number within the batch, the path in the request and the reason, once per row.
    """

    segments: Sequence[bytes | pa.Array]
    rejected: pa.RecordBatch


class BoundSpec(Protocol):
    """What `build` asks of a spec: the columns it reads, and the bodies of a batch of them."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns that `bodies` needs; the others need not be read."""
        ...

    def bodies(self, batch: pa.RecordBatch) -> Bodies:
        """The request bodies of a batch that has at least `columns`."""
        ...


@dataclass(frozen=True, slots=True)
class TextSlot:
    """A text in the body that differs by row: its pieces, and the path where it stands.

    The field of an `optional` slot is left out where a value is null; any other null rejects the
    row, and so does a text that is empty.
    """

    path: str
    pieces: Sequence[str | Hole]
    optional: bool = False

    @property
    def columns(self) -> list[str]:
        """The columns its holes read."""
        return [piece.column for piece in self.pieces if isinstance(piece, Hole)]


@dataclass(frozen=True, slots=True)
class OptionalField:
    """A slot with the bytes of its whole field, `,"title":"` and `"`."""

    before: bytes
    slot: TextSlot
    after: bytes


class Skeleton:
    """A request body as constant bytes and slots: the columnar way from rows to bodies."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        """Compile a body in which `TextSlot`s stand where a text differs by row."""
        self._segments = _compiled(body)

    @property
    def segments(self) -> Sequence[bytes | TextSlot | OptionalField]:
        """The body's JSON text in order: constant bytes, and what differs by row."""
        return self._segments

    @property
    def columns(self) -> Sequence[str]:
        """The columns of all slots, once each."""
        names = [name for slot in self._slots() for name in slot.columns]
        return tuple(dict.fromkeys(names))

    def bodies(self, batch: pa.RecordBatch) -> Bodies:
        """The bodies of a batch, with the rows that a null or an empty text rejects."""
        segments: list[bytes | pa.Array] = []
        rejections = _Rejections(batch.num_rows)
        for segment in self._segments:
            if isinstance(segment, bytes):
                segments.append(segment)
            elif isinstance(segment, TextSlot):
                segments.extend(_required(segment, batch, rejections))
            else:
                written = [segment.before, *_written(segment.slot, batch), segment.after]
                segments.append(pc.fill_null(join(written), ""))
        if not any(isinstance(segment, pa.Array) for segment in segments):
            segments.append(pa.repeat(pa.scalar("", _TEXT), batch.num_rows))
        return Bodies([*segments, rejections.mask()], rejections.batch())

    def _slots(self) -> Iterator[TextSlot]:
        for segment in self._segments:
            if isinstance(segment, TextSlot):
                yield segment
            elif isinstance(segment, OptionalField):
                yield segment.slot


def with_label(body: Mapping[str, Any], label: Any = None) -> dict[str, Any]:
    """The body with the row's label beside the user's own; without one, with the slot for it."""
    slot = TextSlot(f"$.request.labels.{LABEL}", [Hole(LABEL_COLUMN)])
    labels: Any = body.get("labels") or {}
    return {**body, "labels": {**labels, LABEL: slot if label is None else label}}


def _compiled(body: Mapping[str, Any]) -> list[bytes | TextSlot | OptionalField]:
    """The body's JSON text, cut where markers stand for the slots."""
    token = secrets.token_hex(8)
    slots: list[TextSlot] = []

    def marker(slot: TextSlot) -> str:
        slots.append(slot)
        return f"@{token}:{len(slots) - 1}@"

    rest = jsonl.dumps_with(body, marker)
    segments: list[bytes | TextSlot | OptionalField] = []
    for index, slot in enumerate(slots):
        mark = b"@%b:%d@" % (token.encode(), index)
        around = rb'(,"\w+":")%b(")' % mark if slot.optional else rb"()%b()" % mark
        found = re.search(around, rest)
        if found is None:
            message = f"the slot at {slot.path} is not a field that can be left out"
            raise ValueError(message)
        segments.append(rest[: found.start()])
        segments.append(OptionalField(found[1], slot, found[2]) if slot.optional else slot)
        rest = rest[found.end() :]
    return [*segments, rest]


def _written(slot: TextSlot, batch: pa.RecordBatch) -> list[bytes | pa.Array]:
    """The pieces of a slot as JSON text: constants as bytes, holes as columns."""
    return [
        jsonl.dumps(piece)[1:-1]
        if isinstance(piece, str)
        else escape(piece.texts(batch.column(piece.column)))
        for piece in slot.pieces
    ]


def _required(
    slot: TextSlot, batch: pa.RecordBatch, rejections: _Rejections
) -> list[bytes | pa.Array]:
    written = _written(slot, batch)
    for piece, texts in zip(slot.pieces, written, strict=True):
        if isinstance(piece, Hole) and isinstance(texts, pa.Array):
            column, missing = batch.column(piece.column), texts.is_null()
            is_null = pc.and_(missing, column.is_null())
            for mask, why in (is_null, "null"), (missing, why_null(column.type)):
                reason = f"column {piece.column!r} is {why}: give a default, {{{piece.column}??…}}"
                rejections.add(mask, slot.path, reason)
    if not any(isinstance(texts, bytes) for texts in written):
        rejections.add(pc.equal(pc.binary_length(join(written)), 0), slot.path, "the text is empty")
    return written


class _Rejections:
    """Which rows of a batch have no body, and the first reason found for each."""

    def __init__(self, count: int) -> None:
        self._which = np.full(count, -1, np.int32)
        self._reasons: list[tuple[str, str]] = []

    def add(self, mask: pa.Array, path: str, reason: str) -> None:
        marked = pc.fill_null(mask, fill_value=False).to_numpy(zero_copy_only=False)
        if marked.any():
            self._which[marked & (self._which < 0)] = len(self._reasons)
            self._reasons.append((path, reason))

    def add_row(self, row: int, path: str, reason: str) -> None:
        self._which[row] = len(self._reasons)
        self._reasons.append((path, reason))

    def mask(self) -> pa.Array:
        """Empty text for a good row and null for a rejected one: a segment that adds nothing."""
        return pc.if_else(pa.array(self._which < 0), "", pa.scalar(None, _TEXT))

    def batch(self) -> pa.RecordBatch:
        rows = np.flatnonzero(self._which >= 0)
        which: list[int] = self._which[rows].tolist()
        reasons = [self._reasons[index] for index in which]
        columns = [
            pa.array(rows, pa.int64()),
            pa.array([path for path, _ in reasons], pa.string()),
            pa.array([reason for _, reason in reasons], pa.string()),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=REJECTED)


@dataclass(frozen=True, slots=True)
class RowBodies:
    """Bodies by a user's function, row by row; what it returns is checked row by row, too.

    The function gets a dict of the row's values, as `python_values` gives them. `wrap` makes the
    body of what it returns; `check` yields the problems of a body. A `labelled` body gets the
    row's label.
    """

    read: Sequence[str]
    function: Callable[[Mapping[str, Any]], Any]
    wrap: Callable[[Any], Mapping[str, Any]]
    check: Callable[[Mapping[str, Any]], Iterator[Problem]]
    labelled: bool = False

    @property
    def columns(self) -> Sequence[str]:
        """What the function may read, and the label that it does not get to see."""
        return (*self.read, LABEL_COLUMN) if self.labelled else self.read

    def bodies(self, batch: pa.RecordBatch) -> Bodies:
        """One body per row; an error in the function rejects its row and no other."""
        rejections = _Rejections(batch.num_rows)
        texts: list[bytes | None] = []
        for row, values in enumerate(_row_values(batch)):
            body, problem = self._body(values)
            texts.append(body)
            if problem:
                rejections.add_row(row, *problem)
        return Bodies([pa.array(texts, pa.large_binary())], rejections.batch())

    def _body(self, values: dict[str, Any]) -> tuple[bytes | None, tuple[str, str] | None]:
        label = values.pop(LABEL_COLUMN, None)
        try:
            returned = self.function(values)
        except Exception as error:  # noqa: BLE001  # the user's code may raise anything; the row says what
            return None, ("$", f"the function raised {type(error).__name__}: {error}")
        try:
            body = self.wrap(returned)
        except Exception as error:  # noqa: BLE001  # and may return anything
            return None, ("$", str(error))
        bad = jsonl.unwritable(body, "$.request")
        if bad:
            return None, bad
        problem = next((found for found in self.check(body) if found.severity == "error"), None)
        if problem:
            return None, (problem.path, _said(problem))
        return jsonl.dumps(body if label is None else with_label(body, label)), None


def _said(problem: Problem) -> str:
    return problem.message + (f"; {problem.remedy}" if problem.remedy else "")


def _row_values(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    names = batch.schema.names
    columns = [python_values(column) for column in batch.columns]
    return (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True))
