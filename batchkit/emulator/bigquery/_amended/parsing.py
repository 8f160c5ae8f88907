"""SQL is parsed once: bqemulator parses a statement some thirty times on its way to DuckDB."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from .replacement import replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlglot.dialects.dialect import Dialect

__all__ = ["amend_parsing"]

_KEPT = 64


def amend_parsing() -> None:
    """Keep what was parsed, and parse without copies that nothing is done with."""
    replace("sqlglot.dialects.dialect:Dialect", "parse", _once)
    replace("sqlglot.parser:Parser", "_implicit_unnests_to_explicit", _where_tables_are_joined)


def _once(parse: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """Trees are changed by whoever asked for them, so each gets its own."""

    @functools.lru_cache(_KEPT)
    def kept(kind: type[Dialect], sql: str) -> list[Any]:
        return parse(kind(), sql)

    def parsed(dialect: Any, sql: str, **options: Any) -> list[Any]:
        if options or dialect.settings:
            return parse(dialect, sql, **options)
        return [tree and tree.copy() for tree in kept(dialect.__class__, sql)]

    return parsed


def _where_tables_are_joined(to_explicit: Callable[..., Any]) -> Callable[..., Any]:
    """It looks for `FROM t, t.list`, and copies all that is in FROM to do so."""

    def explicit(parser: Any, query: Any) -> Any:
        joins: list[Any] = query.args.get("joins") or []
        is_sought = any(isinstance(join.this, exp.Table) for join in joins)
        return to_explicit(parser, query) if is_sought else query

    return explicit
