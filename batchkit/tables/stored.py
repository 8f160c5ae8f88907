"""The shape of tables as `run.json` has them, which somebody may have edited."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from batchkit import jsonl
from batchkit.shape import Shape, check_shape, is_count, is_number, is_text, listed, optional

__all__ = ["check_stored_file", "check_stored_table"]

_SHOWN = 100


def _is_pair(value: Any) -> bool:
    return jsonl.is_list(value) and [is_text(item) for item in value[:1]] == [True]


_FILE: Shape = {
    "path": is_text,
    "format": lambda value: value in ("parquet", "arrow"),
    "bytes": is_count,
    "modified": optional(is_number),
    "group_rows": listed(is_count),
    "partition": listed(_is_pair),
}
_TABLE: Shape = {
    "description": is_text,
    "schema": is_text,
    "files": listed({}),
    "digest": optional({"rows": is_count, "columns": {}}),
    "origin": optional({}),
}


def check_stored_table(content: Any) -> None:
    """Raise ValueError, naming the path, for what no table was written down as."""
    check_shape(content, _TABLE, "$.table")


def check_stored_file(content: Any) -> None:
    """The same for one of its files, and for a path that a run would not have.

    It may be somebody else's way to a file of ours. A file inside the run directory is named only;
    one outside by its absolute path, whose size and time are compared before it is read.
    """
    check_shape(content, _FILE, "$.table.files")
    path = content["path"]
    parts = PurePath(path).parts
    if content["modified"] is None:
        is_ours = len(parts) == 1 and not path.startswith(("/", ".")) and len(path) < _SHOWN
    else:
        is_ours = path.startswith("/") and ".." not in parts
    if "\0" in path or not is_ours:
        message = f"$.table.files has the path {path[:_SHOWN]!r}, which leads out of the run"
        raise ValueError(message)
