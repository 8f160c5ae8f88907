"""Google Cloud as tests have it: the stand-ins, and our own ways into them."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

import batchkit as bk
from batchkit.clients import connect_cloud
from batchkit.storage import ObjectUri

if TYPE_CHECKING:
    import pyarrow as pa

    from batchkit.clients import Cloud

__all__ = ["BUCKET", "PROJECT", "Effects", "GoogleCloud"]

BUCKET = "a-bucket"
PROJECT = "emulator-project"


@dataclass
class Effects:
    """What an emulator did; the reply to the next effect of a kind in `lost` is lost."""

    heard: list[tuple[str, str]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def __call__(self, kind: str, name: str) -> None:
        self.heard.append((kind, name))
        if kind in self.lost:
            self.lost.remove(kind)
            raise ConnectionError


@dataclass
class GoogleCloud:
    """What the environment of a test points at, reached as users reach it."""

    url: str
    effects: Effects
    folder: Path | None = None

    @functools.cached_property
    def cloud(self) -> Cloud:
        """The project's objects and tables."""
        return connect_cloud(PROJECT, credentials=AnonymousCredentials())

    @functools.cached_property
    def client(self) -> bk.Vertex:
        """A client whose project this is; the service itself is not there."""
        return bk.Vertex(
            PROJECT, "us-central1", credentials=AnonymousCredentials(), base_url=self.url
        )

    def put(self, name: str, content: bytes) -> str:
        """A new object in the bucket; its address."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "content"
            path.write_bytes(content)
            return str(self.cloud.objects.put(path, ObjectUri(BUCKET, name)).uri)

    def put_parquet(self, name: str, table: pa.Table, group_rows: int = 1000) -> str:
        """A new object that is a Parquet file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.parquet"
            pq.write_table(table, path, row_group_size=group_rows)
            return self.put(name, path.read_bytes())

    def replace(self, name: str, content: bytes) -> None:
        """Another object of this name, in place of the one that is there."""
        client = storage.Client(project=PROJECT, credentials=None)
        client.bucket(BUCKET).blob(name).upload_from_string(content)
        client.close()

    def names(self) -> list[str]:
        """The names of all objects."""
        return [each.uri.name for each in self.cloud.objects.list(ObjectUri(BUCKET))]

    def content(self, name: str) -> bytes:
        """What an object holds."""
        found = self.cloud.objects.find(ObjectUri(BUCKET, name))
        assert found is not None
        with self.cloud.objects.open(found) as file:
            return file.read()

    def lose_contents(self) -> None:
        """Leave objects without their contents: nothing can be read from here on."""
        assert self.folder is not None
        for path in (self.folder / "blobs").iterdir():
            path.unlink()
