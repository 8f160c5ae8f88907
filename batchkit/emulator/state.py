"""Metadata that survives a killed process: one SQLite file, committed before a reply is sent."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

from batchkit.emulator.identifiers import identifier

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from batchkit.emulator.clock import Clock

__all__ = ["State"]

# WAL with synchronous=NORMAL keeps every commit when the process dies; only a power cut may lose
# the last ones. https://www.sqlite.org/pragma.html#pragma_synchronous
# The exclusive lock is the process's, and goes with it however it ends.
_SETTINGS = """
PRAGMA locking_mode=EXCLUSIVE;
PRAGMA journal_mode=WAL;
PRAGMA synchronous=NORMAL;
PRAGMA cache_size=-65536;
CREATE TABLE IF NOT EXISTS counters (kind TEXT PRIMARY KEY, number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS seen (clock INTEGER NOT NULL);
INSERT INTO seen SELECT 0 WHERE NOT EXISTS (SELECT * FROM seen);
"""

# How long to wait for an emulator that is just being stopped.
_BUSY_SECONDS = 1.0


class State:
    """The database of one folder: transactions one at a time, reads in between.

    Opening it moves the clock to the latest instant the folder has seen: time does not run
    backwards over a restart. BlockingIOError when the folder is open already.
    """

    def __init__(self, path: Path, clock: Clock, seed: int) -> None:
        self._clock = clock
        self._seed = seed
        self._lock = threading.RLock()
        self._database = sqlite3.connect(
            path, _BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._database.executescript(_SETTINGS)
        except sqlite3.Error as error:
            self._database.close()
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            message = f"{path.parent} is in use by another emulator"
            raise BlockingIOError(message) from error
        clock.reach(self.value("SELECT clock FROM seen"))

    def define(self, tables: str) -> None:
        """Create the tables a service keeps, where they do not exist."""
        with self._lock:
            self._database.executescript(tables)

    @contextlib.contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Changes that are kept together, on disk when the outermost block ends, or not at all."""
        with self._lock:
            if self._database.in_transaction:
                yield self._database
                return
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("UPDATE seen SET clock = ?", [self._clock.nanoseconds()])
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def rows(self, query: str, *parameters: Any) -> list[Any]:
        """All rows of a query."""
        with self._lock:
            return self._database.execute(query, parameters).fetchall()

    def row(self, query: str, *parameters: Any) -> Any | None:
        """The first row of a query."""
        with self._lock:
            return self._database.execute(query, parameters).fetchone()

    def value(self, query: str, *parameters: Any) -> Any:
        """The first column of the first row of a query that has one."""
        with self._lock:
            return self._database.execute(query, parameters).fetchone()[0]

    def identifier(self, kind: str, length: int) -> str:
        """The next identifier of a kind; also after a restart none comes twice."""
        with self.transaction() as database:
            number: int = database.execute(
                "INSERT INTO counters VALUES (?, 1) "
                "ON CONFLICT (kind) DO UPDATE SET number = number + 1 RETURNING number",
                [kind],
            ).fetchone()[0]
        return identifier(self._seed, kind, number, length)

    def close(self) -> None:
        """Close the database; what was committed stays."""
        with self._lock:
            self._database.close()
