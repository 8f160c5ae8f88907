"""The response of a row, read as `answer.py` reads it, as SQL.

JSON is read as text throughout: a null counts as absent there, and the first character of a value
tells its type.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from batchkit.answer import MEDIA
from batchkit.outcome import FINISH_STATUSES
from batchkit.pushdown.literals import indented, mapping, member, pattern, text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DECODING", "TOKENS", "raw_sql"]

TOKENS: Mapping[str, str] = MappingProxyType(
    {
        "prompt_tokens": "promptTokenCount",
        "output_tokens": "candidatesTokenCount",
        "thoughts_tokens": "thoughtsTokenCount",
        "cached_tokens": "cachedContentTokenCount",
        "total_tokens": "totalTokenCount",
    }
)
# What Python calls false.
_NOTHING = r"^(\[\s*\]|\{\s*\}|\x22\x22|false|-?0(\.0*)?)$"
_OBJECT = r"^\s*\{"
_COUNT = r"^[0-9]{1,19}$"
_VECTOR = "the answer is a vector, and none was asked for"


def raw_sql(body: str) -> str:
    """A body as JSON text, whatever it is."""
    is_json = f"SAFE.PARSE_JSON({body}, wide_number_mode => 'round') IS NOT NULL"
    return f"IF({body} IS NULL OR {is_json}, {body}, TO_JSON_STRING({body}))"


def _is(value: str, first: str) -> str:
    """Whether a JSON text is an object, a list or a text, by its first character."""
    return f"IFNULL(STARTS_WITH({value}, '{first}'), FALSE)"


def _list_at(json: str, path: str) -> str:
    """The JSON text of a list; NULL for what is none."""
    found = f"JSON_QUERY({json}, '$.{path}')"
    return f"IF({_is(found, '[')}, {found}, NULL)"


def _count(json: str, path: str) -> str:
    """A count: a number that is whole, or the text of one; NULL for anything else."""
    value, shown = f"JSON_VALUE({json}, '$.{path}')", f"JSON_QUERY({json}, '$.{path}')"
    number = f"SAFE_CAST({value} AS FLOAT64)"
    fits = f"{number} >= 0 AND {number} < 9223372036854775808.0 AND {number} = TRUNC({number})"
    return f"""\
CASE
  WHEN REGEXP_CONTAINS({value}, {pattern(_COUNT)}) THEN SAFE_CAST({value} AS INT64)
  WHEN REGEXP_CONTAINS({shown}, r'^[0-9.eE+]+$') AND {fits}
    THEN CAST({number} AS INT64)
END"""


def _parts(what: str, where: str) -> str:
    """A subquery over the parts of a candidate that are no thoughts."""
    return f"""\
SELECT {what}
FROM UNNEST(JSON_QUERY_ARRAY(parts)) AS part WITH OFFSET AS place
WHERE STARTS_WITH(part, '{{')
  AND IFNULL(JSON_QUERY(part, '$.thought'), 'null') != 'true'
  AND {where}"""


_SPOKEN = _parts(
    "STRING_AGG(JSON_VALUE(part, '$.text'), '' ORDER BY place)",
    _is("JSON_QUERY(part, '$.text')", '"'),
)
_FILLED = ",\n    ".join(member("part", name) for name in MEDIA)
_SHOWN = _parts(
    "1",
    "COALESCE(\n    "
    + ",\n    ".join(member("part", name) for name in MEDIA)
    + "\n  ) IS NOT NULL",
)
_CHOSEN = """\
SELECT one
FROM UNNEST(JSON_QUERY_ARRAY(candidate_list)) AS one WITH OFFSET AS place
ORDER BY
  IF(
    REGEXP_CONTAINS(JSON_QUERY(one, '$.index'), r'^-?[0-9]+$'),
    SAFE_CAST(JSON_VALUE(one, '$.index') AS INT64),
    0
  ),
  place
LIMIT 1"""
_USAGE = ",\n    ".join(
    f"{indented(_count('body', f'usageMetadata.{field}'), 4)} AS {name}"
    for name, field in TOKENS.items()
)
_LISTED = ", ".join(TOKENS)
_STATUS = mapping("finish_reason", FINISH_STATUSES, "IF(finish_reason IS NULL, 'ok', 'error')")

# From `single`, of outcomes.py, to `decoded`, one step of `answer.py` after the other. `verdict`
# says what is wrong before a candidate is read.
DECODING = f"""\
opened AS (
  SELECT
    batchkit_key,
    body IS NULL AS is_silent,
    {raw_sql("body")} AS raw,
    IF(
      SAFE.PARSE_JSON(body, wide_number_mode => 'round') IS NOT NULL
        AND REGEXP_CONTAINS(body, {pattern(_OBJECT)}),
      body,
      NULL
    ) AS body
  FROM single
  WHERE failure = '' AND NOT in_conflict
),
listed AS (
  SELECT
    batchkit_key,
    is_silent,
    raw,
    body,
    {member("body", "embedding")} AS embedding,
    {member("body", "candidates")} AS candidates,
    {_list_at("body", "candidates")} AS candidate_list,
    IFNULL(ARRAY_LENGTH(JSON_QUERY_ARRAY(
      {_list_at("body", "embedding.values")}
    )), 0) AS dimensions,
    {_is(member("body", "promptFeedback"), "{")} AS has_feedback,
    NULLIF(JSON_VALUE(body, '$.promptFeedback.blockReason'), '') AS block_reason,
    COALESCE(
      NULLIF(JSON_VALUE(body, '$.promptFeedback.blockReasonMessage'), ''),
      'the prompt was blocked'
    ) AS block_message,
    IF(
      {_is("JSON_QUERY(body, '$.modelVersion')", '"')},
      JSON_VALUE(body, '$.modelVersion'),
      NULL
    ) AS model_version,
    {_USAGE}
  FROM opened
),
counted AS (
  SELECT
    *,
    IFNULL(ARRAY_LENGTH(JSON_QUERY_ARRAY(candidate_list)), 0) AS choices,
    candidates IS NULL OR REGEXP_CONTAINS(candidates, {pattern(_NOTHING)}) AS has_none,
    IFNULL(
      (
        SELECT LOGICAL_AND(STARTS_WITH(one, '{{'))
        FROM UNNEST(JSON_QUERY_ARRAY(candidate_list)) AS one
      ),
      FALSE
    ) AS are_objects
  FROM listed
),
judged AS (
  SELECT
    *,
    CASE
      WHEN is_silent THEN 'the line has neither response nor error'
      WHEN body IS NULL THEN 'the response is not an object'
      WHEN embedding IS NOT NULL AND dimensions = 0 THEN 'the embedding has no values'
      WHEN embedding IS NOT NULL THEN {text(_VECTOR)}
      WHEN has_none THEN 'the response has no candidate'
      WHEN NOT are_objects THEN 'candidates are not a list of objects'
    END AS verdict,
    is_silent
      OR (body IS NOT NULL AND IF(embedding IS NULL, has_none, dimensions = 0))
      AS verdict_is_empty
  FROM counted
),
chosen AS (
  SELECT
    *,
    IF(verdict IS NULL, ({indented(_CHOSEN, 6)}), NULL) AS candidate
  FROM judged
),
parted AS (
  SELECT
    *,
    NULLIF(JSON_VALUE(candidate, '$.finishReason'), '') AS finish_reason,
    NULLIF(JSON_VALUE(candidate, '$.finishMessage'), '') AS finish_message,
    CASE
      WHEN {_is("JSON_QUERY(candidate, '$.content.parts')", "[")}
        THEN JSON_QUERY(candidate, '$.content.parts')
      WHEN {_is("JSON_QUERY(candidate, '$.content.parts')", "{")}
        THEN '[' || JSON_QUERY(candidate, '$.content.parts') || ']'
    END AS parts
  FROM chosen
),
spoken AS (
  SELECT
    *,
    NULLIF(({indented(_SPOKEN, 6)}), '') AS response,
    EXISTS({indented(_SHOWN, 6)}) AS has_media,
    {indented(_STATUS, 4)} AS finish_status
  FROM parted
),
stated AS (
  SELECT
    *,
    response IS NOT NULL OR has_media AS is_usable,
    CASE
      WHEN verdict IS NOT NULL THEN IF(verdict_is_empty, 'empty', 'malformed')
      WHEN finish_status = 'ok' AND response IS NULL AND NOT has_media THEN 'empty'
      ELSE finish_status
    END AS status_before,
    has_feedback AND block_reason IS NOT NULL AND embedding IS NULL AS is_blocked
  FROM spoken
),
decoded AS (
  SELECT
    batchkit_key,
    response,
    IF(status_before = 'empty' AND is_blocked, 'blocked', status_before) AS status,
    finish_reason,
    CASE
      WHEN status_before = 'empty' AND is_blocked THEN block_reason
      WHEN verdict IS NULL AND status_before IN ('error', 'blocked', 'malformed')
        THEN finish_reason
    END AS error_code,
    CASE
      WHEN status_before = 'empty' AND is_blocked THEN block_message
      WHEN verdict IS NOT NULL THEN verdict
      WHEN finish_message IS NOT NULL THEN finish_message
      WHEN finish_status = 'ok' AND NOT is_usable THEN 'the candidate has no usable part'
      WHEN status_before IN ('error', 'blocked', 'malformed')
        THEN 'the model stopped: ' || finish_reason
    END AS error_message,
    {_LISTED},
    model_version,
    ARRAY_CONCAT(
      IF(
        verdict IS NULL AND choices > 1,
        ['candidates: ' || CAST(choices AS STRING)],
        ARRAY<STRING>[]
      ),
      IF(
        verdict IS NULL AND finish_reason IS NULL AND is_usable,
        ['the service gave no finish reason'],
        ARRAY<STRING>[]
      )
    ) AS notes,
    raw
  FROM stated
)"""
