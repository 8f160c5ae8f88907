"""The Storage Read API: messages that a plain client takes, and tables without a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from bqemulator.streaming.read_session import _SESSIONS

from .replacement import replace
from .results import ANONYMOUS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .results import Results

__all__ = ["amend_reading"]

_SERVICER = "bqemulator.grpc_api.read_servicer"
# gRPC's default for what a client takes is 4 MB; a row of its own may still be larger.
_MESSAGE_BYTES = 1024**2
_MOST_BYTES = 1024**3


def amend_reading(results: Results) -> None:
    """Have sessions read anonymous tables, and be cut small."""

    def with_anonymous(resolve: Callable[..., Any]) -> Callable[..., Any]:
        def materialised(session: Any, context: Any) -> Any:
            _, project, _, dataset, _, table = [*session.table.split("/"), *[""] * 6][:6]
            if dataset == ANONYMOUS:
                results.materialise(project, table)
            return resolve(session, context)

        return materialised

    replace(_SERVICER, "_resolve_read_target", with_anonymous)
    replace(_SERVICER, "create_read_session", _with_small_batches)


def _with_small_batches(create: Callable[..., Any]) -> Callable[..., Any]:
    def created(*, arrow_table: pa.Table, **rest: Any) -> Any:
        table = _without_null_lists(arrow_table)
        batches = [piece for batch in table.to_batches() for piece in _pieces(batch)]
        session = create(
            arrow_table=pa.Table.from_batches(batches, table.schema),
            **rest,
        )
        _forget_old_sessions()
        return session

    return created


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch in halves of halves, until each is small."""
    if batch.nbytes <= _MESSAGE_BYTES or batch.num_rows == 1:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _pieces(batch.slice(0, half))
    yield from _pieces(batch.slice(half))


def _without_null_lists(table: Any) -> Any:
    """BigQuery has no null arrays, only empty ones."""
    for number, field in enumerate(table.schema):
        column = table.column(number)
        if pa.types.is_list(field.type) and column.null_count:
            empty = pa.scalar([], field.type)
            table = table.set_column(number, field, column.fill_null(empty))
    return table


def _forget_old_sessions() -> None:
    """Let go of the oldest sessions; bqemulator itself keeps the rows of all of them."""
    kept = sum(session.table.nbytes for session in _SESSIONS.values())
    while kept > _MOST_BYTES and len(_SESSIONS) > 1:
        kept -= _SESSIONS.pop(next(iter(_SESSIONS))).table.nbytes
