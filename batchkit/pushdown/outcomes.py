"""Answers become outcomes as SQL, one for each key, by the rules of `wire.py` and `join.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchkit.pushdown.decoding import DECODING, TOKENS, raw_sql
from batchkit.pushdown.failures import failures_sql
from batchkit.pushdown.fitting import fitting_sql
from batchkit.pushdown.literals import indented, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchkit.pushdown.fitting import AnswerField

__all__ = ["NO_ANSWERS", "OUTCOME_COLUMNS", "answers_sql", "outcomes_sql"]

OUTCOME_COLUMNS = (
    "response",
    "status",
    "finish_reason",
    "error_code",
    "error_message",
    *TOKENS,
    "model_version",
    "notes",
)
# What `answers_sql` gives, without a row.
NO_ANSWERS = """\
SELECT CAST(NULL AS STRING) AS batchkit_key, CAST(NULL AS STRING) AS body, '' AS failure
FROM (SELECT 1 AS one)
WHERE FALSE"""
_CONFLICT = "the service gave differing answers to one key"


def answers_sql(table: str, response_type: str) -> str:
    """The answers of one output table: `batchkit_key`, `body` as JSON text, and `failure`.

    The service writes `response` as JSON or as STRING.
    """
    body = "TO_JSON_STRING(response)" if response_type == "JSON" else "response"
    return f"""\
SELECT
  `key` AS batchkit_key,
  NULLIF(IF(response IS NULL, NULL, {body}), 'null') AS body,
  IFNULL(status, '') AS failure
FROM {table}"""


def outcomes_sql(answers: str, fields: Sequence[AnswerField] = ()) -> str:
    """One outcome for each key that has an answer: `batchkit_key`, `OUTCOME_COLUMNS` and `raw`.

    With the fields of a schema follow `is_fitted`, whether an answer fits it, and their columns.
    `answers` is a SELECT of `answers_sql`, or several with UNION ALL. Answers to one key that
    differ are an error, those that are equal count once.
    """
    columns = [*OUTCOME_COLUMNS, "raw"]
    shared = ", ".join(columns)
    fitting = f",\n{fitting_sql(fields, columns)}" if fields else ""
    own = "".join(f", {field.column}" for field in fields)
    none = "".join(f", CAST(NULL AS {field.type})" for field in fields)
    filled, empty = (f", is_fitted{own}", f", FALSE{none}") if fields else ("", "")
    return f"""\
WITH
answers AS (
  {indented(answers)}
),
{_SINGLE},
{DECODING}{fitting}
SELECT batchkit_key, {shared}{filled} FROM {"fitted" if fields else "decoded"}
UNION ALL
SELECT batchkit_key, {shared}{empty} FROM failed
UNION ALL
SELECT batchkit_key, {shared}{empty} FROM conflicting
"""


def _constant(status: str, code: str | None, message: str | None) -> str:
    """The columns of an outcome without an answer; a code that is None is a column already."""
    given = {
        "status": text(status),
        "error_code": "error_code" if code is None else text(code),
        "error_message": "error_message" if message is None else text(message),
        **dict.fromkeys(TOKENS, "CAST(NULL AS INT64)"),
        "notes": "ARRAY<STRING>[]",
    }
    columns = [
        f"{given.get(name, 'CAST(NULL AS STRING)')} AS {name}" if given.get(name) != name else name
        for name in OUTCOME_COLUMNS
    ]
    return ",\n".join(columns)


_SINGLE = f"""\
single AS (
  SELECT
    batchkit_key,
    ANY_VALUE(body) AS body,
    ANY_VALUE(failure) AS failure,
    COUNT(DISTINCT body) > 1
      OR COUNT(DISTINCT failure) > 1
      OR COUNT(body) NOT IN (0, COUNT(*)) AS in_conflict
  FROM answers
  WHERE batchkit_key IS NOT NULL
  GROUP BY batchkit_key
),
conflicting AS (
  SELECT
    batchkit_key,
    {indented(_constant("error", "CONFLICT", _CONFLICT), 4)},
    CAST(NULL AS STRING) AS raw
  FROM single
  WHERE in_conflict
),
failed AS (
  SELECT
    batchkit_key,
    {indented(_constant("error", None, None), 4)},
    {raw_sql("body")} AS raw
  FROM (
    {indented(failures_sql("single"), 4)}
  )
  WHERE NOT in_conflict
)"""
