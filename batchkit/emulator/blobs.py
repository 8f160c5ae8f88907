"""File contents on disk, by name."""

from __future__ import annotations

import hashlib
import os
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Blobs"]

_WRITE_BUFFER_BYTES = 1 << 20


class Blobs:
    """A folder of files; what a caller has written is on disk once it closed the stream."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Where a blob lies, whether or not it exists."""
        return self._folder / name

    def write(self, name: str) -> IO[bytes]:
        """A new, empty blob to be written in large pieces."""
        return self.path(name).open("wb", buffering=_WRITE_BUFFER_BYTES)

    def append(self, name: str) -> IO[bytes]:
        """A blob to be written on, unbuffered: what was written survives a killed process."""
        return self.path(name).open("ab", buffering=0)

    def size(self, name: str) -> int:
        """Bytes in a blob; 0 when there is none."""
        path = self.path(name)
        return path.stat().st_size if path.exists() else 0

    def sha256(self, name: str) -> str:
        """The digest of a blob, as hex text."""
        with self.path(name).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def link(self, source: str, name: str) -> None:
        """Another name for the same content: it stays when `source` is deleted."""
        self.delete(name)
        os.link(self.path(source), self.path(name))

    def delete(self, *names: str) -> None:
        """Remove blobs; one that does not exist is no error."""
        for name in names:
            self.path(name).unlink(missing_ok=True)

    def names(self) -> Iterator[str]:
        """Every blob there is."""
        return (entry.name for entry in self._folder.iterdir())
