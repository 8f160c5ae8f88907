"""Column names: each a text, and each once, because columns are known by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchkit.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["check_labels"]


def check_labels(labels: Iterable[Any], kind: str) -> None:
    """Raise TableError for a name that is no text, or stands twice; `kind` is what has it."""
    seen: dict[str, int] = {}
    for position, label in enumerate(labels):
        if not isinstance(label, str):
            message = (
                f"the {kind} has a column named {label!r}, which is no text; name columns by text"
            )
            raise TableError(message, column=str(label))
        first = seen.setdefault(label, position)
        if first != position:
            message = (
                f"the {kind} has two columns named {label!r}, {first} and {position}; rename one"
            )
            raise TableError(message, column=label)
