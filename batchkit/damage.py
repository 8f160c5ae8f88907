"""Damage: files of a run directory that cannot be read, told with their name and what to do."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

import pyarrow as pa

from batchkit.errors import RunDirectoryError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = ["COLLECT_AGAIN", "RESTORE", "check_digest", "check_size", "damaged", "reading"]

_UNREADABLE = (
    pa.ArrowException,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)
RESTORE = "restore it from a copy of the run directory"
COLLECT_AGAIN = "delete it and collect the run again, which makes it anew"


@contextlib.contextmanager
def reading(path: Path, remedy: str = RESTORE) -> Generator[None]:
    """Raise RunDirectoryError in place of what says that the file is missing, or not as written."""
    try:
        yield
    except FileNotFoundError as error:
        message = f"{path} is missing: {remedy}"
        raise RunDirectoryError(message, path) from error
    except OSError as error:
        if error.errno is not None:  # of the machine; Arrow's own have no number
            raise
        raise damaged(path, error, remedy) from error
    except _UNREADABLE as error:
        raise damaged(path, error, remedy) from error


def check_size(path: Path, expected_bytes: int) -> None:
    """Raise RunDirectoryError unless the file has the size that it was written with."""
    with reading(path):
        size = path.stat().st_size
    if size != expected_bytes:
        raise damaged(path, f"{size:,} bytes, and it had {expected_bytes:,}")


def check_digest(path: Path, sha256: str) -> None:
    """Raise RunDirectoryError unless the file has the content that it was written with."""
    with reading(path), path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise damaged(path, f"its SHA-256 is {found[:12]}…, and it had {sha256[:12]}…")


def damaged(path: Path, reason: str | Exception, remedy: str = RESTORE) -> RunDirectoryError:
    """The error about one file, with what shows the damage and what to do."""
    said = f"{type(reason).__name__}: {reason}" if isinstance(reason, Exception) else reason
    first = said.partition("\n")[0]
    return RunDirectoryError(f"{path} is damaged ({first}): {remedy}", path)
