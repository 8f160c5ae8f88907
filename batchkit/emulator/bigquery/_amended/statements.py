"""What a statement of SQL names, and what kind it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["kind_of", "tables_in"]


def tables_in(sql: str, project: str) -> Iterator[tuple[str, str, str]]:
    """Project, dataset and name of each table that SQL names, in a job of a project."""
    for tree in _parsed(sql):
        for table in tree.find_all(exp.Table):
            if table.db:
                yield table.catalog or project, table.db, table.name


def kind_of(sql: str) -> Literal["query", "DDL", "DML", "script"]:
    """What kind of statement it is; a script is several, or one that only bqemulator knows."""
    trees = _parsed(sql)
    if len(trees) != 1 or isinstance(trees[0], exp.Command):
        return "script"
    if isinstance(trees[0], exp.Query):
        return "query"
    return "DDL" if isinstance(trees[0], exp.Create | exp.Drop | exp.Alter) else "DML"


def _parsed(sql: str) -> list[exp.Expr]:
    """The statements; none when there is something wrong with one, which running it says."""
    try:
        return [tree for tree in sqlglot.parse(sql, read="bigquery") if tree]
    except SqlglotError:
        return []
