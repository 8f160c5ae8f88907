"""What a run with pushdown has in BigQuery: whether it is this run's, and whether it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchkit.errors import RowsError
from batchkit.pushed import results_table, statements_of

if TYPE_CHECKING:
    from batchkit.rundir import Run
    from batchkit.warehouse import Warehouse

__all__ = ["check_rows", "unwritten_results"]


def check_rows(run: Run, warehouse: Warehouse) -> None:
    """Raise RowsError when the numbered rows were made by other SQL than that of this run."""
    statements = statements_of(run.definition)
    rows = statements.rows
    if warehouse.filled_by(rows, statements.rows_job) != statements.numbered():
        message = (
            f"{rows} was filled by other SQL than this table, key and spec give: give what was "
            "asked"
        )
        raise RowsError(message)


def unwritten_results(run: Run, warehouse: Warehouse) -> str | None:
    """Why the tables that the result is joined from are needed; None once it is written whole."""
    table = results_table(run.definition)
    if warehouse.find(table) is None:
        return f"the result is not in {table} yet: results.to_bigquery() writes it"
    status = f"{run.definition.layout.prefix}status"
    sql = f"SELECT COUNT(*) AS rows_left FROM {table.sql} WHERE `{status}` = 'pending'"  # noqa: S608  # names of ours
    counts = [row for batch in warehouse.query_rows(sql).batches for row in batch.to_pylist()]
    is_whole = not counts[0]["rows_left"]
    return None if is_whole else f"{table} was written while rows were pending: write it again"
