"""All the SQL of one run: from its definition alone, so that it can be shown before it is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchkit.pushdown.columns import Columns
from batchkit.pushdown.outcomes import NO_ANSWERS, answers_sql
from batchkit.pushdown.requests import Source, bad_keys_sql, blocks_sql, requests_sql
from batchkit.pushdown.results import balance_sql, job_requests_sql, result_sql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchkit.layout import Layout
    from batchkit.pushdown.results import Silence
    from batchkit.specs.spec import Spec
    from batchkit.tables.resident import Resident
    from batchkit.warehouse import TableName

__all__ = ["Statements"]


@dataclass(frozen=True, slots=True)
class Statements:
    """What a run asks of BigQuery; `rows` is the run's own table of numbered rows.

    Each raises CapabilityError or TableError for what SQL would not do as the local way does.
    """

    resident: Resident
    spec: Spec
    key: tuple[str, ...]
    layout: Layout
    rows: TableName

    @property
    def columns(self) -> Columns:
        """The table's own columns."""
        return Columns(self.resident.fields)

    @property
    def rows_job(self) -> str:
        """The id under which `rows` is filled, once."""
        return f"batchkit-{self.rows.table}"

    def numbered(self) -> str:
        """What fills `rows`: each row with its number, its key, and its request or why not."""
        return requests_sql(Source(self.resident.sql, self.columns), self.spec, self.key)

    def bad_keys(self, most: int) -> str:
        """The first rows whose keys cannot name them, and how many there are."""
        return bad_keys_sql(self.rows.sql, most)

    def blocks(self, rows: int) -> str:
        """How many requests and bytes each so many rows have, to cut jobs by."""
        return blocks_sql(self.rows.sql, rows)

    def requests(self, first: int, stop: int) -> str:
        """The requests of one job."""
        return job_requests_sql(self.rows.sql, first, stop)

    def result(self, outputs: Mapping[TableName, str], silences: Sequence[Silence]) -> str:
        """Each row with its outcome; `outputs` are output tables, with the type of `response`."""
        given = (self.rows.sql, _answers(outputs), self.columns, self.layout)
        return result_sql(*given, silences=silences, schema=self.spec.answer_schema)

    def balance(self, outputs: Mapping[TableName, str], silences: Sequence[Silence]) -> str:
        """Rows by status and answers by placement."""
        schema = self.spec.answer_schema
        return balance_sql(self.rows.sql, _answers(outputs), silences=silences, schema=schema)


def _answers(outputs: Mapping[TableName, str]) -> str:
    selects = [answers_sql(table.sql, kind) for table, kind in outputs.items()]
    return "\nUNION ALL\n".join(selects) or NO_ANSWERS
