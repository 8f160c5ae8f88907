"""The SELECT that turns a table into requests: rows numbered by key, bodies spliced from texts.

It gives what the local builder gives, row by row: the wire key, the request as JSON, or the path
and the reason why a row has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchkit.errors import CapabilityError, TableError
from batchkit.pushdown.columns import Columns, json_inside
from batchkit.pushdown.literals import column_name, concatenation, indented, pattern, text
from batchkit.specs.bodies import Skeleton, TextSlot
from batchkit.specs.template import Hole
from batchkit.wire import dialect_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchkit.specs.spec import Spec

__all__ = ["OWN_COLUMNS", "Source", "bad_keys_sql", "blocks_sql", "requests_sql"]

OWN_COLUMNS = (
    "batchkit_row",
    "batchkit_key",
    "batchkit_request",
    "batchkit_path",
    "batchkit_reason",
)
_KEY_PATH = "$.key"
# What a line has beside its key and its request.
_LINE_BYTES = len('{"key":"","request":}\n')


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from: a table's name or a query in parentheses, as SQL, and its columns."""

    sql: str
    columns: Columns


def requests_sql(source: Source, spec: Spec, key: Sequence[str]) -> str:
    """The rows of a table with a number, a wire key, and a request or the reason for none.

    `OWN_COLUMNS` come first, the table's own follow. Raises CapabilityError for what SQL would not
    write as the local builder does: functions, format specifications, types such as FLOAT64.
    """
    columns = source.columns
    _check_names(columns)
    segments = _segments(columns, spec)
    order = ", ".join(f"source.{column_name(name)}" for name in key)
    return f"""\
WITH
numbered AS (
  SELECT
    ROW_NUMBER() OVER (ORDER BY {order}) - 1 AS batchkit_row,
    {columns.key(key)} AS batchkit_key,
    {indented(_problem(columns, segments), 4)} AS batchkit_problem,
    {indented(_body(columns, segments), 4)} AS batchkit_body,
    source.*
  FROM {source.sql} AS source
),
{_JUDGING.replace("$path", text(_slot(segments).path))}
"""


def bad_keys_sql(rows: str, most: int) -> str:
    """The first rows whose keys cannot name them: `row`, `key`, `reason`, and how many in `total`.

    `rows` is the table that `requests_sql` filled.
    """
    return f"""\
SELECT
  batchkit_row AS `row`,
  batchkit_key AS `key`,
  batchkit_reason AS reason,
  COUNT(*) OVER () AS total
FROM {rows}
WHERE batchkit_path = {text(_KEY_PATH)}
ORDER BY batchkit_row
LIMIT {most}
"""


def blocks_sql(rows: str, block_rows: int) -> str:
    """Blocks of so many rows that follow one another: `rows`, `requests` and their `bytes`."""
    return f"""\
SELECT
  DIV(batchkit_row, {block_rows}) AS block,
  COUNT(*) AS `rows`,
  COUNT(batchkit_request) AS requests,
  CAST(IFNULL(
    SUM(BYTE_LENGTH(batchkit_key) + BYTE_LENGTH(batchkit_request) + {_LINE_BYTES}), 0
  ) AS INT64) AS bytes
FROM {rows}
GROUP BY block
ORDER BY block
"""


_KEY_PROBLEM = f"""\
CASE
  WHEN batchkit_key IS NULL THEN 'the key is null'
  WHEN batchkit_key = '' THEN 'the key is empty text'
  WHEN REGEXP_CONTAINS(batchkit_key, {pattern(chr(92) + "x00")})
    THEN 'the key holds a NUL character'
  WHEN batchkit_first < batchkit_row
    THEN 'repeats the key of row ' || CAST(batchkit_first AS STRING)
END"""
# From `numbered`: what is wrong with keys, and then with requests; `$path` is that of the slot.
_JUDGING = f"""\
named AS (
  SELECT
    *,
    {indented(_KEY_PROBLEM, 4)} AS batchkit_key_problem
  FROM (
    SELECT *, MIN(batchkit_row) OVER (PARTITION BY batchkit_key) AS batchkit_first
    FROM numbered
  )
),
judged AS (
  SELECT
    *,
    COALESCE(batchkit_key_problem, batchkit_problem) AS batchkit_reason,
    CASE
      WHEN batchkit_key_problem IS NOT NULL THEN {text(_KEY_PATH)}
      WHEN batchkit_problem IS NOT NULL THEN $path
    END AS batchkit_path
  FROM named
)
SELECT
  batchkit_row,
  batchkit_key,
  IF(batchkit_reason IS NULL, batchkit_body, NULL) AS batchkit_request,
  batchkit_path,
  batchkit_reason,
  * EXCEPT (
    batchkit_row, batchkit_key, batchkit_body, batchkit_path, batchkit_reason,
    batchkit_problem, batchkit_key_problem, batchkit_first
  )
FROM judged"""


def _segments(columns: Columns, spec: Spec) -> Sequence[bytes | TextSlot]:
    """The request as constant bytes and the one slot that differs by row."""
    if spec.kind != "generate":
        message = "pushdown is for generate specs: Gemini's embeddings are not read from BigQuery"
        raise CapabilityError(message)
    dialect = dialect_for("vertex", "generate", spec.model, table=True)
    bound = spec.bind(columns.schema, dialect)
    if not isinstance(bound, Skeleton):
        message = "a function of a row runs in Python: give a template, or run without pushdown"
        raise CapabilityError(message)
    segments = [s for s in bound.segments if isinstance(s, bytes | TextSlot)]
    for hole in _holes(segments):
        if hole.specification:
            message = (
                f"{{{hole.column}:{hole.specification}}}: SQL has no Python formats; format the "
                "column in a query first, or run without pushdown"
            )
            raise CapabilityError(message)
    return segments


def _slot(segments: Sequence[bytes | TextSlot]) -> TextSlot:
    return next(segment for segment in segments if isinstance(segment, TextSlot))


def _holes(segments: Sequence[bytes | TextSlot]) -> list[Hole]:
    return [piece for piece in _slot(segments).pieces if isinstance(piece, Hole)]


def _body(columns: Columns, segments: Sequence[bytes | TextSlot]) -> str:
    parts: list[str] = []
    for segment in segments:
        if isinstance(segment, bytes):
            parts.append(text(segment.decode()))
        else:
            parts += [_piece(columns, piece) for piece in segment.pieces]
    return "\n  || ".join(parts)


def _piece(columns: Columns, piece: str | Hole) -> str:
    """A piece of the prompt as it stands inside a JSON string."""
    if isinstance(piece, str):
        return json_inside(piece)
    inside = columns.inside(piece.column)
    return inside if piece.default is None else f"IFNULL({inside}, {json_inside(piece.default)})"


def _problem(columns: Columns, segments: Sequence[bytes | TextSlot]) -> str:
    """Why a row has no request, whatever its key; NULL when it has one."""
    cases: list[str] = []
    for hole in _holes(segments):
        if hole.default is None:
            name = hole.column
            reason = f"column {name!r} is null: give a default, {{{name}??…}}"
            cases.append(f"  WHEN source.{column_name(name)} IS NULL THEN {text(reason)}")
    pieces = _slot(segments).pieces
    if not any(isinstance(piece, str) for piece in pieces):
        prompt = concatenation(_piece(columns, piece) for piece in pieces)
        cases.append(f"  WHEN {prompt} = '' THEN 'the text is empty'")
    return "CASE\n" + "\n".join(cases) + "\nEND" if cases else "CAST(NULL AS STRING)"


def _check_names(columns: Columns) -> None:
    taken = next((name for name in columns.names if name.lower().startswith("batchkit_")), None)
    if taken is not None:
        message = f"column {taken!r}: names that begin with batchkit_ are ours; rename it"
        raise TableError(message, column=taken)
