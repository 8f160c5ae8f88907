"""Requests that are ready: each row of a request file is a body, checked and sent as it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from batchkit import jsonl
from batchkit.request_line import check_line, other_model
from batchkit.rules import check_request
from batchkit.specs.bodies import REJECTED, Bodies, BoundSpec
from batchkit.specs.rest import model_name
from batchkit.tables.broken_line import broken_line
from batchkit.tables.request_lines import REQUEST
from batchkit.validity import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from batchkit.wire import Dialect, Kind

__all__ = ["Ready", "ready"]

_UNREAD = Problem("error", "not-json", "$", "the line could not be read as it stands")


@dataclass(frozen=True, slots=True)
class Ready:
    """The requests of a file, as they stand, for one model."""

    model: str
    kind: Kind

    @property
    def answers(self) -> tuple[str, ...]:
        """The column an answer takes."""
        return ("embedding",) if self.kind == "embed" else ("response",)

    @property
    def answer_schema(self) -> None:
        """Each request has a schema of its own, or none; answers stay text."""
        return

    def bind(self, schema: pa.Schema, dialect: Dialect) -> BoundSpec:  # noqa: ARG002  # the seam's form
        """The requests of the table's `request` column."""
        return _ReadyBodies(self.model, dialect)

    def problems(self, dialect: Dialect) -> list[Problem]:  # noqa: ARG002  # the seam's form
        """Nothing that holds for all rows: each line is checked by itself."""
        return []

    def to_json(self) -> dict[str, Any]:
        """The spec as it stands in `run.json`."""
        return {"kind": "ready", "model": self.model, "of": self.kind}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Ready:
        """The spec that `to_json` wrote."""
        return cls(content["model"], content["of"])


def ready(model: str, kind: Kind) -> Ready:
    """A spec that sends requests as they stand in the table."""
    return Ready(model_name(model), kind)


@dataclass(frozen=True, slots=True)
class _ReadyBodies:
    """Bodies that are written already, for one model and one dialect."""

    model: str
    dialect: Dialect

    @property
    def columns(self) -> Sequence[str]:
        return (REQUEST,)

    def bodies(self, batch: pa.RecordBatch) -> Bodies:
        """The requests that the service would take; the first error of each other one."""
        texts: list[str | None] = batch.column(REQUEST).to_pylist()
        rejected: list[dict[str, Any]] = []
        for row, text in enumerate(texts):
            problems = self._problems(text or "")
            error = next((found for found in problems if found.severity == "error"), None)
            if error is not None:
                texts[row] = None
                said = error.message + (f"; {error.remedy}" if error.remedy else "")
                rejected.append({"row": row, "path": error.path, "reason": said})
        column = pa.array(texts, pa.large_string())
        return Bodies([column], pa.RecordBatch.from_pylist(rejected, schema=REJECTED))

    def _problems(self, text: str) -> Iterator[Problem]:
        try:
            body = jsonl.loads(text)
        except ValueError:
            yield broken_line(text.encode())
            return
        if not jsonl.is_object(body):
            yield from check_line(body, self.dialect)
        elif REQUEST in body:  # the whole line: it is more, or less, than a key and a request
            yield from check_line(body, self.dialect)
            yield _UNREAD
        else:
            yield from check_request(body, self.dialect)
            yield from other_model(body, self.model)
