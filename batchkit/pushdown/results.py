"""The tables of a run in the warehouse, side by side: requests for a job, results, the balance.

`rows` is the table that `requests_sql` filled, by its name as SQL writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from batchkit.errors import TableError
from batchkit.layout import ANSWER, PROVENANCE, RAW
from batchkit.pushdown.decoding import TOKENS
from batchkit.pushdown.fitting import answer_fields
from batchkit.pushdown.literals import column_name, indented, text
from batchkit.pushdown.outcomes import OUTCOME_COLUMNS, outcomes_sql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchkit.layout import Layout
    from batchkit.outcome import Status
    from batchkit.pushdown.columns import Columns
    from batchkit.pushdown.fitting import AnswerField

__all__ = ["IN_ORDER", "Sent", "Silence", "balance_sql", "job_requests_sql", "result_sql"]

# After a `result_sql`, for a reader; a table has no order, and sorting it costs.
IN_ORDER = "ORDER BY source.batchkit_row"
_NO_JOB = "CAST(NULL AS STRING)"
# What SQL says of where an answer came from; the hash of a request takes Python.
_NOWHERE: Mapping[str, str] = MappingProxyType(
    {
        "job": _NO_JOB,
        "shard": _NO_JOB,
        "attempt": "CAST(NULL AS INT64)",
        "request_hash": _NO_JOB,
        "answered_by": _NO_JOB,
    }
)


@dataclass(frozen=True, slots=True)
class Sent:
    """The job that rows were sent with."""

    job: str
    shard: str
    attempt: int

    @property
    def provenance(self) -> dict[str, str]:
        """The columns that tell it, as SQL."""
        return {
            "job": text(self.job),
            "shard": text(self.shard),
            "attempt": str(self.attempt),
            "answered_by": "'job'",
        }


@dataclass(frozen=True, slots=True)
class Silence:
    """What becomes of the rows from `first` to before `stop` that no answer names.

    Rows of no such range are pending. `sent` is the job that has ended.
    """

    first: int
    stop: int
    status: Status
    error_code: str | None
    error_message: str | None
    sent: Sent | None = None


def job_requests_sql(rows: str, first: int, stop: int) -> str:
    """The requests of rows from `first` to before `stop`, as the service reads them."""
    return f"""\
SELECT batchkit_key AS `key`, batchkit_request AS request
FROM {rows}
WHERE batchkit_request IS NOT NULL AND batchkit_row >= {first} AND batchkit_row < {stop}
"""


def result_sql(  # all that a result is made of
    rows: str,
    answers: str,
    columns: Columns,
    layout: Layout,
    *,
    silences: Sequence[Silence],
    schema: Mapping[str, Any] | None = None,
) -> str:
    """Each row once: the table's own columns, then those of its outcome with the prefix.

    `answers` are SELECTs of `answers_sql` with UNION ALL; `schema` is the responseSchema. Raises
    CapabilityError for a schema that SQL cannot hold answers against.
    """
    fields = answer_fields(schema)
    own = [f"source.{column_name(name)}" for name in columns.names]
    ours = _ours(fields, layout, silences)
    _check_names(columns.names, [layout.prefix + name for name, _ in ours])
    named = [f"{value} AS {column_name(layout.prefix + name)}" for name, value in ours]
    chosen = ",\n".join([*own, *named])
    return f"""\
SELECT
  {indented(chosen)}
FROM {rows} AS source
LEFT JOIN (
  {indented(outcomes_sql(answers, fields))}
) AS outcome
ON source.batchkit_key = outcome.batchkit_key AND source.batchkit_request IS NOT NULL
"""


def _ours(
    fields: Sequence[AnswerField], layout: Layout, silences: Sequence[Silence]
) -> list[tuple[str, str]]:
    """Our columns in the order of `result_fields`, without the prefix, as SQL."""
    said = _said(silences)
    ours = [(name, said.get(name, f"outcome.{name}")) for name in OUTCOME_COLUMNS]
    if fields and layout.flatten:
        ours[1:1] = [(field.name, f"outcome.{field.column}") for field in fields]
    elif fields:
        parts = ", ".join(
            f"outcome.{field.column} AS {column_name(field.name)}" for field in fields
        )
        ours.insert(1, (ANSWER, f"IF(outcome.is_fitted, STRUCT({parts}), NULL)"))
    if layout.provenance:
        ours += [(name, _provenance(silences, name)) for name, _ in PROVENANCE]
    if layout.raw:
        ours.append((RAW, "outcome.raw"))
    return ours


def _provenance(silences: Sequence[Silence], name: str) -> str:
    told = [(silence, silence.sent.provenance.get(name)) for silence in silences if silence.sent]
    cases = "".join(f"{_range(silence)}\n    THEN {value}" for silence, value in told if value)
    if not cases:
        return _NOWHERE[name]
    return f"CASE\n  WHEN source.batchkit_request IS NULL THEN NULL{cases}\nEND"


def balance_sql(
    rows: str,
    answers: str,
    *,
    silences: Sequence[Silence],
    schema: Mapping[str, Any] | None = None,
) -> str:
    """How many rows have each status, and how many answers were placed how: the audit.

    And how many tokens of each kind answers took. Columns `what` ("status", "lines" or "tokens"),
    `name` and `number`.
    """
    return f"""\
WITH
stated AS (
  SELECT
    {indented(_said(silences)["status"], 4)} AS status,
    {", ".join(f"outcome.{name}" for name in TOKENS)}
  FROM {rows} AS source
  LEFT JOIN (
    {indented(outcomes_sql(answers, answer_fields(schema)), 4)}
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
{_TOKEN_SUMS}
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

_TOKEN_SUMS = "\n".join(
    f"UNION ALL\nSELECT 'tokens', {text(name)}, CAST(IFNULL(SUM({name}), 0) AS INT64)\nFROM stated"
    for name in TOKENS
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
        f"{_range(silence)}\n    THEN {_NO_JOB if value is None else text(value)}"
        for silence, value in told
    )


def _range(silence: Silence) -> str:
    first, stop = silence.first, silence.stop
    return f"\n  WHEN source.batchkit_row >= {first} AND source.batchkit_row < {stop}"


def _check_names(source: Sequence[str], ours: Sequence[str]) -> None:
    """Raise TableError for a column that is there twice; BigQuery takes Status for status."""
    names = [name.lower() for name in ours]
    clash = next((name for name in source if name.lower() in names), None)
    if clash is not None:
        message = (
            f"the table has a column {clash!r}, which the result needs: "
            "rename it, or give the result's columns a prefix (prefix='gemini_')"
        )
        raise TableError(message, column=clash)
    twice = next((name for name in ours if names.count(name.lower()) > 1), None)
    if twice is not None:
        message = (
            f"the schema has a field {twice!r}, which BigQuery takes for another result column: "
            "rename the field, or keep answers in one struct column (flatten=False)"
        )
        raise TableError(message, column=twice)
