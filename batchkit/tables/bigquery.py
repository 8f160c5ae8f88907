"""Tables in BigQuery, and what queries give: read once, into the run directory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from batchkit.errors import RunChangedError, TableError
from batchkit.tables.bigquery_schema import arrow_schema
from batchkit.tables.stream import TableStream
from batchkit.warehouse import TableName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchkit.tables.pinned import Origin, PinnedTable
    from batchkit.tables.reach import Reach
    from batchkit.warehouse import TableInfo, Warehouse

__all__ = ["Query", "bigquery_table", "query", "query_table", "table_origin"]


@dataclass(frozen=True, slots=True)
class Query:
    """A table that is what a SELECT in BigQuery gives."""

    sql: str


def query(sql: str) -> Query:
    """What a SELECT in BigQuery gives, as a table: it is run once, when the run is built.

    The same text is the same table, whatever has become of the tables that it reads.
    """
    return Query(sql)


def bigquery_table(address: str, reach: Reach) -> TableStream | PinnedTable:
    """The rows of `bq://project.dataset.table`, or of a view by a query.

    It is known again by the time of its last change and its number of rows. Raises TableError, or
    RunChangedError for a table that changes while it is read.
    """
    name = TableName.parse(address)
    if not name.table:
        message = f"{name} is a dataset: name a table in it, {name}.table"
        raise TableError(message)
    warehouse = reach.cloud.warehouse
    info = warehouse.find(name)
    if info is None:
        message = f"there is no table {name}, or this account does not see it"
        raise TableError(message)
    known = reach.pinned(table_origin(info))
    if known is not None:
        return known
    schema = arrow_schema(info.fields, str(name))
    return TableStream(address, schema, _rows(warehouse, info, schema), table_origin(info))


def query_table(asked: Query, reach: Reach) -> TableStream | PinnedTable:
    """The rows that a query gives; it is run when they are first asked for."""
    origin: Origin = {"query": asked.sql}
    known = reach.pinned(origin)
    if known is not None:
        return known
    warehouse = reach.cloud.warehouse
    schema = arrow_schema(warehouse.query_fields(asked.sql), "the query")
    return TableStream("query of BigQuery", schema, _answers(warehouse, asked, schema), origin)


def table_origin(info: TableInfo) -> Origin:
    """What tells a table from another, and from itself after a change, without reading it."""
    return {f"{info.name} rows": info.rows, f"{info.name} modified": info.modified.isoformat()}


def _rows(warehouse: Warehouse, info: TableInfo, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in warehouse.read(info.name).batches:
        yield _typed(batch, schema)
    now = warehouse.find(info.name)
    if now is None or table_origin(now) != table_origin(info):
        message = f"{info.name} changed while it was read; build again, nothing was sent"
        raise RunChangedError(message, {str(info.name): (info.modified, now and now.modified)})


def _answers(warehouse: Warehouse, asked: Query, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in warehouse.query_rows(asked.sql).batches:
        yield _typed(batch, schema)


def _typed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The same types whichever way rows came: by REST or by the Storage API."""
    columns = [batch.column(field.name).cast(field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
