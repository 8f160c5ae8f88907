"""The output of a job that has ended, wherever it lies: inlined, a file, objects, or a table."""

from __future__ import annotations

import datetime as dt
import re
from typing import IO, TYPE_CHECKING, Any

from batchkit import jsonl
from batchkit.durable import whole_file
from batchkit.errors import AmbiguousJobError, SetupError
from batchkit.service.job_json import read_time
from batchkit.storage import ObjectUri
from batchkit.warehouse import TableName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from batchkit.clients import Cloud
    from batchkit.service.files import Files
    from batchkit.service.job import BatchJob
    from batchkit.storage import Objects, StoredObject

    Received = Callable[[int, int | None], None]

__all__ = ["write_output"]

_LINES = ".jsonl"
_MADE = re.compile(r"prediction-.*?(\d{4}-\d\d-\d\dT[\d:.]+Z)?")
_ROUNDING = dt.timedelta(seconds=1)
# Columns of an output table that hold JSON, as text.
_JSON_COLUMNS = ("request", "response", "predictions", "instance")


def write_output(
    job: BatchJob,
    to: Path,
    *,
    files: Files | None = None,
    cloud: Cloud | None = None,
    on_progress: Received | None = None,
) -> bool:
    """Write a job's responses to a JSONL file, as they came; False when it ended without any.

    The lines are in no order that means anything. Of an output table each row is one line.
    """
    place = job.destination
    if place.file_name is not None and files is not None:
        files.download(place.file_name, to, on_progress=on_progress)
        return True
    if place.inlined is not None:
        with whole_file(to) as file:
            file.writelines(jsonl.dumps(item) + b"\n" for item in place.inlined)
        return True
    if place.gcs_uris and cloud is not None:
        return _write_objects(job, to, cloud.objects, on_progress)
    if place.bigquery_uri and cloud is not None:
        return _write_table(place.bigquery_uri, to, cloud)
    return False


def _write_objects(job: BatchJob, to: Path, objects: Objects, on_progress: Received | None) -> bool:
    """All lines below the job's own output folder, never those of another job beside it."""
    listed = list(_output_objects(job, objects))
    if not listed:
        return False
    total, before = sum(each.bytes for each in listed), 0

    def received(done: int, _: int) -> None:
        if on_progress:
            on_progress(before + done, total)

    with whole_file(to) as file:
        for each in listed:
            objects.download(each, file, on_progress=received)
            _end_line(file)
            before += each.bytes
    return True


def _output_objects(job: BatchJob, objects: Objects) -> Iterator[StoredObject]:
    """Where `outputInfo` says; without it, the folder that was made while the job was there.

    AmbiguousJobError when there are several below the prefix that was asked for.
    https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-cloud-storage
    """
    folder = ObjectUri.parse(job.destination.gcs_uris[0].rstrip("/") + "/")
    listed = [each for each in objects.list(folder) if each.uri.name.endswith(_LINES)]
    if job.content.get("outputInfo"):
        return iter(listed)
    made = {name for each in listed if _may_be_of(job, name := _folder(each, folder))}
    if len(made) > 1:
        message = (
            f"{job.name} is {job.state} and does not say where it wrote, and {len(made)} jobs "
            f"wrote below {folder} while it was there: give each job a destination of its own"
        )
        raise AmbiguousJobError(message, job)
    return (each for each in listed if _folder(each, folder) in made)


def _may_be_of(job: BatchJob, folder: str) -> bool:
    """Whether a folder was made between the job's creation and its end, by the time in its name."""
    found = _MADE.fullmatch(folder)
    if found is None:
        return False
    made = read_time(found[1])
    if made is None:
        return True
    begun, ended = job.create_time or made, job.end_time or made
    return begun - _ROUNDING <= made <= ended + _ROUNDING


def _folder(stored: StoredObject, prefix: ObjectUri) -> str:
    return stored.uri.name.removeprefix(prefix.name).partition("/")[0]


def _end_line(file: IO[bytes]) -> None:
    """The last line of an object may lack its end, and the next object's first must not join it."""
    if file.tell():
        file.seek(-1, 1)
        if file.read(1) != b"\n":
            file.write(b"\n")


def _write_table(uri: str, to: Path, cloud: Cloud) -> bool:
    try:
        name = TableName.parse(uri)
    except SetupError:  # a project, as the create named it
        return False
    if not name.table:
        return False
    rows = cloud.warehouse.read(name)
    with whole_file(to) as file:
        for batch in rows.batches:
            for row in batch.to_pylist():
                file.write(jsonl.dumps_foreign(_line(row)) + b"\n")
    return True


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as a line of the other kind of output; nulls are left out.

    What a text-embedding model was given stands under `instance` there.
    """
    line = {
        name: jsonl.embedded(value) if name in _JSON_COLUMNS and isinstance(value, str) else value
        for name, value in row.items()
        if value is not None
    }
    if "predictions" in line and "content" in line:
        line["instance"] = {"content": line.pop("content")}
    return line
