"""Tables in Cloud Storage: read once, at the generation that was found, into the run directory."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from batchkit.errors import NotFoundError, RunChangedError, TableError
from batchkit.failures import google_errors
from batchkit.storage import ObjectUri
from batchkit.tables.csv import CSV_ENDINGS, csv_table
from batchkit.tables.json_lines import JSON_LINES_ENDINGS, json_lines_table
from batchkit.tables.parquet import merged_schema, partition_of, with_partition
from batchkit.tables.pinned import conformed, parquet_batches
from batchkit.tables.stream import TableStream

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Sequence
    from pathlib import Path

    from batchkit.storage import Objects, StoredObject
    from batchkit.tables.pinned import Origin, PinnedTable
    from batchkit.tables.reach import Reach

__all__ = ["downloaded", "object_table", "origin_of"]

_PARQUET = ".parquet"


def object_table(
    address: str, text_columns: Collection[str], reach: Reach
) -> TableStream | PinnedTable:
    """The objects of an address, a folder or a pattern as a table, by the rules of local files.

    It is known again by the generations of its objects. Raises TableError, or RunChangedError for
    an object that is replaced while it is read.
    """
    objects = reach.cloud.objects
    uri = ObjectUri.parse(address)
    found = _found(objects, uri)
    is_csv = address.endswith(CSV_ENDINGS)
    origin = origin_of(found, **({"read as text": sorted(text_columns)} if is_csv else {}))
    known = reach.pinned(origin)
    if known is not None:
        return known
    if is_csv or address.endswith(JSON_LINES_ENDINGS):
        stream = _lines_table(address, found, text_columns, reach)
    else:
        stream = _parquet_stream(objects, uri, found)
    return replace(stream, description=address, origin=origin)


def origin_of(found: Sequence[StoredObject], **more: Any) -> Origin:
    """What tells these objects from others: each at its generation."""
    return {**{str(each.uri): each.generation for each in found}, **more}


def downloaded(stored: StoredObject, reach: Reach) -> Path:
    """The object as a file, for as long as the reach is open; its checksum is held.

    Of its name, which may be anything, only the ending is kept.
    """
    endings = (*CSV_ENDINGS, *JSON_LINES_ENDINGS)
    path = reach.downloads() / f"table{next(filter(stored.uri.name.endswith, endings), '')}"
    with _unreplaced(stored), path.open("wb") as file:
        reach.cloud.objects.download(stored, file)
    return path


def _found(objects: Objects, uri: ObjectUri) -> list[StoredObject]:
    """The one object of this name, else those of a pattern or a folder; none is a TableError."""
    alone = objects.find(uri) if uri.name and not uri.name.endswith("/") else None
    if alone is not None:
        return [alone]
    if uri.is_pattern:
        fixed = ObjectUri(uri.bucket, _fixed_part(uri.name))
        listed = objects.list(fixed, pattern=uri.name)
    else:
        fixed = ObjectUri(uri.bucket, uri.name and f"{uri.name.rstrip('/')}/")
        listed = (each for each in objects.list(fixed) if each.uri.name.endswith(_PARQUET))
    found = [each for each in listed if not _is_hidden(each, fixed)]
    if not found:
        message = f"there is no object {uri}, and no Parquet below it that this account sees"
        raise TableError(message)
    return found


def _fixed_part(pattern: str) -> str:
    """The folder that a pattern begins with."""
    start = min(pattern.find(sign) for sign in "*?[" if sign in pattern)
    return pattern[: pattern.rfind("/", 0, start) + 1]


def _is_hidden(stored: StoredObject, folder: ObjectUri) -> bool:
    return any(part.startswith((".", "_")) for part in _parts(stored, folder))


def _parts(stored: StoredObject, folder: ObjectUri) -> list[str]:
    return stored.uri.name.removeprefix(folder.name).split("/")


def _lines_table(
    address: str, found: Sequence[StoredObject], text_columns: Collection[str], reach: Reach
) -> TableStream:
    """CSV or JSONL, which is read several times to find its types, by way of a file."""
    if len(found) != 1:
        message = f"{address} names {len(found)} objects: CSV and JSONL are read from one"
        raise TableError(message)
    path = downloaded(found[0], reach)
    try:
        if address.endswith(CSV_ENDINGS):
            return csv_table(path, text_columns)
        return json_lines_table(path)
    except TableError as error:
        message = error.message.replace(str(path), address)
        raise TableError(message, error.column) from error


@dataclass(frozen=True, slots=True)
class _Part:
    """One Parquet object, and the columns that stand in the names of its folders."""

    stored: StoredObject
    partition: tuple[tuple[str, str | None], ...]


def _parquet_stream(objects: Objects, uri: ObjectUri, found: Sequence[StoredObject]) -> TableStream:
    folder = ObjectUri(uri.bucket, _folder(uri, found))
    schema: pa.Schema | None = None
    parts: list[_Part] = []
    for stored in found:
        with _opened(objects, stored) as file:
            here = file.schema_arrow
        partition = partition_of(_parts(stored, folder)[:-1], here)
        whole = with_partition(here, partition)
        names = str(stored.uri), str(found[0].uri)
        schema = whole if schema is None else merged_schema(schema, whole, *names)
        parts.append(_Part(stored, partition))
    schema = schema or pa.schema(list[pa.Field]())
    return TableStream(str(uri), schema, _batches(objects, parts, schema))


def _folder(uri: ObjectUri, found: Sequence[StoredObject]) -> str:
    """What names of folders are looked for below: nothing of a single object's."""
    if found[0].uri == uri:
        return uri.name[: uri.name.rfind("/") + 1]
    return _fixed_part(uri.name) if uri.is_pattern else uri.name and f"{uri.name.rstrip('/')}/"


def _batches(
    objects: Objects, parts: Sequence[_Part], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    for part in parts:
        values = dict(part.partition)
        names = [name for name in schema.names if name not in values]
        with _opened(objects, part.stored) as file:
            for batch in parquet_batches(file, range(file.metadata.num_row_groups), names):
                yield conformed(batch, schema, values)


@contextlib.contextmanager
def _opened(objects: Objects, stored: StoredObject) -> Generator[pq.ParquetFile]:
    try:
        with (
            _unreplaced(stored),
            google_errors("storage.download"),
            objects.open(stored) as content,
            pq.ParquetFile(content) as file,
        ):
            yield file
    except (pa.ArrowInvalid, OSError) as error:
        message = f"{stored.uri} is no Parquet file that can be read: {error}"
        raise TableError(message) from error


@contextlib.contextmanager
def _unreplaced(stored: StoredObject) -> Generator[None]:
    """A generation that is gone was replaced or deleted since it was found."""
    try:
        yield
    except NotFoundError:
        message = (
            f"{stored.uri} was replaced or deleted while it was read; build again, nothing was sent"
        )
        raise RunChangedError(message, {str(stored.uri): (stored.generation, None)}) from None
