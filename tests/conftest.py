"""What tests share: a service on this machine, a client of it, and tables of every kind."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

import batchkit as bk
from batchkit.emulator import Emulator, serve
from batchkit.emulator import bigquery as bigquery_emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .cloud import GoogleCloud
    from .warehouse import Warehouse

_NUMBERS = itertools.count()

# No test asks whether it runs in Google's cloud; google-auth reads this once, when it is loaded.
os.environ["NO_GCE_CHECK"] = "true"


# How long an example takes says how busy the machine is, not whether a law holds.
settings.register_profile("batchkit", deadline=None)
settings.load_profile("batchkit")


@dataclass(frozen=True)
class Service:
    """An emulator and a client that speaks to it without long pauses."""

    emulator: Emulator
    client: bk.Gemini

    def paid(self) -> dict[str, int]:
        """How often each key was processed."""
        return self.emulator.stats()["requests"]


def quick_client(emulator: Emulator) -> bk.Gemini:
    retries = bk.Retries(first_seconds=0.01, longest_seconds=0.05, total_seconds=2)
    return bk.Gemini(emulator.api_key, base_url=emulator.url, retries=retries)


@pytest.fixture
def service() -> Iterator[Service]:
    with serve() as emulator:
        yield Service(emulator, quick_client(emulator))


@dataclass(frozen=True)
class VertexService:
    """An emulator with a bucket, and a client of its Vertex AI that pauses little.

    Google's own libraries find it through the environment.
    """

    emulator: Emulator
    client: bk.Vertex
    bucket: str

    def uri(self, name: str) -> str:
        """`gs://bucket/name`."""
        return f"gs://{self.bucket}/{name}"

    def paid(self) -> dict[str, int]:
        """How often each key, or label where there is no key, was processed."""
        return self.emulator.stats()["requests"]


def quick_vertex() -> bk.Vertex:
    retries = bk.Retries(first_seconds=0.01, longest_seconds=0.05, total_seconds=2)
    return bk.Vertex(retries=retries)


@pytest.fixture
def vertex(monkeypatch: pytest.MonkeyPatch) -> Iterator[VertexService]:
    with serve(buckets=["emulator-bucket"]) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        yield VertexService(emulator, quick_vertex(), "emulator-bucket")


@pytest.fixture(scope="session")
def bigquery_python() -> str:
    """The interpreter that has bqemulator, in the environment that tests/bigquery locks."""
    from .warehouse import synced_python  # noqa: PLC0415  # Google's clients are slow to load

    return synced_python()


@pytest.fixture(scope="session")
def bigquery_server(bigquery_python: str) -> Iterator[bigquery_emulator.BigQuery]:
    """The one stand-in for BigQuery of a session."""
    with bigquery_emulator.serve(python=bigquery_python) as server:
        yield server


@pytest.fixture
def bigquery(bigquery_server: bigquery_emulator.BigQuery) -> Iterator[Warehouse]:
    """BigQuery with a dataset of the test's own, and Google's clients of it."""
    from .warehouse import Warehouse  # noqa: PLC0415  # Google's clients are slow to load

    warehouse = Warehouse(bigquery_server, next(_NUMBERS))
    yield warehouse
    warehouse.close()
    bigquery_server.use_storage(None)


@pytest.fixture
def gs(monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleCloud]:
    """Cloud Storage with a bucket, where the environment points at it."""
    from .cloud import BUCKET, Effects, GoogleCloud  # noqa: PLC0415  # as above

    effects = Effects()
    with serve(buckets=(BUCKET,), on_effect=effects) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        yield GoogleCloud(emulator.url, effects, emulator.folder)


@pytest.fixture
def bq(bigquery: Warehouse, monkeypatch: pytest.MonkeyPatch) -> GoogleCloud:
    """BigQuery, where the environment points at it."""
    from .cloud import Effects, GoogleCloud  # noqa: PLC0415  # as above

    for name, value in bigquery.server.environment.items():
        monkeypatch.setenv(name, value)
    return GoogleCloud(bigquery.server.rest_url, Effects())
