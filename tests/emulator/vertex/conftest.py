from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from batchkit.emulator import serve

from .client import BUCKET, VertexClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchkit.emulator import Clock


@pytest.fixture(scope="session")
def account_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service account's file: an emulator that finds one makes no other key, which takes time."""
    kept = tmp_path_factory.mktemp("account") / "credentials.json"
    with serve() as emulator:
        shutil.copy(emulator.credentials_file, kept)
    return kept


@pytest.fixture
def kept_folder(tmp_path: Path, account_file: Path) -> Path:
    """A folder for an emulator, with nothing in it but an account."""
    folder = tmp_path / "emulator"
    folder.mkdir()
    shutil.copy(account_file, folder)
    return folder


@pytest.fixture
def here(clock: Clock, kept_folder: Path) -> Iterator[VertexClient]:
    """A client of an emulator whose clock stands still, and whose jobs take no time."""
    with serve(clock=clock, folder=kept_folder, buckets=[BUCKET]) as emulator:
        client = VertexClient(emulator)
        yield client
        client.session.close()


@pytest.fixture
def slow_here(clock: Clock, kept_folder: Path) -> Iterator[VertexClient]:
    """The same, but a job waits a minute and runs for ten."""
    with serve(
        clock=clock, folder=kept_folder, buckets=[BUCKET], pending_seconds=60, job_seconds=600
    ) as emulator:
        client = VertexClient(emulator)
        yield client
        client.session.close()
