"""The SQL of a run with pushdown, to be read before it is run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchkit.draft import Choices, plan_pushdown
from batchkit.key import NAMED_KEYS, key_names
from batchkit.layout import Layout
from batchkit.limits import default_limits
from batchkit.pushed import BLOCK_ROWS
from batchkit.service.client import cloud_of
from batchkit.wire import dialect_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchkit.service.client import Client
    from batchkit.specs.spec import Spec
    from batchkit.tables.opened import TableLike

__all__ = ["pushdown_sql"]


def pushdown_sql(  # noqa: PLR0913  # what a run is, by keyword
    table: TableLike,
    spec: Spec,
    *,
    key: str | Sequence[str],
    target: str,
    limits: Mapping[str, float] | None = None,
    prefix: str = "",
    client: Client | None = None,
) -> dict[str, str]:
    """What `build`, `submit` and `collect` would ask of BigQuery with `pushdown=True`, by name.

    Nothing is run or written: BigQuery is asked for the table's fields only. The names are `rows`,
    `bad_keys`, `blocks`, `requests`, `result` and `balance`; the last three are shown for a run
    of one job, and `batchkit_run` stands for the name that the run gets. Raises what `build` does.
    """
    layout = Layout(prefix)
    choices = Choices(key_names(key), (), "raise", target, limits or {}, layout, pushdown=True)
    statements = plan_pushdown(table, spec, choices, cloud_of(client).warehouse)
    dialect = dialect_for("vertex", spec.kind, spec.model, table=True)
    rows = default_limits(dialect, spec.model, limits).max_rows
    output = statements.rows.beside("batchkit_run_00000_1_responses")
    return {
        "rows": statements.numbered(),
        "bad_keys": statements.bad_keys(NAMED_KEYS),
        "blocks": statements.blocks(min(BLOCK_ROWS, rows)),
        "requests": statements.requests(0, rows),
        "result": statements.result({output: "JSON"}, ()),
        "balance": statements.balance({output: "JSON"}, ()),
    }
