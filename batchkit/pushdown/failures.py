"""The `status` column of a row that failed, read as `wire.py` reads it, as SQL.

https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-bigquery
"""

from __future__ import annotations

from batchkit.pushdown.literals import indented, mapping, member, pattern, text
from batchkit.wire import CODES, RPC_REASONS, rpc_reason

__all__ = ["failures_sql"]

# How often an error may be wrapped in another; the service does it once.
_DEPTH = 4
_NO_CODE = "0"  # as when there is none
_EMBEDDED = r"(?s)^(?:[^:{]*:)?\s*(\{.*\})\s*$"
_REASON = r"^\s*([^:]*?)\s*(?::|$)"


def failures_sql(rows: str) -> str:
    """Of the rows of a relation whose `failure` is not empty: `error_code`, `error_message`.

    All other columns stay.
    """
    names = {code: rpc_reason(code) for code in CODES if code != _NO_CODE}
    codes = mapping("batchkit_code", names, _OTHER_CODE)
    return f"""\
SELECT
  * EXCEPT (batchkit_said, batchkit_error, batchkit_words, batchkit_code),
  CASE
    WHEN batchkit_error IS NULL THEN {indented(_reason_of("batchkit_words"), 4)}
    ELSE COALESCE(
      NULLIF(JSON_VALUE(batchkit_error, '$.status'), ''),
      {indented(codes, 6)}
    )
  END AS error_code,
  COALESCE(
    NULLIF(JSON_VALUE(batchkit_error, '$.message'), ''),
    IF(batchkit_error IS NULL, batchkit_words, failure)
  ) AS error_message
FROM (
  SELECT *, COALESCE(JSON_VALUE(batchkit_error, '$.code'), '0') AS batchkit_code
  FROM (
    SELECT
      *,
      {indented(_innermost("batchkit_said"), 6)} AS batchkit_error,
      {indented(_words("batchkit_said"), 6)} AS batchkit_words
    FROM (
      SELECT
        *,
        IF(
          SAFE.PARSE_JSON(REGEXP_EXTRACT(failure, {pattern(_EMBEDDED)})) IS NULL,
          NULL,
          REGEXP_EXTRACT(failure, {pattern(_EMBEDDED)})
        ) AS batchkit_said
      FROM {indented(rows, 6)}
      WHERE failure != ''
    )
  )
)"""


_OTHER_CODE = f"IF(batchkit_code IN ('{_NO_CODE}', ''), 'UNKNOWN', 'CODE_' || batchkit_code)"


def _paths() -> list[str]:
    """`error.error.error`, `error.error`, `error`: the innermost first."""
    return [".".join(["error"] * depth) for depth in range(_DEPTH, 0, -1)]


def _innermost(said: str) -> str:
    """The error object inside all wrappings; NULL when there is a text instead, or nothing."""
    found = [
        f"WHEN STARTS_WITH({member(said, path)}, '{{') AND {member(said, path)} != '{{}}'\n"
        f"    THEN {member(said, path)}"
        for path in _paths()
    ]
    inner = "\n  ".join(found)
    return f"""\
CASE
  WHEN {_text_inside(said)} IS NOT NULL THEN NULL
  {inner}
  ELSE {said}
END"""


def _words(said: str) -> str:
    """The text that says what failed, when no object does."""
    return f"COALESCE({_text_inside(said)}, failure)"


def _text_inside(said: str) -> str:
    """An error that is a text in wrappings: `{"error": "quota"}`."""
    values = ", ".join(f"NULLIF(JSON_VALUE({said}, '$.{path}'), '')" for path in _paths())
    return f"COALESCE({values})"


def _reason_of(words: str) -> str:
    """The reason a text begins with, `UNAVAILABLE: try again`."""
    first = f"REGEXP_EXTRACT({words}, {pattern(_REASON)})"
    known = ", ".join(text(reason) for reason in RPC_REASONS[1:])
    return f"IF({first} IN ({known}),\n  {first}, 'UNKNOWN')"
