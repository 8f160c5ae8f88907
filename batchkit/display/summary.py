"""What a run has come to, and lists of things, as tables on standard output."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["print_rows", "print_tally"]

_STYLES = {"ok": "green", "pending": "yellow"}


def print_tally(statuses: Mapping[str, int], facts: Mapping[str, object]) -> None:
    """Rows by status, with their sum, and whatever else is worth a line."""
    table = Table.grid(padding=(0, 2))
    for status, count in statuses.items():
        if count:
            table.add_row(
                Text(status, _STYLES.get(status, "red")), Text(f"{count:,}", justify="right")
            )
    table.add_row(Text("rows"), Text(f"{sum(statuses.values()):,}", justify="right"))
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    for name, value in facts.items():
        console.print(Text(f"{name}  {value}"))


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """A table of things that have the same fields; fields that all lack are left out."""
    console = Console(highlight=False, soft_wrap=True)
    if not rows:
        console.print("none")
        return
    names = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    table = Table(*names, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(_said(row[name])) for name in names))
    console.print(table)


def _said(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return f"{value:,}" if isinstance(value, int) else str(value)
