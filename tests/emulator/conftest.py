"""What the emulator's tests share: an emulator whose clock stands still, and a client of it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from batchkit.emulator import Clock, serve

from .client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchkit.emulator import Emulator

START = dt.datetime(2026, 1, 6, 11, 9, 11, 943530, tzinfo=dt.UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
def emulator(clock: Clock) -> Iterator[Emulator]:
    with serve(clock=clock) as emulator:
        yield emulator


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client]:
    client = Client(emulator)
    yield client
    client.session.close()


@pytest.fixture
def slow(clock: Clock) -> Iterator[Emulator]:
    """Its jobs wait a minute and run for ten."""
    with serve(clock=clock, pending_seconds=60, job_seconds=600) as emulator:
        yield emulator


@pytest.fixture
def slow_client(slow: Emulator) -> Iterator[Client]:
    client = Client(slow)
    yield client
    client.session.close()
