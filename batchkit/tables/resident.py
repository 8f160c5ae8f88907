"""A table whose rows stay in BigQuery: SQL reads it, and no row comes here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from batchkit.errors import CapabilityError, RunChangedError, TableError
from batchkit.tables.bigquery import Query, table_origin
from batchkit.warehouse import TableName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchkit.tables.opened import TableLike
    from batchkit.tables.pinned import PinnedTable
    from batchkit.warehouse import Warehouse

__all__ = ["Resident", "resident_table"]

_SCHEME = "bq://"


@dataclass(frozen=True, slots=True)
class Resident:
    """The address of a table or the text of a SELECT, its fields as the REST API writes them.

    `location` is None for a query, which runs where the tables are that it reads.
    """

    source: str
    fields: tuple[Mapping[str, Any], ...]
    location: str | None

    @property
    def sql(self) -> str:
        """The table as it stands behind FROM."""
        if self.source.startswith(_SCHEME):
            return TableName.parse(self.source).sql
        return f"(\n{self.source}\n)"  # which a comment at its end does not swallow

    def check_unchanged(self, table: PinnedTable, warehouse: Warehouse) -> None:
        """Raise RunChangedError when the table is not what it was when the run was defined."""
        if not self.source.startswith(_SCHEME):
            return
        info = warehouse.find(TableName.parse(self.source))
        now = info and table_origin(info)
        if now != table.origin:
            message = f"{self.source} changed while it was read; build again, nothing was sent"
            raise RunChangedError(message, {self.source: (table.origin, now)})

    def to_json(self) -> dict[str, Any]:
        """The table as it stands in `run.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Resident:
        """What `to_json` wrote."""
        return cls(content["source"], tuple(content["fields"]), content["location"])


def resident_table(table: TableLike, warehouse: Warehouse) -> Resident:
    """A table of BigQuery or a Query, to be read where it is; CapabilityError for any other."""
    if isinstance(table, Query):
        text = table.sql.strip().rstrip(";")
        return Resident(text, tuple(warehouse.query_fields(text)), None)
    if not isinstance(table, str) or not table.startswith(_SCHEME):
        message = (
            "pushdown=True is for tables that are in BigQuery: give bq://project.dataset.table or "
            "bk.query('SELECT …'), or leave pushdown out"
        )
        raise CapabilityError(message)
    info = warehouse.find(TableName.parse(table))
    if info is None:
        message = f"there is no table {table}, or this account does not see it"
        raise TableError(message)
    return Resident(table, tuple(info.fields), info.location)
