"""Requests as rows of a BigQuery table, for Vertex AI: a request and an output table per job.

https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-bigquery
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from batchkit import jsonl
from batchkit.errors import CapabilityError, SetupError
from batchkit.targets.gcs import output_folder
from batchkit.warehouse import TableName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchkit.service.client import Vertex
    from batchkit.service.job import BatchJob
    from batchkit.targets.parcel import Parcel

__all__ = ["check_dataset", "check_responses", "create_from_table", "job_table", "stage_table"]

_MULTI_REGIONS = ("us", "eu")
_SCHEMA = pa.schema([("key", pa.string()), ("request", pa.string())])
_FIELDS = (
    {"name": "key", "type": "STRING", "mode": "REQUIRED"},
    {"name": "request", "type": "JSON", "mode": "REQUIRED"},
)
_LEGACY_SCHEMA = pa.schema([("content", pa.string())])
_LEGACY_FIELDS = ({"name": "content", "type": "STRING", "mode": "REQUIRED"},)
_BATCH_LINES = 4_096


def check_dataset(client: Vertex, address: str) -> None:
    """Raise, before anything is sent, when the jobs of this location cannot use the dataset.

    It must be regional, and in the job's region.
    """
    name = TableName.parse(address)
    place = client.cloud.warehouse.location(name)
    if place in _MULTI_REGIONS:
        message = (
            f"{name} lies in the multi-region {place.upper()}, which Vertex AI's batches do not "
            f"read: make a dataset in {client.location}, and name it as target"
        )
        raise CapabilityError(message)
    if client.location not in (place, "global"):
        message = (
            f"{name} lies in {place}, and the jobs run in {client.location}: name a dataset there, "
            f"or a client with location={place!r}"
        )
        raise SetupError(message)


def check_responses(client: Vertex, parcel: Parcel) -> None:
    """SetupError when the table that the job would make is there: it does not write into one."""
    if _folder(parcel):
        return
    table = _table(parcel, "responses")
    if client.cloud.warehouse.find(table) is not None:
        message = (
            f"{table} is there already, and no job of this run is known to have made it: look at "
            "it, and delete or rename it"
        )
        raise SetupError(message)


def stage_table(client: Vertex, parcel: Parcel) -> dict[str, Any]:
    """Put the requests into a table of the job's own, once: the key and the request of each.

    The key comes back beside the answer, as all columns of the table do.
    """
    table = _table(parcel, "requests")
    warehouse, job_id = client.cloud.warehouse, f"batchkit-{table.table}"
    if parcel.query is not None:
        return {"table": str(table), "rows": warehouse.fill(parcel.query, table, job_id)}
    schema, fields = (_LEGACY_SCHEMA, _LEGACY_FIELDS) if parcel.is_legacy else (_SCHEMA, _FIELDS)
    with tempfile.TemporaryDirectory(
        dir=parcel.path.parent, prefix=".load-", suffix=".tmp"
    ) as name:
        path = Path(name) / "requests.parquet"
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for batch in _batches(parcel, schema):
                writer.write_batch(batch)
        rows = warehouse.load(path, table, job_id, fields=fields)
    return {"table": str(table), "rows": rows}


def _batches(parcel: Parcel, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    held: list[dict[str, Any]] = []
    with parcel.path.open("rb") as file:
        for _, line in jsonl.lines(file):
            item = jsonl.loads(line)
            if not parcel.is_legacy:
                item["request"] = jsonl.dumps(item["request"]).decode()
            held.append(item)
            if len(held) == _BATCH_LINES:
                yield pa.RecordBatch.from_pylist(held, schema=schema)
                held = []
    if held:
        yield pa.RecordBatch.from_pylist(held, schema=schema)


def create_from_table(client: Vertex, parcel: Parcel, staged: Mapping[str, Any] | None) -> BatchJob:
    """Create the job that reads the table, and writes a table or folder of its own.

    SetupError when that table is there already.
    """
    check_responses(client, parcel)
    create = (
        client.batches.create if parcel.kind == "generate" else client.batches.create_embeddings
    )
    return create(
        parcel.model,
        bigquery_uri=(staged or {})["table"],
        destination=_folder(parcel) or str(_table(parcel, "responses")),
        display_name=parcel.display_name,
    )


def _folder(parcel: Parcel) -> str:
    """Where the job writes objects; empty when it writes a table."""
    return str(output_folder(parcel.output, parcel)) if parcel.output else ""


def _table(parcel: Parcel, what: str) -> TableName:
    """A table of the job's own in the target's dataset."""
    return job_table(parcel.target, parcel.run_id, parcel.name, what)


def job_table(target: str, run_id: str, attempt: str, what: str) -> TableName:
    """The table that holds an attempt's "requests", or its "responses"."""
    return TableName.parse(target).beside(f"batchkit_{run_id}_{attempt}_{what}")
