"""What a run has come to, and lists of things, as tables on standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["print_facts", "print_rows", "print_tally"]

_STYLES = {"ok": "green", "pending": "yellow"}
_GAP = "  "


def print_tally(statuses: Mapping[str, int], facts: Mapping[str, object]) -> None:
    """Rows by status, with their sum, and whatever else is worth a line."""
    counts = {status: f"{count:,}" for status, count in statuses.items() if count}
    counts["rows"] = f"{sum(statuses.values()):,}"
    names = max(map(len, [*counts, *facts]))
    digits = max(map(len, counts.values()))
    console = _console()
    for name, count in counts.items():
        style = _STYLES.get(name, "red") if name in statuses else ""
        _print(console, Text.assemble((f"{name:<{names}}", style), f"{_GAP}{count:>{digits}}"))
    for name, value in facts.items():
        _print(console, Text(f"{name:<{names}}{_GAP}{value}"))


def print_facts(facts: Mapping[str, object]) -> None:
    """A name and a value per line; those that are None are left out."""
    known = {name: _said(value) for name, value in facts.items() if value is not None}
    names = max(map(len, known), default=0)
    console = _console()
    for name, value in known.items():
        _print(console, Text(f"{name:<{names}}{_GAP}{value}"))


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """A table of things that have the same fields, one line each; nothing is cut.

    Fields that all lack are left out. On a terminal, so are the last ones that do not fit beside
    the first.
    """
    console = _console()
    if not rows:
        _print(console, Text("none"))
        return
    columns = [
        [name, *(_said(row[name]) for row in rows)]
        for name in rows[0]
        if any(row[name] is not None for row in rows)
    ]
    widths = [max(map(cell_len, column)) for column in columns]
    fitting = _fitting(widths, console.width) if console.is_terminal else len(widths)
    for number, cells in enumerate(zip(*columns[:fitting], strict=True)):
        padded = [
            cell + " " * (width - cell_len(cell))
            for cell, width in zip(cells, widths, strict=False)
        ]
        line = _GAP.join(padded).rstrip()
        _print(console, Text(line, "" if number else "bold"))


def _fitting(widths: Sequence[int], room: int) -> int:
    """How many of the first columns stand side by side, at least one."""
    used, number = 0, 0
    for number, width in enumerate(widths):
        used += width + (len(_GAP) if number else 0)
        if number and used > room:
            return number
    return number + 1


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def _print(console: Console, line: Text) -> None:
    console.print(line, soft_wrap=True)


def _said(value: Any) -> str:
    if value is None:
        return ""
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if is_count else str(value)
