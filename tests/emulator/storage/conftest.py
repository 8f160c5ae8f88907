"""What the tests of the storage service share: an emulator with a bucket, and clients of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from google.cloud import storage

from batchkit.emulator import serve

from .client import BUCKET, Gcs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchkit.emulator import Clock, Emulator

# Read when gcsfs is imported: what Emulator.environment says of it comes too late in a fixture.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"


@dataclass
class Effects:
    """What an emulator did, in order; the reply to the next effect of a kind in `lost` is lost."""

    heard: list[tuple[str, str]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def __call__(self, kind: str, name: str) -> None:
        self.heard.append((kind, name))
        if kind in self.lost:
            self.lost.remove(kind)
            raise ConnectionError


@pytest.fixture
def effects() -> Effects:
    return Effects()


@pytest.fixture
def emulator(clock: Clock, effects: Effects) -> Iterator[Emulator]:
    with serve(clock=clock, buckets=(BUCKET,), on_effect=effects) as emulator:
        yield emulator


@pytest.fixture
def gcs(emulator: Emulator) -> Iterator[Gcs]:
    gcs = Gcs(emulator.url)
    yield gcs
    gcs.session.close()


@pytest.fixture
def bucket(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[storage.Bucket]:
    """The bucket of Google's own client, which finds the emulator by the environment alone."""
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    client = storage.Client()
    yield client.bucket(BUCKET)
    client.close()
