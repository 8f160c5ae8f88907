"""The tables of a run in the warehouse, side by side: requests for a job, results, the balance.

`rows` is the table that `requests_sql` filled, by its name as SQL writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchkit.errors import CapabilityError, TableError
from batchkit.pushdown.literals import column_name, indented, text
from batchkit.pushdown.outcomes import OUTCOME_COLUMNS, outcomes_sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchkit.layout import Layout
    from batchkit.outcome import Status
    from batchkit.pushdown.columns import Columns
    from batchkit.specs.spec import Spec

__all__ = ["IN_ORDER", "Silence", "balance_sql", "check_result", "job_requests_sql", "result_sql"]

# After a `result_sql`, for a reader; a table has no order, and sorting it costs.
IN_ORDER = "ORDER BY source.batchkit_row"
_NO_JOB = "CAST(NULL AS STRING)"


@dataclass(frozen=True, slots=True)
class Silence:
    """What becomes of the rows from `first` to before `stop` that no answer names.

    Rows of no such range are pending.
    """

    first: int
    stop: int
    status: Status
    error_code: str | None
    error_message: str | None


def job_requests_sql(rows: str, first: int, stop: int) -> str:
    """The requests of rows from `first` to before `stop`, as the service reads them."""
    return f"""\
SELECT batchkit_key AS `key`, batchkit_request AS request
FROM {rows}
WHERE batchkit_request IS NOT NULL AND batchkit_row >= {first} AND batchkit_row < {stop}
"""


def result_sql(
    rows: str, answers: str, columns: Columns, layout: Layout, *, silences: Sequence[Silence]
) -> str:
    """Each row once: the table's own columns, then those of its outcome with the prefix.

    `answers` are SELECTs of `answers_sql` with UNION ALL.
    """
    own = [f"source.{column_name(name)}" for name in columns.names]
    _check_names(columns, layout)
    said = _said(silences)
    ours = [
        f"{said.get(name, f'outcome.{name}')} AS {column_name(layout.prefix + name)}"
        for name in OUTCOME_COLUMNS
    ]
    chosen = ",\n".join([*own, *ours])
    return f"""\
SELECT
  {indented(chosen)}
FROM {rows} AS source
LEFT JOIN (
  {indented(outcomes_sql(answers))}
) AS outcome
ON source.batchkit_key = outcome.batchkit_key AND source.batchkit_request IS NOT NULL
"""


def balance_sql(rows: str, answers: str, *, silences: Sequence[Silence]) -> str:
    """How many rows have each status, and how many answers were placed how: the audit.

    Columns `what` ("status" or "lines"), `name` and `number`.
    """
    return f"""\
WITH
stated AS (
  SELECT {indented(_said(silences)["status"])} AS status
  FROM {rows} AS source
  LEFT JOIN (
    {indented(outcomes_sql(answers), 4)}
  ) AS outcome
  ON source.batchkit_key = outcome.batchkit_key AND source.batchkit_request IS NOT NULL
),
placed AS (
  SELECT
    answer.batchkit_key,
    COUNT(*) AS kinds,
    SUM(answer.copies) AS copies,
    LOGICAL_OR(source.batchkit_key IS NOT NULL) AS is_known
  FROM (
    SELECT batchkit_key, COUNT(*) AS copies
    FROM (
      {indented(answers, 6)}
    )
    GROUP BY batchkit_key, body, failure
  ) AS answer
  LEFT JOIN {rows} AS source
  ON source.batchkit_key = answer.batchkit_key AND source.batchkit_request IS NOT NULL
  GROUP BY answer.batchkit_key
)
SELECT 'status' AS what, status AS name, COUNT(*) AS number
FROM stated
GROUP BY status
{_PLACEMENTS}
"""


_PLACEMENTS = "\n".join(
    f"UNION ALL\nSELECT 'lines', {text(name)}, CAST(IFNULL(SUM({number}), 0) AS INT64)\n"
    f"FROM placed\nWHERE {condition}"
    for name, number, condition in (
        ("joined", "1", "is_known"),
        ("repeated", "copies - kinds", "is_known"),
        ("conflict", "kinds - 1", "is_known"),
        ("unknown", "copies", "batchkit_key IS NOT NULL AND NOT is_known"),
        ("unkeyed", "copies", "batchkit_key IS NULL"),
    )
)


def _said(silences: Sequence[Silence]) -> dict[str, str]:
    """The columns that say something of rows without an outcome, too, as SQL."""
    reason = "source.batchkit_path || ': ' || source.batchkit_reason"
    rejected = {"status": "'rejected'", "error_code": "'REJECTED'", "error_message": reason}
    pending = {"status": "'pending'"}
    return {
        name: f"""\
CASE
  WHEN source.batchkit_request IS NULL THEN {rejected[name]}
  WHEN outcome.batchkit_key IS NOT NULL THEN outcome.{name}{_silent(silences, name)}
  ELSE {pending.get(name, _NO_JOB)}
END"""
        for name in rejected
    }


def _silent(silences: Sequence[Silence], name: str) -> str:
    told = [(silence, getattr(silence, name)) for silence in silences]
    return "".join(
        f"\n  WHEN source.batchkit_row >= {silence.first} AND source.batchkit_row < {silence.stop}"
        f"\n    THEN {_NO_JOB if value is None else text(value)}"
        for silence, value in told
    )


def check_result(spec: Spec, layout: Layout) -> None:
    """Raise CapabilityError for columns that only the row-by-row way makes."""
    if spec.answer_schema is not None:
        message = "answers by schema are checked in Python: leave schema= out, or pushdown"
        raise CapabilityError(message)
    if layout.provenance or layout.raw:
        named = "provenance" if layout.provenance else "raw"
        message = f"{named}=True: the tables of a run with pushdown have that; leave it out"
        raise CapabilityError(message)


def _check_names(columns: Columns, layout: Layout) -> None:
    """Raise TableError for a column that is ours already; BigQuery takes Status for status."""
    ours = {(layout.prefix + name).lower() for name in OUTCOME_COLUMNS}
    clash = next((name for name in columns.names if name.lower() in ours), None)
    if clash is not None:
        message = (
            f"the table has a column {clash!r}, which the result needs: "
            "rename it, or give the result's columns a prefix (prefix='gemini_')"
        )
        raise TableError(message, column=clash)
