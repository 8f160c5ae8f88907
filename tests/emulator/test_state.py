from __future__ import annotations

import datetime as dt
import sqlite3
from typing import TYPE_CHECKING

import pytest

from batchkit.emulator import Clock
from batchkit.emulator.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOON = dt.datetime(2026, 1, 6, 12, tzinfo=dt.UTC)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "state.sqlite", Clock(NOON), seed=0)
    state.define("CREATE TABLE things (name TEXT PRIMARY KEY)")
    yield state
    state.close()


def test_a_transaction_that_fails_leaves_nothing(state: State) -> None:
    def add_twice() -> None:
        with state.transaction() as database:
            database.execute("INSERT INTO things VALUES ('a')")
            with state.transaction() as inner:
                inner.execute("INSERT INTO things VALUES ('a')")

    with pytest.raises(sqlite3.IntegrityError):
        add_twice()
    assert state.rows("SELECT * FROM things") == []


def test_identifiers_do_not_repeat_after_opening_again(tmp_path: Path) -> None:
    names: list[str] = []
    for _ in range(3):
        state = State(tmp_path / "state.sqlite", Clock(NOON), seed=0)
        names += [state.identifier("file", 12) for _ in range(2)]
        state.close()
    assert len(set(names)) == 6


def test_an_identifier_of_a_failed_transaction_is_given_again(state: State) -> None:
    def fail() -> None:
        with state.transaction():
            seen.append(state.identifier("file", 12))
            raise LookupError

    seen: list[str] = []
    with pytest.raises(LookupError):
        fail()
    assert state.identifier("file", 12) == seen[0]


def test_time_does_not_run_backwards_over_a_restart(tmp_path: Path) -> None:
    clock = Clock(NOON)
    state = State(tmp_path / "state.sqlite", clock, seed=0)
    clock.advance(3600)
    with state.transaction():
        pass
    state.close()
    later = Clock(NOON)
    State(tmp_path / "state.sqlite", later, seed=0).close()
    assert later.now() == NOON + dt.timedelta(hours=1)


def test_a_folder_is_open_once(state: State, tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError, match="in use by another emulator"):
        State(tmp_path / "state.sqlite", Clock(NOON), seed=0)
    state.close()
    State(tmp_path / "state.sqlite", Clock(NOON), seed=0).close()


def test_a_file_that_is_no_database_is_not_taken_for_one_in_use(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").write_bytes(b"not a database, and long enough to be looked at" * 99)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        State(tmp_path / "state.sqlite", Clock(NOON), seed=0)
