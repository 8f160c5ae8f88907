"""The output of a job that has ended, brought into the run directory as it came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchkit import jsonl
from batchkit.durable import whole_file
from batchkit.errors import NotAuthorisedError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from batchkit.service.client import Gemini

__all__ = ["fetch_output", "is_gone"]


def fetch_output(
    client: Gemini,
    job_name: str,
    file_name: str | None,
    to: Path,
    *,
    on_progress: Callable[[int, int | None], None] | None = None,
) -> bool:
    """Write the job's responses to a JSONL file; False when the job ended without any.

    `file_name` is the output file where that is known; else the job is asked once more.
    """
    inlined = None
    if file_name is None:
        place = client.batches.get(job_name).destination
        file_name, inlined = place.file_name, place.inlined
    if file_name is not None:
        client.files.download(file_name, to, on_progress=on_progress)
        return True
    if inlined is None:
        return False
    with whole_file(to) as file:
        file.writelines(jsonl.dumps(item) + b"\n" for item in inlined)
    return True


def is_gone(error: NotFoundError | NotAuthorisedError) -> bool:
    """Whether what was asked for is not there; of a file, that is told with a 403.

    "You do not have permission to access the File … or it may not exist."
    """
    return isinstance(error, NotFoundError) or "may not exist" in error.message
