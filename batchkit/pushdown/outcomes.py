"""Answers become outcomes as SQL, one for each key, by the rules of `wire.py` and `join.py`."""

from __future__ import annotations

from batchkit.pushdown.decoding import DECODING, TOKENS
from batchkit.pushdown.failures import failures_sql
from batchkit.pushdown.literals import indented, text

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


def outcomes_sql(answers: str) -> str:
    """One outcome for each key that has an answer: `batchkit_key` and `OUTCOME_COLUMNS`.

    `answers` is a SELECT of `answers_sql`, or several with UNION ALL. Answers to one key that
    differ are an error, those that are equal count once.
    """
    shared = ", ".join(OUTCOME_COLUMNS)
    return f"""\
WITH
answers AS (
  {indented(answers)}
),
{_SINGLE},
{DECODING}
SELECT batchkit_key, {shared} FROM decoded
UNION ALL
SELECT batchkit_key, {shared} FROM failed
UNION ALL
SELECT batchkit_key, {shared} FROM conflicting
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
    {indented(_constant("error", "CONFLICT", _CONFLICT), 4)}
  FROM single
  WHERE in_conflict
),
failed AS (
  SELECT
    batchkit_key,
    {indented(_constant("error", None, None), 4)}
  FROM (
    {indented(failures_sql("single"), 4)}
  )
  WHERE NOT in_conflict
)"""
