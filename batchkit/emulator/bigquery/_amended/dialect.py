"""SQL on its way from BigQuery's dialect to DuckDB's, where sqlglot loses some of it."""

from __future__ import annotations

import re
from typing import Any

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB

from .replacement import replace

__all__ = ["amend_dialect", "without_escapes"]

# Comments, quoted names, and literals with their prefix, quote and body.
_PIECE = re.compile(
    r"--[^\n]*|#[^\n]*|/\*.*?\*/|`(?:\\.|[^`\\])*`"
    r"|(?P<prefix>\b[rb]{1,2})?(?P<quote>\"\"\"|'''|\"|')(?P<body>(?:\\.|(?!(?P=quote)).)*)(?P=quote)",
    re.DOTALL | re.IGNORECASE,
)
# https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#escape_sequences
_ESCAPE = re.compile(
    r"\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL
)
_NAMED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
# The escapes that sqlglot knows; in longer quotes it knows fewer.
_WRITTEN = {"'": "\\'", "\\": "\\\\", "\n": "\\n", "\r": "\\r"}


def amend_dialect() -> None:
    """Have operands keep their parentheses, and FORMAT('%s', …) its text."""
    DuckDB.Generator.TRANSFORMS[exp.IntDiv] = _divided
    generator = "sqlglot.generators.duckdb:DuckDBGenerator"
    replace(generator, "format_sql", lambda _: _formatted)


def without_escapes(sql: str) -> str:
    r"""The same SQL with characters for what is escaped: sqlglot keeps \u00e9 as six of them."""
    return _PIECE.sub(_literal, sql)


def _literal(piece: re.Match[str]) -> str:
    if piece["quote"] is None or piece["prefix"]:
        return piece[0]
    text = _ESCAPE.sub(_character, piece["body"])
    return "'" + "".join(_WRITTEN.get(character, character) for character in text) + "'"


def _character(escape: re.Match[str]) -> str:
    digits = escape[1] or escape[2] or escape[3]
    if digits or escape[4]:
        return chr(int(digits, 16) if digits else int(escape[4], 8))
    return _NAMED.get(escape[5], escape[5])


def _divided(generator: Any, division: exp.IntDiv) -> str:
    """DIV(a - 1, 2) as (a - 1) // (2)."""
    left, right = (generator.sql(operand) for operand in (division.this, division.expression))
    return f"(({left}) // ({right}))"


def _formatted(generator: Any, call: exp.Format) -> str:
    return generator.function_fallback_sql(call)
