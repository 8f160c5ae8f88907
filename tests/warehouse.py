"""The BigQuery that tests speak to: where it comes from, and Google's own clients of it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage import BigQueryReadClient

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchkit.emulator.bigquery import BigQuery

_ROOT = Path(__file__).parent.parent
_PROJECT = _ROOT / "tests" / "bigquery"
_ENVIRONMENT = _ROOT / ".venv-bigquery"


def synced_python() -> str:
    """The interpreter of tests/bigquery, in an environment made as its lock says."""
    beside = Path(sys.executable).parent
    uv = os.environ.get("UV") or shutil.which("uv") or shutil.which("uv", path=beside)
    if uv is None:
        pytest.fail("BigQuery in tests needs uv, on the PATH or beside Python, for its environment")
    surroundings = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    subprocess.run(  # noqa: S603  # uv itself
        [uv, "sync", "--frozen", "--quiet", "--python", sys.executable, "--project", _PROJECT],
        env={**surroundings, "UV_PROJECT_ENVIRONMENT": str(_ENVIRONMENT)},
        check=True,
    )
    return str(_ENVIRONMENT / "bin" / "python")


class Warehouse:
    """A stand-in for BigQuery, a dataset in it that is this test's own, and clients."""

    def __init__(self, server: BigQuery, number: int) -> None:
        self.server = server
        self.project = server.environment["GOOGLE_CLOUD_PROJECT"]
        self.client = bigquery.Client(
            project=self.project,
            credentials=AnonymousCredentials(),
            client_options=ClientOptions(api_endpoint=server.rest_url),
        )
        self._number = number
        self._datasets: list[str] = []
        self.dataset = self.new_dataset()

    @functools.cached_property
    def channel(self) -> grpc.Channel:
        """A plain channel to the Storage API, with gRPC's own limits."""
        return grpc.insecure_channel(self.server.grpc_address)

    @functools.cached_property
    def reader(self) -> BigQueryReadClient:
        """Google's client of the Storage API."""
        transport = BigQueryReadClient.get_transport_class("grpc")
        return BigQueryReadClient(transport=transport(channel=self.channel))

    def new_dataset(self, location: str = "US") -> str:
        """Another dataset of this test's: `project.dataset`."""
        name = f"{self.project}.test_{self._number}_{len(self._datasets)}"
        dataset = bigquery.Dataset(name)
        dataset.location = location
        self.client.create_dataset(dataset)
        self._datasets.append(name)
        return name

    def table(self, name: str = "rows") -> str:
        """A name for a table in this test's dataset."""
        return f"{self.dataset}.{name}"

    def sql(self, name: str = "rows") -> str:
        """That name as SQL writes it."""
        return f"`{self.table(name)}`"

    def ask(self, sql: str, **config: Any) -> list[dict[str, Any]]:
        """The rows that a query gives, by the Jobs service."""
        job = self.client.query(sql, job_config=bigquery.QueryJobConfig(**config))
        return [dict(row) for row in job.result()]

    def rows(self, name: str = "rows") -> list[dict[str, Any]]:
        """The rows of a table of this test's."""
        return [dict(row) for row in self.client.list_rows(self.table(name))]

    def load(self, rows: Iterable[dict[str, Any]], name: str = "rows", **config: Any) -> Any:
        """A load job of rows as lines of JSON, which has ended."""
        job_config = bigquery.LoadJobConfig(**config)
        job = self.client.load_table_from_json(rows, self.table(name), job_config=job_config)
        return job.result()

    def close(self) -> None:
        """Delete what is this test's, and close the clients."""
        for name in self._datasets:
            self.client.delete_dataset(name, delete_contents=True, not_found_ok=True)
        self.client.close()
        if "channel" in self.__dict__:
            self.channel.close()
