"""Requests that are ready: each row of a request file is a body, checked and sent as it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchkit import jsonl
from batchkit.rules import check_request
from batchkit.specs.bodies import BoundSpec, RowBodies
from batchkit.specs.rest import model_name
from batchkit.tables.request_lines import REQUEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from batchkit.validity import Problem
    from batchkit.wire import Dialect, Kind

__all__ = ["Ready", "ready"]


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
        return RowBodies(
            (REQUEST,),
            lambda row: jsonl.loads(row[REQUEST]),
            _object,
            lambda body: check_request(body, dialect),
        )

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


def _object(body: Any) -> dict[str, Any]:
    if jsonl.is_object(body):
        return body
    message = "the request is not a JSON object"
    raise TypeError(message)
