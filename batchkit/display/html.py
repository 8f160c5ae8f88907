"""How runs and results look in a notebook: a line, the tally, the first rows."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["table_html", "tally_html"]

_CELL = 'style="text-align:left;vertical-align:top;max-width:24em"'
_NUMBER = 'style="text-align:right"'
_LONGEST_TEXT = 120


def tally_html(title: str, statuses: Mapping[str, int]) -> str:
    """A title and the rows by status, with their sum."""
    rows = "".join(
        f"<tr><td>{html.escape(status)}</td><td {_NUMBER}>{count:,}</td></tr>"
        for status, count in statuses.items()
        if count
    )
    total = f"<tr><th>rows</th><th {_NUMBER}>{sum(statuses.values()):,}</th></tr>"
    return f"<p><code>{html.escape(title)}</code></p><table>{rows}{total}</table>"


def table_html(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of values, long ones cut."""
    head = "".join(f"<th {_CELL}>{html.escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td {_CELL}>{_cell(row[name])}</td>" for name in names) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = str(value)
    if len(text) > _LONGEST_TEXT:
        text = text[: _LONGEST_TEXT - 1] + "…"
    return html.escape(text)
