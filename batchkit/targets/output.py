"""The output of a job that has ended, brought into the run directory as it came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchkit.errors import NotAuthorisedError, NotFoundError
from batchkit.service.client import Gemini, cloud_of
from batchkit.warehouse import TableName

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from batchkit.service.client import Client

__all__ = ["fetch_output", "is_gone", "output_table"]


def fetch_output(
    client: Client,
    job_name: str,
    file_name: str | None,
    to: Path,
    *,
    on_progress: Callable[[int, int | None], None] | None = None,
) -> bool:
    """Write the job's responses to a JSONL file; False when the job ended without any.

    `file_name` is the output file where that is known; else the job is asked once more.
    """
    if file_name is not None and isinstance(client, Gemini):
        client.files.download(file_name, to, on_progress=on_progress)
        return True
    return client.batches.write_output(client.batches.get(job_name), to, on_progress=on_progress)


def output_table(client: Client, job_name: str) -> dict[str, str] | None:
    """The table that the job has written, and the type of its column `response`.

    None when the job ended without one.
    """
    uri = client.batches.get(job_name).destination.bigquery_uri
    info = cloud_of(client).warehouse.find(TableName.parse(uri)) if uri else None
    types = {field["name"]: field["type"] for field in info.fields} if info else {}
    return {"table": str(uri), "response": types["response"]} if "response" in types else None


def is_gone(error: NotFoundError | NotAuthorisedError) -> bool:
    """Whether what was asked for is not there; of a file, that is told with a 403.

    "You do not have permission to access the File … or it may not exist."
    """
    return isinstance(error, NotFoundError) or "may not exist" in error.message
