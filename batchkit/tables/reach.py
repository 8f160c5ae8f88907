"""How far a table may lie: the way to the cloud, a place for downloads, what is pinned already."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from batchkit.clients import Cloud
    from batchkit.tables.pinned import Origin, PinnedTable

__all__ = ["Reach"]


class Reach:
    """What opening a table that lies elsewhere needs; leaving the block deletes what it downloaded.

    `connect` is called when a table needs it, and not before. `folder` is the run directory, and
    `known` the table that is pinned in it.
    """

    def __init__(
        self, connect: Callable[[], Cloud], folder: Path, known: PinnedTable | None = None
    ) -> None:
        self._connect = connect
        self._folder = folder
        self._known = known
        self._opened = contextlib.ExitStack()

    @functools.cached_property
    def cloud(self) -> Cloud:
        """Google Cloud, connected to when it is first asked for."""
        return self._connect()

    def pinned(self, origin: Origin) -> PinnedTable | None:
        """The table that came from there already; None when none did, and it must be read."""
        return self._known if self._known and self._known.origin == origin else None

    def downloads(self) -> Path:
        """A new folder in the run directory, for files that are needed while the table is read."""
        if not self._folder.exists():
            self._folder.mkdir(parents=True, mode=0o700)
            self._opened.callback(_remove_empty, self._folder)
        made = tempfile.TemporaryDirectory(dir=self._folder, prefix=".download-", suffix=".tmp")
        return Path(self._opened.enter_context(made))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()


def _remove_empty(folder: Path) -> None:
    """A table that is refused leaves no run directory behind."""
    with contextlib.suppress(OSError):
        folder.rmdir()
