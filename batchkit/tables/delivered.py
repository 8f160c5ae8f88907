"""Results delivered to Google Cloud: objects that are only ever created, tables by one load job."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from batchkit.errors import SetupError, TableError
from batchkit.storage import ObjectUri, checksum
from batchkit.tables.bigquery_schema import loadable_schema, table_fields
from batchkit.tables.bigquery_values import loadable_batch
from batchkit.tables.digest import Digester

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from batchkit.storage import Objects
    from batchkit.warehouse import TableName, TableOptions, Warehouse

__all__ = ["check_table", "deliver_objects", "deliver_table"]

_LONGEST_ENDING = 20
_MOST_CLUSTERS = 4
_PARTITIONS = ("DATE", "TIMESTAMP", "DATETIME")
_NO_CLUSTERS = ("FLOAT", "FLOAT64", "BYTES", "RECORD", "TIME")
_CONTENT_TYPES: Mapping[str, str] = {
    ".csv": "text/csv",
    ".jsonl": "application/jsonl",
    ".ndjson": "application/jsonl",
}


def deliver_objects(
    write: Callable[[Path], object], address: str, objects: Objects, folder: Path
) -> str:
    """Upload what `write` writes, a file or a folder of them, as new objects; the address.

    SetupError when other objects are there already. Doing it again after a reply was lost is fine.
    """
    uri = ObjectUri.parse(address.rstrip("/"))
    if not uri.name:
        message = f"{address}: name an object or a folder in the bucket"
        raise SetupError(message)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".upload-", suffix=".tmp") as name:
        # Of the object's name, which may be none that a file can have, only the ending is kept.
        local = Path(name) / f"result{PurePosixPath(uri.name).suffix[:_LONGEST_ENDING]}"
        write(local)
        if local.is_dir():
            parts = {uri / path.name: path for path in sorted(local.iterdir())}
        else:
            parts = {uri: local}
        _check_free(objects, uri, parts)
        for to, path in parts.items():
            kind = _CONTENT_TYPES.get(path.suffix, "application/octet-stream")
            objects.put(path, to, content_type=kind)
    return str(uri)


def _check_free(objects: Objects, uri: ObjectUri, parts: Mapping[ObjectUri, Path]) -> None:
    """Raise before anything is sent when an object is there that is none of these files."""
    if uri in parts:
        found = [each for each in [objects.find(uri)] if each]
    else:
        found = list(objects.list(ObjectUri(uri.bucket, f"{uri.name}/")))
    for each in found:
        path = parts.get(each.uri)
        if path is None or checksum(path) != each.crc32c:
            message = f"{each.uri} is there already, with other content: name another place"
            raise SetupError(message)


def deliver_table(  # noqa: PLR0917  # where from, where to and how
    rows: pa.RecordBatchReader,
    to: TableName,
    options: TableOptions,
    warehouse: Warehouse,
    folder: Path,
    job_prefix: str,
) -> int:
    """Load rows into a table by one job, whose id follows from them, from `to` and the options.

    So the same rows are loaded once, however often this is called, and more answers are another
    load. TableError, before anything is sent, for what BigQuery cannot hold.
    """
    schema, fields = check_table(to, options, rows.schema)
    warehouse.location(to)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".load-", suffix=".tmp") as name:
        path = Path(name) / "rows.parquet"
        digest = _write(rows, schema, path)
        identity = repr((str(to), options, fields, digest)).encode()
        return warehouse.load(
            path,
            to,
            f"{job_prefix}-{hashlib.sha256(identity).hexdigest()[:20]}",
            fields=fields,
            options=options,
        )


def check_table(
    to: TableName, options: TableOptions, schema: pa.Schema
) -> tuple[pa.Schema, list[dict[str, Any]]]:
    """The types and fields that rows take in a table; raises for what no table can be."""
    if not to.table:
        message = f"{to} is a dataset: name a table in it, {to}.table"
        raise SetupError(message)
    loadable = loadable_schema(schema)
    fields = table_fields(loadable)
    _check_options(options, {field["name"]: field for field in fields})
    return loadable, fields


def _write(rows: pa.RecordBatchReader, schema: pa.Schema, path: Path) -> object:
    """Write the file that is loaded; what its rows are known by."""
    digester = Digester(schema)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in rows:
            loadable = loadable_batch(batch, schema)
            digester.add(loadable)
            writer.write_batch(loadable)
    return digester.digest().to_json()


def _check_options(options: TableOptions, fields: Mapping[str, Mapping[str, object]]) -> None:
    if options.if_exists not in {"fail", "replace", "append"}:
        message = f"if_exists={options.if_exists!r}: it is 'fail', 'replace' or 'append'"
        raise SetupError(message)
    if len(options.cluster_by) > _MOST_CLUSTERS:
        message = f"cluster_by names {len(options.cluster_by)} columns: BigQuery takes four"
        raise SetupError(message)
    by_time = (options.partition_by,) if options.partition_by else ()
    _check_columns("partition_by", by_time, fields)
    _check_columns("cluster_by", options.cluster_by, fields)


def _check_columns(
    option: str, names: Sequence[str], fields: Mapping[str, Mapping[str, object]]
) -> None:
    for name in names:
        field = fields.get(name)
        if field is None:
            message = f"{option} names {name!r}; the columns are {', '.join(fields)}"
            raise TableError(message, name)
        kind = field["type"] if field["mode"] != "REPEATED" else "an array"
        if option == "partition_by" and kind not in _PARTITIONS:
            message = f"{option} names {name!r}, which is {kind}: it takes a date or a timestamp"
            raise TableError(message, name)
        if option == "cluster_by" and (kind in _NO_CLUSTERS or kind == "an array"):
            message = f"{option} names {name!r}, which is {kind}: BigQuery cannot sort by it"
            raise TableError(message, name)
